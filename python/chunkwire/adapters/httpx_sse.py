"""httpx-sse, faster: the bytes of a response in, the ``ServerSentEvent`` objects that httpx-sse itself would give out.

Another import, and nothing else changes::

    from chunkwire.adapters.httpx_sse import EventSource, connect_sse

Or no import changes, and everybody's sources are faster: `accelerate`, which `restore` undoes.

httpx-sse differs from the standard in a few ways, which stay: a byte order mark hides the first line, a block without
data is an event if it has a type or a retry or if an id was sent before, a retry may be what Python's ``int`` takes,
and the charset of the response counts. ``strict=True`` follows the standard instead, to the letter: it gives the same
events as ``chunkwire.events(..., strict=True)``.
"""

from __future__ import annotations

import codecs
import functools
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache, lru_cache
from typing import Any

try:
    import httpx
    import httpx_sse
    from httpx_sse import ServerSentEvent, SSEError
except ImportError as error:
    raise ImportError(f"needs the package httpx-sse: pip install 'chunkwire[httpx-sse]' ({error})") from error

from chunkwire import _live

__all__ = ["EventSource", "SSEError", "ServerSentEvent", "accelerate", "aconnect_sse", "connect_sse", "restore"]

#: As they were before anybody changed them.
_ITER_SSE, _AITER_SSE = httpx_sse.EventSource.iter_sse, httpx_sse.EventSource.aiter_sse

_DEFAULTS = {"_event": "message", "_data": "", "_id": "", "_retry": None}
_LAYOUT = _live.Layout(ServerSentEvent, _DEFAULTS, ("_event", "_data", "_id", "_retry"))

#: Where other versions, and other programs, read something else.
_PROBE = (
    b"\xef\xbb\xbfdata: 0\ndata: a\xe2\x80\xa8b\xc2\x85\x0b\xff\r\n\r\nretry: +7\r\r: c\n\nevent: e\nretry: x\n\n"
    b"id: 1\0\nid: 1\ndata\ndata:  x\nfoo: bar\n\n: c\n\nid\n\ndata: y\n"
)


