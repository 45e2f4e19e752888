"""The beginning of a JSON text in, what is there of its value out."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["Array", "Cut", "Number", "Object", "partial", "partial_and_end"]

#: How deep JSON may be nested, and how deep is looked.
_MAX_DEPTH = 512
_MAX_SEEN = 16

_SPACE = re.compile(r"[ \t\r\n]*+")
#: What a string may hold, as `_strings` has it.
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*+')
_SCALAR = re.compile(r"[^,\]}\"\[{: \t\r\n\x0b\x0c\x1c-\x1f]++")


class Cut(str):
    """A string that is not there to its end."""

    __slots__ = ()


class Number(float):
    """A number that knows how it is written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


class Object(dict[str, Any]):
    """An object, as far as it is there."""

    __slots__ = ("size",)
    size: int  #: how many bytes it takes, as it is written


class Array(list[Any]):
    """An array, as far as it is there."""

    __slots__ = ("size",)
    size: int  #: as that of an object


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number)


def partial(text: str) -> Any:
    """The value that a JSON text begins with, as far as it goes: what is cut, or behind an error, is absent."""
    return partial_and_end(text)[0]


def partial_and_end(text: str) -> tuple[Any, bool]:
    """The same, and whether the value is there to its end."""
    reading = _Reading(text)
    has_end = reading.all()
    return (reading.found[0] if reading.found else None), has_end


class _Reading:
    """The state between two values. (No recursion: they may be nested deeper than a stack has room for.)"""

    def __init__(self, text: str) -> None:
        self.found: list[Any] = []  #: the value, as soon as it is begun
        self._text = text
        self._at = 0
        self._open: list[tuple[Object | Array, int]] = []  # containers without an end, and where they begin
        self._name = ""  # of the member that comes next
        self._has_begun = False  # nothing of the innermost one was read but its bracket

    def all(self) -> bool:
        """Reads as much as there is; is that the value to its end?"""
        self._skip_space()
        is_there = self._value()
        while is_there and self._open:
            is_there = self._goes_on()
        while self._open:
            self._at = min(self._at + 1, len(self._text))
            self._close()
        return is_there

    def _goes_on(self) -> bool:
        """Reads the end of the innermost container, or what comes next in it; False if nothing more can be read."""
        container, _ = self._open[-1]
        close = "}" if type(container) is Object else "]"
        has_begun, self._has_begun = self._has_begun, False
        self._skip_space()
        if not has_begun and self._first() == ",":  # one before the end is none of JSON's, but nobody is served by that
            self._at += 1
            self._skip_space()
        elif not has_begun and self._first() != close:
            return False
        if self._first() == close:
            self._at += 1
            self._close()
            return True
        return (close == "]" or self._key()) and self._value()

    def _key(self) -> bool:
        if self._first() != '"':
            return False
        self._name = self._string()
        self._skip_space()
        if isinstance(self._name, Cut) or self._first() != ":":
            return False
        self._at += 1
        self._skip_space()
        return True

    def _value(self) -> bool:
        """Reads a value, of an object or array its beginning."""
        first = self._first()
        if first == '"':
            string = self._string()
            self._put(string)
            return not isinstance(string, Cut)
        if first == "{" or first == "[":
            if len(self._open) == _MAX_DEPTH:
                return False
            container = Object() if first == "{" else Array()
            self._put(container)
            self._open.append((container, self._at))
            self._at += 1
            self._has_begun = True
            return True
        match = _SCALAR.match(self._text, self._at)
        if match is None:
            return False
        self._at = match.end()
        if self._at == len(self._text):
            return False
        try:
            self._put(_DECODER.decode(match[0]))
        except ValueError:
            return False
        return True

    def _put(self, value: Any) -> None:
        container = self._open[-1][0] if self._open else self.found
        if len(self._open) > _MAX_SEEN:
            return
        if isinstance(container, dict):
            container[self._name] = value
        else:
            container.append(value)

    def _close(self) -> None:
        container, start = self._open.pop()
        container.size = len(self._text[start : self._at].encode("utf-8", "surrogatepass"))

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at + 1)
        assert match is not None
        string = json.loads(f'"{match[0]}"') if "\\" in match[0] else match[0]
        if self._text[match.end() : match.end() + 1] != '"':
            self._at = len(self._text)
            return Cut(string)
        self._at = match.end() + 1
        return string

    def _first(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
