"""Prices by a file in the form of LiteLLM's: models and counts in, dollars out.

The file is one JSON object with an entry for each model: dollars for a token (``input_cost_per_token``,
``output_cost_per_token``, ``cache_read_input_token_cost``, ``cache_creation_input_token_cost``,
``input_cost_per_audio_token``, ``output_cost_per_audio_token``, ``output_cost_per_reasoning_token``) or a request
(``input_cost_per_request``). Large prompts may have others: under the same names with ``_above_200k_tokens`` behind
them, or in a list ``tiered_pricing``. The size of the prompt decides on all tokens of its request.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from chunkwire._prices._counts import MOST_TOKENS, Billed, check_provider

__all__ = ["LiteLLMPrices"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]

#: What a token costs, by the kind of it; and what stands in for that where it has no price of its own.
_RATES = {
    "prompt": ("input_cost_per_token", None),
    "completion": ("output_cost_per_token", None),
    "cached": ("cache_read_input_token_cost", "prompt"),
    "cache_write": ("cache_creation_input_token_cost", "prompt"),
    "audio_prompt": ("input_cost_per_audio_token", "prompt"),
    "audio_completion": ("output_cost_per_audio_token", "completion"),
    "reasoning": ("output_cost_per_reasoning_token", "completion"),
}
#: What is read, and what is written.
_SIDES = {
    "prompt": ("prompt", "cached", "cache_write", "audio_prompt"),
    "completion": ("completion", "reasoning", "audio_completion"),
}
_REQUEST = "input_cost_per_request"
_ABOVE = re.compile(r"(.+)_above_(\d+)(k?)_tokens")
#: The entry that explains the others.
_SAMPLE = "sample_spec"
#: A snapshot's date behind a model's name, or the word for the newest.
_SNAPSHOT = re.compile(r"(.+?)[-@](?:20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest)")
#: Names that tell who serves the model, as that is called in the file.
_TELLING = {"accounts/fireworks/": "fireworks_ai", "@cf/": "cloudflare"}

_UNKNOWN = "the price file does not know this model"
_ENDLESS = "by the price file it costs more than a float can be"
_BY_HOUR = "its prices depend on the hour (off_peak_pricing), which is not supported"


@dataclass(frozen=True, slots=True)
class _Tier:
    """Dollars for a token by kind, for prompts of more tokens than ``above`` (or of so many)."""

    above: int
    includes: bool
    rates: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Found:
    """A model with prices."""

    name: str
    provider: str
    tiers: tuple[_Tier, ...]  # the first is for all prompts; of those that fit, the last counts
    request: float


class LiteLLMPrices:
    """The prices of a file, of one provider or of all."""

    def __init__(
        self, prices: str | PathLike[str] | Mapping[str, Any], provider: str | None, aliases: dict[str, str]
    ) -> None:
        if isinstance(prices, Mapping):
            self.name, found = "a table of prices", prices
        elif isinstance(prices, (str, os.PathLike)):
            self.name = os.fspath(prices)
            with open(prices, encoding="utf-8-sig") as file:
                try:
                    found = json.load(file)
                except ValueError as error:
                    raise ValueError(f"{self.name} is no price file: {error}") from None
                except RecursionError:
                    raise ValueError(f"{self.name} is no price file: it is nested too deeply") from None
        else:
            raise TypeError(f"prices must be a path, a mapping or None, not {type(prices).__name__}")
        entries = found if isinstance(found, Mapping) else {}
        self._entries: dict[str, Mapping[str, Any]] = {
            name: entry
            for name, entry in entries.items()
            if isinstance(name, str) and isinstance(entry, Mapping) and name != _SAMPLE
        }
        if not any(_is_priced(entry) for entry in self._entries.values()):
            raise ValueError(
                f"{self.name} is no price file: expected a JSON object with an entry for each model, which has "
                "input_cost_per_token and output_cost_per_token"
            )
        self._folded: dict[str, list[str]] = {}  # names by what they are in small letters
        self._snapshots: dict[str, list[str]] = {}  # and by what is left without a date
        for name in self._entries:
            self._folded.setdefault(name.casefold(), []).append(name)
            self._snapshots.setdefault(_base(name).casefold(), []).append(name)
        self._providers = {name: _provider_of(name, entry) for name, entry in self._entries.items()}
        self._provider = provider
        self._aliases = aliases
        check_provider(
            provider, [short for told in self._providers.values() for short in (told, _short(told))], self.name
        )

    # --- names

    def find(self, model: str) -> _Found | str:
        """The prices of a model, by the name that a server sent; or why there are none."""
        alias = self._aliases.get(model)
        named = model if alias is None else alias
        for telling, provider in _TELLING.items():
            if named.startswith(telling) and self._provider is None:
                named = f"{provider}/{named}"
        names = dict.fromkeys((named, named.removeprefix("models/"), _fine_tuned(named)))
        found = self._first([key for name in names for key in self._keys(name)])
        if found is None and alias is not None:  # which may name another provider
            head, _, rest = alias.partition("/")
            found = self._first([(alias, head), (rest, head)]) if rest else None
        return self._unknown(named) if found is None else found

    def _first(self, keys: list[tuple[str, str | None]]) -> _Found | str | None:
        """The prices of the first of these names, each with whose it has to be, that the file has; None if it has none.
        Other snapshots of a model stand in for it only if it is not there by any of its names."""
        for key, of in keys:
            name = self._folds(key)
            if name is not None and self._is_of(name, of):
                return self._prices(name)
        for key, of in keys:
            names = [name for name in self._snapshots.get(_base(key).casefold(), []) if self._is_of(name, of)]
            if names:
                return self._prices_of_all(key, names)
        return None

    def _is_of(self, name: str, provider: str | None) -> bool:
        told = self._providers[name]
        return provider in (None, told, _short(told))

    def _keys(self, model: str) -> list[tuple[str, str | None]]:
        """The names that the entry of a model may have, and whose it has to be then."""
        head, _, rest = model.partition("/")
        if self._provider is not None:
            own = [model, rest] if head == self._provider else [f"{self._provider}/{model}", model]
            return [(name, self._provider) for name in own]
        # "openai/gpt-4o", where the file has "gpt-4o" of openai.
        return [(model, None), *([(rest, head)] if rest else [])]

    def _folds(self, model: str) -> str | None:
        """The entry of this name, whatever the case of its letters, if that is but one."""
        if model in self._entries:
            return model
        names = self._folded.get(model.casefold(), ())
        return names[0] if len(names) == 1 else None

    def _prices_of_all(self, model: str, names: list[str]) -> _Found | str:
        """The prices of a model of which the file has other snapshots: those of them, if they do not differ.

        One snapshot says nothing about another. So one of them has to be the model without a date (or the newest); or,
        if it is that which was asked for, there have to be several.
        """
        if all(_is_dated(name) for name in names) and (_is_dated(model) or len(names) == 1):
            return f"the price file has only other snapshots of it ({', '.join(names[:3])})"
        prices = [self._prices(name) for name in names]
        first = prices[0]
        if isinstance(first, str) or any(
            isinstance(one, str) or (one.tiers, one.request) != (first.tiers, first.request) for one in prices
        ):
            return f"the price file has only other snapshots of it, whose prices differ ({', '.join(names[:3])})"
        return first

    def _unknown(self, model: str) -> str:
        end = f"/{model.casefold()}"
        sellers = sorted(name for name in self._entries if name.casefold().endswith(end))
        if not sellers or self._provider is not None:
            return _UNKNOWN
        some = ", ".join(sellers[:3]) + (", ..." if len(sellers) > 3 else "")
        return f"its provider has to be named: {some}"

    # --- prices

    def _prices(self, name: str) -> _Found | str:
        entry = self._entries[name]
        if entry.get("off_peak_pricing"):
            return _BY_HOUR
        try:
            tiers = _tiers(entry)
            request = _dollars(entry, _REQUEST) or 0.0
        except ValueError as error:
            return f"the price file is wrong for {name}: {error}"
        return _Found(name, self._providers[name], tiers, request)

    def price(self, found: _Found, counts: Billed, rows: _Ints) -> tuple[_Floats, list[tuple[Any, str]]]:
        """Dollars for these rows; and which of them have none, each with the reason."""
        prompt, completion = counts.prompt[rows], counts.completion[rows]
        tier = np.zeros(len(rows), np.int64)
        for at, one in enumerate(found.tiers):
            tier[prompt >= one.above if one.includes else prompt > one.above] = at
        amounts = {
            "prompt": prompt - counts.cached[rows] - counts.cache_write[rows] - counts.audio_prompt[rows],
            "cached": counts.cached[rows],
            "cache_write": counts.cache_write[rows],
            "audio_prompt": counts.audio_prompt[rows],
            "completion": completion - counts.reasoning[rows] - counts.audio_completion[rows],
            "reasoning": counts.reasoning[rows],
            "audio_completion": counts.audio_completion[rows],
        }
        dollars = np.full(len(rows), found.request)
        for kind, amount in amounts.items():
            rates = np.array([one.rates.get(kind, math.nan) for one in found.tiers])
            with np.errstate(over="ignore"):
                dollars += np.where(amount > 0, amount * rates[tier], 0.0)
        missing: list[tuple[Any, str]] = []
        refused = np.zeros(len(rows), bool)
        for side, kinds in _SIDES.items():
            lacks = np.zeros(len(rows), bool)
            for kind in kinds:
                has_rate = np.array([kind in one.rates for one in found.tiers])
                lacks |= (amounts[kind] > 0) & ~has_rate[tier]
            lacks &= ~refused
            refused |= lacks
            if lacks.any():
                missing.append((lacks, f"the price file has no price for its {side} tokens"))
        endless = np.isinf(dollars)
        if endless.any():
            dollars[endless] = np.nan
            missing.append((endless, _ENDLESS))
        return dollars, missing


def _provider_of(name: str, entry: Mapping[str, Any]) -> str:
    """Who serves the model of an entry, as names of models begin: Google's have longer names for it inside."""
    told = entry.get("litellm_provider")
    if not isinstance(told, str):
        head, slash, _ = name.partition("/")
        return head if slash else ""
    return told


