"""`usage.cost(...)`: known prices for known counts, names of models, and every row against a slow reference."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import random
import sys
import weakref
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import genai_prices
import numpy as np
import pytest

import chunkwire
from chunkwire._prices import _genai
from oracle import oracle
from oracle_prices import counts_of, price_by_genai, price_in_file
from oracle_streams import oracle_rows
from support import SAMPLES, chunk_json, event, recorded

FILE = Path(__file__).parent / "prices.json"
ENTRIES: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
DONE = event("[DONE]")
M = 1_000_000
#: 2026-11-20 12:00 UTC
NOON = 1_795_176_000


def stream(model: Any, usage: Any, *, id: str = "a", created: int = NOON) -> bytes:
    choices = [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]
    return event(chunk_json(id=id, model=model, created=created, choices=choices, usage=usage)) + DONE


def tokens(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | more


def cached(count: int, **more: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": count} | more}


def reasoning(count: int, **more: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": count} | more}


def cost(model: Any, usage: Any, engine: str = "simdjson", prices: Any = FILE, **options: Any) -> Any:
    """The costs of a log of one stream."""
    return chunkwire.usage(stream(model, usage), engine=engine).cost(prices, **options)


def reason(model: Any, usage: Any = None, **options: Any) -> str:
    """Why it has no price."""
    found = cost(model, tokens(10, 10) if usage is None else usage, **options)
    assert np.isnan(found).tolist() == [True]
    assert found.priced == 0
    (one,) = found.unpriced
    assert (one.model, one.streams) == (model, 1)
    assert one.reason in found.note or one.reason == "no usage reported"
    return str(one.reason)


# --- what is billed, by a price file

CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "prompt and completion": ("plain-1", tokens(1000, 100), 1000 * 2e-6 + 100 * 8e-6),
    "nothing": ("plain-1", tokens(0, 0), 0.0),
    "free of charge": ("gratis", tokens(1000, 100), 0.0),
    "cached tokens lie inside": ("full-1", tokens(1000, 0, **cached(400)), 600 * 2e-6 + 400 * 5e-7),
    "DeepSeek's name": ("full-1", tokens(1000, 0, prompt_cache_hit_tokens=400), 600 * 2e-6 + 400 * 5e-7),
    "cached, no price for it": ("plain-1", tokens(1000, 0, **cached(400)), 1000 * 2e-6),
    "cache writes lie inside": (
        "full-1",
        tokens(1000, 0, **cached(400, cache_write_tokens=100)),
        500 * 2e-6 + 400 * 5e-7 + 100 * 2.5e-6,
    ),
    "Anthropic's names, inside by the total": (
        "full-1",
        tokens(1000, 0, cache_read_input_tokens=400, cache_creation_input_tokens=100),
        500 * 2e-6 + 400 * 5e-7 + 100 * 2.5e-6,
    ),
    "Anthropic's names, beside by the total": (
        "full-1",
        tokens(1000, 10, cache_read_input_tokens=400, cache_creation_input_tokens=100) | {"total_tokens": 1510},
        1000 * 2e-6 + 400 * 5e-7 + 100 * 2.5e-6 + 10 * 8e-6,
    ),
    "Anthropic's names, beside as there is no room inside": (
        "full-1",
        tokens(10, 10, cache_read_input_tokens=4000),
        10 * 2e-6 + 4000 * 5e-7 + 10 * 8e-6,
    ),
    "beside by the total, OpenAI's names": (
        "full-1",
        tokens(10, 10, **cached(4000)) | {"total_tokens": 4020},
        10 * 2e-6 + 4000 * 5e-7 + 10 * 8e-6,
    ),
    "reasoning lies inside": ("full-1", tokens(0, 100, **reasoning(60)), 40 * 8e-6 + 60 * 1.6e-5),
    "reasoning beside by the total": (
        "full-1",
        tokens(10, 100, **reasoning(60)) | {"total_tokens": 170},
        10 * 2e-6 + 100 * 8e-6 + 60 * 1.6e-5,
    ),
    "reasoning and cached beside": (
        "full-1",
        tokens(10, 100, **reasoning(60), **cached(5)) | {"total_tokens": 175},
        10 * 2e-6 + 5 * 5e-7 + 100 * 8e-6 + 60 * 1.6e-5,
    ),
    "more reasoning than completion": ("full-1", tokens(0, 100, **reasoning(107)), 100 * 1.6e-5),
    "reasoning, no price for it": ("plain-1", tokens(0, 100, **reasoning(60)), 100 * 8e-6),
    "audio": (
        "full-1",
        tokens(100, 50, **cached(0, audio_tokens=70), **reasoning(0, audio_tokens=40)),
        30 * 2e-6 + 70 * 4e-5 + 10 * 8e-6 + 40 * 8e-5,
    ),
    "audio, no price for it": ("plain-1", tokens(100, 0, **cached(0, audio_tokens=70)), 100 * 2e-6),
    "audio that was cached": ("full-1", tokens(100, 0, **cached(60, audio_tokens=70)), 60 * 5e-7 + 40 * 4e-5),
    "predictions lie inside": (
        "plain-1",
        tokens(0, 47, **reasoning(0, accepted_prediction_tokens=24, rejected_prediction_tokens=7)),
        47 * 8e-6,
    ),
    "no total": ("plain-1", {"prompt_tokens": 5, "completion_tokens": 1}, 5 * 2e-6 + 8e-6),
    "at the end of a tier": ("tiered-1", tokens(200_000, 1000), 200_000 * 1.25e-6 + 1000 * 1e-5),
    "behind the end of a tier": ("tiered-1", tokens(200_001, 1000), 200_001 * 2.5e-6 + 1000 * 1.5e-5),
    "cached tokens count for the tier": (
        "tiered-1",
        tokens(200_001, 0, **cached(200_000)),
        2.5e-6 + 200_000 * 6e-7,
    ),
    "reasoning in a large request": ("tiered-1", tokens(300_000, 10, **reasoning(10)), 300_000 * 2.5e-6 + 10 * 1.5e-5),
    "a third tier has what it does not say of the second": (
        "tiered-1",
        tokens(500_001, 1000, **cached(1)),
        500_000 * 5e-6 + 6e-7 + 1000 * 1.5e-5,
    ),
    "xAI's tier begins with its number": ("xai/tiered-2", tokens(128, 0), 128 * 6e-6),
    "below it": ("xai/tiered-2", tokens(127, 0), 127 * 3e-6),
    "the first of listed tiers": (
        "dashscope/listed-1",
        tokens(32_000, 100, **reasoning(40)),
        32_000 * 1.2e-6 + 60 * 6e-6 + 40 * 7e-6,
    ),
    "the second": ("dashscope/listed-1", tokens(32_001, 100), 32_001 * 2.4e-6 + 100 * 1.2e-5),
    "the last, and beyond; its output costs what the model's does": (
        "dashscope/listed-1",
        tokens(300_000, 100, **cached(1000)),
        299_000 * 3e-6 + 1000 * 6e-7 + 100 * 9e-6,
    ),
    "a price for the request": ("perplexity/asks-1", tokens(8, 5), 0.005 + 13e-6),
}


@pytest.mark.parametrize("name", CASES)
def test_known_counts_cost_known_dollars(engine: str, name: str) -> None:
    model, usage, dollars = CASES[name]
    found = cost(model, usage, engine)
    assert found.tolist() == pytest.approx([dollars], rel=1e-12, abs=1e-18)
    assert (found.priced, found.unpriced, found.matched) == (1, [], {model: model})
    counts = counts_of(usage, model)
    assert counts is not None
    assert float(price_in_file(ENTRIES[model], counts) or 0) == pytest.approx(dollars, rel=1e-12, abs=1e-18)


def test_tiers_are_those_of_each_request() -> None:
    log = b"".join(stream("tiered-1", tokens(150_000, 0), id=str(number)) for number in range(10))
    assert chunkwire.usage(log).cost(FILE).total == pytest.approx(10 * 150_000 * 1.25e-6)


def test_gemini_counts_thoughts_in_the_total_only() -> None:
    usage = tokens(20, 198) | {"total_tokens": 623}
    prices = {"gemini-x": ENTRIES["full-1"], "other": ENTRIES["full-1"]}
    assert cost("gemini-x", usage, prices=prices).tolist() == pytest.approx([20 * 2e-6 + 198 * 8e-6 + 405 * 1.6e-5])
    assert reason("other", usage, prices=prices) == "the counts contradict each other"


@pytest.mark.parametrize(
    "usage",
    [
        tokens(7, 8, **cached(161)),
        tokens(7, 8) | {"total_tokens": 14},
        tokens(7, 8) | {"total_tokens": 16},
        tokens(-7, 8),
        tokens(7, 2**62),
        tokens(7, 8, **cached(-1)),
    ],
)
def test_counts_that_cannot_be_true_have_no_price(usage: dict[str, Any]) -> None:
    assert reason("plain-1", usage) == "the counts contradict each other"
    assert reason("gpt-4o", usage, prices=None) == "the counts contradict each other"


def test_what_has_no_price_is_told() -> None:
    assert "does not know this model" in reason("nobody's")
    assert reason("plain-1", {"total_tokens": 5}) == "no prompt_tokens or no completion_tokens reported"
    assert reason("plain-1", {"prompt_tokens": "x", "completion_tokens": 5}).startswith("no prompt_tokens")
    assert "no price for its completion tokens" in reason("no-output")
    assert cost("no-output", tokens(10, 0)).tolist() == [10 * 1e-6]
    assert "no price for its prompt tokens" in reason("images-only")
    assert "off_peak_pricing" in reason("night-owl")
    assert "input_cost_per_token is 'cheap', expected a number of dollars" in reason("broken")
    silent = chunkwire.usage(stream("plain-1", None) + stream(None, tokens(1, 1)) + stream("plain-1", tokens(1, 1)))
    costs = silent.cost(FILE)
    assert np.isnan(costs).tolist() == [True, True, False]
    assert {one[:3] for one in costs.unpriced} == {
        ("plain-1", "openai", "no usage reported"),
        (None, None, "the server sent no model"),
    }
    assert costs.note.splitlines() == [
        f"1 of 3 streams priced by {FILE}; not priced:",
        "  1 stream without usage",
        "  no model (1 stream): the server sent no model",
    ]


def test_a_note_tells_of_the_models_with_most_streams() -> None:
    log = b"".join(stream(f"x{number}", tokens(1, 1), id=str(at)) for number in range(5) for at in range(number + 1))
    lines = chunkwire.usage(log).cost(FILE).note.splitlines()
    assert [line.split(":")[0] for line in lines[1:4]] == ["  x4 (5 streams)", "  x3 (4 streams)", "  x2 (3 streams)"]
    assert lines[4:] == ["  3 streams of other models"]
    assert "\\x1b[31m" in cost("\x1b[31m", tokens(1, 1)).note, "what a terminal would obey"


# --- names of models in a price file


def matched(model: str, **options: Any) -> str:
    return str(cost(model, tokens(10, 10), **options).matched[model])


def test_names() -> None:
    assert matched("openai/plain-1") == "plain-1"
    assert matched("models/plain-1") == "plain-1"
    assert matched("ft:plain-1:org::id") == "ft:plain-1"
    assert matched("accounts/fireworks/models/kite") == "fireworks_ai/accounts/fireworks/models/kite"
    assert matched("casing/one") == "Casing/One"
    assert matched("PLAIN-1") == "plain-1"
    for wrong in ("other/plain-1", "plain-1:free", "plain-12", "plain", "xplain-1", "openai/openai/plain-1", "kite-1"):
        assert "does not know" in reason(wrong), wrong


def test_snapshots() -> None:
    assert matched("dated-1-2024-05-13") == "dated-1-2024-05-13"
    assert matched("dated-1") == "dated-1"
    assert "other snapshots of it, whose prices differ" in reason("dated-1-2024-08-06")
    assert matched("steady-1") == "steady-1-20250219"
    assert matched("steady-1-20250514") == "steady-1-20250219"
    assert matched("steady-1@20250514") == "steady-1-20250219"
    assert matched("anthropic/steady-1") == "steady-1-20250219"
    assert matched("plain-1-2025-01-01") == "plain-1"
    for wrong in ("plain-1-0613", "plain-1-2025-13-01", "plain-1-2025-01-01x", "plain-1-mini-2025-01-01"):
        assert "does not know" in reason(wrong), wrong


def test_a_model_that_several_sell_needs_a_provider() -> None:
    told = "its provider has to be named: groq/openai/free-weights, together/openai/free-weights"
    assert reason("openai/free-weights") == told
    assert reason("free-weights") == told
    assert matched("openai/free-weights", provider="groq") == "groq/openai/free-weights"
    assert cost("openai/free-weights", tokens(M, 0), provider="together").total == pytest.approx(0.2)
    assert "does not know" in reason("plain-1", provider="groq")
    assert matched("plain-1", provider="openai") == matched("openai/plain-1", provider="openai") == "plain-1"
    with pytest.raises(ValueError, match=r"prices\.json knows no provider 'grok'; did you mean 'groq'"):
        cost("x", tokens(1, 1), provider="grok")
    with pytest.raises(ValueError, match="it knows anthropic, "):
        cost("x", tokens(1, 1), provider="!")


def test_aliases() -> None:
    aliases = {"house": "groq/openai/free-weights", "mine": "plain-1-2025-01-01", "lost": "nowhere"}
    assert matched("house", aliases=aliases) == "groq/openai/free-weights"
    assert matched("house", aliases=aliases, provider="openai") == "groq/openai/free-weights"
    assert matched("mine", aliases=aliases) == "plain-1"
    assert "does not know" in reason("lost", aliases=aliases)


def test_a_price_file_is_a_price_file(tmp_path: Path) -> None:
    for text, told in [
        ("{", "is no price file: Expecting"),
        ("[]", "expected a JSON object with an entry for each model"),
        ('{"a": {"b": 1}}', "expected a JSON object"),
        ("{}", "expected a JSON object"),
    ]:
        path = tmp_path / "prices.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=told):
            cost("x", tokens(1, 1), prices=path)
    with pytest.raises(FileNotFoundError):
        cost("x", tokens(1, 1), prices=tmp_path / "none.json")
    with pytest.raises(TypeError, match="prices must be a path, a mapping or None, not int"):
        cost("x", tokens(1, 1), prices=5)
    assert cost("plain-1", tokens(M, 0), prices=str(FILE)).total == cost("plain-1", tokens(M, 0), prices=ENTRIES).total
    for price in (-1, True, [], math.inf, "nan"):
        assert "expected a number" in reason("x", prices={"x": {"input_cost_per_token": price}, **ENTRIES})
    for tiers in (5, [5], [{"range": [1]}], [{"range": "12"}], [{}]):
        assert "tiered_pricing" in reason("x", prices={"x": {"tiered_pricing": tiers}})


# --- genai-prices


def test_genai_prices(engine: str) -> None:
    found = cost("gpt-4o-2024-08-06", tokens(M, M, **cached(400_000)), engine, None)
    assert found.tolist() == pytest.approx([0.6 * 2.5 + 0.4 * 1.25 + 10])
    assert found.matched == {"gpt-4o-2024-08-06": "openai/gpt-4o"}
    assert found.source == f"genai-prices {genai_prices.__version__}"
    assert cost("claude-sonnet-4-5", tokens(1000, 100), engine, "genai-prices").total == pytest.approx(0.0045)
    # Twice the price for a prompt of more than 200,000 tokens.
    small, large = (cost("claude-sonnet-4-5", tokens(size, 0), engine, None).total for size in (200_000, 200_001))
    assert (small, large) == pytest.approx((0.6, 200_001 * 6e-6))
    assert cost("openai/gpt-4o", tokens(M, 0), engine, None).matched == {"openai/gpt-4o": "openai/gpt-4o"}


def test_what_genai_prices_does_not_say() -> None:
    assert reason("nobody's", prices=None) == "genai-prices does not know this model"
    assert reason("openai/gpt-oss-120b", prices=None).startswith("its provider has to be named: ")
    assert (
        "groq" in cost("openai/gpt-oss-120b", tokens(1, 1), prices=None, provider="groq").matched["openai/gpt-oss-120b"]
    )
    found = cost("mine", tokens(M, 0), prices=None, aliases={"mine": "groq/openai/gpt-oss-120b"})
    assert found.matched["mine"] == "groq/openai/gpt-oss-120b"
    assert cost("mine", tokens(M, 0), prices=None, aliases={"mine": "gpt-4o"}).matched["mine"] == "openai/gpt-4o"
    with pytest.raises(ValueError, match="knows no provider 'opnai'; did you mean 'openai'"):
        cost("gpt-4o", tokens(1, 1), prices=None, provider="opnai")
    assert reason("whisper-1", prices=None) == "it has no price by token"


def test_prices_that_depend_on_the_time() -> None:
    def at(created: int) -> Any:
        table = chunkwire.usage(stream("deepseek-chat", tokens(M, 0), created=created))
        return table.cost()

    day = 1_754_006_400  # 2025-08-01
    by_hour = [at(day + hour * 3600).total for hour in range(24)]
    assert len(set(by_hour)) == 2, "half the price at night"
    for hour, dollars in enumerate(by_hour):
        counts = counts_of(tokens(M, 0), None)
        assert counts is not None
        assert dollars == pytest.approx(float(price_by_genai("deepseek-chat", day + hour * 3600, counts)))
    (untimed,) = at(0).unpriced
    assert untimed.reason == "its price depends on the time, and the server sent none"
    assert at(2**60).unpriced == [untimed]
    assert cost("gpt-4o", tokens(M, 0), prices=None).priced == 1
    mixed = chunkwire.usage(
        b"".join(
            stream("deepseek-chat", tokens(M, 0), id=str(hour), created=hour and day + hour * 3600)
            for hour in (3, 0, 20, 4)
        )
    )
    assert mixed.cost().tolist() == pytest.approx([by_hour[3], math.nan, by_hour[20], by_hour[4]], nan_ok=True)


def test_prices_that_are_not_by_token_are_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the package learn to price otherwise than by a rate for each kind of token, its word counts."""
    table = chunkwire.usage(b"".join(stream("gpt-4o", tokens(size, 7), id=str(size)) for size in (10, 5, 99, 10)))
    expected = table.cost().tolist()
    real = _genai.GenaiPrices._call

    def steep(self: Any, prices: Any, counts: list[int]) -> Any:
        if counts[0] == 99:
            raise ValueError("too many")
        return real(self, prices, counts) * counts[0]

    monkeypatch.setattr(_genai.GenaiPrices, "_call", steep)
    costs = table.cost()
    assert costs.tolist()[:2] == pytest.approx([expected[0] * 10, expected[1] * 5])
    assert math.isnan(costs[2])
    assert [one.reason for one in costs.unpriced] == ["genai-prices: too many"]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ImportError, match=r"need the package genai-prices: pip install 'chunkwire\[prices\]'"):
        cost("gpt-4o", tokens(1, 1), prices=None)
    assert cost("plain-1", tokens(M, 0)).total == 2


