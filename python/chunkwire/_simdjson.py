"""The engine that needs no extension module: bytes in, chunks, events and usage columns out, in pure Python.

It gives what `chunkwire._native` gives, by the same names. `_blocks` brings the bytes, `_sse` finds the events in
them, `_json` reads their data (with pysimdjson where that is right), `_views` are the objects, `_streams` sorts chunks
into streams, `_usage_columns` makes columns of those, `_columns` of chunks, and `_messages` whole messages. What stands
here says of every event what it is, and counts every byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Lock
from typing import Any

from chunkwire._blocks import CompressedDamage, as_bytes, blocks_of
from chunkwire._clients import ClientEvents
from chunkwire._columns import Columns, Numbered
from chunkwire._errors import ChunkwireError, DecodeError, StreamError
from chunkwire._logs._auto import Log, NeedsConversion, Sinks, reader_of
from chunkwire._logs._recognise import Recognised, recognise
from chunkwire._logs._rows import Rows
from chunkwire._logs._sinks import ExchangeMessages, ExchangeNumbers, ExchangeRows
from chunkwire._messages import Completions
from chunkwire._options import Options
from chunkwire._relay import AsyncLoop, AsyncRelay, Relay
from chunkwire._session import Models, Session
from chunkwire._sse import Frame
from chunkwire._stats import KEPT_DAMAGES, Damage, Stats
from chunkwire._streams import Tracker
from chunkwire._usage_columns import columns_of
from chunkwire._verdicts import CHUNK, DAMAGE, PIECE_BYTES, EventReader
from chunkwire._views import (
    Choice,
    Chunk,
    CompletionTokensDetails,
    Delta,
    Event,
    FunctionCall,
    Logprobs,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    Usage,
    restore,
)

__all__ = [
    "AsyncLoop",
    "AsyncRelay",
    "Choice",
    "Chunk",
    "ClientEvents",
    "CompletionTokensDetails",
    "Decoder",
    "Delta",
    "Event",
    "FunctionCall",
    "Logprobs",
    "Models",
    "NeedsConversion",
    "PromptTokensDetails",
    "Relay",
    "Session",
    "TokenLogprob",
    "ToolCall",
    "Usage",
    "UsageReader",
    "batches",
    "chunks",
    "completions",
    "contents",
    "events",
    "recognise",
    "restore",
    "usage",
]

#: Damage that is counted only; nothing was lost by it.
_NOT_RAISED = frozenset({"invalid_utf8", "wrong_type"})


class _Queue:
    """A sink that keeps what users iterate: chunks and events, and the errors to raise between them."""

    def __init__(self, options: Options, name: str | None) -> None:
        self.items: deque[Any] = deque()
        self._source = name
        self._raises = options.on_error == "raise"

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        self.items.append(Chunk(sent, offset, raw))

    completion = chunk

    def done(self, offset: int) -> None:
        pass

    def exchange(self, exchange: Any) -> None:
        pass

    def end(self, exchange: Any) -> None:
        pass

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        if self._raises:
            self.items.append(StreamError(body, offset=offset, source=self._source, line=line, event=event))

    def damage(self, damage: Damage) -> None:
        if self._raises and damage.kind not in _NOT_RAISED:
            error = DecodeError(
                damage.kind,
                damage.reason,
                offset=damage.offset,
                source=damage.source,
                line=damage.line,
                event=damage.event,
                position=damage.position,
            )
            self.items.append(error)

    damage_outside = damage

    def pop(self) -> Any:
        """The next item; StopIteration if there is none, or the error that comes next."""
        if not self.items:
            raise StopIteration
        item = self.items.popleft()
        if isinstance(item, ChunkwireError):
            try:
                raise item
            finally:
                del item  # a cycle by its own traceback, which would keep the source's file open
        return item


class _MessageReader:
    """A reader that folds the chunks of each stream into whole messages, and gives out in the end what is left."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.feed = reader.feed
        self.stats = reader.stats
        self.count_compressed_damage = reader.count_compressed_damage

    def finish(self) -> None:
        self._reader.finish()
        for reason, place in self._reader.sink.finish():
            self._reader.count_damage("wrong_type", reason, *place)


