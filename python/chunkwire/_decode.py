"""The public way to chunks and events: a source and options in, an engine's iterator out.

Nothing is decoded here. The iterators are the engine's own, so that a loop over them costs nothing more.
"""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, final

from chunkwire import _engine, _progress, _responses
from chunkwire._formats import prepared
from chunkwire._model import Chunk, Event
from chunkwire._options import MAX_EVENT_BYTES, Engine, Format, OnError, Options
from chunkwire._sources import Source, resolve
from chunkwire._stats import Stats

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from chunkwire._responses import AsyncResponse, Response

__all__ = ["AsyncChunks", "Chunks", "Contents", "Decoder", "Events", "adecode", "contents", "decode", "events"]

#: What is asked of an asynchronous file.
_READ_BYTES = 1 << 16

OneSource: TypeAlias = "str | PathLike[str] | Buffer | BinaryIO | Iterable[Buffer] | Response"


class Chunks(Protocol):
    """An iterator of chunks that counts."""

    def __iter__(self) -> Chunks: ...
    def __next__(self) -> Chunk: ...
    @property
    def stats(self) -> Stats:
        """What was counted so far."""


class Contents(Protocol):
    """An iterator of texts that counts."""

    def __iter__(self) -> Contents: ...
    def __next__(self) -> str: ...
    @property
    def stats(self) -> Stats:
        """What was counted so far."""


class Events(Protocol):
    """An iterator of events that counts."""

    def __iter__(self) -> Events: ...
    def __next__(self) -> Event: ...
    @property
    def stats(self) -> Stats:
        """What was counted so far."""


def opened(
    what: str,
    source: OneSource,
    options: Options,
    engine: Engine,
    progress: _progress.Progress = None,
    **more: Any,
) -> Any:
    """What an engine's function of this name gives for a source; ``more`` is what it alone takes."""
    resolved = resolve(source)
    feed, options = prepared(resolved, options)
    found = getattr(_engine.load(engine), what)(feed, options, resolved.name, **more)
    return _progress.Watched(found, resolved, progress) if progress is not None and progress is not False else found


def decode(
    source: OneSource,
    *,
    on_error: OnError = "raise",
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
    progress: _progress.Progress = None,
) -> Chunks:
    """The chunks of a source, in its order.

    Parameters
    ----------
    source : path, bytes-like, binary file, iterable of bytes or response
        A str or PathLike is the path of a file. What is packed is told by its first bytes, wherever it comes from:
        gzip, zstd, xz, bzip2; brotli by a name that ends in ``.br``. A response of httpx,
        httpx2, requests or urllib3 is read as it comes, and closed when nobody iterates any more; its client undoes the
        content's encoding, and raises its own exceptions behind the chunks that had come.
    on_error : "raise" or "skip"
        With "raise", damage raises `DecodeError` and a server's error `StreamError`, each in its place between the
        chunks; ``next()`` goes on after it. With "skip" they are only counted.
    strict : bool
        Drop an event that the source ends in the middle of, as the standard says. Otherwise it is decoded if it is
        whole, and damage of kind ``truncated`` if not.
    format : str
        How the source holds streams, told by its first 64 KiB with "auto": "sse", server-sent events as they were sent;
        "exchanges", JSON lines, one request with its response a line; "reads", JSON lines, one event or one read of
        the network a line; "chunks", JSON without server-sent events, by line or as one array; "har", a HAR file;
        "vcr", a cassette (its YAML needs the extra ``yaml``). "jsonl" is whichever of exchanges, reads and chunks it
        is. (The README says more.)
    field : str, optional
        In which member of a line the streams are, such as ``response.body``: names with dots between them, ``\\.`` for
        a dot in a name. It may lead through strings that hold JSON.
    id_field, time_field : str, optional
        Of "reads": the members that tell whose piece a line is, and when it came.
    engine : "auto", "native" or "simdjson"
        Who decodes. The results are the same.
    max_event_bytes : int
        A longer event is damage of kind ``event_too_large``.
    max_decompressed_bytes : int, optional
        The most bytes that a packed source may unpack to; what is behind them is not read, and is damage of kind
        ``source_too_large``. The default is 1,000 times the packed size, and at least 256 MiB.
    progress : callable or True, optional
        Called now and then with the bytes decoded and the bytes of the source, or None where that is unknown. True
        shows a bar on a terminal.

    Returns
    -------
    iterator of Chunk
        Its ``.stats`` tells what was counted so far.
    """
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    chunks: Chunks = opened("chunks", source, options, engine, progress)
    return chunks


def contents(
    source: OneSource,
    *,
    on_error: OnError = "raise",
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
    progress: _progress.Progress = None,
) -> Contents:
    """The text of each chunk: ``choices[0].delta.content``, where that is a string. (Options are those of `decode`.)

    Nothing else is made of a chunk, so this is the fastest way to the text. Empty strings are given, too; a chunk whose
    content is null, a list or absent is passed over.

    Returns
    -------
    iterator of str
        Its ``.stats`` tells what was counted so far.
    """
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    texts: Contents = opened("contents", source, options, engine, progress)
    return texts


def events(
    source: OneSource,
    *,
    strict: bool = False,
    format: Format = "auto",
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
) -> Events:
    """The server-sent events of a source, whatever their data. (The options are those of `decode`; the source is
    server-sent events as they were sent.)"""
    options = Options("raise", strict, format, None, None, None, max_event_bytes, max_decompressed_bytes)
    if format not in ("auto", "sse"):
        raise ValueError(f"events are those of a source of format 'sse', not of {format!r}")
    found: Events = opened("events", source, replace(options, format="sse"), engine)
    return found


