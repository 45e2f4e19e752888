"""openai's streams with a session in the place of its parser: a stream in, its chunks out.

What is plain the session decodes. Every other block goes through openai's own ``__stream__``, alone: so what is an
error, what ends a stream and what is no JSON is said by the openai that is installed, in its own words.
"""

from __future__ import annotations

import functools
import itertools
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from openai import AsyncStream, OpenAI, Stream
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletionChunk

import chunkwire
from chunkwire import _live

__all__ = ["ASYNC_STREAM", "STREAM", "AsyncChunkStream", "ChunkStream", "Settings", "async_chunks", "chunks"]

_T = TypeVar("_T")

#: As they were before anybody changed them.
STREAM, ASYNC_STREAM = Stream.__stream__, AsyncStream.__stream__
_ITER, _AITER = Stream.__iter__, AsyncStream.__aiter__
_ITER_EVENTS, _AITER_EVENTS = Stream._iter_events, AsyncStream._iter_events
_PROCESS = OpenAI._process_response_data


@dataclass(frozen=True)
class Settings:
    """What a user chose."""

    #: Which decodes: its module.
    engine: Any
    #: The plan of openai's objects.
    models: Any
    #: Give chunkwire's own objects.
    is_lazy: bool
    tolerant: bool


class ChunkStream(Stream[_T], Generic[_T]):
    """openai's ``Stream``, of a client that was accelerated."""

    def __iter__(self) -> Iterator[_T]:
        # openai's is a loop that does nothing else. (Who replaced that is asked.)
        return _Loop(self._iterator) if Stream.__iter__ is _ITER else Stream.__iter__(self)

    def __stream__(self) -> Iterator[_T]:
        settings = getattr(self._client, "_chunkwire", None)  # none if it was restored meanwhile
        return STREAM(self) if settings is None else chunks(self, settings)


class _Loop(itertools.chain[_T], Generic[_T]):
    """A loop over a stream. Who leaves it, also a generator that is closed in a ``yield from``, may begin another."""

    __slots__ = ()

    def close(self) -> None:
        """Leaves the stream as it is."""


class AsyncChunkStream(AsyncStream[_T], Generic[_T]):
    """openai's ``AsyncStream``, of a client that was accelerated."""

    def __aiter__(self) -> AsyncIterator[_T]:
        # openai's is a loop that does nothing else: who closes that leaves the stream as it is.
        loop = _live.loop(self._iterator) if AsyncStream.__aiter__ is _AITER else None
        return AsyncStream.__aiter__(self) if loop is None else loop

    def __stream__(self) -> AsyncIterator[_T]:
        settings = getattr(self._client, "_chunkwire", None)
        return ASYNC_STREAM(self) if settings is None else async_chunks(self, settings)


def chunks(stream: Any, settings: Settings) -> Iterator[Any]:
    """What a stream's ``__stream__`` gives, faster."""
    if not _is_known(stream, _ITER_EVENTS):
        return STREAM(stream)
    return _live.relay(_chunks(_Run(stream, settings)), settings.engine)


def async_chunks(stream: Any, settings: Settings) -> AsyncIterator[Any]:
    """What an asynchronous stream's ``__stream__`` gives, faster."""
    if not _is_known(stream, _AITER_EVENTS):
        return ASYNC_STREAM(stream)
    return _live.relay_async(_async_chunks(_Run(stream, settings)), settings.engine)


#: Who reads chunks in pydantic's ways: ``chat.completions.stream``, which puts them into openai's objects, and litellm.
_HELPERS = ("openai.lib.streaming", "litellm.")


def _is_for_helper() -> bool:
    """Is this stream opened by a helper that has to be given openai's objects?"""
    frame = sys._getframe(1)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith(_HELPERS):
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def _is_known(stream: Any, iter_events: Any) -> bool:
    """Is nothing on the way changed, by options or by a subclass?"""
    client, options = stream._client, getattr(stream, "_options", None)
    return (
        stream._cast_to is ChatCompletionChunk
        and type(stream._decoder) is SSEDecoder
        and type(stream)._iter_events is iter_events
        and getattr(client._process_response_data, "__func__", None) is _PROCESS
        and not client._strict_response_validation
        and getattr(options, "stream_mode", "legacy") == "legacy"
        and not getattr(options, "synthesize_event_and_data", False)
    )


