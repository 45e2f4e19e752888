"""The ways to read a log that people have, and chunkwire, each as one function: a log in, the counts of what it read.

What a row reads is in its `reads`, and only rows that read the same are comparable. All that a contender could prepare
once, as its decoder or client, is made outside the measured time; a log is in memory already, except where a row
reads a path. Loops are written out in full, so that no contender pays for a call that another does not.
"""

import asyncio
import atexit
import importlib.util
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any, Literal

import httpx
import httpx_sse
import msgspec
import openai
import orjson
import pydantic
import simdjson
import sseclient
from openai.types.chat import ChatCompletionChunk

import chunkwire
from chunkwire.adapters import httpx_sse as fast_httpx_sse
from chunkwire.adapters import sseclient as fast_sseclient
from chunkwire.adapters.openai import accelerate
from chunkwire.adapters.openai._stream import ChunkStream
from log import Counted, Log, Peer, Reads
from model import Chunk, UsageOnly

EMPTY = b"\n\n"
DATA = b"data: {"
DONE = b"data: [DONE]"
PREFIX = len(b"data: ")


decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_usage = msgspec.json.Decoder(UsageOnly).decode
simdjson_parser = simdjson.Parser()
client = openai.OpenAI(api_key="none")
accelerated = accelerate(openai.OpenAI(api_key="none"))
lazy = accelerate(openai.OpenAI(api_key="none"), objects="chunkwire")


# --- chunks -----------------------------------------------------------------------------------------------------------


def _split_dicts(log: Log, loads: Callable[[bytes], Any]) -> Counted:
    chunks = content = tokens = 0
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            chunk = loads(event[PREFIX:])
            chunks += 1
            choices = chunk["choices"]
            if choices:
                text = choices[0].get("delta", {}).get("content")
                if text:
                    content += len(text)
            usage = chunk.get("usage")
            if usage:
                tokens += usage["total_tokens"]
    return chunks, content, tokens


def split_json(log: Log) -> Counted:
    """The standard library."""
    return _split_dicts(log, json.loads)


def split_orjson(log: Log) -> Counted:
    """The fastest parser that makes dicts."""
    return _split_dicts(log, orjson.loads)


def split_msgspec(log: Log) -> Counted:
    """The fastest typed parser: the one to beat."""
    chunks = content = tokens = 0
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            chunk = decode_chunk(event[PREFIX:])
            chunks += 1
            choices = chunk.choices
            if choices:
                delta = choices[0].delta
                if delta is not None:
                    text = delta.content
                    if text:
                        content += len(text)
            usage = chunk.usage
            if usage is not None:
                tokens += usage.total_tokens or 0
    return chunks, content, tokens


def cut_msgspec(log: Log) -> Counted:
    """The same, with a cut that saves a copy and takes comments for a part of the data before them."""
    chunks = content = tokens = 0
    for data in log.data.removeprefix(DATA[:-1]).split(EMPTY + DATA[:-1]):
        if data.startswith(b"{"):
            chunk = decode_chunk(data)
            chunks += 1
            choices = chunk.choices
            if choices:
                delta = choices[0].delta
                if delta is not None:
                    text = delta.content
                    if text:
                        content += len(text)
            usage = chunk.usage
            if usage is not None:
                tokens += usage.total_tokens or 0
    return chunks, content, tokens


def split_simdjson(log: Log) -> Counted:
    """simdjson's proxies, asked for two members. They have to be gone before the parser can serve again.

    `try` measured faster than `get` and `in`, which raise and catch inside.
    """
    parse = simdjson_parser.parse
    chunks = content = tokens = 0
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            chunk: Any = parse(event[PREFIX:])
            chunks += 1
            choices = chunk["choices"]
            if len(choices):
                try:
                    text = choices[0]["delta"]["content"]
                    if text:
                        content += len(text)
                except KeyError:
                    pass
            try:
                usage = chunk["usage"]
                if usage is not None:
                    tokens += usage["total_tokens"]
            except KeyError:
                usage = None
            del chunk, choices, usage
    return chunks, content, tokens


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self._blocks:
            yield block


_REQUEST = httpx.Request("POST", "https://api.example.com/v1/chat/completions")


def _response(blocks: list[bytes]) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(blocks), request=_REQUEST)


