"""Blocks of a log in, its lines out, each with its number and offset; one that is too long is told, and not kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MAX_LINE_BYTES", "Line", "Lines"]

MAX_LINE_BYTES = 256 << 20


class Line(NamedTuple):
    """A line without its end; None if it is too long."""

    text: bytes | None
    offset: int
    number: int  #: from 1
    end: bytes  #: LF or CRLF; nothing where the source ended it
    size: int


class Lines:
    """The state between two blocks. A line ends at LF; a CR before it belongs to the end."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self.consumed = 0
        self._number = 0
        self._parts: list[bytes] = []
        self._size = 0  # of the open line
        self._start = 0  # its offset

    def feed(self, data: bytes) -> Iterator[Line]:
        """Takes a block; gives the lines that it completes."""
        at, base = 0, self.consumed
        self.consumed += len(data)
        while (end := data.find(b"\n", at)) >= 0:
            self._add(data[at:end])
            at = end + 1
            yield self._complete(base + at, b"\n")
        self._add(data[at:] if at else data)

    def finish(self) -> Iterator[Line]:
        """The end of the source: the line that it leaves open."""
        if self._size:
            yield self._complete(self.consumed, b"")

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max + 1:  # perhaps with a CR
            self._parts.clear()
        elif piece:
            self._parts.append(piece)

    def _complete(self, behind: int, end: bytes) -> Line:
        text: bytes | None = b"".join(self._parts)
        size = self._size
        if text and end and text.endswith(b"\r"):
            text, end = text[:-1], b"\r\n"
            size -= 1
        self._number += 1
        line = Line(None if size > self._max else text, self._start, self._number, end, size)
        self._parts, self._size, self._start = [], 0, behind
        return line
