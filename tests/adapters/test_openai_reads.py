"""What an accelerated stream does with its response and its iterator: blocks counted, errors told, loops left and gone
on with, as a plain stream does."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from edges import DONE, A, B
from hosts import assert_same, assert_same_error
from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from chunkwire import _engine
from chunkwire.adapters.openai import _stream, accelerate

WAYS = ["openai", "chunkwire"]
PIECES = [A, B[:9], B[9:] + A, DONE, A]


@pytest.fixture(params=["native", "simdjson"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "native" and os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
        pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested")
    monkeypatch.setenv("CHUNKWIRE_ENGINE", request.param)
    return str(request.param)


def body(http: Any, pieces: list[bytes], error: BaseException | None = None) -> Any:
    """A body for sync and async, that is given once."""

    class Body(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            while pieces:
                yield pieces.pop(0)
            if error is not None:
                raise error

        async def __aiter__(self) -> Any:
            for piece in self:
                yield piece

    return Body()


def response(http: Any, pieces: list[bytes], error: BaseException | None = None) -> Any:
    request = http.Request("POST", "http://server/v1/chat/completions")
    return http.Response(200, stream=body(http, list(pieces), error), request=request)


def streams(answers: list[Any], objects: Any, is_async: bool = False) -> list[Any]:
    """A plain stream over the first response, and an accelerated one over the second."""
    kind: Any = AsyncOpenAI if is_async else OpenAI
    plain, fast = kind(api_key="none"), accelerate(kind(api_key="none"), objects=objects)
    kinds: list[Any] = [AsyncStream, _stream.AsyncChunkStream] if is_async else [Stream, _stream.ChunkStream]
    return [
        one(cast_to=ChatCompletionChunk, response=answer, client=client)
        for one, answer, client in zip(kinds, answers, (plain, fast), strict=True)
    ]


def state(answer: Any) -> tuple[int, bool, bool]:
    return answer.num_bytes_downloaded, answer.is_stream_consumed, answer.is_closed


@pytest.mark.parametrize("objects", WAYS)
def test_a_loop_that_is_left_leaves_the_stream(objects: Any) -> None:
    found = []
    for stream in streams([response(httpx, [A, B, A, DONE]) for _ in range(2)], objects):

        def delegating(stream: Any = stream) -> Iterator[Any]:
            yield from stream

        chunks = [next(delegating())]  # a generator that is dropped at once, and so closed
        loop = iter(stream)
        chunks.append(next(loop))
        loop.close()
        assert not stream.response.is_closed
        chunks += stream
        assert stream.response.is_closed
        found.append([chunk.choices[0].delta.content for chunk in chunks])
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_what_was_given_out_last_is_not_kept_if_it_is_large() -> None:
    text = "x" * 100_000
    large = A.replace(b'"content": "', b'"content": "' + text.encode())
    assert len(large) > len(text)
    (_, stream) = streams([response(httpx, [large, B, DONE]) for _ in range(2)], "openai")
    for chunk in stream:
        content = chunk.choices[0].delta.content
        if len(content) >= len(text):
            kept = content
    del chunk, content, stream
    gc.collect()
    assert sys.getrefcount(kept) == 2  # this name, and the argument


@pytest.mark.parametrize("http", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("objects", WAYS)
@pytest.mark.parametrize(
    "pieces", [PIECES, PIECES[:3], [b"", A, b"", B, b""], []], ids=["done", "no done", "empty", "none"]
)
def test_blocks_are_counted(http: Any, objects: Any, pieces: list[bytes]) -> None:
    def run(stream: Any) -> list[Any]:
        return [*((one.choices[0].delta.content, state(stream.response)) for one in stream), state(stream.response)]

    async def arun(stream: Any) -> list[Any]:
        found = [(one.choices[0].delta.content, state(stream.response)) async for one in stream]
        return [*found, state(stream.response)]

    plain, fast = streams([response(http, pieces), response(http, pieces)], objects)
    assert run(fast) == run(plain)
    plain, fast = streams([response(http, pieces), response(http, pieces)], objects, is_async=True)
    expected = asyncio.run(arun(plain))
    found = asyncio.run(arun(fast))
    assert found == expected


@pytest.mark.parametrize("http", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("objects", WAYS)
@pytest.mark.parametrize("is_async", [False, True])
def test_errors_know_their_request(http: Any, objects: Any, is_async: bool) -> None:
    errors = []
    both = streams([response(http, [A], http.ReadError("gone")) for _ in range(2)], objects, is_async)
    for stream in both:
        with pytest.raises(Exception, match=r"gone|Connection error") as raised:
            asyncio.run(_drain(stream)) if is_async else list(stream)
        error = raised.value
        cause = error.__cause__ or error
        assert cause.request is stream.response.request  # type: ignore[attr-defined]
        errors.append(error)
    assert_same_error(errors[1], errors[0])


async def _drain(stream: Any) -> list[Any]:
    return [one async for one in stream]


@pytest.mark.parametrize("objects", WAYS)
def test_responses_that_were_used(objects: Any) -> None:
    """Read already, closed already, or of the other sort."""

    def read(answer: Any) -> None:
        list(answer.iter_raw())

    def half(answer: Any) -> None:
        next(answer.iter_raw())

    def close(answer: Any) -> None:
        answer.close()

    def other(answer: Any) -> None:
        class Body(httpx2.AsyncByteStream):
            async def __aiter__(self) -> Any:
                yield A

        answer.stream = Body()

    for use in (read, half, close, other):
        answers = [response(httpx2, PIECES), response(httpx2, PIECES)]
        errors = []
        for answer, which in zip(answers, (0, 1), strict=True):
            use(answer)
            stream = streams(answers, objects)[which]
            with pytest.raises(Exception, match=r".") as raised:
                list(stream)
            errors.append(raised.value)
        assert_same_error(errors[1], errors[0])
        assert state(answers[1]) == state(answers[0])


@pytest.mark.parametrize("objects", WAYS)
def test_a_response_that_reads_in_its_own_way(objects: Any) -> None:
    """A subclass's ``iter_raw`` and ``iter_bytes`` are asked."""

    class Upper(httpx2.Response):
        def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
            for block in super().iter_bytes(chunk_size):
                yield block.replace(b'"a"', b'"A"')

    request = httpx2.Request("POST", "http://server/v1/chat/completions")
    answers = [Upper(200, stream=body(httpx2, list(PIECES)), request=request) for _ in range(2)]
    found = [[one.choices[0].delta.content for one in stream] for stream in streams(answers, objects)]
    assert found == [["A", "b", "A"]] * 2


