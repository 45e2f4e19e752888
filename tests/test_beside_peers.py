"""Whole messages beside those of openai's `ChatCompletionStreamState` and litellm's `stream_chunk_builder`.

They are equal over all recorded streams that those can digest, but for the differences that are listed here, each with
a test that names it.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from oracle import oracle
from oracle_streams import collected
from rows import DONE, first, last, part, report
from support import SAMPLES, event, recorded

openai = pytest.importorskip("openai", reason="openai is not installed")

from openai.lib.streaming.chat import ChatCompletionStreamState  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

PATHS = [*sorted(SAMPLES.glob("*.sse")), *recorded()]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar in a value by its path; null is as if it was absent."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from flat(item, f"{path}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}[{number}]")
    elif value is not None:
        yield path, value


def by_openai(docs: list[dict[str, Any]]) -> dict[str, Any]:
    """What openai makes of these chunks."""
    state: Any = ChatCompletionStreamState()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's, about values that are not as they are declared
        for doc in docs:
            state.handle_chunk(ChatCompletionChunk.construct(**json.loads(json.dumps(doc))))
        found: dict[str, Any] = json.loads(json.dumps(state.current_completion_snapshot.to_dict()))
    return found


def differences(docs: list[dict[str, Any]], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where openai says something else: path, our value, theirs."""
    mine, theirs = dict(flat(ours)), dict(flat(by_openai(docs)))
    return {path: (mine.get(path), theirs.get(path)) for path in mine | theirs if mine.get(path) != theirs.get(path)}


def repeats(ours: Any, theirs: Any) -> bool:
    return isinstance(ours, str) and isinstance(theirs, str) and bool(ours) and not theirs.replace(ours, "")


OF_CHUNKS = (
    "id|created|model|service_tier|cost|error|provider|x_groq|time_info|timings|latency_checkpoint|sla_metrics"
    "|prompt_filter_results|citations|search_results|stream_options|moderation|prompt_token_ids"
)
OF_CHOICES = (
    "content_filter_results|content_filter_offsets|native_finish_reason|stop_reason|matched_stop|seed|text|token_ids"
)

#: Where openai is wrong or says less, and why: the path, and what the two values have to be like.
EXPLAINED: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    # Its tool calls keep the index that only pieces need.
    "index of a call": (r"\.choices\[\d+\]\.message\.tool_calls\[\d+\]\.index", lambda ours, theirs: ours is None),
    # It joins all strings but `type`, also those that a server sends again on each chunk.
    "names joined": (
        r"\.choices\[\d+\]\.message\.(.*\.)?(role|channel|name|format|id|signature)",
        lambda ours, theirs: theirs is None or repeats(ours, theirs),
    ),
    # It adds numbers up.
    "numbers summed": (r"\.choices\[\d+\]\.message\.token_id", lambda ours, theirs: isinstance(theirs, int)),
    # A chunk without usage behind the one that has it erases it; so does one without fingerprint.
    "usage erased": (r"\.usage\..*", lambda ours, theirs: theirs is None),
    "fingerprint erased": (r"\.system_fingerprint", lambda ours, theirs: theirs is None),
    # Of all other fields of a chunk and of a choice it keeps what the first chunk had: Azure's first has no id.
    "later fields lost": (
        rf"\.({OF_CHUNKS})\b.*",
        lambda ours, theirs: True,
    ),
    "later fields of choices lost": (
        rf"\.choices\[\d+\]\.({OF_CHOICES})\b.*",
        lambda ours, theirs: True,
    ),
    # Details of two types under one index become one.
    "details mixed": (r"\.choices\[\d+\]\.message\.reasoning_details\[\d+\]\..*", lambda ours, theirs: True),
    # Strings and arrays do not go together there.
    "content in parts": (r"\.choices\[\d+\]\.message\.content(\[\d+\].*)?", lambda ours, theirs: not (ours and theirs)),
    # A call's type that never comes stays null.
    "type null": (r"\.choices\[\d+\]\.message\.tool_calls\[\d+\]\.type", lambda ours, _: ours == "function"),
    # Arguments that never come stay null.
    "arguments null": (
        r"\.choices\[\d+\]\.message\.tool_calls\[\d+\]\.function\.arguments",
        lambda ours, _: ours == "",
    ),
    # It keeps what pads chunks, where the first one has it.
    "padding": (r"\.p", lambda ours, theirs: ours is None),
}