class EventSource(httpx_sse.EventSource):
    """httpx-sse's ``EventSource``, faster.

    Parameters
    ----------
    response : httpx.Response
        Of which nothing was read, or all.
    strict : bool
        Follow the standard where httpx-sse does not. An event may have 64 MiB then; a longer one raises
        `chunkwire.DecodeError`.
    """

    def __init__(self, response: httpx.Response, *, strict: bool = False) -> None:
        super().__init__(response)
        self._strict = strict

    def iter_sse(self) -> Iterator[ServerSentEvent]:
        """The events of the response. Raises `SSEError` if it is no event stream."""
        return _events(self, self._strict)

    def aiter_sse(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The events of an asynchronous response. Raises `SSEError` if it is no event stream."""
        return _async_events(self, self._strict)


@contextmanager
def connect_sse(
    client: httpx.Client, method: str, url: str, *, strict: bool = False, **kwargs: Any
) -> Iterator[EventSource]:
    """Sends a request, and gives the source of its response; ``strict`` is that of `EventSource`."""
    with httpx_sse.connect_sse(client, method, url, **kwargs) as source:
        yield EventSource(source.response, strict=strict)


@asynccontextmanager
async def aconnect_sse(
    client: httpx.AsyncClient, method: str, url: str, *, strict: bool = False, **kwargs: Any
) -> AsyncIterator[EventSource]:
    """Sends a request, and gives the source of its response; ``strict`` is that of `EventSource`."""
    async with httpx_sse.aconnect_sse(client, method, url, **kwargs) as source:
        yield EventSource(source.response, strict=strict)


def accelerate(*, strict: bool = False) -> None:
    """Makes all of httpx-sse's sources fast, whoever imported them; with ``strict`` they follow the standard. (Those of
    this module's `EventSource` have a ``strict`` of their own.)

    An httpx-sse that reads in a way that chunkwire does not know stays as it is, with a `RuntimeWarning`.
    """
    restore()
    if not _is_known(_live.engine()):
        _warn(3)
        return

    @functools.wraps(_ITER_SSE)
    def iter_sse(self: httpx_sse.EventSource) -> Iterator[ServerSentEvent]:
        return _events(self, strict)

    @functools.wraps(_AITER_SSE)
    def aiter_sse(self: httpx_sse.EventSource) -> AsyncGenerator[ServerSentEvent, None]:
        return _async_events(self, strict)

    httpx_sse.EventSource.iter_sse = iter_sse  # type: ignore[method-assign]
    httpx_sse.EventSource.aiter_sse = aiter_sse  # type: ignore[method-assign]


def restore() -> None:
    """Undoes `accelerate`."""
    httpx_sse.EventSource.iter_sse = _ITER_SSE  # type: ignore[method-assign]
    httpx_sse.EventSource.aiter_sse = _AITER_SSE  # type: ignore[method-assign]


def _events(source: httpx_sse.EventSource, strict: bool) -> Iterator[ServerSentEvent]:
    source._check_content_type()
    if (events := _opened(source, strict, "iter_text", _live.engine())) is None:
        yield from _ITER_SSE(source)
        return
    response: Any = source._response
    blocks = _live.bytes_of(response, "iter_bytes", "iter_raw")
    context = _context_of(response, getattr(blocks, "gi_code", None), getattr(blocks, "gi_frame", None))
    if context is None:
        yield from events.pull(blocks)
        return
    with context:
        yield from events.pull(iter(response.stream), (response, "_num_bytes_downloaded"))
    response.close()


def _async_events(source: httpx_sse.EventSource, strict: bool) -> AsyncGenerator[ServerSentEvent, None]:
    module = _live.engine()
    return _live.relay_async(_async_steps(source, strict, module), module)


async def _async_steps(source: httpx_sse.EventSource, strict: bool, module: Any) -> AsyncIterator[Any]:
    """The events of a source, and in the place of those that are read here what reads them."""
    source._check_content_type()
    if (events := _opened(source, strict, "aiter_text", module)) is None:
        theirs = _AITER_SSE(source)
        try:
            async for event in theirs:
                yield event
        finally:
            await theirs.aclose()
        return
    response: Any = source._response
    blocks = _live.bytes_of(response, "aiter_bytes", "aiter_raw")
    context = _context_of(response, getattr(blocks, "ag_code", None), getattr(blocks, "ag_frame", None))
    if context is None:
        try:
            yield events.apull(blocks)
        finally:
            await blocks.aclose()
        return
    with context:
        yield events.apull(aiter(response.stream), (response, "_num_bytes_downloaded"))
    await response.aclose()


#: What httpx's ``iter_raw`` and ``aiter_raw`` name in the versions that are known.
_RAW_NAMES = {
    *("is_stream_consumed", "StreamConsumed", "is_closed", "StreamClosed", "isinstance", "stream", "SyncByteStream"),
    *("AsyncByteStream", "RuntimeError", "_num_bytes_downloaded", "ByteChunker", "request_context", "_request", "len"),
    *("decode", "flush", "close", "aclose"),
}


def _context_of(response: Any, code: Any, frame: Any) -> Any:
    """httpx's ``iter_raw`` takes a step of Python for each block, to count its bytes and to cut it, also where nothing
    is to be cut. So its loop is done here, in the context that this gives; None if these blocks, those of a generator
    that has not begun, are not its own or are of a response that it refuses."""
    if code is None or not _is_raw(code):
        return None
    names = frame.f_globals
    kind = names["SyncByteStream" if code.co_name == "iter_raw" else "AsyncByteStream"]
    if response.is_closed or not isinstance(response.stream, kind):
        return None
    response.is_stream_consumed = True
    response._num_bytes_downloaded = 0
    return names["request_context"](request=response._request)


@cache
def _is_raw(code: Any) -> bool:
    return code.co_name in ("iter_raw", "aiter_raw") and _RAW_NAMES.issuperset(code.co_names)


def _opened(source: httpx_sse.EventSource, strict: bool, method: str, module: Any) -> _live.ClientEvents | None:
    """What reads a response; None if httpx-sse has to read it itself."""
    is_known = _is_known(module)
    if strict:
        if not is_known:
            raise RuntimeError(f"{_UNKNOWN}, and strict=True cannot be had with it")
        return _live.events("standard", _LAYOUT, module)
    if not is_known:
        _warn(4)
        return None
    return _live.events("httpx_sse", _LAYOUT, module) if _is_usual(source._response, method) else None


def _is_usual(response: Any, method: str) -> bool:
    """Does httpx itself decode a response's text, and from UTF-8?"""
    if type(response) is httpx.Response and response.default_encoding == "utf-8" and not hasattr(response, "_encoding"):
        # It reads the header each time, which takes as long as ten events.
        return _says_utf8(response.headers.get("content-type", ""))
    module = getattr(getattr(type(response), method, None), "__module__", None)
    return module in ("httpx._models", "httpx2._models") and _is_utf8(response.encoding or "utf-8")


@lru_cache(maxsize=64)
def _says_utf8(content_type: str) -> bool:
    return _is_utf8(httpx.Response(200, headers={"content-type": content_type}).encoding or "utf-8")


@cache
def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


@cache
def _is_known(engine: str) -> bool:
    """Does httpx-sse make of the probe what chunkwire does?"""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=_PROBE)
    try:
        theirs = [list(vars(event).items()) for event in _ITER_SSE(httpx_sse.EventSource(response))]
    except Exception:
        return False
    return theirs == [list(vars(event).items()) for event in _live.events("httpx_sse", _LAYOUT).feed(_PROBE)]


_UNKNOWN = f"httpx-sse {httpx_sse.__version__} reads in a way that chunkwire does not know"


def _warn(level: int) -> None:
    warnings.warn(f"{_UNKNOWN}: it stays as it is", RuntimeWarning, stacklevel=level)
