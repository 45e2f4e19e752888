"""Sums over the rows of a usage table: the table's columns in, a `Summary` of groups and a total out.

All sums are exact: where 64 bits may not hold one, Python's integers do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from chunkwire._render import Column, as_text, cell_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._table import UsageTable

    _Ints = npt.NDArray[np.int64]

__all__ = ["BY", "Summary", "summarize"]

BY = ("model", "day", "source", "status", "finish_reason")

_SUMS = ("chunks", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")
_HEADS = {"finish_reason": "finish reason"}
_EPOCH = date(1970, 1, 1)
_LAST_DAY = (date(9999, 12, 31) - _EPOCH).days


class Summary:
    """Token counts by group: iterate it for its rows, print it for a table.

    Attributes
    ----------
    by : tuple of str
        What the rows are grouped by.
    columns : tuple of str
        The keys of each row, in order: the groups', ``streams``, ``reported`` (streams whose server reported usage),
        ``chunks``, the token counts, and ``cost`` if any server reported one.
    total : dict
        The same sums over all rows, without the groups' keys.
    """

    def __init__(self, by: tuple[str, ...], rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
        self.by = by
        self.columns: tuple[str, ...] = (*by, *total)
        self.total = total
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
        return (self.by, self._rows, self.total) == (other.by, other._rows, other.total)

    __hash__ = None  # type: ignore[assignment]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows, without the total."""
        return [dict(row) for row in self._rows]

    @property
    def note(self) -> str:
        """How many streams reported usage, in words."""
        return reported_note(self.total["reported"], self.total["streams"])

    def text_columns(self) -> list[Column]:
        """The columns as they are printed: keys to the left, numbers to the right."""
        optional = {"chunks": 1, "reported": 2, "streams": 4, "reasoning_tokens": 3}
        return [
            Column(
                name,
                _HEADS.get(name, name.removesuffix("_tokens")),
                is_text=name in self.by,
                optional=optional.get(name, 0),
            )
            for name in self.columns
        ]

    def __str__(self) -> str:
        return f"{as_text(self.text_columns(), self._rows, self.total)}\n\n{self.note}"

    def __repr__(self) -> str:
        return f"<Summary by {', '.join(self.by)}: {len(self)} rows>\n{self}"

    def _repr_html_(self) -> str:
        columns = self.text_columns()

        def line(row: dict[str, Any], tag: str) -> str:
            cells = (
                f'<{tag} style="text-align:{"left" if column.is_text else "right"}">'
                f"{escape(cell_text(row, column))}</{tag}>"
                for column in columns
            )
            return f"<tr>{''.join(cells)}</tr>"

        head = line({column.name: column.head for column in columns}, "th")
        body = "".join(line(row, "td") for row in self._rows)
        total = line({self.by[0]: "total"} | self.total, "th")
        return (
            f"<table><thead>{head}</thead><tbody>{body}</tbody><tfoot>{total}</tfoot></table><p>{escape(self.note)}</p>"
        )


def reported_note(reported: int, streams: int) -> str:
    """How many streams reported usage, in words."""
    return f"{reported:,} of {streams:,} {'stream' if streams == 1 else 'streams'} reported usage"


def summarize(table: UsageTable, by: str | tuple[str, ...] | list[str]) -> Summary:
    """Sums the table's rows by one key or several."""
    import numpy as np

    keys = (by,) if isinstance(by, str) else tuple(by)
    unknown = [key for key in keys if key not in BY]
    if unknown or not keys or len(set(keys)) < len(keys):
        what = f"by {unknown[0]!r}" if unknown else "by nothing" if not keys else "twice by the same key"
        raise ValueError(f"cannot summarize {what}; possible are {', '.join(map(repr, BY))}, or several of them")

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

    sums = _sums(table, groups)
    count = len(sums["streams"])
    if not len(table):
        return Summary(keys, [], _sums_of_nothing())
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
            place = (rows[group]["day"],) if key == "day" else (-totals[one], int(begins[one]))
            places[group] += place
    order = sorted(range(count), key=places.__getitem__)
    total = {name: values[0] for name, values in _sums(table, np.zeros_like(groups)).items()}
    return Summary(keys, [rows[group] for group in order], total)


def _coded(table: UsageTable, key: str) -> tuple[_Ints, list[Any]]:
    """A key of each row, as a number and the text that it stands for."""
    if key != "day":
        return table._codes(key)
    import numpy as np

    # Nobody sent a time before 1970, and after the year 9999 there are no dates.
    days, codes = np.unique(np.where(table.created > 0, table.created // 86400, -1), return_inverse=True)
    texts = [(_EPOCH + timedelta(day)).isoformat() if 0 <= day <= _LAST_DAY else "unknown" for day in days.tolist()]
    distinct = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return np.array([distinct[text] for text in texts], np.int64)[codes.reshape(-1)], list(distinct)


def _sums(table: UsageTable, groups: _Ints) -> dict[str, list[Any]]:
    import numpy as np

    sums: dict[str, list[Any]] = {
        "streams": _exact_sums(np.ones(len(groups), np.int64), groups),
        "reported": _exact_sums(table.reported.astype(np.int64), groups),
    }
    for name in _SUMS:
        sums[name] = _exact_sums(getattr(table, name), groups)
    has_cost = ~np.isnan(table.cost)
    if has_cost.any():
        costs: list[list[float]] = [[] for _ in sums["streams"]]
        for group, cost in zip(groups[has_cost].tolist(), table.cost[has_cost].tolist(), strict=True):
            costs[group].append(cost)
        sums["cost"] = [math.fsum(some) if some else None for some in costs]
    return sums


def _sums_of_nothing() -> dict[str, Any]:
    return dict.fromkeys(("streams", "reported", *_SUMS), 0)


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
