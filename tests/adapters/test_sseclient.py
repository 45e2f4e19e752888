"""sseclient-py's clients, faster, give what plain ones give: sseclient-py itself is the oracle."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sseclient")

import requests
import sseclient
import urllib3
from hosts import cuts, ways
from hypothesis import given as for_all
from hypothesis import strategies as st
from sse import EDGES, ENGINES, A, B, assert_linear, counting, given, recorded_ways, seen, streams

import chunkwire
from chunkwire.adapters import sseclient as adapter
from chunkwire.adapters.sseclient import Event, SSEClient, accelerate, restore
from generators import pieces as any_pieces
from oracle import whatwg_events
from server import Site
from support import recorded


def theirs(pieces: Any, *args: Any) -> Any:
    return given(sseclient.SSEClient(pieces, *args).events())


def ours(pieces: Any, *args: Any) -> Any:
    return given(SSEClient(pieces, *args).events())


# --- The same events -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str, engine: str) -> None:
    for pieces in ways(EDGES[name]):
        assert ours(pieces) == theirs(pieces)


def test_the_table_tells_the_hosts_ways_from_the_standards() -> None:
    """Else it would not show that they are kept."""
    data = EDGES.values()
    assert sum(len(theirs([one])[0]) != len(whatwg_events(one)) for one in data) >= 10


@pytest.mark.parametrize("name", [name for name in EDGES if len(EDGES[name]) < 1000])
def test_every_cut(name: str, engine: str) -> None:
    """Here it matters where reads end: a CR may end a block that it would not have ended before a LF."""
    data = EDGES[name]
    for at in range(1, len(data)):
        for pieces in (cuts(data, [at]), cuts(data, [at - 1, at]), cuts(data, [at, at, min(at + 2, len(data))])):
            assert ours(pieces) == theirs(pieces), at


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded(path: Path, engine: str) -> None:
    for pieces in recorded_ways(path):
        expected = theirs(pieces)
        assert expected[0]
        assert ours(pieces) == expected


@for_all(streams.flatmap(lambda data: st.tuples(st.just(data), any_pieces(data))))
def test_whatever_a_server_may_send(drawn: tuple[bytes, list[bytes]]) -> None:
    data, pieces = drawn
    expected, standard = theirs(pieces), standards(data)
    for name in ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHUNKWIRE_ENGINE", name)
            assert ours(pieces) == expected
            assert given(SSEClient(pieces, strict=True).events()) == standard


@pytest.mark.parametrize("name", EDGES)
def test_events_come_with_the_read_that_completes_them(name: str, engine: str) -> None:
    data = EDGES[name]
    reads = cuts(data, range(1, min(len(data), 400))) if data else []
    found: list[list[int]] = []
    for kind in (sseclient.SSEClient, SSEClient):
        counts = [0]
        found.append([])
        try:
            for _ in kind(counting(reads, counts)).events():
                found[-1] += counts
        except UnicodeDecodeError:
            found[-1] += counts
    assert found[0] == found[1]


def test_a_huge_event_in_small_reads_takes_linear_time(engine: str) -> None:
    def read(count: int) -> None:
        pieces = [b"data: ", *[b"x" * 50] * count, b"\n", *[b"data: y\n"] * count, b"\n"]
        assert len(next(iter(SSEClient(pieces).events())).data) == 52 * count

    assert_linear(read)


# --- The same objects ----------------------------------------------------------------------------------------------


def test_events_are_the_hosts_own(engine: str) -> None:
    client = SSEClient([b"event: e\nid: 1\nretry: 5\ndata: a\n\n" + B])
    assert isinstance(client, sseclient.SSEClient)
    event, other = client.events()
    twin = sseclient.Event("1", "e", "a", "5")
    assert type(event) is sseclient.Event is Event
    assert (event.event, event.data, event.id, event.retry) == ("e", "a", "1", "5")
    assert (other.event, other.data, other.id, other.retry) == ("message", "b", None, None)
    assert str(event) == str(twin) == "e event #1, 1 bytes, retry in 5ms"
    assert repr(event).startswith("<sseclient.Event object at ")
    assert event == event
    assert event != twin  # as theirs: no __eq__
    for copied in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert seen(copied) == seen(event) == seen(twin)
    event.data = "changed"
    event.note = 1  # type: ignore[attr-defined]
    assert (vars(event)["data"], vars(event)["note"], other.data) == ("changed", 1, "b")


def test_the_defaults_are_the_hosts() -> None:
    assert list(adapter._DEFAULTS.items()) == list(vars(sseclient.Event()).items())


def test_names() -> None:
    assert set(sseclient.__all__) <= set(adapter.__all__)
    assert repr(SSEClient([])).startswith("<sseclient.SSEClient object at ")


# --- The same errors, reading and closing --------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf8", "UTF-8", "latin-1", "utf-8-sig", "utf-16", "ascii", "nonsense", None, 5])
def test_encodings(encoding: Any, engine: str) -> None:
    data = EDGES["byte order mark"] + EDGES["text of all sorts"] + EDGES["invalid UTF-8 in data"]
    for pieces in ways(data):
        assert ours(pieces, encoding) == theirs(pieces, encoding)


@pytest.mark.parametrize(
    "source",
    [
        [bytearray(A), A, bytearray(b"data: x\r"), b"\r", bytearray()],
        [A, b"data: x", "data: y\n\n", B],
        [A, b"data: x\r\r\n", None, B],
        [A, memoryview(B)],
        [A, b"data: x\n", [b"1"]],
        ["data: a\n\n"],
        ["", b"", A],
        [A, "", b"data: x"],
        [1],
        None,
        5,
        "data: a\n\n",
        b"data: a\n\n",
        {A: 1, B: 2},
    ],
    ids=lambda source: str(source)[:30] if "memory" not in str(source) else "memoryview",
)
def test_odd_sources(source: Any, engine: str) -> None:
    assert ours(source) == theirs(source)
    if isinstance(source, list):
        assert ours(iter(source)) == theirs(iter(source))


def failing(error: BaseException, *pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    raise error


def test_errors_of_the_network(engine: str) -> None:
    for error in (requests.exceptions.ChunkedEncodingError("cut"), OSError("gone"), ZeroDivisionError("odd")):
        for pieces in ([A, B, b"data: c"], [A + B[:-1]], []):
            expected = theirs(failing(error, *pieces))
            assert ours(failing(error, *pieces)) == expected
            assert expected[1][0] is type(error)


def test_interruptions_are_passed_on(engine: str) -> None:
    events = SSEClient(failing(KeyboardInterrupt(), A, B)).events()
    assert [next(events).data, next(events).data] == ["a", "b"]
    with pytest.raises(KeyboardInterrupt):
        next(events)
    assert list(events) == []


def test_what_is_no_utf8(engine: str) -> None:
    found = []
    for kind in (sseclient.SSEClient, SSEClient):
        events = kind([A + b"data: \xe9t\xe9\n\n" + B]).events()
        assert next(events).data == "a"
        with pytest.raises(UnicodeDecodeError) as caught:
            next(events)
        found.append((caught.value.encoding, caught.value.object, caught.value.start, caught.value.end))
        assert list(events) == []
    assert found[0] == found[1] == ("utf-8", b"data: \xe9t\xe9", 6, 7)


def test_closing(engine: str) -> None:
    class Source:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield from (A, B)

        def close(self) -> None:
            self.closed += 1

    for kind in (sseclient.SSEClient, SSEClient):
        source = Source()
        client = kind(source)
        events = client.events()
        assert next(events).data == "a"
        events.close()
        assert list(events) == []
        assert source.closed == 0
        assert len(list(client.events())) == 2  # begins anew
        client.close()
        assert source.closed == 1


def test_a_log_of_everything(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """Who asks for sseclient-py's log gets it."""
    logs = []
    with caplog.at_level(logging.DEBUG, "sseclient"):
        for kind in (sseclient.SSEClient, SSEClient):
            caplog.clear()
            assert len(list(kind([A, b"foo: x\n", B]).events())) == 2
            logs.append([(one.name, one.levelno, one.getMessage().split(" source ")[0]) for one in caplog.records])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4


