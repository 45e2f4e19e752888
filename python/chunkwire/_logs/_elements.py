"""An array of JSON in, its elements out, one by one, whatever is wrong in some of them.

An element ends where its brackets are closed. A string ends at the end of its line at the latest, since none can hold
that; so an array may come line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chunkwire._marks import SPACE

__all__ = ["Elements", "is_open_array"]

_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
#: A string, to its end or to that of the line.
_STRING = rb'"(?:[^"\\\n]++|\\[^\n])*+(?:(")|\\?)'
_TOKEN = re.compile(_STRING + rb"|([\[{])|([\]}])")
_SCALAR = re.compile(_STRING + rb"|[^ \t\r\n,\]]++")

#: An element, where it begins, and its line.
_Element = tuple[bytes, int, int]


def is_open_array(line: bytes) -> bool:
    """Does the array that begins a line go on in others? (Not if it breaks off in a string, or begins as `[DONE]` does,
    which is none.)"""
    if line[1:].lstrip(SPACE).startswith(b"D"):
        return False
    array = Elements()
    for _ in array.feed(line, 0, 1):
        pass
    return not array.closed and not array.in_string


class Elements:
    """The state between two pieces of an array."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most  # no more bytes of an element are kept, but for one that says that there were more
        self.dropped = 0  #: how many were not, of those elements that have ended
        self.closed = False  #: was its end seen?
        self.in_string = False  #: does the last piece end in a string?
        self.behind = 0  #: where the last piece goes on behind the array
        self._begun = False
        self._depth = 0
        self._parts: list[bytes] = []
        self._place = (0, 0)
        self._size = 0  # how many bytes the open element has
        self._space = 0  # how many of them are white space at its end

    def feed(self, text: bytes, offset: int, line: int) -> Iterator[_Element]:
        """Takes a piece (the first one begins with the array); gives the elements that it completes."""
        at = 0
        if not self._begun:
            self._begun, at = True, 1
        while True:
            if not self._parts:
                match = _BETWEEN.match(text, at)
                at = match.end() if match else at
                if at == len(text):
                    return
                if text[at : at + 1] == b"]":
                    self.closed, self.behind = True, at + 1
                    return
                self._place = (offset + at, line)
                if text[at : at + 1] not in (b"{", b"["):
                    scalar = _SCALAR.match(text, at)
                    assert scalar is not None
                    self.in_string = scalar[0].startswith(b'"') and not scalar[1] and scalar.end() == len(text)
                    yield (scalar[0].rstrip(SPACE) if self.in_string else scalar[0], *self._place)
                    at = scalar.end()
                    continue
            end = self._end(text, at)
            room = end - at if self._most is None else max(self._most + 1 - self._size, 0)
            if room or not self._parts:
                self._parts.append(text[at : min(end, at + room)])
            self._size += end - at
            if self._depth:
                within = text[at:].rstrip(SPACE)
                self._space = len(text) - at - len(within) + (0 if within else self._space)
                return
            yield self._ended()
            at = end

    def finish(self) -> _Element | None:
        """The end of the source: the element that it leaves open."""
        if not self._parts:
            return None
        self._size -= self._space
        self._parts = [b"".join(self._parts)[: self._size]]
        return self._ended()

    def _ended(self) -> _Element:
        data = b"".join(self._parts)
        self.dropped += self._size - len(data)
        self._parts, self._size, self._space = [], 0, 0
        return (data, *self._place)

    def _end(self, text: bytes, at: int) -> int:
        string = None
        for match in _TOKEN.finditer(text, at):
            if match[2]:
                self._depth += 1
            elif match[3]:
                self._depth -= 1
                if not self._depth:
                    return match.end()
            else:
                string = match
        self.in_string = string is not None and not string[1] and string.end() == len(text)
        return len(text)
