"""Strings of JSON: their escaped bytes in, the bytes that they stand for out, and where each of these stands.

A lone surrogate becomes its three bytes; what is no UTF-8 stays as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

__all__ = ["Places", "string_end", "unescaped"]

#: What a string may hold. (No other repetition ends what is repeated: CPython 3.11.2 and others may stop inside such.)
_CONTENT = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*+')
_ESCAPE = re.compile(
    rb"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL
)
_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
#: What ends an event in an escaped string, nearly always.
_BLANK_LINE = rb"\n\n"
_BACKSLASH = ord("\\")


def string_end(data: bytes, start: int) -> tuple[int, bool]:
    """How far the string that begins here is valid, and whether its closing quote stands there."""
    match = _CONTENT.match(data, start + 1)
    assert match is not None
    return match.end(), data[match.end() : match.end() + 1] == b'"'


def unescaped(raw: bytes) -> bytes:
    """What the inside of a string stands for."""
    return _ESCAPE.sub(_written, raw) if b"\\" in raw else raw


def _written(match: re.Match[bytes]) -> bytes:
    if match[4] is not None:
        return _SHORT.get(match[4], match[4])
    if match[3] is not None:
        return chr(int(match[3], 16)).encode("utf-8", "surrogatepass")
    high, low = int(match[1], 16), int(match[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00).encode()


class Places:
    """Where the bytes of a string stand in a log: positions in what it stands for in, offsets out.

    Kept are those behind blank lines, where events begin; others are found from there, escape by escape.
    """

    def __init__(self, raw: bytes, outer: Callable[[int], int]) -> None:
        self._raw = raw
        self._outer = outer  # where the bytes of `raw` stand
        self._decoded: list[int] = []
        self._kept: list[int] = []
        self._last = (0, 0)  # what was found last: most often the next one is near

    def at(self, position: int) -> int:
        """Where this byte of the string begins."""
        if b"\\" not in self._raw:
            return self._outer(position)
        if not self._decoded:
            self._keep()
        place = bisect_right(self._decoded, position) - 1
        decoded, start = self._decoded[place], self._kept[place]
        if decoded < self._last[0] <= position:
            decoded, start = self._last
        return self._outer(self._walk(decoded, start, position))

    def _keep(self) -> None:
        raw, start, at, decoded = self._raw, 0, 0, 0
        self._decoded.append(0)
        self._kept.append(0)
        while (at := raw.find(_BLANK_LINE, at)) >= 0:
            end = at + len(_BLANK_LINE)
            if not at or raw[at - 1] != _BACKSLASH:  # else it may be the end of another escape
                decoded += _length(raw[start:end])
                self._decoded.append(decoded)
                self._kept.append(end)
                start = end
            at = end

    def _walk(self, decoded: int, start: int, position: int) -> int:
        for match in _ESCAPE.finditer(self._raw, start):
            if decoded + match.start() - start >= position:
                break
            decoded += match.start() - start
            size = len(_written(match))
            if decoded + size > position:
                self._last = (decoded, match.start())
                return match.start()
            decoded += size
            start = match.end()
        self._last = (position, start + position - decoded)
        return self._last[1]


def _length(raw: bytes) -> int:
    """How many bytes escaped ones stand for; they begin with no half of an escape."""
    if b"\\u" in raw:
        return len(unescaped(raw))
    # Each backslash begins an escape, but for the second one of two.
    return len(raw) - raw.count(b"\\") + raw.count(b"\\\\")