def _httpx_sse(responses: list[list[bytes]]) -> Counted:
    chunks = content = tokens = 0
    for blocks in responses:
        for event in httpx_sse.EventSource(_response(blocks)).iter_sse():
            if event.data != "[DONE]":
                chunk = event.json()
                chunks += 1
                choices = chunk["choices"]
                if choices:
                    text = choices[0].get("delta", {}).get("content")
                    if text:
                        content += len(text)
                usage = chunk.get("usage")
                if usage:
                    tokens += usage["total_tokens"]
    return chunks, content, tokens


def httpx_sse_json(log: Log) -> Counted:
    """What a client without an SDK does, on blocks of 64 KiB."""
    return _httpx_sse(log.responses)


def httpx_sse_live(log: Log) -> Counted:
    """The same with one event a block."""
    return _httpx_sse(log.live_responses)


def httpx_sse_events(log: Log, kind: Any = httpx_sse.EventSource) -> Counted:
    """The events of live responses, and nothing of what is in them."""
    events = size = 0
    for blocks in log.live_responses:
        for event in kind(_response(blocks)).iter_sse():
            events += 1
            size += len(event.data)
    return events, size


def httpx_sse_async_events(log: Log, kind: Any = httpx_sse.EventSource) -> Counted:
    """The same of an asynchronous client's."""

    async def run() -> Counted:
        events = size = 0
        for blocks in log.live_responses:
            async for event in kind(_response(blocks)).aiter_sse():
                events += 1
                size += len(event.data)
        return events, size

    return _runner().run(run())


@cache
def _runner() -> asyncio.Runner:
    """One event loop for all rounds: to make one takes as long as some dozens of events."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def sseclient_events(log: Log, kind: Any = sseclient.SSEClient) -> Counted:
    """The same by sseclient-py."""
    events = size = 0
    for blocks in log.live_responses:
        for event in kind(blocks).events():
            events += 1
            size += len(event.data)
    return events, size


def event_rows() -> list[Peer]:
    """Clients that give events, and the same accelerated."""
    reads: Reads = "data, as httpx-sse gives it"
    rows = [
        Peer("httpx-sse", reads, httpx_sse_events, slow=True),
        Peer("httpx-sse, accelerated", reads, lambda log: httpx_sse_events(log, fast_httpx_sse.EventSource)),
    ]
    reads = "data, as httpx-sse gives it to async for"
    rows += [
        Peer("httpx-sse, async", reads, httpx_sse_async_events, slow=True),
        Peer(
            "httpx-sse, async, accelerated", reads, lambda log: httpx_sse_async_events(log, fast_httpx_sse.EventSource)
        ),
    ]
    reads = "data, as sseclient-py gives it"
    return [
        *rows,
        Peer("sseclient-py", reads, sseclient_events, slow=True),
        Peer("sseclient-py, accelerated", reads, lambda log: sseclient_events(log, fast_sseclient.SSEClient)),
    ]


def _openai(responses: list[list[bytes]], kind: Any = openai.Stream, client: Any = client) -> Counted:
    chunks = content = tokens = 0
    for blocks in responses:
        for chunk in kind(cast_to=ChatCompletionChunk, response=_response(blocks), client=client):
            chunks += 1
            if chunk.choices:
                delta: Any = getattr(chunk.choices[0], "delta", None)
                if delta is not None:
                    text = getattr(delta, "content", None)
                    if text:
                        content += len(text)
            usage = chunk.usage
            if usage is not None:
                tokens += usage.total_tokens
    return chunks, content, tokens


def openai_stream(log: Log) -> Counted:
    """What openai-python does with a response, on blocks of 64 KiB."""
    return _openai(log.responses)


def openai_live(log: Log) -> Counted:
    """The same with one event a block."""
    return _openai(log.live_responses)


class ValidatingStream(openai.Stream[ChatCompletionChunk]):
    """What can be done in Python: pydantic reads the JSON, and openai builds what is not valid."""

    def __stream__(self) -> Iterator[ChatCompletionChunk]:
        try:
            for event in self._iter_events():
                if event.data.startswith("[DONE]"):
                    break
                try:
                    yield ChatCompletionChunk.model_validate_json(event.data)
                except pydantic.ValidationError:
                    yield ChatCompletionChunk.construct(**event.json())
        finally:
            self.response.close()


def validating_live(log: Log) -> Counted:
    """openai's stream with that change."""
    return _openai(log.live_responses, ValidatingStream)


