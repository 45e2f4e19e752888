"""Where the columns of a usage table come from: an engine's columns of each source, or the rows of another table, in;
an array for each column that is asked for, out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from chunkwire import _kept
from chunkwire._arrays import objects

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._prices import Costs
    from chunkwire._table import UsageTable

    _Ints: TypeAlias = npt.NDArray[np.int64]

__all__ = ["COLUMNS", "COMPUTED", "ESTIMATES", "FLOATS", "MEASURES", "TOKENS", "Part", "Parts", "Picked", "Rows"]

#: The token columns; the place of each is its bit in the engines' column ``valid``.
TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
#: All columns, in the order of rows as dicts.
COLUMNS = (
    "source",
    "offset",
    "id",
    "model",
    "created",
    "finish_reason",
    "status",
    "chunks",
    "reported",
    *TOKENS,
    "cost",
    "time_to_first_token",
    "generation_time",
)

#: The columns that `usage(estimate=True)` adds: what was measured, and what is estimated from it.
MEASURES = ("content_deltas", "text_bytes")
ESTIMATES = ("estimated_completion_tokens", "estimated_low", "estimated_high")
#: Floats that no server sent.
COMPUTED = (*ESTIMATES, "computed_cost")

#: Columns that have NaN where the server sent nothing.
FLOATS = ("cost", "time_to_first_token", "generation_time")
DTYPES = (
    dict.fromkeys((*TOKENS, "created", "chunks", "offset", *MEASURES), "int64")
    | dict.fromkeys(FLOATS, "float64")
    | {"reported": "bool", "valid": "uint16"}
)
CODED = ("source", "model", "finish_reason", "status")


class Rows(Protocol):
    """The rows of a usage table."""

    @property
    def added(self) -> tuple[str, ...]:
        """The columns that it has beside `COLUMNS`."""

    @property
    def kept(self) -> dict[str, str]:
        """Of those the ones that were kept of lines: for each label its path."""

    @property
    def costs(self) -> Costs | None:
        """What the streams cost, if prices were given."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Any:
        """A column as an array."""

    def ids(self) -> tuple[bytes, _Ints] | None:
        """The ids one behind the other, in UTF-8, and where each ends; an empty one is none. (None: they are not there
        in this form.)"""

    def raw(self, row: int) -> bytes:
        """The usage object of a row as JSON, empty where none was reported."""

    def codes(self, name: str) -> tuple[_Ints, list[str | None]]:
        """A column of texts as a number for each row, and the text of each number."""


@dataclass(slots=True)
class Part:
    """Columns of one source or of some in a row, and how many rows each of them has. The memory of a column is `bytes`,
    or another object with the buffer protocol."""

    labels: list[str]
    rows: list[int]
    columns: dict[str, Any]


