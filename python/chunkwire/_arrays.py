"""What tables of columns share: an array for each column, made when it is asked for, and rows as dicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Table", "objects"]


class Table:
    """Columns that are made by `_array`, once, and cannot be written to; `to_dict` has them as lists."""

    def __init__(self) -> None:
        self._arrays: dict[str, Any] = {}

    def _array(self, name: str) -> Any:
        raise NotImplementedError

    def _column(self, name: str) -> Any:
        array = self._arrays.get(name)
        if array is None:
            array = self._array(name)
            array.flags.writeable = False
            self._arrays[name] = array
        return array

    def to_dict(self) -> dict[str, list[Any]]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = self.to_dict()
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


def objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """An array of these objects, whatever they are."""
    import numpy as np

    array = np.empty(len(values), object)
    array[:] = values
    return array