def explanation(path: str, ours: Any, theirs: Any) -> str | None:
    for name, (pattern, fits) in EXPLAINED.items():
        if re.fullmatch(pattern, path) and fits(ours, theirs):
            return name
    return None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_recorded_streams_beside_openai(path: Path) -> None:
    data = path.read_bytes()
    streams = [[item.doc for _, item in row.chunks] for row in collected(oracle(data)) if row.chunks]
    completions = in_order(data)
    assert len(completions) == len(streams)
    for docs, completion in zip(streams, completions, strict=True):
        try:
            found = differences(docs, completion.to_dict())
        except (IndexError, AttributeError, TypeError, RuntimeError, KeyError, ValueError) as error:
            pytest.skip(f"openai cannot digest it: {type(error).__name__}: {error}")
        unexplained = {at: values for at, values in found.items() if explanation(at, *values) is None}
        assert unexplained == {}


def in_order(data: bytes) -> list[chunkwire.Completion]:
    """The completions in the order in which their streams began."""
    return sorted(chunkwire.completions(data), key=lambda completion: completion.offset)


def docs_of(data: bytes) -> list[dict[str, Any]]:
    return [item.doc for item in oracle(data).chunks]


def both(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our completion of a stream and openai's."""
    (completion,) = chunkwire.completions(data)
    return completion.to_dict(), by_openai(docs_of(data))


def tools(*elements: dict[str, Any]) -> bytes:
    chunks = [part(choices=[{"index": 0, "delta": {"tool_calls": [one]}, "finish_reason": None}]) for one in elements]
    return first() + b"".join(chunks) + last() + DONE


def element(arguments: str | None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    return fields | {"function": {"arguments": arguments} | ({"name": name} if name else {})}


def test_they_are_equal_where_openai_streams_to_its_own_client() -> None:
    data = (
        first(refusal=None) + part(content="a") + part(content="b") + last() + part(choices=[], usage=report(5)) + DONE
    )
    ours, theirs = both(data)
    assert dict(flat(ours)) == dict(flat(theirs))
    data = tools(element("", "f", index=0, id="a", type="function"), element("{}", index=0))
    ours, theirs = both(data)
    del theirs["choices"][0]["message"]["tool_calls"][0]["index"]
    assert dict(flat(ours)) == dict(flat(theirs))


def test_openai_lets_a_later_null_erase_usage() -> None:
    ours, theirs = both(first() + last(usage=report(5)) + part(choices=[], usage=None) + DONE)
    assert ours["usage"] == report(5)
    assert theirs.get("usage") is None


def test_openai_lets_a_chunk_without_fingerprint_erase_it() -> None:
    ours, theirs = both(first(system_fingerprint="fp") + last() + DONE)
    assert ours["system_fingerprint"] == "fp"
    assert theirs.get("system_fingerprint") is None


def test_openai_keeps_the_empty_id_of_azures_first_chunk() -> None:
    ours, theirs = both(event({"id": "", "model": "", "created": 0, "choices": []}) + first() + last() + DONE)
    assert (ours["id"], ours["model"], ours["created"]) == ("a", "m", 7)
    assert (theirs["id"], theirs["model"], theirs["created"]) == ("", "", 0)


def test_openai_loses_the_fields_of_later_chunks() -> None:
    ours, theirs = both(first() + last(service_tier="flex", x={"y": 1}) + DONE)
    assert (ours["service_tier"], ours["x"]) == ("flex", {"y": 1})
    assert "service_tier" not in theirs
    assert "x" not in theirs


def test_openai_joins_a_role_that_is_sent_again() -> None:
    ours, theirs = both(first() + first() + last() + DONE)
    assert ours["choices"][0]["message"]["role"] == "assistant"
    assert theirs["choices"][0]["message"]["role"] == "assistantassistant"


def test_openai_adds_numbers_up() -> None:
    data = b"".join(part(choices=[{"index": 0, "delta": {"token_id": number}}]) for number in (5, 7)) + last()
    ours, theirs = both(data)
    assert ours["choices"][0]["message"]["token_id"] == 7
    assert theirs["choices"][0]["message"]["token_id"] == 12


def test_openai_mixes_two_calls_of_one_index() -> None:
    calls = [element("{}", "f", index=0, id=name, type="function") for name in "ab"]
    ours, theirs = both(tools(*calls))
    assert [call["id"] for call in ours["choices"][0]["message"]["tool_calls"]] == ["a", "b"]
    assert [call["id"] for call in theirs["choices"][0]["message"]["tool_calls"]] == ["ab"]


def test_openai_cannot_read_calls_without_index() -> None:
    data = tools(element("{}", "f", id="a", type="function"))
    (completion,) = chunkwire.completions(data)
    assert [call.id for call in completion.choices[0].message.tool_calls or []] == ["a"]
    with pytest.raises((TypeError, RuntimeError, KeyError)):
        by_openai(docs_of(data))


def test_openai_cannot_read_calls_whose_index_begins_with_1() -> None:
    data = tools(element("{}", "f", index=1, id="a", type="function"))
    (completion,) = chunkwire.completions(data)
    assert [call.id for call in completion.choices[0].message.tool_calls or []] == ["a"]
    with pytest.raises(IndexError):
        by_openai(docs_of(data))


def test_openai_loses_content_in_parts_and_cannot_join_them() -> None:
    def chunk(*parts: dict[str, Any]) -> bytes:
        return part(choices=[{"index": 0, "delta": {"content": [*parts]}, "finish_reason": None}])

    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]} for text in "ab"]
    ours, theirs = both(first() + chunk(parts[0]) + chunk(parts[1]) + last())
    whole = [{"type": "thinking", "thinking": [{"type": "text", "text": "ab"}]}]
    assert (ours["choices"][0]["message"]["content"], theirs["choices"][0]["message"]["content"]) == (whole, "")
    data = chunk(parts[0]) + chunk(parts[1]) + last()
    (completion,) = chunkwire.completions(data)
    assert completion.choices[0].message.content == whole
    with pytest.raises(RuntimeError, match="Expected list delta entry to have an `index` key"):
        by_openai(docs_of(data))


