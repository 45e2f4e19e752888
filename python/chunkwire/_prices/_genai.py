"""Prices by the package genai-prices: models and counts in, dollars out.

A call takes it some 50 microseconds, so it is asked what each kind of token costs, and for the price of a request only
to check that.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from chunkwire._prices._counts import Billed, check_provider

__all__ = ["GenaiPrices"]

_Ints: TypeAlias = npt.NDArray[np.int64]

#: What a count is called there.
_NAMES = {
    "prompt": "input_tokens",
    "cached": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "audio_prompt": "input_audio_tokens",
    "completion": "output_tokens",
    "reasoning": "output_reasoning_tokens",
    "audio_completion": "output_audio_tokens",
}
_PROMPT, _COMPLETION, _REASONING, _AUDIO_COMPLETION = 0, 4, 5, 6
#: So many tokens has a prompt that is priced to learn what a token costs.
_PROBE = 1000
_UNKNOWN = "genai-prices does not know this model"
_UNKNOWN_OF = "genai-prices has no price of {} for this model"
_NO_TIME = "its price depends on the time, and the server sent none"
_NO_TOKENS = "it has no price by token"
#: Dollars for a request, whatever its tokens: for a search, of which a stream does not say how large it was.
_REQUESTS = "requests_kcount"
#: After the year 9999 there are no dates.
_LAST = 253_402_300_799


@dataclass(frozen=True, slots=True)
class _Found:
    """A model with prices."""

    name: str
    provider: str
    model: Any


class GenaiPrices:
    """The prices of genai-prices, of one provider or of all."""

    def __init__(self, provider: str | None, aliases: dict[str, str]) -> None:
        try:
            import genai_prices
            from genai_prices.data_snapshot import get_snapshot
        except ImportError as error:
            raise ImportError("costs need the package genai-prices: pip install 'chunkwire[prices]'") from error
        self.name = f"genai-prices {genai_prices.__version__}"
        self._usage = genai_prices.Usage
        self._calc = genai_prices.calc_price
        self._providers = {one.id: one for one in get_snapshot().providers}
        self._provider = provider
        self._aliases = aliases
        check_provider(provider, self._providers, self.name)

    def find(self, model: str) -> _Found | str:
        """The prices of a model, by the name that a server sent; or why there are none."""
        alias = self._aliases.get(model)
        model = model if alias is None else alias
        found: _Found | None = None
        if self._provider is not None:
            own = model.removeprefix(f"{self._provider}/")
            found = self._look_up(model, self._provider) or self._look_up(own, self._provider)
        vendor, _, rest = model.partition("/")
        if found is None and alias is not None and rest and vendor in self._providers:
            found = self._look_up(rest, vendor)  # whoever wrote the alias named a provider
            if found is not None:
                return found
        if self._provider is not None:
            return found or _UNKNOWN_OF.format(self._provider)
        found = self._look_up(model, None) or self._look_up(model.removeprefix("models/"), None)
        if found is None and rest and vendor in self._providers:
            found = self._look_up(rest, vendor)
        return self._unless_others_sell(found, model)

    def _look_up(self, model: str, provider: str | None) -> _Found | None:
        try:
            found = self._calc(self._usage(), model, provider_id=provider)
        except LookupError:
            return None
        if not any(found.model is one for one in found.provider.models):
            return None  # for what a provider does not list, the package may take another's price
        return _Found(f"{found.provider.id}/{found.model.id}", found.provider.id, found.model)

    def _unless_others_sell(self, found: _Found | None, model: str) -> _Found | str:
        """What was found by a name alone, if that says enough: "gpt-4o" and "openai/gpt-4o" do, but a model whose
        weights are free ("openai/gpt-oss-20b") costs something else with each of those who serve it. So does
        "deepseek-r1", which is not what DeepSeek calls it, but others do ("deepseek/deepseek-r1")."""
        is_own_name = found is None or model.casefold() == found.model.id.casefold()
        end = f"/{model.casefold()}"
        sellers = {
            one.id: info
            for one in self._providers.values()
            for info in one.models
            if (info.is_match(model) or (not is_own_name and info.id.casefold().endswith(end)))
            and any(_has_price(_prices_at(info, _LAST), direction) for direction in ("input", "output"))
        }
        if found is not None:
            if all(_cost_the_same(found.model, info) for info in sellers.values()):
                return found
            sellers.setdefault(found.provider, found.model)
        if not sellers:
            return _UNKNOWN
        some = ", ".join(sorted(sellers)[:3]) + (", ..." if len(sellers) > 3 else "")
        return f"its provider has to be named: {some}"

    def price(self, found: _Found, counts: Billed, rows: _Ints) -> tuple[Any, list[tuple[Any, str]]]:
        """Dollars for these rows; and which of them have none, each with the reason."""
        dollars = np.full(len(rows), np.nan)
        missing: list[tuple[Any, str]] = []
        created = counts.created[rows]
        if isinstance(found.model.prices, list) and len(found.model.prices) > 1:
            timeless = (created <= 0) | (created > _LAST)
            if timeless.any():
                missing.append((timeless, _NO_TIME))
            times, which = np.unique(np.where(timeless, -1, created), return_inverse=True)
            lists: dict[int, tuple[int, Any]] = {}  # by identity: the number of a list of prices, and the list
            numbers = np.full(len(times), -1)
            for at, time in enumerate(times.tolist()):
                if time >= 0:
                    prices = _prices_at(found.model, time)
                    numbers[at], _ = lists.setdefault(id(prices), (len(lists), prices))
            of_row = numbers[which.reshape(-1)]
            groups = [(prices, np.flatnonzero(of_row == number)) for number, prices in lists.values()]
        else:
            groups = [(_prices_at(found.model, 0), np.arange(len(rows)))]
        for prices, places in groups:
            values, refused = self._price(prices, counts, rows[places])
            dollars[places] = values
            for mask, reason in refused:
                whole = np.zeros(len(rows), bool)
                whole[places] = mask
                missing.append((whole, reason))
        return dollars, missing

    def _price(self, prices: Any, counts: Billed, rows: _Ints) -> tuple[Any, list[tuple[Any, str]]]:
        """The same where all rows have the same list of prices."""
        prices = _by_tokens(prices)
        columns = np.stack([getattr(counts, name)[rows] for name in _NAMES], axis=1)
        lacks = np.zeros(len(rows), bool)
        for direction, place in (("input", _PROMPT), ("output", _COMPLETION)):
            if not _has_price(prices, direction):
                lacks |= columns[:, place] > 0
        dollars = np.full(len(rows), np.nan)
        missing = [(lacks, _NO_TOKENS)] if lacks.any() else []
        # In a tier of prices, which the size of the prompt decides on, each kind of token has one price.
        kinds, kind_of = np.unique(columns > 0, axis=0, return_inverse=True)
        is_sure = np.array([self._knows(prices, kind) for kind in kinds.tolist()], bool)[kind_of.reshape(-1)]
        starts = sorted({one.start for tiered in vars(prices).values() for one in getattr(tiered, "tiers", ())})
        tiers = np.searchsorted(starts, columns[:, _PROMPT], side="left")
        for tier, sure in itertools.product(range(len(starts) + 1), (True, False)):
            places = np.flatnonzero((tiers == tier) & (is_sure == sure) & ~lacks)
            if not len(places):
                continue
            largest = starts[tier] if tier < len(starts) else starts[-1] + _PROBE if starts else _PROBE
            values = self._by_token(prices, columns[places], largest) if sure else None
            if values is None:
                values, refused = self._one_by_one(prices, columns[places])
                for mask, reason in refused:
                    whole = np.zeros(len(rows), bool)
                    whole[places] = mask
                    missing.append((whole, reason))
            dollars[places] = values
        return dollars, missing

    def _knows(self, prices: Any, kinds: list[bool]) -> bool:
        """Whether the package has a price for a request with tokens of these kinds: it refuses some together."""
        counts = [int(kind) for kind in kinds]
        counts[_PROMPT] *= _PROBE
        counts[_COMPLETION] *= _PROBE
        try:
            self._call(prices, counts)
        except ValueError:
            return False
        return True

    def _by_token(self, prices: Any, columns: _Ints, largest: int) -> Any:
        """Dollars by what each kind of token adds to a prompt of this size, as the package has it; None if that would
        not be what it has for the largest and the smallest of these rows."""
        steps = np.zeros((len(_NAMES) + 1, len(_NAMES)), np.int64)
        steps[:, _PROMPT] = largest
        steps[1, _PROMPT] -= 1
        for at in range(1, len(_NAMES)):
            steps[at + 1, at] = 1
        for inner in (_REASONING, _AUDIO_COMPLETION):  # there is no such token but in a completion
            steps[inner + 1, _COMPLETION] = 1
        try:
            base, less, *more = (self._call(prices, step) for step in steps.tolist())
            rates = [base - less, *(one - base for one in more)]
            for inner in (_REASONING, _AUDIO_COMPLETION):
                rates[inner] -= rates[_COMPLETION]
            values = float(base - largest * rates[0]) + columns @ np.array([float(rate) for rate in rates])
            order = np.argsort(columns[:, _PROMPT] + columns[:, _COMPLETION], kind="stable")
            told = [self._call(prices, columns[row].tolist()) for row in order[[0, -1]].tolist()]
        except ValueError:
            return None
        return values if np.allclose(values[order[[0, -1]]], np.array(told, float), rtol=1e-9, atol=0) else None

    def _one_by_one(self, prices: Any, columns: _Ints) -> tuple[Any, list[tuple[Any, str]]]:
        """Dollars by a call for each combination of counts; and which have none, each with the reason."""
        distinct, which = np.unique(columns, axis=0, return_inverse=True)
        values = np.full(len(distinct), np.nan)
        reasons: dict[str, list[int]] = {}
        for at, row in enumerate(distinct.tolist()):
            try:
                values[at] = float(self._call(prices, row))
            except ValueError as error:
                reasons.setdefault(f"genai-prices: {error}", []).append(at)
        which = which.reshape(-1)
        return values[which], [(np.isin(which, some), reason) for reason, some in reasons.items()]

    def _call(self, prices: Any, counts: list[int]) -> Any:
        usage = {key: count for key, count in zip(_NAMES.values(), counts, strict=True) if count}
        return prices.calc_price(self._usage(**usage))["total_price"]


def _prices_at(model: Any, time: int) -> Any:
    return model.get_prices(datetime.fromtimestamp(time, UTC))


def _by_tokens(prices: Any) -> Any:
    """These prices without that of a request."""
    told = {name: price for name, price in vars(prices).items() if not name.startswith("_") and name != _REQUESTS}
    return type(prices)(**told)


def _has_price(prices: Any, direction: str) -> bool:
    return getattr(prices, f"{direction}_mtok") is not None or getattr(prices, f"{direction}_text_mtok") is not None


def _cost_the_same(model: Any, other: Any) -> bool:
    one, two = _prices_at(model, _LAST), _prices_at(other, _LAST)
    return all(getattr(one, name) == getattr(two, name) for name in ("input_mtok", "output_mtok"))
