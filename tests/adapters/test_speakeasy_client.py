"""Accelerated clients of the SDKs that Speakeasy generates in use: over real HTTP, one client and all, closing, errors,
threads, and going back."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from edges import DONE, A, B, delta, event
from hosts import assert_same, async_outcome, outcome
from sdk_edges import ALL
from sdks import INSTALLED, OPEN, SDKS, Sdk

from server import Site
from test_speakeasy import GOOD, asked, assert_same_outcome, sdk

__all__ = ["asked", "sdk"]  # fixtures

pytestmark = pytest.mark.skipif(not INSTALLED, reason="no SDK that Speakeasy generates is installed")

ANSWER = (
    delta(role="assistant", content="")
    + b": ping\n\n"
    + b"".join(delta(content=word) for word in ("Hel", "lo", " [DONE]", "é"))
    + b"".join(GOOD)
    + DONE
)


@pytest.fixture(autouse=True)
def as_it_was(sdk: Sdk) -> Iterator[None]:
    """No test leaves a constructor behind that is not the SDK's."""
    assert sdk.decoder, "it is taken from a plain stream"
    kinds = [getattr(sdk.streaming, name) for name in ("EventStream", "EventStreamAsync")]
    package = sdk.adapter._packages()[0]

    def restore() -> None:
        sdk.adapter.restore()
        package._configurations.clear()
        package.restore(None)

    restore()  # the tests of other files have clients of their own
    assert all(kind.__init__.__module__ == sdk.streaming.__name__ for kind in kinds)
    before = [kind.__init__ for kind in kinds]
    assert not any(hasattr(one, "__wrapped__") for one in before)
    yield
    while OPEN:
        OPEN.pop().close()
    restore()
    assert [kind.__init__ for kind in kinds] == before, "it is the SDK's own again"


def is_fast(stream: Any) -> bool:
    code = getattr(stream.generator, "gi_code", None) or stream.generator.ag_code
    return "chunkwire" in code.co_filename


def make(sdk: Sdk, url: str, is_async: bool = False) -> Any:
    return sdk.client(url, is_async=True) if is_async and sdk.name == "friendli" else sdk.client(url)


# --- Over HTTP -----------------------------------------------------------------------------------------------------


def pieces_of(data: bytes) -> list[Any]:
    pieces: list[Any] = [data[at : at + 41] for at in range(0, len(data), 41)]
    return [*pieces[:4], 0.02, *pieces[4:9], 0.02, *pieces[9:]]


def test_over_http(sdk: Sdk, engine: str, site: Site, asked: list[bytes]) -> None:
    site.serve(sdk.path, *pieces_of(ANSWER))
    with make(sdk, site.url) as client:
        theirs = outcome(sdk.ask(client))
    asked.clear()
    with sdk.adapter.accelerate(make(sdk, site.url)) as client:
        stream = sdk.ask(client)
        assert type(stream) is sdk.streaming.EventStream
        assert is_fast(stream)
        ours = outcome(stream)
    assert_same_outcome(ours, theirs)
    assert asked == []
    assert len(ours[0]) == 9


def test_over_http_async(sdk: Sdk, engine: str, site: Site, asked: list[bytes]) -> None:
    site.serve(sdk.path, *pieces_of(ANSWER))

    async def run(client: Any) -> tuple[list[Any], bool]:
        async with client, client.sdk_configuration.async_client:
            stream = await sdk.ask_async(client)
            assert type(stream) is sdk.streaming.EventStreamAsync
            async with stream as events:
                assert events is stream
                found = [one async for one in events]
            return found, stream.response.is_closed

    theirs = asyncio.run(run(make(sdk, site.url, True)))
    asked.clear()
    ours = asyncio.run(run(sdk.adapter.accelerate(make(sdk, site.url, True))))
    assert_same(list(ours), list(theirs))
    assert asked == []


@pytest.mark.parametrize("name", ["BOM", "invalid JSON", "error object", "cut", "packed", "not complete"])
def test_odd_answers_over_http(name: str, sdk: Sdk, engine: str, site: Site) -> None:
    import gzip

    packed = gzip.compress(ANSWER)
    served: dict[str, Any] = {
        "BOM": (pieces_of(b"\xef\xbb\xbf" + ANSWER), {}),
        "invalid JSON": (pieces_of(A + ALL["invalid JSON"]), {}),
        "error object": ([A + event({"error": {"message": "boom"}}) + B], {}),
        "cut": ([A, B[:20]], {"cut": True}),
        "packed": ([packed[:50], 0.02, packed[50:]], {"headers": {"content-encoding": "gzip"}}),
        "not complete": ([A, B[:-1]], {}),
    }
    pieces, options = served[name]
    # Where a read ends here the network says: so it has to have come before more is sent.
    found = []
    for client in (sdk.adapter.accelerate(make(sdk, site.url)), make(sdk, site.url)):
        site.serve(sdk.path, *pieces, **options)
        found.append(outcome(sdk.ask(client)))
    ours, theirs = found
    assert type(ours[1]) is type(theirs[1])
    assert str(ours[1]) == str(theirs[1])
    assert_same(ours[0], theirs[0])
    assert ours[2] == theirs[2]


