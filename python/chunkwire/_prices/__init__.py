"""What streams cost: a usage table's counts and a list of prices in, US dollars by stream out.

`_counts` says which tokens are billed how, `_genai` and `_litellm` know prices. NumPy is imported here: whoever imports
this room does so late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from chunkwire._prices._counts import NO_USAGE, Billed, billed, keys_of
from chunkwire._render import printable

if TYPE_CHECKING:
    from chunkwire._table import UsageTable

__all__ = ["CostColumn", "Costs", "Priced", "Prices", "Unpriced", "costs_of"]

#: "genai-prices" (or None), or a price file in the form of LiteLLM's: a path, or what it holds.
Prices: TypeAlias = "str | PathLike[str] | Mapping[str, Any] | None"
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

_NO_MODEL = "the server sent no model"
#: So many models without a price are told of in a note.
_TOLD = 3


class Unpriced(NamedTuple):
    """Streams that have no price, and why."""

    model: str | None
    provider: str | None  #: who was named, or whose prices were found
    reason: str
    streams: int


class _Column(np.ndarray[tuple[int], np.dtype[np.float64]]):
    """An array of float64 that knows more than its numbers; what is computed or copied from it is a plain array."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = tuple(_plain(one) for one in options["out"])
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return _plain(super().__array_function__(function, types, arguments, options))

    def __getitem__(self, index: Any) -> Any:
        return self.view(np.ndarray)[index]

    def copy(self, order: Any = "C") -> Any:
        return np.array(self, order=order)

    def __copy__(self) -> Any:
        return np.array(self)

    def __deepcopy__(self, _: Any) -> Any:
        return np.array(self)

    def __reduce__(self) -> Any:
        return np.array(self).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.array(self).__reduce_ex__(protocol)


def _plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, _Column) else array


class CostColumn(_Column):
    """The cost of each stream as its server reported it, in US dollars where it says so; NaN where it did not.

    Call it for costs by a list of prices.
    """

    _table: UsageTable | None = None

    @classmethod
    def of(cls, column: _Floats, table: UsageTable) -> CostColumn:
        """The column of a table."""
        made = column.view(cls)
        made._table = table
        return made

    def __call__(
        self, prices: Prices = None, *, provider: str | None = None, aliases: Mapping[str, str] | None = None
    ) -> Costs:
        """What each stream costs by a list of prices; what the server reported takes no part.

        Parameters
        ----------
        prices : None, "genai-prices", a path or a mapping
            None and "genai-prices" mean the package genai-prices (``pip install 'chunkwire[prices]'``), whose prices
            may change by day and hour: those of a stream's ``created`` count. Anything else is a price file in the form
            of LiteLLM's ``model_prices_and_context_window.json``, or what it holds.
        provider : str, optional
            Who serves the models, by the name that the prices have for them, e.g. "groq": the same model costs more
            with one than with another. Without it a model's name has to say enough.
        aliases : mapping, optional
            For the name of a model, as servers send it, the name that the prices have. That may begin with a provider
            and a slash, whose price is taken if ``provider`` has none by this name.

        Returns
        -------
        Costs
            float64, shape (streams,): US dollars, NaN where there is no price.

        Raises
        ------
        ImportError
            If genai-prices is asked for and not installed.
        ValueError
            If the file is no list of prices, or the prices do not know the provider.
        OSError
            If the file cannot be read.
        TypeError
            If one of these is of another type.
        """
        if self._table is None:
            raise TypeError("only the column of a table can be called: table.cost(...)")
        return costs_of(self._table, prices, provider=provider, aliases=aliases)


