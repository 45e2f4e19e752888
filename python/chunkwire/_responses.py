"""Responses of HTTP clients as sources: a response in, the blocks of its body out as they come.

They are told by what they can do, so none of the clients is imported. The client undoes the content's encoding and
raises its own exceptions; whoever stops reading, for whatever reason, closes the response.

=================  ===================================
httpx, httpx2      ``iter_bytes`` and ``aiter_bytes``
requests           ``iter_content``
urllib3            ``stream`` and ``read1``
aiohttp            ``content.iter_any``
=================  ===================================
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol, TypeAlias

__all__ = ["AsyncResponse", "Response", "async_blocks", "blocks", "body", "is_asynchronous"]


class _Httpx(Protocol):
    def iter_bytes(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class _Requests(Protocol):
    def iter_content(self, chunk_size: int | None = None, /) -> Iterator[Any]: ...
    def close(self) -> None: ...


class _Urllib3(Protocol):
    def stream(self, amt: int | None = None, /) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class _AsyncHttpx(Protocol):
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


class _Aiohttp(Protocol):
    @property
    def content(self) -> Any: ...
    def close(self) -> None: ...


Response: TypeAlias = "_Httpx | _Requests | _Urllib3"
AsyncResponse: TypeAlias = "_AsyncHttpx | _Aiohttp"

#: What is asked of a body at most, of which there may be less.
_READ_BYTES = 1 << 16


def blocks(source: Any) -> Iterator[Any] | None:
    """The blocks of a response, which is closed when nobody reads them any more; None if the source is none."""
    found = body(source)
    return None if found is None else _closing(found, source)


def body(source: Any) -> Iterator[Any] | None:
    """The blocks of a response, which stays as it is when nobody reads them any more; None if the source is none."""
    if callable(getattr(source, "iter_bytes", None)):
        found: Iterator[Any] = source.iter_bytes()
        return found
    if callable(getattr(source, "iter_content", None)):
        raw = getattr(source, "raw", None)
        # Of a body that is not sent in chunks, requests gives all at once or a byte at a time.
        if hasattr(raw, "read1") and not getattr(raw, "chunked", True) and not _is_read(source):
            return _of_requests(source)
        found = source.iter_content(None)
        return found
    if callable(getattr(source, "stream", None)) and hasattr(source, "read_chunked"):
        if isinstance(read := getattr(source, "_body", None), bytes):  # urllib3 has read it already
            return iter([read])
        return _read1(source) if hasattr(source, "read1") else source.stream()
    return None


def async_blocks(source: Any) -> AsyncIterator[Any] | None:
    """The blocks of an asynchronous response; None if the source is none."""
    if callable(getattr(source, "aiter_bytes", None)):
        return _aclosing(source.aiter_bytes(), source)
    if is_asynchronous(source):
        if isinstance(body := getattr(source, "_body", None), bytes):  # aiohttp has read it already
            return _given(body)
        return _aclosing(source.iter_bytes() if hasattr(source, "iter_bytes") else source.content.iter_any(), source)
    return None


async def _given(body: bytes) -> AsyncIterator[bytes]:
    yield body


def is_asynchronous(source: Any) -> bool:
    """Is it a response of a client that is asynchronous only?"""
    if hasattr(source, "aiter_bytes") and not _is_closed(source):
        stream = getattr(source, "stream", None)  # httpx's, of a body that has not been read
        if hasattr(stream, "__aiter__") and not hasattr(stream, "__iter__"):
            return True
    if hasattr(source, "iter_bytes"):
        return inspect.isasyncgenfunction(source.iter_bytes)  # that of openai's AsyncAPIResponse
    # (Others read the whole body when they are asked for their content.)
    return inspect.iscoroutinefunction(getattr(source, "read", None)) and callable(
        getattr(getattr(source, "content", None), "iter_any", None)
    )


def _closing(body: Iterator[Any], response: Any) -> Iterator[Any]:
    try:
        yield from body
    finally:
        if not _is_closed(response):
            response.close()


def _is_closed(response: Any) -> bool:
    """Has httpx closed it by itself? (Then it refuses to be closed in the other way, sync or async, than it was.)"""
    return getattr(response, "is_closed", False) is True


async def _aclosing(body: AsyncIterator[Any], response: Any) -> AsyncIterator[Any]:
    try:
        async for block in body:
            yield block
    finally:
        if not _is_closed(response):
            closed = response.aclose() if hasattr(response, "aclose") else response.close()
            if inspect.isawaitable(closed):
                await closed


def _read1(response: Any) -> Iterator[bytes]:
    """What a body of urllib3's has, as soon as it has any."""
    while block := response.read1(_READ_BYTES, decode_content=True):
        yield block


def _is_read(response: Any) -> bool:
    return bool(getattr(response, "_content_consumed", True))


def _of_requests(response: Any) -> Iterator[bytes]:
    try:
        yield from _read1(response.raw)
    except Exception as error:
        # What requests makes of it is known to its own loop, which is run over this error alone.
        twin = object.__new__(type(response))
        twin.__dict__.update(response.__dict__, raw=_Failing(error))
        for _ in twin.iter_content(_READ_BYTES):
            pass
        raise
    response._content_consumed = True  # as its own loop says


class _Failing:
    """A body that has nothing but an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        raise self._error
        yield b""
