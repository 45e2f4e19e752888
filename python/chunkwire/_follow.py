"""Logs that grow: a path in; chunks as they are written, or a table of usage that grows with them, out."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from chunkwire import _engine
from chunkwire._decode import WholeOnly
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._seams import Mark, Seam
from chunkwire._stats import Stats
from chunkwire._table import check_keep
from chunkwire._tail import Tail
from chunkwire._usage_reader import UsageReader

if TYPE_CHECKING:
    from chunkwire._model import Chunk
    from chunkwire._options import Engine, Format, OnError
    from chunkwire._table import UsageTable

__all__ = ["Followed", "follow", "follow_usage"]

#: How long to wait for more, in seconds: first, and at most; each wait is twice as long as the one before.
_FIRST_WAIT, _LAST_WAIT = 0.005, 0.1
#: Where there is always more to read, it is asked so often whether that is to end.
_BUSY_WAIT = 1.0

#: What a source may be that is whole only when its end is written, and how much of a head tells it.
_NAMES = {"har": "a HAR file", "vcr": "a cassette"}
_HEAD_BYTES = 1 << 16
_INSTEAD = (
    "{} is whole only when its end is written; read it then, with chunkwire.decode() or chunkwire.usage(). "
    "What can be followed is server-sent events and JSON lines"
)


def follow(
    path: str | PathLike[str],
    *,
    start: Literal["begin", "end"] = "begin",
    idle: float | None = None,
    stop: Callable[[], object] | None = None,
    on_error: OnError = "skip",
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> Followed:
    """The chunks of a log that is being written, as they come: of server-sent events, or of JSON lines.

    Iterating waits for more; ``async for`` waits as well, and lets others work. The last event or line is given once it
    is whole. The log may be rotated (renamed or removed, and begun anew under its name) and truncated: the next file is
    read in the same format unless its lines are of another kind, and requests of "reads" go on in it.

    Parameters
    ----------
    path : str or PathLike
        A file that is there, and that can grow: not packed, no archive, no HAR file or cassette, no array over lines.
    start : "begin" or "end"
        Give what is there already, or only what is written from now on: from the next event or line on.
    idle : float, optional
        End when nothing was written for so many seconds. An event that no blank line ended, and a line that has no end,
        is then decoded if it is whole, and counted as ``truncated`` if not.
    stop : callable, optional
        End as soon as this returns true (it is asked about ten times a second, and once a second while there is more to
        read), e.g. ``threading.Event().is_set``.
    format, field, id_field, time_field
        As for `decode`. With "auto" the format is decided as soon as no more lines can change what `decode` would say
        of them, after the first 64 KiB at the latest; until then nothing is given. Who names it waits for nothing.
    on_error, strict, engine, max_event_bytes
        As for `decode`.

    Returns
    -------
    Followed
        Its ``.stats`` tells what was counted so far, its ``.format`` how the log is read. The ``offset`` of a chunk is
        that in its file (with ``start="end"``, from the place where it began); where an event or a line stands in two
        files, both count as one.

    Raises
    ------
    OSError
        If the file is not there, or cannot be read.
    ValueError
        If it is of a format that cannot grow; from the iterator, too, if that is seen only later.
    """
    name = os.fsdecode(path)
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes)
    _check_grows(options)
    module = _engine.load(engine)
    decoder = module.Decoder(options, name)
    growing = _Growing(name, start, idle, stop, options, module)
    decoder.look(growing.seen)
    return Followed(growing, decoder)


def follow_usage(
    path: str | PathLike[str],
    *,
    every: float = 1.0,
    start: Literal["begin", "end"] = "begin",
    idle: float | None = None,
    stop: Callable[[], object] | None = None,
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    keep: str | Sequence[str] = (),
) -> Iterator[UsageTable]:
    """The usage of a log that is being written: a table of all streams so far, whenever there is more.

    Parameters
    ----------
    every : float
        At most one table in so many seconds; the last one, of everything, comes when following ends.
    path, start, idle, stop, strict, format, field, id_field, time_field, engine, max_event_bytes
        As for `follow`; but tables do not wait for the format: while it is not certain, they are of what it would be if
        nothing followed.
    keep : str or sequence of str
        As for `usage`.

    Yields
    ------
    UsageTable
        Streams that have not ended yet are ``truncated`` in it.
    """
    if not every >= 0:
        raise ValueError(f"every must be a number of seconds from 0, not {every!r}")
    name = os.fsdecode(path)
    kept = check_keep(keep, format)
    paths = tuple(kept.values())
    options = Options("skip", strict, format, field, id_field, time_field, max_event_bytes, keep=paths)
    _check_grows(options)
    reader = UsageReader._of(options, kept, engine, name)
    growing = _Growing(name, start, idle, stop, options, _engine.load(engine))  # which says at once what is wrong
    reader._look(growing.seen)
    return _tables(growing, reader, every)


def _check_grows(options: Options) -> None:
    """ValueError for the format of a log that cannot grow."""
    if (format := options.format) in _NAMES:
        raise ValueError(f"format {format!r} cannot be followed: {_INSTEAD.format(_NAMES[format])}")


def _tables(growing: _Growing, reader: UsageReader, every: float) -> Iterator[UsageTable]:
    try:
        yield from _all_tables(growing, reader, every)
    except WholeOnly as error:
        raise growing.refusal(_NAMES[error.format]) from None


def _all_tables(growing: _Growing, reader: UsageReader, every: float) -> Iterator[UsageTable]:
    told, has_news = time.monotonic() - every, True
    with growing:
        while True:
            more = growing.next()
            if more is Mark.END:
                break
            if isinstance(more, float):
                left = told + every - time.monotonic()
                if has_news and left <= 0:
                    yield reader.usage()
                    told, has_news = time.monotonic(), False
                time.sleep(min(more, max(left, 0)) if has_news else more)
            elif more is Mark.NEW:
                reader.end(goes_on=True)
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

    def __init__(self, growing: _Growing, decoder: Any) -> None:
        self._growing = growing
        self._decoder = decoder
        self._chunks: Iterator[Chunk] = iter(())
        self._is_over = False

    @property
    def stats(self) -> Stats:
        """What was counted so far, in all files."""
        stats: Stats = self._decoder.stats
        return stats

    @property
    def format(self) -> str | None:
        """How the log is read, by the names of `decode`; None while that is not certain."""
        return "sse" if self._growing.options.format == "sse" else self._told(0)

    @property
    def why(self) -> str | None:
        """Why that is thought, in a sentence."""
        return self._told(-1)

    def _told(self, place: int) -> str | None:
        layout: tuple[str, ...] | None = self._decoder.layout
        return None if layout is None else layout[place]

    def __iter__(self) -> Followed:
        return self

    def __next__(self) -> Chunk:
        while True:
            found = self._next()
            if found is None:
                raise StopIteration
            if not isinstance(found, float):
                return found
            if found:
                time.sleep(found)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        while True:
            found = self._next()
            if found is None:
                raise StopAsyncIteration
            if not isinstance(found, float):
                return found
            await asyncio.sleep(found)  # also where there is more at once

    def _next(self) -> Chunk | float | None:
        """A chunk; how long to wait if there is none; None at the end."""
        try:
            for chunk in self._chunks:
                return chunk
            return self._more()
        except self._growing.module.NeedsConversion as error:
            self.close()
            raise self._growing.refusal(_NAMES[error.format]) from None

    def _more(self) -> float | None:
        """Decodes what there is; says how long to wait if there is nothing, and None at the end."""
        if self._is_over:
            self.close()
            return None
        try:
            more = self._growing.next()
        except ValueError:  # it cannot grow
            self.close()
            raise
        if isinstance(more, float):
            return more
        if more is Mark.END:
            self._is_over = True
            self._chunks = self._decoder.finish()
        elif more is Mark.NEW:
            self._chunks = self._decoder.turn()
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


class _Growing:
    """What to do next about a log that grows."""

    def __init__(
        self,
        path: str,
        start: str,
        idle: float | None,
        stop: Callable[[], object] | None,
        options: Options,
        module: Any,
    ) -> None:
        if start not in ("begin", "end"):
            raise ValueError(f'start must be "begin" or "end", not {start!r}')
        if idle is not None and not idle >= 0:
            raise ValueError(f"idle must be a number of seconds from 0, not {idle!r}")
        if stop is not None and not callable(stop):
            raise TypeError(f"stop must be a callable or None, not {type(stop).__name__}")
        self._tail = Tail(path, at_end=start == "end")
        self._idle, self._stop = idle, stop
        self._wait = _FIRST_WAIT
        self._last = self._asked = time.monotonic()
        self._ready: deque[bytes | Mark] = deque()
        self._path = path
        self.options, self.module = options, module
        self._array = _FirstLine()
        try:
            head = self._tail.head(_HEAD_BYTES)
            self._check(head)
        except BaseException:
            self.close()
            raise
        before = self._tail.before
        self._seam = Seam(before, head, options.format)
        #: What the log begins with, where it is not read from there; of lines whole ones.
        self.seen = b""
        if before:
            head = head[: self._tail.began]  # more may have come
            is_cut = len(head) < _HEAD_BYTES and head.lstrip(BYTE_ORDER_MARK + SPACE).startswith((b"{", b"["))
            self.seen = head[: head.rfind(b"\n") + 1] if is_cut else head

    def _check(self, head: bytes) -> None:
        """ValueError if what begins like this cannot grow."""
        if self.options.format not in ("sse", "exchanges", "reads"):
            format, *_ = self.module.recognise(head, self.options)
            if format in _NAMES:
                raise self.refusal(_NAMES[format])
            self._look(head)
            self._array = _FirstLine()

    def _look(self, data: bytes) -> None:
        if self.options.format not in ("sse", "exchanges", "reads") and self._array.is_of_more(data):
            raise self.refusal("one array over many lines")

    def refusal(self, what: str) -> ValueError:
        """What is said of a source that cannot grow."""
        return ValueError(f"{self._path} cannot be followed: {_INSTEAD.format(what)}")

    def next(self) -> bytes | float | Mark:
        """Bytes; how long to wait; or a mark."""
        if self._ready:
            return self._checked(self._ready.popleft())
        now = time.monotonic()
        if now - self._asked >= _BUSY_WAIT and self._is_to_stop():
            return self._end()
        piece = self._tail.read()
        if piece is not None:
            self._wait, self._last = _FIRST_WAIT, time.monotonic()
            self._ready.extend(self._seam.take(piece))
            return self.next() if self._ready else 0.0
        if self._is_to_stop() or (self._idle is not None and now - self._last >= self._idle):
            return self._end()
        wait, self._wait = self._wait, min(2 * self._wait, _LAST_WAIT)
        return wait

    def _is_to_stop(self) -> bool:
        self._asked = time.monotonic()
        return self._stop is not None and bool(self._stop())

    def _end(self) -> bytes | float | Mark:
        self._ready.extend([*self._seam.flush(), Mark.END])
        return self.next()

    def _checked(self, more: bytes | Mark) -> bytes | Mark:
        if more is Mark.NEW:
            self._array = _FirstLine()
        elif isinstance(more, bytes):
            try:
                self._look(more)
            except ValueError:
                self.close()
                raise
        return more

    def close(self) -> None:
        self._tail.close()

    def __enter__(self) -> _Growing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _FirstLine:
    """The first line of a source, as far as it may be the beginning of an array over many lines."""

    def __init__(self) -> None:
        self._text: bytearray | None = bytearray()

    def is_of_more(self, data: bytes) -> bool:
        """Takes a piece; says whether the line is such a beginning, once it has ended."""
        if self._text is None:
            return False
        self._text += data[:_HEAD_BYTES]
        line = self._text.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
        is_array = line.startswith(b"[")
        if not is_array or b"\n" in line or len(line) >= _HEAD_BYTES:
            if line:
                self._text = None
            if is_array and b"\n" in line:
                from chunkwire._logs._elements import is_open_array

                return is_open_array(bytes(line.partition(b"\n")[0]))
        return False