@final
class Decoder(ABC):  # noqa: B024 (the engines' decoders are registered)
    """Decodes bytes that its caller feeds. The pieces may be cut anywhere. (The options are those of `decode`;
    ``source`` is the name that errors give. The format is server-sent events, unless another one is named; with
    "auto", chunks of a log in JSON come once it is clear which it is.)"""

    def __new__(
        cls,
        *,
        on_error: OnError = "raise",
        strict: bool = False,
        engine: Engine = "auto",
        max_event_bytes: int = MAX_EVENT_BYTES,
        source: str | None = None,
        format: Format = "sse",
        field: str | None = None,
        id_field: str | None = None,
        time_field: str | None = None,
    ) -> Decoder:
        options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes)
        check_fed(options)
        decoder: Decoder = _engine.load(engine).Decoder(options, source)
        cls.register(type(decoder))
        return decoder

    def feed(self, data: Buffer) -> Iterator[Chunk]:
        """Takes bytes; iterate the result for the chunks that they complete.

        The bytes are taken at once. What is not iterated is given first by the next feed's result.
        """
        raise NotImplementedError

    def finish(self) -> Iterator[Chunk]:
        """Tells that the source ends; iterate the result for the chunks that are left."""
        raise NotImplementedError

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        raise NotImplementedError


def check_fed(options: Options, *, instead: str = "decode") -> None:
    """ValueError for a format that is not fed: those that are converted are read from paths only, by the function that
    is named."""
    if options.format in ("har", "vcr"):
        raise WholeOnly(options.format, instead)


class WholeOnly(ValueError):
    """Nothing can be read of a file of this format before it is whole."""

    def __init__(self, format: str, instead: str) -> None:
        super().__init__(f"a file of format {format!r} is read whole: use chunkwire.{instead}()")
        self.format = format


def adecode(
    source: AsyncIterable[Buffer] | AsyncResponse | OneSource,
    *,
    on_error: OnError = "raise",
    strict: bool = False,
    format: Format = "sse",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
) -> AsyncChunks:
    """The chunks of an asynchronous source, for ``async for``. (The options are those of `decode`.)

    ``source`` is an asynchronous iterable of bytes, a response of httpx, httpx2 or aiohttp, or a file whose ``read`` is
    a coroutine (`asyncio.StreamReader`). Whatever `decode` takes will also do, but reading it blocks the loop. The
    format is server-sent events, unless another one is named.
    """
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    check_fed(options)
    blocks = _blocks(source)
    name = None
    if blocks is None:
        resolved = resolve(source)
        name = resolved.name
        if isinstance(resolved.feed, (str, bytes)):
            # The engine reads these best, and unpacks what is packed.
            feed, options = prepared(resolved, options)
            return AsyncChunks(_engine.load(engine).chunks(feed, options, name), None, None)
        blocks = _Async(resolved)
    return AsyncChunks(_engine.load(engine).Decoder(options, name), blocks, source)


class AsyncChunks:
    """An asynchronous iterator of chunks that counts. It can go on after an error."""

    def __init__(self, decoder: Any, blocks: AsyncIterator[Any] | None, source: Any) -> None:
        self._decoder = decoder
        self._blocks = blocks
        self._source = source
        # What waits to be given: without blocks to pull, the decoder is itself an iterator over everything.
        self._waiting: Iterator[Chunk] = iter(()) if blocks is not None else iter(decoder)

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._decoder.stats
        return stats

    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> Chunk:
        while True:
            for chunk in self._waiting:
                return chunk
            if self._blocks is None:
                raise StopAsyncIteration
            try:
                block = await self._blocks.__anext__()
            except StopAsyncIteration:
                self._blocks = None
                self._waiting = self._decoder.finish()
            except (Exception, GeneratorExit):
                raise
            except BaseException:  # cancelled: asyncio's and trio's way to say so is no Exception
                await self.aclose()
                raise
            else:
                self._waiting = self._decoder.feed(block)

    async def aclose(self) -> None:
        """Gives no more chunks, and closes the source if it can be closed."""
        blocks, source = self._blocks, self._source
        self._blocks = self._source = None
        self._waiting = iter(())
        if blocks is not None:
            for one in (blocks, source) if blocks is not source else (blocks,):
                close = getattr(one, "aclose", None)
                if close is not None:
                    await close()


class _Async:
    """The blocks of a source that is not asynchronous."""

    def __init__(self, source: Source) -> None:
        self._blocks: Any = source.feed

    def __aiter__(self) -> _Async:
        return self

    async def __anext__(self) -> Any:
        for block in self._blocks:
            return block
        raise StopAsyncIteration


class _AsyncFile:
    """What an asynchronous file has, as soon as it has any."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __aiter__(self) -> _AsyncFile:
        return self

    async def __anext__(self) -> Any:
        block = await self._file.read(_READ_BYTES)
        if not block:
            raise StopAsyncIteration
        return block


def _blocks(source: Any) -> AsyncIterator[Any] | None:
    """The blocks of an asynchronous source; None if it is none."""
    if (response := _responses.async_blocks(source)) is not None:
        return response
    # Asynchronous files iterate over lines, which for some have a greatest length. So they are read.
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        return _AsyncFile(source)
    if hasattr(source, "__aiter__"):
        blocks: AsyncIterator[Any] = source.__aiter__()
        return blocks
    return None