# --- the column that can be called


def test_the_column_is_an_array(engine: str) -> None:
    table = chunkwire.usage(stream("m", tokens(1, 1, cost=0.5)) + stream("n", None), engine=engine)
    column = table.cost
    assert isinstance(column, np.ndarray)
    assert (column.dtype, column.shape, column.flags.writeable) == (np.float64, (2,), False)
    assert table.cost is column
    plain = [column[:], column + 1, -column, column == column, np.isnan(column), np.nan_to_num(column), column.copy()]
    plain += [copy.copy(column), copy.deepcopy(column), pickle.loads(pickle.dumps(column)), np.add(1, column)]
    plain += [np.concatenate([column, column]), np.where(column > 0, column, 0), np.asarray(column), column[[0]]]
    for one in plain:
        assert type(one) is np.ndarray, one
    assert np.nansum(column) == 0.5
    assert column[0] == 0.5
    assert column.tolist()[0] == 0.5
    assert pickle.loads(pickle.dumps(column)).tolist()[0] == 0.5
    out = np.zeros(2)
    np.multiply(column, 2, out=out)
    assert out[0] == 1
    assert np.array_equal(table[1:].cost, column[1:], equal_nan=True)
    with pytest.raises(TypeError, match="only the column of a table can be called"):
        column.reshape(2)()
    with pytest.raises(ValueError, match="read-only"):
        column.sort()