class Parts:
    """The columns as engines gave them; each becomes an array when it is asked for."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        estimated: bool = False,
        kept: dict[str, str] | None = None,
    ) -> None:
        self._parts = parts
        self.kept: dict[str, str] = kept or {}
        measured = any(1 in part.columns.get("measured", b"") for part in parts)
        self.added: tuple[str, ...] = (
            *(("measured",) if measured else ()),
            *((*MEASURES, *ESTIMATES) if estimated else ()),
            *self.kept,
        )
        self.costs: Costs | None = None
        self._estimates: dict[str, Any] = {}
        self._rows = [sum(part.rows) for part in parts]

    def __len__(self) -> int:
        return sum(self._rows)

    def column(self, name: str) -> Any:
        """A column as an array."""
        import numpy as np

        if name in CODED:
            codes, texts = self.codes(name)
            return objects(texts)[codes]
        if name in ESTIMATES:
            from chunkwire._estimate import columns_of

            self._estimates = self._estimates or dict(zip(ESTIMATES, columns_of(self), strict=True))
            return self._estimates[name]
        if name == "part":
            rows = self._rows_by_source()
            return np.repeat(np.arange(len(rows)), rows)
        if name in self.kept:
            place = list(self.kept).index(name)
            found = (_kept.values_of(part.columns["kept"][place]) for part in self._parts)
            return _kept.array_of([value for values in found for value in values])
        if name == "measured":
            some = (part.columns.get("measured") or bytes(sum(part.rows)) for part in self._parts)
            return np.frombuffer(b"".join(some), "bool")
        if name == "id":
            return objects(
                [text for part in self._parts for text in _texts(bytes(part.columns["id"]), part.columns["id_end"])]
            )
        data = [part.columns[name] for part in self._parts]
        memory = data[0] if len(data) == 1 else b"".join(data)
        return np.frombuffer(memory, DTYPES[name]) if len(memory) else np.zeros(0, DTYPES[name])

    def _rows_by_source(self) -> _Ints:
        import numpy as np

        return np.array([rows for part in self._parts for rows in part.rows], np.int64)

    def ids(self) -> tuple[bytes, _Ints]:
        """The ids one behind the other, in UTF-8, and where each ends; an empty one is none."""
        import numpy as np

        start, pieces, ends = 0, [], [np.zeros(0, np.int64)]
        for part in self._parts:
            pieces.append(part.columns["id"])
            ends.append(np.frombuffer(part.columns["id_end"], np.int64) + start)
            start += len(part.columns["id"])
        return b"".join(pieces), np.concatenate(ends)

    def raw(self, row: int) -> bytes:
        """The usage object of a row as JSON, empty where none was reported."""
        part = 0
        while row >= self._rows[part]:
            row -= self._rows[part]
            part += 1
        columns = self._parts[part].columns
        ends = memoryview(columns["usage_end"]).cast("q")
        return bytes(memoryview(columns["usage"])[ends[row - 1] if row else 0 : ends[row]])

    def codes(self, name: str) -> tuple[_Ints, list[str | None]]:
        """A column of texts as a number for each row, and the text of each number."""
        import numpy as np

        numbers: dict[str | None, int] = {}
        if name in self.kept:
            return _kept.codes_of(self.column(name))
        if name == "source":
            each = [numbers.setdefault(label, len(numbers)) for part in self._parts for label in part.labels]
            return np.repeat(np.array(each, np.int64), self._rows_by_source()), list(numbers)
        pieces = [np.zeros(0, np.int64)]
        for part in self._parts:
            codes, texts = part.columns[name]
            if len(codes):
                # The last is what the code -1 finds.
                ours = [numbers.setdefault(text, len(numbers)) for text in texts]
                own = np.frombuffer(codes, "int32")
                nothing = numbers.setdefault(None, len(numbers)) if (own < 0).any() else -1
                pieces.append(np.array([*ours, nothing], np.int64)[own])
        return np.concatenate(pieces), list(numbers)


def _texts(data: bytes, ends: Any) -> Iterator[str | None]:
    """Texts that stand one behind the other, in UTF-8; None for one that is empty."""
    start = 0
    if data.isascii():
        text = data.decode()
        for end in memoryview(ends).cast("q"):
            yield text[start:end] or None
            start = end
        return
    for end in memoryview(ends).cast("q"):
        yield data[start:end].decode("utf-8", "surrogatepass") or None
        start = end


class Picked:
    """Some rows of another table."""

    def __init__(self, table: UsageTable, rows: Any, *, whole: bool = False) -> None:
        self._table = table
        self._rows = rows
        self._whole = whole  # all rows of one source, which is the only one of the new table
        self.added: tuple[str, ...] = table._rows.added
        self.kept: dict[str, str] = table._rows.kept

    @property
    def costs(self) -> Costs | None:
        costs = self._table.costs
        return None if costs is None else costs.of_rows(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def ids(self) -> None:
        """They do not stand one behind the other."""

    def column(self, name: str) -> Any:
        column = self._table._column(name)[self._rows]
        return column * 0 if name == "part" and self._whole else column

    def raw(self, row: int) -> bytes:
        """The usage object of a row as JSON, empty where none was reported."""
        return self._table._rows.raw(int(self._rows[row]))

    def codes(self, name: str) -> tuple[_Ints, list[str | None]]:
        import numpy as np

        codes, texts = self._table._codes(name)
        used, codes = np.unique(codes[self._rows], return_inverse=True)
        return codes.reshape(-1).astype(np.int64, copy=False), [texts[code] for code in used.tolist()]
