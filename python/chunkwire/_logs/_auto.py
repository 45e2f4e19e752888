"""Which reader a log has: its format in, a reader out; where the format is to be recognised, once its head has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chunkwire._blocks import CompressedDamage
from chunkwire._logs._chunks import ChunksReader
from chunkwire._logs._exchanges import ExchangesReader
from chunkwire._logs._recognise import FORMATS, HEAD_BYTES, Recognised, recognise
from chunkwire._stats import Damage, Stats
from chunkwire._verdicts import ChunkReader

__all__ = ["NeedsConversion", "reader_of"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: What a cassette may begin with.
_CASSETTE = (b"interactions:", b"http_interactions:")
_DOCUMENT = (b"-", b"#", b"%")


class NeedsConversion(ValueError):
    """The source is a file of another format, which is read once it is converted to JSON lines."""

    def __init__(self, format: str) -> None:
        super().__init__(f"the source is in format {format!r}, and is not read by itself: say format={format!r}")
        self.format = format


class _ForeignReader(ChunkReader):
    """Reads what begins as JSON does, but holds no streams that were found."""

    def __init__(self, *arguments: Any, why: str) -> None:
        super().__init__(*arguments)
        self._json_guess += f"; {why}"
        if why.startswith("no member"):
            self._json_guess += "; field= (--field) names the one that does"


class _Options:
    """How to make a reader: the sinks, for a source and for exchanges, and what all readers want to know."""

    def __init__(
        self, sink: Callable[[], Any], exchanges: Callable[[], Any], arguments: tuple[Any, ...], keep: tuple[str, ...]
    ) -> None:
        self.sink = sink
        self.exchanges = exchanges
        self.arguments = arguments  # strict, max_event_bytes, source
        self.keep = keep

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
        if found.why.startswith(("no member", "format=")):
            return _ForeignReader(self.sink(), *self.arguments, why=found.why)
        return ChunkReader(self.sink(), *self.arguments)


def reader_of(
    sink: Callable[[], Any],
    exchanges: Callable[[], Any],
    arguments: tuple[Any, ...],
    *,
    format: str,
    field: str | None,
    id_field: str | None,
    time_field: str | None,
    keep: tuple[str, ...] = (),
) -> Any:
    """A reader for a source of this format. ``sink`` makes who takes what is in one source, ``exchanges`` who takes
    what is in many; the reader's ``sink`` is what was made."""
    if format not in ("auto", "jsonl", *FORMATS):
        raise ValueError(f"format: {format!r} is none")
    options = _Options(sink, exchanges, arguments, tuple(keep))
    if format in ("sse", "chunks", "har", "vcr"):
        return options.reader(Recognised(format, None, None, None, ""))
    if format == "exchanges" and field is not None:
        return options.reader(Recognised(format, field, None, None, ""))
    return _AutoReader(options, format, field, id_field, time_field)


class _AutoReader:
    """Waits for the head of a log, then reads on as its format wants."""

    def __init__(
        self, options: _Options, format: str, field: str | None, id_field: str | None, time_field: str | None
    ) -> None:
        self._options = options
        self._format = format
        self._told = (field, id_field, time_field)
        self._head = bytearray()
        self._waits = format != "auto"  # for the whole head
        self._reader: Any = None
        # A decoder that is told of nothing yet says so as the plain one does.
        self._nothing = ChunkReader(None, *options.arguments)  # type: ignore[arg-type]

    @property
    def sink(self) -> Any:
        return self._decided().sink

    def feed(self, data: bytes) -> None:
        """Takes a piece of the source."""
        if self._reader is not None:
            self._reader.feed(data)
            return
        self._head += data
        if len(self._head) >= HEAD_BYTES or not self._may_wait():
            self._decided()

    def finish(self) -> None:
        """The end of the source."""
        self._decided().finish()

    def stats(self) -> Stats:
        """What was counted so far."""
        if self._reader is None:
            stats = self._nothing.stats()
            stats.bytes = len(self._head)
            return stats
        found: Stats = self._reader.stats()
        return found

    def count_damage(self, *damage: Any) -> Damage:
        """Counts a damage."""
        found: Damage = self._decided().count_damage(*damage)
        return found

    def count_compressed_damage(self, error: CompressedDamage) -> Damage:
        """Counts that a compressed source breaks off here."""
        found: Damage = self._decided().count_compressed_damage(error)
        return found

    def _may_wait(self) -> bool:
        """Can it be anything but server-sent events? Of those nothing is held back."""
        if self._waits:
            return True
        head = bytes(self._head[:HEAD_BYTES])
        begun = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
        if not begun or _BYTE_ORDER_MARK.startswith(begun):
            return True
        if begun.startswith((b"{", b"[", *_CASSETTE, *_DOCUMENT)):
            self._waits = True
            return True
        return any(start.startswith(begun) for start in _CASSETTE)

    def _decided(self) -> Any:
        if self._reader is None:
            head, self._head = bytes(self._head), bytearray()
            self._reader = self._options.reader(recognise(head, self._format, *self._told))
            if head:
                self._reader.feed(head)
        return self._reader
