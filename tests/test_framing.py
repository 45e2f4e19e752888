"""The framing of events: a table of every edge, run whole, byte by byte, cut at every byte, with every line end."""

from __future__ import annotations

from functools import cache

import pytest

import chunkwire
from oracle import Result, oracle, oracle_program, whatwg_events
from support import (
    assert_counts,
    assert_decodes,
    chunk_json,
    cut,
    drain,
    event,
    full,
    full_of,
    light,
    light_of,
    public,
    push,
)

A, B = chunk_json(id="a"), chunk_json(id="b")
CHUNK, OTHER = event(A), event(B)
DONE = event(b"[DONE]")

# What each case must give is the oracle's word; the numbers here keep the oracle honest: (chunks, raised).
CASES: dict[str, tuple[bytes, int, int]] = {
    "plain": (CHUNK + OTHER + DONE, 2, 0),
    "empty input": (b"", 0, 0),
    "only blank lines": (b"\n\n\n", 0, 0),
    "comment before": (b": hello\n\n" + CHUNK, 1, 0),
    "comment between": (CHUNK + b": ping - 2025-07-01\n\n" + OTHER, 2, 0),
    "comment inside a block": (b": one\ndata: " + A + b"\n: two\n\n", 1, 0),
    "comment without text": (b":\n\n" + CHUNK, 1, 0),
    "comment that looks like data": (b":data: " + A + b"\n\n" + CHUNK, 1, 0),
    "many comments": (b": OPENROUTER PROCESSING\n\n" * 20 + CHUNK, 1, 0),
    "comment after an id": (b"id: 5\ndata: " + A + b"\n\n: wait\n\n" + OTHER, 2, 0),
    "comment with bytes that are no UTF-8": (b": \xff\xfe\n\n" + CHUNK, 1, 0),
    "retry only": (b"retry: 3000\n\n" + CHUNK, 1, 0),
    "event without data": (b"event: ping\n\n" + CHUNK, 1, 0),
    "id without data": (b"id: 9\n\n" + CHUNK, 1, 0),
    "empty data": (b"data:\n\n" + CHUNK, 1, 0),
    "empty data with a space": (b"data: \n\n" + CHUNK, 1, 0),
    "data without a colon": (b"data\n\n" + CHUNK, 1, 0),
    "two empty data lines": (b"data\ndata\n\n" + CHUNK, 1, 0),
    "data of spaces": (b"data:   \t \n\n" + CHUNK, 1, 0),
    "data of unicode spaces": ("data: \u2003\u00a0\u0085\n\n".encode() + CHUNK, 1, 0),
    "no space after the colon": (b"data:" + A + b"\n\n", 1, 0),
    "two spaces after the colon": (b"data:  " + A + b"\n\n", 1, 0),
    "tab after the colon": (b"data:\t" + A + b"\n\n", 1, 0),
    "space before the colon": (b"data : " + A + b"\n\n" + CHUNK, 1, 0),
    "space before the field": (b" data: " + A + b"\n\n" + CHUNK, 1, 0),
    "field name in capitals": (b"Data: " + A + b"\n\n" + CHUNK, 1, 0),
    "field name that begins with data": (b"database: " + A + b"\n\n" + CHUNK, 1, 0),
    "unknown fields": (b"foo: 1\nbar\ndata: " + A + b"\nbaz:\n\n", 1, 0),
    "JSON over two lines": (b'data: {"id":"a",\ndata: "choices":[]}\n\n', 1, 0),
    "JSON over three lines with fields between": (
        b'data: {"id":"a",\nid: 3\ndata:"choices":\n: comment\nevent: x\ndata:  []}\n\n',
        1,
        0,
    ),
    "newline inside a string": (b'data: {"choices":[],"id":"a\ndata: b"}\n\n' + CHUNK, 1, 1),
    "byte order mark": (b"\xef\xbb\xbf" + CHUNK + OTHER, 2, 0),
    "byte order mark before a comment": (b"\xef\xbb\xbf: hi\n\n" + CHUNK, 1, 0),
    "byte order mark twice": (b"\xef\xbb\xbf\xef\xbb\xbf" + CHUNK + OTHER, 1, 0),
    "byte order mark later": (CHUNK + b"\xef\xbb\xbf" + OTHER, 1, 0),
    "byte order mark in the data": (b"data: \xef\xbb\xbf" + A + b"\n\n" + CHUNK, 1, 1),
    "byte order mark alone": (b"\xef\xbb\xbf", 0, 0),
    "byte order mark begun": (b"\xef\xbb", 0, 1),
    "byte order mark broken": (b"\xef\xbb" + CHUNK + OTHER, 1, 0),
    "byte order mark, then a blank line": (b"\xef\xbb\xbf\n" + CHUNK, 1, 0),
    "one blank line after another": (CHUNK + b"\n\n" + OTHER, 2, 0),
    "single line end between events": (b"data: " + A + b"\ndata: " + B + b"\n\n", 0, 1),
    "end without a blank line": (CHUNK + b"data: " + B + b"\n", 2, 0),
    "end without a line end": (CHUNK + b"data: " + B, 2, 0),
    "end inside JSON": (CHUNK + b"data: " + B[:20], 1, 1),
    "end inside [DONE]": (CHUNK + b"data: [DO", 1, 1),
    "end inside a field name": (CHUNK + b"dat", 1, 0),
    "end behind a field name": (CHUNK + b"data", 1, 0),
    "end behind a colon": (CHUNK + b"data:", 1, 0),
    "end inside a comment": (CHUNK + b": pin", 1, 0),
    "end in a deep value": (CHUNK + b'data: {"choices":' + b"[" * 600, 1, 1),
    "end with an error's text": (CHUNK + b"event: error\ndata: it bro", 1, 1),
    "[DONE] without its end": (CHUNK + b"data: [DONE]", 1, 0),
    "[DONE] with spaces": (CHUNK + b"data:   [DONE] \t\n\n" + OTHER, 2, 0),
    "[DONE] over two lines": (CHUNK + b"data: \ndata: [DONE]\n\n", 1, 0),
    "[DONE] twice": (CHUNK + DONE + DONE, 1, 0),
    "[DONE] in small letters": (CHUNK + event(b"[done]"), 1, 1),
    "[DONE] in quotes": (CHUNK + event(b'"[DONE]"'), 1, 1),
    "[DONE] with a tail": (CHUNK + event(b"[DONE] x"), 1, 1),
    "[DONE] inside content": (event(chunk_json(model="x [DONE] y")), 1, 0),
    "[DONE] with an event type": (b"event: done\ndata: [DONE]\n\n" + CHUNK, 1, 0),
    "chunk behind [DONE]": (CHUNK + DONE + OTHER + DONE, 2, 0),
    "error event with an object": (CHUNK + b'event: error\ndata: {"message":"boom"}\n\n' + OTHER, 2, 1),
    "error event with text": (CHUNK + b"event: error\ndata: it broke\n\n" + OTHER, 2, 1),
    "error event with a string": (CHUNK + b'event: error\ndata: "it broke"\n\n' + OTHER, 2, 1),
    "error event with spaces": (b"event: error\ndata:   it broke \t\n\n" + CHUNK, 1, 1),
    "error event with a list": (b'event: error\ndata:  [1.0, {"a" : "\\u0041"}] \n\n' + CHUNK, 1, 1),
    "error of many words": (
        event('{"error": {"message": "' + "wörd " * 300 + '"}}') + event('{"error":"' + "y" * 200 + '"}'),
        0,
        2,
    ),
    "error without words": (
        event('{"error" : {"message": "", "code": 1.50}}') + event('{"error": ["\\ud83d", true]}'),
        0,
        2,
    ),
    "error with half a letter": (event('{"error": "\\ud83d!"}') + event('{"\\ude42": 1}'), 0, 2),
    "error event with null": (CHUNK + b"event: error\ndata: null\n\n" + OTHER, 2, 1),
    "error event with a chunk": (b"event: error\ndata: " + A + b"\n\n", 1, 0),
    "error event with deep JSON": (b"event: error\ndata: " + b"[" * 600 + b"\n\n" + CHUNK, 1, 1),
    "error event without data": (b"event: error\n\n" + CHUNK, 1, 0),
    "error object": (CHUNK + event(b'{"error":{"message":"boom","code":502}}') + OTHER, 2, 1),
    "error string": (CHUNK + event(b'{"error":"boom"}') + OTHER, 2, 1),
    "error with a detail": (CHUNK + event(b'{"error":{"detail":"boom","message":null}}'), 1, 1),
    "error that is null": (event(b'{"error":null}') + CHUNK, 1, 1),
    "error beside choices": (event(b'{"choices":[],"error":{"message":"boom"}}'), 1, 0),
    "chunk whose error is null": (event(chunk_json(error=None)), 1, 0),
    "event: message": (b"event: message\ndata: " + A + b"\n\n", 1, 0),
    "event: foo": (b"event: foo\ndata: " + A + b"\n\n" + CHUNK, 2, 0),
    "event type resets": (b"event: error\ndata: " + A + b"\n\n" + event(b"[1]"), 1, 1),
    "event type twice": (b"event: error\nevent: foo\ndata: [1]\n\n", 0, 1),
    "event type emptied": (b"event: error\nevent:\ndata: [1]\n\n", 0, 1),
    "event type behind the data": (b'data: {"message":"m"}\nevent: error\n\n', 0, 1),
    "id stays": (b"id: 1\ndata: " + A + b"\n\n" + OTHER + b"id\ndata: x\n\n", 2, 1),
    "id with NUL": (b"id: 1\ndata: " + A + b"\n\nid: 2\x003\ndata: " + B + b"\n\n", 2, 0),
    "id with NUL and bytes that are no UTF-8": (b"id: \xff\x00\ndata: " + A + b"\n\n", 1, 0),
    "id with a space more": (b"id:  7 \ndata: " + A + b"\n\n", 1, 0),
    "retry with other signs": (b"retry: 3s\ndata: " + A + b"\n\nretry: -1\ndata: " + B + b"\n\n", 2, 0),
    "retry without digits": (b"retry:\nretry\nretry: \ndata: " + A + b"\n\n", 1, 0),
    "retry in other digits": ("retry: ١٢\ndata: [1]\n\n".encode() + CHUNK, 1, 1),
    "retry with zeros": (b"retry: 0010\ndata: " + A + b"\n\n", 1, 0),
    "retry beyond 64 bits": (b"retry: 18446744073709551616\ndata: " + A + b"\n\nretry: " + b"9" * 40 + b"\n\n", 1, 0),
    "retry twice": (b"retry: 10\nretry: 20\nretry: x\ndata: " + A + b"\n\n" + OTHER, 2, 0),
    "CR": ((CHUNK + OTHER + DONE).replace(b"\n", b"\r"), 2, 0),
    "CRLF": ((CHUNK + OTHER + DONE).replace(b"\n", b"\r\n"), 2, 0),
    "CRLF and comments": ((b": a\n\nfoo: b\n\n" + CHUNK + b": c\n\n").replace(b"\n", b"\r\n"), 1, 0),
    "mixed line ends": (b"data: " + A + b"\n\r\ndata: " + B + b"\r\n\n", 2, 0),
    "mixed line ends again": (b"data: " + A + b"\r\ndata:\r\n\rdata: " + B + b"\n\r", 2, 0),
    "CR, then LF, then CR": (b"data: " + A + b"\r\n\r" + CHUNK + b"\r", 2, 0),
    "LF, then CR": (b"data: " + A + b"\n\rdata: " + B + b"\n\r", 2, 0),
    "CRLF at the very end": (b"data: " + A + b"\r\n", 1, 0),
    "CR at the very end": (b"data: " + A + b"\r\r", 1, 0),
    "U+2028 and U+2029": (event(chunk_json(model="x\u2028y\u2029z")) + CHUNK, 2, 0),
    "U+0085": (event(chunk_json(model="x\u0085y")) + CHUNK, 2, 0),
    "vertical tab, form feed, separators": (b"data: [1]\x0b\n\ndata: [\x1c\x1d\x1e\x0c1]\n\n" + CHUNK, 1, 2),
    "wide letters": (event(chunk_json(model="北京😊 naïve")) + CHUNK, 2, 0),
    "bytes that are no UTF-8": (event(A.replace(b'"m"', b'"\xff"')) + CHUNK, 2, 0),
    "a letter cut short": (event(A.replace(b'"m"', b'"\xe5\x8c"')) + CHUNK, 2, 0),
    "a letter cut by the line end": (b"data: " + A[:-1] + b"\xf0\x9f\x98\n\n" + CHUNK, 1, 1),
    "surrogates and long forms in UTF-8": (event(A.replace(b'"m"', b'"\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80"')), 1, 0),
    "an event type that is no UTF-8": (b"event: \xff\ndata: " + A + b"\n\n", 1, 0),
    "an id that is no UTF-8": (b"id: \xff\ndata: " + A + b"\n\n", 1, 0),
    "a field name that is no UTF-8": (b"d\xffata: 1\ndata: " + A + b"\n\n", 1, 0),
    "bytes that are no UTF-8 in damage": (event(b"{\xff}") + CHUNK, 1, 1),
    "NUL bytes": (b"\x00\x00\n\n" + event(b"\x00") + CHUNK, 1, 1),
    "plain text": (event(b"hello") + CHUNK, 1, 1),
    "null": (event(b"null") + CHUNK, 1, 1),
    "array": (event(b"[1,2]") + CHUNK, 1, 1),
    "number": (event(b"42") + event(b"true") + event(b'"chunk"') + CHUNK, 1, 3),
    "object that is no chunk": (event(b'{"type":"ping","a":1,"b":2,"c":3,"d":4,"e":5}') + event(b"{}") + CHUNK, 1, 2),
    "object that ends in chunk": (event(b'{"object":"completion.chunk"}') + event(b'{"object":"chunks"}'), 1, 1),
    "object of another type": (event(b'{"object":["chunk"]}') + event(b'{"object":null,"choices":null}'), 1, 1),
    "two values": (event(A + B) + CHUNK, 1, 1),
    "HTML": (b"<!DOCTYPE html>\n<html>\n<body>502 Bad Gateway</body>\n", 0, 1),
    "HTML, then text": (b"  <p>\nhello\n{}\n", 0, 1),
    "JSON, not a stream": (b'{"error": {"message": "nope"}}', 0, 1),
    "JSON lines": (A + b"\n" + B + b"\n", 0, 1),
    "other text": (b"nothing to see\n\nhere", 0, 1),
    "unknown fields, then a comment": (b"foo: 1\n\n: hi\n\n", 0, 1),
    "known field only": (b"foo: 1\n\nretry: 5\n\n", 0, 0),
}

