"""Accelerated clients of openai in use: every way to a stream over real HTTP, wrappers, closing, other streams, both
kinds of objects, and going back."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

import openai
from edges import CALL, DATA, DONE, EDGES, FRAMING, A, B, chunk, delta, event, usage
from hosts import assert_same, assert_same_error, assert_same_outcome, httpx, outcome, response
from openai import AsyncOpenAI, AzureOpenAI, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

import chunkwire
from chunkwire.adapters.openai import _plan, _stream, accelerate, restore
from server import Site
from support import recorded

PATH = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = (
    delta(role="assistant", content="")
    + b": ping\n\n"
    + b"".join(delta(content=word) for word in ("Hel", "lo", " [DONE]", "é"))
    + event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None))
    + usage()
    + DONE
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The blocks about which openai was asked: without [DONE], what was not decoded by chunkwire."""
    blocks: list[bytes] = []
    part = _stream._Run.part

    def asking(self: Any, foreign: bytes) -> Any:
        if not foreign.startswith(b"data: [DONE]"):
            blocks.append(foreign)
        return part(self, foreign)

    monkeypatch.setattr(_stream._Run, "part", asking)
    return blocks


def make(kind: Any = OpenAI, url: str = "http://server", **options: Any) -> Any:
    options = {"api_key": "none", "max_retries": 0, "http_client": http_client(kind), **options}
    return kind(base_url=url + "/v1", **options)


def http_client(kind: Any) -> Any:
    return (httpx.AsyncClient if issubclass(kind, AsyncOpenAI) else httpx.Client)(trust_env=False)


