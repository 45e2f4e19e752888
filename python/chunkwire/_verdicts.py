"""Server-sent events in, what each of them is out: a chunk, the end of a stream, an error, damage; every byte counted.

This is the Python engine's twin of the room `decoder`. `_sse` finds the events, `_json` reads their data; who takes
what is found is a sink. `_logs` brings events that stand in JSON, and in many sources at once.
"""

from __future__ import annotations

from typing import Any, Protocol

from chunkwire._blocks import CompressedDamage
from chunkwire._errors import error_message
from chunkwire._json import MAX_DEPTH, JsonError, kind_of, read, reader
from chunkwire._options import Options
from chunkwire._sse import TAR, ZIP, Frame, Framer, decode_utf8
from chunkwire._stats import KEPT_DAMAGES, Damage, Stats

__all__ = [
    "CHUNK",
    "DAMAGE",
    "KEEPALIVE",
    "PIECE_BYTES",
    "ChunkReader",
    "EventReader",
    "Sink",
    "is_chunk",
    "printable",
]

#: How many characters of what a server said are kept as an error's reason.
_MESSAGE_LENGTH = 200

#: How much is decoded at once: little enough that what comes of it stays in the processor's cache.
PIECE_BYTES = 1 << 16

# What became of an event: decides to which count its bytes go.
CHUNK, DONE, ERROR, KEEPALIVE, DAMAGE = range(5)


class Sink(Protocol):
    """Who takes what is found, in the order of the source."""

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int, /) -> object: ...
    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int, /) -> object: ...
    def done(self, offset: int, /) -> object: ...
    def server_error(self, body: Any, offset: int, line: int, event: int, /) -> object: ...
    def damage(self, damage: Damage, /) -> None: ...
    def damage_outside(self, damage: Damage, /) -> None: ...


class EventReader:
    """Finds the events of a source and counts its bytes; what an event is is said by who inherits from it."""

    def __init__(self, sink: Sink, options: Options, name: str | None) -> None:
        self._sink = sink
        self._strict = options.strict
        self._max_event_bytes = options.max_event_bytes
        self._source = name
        self._framer = Framer(options.max_event_bytes)
        self._counts = Stats()  # what is not counted by the framer
        self._bytes = [0, 0, 0, 0, 0]
        self._last = KEEPALIVE  # what the last event was: late bytes of its block go there

    @property
    def sink(self) -> Any:
        """Who takes what is found."""
        return self._sink

    def feed(self, data: bytes) -> None:
        """Takes a piece of the source."""
        for start in range(0, len(data), PIECE_BYTES):
            frames = self._framer.feed(data[start : start + PIECE_BYTES])
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
        return self.count_damage(error.kind, error.reason, self.consumed, 0, 0)

    @property
    def consumed(self) -> int:
        """How many bytes were taken."""
        return self._framer.consumed

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


class ChunkReader(EventReader):
    """Says of every event whether it is a chunk, the end of a stream, an error or damage."""

    #: What more is said of a source that has no events.
    _more = ""

    def finish(self) -> None:
        super().finish()
        self._tell_foreign(self._framer, 0, 1, 0)

    def _tell_foreign(self, framer: Framer, offset: int, line: int, event: int) -> None:
        """Tells that there was no event stream, if there was none."""
        first = framer.foreign
        if first is not None:
            reason = "no event found; this is no event stream"
            if first == b"<":
                reason = "no event found; it looks like HTML"
            elif first in (b"{", b"["):
                reason = "no event found; it looks like JSON, not like server-sent events"
            elif first == TAR:
                names = ".tar, .tgz or .tar.gz"
                reason = f"it looks like a tar archive: in a file whose name ends in {names} its logs are read"
            elif first == ZIP:
                reason = "it looks like a zip archive: in a file whose name ends in .zip its logs are read"
            self._damage("not_a_stream", reason + self._more, offset, line, event)

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
                        self._last = CHUNK
                        counts.chunks += 1
                        counted_bytes[CHUNK] += size
                        take_chunk(value, data, offset, line, event)
                        continue
            self._take_one(frame, at_end=False)

    def _event(self, frame: Frame, at_end: bool) -> int:
        text = self._text(frame)
        if text is None:
            return DAMAGE
        data, offset, line, event, _, kind, _, _, _ = frame
        assert data is not None
        stripped = text.strip()
        if not stripped:
            self._counts.keepalives += 1
            return KEEPALIVE
        if stripped == "[DONE]":
            self._counts.done += 1
            self._sink.done(offset)
            return DONE
        value: Any = text
        try:
            value = read(text)
        except JsonError as error:
            if kind != "error":
                self._damage(*explain(error, at_end), offset, line, event, error.position)
                return DAMAGE
        else:
            if is_chunk(value):
                self._counts.chunks += 1
                self._found(value, data, offset, line, event)
                return CHUNK
            if kind != "error" and not (isinstance(value, dict) and value.get("error")):
                self._damage("not_a_chunk", _no_chunk(value), offset, line, event)
                return DAMAGE
        message = printable(error_message(value) or stripped)
        if len(message) > _MESSAGE_LENGTH:
            message = message[:_MESSAGE_LENGTH] + "..."
        self.count_damage("server_error", message, offset, line, event)
        self._sink.server_error(value, offset, line, event)
        return ERROR

    def _found(self, sent: dict[str, Any], data: bytes, offset: int, line: int, event: int) -> None:
        self._sink.chunk(sent, data, offset, line, event)


def is_chunk(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    name = value.get("object")
    return "choices" in value or (isinstance(name, str) and name.endswith("chunk"))


def _no_chunk(value: Any) -> str:
    reason = f"a JSON {kind_of(value)} that is no chunk"
    if isinstance(value, dict):
        reason += f" (keys: {printable(', '.join(list(value)[:5]))})"
    return reason


def explain(error: JsonError, at_end: bool) -> tuple[str, str]:
    """The kind and the reason of data that is not JSON; at the end of a source it is called truncated."""
    message, position = error.message, error.position
    if error.too_deep:
        return "too_deep", f"nested deeper than {MAX_DEPTH} levels at byte {position} of the event's data"
    if at_end:
        return "truncated", f"the source ends inside an event, at byte {position} of its data: {message}"
    return "invalid_json", f"invalid JSON at byte {position} of the event's data: {message}"


def printable(text: str) -> str:
    """A text with U+FFFD for lone surrogates, which cannot be printed."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
