"""Sums over the rows of a usage table: the table's columns in, a `Summary` of groups and a total out.

All sums are exact: where 64 bits may not hold one, Python's integers do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from chunkwire import _breakdown, _percentiles
from chunkwire._order import ordered, sort_keys, top_of
from chunkwire._percentiles import points_of, spread
from chunkwire._render import Column, Total, as_text, cell_text, footers
from chunkwire._times import ALWAYS, UNITS, When, Window, coded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._table import UsageTable

    _Ints = npt.NDArray[np.int64]

__all__ = ["BY", "Summary", "reported_note", "summarize"]

BY = ("model", *UNITS, "source", "status", "finish_reason")

_SUMS = ("chunks", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")
#: The sums of what was estimated, and of how many streams that is.
_ESTIMATES = ("estimated", "estimated_completion_tokens", "estimated_low", "estimated_high")
#: What stands in the table of sums.
_MAIN = ("streams", "reported", *_SUMS, "cost", "priced", "computed_cost", *_ESTIMATES)
_HEADS = {
    "finish_reason": "finish reason",
    "computed_cost": "computed",
    "estimated": "est. streams",
    "estimated_completion_tokens": "estimate",
    "estimated_low": "low",
    "estimated_high": "high",
}
#: Which columns a narrow terminal can do without: the smallest first.
_OPTIONAL = {"chunks": 1, "reported": 2, "reasoning_tokens": 3, "streams": 4}
_OPTIONAL |= {"priced": 2, "estimated": 3, "cached_tokens": 5, "estimated_low": 6, "estimated_high": 6}


class Summary:
    """Token counts by group: iterate it for its rows, print it for a table.

    Attributes
    ----------
    by : tuple of str
        What the rows are grouped by.
    columns : tuple of str
        The keys of each row, in order: the groups', ``streams``, ``reported`` (streams whose server reported usage),
        ``chunks``, the token counts, ``cost`` if any server reported one, and what else was asked for. With prices,
        ``priced`` (streams that have one) and ``computed_cost``; with estimates, ``estimated`` (streams without usage
        that have one), ``estimated_completion_tokens``, ``estimated_low`` and ``estimated_high``.
    total : dict
        The same sums over all rows, without the groups' keys.
    other : dict or None
        The same over the groups that ``top`` left out, and as ``groups`` how many those are.
    since, until : datetime or None
        Only streams that were created since then, and before that; in UTC.
    outside, undated : int
        How many streams that left out: those from before or after, and those that have no time.
    percentiles : tuple of float
        Which percentiles the rows have.
    """

    def __init__(
        self,
        by: tuple[str, ...],
        rows: list[dict[str, Any]],
        total: dict[str, Any],
        *,
        other: dict[str, Any] | None = None,
        window: Window = ALWAYS,
        outside: int = 0,
        undated: int = 0,
        percentiles: tuple[float, ...] = (),
        priced: str = "",
    ) -> None:
        self._priced = priced
        self.by = by
        self.columns: tuple[str, ...] = (*by, *total)
        self.total = total
        self.other = other
        self.since: datetime | None = window.since
        self.until: datetime | None = window.until
        self.outside = outside
        self.undated = undated
        self.percentiles = percentiles
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_dicts())

    def __getitem__(self, index: int) -> dict[str, Any]:
        return dict(self._rows[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Summary):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("by", "_rows", "total", "other", "since", "until", "outside", "undated", "percentiles")
        )

    __hash__ = None  # type: ignore[assignment]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows, without the total and the other."""
        return [dict(row) for row in self._rows]

    @property
    def note(self) -> str:
        """How many streams reported usage, of how many it is estimated, how many are not in the sums, and what has a
        price, in words."""
        lines = [reported_note(self.total["reported"], self.total["streams"])]
        if "estimated" in self.total:
            lines.append(_estimated_note(self.total))
        if left_out := self.left_out:
            lines.append(left_out)
        if self._priced:
            lines.append(self._priced)
        return "\n".join(lines)

    @property
    def left_out(self) -> str:
        """The limits of time, and what they left out, in words; nothing if there are none."""
        if self.since is None and self.until is None:
            return ""
        parts = [f"{_streams(self.outside)} from before or after"] if self.outside else []
        parts += [f"{_streams(self.undated)} without a time"] if self.undated else []
        since = f" since {self.since:{_TIME}}" if self.since else ""
        until = f" until {self.until:{_TIME}}" if self.until else ""
        return f"only what was created{since}{until} UTC; left out: {' and '.join(parts) or 'nothing'}"

    def tables(self, *, grouped: bool = True) -> list[tuple[list[Column], list[dict[str, Any]], Total]]:
        """What is printed: columns, rows and what stands below them, of the sums, of the kinds of tokens and of the
        percentiles (those two of the total alone if not ``grouped``)."""
        rows = self.to_dicts()
        if self.other is not None:
            rows.append({self.by[0]: self._other_label} | self.other)
        found: list[tuple[list[Column], list[dict[str, Any]], Total]] = [(self.text_columns(), rows, self.total)]
        groups = rows if grouped and len(rows) > 1 else ()
        if _breakdown.share_name("cached_tokens") in self.total and self.total["streams"]:
            found.append(_breakdown.table_of(self.by, groups, self.total))
        if self.percentiles and self.total["streams"]:
            found.append(_percentiles.table_of(self.by, groups, self.total, self.percentiles))
        return found

    @property
    def _other_label(self) -> str:
        """What the row of the other groups is called."""
        number = self.other["groups"] if self.other is not None else 0
        return f"other ({number:,} {'group' if number == 1 else 'groups'})"

    def text_columns(self) -> list[Column]:
        """The columns of the sums as they are printed: keys to the left, numbers to the right."""
        return [
            Column(
                name,
                _HEADS.get(name, name.removesuffix("_tokens")),
                is_text=name in self.by,
                optional=_OPTIONAL.get(name, 0),
            )
            for name in self.columns
            if name in (*self.by, *_MAIN)
        ]

    def __str__(self) -> str:
        return "\n\n".join([*(as_text(*table) for table in self.tables()), self.note])

    def __repr__(self) -> str:
        return f"<Summary by {', '.join(self.by)}: {len(self)} rows>\n{self}"

    def _repr_html_(self) -> str:
        return "".join(_html(*table) for table in self.tables()) + f"<p>{_lines(self.note)}</p>"