def over(body: bytes, kind: Any = OpenAI, **options: Any) -> Any:
    """A client whose every request is answered with this body."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    client = httpx.AsyncClient if issubclass(kind, AsyncOpenAI) else httpx.Client
    return make(kind, http_client=client(transport=answer), **options)


def stream(client: Any, data: bytes) -> Any:
    kind = _stream.ChunkStream if hasattr(client, "_chunkwire") else Stream
    return kind(cast_to=ChatCompletionChunk, response=response([data]), client=client)


# --- Every way to a stream -----------------------------------------------------------------------------------------


def _create(client: Any) -> list[Any]:
    return list(client.chat.completions.create(**ASK, stream=True))


def _with(client: Any) -> list[Any]:
    with client.chat.completions.create(**ASK, stream=True) as chunks:
        return [chunks.__next__(), *chunks]


def _raw(client: Any) -> list[Any]:
    return list(client.chat.completions.with_raw_response.create(**ASK, stream=True).parse())


def _streaming(client: Any) -> list[Any]:
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as answer:
        return list(answer.parse())


def _options(client: Any) -> list[Any]:
    return list(client.with_options(timeout=50).chat.completions.create(**ASK, stream=True))


def _copy(client: Any) -> list[Any]:
    return list(client.copy().with_options(max_retries=1).chat.completions.create(**ASK, stream=True))


def _post(client: Any) -> list[Any]:
    return list(client.post("/chat/completions", cast_to=object, stream=True, stream_cls=Stream[ChatCompletionChunk]))


def _events(client: Any) -> list[Any]:
    with client.chat.completions.stream(**ASK) as events:
        found = [(one.type, getattr(one, "chunk", None)) for one in events]
        return [*found, events.get_final_completion().model_dump()]


WAYS: dict[str, Callable[[Any], list[Any]]] = {
    "create": _create,
    "with": _with,
    "with_raw_response": _raw,
    "with_streaming_response": _streaming,
    "with_options": _options,
    "copy": _copy,
    "post": _post,
    "stream": _events,
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_a_stream(way: str, engine: str, site: Site, asked: list[bytes]) -> None:
    pieces = [ANSWER[at : at + 41] for at in range(0, len(ANSWER), 41)]
    site.serve(PATH, *pieces[:4], 0.01, *pieces[4:])
    expected = WAYS[way](make(url=site.url))
    fast = make(url=site.url)
    assert accelerate(fast) is fast
    found = WAYS[way](fast)
    for one, other in zip(found, expected, strict=True):
        assert_same(list(one) if isinstance(one, tuple) else one, list(other) if isinstance(other, tuple) else other)
    assert asked == []
    assert len(found) >= 7


@pytest.mark.parametrize("way", ["create", "raw", "streaming", "options", "stream"])
def test_ways_to_a_stream_async(way: str, engine: str, site: Site, asked: list[bytes]) -> None:
    pieces = [ANSWER[at : at + 41] for at in range(0, len(ANSWER), 41)]
    site.serve(PATH, *pieces[:4], 0.01, *pieces[4:])

    async def run(client: Any) -> list[Any]:
        completions = client.chat.completions
        async with client:
            if way == "create":
                chunks = await completions.create(**ASK, stream=True)
            elif way == "raw":
                chunks = (await completions.with_raw_response.create(**ASK, stream=True)).parse()
            elif way == "streaming":
                async with completions.with_streaming_response.create(**ASK, stream=True) as answer:
                    return [one async for one in await answer.parse()]
            elif way == "options":
                chunks = await client.with_options(timeout=50).chat.completions.create(**ASK, stream=True)
            else:
                async with completions.stream(**ASK) as events:
                    return [getattr(one, "chunk", one.type) async for one in events]
            return [one async for one in chunks]

    expected = asyncio.run(run(make(AsyncOpenAI, site.url)))
    found = asyncio.run(run(accelerate(make(AsyncOpenAI, site.url))))
    assert_same(found, expected)
    assert asked == []
    assert len(found) >= 7


def test_all_clients_at_once(engine: str, site: Site, asked: list[bytes]) -> None:
    site.serve(PATH, ANSWER)
    client = make(url=site.url)
    expected = _create(client)
    original = Stream.__stream__
    assert accelerate() is None
    try:
        assert Stream.__stream__ is not original
        assert_same(_create(client), expected)
        kinds = {type(one) for one in _create(accelerate(make(url=site.url), objects="chunkwire"))}
        assert {kind.__name__ for kind in kinds} == {"Chunk"}
        accelerate(objects="chunkwire")
        assert isinstance(_create(client)[0], chunkwire.Chunk)
    finally:
        restore()
    assert Stream.__stream__ is original
    assert_same(_create(client), expected)


def test_restoring_a_client(engine: str) -> None:
    client = over(ANSWER)
    kind = type(client)
    accelerate(client, objects="chunkwire")
    assert isinstance(client, OpenAI)
    assert type(client).__name__ == kind.__name__
    assert isinstance(_create(client)[0], chunkwire.Chunk)
    accelerate(client)  # the last one counts
    assert isinstance(_create(client)[0], ChatCompletionChunk)
    answer = client.chat.completions.with_raw_response.create(**ASK, stream=True)
    assert restore(client) is client
    assert type(client) is kind
    assert_same(list(answer.parse()), _create(client))
    assert restore(client) is client
    assert type(client.chat.completions.create(**ASK, stream=True)) is Stream


def test_subclasses_of_clients(engine: str, asked: list[bytes]) -> None:
    class Own(OpenAI):
        def request(self, *args: Any, **keywords: Any) -> Any:
            requests.append(args)
            return super().request(*args, **keywords)

    requests: list[Any] = []
    assert_same(_create(accelerate(over(ANSWER, Own))), _create(over(ANSWER)))
    assert len(requests) == 1
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=ANSWER))
    azure = AzureOpenAI(
        api_key="x", api_version="1", azure_endpoint="http://server", http_client=httpx.Client(transport=transport)
    )
    assert_same(_create(accelerate(azure)), _create(over(ANSWER)))
    assert_same(_create(azure.with_options(timeout=1)), _create(over(ANSWER)))
    assert asked == []


def test_own_parsers_are_left_alone(engine: str) -> None:
    """A client that decodes or builds in a way of its own keeps it."""

    class Building(OpenAI):
        def _process_response_data(self, **keywords: Any) -> Any:
            return ("built", super()._process_response_data(**keywords))

    class Parsing(OpenAI):
        def _make_sse_decoder(self) -> Any:
            decoder = super()._make_sse_decoder()
            return type("Own", (type(decoder),), {"decode": lambda self, line: super(type(self), self).decode(line)})()

    assert {one[0] for one in _create(accelerate(over(ANSWER, Building)))} == {"built"}
    assert_same(_create(accelerate(over(ANSWER, Parsing))), _create(over(ANSWER)))
    strict = over(event(chunk(created="5")), _strict_response_validation=True)
    assert _create(accelerate(strict))[0].created == 5


def test_other_streams_are_untouched(engine: str) -> None:
    completions = event({"id": "x", "choices": [{"text": "a", "index": 0}], "created": 1, "model": "m"}) + DONE
    kind = b"event: response.created\n" + event({"type": "response.created", "response": {"id": "r"}})

    def both(client: Any) -> list[Any]:
        found = list(client.completions.create(model="m", prompt="x", stream=True))
        return [*found, *client.with_options(timeout=1).responses.create(model="m", input="x", stream=True)]

    for body in (completions, kind):
        expected = both(over(body))
        assert_same(both(accelerate(over(body))), expected)
        accelerate()
        try:
            assert_same(both(over(body)), expected)
        finally:
            restore()
    whole = httpx.Response(200, json={"id": "x", "object": "chat.completion", "choices": []})
    client = accelerate(make(http_client=httpx.Client(transport=httpx.MockTransport(lambda _: whole))))
    assert client.chat.completions.create(**ASK).id == "x"


# --- The objects ---------------------------------------------------------------------------------------------------


def test_what_can_be_done_with_chunks(engine: str) -> None:
    data = EDGES["unknown fields below"] + EDGES["tool calls"]
    expected, found = list(stream(make(), data)), list(stream(accelerate(make()), data))
    for one, other in zip(found, expected, strict=True):
        assert one == other
        assert repr(one) == repr(other)
        assert one.model_dump_json() == other.model_dump_json()
        assert one.to_dict() == other.to_dict()
        assert one.to_json() == other.to_json()
        assert one.model_fields_set == other.model_fields_set
        assert one.model_extra == other.model_extra
        for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), one.model_copy(deep=True), copy.copy(one)):
            assert_same(again, other)
        one.model = "other"
        one.choices.append(None)  # type: ignore[arg-type]
        one.new = 1  # type: ignore[attr-defined]
        assert (one.model, one.model_extra["new"]) == ("other", 1)  # type: ignore[index]


def test_chunks_share_nothing_that_can_be_changed(engine: str) -> None:
    data = event(chunk(x={"y": [1]}, z=1)) * 5 + usage(prompt_tokens_details={"cached_tokens": 1}) * 5
    expected, chunks = list(stream(make(), data)), []
    for one in stream(accelerate(make()), data):
        chunks.append(copy.deepcopy(one))
        for part in (one, *one.choices, *(each.delta for each in one.choices), one.usage):
            if part is not None:
                part.model_fields_set.add("spoilt")
                part.model_extra["spoilt"] = 1
                vars(part).update(dict.fromkeys(vars(part), "spoilt"))
    assert_same(chunks, expected)


def test_nearly_all_of_recorded_streams_is_decoded_here(engine: str, asked: list[bytes]) -> None:
    """An event that openai has to read itself costs as much as without chunkwire."""
    found = 0
    for path in recorded():
        found += len(outcome(stream(accelerate(make()), path.read_bytes()))[0])
    assert len(asked) <= found / 1000 or not found


def test_edges_that_openai_need_not_be_asked_about(engine: str, asked: list[bytes]) -> None:
    for name in ("CR", "CRLF", "comment in the block", "event type beside data", "unknown literals", "tool calls"):
        outcome(stream(accelerate(make()), EDGES[name]))
        assert asked == [] or asked[0].startswith(b"data: [DONE]"), name
        asked.clear()


DUMPS: list[dict[str, Any]] = [
    {},
    {"exclude_none": True},
    {"exclude_defaults": True},
    {"mode": "json", "exclude": {"choices"}},
    {"exclude": {"choices": {"__all__": {"delta": {"content"}}}, "usage": True}},
    {"exclude": {"choices": {0: True}, "id": ...}},
    {"include": {"id", "choices"}},
    {"include": {"choices": {0: {"index": True, "delta": {"role"}}}}},
]


def test_chunkwire_objects(engine: str) -> None:
    """The same attributes, and the same dumps of what was sent."""
    plain, lazy = make(), accelerate(make(), objects="chunkwire")
    streams = [path.read_bytes() for path in recorded()[::9]]
    names = ("plain", "tool calls", "parallel tool calls", "logprobs", "usage", "unknown fields below")
    for data in [*streams, *(EDGES[name] for name in names)]:
        expected, found = outcome(stream(plain, data)), outcome(stream(lazy, data))
        assert len(found[0]) == len(expected[0])
        assert_same_error(found[1], expected[1])
        for one, other in zip(found[0], expected[0], strict=True):
            assert isinstance(one, chunkwire.Chunk)
            assert (one.id, one.model, one.created, one.object) == (other.id, other.model, other.created, other.object)
            for choice, their_choice in zip(one.choices or [], other.choices or [], strict=True):
                assert choice.finish_reason == their_choice.finish_reason
                if their_choice.delta is not None:
                    assert choice.delta.content == their_choice.delta.content
                    assert set(vars(choice.delta)) <= set(vars(their_choice.delta)) | set(
                        their_choice.delta.model_extra
                    )
            assert one.to_dict() == other.to_dict(warnings=False)
            for options in DUMPS:
                dump = one.model_dump(exclude_unset=True, **options)
                assert dump == other.model_dump(exclude_unset=True, warnings=False, **options), options
                assert json.loads(one.model_dump_json(exclude_unset=True, **options)) == dump
            known = other.model_dump(warnings=False)
            whole = one.model_dump()
            assert {name: whole[name] for name in ("id", "created", "service_tier")}.items() <= known.items()
            assert json.loads(one.to_json()) == one.to_dict()
            assert one.to_json(indent=None) == one.model_dump_json(exclude_unset=True)
            assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize("name", [*FRAMING, *DATA])
def test_chunkwire_objects_under_every_framing(name: str, engine: str) -> None:
    """The same number of chunks, of the same content, and the same errors."""
    expected = outcome(stream(make(), EDGES[name]))
    found = outcome(stream(accelerate(make(), objects="chunkwire"), EDGES[name]))
    assert_same_error(found[1], expected[1])
    for one, other in zip(found[0], expected[0], strict=True):
        if isinstance(other, ChatCompletionChunk) and name != "deeper":
            assert isinstance(one, chunkwire.Chunk)
            assert one.id == other.id or "duplicate" in name or one.id is None


def test_helpers_get_openai_objects(engine: str) -> None:
    """``stream()`` puts parts of chunks into its own objects: chunkwire's would not do."""
    calls = delta(role="assistant", tool_calls=[CALL]) + delta(
        tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]
    )
    for body in (
        ANSWER,
        calls + event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])) + DONE,
    ):
        expected, found = _events(over(body)), _events(accelerate(over(body), objects="chunkwire"))
        for one, other in zip(found, expected, strict=True):
            assert_same(list(one), list(other))

    async def run(client: Any) -> list[Any]:
        async with client.chat.completions.stream(**ASK) as events:
            return [getattr(one, "chunk", one.type) async for one in events]

    lazy = accelerate(over(ANSWER, AsyncOpenAI), objects="chunkwire")
    assert_same(asyncio.run(run(lazy)), asyncio.run(run(over(ANSWER, AsyncOpenAI))))