def test_an_event_is_out_when_it_is_whole(sdk: Sdk, engine: str, site: Site) -> None:
    client = sdk.adapter.accelerate(make(sdk, site.url))
    gates = [threading.Event(), threading.Event()]
    site.serve(sdk.path, A, gates[0], B, gates[1], DONE)
    events = sdk.ask(client)
    for gate, content in zip(gates, "ab", strict=True):
        assert next(events).data.choices[0].delta.content == content
        gate.set()
    assert list(events) == []


# --- Which clients -------------------------------------------------------------------------------------------------


def test_one_client_and_no_other(sdk: Sdk, engine: str) -> None:
    client, other = sdk.over(ANSWER), sdk.over(ANSWER)
    sdk.ask(client)  # its parts are made already
    assert sdk.adapter.accelerate(client) is client
    assert is_fast(sdk.ask(client))
    assert not is_fast(sdk.ask(other))
    assert sdk.adapter.accelerate(client) is client
    assert_same(list(sdk.ask(client)), list(sdk.ask(other)))
    assert sdk.adapter.restore(client) is client
    assert not is_fast(sdk.ask(client))
    assert sdk.adapter.restore(client) is client


def test_all_clients(sdk: Sdk, engine: str) -> None:
    client, own = sdk.over(ANSWER), sdk.over(ANSWER)
    constructor = sdk.streaming.EventStream.__init__
    sdk.adapter.accelerate(own)
    assert sdk.adapter.accelerate() is None
    assert is_fast(sdk.ask(client))
    assert is_fast(sdk.ask(sdk.over(ANSWER)))
    assert is_fast(sdk.streaming.EventStream(sdk.response([A]), sdk.decoder, "[DONE]"))
    sdk.adapter.accelerate()
    sdk.adapter.restore()
    assert not is_fast(sdk.ask(client))
    assert is_fast(sdk.ask(own)), "who was accelerated by himself stays so"
    sdk.adapter.restore(own)
    assert not is_fast(sdk.ask(own))
    assert sdk.streaming.EventStream.__init__ is constructor


def test_a_stream_that_is_open_stays_what_it_is(sdk: Sdk, engine: str) -> None:
    client = sdk.over(ANSWER)
    plain = sdk.ask(client)
    sdk.adapter.accelerate(client)
    fast = sdk.ask(client)
    sdk.adapter.restore(client)
    assert_same([next(fast), *fast], [next(plain), *plain])


def test_a_client_that_is_gone(sdk: Sdk, engine: str) -> None:
    client = sdk.adapter.accelerate(sdk.over(ANSWER))
    package = sdk.adapter._packages()[0]
    assert len(package._configurations) == 1
    del client
    gc.collect()
    assert len(package._configurations) == 0


def test_streams_that_are_not_ours(sdk: Sdk, engine: str) -> None:
    """A subclass, a decoder of a user's own, a sentinel that would be an event: left to the SDK."""
    client = sdk.adapter.accelerate(sdk.over(ANSWER))
    part = sdk.part(client)

    class Own(sdk.streaming.EventStream):  # type: ignore[name-defined,misc]
        pass

    response = sdk.response([A])
    assert not is_fast(Own(response, sdk.decoder, "[DONE]", client_ref=part))
    for decoder in (lambda raw: raw, len, lambda raw: sdk.decoder(raw)):
        assert not is_fast(sdk.streaming.EventStream(response, decoder, "[DONE]", client_ref=part))
    assert list(sdk.streaming.EventStream(response, lambda raw: "x", "[DONE]", client_ref=part)) == ["x"]
    for sentinel in ('{"a":1}', b"[DONE]"):
        assert not is_fast(sdk.stream(client, [A], sentinel=sentinel))


