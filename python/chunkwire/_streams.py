"""Chunks in the order of a source in, one row for each stream out: the Python engine's twin of the room `stream`.

A stream is all chunks of one response. It ends at `[DONE]`, or where a chunk with another id begins once it has
finished; logs interleave streams, and then the id tells them apart. What servers do to ids, and what follows from it,
is said at `Tracker._row_of_id`.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from chunkwire._json import kind_of
from chunkwire._reported import (
    Times,
    cost_beside_usage,
    either,
    times_beside_usage,
)
from chunkwire._stats import Damage
from chunkwire._written import written

__all__ = ["Row", "Tracker", "Wrong", "integer"]

#: At most this many streams can be interleaved; beyond it those that were silent longest are closed.
_MAX_OPEN = 4096
#: Choice indexes are kept as bits; the last one stands for all that are larger.
_LAST_INDEX = 63
_INT64 = range(-(2**63), 2**63)

#: Usage that is not as it should be: the reasons, each with its place.
Wrong = list[tuple[str, tuple[int, int, int]]]


class Row:
    """What is known of a stream."""

    __slots__ = (
        "began",
        "chunks",
        "cost",
        "created",
        "deltas",
        "done",
        "error",
        "finish_index",
        "finish_reason",
        "finished",
        "first_content",
        "first_seq",
        "id",
        "is_open",
        "kept",
        "last_content",
        "last_seq",
        "malformed",
        "model",
        "number",
        "offset",
        "parent",
        "parts",
        "seen",
        "source",
        "text_bytes",
        "times",
        "truncated",
        "usage",
        "usage_place",
        "usage_seq",
        "waiting_since",
    )

    def __init__(self, offset: int, seq: int, number: int) -> None:
        self.number = number  # see `Tracker.number`
        self.id: str | None = None  # its first id that is not empty
        self.model: str | None = None  # its first model that is not empty
        self.created = 0  # its first creation time that is not zero
        self.chunks = 0
        self.offset = offset
        self.source = 0  # in which one of several files one behind the other it began
        self.finish_reason: str | None = None  # the last one of the choice with the smallest index
        self.finish_index = _LAST_INDEX + 1
        self.usage: dict[str, Any] | None = None  # the last usage object
        self.usage_place = (0, 0, 0)  # offset, line and number of the event that carried it
        self.usage_seq = 0
        self.cost = math.nan  # the last cost that was sent outside a usage object
        self.times: Times = (None, None)  # the last times that were sent outside a usage object
        self.deltas = 0  # those that carry text, if that is measured
        self.text_bytes = 0
        self.seen = 0  # choice indexes seen, as bits
        self.finished = 0  # choice indexes finished, as bits
        self.first_seq = self.last_seq = seq
        self.waiting_since: int | None = None  # in `Tracker._waiting`, by this number
        self.is_open = True
        self.done = False
        self.error = False
        self.malformed = False
        self.truncated = False
        # What a log says of its exchange: what is kept of it; the times of its beginning and of chunks with content.
        self.kept: list[Any] | None = None
        self.began: float | None = None
        self.first_content: float | None = None
        self.last_content: float | None = None
        self.parent: Row | None = None  # the row that this one may be a part of, under another id
        self.parts: list[Row] = []

    def has_finished(self) -> bool:
        return self.finished != 0 and not self.seen & ~self.finished

    def status(self) -> str:
        if self.error:
            return "error"
        if self.malformed:
            return "malformed"
        if self.truncated:
            return "truncated"
        if self.done:
            return "complete" if self.chunks else "empty"
        return "no_done" if self.has_finished() else "truncated"

    def absorb(self, later: Row) -> None:
        """Takes over what a later part of the same stream, under another id, brought."""
        self.chunks += later.chunks
        self.model = self.model or later.model
        self.created = self.created or later.created
        if later.finish_reason is not None and later.finish_index <= self.finish_index:
            self.finish_index = later.finish_index
            self.finish_reason = later.finish_reason
        if later.usage is not None and (self.usage is None or later.usage_seq > self.usage_seq):
            self.usage, self.usage_place, self.usage_seq = later.usage, later.usage_place, later.usage_seq
        if not math.isnan(later.cost):
            self.cost = later.cost
        self.times = either(later.times, self.times)
        if later.first_content is not None:
            self.first_content = later.first_content if self.first_content is None else self.first_content
            self.last_content = later.last_content
        self.deltas += later.deltas
        self.text_bytes += later.text_bytes
        self.seen |= later.seen
        self.finished |= later.finished
        self.done |= later.done
        self.error |= later.error
        self.malformed |= later.malformed
        self.truncated |= later.truncated


class Tracker:
    """Sorts the chunks of one source into streams."""

    def __init__(self, *, numbers_only: bool = False, measures: bool = False, early: bool = False) -> None:
        #: Rows are not asked for, so what chunks report is left where it is.
        self._numbers_only = numbers_only
        self._measures = measures
        self._rows: list[Row] = []
        #: Rows that may have become final, where that is asked for. (Who asks keeps the rows.)
        self.news: list[Row] | None = [] if early else None
        #: Usage that cannot be read: reason, and offset, line and number of the event.
        self.wrong: list[tuple[str, tuple[int, int, int]]] = []
        # Rows that can still get chunks: those with an id by it, and all of them.
        self._open: dict[str, Row] = {}
        self._open_rows: dict[Row, None] = {}
        # Open rows that have finished, by the number of their last item, and these numbers.
        self._waiting: list[Row] = []
        self._waiting_seqs: list[int] = []
        self._current: Row | None = None  # the row of the last chunk, while it is open
        self._ended: Row | None = None  # the row that the last [DONE] ended
        self._last: Row | None = None  # the row of the last chunk
        self._begun = 0  # how many streams have begun
        self._seq = 0  # running number of chunks, errors, losses and [DONE]s
        self.source = 0  #: which file it is, of several one behind the other
        self._first_loss: int | None = None

    def chunk(self, sent: dict[str, Any], _: bytes, offset: int, line: int, event: int) -> Row:
        """Takes a chunk, and gives its row."""
        self._seq += 1
        row = self._current
        chunk_id = sent.get("id")
        if isinstance(chunk_id, str) and chunk_id:
            if row is None or row.id != chunk_id or row.parts:
                row = self._row_of_id(chunk_id, sent, offset)
        elif row is None:
            row = self._ended
            if row is None or chunk_id is not None or _has_choices(sent):
                row = self._begin(offset)
        if row.is_open:
            self._current = row
        self._last = row
        self._add(row, sent, (offset, line, event))
        return row

    def completion(self, sent: dict[str, Any], _: bytes, offset: int, line: int, event: int) -> Row:
        """Takes a finished completion, and gives its row: a stream of its own, which is over at once."""
        self._seq += 1
        row = Row(offset, self._seq, self._begun)
        row.source = self.source
        self._begun += 1
        if self.news is not None:
            self._rows.clear()
        self._rows.append(row)
        row.is_open = False
        self._add(row, sent, (offset, line, event))
        row.done = True
        name = sent.get("id")
        row.id = name if isinstance(name, str) and name else None
        self._last = row
        self._tell(row)
        return row

    def done(self, offset: int) -> Row | None:
        """Takes a `[DONE]`, and gives the row that it ends, if there is one."""
        self._seq += 1
        row = self._row_to_end()
        if row is not None:
            row.done = True
            self._close(row)
            before, self._ended = self._ended, row
            if before is not None:
                self._tell(before)
        elif not self._rows:
            row = self._begin(offset)
            row.done = True
            self._close(row)
        return row

    def server_error(self, _: Any, offset: int, line: int, event: int) -> Row:
        """Takes an error that the server sent, and gives its row."""
        self._seq += 1
        row = self._current
        if row is None or row.error:
            row = self._begin(offset)
        row.error = True
        row.last_seq = self._seq
        if row.finished:
            self._note_finished(row)
        return row

    def damage(self, damage: Damage) -> None:
        """Takes damage by which an event was lost; other damage takes no part."""
        if damage.kind in ("invalid_utf8", "wrong_type"):
            return
        self._seq += 1
        if self._first_loss is None:
            self._first_loss = damage.offset
        if damage.kind in ("not_a_chunk", "not_a_stream", "wrong_format"):
            return
        row = self._current or self._begin(damage.offset)
        if damage.kind == "truncated":
            row.truncated = True
        else:
            row.malformed = True

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events: it harms the open stream, or else tells that there was one."""
        if self._current is not None or not self._begun:
            self.damage(damage)

    @property
    def begun(self) -> int:
        """How many streams have begun."""
        return self._begun

    def number(self) -> int:
        """The number of the stream that the last chunk belongs to, as far as can be told now: how many began before.

        A part under another id counts to the stream that it continues; where it turns out to be a stream of its own, it
        gets the next number from there on. Where none does, the numbers are those of the rows.
        """
        return self._last.number if self._last is not None else -1

    def forget(self) -> None:
        """Forgets the rows that can get no more chunks, for who wants numbers and no rows."""
        del self._rows[:-1]
        self.wrong.clear()
        for row in self._open_rows:
            # What is between two open rows can no longer turn out to be another stream, but for the upper one's part.
            parent = row.parent
            while parent is not None and not (parent.is_open or (parent.parent and parent.parent.is_open)):
                parent = parent.parent
            if parent is not row.parent:
                row.parent = parent
                if parent is not None:
                    parent.parts = [row]

    def unfinished(self) -> int:
        """How many streams have begun and not ended: no `[DONE]` yet, and choices that have not finished."""
        return sum(not row.has_finished() for row in self._open_rows)

    def copy(self) -> Tracker:
        """Another tracker with these rows, to be finished while this one goes on."""
        other = Tracker(measures=self._measures)
        rows = {row: copy.copy(row) for row in self._rows}
        for row in rows.values():
            row.parent = rows[row.parent] if row.parent else None
        other._rows = list(rows.values())
        other.wrong = self.wrong.copy()
        other._first_loss, other._begun, other.source = self._first_loss, self._begun, self.source
        return other

    def finish(self) -> tuple[list[Row], Wrong]:
        """Ends all streams: their rows, and the usage that is not as it should be."""
        return self.finished(), self.wrong

    def finished(self) -> list[Row]:
        """Ends all streams, and gives their rows."""
        if not self._rows and self._first_loss is not None:
            self._begin(self._first_loss).malformed = True
        # A part begins after the stream it belongs to: from the back, each is whole before it is taken over.
        for row in reversed(self._rows):
            if row.parent is not None:
                row.parent.absorb(row)
        return [row for row in self._rows if row.parent is None]

    def take_final(self) -> tuple[list[Row], list[tuple[Row, Row]]]:
        """The streams that have become final since the last time, in the order in which they began; and which row has
        taken in which, in the order in which their chunks came.

        A row is final once it is closed and no longer the one that the last `[DONE]` ended, behind which usage may
        come. From then on nothing parts it from the row that continues it under another id, and the two are made one.
        A stream is final when that has been done to the last.
        """
        news, self.news = self.news or [], []
        found: dict[Row, None] = {}
        joined: list[tuple[Row, Row]] = []
        # From the front, each row finds those that it continues taken in already.
        for row in sorted(news, key=_beginning):
            while row.parent is not None and self._is_final(row):
                row = row.parent
            if self._is_final(row) and self._join_parts(row, joined):
                found[row] = None
        return sorted(found, key=_beginning), joined

    def take_left(self, rows: Iterable[Row]) -> tuple[list[Row], list[tuple[Row, Row]]]:
        """The same for the streams of these rows, which are what is left at the end of the source."""
        found = sorted((row for row in rows if row.parent is None), key=_beginning)
        joined: list[tuple[Row, Row]] = []
        for row in found:
            self._join_parts(row, joined, at_end=True)
        return found, joined

    def _join_parts(self, row: Row, joined: list[tuple[Row, Row]], *, at_end: bool = False) -> bool:
        """Takes the parts of a stream in, one after the other, as far as they are final. Are all?"""
        while row.parts:
            (part,) = row.parts
            if not (at_end or self._is_final(part)):
                return False
            row.absorb(part)
            row.parts, part.parts = part.parts, []
            for other in row.parts:
                other.parent = row
            joined.append((row, part))
        return True

    def _is_final(self, row: Row) -> bool:
        """Will this row get no more chunks?"""
        return not row.is_open and row is not self._ended

    def _tell(self, row: Row) -> None:
        """Notes that a row may have become final, or a stream of its own."""
        if self.news is not None:
            self.news.append(row)

    def _begin(self, offset: int) -> Row:
        if len(self._open_rows) >= _MAX_OPEN:
            for silent in sorted(self._open_rows, key=lambda row: row.last_seq)[: _MAX_OPEN // 2]:
                self._close(silent)
        row = Row(offset, self._seq, self._begun)
        row.source = self.source
        self._begun += 1
        if self.news is not None:
            self._rows.clear()
        self._rows.append(row)
        self._open_rows[row] = None
        self._current = row
        return row

    def _close(self, row: Row) -> None:
        row.is_open = False
        del self._open_rows[row]
        if row.id is not None:
            del self._open[row.id]
        self._forget_waiting(row)
        if self._current is row:
            self._current = None
        self._tell(row)

    def _set_id(self, row: Row, chunk_id: str) -> None:
        row.id = chunk_id
        self._open[chunk_id] = row

    def _row_of_id(self, chunk_id: str, sent: dict[str, Any], offset: int) -> Row:
        """The row to which a chunk with an id belongs.

        - An id that was seen in an open row belongs there: that tells interleaved streams apart.
        - A chunk behind `[DONE]` with the same id and no choice belongs to what `[DONE]` ended.
        - A new id begins a new row, but for these two: Azure's first chunk has the id `""`, so a row without id takes
          the first that comes. And while the last row has not finished, and the chunk does not begin a message (no
          role), the server may just have changed the id inside a stream: then the new row is a part of the last one,
          until the old id comes again and shows that they were two.
        """
        row = self._open.get(chunk_id)
        if row is not None:
            for part in row.parts:
                part.parent = None
                self._renumber(part)
                self._tell(part)
            row.parts = []
            return row
        row = self._ended
        if row is not None and row.id == chunk_id and not _has_choices(sent):
            return row
        parent = None
        row = self._current
        if row is not None and not row.has_finished():
            if row.id is None:
                self._set_id(row, chunk_id)
                return row
            if not row.error and not _begins_a_message(sent):
                parent = row
        row = self._begin(offset)
        self._set_id(row, chunk_id)
        if parent is not None:
            row.parent = parent
            row.number = parent.number
            self._begun -= 1
            parent.parts.append(row)
        return row

    def _renumber(self, part: Row) -> None:
        """A part turned out to be a stream of its own, with the parts that continue it."""
        parts = [part]
        while parts:
            part = parts.pop()
            part.number = self._begun
            parts += part.parts
        self._begun += 1

    def _row_to_end(self) -> Row | None:
        """The row that `[DONE]` ends. It carries no id, so in an interleaved log it belongs to the stream that has
        finished and has waited longest, if that is not long ago."""
        row = self._current
        if row is not None and (row.error or row.has_finished()):
            return row
        unfinished = len(self._open_rows) - len(self._waiting)
        longest = bisect_left(self._waiting_seqs, self._seq - 2 * unfinished - 2)
        return self._waiting[longest] if longest < len(self._waiting) else row

    def _note_finished(self, row: Row) -> None:
        """Keeps the waiting rows in order after an item of ``row``."""
        self._forget_waiting(row)
        if row.is_open and row.has_finished():
            row.waiting_since = row.last_seq
            self._waiting.append(row)
            self._waiting_seqs.append(row.last_seq)

    def _forget_waiting(self, row: Row) -> None:
        if row.waiting_since is not None:
            place = bisect_left(self._waiting_seqs, row.waiting_since)
            del self._waiting[place], self._waiting_seqs[place]
            row.waiting_since = None

    def _add(self, row: Row, sent: dict[str, Any], place: tuple[int, int, int]) -> None:
        row.last_seq = self._seq
        row.chunks += 1
        if row.model is None:
            model = sent.get("model")
            if isinstance(model, str) and model:
                row.model = model
        if not row.created:
            row.created = integer(sent.get("created")) or 0
        if sent.get("error"):
            row.error = True
        choices = sent.get("choices")
        choice_usage = None
        if isinstance(choices, list):
            for choice in choices:
                if not isinstance(choice, dict):
                    continue
                index = min(max(integer(choice.get("index")) or 0, 0), _LAST_INDEX)
                row.seen |= 1 << index
                reason = choice.get("finish_reason")
                if isinstance(reason, str) and reason:
                    row.finished |= 1 << index
                    if index <= row.finish_index:
                        row.finish_index = index
                        row.finish_reason = reason
                choice_usage = _reported(choice.get("usage")) or choice_usage
        if row.finished:
            self._note_finished(row)
        if self._numbers_only:
            return
        usage = sent.get("usage")
        if usage is not None and not isinstance(usage, dict):
            self.wrong.append((f"usage is a JSON {kind_of(usage)}", place))
        extra = sent.get("x_groq")
        usage = _reported(usage) or (_reported(extra.get("usage")) if isinstance(extra, dict) else None) or choice_usage
        if usage:
            row.usage, row.usage_place, row.usage_seq = usage, place, self._seq
        if "cost" in sent:
            cost = cost_beside_usage(sent["cost"])
            if cost is not None:
                row.cost = cost
        row.times = either(times_beside_usage(sent), row.times)
        if self._measures:
            deltas, size = written(sent)
            row.deltas += deltas
            row.text_bytes += size


def _beginning(row: Row) -> int:
    """When it began. (Of exchanges that are read in pieces, what stands first may be complete last.)"""
    return row.first_seq


def _has_choices(sent: dict[str, Any]) -> bool:
    return bool(sent.get("choices"))


def _begins_a_message(sent: dict[str, Any]) -> bool:
    """Does the chunk say who speaks?"""
    choices = sent.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        role = delta.get("role") if isinstance(delta, dict) else None
        if isinstance(role, str) and role:
            return True
    return False


def _reported(usage: Any) -> dict[str, Any] | None:
    return usage if isinstance(usage, dict) and usage else None


def integer(value: Any) -> int | None:
    """A number without a fraction, written as integer or as float, that fits 64 bits."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value in _INT64 else None
