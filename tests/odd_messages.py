"""Logs whose messages come in every odd form that servers have, and some that none has: a seed in, a log out.

Names, ids and types are few, so that they meet; and each form is written several times in a row with other texts, as
streams do, so that the short way of shapes is gone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from logs import interleaved
from support import event

DONE = event("[DONE]")
TEXTS = ["a", " b", "", "\n", "é", "東", "\ud83d", "\ude42", '"', "\\", "{", "1", "long " * 9]
ANY = [None, None, True, 0, 1, 2.5, "x", "", [], {}, [1], [None, {}], {"a": 1}, {"index": 0}, [{"index": 0, "a": "b"}]]

Piece = Callable[[random.Random], dict[str, Any]]


def text(rng: random.Random) -> str:
    return rng.choice(TEXTS)


def some(rng: random.Random, **fields: Any) -> dict[str, Any]:
    """Most of these fields."""
    return {name: value for name, value in fields.items() if value is not ... and rng.randrange(6)}


def call(rng: random.Random) -> dict[str, Any]:
    """An element of tool_calls: its texts may change, the rest is fixed."""
    arguments = rng.choice([..., None, "", "{", '{"a"', {"a": 1}])
    name = rng.choice([..., ..., ..., None, "", "f", "g"])
    function = some(rng, name=name, arguments=arguments)
    fields = {
        "index": rng.choice([..., ..., None, 0, 0, 1, 2, 1.0, "0", -1]),
        "id": rng.choice([..., ..., None, "", "call_1", "call_2", 5]),
        "type": rng.choice([..., "function", "", None, "custom"]),
        "function": rng.choice([function, function, function, ..., None, "f"]),
        "custom": rng.choice([..., ..., ..., ..., {"name": "c", "input": "i"}, {"input": "j"}, None]),
        "extra_content": rng.choice([..., ..., ..., {"google": {"thought_signature": "s"}}]),
    }
    return some(rng, **fields)


def item(rng: random.Random) -> Any:
    """An element of reasoning_details, of content, or of something else."""
    if not rng.randrange(8):
        return rng.choice(ANY)
    kind = rng.choice(
        ["text", "thinking", "reasoning.text", "reasoning.summary", "reasoning.encrypted", "url_citation"]
    )
    fields: dict[str, Any] = {"type": rng.choice([kind, kind, kind, ..., None, ""])}
    fields["index"] = rng.choice([..., ..., 0, 0, 1, 1.0, "0"])
    fields["id"] = rng.choice([..., ..., ..., "rs_1", "rs_2", ""])
    fields["format"] = rng.choice([..., None, "unknown"])
    fields[rng.choice(["text", "summary", "data"])] = rng.choice(["t", "", None])
    if kind == "thinking":
        fields["thinking"] = [{"type": "text", "text": "t"}] * rng.randrange(3)
        fields["closed"] = rng.choice([..., True, False])
    return some(rng, **fields)


def deep(rng: random.Random) -> Any:
    """Objects and arrays in each other, deeper than is folded."""
    value: Any = rng.choice(["t", "", 1, None])
    for _ in range(rng.randrange(1, 14)):
        value = rng.choice(
            [{"d": value}, {"id": value}, [value], [{"index": 0, "d": value}], {"type": "text", "d": value}]
        )
    return value


def delta(rng: random.Random) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "role": rng.choice([..., ..., "assistant", "", None, "tool"]),
        "content": rng.choice([..., None, "t", "t", "", [item(rng)], [item(rng), item(rng)], [], 5]),
        "refusal": rng.choice([..., ..., None, "no", ""]),
        "reasoning_content": rng.choice([..., ..., None, "t"]),
        "reasoning": rng.choice([..., ..., None, "t"]),
        "reasoning_details": rng.choice([..., ..., [item(rng)], [item(rng), item(rng)], [], None]),
        "tool_calls": rng.choice([..., ..., ..., [call(rng)], [call(rng)], [call(rng), call(rng)], [], None, [5], {}]),
        "function_call": rng.choice([..., ..., ..., None, {"name": "f"}, {"arguments": "a"}, {}]),
        "audio": rng.choice([..., ..., ..., {"id": "au", "data": "AA"}, {"transcript": "t"}, {"expires_at": 5}]),
        "annotations": rng.choice([..., ..., ..., [item(rng)], {"A": [{"id": 1}]}]),
        "executed_tools": rng.choice(
            [..., ..., ..., [{"index": 0, "arguments": "a"}], [{"index": 0.0, "output": "o"}, 5]]
        ),
        "channel": rng.choice([..., ..., "analysis", "final"]),
        "x": rng.choice([..., ..., ..., rng.choice(ANY), deep(rng)]),
        "x_id": rng.choice([..., ..., ..., rng.choice(ANY)]),
    }
    few = rng.sample(list(fields), k=rng.randrange(1, 5)) if rng.randrange(3) else list(fields)
    return some(rng, **{name: fields[name] for name in few})


def choice(rng: random.Random) -> Any:
    if not rng.randrange(25):
        return rng.choice(ANY)
    tokens = [{"token": "t", "logprob": -0.5, "bytes": [116], "top_logprobs": []}] * rng.randrange(3)
    fields: dict[str, Any] = {
        "index": rng.choice([..., 0, 0, 0, 0, 0, 1, 2, 99, None, "0", -1, 1.0]),
        "delta": rng.choice([*[delta(rng)] * 9, ..., None, rng.choice(ANY)]),
        "finish_reason": rng.choice([..., None, None, None, None, "stop", "", "tool_calls", 5]),
        "logprobs": rng.choice(
            [..., ..., None, {"content": tokens, "refusal": None}, {"refusal": tokens}, -0.5, {"x": 1}]
        ),
        "message": rng.choice(
            [..., ..., ..., {"role": "assistant", "content": "whole"}, {"tool_calls": [call(rng)]}, None]
        ),
        "text": rng.choice([..., ..., ..., "t", None, ["t"]]),
        "usage": rng.choice([..., ..., ..., {"prompt_tokens": 1}]),
        "token_ids": rng.choice([..., ..., ..., [1, 2], [], None]),
        "content_filter_results": rng.choice([..., ..., {}, {"hate": {"filtered": False}}, {"sexual": None}]),
    }
    few = rng.sample(list(fields), k=rng.randrange(1, 4)) if rng.randrange(3) else []
    return some(rng, **{name: fields[name] for name in dict.fromkeys(["index", "delta", "finish_reason", *few])})


def chunk(rng: random.Random, id: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": id,
        "object": rng.choice(["chat.completion.chunk", "", ..., "chunk"]),
        "created": rng.choice([7, 0, ..., "5"]),
        "model": rng.choice(["m", "m", "", ..., None, "n"]),
        "choices": rng.choice(
            [*[[choice(rng)]] * 9, [], [choice(rng), choice(rng)], [choice(rng) for _ in range(5)], None, 5]
        ),
        "usage": rng.choice([..., ..., None, {}, {"prompt_tokens": 1, "total_tokens": 2}, "none"]),
        "service_tier": rng.choice([..., ..., None, "default", "flex"]),
        "system_fingerprint": rng.choice([..., ..., None, "fp_1", "fp_2"]),
        "citations": rng.choice([..., ..., ..., ["a"], ["a", "b"], None]),
        "x_groq": rng.choice([..., ..., ..., {"id": "req"}, {"usage": {"prompt_tokens": 3}}, {"id": None}, 5]),
        "obfuscation": rng.choice([..., ..., "xyz"]),
        "p": rng.choice([..., ..., "abc"]),
        "error": rng.choice([*[...] * 20, None, {"message": "m"}]),
        "status": rng.choice([..., ..., ..., "s"]),
    }
    few = rng.sample(list(fields), k=rng.randrange(4)) if rng.randrange(3) else list(fields)
    return {"choices": fields["choices"]} | some(
        rng, **{name: fields[name] for name in dict.fromkeys(["id", "choices", *few])}
    )


def varied(rng: random.Random, value: Any) -> Any:
    """The same with other texts, where a text is none that names something."""
    if isinstance(value, dict):
        names = ("id", "type", "role", "name", "model", "object", "finish_reason")
        return {name: one if name in names else varied(rng, one) for name, one in value.items()}
    if isinstance(value, list):
        return [varied(rng, one) for one in value]
    return text(rng) if isinstance(value, str) and value else value


def stream(rng: random.Random, number: int) -> Iterator[bytes]:
    """One stream, perhaps under several ids, perhaps without an end."""
    id: Any = rng.choice([f"id-{number}", f"id-{number}", f"id-{number}", "", None, "shared"])
    for _ in range(rng.randrange(1, 6)):
        if not rng.randrange(10):
            id = f"id-{number}-{rng.randrange(9)}"
        one = chunk(rng, id)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            yield event(json.dumps(varied(rng, one), ensure_ascii=rng.random() < 0.3).encode("utf-8", "surrogatepass"))
        if not rng.randrange(30):
            yield rng.choice(
                [b"data: {oops\n\n", event({"error": {"message": "m"}}), event({"no": 1}), b": comment\n\n"]
            )
    if rng.randrange(4):
        end = chunk(rng, id)
        end["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        yield event(end)
    if rng.randrange(3):
        yield DONE
        if not rng.randrange(5):
            yield event({"id": id, "choices": [], "usage": {"prompt_tokens": 9}, "service_tier": "late"})


def log(seed: int) -> bytes:
    """A log of some streams, one after the other or side by side."""
    rng = random.Random(seed)
    streams = [list(stream(rng, number)) for number in range(rng.randrange(1, 7))]
    return b"".join(interleaved(rng, streams, rng.choice([1, 1, 2, 3])))