def test_the_column_and_the_table_do_not_hold_each_other() -> None:
    gc.disable()
    try:
        table = chunkwire.usage(stream("plain-1", tokens(M, 0)))
        column = table.cost
        gone = weakref.ref(table)
        del table
        assert column(FILE).total == 2, "the column holds its table"
        del column
        assert gone() is None
    finally:
        gc.enable()


def test_costs_are_an_array_with_more_to_say() -> None:
    table = chunkwire.usage(stream("plain-1", tokens(M, 0), id="a") + stream("m", tokens(1, 1), id="b"))
    costs = table.cost(FILE)
    assert isinstance(costs, np.ndarray)
    assert (costs.dtype, costs.shape, costs.flags.writeable) == (np.float64, (2,), False)
    assert (costs.total, costs.priced) == (2, 1)
    assert repr(costs).startswith("array([ 2., nan])\n1 of 2 streams priced by ")
    assert type(costs[:1]) is type(costs * 2) is type(copy.copy(costs)) is np.ndarray
    for derived in (costs.reshape(2), costs.astype(float)):
        with pytest.raises(AttributeError, match="only cost"):
            _ = derived.unpriced
        repr(derived)
    assert table[:1].cost(FILE).tolist() == [2]
    assert chunkwire.usage(b"").cost(FILE).tolist() == []
    assert chunkwire.usage(b"").cost().note.startswith("0 of 0 streams priced by genai-prices")
    assert math.isnan(table.cost[0]), "the server's own takes no part"


