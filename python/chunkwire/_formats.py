"""Sources that an engine does not read by itself: HAR files and cassettes in, the JSON lines of them for an engine out.

What has to be converted is told by the format that was named, or by the head of a path or of bytes. Other sources can
be read only once: `usage` keeps their head until it is clear what they are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chunkwire._archives import is_archive
from chunkwire._feeds import Source
from chunkwire._marks import BYTE_ORDER_MARK
from chunkwire._options import Options
from chunkwire._packing import packing_of

if TYPE_CHECKING:
    from chunkwire._logs._convert import Note

__all__ = ["Replayed", "absent", "convert", "head_of", "prepared"]

_HEAD_BYTES = 1 << 16
_FIRST_BYTES = 512
_CONVERTED = ("har", "vcr")
#: What a HAR file or a cassette begins with; a longer look is taken at nothing else.
_BEGINS = (b"{", b"interactions:", b"http_interactions:", b"-", b"#", b"%")


def prepared(source: Source, options: Options) -> tuple[Any, Options]:
    """What an engine reads of a source, and with which options."""
    feed = source.bounded(options.max_decompressed_bytes)
    format: str = options.format
    if not options.is_told and isinstance(source.feed, (str, bytes)):
        from chunkwire._logs._recognise import recognise

        head = head_of(source, options.max_decompressed_bytes)
        if _may_be(head):
            format = recognise(head).format
    if format in _CONVERTED:
        return convert(feed, options, format, source.name)
    return feed, options


def convert(
    feed: Any, options: Options, format: str, name: str | None, notes: list[Note] | None = None
) -> tuple[Iterator[bytes], Options]:
    """The lines of a file that has to be converted from this format, and the options with which they are read."""
    from chunkwire._blocks import blocks_of
    from chunkwire._logs._convert import FIELD, converted

    path = feed[0] if isinstance(feed, tuple) else feed
    if isinstance(path, str):
        open(path, "rb").close()  # so that a path that cannot be read is an error of the call
    lines = converted(lambda: blocks_of(feed), format, name, notes)
    return lines, replace(options, format="exchanges", field=FIELD, id_field=None, time_field=None)


def head_of(source: Source, max_decompressed_bytes: int | None = None) -> bytes:
    """The first bytes of a path or of bytes, unpacked, or fewer where they are no JSON and no cassette; nothing where
    they cannot be read, which the engine will tell."""
    feed = source.feed
    try:
        if isinstance(feed, bytes):
            head = feed[:_HEAD_BYTES]
        elif not os.path.isfile(feed):
            return b""  # what waits for input is not looked at
        else:
            with open(feed, "rb", buffering=0) as file:
                head = file.read(_FIRST_BYTES)
                if _may_be(head):
                    head += file.read(_HEAD_BYTES - len(head))
        is_brotli = (feed if isinstance(feed, str) else source.label).lower().endswith(".br")
        return _unpacked_head(source, max_decompressed_bytes) if packing_of(head) or is_brotli else head
    except OSError:
        return b""


def absent(paths: Iterable[str], members: Iterable[str]) -> tuple[list[str], str]:
    """Which of the members no line at the beginning of any of these files has, and what the first of them has instead;
    all are there where there is no such file to look at. What is no file is left out, and so is an archive."""
    from chunkwire._logs._recognise import absent_from

    left, seen = list(members), ""
    looked = False
    for path in paths:
        if not os.path.isfile(path) or is_archive(path):
            continue
        looked = True
        left, found = absent_from(head_of(Source(path, path, path)), left)
        seen = seen or found
    return (left, seen) if looked else ([], "")


def _unpacked_head(source: Source, max_decompressed_bytes: int | None) -> bytes:
    from chunkwire._blocks import CompressedDamage, blocks_of

    head = b""
    with contextlib.suppress(OSError, ImportError, CompressedDamage):
        for block in blocks_of(source.bounded(max_decompressed_bytes)):
            head += block[:_HEAD_BYTES]
            if len(head) >= _HEAD_BYTES:
                break
    return head[:_HEAD_BYTES]


def _may_be(head: bytes) -> bool:
    """May it be a file that has to be converted?"""
    return head.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(_BEGINS)


class Replayed:
    """The blocks of an iterator, of which the first are kept, in case that they have to be read again."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = iter(blocks)
        self._kept: list[Any] | None = []
        self._size = 0

    def __iter__(self) -> Replayed:
        return self

    def __next__(self) -> Any:
        if self._size >= _HEAD_BYTES:
            self._kept = None
        block = next(self._blocks)
        if self._kept is not None:
            self._kept.append(bytes(block))
            self._size += len(self._kept[-1])
        return block

    def _all(self) -> Iterator[Any]:
        yield from self._kept or ()
        yield from self._blocks

    @staticmethod
    def of(feed: Any) -> Any:
        """An engine's feed, whose blocks are kept if it is an iterator."""
        if isinstance(feed, tuple):
            return (Replayed.of(feed[0]), *feed[1:])
        return feed if isinstance(feed, (str, bytes)) else Replayed(feed)

    @staticmethod
    def again(feed: Any) -> Any:
        """The same from its beginning."""
        if isinstance(feed, tuple):
            return (Replayed.again(feed[0]), *feed[1:])
        return feed._all() if isinstance(feed, Replayed) else feed
