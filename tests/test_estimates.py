"""`usage(estimate=True)`: what streams carry, and what it stands for in tokens, against a slow reference."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
import logs
from chunkwire._estimate import estimate
from oracle import oracle
from oracle_estimates import estimates, measures
from support import SAMPLES, chunk_json, event, recorded

DONE = event("[DONE]")
ADDED = ["content_deltas", "text_bytes", "estimated_completion_tokens", "estimated_low", "estimated_high"]


def read(data: bytes | Path, engine: str = "simdjson", **options: Any) -> chunkwire.UsageTable:
    return chunkwire.usage(data, engine=engine, estimate=True, **options)


def stream(
    model: str | None, texts: list[str], tokens: int | None = None, *, id: str = "a", end: str = "stop"
) -> bytes:
    """A stream of deltas, with usage if it has tokens."""
    made = [event(chunk_json(id=id, model=model, choices=[{"index": 0, "delta": {"role": "assistant"}}]))]
    for text in texts:
        choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
        made.append(event(chunk_json(id=id, model=model, choices=choices)))
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": end or None}]}
    usage = {} if tokens is None else {"usage": {"prompt_tokens": 1, "completion_tokens": tokens}}
    made.append(event(chunk_json(id=id, model=model, **last, **usage)))
    return b"".join(made) + (DONE if end else b"")


# --- what a stream carries

DELTAS: dict[str, tuple[dict[str, Any], int, int]] = {
    "nothing": ({}, 0, 0),
    "content": ({"content": "hello"}, 1, 5),
    "no content": ({"content": ""}, 0, 0),
    "null": ({"content": None, "reasoning": None, "tool_calls": None}, 0, 0),
    "bytes, not characters": ({"content": "né 北京 😊"}, 1, 2 + 1 + 1 + 6 + 1 + 4),
    "a lone surrogate": ({"content": "\ud83d"}, 1, 3),
    "escapes": ({"content": '\n"\\\t'}, 1, 4),
    "reasoning": ({"reasoning": "abc"}, 1, 3),
    "reasoning_content": ({"reasoning_content": "abc"}, 1, 3),
    "reasoning_text": ({"reasoning_text": "abc"}, 1, 3),
    "the same under two names": ({"reasoning": "abc", "reasoning_content": "abc"}, 1, 3),
    "one name is empty": ({"reasoning_content": "", "reasoning": "abc", "reasoning_text": "abcd"}, 1, 3),
    "reasoning beside content": ({"reasoning": "abc", "content": "de"}, 1, 5),
    "the same twice in other words": ({"reasoning": "abc", "reasoning_details": [{"text": "abc"}]}, 1, 3),
    "a refusal": ({"refusal": "no"}, 1, 2),
    "a call": ({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}, 1, 3),
    "two calls": ({"tool_calls": [{"function": {"arguments": "ab"}}, {"function": {"arguments": "c"}}]}, 1, 3),
    "a call of old": ({"function_call": {"name": "f", "arguments": "ab"}}, 1, 3),
    "speech": ({"audio": {"id": "x", "data": "AAAA", "transcript": "hi"}}, 1, 2),
    "parts": ({"content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]}, 1, 3),
    "thinking": ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "ab"}]}]}, 1, 2),
    "thinking in one": ({"content": [{"type": "thinking", "thinking": "ab"}]}, 1, 2),
    "not texts": (
        {"content": 5, "reasoning": ["a"], "tool_calls": [5, {"function": 5}, {"function": {"arguments": {"a": 1}}}]},
        0,
        0,
    ),
    "not objects": ({"content": ["a", 5, None, {"thinking": ["a", 5]}], "audio": 5, "function_call": "f"}, 0, 0),
}


@pytest.mark.parametrize("name", DELTAS)
def test_what_is_text(engine: str, name: str) -> None:
    fields, deltas, size = DELTAS[name]
    doc = json.loads(chunk_json()) | {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}
    raw = json.dumps(doc, ensure_ascii=name == "a lone surrogate")
    # The first is parsed, the others match a shape, and one is written in another way.
    log = event(doc) * 5 + event(raw)
    table = read(log, engine)
    assert (table.content_deltas.tolist(), table.text_bytes.tolist()) == ([6 * deltas], [6 * size])
    assert measures(oracle(log)) == [(6 * deltas, 6 * size)]


def test_each_choice_has_a_delta_of_its_own(engine: str) -> None:
    choices = [{"index": 0, "delta": {"content": "ab"}}, {"index": 1, "delta": {"content": "c"}}, {"index": 2}, 5]
    choices += [{"index": 3, "delta": {"content": ""}}, {"index": 4, "delta": "x"}]
    table = read(event(chunk_json(choices=choices)) * 3, engine)
    assert (table.content_deltas.tolist(), table.text_bytes.tolist()) == ([6], [9])
    for odd in (None, 5, "x", {"delta": {"content": "a"}}):
        assert read(event(chunk_json(choices=odd)), engine).content_deltas.tolist() == [0]


def test_parts_of_a_stream_are_added_up(engine: str) -> None:
    def part(id: str, content: str) -> bytes:
        return event(chunk_json(id=id, choices=[{"index": 0, "delta": {"content": content}}]))

    table = read(part("a", "ab") + part("b", "cd") + part("b", "e"), engine)
    assert (table.id.tolist(), table.content_deltas.tolist(), table.text_bytes.tolist()) == (["a"], [3], [5])
    table = read(part("a", "ab") + part("b", "cd") + part("a", "e"), engine)
    assert (table.id.tolist(), table.text_bytes.tolist()) == (["a", "b"], [3, 2])


def files() -> list[Path]:
    return recorded() + sorted(SAMPLES.glob("*.sse"))


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_every_recorded_stream_carries_what_the_reference_says(engine: str, path: Path) -> None:
    table = read(path, engine)
    assert list(zip(table.content_deltas.tolist(), table.text_bytes.tolist(), strict=True)) == measures(
        oracle(path.read_bytes())
    )


def test_nothing_else_changes(engine: str) -> None:
    for path in sorted(SAMPLES.glob("*.sse")):
        plain, table = chunkwire.usage(path, engine=engine), read(path, engine)
        assert plain.to_dict() == {name: values for name, values in table.to_dict().items() if name not in ADDED}
        assert list(table.to_dict())[-5:] == ADDED
        assert plain.stats == table.stats
        assert plain != table


# --- by several threads


def test_threads_say_what_one_says(native: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    streams = [logs.written(rng, server, rng.randrange(1, 30)) for server in logs.SERVERS for _ in range(4)]
    rng.shuffle(streams)
    pieces = logs.interleaved(rng, streams, 3) + [part for some in streams for part in some]
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(pieces))
    monkeypatch.delenv("CHUNKWIRE_TEST_SPLIT_BYTES", raising=False)
    alone = read(path, native, threads=1)
    measured = list(zip(alone.content_deltas.tolist(), alone.text_bytes.tolist(), strict=True))
    assert measured == measures(oracle(path.read_bytes()))
    assert sum(size for _, size in measured) > 3000
    for size in (1, 300, 5000):
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(size))
        for threads in (2, 3, 8):
            assert read(path, native, threads=threads) == alone, (size, threads)


# --- what it stands for


def rows_of(table: chunkwire.UsageTable) -> list[tuple[float, float, float]]:
    names = ("estimated_completion_tokens", "estimated_low", "estimated_high")
    return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))


def test_the_better_measure_is_taken(engine: str) -> None:
    # A token a delta, of any length: deltas tell the tokens.
    by_delta = [stream("d", ["x" * length] * 10, 10, id=f"d{length}") for length in (1, 5, 50, 9, 2)]
    table = read(b"".join(by_delta) + stream("d", ["y" * 7] * 4, id="?"), engine)
    assert rows_of(table)[-1] == pytest.approx((4, 4, 4))
    # A token for each two bytes, however they are sent.
    by_bytes = [stream("b", ["xx" * length] * 3, 3 * length, id=f"b{length}") for length in (1, 5, 50, 9, 2)]
    table = read(b"".join(by_bytes) + stream("b", ["y" * 40], id="?"), engine)
    assert rows_of(table)[-1] == pytest.approx((20, 20, 20))
    for row in rows_of(table)[:-1]:
        assert all(map(math.isnan, row)), "what was reported is not estimated"
    assert table.completion_tokens.tolist()[-1] == 0, "nor are estimates among what was reported"
    assert table.reported.tolist()[-1] is False


def test_the_spread(engine: str) -> None:
    tokens = [8, 9, 10, 11, 12, 20]
    log = b"".join(stream("m", ["ab"] * 10, count, id=str(count)) for count in tokens)
    table = read(log + stream("m", ["ab"] * 100, id="?"), engine)
    ratios = [count / 10 for count in tokens]
    low, high = np.quantile(ratios, [0.1, 0.9])
    assert rows_of(table)[-1] == pytest.approx((100 * 70 / 60, 100 * low, 100 * high))
    few = read(
        b"".join(stream("m", ["ab"] * 10, 9, id=str(at)) for at in range(4)) + stream("m", ["ab"], id="?"), engine
    )
    assert rows_of(few)[-1] == pytest.approx((0.9, math.nan, math.nan), nan_ok=True)
    # The estimate by all together is never outside.
    skewed = [stream("m", ["ab"] * 10, 10, id=str(at)) for at in range(10)] + [
        stream("m", ["ab"] * 1000, 9000, id="long")
    ]
    estimate, low, high = rows_of(read(b"".join(skewed) + stream("m", ["ab"] * 10, id="?"), engine))[-1]
    assert low <= estimate <= high


def test_nothing_to_estimate_from(engine: str) -> None:
    known = stream("m", ["ab"] * 3, 3, id="k")
    silent = {
        "another model": stream("n", ["ab"], id="?"),
        "no model": stream(None, ["ab"], id="?"),
        "no text": stream("m", [], id="?"),
    }
    for name, log in silent.items():
        table = read(known + log, engine)
        assert len(table) == 2, name
        assert math.isnan(table.estimated_completion_tokens[1]), name
    useless = {
        "broken off": stream("m", ["ab"], 3, id="k", end=""),
        "no tokens": stream("m", ["ab"], 0, id="k"),
        "no text": stream("m", [], 3, id="k"),
        "absurd": stream("m", ["ab"], 2**62, id="k"),
    }
    for name, log in useless.items():
        table = read(log + stream("m", ["ab"], id="?"), engine)
        assert math.isnan(table.estimated_completion_tokens[1]), name
    assert rows_of(read(b"", engine)) == []


def test_tables_and_their_parts(engine: str, tmp_path: Path) -> None:
    (tmp_path / "a.sse").write_bytes(stream("m", ["ab"] * 4, 2, id="a"))
    (tmp_path / "b.sse").write_bytes(stream("m", ["ab"] * 4, id="b"))
    table = chunkwire.usage(tmp_path, estimate=True, engine=engine)
    assert table.estimated_completion_tokens.tolist() == pytest.approx([math.nan, 2], nan_ok=True)
    assert table[1]["estimated_completion_tokens"] == 2, "calibrated on the other source"
    assert table[0]["estimated_completion_tokens"] is None
    assert table[1:].estimated_completion_tokens.tolist() == [2]
    assert table.valid("estimated_completion_tokens").tolist() == [False, True]
    assert table.valid("text_bytes").all()
    assert {"text_bytes", "estimated_low"} <= set(dir(table))
    (_, first), (_, second) = table.by_source()
    assert (second.estimated_completion_tokens.tolist(), len(first)) == ([2], 1)
    assert table == chunkwire.usage(tmp_path, estimate=True, engine=engine)
    for name in ADDED:
        column = getattr(table, name)
        assert column.dtype == (np.int64 if name in ADDED[:2] else np.float64)
        assert not column.flags.writeable
        with pytest.raises(AttributeError, match=r"usage\(\.\.\., estimate=True\)"):
            getattr(chunkwire.usage(tmp_path, engine=engine), name)


def test_summaries_keep_estimates_apart(engine: str) -> None:
    log = b"".join(stream("m", ["ab"] * 10, count, id=str(count)) for count in (8, 9, 10, 11, 12))
    log += stream("m", ["ab"] * 10, id="x") + stream("m", ["ab"] * 10, id="y") + stream("n", ["ab"], id="z")
    summary = read(log, engine).summary()
    first, second = summary
    assert first["completion_tokens"] == 50, "of those that reported"
    assert (first["estimated"], first["estimated_completion_tokens"]) == (2, 20)
    assert (first["estimated_low"], first["estimated_high"]) == (17, 23)
    assert [second[name] for name in list(second)[-4:]] == [0, None, None, None]
    assert summary.note == (
        "5 of 8 streams reported usage\n2 of the other 3 estimated (about 20 completion tokens, 17 to 23)"
    )
    assert "est. streams  estimate  low  high\n" in str(summary)
    assert "estimated" not in chunkwire.usage(log, engine=engine).summary().columns
    assert read(stream("m", ["a"], 1), engine).summary().note.endswith("\nnothing to estimate")
    assert read(stream("m", ["a"]), engine).summary().note.endswith("nothing to calibrate it on")
    assert read(b"", engine).summary().total["estimated_low"] is None
    few = b"".join(stream("m", ["ab"] * 10, 9, id=str(at)) for at in range(4)) + stream("m", ["ab"] * 10, id="?")
    assert read(few, engine).summary().total["estimated_low"] is None, "no spread of so few"
    assert read(few, engine).summary().total["estimated_completion_tokens"] == 9


# --- every row


def assert_rows(table: chunkwire.UsageTable) -> int:
    expected = estimates(table.to_dicts())
    assert rows_of(table) == [pytest.approx(row, rel=1e-9, nan_ok=True) for row in expected]
    return sum(not math.isnan(row[0]) for row in expected)


def test_every_recorded_stream(engine: str) -> None:
    found = assert_rows(chunkwire.usage([str(path) for path in files()], engine=engine, estimate=True))
    assert found >= (10 if recorded() else 3)


def test_twenty_thousand_streams(engine: str) -> None:
    rng = random.Random(11)
    parts, expected = [], []
    for number in range(20_000):
        deltas, length, model = rng.randrange(4), rng.randrange(1, 30), f"m{rng.randrange(40)}"
        usage = "null"
        if rng.random() < 0.7:
            usage = json.dumps({"completion_tokens": rng.randrange(1, 20) if model < "m2" else deltas * 2})
        for at in range(deltas):
            parts.append(
                f'data: {{"id":"{number}","model":"{model}","choices":[{{"index":0,"delta":'
                f'{{"{"role" if at else "content"}":"{"x" * length}","content":"{"é" * length}"}}}}]}}\n\n'
            )
        parts.append(
            f'data: {{"id":"{number}","model":"{model}","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],'
            f'"usage":{usage}}}\n\ndata: [DONE]\n\n'
        )
        expected.append((deltas, deltas * length * 2))
    table = read("".join(parts).encode(), engine)
    assert list(zip(table.content_deltas.tolist(), table.text_bytes.tolist(), strict=True)) == expected
    assert assert_rows(table) > 4_000


def test_more_tokens_than_64_bits_hold() -> None:
    """10^15 - 1 is the most that a stream is believed; the sum of 9,224 of those has more than 63 bits."""
    known = np.r_[np.ones(9400, bool), False]
    tokens, deltas = np.where(known, 10**15 - 1, 0), np.ones(len(known), int)
    result = estimate(np.zeros(len(known), int), ~known, known, tokens, deltas, np.full(len(known), 5))
    assert [column[-1] for column in result] == pytest.approx([10**15 - 1] * 3)