# --- sums


def test_summaries_have_both_costs(engine: str) -> None:
    log = stream("plain-1", tokens(M, 0, cost=1.5), id="a") + stream("plain-1", None, id="b")
    log += stream("m", tokens(1, 1), id="c") + stream("plain-1", tokens(M, 0), id="d")
    table = chunkwire.usage(log, engine=engine)
    summary = table.summary(prices=FILE)
    assert summary.columns[-3:] == ("cost", "priced", "computed_cost")
    first, second = summary
    assert (first["model"], first["streams"], first["reported"]) == ("plain-1", 3, 2)
    assert (first["cost"], first["priced"], first["computed_cost"]) == (1.5, 2, 4.0)
    assert (second["cost"], second["priced"], second["computed_cost"]) == (None, 0, None)
    assert (summary.total["cost"], summary.total["priced"], summary.total["computed_cost"]) == (1.5, 2, 4.0)
    assert "3 of 4 streams reported usage\n2 of 4 streams priced by" in str(summary)
    assert " priced  computed\n" in str(summary)
    assert "without usage<br>" in summary._repr_html_()
    assert table.summary(prices=table.cost(FILE)) == summary
    assert "priced" not in table.summary().total
    assert table.summary(by="day", prices="genai-prices").total["priced"] == 0
    for wrong in (table.cost(FILE)[:2], table[:2].cost(FILE), table.cost(FILE).reshape(4)):
        with pytest.raises((ValueError, TypeError)):
            table.summary(prices=wrong)
    assert chunkwire.usage(b"", engine=engine).summary(prices=FILE).total["computed_cost"] is None