SPLITS = [(name, ending) for name, (data, *_) in CASES.items() for ending in ("LF", "CR", "CRLF")]
SPLITS = [(name, ending) for name, ending in SPLITS if ending == "LF" or b"\r" not in CASES[name][0]]


@cache
def case(name: str, ending: str, strict: bool) -> tuple[bytes, Result]:
    data = CASES[name][0].replace(b"\n", {"LF": b"\n", "CR": b"\r", "CRLF": b"\r\n"}[ending])
    return data, oracle(data, strict=strict)


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 48


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_agrees_with_the_table(name: str) -> None:
    data, chunks, raised = CASES[name]
    result = oracle(data)
    assert (len(result.chunks), len(result.given) - len(result.chunks)) == (chunks, raised)
    if oracle(data, strict=True).counts["damaged"] == 0:
        errors = (
            "error event with text",
            "error event with spaces",
            "error event with deep JSON",
        )  # json.loads cannot read those
        if name not in errors:
            assert oracle_program(data) == [item.doc for item in oracle(data, strict=True).chunks]


@pytest.mark.parametrize("strict", [False, True], ids=["loose", "strict"])
@pytest.mark.parametrize(("name", "ending"), SPLITS)
def test_whole(engine: str, name: str, ending: str, strict: bool) -> None:
    data, result = case(name, ending, strict)
    assert_decodes(engine, data, result, strict=strict)