# --- Wrappers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objects", ["openai", "chunkwire"])
def test_what_wrappers_do_to_streams(objects: Any, engine: str) -> None:
    """langfuse replaces ``Stream.__iter__``, exchanges ``_iterator``, sets attributes, and reads ``__dict__``."""
    fields = ("role", "content", "tool_calls", "function_call")
    found = []
    for client in (over(ANSWER), accelerate(over(ANSWER), objects=objects)):
        chunks = client.chat.completions.create(**ASK, stream=True)
        assert isinstance(chunks, openai.Stream)
        seen: list[Any] = []
        inner = chunks._iterator
        chunks._iterator = (seen.append(one) or one for one in inner)  # type: ignore[func-returns-value]
        chunks._langfuse_finalize_once = None
        assert len(list(chunks)) == len(seen) == 7
        for one in seen:
            known = vars(one)
            found.append((known["model"], known["usage"] and vars(known["usage"])["total_tokens"]))
            for choice in known["choices"]:
                found.append([vars(vars(choice)["delta"]).get(field) for field in fields])
    assert found[: len(found) // 2] == found[len(found) // 2 :]


def test_langfuse(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What langfuse makes of an accelerated client's stream is what it makes of a plain one's. (It sends nothing.)"""
    code = """
import json, sys
import openai, httpx
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import langfuse
from langfuse import Langfuse
spans = InMemorySpanExporter()
provider = TracerProvider()
keys = {"public_key": "pk", "secret_key": "sk", "host": "http://127.0.0.1:9"}
client = Langfuse(**keys, tracer_provider=provider, span_exporter=spans)
import langfuse.openai
from test_openai_client import ANSWER, ASK, over
from chunkwire.adapters.openai import accelerate
found = []
for one in (over(ANSWER), accelerate(over(ANSWER))):
    for chunk in one.chat.completions.create(**ASK, stream=True):
        pass
    client.flush()
    provider.force_flush()
    span = spans.get_finished_spans()[-1]
    spans.clear()
    kept = {key: value for key, value in span.attributes.items() if "start_time" not in key}
    found.append(kept)
assert "Hello [DONE]" in str(found[0]), found[0]
assert "total" in str(found[0]), found[0]
assert found[0] == found[1], found
print("same", len(found[0]))
"""
    if not importlib.util.find_spec("langfuse"):
        pytest.skip("langfuse is not installed")
    folder = Path(__file__).parent
    paths = os.pathsep.join([str(folder), str(folder.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "CHUNKWIRE_ENGINE": engine}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.startswith("same"), done.stdout + done.stderr


# --- Tolerance -----------------------------------------------------------------------------------------------------

TOLERATED = {
    "empty data": "ab",
    "blank data": "ab",
    "data without colon": "ab",
    "retry alone": "a",
    "ping without data": "a",
    "ping with data": "a",
    "comment behind an id": "ab",
    "id taken back": "aba",
    "byte order mark": "ab",
    "byte order mark and comment": "a",
    "thread event": "a",
    "unterminated": "ab",
    "unterminated line": "ab",
    "cut inside JSON": "a",
    "cut inside a field name": "a",
    "cut inside UTF-8": "a",
    "empty object": "",
    "array": "",
    "true and null": "",
    "number": "",
    "invalid UTF-8 in a comment": "ab",
    "invalid UTF-8 in an event type": "ab",
    "invalid UTF-8 at the end": "a",
    "[DONE] then more": "a",
    "[DONE] unterminated": "a",
    "plain": "ab",
    "CRLF": "ab",
}


@pytest.mark.parametrize("name", TOLERATED)
@pytest.mark.parametrize("objects", ["openai", "chunkwire"])
def test_tolerant(name: str, objects: Any, engine: str) -> None:
    client = accelerate(make(), objects=objects, tolerant=True)
    for size in (1, 7, 100_000):
        data = EDGES[name]
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        chunks = _stream.ChunkStream(cast_to=ChatCompletionChunk, response=response(pieces), client=client)
        found, error, closed = outcome(chunks)
        assert error is None
        assert closed
        assert "".join(one.choices[0].delta.content for one in found) == TOLERATED[name]


@pytest.mark.parametrize(("sent", "message"), [('{"message":"busy"}', "busy"), ("boom", "boom"), ('"boom"', None)])
@pytest.mark.parametrize("objects", ["openai", "chunkwire"])
def test_tolerant_of_no_error_event(sent: str, message: str | None, objects: Any, engine: str) -> None:
    client = accelerate(make(), objects=objects, tolerant=True)
    data = EDGES["plain"].split(b"data: [DONE]")[0] + b"event: error\ndata: " + sent.encode() + b"\n\n"
    chunks = _stream.ChunkStream(cast_to=ChatCompletionChunk, response=response([data]), client=client)
    found, error, closed = outcome(chunks)
    assert len(found) == 2
    assert type(error).__name__ == "APIError"
    assert message is None or message in str(error)
    assert closed


@pytest.mark.parametrize(
    "name", ["error object", "error event", "error text", "error beside choices", "invalid JSON", "two data lines"]
)
def test_tolerant_of_no_error(name: str, engine: str) -> None:
    """What a server reports, and what is no JSON, raises as ever."""
    expected = outcome(stream(make(), EDGES[name]))
    assert_same_outcome(outcome(stream(accelerate(make(), tolerant=True), EDGES[name])), expected)


# --- The network ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objects", ["openai", "chunkwire"])
def test_errors_of_the_network(objects: Any, engine: str) -> None:
    """They come behind all that came, as what openai makes of them."""
    for error in (httpx.ReadError("gone"), httpx.ReadTimeout("late"), OSError("odd"), ValueError("own")):
        for data in (b"", A, A + B[:20], A + b"data: \xff", A + b"id: 5\n\xff\n"):
            outcomes = []
            for client in (make(), accelerate(make(), objects=objects)):
                kind = _stream.ChunkStream if hasattr(client, "_chunkwire") else Stream
                chunks = kind(cast_to=ChatCompletionChunk, response=response([data], error), client=client)
                outcomes.append(outcome(chunks))
            (theirs, their_error, _), (ours, our_error, closed) = outcomes
            assert_same_error(our_error, their_error)
            assert [one.to_dict() for one in ours] == [one.to_dict() for one in theirs]
            assert closed


def test_a_connection_that_breaks(engine: str, site: Site) -> None:
    site.serve(PATH, A, B[:20], cut=True)
    outcomes = [outcome(client.chat.completions.create(**ASK, stream=True)) for client in both(site)]
    assert_same_outcome(*outcomes)
    assert len(outcomes[0][0]) == 1
    assert outcomes[0][1] is not None


def both(site: Site, kind: Any = OpenAI) -> list[Any]:
    return [accelerate(make(kind, site.url)), make(kind, site.url)]


def test_a_chunk_is_out_when_it_is_whole(engine: str, site: Site) -> None:
    for client in both(site):
        gates = [threading.Event(), threading.Event()]
        site.serve(PATH, A, gates[0], B, gates[1], DONE)
        chunks = client.chat.completions.create(**ASK, stream=True)
        for gate, content in zip(gates, "ab", strict=True):
            assert next(chunks).choices[0].delta.content == content
            gate.set()
        assert list(chunks) == []


@pytest.mark.parametrize("how", ["close", "with", "del"])
def test_who_stops_closes_the_response(how: str, engine: str, site: Site) -> None:
    for client in both(site):
        reply = site.serve(PATH, A, 0.02, *[b": " + b"x" * 65536 + b"\n\n"] * 400)
        chunks = client.chat.completions.create(**ASK, stream=True)
        answer = chunks.response
        if how == "with":
            with chunks:
                next(chunks)
        else:
            next(chunks)
            if how == "close":
                chunks.close()
            del chunks
            gc.collect()
        assert answer.is_closed
        assert reply.gone.wait(10)


def test_who_is_cancelled_closes_the_response(engine: str, site: Site) -> None:
    async def run(client: Any) -> bool:
        came = asyncio.Event()
        answers = []

        async def read() -> None:
            chunks = await client.chat.completions.create(**ASK, stream=True)
            answers.append(chunks.response)
            async for _ in chunks:
                came.set()

        task = asyncio.create_task(read())
        await came.wait()
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return bool(answers[0].is_closed)

    for client in both(site, AsyncOpenAI):
        gate = threading.Event()
        site.serve(PATH, A, gate)
        assert asyncio.run(run(client))
        gate.set()


def test_packed_answers(engine: str, site: Site, asked: list[bytes]) -> None:
    import gzip

    packed = gzip.compress(ANSWER)
    site.serve(PATH, packed[:50], packed[50:], headers={"content-encoding": "gzip"})
    fast, plain = both(site)
    assert_same(_create(fast), _create(plain))
    assert asked == []


# --- Wrong use -----------------------------------------------------------------------------------------------------


def test_wrong_use() -> None:
    with pytest.raises(TypeError, match=r"expected an openai\.OpenAI or openai\.AsyncOpenAI client, got str"):
        accelerate("client")
    with pytest.raises(ValueError, match="objects must be 'openai' or 'chunkwire', not 'pydantic'"):
        accelerate(make(), objects="pydantic")  # type: ignore[arg-type]


def test_models_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are left to openai, and the user is told."""

    def refuse(*_: Any) -> Any:
        raise _plan.Unplanned("ChatCompletionChunk is built in a way of its own")

    monkeypatch.setattr("chunkwire.adapters.openai._models", refuse)
    client = over(ANSWER)
    with pytest.warns(
        RuntimeWarning, match=f"openai {openai.__version__} stays as it is: ChatCompletionChunk is built"
    ):
        assert accelerate(client) is client
    assert type(client.chat.completions.create(**ASK, stream=True)) is Stream


def test_an_openai_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "__version__", "2.9.1")
    client = make()
    with pytest.warns(RuntimeWarning, match=r"openai 2\.9\.1 stays as it is: chunkwire knows openai from 2\.54 on"):
        accelerate(client, objects="chunkwire")
    assert not hasattr(client, "_chunkwire")


def test_accelerating_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        accelerate(make())
