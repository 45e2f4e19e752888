"""Sessions for clients that have a parser of their own: what the adapters know of the engines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from chunkwire import _engine
from chunkwire._model import Chunk

__all__ = ["Session", "chunk", "engine", "models", "session"]


class Session(Protocol):
    """One response. What a block holds that is not plain the client's own parser has to say."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """Takes bytes; iterate for what they complete."""

    def pull(self, source: Iterable[bytes]) -> Iterator[Any]:
        """Takes an iterator of bytes, and feeds itself from it; iterate for everything."""

    def error(self) -> Exception | None:
        """The exception with which the iterator ended, if it did."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...

    def foreign(self) -> bytes | None:
        """The block that comes next and is not plain; None if there is none. Iterate on behind it."""

    def rest(self) -> bytes:
        """The beginning of a block that is left at the end."""


def models(plan: list[tuple[Any, ...]]) -> Any:
    """The plan of a model class, for sessions: of each model its class, its three slots, its defaults by name, and its
    fields, each a tuple of name, is it required, and two specifications: how a value is constructed, and how it is
    checked. (The words of a specification are in ``rust/python/models.rs``.)"""
    return _engine.load("auto").Models(plan)


def session(models: Any = None, *, chunks_only: bool = False) -> Session:
    """A session that gives instances of the first of the models, or without models chunks. With ``chunks_only`` an
    object without ``choices`` is not plain."""
    found: Session = _engine.load("auto").Session(models, chunks_only=chunks_only)
    return found


def chunk(sent: dict[str, Any]) -> Chunk:
    """A chunk of an object that was read already."""
    made: Chunk = _engine.load("auto").restore("Chunk", json.dumps(sent).encode(), 0)
    return made


def engine() -> str:
    """Which engine decodes: the name of its module."""
    name: str = _engine.load("auto").__name__
    return name
