"""The push side of `usage`: bytes that the caller feeds in, a table of all streams so far out, whenever asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chunkwire import _engine
from chunkwire._decode import WholeOnly, check_fed
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._reading import Read
from chunkwire._rows import Parts
from chunkwire._table import UsageTable, check_keep

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from chunkwire._options import Engine, Format

__all__ = ["UsageReader"]


class UsageReader:
    """Token usage of bytes that its caller feeds, in pieces that may be cut anywhere::

        reader = chunkwire.UsageReader()
        for data in socket: reader.feed(data)
        reader.usage().summary()             # at any time

    Damage is counted in the table's ``stats``. A stream takes about 150 bytes of memory. The format is recognised by
    the beginning as soon as that is certain, after 64 KiB at the latest; until then tables are of what it would be if
    nothing followed.

    Parameters
    ----------
    source : str, optional
        What the table calls the source.
    keep
        As for `usage`.
    strict, format, field, id_field, time_field, engine, max_event_bytes
        As for `decode`. ValueError for formats "har" and "vcr", of which only a whole file can be read.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        format: Format = "auto",
        field: str | None = None,
        id_field: str | None = None,
        time_field: str | None = None,
        engine: Engine = "auto",
        max_event_bytes: int = MAX_EVENT_BYTES,
        keep: str | Sequence[str] = (),
        source: str | None = None,
    ) -> None:
        kept = check_keep(keep, format)
        paths = tuple(kept.values())
        options = Options("skip", strict, format, field, id_field, time_field, max_event_bytes, keep=paths)
        check_fed(options, instead="usage")
        self._begin(options, kept, engine, source)

    @classmethod
    def _of(cls, options: Options, kept: dict[str, str], engine: Engine, source: str) -> UsageReader:
        """One with these options; ``kept`` is what `check_keep` gave."""
        reader = cls.__new__(cls)
        reader._begin(options, kept, engine, source)
        return reader

    def _begin(self, options: Options, kept: dict[str, str], engine: Engine, source: str | None) -> None:
        self._kept = kept
        self._label = source or "<stream>"
        self._module = module = _engine.load(engine)
        self._reader = module.UsageReader(options, source)

    def feed(self, data: Buffer) -> None:
        """Takes bytes. ValueError if they begin a HAR file or a cassette."""
        try:
            self._reader.feed(data)
        except self._module.NeedsConversion as error:
            raise WholeOnly(error.format, "usage") from None

    def _look(self, head: bytes) -> None:
        """Takes what the log begins with, where that is not to be read: it is recognised by it."""
        self._reader.look(head)

    def end(self, *, goes_on: bool = False) -> None:
        """Tells that the source ends: an event that no blank line ended counts now, if it is whole, and so does a line.

        What is fed behind it is another source: its offsets begin anew, and a stream of events or bare chunks may go on
        in it. With ``goes_on`` it is the next file of the same log, as after rotation: its format is the same unless
        its lines say otherwise, and requests that were read in pieces go on in it.
        """
        try:
            self._reader.end(goes_on=goes_on)
        except self._module.NeedsConversion as error:
            raise WholeOnly(error.format, "usage") from None

    def usage(self) -> UsageTable:
        """The usage of all streams so far, as if no more came: one that has not ended yet is ``truncated``."""
        columns, stats = self._reader.columns()
        found = Read()
        found.add(self._label, columns, stats)
        return UsageTable(Parts(found.parts, kept=self._kept), found)

    @property
    def unfinished(self) -> int:
        """How many streams have begun and not ended: no ``[DONE]`` yet, and choices without finish reason."""
        count: int = self._reader.unfinished()
        return count
