"""Thousands of streams at once in one asyncio process: `python benches/many.py [--streams N] [--chunks N]`.

Every stream is open before the first is read, has a task of its own, and gives way to the others after each event; so
events of different streams come in turns, one a read. The measure is the CPU time of the process for each chunk, from
the first read to the last. The row "the loop alone" runs the same tasks over the same reads and decodes nothing: what
a row costs beyond it is its own. Memory is what the resident set grew by from before the streams were opened to when
half of each was read, for each stream: responses, tasks, buffers and all.
"""

import argparse
import asyncio
import gc
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec
import openai

import chunkwire
import corpora
from cells import markdown
from chunkwire.adapters.openai import accelerate
from environment import commit, machine, versions
from model import Chunk

Count = tuple[int, int]
"""Chunks, and bytes of `choices[0].delta.content`."""
DISTINCT = 500
"""So many bodies are made; others are these again."""


class Body(httpx2.AsyncByteStream):
    """A response's body, which gives way after each event."""

    def __init__(self, events: list[bytes], gate: "Gate") -> None:
        self._events = events
        self._gate = gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self._events) // 2
        events, self._events = self._events, []  # a network gives its bytes once, too
        for number, event in enumerate(events):
            if number == half:
                await self._gate.half()
            yield event
            await asyncio.sleep(0)


class Gate:
    """Where all streams wait for each other, half read."""

    def __init__(self, streams: int) -> None:
        self._missing = streams
        self._open = asyncio.Event()
        self.resident = 0

    async def half(self) -> None:
        """Waits until all are here."""
        self._missing -= 1
        if not self._missing:
            self.resident = resident()
            self._open.set()
        await self._open.wait()