@pytest.mark.parametrize("strict", [False, True], ids=["loose", "strict"])
@pytest.mark.parametrize(("name", "ending"), SPLITS)
def test_cut(engine: str, name: str, ending: str, strict: bool) -> None:
    """Byte by byte, and in two pieces cut at every byte: the same chunks, errors, counts and damages."""
    data, result = case(name, ending, strict)
    splits = [cut(data, 1), cut(data, 3)] + [[data[:at], data[at:]] for at in range(len(data) + 1)]
    expected = light_of(result)
    for number, pieces in enumerate(splits):
        decoder = chunkwire.Decoder(engine=engine, strict=strict)
        found = push(decoder, pieces)
        assert light(found) == expected, pieces
        if number < 2:
            assert full(found) == full_of(result)
        assert_counts(decoder.stats, result)


@pytest.mark.parametrize("strict", [False, True], ids=["loose", "strict"])
@pytest.mark.parametrize(("name", "ending"), SPLITS)
def test_events(engine: str, name: str, ending: str, strict: bool) -> None:
    """`events` gives what the standard's algorithm gives, in one piece and in many."""
    data, result = case(name, ending, strict)
    expected = [one.public() for one in result.events]
    assert expected == [one.public() for one in whatwg_events(data, strict=strict)]
    everything = [data], cut(data, 1), cut(data, 2), cut(data, 7)
    for pieces in everything:
        found = chunkwire.events(iter(pieces), engine=engine, strict=strict)
        assert [public(one) for one in found] == expected
        stats = found.stats
        assert (stats.bytes, stats.events, stats.comments) == (
            len(data),
            len(expected),
            result.counts["comments"],
        )
        classes = (stats.chunk_bytes, stats.comment_bytes, stats.skipped_bytes, stats.done_bytes, stats.damaged_bytes)
        assert sum(classes) == len(data)
        assert stats.skipped_bytes == result.counts["skipped_bytes"]


