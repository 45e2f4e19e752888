"""Responses of HTTP clients as sources: real clients, over real HTTP, sync and async."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest

import chunkwire
from server import Reply, Site
from support import chunk_json, event

EVENTS = [event(chunk_json(id=f"c{number}")) for number in range(5)]
BODY = b"".join(EVENTS) + b"data: [DONE]\n\n"
IDS = [f"c{number}" for number in range(5)]


@contextmanager
def _httpx(name: str, url: str) -> Iterator[Any]:
    module = importlib.import_module(name)
    with module.Client(trust_env=False) as client:
        yield client.send(client.build_request("GET", url), stream=True)


@contextmanager
def _requests(_: str, url: str) -> Iterator[Any]:
    requests = importlib.import_module("requests")
    with requests.Session() as session:
        session.trust_env = False
        yield session.get(url, stream=True)


@contextmanager
def _urllib3(_: str, url: str) -> Iterator[Any]:
    urllib3 = importlib.import_module("urllib3")
    with urllib3.PoolManager() as pool:
        yield pool.request("GET", url, preload_content=False)


@contextmanager
def _urllib(_: str, url: str) -> Iterator[Any]:
    request = importlib.import_module("urllib.request")
    with request.build_opener(request.ProxyHandler({})).open(url) as response:
        yield response


CLIENTS: dict[str, Callable[[str, str], Any]] = {
    "httpx": _httpx,
    "httpx2": _httpx,
    "requests": _requests,
    "urllib3": _urllib3,
    "urllib": _urllib,
}
ASYNC_CLIENTS = ("httpx", "httpx2", "aiohttp")


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Opens a URL, and gives the response."""
    pytest.importorskip("urllib.request" if request.param == "urllib" else request.param)
    return lambda url: CLIENTS[request.param](request.param, url)