def resident() -> int:
    """Bytes of this process that lie in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


async def nothing(body: Body) -> AsyncIterator[bytes]:
    """The reads as they are."""
    return aiter(body)


async def typed(body: Body) -> AsyncIterator[Chunk]:
    """What can be written by hand for reads that are cut between events."""
    decode = msgspec.json.Decoder(Chunk).decode

    async def chunks() -> AsyncIterator[Chunk]:
        async for event in body:
            if event.startswith(b"data: {"):
                yield decode(event[6:])

    return chunks()


async def chunkwires(body: Body) -> AsyncIterator[chunkwire.Chunk]:
    """`chunkwire.adecode`."""
    return chunkwire.adecode(body)


def of_openai(objects: Any) -> Callable[[Body], Awaitable[Any]]:
    """`AsyncOpenAI`, plain or accelerated, over a transport in this process."""
    bodies: list[Body] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=bodies.pop())

    web = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = openai.AsyncOpenAI(api_key="none", http_client=web)
    if objects is not None:
        accelerate(client, objects=objects)

    async def stream(body: Body) -> Any:
        bodies.append(body)
        return await client.chat.completions.create(model="m", messages=[], stream=True)

    return stream


@dataclass(frozen=True)
class Row:
    """A contender."""

    name: str
    make: Callable[[], Callable[[Body], Awaitable[Any]]]
    decodes: bool = True
    #: It is measured with so many times fewer streams.
    slow: int = 1


LOOP = "the loop alone"
ROWS = [
    Row(LOOP, lambda: nothing, decodes=False),
    Row("msgspec, typed, by hand", lambda: typed),
    Row("chunkwire.adecode", lambda: chunkwires),
    Row(LOOP, lambda: nothing, decodes=False, slow=10),
    Row("AsyncOpenAI", lambda: of_openai(None), slow=10),
    Row("AsyncOpenAI, accelerated", lambda: of_openai("openai"), slow=10),
    Row("AsyncOpenAI, accelerated, chunkwire objects", lambda: of_openai("chunkwire"), slow=10),
]


async def read(chunks: AsyncIterator[Any]) -> Count:
    """All chunks of a stream."""
    count = content = 0
    async for chunk in chunks:
        count += 1
        if chunk.choices:
            content += len(chunk.choices[0].delta.content or "")
    return count, content


async def pass_by(chunks: AsyncIterator[Any]) -> Count:
    """All reads of a stream."""
    count = 0
    async for _ in chunks:
        count += 1
    return count, 0


async def measure(row: Row, streams: list[list[bytes]], expected: Count) -> tuple[float, float]:
    """CPU seconds, and bytes a stream."""
    opener = row.make()
    gc.collect()
    before, gate = resident(), Gate(len(streams))
    opened = [await opener(Body(events, gate)) for events in streams]
    over = read if row.decodes else pass_by
    tasks = [asyncio.create_task(over(chunks)) for chunks in opened]
    start = time.process_time()
    counts = await asyncio.gather(*tasks)
    cpu = time.process_time() - start
    found = sum(count for count, _ in counts), sum(content for _, content in counts)
    if row.decodes and found != expected:
        sys.exit(f"{row.name}: counted {found}, not {expected}")
    return cpu, (gate.resident - before) / len(streams)


def bodies(streams: int, chunks: int) -> tuple[list[list[bytes]], Count]:
    """The reads of so many responses of about so many chunks, and what they hold. (Hundreds have ids of their own.)"""
    corpus = corpora.make("openai", 400 * chunks * 20)
    made: list[list[bytes]] = []
    counts: list[Count] = []
    decode = msgspec.json.Decoder(Chunk).decode
    while len(made) < min(streams, DISTINCT):
        for stream in corpus.streams:
            count = content = 0
            identity = b'"id":"chatcmpl-%029d"' % len(made)
            data = [event for event in stream.blocks if event.startswith(b"data: {")]
            data = [_with_id(event, identity) for event in (*data[: chunks - 2], *data[-2:])]
            for event in data:
                chunk = decode(event[6:])
                count += 1
                if chunk.choices and chunk.choices[0].delta is not None:
                    content += len(chunk.choices[0].delta.content or "")
            made.append([*data, b"data: [DONE]\n\n"])
            counts.append((count, content))
    turns = [number % len(made) for number in range(streams)]
    expected = sum(counts[number][0] for number in turns), sum(counts[number][1] for number in turns)
    return [made[number] for number in turns], expected


def _with_id(event: bytes, identity: bytes) -> bytes:
    start = event.index(b'"id":"')
    return event[:start] + identity + event[event.index(b'"', start + 6) + 1 :]


def rows(streams: int, chunks: int, rounds: int) -> list[list[str]]:
    """The table, but for its head."""
    best: dict[Row, tuple[float, float]] = {}
    for _ in range(rounds):
        for row in ROWS:
            some, expected = bodies(max(1, streams // row.slow), chunks)
            cpu, memory = asyncio.run(measure(row, some, expected))
            micros, most = best.get(row, (math.inf, 0.0))
            best[row] = min(micros, cpu / expected[0] * 1e6), max(memory, most)
    loops = {row.slow: best[row][0] for row in ROWS if not row.decodes}
    own = {row: best[row][0] - loops[row.slow] for row in ROWS if row.decodes}
    plain = next(row for row in ROWS if row.name == "AsyncOpenAI")
    table = []
    for row in ROWS:
        micros, memory = best[row]
        times = f"{own[plain] / own[row]:.1f}x" if row in own and row.slow == plain.slow else "-"
        beyond = f"{own[row]:.2f}" if row in own else "-"
        count = f"{max(1, streams // row.slow):,}"
        table.append([row.name, count, f"{micros:.2f}", beyond, times, f"{memory / 1024:.1f}"])
    return table


HEAD = ["contender", "streams", "µs CPU a chunk", "beyond the loop", "x", "KiB a stream"]


def table(streams: int = 10_000, chunks: int = 100, rounds: int = 3) -> str:
    """As Markdown."""
    return markdown([HEAD, *rows(streams, chunks, rounds)])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10_000, metavar="N", help="at once (default 10000)")
    parser.add_argument("--chunks", type=int, default=100, metavar="N", help="of each stream (default 100)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the best counts (default 3)")
    options = parser.parse_args()
    print(f"{machine()}\n{versions()}\n{commit()}\n", file=sys.stderr)
    print(table(options.streams, options.chunks, options.rounds))


if __name__ == "__main__":
    main()