def _html(columns: list[Column], rows: list[dict[str, Any]], total: Total) -> str:
    def line(row: dict[str, Any], tag: str) -> str:
        sides = ("left" if column.is_text else "right" for column in columns)
        cells = (
            f'<{tag} style="text-align:{side}">{escape(cell_text(row, column))}</{tag}>'
            for side, column in zip(sides, columns, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    head = line({column.name: column.head for column in columns}, "th")
    body = "".join(line(row, "td") for row in rows)
    end = "".join(line(row, "th") for row in footers(columns, total))
    return f"<table><thead>{head}</thead><tbody>{body}</tbody><tfoot>{end}</tfoot></table>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


_TIME = "%Y-%m-%d %H:%M:%S"


def _streams(number: int) -> str:
    return f"{number:,} {'stream' if number == 1 else 'streams'}"


def reported_note(reported: int, streams: int) -> str:
    """How many streams reported usage, in words."""
    return f"{reported:,} of {_streams(streams)} reported usage"


def _estimated_note(total: dict[str, Any]) -> str:
    silent = total["streams"] - total["reported"]
    if not total["estimated"]:
        return "no estimate of the others: nothing to calibrate it on" if silent else "nothing to estimate"
    spread = "" if total["estimated_low"] is None else f", {total['estimated_low']:,} to {total['estimated_high']:,}"
    tokens = f"about {total['estimated_completion_tokens']:,} completion tokens{spread}"
    return f"{total['estimated']:,} of the other {silent:,} estimated ({tokens})"


def summarize(
    table: UsageTable,
    by: str | Sequence[str],
    *,
    since: When | None,
    until: When | None,
    sort: str | Iterable[str] | None,
    top: int | None,
    breakdown: bool,
    percentiles: bool | Iterable[float],
) -> Summary:
    """Sums the table's rows by one key or several."""
    import numpy as np

    if not isinstance(by, Iterable):
        raise TypeError(f"by: expected {', '.join(map(repr, BY))}, or several of them, got {by!r}")
    keys = (by,) if isinstance(by, str) else tuple(by)
    possible = (*BY, *table._rows.kept)
    unknown = [key for key in keys if key not in possible]
    if unknown or not keys or len(set(keys)) < len(keys):
        what = f"by {unknown[0]!r}" if unknown else "by nothing" if not keys else "twice by the same key"
        others = f"; keep=[{unknown[0]!r}] (--keep) makes a key of a member of lines" if unknown else ""
        possible_keys = ", ".join(map(repr, possible))
        raise ValueError(f"cannot summarize {what}; possible are {possible_keys}, or several of them{others}")
    points, most, window = points_of(percentiles), top_of(top), Window.of(since, until)
    outside = undated = 0
    if window:
        inside, outside, undated = window.split(table.created)
        table = table[inside]

    def measured(table: UsageTable, groups: _Ints) -> dict[str, list[Any]]:
        sums = _sums(table, groups, _breakdown.KINDS if breakdown else ())
        if breakdown:
            sums |= _breakdown.shares(sums)
        return sums | spread(table, groups, len(sums["streams"]), points)

    def alone(table: UsageTable) -> dict[str, Any]:
        if not len(table):
            return _nothing(measured(table, np.zeros(0, np.int64)))
        return {name: values[0] for name, values in measured(table, np.zeros(len(table), np.int64)).items()}

    total = alone(table)
    sorting = None if sort is None else sort_keys(sort, [*keys, *dict.fromkeys([*total, "cost"])], keys)
    about: dict[str, Any] = {"window": window, "outside": outside, "undated": undated, "percentiles": points}
    about["priced"] = table.costs.note if table.costs is not None else ""
    if not len(table):
        return Summary(keys, [], total, **about)

    # Each group is a number; of two keys, a pair of numbers made one.
    groups = np.zeros(len(table), np.int64)
    parents: list[_Ints] = []  # for each key, the group by the keys so far
    names: list[list[Any]] = []
    numbers: list[_Ints] = []
    for key in keys:
        codes, texts = _coded(table, key)
        names.append(texts)
        numbers.append(codes)
        _, groups = np.unique(groups * len(texts) + codes, return_inverse=True)
        groups = groups.reshape(-1).astype(np.int64, copy=False)
        parents.append(groups)

    sums = measured(table, groups)
    count = len(sums["streams"])
    _, first = np.unique(groups, return_index=True)
    rows = []
    for group in range(count):
        row: dict[str, Any] = {key: names[at][int(numbers[at][first[group]])] for at, key in enumerate(keys)}
        rows.append(row | {name: values[group] for name, values in sums.items()})

    # The largest first, key by key: all rows of the largest model, the largest of its days ... but days as they come.
    places: list[tuple[Any, ...]] = [()] * count
    for key, parent in zip(keys, parents, strict=True):
        totals = _exact_sums(table.total_tokens, parent)
        _, begins = np.unique(parent, return_index=True)
        for group in range(count):
            one = int(parent[first[group]])
            place = (rows[group][key],) if key in UNITS else (-totals[one], int(begins[one]))
            places[group] += place
    order = sorted(range(count), key=places.__getitem__)
    if sorting is not None:
        order = ordered(rows, sorting, order)
    if most is None or most >= count:
        return Summary(keys, [rows[group] for group in order], total, **about)
    if sorting is None:  # those with the most tokens, but in their own order
        largest = set(ordered(rows, [("total_tokens", True)], order)[:most])
        order = [group for group in order if group in largest]
    shown = np.zeros(count, bool)
    shown[order[:most]] = True
    rest = alone(table[~shown[groups]])
    other = {"groups": count - most} | {name: rest.get(name) for name in total}
    return Summary(keys, [rows[group] for group in order[:most]], total, other=other, **about)


def _coded(table: UsageTable, key: str) -> tuple[_Ints, list[Any]]:
    """A key of each row, as a number and the text that it stands for."""
    return coded(table.created, key) if key in UNITS else table._codes(key)


def _sums(table: UsageTable, groups: _Ints, kinds: Sequence[str]) -> dict[str, list[Any]]:
    import numpy as np

    sums: dict[str, list[Any]] = {
        "streams": _exact_sums(np.ones(len(groups), np.int64), groups),
        "reported": _exact_sums(table.reported.astype(np.int64), groups),
    }
    for name in _SUMS:
        sums[name] = _exact_sums(getattr(table, name), groups)
    count, added = len(sums["streams"]), table._rows.added
    if not np.isnan(table.cost).all():
        sums["cost"] = _float_sums(table.cost, groups, count)
    if "computed_cost" in added:
        sums["priced"] = _exact_sums((~np.isnan(table.computed_cost)).astype(np.int64), groups)
        sums["computed_cost"] = _float_sums(table.computed_cost, groups, count)
    if _ESTIMATES[1] in added:
        sums |= _estimated_sums(table, groups, count)
    for name in kinds:
        if name not in sums:
            sums[name] = _exact_sums(getattr(table, name), groups)
    return sums


def _float_sums(values: Any, groups: _Ints, count: int) -> list[float | None]:
    """The sum of each group's values that are not NaN; None where it has none."""
    import numpy as np

    known = ~np.isnan(values)
    some: list[list[float]] = [[] for _ in range(count)]
    for group, value in zip(groups[known].tolist(), values[known].tolist(), strict=True):
        some[group].append(value)
    return [_float_sum(one) if one else None for one in some]


def _float_sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # more than a float can be, or infinities of both signs
        return sum(values)


def _estimated_sums(table: UsageTable, groups: _Ints, count: int) -> dict[str, list[Any]]:
    """Whole tokens of each group; and no spread where that of one of its streams is not known."""
    import numpy as np

    tokens = table.estimated_completion_tokens
    sums: dict[str, list[Any]] = {"estimated": _exact_sums((~np.isnan(tokens)).astype(np.int64), groups)}
    lacks = _exact_sums((~np.isnan(tokens) & np.isnan(table.estimated_low)).astype(np.int64), groups)
    for name in _ESTIMATES[1:]:
        found = _float_sums(getattr(table, name), groups, count)
        unknown = lacks if name != "estimated_completion_tokens" else [0] * count
        sums[name] = [
            None if lack or value is None else round(value) for value, lack in zip(found, unknown, strict=True)
        ]
    return sums


def _nothing(columns: Iterable[str]) -> dict[str, Any]:
    """The sums of no rows: counts are 0, and what has no value is None."""
    counts = ("_tokens", "streams", "reported", "chunks", "priced", "estimated")
    return {name: 0 if name.endswith(counts) and name not in _ESTIMATES[1:] else None for name in columns}


def _exact_sums(values: _Ints, groups: _Ints) -> list[int]:
    """The sum of each group, in the order of the groups' numbers."""
    import numpy as np

    if not len(values):
        return []
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    largest = max(abs(int(values.max())), abs(int(values.min())))
    addends: Any = values[order] if largest < 2**62 // len(values) else values[order].astype(object)
    sums: list[int] = np.add.reduceat(addends, starts).tolist()
    return sums
