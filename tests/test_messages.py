"""How the pieces of a message become one: a test for each rule, and for each odd form of tool calls."""

from __future__ import annotations

from typing import Any

import pytest

import chunkwire
from messages import call, calls, one, said
from rows import DONE, first, last, part, report


def test_text_and_reasoning_by_the_servers_names(engine: str) -> None:
    message = said(
        engine,
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "a", "reasoning": "1", "thinking": "x"},
        {"reasoning_content": "b", "reasoning": "2", "thinking": "y", "content": None},
        {"content": "c"},
        {"content": "d"},
        {"refusal": "no"},
    )
    assert (message.role, message.content, message.refusal) == ("assistant", "cd", "no")
    assert (message.reasoning_content, message.reasoning, message.thinking) == ("ab", "12", "xy")
    assert message.tool_calls is None
    with pytest.raises(AttributeError, match="'Message' object has no attribute 'reasoning_text'"):
        _ = message.reasoning_text


def test_halves_of_a_surrogate_pair_stay_halves(engine: str) -> None:
    assert said(engine, {"content": "\ud83d"}, {"content": "\ude42"}).content == "\ud83d\ude42"


def test_reasoning_details_go_on_by_index(engine: str) -> None:
    message = said(
        engine,
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "a", "format": "f"}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "b", "format": "f", "signature": None}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 1, "text": "c"}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "d", "signature": "s"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "id": "rs", "data": "x"}]},
    )
    assert message.reasoning_details == [
        {"type": "reasoning.text", "index": 0, "text": "abd", "format": "f", "signature": "s"},
        {"type": "reasoning.text", "index": 1, "text": "c"},
        {"type": "reasoning.encrypted", "index": 0, "id": "rs", "data": "x"},
    ]


def test_content_in_parts(engine: str) -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True} for text in "ab"]
    message = said(
        engine, {"content": ""}, {"content": thinking[:1]}, {"content": thinking[1:]},
        {"content": "c"}, {"content": "d"},
        {"content": [{"type": "text", "text": "e"}, {"type": "reference", "reference_ids": [1]}]}, {"content": ""},
    )  # fmt: skip
    assert message.content == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "ab"}], "closed": True},
        {"type": "text", "text": "cde"},
        {"type": "reference", "reference_ids": [1]},
    ]
    assert said(engine, {"content": "a"}, {"content": [{"type": "text", "text": "b"}]}).content == [
        {"type": "text", "text": "ab"}
    ]


def test_fields_that_name_something_are_not_joined(engine: str) -> None:
    message = said(engine, *[{"role": "assistant", "channel": "final", "item_id": "i", "name": "n", "note": "x"}] * 3)
    fields = message.to_dict()
    assert {name: fields[name] for name in ("role", "channel", "item_id", "name", "note")} == {
        "role": "assistant", "channel": "final", "item_id": "i", "name": "n", "note": "xxx",
    }  # fmt: skip


def test_numbers_are_not_summed(engine: str) -> None:
    assert said(engine, {"token_id": 5}, {"token_id": 7}).token_id == 7


def test_what_a_server_sends_again_when_it_is_done_is_not_doubled(engine: str) -> None:
    tool = {"index": 0, "type": "search", "arguments": "{}"}
    message = said(engine, {"executed_tools": [tool]}, {"executed_tools": [tool | {"output": "o"}]})
    assert message.executed_tools == [tool | {"output": "o"}]


