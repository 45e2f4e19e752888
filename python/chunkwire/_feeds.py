"""One source, ready for an engine: what it reads, what errors and tables call it, and how much may come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chunkwire._blocks import FREE_BYTES, MOST_RATIO, CompressedDamage

__all__ = ["Feed", "Source"]


class Feed:
    """An iterator of blocks that unpacks what it reads, or may be asked to bound it."""

    #: The most bytes that may come out, None for the default.
    most: int | None = None
    #: What its file is called, if its source is called otherwise.
    file_name: str | None = None
    #: What has to live as long as it is read.
    owner: object = None

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def limit(self, packed: int) -> int:
        """How many bytes may come out of so many packed ones. (The same as for what engines unpack.)"""
        return max(packed * MOST_RATIO, FREE_BYTES) if self.most is None else self.most

    def too_much(self, packed: int, name: str) -> CompressedDamage:
        """What is said where more would come out."""
        if self.most is not None:
            reason = f"the {name} data unpacks to more than {self.most} bytes, which max_decompressed_bytes allows"
        else:
            most = self.limit(packed)
            reason = (
                f"the {name} data unpacks to more than {MOST_RATIO} times its size: {most} bytes came out of {packed}"
            )
        return CompressedDamage(f"{reason}; the rest was not read", "source_too_large")


@dataclass(slots=True)
class Source:
    """One source, ready for an engine."""

    #: A path, bytes, or an iterator of blocks. (In what was found: an archive, too, or why it cannot be read.)
    feed: Any
    name: str | None  #: what errors call it
    label: str  #: what tables call it

    def bounded(self, max_decompressed_bytes: int | None) -> Any:
        """The feed with what engines want to know of one that may be packed."""
        name = self.name or self.label
        if isinstance(self.feed, Feed):
            self.feed.most = max_decompressed_bytes
            name = self.feed.file_name or name
        is_brotli = not isinstance(self.feed, str) and name.lower().endswith(".br")
        if max_decompressed_bytes is None and not is_brotli:
            return self.feed
        return self.feed, max_decompressed_bytes, "brotli" if is_brotli else None