def test_subclasses_that_read_otherwise(engine: str) -> None:
    class Theirs(sseclient.SSEClient):
        def _read(self) -> Iterator[bytes]:
            yield b"data: other"

    class Ours(SSEClient, Theirs):
        pass

    assert given(Ours([A]).events()) == given(Theirs([A]).events())
    assert next(Ours([A]).events()).data == "other"


# --- strict=True ---------------------------------------------------------------------------------------------------


def standards(data: bytes) -> Any:
    found = []
    for one in whatwg_events(data):
        values = {"id": one.id, "event": one.event, "data": one.data, "retry": one.retry}
        found.append((sseclient.Event, [(name, type(value), value) for name, value in values.items()]))
    return found, None


@pytest.mark.parametrize("name", EDGES)
def test_strict(name: str, engine: str) -> None:
    data = EDGES[name]
    expected = standards(data)
    for pieces in ways(data):
        assert given(SSEClient(pieces, strict=True).events()) == expected
    events = chunkwire.events(data, strict=True)
    assert [(one.id, one.event, one.data, one.retry) for one in events] == [
        tuple(value for _, _, value in values) for _, values in expected[0]
    ]


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_strict_recorded(path: Path, engine: str) -> None:
    data = path.read_bytes()
    pieces = cuts(data, range(61, len(data), 61))
    assert given(SSEClient(pieces, strict=True).events()) == standards(data)


