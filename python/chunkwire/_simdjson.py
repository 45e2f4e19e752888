"""The engine that needs no extension module: bytes in, chunks, events and usage columns out, in pure Python.

It gives what `chunkwire._native` gives, by the same names. `_blocks` brings the bytes, `_sse` finds the events in
them, `_json` reads their data (with pysimdjson where that is right), `_views` are the objects, `_streams` sorts chunks
into streams, `_columns` makes columns of them, `_messages` whole messages. What stands here says of every event what it
is, and counts every byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Lock
from typing import Any, Protocol

from chunkwire._blocks import CompressedDamage, as_bytes, blocks_of
from chunkwire._clients import ClientEvents
from chunkwire._columns import Columns, Numbered
from chunkwire._errors import ChunkwireError, DecodeError, StreamError, error_message
from chunkwire._json import MAX_DEPTH, JsonError, kind_of, read, reader
from chunkwire._messages import Completions
from chunkwire._session import Models, Relay, Session
from chunkwire._sse import Frame, Framer, decode_utf8
from chunkwire._stats import KEPT_DAMAGES, Damage, Stats
from chunkwire._streams import Tracker
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
    "restore",
    "usage",
]

MAX_EVENT_BYTES = 64 << 20
#: The native engine counts no further inside an event; so neither does this one.
_MOST_EVENT_BYTES = (1 << 28) - 1

#: How many characters of what a server said are kept as an error's reason.
_MESSAGE_LENGTH = 200

#: How much is decoded at once: little enough that what comes of it stays in the processor's cache.
_PIECE_BYTES = 1 << 16

# What became of an event: decides to which count its bytes go.
_CHUNK, _DONE, _ERROR, _KEEPALIVE, _DAMAGE = range(5)

#: Damage that is counted only; nothing was lost by it.
_NOT_RAISED = frozenset({"invalid_utf8", "wrong_type"})


class _Sink(Protocol):
    """Who takes what is found, in the order of the source."""

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int, /) -> object: ...
    def done(self, offset: int, /) -> None: ...
    def server_error(self, body: Any, offset: int, line: int, event: int, /) -> None: ...
    def damage(self, damage: Damage, /) -> None: ...


class _Queue:
    """A sink that keeps what users iterate: chunks and events, and the errors to raise between them."""

    def __init__(self, source: str | None, raises: bool) -> None:
        self.items: deque[Any] = deque()
        self._source = source
        self._raises = raises

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        self.items.append(Chunk(sent, offset, raw))

    def done(self, offset: int) -> None:
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


class _EventReader:
    """Finds the events of a source and counts its bytes; what an event is is said by who inherits from it."""

    def __init__(self, sink: _Sink, strict: bool, max_event_bytes: int, source: str | None) -> None:
        if not 1 <= max_event_bytes <= _MOST_EVENT_BYTES:
            raise ValueError(f"max_event_bytes must be between 1 and {_MOST_EVENT_BYTES}")
        self._sink = sink
        self._strict = strict
        self._max_event_bytes = max_event_bytes
        self._source = source
        self._framer = Framer(max_event_bytes)
        self._counts = Stats()  # what is not counted by the framer
        self._bytes = [0, 0, 0, 0, 0]
        self._last = _KEEPALIVE  # what the last event was: late bytes of its block go there

    def feed(self, data: bytes) -> None:
        """Takes a piece of the source."""
        for start in range(0, len(data), _PIECE_BYTES):
            frames = self._framer.feed(data[start : start + _PIECE_BYTES])
            if self._framer.late_bytes:
                self._bytes[self._last] += self._framer.late_bytes
                self._framer.late_bytes = 0
            if frames:
                self._take(frames)

    def finish(self) -> None:
        """The end of the source."""
        frame = self._framer.finish(self._strict)
        if frame is not None:
            self._take_one(frame, at_end=True)

    def stats(self) -> Stats:
        """What was counted so far."""
        counts, framer = self._counts, self._framer
        chunk_bytes, done_bytes, error_bytes, keepalive_bytes, damaged_bytes = self._bytes
        return Stats(
            bytes=framer.consumed,
            events=framer.events,
            chunks=counts.chunks,
            done=counts.done,
            errors=counts.errors,
            keepalives=counts.keepalives,
            comments=framer.comments,
            damaged=counts.damaged,
            chunk_bytes=chunk_bytes,
            done_bytes=done_bytes,
            error_bytes=error_bytes,
            comment_bytes=framer.comment_bytes + keepalive_bytes,
            skipped_bytes=framer.skipped_bytes,
            damaged_bytes=framer.dropped_bytes + damaged_bytes,
            damages=counts.damages.copy(),
        )

    def count_damage(
        self, kind: str, reason: str, offset: int, line: int, event: int, position: int | None = None
    ) -> Damage:
        """Counts a damage, and keeps it if there is room."""
        damage = Damage(kind, reason, offset, line, event, position, self._source)
        if kind == "server_error":
            self._counts.errors += 1
        else:
            self._counts.damaged += 1
        if len(self._counts.damages) < KEPT_DAMAGES:
            self._counts.damages.append(damage)
        return damage

    def count_compressed_damage(self, error: CompressedDamage) -> Damage:
        """Counts that a compressed source breaks off here."""
        return self.count_damage(error.kind, error.reason, self._framer.consumed, 0, 0)

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._take_one(frame, at_end=False)

    def _take_one(self, frame: Frame, *, at_end: bool) -> None:
        outcome = self._event(frame, at_end)
        self._last = outcome
        self._bytes[outcome] += frame[4]

    def _event(self, frame: Frame, at_end: bool) -> int:
        raise NotImplementedError

    def _text(self, frame: Frame) -> str | None:
        """The event's data, and the damage to it counted; None if the event was too large."""
        data, offset, line, event, *_, invalid_field = frame
        if data is None:
            reason = f"the event is larger than {self._max_event_bytes} bytes"
            self._damage("event_too_large", reason, offset, line, event)
            return None
        text, invalid_at = decode_utf8(data)
        if invalid_at is not None or invalid_field:
            self._damage("invalid_utf8", "invalid UTF-8 in the event's data", offset, line, event, invalid_at)
        return text

    def _damage(self, kind: str, reason: str, offset: int, line: int, event: int, position: int | None = None) -> None:
        self._sink.damage(self.count_damage(kind, reason, offset, line, event, position))


