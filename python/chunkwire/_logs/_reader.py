"""What readers of logs in JSON have in common: lines in, events to a sink, an account of every byte.

What stands in JSON becomes an event with the verdicts of `_verdicts`: an object is one, of an array each element. Its
data are the bytes that stand there, and its place is where they begin.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from chunkwire._json import reader
from chunkwire._logs._elements import Elements
from chunkwire._logs._lines import MAX_LINE_BYTES, Line, Lines
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._options import Options
from chunkwire._stats import Stats
from chunkwire._verdicts import CHUNK, DAMAGE, ChunkReader, Sink

__all__ = ["EVENT_LINE", "LogReader", "is_whole"]

#: How a line begins that is one of an event stream.
EVENT_LINE = re.compile(rb"(?:data|event|id|retry)?:")


def is_whole(value: dict[str, Any]) -> bool:
    """Is it a finished completion, not a chunk of one? (Some servers call their chunks chat.completion, too.)"""
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    has_message = value.get("object") == "chat.completion"
    for choice in choices:
        if isinstance(choice, dict):
            if "delta" in choice:
                return False
            has_message = has_message or isinstance(choice.get("message"), dict)
    return has_message


class LogReader(ChunkReader):
    """Reads lines; what is in them is said by who inherits from it."""

    _goes_on = False  # does something go on in the next line, even if that is blank?

    def __init__(self, sink: Sink, options: Options, name: str | None) -> None:
        super().__init__(sink, options, name)
        # The variable is for tests, whose lines are short.
        self._max_line_bytes = int(os.environ.get("CHUNKWIRE_TEST_LINE_BYTES") or MAX_LINE_BYTES)
        self._lines = Lines(self._max_line_bytes)
        self._bytes_before = 0  # those of sources that have ended
        self._exchanges = 0
        self._events = 0  # the number of the next event
        self._comments = self._comment_bytes = self._skipped_bytes = self._dropped_bytes = 0
        self._last_kind = ""  # of the last damage
        self._in_json = False

    def feed(self, data: bytes) -> None:
        """Takes a piece of the source."""
        for line in self._lines.feed(data):
            self._take_line(line)

    def finish(self) -> None:
        """The end of the source."""
        for line in self._lines.finish():
            self._take_line(line)
        self._end()

    def _end_lines(self) -> None:
        """The end of a source behind which another one begins, whose places are counted anew."""
        for line in self._lines.finish():
            self._take_line(line)
        self._bytes_before += self._lines.consumed
        self._lines = Lines(self._max_line_bytes)

    def stats(self) -> Stats:
        """What was counted so far."""
        stats = super().stats()
        stats.bytes = self._bytes_before + self._lines.consumed
        stats.events = self._events
        stats.comments += self._comments
        stats.comment_bytes += self._comment_bytes
        stats.skipped_bytes += self._skipped_bytes
        stats.damaged_bytes += self._dropped_bytes
        stats.exchanges = self._exchanges
        bodies = stats.chunk_bytes + stats.done_bytes + stats.error_bytes + stats.comment_bytes
        stats.wrapping_bytes = stats.bytes - bodies - stats.skipped_bytes - stats.damaged_bytes
        return stats

    @property
    def consumed(self) -> int:
        """How many bytes were taken."""
        return self._lines.consumed

    def _take_line(self, line: Line) -> None:
        if line.text is None:
            reason = f"the line is longer than {self._max_line_bytes} bytes"
            self._lost("event_too_large", reason, line.offset, line.number)
            self._dropped_bytes += line.size
            return
        text, offset = line.text, line.offset
        if line.number == 1 and text.startswith(BYTE_ORDER_MARK):
            text, offset = text[3:], 3
        if self._goes_on or text.strip(SPACE):
            self._line(text, offset, line.number, line.end)

    def _line(self, text: bytes, offset: int, number: int, end: bytes) -> None:
        """A line with something in it, without its end."""
        raise NotImplementedError

    def _end(self) -> None:
        """The end of the source, behind its last line."""
        raise NotImplementedError

    # --- damage that is no event

    def _lost(self, kind: str, reason: str, offset: int, line: int, position: int | None = None) -> None:
        self._damage(kind, reason, offset, line, self._events, position)

    def _lost_outside(self, kind: str, reason: str, offset: int, line: int, position: int | None = None) -> None:
        """The same of what is around events."""
        self._sink.damage_outside(self.count_damage(kind, reason, offset, line, self._events, position))

    def _damage(self, kind: str, reason: str, offset: int, line: int, event: int, position: int | None = None) -> None:
        self._last_kind = kind
        super()._damage(kind, reason, offset, line, event, position)

    # --- what stands in JSON

    def _json(
        self, text: bytes, at: Callable[[int], int], line: int, *, at_end: bool, told: bool = False, begins: bool = True
    ) -> None:
        """The events of a JSON text; ``at`` says where its bytes stand. ``told``: where it breaks off is told.
        ``begins``: it may begin with a byte order mark."""
        start = 3 if begins and text.startswith(BYTE_ORDER_MARK) else 0
        start += len(text[start:]) - len(text[start:].lstrip(SPACE))
        whole = text[start:].rstrip(SPACE)
        if not whole.startswith(b"[") or whole[1:-1].strip(SPACE) == b"DONE":
            self._json_event(whole, at(start), line, at_end=at_end)
            return
        elements = Elements()
        for data, place, _ in elements.feed(whole, start, line):
            self._json_event(data, at(place), line, at_end=False)
        rest = elements.finish()
        if rest is not None:
            data, place, _ = rest
            self._json_event(data, at(place), line, at_end=at_end)
        elif not elements.closed and not told:
            reason = "the source ends inside an array" if at_end else "the array has no end"
            self._lost("truncated" if at_end else "invalid_json", reason, at(start + len(whole)), line)
        self._tell_behind(elements, whole, lambda place: at(start + place), line)

    def _tell_behind(self, elements: Elements, text: bytes, at: Callable[[int], int], line: int) -> None:
        """Tells of what stands behind an array."""
        behind = text[elements.behind :].strip(SPACE) if elements.closed else b""
        if behind:
            place = text.index(behind, elements.behind)
            self._lost("invalid_json", "something stands behind the end of the array", at(place), line)
            self._dropped_bytes += len(behind)

    def _json_event(self, data: bytes, offset: int, line: int, *, at_end: bool) -> None:
        event = self._events
        self._events += 1
        frame = (data, offset, line, event, len(data), "message", "", None, False)
        if len(data) > self._max_event_bytes:
            self._take_one((None, *frame[1:]), at_end=False)
            return
        try:
            value = reader()(data)
        except (ValueError, RuntimeError):
            value = None
        if type(value) is dict and "choices" in value:
            self._last = CHUNK
            self._counts.chunks += 1
            self._bytes[CHUNK] += len(data)
            self._found_json(value, data, offset, line, event)
            return
        self._in_json = True
        self._take_one(frame, at_end=at_end)
        self._in_json = False

    def _found(self, sent: dict[str, Any], data: bytes, offset: int, line: int, event: int) -> None:
        if self._in_json:
            self._found_json(sent, data, offset, line, event)
        else:
            super()._found(sent, data, offset, line, event)

    def _found_json(self, sent: dict[str, Any], data: bytes, offset: int, line: int, event: int) -> None:
        found = self._sink.completion if is_whole(sent) else self._sink.chunk
        found(sent, data, offset, line, event)

    def _is_foreign(self, text: bytes, offset: int, number: int) -> bool:
        """Is it a line of an event stream, which has no place here? Then that is told."""
        if not EVENT_LINE.match(text):
            return False
        reason = f"line {number} is no JSON; it looks like server-sent events"
        self._lost("wrong_format", reason, offset, number)
        self._bytes[DAMAGE] += len(text)
        return True
