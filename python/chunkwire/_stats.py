"""What decoding counted: filled in by an engine, read by users as ``.stats`` and by ``chunkwire check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

__all__ = ["KEPT_DAMAGES", "Damage", "Stats", "StatsBySource"]

#: How many damages `Stats.damages` keeps; the rest is only counted.
KEPT_DAMAGES = 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong in a source, and where.

    ``kind`` is a kind of `DecodeError`, or ``invalid_utf8`` (the chunk was given, with U+FFFD),
    ``wrong_type`` (`usage` met a value that its column cannot hold), ``no_body`` (`usage` met an entry of a HAR file or
    cassette whose body was not kept, or not whole) or ``server_error``.
    ``offset`` is the byte offset of the event in the source, ``line`` counts from 1, ``event`` from 0,
    ``position`` is the byte inside the event's data at which reading failed, or None.
    """

    kind: str
    reason: str
    offset: int
    line: int
    event: int
    position: int | None = None
    source: str | None = None


@dataclass(slots=True)
class Stats:
    """Counts over everything that was read so far. Each byte is in exactly one of the ``*_bytes`` but ``bytes``.

    ``bytes == chunk_bytes + done_bytes + error_bytes + comment_bytes + skipped_bytes + damaged_bytes +
    wrapping_bytes`` once a source has been read to its end; before that the bytes of the pending event are in ``bytes``
    alone. Where streams stand in JSON, the bytes of chunks and the like are those of the bodies, without their escapes.
    """

    bytes: int = 0  #: bytes read
    events: int = 0  #: events dispatched: chunks, ``[DONE]``, errors, keep-alives and damaged ones
    chunks: int = 0
    done: int = 0  #: ``[DONE]`` events
    errors: int = 0  #: errors that the server sent
    keepalives: int = 0  #: events with empty data
    comments: int = 0  #: comment lines
    damaged: int = 0  #: damages of every kind but ``server_error``
    chunk_bytes: int = 0
    done_bytes: int = 0
    error_bytes: int = 0
    comment_bytes: int = 0  #: comments, keep-alives, blank lines and blocks that carry no data
    skipped_bytes: int = 0  #: what the standard says to ignore: unknown fields, an unterminated end under ``strict``
    damaged_bytes: int = 0  #: events that were lost
    wrapping_bytes: int = 0  #: the JSON around bodies, and what escapes took in them
    exchanges: int = 0  #: requests with their responses; 0 in logs that are not made of such
    damages: list[Damage] = field(default_factory=list)  #: the first thousand, ``server_error`` among them

    def __add__(self, other: Stats) -> Stats:
        if not isinstance(other, Stats):
            return NotImplemented
        total = Stats()
        for item in fields(Stats):
            setattr(total, item.name, getattr(self, item.name) + getattr(other, item.name))
        del total.damages[KEPT_DAMAGES:]
        return total


_COUNTS = tuple(item.name for item in fields(Stats) if item.name != "damages")


class StatsBySource:
    """The name of each source and what was counted in it. Of the files that were read together the counts stay numbers
    in a row until somebody asks: there may be very many."""

    def __init__(self, stats: Sequence[tuple[str, Stats]] = ()) -> None:
        self._items: list[tuple[str, Stats] | tuple[list[str], bytes, dict[int, list[Damage]]]] = list(stats)
        self._length = len(stats)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[str, Stats]]:
        for item in self._items:
            if len(item) == 2:
                yield item
                continue
            labels, numbers, damages = item
            counts, width = memoryview(numbers).cast("Q"), len(_COUNTS)
            for number, label in enumerate(labels):
                found = dict(zip(_COUNTS, counts[number * width : number * width + width], strict=True))
                yield label, Stats(**found, damages=damages.get(number, []))

    def add(self, label: str, stats: Stats) -> None:
        """One more source."""
        self._items.append((label, stats))
        self._length += 1

    def extend(self, labels: list[str], counts: bytes, damages: dict[int, list[Damage]]) -> None:
        """Some more: their counts one behind the other, as uint64, in the order of the fields, and the damages of those
        that have any, by number."""
        self._items.append((labels, counts, damages))
        self._length += len(labels)
