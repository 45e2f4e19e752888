"""What a usage table keeps of the lines of a log: JSON values of each stream in; columns, groups and Arrow data out.

A path is a column. Numbers alone make a column of numbers, anything else one of objects; what is absent is None there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chunkwire._arrays import objects

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._table import UsageTable

__all__ = ["Kept", "array_of", "arrow_column", "codes_of", "labels_of", "paths_of", "values_of"]

#: Names that mean something else in tables and sums.
_TAKEN = frozenset({"groups", "measured", "part", "priced", "streams", "valid", "month", "day", "hour", "estimated"})
_INT64 = range(-(2**63), 2**63)
#: Floats hold integers up to here.
_EXACT = 2**53


def paths_of(keep: Sequence[str] | str, taken: Sequence[str]) -> dict[str, str]:
    """The columns that are to be kept: their labels, and for each its path. A name that means something else in tables
    gets ``kept.`` before it. ValueError or TypeError for what is no path."""
    from chunkwire._options import check_path

    paths = (keep,) if isinstance(keep, str) else tuple(keep)
    for path in paths:
        check_path("keep", path)
    if len(set(paths)) < len(paths):
        raise ValueError("keep: the same path twice")
    return {f"kept.{path}" if path in _TAKEN or path in taken else path: path for path in paths}


def labels_of(table: UsageTable) -> dict[str, str]:
    """The label of each path that a table keeps."""
    return {path: label for label, path in table._rows.kept.items()}


class Kept(Mapping[str, "npt.NDArray[Any]"]):
    """What was kept of the lines, by path: ``usage.kept["user"]``."""

    def __init__(self, table: UsageTable) -> None:
        self._table = table
        self._labels = labels_of(table)

    def __getitem__(self, path: str) -> npt.NDArray[Any]:
        if path not in self._labels:
            kept = ", ".join(map(repr, self._labels)) or "nothing"
            raise KeyError(f"{path!r} is there if it was asked for: usage(..., keep=[{path!r}]); kept is {kept}")
        column: npt.NDArray[Any] = self._table._column(self._labels[path])
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"<Kept: {', '.join(self._labels) or 'nothing'}>"


def values_of(column: tuple[bytes, bytes]) -> list[Any]:
    """The values of an engine's column: JSON one behind the other, and where each ends; an empty one is None."""
    from chunkwire._json import read

    data, ends = column
    values, start = [], 0
    for end in memoryview(ends).cast("q"):
        values.append(read(data[start:end].decode("utf-8", "replace")) if end > start else None)
        start = end
    return values


def array_of(values: list[Any]) -> Any:
    """Values as an array: int64 if all are integers, float64 with NaN for None if all are numbers that those hold."""
    import numpy as np

    numbers = [value for value in values if value is not None]
    if numbers and all(_is_number(value) for value in numbers):
        if len(numbers) == len(values) and all(type(value) is int and value in _INT64 for value in numbers):
            return np.array(values, np.int64)
        if all(type(value) is float or abs(value) <= _EXACT for value in numbers):
            return np.array([np.nan if value is None else value for value in values], np.float64)
    return objects(values)


def codes_of(array: Any) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """A column as a number for each row, and the text of each number: what is no text as JSON."""
    import numpy as np

    numbers: dict[str | None, int] = {}
    codes = [numbers.setdefault(_text(value), len(numbers)) for value in _plain(array)]
    return np.array(codes, np.int64), list(numbers)


def arrow_column(label: str, array: Any) -> tuple[Any, ...]:
    """A column as the extension module takes it: numbers as they are, null for NaN; what is no number as text."""
    import numpy as np

    if array.dtype.kind == "i":
        return label, "int64", array, None
    if array.dtype.kind == "f":
        return label, "float64", array, ~np.isnan(array)
    return label, "texts", [_text(value) for value in _plain(array)]


def _plain(array: Any) -> list[Any]:
    values: list[Any] = array.tolist()
    return [None if value != value else value for value in values] if array.dtype.kind == "f" else values


def _text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)  # as it is in a column where some are absent
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float
