"""Which format a log has, by its first bytes: a table of heads, and what each engine says of them."""

from __future__ import annotations

import json
import math
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkwire import _engine
from chunkwire._options import Options
from wrapping import (
    Wrapped,
    batch_output,
    chunk_array,
    chunk_lines,
    completion,
    documents,
    exchanges,
    har,
    nested,
    reads,
)
from wrapping import streams as all_streams

EVENT = 'data: {"id":"a","choices":[{"delta":{"content":"x"}}]}\n\n'
STREAM = EVENT * 3 + "data: [DONE]\n\n"
CHUNK = {"id": "a", "object": "chat.completion.chunk", "choices": [{"delta": {"content": "x"}}]}
WHOLE = {"id": "a", "object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "x"}}]}


def lines(*docs: Any, end: str = "\n", **style: Any) -> bytes:
    return "".join(json.dumps(doc, **style) + end for doc in docs).encode()


def cut(data: bytes, size: int) -> bytes:
    assert size < len(data)
    return data[:size]


SSE = ("sse", None, None, None)
CHUNKS = ("chunks", None, None, None)
HAR = ("har", None, None, None)
VCR = ("vcr", None, None, None)


def of(path: str) -> tuple[Any, ...]:
    return ("exchanges", path, None, None)


TABLE: dict[str, tuple[bytes, tuple[Any, ...]]] = {
    "nothing": (b"", SSE),
    "blank lines": (b" \r\n\n\t", SSE),
    "events": (STREAM.encode(), SSE),
    "events behind a mark": (b"\xef\xbb\xbf" + STREAM.encode(), SSE),
    "events behind blank lines": (b"\r\n\r\n" + STREAM.encode(), SSE),
    "a comment": (b": OPENROUTER PROCESSING\n\n", SSE),
    "an event's type": (b"event: error\ndata: {}\n\n", SSE),
    "HTML": (b"<html><body>no</body></html>", SSE),
    "text that names interactions": (b"data: x\n\nsome interactions: none\n", SSE),
    "a number": (b"17\n", SSE),
    "HAR": (har([("text/event-stream", STREAM.encode())]), HAR),
    "HAR, cut": (cut(har([("text/event-stream", STREAM.encode() * 99)]), 700), HAR),
    "HAR behind a mark": (b"\xef\xbb\xbf" + har([]), HAR),
    "HAR without a version": (b'{"log": {"creator": {"name": "x"}, "pages": [', HAR),
    "cassette": (b"interactions:\n- request:\n    body: '{}'\n", VCR),
    "cassette of Ruby": (b"---\nhttp_interactions:\n- request:\n    method: post\n", VCR),
    "cassette behind a comment": (b"# recorded\ninteractions: []\nversion: 1\n", VCR),
    "cassette as a list": (b"---\n- interactions:\n  - request: {}\n", VCR),
    "cassette as JSON": (b'{"version": 1, "interactions": [{"request": {', VCR),
    "cassette of Ruby as JSON": (b'{"http_interactions": []}', VCR),
    "chunks": (lines(CHUNK, CHUNK), CHUNKS),
    "a chunk, cut": (cut(lines(CHUNK), 70), CHUNKS),
    "chunks with CRLF": (lines(CHUNK, CHUNK, end="\r\n"), CHUNKS),
    "chunks behind a mark and blank lines": (b"\xef\xbb\xbf\n \n" + lines(CHUNK), CHUNKS),
    "a chunk that only says so": (lines({"object": "chat.completion.chunk", "id": "x"}), CHUNKS),
    "a completion": (lines(WHOLE), CHUNKS),
    "an array of chunks": (json.dumps([CHUNK, CHUNK], indent=2).encode(), CHUNKS),
    "an array of chunks, cut": (b"[\n  {\n    \"id\": \"a", CHUNKS),
    "arrays of chunks by line": (lines([CHUNK], [CHUNK, CHUNK]), CHUNKS),
    "an empty array": (b"[]\n", SSE),
    "an array of numbers": (b"[1, 2]\n", SSE),
    "exchanges": (lines({"id": 1, "response_body": STREAM}, {"id": 2, "response_body": STREAM}), of("response_body")),
    "exchanges with CRLF": (lines({"body": STREAM}, {"body": STREAM}, end="\r\n"), of("body")),
    "exchanges behind a mark": (b"\xef\xbb\xbf\r\n" + lines({"body": STREAM}), of("body")),
    "an exchange, cut in its body": (cut(lines({"id": 1, "raw": STREAM * 9}), 300), of("raw")),
    "deep": (lines({"a": {"b": [{"response": {"body": STREAM}}]}}), of("a.b.0.response.body")),
    "a dot and a backslash in a name": (lines({"a.b\\": {"body": STREAM}}), of(r"a\.b\\.body")),
    "in a string": (lines({"log": json.dumps({"response_body": STREAM}) + "\n"}), of("log.response_body")),
    "in strings of strings": (
        lines({"message": json.dumps({"log": json.dumps({"r": STREAM})})}),
        of("message.log.r"),
    ),
    "the request's body holds events, too": (
        lines({"request_body": STREAM * 9, "request": {"body": STREAM}, "x": {"y": STREAM}}),
        of("x.y"),
    ),
    "a name that is known before a longer text": (lines({"stuff": STREAM * 3, "text": STREAM}), of("text")),
    "the likelier of two names": (lines({"text": STREAM * 3, "response_body": STREAM}), of("response_body")),
    "the longest of unknown names": (lines({"a": EVENT, "b": STREAM, "c": EVENT}), of("b")),
    "the first of equals": (lines({"a": STREAM, "b": STREAM}), of("a")),
    "a first line without a body": (
        lines({"started": True}, {"error": "no", "response_body": None}, {"response_body": STREAM}),
        of("response_body"),
    ),
    "a first line that is broken": (b'{"raw": "data\n' + lines({"raw": STREAM}), of("raw")),
    "text behind a mark and blank lines": (lines({"body": "\ufeff\r\n\n" + STREAM}), of("body")),
    "parsed completions": (lines({"id": 1, "body": WHOLE}, {"id": 2, "body": WHOLE}), of("body")),
    "output of a batch": (
        lines({"id": "b1", "custom_id": "c", "response": {"status_code": 200, "body": WHOLE}, "error": None}),
        of("response.body"),
    ),
    "completions as strings": (lines({"raw": json.dumps(WHOLE)}, {"raw": json.dumps(WHOLE)}), of("raw")),
    "an array of chunks in a line": (lines({"chunks": [CHUNK, CHUNK], "n": 1}), of("chunks")),
    "events before parsed chunks": (lines({"message": WHOLE}, {"stuff": STREAM}), of("stuff")),
    "reads with ids": (
        lines({"ts": 1.5, "request_id": "a", "text": EVENT}, {"ts": 2, "request_id": "a", "text": EVENT}),
        ("reads", "text", "request_id", "ts"),
    ),
    "reads cut anywhere": (
        lines({"id": 1, "@timestamp": "2026-11-20T10:00:00Z", "data": EVENT[:9]}, {"id": 1, "data": EVENT[9:]}),
        ("reads", "data", "id", "@timestamp"),
    ),
    "reads whose id stands beside the text": (
        lines(*({"id": at, "x": {"stream_id": "s", "chunk": EVENT, "t": 5}} for at in (1, 2))),
        ("reads", "x.chunk", "x.stream_id", "x.t"),
    ),
    "reads without ids": (
        lines({"time": 5, "text": EVENT}, {"time": 6, "text": EVENT}),
        ("reads", "text", None, "time"),
    ),
    "reads of parsed chunks": (
        lines({"req_id": "a", "chunk": CHUNK}, {"req_id": "a", "chunk": CHUNK}),
        ("reads", "chunk", "req_id", None),
    ),
    "reads whose time is none": (
        lines({"ts": "soon", "id": 3, "text": EVENT}, {"ts": "later", "id": 3, "text": EVENT}),
        ("reads", "text", "id", None),
    ),
    "one event alone": (lines({"text": EVENT}), of("text")),
    "ids that do not come again": (lines({"id": 1, "text": EVENT}, {"id": 2, "text": EVENT}), of("text")),
    "whole streams without ids": (lines({"text": STREAM}, {"text": STREAM}), of("text")),
    "no streams": (lines({"level": "info", "msg": "started"}, {"level": "warn"}), SSE),
    "an error by itself": (lines({"error": {"message": "no"}}), SSE),
    "broken": (b'{"a": "x', SSE),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_heads(engine: str, name: str) -> None:
    head, expected = TABLE[name]
    found = _engine.load(engine).recognise(head)
    assert tuple(found[:4]) == expected
    assert found[4]
    assert "\n" not in found[4]


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 40


@pytest.mark.parametrize("name", TABLE)
def test_engines_give_the_same_reason(native: str, name: str) -> None:
    head = TABLE[name][0]
    assert tuple(_engine.load(native).recognise(head)) == tuple(_engine.load("simdjson").recognise(head))


@pytest.mark.parametrize("name", TABLE)
def test_heads_that_are_cut_anywhere_have_an_answer(engine: str, name: str) -> None:
    head = TABLE[name][0][:1500]
    recognise = _engine.load(engine).recognise
    other = _engine.load("simdjson").recognise
    for size in range(0, len(head), 7):
        found = recognise(head[:size])
        assert found[0] in ("sse", "exchanges", "reads", "chunks", "har", "vcr")
        assert tuple(found[:4]) == tuple(other(head[:size])[:4]), size


NAMES = st.sampled_from(
    ["response_body", "body", "text", "data", "log", "message", "id", "ts", "choices", "a.b", "0", ""]
)
TEXTS = st.sampled_from(
    [
        EVENT,
        STREAM,
        EVENT[:9],
        "\ufeff\r\n" + STREAM,
        ": x",
        "id: 1",
        "",
        "x",
        "chat.completion",
        "2026-11-20T10:00:00Z",
    ]
)
LEAVES = TEXTS | st.sampled_from([0, 1, -2.5, 10**20, True, False, None, float("nan"), -math.inf, CHUNK, WHOLE])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=2).map(json.dumps)
    ),
    max_leaves=6,
)
HEADS = st.builds(
    lambda start, docs, end, cut: (start + end.join(map(json.dumps, docs)) + end).encode()[: cut or None],
    st.sampled_from(["", "\ufeff", "\n", " \r\n"]),
    st.lists(st.dictionaries(NAMES, VALUES, max_size=4) | VALUES, min_size=1, max_size=3),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.integers(0, 200),
)
TOLD = st.sampled_from(
    [
        {},
        {"format": "jsonl"},
        {"format": "exchanges"},
        {"format": "reads"},
        {"field": "body"},
        {"field": r"a\.b"},
        {"format": "jsonl", "field": "text"},
        {"format": "exchanges", "field": "text"},
        {"id_field": "message", "time_field": "ts"},
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(HEADS, TOLD)
def test_engines_recognise_the_same(head: bytes, told: dict[str, str]) -> None:
    native = _engine.load("native")
    options = Options(**told)  # type: ignore[arg-type]
    assert tuple(native.recognise(head, options)) == tuple(_engine.load("simdjson").recognise(head, options))


@pytest.mark.parametrize(
    "head",
    [
        b'{"a":t',
        b'{"a":-',
        b'{"a":12',
        b'{"a":01,"b":2}',
        b'{"a":-Infinity,"b":"data:x"}',
        b'{"":"data:x"}',
        b'{"":0,"a":x',
    ],
)
def test_engines_agree_on_what_is_hardly_json(native: str, head: bytes) -> None:
    assert tuple(_engine.load(native).recognise(head)) == tuple(_engine.load("simdjson").recognise(head))


def test_a_field_that_no_line_has_is_told(engine: str) -> None:
    head = lines({"user": "ann", "response_body": STREAM})
    recognise = _engine.load(engine).recognise
    for options in ({}, {"format": "exchanges"}):
        why = recognise(head, Options(field="nope", **options))[4]
        assert "no line at the beginning has it (members: user, response_body)" in why
    assert "has it" not in recognise(lines({"body": None}), Options(field="body"))[4]


def test_many_ids_and_members_take_no_time(engine: str) -> None:
    recognise = _engine.load(engine).recognise
    start = time.perf_counter()
    for head in (
        lines(*({"id": at, "d": ":"} for at in range(4000))),
        lines({f"{at:x}": 1 for at in range(9000)}),
        b'{"a":' * 9000,
        b"[" * 60_000,
    ):
        recognise(head)
    assert time.perf_counter() - start < 10


def generated() -> list[Wrapped]:
    rng = random.Random(3)
    some = rng.sample(all_streams(), 5)
    texts = [stream.decode("utf-8", "replace") for stream in some]
    wholes = [whole for stream in some if (whole := completion(stream))]
    docs = [doc for stream in some for doc in documents(stream)]
    return [
        exchanges(rng, texts, "response.body"),
        exchanges(rng, texts, "raw"),
        nested(rng, texts),
        batch_output(rng, [*wholes, *wholes]),
        reads(rng, some),
        chunk_lines(rng, docs),
        chunk_array(docs, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(7))
def test_generated_logs(engine: str, number: int) -> None:
    wrapped = generated()[number]
    found = _engine.load(engine).recognise(wrapped.data)
    assert tuple(found[:4]) == (wrapped.format, wrapped.field, wrapped.id_field, wrapped.time_field)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"format": "jsonl"}, ("reads", "text", "request_id", "ts")),
        ({"format": "exchanges"}, ("exchanges", "text", None, None)),
        ({"format": "reads"}, ("reads", "text", "request_id", "ts")),
        ({"format": "sse"}, SSE),
        ({"format": "chunks"}, CHUNKS),
        ({"field": "other"}, ("reads", "other", "request_id", "ts")),
        ({"field": "text"}, ("reads", "text", "request_id", "ts")),
        ({"id_field": "user"}, ("reads", "text", "user", "ts")),
        ({"time_field": "at"}, ("reads", "text", "request_id", "at")),
        ({"format": "exchanges", "field": "other"}, ("exchanges", "other", None, None)),
        ({"format": "reads", "field": "text", "id_field": "user"}, ("reads", "text", "user", "ts")),
    ],
)  # fmt: skip
def test_what_is_told_is_not_looked_for(engine: str, options: dict[str, str], expected: tuple[Any, ...]) -> None:
    head = lines(*({"ts": at, "at": at, "user": at, "request_id": "a", "text": EVENT} for at in (1, 2)))
    assert tuple(_engine.load(engine).recognise(head, Options(**options))[:4]) == expected


def test_a_format_that_does_not_fit_is_no_stream(engine: str) -> None:
    head = lines(CHUNK)
    found = _engine.load(engine).recognise(head, Options(format="exchanges"))
    assert found[0] == "sse"
    assert "was wanted" in found[4]
