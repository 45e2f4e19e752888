"""httpx-sse's sources, faster, give what plain ones give: httpx-sse itself is the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx_sse")

import httpx
import httpx_sse
from hosts import Body, cuts, single_cuts, ways
from hypothesis import given as for_all
from hypothesis import strategies as st
from sse import EDGES, ENGINES, A, B, agiven, assert_linear, given, recorded_ways, seen, streams

import chunkwire
from chunkwire.adapters import httpx_sse as adapter
from chunkwire.adapters.httpx_sse import EventSource, SSEError, accelerate, aconnect_sse, connect_sse, restore
from generators import pieces as any_pieces
from oracle import whatwg_events
from server import Site
from support import recorded

REQUEST = httpx.Request("GET", "http://server/events")
STREAM = {"content-type": "text/event-stream"}


class Sent(Body, httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body for httpx itself: `hosts` may be about its next version."""


def response(pieces: Iterable[bytes], error: BaseException | None = None, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers={**STREAM, **names}, stream=Sent(pieces, error), request=REQUEST)


def theirs(pieces: Iterable[bytes], **options: Any) -> Any:
    return given(httpx_sse.EventSource(response(pieces, **options)).iter_sse())


def ours(pieces: Iterable[bytes], **options: Any) -> Any:
    return given(EventSource(response(pieces, **options)).iter_sse())


def theirs_async(pieces: Iterable[bytes], **options: Any) -> Any:
    return asyncio.run(agiven(httpx_sse.EventSource(response(pieces, **options)).aiter_sse()))


def ours_async(pieces: Iterable[bytes], **options: Any) -> Any:
    return asyncio.run(agiven(EventSource(response(pieces, **options)).aiter_sse()))


# --- The same events -----------------------------------------------------------------------------------------------


def test_the_table_is_long_enough() -> None:
    assert len(EDGES) >= 70


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str, engine: str) -> None:
    for pieces in ways(EDGES[name]):
        expected = theirs(pieces)
        assert ours(pieces) == expected
        assert theirs_async(pieces) == expected
        assert ours_async(pieces) == expected


def test_the_table_tells_the_hosts_ways_from_the_standards() -> None:
    """Else it would not show that they are kept."""
    data = EDGES.values()
    assert sum(len(theirs([one])[0]) != len(whatwg_events(one)) for one in data) >= 10


@pytest.mark.parametrize("name", [name for name in EDGES if len(EDGES[name]) < 1000])
def test_every_cut(name: str, engine: str) -> None:
    data = EDGES[name]
    expected = theirs([data])
    for pieces in single_cuts(data):
        assert ours(pieces) == expected


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded(path: Path, engine: str) -> None:
    expected: dict[bytes, Any] = {}
    for pieces in recorded_ways(path):
        data = b"".join(pieces)
        if data not in expected:
            expected[data] = theirs([data])
            assert bool(expected[data][0]) == bool(whatwg_events(data))
        assert ours(pieces) == expected[data]


@for_all(streams.flatmap(lambda data: st.tuples(st.just(data), any_pieces(data))))
def test_whatever_a_server_may_send(drawn: tuple[bytes, list[bytes]]) -> None:
    data, pieces = drawn
    expected, standard = theirs([data]), standards(data)
    for name in ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHUNKWIRE_ENGINE", name)
            assert ours(pieces) == expected
            assert strictly(pieces) == standard


@pytest.mark.parametrize("name", EDGES)
def test_events_come_with_the_read_that_completes_them(name: str, engine: str) -> None:
    """httpx-sse itself waits for the next one, if a read ends with CR."""
    data = EDGES[name]
    reads = cuts(data, range(1, min(len(data), 400))) if data else []
    whole = [len(theirs([data[:end]])[0]) for end in accumulate(map(len, reads))]
    source = EventSource(response(reads))
    found = [source.response.stream.given for _ in source.iter_sse()]  # type: ignore[attr-defined]
    assert found == [next(at for at, count in enumerate(whole, 1) if count > number) for number in range(len(found))]