def test_a_chunk_comes_with_the_byte_that_completes_it(engine: str) -> None:
    for newline in (b"\n", b"\r", b"\r\n"):
        data = CHUNK.replace(b"\n", newline)
        # A lone CR ends a line at once; should a LF follow, it belongs to the line that is over.
        complete = len(data) - (1 if newline == b"\r\n" else 0)
        decoder = chunkwire.Decoder(engine=engine)
        for at in range(complete - 1):
            assert list(decoder.feed(data[at : at + 1])) == []
        assert [chunk.id for chunk in decoder.feed(data[complete - 1 : complete])] == ["a"]
        assert list(decoder.feed(data[complete:])) == []
        assert list(decoder.finish()) == []
        assert decoder.stats.chunk_bytes == len(data)


def test_what_was_not_drained_comes_first(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine)
    left = decoder.feed(CHUNK + OTHER)
    assert next(left).id == "a"
    assert [chunk.id for chunk in decoder.feed(event(chunk_json(id="c")))] == ["b", "c"]
    assert list(left) == []
    decoder.feed(CHUNK)  # never drained at all
    assert [chunk.id for chunk in decoder.finish()] == ["a"]


def test_limit_on_an_event(engine: str) -> None:
    """An event of exactly the limit passes; one byte more does not, whether in one line or in several."""
    for data in (b"data: " + A + b"\n\n", b"data: {\ndata: " + A[1:] + b"\n\n", b"data:" + A[:-1] + b"\ndata:}\n\n"):
        lines = data.split(b"\n")[:-2]
        joined = 0
        limit = 0
        for line in lines:
            limit = max(limit, joined + len(line))
            joined += len(line.removeprefix(b"data:").removeprefix(b" ")) + 1
        exact = oracle(data + CHUNK[:0], max_event_bytes=limit)
        assert [item.what for item in exact.items] == ["chunk"]
        assert_decodes(engine, data, exact, max_event_bytes=limit)
        small = oracle(data + b"data: {}\n\n", max_event_bytes=limit - 1)
        assert [item.kind for item in small.items] == ["event_too_large", "not_a_chunk"]
        assert_decodes(engine, data + b"data: {}\n\n", small, max_event_bytes=limit - 1)


