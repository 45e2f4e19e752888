"""`adecode`: asynchronous sources and others, going on after errors, and being closed or cancelled."""

from __future__ import annotations

import asyncio
import gzip
import io
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from support import chunk_json, event

CHOICES = [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]
ONE = event(chunk_json(id="one", choices=CHOICES))
TWO = event(chunk_json(id="two", choices=CHOICES))
DATA = ONE + TWO
IDS = ["one", "two"]


def ids(chunks: Any) -> list[Any]:
    return [chunk.id for chunk in chunks]


class Source:
    """An asynchronous iterator that notes when it is closed, and can fail in between."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.closed = False

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        if not self.items:
            raise StopAsyncIteration
        item = self.items.pop(0)
        if isinstance(item, BaseException):
            raise item
        if item is None:
            await asyncio.sleep(3600)
        return item  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed = True


def collect(source: Any, **options: Any) -> list[Any]:
    async def run() -> list[Any]:
        return [chunk async for chunk in chunkwire.adecode(source, **options)]

    return asyncio.run(run())


def test_asynchronous_sources(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(gzip.compress(DATA))
    several = Source(ONE, TWO[:7], b"", TWO[7:])
    for source in (several, [DATA], DATA, bytearray(DATA), path, io.BytesIO(DATA), iter([DATA])):
        assert ids(collect(source, engine=engine)) == IDS


def test_asyncio_streams_are_read_as_data_come(engine: str) -> None:
    """Not by lines, of which a StreamReader has a greatest length."""

    async def run() -> list[Any]:
        reader = asyncio.StreamReader(limit=64)
        reader.feed_data(event(chunk_json(id="long", model="x" * 5000)))
        chunks = chunkwire.adecode(reader, engine=engine)
        found = [(await anext(chunks)).id]
        reader.feed_data(ONE)
        found.append((await anext(chunks)).id)
        reader.feed_eof()
        return [*found, *[chunk.id async for chunk in chunks]]

    assert asyncio.run(run()) == ["long", "one"]


@pytest.mark.parametrize("make", [lambda data: Source(data), lambda data: data], ids=["async", "bytes"])
def test_adecode_goes_on_after_an_error(engine: str, make: Any) -> None:
    async def run() -> None:
        chunks = chunkwire.adecode(make(ONE + event("{") + TWO + event('{"error":"e"}') + ONE), engine=engine)
        assert (await anext(chunks)).id == "one"
        with pytest.raises(chunkwire.DecodeError):
            await anext(chunks)
        assert (await anext(chunks)).id == "two"
        with pytest.raises(chunkwire.StreamError):
            await anext(chunks)
        assert [chunk.id async for chunk in chunks] == ["one"]
        assert (chunks.stats.chunks, chunks.stats.damaged, chunks.stats.errors) == (3, 1, 1)

    asyncio.run(run())
    data = ONE + event("{") + TWO
    assert ids(collect(make(data), engine=engine, on_error="skip")) == IDS


def test_adecode_goes_on_after_an_error_of_its_source(engine: str) -> None:
    async def run() -> None:
        chunks = chunkwire.adecode(Source(ONE, TimeoutError("slow"), TWO), engine=engine)
        assert (await anext(chunks)).id == "one"
        with pytest.raises(TimeoutError):
            await anext(chunks)
        assert (await anext(chunks)).id == "two"
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)

    asyncio.run(run())


def test_adecode_closes_its_source(engine: str) -> None:
    async def run() -> None:
        source = Source(DATA)
        chunks = chunkwire.adecode(source, engine=engine)
        assert (await anext(chunks)).id == "one"
        await chunks.aclose()
        await chunks.aclose()
        assert source.closed
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)

        source = Source(ONE, None)
        chunks = chunkwire.adecode(source, engine=engine)
        assert (await anext(chunks)).id == "one"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.01)
        assert source.closed

        ended = []

        async def generator() -> Any:
            try:
                yield DATA
            finally:
                ended.append(True)

        chunks = chunkwire.adecode(generator(), engine=engine)
        assert (await anext(chunks)).id == "one"
        await chunks.aclose()
        assert ended == [True]

    asyncio.run(run())