def accelerated_live(log: Log) -> Counted:
    """An accelerated client, which gives openai's own objects."""
    return _openai(log.live_responses, ChunkStream, accelerated)


def lazy_live(log: Log) -> Counted:
    """An accelerated client, which gives chunkwire's."""
    return _openai(log.live_responses, ChunkStream, lazy)


Engine = Literal["native", "simdjson"]


def decode_full(source: str | bytes, engine: Engine) -> Counted:
    chunks = content = tokens = 0
    for chunk in chunkwire.decode(source, engine=engine):
        chunks += 1
        choices = chunk.choices
        if choices:
            delta = choices[0].delta
            if delta is not None:
                text = delta.content
                if text:
                    content += len(text)
        usage = chunk.usage
        if usage is not None:
            tokens += usage.total_tokens or 0
    return chunks, content, tokens


def decode_content(source: str | bytes, engine: Engine) -> Counted:
    chunks = content = 0
    for chunk in chunkwire.decode(source, engine=engine):
        chunks += 1
        text = chunk.content
        if text:
            content += len(text)
    return chunks, content


def decode_content_and_usage(source: str | bytes, engine: Engine) -> Counted:
    chunks = content = tokens = 0
    for chunk in chunkwire.decode(source, engine=engine):
        chunks += 1
        text = chunk.content
        if text:
            content += len(text)
        usage = chunk.usage
        if usage is not None:
            tokens += usage.total_tokens or 0
    return chunks, content, tokens


def chunkwire_contents(source: str | bytes) -> Counted:
    """The shortest way to the text alone."""
    return (sum(map(len, chunkwire.contents(source))),)


def decode_nothing(source: str | bytes, engine: Engine) -> Counted:
    chunks = 0
    for _ in chunkwire.decode(source, engine=engine):
        chunks += 1
    return (chunks,)


def _feed(log: Log, engine: Engine) -> Counted:
    decoder = chunkwire.Decoder(engine=engine)
    feed = decoder.feed
    chunks = content = tokens = 0
    for event in log.events:
        for chunk in feed(event):
            chunks += 1
            choices = chunk.choices
            if choices:
                delta = choices[0].delta
                if delta is not None:
                    text = delta.content
                    if text:
                        content += len(text)
            usage = chunk.usage
            if usage is not None:
                tokens += usage.total_tokens or 0
    chunks += sum(1 for _ in decoder.finish())
    return chunks, content, tokens


# --- usage ------------------------------------------------------------------------------------------------------------


def split_json_usage(log: Log) -> Counted:
    """The standard library."""
    return _split_dicts_usage(log, json.loads)


def split_orjson_usage(log: Log) -> Counted:
    """Every event whole."""
    return _split_dicts_usage(log, orjson.loads)


def _split_dicts_usage(log: Log, loads: Callable[[bytes], Any]) -> Counted:
    streams = prompt = completion = total = 0
    last = None
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            last = loads(event[PREFIX:]).get("usage") or last
        elif event == DONE:
            streams += 1
            if last:
                prompt += last["prompt_tokens"]
                completion += last["completion_tokens"]
                total += last["total_tokens"]
                last = None
    return streams, prompt, completion, total


def split_msgspec_usage(log: Log) -> Counted:
    """A Struct of usage alone: msgspec validates the rest and makes nothing of it."""
    streams = prompt = completion = total = 0
    last = None
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            last = decode_usage(event[PREFIX:]).usage or last
        elif event == DONE:
            streams += 1
            if last is not None:
                prompt += last.prompt_tokens
                completion += last.completion_tokens
                total += last.total_tokens
                last = None
    return streams, prompt, completion, total


def split_simdjson_usage(log: Log) -> Counted:
    """simdjson's proxies, asked for usage."""
    parse = simdjson_parser.parse
    streams = prompt = completion = total = 0
    last = None
    for event in log.data.split(EMPTY):
        if event.startswith(DATA):
            chunk: Any = parse(event[PREFIX:])
            try:
                usage = chunk["usage"]
                if usage is not None:
                    last = usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
            except KeyError:
                usage = None
            del chunk, usage
        elif event == DONE:
            streams += 1
            if last is not None:
                prompt += last[0]
                completion += last[1]
                total += last[2]
                last = None
    return streams, prompt, completion, total


