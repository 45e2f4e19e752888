"""Thousands of streams at once: decoders that lend each other what they learned give what each gives alone, and hold
next to nothing while they wait."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import logs
from chunkwire import _engine
from support import canonical, drain, event, recorded

MOST_IDLE = 2048
"""Bytes that a decoder may hold when it is new and when its stream has ended."""


def written(seed: int, count: int) -> list[list[bytes]]:
    """The events of so many streams of all sorts of servers."""
    rng = random.Random(seed)
    return [logs.written(rng, rng.choice(list(logs.SERVERS)), rng.randrange(1, 30)) for _ in range(count)]


def sent(events: list[bytes]) -> list[str]:
    """What a stream of events holds."""
    datas = [one.removeprefix(b"data: ").strip() for one in events]
    return [canonical(json.loads(data)) for data in datas if data != b"[DONE]"]


@pytest.fixture(params=["shapes", "careful"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With shapes, and without."""
    monkeypatch.setenv("CHUNKWIRE_SHAPES", "1" if request.param == "shapes" else "0")
    return str(request.param)


# --- What others decode changes nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_decoders_in_turns(engine: str, way: str, seed: int) -> None:
    """Pieces of many streams in any order: whole events, cuts in events, many at once; some chunks are held."""
    rng = random.Random(seed)
    streams = written(seed, 40)
    expected = [sent(events) for events in streams]
    found: list[list[str]] = [[] for _ in streams]
    held: list[tuple[int, int, Any]] = []
    decoders = [chunkwire.Decoder(engine=engine) for _ in streams]
    waiting = [iter(events if rng.random() < 0.5 else logs.cuts(rng, b"".join(events))) for events in streams]
    live = list(range(len(streams)))
    while live:
        number = rng.choice(live)
        piece = next(waiting[number], None)
        chunks: Any = decoders[number].feed(piece) if piece is not None else decoders[number].finish()
        for chunk in chunks:
            if rng.random() < 0.3:
                held.append((number, len(found[number]), rng.choice([chunk, chunk.choices, chunk.choices[:1]])))
            found[number].append(canonical(chunk.to_dict()))
            assert chunk.raw in b"".join(streams[number])
        if piece is None:
            live.remove(number)
    assert found == expected
    for number, place, part in held:
        document = json.loads(expected[number][place])
        if isinstance(part, list):
            assert [canonical(choice.to_dict()) for choice in part] == list(
                map(canonical, document["choices"][: len(part)])
            )
        else:
            assert canonical(part.to_dict()) == expected[number][place]


def test_recorded_streams_in_turns(engine: str, way: str) -> None:
    """Each recorded stream is decoded while others are: chunks, errors and counts are those of the stream alone."""
    paths = recorded()[::5]
    if not paths:
        pytest.skip("CHUNKWIRE_STREAMS names no recorded streams")
    rng = random.Random(5)
    bodies = [path.read_bytes()[:30_000] for path in paths]
    alone = []
    for body in bodies:
        chunks = chunkwire.decode(body, engine=engine)
        alone.append(([_told(one) for one in drain(chunks)], chunks.stats))
    decoders = [chunkwire.Decoder(engine=engine) for _ in bodies]
    waiting = [iter(logs.cuts(rng, body, 1500)) for body in bodies]
    found: list[list[Any]] = [[] for _ in bodies]
    live = list(range(len(bodies)))
    while live:
        number = rng.choice(live)
        piece = next(waiting[number], None)
        decoder = decoders[number]
        found[number] += [_told(one) for one in drain(decoder.finish() if piece is None else decoder.feed(piece))]
        if piece is None:
            live.remove(number)
    for number, path in enumerate(paths):
        assert (found[number], decoders[number].stats) == alone[number], path.name


def _told(one: Any) -> Any:
    if isinstance(one, chunkwire.ChunkwireError):
        return type(one), str(one)
    return one.offset, one.raw, canonical(one.to_dict())


def test_limits_of_others(engine: str) -> None:
    """A number that was short enough for one decoder may be too long for the next."""
    before = sys.get_int_max_str_digits()
    data = event(b'{"choices":[],"id":%s}' % (b"7" * 3000))
    try:
        for limit, whole in ((0, True), (1000, False), (4300, True), (1000, False)):
            sys.set_int_max_str_digits(limit)
            decoder = chunkwire.Decoder(engine=engine, on_error="skip")
            assert [len(list(decoder.feed(data))) for _ in range(3)] == [int(whole)] * 3, limit
    finally:
        sys.set_int_max_str_digits(before)


def test_sessions_in_turns(engine: str, way: str) -> None:
    """The same of what adapters use."""
    rng = random.Random(9)
    streams = written(9, 30)
    module = _engine.load(engine)
    sessions = [module.Session() for _ in streams]
    found: list[list[str]] = [[] for _ in streams]
    foreign = [0] * len(streams)
    turns = [number for number, events in enumerate(streams) for _ in events]
    rng.shuffle(turns)
    waiting = [iter(events) for events in streams]
    for number in turns:
        piece = next(waiting[number])
        cut = rng.randrange(len(piece))
        for part in (piece[:cut], piece[cut:]):
            for chunk in sessions[number].feed(part):
                found[number].append(canonical(chunk.to_dict()))
            foreign[number] += sessions[number].foreign() is not None
    assert found == [sent(events) for events in streams]
    assert foreign == [1] * len(streams), "[DONE]"


