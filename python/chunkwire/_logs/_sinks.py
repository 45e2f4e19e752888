"""Exchanges in, each to a sink of its own: streams end with their exchange, and ids do not join across exchanges.

Each sink here is that of a whole log, for usage, for whole messages and for the numbers of streams.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from chunkwire._logs._exchanges import Exchange
from chunkwire._messages import Completions, WrongUsage
from chunkwire._stats import Damage
from chunkwire._streams import Row, Tracker, Wrong
from chunkwire._written import written

__all__ = ["ExchangeMessages", "ExchangeNumbers", "ExchangeRows"]


class ExchangeRows:
    """The rows of all exchanges, for `usage`."""

    def __init__(self, *, measures: bool) -> None:
        self._measures = measures
        self.source = 0  #: which file it is, of several one behind the other
        self._open: dict[Exchange, int] = {}  # in which file it began
        self._trackers: dict[Exchange, Tracker] = {}
        self._exchange: Exchange | None = None
        self._rows: list[Row] = []
        self._wrong: Wrong = []  # in the order in which it was found, whatever exchange it is of

    def exchange(self, exchange: Exchange | None) -> None:
        """What follows is of this one."""
        self._exchange = exchange
        if exchange is not None:
            self._open.setdefault(exchange, self.source)

    def end(self, exchange: Exchange) -> None:
        """This one has ended: its streams, or one row that says that there was none."""
        source = self._open.pop(exchange)
        tracker = self._trackers.pop(exchange, None) or Tracker()
        has_begun = tracker.begun
        rows = tracker.finished()
        if not rows:
            row = Row(exchange.offset, 0, 0)
            row.done = True
            rows.append(row)
        for row in rows:
            row.kept, row.began = exchange.kept, exchange.began
            if not has_begun:
                row.source = source
        self._rows += rows

    def next_source(self) -> None:
        """What follows stands in another file."""
        self.source += 1
        for tracker in self._trackers.values():
            tracker.source = self.source

    def copy(self) -> ExchangeRows:
        """The same, to be finished while this goes on."""
        other = ExchangeRows(measures=self._measures)
        other.source, other._open = self.source, self._open.copy()
        other._trackers = {exchange: tracker.copy() for exchange, tracker in self._trackers.items()}
        other._rows, other._wrong = self._rows.copy(), self._wrong.copy()
        for tracker in other._trackers.values():
            tracker.wrong = other._wrong
        return other

    def unfinished(self) -> int:
        """How many streams have begun and not ended."""
        return sum(tracker.unfinished() for tracker in self._trackers.values())

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a chunk."""
        exchange = self._exchange
        assert exchange is not None
        row = self._tracker().chunk(sent, raw, offset, line, event)
        if exchange.time is not None and written(sent)[0]:
            row.last_content = exchange.time
            if row.first_content is None:
                row.first_content = exchange.time

    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a finished completion."""
        self._tracker().completion(sent, raw, offset, line, event)

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        self._tracker().done(offset)

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        """Takes an error that the server sent."""
        self._tracker().server_error(body, offset, line, event)

    def damage(self, damage: Damage) -> None:
        """Takes damage; what is of no exchange is of no stream."""
        if self._exchange is not None:
            self._tracker().damage(damage)

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        if self._exchange is not None:
            self._tracker().damage_outside(damage)

    def finish(self) -> tuple[list[Row], Wrong]:
        """Ends all exchanges; gives the rows in their order, and what `Tracker.finish` gives beside them."""
        for exchange in sorted(self._open, key=lambda exchange: exchange.number):
            self.end(exchange)
        self._rows.sort(key=lambda row: (row.source, row.offset))
        return self._rows, self._wrong

    def _tracker(self) -> Tracker:
        exchange = self._exchange
        assert exchange is not None
        tracker = self._trackers.get(exchange)
        if tracker is None:
            tracker = self._trackers[exchange] = Tracker(measures=self._measures)
            tracker.source, tracker.wrong = self.source, self._wrong
        return tracker


class ExchangeMessages:
    """The whole messages of all exchanges, for `completions`."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._folding: dict[Exchange, Completions] = {}
        self._sink: Any = queue
        self._wrong = WrongUsage()
        self.chunk: Any = None
        self.exchange(None)

    def exchange(self, exchange: Exchange | None) -> None:
        """What follows is of this one."""
        sink = self._queue
        if exchange is not None:
            sink = self._folding.get(exchange)
            if sink is None:
                sink = self._folding[exchange] = Completions(self._queue, self._wrong)
        self.chunk, self.completion, self.done = sink.chunk, sink.completion, sink.done
        self.server_error = sink.server_error
        self.damage, self.damage_outside = sink.damage, sink.damage_outside

    def end(self, exchange: Exchange) -> None:
        """This one has ended: what its streams said is whole."""
        self._folding.pop(exchange).finish()

    def finish(self) -> Wrong:
        """The usage that is no object, as `Completions.finish` has it."""
        return self._wrong.told()


class ExchangeNumbers:
    """The number of each chunk's stream, for `batches`; all is passed on to another sink."""

    def __init__(self, sink: Any, streams: deque[int]) -> None:
        self.streams = streams
        self._sink = sink
        self._trackers: dict[Exchange, Tracker] = {}
        self._numbers: dict[Exchange, list[int]] = {}  # of each of its streams
        self._begun = 0
        self._exchange: Exchange | None = None

    def exchange(self, exchange: Exchange | None) -> None:
        """What follows is of this one."""
        self._exchange = exchange

    def end(self, exchange: Exchange) -> None:
        """This one has ended; one without streams has a number all the same, as it has a row."""
        tracker = self._trackers.pop(exchange, None)
        rows = len(tracker.finished()) if tracker is not None else 0
        self._begun += max(rows, 1) - len(self._numbers.pop(exchange, ()))

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a chunk."""
        self._number(self._tracker().chunk, sent, raw, offset, line, event)
        self._sink.chunk(sent, raw, offset, line, event)

    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a finished completion."""
        self._number(self._tracker().completion, sent, raw, offset, line, event)
        self._sink.completion(sent, raw, offset, line, event)

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        self._count(self._tracker().done, offset)

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        """Takes an error that the server sent."""
        self._count(self._tracker().server_error, body, offset, line, event)
        self._sink.server_error(body, offset, line, event)

    def damage(self, damage: Damage) -> None:
        """Takes damage."""
        if self._exchange is not None:
            self._count(self._tracker().damage, damage)
        self._sink.damage(damage)

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        if self._exchange is not None:
            self._count(self._tracker().damage_outside, damage)
        self._sink.damage(damage)

    def _number(self, take: Any, *found: Any) -> None:
        tracker = self._tracker()
        take(*found)
        # (A part of a stream that turns out to be another has begun, too, though its next chunk is still to come.)
        self.streams.append(self._begin(tracker.begun)[tracker.number()])

    def _count(self, take: Any, *found: Any) -> None:
        """Takes what may begin a stream that has no chunk yet."""
        take(*found)
        self._begin(self._tracker().begun)

    def _begin(self, count: int) -> list[int]:
        """The numbers of the exchange's streams, of which so many have begun."""
        assert self._exchange is not None
        numbers = self._numbers.setdefault(self._exchange, [])
        while len(numbers) < count:
            numbers.append(self._begun)
            self._begun += 1
        return numbers

    def _tracker(self) -> Tracker:
        exchange = self._exchange
        assert exchange is not None
        tracker = self._trackers.get(exchange)
        if tracker is None:
            tracker = self._trackers[exchange] = Tracker(numbers_only=True)
        return tracker
