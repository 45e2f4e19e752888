"""What servers say of a stream beside its token counts: what it cost, and how long it took. The Python engine's twin of
the room `reported`.

Each value is a number or nothing: what is no finite number is as if it had not been sent.
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["Times", "cost_beside_usage", "cost_in_usage", "estimated_cost", "times_beside_usage", "times_in_usage"]

#: Seconds to the first token, and from there to the last; None for what is not known.
Times = tuple[float | None, float | None]

#: A US dollar in xAI's ticks (docs.x.ai, "Cost Tracking").
_TICKS = 1e10
#: What a server may write as a number in a string; `float` takes more.
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
#: Objects that tell times beside usage, and what they call them, in milliseconds: llama.cpp's, vLLM's and those of
#: servers behind Hugging Face.
_IN_MILLISECONDS = {
    "timings": ("prompt_ms", "predicted_ms"),
    "metrics": ("time_to_first_token_ms", "generation_time_ms"),
    "sla_metrics": ("ttft_ms", None),
}


def cost_in_usage(usage: dict[str, Any]) -> float | None:
    """The cost that a usage object tells: its `cost` (OpenRouter and others), or xAI's in ticks."""
    cost = _cost(usage.get("cost"))
    if cost is None:
        ticks = _finite(usage.get("cost_in_usd_ticks"))
        cost = None if ticks is None else ticks / _TICKS
    return cost


def estimated_cost(usage: dict[str, Any]) -> float | None:
    """What a server thinks that it will cost (OpenCode Zen), for want of anything better."""
    return _finite(usage.get("estimated_cost"))


def cost_beside_usage(value: Any) -> float | None:
    """A cost that stands beside usage, where it may also be a number in a string (OpenCode Zen)."""
    if isinstance(value, str):
        return _finite(float(value)) if _DECIMAL.fullmatch(value) else None
    return _cost(value)


def times_in_usage(usage: dict[str, Any]) -> Times:
    """Those that a usage object tells: Groq's, mistral.rs's or GPUStack's."""
    first = _finite(usage.get("total_prompt_time_sec"))
    if first is None:
        first = _milliseconds(usage, "time_to_first_token_ms")
    return either(_by_phase(usage), (first, _finite(usage.get("total_completion_time_sec"))))


def times_beside_usage(sent: dict[str, Any]) -> Times:
    """Those of a chunk that tells them beside usage: `timings`, Cerebras's `time_info`, `metrics` or `sla_metrics`."""
    found: Times = (None, None)
    for name in ("timings", "time_info", "metrics", "sla_metrics"):
        told = sent.get(name)
        if not isinstance(told, dict):
            continue
        if name == "time_info":
            found = either(found, _by_phase(told))
        else:
            first, rest = _IN_MILLISECONDS[name]
            found = either(found, (_milliseconds(told, first), _milliseconds(told, rest)))
    return found


def either(times: Times, other: Times) -> Times:
    """Each of the two times that is not known, as ``other`` has it."""
    return other[0] if times[0] is None else times[0], other[1] if times[1] is None else times[1]


def _by_phase(told: dict[str, Any]) -> Times:
    """Groq's and Cerebras's way: the times of waiting, of reading the prompt and of writing, each for itself."""
    first = _finite(told.get("prompt_time"))
    if first is not None:
        first = _finite(first + (_finite(told.get("queue_time")) or 0.0))
    return first, _finite(told.get("completion_time"))


def _cost(value: Any) -> float | None:
    """A cost: a number, or an object with one as `total_cost` (Perplexity) or `usd` (Venice, Hyper)."""
    if isinstance(value, dict):
        return next((cost for name in ("total_cost", "usd") if (cost := _finite(value.get(name))) is not None), None)
    return _finite(value)


def _milliseconds(told: dict[str, Any], name: str | None) -> float | None:
    time = None if name is None else _finite(told.get(name))
    return None if time is None else time / 1000.0


def _finite(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None  # what is -0 is 0
