"""Bytes in any pieces in, server-sent events out, with an account of every byte: the framing of the Python engine.

The rules are those of the WHATWG HTML standard, "Interpreting an event stream". `Framer.feed` looks at every byte
once, however the input is cut: what a piece leaves unfinished is kept and never scanned again. An event of one
`data:` line that lies whole in one piece, which is nearly every event, takes a short way inside `feed`; all others go
line by line through `Framer._line`, which is the rules as they are written.

Words: a *line* ends at LF, CR or CRLF; a *block* is the lines up to and with a blank one; a block that has a data
field is dispatched as an *event*.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from chunkwire._marks import BYTE_ORDER_MARK

__all__ = ["TAR", "ZIP", "Frame", "Framer", "decode_utf8"]

#: A dispatched event, as a plain tuple because making one must be quick: its data as sent (None: it passed the limit,
#: and the rest of its block will be dropped); offset, line and number of the event; bytes of its block that are
#: neither comments nor unknown fields; type, last id, retry; did its type or id hold bytes that are no UTF-8?
Frame: TypeAlias = tuple[bytes | None, int, int, int, int, str, str, int | None, bool]

_LARGEST_RETRY = 2**64 - 1
#: What `Framer.foreign` says of archives: no line begins with these.
TAR, ZIP = b"\n", b"\r"
_LF = 10
_SPACE = 32

# To what the bytes of the last line were counted; the LF of a CRLF that was cut belongs there too.
_BLOCK, _COMMENT, _SKIPPED, _DROPPED, _EVENT = range(5)


def decode_utf8(data: bytes) -> tuple[str, int | None]:
    """Decodes as the standard does: U+FFFD for each invalid part; and where the first one stood, or None."""
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "replace"), error.start


class Framer:
    """The state between two pieces of input. An event may have ``max_event_bytes``: its data and its open line."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self.consumed = 0  #: bytes taken so far: the offset of what comes next
        self.events = 0  #: events given out so far
        self.comments = 0  #: comment lines
        self.comment_bytes = 0  #: bytes of comments, and of blocks that were not dispatched
        self.skipped_bytes = 0  #: bytes of unknown fields, and of an end that the standard discards
        self.dropped_bytes = 0  #: bytes of blocks that grew too large, from where they did
        #: Bytes of the last event's block that came behind it: the LF of a CRLF that was cut.
        self.late_bytes = 0

        self._lines = 0  # lines that have ended
        self._mark: bytes | None = b""  # what was seen of a byte order mark, while nothing else was
        self._after_cr = False  # the last line ended with CR: a LF at once belongs to it
        self._class = _COMMENT
        self._partial = bytearray()  # the line that the last input left open
        self._partial_offset = 0
        self._dropping = False  # the block passed the limit: its lines go until a blank one
        self._dropped_line_has_content = False

        self._last_id = ""
        self._known_fields = 0
        self._first_unknown: bytes | None = None
        self._begin_block()

    def _begin_block(self) -> None:
        self._block_bytes = 0
        self._block_comment_bytes = 0
        self._has_skipped = False  # an unknown field
        self._start: tuple[int, int] | None = None  # offset and line of its first known field
        self._data = bytearray()
        self._data_lines = 0
        self._type = ""
        self._retry: int | None = None
        self._invalid_field = False

    def _is_between_blocks(self) -> bool:
        return not (self._block_bytes or self._block_comment_bytes or self._has_skipped or self._dropping)

    @property
    def foreign(self) -> bytes | None:
        """Where no event and no known field, but other lines were seen: the first byte of the first of them. `TAR` or
        `ZIP`, whatever was seen, where the first line of all is the head of an archive."""
        is_known = self._known_fields > 0 or self.events > 0
        return self._first_unknown if not is_known or self._first_unknown in (TAR, ZIP) else None

    def feed(self, data: bytes) -> list[Frame]:
        """Takes a piece of the source; gives the events that it completes."""
        frames: list[Frame] = []
        at = 0
        end = len(data)
        base = self.consumed
        self.consumed += end
        if self._mark is not None:
            at = self._skip_mark(data)
        if self._after_cr and at < end:
            self._after_cr = False
            if data[at] == _LF:
                at += 1
                self._count_late_lf()
        find = data.find
        startswith = data.startswith
        limit = self._max_event_bytes
        last_id = self._last_id
        between = not self._partial and self._is_between_blocks()
        next_lf = next_cr = -1  # looked up again when passed only, so that no byte is searched twice for the same
        while at < end:
            if next_lf < at:
                next_lf = find(b"\n", at)
                if next_lf < 0:
                    next_lf = end
            if next_cr < at:
                next_cr = find(b"\r", at)
                if next_cr < 0:
                    next_cr = end
            stop = next_lf if next_lf < next_cr else next_cr
            if stop == end:
                break
            if between and startswith(b"data:", at) and stop - at <= limit:
                # Nearly every event: between blocks, a data line with a blank line behind it.
                if data[stop] == _LF:
                    behind = stop + 2 if startswith(b"\n", stop + 1) else 0
                else:
                    behind = stop + 4 if startswith(b"\n\r\n", stop + 1) else 0
                if behind:
                    value = at + 6 if data[at + 5] == _SPACE else at + 5
                    place = base + at, self._lines + 1, self.events, behind - at
                    frames.append((data[value:stop], *place, "message", last_id, None, False))
                    self._lines += 2
                    self.events += 1
                    self._known_fields += 1
                    self._class = _EVENT
                    at = behind
                    continue
            behind = stop + 1
            if data[stop] != _LF:
                # Look ahead, so that the line knows its whole length; only at the input's end the LF is late.
                if behind == end:
                    self._after_cr = True
                elif data[behind] == _LF:
                    behind += 1
            frame = self._complete_line(data[at:stop], base + at, behind - at)
            if frame is not None:
                frames.append(frame)
            last_id = self._last_id
            between = self._is_between_blocks()
            at = behind
        if at < end:
            frame = self._keep_open_line(data[at:] if at else data, base + at)
            if frame is not None:
                frames.append(frame)
        return frames

    def finish(self, strict: bool) -> Frame | None:
        """The end of the source: what the last block's missing end would have given. ``strict`` discards that, as
        the standard says."""
        if self._mark:
            self._partial += self._mark
        self._mark = None
        self._after_cr = False
        if self._dropping:
            return None
        if strict:
            self.skipped_bytes += len(self._partial) + self._block_bytes + self._block_comment_bytes
            self.comment_bytes -= self._block_comment_bytes
            return None
        if self._partial:
            line = bytes(self._partial)
            frame = self._line(line, self._partial_offset, len(line))
            if frame is not None:
                return frame
        return self._end_block(0)

    def open_places(self, mark: re.Pattern[bytes], most: int) -> list[int]:
        """Where the open block's first known field and the open line begin, as far as there are any; and what matches
        among the last so many bytes of that line."""
        places = [] if self._start is None else [self._start[0]]
        if not self._partial:
            return places
        found = mark.finditer(self._partial, max(len(self._partial) - most, 0))
        return [*places, self._partial_offset, *(self._partial_offset + match.start() for match in found)]

    def is_between_events(self) -> bool:
        """Is no line and no block open?"""
        return not (self._partial or self._mark) and self._is_between_blocks()

    def cut_off(self, mark: re.Pattern[bytes], most: int) -> tuple[bytes, int] | None:
        """Takes what matches off the end of the open line, at most so many bytes; gives it and where it stood."""
        found = mark.search(self._partial, max(len(self._partial) - most, 0))
        if found is None:
            return None
        text, offset = bytes(found[0]), self._partial_offset + found.start()
        del self._partial[found.start() :]
        return text, offset

    def _skip_mark(self, data: bytes) -> int:
        assert self._mark is not None
        seen = len(self._mark)
        head = self._mark + data[: len(BYTE_ORDER_MARK) - seen]
        if head == BYTE_ORDER_MARK:
            self._mark = None
            self._block_bytes += len(head)
            return len(head) - seen
        if BYTE_ORDER_MARK.startswith(head):
            self._mark = head
            return len(data)
        self._partial += self._mark
        self._mark = None
        return 0

    def _count_late_lf(self) -> None:
        if self._class == _BLOCK:
            self._block_bytes += 1
        elif self._class == _COMMENT:
            self.comment_bytes += 1
            if self._block_comment_bytes:
                self._block_comment_bytes += 1
        elif self._class == _SKIPPED:
            self.skipped_bytes += 1
        elif self._class == _DROPPED:
            self.dropped_bytes += 1
        else:
            self.late_bytes += 1

    def _keep_open_line(self, rest: bytes, offset: int) -> Frame | None:
        if self._dropping:
            self._dropped_line_has_content = True
            self.dropped_bytes += len(rest)
            return None
        if not self._partial:
            self._partial_offset = offset
        if self._passes_limit(len(self._partial) + len(rest)):
            frame = self._too_large(len(self._partial) + len(rest), self._partial_offset)
            self._partial = bytearray()
            self._dropped_line_has_content = True
            return frame
        self._partial += rest
        return None

    def _complete_line(self, line: bytes, offset: int, size: int) -> Frame | None:
        """Handles a line of ``size`` bytes with its end, but for what earlier input kept of it."""
        if self._dropping:
            self.dropped_bytes += size
            self._class = _DROPPED
            self._dropping = bool(line) or self._dropped_line_has_content
            self._dropped_line_has_content = False
            frame = None
        elif self._partial:
            size += len(self._partial)
            self._partial += line
            line = bytes(self._partial)
            self._partial = bytearray()
            frame = self._line(line, self._partial_offset, size)
        elif line:
            frame = self._line(line, offset, size)
        else:
            frame = self._end_block(size)
        self._lines += 1
        return frame

    def _passes_limit(self, line_bytes: int) -> bool:
        earlier = len(self._data) + 1 if self._data_lines else 0
        return earlier + line_bytes > self._max_event_bytes

    def _line(self, line: bytes, offset: int, size: int) -> Frame | None:
        """Handles a line that is not blank; gives the event that passed the limit with it."""
        if self._passes_limit(len(line)):
            frame = self._too_large(size, offset)
            self._dropped_line_has_content = False
            return frame
        name, colon, value = line.partition(b":")
        if colon and not name:
            self._class = _COMMENT
            self.comments += 1
            self.comment_bytes += size
            self._block_comment_bytes += size
            return None
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            if self._data_lines:
                self._data += b"\n"
            self._data += value
            self._data_lines += 1
        elif name == b"event":
            self._type = self._text(value)
        elif name == b"id":
            if b"\0" not in value:
                self._last_id = self._text(value)
        elif name == b"retry":
            if value.isdigit():
                digits = value.lstrip(b"0") or b"0"
                self._retry = min(int(digits[:21]), _LARGEST_RETRY)
        else:
            self._class = _SKIPPED
            self.skipped_bytes += size
            self._has_skipped = True
            if self._first_unknown is None:
                is_head = self._lines == 0
                if is_head and line[257:262] == b"ustar":
                    self._first_unknown = TAR
                elif is_head and line.startswith(b"PK\x03\x04"):
                    self._first_unknown = ZIP
                else:
                    self._first_unknown = line.strip(b" \t\n\r\f")[:1]
            return None
        self._known_fields += 1
        self._class = _BLOCK
        self._block_bytes += size
        if self._start is None:
            self._start = offset, self._lines + 1
        return None

    def _text(self, value: bytes) -> str:
        text, invalid_at = decode_utf8(value)
        if invalid_at is not None:
            self._invalid_field = True
        return text

    def _end_block(self, size: int) -> Frame | None:
        """Ends the block with a blank line of ``size`` bytes (0 at the end of the source); gives its event."""
        size += self._block_bytes
        frame: Frame | None = None
        if self._data_lines:
            assert self._start is not None
            kind = self._type or "message"
            place = *self._start, self.events, size
            frame = (bytes(self._data), *place, kind, self._last_id, self._retry, self._invalid_field)
            self.events += 1
            self._class = _EVENT
        else:
            self.comment_bytes += size
            self._class = _COMMENT
        self._begin_block()
        return frame

    def _too_large(self, size: int, offset: int) -> Frame:
        """Gives up the block: it passed the limit in a line that begins at ``offset``, ``size`` bytes of it read."""
        offset, line = self._start or (offset, self._lines + 1)
        self.dropped_bytes += self._block_bytes + size
        self._class = _DROPPED
        self._begin_block()
        self._dropping = True
        frame = (None, offset, line, self.events, 0, "message", self._last_id, None, False)
        self.events += 1
        return frame