class _AnyEventReader(EventReader):
    """Gives every event as it is."""

    def __init__(self, queue: _Queue, options: Options, name: str | None) -> None:
        super().__init__(queue, options, name)
        self._queue = queue

    def _event(self, frame: Frame, at_end: bool) -> int:
        text = self._text(frame)
        if text is None:
            return DAMAGE
        _, offset, _, _, _, kind, last_id, retry, _ = frame
        self._queue.items.append(Event(kind, text, last_id, retry, offset))
        return CHUNK


class _InUse:
    """Refuses a second user while there is one: another thread, or a source that asks for what is made of it."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise ValueError("already in use, by another thread or by its own source")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Items:
    """The chunks or events of a source. A block is pulled only when all of the earlier ones has been given out."""

    def __init__(self, blocks: Iterator[bytes], events: Any, queue: _Queue) -> None:
        self._blocks: Iterator[bytes] | None = blocks
        self._block = b""
        self._at = 0  # how much of the block is decoded
        self._events = events
        self._queue = queue
        self._lock = _InUse()

    def __iter__(self) -> _Items:
        return self

    def __next__(self) -> Any:
        if not self._queue.items:
            with self._lock:
                self._fill()
        return self._queue.pop()

    def _fill(self) -> None:
        while not self._queue.items:
            if self._at < len(self._block):
                piece = self._block[self._at : self._at + PIECE_BYTES]
                self._at += len(piece)
                self._events.feed(piece)
            elif self._blocks is None:
                break
            else:
                self._block, self._at = b"", 0
                self._pull(self._blocks)

    def _pull(self, blocks: Iterator[bytes]) -> None:
        try:
            self._block = next(blocks)
        except (StopIteration, CompressedDamage) as end:
            self._blocks = None
            if isinstance(end, CompressedDamage):
                self._queue.damage(self._events.count_compressed_damage(end))
            self._events.finish()

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._events.stats()
        return stats


class _Drain:
    """The chunks of what a decoder was fed so far."""

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue

    def __iter__(self) -> _Drain:
        return self

    def __next__(self) -> Any:
        return self._queue.pop()


class Decoder:
    """Decodes what its caller feeds."""

    def __init__(self, options: Options, name: str | None = None) -> None:
        self._queue = queue = _Queue(options, name)
        self._events = Log(Sinks(lambda: queue, lambda: queue), options, name)
        self._finished = False
        self._lock = _InUse()

    def feed(self, data: Any) -> Iterator[Any]:
        """Takes bytes; iterate the result for the chunks that they complete."""
        if self._finished:
            raise ValueError("feed() after finish()")
        block = as_bytes(data)
        with self._lock:
            self._events.feed(block)
        return _Drain(self._queue)

    def finish(self) -> Iterator[Any]:
        """Tells the end of the source; iterate the result for the chunks that are left."""
        if not self._finished:
            self._finished = True
            with self._lock:
                self._events.finish()
        return _Drain(self._queue)

    def turn(self) -> Iterator[Any]:
        """Tells that the log goes on in another file, whose places are counted anew; iterate the result for the chunks
        that are left of this one."""
        with self._lock:
            self._events.turn()
        return _Drain(self._queue)

    def look(self, head: bytes) -> None:
        """Takes what the log begins with, where that is not to be decoded: it is recognised by it."""
        self._events.look(head)

    @property
    def layout(self) -> Recognised | None:
        """How the log is read, as `recognise` says it; None before that is known."""
        return self._events.found

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._events.stats()
        return stats


def chunks(source: Any, options: Options, name: str | None = None) -> _Items:
    """The chunks of a source: a path (str), `bytes`, or an iterator of bytes-like objects."""
    queue = _Queue(options, name)
    reader = reader_of(Sinks(lambda: queue, lambda: queue), options, name)
    return _Items(blocks_of(source), reader, queue)


class _Texts:
    """The text of each chunk that has one."""

    def __init__(self, chunks: _Items) -> None:
        self._chunks = chunks

    def __iter__(self) -> _Texts:
        return self

    def __next__(self) -> str:
        for chunk in self._chunks:
            content = chunk.content
            if isinstance(content, str):
                return content
        raise StopIteration

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return self._chunks.stats


def contents(source: Any, options: Options, name: str | None = None) -> _Texts:
    """The texts of a source's chunks."""
    return _Texts(chunks(source, options, name))