def test_a_table_with_costs(engine: str) -> None:
    days = [20, 21, 21]
    log = b"".join(
        stream("plain-1" if day == 20 else "m", tokens(M, 0), id=str(at), created=day * 86400)
        for at, day in enumerate(days)
    )
    plain = chunkwire.usage(log, engine=engine)
    table = plain.with_costs(FILE)
    assert plain.costs is None
    assert table.costs is not None
    assert table.computed_cost.tolist() == pytest.approx([2, math.nan, math.nan], nan_ok=True)
    assert (table[0]["computed_cost"], table[1]["computed_cost"]) == (2, None)
    assert table.valid("computed_cost").tolist() == [True, False, False]
    assert not table.computed_cost.flags.writeable
    assert "computed_cost" in dir(table)
    assert list(table.to_dict())[-1] == "computed_cost"
    assert table != plain
    assert table == plain.with_costs(plain.cost(FILE)) == table.with_costs(FILE)
    later = table[1:]
    assert later.costs is not None
    assert (later.costs.priced, later.costs.total, later.costs.matched) == (0, 0, {})
    assert [one.streams for one in later.costs.unpriced] == [2]
    assert table.between(until="1970-01-21").computed_cost.tolist() == [2]
    summary = plain.summary(by="day", since="1970-01-22", prices=FILE)
    assert summary.note.splitlines()[2:] == [
        f"0 of 2 streams priced by {FILE}; not priced:",
        "  m (2 streams): the price file does not know this model",
    ]
    assert table.summary(by="day") == plain.summary(by="day", prices=FILE)
    top = table.summary(sort="computed_cost", top=1)
    assert (top[0]["model"], top.other and top.other["computed_cost"]) == ("plain-1", None)
    with pytest.raises(AttributeError, match=r"table\.with_costs"):
        _ = plain.computed_cost
    assert table.raw(1) == plain.raw(1)
    ((_, same),) = table.by_source()
    assert same.costs is not None
    for again in (pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table)):
        assert again == table
        assert str(again.costs) == str(table.costs)
        costs = again[1:].costs
        assert costs is not None
        assert costs.unpriced == later.costs.unpriced
    assert same.costs.priced == 1