def test_what_a_user_does_to_a_list_stays_there(engine: str) -> None:
    """Lists of choices serve again only as they were."""
    decoder = chunkwire.Decoder(engine=engine)
    for number in range(40):
        data = event({"id": "a", "choices": [{"index": number, "delta": {"content": "x"}}]})
        for chunk in decoder.feed(data):
            assert [choice.index for choice in chunk.choices] == [number]
            match number % 4:
                case 0:
                    chunk.choices.append("more")
                case 1:
                    chunk.choices.clear()
                case 2:
                    chunk.choices[0] = "other"


def test_views_serve_again(native: str) -> None:
    """A loop over a live stream makes its views once, for two chunks in turns. (In a process of its own, for what goes
    round belongs to all of one.)"""
    code = f"""
import json, chunkwire
decoder = chunkwire.Decoder(engine={native!r})
views, keep = set(), []
for number in range(300):
    choice = {{"index": 0, "delta": {{"content": str(number)}}}}
    for chunk in decoder.feed(b"data: " + json.dumps({{"id": "a", "choices": [choice]}}).encode() + b"\\n\\n"):
        assert chunk.choices[0].delta.content == str(number)
        if number >= 100:
            views |= {{id(chunk), id(chunk.choices), id(chunk.choices[0]), id(chunk.choices[0].delta)}}
            # Memory that came free would go to these.
            keep += [bytearray(size) for size in range(0, 256, 8)] + [bytes(size) for size in range(0, 256, 8)]
print(len(views))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 4 * 8, "there are eight batches at most"


# --- Ten thousand at once ------------------------------------------------------------------------------------------


def test_ten_thousand_at_once(native: str) -> None:
    """All are open at the same time and take turns after each read, some in the middle of an event."""
    count = 10_000
    streams = written(3, 50)
    expected = [sent(events) for events in streams]

    async def body(number: int) -> AsyncIterator[bytes]:
        for place, one in enumerate(streams[number % len(streams)]):
            if (number + place) % 7 == 0:
                yield one[: number % len(one)]
                await asyncio.sleep(0)
                yield one[number % len(one) :]
            else:
                yield one
            await asyncio.sleep(0)

    async def read(number: int) -> bool:
        wanted = expected[number % len(expected)]
        place = 0
        async for chunk in chunkwire.adecode(body(number), engine=native):
            # (All would take long to compare.)
            if number < 300:
                assert canonical(chunk.to_dict()) == wanted[place]
            place += 1
        return place == len(wanted)

    async def run() -> list[bool]:
        return await asyncio.gather(*(read(number) for number in range(count)))

    assert asyncio.run(run()) == [True] * count


# --- What they hold ------------------------------------------------------------------------------------------------


def test_idle_decoders_hold_little(native: str) -> None:
    """Bytes that are allocated, not the size of the process: the same each time."""
    if (
        sys.platform != "linux"
        or not hasattr(os, "confstr")
        or "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    ):
        pytest.skip("asks glibc what is allocated")
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, timeout=300, cwd=Path(__file__).parent
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)
    assert set(held) == {"Decoder", "Session", "Session of models"}
    for name, states in held.items():
        for state, size in states.items():
            # Half an event is kept until it is whole.
            assert size <= MOST_IDLE, (name, state, held)
        assert states["ended"] <= states["new"] + 128, (name, held)


def measure() -> dict[str, dict[str, float]]:
    """Bytes that each of many decoders holds in each state: what Python's allocator and malloc say, which count what is
    larger than 512 bytes twice."""
    import ctypes
    import tracemalloc

    fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in fields.split()]

    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Info
    module = _engine.load("native")
    stream = [
        event({"id": "a", "created": 5, "choices": [{"index": 0, "delta": {"content": f"w{n}"}}]}) for n in range(40)
    ]
    stream.append(event({"id": "a", "choices": [], "usage": {"prompt_tokens": 5, "total_tokens": 9}}))
    stream.append(b"data: [DONE]\n\n")

    class Root:
        __slots__ = ("__dict__", "extra", "fields", "private")

    slots = [getattr(Root, name) for name in ("fields", "extra", "private")]
    specs = [(name, name, False, ("raw",), ("any",), None) for name in ("id", "choices")]
    models = module.Models([(Root, slots, {"id": None, "choices": None}, True, specs)])

    def drain(chunks: Any) -> None:
        for _ in chunks:
            pass

    def end(one: Any) -> None:
        if hasattr(one, "finish"):
            drain(one.finish())
        else:
            assert one.foreign() == stream[-1]
            assert one.rest() == b""

    def steps(one: Any, state: str) -> None:
        match state:
            case "half read":
                for data in stream[:20]:
                    drain(one.feed(data))
            case "in an event":
                drain(one.feed(stream[20][:50]))
            case "ended":
                drain(one.feed(stream[20][50:]))
                for data in stream[21:]:
                    drain(one.feed(data))
                end(one)

    def malloced() -> int:
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)

    def traced() -> int:
        return tracemalloc.get_traced_memory()[0]

    count = 1000
    states = ("new", "half read", "in an event", "ended")
    found = {}
    makers: dict[str, Any] = {
        "Decoder": chunkwire.Decoder,
        "Session": module.Session,
        "Session of models": lambda: module.Session(models),
    }
    for name, make in makers.items():
        sizes = dict.fromkeys(states, 0.0)
        for held in (malloced, traced):
            steps(warm := make(), "half read")
            del warm
            ones: list[Any] = [None] * count
            if held is traced:
                tracemalloc.start()
            gc.collect()
            before = held()
            for state in states:
                for number in range(count):
                    if state == "new":
                        ones[number] = make()
                    steps(ones[number], state)
                gc.collect()
                sizes[state] += (held() - before) / count
            tracemalloc.stop()
            del ones
        found[name] = sizes
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