class _ChunkReader(_EventReader):
    """Says of every event whether it is a chunk, the end of a stream, an error or damage."""

    def finish(self) -> None:
        super().finish()
        first = self._framer.foreign
        if first is not None:
            guess = "this is no event stream"
            if first == b"<":
                guess = "it looks like HTML"
            elif first in (b"{", b"["):
                guess = "it looks like JSON, not like server-sent events"
            self._damage("not_a_stream", f"no event found; {guess}", 0, 1, 0)

    def _take(self, frames: list[Frame]) -> None:
        """Chunks, which nearly all events are, by the quick way; `_event` decides on all others."""
        quick = reader()
        take_chunk = self._sink.chunk
        counts, counted_bytes = self._counts, self._bytes
        for frame in frames:
            data, offset, line, event, size, _, _, _, invalid_field = frame
            if data is not None and not invalid_field:
                try:
                    value = quick(data)
                except (ValueError, RuntimeError):
                    pass
                else:
                    if type(value) is dict and "choices" in value:
                        self._last = _CHUNK
                        counts.chunks += 1
                        counted_bytes[_CHUNK] += size
                        take_chunk(value, data, offset, line, event)
                        continue
            self._take_one(frame, at_end=False)

    def _event(self, frame: Frame, at_end: bool) -> int:
        text = self._text(frame)
        if text is None:
            return _DAMAGE
        data, offset, line, event, _, kind, _, _, _ = frame
        assert data is not None
        stripped = text.strip()
        if not stripped:
            self._counts.keepalives += 1
            return _KEEPALIVE
        if stripped == "[DONE]":
            self._counts.done += 1
            self._sink.done(offset)
            return _DONE
        value: Any = text
        try:
            value = read(text)
        except JsonError as error:
            if kind != "error":
                self._damage(*_explain(error, at_end), offset, line, event, error.position)
                return _DAMAGE
        else:
            if _is_chunk(value):
                self._counts.chunks += 1
                self._sink.chunk(value, data, offset, line, event)
                return _CHUNK
            if kind != "error" and not (isinstance(value, dict) and value.get("error")):
                self._damage("not_a_chunk", _no_chunk(value), offset, line, event)
                return _DAMAGE
        message = _printable(error_message(value) or stripped)
        if len(message) > _MESSAGE_LENGTH:
            message = message[:_MESSAGE_LENGTH] + "..."
        self.count_damage("server_error", message, offset, line, event)
        self._sink.server_error(value, offset, line, event)
        return _ERROR


