"""When it is decided which format a log has that grows: never other than by all of it, and not later than must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkwire import _engine
from chunkwire._logs._recognise import HEAD_BYTES
from chunkwire._options import Options
from test_recognise import CHUNK, EVENT, HEADS, STREAM, TABLE, TOLD, WHOLE, lines

#: What is told of any log, whatever it begins with.
ENOUGH = {"format": "reads", "field": "text", "id_field": "id", "time_field": "ts"}


def layouts(engine: str, data: bytes, size: int = 1, **told: str) -> list[tuple[Any, ...] | None]:
    """What is known behind each piece; up to where it is a file to convert, which is known, too."""
    module = _engine.load(engine)
    decoder = module.Decoder(Options("skip", **told))
    found: list[tuple[Any, ...] | None] = []
    for start in range(0, len(data), size):
        try:
            list(decoder.feed(data[start : start + size]))
        except module.NeedsConversion as error:
            found.append((error.format, None, None, None))
            break
        found.append(decoder.layout and tuple(decoder.layout[:4]))
    return found


def first_known(engine: str, data: bytes, **told: str) -> tuple[int, tuple[Any, ...]] | None:
    """Behind how many bytes the format is decided, and which it is."""
    for size, layout in enumerate(layouts(engine, data, **told), 1):
        if layout is not None:
            return size, layout
    return None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(HEADS, HEADS, TOLD)
def test_what_is_decided_early_is_what_the_whole_says(head: bytes, rest: bytes, told: dict[str, str]) -> None:
    if told and not head.lstrip(b"\xef\xbb\xbf \r\n").startswith((b"{", b"[")):
        return  # of what is no JSON nobody is told
    found = {}
    for engine in ("native", "simdjson"):
        module = _engine.load(engine)
        decided = first_known(engine, head[:2000], **told)
        found[engine] = decided
        if decided is None:
            continue
        size, layout = decided
        for log in (head, head + rest, head + lines({"body": STREAM, "id": 1}) * 3, head[:size] + rest * 2):
            assert tuple(module.recognise(log, Options(**told))[:4]) == layout, log
    assert found["native"] == found["simdjson"]


@pytest.mark.parametrize("name", TABLE)
def test_heads_that_are_decided_early(engine: str, name: str) -> None:
    head, expected = TABLE[name]
    decided = first_known(engine, head[:3000])
    if decided is not None:
        assert decided[1] == expected
    whole = _engine.load(engine).Decoder(Options("skip"))
    if expected[0] not in ("har", "vcr"):
        list(whole.feed(head))
        list(whole.finish())
        assert tuple(whole.layout[:4]) == expected


ONE = lines({"user": "ann", "body": STREAM})
WITH_ID = lines({"id": 1, "body": STREAM})
READ = lines({"id": 1, "ts": 2, "text": EVENT})
#: A log, what is told of it, and behind how many of its lines it is decided (None: not before 64 KiB).
MOMENTS: dict[str, tuple[list[bytes], dict[str, str], int | None]] = {
    "events": ([EVENT.encode()], {}, 0),
    "chunks": ([lines(CHUNK)] * 2, {}, 1),
    "completions": ([lines(WHOLE)] * 2, {}, 1),
    "exchanges without ids": ([ONE] * 3, {}, 1),
    "exchanges with ids": ([lines({"id": at, "body": STREAM}) for at in range(9)], {}, None),
    "exchanges that are named": ([WITH_ID] * 3, {"format": "exchanges"}, 1),
    "exchanges of which all is named": ([WITH_ID] * 3, {"format": "exchanges", "field": "body"}, 0),
    "lines before the first exchange": ([lines({"msg": "started"}), ONE], {}, 2),
    "an id that comes again": ([READ] * 3, {}, 2),
    "reads without ids": ([lines({"text": EVENT})] * 9, {}, None),
    "reads that are named": ([READ] * 3, {"format": "reads"}, 1),
    "reads of which all is named": ([READ], ENOUGH, 0),
    "a time that is named": ([READ] * 3, {"time_field": "ts"}, 1),
    "JSON lines": ([READ] * 3, {"format": "jsonl"}, 2),
    "a field that is named": ([lines({"stuff": STREAM})] * 2, {"field": "stuff"}, 1),
    "finished completions in lines": ([lines({"body": WHOLE})] * 9, {}, None),
    "nothing that is a stream": ([lines({"msg": "x"})] * 9, {}, None),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_when_it_is_decided(engine: str, name: str) -> None:
    log, told, count = MOMENTS[name]
    decided = first_known(engine, b"".join(log), **told)
    if count is None:
        assert decided is None
        padding = lines({"msg": "x" * 100}) * (HEAD_BYTES // 100)
        found = layouts(engine, b"".join(log) + padding, 512, **told)
        known = next(number for number, layout in enumerate(found) if layout is not None)
        assert known == HEAD_BYTES // 512 - 1
        return
    assert decided is not None
    size = decided[0]
    assert size == 1 if not count else size == len(b"".join(log[:count]))


def test_many_short_lines_take_no_time(engine: str) -> None:
    import time

    start = time.perf_counter()
    log = (lines({"a": 1}) * HEAD_BYTES)[: HEAD_BYTES - 1]
    assert set(layouts(engine, log, 7)) == {None}
    assert time.perf_counter() - start < 10


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([ONE, WITH_ID, READ, lines(CHUNK), lines({"msg": "x"}), b"{oops\n"]), max_size=6))
def test_engines_decide_at_the_same_byte(log: list[bytes]) -> None:
    data = b"".join(log)
    assert first_known("native", data) == first_known("simdjson", data)


def test_a_head_that_was_read_before_counts(engine: str) -> None:
    decoder = _engine.load(engine).Decoder(Options("skip"))
    decoder.look(READ * 2)
    (chunk,) = decoder.feed(lines({"id": 2, "ts": 3, "text": EVENT}))
    assert chunk.offset > 0
    assert tuple(decoder.layout[:4]) == ("reads", "text", "id", "ts")
    assert decoder.stats.bytes == len(lines({"id": 2, "ts": 3, "text": EVENT}))
    json.loads(chunk.raw)
