"""What the tests of adapters share: responses over bytes, what streams come to, a comparison that misses nothing."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pydantic

try:
    import httpx2 as httpx
except ImportError:
    import httpx  # type: ignore[no-redef]

REQUEST = httpx.Request("POST", "http://server/v1/chat/completions")


class Body:
    """The pieces of a body, and perhaps an error behind them."""

    def __init__(self, pieces: Iterable[bytes], error: BaseException | None = None) -> None:
        self.pieces = list(pieces)
        self.error = error
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.given += 1
            yield piece
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


class Pieces(Body, httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


def response(pieces: Iterable[bytes], error: Exception | None = None) -> httpx.Response:
    return httpx.Response(200, stream=Pieces(pieces, error), request=REQUEST)


def outcome(stream: Any) -> tuple[list[Any], BaseException | None, bool]:
    """What a stream gives, what it raises in the end, and whether its response is closed then."""
    found: list[Any] = []
    error = None
    try:
        for chunk in stream:
            found.append(chunk)
    except Exception as raised:
        error = raised
    return found, error, stream.response.is_closed


def async_outcome(make: Callable[[], Any]) -> tuple[list[Any], BaseException | None, bool]:
    """The same of an asynchronous stream, which is made in the loop."""

    async def run() -> tuple[list[Any], BaseException | None, bool]:
        stream = make()
        found: list[Any] = []
        error = None
        try:
            async for chunk in stream:
                found.append(chunk)
        except Exception as raised:
            error = raised
        return found, error, stream.response.is_closed

    return asyncio.run(run())


def assert_same(ours: Any, theirs: Any, path: str = "") -> None:
    """Are they equal, down to the types, the order of keys, and what pydantic knows of an instance?"""
    assert type(ours) is type(theirs), (path, ours, theirs)
    if isinstance(theirs, pydantic.BaseModel):
        assert_same(vars(ours), vars(theirs), path)
        assert type(ours.__pydantic_fields_set__) is set, path
        assert ours.__pydantic_fields_set__ == theirs.__pydantic_fields_set__, path
        assert_same(ours.__pydantic_extra__, theirs.__pydantic_extra__, f"{path}.extra")
        assert ours.__pydantic_private__ == theirs.__pydantic_private__, path
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), path
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{path}[{number}]")
    elif isinstance(theirs, float) and math.isnan(theirs):
        assert math.isnan(ours), path
    else:
        assert ours == theirs, path


def assert_same_outcome(ours: Any, theirs: Any) -> None:
    """Do two streams give the same, raise the same, and leave their responses alike?"""
    assert_same(ours[0], theirs[0])
    assert_same_error(ours[1], theirs[1])
    assert ours[2] == theirs[2]


def assert_same_error(ours: BaseException | None, theirs: BaseException | None) -> None:
    assert type(ours) is type(theirs), (ours, theirs)
    if theirs is None or ours is None:
        return
    assert str(ours) == str(theirs)
    if isinstance(theirs, json.JSONDecodeError):
        assert (ours.doc, ours.pos, ours.msg) == (theirs.doc, theirs.pos, theirs.msg)  # type: ignore[attr-defined]
    else:
        assert len(ours.args) == len(theirs.args)
    for name in ("body", "message", "code", "param", "type"):
        assert_same(getattr(ours, name, None), getattr(theirs, name, None), name)
    assert_same_error(ours.__cause__, theirs.__cause__)


def cuts(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    places = [0, *at, len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def ways(data: bytes) -> Iterator[list[bytes]]:
    """A stream in several pieces: whole, in blocks between empty reads, in bytes or, if it is long, in parts that suit
    nothing."""
    yield [data]
    yield [b"", *re.findall(rb".*?\n\n|.+", data, re.DOTALL), b""]
    size = 1 if len(data) < 2000 else max(113, len(data) // 20)
    yield cuts(data, range(size, len(data), size))


def single_cuts(data: bytes, every: int = 1000) -> Iterator[list[bytes]]:
    """A stream in two pieces: cut at every place, or if it is longer than ``every`` where that may matter, around line
    ends and at both of its own, and at some more."""
    places: Iterable[int] = range(1, len(data))
    if len(data) > every:
        ends = [at for at, byte in enumerate(data[:3000]) if byte in b"\r\n"]
        near = {at + shift for at in (0, *ends, len(data)) for shift in range(-2, 5)}
        places = sorted(near.union(range(1, len(data), 1 + len(data) // 20)).intersection(places))
    for at in places:
        yield cuts(data, [at])


def as_it_came(path: Path, data: bytes) -> Iterator[list[bytes]]:
    """The reads in which a recorded stream came, where that is known."""
    sizes = path.parent / "reads" / f"{path.stem}.json"
    if sizes.exists():
        yield cuts(data, [min(at, len(data)) for at in accumulate(json.loads(sizes.read_text()))])
