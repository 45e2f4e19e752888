"""Logs that grow: a path in; chunks as they are written, or a table of usage that grows with them, out."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from chunkwire._decode import MAX_EVENT_BYTES, Decoder
from chunkwire._stats import Stats
from chunkwire._tail import Piece, Tail
from chunkwire._usage_reader import UsageReader

if TYPE_CHECKING:
    from chunkwire._decode import Engine, OnError
    from chunkwire._model import Chunk
    from chunkwire._table import UsageTable

__all__ = ["Followed", "follow", "follow_usage"]

#: How long to wait for more, in seconds: first, and at most; each wait is twice as long as the one before.
_FIRST_WAIT, _LAST_WAIT = 0.005, 0.1

_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r")
#: What begins a line that says something: data of JSON or `[DONE]`, or another field; and what may yet become one. (A
#: colon would begin a comment, but inside of JSON it is no wonder.)
_FIELD = re.compile(rb"data: ?[{\[]|event:|id:|retry:")
_FIELDS = (b"data: {", b"data: [", b"data:{", b"data:[", b"event:", b"id:", b"retry:", _BOM)
#: So much of an open event is kept: enough to see whether its data has begun.
_KEPT_BYTES = 256


def follow(
    path: str | PathLike[str],
    *,
    start: Literal["begin", "end"] = "begin",
    idle: float | None = None,
    stop: Callable[[], object] | None = None,
    on_error: OnError = "skip",
    strict: bool = False,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> Followed:
    """The chunks of a log that is being written, as they come.

    Iterating waits for more; ``async for`` waits as well, and lets others work. The last event is given once it is
    whole. The log may be rotated (renamed or removed, and begun anew under its name) and truncated.

    Parameters
    ----------
    path : str or PathLike
        A file that is there, and not compressed.
    start : "begin" or "end"
        Give what is there already, or only what is written from now on.
    idle : float, optional
        End when nothing was written for so many seconds. An event that no blank line ended is then decoded if it is
        whole, and counted as ``truncated`` if not.
    stop : callable, optional
        End as soon as this returns true (it is asked about ten times a second), e.g. ``threading.Event().is_set``.
    on_error, strict, engine, max_event_bytes
        As for `decode`.

    Returns
    -------
    Followed
        Its ``.stats`` tells what was counted so far. The ``offset`` of a chunk is that in its file (with
        ``start="end"``, from the place where it began); where an event stands in two files, both count as one.

    Raises
    ------
    OSError
        If the file is not there, or cannot be read.
    """
    name = os.fsdecode(path)

    def decoder() -> Any:
        return Decoder(on_error=on_error, strict=strict, engine=engine, max_event_bytes=max_event_bytes, source=name)

    return Followed(_Growing(name, start, idle, stop), decoder)


def follow_usage(
    path: str | PathLike[str],
    *,
    every: float = 1.0,
    start: Literal["begin", "end"] = "begin",
    idle: float | None = None,
    stop: Callable[[], object] | None = None,
    strict: bool = False,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> Iterator[UsageTable]:
    """The usage of a log that is being written: a table of all streams so far, whenever there is more.

    Parameters
    ----------
    every : float
        At most one table in so many seconds; the last one, of everything, comes when following ends.
    path, start, idle, stop, strict, engine, max_event_bytes
        As for `follow`.

    Yields
    ------
    UsageTable
        Streams that have not ended yet are ``truncated`` in it.
    """
    if not every >= 0:
        raise ValueError(f"every must be a number of seconds from 0, not {every!r}")
    name = os.fsdecode(path)
    growing = _Growing(name, start, idle, stop)  # which says at once what is wrong
    return _tables(
        growing, UsageReader(strict=strict, engine=engine, max_event_bytes=max_event_bytes, source=name), every
    )


def _tables(growing: _Growing, reader: UsageReader, every: float) -> Iterator[UsageTable]:
    told, has_news = time.monotonic() - every, True
    with growing:
        while True:
            more = growing.next()
            if more is _Mark.END:
                break
            if isinstance(more, float):
                left = told + every - time.monotonic()
                if has_news and left <= 0:
                    yield reader.usage()
                    told, has_news = time.monotonic(), False
                time.sleep(min(more, max(left, 0)) if has_news else more)
            elif more is _Mark.NEW:
                reader.end()
            else:
                reader.feed(more)
                has_news = True
                if time.monotonic() - told >= every:
                    yield reader.usage()
                    told, has_news = time.monotonic(), False
    reader.end()
    yield reader.usage()


class Followed:
    """The chunks of a log that grows: an iterator, and an asynchronous one."""

    def __init__(self, growing: _Growing, decoder: Callable[[], Any]) -> None:
        self._growing = growing
        self._new = decoder
        self._decoder = decoder()
        self._before = Stats()
        self._chunks: Iterator[Chunk] = iter(())
        self._is_at_seam = False
        self._is_over = False

    @property
    def stats(self) -> Stats:
        """What was counted so far, in all files."""
        stats: Stats = self._before + self._decoder.stats
        return stats

    def __iter__(self) -> Followed:
        return self

    def __next__(self) -> Chunk:
        while True:
            for chunk in self._chunks:
                return chunk
            wait = self._more()
            if wait is None:
                raise StopIteration
            if wait:
                time.sleep(wait)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        while True:
            for chunk in self._chunks:
                return chunk
            wait = self._more()
            if wait is None:
                raise StopAsyncIteration
            if wait:
                await asyncio.sleep(wait)

    def _more(self) -> float | None:
        """Decodes what there is; says how long to wait if there is nothing, and None at the end."""
        if self._is_over:
            self.close()
            return None
        if self._is_at_seam:
            self._is_at_seam = False
            self._before += self._decoder.stats
            self._decoder = self._new()
        more = self._growing.next()
        if isinstance(more, float):
            return more
        if more is _Mark.END:
            self._is_over = True
            self._chunks = self._decoder.finish()
        elif more is _Mark.NEW:
            self._is_at_seam = True
            self._chunks = self._decoder.finish()
        else:
            self._chunks = self._decoder.feed(more)
        return 0.0

    def close(self) -> None:
        """Lets go of the file; nothing more is given."""
        self._is_over = True
        self._chunks = iter(())
        self._growing.close()

    def __enter__(self) -> Followed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Followed:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _Mark(Enum):
    """What is no bytes."""

    END = 0
    #: What follows is another source.
    NEW = 1


class _Growing:
    """What to do next about a log that grows."""

    def __init__(self, path: str, start: str, idle: float | None, stop: Callable[[], object] | None) -> None:
        if start not in ("begin", "end"):
            raise ValueError(f'start must be "begin" or "end", not {start!r}')
        if idle is not None and not idle >= 0:
            raise ValueError(f"idle must be a number of seconds from 0, not {idle!r}")
        if stop is not None and not callable(stop):
            raise TypeError(f"stop must be a callable or None, not {type(stop).__name__}")
        self._tail = Tail(path, at_end=start == "end")
        self._idle, self._stop = idle, stop
        self._wait = _FIRST_WAIT
        self._last = time.monotonic()
        self._seam = _Seam(self._tail.before)
        self._ready: deque[bytes | _Mark] = deque()

    def next(self) -> bytes | float | _Mark:
        """Bytes; how long to wait; or a mark."""
        if self._ready:
            return self._ready.popleft()
        piece = self._tail.read()
        if piece is not None:
            self._wait, self._last = _FIRST_WAIT, time.monotonic()
            self._ready.extend(self._seam.take(piece))
            return self.next() if self._ready else 0.0
        now = time.monotonic()
        if (self._stop is not None and self._stop()) or (self._idle is not None and now - self._last >= self._idle):
            self._ready.extend([*self._seam.flush(), _Mark.END])
            return self._ready.popleft()
        wait, self._wait = self._wait, min(2 * self._wait, _LAST_WAIT)
        return wait

    def close(self) -> None:
        self._tail.close()

    def __enter__(self) -> _Growing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Seam:
    """Says where a new source begins: with a new file, if no event is open, or if the file does not go on with it."""

    def __init__(self, before: bytes) -> None:
        # What stands before the place from which on the file is read; if an event is open there, the rest of it is
        # nothing.
        self._is_skipping = bool(before) and not before.endswith(_BLANK_LINES)
        self._last = before[-3:]
        if self._is_skipping and (end := _behind_last_blank_line(self._last)) is not None:
            self._last = self._last[end:]
        self._open = b""  # the beginning of the open event
        self._head = b""  # that of a file, while it may be either
        self._is_new = False

    def take(self, piece: Piece) -> Iterator[bytes | _Mark]:
        """The piece, and the marks in it."""
        if piece.is_first:
            yield from self.flush()
            self._is_new, self._is_skipping = bool(self._last), False
        data = self._head + piece.data
        self._head = b""
        if self._is_new:
            is_other = self._is_other(data)
            if is_other is None:
                self._head = data
                return
            self._is_new = False
            if is_other:
                yield _Mark.NEW
                self._last = self._open = b""
        elif self._is_skipping:
            end = _behind_blank_line(self._last + data)
            if end is None:
                self._last = (self._last + data)[-3:]
                return
            data, self._last, self._is_skipping = (self._last + data)[end:], b"", False
        self._note(data)
        if data:
            yield data

    def flush(self) -> Iterator[bytes]:
        """What was held back."""
        if self._head:
            data, self._head = self._head, b""
            self._note(data)
            yield data

    def _is_other(self, data: bytes) -> bool | None:
        """Is what a new file begins with no more of the open event? None if it is too little to say."""
        if not self._open or data.startswith(_BOM):
            return True
        if any(field.startswith(data) and field != data for field in _FIELDS):
            return None
        if not _FIELD.match(data):
            return False
        # Behind a whole line the event may go on with another field, but its data comes last.
        is_behind_line = self._last.endswith((b"\n", b"\r"))
        return not is_behind_line or re.search(rb"^data:", self._open, re.MULTILINE) is not None

    def _note(self, data: bytes) -> None:
        """Keeps what tells of the open event."""
        whole = self._last + data
        end = _behind_last_blank_line(whole)
        if end is None:
            self._open += data[: _KEPT_BYTES - len(self._open)]
        else:
            self._open = whole[end : end + _KEPT_BYTES]
        self._last = whole[-3:]


def _behind_blank_line(data: bytes) -> int | None:
    """Where the first blank line ends."""
    ends = [at + len(end) for end in _BLANK_LINES if (at := data.find(end)) >= 0]
    return min(ends, default=None)


def _behind_last_blank_line(data: bytes) -> int | None:
    ends = [at + len(end) for end in _BLANK_LINES if (at := data.rfind(end)) >= 0]
    return max(ends, default=None)