@pytest.fixture(params=ASYNC_CLIENTS)
def async_client(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def run_async(name: str, url: str, use: Callable[[Any], Any]) -> Any:
    """Opens a URL with an asynchronous client, and uses the response."""

    async def run() -> Any:
        module = importlib.import_module(name)
        if name == "aiohttp":
            async with module.ClientSession() as session:
                return await use(await session.get(url))
        async with module.AsyncClient(trust_env=False) as client:
            return await use(await client.send(client.build_request("GET", url), stream=True))

    return asyncio.run(run())


def test_chunks(client: Any, site: Site, engine: str) -> None:
    for pieces in ([BODY], EVENTS, [BODY[at : at + 7] for at in range(0, len(BODY), 7)]):
        for chunked in (True, False):
            site.serve("/", *pieces, chunked=chunked)
            with client(site.url) as response:
                assert [chunk.id for chunk in chunkwire.decode(response, engine=engine)] == IDS


def test_chunks_async(async_client: str, site: Site, engine: str) -> None:
    for pieces in ([BODY], EVENTS, [BODY[at : at + 7] for at in range(0, len(BODY), 7)]):
        site.serve("/", *pieces)

        async def use(response: Any) -> list[Any]:
            return [chunk.id async for chunk in chunkwire.adecode(response, engine=engine)]

        assert run_async(async_client, site.url, use) == IDS


def test_the_client_undoes_the_encoding(client: Any, site: Site, request: pytest.FixtureRequest) -> None:
    packed = gzip.compress(BODY)
    site.serve("/", packed[:30], packed[30:], headers={"content-encoding": "gzip"})
    if "urllib]" in request.node.nodeid or "urllib-" in request.node.nodeid:
        pytest.skip("urllib leaves the encoding to its user")
    with client(site.url) as response:
        assert [chunk.id for chunk in chunkwire.decode(response)] == IDS


def test_the_client_undoes_the_encoding_async(async_client: str, site: Site) -> None:
    packed = gzip.compress(BODY)
    site.serve("/", packed[:30], packed[30:], headers={"content-encoding": "gzip"})

    async def use(response: Any) -> list[Any]:
        return [chunk.id async for chunk in chunkwire.adecode(response)]

    assert run_async(async_client, site.url, use) == IDS


@pytest.mark.parametrize("chunked", [True, False])
def test_an_event_is_out_when_it_is_whole(client: Any, site: Site, engine: str, chunked: bool) -> None:
    """The server sends the next event only when the last one has come out."""
    gates = [threading.Event() for _ in EVENTS]
    pieces = [piece for pair in zip(EVENTS, gates, strict=True) for piece in pair]
    reply = site.serve("/", *pieces, b"data: [DONE]\n\n", chunked=chunked)
    with client(site.url) as response:
        chunks = chunkwire.decode(response, engine=engine)
        for gate, expected in zip(gates, IDS, strict=True):
            assert next(chunks).id == expected
            gate.set()
        assert list(chunks) == []
    assert not reply.gone.is_set()


def test_an_event_is_out_when_it_is_whole_async(async_client: str, site: Site, engine: str) -> None:
    gates = [threading.Event() for _ in EVENTS]
    site.serve("/", *[piece for pair in zip(EVENTS, gates, strict=True) for piece in pair])

    async def use(response: Any) -> list[Any]:
        found = []
        async for chunk in chunkwire.adecode(response, engine=engine):
            gates[len(found)].set()
            found.append(chunk.id)
        return found

    assert run_async(async_client, site.url, use) == IDS


OWN_ERRORS = {
    "httpx": "RemoteProtocolError",
    "httpx2": "RemoteProtocolError",
    "requests": "ChunkedEncodingError",
    "urllib3": "ProtocolError",
    "urllib": "IncompleteRead",
    "aiohttp": "ClientPayloadError",
}


def broken(site: Site, chunked: bool = True) -> Reply:
    """Two events and a part of the third; then the connection breaks."""
    headers = {} if chunked else {"content-length": str(len(BODY))}
    return site.serve("/", EVENTS[0], EVENTS[1], EVENTS[2][:20], chunked=chunked, cut=True, headers=headers)


@pytest.mark.parametrize("chunked", [True, False])
def test_the_clients_own_error_comes_behind_all_that_came(
    client: Any, site: Site, engine: str, chunked: bool, request: pytest.FixtureRequest
) -> None:
    broken(site, chunked)
    name = request.node.callspec.params["client"]
    found = []
    with client(site.url) as response:
        if name == "urllib" and not chunked:
            pytest.skip("read1 of http.client does not tell that a body is too short")
        with pytest.raises(Exception) as caught:  # noqa: PT011, PT012 (its class has many names)
            for chunk in chunkwire.decode(response, engine=engine):
                found.append(chunk.id)
        assert getattr(response, "is_closed", True)
    assert found == IDS[:2]
    assert type(caught.value).__name__ == OWN_ERRORS[name]
    assert type(caught.value).__module__.partition(".")[0] in (name, "http")


def test_the_clients_own_error_comes_behind_all_that_came_async(async_client: str, site: Site, engine: str) -> None:
    broken(site)
    found = []

    async def use(response: Any) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011, PT012
            async for chunk in chunkwire.adecode(response, engine=engine):
                found.append(chunk.id)
        assert type(caught.value).__name__ == OWN_ERRORS[async_client]

    run_async(async_client, site.url, use)
    assert found == IDS[:2]


def endless(site: Site) -> Reply:
    """One event, and then more than a connection that nobody reads can hold."""
    return site.serve("/", EVENTS[0], 0.05, *[b": " + b"x" * 65536 + b"\n"] * 400)


def is_closed(response: Any) -> bool:
    for name in ("is_closed", "closed"):
        if isinstance(getattr(response, name, None), bool):
            return bool(getattr(response, name))
    return bool(response.raw.closed)


def test_who_stops_closes_the_response(client: Any, site: Site, engine: str) -> None:
    reply = endless(site)
    with client(site.url) as response:
        chunks = chunkwire.decode(response, engine=engine)
        assert next(chunks).id == "c0"
        assert not is_closed(response)
        del chunks
        if hasattr(response, "iter_bytes") or hasattr(response, "iter_content") or hasattr(response, "read_chunked"):
            assert is_closed(response)
    assert reply.gone.wait(10)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
def test_who_stops_closes_the_response_async(async_client: str, site: Site, engine: str, how: str) -> None:
    gate = threading.Event()
    site.serve("/", EVENTS[0], gate)

    async def use(response: Any) -> None:
        came = asyncio.Event()

        async def read() -> None:
            async with aclosing(chunkwire.adecode(response, engine=engine)) as chunks:
                async for chunk in chunks:
                    assert chunk.id == "c0"
                    came.set()
                    if how == "aclose":
                        return

        task = asyncio.create_task(read())
        await came.wait()
        if how == "cancel":
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task
        assert is_closed(response)
        gate.set()

    run_async(async_client, site.url, use)


def test_usage_and_others_take_responses(client: Any, site: Site, engine: str) -> None:
    site.serve("/", BODY)
    with client(site.url) as response:
        assert chunkwire.usage(response, engine=engine).chunks.sum() == 5
    with client(site.url) as response:
        assert "".join(chunkwire.contents(response, engine=engine)) == "aaaaa"
    with client(site.url) as response:
        assert sum(1 for _ in chunkwire.events(response, engine=engine)) == 6


def test_a_response_of_an_asynchronous_client_is_for_adecode(site: Site) -> None:
    pytest.importorskip("aiohttp")
    site.serve("/", BODY)

    async def use(response: Any) -> None:
        with pytest.raises(TypeError, match=r"not ClientResponse; use chunkwire\.adecode"):
            chunkwire.decode(response)
        response.close()

    run_async("aiohttp", site.url, use)


def test_a_response_that_was_read() -> None:
    for name in ("httpx", "httpx2"):
        module = pytest.importorskip(name)
        response = module.Response(200, content=BODY)
        assert [chunk.id for chunk in chunkwire.decode(response)] == IDS
    requests = pytest.importorskip("requests")
    response = requests.Response()
    response._content, response._content_consumed = BODY, True
    assert [chunk.id for chunk in chunkwire.decode(response)] == IDS


def test_a_response_whose_body_was_read_before(site: Site) -> None:
    site.serve("/", BODY)
    urllib3 = pytest.importorskip("urllib3")
    response = urllib3.PoolManager().request("GET", site.url)
    assert [chunk.id for chunk in chunkwire.decode(response)] == IDS

    async def use(response: Any) -> list[Any]:
        await (response.aread() if hasattr(response, "aread") else response.read())
        return [chunk.id async for chunk in chunkwire.adecode(response)]

    for name in ("httpx", "httpx2", "aiohttp"):
        pytest.importorskip(name)
        assert run_async(name, site.url, use) == IDS


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_responses_in_the_other_way(name: str, site: Site) -> None:
    module = pytest.importorskip(name)
    site.serve("/", BODY)

    async def read(response: Any) -> list[Any]:
        await response.aread()
        return [chunk.id for chunk in chunkwire.decode(response)]

    assert run_async(name, site.url, read) == IDS

    async def unread(response: Any) -> None:
        with pytest.raises(TypeError, match=r"use chunkwire\.adecode"):
            chunkwire.decode(response)

    run_async(name, site.url, unread)

    async def awaited(response: Any) -> list[Any]:
        return [chunk.id async for chunk in chunkwire.adecode(response)]

    assert asyncio.run(awaited(module.get(site.url, trust_env=False))) == IDS


def test_no_client_is_imported() -> None:
    code = """
import sys, chunkwire
list(chunkwire.decode([b'data: {"choices": []}\\n\\n']))
clients = ("httpx", "httpx2", "requests", "urllib3", "aiohttp", "openai", "pydantic")
print([name for name in clients if name in sys.modules])
"""
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    )


def test_the_server_streams(site: Site) -> None:
    """The tests above would show little if it sent all at once."""
    gate = threading.Event()
    site.serve("/", b"one", gate, b"two")
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while b"one" not in received:
            received += connection.recv(1000)
        assert b"two" not in received
        gate.set()
        while b"two" not in received:
            received += connection.recv(1000)