def prefilter_orjson_usage(log: Log) -> Counted:
    """Only events with the letters of usage in them are parsed; nothing else is looked at, so nothing is validated."""
    streams = prompt = completion = total = 0
    last = None
    for event in log.data.split(EMPTY):
        if b'"usage":{' in event or b'"usage": {' in event:
            last = orjson.loads(event[PREFIX:])["usage"]
        elif event == DONE:
            streams += 1
            if last is not None:
                prompt += last["prompt_tokens"]
                completion += last["completion_tokens"]
                total += last["total_tokens"]
                last = None
    return streams, prompt, completion, total


def search_orjson_usage(log: Log) -> Counted:
    """The log is searched as a whole: the least that one can do, and right only where all is as expected."""
    data = log.data
    find, rfind = data.find, data.rfind
    streams = data.count(EMPTY + DONE + EMPTY)
    prompt = completion = total = 0
    last = None
    before = 0
    for letters in (b'"usage":{', b'"usage": {'):
        at = find(letters)
        while at >= 0:
            start, end = rfind(b"\n", 0, at) + 1, find(EMPTY, at)
            usage = orjson.loads(data[start + PREFIX : end])["usage"]
            if last is not None and find(EMPTY + DONE, before, at) >= 0:
                prompt += last["prompt_tokens"]
                completion += last["completion_tokens"]
                total += last["total_tokens"]
            last, before = usage, at
            at = find(letters, end)
        if last is not None:
            prompt += last["prompt_tokens"]
            completion += last["completion_tokens"]
            total += last["total_tokens"]
            last = None
    return streams, prompt, completion, total


DUCKDB = """
    SELECT sum(done), sum(prompt), sum(completion), sum(total)
    FROM (
        SELECT
            count_if(done) AS done,
            max(found[2]::BIGINT) AS prompt,
            max(found[3]::BIGINT) AS completion,
            max(found[4]::BIGINT) AS total
        FROM (
            SELECT
                line = 'data: [DONE]' AS done,
                json_extract_string(
                    CASE WHEN line LIKE '{pattern}' THEN substr(line, 7) END,
                    ['$.id', '$.usage.prompt_tokens', '$.usage.completion_tokens', '$.usage.total_tokens']
                ) AS found
            FROM read_csv(
                ?, delim = '\x01', quote = '', escape = '', header = false, auto_detect = false,
                columns = {{'line': 'VARCHAR'}}, max_line_size = 67108864
            )
        )
        WHERE done OR found[4] IS NOT NULL
        GROUP BY found[1]
    )
"""
"""A log as a table of one column, a line a row. The greatest counts of an id are its last: running totals grow."""


def duckdb_usage(log: Log) -> Counted:
    """DuckDB on one thread, each chunk read by its JSON functions, streams told apart by their ids."""
    return _duckdb_usage(log, "data: {%")


def duckdb_search_usage(log: Log) -> Counted:
    """The same, but only lines with the letters of usage in them are parsed; the rest is not validated."""
    return _duckdb_usage(log, 'data: {%"usage":%{%')


def _duckdb_usage(log: Log, pattern: str) -> Counted:
    counted: Counted = _duckdb().execute(DUCKDB.format(pattern=pattern), [str(log.path)]).fetchone()
    return counted


@cache
def _duckdb() -> Any:
    import duckdb

    return duckdb.connect(config={"threads": 1})


def chunkwire_usage(source: str | bytes, engine: Engine, threads: int = 1) -> Counted:
    """Columns of the token counts, summed."""
    usage = chunkwire.usage(source, engine=engine, threads=threads)
    return (
        len(usage),
        int(usage.prompt_tokens.sum()),
        int(usage.completion_tokens.sum()),
        int(usage.total_tokens.sum()),
    )


# --- rows -------------------------------------------------------------------------------------------------------------

BASELINE = "split + msgspec, typed"
BOLDEST = "split without comments + msgspec, typed"
USAGE_BASELINES = ("split + msgspec, usage only", "split + search each + orjson")


FULL: Reads = "content and usage"
COLUMNS: Reads = "usage of streams"


def _engines() -> list[tuple[Engine, str]]:
    """The engines there are, each with what its rows' names end with."""
    native: list[tuple[Engine, str]] = [("native", "")] if importlib.util.find_spec("chunkwire._native") else []
    return [*native, ("simdjson", ", engine simdjson")]