def _short(provider: str) -> str:
    """Google's Vertex AI has a longer name in entries, by kind of model ("vertex_ai-language-models")."""
    return "vertex_ai" if provider.startswith("vertex_ai-") else provider


def _is_dated(model: str) -> bool:
    return _base(model) != model and not model.casefold().endswith("latest")


def _base(model: str) -> str:
    """The name without the date of a snapshot."""
    match = _SNAPSHOT.fullmatch(model)
    return match[1] if match else model


def _fine_tuned(model: str) -> str:
    """What a model was made from, if it is one of OpenAI's that users make: ft:gpt-4o-2024-08-06:org::id."""
    return ":".join(model.split(":")[:2]) if model.startswith("ft:") else model


def _is_priced(entry: Mapping[str, Any]) -> bool:
    return any(name in entry for name in ("input_cost_per_token", "output_cost_per_token", "tiered_pricing"))


def _dollars(entry: Mapping[str, Any], name: str) -> float | None:
    """A price: a number, or one in a string, as files that were written by hand have it."""
    value = entry.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        price = float(value)
        if not math.isfinite(price) or price < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is {value!r}, expected a number of dollars") from None
    return price


def _tiers(entry: Mapping[str, Any]) -> tuple[_Tier, ...]:
    """What tokens cost by the size of the prompt, the smallest first."""
    if entry.get("tiered_pricing"):
        return _listed_tiers(entry)
    base = {kind: price for kind, (name, _) in _RATES.items() if (price := _dollars(entry, name)) is not None}
    if base.get("reasoning") == base.get("completion"):
        base.pop("reasoning", None)  # so it stays for large prompts, too
    kinds = {name: kind for kind, (name, _) in _RATES.items()}
    above: dict[int, dict[str, float]] = {}
    for name in filter(lambda name: isinstance(name, str), entry):
        match = _ABOVE.fullmatch(name)
        price = _dollars(entry, name) if match and match[1] in kinds else None
        if match and price is not None:
            above.setdefault(int(match[2]) * (1000 if match[3] else 1), {})[kinds[match[1]]] = price
    # xAI counts a prompt of exactly so many tokens as a large one.
    includes = entry.get("litellm_provider") == "xai"
    tiers = [_Tier(0, True, _completed(base))]
    rates = base
    for size in sorted(above):
        rates = rates | above[size]
        tiers.append(_Tier(size, includes, _completed(rates)))
    return tuple(tiers)


