"""Paths to members of JSON, such as ``response.body``: a path in, its names out, and back.

A dot stands between names, ``\\.`` is a dot in a name, digits count the elements of an array.
"""

from __future__ import annotations

import re

__all__ = ["names_of", "path_of"]

_NAME = re.compile(r"(?:[^.\\]|\\[.\\])*")


def names_of(path: str) -> tuple[str, ...]:
    """The names of a path; ValueError for what is none."""
    if not path:
        raise ValueError("a path names a member, such as response.body; this one is empty")
    names, at = [], 0
    while True:
        match = _NAME.match(path, at)
        assert match is not None
        names.append(re.sub(r"\\(.)", r"\1", match[0], flags=re.DOTALL))
        at = match.end()
        if at == len(path):
            return tuple(names)
        if path[at] == "\\":
            raise ValueError(f"{path!r} is no path: behind \\ comes . or \\")
        at += 1


def path_of(names: tuple[str, ...]) -> str:
    """The path of these names."""
    return ".".join(re.sub(r"([.\\])", r"\\\1", name) for name in names)