def test_a_huge_event_in_small_reads_takes_linear_time(engine: str) -> None:
    def read(count: int) -> None:
        pieces = [b"data: ", *[b"x" * 50] * count, b"\n\n"]
        assert len(next(EventSource(response(pieces)).iter_sse()).data) == 50 * count

    assert_linear(read)


# --- The same objects ----------------------------------------------------------------------------------------------


def test_events_are_the_hosts_own(engine: str) -> None:
    source = EventSource(response([b'event: e\nid: 1\nretry: 5\ndata: {"a": [1]}\n\n']))
    assert isinstance(source, httpx_sse.EventSource)
    [event] = source.iter_sse()
    twin = httpx_sse.ServerSentEvent(event="e", data='{"a": [1]}', id="1", retry=5)
    assert type(event) is httpx_sse.ServerSentEvent is adapter.ServerSentEvent
    assert (event.event, event.data, event.id, event.retry) == ("e", '{"a": [1]}', "1", 5)
    assert event.json() == {"a": [1]}
    assert repr(event) == repr(twin)
    assert event == event
    assert event != twin  # as theirs: no __eq__
    for other in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert seen(other) == seen(event) == seen(twin)
    with pytest.raises(AttributeError):
        event.data = "x"  # type: ignore[misc]
    event.note = 1  # type: ignore[attr-defined]
    assert vars(event)["note"] == 1


def test_the_defaults_are_the_hosts() -> None:
    assert list(adapter._DEFAULTS.items()) == list(vars(httpx_sse.ServerSentEvent()).items())


def test_events_do_not_share_what_they_hold(engine: str) -> None:
    first, second = EventSource(response([A + A])).iter_sse()
    vars(first)["_data"] = "changed"
    assert second.data == "a"
    [third] = EventSource(response([b"retry: 1\n\n"])).iter_sse()
    assert third.data == ""


def test_names() -> None:
    public = set(httpx_sse.__all__) - {"__version__"}
    assert public <= set(adapter.__all__)
    assert SSEError is httpx_sse.SSEError


# --- The same errors, reading and closing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", ["text/html", "", "application/json; charset=text/event-stream", "TEXT/EVENT-STREAM"]
)
def test_what_is_no_event_stream(content_type: str, engine: str) -> None:
    expected = theirs([A], content_type=content_type)
    assert expected[1][0] is SSEError
    assert ours([A], content_type=content_type) == expected
    assert ours_async([A], content_type=content_type) == expected
    EventSource(response([A], content_type=content_type)).iter_sse()  # raises only when it is asked for an event
    assert given(EventSource(response([A], content_type=content_type), strict=True).iter_sse()) == expected


@pytest.mark.parametrize("charset", ["latin-1", "utf8", "UTF-8", "utf-16", "nonsense", "utf-8-sig", "ascii", "cp037"])
def test_charsets(charset: str, engine: str) -> None:
    data = EDGES["byte order mark"] + EDGES["text of all sorts"] + EDGES["invalid UTF-8 in data"]
    for pieces in ways(data):
        options = {"content_type": f"text/event-stream; charset={charset}"}
        assert ours(pieces, **options) == theirs(pieces, **options)
        assert ours_async(pieces, **options) == theirs(pieces, **options)


def test_an_encoding_that_somebody_set(engine: str) -> None:
    found = []
    for kind in (httpx_sse.EventSource, EventSource):
        answer = response([b"data: \xe9\n\n"])
        answer.encoding = "latin-1"
        found.append(given(kind(answer).iter_sse()))
    assert found[0] == found[1]
    assert "é" in str(found[0])


def test_errors_of_the_network(engine: str) -> None:
    for error in (httpx.ReadError("gone"), httpx.RemoteProtocolError("cut"), ZeroDivisionError("odd")):
        for pieces in ([A, B, b"data: c"], [A + B[:-1]], []):
            expected = theirs(pieces, error=error)
            assert ours(pieces, error=error) == expected == ours_async(pieces, error=error)
            assert expected[1][0] is type(error)
    for kind in (httpx_sse.EventSource, EventSource):
        error = httpx.ReadError("gone")
        source = kind(response([A], error=error))
        with pytest.raises(httpx.ReadError) as caught:
            list(source.iter_sse())
        assert caught.value is error
        assert error.request is REQUEST
        assert not source.response.is_closed