def _listed_tiers(entry: Mapping[str, Any]) -> tuple[_Tier, ...]:
    """Those of ``tiered_pricing``: a range of prompt tokens each, which contains its end."""
    listed = entry["tiered_pricing"]
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise ValueError("tiered_pricing is no list of objects")
    tiers = []
    for one in listed:
        span = one.get("range")
        if not (isinstance(span, list) and len(span) == 2 and all(map(_is_size, span))):
            raise ValueError(f"tiered_pricing has a range {span!r}, expected two numbers")
        rates = {kind: price for kind, (name, _) in _RATES.items() if (price := _dollars(one, name)) is not None}
        for kind in ("cached", "cache_write", "audio_prompt"):  # its own prices stand in
            if (price := _dollars(entry, _RATES[kind][0])) is not None:
                rates.setdefault(kind, price)
        if "completion" not in rates:
            for kind in ("completion", "reasoning", "audio_completion"):
                if (price := _dollars(entry, _RATES[kind][0])) is not None:
                    rates.setdefault(kind, price)
        if span[0] > MOST_TOKENS:
            raise ValueError(f"tiered_pricing has a range that begins with {span[0]!r}")
        tiers.append(_Tier(int(span[0]), False, _completed(rates)))
    tiers.sort(key=lambda tier: tier.above)
    return (_Tier(0, True, tiers[0].rates), *tiers[1:])


def _is_size(end: Any) -> bool:
    """A number of tokens; the last range may end nowhere."""
    return isinstance(end, (int, float)) and end == end and end >= 0


def _completed(rates: dict[str, float]) -> dict[str, float]:
    """With prices for the kinds of tokens that have none of their own."""
    completed = dict(rates)
    for kind, (_, instead) in _RATES.items():
        if instead is not None and kind not in completed and instead in completed:
            completed[kind] = completed[instead]
    return completed