def test_audio_and_annotations(engine: str) -> None:
    message = said(
        engine,
        {"audio": {"id": "audio_1", "transcript": "He"}},
        {"audio": {"id": "audio_1", "data": "AAAA", "transcript": "llo"}},
        {"audio": {"data": "BBBB"}, "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]},
        {"audio": {"expires_at": 5}, "annotations": [{"type": "url_citation", "url_citation": {"url": "v"}}]},
    )
    assert isinstance(message.audio, chunkwire.Audio)
    assert (message.audio.id, message.audio.data, message.audio.transcript) == ("audio_1", "AAAABBBB", "Hello")
    assert message.audio.expires_at == 5
    assert [one["url_citation"]["url"] for one in message.annotations or []] == ["u", "v"]


def test_log_probabilities_come_one_behind_the_other(engine: str) -> None:
    def token(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}

    def chunk(logprobs: Any) -> bytes:
        return part(choices=[{"index": 0, "delta": {}, "logprobs": logprobs}])

    data = chunk({"content": [], "refusal": None}) + chunk({"content": [token("a"), token("b")], "refusal": None})
    data += chunk(None) + chunk({"content": [token("c")]}) + chunk({"refusal": [token("d")]}) + last()
    logprobs = one(engine, data).choices[0].logprobs
    assert isinstance(logprobs, chunkwire.Logprobs)
    assert logprobs.content is not None
    assert [one.token for one in logprobs.content] == ["a", "b", "c"]
    assert isinstance(logprobs.content[0], chunkwire.TokenLogprob)
    assert [one.token for one in logprobs.refusal or []] == ["d"]


def test_several_choices(engine: str) -> None:
    def chunk(index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": {"content": text}, "finish_reason": finish}

    data = part(choices=[chunk(1, "x")]) + part(choices=[chunk(0, "a"), chunk(1, "y")]) + part(choices=[chunk(0, "b")])
    data += part(choices=[chunk(1, None, "length")]) + part(choices=[chunk(0, None, "stop")]) + DONE
    choices = one(engine, data).choices
    assert [(one.index, one.message.content, one.finish_reason) for one in choices] == [
        (0, "ab", "stop"),
        (1, "xy", "length"),
    ]


def test_a_message_in_place_of_deltas(engine: str) -> None:
    whole = [{"role": "assistant", "content": text} for text in ("I", "I am")]
    data = b"".join(part(choices=[{"index": 0, "message": message}]) for message in whole)
    assert one(engine, data).choices[0].message.content == "I am"
    both = [{"index": 0, "message": whole[1], "delta": {"content": text}} for text in ("I", " am")]
    choice = one(engine, b"".join(part(choices=[one]) for one in both)).choices[0]
    assert choice.message.content == "I am"


def test_other_fields_of_chunks_and_choices(engine: str) -> None:
    data = first(x_groq={"id": "req"}, citations=["a"], provider="P", obfuscation="xyz", p="ab", service_tier="default")
    data += part(citations=["a", "b"], choices=[{"index": 0, "text": "a", "token_ids": [1], "stop_reason": 5}])
    data += part(service_tier=None, choices=[{"index": 0, "text": "b", "token_ids": [2, 3], "stop_reason": None}])
    data += last(x_groq={"usage": report(3), "id": None})
    completion = one(engine, data)
    assert completion.service_tier == "default"
    assert completion.system_fingerprint is None
    assert (completion.citations, completion.provider) == (["a", "b"], "P")
    assert completion.x_groq == {"id": "req", "usage": report(3)}
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 3
    assert not {"obfuscation", "p"} & set(completion.to_dict())
    choice = completion.choices[0]
    assert (choice.text, choice.token_ids, choice.stop_reason) == ("ab", [1, 2, 3], 5)


# --- tool calls


def test_tool_calls_as_openai_streams_them(engine: str) -> None:
    assert calls(
        engine,
        call("", "f", index=0, id="call_a", type="function"),
        call('{"a"', index=0),
        call(":1}", index=0),
        call("", "g", index=1, id="call_b", type="function"),
        call("{", index=1),
        call("}", index=1),
    ) == [("call_a", "f", '{"a":1}'), ("call_b", "g", "{}")]


TOOL_CALLS: dict[str, tuple[list[Any], list[tuple[str, str, str]]]] = {
    "side by side": (
        [call("", "f", index=0, id="a"), call("", "g", index=1, id="b"), call("1", index=0), call("2", index=1)],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "in one delta": (
        [[call("1", "f", index=0, id="a"), call("2", "g", index=1, id="b")]],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "pieces of one in one delta": ([[call("1", "f", index=0, id="a"), call("2", index=0)]], [("a", "f", "12")]),
    "the second index first": (
        [call("1", "f", index=1, id="a"), call("2", "g", index=0, id="b"), call("3", index=1)],
        [("a", "f", "13"), ("b", "g", "2")],
    ),
    "an index that begins with 1": ([call("", "f", index=1, id="a"), call("{}", index=1)], [("a", "f", "{}")]),
    "the same index twice": (
        [call("{}", "f", index=0, id="a"), call("{}", "f", index=0, id="b")],
        [("a", "f", "{}"), ("b", "f", "{}")],
    ),
    "the same index twice, side by side": (
        [call("1", "f", index=0, id="a"), call("2", "f", index=0, id="b"), call("3", index=0, id="a")],
        [("a", "f", "13"), ("b", "f", "2")],
    ),
    "the same index twice without ids": (
        [call("{}", "f", index=0), call("{}", "g", index=0), call(" ", index=0)],
        [("", "f", "{}"), ("", "g", "{} ")],
    ),
    "the name again with each piece": ([call("1", "f", index=0, id="a"), call("2", "f", index=0)], [("a", "f", "12")]),
    "a new id with each piece": (
        [call("1", "f", index=0, id="a"), call("2", index=0, id="b"), call("3", index=0, id="c")],
        [("a", "f", "123")],
    ),
    "empty ids and names": (
        [call("", "f", index=0, id="a"), call("1", "", index=0, id=""), call("2", None, index=0, id=None)],
        [("a", "f", "12")],
    ),
    "the id later": ([call("1", "f", index=0), call("2", index=0, id="a")], [("a", "f", "12")]),
    "without index": ([call("1", "f", id="a"), call("2", "g", id="b")], [("a", "f", "1"), ("b", "g", "2")]),
    "without index, in pieces": (
        [call("1", "f", id="a"), call("2"), call("", "g", id="b"), call("3")],
        [("a", "f", "12"), ("b", "g", "3")],
    ),
    "without index, by id": (
        [call("1", "f", id="a"), call("2", "g", id="b"), call("3", id="a")],
        [("a", "f", "13"), ("b", "g", "2")],
    ),
    "without index and id": ([call("1", "f", id=""), call("2", "f", id="")], [("", "f", "1"), ("", "f", "2")]),
    "without anything": ([call("1"), call("2")], [("", "", "12")]),
    "arguments that are null": ([call(None, "f", index=0, id="a")], [("a", "f", "")]),
    "arguments that never come": ([call(..., "f", index=0, id="a"), {"index": 0, "function": {}}], [("a", "f", "")]),
    "no function": ([{"index": 0, "id": "a"}], [("a", "", "")]),
    "an index as float": ([call("1", "f", index=0, id="a"), call("2", index=0.0)], [("a", "f", "12")]),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOL_CALLS)
def test_tool_calls(engine: str, name: str) -> None:
    elements, expected = TOOL_CALLS[name]
    assert calls(engine, *elements) == expected


def test_tool_calls_keep_what_else_was_sent(engine: str) -> None:
    signature = {"google": {"thought_signature": "s"}}
    message = said(
        engine,
        {"tool_calls": [call("{", "f", index=0, id="a", extra_content=signature)]},
        {"tool_calls": [call("}", index=0)]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "c", "input": "x"}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "y"}}]},
    )
    assert message.tool_calls is not None
    one, two = message.tool_calls
    assert isinstance(one, chunkwire.ToolCall)
    assert one.extra_content == signature
    assert two.to_dict() == {"id": "b", "type": "custom", "custom": {"name": "c", "input": "xy"}}
    assert "index" not in one


def test_the_old_function_call(engine: str) -> None:
    message = said(engine, {"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}})
    assert isinstance(message.function_call, chunkwire.FunctionCall)
    assert message.function_call.to_dict() == {"name": "f", "arguments": "{}"}
