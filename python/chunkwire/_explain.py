"""What a log is: a source in; its format, what was found in it and how its servers differ from the model out.

Everything is read by the Python engine's readers, since only they are asked here what they see on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

from chunkwire._formats import convert, head_of
from chunkwire._options import Options
from chunkwire._packing import HEAD_BYTES, packing_of
from chunkwire._quirks import Finder
from chunkwire._render import Column, as_text, printable
from chunkwire._sources import resolve
from chunkwire._stats import Stats

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from chunkwire._logs._convert import Note
    from chunkwire._logs._recognise import Recognised
    from chunkwire._options import Format

__all__ = ["Explanation", "explain"]

_SCHEMA = 1
#: How much is read, unless more is asked for.
_MOST_BYTES = 64 << 20
_SHOWN_MODELS = 5
_SHOWN_DAMAGES = 5


def explain(
    source: str | PathLike[str] | Buffer,
    *,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    max_bytes: int | None = _MOST_BYTES,
) -> Explanation:
    """What a log is, and what its servers do: print it, or take ``to_dict()``.

    Parameters
    ----------
    source : path or bytes
    format, field, id_field, time_field
        As for `decode`.
    max_bytes : int or None
        How much of the log is read, after unpacking, to the end of a block; None for all.

    Raises
    ------
    OSError, ImportError, DecodeError
        Where it cannot be read, where a package is missing, where it is no file of its format.
    """
    options = Options("skip", False, format, field, id_field, time_field)
    resolved = resolve(source)
    if not isinstance(resolved.feed, (str, bytes)):
        kind = type(source).__name__
        raise TypeError(f"explain reads the beginning of its source twice: give it a path or bytes, not {kind}")
    from chunkwire._blocks import CompressedDamage, blocks_of
    from chunkwire._logs._recognise import recognise

    if isinstance(resolved.feed, str):
        open(resolved.feed, "rb").close()  # what cannot be read is told at once
    head = head_of(resolved)
    told = recognise(head, options)
    found = told
    notes: list[Note] = []
    blocks: Iterator[bytes]
    if told.format in ("har", "vcr"):
        blocks, _ = convert(resolved.feed, options, told.format, resolved.name, notes)
        found = told._replace(format="exchanges", field="response_body")
    else:
        blocks = blocks_of(resolved.feed)
    finder = Finder()
    reader = finder.reader(found, resolved.label)
    whole = True
    try:
        for block in blocks:
            finder.see(block)
            reader.feed(block)
            if max_bytes is not None and reader.stats().bytes >= max_bytes:
                whole = next(iter(blocks), None) is None
                break
    except CompressedDamage as error:
        reader.count_compressed_damage(error)
    if whole:
        reader.finish()
    finder.finish(whole=whole)
    return Explanation(resolved.label, told, _packing(resolved.feed), whole, reader.stats(), finder, notes)


def _packing(feed: str | bytes) -> str | None:
    """How a source is packed, if it is."""
    if isinstance(feed, bytes):
        return packing_of(feed[:HEAD_BYTES]) or None
    with open(feed, "rb") as file:
        return packing_of(file.read(HEAD_BYTES)) or ("brotli" if feed.lower().endswith(".br") else None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A field of chunks, or a member of lines: how often it came, and where it came first."""

    path: str
    count: int
    offset: int
    known: bool


@dataclass(frozen=True, slots=True)
class Quirk:
    """Something that servers do otherwise than the model says: how often, and where first."""

    name: str
    text: str
    count: int
    offset: int | None = field(default=None)