def test_what_a_response_says_of_itself(engine: str) -> None:
    """Between events, and in the end."""

    def state(answer: httpx.Response) -> Any:
        return answer.is_closed, answer.is_stream_consumed, answer.num_bytes_downloaded

    async def run(kind: Any) -> Any:
        answer = response([A, b": x\n", B + A, b""])
        found = [state(answer) async for _ in kind(answer).aiter_sse()]
        return [*found, state(answer)]

    said = []
    for kind in (httpx_sse.EventSource, EventSource):
        answer = response([A, b": x\n", B + A, b""])
        found = [state(answer) for _ in kind(answer).iter_sse()]
        said += [[*found, state(answer)], asyncio.run(run(kind))]
    assert said[0] == said[1] == said[2] == said[3]
    assert said[0] == [(False, True, 9), (False, True, 31), (False, True, 31), (True, True, 31)]


def test_an_httpx_that_reads_otherwise(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own loop runs then."""
    monkeypatch.setattr(adapter, "_RAW_NAMES", {"stream"})
    adapter._is_raw.cache_clear()
    for name in ("plain", "mixed line ends"):
        for pieces in ways(EDGES[name]):
            assert ours(pieces) == theirs(pieces) == ours_async(pieces)
    adapter._is_raw.cache_clear()


def test_interruptions_are_passed_on(engine: str) -> None:
    events = EventSource(response([A, B], error=KeyboardInterrupt())).iter_sse()
    assert [next(events).data, next(events).data] == ["a", "b"]
    with pytest.raises(KeyboardInterrupt):
        next(events)
    assert list(events) == []


def test_reading_twice(engine: str) -> None:
    for kind in (httpx_sse.EventSource, EventSource):
        source = kind(response([A, B]))
        assert len(list(source.iter_sse())) == 2
        with pytest.raises(httpx.StreamConsumed):
            next(iter(source.iter_sse()))
        source = kind(httpx.Response(200, headers=STREAM, content=A + B))  # was read already
        assert len(list(source.iter_sse())) == len(list(source.iter_sse())) == 2


def test_an_asynchronous_body_read_synchronously(engine: str) -> None:
    class OnlyAsync(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield A

    found = [
        given(kind(httpx.Response(200, headers=STREAM, stream=OnlyAsync(), request=REQUEST)).iter_sse())
        for kind in (httpx_sse.EventSource, EventSource)
    ]
    assert found[0] == found[1]
    assert found[0][1][0] is RuntimeError


def test_closing_early(engine: str) -> None:
    for kind in (httpx_sse.EventSource, EventSource):
        source = kind(response([A, B, A]))
        events = source.iter_sse()
        assert next(events).data == "a"
        events.close()  # type: ignore[attr-defined]
        assert list(events) == []
        assert source.response.stream.given == 1  # type: ignore[attr-defined]
        assert not source.response.is_closed  # who opened it closes it
        source.response.close()


def test_closing_an_asynchronous_iteration_early(engine: str) -> None:
    async def run(kind: Any) -> None:
        source = kind(response([A, B, A]))
        events = source.aiter_sse()
        assert (await anext(events)).data == "a"
        await events.aclose()
        assert [event async for event in events] == []
        assert source.response.stream.given == 1
        assert not source.response.is_closed

    for kind in (httpx_sse.EventSource, EventSource):
        asyncio.run(run(kind))


def test_compressed_bodies(engine: str) -> None:
    import gzip

    packed = gzip.compress(A + B)
    for body in (packed, packed[:-9], b"nonsense"):
        for pieces in ways(body):
            expected = theirs(pieces, content_encoding="gzip")
            assert ours(pieces, content_encoding="gzip") == expected == ours_async(pieces, content_encoding="gzip")


def test_responses_that_are_not_httpxs(engine: str) -> None:
    class Text:
        headers = STREAM

        def iter_text(self) -> Iterator[str]:
            yield from ["data: a\n", "\ndata: b\r\r"]

    class Changed(httpx.Response):
        def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
            yield "data: changed\n\n"

    def changed() -> Any:
        return Changed(200, headers=STREAM, content=A)

    for make in (Text, changed):
        found = given(EventSource(make()).iter_sse())
        assert found == given(httpx_sse.EventSource(make()).iter_sse())
        assert found[0]


def test_responses_of_httpx2(engine: str) -> None:
    httpx2 = pytest.importorskip("httpx2")
    for name in ("mixed line ends", "byte order mark", "invalid UTF-8 in data"):
        made = [httpx2.Response(200, headers=STREAM, content=EDGES[name]) for _ in range(2)]
        assert given(EventSource(made[0]).iter_sse()) == given(httpx_sse.EventSource(made[1]).iter_sse())


# --- strict=True ---------------------------------------------------------------------------------------------------


def strictly(pieces: Iterable[bytes], **options: Any) -> Any:
    return given(EventSource(response(pieces, **options), strict=True).iter_sse())


def standards(data: bytes) -> Any:
    names = ("_event", "_data", "_id", "_retry")
    found = [zip(names, (one.event, one.data, one.id, one.retry), strict=True) for one in whatwg_events(data)]
    kind = httpx_sse.ServerSentEvent
    return [(kind, [(name, type(value), value) for name, value in one]) for one in found], None


@pytest.mark.parametrize("name", EDGES)
def test_strict(name: str, engine: str) -> None:
    data = EDGES[name]
    expected = standards(data)
    for pieces in ways(data):
        assert strictly(pieces) == expected
        source = EventSource(response(pieces), strict=True)
        assert asyncio.run(agiven(source.aiter_sse())) == expected
        assert strictly(pieces, content_type="text/event-stream; charset=latin-1") == expected
    events = chunkwire.events(data, strict=True)
    assert [(one.event, one.data, one.id, one.retry) for one in events] == [
        tuple(value for _, _, value in values) for _, values in expected[0]
    ]


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_strict_recorded(path: Path, engine: str) -> None:
    data = path.read_bytes()
    assert strictly(cuts(data, range(61, len(data), 61))) == standards(data)


def test_strict_has_a_limit(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = EventSource(response([A, *[b"data: " + b"x" * (1 << 20) + b"\n"] * 65, b"\n", B]), strict=True)
    events = source.iter_sse()
    assert next(events).data == "a"
    with pytest.raises(chunkwire.DecodeError, match="larger than 67108864 bytes") as found:
        next(events)
    assert (found.value.kind, found.value.offset, found.value.line, found.value.event) == ("event_too_large", 9, 3, 1)


# --- Going there and back ------------------------------------------------------------------------------------------


@pytest.fixture
def accelerated(engine: str) -> Iterator[None]:
    accelerate()
    yield
    restore()


@pytest.mark.parametrize("name", EDGES)
def test_accelerate(name: str, accelerated: None) -> None:
    expected = given(adapter._ITER_SSE(httpx_sse.EventSource(response([EDGES[name]]))))
    for pieces in ways(EDGES[name]):
        assert theirs(pieces) == expected == theirs_async(pieces)


def test_accelerate_and_restore(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    events = adapter._live.events

    def opening(rules: str, *arguments: Any) -> Any:
        opened.append(rules)
        return events(rules, *arguments)

    monkeypatch.setattr(adapter._live, "events", opening)
    source, mark = httpx_sse.EventSource, EDGES["byte order mark"]
    adapter._is_known.cache_clear()
    accelerate()
    opened.clear()
    assert len(theirs([mark])[0]) == 1
    assert opened == ["httpx_sse"]
    accelerate(strict=True)
    assert len(theirs([mark])[0]) == 2 == len(theirs_async([mark])[0])
    assert len(ours([mark])[0]) == 1  # has its own word
    assert opened == ["httpx_sse", "standard", "standard", "httpx_sse"]
    restore()
    restore()
    opened.clear()
    assert len(theirs([mark])[0]) == 1
    assert opened == []
    assert (source.iter_sse, source.aiter_sse) == (adapter._ITER_SSE, adapter._AITER_SSE)


def test_an_httpx_sse_that_is_not_known(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(_: Any) -> Iterator[Any]:
        yield httpx_sse.ServerSentEvent(data="other")

    adapter._is_known.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(adapter, "_ITER_SSE", lines)
        with pytest.warns(RuntimeWarning, match=r"httpx-sse .* it stays as it is") as caught:
            accelerate()
        assert caught[0].filename == __file__
        with pytest.warns(RuntimeWarning, match="stays as it is"):
            assert [event.data for event in EventSource(response([A])).iter_sse()] == ["other"]
        with pytest.raises(RuntimeError, match="strict=True cannot be had"):
            list(EventSource(response([A]), strict=True).iter_sse())
    adapter._is_known.cache_clear()
    restore()


def test_the_message_without_httpx_sse() -> None:
    code = "import sys; sys.modules['httpx_sse'] = None\nimport chunkwire.adapters\nimport chunkwire.adapters.httpx_sse"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs the package httpx-sse: pip install 'chunkwire[httpx-sse]'" in run.stderr


# --- Over real HTTP ------------------------------------------------------------------------------------------------

ANSWER = EDGES["mixed line ends"] + EDGES["id taken back"] + "data: é東\n\n".encode() + EDGES["many data lines"]


def fetched(site: Site, connect: Any, path: str, **options: Any) -> Any:
    with (
        httpx.Client(trust_env=False) as client,
        connect(client, "GET", site.url + path, params={"q": "1"}, **options) as source,
    ):
        found = given(source.iter_sse())
    return found, source.response.is_closed, dict(source.response.request.headers)


async def afetched(site: Site, connect: Any, path: str, **options: Any) -> Any:
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        connect(client, "GET", site.url + path, params={"q": "1"}, **options) as source,
    ):
        found = await agiven(source.aiter_sse())
    return found, source.response.is_closed, dict(source.response.request.headers)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("cut", [False, True])
def test_over_http(site: Site, engine: str, chunked: bool, cut: bool) -> None:
    pieces = [piece for part in cuts(ANSWER, range(97, len(ANSWER), 97)) for piece in (part, 0.001)][:60]
    site.serve("/events", *pieces, chunked=chunked, cut=cut)
    expected = fetched(site, httpx_sse.connect_sse, "/events")
    assert len(expected[0][0]) > 10
    assert (expected[0][1] is not None) == (cut and chunked)
    assert fetched(site, connect_sse, "/events") == expected
    theirs = asyncio.run(afetched(site, httpx_sse.aconnect_sse, "/events"))
    assert asyncio.run(afetched(site, aconnect_sse, "/events")) == theirs
    data = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert fetched(site, connect_sse, "/events", strict=True)[0][0] == standards(data)[0]
    assert asyncio.run(afetched(site, aconnect_sse, "/events", strict=True))[0][0] == standards(data)[0]


def test_the_headers_of_a_request(site: Site, engine: str) -> None:
    site.serve("/events", A)
    headers = {"X-Mine": "1", "Accept": "other"}
    found = fetched(site, connect_sse, "/events", headers=dict(headers))
    assert found == fetched(site, httpx_sse.connect_sse, "/events", headers=dict(headers))
    assert found[2]["accept"] == "text/event-stream"


def test_who_stops_closes_the_connection(site: Site, engine: str) -> None:
    for connect in (httpx_sse.connect_sse, connect_sse):
        reply = site.serve("/endless", *[A, 0.01] * 1000)
        with httpx.Client(trust_env=False) as client, connect(client, "GET", site.url + "/endless") as source:
            for event in source.iter_sse():
                assert event.data == "a"
                break
        assert source.response.is_closed
        assert reply.gone.wait(10)


def test_a_cancelled_task_closes_the_connection(site: Site, engine: str) -> None:
    async def run(connect: Any) -> Any:
        found: list[str] = []
        sources: list[Any] = []

        async def read() -> None:
            async with (
                httpx.AsyncClient(trust_env=False) as client,
                connect(client, "GET", site.url + "/endless") as source,
            ):
                sources.append(source)
                async for event in source.aiter_sse():
                    found.append(event.data)

        task = asyncio.create_task(read())
        while not found:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert sources[0].response.is_closed

    for connect in (httpx_sse.aconnect_sse, aconnect_sse):
        reply = site.serve("/endless", *[A, 0.01] * 1000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(run(connect))
        assert reply.gone.wait(10)
