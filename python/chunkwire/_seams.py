"""Where the files of a log that is rotated meet: pieces of files in; their bytes, with marks where a new source begins,
out.

What is open at the end of a file, an event or a line, may go on in the next one: then both count as one source up to
its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import Protocol

from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._tail import Piece

__all__ = ["Mark", "Seam"]

_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r")
#: What begins a line that says something: data of JSON or `[DONE]`, or another field; and what may yet become one. (A
#: colon would begin a comment, but inside of JSON it is no wonder.)
_FIELD = re.compile(rb"data: ?[{\[]|event:|id:|retry:")
_FIELDS = (b"data: {", b"data: [", b"data:{", b"data:[", b"event:", b"id:", b"retry:", BYTE_ORDER_MARK)
#: So much of an open event is kept: enough to see whether its data has begun.
_KEPT_BYTES = 256
#: Of a line that is longer nobody looks whether it is whole: it is none that is read.
_MAX_LINE_BYTES = 256 << 20


class Mark(Enum):
    """What is no bytes."""

    END = 0
    #: What follows is another source.
    NEW = 1


class Seam:
    """Says where a new source begins: with a new file, if nothing is open, or if the file does not go on with it.

    ``before`` is what stands before the place from which on the file is read, ``head`` what the file begins with; what
    is open at that place is passed over. ``format`` is that of the log, as far as somebody named it.
    """

    def __init__(self, before: bytes, head: bytes, format: str) -> None:
        self._format = format
        self._first = b""  # of a source, while it does not tell what it is
        self._open: _Open | None = None
        self._is_skipping = False
        self._is_new = False
        self._held: list[bytes] = []  # of a new file, while it may be either
        self._held_bytes = 0
        if before:
            self._open = self._kind_of(head)
            self._is_skipping = self._open is not None and self._open.begin(before)

    def take(self, piece: Piece) -> Iterator[bytes | Mark]:
        """The piece, and the marks in it."""
        if piece.is_first:
            yield from self.flush()
            self._is_new = self._open is not None or bool(self._first)
        if not self._is_new:
            yield from self._pass(piece.data)
        elif self._open is None:
            yield from self._enter(piece.data, not _is_cut_mark(self._first, piece.data))
        else:
            self._held.append(piece.data)
            self._held_bytes += len(piece.data)
            is_long = self._held_bytes > _MAX_LINE_BYTES
            if len(self._held) > 1 and not is_long and not self._open.may_tell(piece.data):
                return
            data = b"".join(self._held)
            is_other = self._open.is_other(data, at_end=is_long)
            self._held = [data]
            if is_other is not None:
                self._held, self._held_bytes = [], 0
                yield from self._enter(data, is_other)

    def flush(self) -> Iterator[bytes | Mark]:
        """What was held back."""
        if self._held and self._open is not None:
            data, self._held, self._held_bytes = b"".join(self._held), [], 0
            yield from self._enter(data, self._open.is_other(data, at_end=True) or False)

    def _enter(self, data: bytes, is_other: bool) -> Iterator[bytes | Mark]:
        self._is_new = False
        if is_other:
            yield Mark.NEW
            self._open, self._first, self._is_skipping = None, b"", False
        yield from self._pass(data)

    def _pass(self, data: bytes) -> Iterator[bytes]:
        if self._open is None:
            self._first += data
            self._open = self._kind_of(self._first)
            if self._open is not None:
                self._open.note(self._first)
                self._first = b""
        elif self._is_skipping:
            rest = self._open.behind(data)
            if rest is None:
                return
            self._is_skipping, data = False, rest
            self._open.note(data)
        else:
            self._open.note(data)
        if data:
            yield data

    def _kind_of(self, head: bytes) -> _Open | None:
        """How what is open is told of a source that begins like this; None if it does not tell that yet."""
        if self._format == "auto":
            begun = head.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
            if not begun or BYTE_ORDER_MARK.startswith(head):
                return None
            return _OpenLine() if begun.startswith((b"{", b"[")) else _OpenEvent()
        return _OpenEvent() if self._format == "sse" else _OpenLine()


class _Open(Protocol):
    """What is open in a source."""

    def begin(self, before: bytes) -> bool:
        """It is read from here on: is something open of which nobody saw the beginning?"""

    def note(self, data: bytes) -> None:
        """Keeps what tells of it."""

    def behind(self, data: bytes) -> bytes | None:
        """What stands behind what is open, or None if that goes on."""

    def may_tell(self, data: bytes) -> bool:
        """Can it be said by this piece of a new file what it is, if it could not before?"""

    def is_other(self, data: bytes, *, at_end: bool) -> bool | None:
        """Is what a new file begins with no more of it? None if it cannot be said yet; ``at_end``: nothing follows."""


class _OpenEvent:
    """The open event of server-sent events."""

    def __init__(self) -> None:
        self._open = b""  # its beginning
        self._last = b""

    def begin(self, before: bytes) -> bool:
        is_open = not before.endswith(_BLANK_LINES)
        self._last = before[-3:]
        if is_open and (end := _behind_last_blank_line(self._last)) is not None:
            self._last = self._last[end:]
        return is_open

    def note(self, data: bytes) -> None:
        whole = self._last + data
        end = _behind_last_blank_line(whole)
        if end is None:
            self._open += data[: _KEPT_BYTES - len(self._open)]
        else:
            self._open = whole[end : end + _KEPT_BYTES]
        self._last = whole[-3:]

    def behind(self, data: bytes) -> bytes | None:
        whole = self._last + data
        end = _behind_blank_line(whole)
        self._last = b"" if end is not None else whole[-3:]
        return None if end is None else whole[end:]

    def may_tell(self, data: bytes) -> bool:
        return True

    def is_other(self, data: bytes, *, at_end: bool) -> bool | None:
        if not self._open or data.startswith(BYTE_ORDER_MARK):
            return True
        if any(field.startswith(data) and field != data for field in _FIELDS):
            return False if at_end else None
        if not _FIELD.match(data):
            return False
        # Behind a whole line the event may go on with another field, but its data comes last.
        is_behind_line = self._last.endswith((b"\n", b"\r"))
        return not is_behind_line or re.search(rb"^data:", self._open, re.MULTILINE) is not None


class _OpenLine:
    """The open line of JSON lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._is_unseen = False  # nobody saw how it began

    def begin(self, before: bytes) -> bool:
        self._is_unseen = not before.endswith(b"\n")
        return self._is_unseen

    def note(self, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        if end:
            self._parts, self._size, self._is_unseen = [], 0, False
        self._size += len(data) - end
        if self._size > _MAX_LINE_BYTES:
            self._parts = []
        elif end < len(data):
            self._parts.append(data[end:])

    def behind(self, data: bytes) -> bytes | None:
        end = data.find(b"\n") + 1
        self._is_unseen = not end
        return data[end:] if end else None

    def may_tell(self, data: bytes) -> bool:
        return b"\n" in data

    def is_other(self, data: bytes, *, at_end: bool) -> bool | None:
        if not self._size and not self._is_unseen:
            return True
        line, end, _ = data.partition(b"\n")
        if not (end or at_end):
            return None
        # What ends an object is none by itself, so not both can be.
        return _is_whole(line) or _is_whole(b"".join(self._parts))


def _is_cut_mark(old: bytes, new: bytes) -> bool:
    """Do a file and the next one hold a byte order mark between them?"""
    whole = (old + new)[: len(BYTE_ORDER_MARK)]
    return 0 < len(old) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(whole)


def _is_whole(line: bytes) -> bool:
    """Is it a whole object or array?"""
    line = line.removeprefix(BYTE_ORDER_MARK).strip(SPACE)
    if not line.startswith((b"{", b"[")) or len(line) > _MAX_LINE_BYTES:
        return False
    try:
        json.loads(line.decode("utf-8", "replace"), parse_int=len)
    except RecursionError:
        return True  # too deep, but a beginning all the same
    except ValueError:
        return False
    return True


def _behind_blank_line(data: bytes) -> int | None:
    """Where the first blank line ends."""
    ends = [at + len(end) for end in _BLANK_LINES if (at := data.find(end)) >= 0]
    return min(ends, default=None)


def _behind_last_blank_line(data: bytes) -> int | None:
    ends = [at + len(end) for end in _BLANK_LINES if (at := data.rfind(end)) >= 0]
    return max(ends, default=None)