class Explanation:
    """What a log is. ``print()`` it for all of it.

    Attributes
    ----------
    source : str
    format : str
        sse, exchanges, reads, chunks, har or vcr.
    field, id_field, time_field : str or None
        Where things stand in its lines.
    why : str
        The sentence with which the format was recognised.
    compression : str or None
        How a file is packed.
    whole : bool
        Was all of it read? (See ``max_bytes``.)
    models : dict of str to int
        Streams by model.
    streams : dict of str to int
        Streams by status.
    members : list of Seen
        What the lines have, but for their bodies.
    fields : list of Seen
        What chunks have; ``known`` are those of the chunk model.
    quirks : list of Quirk
    notes : list of str
        What is to be said of entries of a HAR file or cassette.
    stats : Stats
        Events, damage and bytes.
    """

    def __init__(
        self,
        source: str,
        told: Recognised,
        compression: str | None,
        whole: bool,
        stats: Stats,
        finder: Finder,
        notes: list[Note],
    ) -> None:
        self.source = source
        self.format = told.format
        self.field = told.field
        self.id_field = told.id_field
        self.time_field = told.time_field
        self.why = told.why
        self.compression = compression
        self.whole = whole
        self.stats = stats
        self.models: dict[str, int] = dict(finder.models.most_common())
        self.streams: dict[str, int] = dict(finder.statuses.most_common())
        self.members = [Seen(path, count, offset, False) for path, (count, offset) in finder.members.items()]
        self.fields = [
            Seen(path, count, offset, finder.is_known(path)) for path, (count, offset) in finder.fields.items()
        ]
        self.quirks = [Quirk(*quirk) for quirk in finder.quirks(stats)]
        self.notes = [note.reason for note in notes]

    def to_dict(self) -> dict[str, Any]:
        """All of it as Python's own values, for JSON."""
        stats = self.stats
        return {
            "schema": _SCHEMA,
            "source": self.source,
            "format": self.format,
            "field": self.field,
            "id_field": self.id_field,
            "time_field": self.time_field,
            "why": self.why,
            "compression": self.compression,
            "whole": self.whole,
            "bytes": stats.bytes,
            "exchanges": stats.exchanges,
            "events": stats.events,
            "chunks": stats.chunks,
            "streams": self.streams,
            "models": self.models,
            "members": [{"path": one.path, "count": one.count, "offset": one.offset} for one in self.members],
            "fields": [
                {"path": one.path, "count": one.count, "offset": one.offset, "known": one.known} for one in self.fields
            ],
            "quirks": [
                {"name": one.name, "text": one.text, "count": one.count, "offset": one.offset} for one in self.quirks
            ],
            "damage": dict(Counter(damage.kind for damage in stats.damages)),
            "damages": [
                {"kind": one.kind, "offset": one.offset, "line": one.line, "reason": one.reason}
                for one in stats.damages[:_SHOWN_DAMAGES]
            ],
            "notes": self.notes,
        }

    def tables(self) -> list[tuple[str, list[Column], list[dict[str, Any]]]]:
        """What is printed as tables: a title, columns and rows each."""
        found = []
        for title, seen in (
            ("members of lines", self.members),
            ("fields of chunks", [one for one in self.fields if one.known]),
            ("fields of chunks that the model does not have", [one for one in self.fields if not one.known]),
        ):
            if seen:
                rows = [{"path": one.path, "count": one.count, "offset": one.offset} for one in seen]
                columns = [Column("path", "path", is_text=True), Column("count", "count"), Column("offset", "first at")]
                found.append((title, columns, rows))
        return found

    def head(self) -> str:
        """The lines above the tables: the format, what was counted, quirks and damage."""
        stats = self.stats
        where = ", ".join(f"{name} {path}" for name, path in self._paths() if path)
        lines = [
            f"{self.source}: {self.format}" + (f" ({where})" if where else ""),
            f"  why: {self.why}",
            f"  compression: {self.compression or 'none'}",
            f"  read: {_number(stats.bytes, 'byte')}{'' if self.whole else ', which is not all'}"
            + (f", {_number(stats.exchanges, 'exchange')}" if stats.exchanges else "")
            + f", {_number(stats.events, 'event')}, {_number(stats.chunks, 'chunk')}",
            f"  streams: {_counts(self.streams) or 'none'}",
            f"  models: {_counts(self.models, _SHOWN_MODELS) or 'none'}",
        ]
        lines += [f"  note: {note}" for note in self.notes]
        if self.quirks:
            lines.append("  quirks:")
            lines += [f"    {one.text} ({one.count:,}{_place(one.offset)})" for one in self.quirks]
        if stats.damages:
            kinds = Counter(damage.kind for damage in stats.damages)
            lines.append(f"  damage: {_counts(dict(kinds.most_common()))}")
            for one in stats.damages[:_SHOWN_DAMAGES]:
                lines.append(f"    line {one.line}, offset {one.offset}: {one.kind}: {one.reason}")
        return "\n".join(map(printable, lines))

    def _paths(self) -> list[tuple[str, str | None]]:
        return [("streams in", self.field), ("ids in", self.id_field), ("times in", self.time_field)]

    def __str__(self) -> str:
        tables = [f"{title}:\n{as_text(columns, rows, [])}" for title, columns, rows in self.tables()]
        return "\n\n".join([self.head(), *tables])

    def __repr__(self) -> str:
        return f"<Explanation of {self.source}: {self.format}, {_number(sum(self.streams.values()), 'stream')}>"


def _counts(counts: dict[str, int], most: int | None = None) -> str:
    some = list(counts.items())[:most]
    more = len(counts) - len(some)
    return ", ".join(f"{count:,} {name}" for name, count in some) + (f" and {more:,} more" if more else "")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _place(offset: int | None) -> str:
    return "" if offset is None else f", first at {offset:,}"
