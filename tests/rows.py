"""What the tests of streams and usage share: an engine's rows beside the reference's, and short ways to write logs."""

from __future__ import annotations

import array
import json
import math
from typing import Any

import support
from chunkwire import _engine
from chunkwire._options import Options
from oracle import Result, oracle
from oracle_streams import TOKENS, oracle_rows
from support import event

COLUMNS = [
    "id",
    "model",
    "created",
    "finish_reason",
    "status",
    "chunks",
    "offset",
    "reported",
    "cost",
    "time_to_first_token",
    "generation_time",
    "usage",
    "valid",
    *TOKENS,
]
FLOATS = ("cost", "time_to_first_token", "generation_time")
DONE = event("[DONE]")


def rows_of(engine: str, data: bytes, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    """The rows as the engine gives them to the rest of the package, with their validity bits; and the stats."""
    columns, stats = _engine.load(engine).usage(data, Options(**{"format": "sse"} | options))
    plain: dict[str, list[Any]] = {}
    columns = dict(columns)
    for name in ("kept", "measured"):  # which logs of exchanges have; tests of those look at them
        columns.pop(name, None)
    sent, ends = bytes(columns.pop("usage")), array.array("q", bytes(columns.pop("usage_end"))).tolist()
    assert (ends[-1] if ends else 0) == len(sent)
    pieces = [sent[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    plain["usage"] = [json.loads(piece) if piece else None for piece in pieces]
    ids, ends = bytes(columns.pop("id")), array.array("q", bytes(columns.pop("id_end"))).tolist()
    assert (ends[-1] if ends else 0) == len(ids)
    pieces = [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    plain["id"] = [piece.decode("utf-8", "surrogatepass") or None for piece in pieces]
    for name, sent in columns.items():
        if isinstance(sent, tuple):
            codes, categories = sent
            # Categories come in the order of the rows, none of them unused or twice.
            used = array.array("i", bytes(codes)).tolist()
            assert list(dict.fromkeys(code for code in used if code >= 0)) == list(range(len(categories)))
            assert len(set(categories)) == len(categories)
            plain[name] = [None if code < 0 else categories[code] for code in used]
        else:
            kind = "d" if name in FLOATS else {"reported": "B", "valid": "H"}.get(name, "q")
            plain[name] = array.array(kind, bytes(sent)).tolist()
    assert sorted(plain) == sorted(COLUMNS)
    plain["reported"] = [bool(one) for one in plain["reported"]]
    count = len(plain["id"])
    assert {len(column) for column in plain.values()} == {count}
    return [{name: plain[name][number] for name in COLUMNS} for number in range(count)], stats


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that are equal where they say the same: NaN is not equal to itself, and 1 is to 1.0 and True."""
    return [
        row
        | {name: None if math.isnan(row[name]) else row[name] for name in FLOATS}
        | {"usage": None if row["usage"] is None else support.canonical(row["usage"])}
        for row in rows
    ]


def place_of(damage: tuple[Any, ...]) -> tuple[Any, ...]:
    """A damage of type without the words for what was found: which kind, which cell, where."""
    kind, reason, *rest = damage
    return kind, reason.split(" is ")[0], *rest


def check(engine: str, data: bytes, **options: Any) -> list[dict[str, Any]]:
    """The engine's rows, after they were compared with the reference."""
    return check_with(engine, data, oracle(data, **options), **options)


def check_with(engine: str, data: bytes, result: Result, **options: Any) -> list[dict[str, Any]]:
    """The same where the oracle was asked already."""
    expected, damages = oracle_rows(result)
    rows, stats = rows_of(engine, data, **options)
    assert comparable(rows) == comparable(expected)
    found = support.damages(stats)
    wrong = [one for one in found if one[0] == "wrong_type"]
    assert sorted(map(place_of, wrong)) == sorted(map(place_of, damages))[: len(wrong)]
    if len(result.damages) + len(damages) <= 1000:
        assert len(wrong) == len(damages)
        assert [one for one in found if one[0] != "wrong_type"] == result.damages
    assert stats.damaged == result.counts["damaged"] + len(damages)
    for one in wrong:
        assert one[1].startswith("usage is a JSON ") or one[1].endswith(", expected an integer")
    return rows


def part(
    id: Any = "a", content: str | None = "x", *, finish: str | None = None, role: str | None = None, **more: Any
) -> bytes:
    delta = {"content": content} | ({"role": role} if role else {})
    doc: dict[str, Any] = {"id": id, "object": "chat.completion.chunk", "created": 7, "model": "m"}
    doc["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return event({key: value for key, value in (doc | more).items() if value is not ...})


def first(id: Any = "a", **more: Any) -> bytes:
    return part(id, "", role="assistant", **more)


def last(id: Any = "a", **more: Any) -> bytes:
    return part(id, None, finish="stop", **more)


def report(prompt: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1} | more


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["id"], row["status"], row["chunks"]) for row in rows]
