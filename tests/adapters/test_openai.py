"""Accelerated clients of openai give what plain ones give: openai itself is the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("openai")

from edges import CALL, DATA, EDGES, FIELDS, FRAMING, chunk
from hosts import assert_same_outcome, async_outcome, cuts, outcome, response, single_cuts, ways
from mutations import VALUES, mutated, random_reads
from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from chunkwire.adapters.openai import accelerate
from chunkwire.adapters.openai._stream import AsyncChunkStream, ChunkStream
from support import recorded

KEYS = {"api_key": "none", "base_url": "http://server/v1"}


@pytest.fixture(scope="module")
def plain() -> OpenAI:
    return OpenAI(**KEYS)


@pytest.fixture(scope="module")
def plain_async() -> AsyncOpenAI:
    return AsyncOpenAI(**KEYS)


@pytest.fixture
def fast(engine: str) -> Any:
    return _accelerated(OpenAI, engine)


@pytest.fixture
def fast_async(engine: str) -> Any:
    return _accelerated(AsyncOpenAI, engine)


@cache
def _accelerated(kind: Any, engine: str) -> Any:
    """A client of the engine in use. (To make one takes longer than most tests.)"""
    return accelerate(kind(**KEYS))


def theirs(client: Any, pieces: Iterable[bytes], error: Exception | None = None) -> Stream[ChatCompletionChunk]:
    return Stream(cast_to=ChatCompletionChunk, response=response(pieces, error), client=client)


def ours(client: Any, pieces: Iterable[bytes], error: Exception | None = None) -> Stream[ChatCompletionChunk]:
    return ChunkStream(cast_to=ChatCompletionChunk, response=response(pieces, error), client=client)


def theirs_async(client: Any, pieces: Iterable[bytes], error: Exception | None = None) -> Any:
    return AsyncStream(cast_to=ChatCompletionChunk, response=response(pieces, error), client=client)


def ours_async(client: Any, pieces: Iterable[bytes], error: Exception | None = None) -> Any:
    return AsyncChunkStream(cast_to=ChatCompletionChunk, response=response(pieces, error), client=client)


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str, plain: OpenAI, fast: OpenAI) -> None:
    data = EDGES[name]
    expected = outcome(theirs(plain, [data]))
    for pieces in ways(data):
        assert_same_outcome(outcome(ours(fast, pieces)), expected)


@pytest.mark.parametrize("name", EDGES)
def test_edges_async(name: str, plain_async: AsyncOpenAI, fast_async: AsyncOpenAI) -> None:
    data = EDGES[name]
    expected = async_outcome(lambda: theirs_async(plain_async, [data]))
    for pieces in ways(data):
        assert_same_outcome(async_outcome(lambda pieces=pieces: ours_async(fast_async, pieces)), expected)  # type: ignore[misc]


def test_the_table_is_long_enough() -> None:
    assert min(len(FRAMING), len(DATA), len(FIELDS)) > 30
    assert len(EDGES) == len(FRAMING) + len(DATA) + len(FIELDS)


@pytest.mark.parametrize("name", FRAMING)
def test_every_cut(name: str, plain: OpenAI, fast: OpenAI) -> None:
    """Framing does not depend on where reads end."""
    data = FRAMING[name]
    expected = outcome(theirs(plain, [data]))
    for pieces in single_cuts(data):
        found = outcome(ours(fast, pieces))
        assert (found[0], type(found[1]), found[2]) == (expected[0], type(expected[1]), expected[2])


_expected: dict[Path, Any] = {}


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded(path: Path, plain: OpenAI, fast: OpenAI) -> None:
    data = path.read_bytes()
    if path not in _expected:
        _expected[path] = outcome(theirs(plain, [data]))
    size = 61 if len(data) < 10_000 else 1400
    assert_same_outcome(outcome(ours(fast, cuts(data, range(size, len(data), size)))), _expected[path])


# --- Whatever a server may send ------------------------------------------------------------------------------------

RICH: dict[str, Any] = chunk(
    choices=[
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "a", "tool_calls": [CALL, {**CALL, "index": 1}]},
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}]},
        },
        {"index": 1, "delta": {"function_call": {"name": "f", "arguments": ""}, "audio": {"id": "x", "expires_at": 1}}},
    ],
    service_tier="default",
    system_fingerprint=None,
    usage={
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": None},
        "prompt_tokens_details": {"cached_tokens": 0},
    },
)
NAMES = [
    "id",
    "index",
    "delta",
    "content",
    "usage",
    "choices",
    "created",
    "_x",
    "extra",
    "bytes",
    "name",
    "type",
]


def test_mutated_chunks(plain: OpenAI, fast: OpenAI) -> None:
    """Each alone, and behind others, whose shape it may nearly have."""
    random = Random(7)
    docs = [mutated(random, RICH, random.randint(1, 4), NAMES, VALUES) for _ in range(400)]
    for start in range(0, len(docs), 8):
        events = [json.dumps(doc, ensure_ascii=random.random() < 0.5) for doc in docs[start : start + 8]]
        data = b"".join(b"data: %b\n\n" % one.encode("utf-8", "replace") for one in events)
        if b'"error"' not in data:
            assert_same_outcome(outcome(ours(fast, [data * 2])), outcome(theirs(plain, [data * 2])))


LINES = [b"data: {}", b'data: {"id": "x"}', b"data", b"data:", b": c", b":", b"id: 1", b"id", b"id: \0", b"event: e"]
LINES += [
    b"event: thread.x",
    b"retry: 1",
    b"x: y",
    b"\xff",
    b": \xff",
    b"\xef\xbb\xbfdata: {}",
    b" data: {}",
    b"data: [",
    b"]",
]
LINES += [
    b"",
    b"",
    b"",
    b"",
    b'data: {"choices": []}',
    b"data: [DONE]",
    b"data : {}",
    b"eventx: 1",
    b"ida: 1",
    b"data:[]",
]


def test_random_lines(plain: OpenAI, fast: OpenAI) -> None:
    """In any order, with any ends, cut anywhere."""
    random = Random(7)
    for _ in range(600):
        pieces = random_reads(random, LINES)
        assert_same_outcome(outcome(ours(fast, pieces)), outcome(theirs(plain, [b"".join(pieces)])))