def test_openai_mixes_reasoning_details_of_two_types() -> None:
    details = [
        {"type": "reasoning.text", "index": 0, "text": "a"},
        {"type": "reasoning.encrypted", "index": 0, "data": "x"},
    ]
    data = first() + b"".join(part(choices=[{"index": 0, "delta": {"reasoning_details": [one]}}]) for one in details)
    ours, theirs = both(data + last())
    assert ours["choices"][0]["message"]["reasoning_details"] == details
    assert theirs["choices"][0]["message"]["reasoning_details"] == [details[0] | details[1]]


# --- a valid chat.completion

#: What makes a recorded stream no valid `chat.completion`: values that its server made up, and answers that broke off.
ODD = {
    "finish_reason": "null where the stream broke off, or a word of the server's own",
    "service_tier": "Groq's on_demand",
    "content": "Mistral's parts",
    "logprobs": "OpenRouter's number",
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_completions_are_valid(path: Path) -> None:
    from pydantic import ValidationError

    for completion in chunkwire.completions(path):
        found = completion.to_dict()
        try:
            ChatCompletion.model_validate(found)
        except ValidationError as error:
            wrong = {str(one["loc"][-1]) for one in error.errors()}
            assert wrong <= set(ODD), wrong
            if "finish_reason" in wrong:
                known = ("stop", "length", "tool_calls", "content_filter", "function_call")
                assert any(choice["finish_reason"] not in known for choice in found["choices"])


def test_to_openai(engine: str) -> None:
    data = tools(element("", "f", index=0, id="a", type="function"), element("{}", index=0))
    (completion,) = chunkwire.completions(data + DONE, engine=engine)
    found = completion.to_openai()
    assert isinstance(found, ChatCompletion)
    assert found.id == "a"
    call = found.choices[0].message.tool_calls[0]  # type: ignore[index]
    assert (call.type, call.id, call.function.arguments) == ("function", "a", "{}")  # type: ignore[union-attr]
    (odd,) = chunkwire.completions(first(x=[1]) + part(choices=[{"delta": {"reasoning": "r"}}]) + part(finish="eos"))
    found = odd.to_openai()
    assert found.x == [1]  # type: ignore[attr-defined]
    assert found.choices[0].finish_reason == "eos"
    assert found.choices[0].message.reasoning == "r"  # type: ignore[attr-defined]


def test_to_openai_without_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai.types.chat", None)
    (completion,) = chunkwire.completions(first() + last())
    with pytest.raises(ImportError, match=r"needs the package openai: pip install 'chunkwire\[openai\]'"):
        completion.to_openai()


# --- litellm


@pytest.fixture(scope="module")
def litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or importing it asks the network for prices
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("litellm", reason="litellm is not installed")


def by_litellm(litellm: Any, docs: list[dict[str, Any]]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chunks = [litellm.ModelResponseStream(**doc) for doc in json.loads(json.dumps(docs))]
        found: dict[str, Any] = json.loads(json.dumps(litellm.stream_chunk_builder(chunks).model_dump(warnings=False)))
    return found


@pytest.mark.filterwarnings("ignore")
def test_litellm_says_the_same_of_an_ordinary_stream(litellm: Any) -> None:
    data = first() + part(content="a") + part(content="b") + last() + part(choices=[], usage=report(5)) + DONE
    (completion,) = chunkwire.completions(data)
    theirs = by_litellm(litellm, docs_of(data))
    choice = theirs["choices"][0]
    assert choice["message"]["content"] == completion.choices[0].message.content == "ab"
    assert choice["finish_reason"] == completion.choices[0].finish_reason
    assert theirs["usage"]["prompt_tokens"] == 5


@pytest.mark.filterwarnings("ignore")
def test_litellm_makes_up_arguments_that_never_come(litellm: Any) -> None:
    data = tools(element(None, "f", index=0, id="a", type="function"))
    (completion,) = chunkwire.completions(data)
    assert [call.function.arguments for call in completion.choices[0].message.tool_calls or []] == [""]
    calls = by_litellm(litellm, docs_of(data))["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ["{}"]


@pytest.mark.filterwarnings("ignore")
def test_litellm_loses_a_call_without_index_and_id(litellm: Any) -> None:
    data = tools(element("{}", "f", id="", type="function"))
    (completion,) = chunkwire.completions(data)
    assert [call.function.name for call in completion.choices[0].message.tool_calls or []] == ["f"]
    assert not by_litellm(litellm, docs_of(data))["choices"][0]["message"]["tool_calls"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_recorded_texts_beside_litellm(litellm: Any, path: Path) -> None:
    """What was said, and the calls, but for those that have neither index nor id."""
    data = path.read_bytes()
    streams = [[item.doc for _, item in row.chunks] for row in collected(oracle(data)) if row.chunks]
    for docs, completion in zip(streams, in_order(data), strict=True):
        try:
            theirs = by_litellm(litellm, docs)["choices"][0]["message"]
        except Exception as error:
            pytest.skip(f"litellm cannot digest it: {type(error).__name__}: {str(error)[:80]}")
        if len(completion.choices) != 1:
            continue  # it takes all choices for one
        ours = completion.choices[0].message
        if isinstance(ours.content, str):
            assert (theirs["content"] or "") == ours.content
        calls = [call for call in ours.tool_calls or [] if call.id]
        mine = [(call.function.name, call.function.arguments or "{}") for call in calls]
        found = [(call["function"]["name"], call["function"]["arguments"]) for call in theirs.get("tool_calls") or []]
        assert found == mine