@pytest.mark.parametrize("objects", WAYS)
def test_loops_that_are_left_and_gone_on_with(objects: Any) -> None:
    for stream in streams([response(httpx2, PIECES), response(httpx2, PIECES)], objects):
        for one in stream:
            assert one.choices[0].delta.content == "a"
            break
        assert not stream.response.is_closed
        assert next(iter(stream)).choices[0].delta.content == "b"
        assert [one.choices[0].delta.content for one in stream] == ["a"]
        assert stream.response.is_closed
        assert list(stream) == []


@pytest.mark.parametrize("objects", WAYS)
def test_loops_that_somebody_replaced(objects: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """langfuse does so, with ``Stream.__iter__`` and ``AsyncStream.__aiter__``."""
    passed = []

    def traced(self: Any, original: Any = Stream.__iter__) -> Iterator[Any]:
        for one in original(self):
            passed.append(one)
            yield one

    async def atraced(self: Any, original: Any = AsyncStream.__aiter__) -> Any:
        async for one in original(self):
            passed.append(one)
            yield one

    monkeypatch.setattr(Stream, "__iter__", traced)
    monkeypatch.setattr(AsyncStream, "__aiter__", atraced)
    _, fast = streams([response(httpx2, PIECES), response(httpx2, PIECES)], objects)
    assert len(list(fast)) == len(passed) == 3
    _, fast = streams([response(httpx2, PIECES), response(httpx2, PIECES)], objects, is_async=True)
    assert len(asyncio.run(_drain(fast))) == 3
    assert len(passed) == 6


@pytest.mark.parametrize("objects", WAYS)
def test_interruptions_close_the_response(objects: Any) -> None:
    for stream in streams([response(httpx2, [A, B], KeyboardInterrupt()) for _ in range(2)], objects):
        found = []
        with pytest.raises(KeyboardInterrupt):
            found.extend(one for one in stream)
        assert len(found) == 2
        assert stream.response.is_closed
        assert list(stream) == []


@pytest.mark.parametrize("objects", WAYS)
def test_who_closes_an_asynchronous_loop_leaves_the_stream_open(objects: Any) -> None:
    """openai's own loop is a generator of its own: to close it closes no response, and another loop goes on."""

    async def run(stream: Any) -> Any:
        loop = aiter(stream)
        found = [(await anext(loop)).choices[0].delta.content]
        await loop.aclose()
        found += [stream.response.is_closed, await anext(loop, None)]
        async for chunk in stream:
            found.append(chunk.choices[0].delta.content)
            break
        loop = aiter(stream)
        with pytest.raises(KeyError, match="mine"):
            await loop.athrow(KeyError("mine"))
        found += [stream.response.is_closed, [one async for one in loop]]
        found += [(await anext(stream)).choices[0].delta.content]
        return [*found, [one async for one in stream], stream.response.is_closed]

    pieces = [A, B, A, b"data: [DONE]\n\n"]
    plain, fast = streams([response(httpx2, pieces), response(httpx2, pieces)], objects, is_async=True)
    expected = asyncio.run(run(plain))
    assert expected == ["a", False, None, "b", False, [], "a", [], True]
    assert asyncio.run(run(fast)) == expected


def test_streams_of_one_client_in_turns() -> None:
    """They make openai's objects by turns, each like its own last one and not like that of another."""
    pieces = [[event.replace(b'"c"', b'"c%d"' % number) for event in (A, B) * 20] for number in range(5)]
    client = accelerate(OpenAI(api_key="none"))
    expected = [list(streams([response(httpx2, some), response(httpx2, some)], "openai")[0]) for some in pieces]
    live = [
        iter(_stream.ChunkStream(cast_to=ChatCompletionChunk, response=response(httpx2, some), client=client))
        for some in pieces
    ]
    order = [number for number in range(5) for _ in range(7)] + list(range(5)) * 33
    found: list[list[Any]] = [[] for _ in live]
    for number in order:
        found[number].append(next(live[number]))
    assert_same(found, expected)
    assert len({one[0].id for one in found}) == 5


def test_relay(engine: str) -> None:
    module = _engine.load(engine)
    ended = []

    def steps(session: Any) -> Iterator[Any]:
        try:
            yield "first"
            yield session.feed(A + B)
            yield "between"
            yield session
            assert session.foreign() is None
            yield session.feed(A)
        finally:
            ended.append(1)

    relay = module.Relay(steps(module.Session()))
    assert iter(relay) is relay
    kinds = [one if isinstance(one, str) else one.choices[0].delta.content for one in relay]
    assert kinds == ["first", "a", "b", "between", "a"]
    assert ended == [1]
    assert list(relay) == []

    for is_closed in (True, False):
        relay = module.Relay(steps(module.Session()))
        assert next(relay) == "first"
        assert next(relay).choices[0].delta.content == "a"
        ended.clear()
        if is_closed:
            relay.close()
            assert ended == [1]
            assert list(relay) == []
        del relay
        assert ended == [1]

    def failing() -> Iterator[bytes]:
        yield A
        raise KeyboardInterrupt

    def pulling(session: Any) -> Iterator[Any]:
        try:
            yield session.pull(failing())
        finally:
            ended.append(2)

    relay = module.Relay(pulling(module.Session()))
    ended.clear()
    next(relay)
    with pytest.raises(KeyboardInterrupt):
        next(relay)
    assert ended == [2]
    assert list(relay) == []

    def again() -> Iterator[Any]:
        yield next(relay)

    relay = module.Relay(again())
    with pytest.raises(ValueError, match="already"):
        next(relay)