@dataclass(frozen=True, slots=True)
class _Why:
    """For each stream its model and, if it has no price, the reason: numbers, and what they stand for."""

    keys: _Ints  # which stream it is
    models: _Ints
    reasons: _Ints  # 0 is none
    names: list[str | None]
    texts: list[str]
    providers: list[str | None]
    entries: list[str | None]  # whose prices were taken

    def of_rows(self, rows: Any) -> _Why:
        return replace(self, keys=self.keys[rows], models=self.models[rows], reasons=self.reasons[rows])

    def unpriced(self) -> list[Unpriced]:
        """The most streams first."""
        lacks = self.reasons > 0
        pairs, counts = np.unique(np.stack([self.models[lacks], self.reasons[lacks]], 1), axis=0, return_counts=True)
        found = [
            Unpriced(self.names[model], self.providers[model], self.texts[reason], streams)
            for (model, reason), streams in zip(pairs.tolist(), counts.tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: (-one.streams, one.model or "", one.reason))

    def matched(self) -> dict[str, str]:
        """By model the entry whose prices were taken."""
        pairs = ((self.names[model], self.entries[model]) for model in np.unique(self.models).tolist())
        return {name: entry for name, entry in pairs if name is not None and entry is not None}


class Costs(_Column):
    """What streams cost by a list of prices: float64, shape (streams,), US dollars, NaN where there is no price.

    Each request is priced by itself, since prices may depend on its size and time. Tokens that were read from a cache
    or written to it, reasoning, and audio cost what the prices say for them, and else what other tokens of their
    direction cost. What is no token (searches, images, tiers of service) is not in it, nor are genai-prices' fees for a
    request; what a price file has as ``input_cost_per_request`` is. Tokens that were written to a cache for an hour are
    billed as others that were written to it, though they cost more.

    Tokens of a cache by Anthropic's names, where ``total_tokens`` is no more than the other tokens, lie beside the
    prompt tokens if those could not contain them, and else inside them: of a server that always counts them beside,
    the streams with few of them are thus billed for too little. By a price file, a dated model costs what
    the same model without a date (or the newest) does, if the file does not have that date and no other differs.

    Attributes
    ----------
    total : float
        The sum of what has a price.
    priced : int
        How many streams have one.
    unpriced : list of (model, provider, reason, streams)
        Which have none, and why; the most streams first.
    matched : dict of str to str
        For each model, as servers named it, the entry whose prices were taken.
    source : str
        Where the prices come from.
    """

    total: float
    priced: int
    unpriced: list[Unpriced]
    matched: dict[str, str]
    source: str
    _why: _Why

    @classmethod
    def of(cls, dollars: _Floats, why: _Why, source: str) -> Costs:
        """Costs by stream, with what is to be said of them."""
        made = dollars.view(cls)
        known = dollars[~np.isnan(dollars)].tolist()
        made.total, made.priced, made.source, made._why = _sum(known), len(known), source, why
        made.unpriced, made.matched = why.unpriced(), why.matched()
        made.flags.writeable = False
        return made

    def of_rows(self, rows: Any) -> Costs:
        """Those of some streams."""
        return Costs.of(np.array(self)[rows], self._why.of_rows(rows), self.source)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name in Costs.__annotations__:
                raise AttributeError(f"these are costs that were computed from others; only cost(...) has {name!r}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def note(self) -> str:
        """How many streams have a price, in words, and what has none."""
        if "priced" not in self.__dict__:
            return ""
        text = f"{self.priced:,} of {_streams(len(self))} priced by {self.source}"
        silent = sum(one.streams for one in self.unpriced if one.reason == NO_USAGE)
        others = [one for one in self.unpriced if one.reason != NO_USAGE]
        told = [f"{_streams(silent)} without usage"] if silent else []
        told += [f"{one.model or 'no model'} ({_streams(one.streams)}): {one.reason}" for one in others[:_TOLD]]
        if len(others) > _TOLD:
            told.append(f"{_streams(sum(one.streams for one in others[_TOLD:]))} of other models")
        return "\n  ".join([f"{text}; not priced:", *map(printable, told)]) if told else text

    def __repr__(self) -> str:
        return f"{np.array(self)!r}\n{self.note}".rstrip()


def _sum(dollars: list[float]) -> float:
    try:
        return math.fsum(dollars)
    except OverflowError:  # more than a float can be
        return math.inf


def _streams(count: int) -> str:
    return f"{count:,} {'stream' if count == 1 else 'streams'}"


class Source(Protocol):
    """A list of prices."""

    name: str

    def find(self, model: str) -> Any:
        """The prices of a model by the name that a server sent; a `NoPrice` if there are none."""

    def price(self, found: Any, counts: Billed, rows: npt.NDArray[np.int64]) -> tuple[_Floats, list[tuple[Any, str]]]:
        """Dollars for these rows; and which of them (as a mask) have none, each with the reason."""


class Priced:
    """The rows of a table, and what they cost: a column more."""

    def __init__(self, table: UsageTable, costs: Costs) -> None:
        if "_why" not in vars(costs) or not np.array_equal(costs._why.keys, keys_of(table)):
            raise ValueError("these costs are not those of this table's streams; take what table.cost(...) gave")
        self.costs = costs
        self.added: tuple[str, ...] = (
            *(name for name in table._rows.added if name != "computed_cost"),
            "computed_cost",
        )
        self.kept: dict[str, str] = table._rows.kept
        self._table = table

    def __reduce__(self) -> Any:
        # Costs are pickled and copied as a plain array.
        return _priced, (self._table, np.array(self.costs), self.costs._why, self.costs.source)

    def __len__(self) -> int:
        return len(self._table)

    def column(self, name: str) -> Any:
        return np.array(self.costs) if name == "computed_cost" else self._table._column(name)

    def raw(self, row: int) -> bytes:
        """The usage object of a row as JSON, empty where none was reported."""
        return self._table._rows.raw(row)

    def codes(self, name: str) -> tuple[_Ints, list[str | None]]:
        return self._table._codes(name)

    def ids(self) -> tuple[bytes, _Ints] | None:
        """The ids one behind the other, and where each ends; None where they do not stand so."""
        return self._table._rows.ids()


def _priced(table: UsageTable, dollars: _Floats, why: _Why, source: str) -> Priced:
    """What was pickled."""
    return Priced(table, Costs.of(dollars, why, source))


def costs_of(
    table: UsageTable, prices: Prices, *, provider: str | None = None, aliases: Mapping[str, str] | None = None
) -> Costs:
    """Prices each stream of a table."""
    aliases = {} if aliases is None else aliases
    if not isinstance(aliases, Mapping) or not all(isinstance(name, str) for pair in aliases.items() for name in pair):
        raise TypeError("aliases must be a mapping of str to str: names of models to names that the prices have")
    source = _source(prices, provider, dict(aliases))
    codes, names = table._codes("model")
    counts = billed(table)
    dollars = np.full(len(table), np.nan)
    why = counts.why.copy()  # for each row the number of the reason; 0 for none yet
    reasons = list(counts.reasons)
    providers: list[str | None] = [provider] * len(names)
    entries: list[str | None] = [None] * len(names)

    def refuse(rows: npt.NDArray[np.int64], reason: str) -> None:
        if reason not in reasons:
            reasons.append(reason)
        why[rows] = reasons.index(reason)

    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names)), side="right").tolist()
    start = 0
    for code, (name, end) in enumerate(zip(names, ends, strict=True)):
        rows = order[start:end]
        start = end
        rows = rows[why[rows] == 0]
        if not len(rows):
            continue
        if name is None:
            refuse(rows, _NO_MODEL)
            continue
        found = source.find(name)
        if isinstance(found, str):
            refuse(rows, found)
            continue
        entries[code], providers[code] = found.name, found.provider
        dollars[rows], missing = source.price(found, counts, rows)
        for mask, reason in missing:
            refuse(rows[mask], reason)
    return Costs.of(dollars, _Why(keys_of(table), codes, why, names, reasons, providers, entries), source.name)


def _source(prices: Prices, provider: str | None, aliases: dict[str, str]) -> Source:
    if prices is None or (isinstance(prices, str) and prices == "genai-prices"):
        from chunkwire._prices._genai import GenaiPrices

        return GenaiPrices(provider, aliases)
    from chunkwire._prices._litellm import LiteLLMPrices

    return LiteLLMPrices(prices, provider, aliases)
