"""Percentiles by group: values and groups in; for each group its percentiles, and their table in print, out.

Defined as NumPy's method "linear" (definition 7 of Hyndman and Fan, 1996), over the streams that have the value: of n
values in their order, counted from 0, the p-th percentile is at place (n - 1) p / 100, in a straight line between its
neighbours where that is no whole number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from chunkwire._render import Column, count_text, seconds_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._table import UsageTable

    _Ints = npt.NDArray[np.int64]

__all__ = ["MEASURES", "point_names", "points_of", "spread", "table_of"]

#: What has percentiles, and what it is called in print.
MEASURES = {
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "completion tokens",
    "total_tokens": "total tokens",
    "chunks": "chunks",
    "time_to_first_token": "time to first token",
    "generation_time": "generation time",
}
_SECONDS = ("time_to_first_token", "generation_time")
_USUAL = (50.0, 95.0, 99.0)


def points_of(percentiles: bool | Iterable[float] | None) -> tuple[float, ...]:
    """The percentiles that are asked for."""
    if percentiles is None or isinstance(percentiles, bool):
        return _USUAL if percentiles else ()
    if not isinstance(percentiles, Iterable) or isinstance(percentiles, (str, bytes)):
        raise TypeError(f"percentiles: expected True or numbers from 0 to 100, got {percentiles!r}")
    points: list[float] = []
    for point in percentiles:
        if not isinstance(point, Real) or isinstance(point, bool) or not 0 <= float(point) <= 100:
            raise ValueError(f"percentiles: expected numbers from 0 to 100, got {point!r}")
        points.append(float(point))
    return tuple(dict.fromkeys(points))


def point_names(points: Sequence[float]) -> list[str]:
    """How they are called: p50, p99.9."""
    return [f"p{int(point) if point == int(point) else repr(point)}" for point in points]


def spread(table: UsageTable, groups: _Ints, count: int, points: Sequence[float]) -> dict[str, list[Any]]:
    """For each measure how many streams of each group have it, and their percentiles (None where none has)."""
    found: dict[str, list[Any]] = {}
    for name in MEASURES if points else ():
        valid = table.valid(name)
        counts, columns = _percentiles(getattr(table, name)[valid], groups[valid], count, points)
        found[f"{name}_streams"] = counts.tolist()
        for point, column in zip(point_names(points), columns, strict=True):
            known: Any = column.astype(object)
            known[counts == 0] = None
            found[f"{name}_{point}"] = known.tolist()
    return found


def _percentiles(values: Any, groups: _Ints, count: int, points: Sequence[float]) -> tuple[_Ints, list[Any]]:
    """The number of values in each group, and for each point a column of float64."""
    import numpy as np

    by_value = np.argsort(values)
    order = by_value[np.argsort(groups[by_value], kind="stable")]
    ascending = np.append(values[order].astype(np.float64), 0.0)  # for groups without values a place to point to
    counts = np.bincount(groups, minlength=count).astype(np.int64)
    starts = np.cumsum(counts) - counts
    columns = []
    for point in points:
        place = np.maximum(counts - 1, 0) * (point / 100)
        below = np.floor(place)
        part = place - below
        first = starts + below.astype(np.int64)
        low, high = ascending[first], ascending[first + (part > 0)]
        # As NumPy does it, from the nearer neighbour; but where their distance is no finite number.
        with np.errstate(over="ignore", invalid="ignore"):
            step = high - low
            value = np.where(part < 0.5, low + step * part, high - step * (1 - part))
            value = np.where(np.isfinite(step), value, low * (1 - part) + high * part)
        columns.append(value)
    return counts, columns


def table_of(
    by: Sequence[str], rows: Iterable[dict[str, Any]], total: dict[str, Any], points: Sequence[float]
) -> tuple[list[Column], list[dict[str, Any]], list[dict[str, Any]]]:
    """As it is printed: a line for each group and measure that it has, and below those of the total; they are alone
    where there are no groups."""
    names = point_names(points)
    columns = [
        *(Column(name, name.replace("_", " "), is_text=True) for name in by),
        Column("measure", "of each stream", is_text=True),
        Column("streams", "streams", optional=1),
        *(Column(name, name) for name in names),
    ]

    def lines(row: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name in MEASURES:
            if not row[f"{name}_streams"]:
                continue
            line: dict[str, Any] = dict.fromkeys(by, "") if found else {key: row[key] for key in by if key in row}
            line |= {"measure": MEASURES[name], "streams": row[f"{name}_streams"]}
            text = seconds_text if name in _SECONDS else count_text
            found.append(line | {point: text(row[f"{name}_{point}"]) for point in names})
        return found

    groups = [line for row in rows for line in lines(row)]
    return (columns, groups, lines(total)) if groups else (columns[len(by) :], lines(total), [])