def test_what_somebody_else_changes_stays(sdk: Sdk, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another that changes the constructor, behind chunkwire, is neither undone nor left out."""
    client = sdk.adapter.accelerate(sdk.over(ANSWER))
    seen: list[Any] = []
    before = sdk.streaming.EventStream.__init__

    def init(stream: Any, *arguments: Any, **keywords: Any) -> None:
        seen.append(stream)
        before(stream, *arguments, **keywords)

    with monkeypatch.context() as changed:
        changed.setattr(sdk.streaming.EventStream, "__init__", init)
        assert is_fast(sdk.ask(sdk.adapter.accelerate(client)))
        assert not is_fast(sdk.ask(sdk.adapter.restore(client)))
        assert len(seen) == 2


def test_what_somebody_else_has_changed_before(sdk: Sdk, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another that changed the constructor first is called, too; where it hides the arguments, the user is told."""
    client = sdk.adapter.restore(sdk.adapter.accelerate(sdk.over(ANSWER)))
    kind = sdk.streaming.EventStream
    plain = kind.__init__
    seen: list[Any] = []

    def init(stream: Any, *arguments: Any, **keywords: Any) -> None:
        seen.append(stream)
        plain(stream, *arguments, **keywords)

    with monkeypatch.context() as changed:
        changed.setattr(kind, "__init__", functools.wraps(plain)(init))
        assert is_fast(sdk.ask(sdk.adapter.accelerate(client)))
        assert len(seen) == 1
        # It is undone without regard to what came behind it.
        kind.__init__ = plain
        assert not is_fast(sdk.ask(client))
        assert is_fast(sdk.ask(sdk.adapter.accelerate(client)))
        sdk.adapter.restore(client)
        assert kind.__init__ is plain
        del init.__wrapped__  # type: ignore[attr-defined]
        kind.__init__ = init
        with pytest.warns(RuntimeWarning, match="somebody has changed how its EventStream is made"):
            sdk.adapter.accelerate(client)
        assert not is_fast(sdk.ask(client))
        assert len(seen) == 2


def test_streams_as_they_are_constructed(sdk: Sdk, engine: str) -> None:
    """All arguments by place or by name, and what is wrong raises as ever."""
    client = sdk.adapter.accelerate(sdk.over(ANSWER))
    kind, part = sdk.streaming.EventStream, sdk.part(client)
    stream = kind(sdk.response([A]), sdk.decoder, "[DONE]", part)
    assert is_fast(stream)
    assert (stream.client_ref, set(vars(stream))) == (part, set(vars(sdk.ask(sdk.over(ANSWER)))))
    assert iter(stream) is stream
    for arguments in ((), (1, 2, 3, 4, 5, 6)):
        with pytest.raises(TypeError, match="__init__"):
            kind(*arguments)


# --- Ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["with", "close", "generator", "del", "end", "error"])
def test_who_closes_the_response(how: str, sdk: Sdk, engine: str) -> None:
    if how == "close" and not sdk.closes:
        pytest.skip("its streams have no close()")
    found = []
    for client in (sdk.adapter.accelerate(sdk.over(A, B, DONE, B)), sdk.over(A, B, DONE, B)):
        pieces = [A, event({"choices": 5})] if how == "error" else [A, B, DONE, B]
        stream = sdk.stream(client, pieces)
        response = stream.response
        first = next(stream)
        if how == "with":
            with stream as same:
                assert same is stream
        elif how == "close":
            stream.close()
            assert list(stream) == []
        elif how == "generator":
            stream.generator.close()
            assert list(stream) == []
        elif how == "del":
            del stream
            gc.collect()
        elif how == "end":
            assert len(list(stream)) == 1
            assert list(stream) == []
        else:
            with pytest.raises(Exception, match="choices"):
                next(stream)
            assert list(stream) == []
        found.append((first.data.choices[0].delta.content, response.is_closed, response.stream.given))
    assert found[0] == found[1]


def test_who_is_cancelled(sdk: Sdk, engine: str, site: Site) -> None:
    async def run(client: Any) -> bool:
        came = asyncio.Event()
        answers = []

        async def read() -> None:
            stream = await sdk.ask_async(client)
            answers.append(stream.response)
            async with stream:
                async for _ in stream:
                    came.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(came.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.sdk_configuration.async_client.aclose()
        return bool(answers[0].is_closed)

    for client in (sdk.adapter.accelerate(make(sdk, site.url, True)), make(sdk, site.url, True)):
        gate = threading.Event()
        site.serve(sdk.path, A, gate)
        assert asyncio.run(run(client))
        gate.set()


def test_errors_of_the_network(sdk: Sdk, engine: str) -> None:
    """They come behind all that came, and nothing that is not whole."""
    for error in (sdk.httpx.ReadError("gone"), OSError("odd"), ValueError("own")):
        for pieces in ([], [A], [A + B[:20]], [A, B[:-1]], [A + DONE], [A, DONE, B]):
            plain, fast = sdk.over(), sdk.adapter.accelerate(sdk.over())
            theirs, ours = outcome(sdk.stream(plain, pieces, error)), outcome(sdk.stream(fast, pieces, error))
            assert_same_outcome(ours, theirs)
            theirs = async_outcome(lambda client=plain, it=pieces, no=error: sdk.async_stream(client, it, no))  # type: ignore[misc]
            ours = async_outcome(lambda client=fast, it=pieces, no=error: sdk.async_stream(client, it, no))  # type: ignore[misc]
            assert_same_outcome(ours, theirs)


def test_long_events_take_linear_time(sdk: Sdk, engine: str) -> None:
    """In many reads; sudo-ai's own parser takes four seconds for a quarter of that."""
    import time

    content = "x" * 500_000
    data = delta(content=content) + DONE
    client = sdk.adapter.accelerate(sdk.over())
    start = time.process_time()
    (found,), error, _ = outcome(sdk.stream(client, [data[at : at + 1000] for at in range(0, len(data), 1000)]))
    assert found.data.choices[0].delta.content == content
    assert error is None
    assert time.process_time() - start < 2


# --- Threads -------------------------------------------------------------------------------------------------------


def test_streams_in_threads(sdk: Sdk, engine: str) -> None:
    """Each thread has streams of its own, of one client; another accelerates and restores one of its own meanwhile."""
    client = sdk.adapter.accelerate(sdk.over(ANSWER))
    theirs = list(sdk.stream(sdk.over(ANSWER), [ANSWER]))
    wrong: list[Any] = []

    def read(number: int) -> None:
        try:
            for size in range(20, 45):
                pieces = [ANSWER[at : at + size * number] for at in range(0, len(ANSWER), size * number)]
                assert_same(list(sdk.stream(client, pieces)), theirs)
        except BaseException as error:
            wrong.append(error)

    def change() -> None:
        for _ in range(50):
            other = sdk.over(ANSWER)
            sdk.adapter.accelerate(other)
            sdk.adapter.restore(other)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 5)]
    threads.append(threading.Thread(target=change))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert is_fast(sdk.ask(client))