def _chunks(run: _Run) -> Iterator[Any]:
    """The chunks of a run, and in the place of those of the session the session."""
    session, response = run.session, run.stream.response
    error = None
    try:
        blocks = _Blocks(response, "iter_bytes", "iter_raw", iter)
        source: Any = session.pull(blocks.source, blocks.counted)
        while source is not None:
            yield source
            while (foreign := session.foreign()) is not None:
                if foreign == _DONE and _ENDS_AT_DONE:
                    return
                if (part := run.part(foreign)) is not None:
                    yield from STREAM(part.stream)
                    if part.is_done:
                        return
                yield session
            if (error := session.error()) is not None:
                error = blocks.error(error)
            else:
                response.close()
            last = run.last_bytes(error)
            source = None if last is None else session.feed(last)
        if (part := run.end(error)) is not None:
            yield from STREAM(part.stream)
    finally:
        response.close()


#: How nearly every stream ends. openai does nothing more then than to leave its loop (the asynchronous one does).
_DONE = b"data: [DONE]\n\n"
_ENDS_AT_DONE = not any("drain" in name for name in STREAM.__code__.co_names)


async def _async_chunks(run: _Run) -> AsyncIterator[Any]:
    session, response = run.session, run.stream.response
    error, close = None, response.aclose
    try:
        blocks = _Blocks(response, "aiter_bytes", "aiter_raw", aiter)
        if blocks.counted is not None:
            close = functools.partial(_close_both, blocks.source, response)
        source: Any = session.apull(blocks.source, blocks.counted)
        while source is not None:
            yield source
            while (foreign := session.foreign()) is not None:
                if (part := run.part(foreign)) is not None:
                    async for chunk in ASYNC_STREAM(part.stream):
                        yield chunk
                    if part.is_done:
                        return
                yield session
            if (error := session.error()) is not None:
                error = blocks.error(error)
            last = run.last_bytes(error)
            source = None if last is None else session.feed(last)
        if (part := run.end(error)) is not None:
            async for chunk in ASYNC_STREAM(part.stream):
                yield chunk
    finally:
        await close()


async def _close_both(blocks: Any, response: Any) -> None:
    try:
        if isinstance(blocks, AsyncGenerator):
            await blocks.aclose()
    finally:
        await response.aclose()


class _Blocks:
    """What `bytes_of` gives of a response, and what becomes of the error with which that ends. httpx's ``iter_raw``
    takes a step of Python for each block, to count its bytes and to cut it, also where nothing is to be cut: here is
    the rest of it. Whoever reads the blocks counts them, if there is something ``counted``, and closes the response."""

    def __init__(self, response: Any, decoded: str, raw: str, of_stream: Callable[[Any], Any]) -> None:
        self.source: Any = _live.bytes_of(response, decoded, raw)
        #: The response and its attribute.
        self.counted: tuple[Any, str] | None = None
        sort = "gi" if of_stream is iter else "ag"
        code = getattr(self.source, f"{sort}_code", None)
        is_known = code is not None and code.co_name == raw and _RAW.issuperset(code.co_names)
        if not is_known or response.is_closed:
            return
        try:
            blocks = of_stream(response.stream)
        except Exception:  # it will say so itself
            return
        self._context = getattr(self.source, f"{sort}_frame").f_globals["request_context"]
        response.is_stream_consumed = True
        response._num_bytes_downloaded = 0
        self.source, self.counted = blocks, (response, "_num_bytes_downloaded")

    def error(self, raised: Exception) -> Exception:
        """What ``iter_raw`` makes of an error."""
        if self.counted is None:
            return raised
        try:
            with self._context(request=self.counted[0]._request):
                raise raised
        except Exception as error:
            return error


