"""Accelerated clients of the SDKs that Speakeasy generates give what plain ones give: the SDK itself is the oracle."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pydantic
import pytest
from edges import DONE, FRAMING, A, B, chunk, event
from hosts import as_it_came, assert_same, assert_same_error, async_outcome, cuts, outcome, single_cuts, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import VALUES, mutated, random_reads
from sdk_edges import ALL, BOM, OWN, TOKEN, USUAL
from sdks import INSTALLED, Sdk

from support import recorded

pytestmark = pytest.mark.skipif(not INSTALLED, reason="no SDK that Speakeasy generates is installed")

Outcome = tuple[list[Any], BaseException | None, bool]


@pytest.fixture(scope="module", params=INSTALLED, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def plain(sdk: Sdk) -> Any:
    return sdk.client()


@pytest.fixture(scope="module")
def accelerated(sdk: Sdk) -> Iterator[Any]:
    """(To make a client takes longer than most tests.)"""
    client = sdk.adapter.accelerate(sdk.client())
    yield client
    sdk.adapter.restore(client)


@pytest.fixture
def fast(accelerated: Any, sdk: Sdk, engine: str) -> Any:
    """An accelerated client, which was checked with the engine in use."""
    _check(sdk.name, engine)
    return accelerated


@cache
def _check(name: str, engine: str) -> None:
    for package in importlib.import_module(f"chunkwire.adapters.{name}")._packages():
        package._check()


@pytest.fixture
def asked(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The blocks about which an accelerated stream asked the SDK: but the sentinel and the end."""
    blocks: list[bytes] = []
    assert sdk.adapter._packages()[0]._template, "it is known before it is changed"
    parse = sdk.streaming._parse_event

    def asking(*arguments: Any, **keywords: Any) -> Any:
        block = bytes(arguments[0] if arguments else keywords["raw"])
        if block and block != b"data: [DONE]":
            blocks.append(block)
        return parse(*arguments, **keywords)

    monkeypatch.setattr(sdk.streaming, "_parse_event", asking)
    return blocks


def assert_same_outcome(ours: Outcome, theirs: Outcome) -> None:
    assert_same(ours[0], theirs[0])
    assert_same_error(ours[1], theirs[1])
    for one, other in ((ours[1], theirs[1]), (getattr(ours[1], "cause", None), getattr(theirs[1], "cause", None))):
        if isinstance(other, UnicodeDecodeError):
            assert one.args == other.args  # type: ignore[union-attr]
        if isinstance(other, pydantic.ValidationError):
            # (As texts: NaN is not equal to itself.)
            told = [repr(each.errors(include_url=False, include_context=False)) for each in (one, other)]  # type: ignore[union-attr]
            assert told[0] == told[1]
    assert ours[2] == theirs[2]


_known: dict[Any, Outcome] = {}


def expected(sdk: Sdk, plain: Any, pieces: list[bytes], **options: Any) -> Outcome:
    """What the plain SDK gives of these reads."""
    key = (sdk.name, tuple(pieces), tuple(sorted(options.items())))
    if key not in _known:
        _known[key] = outcome(sdk.stream(plain, pieces, **options))
    return _known[key]


class Remembering:
    """An SDK's decoder that does the same only once: to see what depends on the cuts takes many runs."""

    def __init__(self, decoder: Callable[[str], Any]) -> None:
        self._decoder = decoder
        self._known: dict[str, Any] = {}

    def __call__(self, raw: str) -> Any:
        if raw not in self._known:
            try:
                self._known[raw] = self._decoder(raw)
            except Exception as error:
                self._known[raw] = error
        found = self._known[raw]
        if isinstance(found, Exception):
            raise found
        return found


# --- Edges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_edges(name: str, sdk: Sdk, plain: Any, fast: Any) -> None:
    for pieces in ways(ALL[name]):
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), expected(sdk, plain, pieces))


@pytest.mark.parametrize("name", ALL)
def test_each_block_of_edges(name: str, sdk: Sdk, plain: Any, fast: Any) -> None:
    """A stream ends at its first error: so what comes behind one is tested by itself, too."""
    blocks = [block + b"\n\n" for block in dict.fromkeys(ALL[name].split(b"\n\n")) if block][:8]
    for block in blocks if len(blocks) > 1 else []:
        pieces = [A, block + B]
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), expected(sdk, plain, pieces))