def _decode_rows(engine: Engine, mark: str) -> list[Peer]:
    def path(log: Log) -> Counted:
        return decode_full(str(log.path), engine)

    def path_short(log: Log) -> Counted:
        return decode_content_and_usage(str(log.path), engine)

    def full(log: Log) -> Counted:
        return decode_full(log.data, engine)

    def content(log: Log) -> Counted:
        return decode_content(log.data, engine)

    def nothing(log: Log) -> Counted:
        return decode_nothing(log.data, engine)

    slow = engine != "native"
    return [
        Peer(f"chunkwire decode(path){mark}", FULL, path, slow),
        Peer(f"chunkwire decode(bytes){mark}", FULL, full, slow),
        Peer(f"chunkwire decode(path), .content{mark}", FULL, path_short, slow),
        Peer(f"chunkwire decode(bytes), .content{mark}", "content", content, slow),
        Peer(f"chunkwire decode(bytes){mark}", "nothing", nothing, slow),
    ]


def _live_row(engine: Engine, mark: str) -> Peer:
    def feed(log: Log) -> Counted:
        return _feed(log, engine)

    return Peer(f"chunkwire Decoder.feed{mark}", FULL, feed, slow=engine != "native")


def _usage_rows(engine: Engine, mark: str) -> list[Peer]:
    def path(log: Log) -> Counted:
        return chunkwire_usage(str(log.path), engine)

    def two_threads(log: Log) -> Counted:
        return chunkwire_usage(str(log.path), engine, threads=2)

    def data(log: Log) -> Counted:
        return chunkwire_usage(log.data, engine)

    slow = engine != "native"
    rows = [
        Peer(f"chunkwire usage(path){mark}", COLUMNS, path, slow),
        Peer(f"chunkwire usage(bytes){mark}", COLUMNS, data, slow),
    ]
    # What is decoded in Python gains nothing from threads.
    return rows if slow else [*rows, Peer("chunkwire usage(path, threads=2)", COLUMNS, two_threads)]


def duckdb_rows() -> list[Peer]:
    """Where it is installed."""
    if not importlib.util.find_spec("duckdb"):
        return []
    return [
        Peer("DuckDB", COLUMNS, duckdb_usage, cannot=frozenset({"shared ids"})),
        Peer("DuckDB, search each", COLUMNS, duckdb_search_usage, cannot=frozenset({"shared ids", "white space"})),
    ]


def contents_rows() -> list[Peer]:
    """Where chunkwire has it, with the engine that it takes itself."""

    def path(log: Log) -> Counted:
        return chunkwire_contents(str(log.path))

    return [Peer("chunkwire contents(path)", "content alone", path)] if hasattr(chunkwire, "contents") else []


DECODE = [
    Peer("split + json", FULL, split_json),
    Peer("split + orjson", FULL, split_orjson),
    Peer(BASELINE, FULL, split_msgspec),
    Peer(BOLDEST, FULL, cut_msgspec, cannot=frozenset({"comments"})),
    Peer("split + pysimdjson, lazy", FULL, split_simdjson),
    Peer("httpx-sse + json", FULL, httpx_sse_json, slow=True),
    Peer("openai Stream", FULL, openai_stream, slow=True),
    *(row for engine, mark in _engines() for row in _decode_rows(engine, mark)),
    *contents_rows(),
]

LIVE = [
    Peer("httpx-sse + json", FULL, httpx_sse_live, slow=True),
    Peer("openai Stream", FULL, openai_live, slow=True),
    Peer("openai Stream + model_validate_json", FULL, validating_live, slow=True),
    Peer("openai Stream, accelerated", FULL, accelerated_live),
    Peer("openai Stream, accelerated, chunkwire objects", FULL, lazy_live),
    *(_live_row(engine, mark) for engine, mark in _engines()),
    *event_rows(),
]

USAGE = [
    Peer("split + json", COLUMNS, split_json_usage),
    Peer("split + orjson", COLUMNS, split_orjson_usage),
    Peer(USAGE_BASELINES[0], COLUMNS, split_msgspec_usage),
    Peer("split + pysimdjson, lazy", COLUMNS, split_simdjson_usage),
    Peer(USAGE_BASELINES[1], COLUMNS, prefilter_orjson_usage, cannot=frozenset({"white space"})),
    Peer("search all + orjson", COLUMNS, search_orjson_usage, cannot=frozenset({"white space", "interleaved"})),
    *duckdb_rows(),
    *(row for engine, mark in _engines() for row in _usage_rows(engine, mark)),
]