class _MessageReader(_ChunkReader):
    """Folds the chunks of each stream into whole messages."""

    def __init__(self, queue: _Queue, strict: bool, max_event_bytes: int, source: str | None) -> None:
        self._completions = Completions(queue)
        super().__init__(self._completions, strict, max_event_bytes, source)

    def finish(self) -> None:
        super().finish()
        for reason, place in self._completions.finish():
            self.count_damage("wrong_type", reason, *place)


class _AnyEventReader(_EventReader):
    """Gives every event as it is."""

    def __init__(self, queue: _Queue, strict: bool, max_event_bytes: int, source: str | None) -> None:
        super().__init__(queue, strict, max_event_bytes, source)
        self._queue = queue

    def _event(self, frame: Frame, at_end: bool) -> int:
        text = self._text(frame)
        if text is None:
            return _DAMAGE
        _, offset, _, _, _, kind, last_id, retry, _ = frame
        self._queue.items.append(Event(kind, text, last_id, retry, offset))
        return _CHUNK


def _is_chunk(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    name = value.get("object")
    return "choices" in value or (isinstance(name, str) and name.endswith("chunk"))


def _no_chunk(value: Any) -> str:
    reason = f"a JSON {kind_of(value)} that is no chunk"
    if isinstance(value, dict):
        reason += f" (keys: {_printable(', '.join(list(value)[:5]))})"
    return reason


def _explain(error: JsonError, at_end: bool) -> tuple[str, str]:
    """The kind and the reason of data that is not JSON; at the end of a source it is called truncated."""
    message, position = error.message, error.position
    if error.too_deep:
        return "too_deep", f"nested deeper than {MAX_DEPTH} levels at byte {position} of the event's data"
    if at_end:
        return "truncated", f"the source ends inside an event, at byte {position} of its data: {message}"
    return "invalid_json", f"invalid JSON at byte {position} of the event's data: {message}"


def _printable(text: str) -> str:
    """A text with U+FFFD for lone surrogates, which cannot be printed."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _queue_for(on_error: str, source: str | None) -> _Queue:
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip", not {on_error!r}')
    return _Queue(source, raises=on_error == "raise")


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

    def __init__(self, blocks: Iterator[bytes], events: _EventReader, queue: _Queue) -> None:
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
                piece = self._block[self._at : self._at + _PIECE_BYTES]
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
        return self._events.stats()


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

    def __init__(
        self,
        *,
        on_error: str = "raise",
        strict: bool = False,
        max_event_bytes: int = MAX_EVENT_BYTES,
        source: str | None = None,
    ) -> None:
        self._queue = _queue_for(on_error, source)
        self._events = _ChunkReader(self._queue, strict, max_event_bytes, source)
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

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return self._events.stats()


def chunks(
    source: Any,
    *,
    on_error: str = "raise",
    strict: bool = False,
    max_event_bytes: int = MAX_EVENT_BYTES,
    name: str | None = None,
) -> _Items:
    """The chunks of a source: a path (str), `bytes`, or an iterator of bytes-like objects."""
    queue = _queue_for(on_error, name)
    return _Items(blocks_of(source), _ChunkReader(queue, strict, max_event_bytes, name), queue)


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


def contents(
    source: Any,
    *,
    on_error: str = "raise",
    strict: bool = False,
    max_event_bytes: int = MAX_EVENT_BYTES,
    name: str | None = None,
) -> _Texts:
    """The texts of a source's chunks: a path (str), `bytes`, or an iterator of bytes-like objects."""
    return _Texts(chunks(source, on_error=on_error, strict=strict, max_event_bytes=max_event_bytes, name=name))


def batches(
    source: Any,
    *,
    size: int,
    on_error: str = "raise",
    strict: bool = False,
    max_event_bytes: int = MAX_EVENT_BYTES,
    name: str | None = None,
) -> Columns:
    """The chunks of a source as columns, `size` rows at a time."""
    queue = _queue_for(on_error, name)
    numbered = Numbered(queue)
    items = _Items(blocks_of(source), _ChunkReader(numbered, strict, max_event_bytes, name), queue)
    return Columns(items, numbered.streams, size)


def completions(
    source: Any,
    *,
    on_error: str = "skip",
    strict: bool = False,
    max_event_bytes: int = MAX_EVENT_BYTES,
    name: str | None = None,
) -> _Items:
    """The streams of a source, folded into whole messages: tuples, as the native engine gives them."""
    queue = _queue_for(on_error, name)
    return _Items(blocks_of(source), _MessageReader(queue, strict, max_event_bytes, name), queue)


def events(
    source: Any, *, strict: bool = False, max_event_bytes: int = MAX_EVENT_BYTES, name: str | None = None
) -> _Items:
    """The events of a source: a path (str), `bytes`, or an iterator of bytes-like objects."""
    queue = _queue_for("raise", name)
    return _Items(blocks_of(source), _AnyEventReader(queue, strict, max_event_bytes, name), queue)


def usage(
    source: Any,
    *,
    strict: bool = False,
    max_event_bytes: int = MAX_EVENT_BYTES,
    name: str | None = None,
    threads: int = 1,
    measure: bool = False,
) -> tuple[dict[str, Any], Stats]:
    """The usage columns and counts of a source: a path (str), `bytes`, or an iterator of bytes-like objects.

    If asked for, `measure` adds how much text each stream has.
    """
    tracker = Tracker(measures=measure)
    chunk_reader = _ChunkReader(tracker, strict, max_event_bytes, name)
    try:
        for block in blocks_of(source):
            chunk_reader.feed(block)
    except CompressedDamage as error:
        chunk_reader.count_compressed_damage(error)
    chunk_reader.finish()
    columns, wrong = tracker.finish()
    for reason, place in wrong:
        chunk_reader.count_damage("wrong_type", reason, *place)
    return columns, chunk_reader.stats()


class UsageReader:
    """Reads usage of what its caller feeds: the columns of all streams so far, whenever asked for."""

    def __init__(
        self, *, strict: bool = False, max_event_bytes: int = MAX_EVENT_BYTES, name: str | None = None
    ) -> None:
        self._tracker = Tracker()
        self._options = strict, max_event_bytes, name
        self._reader = _ChunkReader(self._tracker, *self._options)
        self._before = Stats()
        self._lock = _InUse()

    def feed(self, data: Any) -> None:
        """Takes bytes."""
        block = as_bytes(data)
        with self._lock:
            self._reader.feed(block)

    def end(self) -> None:
        """The source ends; what is fed behind it is another one, whose offsets begin anew."""
        with self._lock:
            self._reader.finish()
            self._before += self._reader.stats()
            self._reader = _ChunkReader(self._tracker, *self._options)

    def columns(self) -> tuple[dict[str, Any], Stats]:
        """The columns and counts of what was read so far, as if it were all."""
        with self._lock:
            tracker = self._tracker.copy()
            stats = self._before + self._reader.stats()
        columns, wrong = tracker.finish()
        stats.damaged += len(wrong)
        kept = wrong[: KEPT_DAMAGES - len(stats.damages)]
        stats.damages += [Damage("wrong_type", reason, *place, None, self._options[2]) for reason, place in kept]
        return columns, stats

    def unfinished(self) -> int:
        """How many streams have not ended yet."""
        return self._tracker.unfinished()
