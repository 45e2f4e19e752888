"""What usage counts: a test for each rule of the columns, for cells of a wrong type, and for the public table."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

import chunkwire
from logs import SERVERS, joined, stream
from oracle import oracle
from rows import DONE, brief, check, check_with, comparable, first, last, part, report, rows_of
from support import SAMPLES, assert_counts, event

USAGE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "none": (first() + last() + DONE, {"reported": False, "prompt_tokens": 0, "valid": 0}),
    "null": (first(usage=None) + last(usage=None), {"reported": False}),
    "empty": (first(usage={}) + last(), {"reported": False}),
    "the last counts": (first(usage=report(1)) + part(usage=report(2)) + last(usage=report(3)), {"prompt_tokens": 3}),
    "never the sum": (first(usage=report(5)) + last(usage=report(5)), {"prompt_tokens": 5, "total_tokens": 6}),
    "null behind it": (first() + last(usage=report(4)) + part(choices=[], usage=None), {"prompt_tokens": 4}),
    "empty behind it": (first() + last(usage=report(4)) + part(choices=[], usage={}), {"prompt_tokens": 4}),
    "zeros behind it count": (first(usage=report(4)) + last(usage=report(0)), {"prompt_tokens": 0, "reported": True}),
    "the last one is taken whole": (
        first(usage=report(4, prompt_tokens_details={"cached_tokens": 3})) + last(usage={"total_tokens": 9}),
        {"total_tokens": 9, "prompt_tokens": 0, "cached_tokens": 0, "valid": 0b100},
    ),
    "without choices": (first() + last() + part(choices=[], usage=report(8)) + DONE, {"prompt_tokens": 8}),
    "behind [DONE]": (first() + last() + DONE + part(choices=[], usage=report(8)), {"prompt_tokens": 8}),
    "in x_groq": (first() + last(x_groq={"usage": report(6)}), {"prompt_tokens": 6}),
    "in x_groq and beside it": (last(usage=report(7), x_groq={"usage": report(6)}), {"prompt_tokens": 7}),
    "in x_groq, null beside it": (last(usage=None, x_groq={"usage": report(6)}), {"prompt_tokens": 6}),
    "x_groq of another type": (last(x_groq=[1]) + part(x_groq={"usage": 5}), {"reported": False}),
    "in a choice": (part(choices=[{"index": 0, "delta": {}, "usage": report(5)}]), {"prompt_tokens": 5}),
    "in two choices": (
        part(choices=[{"index": 0, "usage": report(5)}, {"index": 1, "usage": report(6)}]),
        {"prompt_tokens": 6},
    ),
    "in the first of two choices": (
        part(choices=[{"index": 0, "usage": report(5)}, {"index": 1, "usage": None}]),
        {"prompt_tokens": 5},
    ),
    "OpenAI's details": (
        last(
            usage=report(
                9,
                prompt_tokens_details={"cached_tokens": 1, "cache_write_tokens": 2, "audio_tokens": 3},
                completion_tokens_details={
                    "reasoning_tokens": 4,
                    "audio_tokens": 5,
                    "accepted_prediction_tokens": 6,
                    "rejected_prediction_tokens": 7,
                },
            )
        ),
        {"cached_tokens": 1, "cache_write_tokens": 2, "audio_prompt_tokens": 3, "reasoning_tokens": 4, "valid": 1023}
        | {"audio_completion_tokens": 5, "accepted_prediction_tokens": 6, "rejected_prediction_tokens": 7},
    ),
    "DeepSeek's cache": (last(usage=report(9, prompt_cache_hit_tokens=4)), {"cached_tokens": 4}),
    "DeepSeek's cache beside OpenAI's": (
        last(usage=report(9, prompt_cache_hit_tokens=4, prompt_tokens_details={"cached_tokens": 0})),
        {"cached_tokens": 0},
    ),
    "DeepSeek's cache beside OpenAI's null": (
        last(usage=report(9, prompt_cache_hit_tokens=4, prompt_tokens_details={"cached_tokens": None})),
        {"cached_tokens": 4},
    ),
    "details that are null": (last(usage=report(9, prompt_tokens_details=None)), {"cached_tokens": 0, "valid": 0b111}),
    "a cell that is null": (last(usage=report(9, completion_tokens=None)), {"completion_tokens": 0, "valid": 0b101}),
    "a float without a fraction": (
        last(usage=report(9, completion_tokens=3.0)),
        {"completion_tokens": 3, "valid": 0b111},
    ),
    "the largest numbers": (
        last(usage={"prompt_tokens": 2**63 - 1, "completion_tokens": -(2**63), "total_tokens": 2**53}),
        {"prompt_tokens": 2**63 - 1, "completion_tokens": -(2**63), "valid": 0b111},
    ),
    "a cost": (last(usage=report(9, cost=0.25)), {"cost": 0.25}),
    "a cost of nothing": (last(usage=report(9, cost=0)), {"cost": 0.0}),
    "a cost in an object": (last(usage=report(9, cost={"input": 1, "total_cost": 0.5})), {"cost": 0.5}),
    "a cost in dollars": (last(usage=report(9, cost={"hypercredits": 3, "usd": 0.125})), {"cost": 0.125}),
    "a total before dollars": (last(usage=report(9, cost={"usd": 1, "total_cost": 2})), {"cost": 2.0}),
    "a cost beside usage": (last(usage=report(9), cost={"usd": 0.5, "diem": 1}), {"cost": 0.5}),
    "a cost in a string": (last(usage=report(9)) + part(choices=[], cost="0.0625"), {"cost": 0.0625}),
    "a cost in a string inside usage is none": (last(usage=report(9, cost="9"), cost="0.5"), {"cost": 0.5}),
    "a cost that is true is none": (last(usage=report(9, cost=True), cost=2), {"cost": 2.0}),
    "a cost in a string of zero": (part(choices=[], cost="0"), {"cost": 0.0, "reported": False}),
    "a cost in both": (last(usage=report(9, cost=0.5), cost=3), {"cost": 0.5}),
    "the last cost": (first(cost=1) + part(cost=2) + last(cost=None), {"cost": 2.0}),
    "the cost of the last usage": (first(usage=report(1, cost=1)) + last(usage=report(2, cost=2)), {"cost": 2.0}),
    "a cost in ticks": (last(usage=report(9, cost_in_usd_ticks=37_756_000)), {"cost": 0.0037756}),
    "a cost before ticks": (last(usage=report(9, cost=0.5, cost_in_usd_ticks=1)), {"cost": 0.5}),
    "ticks before a cost beside usage": (last(usage=report(9, cost_in_usd_ticks=10**10), cost=5), {"cost": 1.0}),
    "an estimate": (last(usage=report(9, estimated_cost=0.5)), {"cost": 0.5}),
    "an estimate behind a cost beside usage": (last(usage=report(9, estimated_cost=0.5), cost=3), {"cost": 3.0}),
    "Anthropic's cache": (
        last(usage=report(9, cache_read_input_tokens=4, cache_creation_input_tokens=5)),
        {"cached_tokens": 4, "cache_write_tokens": 5, "valid": 0b11111},
    ),
    "Anthropic's cache beside OpenAI's": (
        last(
            usage=report(
                9,
                cache_read_input_tokens=4,
                cache_creation_input_tokens=5,
                prompt_tokens_details={"cached_tokens": 1, "cache_write_tokens": 2},
            )
        ),
        {"cached_tokens": 1, "cache_write_tokens": 2},
    ),
    "Together's cache": (last(usage=report(9, cached_tokens=4)), {"cached_tokens": 4}),
    "Mistral's cache": (last(usage=report(9, num_cached_tokens=4)), {"cached_tokens": 4}),
    "reasoning beside the details": (last(usage=report(9, reasoning_tokens=4)), {"reasoning_tokens": 4}),
    "llama.cpp's times": (
        last(usage=report(9), timings={"prompt_ms": 125, "predicted_ms": 250.5}),
        {"time_to_first_token": 0.125, "generation_time": 0.2505},
    ),
    "Groq's times": (
        last(usage=report(9, queue_time=0.25, prompt_time=0.5, completion_time=2, total_time=2.5)),
        {"time_to_first_token": 0.75, "generation_time": 2.0},
    ),
    "Groq's times without a queue": (last(usage=report(9, prompt_time=0.5)), {"time_to_first_token": 0.5}),
    "Groq's times in x_groq": (
        last(x_groq={"usage": report(9, prompt_time=0.5, completion_time=2)}),
        {"time_to_first_token": 0.5, "generation_time": 2.0},
    ),
    "Cerebras's times": (
        last(usage=report(9), time_info={"queue_time": 0.25, "prompt_time": 0.5, "completion_time": 2}),
        {"time_to_first_token": 0.75, "generation_time": 2.0},
    ),
    "vLLM's times": (
        last(usage=report(9), metrics={"time_to_first_token_ms": 125, "generation_time_ms": 500}),
        {"time_to_first_token": 0.125, "generation_time": 0.5},
    ),
    "Hugging Face's times": (
        first(sla_metrics={"ttft_ms": 125}) + last(sla_metrics={"ttft_ms": 250}),
        {"time_to_first_token": 0.25, "reported": False},
    ),
    "mistral.rs's times": (
        last(usage=report(9, total_prompt_time_sec=0.125, total_completion_time_sec=0.5)),
        {"time_to_first_token": 0.125, "generation_time": 0.5},
    ),
    "GPUStack's times": (last(usage=report(9, time_to_first_token_ms=125)), {"time_to_first_token": 0.125}),
    "times of two chunks": (
        first(timings={"prompt_ms": 125}) + last(timings={"prompt_ms": None, "predicted_ms": 250}),
        {"time_to_first_token": 0.125, "generation_time": 0.25},
    ),
    "times in usage before those beside it": (
        last(usage=report(9, prompt_time=1), timings={"prompt_ms": 125, "predicted_ms": 250}),
        {"time_to_first_token": 1.0, "generation_time": 0.25},
    ),
    "times when the id changes": (
        first(timings={"prompt_ms": 125, "predicted_ms": 125}) + last("b", timings={"predicted_ms": 250}),
        {"time_to_first_token": 0.125, "generation_time": 0.25},
    ),
    "times and many alike": (
        b"".join(part(timings={"predicted_ms": number * 125}) for number in range(50)),
        {"generation_time": 6.125, "chunks": 50},
    ),
    "the whole usage object": (
        first(usage=report(1)) + last(usage=report(9, x={"y": [1, None]})),
        {"usage": report(9, x={"y": [1, None]})},
    ),
    "the first model": (first("", model="") + part(model="x") + last(model="y"), {"model": "x"}),
    "a model of another type": (first(model=5) + last(model=None), {"model": None}),
    "the first time": (first(created=0) + part(created=5) + last(created=6), {"created": 5}),
    "a time as float": (first(created=5.0) + last(created=6), {"created": 5}),
    "a time with a fraction": (first(created=5.5) + last(created="7"), {"created": 0}),
    "a time that is true": (first(created=True) + last(created=6), {"created": 6}),
    "the last finish reason": (first() + part(finish="length") + last() + part(), {"finish_reason": "stop"}),
    "the finish reason of the first choice": (
        part(choices=[{"index": 1, "finish_reason": "length"}])
        + part(choices=[{"index": 0, "finish_reason": "tool_calls"}])
        + part(choices=[{"index": 2, "finish_reason": "stop"}]),
        {"finish_reason": "tool_calls"},
    ),
    "no finish reason": (first() + part(), {"finish_reason": None}),
    "offset of the first event": (b": hi\n\nid: 1\n" + first() + last(), {"offset": 6}),
    "the id changes: names from the first, usage from the last": (
        first(model="x", created=3)
        + part("b", model="y", usage=report(1))
        + last("b", created=4, usage=report(2))
        + DONE,
        {"id": "a", "model": "x", "created": 3, "prompt_tokens": 2, "finish_reason": "stop", "status": "complete"},
    ),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(engine: str, name: str) -> None:
    data, expected = USAGE[name]
    (row,) = check(engine, data)
    assert {key: row[key] for key in expected} == expected


WRONG = {
    "string": ("12", "a JSON string"),
    "boolean": (True, "a JSON boolean"),
    "array": ([1], "a JSON array"),
    "object": ({"a": 1}, "a JSON object"),
    "fraction": (1.5, None),
    "too large": (2**63, None),
    "too small": (-(2**63) - 1, None),
    "too large a float": (1e19, None),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types(engine: str, name: str) -> None:
    """The cell is not reported, the others are; the damage says which cell, and where."""
    sent, found = WRONG[name]
    data = first() + last(usage=report(9, completion_tokens=sent)) + DONE
    (row,) = check(engine, data)
    assert (row["prompt_tokens"], row["completion_tokens"], row["valid"], row["reported"]) == (9, 0, 0b101, True)
    (damage,) = rows_of(engine, data)[1].damages
    assert (damage.kind, damage.offset, damage.line, damage.event) == ("wrong_type", len(first()), 3, 1)
    assert damage.reason.startswith("usage.completion_tokens is ")
    if found:
        assert damage.reason == f"usage.completion_tokens is {found}, expected an integer"


def test_wrong_types_in_details(engine: str) -> None:
    usage = report(9, prompt_tokens_details={"cached_tokens": "1"}, completion_tokens_details={"reasoning_tokens": {}})
    check(engine, first() + last(usage=usage))
    reasons = [one.reason for one in rows_of(engine, last(usage=usage))[1].damages]
    assert sorted(reason.split(" is ")[0] for reason in reasons) == [
        "usage.completion_tokens_details.reasoning_tokens",
        "usage.prompt_tokens_details.cached_tokens",
    ]


def test_only_the_last_usage_is_judged(engine: str) -> None:
    data = first(usage=report(9, completion_tokens="x")) + last(usage=report(9))
    check(engine, data)
    assert rows_of(engine, data)[1].damages == []


@pytest.mark.parametrize(("sent", "kind"), [("x", "string"), (5, "number"), (True, "boolean"), ([1], "array")])
def test_usage_that_is_no_object(engine: str, sent: Any, kind: str) -> None:
    data = first() + last(usage=sent, x_groq={"usage": report(3)})
    (row,) = check(engine, data)
    assert row["prompt_tokens"] == 3
    assert [one.reason for one in rows_of(engine, data)[1].damages] == [f"usage is a JSON {kind}"]


def test_the_limit_on_an_event_and_strict(engine: str) -> None:
    data = first() + part(content="x" * 500) + last(usage=report(1)) + DONE + first("b")[:-1]
    assert brief(check(engine, data, max_event_bytes=400)) == [("a", "malformed", 2), ("b", "truncated", 1)]
    assert brief(check(engine, data, strict=True)) == [("a", "complete", 3)]


# --- the public table


def test_the_table(engine: str) -> None:
    data = first() + last(usage=report(3, cost=0.5)) + DONE + first("b", model="n") + last("b")
    usage = chunkwire.usage(data, engine=engine)
    assert len(usage) == 2
    assert list(usage.id) == ["a", "b"]
    assert list(usage.model) == ["m", "n"]
    assert list(usage.status) == ["complete", "no_done"]
    assert usage.prompt_tokens.tolist() == [3, 0]
    assert str(usage.prompt_tokens.dtype) == "int64"
    assert usage.reported.tolist() == [True, False]
    assert str(usage.reported.dtype) == "bool"
    assert usage.cost[0] == 0.5
    assert math.isnan(usage.cost[1])
    assert_counts(usage.stats, oracle(data))


def test_usage_skips_by_default_and_raises_when_asked(engine: str) -> None:
    data = first() + event("{oops") + last(usage=report(3)) + DONE
    assert chunkwire.usage(data, engine=engine).prompt_tokens.tolist() == [3]
    with pytest.raises(chunkwire.DecodeError) as caught:
        chunkwire.usage(data, engine=engine, on_error="raise")
    assert (caught.value.kind, caught.value.offset) == ("invalid_json", len(first()))


def test_many_sources(engine: str) -> None:
    """Sources do not run into each other: a stream that one of them leaves open does not go on in the next."""
    usage = chunkwire.usage([SAMPLES / "openai.sse", SAMPLES / "day.sse"], engine=engine)
    alone = [chunkwire.usage(SAMPLES / name, engine=engine) for name in ("openai.sse", "day.sse")]
    for name in ("id", "prompt_tokens", "status", "chunks", "offset", "created"):
        assert list(getattr(usage, name)) == [value for one in alone for value in getattr(one, name)], name


def test_every_column_of_a_hundred_thousand_streams(engine: str) -> None:
    # Each row is what the oracle says of its stream alone, but for its place.
    rng = random.Random(5)
    streams = [joined(stream(rng, server, rng.choice([1, 1, 2]))) for server in sorted(SERVERS) for _ in range(30)]
    alone = [comparable(check_with(engine, data, result)) for data, result in streams]
    order = [rng.randrange(len(streams)) for _ in range(100_000)]
    data = b"".join(streams[number][0] for number in order)
    rows = iter(comparable(rows_of(engine, data)[0]))
    start = 0
    for number in order:
        for row in alone[number]:
            assert next(rows) == row | {"offset": start + row["offset"]}
        start += len(streams[number][0])
    assert next(rows, None) is None
