"""Logs that hold streams in JSON: every format, with every kind of body, against the reference."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

import chunkwire
from chunkwire import _engine
from chunkwire._options import Options
from support import SAMPLES
from wrapped import check, check_cuts
from wrapping import (
    Wrapped,
    batch_output,
    bodies,
    chunk_array,
    chunk_lines,
    completion,
    documents,
    exchanges,
    nested,
    reads,
    streams,
)

SEEDS = range(4)


def some(rng: random.Random, count: int) -> list[bytes]:
    return rng.sample(streams(), min(count, len(streams())))


@pytest.mark.parametrize("seed", SEEDS)
def test_exchanges_of_all_kinds_of_bodies(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    for stream in some(rng, 3):
        contents = list(bodies(rng, stream))
        rng.shuffle(contents)
        path = rng.choice(["response_body", "response.body", "a.b.c", "raw"])
        check(engine, exchanges(rng, contents, path, rng.choice([b"\n", b"\r\n"])))


@pytest.mark.parametrize("seed", SEEDS)
def test_exchanges_inside_strings_of_collectors(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    contents = [body for stream in some(rng, 2) for body in bodies(rng, stream)]
    check(engine, nested(rng, rng.sample(contents, 25)))


@pytest.mark.parametrize("strict", [False, True])
def test_exchanges_whose_end_is_strict(engine: str, strict: bool) -> None:
    rng = random.Random(7)
    contents = [stream.decode("utf-8", "replace").rstrip() for stream in some(rng, 4)]
    check(engine, exchanges(rng, [*contents, *(text[:-9] for text in contents)]), strict=strict)


@pytest.mark.parametrize("seed", SEEDS)
def test_output_of_batches(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    wholes = [whole for stream in some(rng, 6) if (whole := completion(stream)) is not None]
    rows = check(engine, batch_output(rng, wholes))
    assert {row["status"] for row in rows} <= {"complete", "error"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("events", [True, False])
def test_reads_that_are_cut_anywhere_and_interleave(engine: str, seed: int, ids: bool, events: bool) -> None:
    rng = random.Random(seed)
    check(engine, reads(rng, [stream[:3000] for stream in some(rng, 4)], ids=ids, events=events))


@pytest.mark.parametrize("seed", SEEDS)
def test_chunks_by_line_and_in_arrays(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    docs: list[Any] = [doc for stream in some(rng, 3) for doc in documents(stream)][:150]
    whole = completion(streams()[0])
    docs += [whole, {"error": {"message": "no"}}, {"id": 1}, 3, "x", None, docs[0]]
    check(engine, chunk_lines(rng, docs))
    for indent, eol in ((None, "\n"), (1, "\n"), (2, "\r\n"), (0, "\n")):
        check(engine, chunk_array(docs, indent, eol))


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_any_pieces_of_a_log_give_the_same(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    stream = next(one for one in streams() if 1000 < len(one) < 6000)
    check_cuts(engine, exchanges(rng, list(bodies(rng, stream))[::3]))
    check_cuts(engine, reads(rng, [stream, stream[:500]]))
    check_cuts(engine, chunk_lines(rng, documents(stream)))
    check_cuts(engine, chunk_array(documents(stream), 1))


SMALL = {
    "id": "a",
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": 'h\u00e9"\\\U0001f600'}, "finish_reason": "stop"}],
}
TEXT = f"data: {json.dumps(SMALL)}\r\n\r\n: ping\n\ndata: {json.dumps(SMALL, ensure_ascii=False)}\n\ndata: [DONE]\n\n"


def small_logs() -> dict[str, Wrapped]:
    line = json.dumps({"n": [1, {"x": "}"}], "response": {"body": TEXT}, "user": "u"})
    plain = json.dumps({"response": {"body": TEXT}}, ensure_ascii=False)
    outer = json.dumps({"log": line})
    array = json.dumps({"response": {"body": [SMALL, SMALL]}})
    piece = [json.dumps({"id": "r", "t": at, "text": part}) for at, part in ((1, TEXT[:70]), (2, TEXT[70:]))]
    return {
        "exchanges": Wrapped(f"{line}\r\n{plain}\n{array}".encode(), "exchanges", "response.body", keep=["user"]),
        "nested": Wrapped(f"{outer}\n".encode(), "exchanges", "log.response.body"),
        "reads": Wrapped("\n".join(piece).encode(), "reads", "text", "id", "t"),
        "chunks": Wrapped(f"{json.dumps(SMALL)}\n[{json.dumps(SMALL)},{json.dumps(SMALL)}]\n".encode(), "chunks"),
        "array": Wrapped(json.dumps([SMALL, SMALL], indent=1).encode(), "chunks"),
    }


@pytest.mark.parametrize("name", small_logs())
def test_a_log_that_is_cut_at_any_byte(engine: str, name: str) -> None:
    wrapped = small_logs()[name]
    for end in range(0, len(wrapped.data) + 1, 1 if engine == "native" else 4):
        piece = Wrapped(wrapped.data[:end], **wrapped.options(), keep=wrapped.keep)
        check(engine, piece)


@pytest.mark.parametrize("name", small_logs())
@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff", b'"', b"\\", b"}", b"\n"])
def test_a_log_that_is_damaged_at_any_byte(engine: str, name: str, damage: bytes) -> None:
    wrapped = small_logs()[name]
    first, step = (0, 3) if engine == "native" else (len(damage) and damage[0] % 13, 13)
    for at in range(first, len(wrapped.data), step):
        data = wrapped.data[:at] + damage + wrapped.data[at + 1 :]
        if name == "array" and data[1:].count(b"]") > wrapped.data.count(b"]") - 1:
            continue
        check(engine, Wrapped(data + b"\n" + wrapped.data, **wrapped.options(), keep=wrapped.keep))


def test_samples_are_there() -> None:
    assert len(list(SAMPLES.glob("*.sse"))) > 10
    assert len(streams()) > 10


def one_array(docs: list[Any], most: int, engine: str) -> tuple[Any, Any]:
    columns, stats = _engine.load(engine).usage(
        json.dumps(docs, indent=1).encode(), Options(format="chunks", max_event_bytes=most)
    )
    return columns, stats


def test_an_array_goes_on_behind_an_element_that_is_too_large(engine: str) -> None:
    large = SMALL | {"x": ["y" * 20] * 40}
    _, stats = one_array([SMALL, SMALL, large, SMALL, large, SMALL], 500, engine)
    assert [(one.kind, one.event) for one in stats.damages] == [("event_too_large", 2), ("event_too_large", 4)]
    assert (stats.events, stats.chunks) == (6, 4)
    assert stats.chunk_bytes + stats.damaged_bytes + stats.wrapping_bytes == stats.bytes
    assert stats.damaged_bytes > 2 * 20 * 40


def test_an_array_that_breaks_off_in_an_element_that_is_too_large(engine: str) -> None:
    data = json.dumps([SMALL, SMALL | {"x": ["y" * 20] * 40}], indent=1).encode()[:-60]
    _, stats = _engine.load(engine).usage(data, Options(format="chunks", max_event_bytes=500))
    assert [one.kind for one in stats.damages] == ["event_too_large"]
    assert stats.chunk_bytes + stats.damaged_bytes + stats.wrapping_bytes == len(data)


@pytest.mark.parametrize("text", [b'[x"""', b'["""x""y",1', b'[ {"choices": []},a"b" ]'])
def test_what_is_hardly_an_element_is_the_same_in_any_pieces(engine: str, text: bytes) -> None:
    check_cuts(engine, Wrapped(text, "chunks"), tuple(range(1, len(text))))


def test_a_member_without_a_name_is_no_field(engine: str) -> None:
    with pytest.raises(chunkwire.DecodeError, match="no member of its lines holds a stream"):
        list(chunkwire.decode(json.dumps({"": TEXT}).encode(), engine=engine))


def test_exchanges_that_are_harmed_have_numbers(engine: str) -> None:
    text = json.dumps({"id": 2, "text": TEXT})
    log = f'{{"id": 1, "text": ""\n{text}\n'.encode()
    batches = chunkwire.batches(log, engine=engine, format="reads", field="text", id_field="id", on_error="skip")
    assert [number for batch in batches for number in batch.stream] == [1, 1]


def lines_that_hold_much() -> dict[str, tuple[str, str]]:
    event = f"data: {json.dumps(SMALL)}\n\n"
    body = json.dumps({"body": event * 3000})
    return {
        "strings in strings": (json.dumps({"a": json.dumps({"a": body})}), "a.a.body"),
        "a string in strings": (json.dumps({"a": json.dumps(body)}), "a.body"),
        "lines that end in CR": (json.dumps({"body": "data: 1\r\r" * 10_000}), "body"),
        "odd escapes": ('{"body":"' + "\\u0064ata: 1\\u000a\\u000a" * 10_000 + '"}', "body"),
        "backslashes": ('{"body":"' + "data: \\\\\\n\\n" * 10_000 + '"}', "body"),
    }


@pytest.mark.parametrize("name", lines_that_hold_much())
def test_places_in_a_long_line_take_no_time(engine: str, name: str) -> None:
    line, field = lines_that_hold_much()[name]
    start = time.perf_counter()
    _, stats = _engine.load(engine).usage(line.encode(), Options(format="exchanges", field=field))
    assert stats.events >= 3000
    assert time.perf_counter() - start < 5


def test_a_string_that_breaks_off_takes_no_time(engine: str) -> None:
    start = time.perf_counter()
    for text in (b'["' + b'\\"' * 100_000, b'{"body": ["' + b'\\"' * 100_000, b'{"a": "' + b'\\"' * 100_000):
        for options in (Options(format="chunks"), Options(format="exchanges", field="body")):
            _, stats = _engine.load(engine).usage(text, options)
            assert stats.damaged
    assert time.perf_counter() - start < 10


def test_a_byte_order_mark_stands_at_the_beginning_of_a_log(engine: str) -> None:
    line = b'{"id": "a", "choices": []}\n'
    mark = b"\xef\xbb\xbf"
    for log, count, place in (
        (mark + line, 1, None),
        (b"\n" + mark + line, 0, 1),
        (mark + mark + line, 0, 3),
        (line + mark + line, 1, len(line)),
        (line + mark + b"[" + line + b"]", 1, len(line)),
    ):
        chunks = chunkwire.decode(log, engine=engine, format="chunks", on_error="skip")
        assert len(list(chunks)) == count
        damages = [damage.offset for damage in chunks.stats.damages]
        assert damages[:1] == ([] if place is None else [place])


def test_why_nothing_is_found_is_told_whatever_space_comes_first(engine: str) -> None:
    for space in (b"", b" \n  ", b"\xef\xbb\xbf \n"):
        chunks = chunkwire.decode(space + b'{"x": 1}\n', engine=engine, on_error="skip")
        assert not list(chunks)
        assert chunks.stats.damages[0].reason.endswith(
            "no member of its lines holds a stream (members: x); field= (--field) names the one that does"
        )


def test_what_was_sent_is_kept_of_events_that_take_turns(engine: str) -> None:
    begins, bad = b'data: {"id":"a","choices":[{"delta":{"content":"', b"\xf4\x90"
    pieces = [(1, begins), (2, begins), (2, bad + b'2"}}]}\n\n'), (1, bad + b'1"}}]}\n\n')]
    escaped = [(number, piece.replace(b'"', b'\\"').replace(b"\n", b"\\n")) for number, piece in pieces]
    log = b"".join(b'{"id": %d, "body": "%s"}\n' % one for one in escaped)
    chunks = list(chunkwire.decode(log, engine=engine, format="reads", field="body", id_field="id"))
    assert [chunk.raw for chunk in chunks] == [begins[6:] + bad + b'%d"}}]}' % number for number in (2, 1)]