TOO_LARGE = {
    "data": CHUNK + b"data: " + b"x" * 300 + b"\nid: 3\n\n" + OTHER,
    "many data lines": CHUNK + b"data: 12345678\n" * 40 + b"\n" + OTHER,
    "comment": CHUNK + b":" + b"x" * 300 + b"\n\n" + OTHER,
    "no field": CHUNK + b"x" * 300 + b"\n\n" + OTHER,
    "comments and unknown fields before": b": a\nfoo: b\nid: 1\ndata: " + b"x" * 300 + b"\n: c\nbar: d\n\n" + OTHER,
    "at the end": CHUNK + b"data: " + b"x" * 300,
    "at the end, no field": CHUNK + b"x" * 300,
    "only": b"x" * 300,
    "blank line far away": CHUNK + b"data: " + b"x" * 300 + b"\ndata: y" * 9 + b"\n\n" + OTHER,
    "two": CHUNK + (b"data: " + b"x" * 300 + b"\n\n") * 2 + OTHER,
}


@pytest.mark.parametrize("strict", [False, True], ids=["loose", "strict"])
@pytest.mark.parametrize("ending", ["LF", "CR", "CRLF"])
@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_large(engine: str, name: str, ending: str, strict: bool) -> None:
    """The rest of the block is dropped, what stands before and behind it is given; in all splits."""
    data = TOO_LARGE[name].replace(b"\n", {"LF": b"\n", "CR": b"\r", "CRLF": b"\r\n"}[ending])
    options = {"max_event_bytes": 200, "strict": strict}
    result = oracle(data, **options)
    assert "event_too_large" in [item.kind for item in result.items]
    assert_decodes(engine, data, result, **options)
    for pieces in [cut(data, 1), cut(data, 7)] + [[data[:at], data[at:]] for at in range(len(data) + 1)]:
        decoder = chunkwire.Decoder(engine=engine, **options)
        assert light(push(decoder, pieces)) == light_of(result)
        assert_counts(decoder.stats, result)


def test_too_large_is_told_at_once(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine, max_event_bytes=100)
    assert drain(decoder.feed(b"data: " + b"x" * 94)) == []
    (error,) = drain(decoder.feed(b"x"))
    assert (error.kind, error.offset, error.line, error.event) == ("event_too_large", 0, 1, 0)