# --- every row


@cache
def genai_reference(model: str, created: int, counts: tuple[tuple[str, int], ...]) -> float:
    return float(price_by_genai(model, created, dict(counts)))


def assert_rows(table: chunkwire.UsageTable, rows: list[dict[str, Any]], aliases: dict[str, str]) -> int:
    """Both lists of prices say what the reference does of each row; gives how many rows have a price."""
    by_file, by_package = table.cost(FILE, aliases=aliases).tolist(), table.cost()
    assert len(table) == len(rows)
    package, priced = by_package.tolist(), 0
    for row, dollars, other in zip(rows, by_file, package, strict=True):
        counts = counts_of(row["usage"], row["model"])
        entry = ENTRIES.get(aliases.get(row["model"], row["model"]))
        expected: Fraction | None = None
        if counts is not None and isinstance(entry, dict):
            expected = price_in_file(entry, counts)
        if expected is None:
            assert math.isnan(dollars), row
        else:
            assert dollars == pytest.approx(float(expected), rel=1e-12, abs=1e-18), row
            priced += 1
        if not math.isnan(other):
            assert counts is not None
            told = genai_reference(_found_name(row["model"]), row["created"], tuple(counts.items()))
            assert other == pytest.approx(told, rel=1e-9), row
    return priced


@cache
def _found_name(sent: str) -> str:
    """The name to ask the package for: the one that was sent, or what stands behind its first slash."""
    try:
        genai_prices.calc_price(genai_prices.Usage(), sent)
    except LookupError:
        return sent.partition("/")[2]
    return sent