@pytest.mark.parametrize("name", ALL)
def test_edges_async(name: str, sdk: Sdk, plain: Any, fast: Any) -> None:
    data = ALL[name]
    pieces = cuts(data, [len(data) // 3, len(data) // 2])
    theirs = async_outcome(lambda: sdk.async_stream(plain, pieces))
    assert_same_outcome(async_outcome(lambda: sdk.async_stream(fast, pieces)), theirs)
    assert_same_outcome(theirs, expected(sdk, plain, pieces))


def test_the_table_is_long_enough() -> None:
    assert len(OWN) >= 48
    assert len(ALL) > 150


@pytest.mark.parametrize("name", [*FRAMING, *list(OWN)[:33]])
def test_every_cut(name: str, sdk: Sdk, plain: Any, fast: Any) -> None:
    """Where reads end may change what these SDKs make of a stream: then it changes the same."""
    data = ALL[name]
    decoder = Remembering(sdk.decoder)
    for pieces in single_cuts(data, every=0):
        theirs = outcome(sdk.stream(plain, pieces, decoder=decoder))
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), theirs)


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_is_decoded_here(name: str, sdk: Sdk, fast: Any, asked: list[bytes]) -> None:
    """No SDK is asked about a stream that is as it should be."""
    for pieces in ways(ALL[name].replace(b'"role": "tool"', b'"role": "user"')):
        found, error, _ = outcome(sdk.stream(fast, pieces))
        assert (len(found) > 0, error) == (True, None)
        assert [block for block in asked if block.strip() not in (DONE.strip(), B.strip())] == []


OPTIONS: list[dict[str, Any]] = [
    {"sentinel": None},
    {"sentinel": ""},
    {"sentinel": "stop"},
    {"sentinel": '{"a": 1}'},
    {"data_required": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_of_streams(options: dict[str, Any], sdk: Sdk, plain: Any, fast: Any) -> None:
    data = A + b"event: x\n\n" + B + b'data: {"a": 1}\n\n' + A + b"data: stop\n\n" + B + DONE + A
    if "data_required" in options and not sdk.closes:
        with pytest.raises(TypeError):
            sdk.stream(fast, [data], **options)
        return
    for pieces in ways(data):
        assert_same_outcome(outcome(sdk.stream(fast, pieces, **options)), expected(sdk, plain, pieces, **options))


# --- Recorded streams ----------------------------------------------------------------------------------------------


def reads(path: Path, data: bytes) -> Iterator[list[bytes]]:
    """A recorded stream whole, in its blocks, in small parts and in the reads that it came in."""
    yield [data]
    yield [part + b"\n\n" for part in data.split(b"\n\n")]
    size = 61 if len(data) < 20_000 else 1400
    yield cuts(data, range(size, len(data), size))
    yield from as_it_came(path, data)


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded(path: Path, sdk: Sdk, plain: Any, fast: Any) -> None:
    data = path.read_bytes()
    decoder = Remembering(sdk.decoder)
    for pieces in reads(path, data):
        theirs = outcome(sdk.stream(plain, pieces, decoder=decoder))
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), theirs)


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no recorded streams")
def test_cuts_of_small_recorded_streams(sdk: Sdk, plain: Any, fast: Any) -> None:
    small = sorted(recorded(), key=lambda path: path.stat().st_size)[:6]
    for number, path in enumerate(small):
        data = path.read_bytes()
        decoder = Remembering(sdk.decoder)
        for pieces in single_cuts(data, every=0 if number else len(data)):
            theirs = outcome(sdk.stream(plain, pieces, decoder=decoder))
            assert_same_outcome(outcome(sdk.stream(fast, pieces)), theirs)


