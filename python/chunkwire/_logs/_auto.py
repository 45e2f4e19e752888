"""Which reader a log has: its format in, a reader out; where the format is to be recognised, once it is certain."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from chunkwire._blocks import CompressedDamage
from chunkwire._logs._chunks import ChunksReader
from chunkwire._logs._early import Told, begins_json, early, fits
from chunkwire._logs._exchanges import ExchangesReader
from chunkwire._logs._recognise import FORMATS, HEAD_BYTES, Recognised, recognise
from chunkwire._stats import Damage, Stats
from chunkwire._verdicts import ChunkReader

__all__ = ["Log", "NeedsConversion", "log_of", "reader_of"]


class NeedsConversion(ValueError):
    """The source is a file of another format, which is read once it is converted to JSON lines."""

    def __init__(self, format: str) -> None:
        super().__init__(f"the source is in format {format!r}, and is not read by itself: say format={format!r}")
        self.format = format


class _ForeignReader(ChunkReader):
    """Reads what begins as JSON does, but holds no streams that were found."""

    def __init__(self, *arguments: Any, why: str) -> None:
        super().__init__(*arguments)
        self._more = f"; {why}"
        if why.startswith("no member"):
            self._more += "; field= (--field) names the one that does"


class _Options:
    """How to make a reader: the sinks, for a source and for exchanges, and what all readers want to know; and whom to
    tell that another file begins."""

    def __init__(
        self,
        sink: Callable[[], Any],
        exchanges: Callable[[], Any],
        arguments: tuple[Any, ...],
        keep: tuple[str, ...],
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self.sink = sink
        self.exchanges = exchanges
        self.arguments = arguments  # strict, max_event_bytes, source
        self.keep = keep
        self.turned = turned

    def reader(self, found: Recognised) -> ChunkReader:
        if found.format in ("har", "vcr"):
            raise NeedsConversion(found.format)
        if found.format == "chunks":
            return ChunksReader(self.sink(), *self.arguments)
        if found.format in ("exchanges", "reads"):
            assert found.field is not None
            return ExchangesReader(
                self.exchanges(),
                *self.arguments,
                field=found.field,
                reads=found.format == "reads",
                id_field=found.id_field,
                time_field=found.time_field,
                keep=self.keep,
            )
        if found.why.startswith("no member") or " was wanted, but " in found.why:
            return _ForeignReader(self.sink(), *self.arguments, why=found.why)
        return ChunkReader(self.sink(), *self.arguments)


def reader_of(sink: Callable[[], Any], exchanges: Callable[[], Any], arguments: tuple[Any, ...], **told: Any) -> Any:
    """A reader for a source of this format. ``sink`` makes who takes what is in one source, ``exchanges`` who takes
    what is in many; the reader's ``sink`` is what was made. ``told`` is that of `log_of`."""
    log = log_of(sink, exchanges, arguments, **told)
    return log.reader or log


def log_of(
    sink: Callable[[], Any],
    exchanges: Callable[[], Any],
    arguments: tuple[Any, ...],
    *,
    format: str,
    field: str | None,
    id_field: str | None,
    time_field: str | None,
    keep: tuple[str, ...] = (),
    turned: Callable[[], None] = lambda: None,
) -> Log:
    """A log of this format, or of one that is found out, which may go on in other files. The sinks are asked for
    whenever one begins, ``turned`` is called between two."""
    options = _Options(sink, exchanges, arguments, tuple(keep), turned)
    return Log(options, Told(format, field, id_field, time_field))


class Log:
    """A log that is read as its format wants, as soon as that is certain. It may go on in other files: then its
    beginning is that of all of it."""

    def __init__(self, options: _Options, told: Told) -> None:
        if told.format not in ("auto", "jsonl", *FORMATS):
            raise ValueError(f"format: {told.format!r} is none")
        self._options = options
        self._told = told
        self._before = Stats()  # what was counted in files that have ended
        # A decoder that is told of nothing yet says so as the plain one does.
        self._nothing = ChunkReader(None, *options.arguments)  # type: ignore[arg-type]
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
        if self._told.leaves_nothing:
            self._begin(recognise(b"", *self._told))

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
            if len(self._head) > (self._turns[-1] if self._turns else self._seen):
                self._turns.append(len(self._head))
            return
        self._turn()
        if self._told.format in ("auto", "jsonl"):
            assert self.found is not None
            self._last, self.reader = (self.found, self.reader), None
            self._asked = self._asked_fits = 0
            self._is_json = False

    def restart(self) -> None:
        """Behind the end, at the start of another log. The counts go on."""
        self._before = self.stats()
        self._start()
        self._options.turned()

    def stats(self) -> Stats:
        """What was counted so far."""
        if self.reader is None:
            stats = self._nothing.stats() if self._last is None else self._last[1].stats()
            stats.bytes += len(self._head) - self._seen
        else:
            stats = self.reader.stats()
        found: Stats = self._before + stats
        return found

    def peek(self, sink: Callable[[], Any], exchanges: Callable[[], Any], turned: Callable[[], None]) -> Stats | None:
        """What is not recognised yet goes to other sinks, as if nothing followed, as far as it is whole. Gives its
        counts, or None if there is nothing."""
        if self.reader is not None or self._last is not None or not self._head:
            return None
        arguments = self._options.arguments
        other = Log(_Options(sink, exchanges, arguments, self._options.keep, turned), self._told)
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
        found, self._asked = early(head, self._told, self._asked)
        if found is None:
            self._is_json = begins_json(head)
            return
        # Behind a file, what is no JSON says for certain what it is only if it begins as events do.
        if self._last is None or fit is False or found.format != "sse" or len(head) >= HEAD_BYTES:
            self._read_as(found, fit)

    def _decided(self) -> Any:
        if self.reader is None:
            head = self._text()
            fit = fits(head, self._last[0], 0, at_end=True)[0] if self._last is not None else None
            self._read_as(recognise(head, *self._told), fit)
        return self.reader

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
        self.reader = self._options.reader(found)
        self.found = found
        self._take_head()

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
            self.reader = self._options.reader(self.found)
        self._options.turned()

    def _text(self) -> bytes:
        """The beginning of the log. (A line does not go on in another file: who feeds it has seen to that.)"""
        if not self._turns:
            return bytes(self._head)
        places = [0, *self._turns, len(self._head)]
        pieces = [bytes(self._head[start:end]) for start, end in pairwise(places)]
        return b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces[:-1]) + pieces[-1]