def test_strict_and_other_things(engine: str) -> None:
    with pytest.raises(ValueError, match="strict=True reads UTF-8, not 'latin-1'"):
        SSEClient([A], "latin-1", strict=True)
    assert len(list(SSEClient([A], "utf8", strict=True).events())) == 1
    with pytest.raises(TypeError, match="expected bytes of the source, got str"):
        list(SSEClient([A, "data: x\n\n"], strict=True).events())  # type: ignore[list-item]
    events = SSEClient([A, *[b"data: " + b"x" * (1 << 20) + b"\n"] * 65], strict=True).events()
    assert next(events).data == "a"
    with pytest.raises(chunkwire.DecodeError, match="larger than 67108864 bytes"):
        next(events)


# --- Going there and back ------------------------------------------------------------------------------------------


@pytest.fixture
def accelerated(engine: str) -> Iterator[None]:
    accelerate()
    yield
    restore()


@pytest.mark.parametrize("name", EDGES)
def test_accelerate(name: str, accelerated: None) -> None:
    for pieces in ways(EDGES[name]):
        assert theirs(pieces) == given(adapter._EVENTS(sseclient.SSEClient(pieces)))


def test_accelerate_and_restore(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    events = adapter._live.events
    mark = EDGES["byte order mark"]
    assert adapter._is_known(adapter._live.engine())
    monkeypatch.setattr(adapter._live, "events", lambda rules, layout: opened.append(rules) or events(rules, layout))
    accelerate()
    assert len(theirs([mark])[0]) == 1
    accelerate(strict=True)
    assert len(theirs([mark])[0]) == 2
    assert len(theirs([mark], "latin-1")[0]) == 1  # has its own way
    assert len(ours([mark])[0]) == 1  # has its own word
    assert opened == ["sseclient", "standard", "sseclient"]
    restore()
    restore()
    opened.clear()
    assert len(theirs([mark])[0]) == 1
    assert opened == []
    assert sseclient.SSEClient.events == adapter._EVENTS


def test_an_sseclient_that_is_not_known(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(_: Any) -> Iterator[Any]:
        yield sseclient.Event(data="other")

    adapter._is_known.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(adapter, "_EVENTS", lines)
        with pytest.warns(RuntimeWarning, match=r"sseclient-py .* it stays as it is") as caught:
            accelerate()
        assert caught[0].filename == __file__
        with pytest.warns(RuntimeWarning, match="stays as it is"):
            assert [event.data for event in SSEClient([A]).events()] == ["other"]
        with pytest.raises(RuntimeError, match="strict=True cannot be had"):
            list(SSEClient([A], strict=True).events())
    adapter._is_known.cache_clear()
    restore()


def imported(folder: Path, code: str) -> str:
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}\nimport chunkwire.adapters.sseclient"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr


def test_the_message_without_sseclient_py(tmp_path: Path) -> None:
    text = imported(tmp_path, "import chunkwire.adapters\nsys.modules['sseclient'] = None")
    assert "needs the package sseclient-py: pip install 'chunkwire[sseclient]'" in text


def test_the_message_with_the_other_sseclient(tmp_path: Path) -> None:
    other = "class SSEClient:\n    def __iter__(self): ...\n    def __next__(self): ...\nclass Event: ...\n"
    (tmp_path / "sseclient.py").write_text(other)
    text = imported(tmp_path, "")
    assert "ImportError: the installed module sseclient is not that of sseclient-py" in text
    assert "pip uninstall sseclient" in text


# --- Over real HTTP ------------------------------------------------------------------------------------------------

ANSWER = EDGES["CRLF"] + EDGES["id taken back"] + "data: é東\n\n".encode() + EDGES["many data lines"] * 3


def _requests(url: str, kind: Any) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        client = kind(session.get(url, stream=True))
        found = given(client.events())
        client.close()
    return found


def _urllib3(url: str, kind: Any) -> Any:
    with urllib3.PoolManager() as pool:
        client = kind(pool.request("GET", url, preload_content=False))
        found = given(client.events())
        client.close()
    return found


def _strict(source: Any) -> Any:
    return SSEClient(source, strict=True)


def test_what_is_left_of_a_response(site: Site, engine: str) -> None:
    """Who stops may close it or not, as ever; who read all of it cannot read it again."""
    site.serve("/events", A, B, chunked=False)
    site.serve("/endless", *[A, 0.01] * 1000)
    with requests.Session() as session:
        session.trust_env = False
        closed = []
        for kind in (sseclient.SSEClient, SSEClient):
            response = session.get(site.url + "/events", stream=True)
            assert len(list(kind(response).events())) == 2
            with pytest.raises(RuntimeError, match="already consumed"):
                _ = response.content
            with pytest.raises(requests.exceptions.StreamConsumedError):
                list(kind(response).events())
            response = session.get(site.url + "/events")  # and reads it
            assert [len(list(kind(response).events())) for _ in range(2)] == [2, 2]
            response = session.get(site.url + "/endless", stream=True)
            client = kind(response)
            events = client.events()
            next(events)
            events.close()
            closed.append(response.raw.closed)
            client.close()
            assert response.raw.closed
        assert closed[0] == closed[1]


@pytest.mark.parametrize("fetch", [_requests, _urllib3])
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("cut", [False, True])
def test_over_http(site: Site, engine: str, chunked: bool, cut: bool, fetch: Any) -> None:
    pieces = [piece for part in cuts(ANSWER, range(97, len(ANSWER), 97)) for piece in (part, 0.001)][:80]
    site.serve("/events", *pieces, chunked=chunked, cut=cut)
    expected = fetch(site.url + "/events", sseclient.SSEClient)
    assert len(expected[0]) > 5
    assert (expected[1] is not None) == (cut and chunked)
    assert without_addresses(fetch(site.url + "/events", SSEClient)) == without_addresses(expected)
    data = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert fetch(site.url + "/events", _strict)[0] == standards(data)[0]


def without_addresses(found: Any) -> Any:
    """Errors of the network name objects, each time others."""
    events, error = found
    return events, error and error[:1]


@pytest.mark.parametrize("chunked", [True, False])
def test_an_event_does_not_wait_for_the_next(site: Site, engine: str, chunked: bool) -> None:
    """With sseclient-py's own reads of requests it does, where the body is not sent in chunks."""
    more = threading.Event()
    site.serve("/slow", A, more, B, chunked=chunked)
    with requests.Session() as session, urllib3.PoolManager() as pool:
        session.trust_env = False
        for response in (
            session.get(site.url + "/slow", stream=True),
            pool.request("GET", site.url + "/slow", preload_content=False),
        ):
            more.clear()
            events = SSEClient(response).events()
            assert next(events).data == "a"
            assert not more.is_set()
            more.set()
            assert [event.data for event in events] == ["b"]