def test_recorded_streams_of_each_are_decoded_here(sdk: Sdk, fast: Any, asked: list[bytes]) -> None:
    """Of the SDK's own service, or of one that sends the like."""
    provider = {"sudo_ai": "openai", "friendli": "friendli", "mistralai": "mistral"}[sdk.name]
    paths = [path for path in recorded() if path.stem.partition("__")[0] == provider and "toolcall" not in path.stem]
    if not paths:
        pytest.skip("CHUNKWIRE_STREAMS names no recorded streams of it")
    events = 0
    for path in paths:
        events += len(outcome(sdk.stream(fast, [path.read_bytes()]))[0])
    assert events > 5
    # Parts of content are a union that only mistralai itself knows.
    assert len([block for block in asked if b'"thinking"' not in block]) <= events // 10, asked[:3]


# --- Whatever a server may send ------------------------------------------------------------------------------------

CALL = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RICH: dict[str, Any] = chunk(
    choices=[
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "a", "refusal": None, "tool_calls": [CALL, {**CALL, "index": 1}]},
            "finish_reason": "stop",
            "logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN]}]},
        },
        {"index": 1, "delta": {"content": None, "metadata": {"a": 1}}, "finish_reason": None, "logprobs": None},
    ],
    system_fingerprint=None,
    usage={
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": None},
        "prompt_tokens_details": {"cached_tokens": 0},
        "prompt_audio_seconds": 5,
    },
)
KEYS = [
    "id",
    "index",
    "delta",
    "content",
    "usage",
    "choices",
    "created",
    "_x",
    "extra",
    "bytes",
    "bytes_",
    "name",
    "type",
]
KEYS += ["TYPE", "OBJECT", "object", "prompt_tokens", "logprobs", "arguments"]
SOME: list[Any] = [
    *VALUES,
    "tool_calls",
    "chat.completion.chunk",
    "assistant",
    {"cached_tokens": 5},
    {"a": "\udc00"},
    2**53 + 1,
]


def test_mutated_chunks(sdk: Sdk, plain: Any, fast: Any) -> None:
    """Each alone, and behind others, whose shape it may nearly have."""
    random = Random(7)
    rich = event(json.dumps(RICH).encode())
    for _ in range(500):
        doc = mutated(random, RICH, random.choice([0, 1, 1, 1, 2, 3]), KEYS, SOME)
        sent = json.dumps(doc, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
        pieces = [rich + event(sent) * 2] if random.random() < 0.5 else [event(sent), event(sent)]
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), expected(sdk, plain, pieces))


LINES = [
    b"data: {}",
    b"data: " + json.dumps(chunk()).encode(),
    b"data",
    b"data:",
    b": c",
    b":",
    b"id: 1",
    b"id",
    b"id: \0",
]
LINES += [
    b"event: e",
    b"event",
    b"retry: 1",
    b"x: y",
    b"\xff",
    b": \xff",
    BOM + b"data: {}",
    BOM,
    b" data: {}",
    b"data: [",
]
LINES += [b"]", b"data: [DONE]", b"data : {}", b"data:[]", b"data: null", b"data: " + json.dumps(chunk("b")).encode()]
LINES += [b""] * 8


def test_random_lines(sdk: Sdk, plain: Any, fast: Any) -> None:
    """In any order, with any ends, cut anywhere: the reads are the same for both."""
    random = Random(7)
    decoder = Remembering(sdk.decoder)
    for _ in range(1500):
        pieces = random_reads(random, LINES)
        theirs = outcome(sdk.stream(plain, pieces, decoder=decoder))
        assert_same_outcome(outcome(sdk.stream(fast, pieces)), theirs)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(SOME)
_json = st.recursive(
    _scalars, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=4), one, max_size=3)
)
_choices = st.fixed_dictionaries(
    {
        "index": st.integers() | _json,
        "delta": st.dictionaries(st.sampled_from(["content", "role", "tool_calls"]), _json),
    },
    optional={"finish_reason": st.sampled_from(["stop", None, "eos", 5]), "logprobs": _json},
)
_chunks = st.fixed_dictionaries(
    {
        "id": st.text(max_size=5),
        "object": st.just("chat.completion.chunk"),
        "created": st.integers(),
        "model": st.just("m"),
    },
    optional={"choices": st.lists(_choices, max_size=2), "usage": _json, "x": _json, "system_fingerprint": _json},
)
_blocks = st.one_of(
    _chunks.map(lambda one: event(json.dumps(one).encode())),
    st.binary(max_size=12).map(lambda one: b"data: " + one + b"\n\n"),
    st.sampled_from([A, B, b": c\n\n", b"\n", b"\r\n", DONE, BOM, b"id: 1\n", b"event: e\n"]),
)


