"""Logs of exchanges: JSON lines in, the events of each one's body out, to a sink that is told whose they are.

In format exchanges a line is one exchange; in format reads it is a piece of one, and its id says of which. Each body is
framed by itself, and its events get the places that they have in the log.
"""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

from chunkwire._json import JsonError, kind_of
from chunkwire._logs._names import names_of
from chunkwire._logs._paths import ABSENT, Span, locate, parsed, skip_space
from chunkwire._logs._reader import LogReader, is_whole
from chunkwire._logs._recognise import Recognised
from chunkwire._logs._strings import Places, unescaped
from chunkwire._logs._times import seconds_of
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._options import Options
from chunkwire._sse import Frame, Framer
from chunkwire._stats import Stats
from chunkwire._verdicts import DAMAGE, KEEPALIVE, Sink, is_chunk, printable

__all__ = ["Exchange", "ExchangesReader", "ExchangesSink"]

#: How a body ends that was clipped, in the words of who clipped it.
_MARK = re.compile(
    rb"(?:(?:\.\.\.|\xe2\x80\xa6)?[ ]?(?:\[truncated[^\]\r\n]*\]|\(truncated[^)\r\n]*\)|<truncated[^>\r\n]*>)"
    rb"|(?:\.\.\.|\xe2\x80\xa6)[ ]?truncated)[ \t]*\Z"
)
_MOST_MARK = 200


def _beginnings(word: str) -> str:
    """What any beginning of a word matches."""
    pattern = ""
    for letter in reversed(word):
        pattern = f"(?:{letter}{pattern})?"
    return pattern


#: Where such a mark begins, perhaps, of which more may come.
_BEGUN = re.compile(
    (
        r"(?=(?:\.\.?|\xe2\x80?)\Z|(?:\.\.\.|\xe2\x80\xa6)?[ ]?[\[(<]?"
        rf"(?:truncated|{_beginnings('truncated')}\Z))[. \xe2\[(<]"
    ).encode()
)
#: So many exchanges can be open; beyond it those that were silent longest are ended.
_MAX_OPEN = 4096


class Exchange:
    """One request with its response, as far as it is read."""

    __slots__ = (
        "began",
        "first",
        "framer",
        "kept",
        "key",
        "last",
        "line",
        "mark",
        "number",
        "offset",
        "open_places",
        "places",
        "time",
    )

    def __init__(self, number: int, key: str, offset: int, line: int, framer: Framer) -> None:
        self.number = number  #: from 0
        self.key = key
        self.offset = offset  #: of its first line
        self.line = line
        self.kept: list[Any] | None = None  #: what is kept of its lines; None: nothing is asked for
        self.began: float | None = None  #: the time of its first read, in seconds
        self.time: float | None = None  #: that of the last one
        self.framer = framer
        self.first: tuple[int, int] = (offset, line)  # where its body begins
        # Where what is open begins, and what may be a mark at its end: in the body, in the log.
        self.open_places: dict[int, tuple[int, int]] = {}
        self.last = KEEPALIVE  # what its last event was
        self.mark: tuple[bytes, int, int] | None = None  # how its body ends that was clipped, and where that stands
        self.places: tuple[int, Places, int] | None = None  # of its last text: where that begins in the body; its line

    def place(self, offset: int) -> tuple[int, int]:
        """Where a byte of the body stands in the log, and in which line: one of its last text, or of what was open."""
        if self.places is not None:
            base, places, line = self.places
            if offset >= base:
                return places.at(offset - base), line
        return self.open_places.get(offset, self.first)


class ExchangesSink(Sink, Protocol):
    """Who takes what is found, and is told of which exchange that is."""

    def exchange(self, exchange: Exchange | None, /) -> None:
        """What follows is of this one; None: of none."""

    def end(self, exchange: Exchange, /) -> None:
        """This one has ended."""