def batches(source: Any, options: Options, name: str | None = None, *, size: int) -> Columns:
    """The chunks of a source as columns, `size` rows at a time."""
    queue = _Queue(options, name)
    streams: deque[int] = deque()
    sinks = Sinks(lambda: Numbered(queue, streams), lambda: ExchangeNumbers(queue, streams))
    return Columns(_Items(blocks_of(source), reader_of(sinks, options, name), queue), streams, size)


def completions(source: Any, options: Options, name: str | None = None) -> _Items:
    """The streams of a source, folded into whole messages: tuples, as the native engine gives them."""
    queue = _Queue(options, name)
    sinks = Sinks(lambda: Completions(queue), lambda: ExchangeMessages(queue))
    return _Items(blocks_of(source), _MessageReader(reader_of(sinks, options, name)), queue)


def events(source: Any, options: Options, name: str | None = None) -> _Items:
    """The events of a source, whatever their data."""
    queue = _Queue(options, name)
    return _Items(blocks_of(source), _AnyEventReader(queue, options, name), queue)


def usage(
    source: Any, options: Options, name: str | None = None, *, threads: int = 1, measure: bool = False
) -> tuple[dict[str, Any], Stats]:
    """The usage columns and counts of a source. If asked for, `measure` adds how much text each stream has."""
    sinks = Sinks(lambda: Tracker(measures=measure), lambda: ExchangeRows(measures=measure))
    reader = reader_of(sinks, options, name)
    try:
        for block in blocks_of(source):
            reader.feed(block)
    except CompressedDamage as error:
        reader.count_compressed_damage(error)
    reader.finish()
    rows, wrong = reader.sink.finish()
    columns = columns_of(rows, wrong, measures=measure, keep=len(options.keep))
    for reason, place in wrong:
        reader.count_damage("wrong_type", reason, *place)
    return columns, reader.stats()


class UsageReader:
    """Reads usage of what its caller feeds: the columns of all streams so far, whenever asked for."""

    def __init__(self, options: Options, name: str | None = None) -> None:
        self._rows = Rows()
        self._keep = len(options.keep)
        self._name = name
        self._log = Log(_sinks_of(self._rows), options, name)
        self._lock = _InUse()

    def feed(self, data: Any) -> None:
        """Takes bytes."""
        block = as_bytes(data)
        with self._lock:
            self._log.feed(block)

    def look(self, head: bytes) -> None:
        """Takes what the log begins with, where that is not to be decoded: it is recognised by it."""
        self._log.look(head)

    def end(self, *, goes_on: bool = False) -> None:
        """The source ends; what is fed behind it is another one, whose offsets begin anew. ``goes_on``: so do its
        format, and exchanges that were read in pieces."""
        with self._lock:
            if goes_on:
                self._log.turn()
            else:
                self._log.finish()
                self._log.restart()

    @property
    def layout(self) -> Recognised | None:
        """How the log is read, as `recognise` says it; None before that is known."""
        return self._log.found

    def columns(self) -> tuple[dict[str, Any], Stats]:
        """The columns and counts of what was read so far, as if it were all."""
        with self._lock:
            so_far = self._rows.copy()
            stats = self._log.peek(_sinks_of(so_far)) or self._log.stats()
        rows, wrong = so_far.finish()
        columns = columns_of(rows, wrong, keep=self._keep)
        stats.damaged += len(wrong)
        kept = wrong[: KEPT_DAMAGES - len(stats.damages)]
        stats.damages += [Damage("wrong_type", reason, *place, None, self._name) for reason, place in kept]
        return columns, stats

    def unfinished(self) -> int:
        """How many streams have not ended yet."""
        rows = self._rows
        if self._log.is_waiting:
            rows = rows.copy()
            self._log.peek(_sinks_of(rows))
        return rows.unfinished()


def _sinks_of(rows: Rows) -> Sinks:
    return Sinks(rows.plain, rows.of_exchanges, rows.turned)
