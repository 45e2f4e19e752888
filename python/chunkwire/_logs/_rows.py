"""The rows of a log that is fed, for the Python engine: what readers find in, all streams out at any time."""

from __future__ import annotations

from chunkwire._logs._sinks import ExchangeRows
from chunkwire._streams import Row, Tracker, Wrong

__all__ = ["Rows"]


class Rows:
    """What is known of all streams of a log so far, in however many files and formats it came."""

    def __init__(self) -> None:
        self._source = 0  # which file it is
        self._plain = Tracker()
        self._before: list[Tracker] = []  # of files before those with exchanges
        self._exchanges: ExchangeRows | None = None

    def plain(self) -> Tracker:
        """Who takes what is one source."""
        return self._plain

    def of_exchanges(self) -> ExchangeRows:
        """Who takes what is many, each with streams of its own."""
        if self._exchanges is None:
            self._exchanges = ExchangeRows(measures=False)
            self._exchanges.source = self._source
        if self._plain.begun:
            self._before.append(self._plain)
            self._plain = Tracker()
            self._plain.source = self._source
        return self._exchanges

    def turned(self) -> None:
        """Another file begins."""
        self._source += 1
        self._plain.source = self._source
        if self._exchanges is not None:
            self._exchanges.next_source()

    def copy(self) -> Rows:
        """The same, to be finished while this goes on."""
        other = Rows()
        other._source = self._source
        other._plain = self._plain.copy()
        other._before = [tracker.copy() for tracker in self._before]
        other._exchanges = self._exchanges.copy() if self._exchanges is not None else None
        return other

    def unfinished(self) -> int:
        """How many streams have begun and not ended."""
        return self._plain.unfinished() + (self._exchanges.unfinished() if self._exchanges is not None else 0)

    def finish(self) -> tuple[list[Row], Wrong]:
        """Ends all streams, as `Tracker.finish` does."""
        if self._exchanges is None:
            return self._plain.finish()
        rows: list[Row] = []
        wrong: Wrong = []
        for tracker in (*self._before, self._plain):
            if tracker.begun:
                rows += tracker.finished()
            wrong += tracker.wrong
        more, others = self._exchanges.finish()
        rows += more
        wrong += others
        rows.sort(key=lambda row: (row.source, row.offset))
        return rows, wrong
