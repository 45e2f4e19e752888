"""Tables of columns as Arrow data: a usage table or batches of chunks in, the PyCapsules of Arrow's interface out.

The extension module makes them, for both engines. Numbers are not copied: Arrow's buffers are the columns' memory,
which lives as long as somebody has one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chunkwire._batches import ChunkBatch
    from chunkwire._table import UsageTable

__all__ = ["batch_array", "batch_schema", "batch_stream", "usage_schema", "usage_stream"]

#: Columns that have a value in every row.
_ALWAYS = frozenset({"source", "status", "offset", "chunks", "reported", "content_deltas", "text_bytes", "measured"})

#: A column as the extension module takes it: its name, its kind, and what is said of that in rust/python/arrow.
_Column = tuple[Any, ...]


def _native() -> Any:
    try:
        return importlib.import_module("chunkwire._native")
    except ImportError as error:
        raise ImportError(
            "Arrow data needs chunkwire's extension module, which is not in this installation "
            f"(no chunkwire._native: {error}); reinstall chunkwire"
        ) from error


def usage_stream(table: UsageTable, requested_schema: Any = None, *, names: Sequence[str] | None = None) -> Any:
    """A usage table as ``arrow_array_stream``; with ``names`` only these columns of it."""
    return _native().export_stream(_usage_columns(table, names), len(table), requested_schema)


def usage_schema(table: UsageTable) -> Any:
    """The ``arrow_schema`` of a usage table."""
    return _native().export_schema(_usage_columns(table, None))


def _usage_columns(table: UsageTable, names: Sequence[str] | None) -> list[_Column]:
    from chunkwire._rows import COLUMNS

    return [_usage_column(table, name) for name in ((*COLUMNS, *table._rows.added) if names is None else names)]


def _usage_column(table: UsageTable, name: str) -> _Column:
    if name in ("source", "model", "finish_reason", "status"):
        return (name, "coded", *_codes(*table._codes(name)))
    if name == "id":
        joined = table._rows.ids()
        if joined is None:
            return name, "texts", table._column(name).tolist()
        ids, ends = joined
        return name, "joined", ids, ends, _is_text(ends)
    column = table._column(name)
    if name in table._rows.kept:
        from chunkwire._kept import arrow_column

        return arrow_column(name, column)
    valid = None if name in _ALWAYS else table.valid(name)
    return name, column.dtype.name, column, valid


def _is_text(ends: Any) -> Any:
    """For each text, by where it ends, whether it is not empty."""
    import numpy as np

    return np.diff(ends, prepend=0) > 0


def _codes(codes: Any, texts: Sequence[str | None]) -> tuple[Any, list[str]]:
    """The same codes, but -1 for None, and the texts without it."""
    import numpy as np

    numbers = np.full(len(texts), -1, np.int32)
    some = [place for place, text in enumerate(texts) if text is not None]
    numbers[some] = np.arange(len(some), dtype=np.int32)
    return numbers[codes], [text for text in texts if text is not None]


def batch_array(batch: ChunkBatch, requested_schema: Any = None) -> Any:
    """A batch as ``arrow_schema`` and ``arrow_array``."""
    return _native().export_array(_batch_columns(batch._columns), len(batch), requested_schema)


def batch_schema() -> Any:
    """The ``arrow_schema`` of all batches."""
    return _native().export_schema(_batch_columns(_NO_ROWS))


def batch_stream(batches: Iterable[ChunkBatch], requested_schema: Any = None) -> Any:
    """Batches as ``arrow_array_stream``; each is asked for when the consumer wants it."""

    def columns() -> Iterator[tuple[list[_Column], int]]:
        for batch in batches:
            yield _batch_columns(batch._columns), len(batch)

    return _native().export_reader(columns(), _batch_columns(_NO_ROWS), requested_schema)


_NO_ROWS: dict[str, Any] = dict.fromkeys(("stream", "offset", "index", "content", "content_end", "has_content"), b"")
_NO_ROWS |= dict.fromkeys(("id", "model", "finish_reason"), (b"", []))


def _batch_columns(columns: dict[str, Any]) -> list[_Column]:
    from chunkwire._batches import COLUMNS

    return [_batch_column(columns, name) for name in COLUMNS]


def _batch_column(columns: dict[str, Any], name: str) -> _Column:
    if name in ("id", "model", "finish_reason"):
        return (name, "coded", *columns[name])
    if name == "content":
        return name, "joined", columns["content"], columns["content_end"], columns["has_content"]
    valid = None
    if name == "index":
        import numpy as np

        valid = np.frombuffer(columns[name], "int64") != -1
    return name, "int64", columns[name], valid
