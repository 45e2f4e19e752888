"""Which reader a log has: its format in, a reader out; where the format is to be recognised, once it is certain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chunkwire._blocks import CompressedDamage
from chunkwire._logs._chunks import ChunksReader
from chunkwire._logs._early import begins_json, early, fits
from chunkwire._logs._exchanges import ExchangesReader
from chunkwire._logs._recognise import HEAD_BYTES, Recognised, recognise
from chunkwire._options import Options
from chunkwire._stats import Damage, Stats
from chunkwire._verdicts import ChunkReader, Sink

__all__ = ["Log", "NeedsConversion", "Sinks", "reader_of"]


class NeedsConversion(ValueError):
    """The source is a file of another format, which is read once it is converted to JSON lines."""

    def __init__(self, format: str) -> None:
        super().__init__(f"the source is in format {format!r}, and is not read by itself: say format={format!r}")
        self.format = format


class _ForeignReader(ChunkReader):
    """Reads what begins as JSON does, but holds no streams that were found."""

    def __init__(self, sink: Sink, options: Options, name: str | None, why: str) -> None:
        super().__init__(sink, options, name)
        self._more = f"; {why}"
        if why.startswith("no member"):
            self._more += "; field= (--field) names the one that does"


@dataclass(slots=True)
class Sinks:
    """Who takes what readers find; both are asked for whenever one begins."""

    plain: Callable[[], Any]  #: makes who takes what is in one source
    exchanges: Callable[[], Any]  #: makes who takes what is in many
    turned: Callable[[], None] = lambda: None  #: is called between two files of one log


def reader_of(sinks: Sinks, options: Options, name: str | None) -> Any:
    """A reader for a source of this name; its ``sink`` is what was made."""
    log = Log(sinks, options, name)
    return log.reader or log


class Log:
    """A log that is read as its format wants, as soon as that is certain. It may go on in other files: then its
    beginning is that of all of it."""

    def __init__(self, sinks: Sinks, options: Options, name: str | None) -> None:
        self._sinks = sinks
        self._options = options
        self._name = name
        self._before = Stats()  # what was counted in files that have ended
        # A decoder that is told of nothing yet says so as the plain one does.
        self._nothing = ChunkReader(None, options, name)  # type: ignore[arg-type]
        self._start()

    def _start(self) -> None:
        self.reader: Any = None  #: reads, once the format is known
        self.found: Recognised | None = None  #: the format, once it is known
        self._last: tuple[Recognised, Any] | None = None  # of the file before, if they may serve
        self._head = bytearray()
        self._seen = 0  # so much of the head is only to recognise the log by
        self._turns: list[int] = []  # where in the head other files begin
        self._asked = self._asked_fits = 0  # how much of it there was when it was last asked what it is
        self._is_json = False
        if self._options.leaves_nothing:
            self._begin(recognise(b"", self._options))

    @property
    def sink(self) -> Any:
        return self._decided().sink

    @property
    def is_waiting(self) -> bool:
        """Is the format not known yet?"""
        return self.reader is None

    def look(self, head: bytes) -> None:
        """What the log begins with, where that was read before: it is recognised by it."""
        if self.reader is None and not self._head:
            self._head += head[:HEAD_BYTES]
            self._seen = len(self._head)

    def feed(self, data: bytes) -> None:
        """Takes a piece of the source."""
        if self.reader is not None:
            self.reader.feed(data)
            return
        self._head += data
        # What begins as JSON is told by whole lines.
        if not self._is_json or b"\n" in data or len(self._head) >= HEAD_BYTES:
            self._decide()

    def finish(self) -> None:
        """The end of the source."""
        self._decided().finish()

    def turn(self) -> None:
        """This file ends, and the log goes on in another one, whose places are counted anew: exchanges that were read
        in pieces go on as well."""
        if self.reader is None:
            if len(self._head) <= (self._turns[-1] if self._turns else self._seen):
                return
            self._turns.append(len(self._head))
            self._decide_at_turn()
            if self.reader is None:
                return
        else:
            self._turn()
        if self._options.format in ("auto", "jsonl"):
            assert self.found is not None
            self._last, self.reader = (self.found, self.reader), None
            self._asked = self._asked_fits = 0
            self._is_json = False

    def restart(self) -> None:
        """Behind the end, at the start of another log. The counts go on."""
        self._before = self.stats()
        self._start()
        self._sinks.turned()

    def stats(self) -> Stats:
        """What was counted so far."""
        if self.reader is None:
            stats = self._nothing.stats() if self._last is None else self._last[1].stats()
            stats.bytes += len(self._head) - self._seen
        else:
            stats = self.reader.stats()
        found: Stats = self._before + stats
        return found

    def peek(self, sinks: Sinks) -> Stats | None:
        """What is not recognised yet goes to other sinks, as if nothing followed, as far as it is whole. Gives its
        counts, or None if there is nothing."""
        if self.reader is not None or self._last is not None or not self._head:
            return None
        other = Log(sinks, self._options, self._name)
        other._before, other._seen, other._turns = self._before, self._seen, self._turns.copy()
        other._head += self._head
        try:
            other._decided()
        except NeedsConversion:
            return None
        return other.stats()

    def count_damage(self, *damage: Any) -> Damage:
        """Counts a damage."""
        found: Damage = self._decided().count_damage(*damage)
        return found

    def count_compressed_damage(self, error: CompressedDamage) -> Damage:
        """Counts that a compressed source breaks off here."""
        found: Damage = self._decided().count_compressed_damage(error)
        return found

    def _decide(self) -> None:
        """Decides how to read the log, if that is certain."""
        head = self._text()
        fit = None
        if self._last is not None:
            fit, self._asked_fits = fits(head, self._last[0], self._asked_fits)
            if fit:
                self._go_on()
                return
        found, self._asked = early(head, self._options, self._asked)
        if found is None:
            self._is_json = begins_json(head)
            return
        # Behind a file, what is no JSON says for certain what it is only if it begins as events do.
        if self._last is None or fit is False or found.format != "sse" or len(head) >= HEAD_BYTES:
            self._read_as(found, fit)

    def _decide_at_turn(self) -> None:
        """Decides how to read files that have ended, each by itself: only whether lines are exchanges or reads, and
        what the first file is, the next ones may tell."""
        self._decide()
        if self.reader is None and self._last is not None:
            found, fit = self._at_end()
            if fit or found.format != "exchanges":
                self._read_as(found, fit)

    def _decided(self) -> Any:
        if self.reader is None:
            self._read_as(*self._at_end())
        return self.reader

    def _at_end(self) -> tuple[Recognised, bool | None]:
        """What the log is if nothing follows, and whether this file goes on with the one before."""
        head = self._text()
        fit = fits(head, self._last[0], 0, at_end=True)[0] if self._last is not None else None
        return recognise(head, self._options), fit

    def _read_as(self, found: Recognised, fit: bool | None) -> None:
        """What nothing was found in is read as the file before, unless it is clear that it is none like that."""
        if self._last is not None and (fit or (found.format == "sse" and fit is None)):
            self._go_on()
            return
        if self._last is not None:
            _, reader = self._last
            reader.finish()  # its files have ended, but not exchanges that were read in pieces
            self._before += reader.stats()
            self._last = None
        self._begin(found)

    def _go_on(self) -> None:
        assert self._last is not None
        (self.found, self.reader), self._last = self._last, None
        self._take_head()

    def _begin(self, found: Recognised) -> None:
        self.reader = self._reader(found)
        self.found = found
        self._take_head()

    def _reader(self, found: Recognised) -> ChunkReader:
        sinks, options, name = self._sinks, self._options, self._name
        if found.format in ("har", "vcr"):
            raise NeedsConversion(found.format)
        if found.format == "chunks":
            return ChunksReader(sinks.plain(), options, name)
        if found.format in ("exchanges", "reads"):
            return ExchangesReader(sinks.exchanges(), options, name, found)
        if found.why.startswith("no member") or " was wanted, but " in found.why:
            return _ForeignReader(sinks.plain(), options, name, found.why)
        return ChunkReader(sinks.plain(), options, name)

    def _take_head(self) -> None:
        """Reads what was held."""
        head, turns, at = bytes(self._head), self._turns, self._seen
        self._head, self._turns, self._seen = bytearray(), [], 0
        for turn in turns:
            self.reader.feed(head[at:turn])
            self._turn()
            at = turn
        if at < len(head):
            self.reader.feed(head[at:])

    def _turn(self) -> None:
        if isinstance(self.reader, ExchangesReader) and self.reader.is_in_pieces:
            self.reader.turn()
        else:
            assert self.found is not None
            self.reader.finish()
            self._before += self.reader.stats()
            self.reader = self._reader(self.found)
        self._sinks.turned()

    def _text(self) -> bytes:
        """The beginning of the log. (A line does not go on in another file: who feeds it has seen to that.)"""
        if not self._turns:
            return bytes(self._head)
        places = [0, *self._turns, len(self._head)]
        pieces = [bytes(self._head[start:end]) for start, end in pairwise(places)]
        return b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces[:-1]) + pieces[-1]
