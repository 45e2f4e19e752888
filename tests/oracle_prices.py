"""The slow, obvious reference for prices: one usage object and one entry of a price file in, exact dollars out.

Everything is a `Fraction` of the decimal that stands in the file, one stream at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle_streams import PLACES, first_sent, integer

#: What is priced apart, and by what where it has no price of its own.
INSIDE = {
    "cached": ("cache_read_input_token_cost", "input_cost_per_token"),
    "cache_write": ("cache_creation_input_token_cost", "input_cost_per_token"),
    "audio_prompt": ("input_cost_per_audio_token", "input_cost_per_token"),
    "prompt": ("input_cost_per_token", "input_cost_per_token"),
    "reasoning": ("output_cost_per_reasoning_token", "output_cost_per_token"),
    "audio_completion": ("output_cost_per_audio_token", "output_cost_per_token"),
    "completion": ("output_cost_per_token", "output_cost_per_token"),
}


def counts_of(usage: dict[str, Any] | None, model: str | None) -> dict[str, int] | None:
    """The tokens to pay for, each in one place only; None where that cannot be told."""
    if not usage:
        return None
    found = {name: first_sent(usage, PLACES[name])[1] for name in PLACES}
    sent = {name: integer(value) for name, value in found.items()}
    if any(sent[name] is None and found[name] is not None for name in PLACES if "prediction" not in name):
        return None
    prompt, completion = sent["prompt_tokens"], sent["completion_tokens"]
    if prompt is None or completion is None:
        return None
    cached, written = sent["cached_tokens"] or 0, sent["cache_write_tokens"] or 0
    reasoning, total = sent["reasoning_tokens"] or 0, sent["total_tokens"] or 0
    heard, said = sent["audio_prompt_tokens"] or 0, sent["audio_completion_tokens"] or 0
    if any(not 0 <= one <= 10**15 for one in (prompt, completion, cached, written, reasoning, total, heard, said)):
        return None
    beside = total - prompt - completion if total else 0
    if beside < 0:
        return None
    if beside == 0:
        if cached + written > prompt:
            if not (usage.get("cache_read_input_tokens") or usage.get("cache_creation_input_tokens")):
                return None
            prompt += cached + written
    elif beside == reasoning:
        completion += reasoning
    elif beside == cached + written:
        prompt += beside
    elif beside == reasoning + cached + written:
        prompt, completion = prompt + cached + written, completion + reasoning
    elif reasoning == 0 and model is not None and "gemini" in model.lower():
        completion, reasoning = completion + beside, beside
    else:
        return None
    if cached + written > prompt or 4 * reasoning > 5 * completion:
        return None
    reasoning = min(reasoning, completion)
    heard = min(heard, prompt - cached - written)
    said = min(said, completion - reasoning)
    return {
        "cached": cached,
        "cache_write": written,
        "audio_prompt": heard,
        "prompt": prompt - cached - written - heard,
        "reasoning": reasoning,
        "audio_completion": said,
        "completion": completion - reasoning - said,
    }


def price_in_file(entry: dict[str, Any], counts: dict[str, int]) -> Fraction | None:
    """Exact dollars for one request."""
    size = sum(counts[name] for name in ("cached", "cache_write", "audio_prompt", "prompt"))
    rates = {name: value for name, value in entry.items() if not isinstance(value, (list, dict))}
    if "tiered_pricing" in entry:
        listed = sorted(entry["tiered_pricing"], key=lambda tier: tier["range"][0])
        fitting = [tier for tier in listed if tier["range"][0] < size] or listed[:1]
        kept = [name for name in rates if "cache" in name or name == "input_cost_per_audio_token"]
        whole = "output_cost_per_token" in fitting[-1]
        rates = ({name: rates[name] for name in kept} if whole else rates) | fitting[-1]
    else:
        if rates.get("output_cost_per_reasoning_token") == rates["output_cost_per_token"]:
            del rates["output_cost_per_reasoning_token"]
        for limit, text in ((128, "128"), (200_000, "200k"), (500_000, "500k")):
            if size > limit or (size == limit and entry["litellm_provider"] == "xai"):
                for name in list(rates):
                    if name.endswith(f"_above_{text}_tokens"):
                        rates[name.removesuffix(f"_above_{text}_tokens")] = rates[name]
    dollars = Fraction(str(entry.get("input_cost_per_request", 0)))
    for kind, (name, instead) in INSIDE.items():
        rate = rates.get(name, rates.get(instead))
        if counts[kind]:
            if rate is None:
                return None
            dollars += counts[kind] * Fraction(str(rate))
    return dollars


def price_by_genai(model: str, created: int, counts: dict[str, int], provider: str | None = None) -> Decimal:
    """What genai-prices says of one request."""
    import genai_prices

    used = {
        "input_tokens": sum(counts[name] for name in ("cached", "cache_write", "audio_prompt", "prompt")),
        "cache_read_tokens": counts["cached"],
        "cache_write_tokens": counts["cache_write"],
        "input_audio_tokens": counts["audio_prompt"],
        "output_tokens": sum(counts[name] for name in ("reasoning", "audio_completion", "completion")),
        "output_audio_tokens": counts["audio_completion"],
        "output_reasoning_tokens": counts["reasoning"],
    }
    usage = genai_prices.Usage(**{name: count for name, count in used.items() if count})
    when = datetime.fromtimestamp(created, UTC)
    found = genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=when)
    fee = getattr(found.model_price, "requests_kcount", None) or Decimal(0)  # for a request, which is no token
    assert isinstance(fee, Decimal)
    return found.total_price - fee / 1000
