"""What no server means to send: chunks of which parts were changed, and lines in any order, cut anywhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from hosts import cuts

#: What may stand where something else should.
VALUES: list[Any] = [
    *[None, True, False, 0, 5, -1.0, 1e300, 2**70, "", "x", "5", "1.0", "stop", "\ud800", [], {}, ["x"], [1], [{}]],
    *[{"a": 1}, {"index": "1"}, [{"index": 1.0}], {"content": []}, {"name": 5}, [None], "true", float("nan")],
]


def mutated(random: Random, rich: dict[str, Any], changes: int, keys: Sequence[str], values: Sequence[Any]) -> Any:
    """A rich chunk of which a few parts were changed, dropped, added or moved."""
    doc = json.loads(json.dumps(rich))
    for _ in range(changes):
        at: Any = doc
        while True:
            here = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not here:
                break
            key = random.choice(here)
            if isinstance(at[key], (dict, list)) and random.random() < 0.75:
                at = at[key]
                continue
            change = random.random()
            if change < 0.5:
                at[key] = copy.deepcopy(random.choice(values))
            elif change < 0.75:
                del at[key]
            elif isinstance(at, dict):
                at[random.choice(keys)] = copy.deepcopy(random.choice(values))
                at[key] = at.pop(key)  # and the last one now
            break
    return doc


def random_reads(random: Random, lines: Sequence[bytes]) -> list[bytes]:
    """Some of the lines, in any order, with any ends, cut anywhere."""
    ends = [b"\n", b"\n", b"\r", b"\r\n"]
    data = b"".join(random.choice(lines) + random.choice(ends) for _ in range(random.randint(1, 14)))
    if random.random() >= 0.7:
        data = data[:-1]
    return cuts(data, sorted(random.sample(range(len(data) + 1), min(len(data), random.randint(0, 6)))))
