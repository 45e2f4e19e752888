"""JSON and the names of a path in, where the value at its end stands out.

A path may lead through a string that holds JSON, as collectors of logs write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chunkwire._json import JsonError, read, reader
from chunkwire._logs._strings import Places, string_end, unescaped

__all__ = ["ABSENT", "Span", "locate", "parsed", "skip_space", "value_end"]

ABSENT: Any = object()

#: What stands for broken UTF-8.
_REPLACEMENT = "\ufffd".encode()
_SPACE = re.compile(rb"[ \t\r\n]*+")
#: What changes the depth, and strings, in which nothing does.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|([\[{])|([\]}])', re.DOTALL)
_SCALAR = re.compile(rb'[^,\]}\s"\[{:]*+')


class Span:
    """A value in a text: where it stands, whether its end is there, and where the text's bytes stand in the log."""

    __slots__ = ("at", "data", "end", "start", "whole")

    def __init__(self, data: bytes, start: int, end: int, whole: bool, at: Callable[[int], int]) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.whole = whole
        self.at = at

    def text(self) -> bytes:
        """Its bytes, as they stand there."""
        return self.data[self.start : self.end]

    def value(self) -> Any:
        """What it is, `ABSENT` where it breaks off."""
        try:
            return read(self.text().decode("utf-8", "replace")) if self.whole else ABSENT
        except JsonError:
            return ABSENT


def locate(data: bytes, names: tuple[str, ...], at: Callable[[int], int]) -> Span | None:
    """Where the value at the end of a path stands, of several of the same name the last one. The text is valid JSON, or
    the valid beginning of such."""
    start = skip_space(data, 0)
    for number, name in enumerate(names):
        first = data[start : start + 1]
        if first == b'"':
            end, _ = string_end(data, start)
            raw = data[start + 1 : end]
            places = Places(raw, _shifted(at, start + 1))
            return locate(parsed(unescaped(raw))[2], names[number:], places.at)
        if first == b"{":
            found = _member(data, start, name.encode("utf-8", "surrogatepass"))
        elif first == b"[" and name.isascii() and name.isdigit():
            found = _element(data, start, int(name))
        else:
            found = None
        if found is None:
            return None
        start = found
    if start >= len(data):
        return None
    end, whole = value_end(data, start)
    return Span(data, start, end, whole, at)


def _shifted(at: Callable[[int], int], by: int) -> Callable[[int], int]:
    return lambda position: at(position + by)


def skip_space(data: bytes, at: int) -> int:
    """Where what is no white space goes on."""
    match = _SPACE.match(data, at)
    return match.end() if match else at


def value_end(data: bytes, start: int) -> tuple[int, bool]:
    """Where a value ends, and whether that is its own end."""
    first = data[start : start + 1]
    if first == b'"':
        end, closed = string_end(data, start)
        return end + closed, closed
    if first not in (b"{", b"["):
        match = _SCALAR.match(data, start)
        assert match is not None
        return match.end(), match.end() > start
    depth = 0
    for match in _STRUCTURE.finditer(data, start):
        if match[2]:
            depth += 1
        elif match[3]:
            depth -= 1
            if not depth:
                return match.end(), True
        elif not match[1]:
            break
    return len(data), False


def _member(data: bytes, start: int, name: bytes) -> int | None:
    """Where the value of the last member of this name begins."""
    found = None
    is_lossy = _REPLACEMENT in name
    at = skip_space(data, start + 1)
    while data[at : at + 1] == b'"':
        end, closed = string_end(data, at)
        key = data[at + 1 : end]
        if is_lossy:  # as it was shown
            key = key.decode("utf-8", "replace").encode()
        at = skip_space(data, end + 1)
        if not closed or data[at : at + 1] != b":":
            break
        at = skip_space(data, at + 1)
        if at >= len(data):
            break
        if key == name or (b"\\" in key and unescaped(key) == name):
            found = at
        at, whole = value_end(data, at)
        if not whole:
            break
        at = skip_space(data, at)
        if data[at : at + 1] != b",":
            break
        at = skip_space(data, at + 1)
    return found


def _element(data: bytes, start: int, number: int) -> int | None:
    """Where an element of an array begins."""
    at = skip_space(data, start + 1)
    while at < len(data) and data[at : at + 1] != b"]":
        if not number:
            return at
        at, whole = value_end(data, at)
        at = skip_space(data, at)
        if not whole or data[at : at + 1] != b",":
            break
        at = skip_space(data, at + 1)
        number -= 1
    return None


def parsed(text: bytes) -> tuple[Any, JsonError | None, bytes]:
    """The value of a line, or why it is none; and how much of it is valid."""
    try:
        return reader()(text), None, text
    except (ValueError, RuntimeError):
        pass
    plain = re.sub("[\udc80-\udcff]", "?", text.decode("utf-8", "surrogateescape"))
    try:
        return read(plain), None, text
    except JsonError as error:
        # An open string is said to fail where it begins; what is in it is valid all the same.
        valid = text if error.message.startswith("Unterminated string") else text[: error.position]
        return None, error, valid