# --- Wrong use -----------------------------------------------------------------------------------------------------


def test_wrong_use(sdk: Sdk) -> None:
    for call in (sdk.adapter.accelerate, sdk.adapter.restore):
        with pytest.raises(TypeError, match=rf"expected a client of {sdk.name} \(.+\), got str"):
            call("client")


def test_a_template_that_is_not_known(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left as it is, and the user is told."""
    package = sdk.adapter._packages()[0]
    monkeypatch.setattr(sdk.streaming, "MESSAGE_BOUNDARIES", [b"\n\n"])
    client = sdk.over(ANSWER)
    with pytest.warns(RuntimeWarning, match=rf"{package.version} stays as it is: its event streams are none") as told:
        assert sdk.adapter.accelerate(client) is client
    assert told[0].filename == __file__
    assert not is_fast(sdk.ask(client))
    monkeypatch.undo()
    monkeypatch.setattr("chunkwire.adapters._speakeasy._package._TEMPLATES", {})
    vars(package).pop("_template", None)
    with pytest.warns(RuntimeWarning, match="its event streams are none that chunkwire knows"):
        sdk.adapter.accelerate()
    assert not is_fast(sdk.ask(client))


def test_objects_that_would_be_others(sdk: Sdk, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plan says is compared with what the SDK makes, before anybody is given anything."""
    package = sdk.adapter._packages()[0]
    plan = sdk.adapter._package.plan if hasattr(sdk.adapter._package, "plan") else None
    assert plan is not None

    def wrong(event: Any) -> Any:
        models = plan(event)
        cls, slots, defaults, keeps, fields = models[1]
        models[1] = (cls, slots, dict.fromkeys(defaults, 5), keeps, [(*field[:5], None) for field in fields])
        return models

    monkeypatch.setattr("chunkwire.adapters._speakeasy._package.plan", wrong)
    monkeypatch.setattr(package, "_plans", {})
    with pytest.warns(RuntimeWarning, match="chunkwire would make other objects of"):
        sdk.adapter.accelerate(sdk.over(ANSWER))


def test_accelerating_warns_of_nothing(sdk: Sdk, engine: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sdk.adapter.accelerate(sdk.over(ANSWER))
        sdk.adapter.accelerate()


@pytest.mark.parametrize("one", SDKS, ids=lambda one: one.name)
def test_a_package_that_is_missing(one: Sdk, sdk: Sdk) -> None:
    if sdk is not INSTALLED[0]:
        pytest.skip("once is enough")
    code = f"""
import sys
sys.modules[{one.name!r}] = None
import chunkwire.adapters
try:
    import chunkwire.adapters.{one.name}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=60)
    assert done.stdout.startswith(f"needs the package {one.package}: pip install 'chunkwire[{one.package}]' (")