#: What ``iter_raw`` and ``aiter_raw`` name in the versions whose rest this is.
_RAW = {
    *("is_stream_consumed", "StreamConsumed", "is_closed", "StreamClosed", "isinstance", "stream", "RuntimeError"),
    *("SyncByteStream", "AsyncByteStream", "_num_bytes_downloaded", "ByteChunker", "request_context", "_request"),
    *("len", "decode", "flush", "close", "aclose", "__aiter__", "AsyncGenerator"),
}


class _Run:
    """One run over a response: the session that reads it, and what openai is asked on the way."""

    def __init__(self, stream: Any, settings: Settings) -> None:
        self.stream = stream
        self.is_lazy = settings.is_lazy and not _is_for_helper()
        models = None if self.is_lazy else settings.models
        self.session = _live.session(models, chunks_only=settings.tolerant, module=settings.engine)
        self._is_tolerant = settings.tolerant
        self._is_at_end = False

    def part(self, foreign: bytes) -> _Part | None:
        """What openai is to say of a block; None for nothing."""
        block = _tolerated(foreign, self._is_at_end) if self._is_tolerant else foreign
        return None if block is None else _Part(self, block)

    def last_bytes(self, error: Exception | None) -> bytes | None:
        """What ends the last block of a response, if that is to count."""
        if self._is_at_end or error is not None or not self._is_tolerant:
            return None
        self._is_at_end = True
        return b"\n\n"

    def end(self, error: Exception | None) -> _Part | None:
        """What openai is to say of the end: of a block that has begun, and of an error of the network."""
        rest = self.session.rest()
        return _Part(self, rest, error) if rest or error else None


class _Part:
    """A stream that is openai's own, over a few bytes of another, and its decoder."""

    def __init__(self, run: _Run, block: bytes, error: Exception | None = None) -> None:
        stream = run.stream
        self.stream = object.__new__(type(stream))
        self.stream.__dict__.update(stream.__dict__, _decoder=self, response=_Response(stream.response))
        if run.is_lazy:
            self.stream._client = _Client(stream._client)
        self._block = block
        self._error = error
        #: Has the stream said that it ends?
        self.is_done = False

    def _blocks(self) -> Iterator[bytes]:
        yield self._block
        if self._error is not None:
            raise self._error

    def iter_bytes(self, _: Iterator[bytes]) -> Iterator[Any]:
        """The events of the bytes."""
        for event in SSEDecoder().iter_bytes(self._blocks()):
            self.is_done |= event.data.startswith("[DONE]")
            yield event

    async def aiter_bytes(self, _: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """The events of the bytes."""
        for event in self.iter_bytes(iter(())):
            yield event


class _Response:
    """A response that is not closed yet: only a part of it has been read."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def iter_bytes(self) -> Iterator[bytes]:
        return iter(())

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        return
        yield b""

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class _Client:
    """A client that makes chunkwire's chunks."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _process_response_data(self, *, data: Any, cast_to: Any, response: Any) -> Any:
        if isinstance(data, dict):
            try:
                return _live.chunk(data)
            except ValueError:  # nested deeper than chunkwire goes
                return self._client._process_response_data(data=data, cast_to=cast_to, response=response)
        return data


def _tolerated(block: bytes, is_at_end: bool) -> bytes | None:
    """A block as it would be plain; None for one that nobody needs: without data, a ping, or cut off by the end."""
    for event in chunkwire.events(block):
        data = event.data.strip()
        if not data:
            return None
        if event.event == "error":
            return b"data: %b\n\n" % _error_of(data).encode()
        try:
            sent = json.loads(data)
        except ValueError:
            if is_at_end:
                return None
        else:
            is_chunk = isinstance(sent, dict) and (
                "choices" in sent or sent.get("error") or str(sent.get("object", "")).endswith("chunk")
            )
            if not is_chunk:
                return None
        return b"".join(b"data: %b\n" % line.encode() for line in data.split("\n")) + b"\n"
    return None


def _error_of(data: str) -> str:
    """What openai takes for an error, of what was sent under ``event: error``: an object, or any text."""
    try:
        sent = json.loads(data)
    except ValueError:
        sent = {"message": data}
    if isinstance(sent, dict) and sent.get("error"):
        return json.dumps(sent)
    return json.dumps({"error": sent or {"message": data}})
