"""What adapters give to ``async for`` does what an asynchronous generator does: each scenario runs over httpx-sse's own
generator and over ours, under asyncio's event loop and trio's, and has to see the same."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import types
import warnings
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

pytest.importorskip("httpx_sse")

import anyio
import httpx
import httpx_sse
from sse import A, B

from chunkwire import _engine, _live
from chunkwire.adapters.httpx_sse import EventSource

HEADERS = {"content-type": "text/event-stream"}


class Body(httpx.AsyncByteStream):
    """Pieces of a body, each after a pause; it says what is done to it."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces
        self.said: list[str] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                await anyio.sleep(0 if isinstance(piece, (bytes, Exception)) else piece)
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, bytes):
                    yield piece
        except BaseException as error:
            # Whoever leaves it has it closed by the loop, sooner or later, by this exception or that.
            self.said.append(type(error).__name__ if isinstance(error, Exception) else "left")
            raise

    async def aclose(self) -> None:
        await anyio.sleep(0)
        self.said.append("closed")


Opener = Callable[..., tuple[Any, Body]]
Scenario = Callable[[Opener], Awaitable[Any]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


async def outcome(step: Awaitable[Any]) -> Any:
    """What an awaitable comes to."""
    try:
        found = await step
    except BaseException as error:
        return type(error).__name__, str(error)
    return getattr(found, "data", found)


@scenario
async def to_the_end(make: Opener) -> Any:
    events, body = make(A, B + A, b"", b"data: c")
    found = [event.data async for event in events]
    return found, body.said, [await outcome(anext(events)) for _ in range(2)], await anext(events, "none")


@scenario
async def what_it_is(make: Opener) -> Any:
    events, _ = make(A)
    step = anext(events)
    found = [
        isinstance(events, AsyncGenerator),
        isinstance(events, AsyncIterator),
        isinstance(events, Coroutine),
        inspect.isawaitable(events),
        aiter(events) is events,
        isinstance(step, Coroutine),
        inspect.isawaitable(step),
        weakref.ref(events)() is events,
        hash(events) == hash(events),
    ]
    await step
    await events.aclose()
    return found


@scenario
async def closing(make: Opener) -> Any:
    """Not begun, between two events of a read, between two reads, at the end, twice."""
    found = []
    for steps in range(5):
        events, body = make(A + B, A)
        given = [await outcome(anext(events)) for _ in range(steps)]
        closed = [await outcome(events.aclose()) for _ in range(2)]
        found.append((given, closed, await outcome(anext(events)), body.said))
    return found


@scenario
async def closing_by_a_context(make: Opener) -> Any:
    events, body = make(A, B)
    async with contextlib.aclosing(events):
        async for _ in events:
            break
    return body.said, await outcome(anext(events))


@scenario
async def throwing(make: Opener) -> Any:
    found = []
    for error in (
        KeyError("mine"),
        httpx.ReadError("mine"),
        GeneratorExit(),
        StopAsyncIteration(),
        KeyboardInterrupt(),
    ):
        for steps in range(3):
            events, body = make(A + B, A)
            given = [await outcome(anext(events)) for _ in range(steps)]
            found.append((given, await outcome(events.athrow(error)), await outcome(anext(events)), body.said))
    return found


@scenario
async def throwing_the_old_way(make: Opener) -> Any:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for thrown in ((KeyError,), (KeyError, "mine"), (KeyError, KeyError("mine"), None)):
            events, _ = make(A, B)
            found.append((await outcome(anext(events)), await outcome(events.athrow(*thrown))))
    return found


@scenario
async def throwing_what_is_no_exception(make: Opener) -> Any:
    """It never reaches the generator."""
    events, _ = make(A, B)
    found = [await outcome(anext(events))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for wrong in ((5,), ("text",), (int,), (dict, None)):
            found.append(await outcome(events.athrow(*wrong)))
    return found, await outcome(anext(events)), await outcome(anext(events))


@scenario
async def throwing_into_a_step_after_the_end(make: Opener) -> Any:
    """As who cancels a task that has not begun: it must not come to nothing."""
    found = []
    for last in ("read", "closed"):
        events, _ = make(A)
        while await anext(events, None) is not None:
            if last == "closed":
                await events.aclose()
        for step in (events.__anext__(), events.asend(None)):
            with pytest.raises(KeyError, match="mine") as raised:
                step.throw(KeyError("mine"))
            found.append(type(raised.value))
    return found


@scenario
async def sending(make: Opener) -> Any:
    events, body = make(A, B)
    found = [await outcome(events.asend(5)), await outcome(events.asend(None)), await outcome(events.asend(5))]
    return found, await outcome(events.asend(7)), body.said


@scenario
async def awaiting_twice(make: Opener) -> Any:
    events, _ = make(A, B)
    step = anext(events)
    found = [await outcome(step)]
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        await step
    # In another order than they were asked for, and one that nobody awaits.
    _, first, second = anext(events), anext(events), anext(events)
    return found, await outcome(second), await outcome(first)


@scenario
async def two_at_once(make: Opener) -> Any:
    """The first waits for a read meanwhile."""
    events, _ = make(A, 0.05, B)
    found: list[Any] = [await outcome(anext(events))]

    async def wait() -> None:
        found.append(await outcome(anext(events)))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.01)
        for step in (anext(events), events.asend(None), events.aclose(), events.athrow(KeyError())):
            found.append(await outcome(step))
    return found, await outcome(anext(events))


@scenario
async def cancelled(make: Opener) -> Any:
    """In the middle of a read."""
    events, body = make(A, 5, B)
    found = [await outcome(anext(events))]
    with anyio.move_on_after(0.01) as scope:
        await anext(events)
    return found, scope.cancelled_caught, body.said, await outcome(anext(events))


@scenario
async def cancelled_before_it_began(make: Opener) -> Any:
    events, body = make(A, B)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(events)
    return body.said, await outcome(anext(events))


@scenario
async def failing_reads(make: Opener) -> Any:
    found = []
    for error in (httpx.ReadError("gone"), OSError("odd"), ValueError()):
        events, body = make(A, B + b"data: x", error)
        found.append([[await outcome(anext(events)) for _ in range(4)], body.said])
    return found


@scenario
async def reads_that_give_no_bytes(make: Opener) -> Any:
    events, _ = make(A)
    events, _ = make(A, bytearray(B), memoryview(A).tobytes())
    return [await outcome(anext(events)) for _ in range(4)]


@scenario
async def no_event_stream(make: Opener) -> Any:
    """It is the first step that says so."""
    events, body = make(A, content_type="text/html")
    return [await outcome(anext(events)) for _ in range(2)], body.said


@scenario
async def steps_by_hand(make: Opener) -> Any:
    """As an event loop does it."""
    events, _ = make(A, B)
    step = anext(events)
    sent, yielded = None, 0
    while True:
        try:
            passed = step.send(sent)
        except StopIteration as end:
            found = end.value.data
            break
        sent = await _pass_on(passed)
        yielded += 1
    following = await outcome(anext(events))
    unused = anext(events)  # (To some versions of Python this is the end of the generator, to others nothing.)
    unused.close()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        unused.send(None)
    return found, yielded > 0, following


class _pass_on:
    """What is yielded to the event loop."""

    def __init__(self, yielded: Any) -> None:
        self.yielded = yielded

    def __await__(self) -> Any:
        return (yield self.yielded)


LOOPS = ["asyncio", "trio"]


def run(loop: str, engine: str, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> tuple[Any, Any]:
    """What a scenario sees of httpx-sse's own generator, and of ours."""
    if loop == "trio":
        pytest.importorskip("trio")
    monkeypatch.setenv("CHUNKWIRE_ENGINE", engine)

    async def see(kind: Any) -> Any:
        def make(*pieces: Any, content_type: str = "text/event-stream") -> Any:
            body = Body(*pieces)
            request = httpx.Request("GET", "http://server/")
            answer = httpx.Response(200, headers={"content-type": content_type}, stream=body, request=request)
            return kind(answer).aiter_sse(), body

        return await scenario(make)

    with warnings.catch_warnings():
        # httpx-sse's inner generators are left to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        # Some versions of Python say so of a generator's steps, and all of coroutines, which the engine in Python has.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")
        found = anyio.run(see, httpx_sse.EventSource, backend=loop), anyio.run(see, EventSource, backend=loop)
    return found


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("loop", LOOPS)
def test_like_a_generator(name: str, loop: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = run(loop, engine, monkeypatch, SCENARIOS[name])
    assert ours == theirs


# --- What the event loop closes ------------------------------------------------------------------------------------


def relay(engine: str, steps: Any) -> Any:
    return _live.relay_async(steps, _engine.load(engine))


async def told(said: list[str]) -> AsyncIterator[Any]:
    try:
        for item in "abc":
            yield item
    finally:
        await asyncio.sleep(0)
        said.append("closed")


def test_who_drops_it_has_it_closed(engine: str) -> None:
    said: list[str] = []

    async def drop() -> None:
        async for _ in relay(engine, told(said)):
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert said == ["closed"]

    asyncio.run(drop())


def test_the_loop_closes_what_is_left(engine: str) -> None:
    said: list[str] = []
    kept = []

    async def leave() -> None:
        kept.append(relay(engine, told(said)))
        await anext(kept[0])
        assert said == []

    asyncio.run(leave())
    assert said == ["closed"]


def test_a_task_that_is_destroyed_in_the_middle(engine: str) -> None:
    """What waits is let go; the generator is closed by who holds it."""
    said: list[str] = []

    async def waiting() -> AsyncIterator[Any]:
        try:
            await _pass_on("waits")
            yield 1
        except GeneratorExit:
            said.append("closed")
            raise

    stream = relay(engine, waiting())
    step = anext(stream)
    assert step.send(None) == "waits"
    step.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        step.send(None)
    del step, stream
    gc.collect()
    assert said == ["closed"]


# --- Loops over it -------------------------------------------------------------------------------------------------


def test_a_loop_that_is_closed_leaves_the_rest(engine: str) -> None:
    async def run() -> None:
        said: list[str] = []
        stream = relay(engine, told(said))
        loop = _live.loop(stream)
        assert loop is not None
        assert aiter(loop) is loop
        assert isinstance(loop, AsyncGenerator)
        assert await anext(loop) == "a"
        await loop.aclose()
        assert await anext(loop, "none") == "none"
        assert await loop.aclose() is None
        assert said == []
        other: Any = stream.loop()
        assert await other.asend(5) == "b"
        with pytest.raises(KeyError, match="mine"):
            await other.athrow(KeyError("mine"))
        assert [item async for item in other] == []
        assert [item async for item in stream.loop()] == ["c"]
        assert said == ["closed"]

    # (It is one of the engine in use.)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHUNKWIRE_ENGINE", engine)
        asyncio.run(run())
        assert _live.loop(iter(())) is None


def test_what_a_generator_gives_beside_sessions(engine: str) -> None:
    module = _engine.load(engine)

    async def source(*pieces: Any) -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    one = b'data: {"choices":[]}\n\n'

    async def steps() -> AsyncIterator[Any]:
        session = module.Session()
        yield "first"
        yield session.apull(source(one * 2, b"data: 5\n\n" + one, OSError("gone")))
        yield session.foreign()
        yield session
        yield str(session.error())
        with contextlib.suppress(KeyboardInterrupt):
            yield session.apull(source(one, KeyboardInterrupt()))
        yield "interrupted"
        for wrong in ("text", None):
            with contextlib.suppress(TypeError):
                yield session.apull(source(wrong))
                raise AssertionError("what is no bytes was taken")
        yield "no bytes"

    async def run() -> list[Any]:
        return [item if isinstance(item, (str, bytes)) else "chunk" async for item in relay(engine, steps())]

    expected = ["first", "chunk", "chunk", b"data: 5\n\n", "chunk", "gone", "chunk", "interrupted", "no bytes"]
    assert asyncio.run(run()) == expected


def test_counting(engine: str) -> None:
    class Counter:
        bytes = 0

    async def source() -> AsyncIterator[bytes]:
        for piece in (b"data: 1\n\n", b": x\n", b"data: 2"):
            yield piece

    async def run() -> None:
        for kind in ("Session", "ClientEvents"):
            counter = Counter()

            async def steps(kind: str = kind, counter: Counter = counter) -> AsyncIterator[Any]:
                module = _engine.load(engine)
                layout = (Counter, {"a": 1, "b": 2, "c": 3, "d": 4}, ("a", "b", "c", "d"))
                session = module.Session() if kind == "Session" else module.ClientEvents("standard", *layout)
                yield session.apull(source(), (counter, "bytes"))
                assert counter.bytes in (9, 20)
                yield session

            _ = [item async for item in relay(engine, steps())]
            assert counter.bytes == (9 if kind == "Session" else 20)

    asyncio.run(run())


def test_what_is_no_asynchronous_iterator(engine: str) -> None:
    module = _engine.load(engine)
    for wrong in (5, iter(())):
        with pytest.raises(TypeError, match="expected an asynchronous iterator, got"):
            module.AsyncRelay(wrong)


def test_a_source_whose_awaitables_are_coroutines(engine: str) -> None:
    """And one whose are none at all."""

    class Source:
        def __init__(self) -> None:
            self.left = 3

        async def __anext__(self) -> bytes:
            await asyncio.sleep(0)
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return b'data: {"choices":[]}\n\n'

    class Wrong:
        def __anext__(self) -> Any:
            return 5

    class Empty:
        def __anext__(self) -> Any:
            raise StopAsyncIteration

    class Old(Source):
        @types.coroutine  # type: ignore[arg-type]
        def __anext__(self) -> Any:
            return (yield from Source.__anext__(self).__await__())

    class Generator:
        def __anext__(self) -> Any:
            yield

    async def steps(source: Any) -> AsyncIterator[Any]:
        session = _engine.load(engine).Session()
        yield session.apull(source)
        if (error := session.error()) is not None:
            raise error

    async def run(source: Any) -> int:
        return len([item async for item in relay(engine, steps(source))])

    assert asyncio.run(run(Source())) == 3
    assert asyncio.run(run(Old())) == 3
    assert asyncio.run(run(Empty())) == 0
    for wrong in (Wrong(), Generator()):
        with pytest.raises(TypeError):
            asyncio.run(run(wrong))


def test_cycles_are_collected(engine: str) -> None:
    class Source:
        relay: Any = None

        async def __anext__(self) -> bytes:
            return b'data: {"choices":[]}\n\n'

    async def steps(source: Any) -> AsyncIterator[Any]:
        yield _engine.load(engine).Session().apull(source, (source, "count"))

    async def run() -> Any:
        source = Source()
        source.relay = relay(engine, steps(source))
        await anext(source.relay)
        return weakref.ref(source)

    gone = asyncio.run(run())
    gc.collect()
    assert gone() is None


class Mine(Exception):
    step: Any


def test_who_gets_an_error_needs_no_collector(engine: str) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise Mine

    async def failing() -> AsyncIterator[Any]:
        class Event:
            pass

        layout = (Event, {"a": 1, "b": 2, "c": 3, "d": 4}, ("a", "b", "c", "d"))
        yield _engine.load(engine).ClientEvents("standard", *layout).apull(source())

    async def run() -> list[Any]:
        gone = []
        for is_thrown in (False, True):
            stream = relay(engine, failing())
            await anext(stream)
            try:
                await (stream.athrow(Mine()) if is_thrown else anext(stream))
            except Mine as error:
                gone.append(weakref.ref(error))
        return [found() for found in gone]

    gc.disable()
    try:
        assert asyncio.run(run()) == [None, None]
    finally:
        gc.enable()


def test_a_step_that_nobody_awaits_is_collected(engine: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")
        error = Mine()
        error.step = relay(engine, told([])).athrow(error)
        gone = weakref.ref(error)
        del error
        gc.collect()
    assert gone() is None
