"""The objects: attributes, absence, views in views, equality, printing, pickling, and how long they live."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import sys
import threading
from typing import Any

import pytest

import chunkwire
from support import SAMPLES, canonical, chunk_json, event
from views import MODEL, assert_view

RICH: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "created": 7,
    "model": "m",
    "system_fingerprint": None,
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "hello",
                "refusal": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{"}}
                ],
                "function_call": {"name": "g", "arguments": "}"},
                "annotations": [{"type": "url"}],
            },
            "logprobs": {
                "content": [{"token": "h", "logprob": -0.5, "bytes": [104], "top_logprobs": [{"token": "i"}]}],
                "refusal": None,
                "reasoning_content": [{"token": "x"}],
            },
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4, "text_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 6},
        "cost": 0.5,
    },
    "x_groq": {"id": "r", "usage": {"total_time": 1}},
    "citations": ["u", {"v": 1}, [{"w": 2}]],
}


def one(engine: str, data: bytes | dict[str, Any]) -> Any:
    (chunk,) = chunkwire.decode(event(data), engine=engine)
    return chunk


@pytest.fixture
def rich(engine: str) -> Any:
    return one(engine, RICH)


def views_of(chunk: Any) -> dict[str, Any]:
    """One view of each class, from the chunk above."""
    choice = chunk.choices[0]
    found = [chunk, choice, choice.delta, choice.delta.tool_calls[0], choice.delta.function_call, choice.logprobs]
    found += [choice.logprobs.content[0], chunk.usage, chunk.usage.prompt_tokens_details]
    found += [chunk.usage.completion_tokens_details]
    return {type(view).__name__: view for view in found}


def test_the_model(rich: Any) -> None:
    assert_view(rich, "Chunk", RICH)


def test_every_class_is_there(rich: Any) -> None:
    views = views_of(rich)
    assert sorted(views) == sorted(MODEL)
    for name, view in views.items():
        assert isinstance(view, getattr(chunkwire, name))
        others = [other for other in MODEL if other != name]
        assert not any(isinstance(view, getattr(chunkwire, other)) for other in others)


def test_by_hand(rich: Any) -> None:
    """The same without the reference, as a user writes it."""
    assert (rich.id, rich.object, rich.created, rich.model) == ("c1", "chat.completion.chunk", 7, "m")
    assert rich.system_fingerprint is None
    assert rich.service_tier == "default"
    choice = rich.choices[0]
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.delta.role, choice.delta.content, choice.delta.refusal) == ("assistant", "hello", None)
    assert choice.delta.reasoning_content == "hm"
    assert choice.delta.tool_calls[0].function.arguments == "{"
    assert choice.delta.function_call.name == "g"
    assert choice.delta.annotations == [{"type": "url"}]
    assert choice.logprobs.content[0].top_logprobs[0].token == "i"
    assert choice.logprobs.content[0].bytes == [104]
    assert choice.logprobs.reasoning_content == [{"token": "x"}]
    assert choice.content_filter_results == {"hate": {"filtered": False}}
    assert rich.usage.prompt_tokens_details.cached_tokens == 4
    assert rich.usage.prompt_tokens_details.text_tokens == 5
    assert rich.usage.completion_tokens_details.reasoning_tokens == 6
    assert rich.usage.cost == 0.5
    assert rich.x_groq == {"id": "r", "usage": {"total_time": 1}}
    assert rich.citations == ["u", {"v": 1}, [{"w": 2}]]
    assert rich.content == "hello"
    assert rich.offset == 0
    assert rich.raw == json.dumps(RICH).encode()
    assert rich.to_dict() == RICH


def test_absent_and_null(engine: str) -> None:
    chunk = one(engine, {"choices": [{"delta": None}, {}], "usage": None})
    assert chunk.usage is None
    assert "usage" in chunk
    assert chunk.model is None
    assert "model" not in chunk
    assert chunk.choices[0].delta is None
    assert "delta" in chunk.choices[0]
    assert "delta" not in chunk.choices[1]
    assert chunk.content is None
    assert 5 not in chunk
    assert None not in chunk


def test_every_field_of_the_model_is_none_when_absent(engine: str) -> None:
    doc = {"choices": [{"delta": {"tool_calls": [{}], "function_call": {}}, "logprobs": {"content": [{}]}}]}
    doc["usage"] = {"prompt_tokens_details": {}, "completion_tokens_details": {}}
    for name, view in views_of(one(engine, doc)).items():
        for field in MODEL[name]:
            if field not in view.to_dict():
                assert getattr(view, field) is None
                assert field not in view


def test_unknown_fields(rich: Any) -> None:
    for name, view in views_of(rich).items():
        assert not hasattr(view, "nothing_of_that_name")
        with pytest.raises(AttributeError) as caught:
            view.nothing_of_that_name  # noqa: B018
        assert str(caught.value) == f"'{name}' object has no attribute 'nothing_of_that_name'"


def test_an_unknown_field_that_is_null(engine: str) -> None:
    chunk = one(engine, chunk_json(extra=None))
    assert chunk.extra is None
    assert "extra" in chunk


def test_content(engine: str) -> None:
    def content(choices: Any) -> Any:
        return one(engine, {"object": "chunk", "choices": choices}).content

    assert content([{"delta": {"content": "x"}}, {"delta": {"content": "y"}}]) == "x"
    assert content([{"delta": {"content": ""}}]) == ""
    assert content([{"delta": {"content": None}}]) is None
    assert content([{"delta": {"content": ["x", {"text": "y"}]}}]) == ["x", {"text": "y"}]
    assert content([{"delta": {"content": 5}}]) == 5
    for nothing in (
        None,
        [],
        {},
        "x",
        5,
        [None],
        [[]],
        ["x"],
        [{}],
        [{"delta": None}],
        [{"delta": []}],
        [{"delta": {}}],
    ):
        assert content(nothing) is None
    assert content([None, {"delta": {"content": "x"}}]) is None
    assert one(engine, {"object": "chunk"}).content is None


def test_other_types_are_given_as_sent(engine: str) -> None:
    odd: dict[str, Any]
    for odd in (
        {"created": "5", "id": 7, "model": {"name": "m"}, "choices": []},
        {"choices": {"index": 0}, "usage": [1, {"prompt_tokens": 2}]},
        {"choices": "text", "usage": "none"},
        {"choices": [1, "x", None, [], [{"delta": {}}], {"delta": [{"content": 1}]}]},
        {"choices": [{"delta": "x", "logprobs": 5, "finish_reason": {}}]},
        {"choices": [{"delta": {"tool_calls": {"index": 0}, "function_call": ["x"], "content": {"text": "t"}}}]},
        {"choices": [{"delta": {"tool_calls": [None, {"function": [1]}, {"function": {"arguments": {"a": 1}}}]}}]},
        {"choices": [{"logprobs": {"content": {"token": "t"}, "refusal": [[{"token": 1}], {"token": {"x": 1}}]}}]},
        {"choices": [{"logprobs": {"content": [{"top_logprobs": {"token": 1}, "bytes": [{"a": 1}]}]}}]},
        {"choices": [], "usage": {"prompt_tokens": {"x": 1}, "prompt_tokens_details": [{"cached_tokens": 1}]}},
    ):
        assert_view(one(engine, odd), "Chunk", odd)


def test_names_like_those_of_the_class(engine: str) -> None:
    """What the class has comes first; `to_dict` and `in` have the field."""
    doc = {"choices": [], "content": "c", "offset": "o", "raw": "r", "to_dict": "t", "__class__": "k", "__dict__": 1}
    chunk = one(engine, doc)
    assert chunk.content is None
    assert chunk.offset == 0
    assert chunk.raw == json.dumps(doc).encode()
    assert chunk.to_dict() == doc
    assert isinstance(chunk, chunkwire.Chunk)
    for name in doc:
        assert name in chunk


def test_odd_keys(engine: str) -> None:
    doc = json.loads('{"choices":[],"a b":1,"":2,"\\ud83d":3,"caf\\u00e9":4,"\\u0000":5}')
    chunk = one(engine, doc)
    for name, value in doc.items():
        assert getattr(chunk, name) == value
        assert name in chunk
    assert "\ude00" not in chunk


def test_duplicate_keys(engine: str) -> None:
    """The last one wins, however it is written."""
    text = b'{"choices":[{"delta":{"content":"a"}}],"id":"1",'
    text += b'"ch\\u006fices":[{"delta":{"content":"b","content":"c"}}],"\\u0069d":"2"}'
    chunk = one(engine, text)
    assert (chunk.content, chunk.id) == ("c", "2")
    assert chunk.choices[0].delta.content == "c"
    assert canonical(chunk.to_dict()) == canonical(json.loads(text))
    assert chunk.raw == text


def test_numbers_and_strings_as_python_has_them(engine: str) -> None:
    text = (
        b'{"choices":[],"a":123456789012345678901234567890,"b":-0,"c":-0.0,"d":1e400,"e":NaN,"f":-Infinity,"g":1.0,'
        b'"h":"\\ud83d","i":"\\ud83d\\ude00","j":"\\u0000","k":9007199254740993,"l":0.1,"m":18446744073709551616}'
    )
    chunk = one(engine, text)
    assert canonical(chunk.to_dict()) == canonical(json.loads(text))
    assert chunk.a == 123456789012345678901234567890
    assert str(chunk.c) == "-0.0"
    assert chunk.d == float("inf")
    assert chunk.e != chunk.e
    assert type(chunk.g) is float
    assert chunk.h == "\ud83d"
    assert chunk.i == "😀"


def test_offset_and_raw(engine: str) -> None:
    source = b': hi\n\nid: 1\ndata: {\ndata:"choices": []\ndata:  }\n\n' + event(chunk_json())
    chunks = list(chunkwire.decode(source, engine=engine))
    assert [chunk.offset for chunk in chunks] == [6, source.rindex(b"data: {")]
    assert chunks[0].raw == b'{\n"choices": []\n }'
    assert chunks[1].raw == chunk_json()
    assert type(chunks[0].raw) is bytes


def test_raw_keeps_bytes_that_are_no_utf8(engine: str) -> None:
    sent = chunk_json(model="M").replace(b"M", b"\xff\xe5\x8c")
    chunk = one(engine, sent)
    assert chunk.raw == sent
    assert chunk.model == "\ufffd\ufffd"
    again = pickle.loads(pickle.dumps(chunk))
    assert (again.raw, again.model) == (sent, "\ufffd\ufffd")


def test_views_cannot_be_changed(rich: Any) -> None:
    for name, view in views_of(rich).items():
        field = next(iter(MODEL[name]))
        for attempt in (field, "something_new"):
            with pytest.raises(AttributeError):
                setattr(view, attempt, 1)
        with pytest.raises(AttributeError):
            delattr(view, field)
        with pytest.raises(TypeError):
            hash(view)
    assert rich.to_dict() == RICH


def test_what_is_given_can_be_changed_without_harm(rich: Any) -> None:
    rich.to_dict()["id"] = "other"
    rich.choices.append("more")
    rich.citations.clear()
    assert rich.id == "c1"
    assert rich.to_dict() == RICH
    assert_view(rich, "Chunk", RICH)


def test_equality(engine: str) -> None:
    a = one(engine, b'{"id":"a","choices":[]}')
    same = one(engine, b' {"choices" : [],\n"id":"b","id":"a"}'.replace(b"\n", b" "))
    other = one(engine, b'{"id":"b","choices":[]}')
    assert a == same
    assert a == a
    assert not a != same  # noqa: SIM202
    assert a != other
    assert a != {"id": "a", "choices": []}
    assert a.__eq__({"id": "a"}) is NotImplemented
    assert a != None  # noqa: E711
    chunk = one(engine, {"choices": [{"delta": {}}], "usage": {}})
    assert chunk.usage != chunk.choices[0].delta  # both hold nothing, but they are not the same thing
    assert chunk.choices[0].delta == one(engine, {"choices": [{"delta": {}}]}).choices[0].delta


def test_equality_across_engines(engine: str) -> None:
    other = "simdjson" if engine == "native" else "native"
    try:
        theirs = views_of(one(other, RICH))
    except ImportError:
        pytest.skip("one of the engines is not installed")
    for name, view in views_of(one(engine, RICH)).items():
        assert type(view) is not type(theirs[name])
        assert view == theirs[name]
        assert repr(view) == repr(theirs[name])
        assert dir(view) == dir(theirs[name]) or set(MODEL[name]) <= set(dir(view)) & set(dir(theirs[name]))
    assert one(engine, RICH) != one(other, RICH | {"id": "c2"})


def test_events_are_equal_across_engines(engine: str) -> None:
    data = b"event: e\nid: 1\nretry: 5\ndata: x\n\n: hi\n\ndata: x\n\n"
    events = {name: list(chunkwire.events(data, engine=name)) for name in {engine, "simdjson"}}
    assert events[engine] == events["simdjson"]
    assert events[engine][0] != events[engine][1]
    assert list(chunkwire.events(b": moved\n\n" + data, engine=engine)) == events[engine]  # the offset does not count


def test_repr(rich: Any, engine: str) -> None:
    assert repr(rich.choices[0].delta.function_call) == "FunctionCall(name='g', arguments='}')"
    assert repr(rich.usage.prompt_tokens_details) == "PromptTokensDetails(cached_tokens=4, +text_tokens)"
    text = repr(rich)
    assert text.startswith(
        "Chunk(id='c1', object='chat.completion.chunk', created=7, model='m', service_tier='default'"
    )
    assert "content='hello'" in text
    assert text.endswith("+x_groq, +citations)")
    assert "system_fingerprint" not in text
    long = repr(one(engine, chunk_json(model="x" * 500)))
    assert len(long) < 400
    assert "..." in long


def test_dir(rich: Any) -> None:
    assert {"id", "choices", "usage", "content", "offset", "raw", "to_dict", "x_groq", "citations"} <= set(dir(rich))
    assert {"cached_tokens", "text_tokens"} <= set(dir(rich.usage.prompt_tokens_details))
    assert dir(rich) == sorted(dir(rich))


def test_copies(rich: Any) -> None:
    for view in views_of(rich).values():
        assert copy.copy(view) is view
        assert copy.deepcopy(view) is view
    assert copy.deepcopy([rich])[0] is rich


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(rich: Any, protocol: int) -> None:
    for name, view in views_of(rich).items():
        again = pickle.loads(pickle.dumps(view, protocol))
        assert isinstance(again, getattr(chunkwire, name))
        assert again == view
        assert_view(again, name, view.to_dict())


def test_pickle_keeps_place_and_bytes(engine: str) -> None:
    first, second = chunkwire.decode(event(chunk_json()) + b'data:  {\ndata:"choices":[] }\n\n', engine=engine)
    for chunk in (first, second):
        again = pickle.loads(pickle.dumps(chunk))
        assert (again.offset, again.raw) == (chunk.offset, chunk.raw)


def test_pickle_of_events(engine: str) -> None:
    for sent in chunkwire.events(b"event: e\nid: 1\nretry: 5\ndata: x\n\ndata: y\n\n", engine=engine):
        again = pickle.loads(pickle.dumps(sent))
        assert again == sent
        assert (again.event, again.data, again.id, again.retry, again.offset) == (
            sent.event,
            sent.data,
            sent.id,
            sent.retry,
            sent.offset,
        )


def test_events(engine: str) -> None:
    (sent, other) = chunkwire.events(b"event: e\nid: 1\nretry: 5\ndata: x\n\ndata: y\n\n", engine=engine)
    assert isinstance(sent, chunkwire.Event)
    assert (sent.event, sent.data, sent.id, sent.retry, sent.offset) == ("e", "x", "1", 5, 0)
    assert (other.event, other.data, other.id, other.retry, other.offset) == ("message", "y", "1", None, 33)
    assert repr(sent) == "Event(event='e', data='x', id='1', retry=5)"
    assert repr(other) == "Event(data='y', id='1')"
    with pytest.raises(AttributeError):
        sent.data = "z"
    with pytest.raises(AttributeError):
        sent.something = 1


def test_errors_can_be_pickled(engine: str) -> None:
    chunks = chunkwire.decode(event("{oops") + event('{"error":{"message":"m"}}'), engine=engine)
    with pytest.raises(chunkwire.DecodeError) as caught:
        next(chunks)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.kind, again.offset, again.position) == (str(caught.value), "invalid_json", 0, 1)
    with pytest.raises(chunkwire.StreamError) as caught_error:
        next(chunks)
    assert caught_error.value.body == {"error": {"message": "m"}}
    assert caught_error.value.message == "m"
    assert pickle.loads(pickle.dumps(caught_error.value)).body == caught_error.value.body


def test_a_chunk_outlives_its_source(engine: str) -> None:
    source = bytearray((SAMPLES / "tools.sse").read_bytes())
    expected = [canonical(chunk.to_dict()) for chunk in chunkwire.decode(bytes(source), engine=engine)]
    decoder = chunkwire.Decoder(engine=engine)
    chunks = []
    for start in range(0, len(source), 100):
        piece = source[start : start + 100]
        chunks += decoder.feed(piece)
        piece[:] = b"!" * len(piece)
    chunks += decoder.finish()
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    names = [(chunk.id, chunk.content, chunk.model) for chunk in chunks]
    texts = [canonical(chunk.to_dict()) for chunk in chunks]
    del decoder, source, chunks
    gc.collect()
    bytearray(b"?" * 5_000_000)  # whatever memory came free is written over
    assert texts == expected
    assert [canonical(delta.to_dict()) for delta in deltas] == [
        canonical(json.loads(text)["choices"][0]["delta"]) for text in expected if json.loads(text)["choices"]
    ]
    assert all(name[0] for name in names)


def test_a_part_outlives_its_chunk(engine: str) -> None:
    call = one(engine, RICH).choices[0].delta.tool_calls[0]
    gc.collect()
    assert call.function.arguments == "{"
    assert call.to_dict() == RICH["choices"][0]["delta"]["tool_calls"][0]


def test_reading_twice_gives_the_same(rich: Any) -> None:
    for _ in range(3):
        assert_view(rich, "Chunk", RICH)


def test_threads_read_one_chunk(rich: Any) -> None:
    problems: list[BaseException] = []
    start = threading.Barrier(6)

    def read() -> None:
        try:
            start.wait()
            for _ in range(40):
                assert_view(rich, "Chunk", RICH)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_threads_decode_side_by_side(engine: str) -> None:
    data = (SAMPLES / "day.sse").read_bytes()
    expected = [chunk.raw for chunk in chunkwire.decode(data, engine=engine, on_error="skip")]
    found: list[list[Any]] = []

    def decode() -> None:
        chunks = list(chunkwire.decode(data, engine=engine, on_error="skip"))
        found.append([chunk.raw for chunk in chunks if chunk.to_dict()])

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_nothing_leaks(engine: str) -> None:
    """Reading everything of many chunks leaves no references behind."""
    data = event(RICH) * 50

    def work() -> None:
        for chunk in chunkwire.decode(data, engine=engine):
            assert_view(chunk, "Chunk", RICH)

    work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(4):
        work()
    gc.collect()
    assert sys.getallocatedblocks() - before < 1500  # 200 chunks of dozens of objects each


async def collect(source: Any, **options: Any) -> list[Any]:
    return [chunk async for chunk in chunkwire.adecode(source, **options)]


def test_adecode(engine: str) -> None:
    import asyncio

    data = (SAMPLES / "tools.sse").read_bytes()
    expected = [(chunk.offset, chunk.raw) for chunk in chunkwire.decode(data, engine=engine)]

    async def source(size: int) -> Any:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    for size in (1, 17, len(data)):
        chunks = asyncio.run(collect(source(size), engine=engine))
        assert [(chunk.offset, chunk.raw) for chunk in chunks] == expected