def every_model(rows: list[dict[str, Any]]) -> dict[str, str]:
    """For each model an entry with all prices, so that every row has one."""
    names = ["full-1", "tiered-1", "plain-1", "dashscope/listed-1", "perplexity/asks-1"]
    models = sorted({row["model"] for row in rows if row["model"] is not None})
    return {model: names[at % len(names)] for at, model in enumerate(models)}


def test_every_recorded_stream(engine: str) -> None:
    priced = 0
    for path in recorded() + sorted(SAMPLES.glob("*.sse")):
        data = path.read_bytes()
        rows, _ = oracle_rows(oracle(data))
        priced += assert_rows(chunkwire.usage(data, engine=engine), rows, every_model(rows))
    assert priced >= (160 if recorded() else 20)


MODELS = ("gpt-4o-2024-08-06", "claude-sonnet-4-5", "gemini-2.5-pro", "grok-3-mini", "deepseek-chat", "own-model")


def random_usage(rng: random.Random) -> dict[str, Any] | None:
    prompt = rng.choice([0, 3, 1000, 199_999, 200_000, 200_001, 250_000, 600_000])
    completion = rng.choice([0, 1, 77, 4000])
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    inside = {"cached_tokens": rng.choice([0, prompt // 3]), "audio_tokens": rng.choice([0, 0, prompt // 4])}
    usage["prompt_tokens_details"] = inside
    thoughts = rng.choice([0, completion // 2, 500])
    usage["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    if rng.random() < 0.2:
        usage["cache_creation_input_tokens"] = prompt // 5
    extra = rng.choice([0, 0, 0, thoughts, inside["cached_tokens"], 11])
    usage["total_tokens"] = prompt + completion + extra
    return rng.choice([usage, usage, usage, usage, None])


def test_twenty_thousand_streams(engine: str) -> None:
    rng = random.Random(7)
    usages = [random_usage(rng) for _ in range(1500)]
    rows, parts = [], []
    for number in range(20_000):
        usage, model = rng.choice(usages), MODELS[number % len(MODELS)]
        created = NOON + number % 24 * 3600
        rows.append({"usage": usage, "model": model, "created": created})
        parts.append(
            f'data: {{"id":"{number}","created":{created},"model":"{model}","choices":[{{"index":0,'
            f'"delta":{{"content":"a"}},"finish_reason":"stop"}}],"usage":{json.dumps(usage)}}}\n\ndata: [DONE]\n\n'
        )
    table = chunkwire.usage("".join(parts).encode(), engine=engine)
    assert assert_rows(table, rows, every_model(rows)) > 10_000
