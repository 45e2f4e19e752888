"""The push side of `usage`: bytes that the caller feeds in, a table of all streams so far out, whenever asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chunkwire import _engine
from chunkwire._decode import MAX_EVENT_BYTES
from chunkwire._reading import Read
from chunkwire._rows import Parts
from chunkwire._table import UsageTable

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from chunkwire._decode import Engine

__all__ = ["UsageReader"]


class UsageReader:
    """Token usage of bytes that its caller feeds, in pieces that may be cut anywhere::

        reader = chunkwire.UsageReader()
        for data in socket: reader.feed(data)
        reader.usage().summary()             # at any time

    Damage is counted in the table's ``stats``. A stream takes about 150 bytes of memory.

    Parameters
    ----------
    source : str, optional
        What the table calls the source.
    strict, engine, max_event_bytes
        As for `decode`.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        engine: Engine = "auto",
        max_event_bytes: int = MAX_EVENT_BYTES,
        source: str | None = None,
    ) -> None:
        self._label = source or "<stream>"
        self._reader = _engine.load(engine).UsageReader(strict=strict, max_event_bytes=max_event_bytes, name=source)

    def feed(self, data: Buffer) -> None:
        """Takes bytes."""
        self._reader.feed(data)

    def end(self) -> None:
        """Tells that the source ends: an event that no blank line ended counts now, if it is whole.

        What is fed behind it is another source, like the file that a log goes on in: its offsets begin anew, and a
        stream may go on in it.
        """
        self._reader.end()

    def usage(self) -> UsageTable:
        """The usage of all streams so far, as if no more came: one that has not ended yet is ``truncated``."""
        columns, stats = self._reader.columns()
        found = Read()
        found.add(self._label, columns, stats)
        return UsageTable(Parts(found.parts), found)

    @property
    def unfinished(self) -> int:
        """How many streams have begun and not ended: no ``[DONE]`` yet, and choices without finish reason."""
        count: int = self._reader.unfinished()
        return count
