"""Prices that are refused rather than guessed: streams, names and price files in which there is doubt go in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
from test_prices import FILE, M, cached, cost, matched, reason, reasoning, stream, tokens


def entry(dollars: float, provider: str | None = None, **more: Any) -> dict[str, Any]:
    """The prices of a model: so much for a million tokens of each sort."""
    told = {} if provider is None else {"litellm_provider": provider}
    return told | {"input_cost_per_token": dollars / M, "output_cost_per_token": dollars / M} | more


# --- counts


def test_a_stream_has_a_price_whatever_stands_beside_it(engine: str) -> None:
    """genai-prices refuses what was cached and may have been audio."""
    doubtful = tokens(1000, 10, **cached(300, audio_tokens=200))
    small, large = tokens(10, 1), tokens(5000, 10)
    for usages in ([doubtful], [small, doubtful, large], [doubtful, doubtful, small], [large, small, doubtful]):
        log = b"".join(stream("gemini-2.0-flash", usage, id=str(at)) for at, usage in enumerate(usages))
        costs = chunkwire.usage(log, engine=engine).cost()
        assert np.isnan(costs).tolist() == [usage is doubtful for usage in usages]
        (told,) = costs.unpriced
        assert "Missing usage for cache_audio_read_tokens" in told.reason


def test_far_more_reasoning_than_completion_is_a_contradiction() -> None:
    assert reason("full-1", tokens(100, 10, **reasoning(500))) == "the counts contradict each other"
    assert reason("full-1", tokens(100, 100, **reasoning(126))) == "the counts contradict each other"
    assert cost("full-1", tokens(0, 100, **reasoning(125))).tolist() == pytest.approx([100 * 1.6e-5])


@pytest.mark.parametrize(
    "usage",
    [
        tokens(1000, 10, **cached("50")),  # type: ignore[arg-type]
        tokens(1000, 10, **cached(50.5)),  # type: ignore[arg-type]
        tokens(1000, 10, cache_creation_input_tokens="7"),
        tokens(1000, 10, **reasoning([])),  # type: ignore[arg-type]
        tokens(1000, 10) | {"total_tokens": "1010"},
    ],
)
def test_a_count_that_cannot_be_read_is_not_none(engine: str, usage: dict[str, Any]) -> None:
    assert reason("full-1", usage, engine=engine) == "a count that was sent is no integer"
    assert cost("full-1", tokens(1000, 10, prompt_tokens_details={"cached_tokens": None}), engine).priced == 1


# --- names in genai-prices


def test_the_price_of_another_vendor_is_not_taken() -> None:
    assert reason("deepseek-r1", prices=None).startswith("its provider has to be named: deepseek, ")
    assert reason("mixtral-8x7b-instruct", prices=None) == "its provider has to be named: mistral, openrouter"
    for model, provider in (("deepseek-r1", "azure"), ("gpt-4o", "azure"), ("gpt-4o", "groq")):
        told = reason(model, prices=None, provider=provider)
        assert told == f"genai-prices has no price of {provider} for this model"
    assert matched("mixtral-8x7b-instruct", prices=None, provider="openrouter") == "openrouter/mixtral-8x7b-instruct"
    assert matched("deepseek-r1", prices=None, provider="deepseek") == "deepseek/deepseek-reasoner"
    for model in ("gpt-4o-2024-08-06", "claude-sonnet-4-5", "gemini-2.5-pro", "grok-3", "deepseek-chat"):
        assert cost(model, tokens(M, 0), prices=None).priced == 1, model


def test_an_alias_is_as_doubtful_as_a_name() -> None:
    options: dict[str, Any] = {"prices": None, "provider": "openrouter"}
    direct = cost("x-ai/grok-4-fast", tokens(M, M), **options)
    alias = cost("m", tokens(M, M), aliases={"m": "x-ai/grok-4-fast"}, **options)
    assert (alias.total, alias.matched["m"]) == (direct.total, direct.matched["x-ai/grok-4-fast"])
    assert reason("m", prices=None, aliases={"m": "gpt-oss-120b"}) == reason("gpt-oss-120b", prices=None)
    file = {
        "deepseek/deepseek-chat": entry(1, "deepseek"),
        "openrouter/deepseek/deepseek-chat": entry(9, "openrouter"),
        "plain": entry(5, "openai"),
    }
    options = {"prices": file, "provider": "openrouter"}
    assert cost("deepseek/deepseek-chat", tokens(M, M), **options).total == pytest.approx(18)
    assert cost("m", tokens(M, M), aliases={"m": "deepseek/deepseek-chat"}, **options).total == pytest.approx(18)
    assert "does not know" in reason("m", aliases={"m": "plain"}, **options)
    assert matched("m", aliases={"m": "openai/plain"}, **options) == "plain"


def test_a_fee_for_a_request_is_no_price_of_tokens() -> None:
    assert cost("sonar", tokens(M, M), prices=None, provider="perplexity").total == pytest.approx(2)


# --- price files


def test_a_snapshot_says_nothing_of_another() -> None:
    one = {"gpt-4o-2024-05-13": entry(5, "openai")}
    for model in ("gpt-4o", "gpt-4o-latest", "gpt-4o-2024-11-20"):
        assert reason(model, prices=one) == "the price file has only other snapshots of it (gpt-4o-2024-05-13)"
    two = one | {"gpt-4o-2024-08-06": entry(5, "openai")}
    assert matched("gpt-4o", prices=two) == "gpt-4o-2024-05-13"
    assert "only other snapshots" in reason("gpt-4o-2024-11-20", prices=two)
    assert matched("gpt-4o-2024-11-20", prices={"gpt-4o": entry(5)}) == "gpt-4o"


def test_listed_tiers_have_the_cache_prices_of_their_entry() -> None:
    tier = {"range": [0, 1000], "input_cost_per_token": 1, "output_cost_per_token": 1}
    priced: dict[str, Any] = {"cache_read_input_token_cost": 0.1, "tiered_pricing": [tier]}
    assert cost("m", tokens(100, 0, **cached(100)), prices={"m": priced}).total == pytest.approx(10)
    priced["tiered_pricing"] = [tier | {"cache_read_input_token_cost": 0.2}]
    assert cost("m", tokens(100, 0, **cached(100)), prices={"m": priced}).total == pytest.approx(20)


def test_odd_price_files(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"is no price file: "):
        cost("m", tokens(1, 1), prices=path)
    path.write_text(json.dumps({"m": entry(1)}), encoding="utf-8-sig")
    assert cost("m", tokens(M, 0), prices=path).total == pytest.approx(1)
    for start in (math.inf, math.nan, -1, 10**400):
        tiers = [{"range": [start, 2], "input_cost_per_token": 1}]
        assert "tiered_pricing has a range" in reason("m", prices={"m": {"tiered_pricing": tiers}})
    tiers = [{"range": [0, math.inf], "input_cost_per_token": 1}]
    assert cost("m", tokens(3, 0), prices={"m": {"tiered_pricing": tiers}}).total == 3
    assert cost("m", tokens(M, 0), prices={"m": entry(1) | {5: 1}}).total == pytest.approx(1)


def test_providers_of_a_price_file() -> None:
    google = {"gemini-x": entry(1, "vertex_ai-language-models"), "y": entry(2, "openai")}
    for provider in ("vertex_ai", "vertex_ai-language-models"):
        assert matched("gemini-x", prices=google, provider=provider) == "gemini-x"
    assert matched("vertex_ai/gemini-x", prices=google) == "gemini-x"
    assert "does not know" in reason("y", prices=google, provider="vertex_ai")
    with pytest.raises(ValueError, match="knows no provider 'x'; it does not say who serves its models"):
        cost("m", tokens(1, 1), prices={"m": entry(1)}, provider="x")


def test_prices_beyond_all_floats(engine: str) -> None:
    endless = {"m": {"input_cost_per_token": 1e308, "output_cost_per_token": 1}}
    assert (
        reason("m", tokens(10, 1), prices=endless, engine=engine)
        == "by the price file it costs more than a float can be"
    )
    log = stream("m", tokens(1, 0), id="a") + stream("m", tokens(1, 0), id="b")
    assert chunkwire.usage(log, engine=engine).cost(endless).total == math.inf


# --- arguments


@pytest.mark.parametrize("prices", [None, FILE])
def test_arguments_of_other_types(prices: Any) -> None:
    for aliases in ({"m": 5}, {5: "m"}, ["m"], "m"):
        with pytest.raises(TypeError, match="aliases must be a mapping of str to str"):
            cost("m", tokens(1, 1), prices=prices, aliases=aliases)
    with pytest.raises(TypeError, match="provider must be a str or None, not int"):
        cost("m", tokens(1, 1), prices=prices, provider=5)


def test_costs_are_those_of_their_own_streams(engine: str) -> None:
    log = stream("plain-1", tokens(M, 0), id="a") + stream("plain-1", tokens(2 * M, 0), id="b")
    table = chunkwire.usage(log, engine=engine)
    costs = table.cost(FILE)
    for other in (table[[1, 0]], table[[0, 0]], table[:1]):
        for use in (other.with_costs, lambda prices, other=other: other.summary(prices=prices)):
            with pytest.raises(ValueError, match="these costs are not those of this table's streams"):
                use(costs)
    swapped = table.with_costs(costs)[[1, 0]]
    assert swapped.costs is not None
    assert table[[1, 0]].with_costs(swapped.costs).computed_cost.tolist() == [4, 2]
    assert chunkwire.usage(log, engine=engine).with_costs(costs).computed_cost.tolist() == [2, 4]
    for array in (np.zeros(2), costs + 0):
        with pytest.raises(TypeError, match="prices must be a path, a mapping or None, not ndarray"):
            table.with_costs(array)
