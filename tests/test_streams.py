"""Where a stream begins and ends: a test for each rule, then equality with the reference on everything there is."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import generators as generate
from oracle import oracle
from oracle_streams import TOKENS, oracle_rows
from rows import DONE, brief, check, first, last, part, report
from support import SAMPLES, event, recorded

STREAMS: dict[str, tuple[bytes, list[tuple[Any, ...]]]] = {
    "nothing": (b"", []),
    "only comments": (b": hi\n\n" * 3, []),
    "only keep-alives": (event("") * 3, []),
    "one": (first() + part() + last() + DONE, [("a", "complete", 3)]),
    "two": (first() + last() + DONE + first("b") + last("b") + DONE, [("a", "complete", 2), ("b", "complete", 2)]),
    "two with the same id": (
        first() + last() + DONE + first() + last() + DONE,
        [("a", "complete", 2), ("a", "complete", 2)],
    ),
    "no [DONE], then another id": (
        first() + last() + first("b") + last("b"),
        [("a", "no_done", 2), ("b", "no_done", 2)],
    ),
    "no [DONE], a chunk behind the finish": (first() + last() + part("a", "tail"), [("a", "no_done", 3)]),
    "finish sent twice": (first() + last() + last() + DONE, [("a", "complete", 3)]),
    "[DONE] without a finish": (first() + part() + DONE, [("a", "complete", 2)]),
    "broken off": (first() + part(), [("a", "truncated", 2)]),
    "broken off, then another stream": (
        first() + part() + first("b") + last("b") + DONE,
        [("a", "truncated", 2), ("b", "complete", 2)],
    ),
    "broken off inside an event": (first() + part()[:40], [("a", "truncated", 1)]),
    "broken off inside its first event": (first()[:40], [(None, "truncated", 0)]),
    "finished, then broken off inside usage": (first() + last() + part()[:40], [("a", "truncated", 2)]),
    "[DONE] alone": (DONE, [(None, "empty", 0)]),
    "[DONE] alone, then a stream": (DONE + first() + last() + DONE, [(None, "empty", 0), ("a", "complete", 2)]),
    "[DONE] twice": (first() + last() + DONE + DONE, [("a", "complete", 2)]),
    "Azure's first chunk": (
        event({"id": "", "model": "", "choices": [], "prompt_filter_results": []}) + first("z") + last("z") + DONE,
        [("z", "complete", 3)],
    ),
    "two of Azure's": (
        (event({"id": "", "choices": []}) + first("y") + last("y") + DONE)
        + (event({"id": "", "choices": []}) + first("z") + last("z") + DONE),
        [("y", "complete", 3), ("z", "complete", 3)],
    ),
    "no id at all": (
        first(...) + part(...) + last(...) + DONE + first(None) + last(None),
        [(None, "complete", 3), (None, "no_done", 2)],
    ),
    "an id that is no string": (first(5) + last(5) + DONE, [(None, "complete", 2)]),
    "id only on the first chunk": (first() + part("") + last(None) + DONE, [("a", "complete", 3)]),
    "id only on the last chunk": (first("") + part("") + last("a") + DONE, [("a", "complete", 3)]),
    "the id changes": (first() + part("b") + part("c") + last("d") + DONE, [("a", "complete", 4)]),
    "the id changes once, usage on the last": (
        first() + part("b") + last("b", usage=report(9)) + DONE + first("z") + last("z") + DONE,
        [("a", "complete", 3), ("z", "complete", 2)],
    ),
    "the id changes, but somebody begins to speak": (
        first() + first("b") + last("b") + DONE,
        [("a", "truncated", 1), ("b", "complete", 2)],
    ),
    "the id changes and comes back": (
        first() + part("b") + last("a") + last("b"),
        [("a", "no_done", 2), ("b", "no_done", 2)],
    ),
    "the id changes behind an error": (
        first() + event('{"error":"e"}') + part("b") + last("b"),
        [("a", "error", 1), ("b", "no_done", 2)],
    ),
    "the id changes behind the finish": (
        first() + last() + part("b") + last("b"),
        [("a", "no_done", 2), ("b", "no_done", 2)],
    ),
    "usage behind [DONE], same id": (
        first() + last() + DONE + part(choices=[], usage=report(5)),
        [("a", "complete", 3)],
    ),
    "usage behind [DONE], no id": (
        first() + last() + DONE + part(..., choices=[], usage=report(5)),
        [("a", "complete", 3)],
    ),
    "two chunks behind [DONE]": (
        first() + last() + DONE + part(choices=[]) + part(None, choices=None),
        [("a", "complete", 4)],
    ),
    "usage behind [DONE], empty id": (
        first() + last() + DONE + part("", choices=[], usage=report(5)),
        [("a", "complete", 2), (None, "truncated", 1)],
    ),
    "usage behind [DONE], other id": (
        first() + last() + DONE + part("b", choices=[]),
        [("a", "complete", 2), ("b", "truncated", 1)],
    ),
    "choices behind [DONE]": (first() + last() + DONE + part("a"), [("a", "complete", 2), ("a", "truncated", 1)]),
    "a chunk behind two [DONE]s": (first() + last() + DONE + DONE + part(..., choices=[]), [("a", "complete", 3)]),
    "interleaved": (
        first() + first("b") + part() + part("b") + last() + DONE + last("b") + DONE,
        [("a", "complete", 3), ("b", "complete", 3)],
    ),
    "interleaved, [DONE] comes late": (
        first() + first("b") + last() + part("b") + DONE + last("b") + DONE,
        [("a", "complete", 2), ("b", "complete", 3)],
    ),
    "interleaved, [DONE] just in time": (
        first() + last() + first("b") + part("b") * 2 + DONE,
        [("a", "complete", 2), ("b", "truncated", 3)],
    ),
    "interleaved, [DONE] too late to be the first's": (
        first() + last() + first("b") + part("b") * 3 + DONE,
        [("a", "no_done", 2), ("b", "complete", 4)],
    ),
    "interleaved, one breaks off": (
        first() + first("b") + part() + last("b") + DONE,
        [("a", "truncated", 2), ("b", "complete", 2)],
    ),
    "an error inside": (first() + event('{"error":{"message":"m"}}'), [("a", "error", 1)]),
    "an error inside, then [DONE]": (first() + event('{"error":"e"}') + DONE, [("a", "error", 1)]),
    "an error beside choices": (first() + part(error={"message": "m"}) + DONE, [("a", "error", 2)]),
    "an error alone": (event('{"error":"e"}'), [(None, "error", 0)]),
    "an error behind a stream": (
        first() + last() + DONE + event('{"error":"e"}'),
        [("a", "complete", 2), (None, "error", 0)],
    ),
    "two errors": (event('{"error":"e"}') + event('{"error":"e"}'), [(None, "error", 0), (None, "error", 0)]),
    "an event of type error": (first() + b"event: error\ndata: it broke\n\n", [("a", "error", 1)]),
    "damage inside": (first() + event("{oops") + last() + DONE, [("a", "malformed", 2)]),
    "damage before": (event("{oops") + first() + last() + DONE, [("a", "malformed", 2)]),
    "damage behind a stream": (
        first() + last() + DONE + event("{oops"),
        [("a", "complete", 2), (None, "malformed", 0)],
    ),
    "damage and an error": (first() + event("{oops") + event('{"error":"e"}'), [("a", "error", 1)]),
    "too deep": (first() + event("[" * 600), [("a", "malformed", 1)]),
    "damage alone": (event("oops"), [(None, "malformed", 0)]),
    "no chunk inside": (first() + event('{"type":"ping"}') + last() + DONE, [("a", "complete", 2)]),
    "no chunk alone": (event('{"type":"ping"}'), [(None, "malformed", 0)]),
    "letters that are no UTF-8": (
        first(model="\ufffd").replace(b"\\ufffd", b"\xff") + last() + DONE,
        [("a", "complete", 2)],
    ),
    "HTML": (b"<html>\n", [(None, "malformed", 0)]),
    "several choices": (
        part(choices=[{"index": number, "delta": {"role": "assistant"}} for number in range(3)])
        + part(choices=[{"index": 2, "finish_reason": "stop"}, {"index": 0, "finish_reason": "stop"}]),
        [("a", "truncated", 2)],
    ),
    "several choices, all finished": (
        part(choices=[{"index": number, "delta": {"role": "assistant"}} for number in range(3)])
        + b"".join(part(choices=[{"index": number, "delta": {}, "finish_reason": "length"}]) for number in (2, 0, 1)),
        [("a", "no_done", 4)],
    ),
    "63 stands for every larger index": (
        part(choices=[{"index": 63, "delta": {"role": "assistant"}}])
        + part(choices=[{"index": 64, "delta": {}, "finish_reason": "stop"}]),
        [("a", "no_done", 2)],
    ),
    "a large index is not the first": (
        part(choices=[{"index": 0, "delta": {"role": "assistant"}}])
        + part(choices=[{"index": 64, "delta": {}, "finish_reason": "stop"}]),
        [("a", "truncated", 2)],
    ),
    "an index below 0 counts as 0": (
        part(choices=[{"index": 0, "delta": {"role": "assistant"}}])
        + part(choices=[{"index": -1, "delta": {}, "finish_reason": "stop"}]),
        [("a", "no_done", 2)],
    ),
    "an index that is no integer counts as 0": (
        part(choices=[{"index": 0, "delta": {"role": "assistant"}}])
        + part(choices=[{"index": "1", "delta": {}, "finish_reason": "stop"}]),
        [("a", "no_done", 2)],
    ),
    "a finish reason that is empty": (first() + part(finish=""), [("a", "truncated", 2)]),
    "choices that are no objects": (first() + part(choices=[1, None, "x"]) + last() + DONE, [("a", "complete", 3)]),
    "choices that are no array": (
        first() + part(choices={"a": 1}) + part(choices="x") + last() + DONE,
        [("a", "complete", 4)],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(engine: str, name: str) -> None:
    data, expected = STREAMS[name]
    assert brief(oracle_rows(oracle(data))[0]) == expected
    assert brief(check(engine, data)) == expected
    check(engine, data, strict=True)
    check(engine, data.replace(b"\n", b"\r\n"))


def test_a_malformed_source_without_streams_says_where(engine: str) -> None:
    (row,) = check(engine, b": hi\n\n" + event('{"type":"ping"}'))
    assert (row["offset"], row["status"], row["reported"]) == (6, "malformed", False)


def test_too_many_streams_at_once(engine: str) -> None:
    """Beyond 4096 open streams those that were silent longest are closed; a later chunk of theirs begins anew."""
    data = b"".join(first(f"s{number}") for number in range(4096))
    rows = check(engine, data + last("s0"))
    assert len(rows) == 4096
    assert rows[0]["chunks"] == 2
    rows = check(engine, data + first("one more") + first("s0", finish="stop") + last("s4000"))
    assert len(rows) == 4098
    assert brief([rows[0], rows[4000], rows[4097]]) == [
        ("s0", "truncated", 1),
        ("s4000", "no_done", 2),
        ("s0", "no_done", 1),
    ]


# --- everything there is


@pytest.mark.parametrize("path", recorded() + sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.stem)
def test_every_file(engine: str, path: Path) -> None:
    rows = check(engine, path.read_bytes())
    assert len(rows) >= 1


def blocks_of(path: Path) -> list[bytes]:
    """The events of a log, each with what stands before it."""
    data = path.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
    return [block + b"\n\n" for block in data.split(b"\n\n") if block.strip()]


#: Small ones, for otherwise the slow reference would be all that is measured.
SMALL = [path for path in recorded() + sorted(SAMPLES.glob("*.sse")) if path.stat().st_size < 8_000]


@pytest.mark.parametrize("seed", range(8))
def test_concatenated(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    chosen = [rng.choice(SMALL) for _ in range(12)]
    check(engine, b"".join(b"".join(blocks_of(path)) for path in chosen))


@pytest.mark.parametrize("seed", range(12))
def test_interleaved(engine: str, seed: int) -> None:
    """Streams shuffled into each other, event by event or in runs."""
    rng = random.Random(f"interleaved {seed}")
    waiting = [blocks_of(rng.choice(SMALL)) for _ in range(rng.randrange(2, 7))]
    log = b""
    while waiting:
        blocks = rng.choice(waiting)
        for _ in range(1 if seed % 2 else rng.randrange(1, 6)):
            if blocks:
                log += blocks.pop(0)
        waiting = [blocks for blocks in waiting if blocks]
    check(engine, log)


def test_interleaved_streams_are_told_apart(engine: str) -> None:
    """Streams with ids of their own give the rows that each gives alone, wherever their events stand."""
    known = json.loads((SAMPLES / "expected.json").read_text("utf-8"))
    names = ["openai", "deepseek", "mistral", "groq", "llamacpp", "logprobs"]
    for seed in range(6):
        rng = random.Random(seed)
        waiting = [blocks_of(SAMPLES / f"{name}.sse") for name in names]
        log = b""
        while waiting:
            blocks = rng.choice(waiting)
            log += blocks.pop(0)
            if blocks == [DONE]:
                log += blocks.pop(0)
            waiting = [blocks for blocks in waiting if blocks]
        rows = {row["id"]: row for row in check(engine, log)}
        assert len(rows) == len(names)
        for name in names:
            (expected,) = known[f"{name}.sse"]["streams"]
            found = rows[expected["id"]]
            assert {key: found[key] for key in ("status", "chunks", *TOKENS)} == {
                key: expected[key] for key in ("status", "chunks", *TOKENS)
            }


@settings(max_examples=200)
@given(data=generate.stream(20))
def test_generated(engine: str, data: bytes) -> None:
    check(engine, data)


@settings(max_examples=100)
@given(data=generate.damaged(generate.stream(12)))
def test_generated_and_damaged(engine: str, data: bytes) -> None:
    check(engine, data)