class ExchangesReader(LogReader):
    """Reads a log of format exchanges or reads."""

    def __init__(self, sink: ExchangesSink, options: Options, name: str | None, found: Recognised) -> None:
        super().__init__(sink, options, name)
        assert found.field is not None
        self._exchanges_sink = sink
        self._field = printable(found.field)
        self._names = names_of(found.field)
        self._reads = found.format == "reads"
        self._id = names_of(found.id_field) if found.id_field and self._reads else None
        self._time = names_of(found.time_field) if found.time_field and self._reads else None
        self._keep = [names_of(path) for path in options.keep]
        self._open: dict[str, Exchange] = {}  # the one that was silent longest first

    def stats(self) -> Stats:
        """What was counted so far."""
        stats = super().stats()
        for exchange in self._open.values():
            stats.comments += exchange.framer.comments
            for name, size in (
                ("comment_bytes", exchange.framer.comment_bytes),
                ("skipped_bytes", exchange.framer.skipped_bytes),
                ("damaged_bytes", exchange.framer.dropped_bytes),
            ):
                setattr(stats, name, getattr(stats, name) + size)
                stats.wrapping_bytes -= size
        return stats

    @property
    def is_in_pieces(self) -> bool:
        """Does a line hold but a piece of an exchange?"""
        return self._reads

    def turn(self) -> None:
        """The log goes on in another file, and so do the exchanges that are open."""
        self._end_lines()

    # --- lines

    def _line(self, text: bytes, offset: int, number: int, end: bytes) -> None:
        value, error, valid = parsed(text)
        if error is not None:
            if self._is_foreign(text, offset, number):
                return
            if not valid.lstrip(SPACE).startswith(b"{"):  # only an object has members
                valid = b""

        def at(place: int) -> int:
            return offset + place

        span = locate(valid, self._names, at) if error is not None or isinstance(value, dict) else None
        if error is None and span is None and not self._belongs(value, text, offset, number):
            return
        exchange = self._exchange_of(valid, offset, number, broken=error is not None)
        if exchange is None:
            assert error is not None
            self._fail(error, offset, number, end)
            self._bytes[DAMAGE] += len(text)
            return
        self._exchanges_sink.exchange(exchange)
        if span is not None:
            self._body(exchange, span, number, broken=error is not None, at_end=not end)
        if not self._reads:
            self._end_exchange(exchange)
        if error is not None:
            self._fail(error, offset, number, end)
            if span is None:
                self._bytes[DAMAGE] += len(text)
        elif span is not None and not span.whole:
            reason = f"line {number}: the JSON around {self._field} breaks off"
            self._lost_outside("truncated", reason, offset, number)
        if not self._reads:
            self._exchanges_sink.end(exchange)
        self._exchanges_sink.exchange(None)

    def _belongs(self, value: Any, text: bytes, offset: int, number: int) -> bool:
        """Is a line without the body's member an exchange, if an empty one? If not, it is told what it looks like."""
        if not isinstance(value, dict):
            looks = "an array" if isinstance(value, list) else f"a JSON {kind_of(value)}"
        elif not is_chunk(value):
            return True
        elif is_whole(value):
            exchange = self._begin_alone(offset, number)
            self._keep_of(exchange, text)
            self._exchanges_sink.exchange(exchange)
            self._json_event(text.strip(SPACE), offset + skip_space(text, 0), number, at_end=False)
            self._exchanges_sink.end(exchange)
            self._exchanges_sink.exchange(None)
            return False
        else:
            looks = "a bare chunk"
        reason = f"line {number} has no member {self._field}; it looks like {looks}"
        self._lost("wrong_format", reason, offset, number)
        self._bytes[DAMAGE] += len(text)
        return False

    def _exchange_of(self, valid: bytes, offset: int, number: int, *, broken: bool) -> Exchange | None:
        """The exchange that a line is of, with what the line says of it; None for a broken line without id."""
        key = ""
        if self._id is not None:
            key = self._key(valid, self._id)
        if not self._reads:
            exchange = self._begin_alone(offset, number)
        elif self._id is not None and not key and broken:
            return None
        elif key in self._open:
            exchange = self._open[key] = self._open.pop(key)
        else:
            exchange = self._begin(key, offset, number)
        self._note(exchange, valid)
        return exchange

    def _note(self, exchange: Exchange, valid: bytes) -> None:
        exchange.time = seconds_of(self._value(valid, self._time)) if self._time is not None else None
        if exchange.began is None:
            exchange.began = exchange.time
        self._keep_of(exchange, valid)

    def _keep_of(self, exchange: Exchange, valid: bytes) -> None:
        if self._keep:
            exchange.kept = exchange.kept or [None] * len(self._keep)
            for place, names in enumerate(self._keep):
                value = self._value(valid, names)
                if value is not ABSENT and value is not None:
                    exchange.kept[place] = value

    @staticmethod
    def _key(valid: bytes, names: tuple[str, ...]) -> str:
        """What an id is told by: a text, or a number as it is written; nothing where it is neither."""
        span = locate(valid, names, lambda place: place)
        value = span.value() if span is not None else None
        if isinstance(value, str):
            return json.dumps(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return span.text().decode() if span is not None and is_number else ""

    def _value(self, valid: bytes, names: tuple[str, ...]) -> Any:
        span = locate(valid, names, lambda place: place)
        return span.value() if span is not None else ABSENT

    def _begin_alone(self, offset: int, number: int, key: str = "") -> Exchange:
        self._exchanges += 1
        return Exchange(self._exchanges - 1, key, offset, number, Framer(self._max_event_bytes))

    def _begin(self, key: str, offset: int, number: int) -> Exchange:
        if len(self._open) >= _MAX_OPEN:
            self._close(next(iter(self._open.values())))
        exchange = self._open[key] = self._begin_alone(offset, number, key)
        return exchange

    def _fail(self, error: JsonError, offset: int, number: int, end: bytes) -> None:
        """Tells that a line is no JSON."""
        position = error.position
        if error.too_deep:
            kind, reason = "too_deep", f"nested deeper than 512 levels at byte {position} of the line"
        elif end:
            kind, reason = "invalid_json", f"invalid JSON at byte {position} of the line: {error.message}"
        else:
            reason = f"the source ends inside a line, at byte {position} of it: {error.message}"
            kind = "truncated"
        self._lost_outside(kind, reason, offset, number, position)

    # --- bodies

    def _body(self, exchange: Exchange, span: Span, number: int, *, broken: bool, at_end: bool) -> None:
        """What a line has of a body."""
        first = span.data[span.start : span.start + 1]
        if first == b'"':
            raw = span.data[span.start + 1 : span.end - span.whole]
            outer, start = span.at, span.start + 1
            places = Places(raw, lambda place: outer(start + place))
            text = unescaped(raw)
            begins = text.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)[:1]
            if begins and begins in b"{[" and exchange.framer.is_between_events():
                self._json(text, places.at, number, at_end=True)
            else:
                # (Of a body in pieces it is known at its end alone which was the last.)
                mark = None if self._reads else _MARK.search(text, max(len(text) - _MOST_MARK, 0))
                if mark is not None:
                    exchange.mark = (mark[0], places.at(mark.start()), number)
                    text = text[: mark.start()]
                self._events_of(exchange, text, places, number)
        elif first == b"{" or first == b"[":
            if span.whole or first == b"[":
                outer, start = span.at, span.start
                self._json(span.text(), lambda place: outer(start + place), number, at_end=at_end, told=broken)
        elif (value := span.value()) is not ABSENT and value is not None:
            reason = f"line {number}: {self._field} is a JSON {kind_of(value)}, expected text"
            self._lost("wrong_format", reason, span.at(span.start), number)

    def _events_of(self, exchange: Exchange, text: bytes, places: Places, number: int) -> None:
        """Some more server-sent events."""
        if not text:
            return
        framer = exchange.framer
        if not framer.consumed:
            exchange.first = (places.at(0), number)
        exchange.places = (framer.consumed, places, number)
        frames = framer.feed(text)
        if framer.late_bytes:
            self._bytes[exchange.last] += framer.late_bytes
            framer.late_bytes = 0

        if frames:
            self._last = exchange.last
            self._take([self._moved(frame, exchange.place(frame[1])) for frame in frames])
            exchange.last = self._last
        places_open = framer.open_places(_BEGUN, _MOST_MARK)
        exchange.open_places = {offset: exchange.place(offset) for offset in places_open}

    def _moved(self, frame: Frame, place: tuple[int, int]) -> Frame:
        """An event with its place in the log."""
        data, _, _, _, *rest = frame
        event = self._events
        self._events += 1
        return (data, *place, event, *rest)  # type: ignore[return-value]

    def _end_exchange(self, exchange: Exchange) -> None:
        """Ends a body: its open event, and the mark of one that was clipped."""
        framer = exchange.framer
        if (cut := framer.cut_off(_MARK, _MOST_MARK) if self._reads else None) is not None:
            exchange.mark = (cut[0], *exchange.place(cut[1]))
        self._last_kind = ""
        frame = framer.finish(self._strict)
        if frame is not None:
            self._take_one(self._moved(frame, exchange.place(frame[1])), at_end=True)
        self._tell_foreign(framer, *exchange.first, self._events)
        if exchange.mark is not None:
            text, *place = exchange.mark
            self._bytes[DAMAGE] += len(text)
            if self._last_kind != "truncated":
                reason = f"the body was clipped: it ends in {text.strip(SPACE).decode('utf-8', 'replace')!r}"
                self._lost_outside("truncated", reason, *place)
        self._comments += framer.comments
        self._comment_bytes += framer.comment_bytes
        self._skipped_bytes += framer.skipped_bytes
        self._dropped_bytes += framer.dropped_bytes

    def _close(self, exchange: Exchange) -> None:
        """Ends an exchange of several lines."""
        del self._open[exchange.key]
        self._exchanges_sink.exchange(exchange)
        self._end_exchange(exchange)
        self._exchanges_sink.end(exchange)
        self._exchanges_sink.exchange(None)

    def _end(self) -> None:
        for exchange in sorted(self._open.values(), key=lambda exchange: exchange.number):
            self._close(exchange)