@given(blocks=st.lists(_blocks, max_size=6), at=st.lists(st.integers(0, 600), max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_streams(sdk: Sdk, plain: Any, fast: Any, blocks: list[bytes], at: list[int]) -> None:
    data = b"".join(blocks)
    pieces = cuts(data, sorted(min(place, len(data)) for place in at))
    assert_same_outcome(outcome(sdk.stream(fast, pieces)), outcome(sdk.stream(plain, pieces)))


# --- What the objects are ------------------------------------------------------------------------------------------

GOOD = [
    event(chunk("a", usage=None)),
    event({**RICH, "choices": RICH["choices"][:1]}),
    event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": None}])),
    event(chunk(choices=[], usage=RICH["usage"])),
]


def test_objects_are_used_as_ever(sdk: Sdk, plain: Any, fast: Any, asked: list[bytes]) -> None:
    """Dumps, copies, pickles, text, equality, changes."""
    theirs = outcome(sdk.stream(plain, [b"".join(GOOD) * 2]))
    assert len(asked) == 8
    asked.clear()
    ours = outcome(sdk.stream(fast, [b"".join(GOOD) * 2]))
    assert asked == []
    assert_same_outcome(ours, theirs)
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert one == other
        assert other == one
        assert repr(one) == repr(other)
        for options in ({}, {"by_alias": True}, {"exclude_unset": True}, {"exclude_none": True}, {"mode": "json"}):
            assert one.model_dump(**options) == other.model_dump(**options)
        assert one.model_dump_json() == other.model_dump_json()
        for copied in (
            copy.copy,
            copy.deepcopy,
            lambda it: it.model_copy(deep=True),
            lambda it: pickle.loads(pickle.dumps(it)),
        ):
            assert_same(copied(one), copied(other))
        assert type(one)(data=one.data) == other
        for it in (one, other):
            it.data.model = "other"
            it.data.choices.append(5)
        assert_same(one, other)
        with pytest.raises(AttributeError):
            assert one.odd is None


def test_objects_share_nothing(sdk: Sdk, fast: Any) -> None:
    """What can be changed is an object's own, each Unset too: as pydantic has it."""
    found = outcome(sdk.stream(fast, [b"".join(GOOD) * 3]))[0]
    seen: dict[int, Any] = {}

    def look(it: Any) -> None:
        if isinstance(it, (pydantic.BaseModel, list, dict, set)):
            assert id(it) not in seen, it
            seen[id(it)] = it
        if isinstance(it, pydantic.BaseModel):
            look(it.__pydantic_fields_set__)
            for one in vars(it).values():
                look(one)
        elif isinstance(it, (list, dict)):
            for one in it.values() if isinstance(it, dict) else it:
                look(one)

    for one in found:
        look(one)
    assert len(seen) > 100


def test_texts_that_no_literal_has_share_nothing(sdk: Sdk, plain: Any, fast: Any) -> None:
    """Some SDKs make an object of such a text, which its owner may change."""
    odd = event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "odd"}])) * 3
    theirs, error, _ = expected(sdk, plain, [odd])
    if error is not None:
        pytest.skip("this one takes no such text")
    ours = outcome(sdk.stream(fast, [odd]))[0]
    for found in (theirs, ours):
        texts = [one.data.choices[0].finish_reason for one in found]
        assert len({id(text) for text in texts}) == 3
        assert {type(text) for text in texts} == {type(theirs[0].data.choices[0].finish_reason)}


def test_three_states(sdk: Sdk, fast: Any) -> None:
    """What was not sent is UNSET, which is not null."""
    unset = type(sdk.module("types").UNSET)
    absent, null, value = (
        one.data.choices[0].delta for one in outcome(sdk.stream(fast, [ALL["three states"]]))[0][2::-1]
    )
    assert isinstance(absent.content, unset)
    assert not absent.content
    assert null.content is None
    assert value.content == "a"
    assert (absent.model_fields_set, null.model_fields_set) == (set(), {"content"})
