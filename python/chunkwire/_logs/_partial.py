"""The beginning of a JSON text in, what is there of its value out."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

__all__ = ["Cut", "partial", "partial_and_end"]

#: How deep is looked.
_MAX_DEPTH = 64

_SPACE = re.compile(r"[ \t\r\n]*+")
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_SCALAR = re.compile(r"[^,\]}\s\"\[{:]++")


class Cut(str):
    """A string that is not there to its end."""

    __slots__ = ()


class _End(Exception):
    """Nothing more can be read."""


def partial(text: str) -> Any:
    """The value that a JSON text begins with, as far as it goes: what is cut, or behind an error, is absent."""
    return partial_and_end(text)[0]


def partial_and_end(text: str) -> tuple[Any, bool]:
    """The same, and whether the value is there to its end."""
    found: list[Any] = []
    has_end = False
    with suppress(_End):
        _value(text, 0, found.append, _MAX_DEPTH)
        has_end = True
    return (found[0] if found else None), has_end


def _value(text: str, at: int, put: Any, depth: int) -> int:
    """Reads a value, and puts it as soon as it is begun; gives where it ends."""
    at = _space(text, at)
    first = text[at : at + 1]
    if first == '"':
        end, string = _string(text, at)
        put(string)
        if isinstance(string, Cut):
            raise _End
        return end
    if first in ("{", "[") and first:
        if not depth:
            raise _End
        return _container(text, at, put, depth)
    match = _SCALAR.match(text, at)
    if match is None or match.end() == len(text):
        raise _End
    try:
        put(json.loads(match[0]))
    except ValueError:
        raise _End from None
    return match.end()


def _container(text: str, at: int, put: Any, depth: int) -> int:
    is_object = text[at] == "{"
    container: Any = {} if is_object else []
    put(container)
    at = _space(text, at + 1)
    if text[at : at + 1] == ("}" if is_object else "]"):
        return at + 1
    while True:
        add = container.append if not is_object else None
        if is_object:
            if text[at : at + 1] != '"':
                raise _End
            at, name = _string(text, at)
            at = _space(text, at)
            if isinstance(name, Cut) or text[at : at + 1] != ":":
                raise _End
            at += 1
            add = _Put(container, name)
        at = _space(text, _value(text, at, add, depth - 1))
        if text[at : at + 1] != ",":
            if text[at : at + 1] != ("}" if is_object else "]"):
                raise _End
            return at + 1
        at = _space(text, at + 1)


class _Put:
    """Puts a value into an object."""

    def __init__(self, container: dict[str, Any], name: str) -> None:
        self._container = container
        self._name = name

    def __call__(self, value: Any) -> None:
        self._container[self._name] = value


def _string(text: str, at: int) -> tuple[int, str]:
    match = _STRING.match(text, at + 1)
    assert match is not None
    end = match.end()
    string = json.loads(f'"{match[0]}"') if "\\" in match[0] else match[0]
    if text[end : end + 1] != '"':
        return end, Cut(string)
    return end + 1, string


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
