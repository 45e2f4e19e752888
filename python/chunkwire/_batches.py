"""Chunks as columns: an engine's columns of some chunks in, a `ChunkBatch` with a row for each chunk out.

The columns stay the engine's bytes until one is asked for; NumPy is imported then, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from chunkwire._arrays import Table, objects
from chunkwire._decode import opened
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._stats import Stats

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chunkwire._decode import OneSource
    from chunkwire._options import Engine, Format, OnError

    _Ints: TypeAlias = npt.NDArray[np.int64]
    _Bools: TypeAlias = npt.NDArray[np.bool_]
    _Texts: TypeAlias = npt.NDArray[np.object_]

__all__ = ["Batches", "ChunkBatch", "batches"]

#: All columns, in the order of rows as dicts.
COLUMNS = ("stream", "offset", "id", "model", "index", "content", "finish_reason")
_CODED = ("id", "model", "finish_reason")
_DTYPES = dict.fromkeys(("stream", "offset", "index", "content_end"), "int64") | {
    "has_content": "bool",
    "content_bytes": "uint8",
}


def batches(
    source: OneSource,
    *,
    size: int = 1 << 16,
    on_error: OnError = "raise",
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
) -> Batches:
    """The chunks of a source as columns, so many at a time: no object is made of a chunk. (Other options as for
    `decode`.)

    Parameters
    ----------
    size : int
        How many chunks a batch has. The last one has fewer, and so has one before an error that is raised, and one
        whose contents reach 64 MiB.

    Returns
    -------
    iterator of ChunkBatch
        Its ``.stats`` tells what was counted so far. With ``on_error="raise"`` an error comes behind the batch of the
        chunks before it, and ``next()`` goes on after it.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"size must be an integer, not {type(size).__name__}")
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    return Batches(opened("batches", source, options, engine, size=size))


class Batches:
    """An iterator of batches that counts."""

    def __init__(self, columns: Any) -> None:
        self._columns = columns

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> ChunkBatch:
        return ChunkBatch(next(self._columns))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The batches that are left, as Arrow data: for ``polars.DataFrame(batches)``,
        ``pyarrow.RecordBatchReader.from_stream(batches)`` and others. Types are those of `ChunkBatch`.

        A batch is read when the consumer wants it, which may be on another thread. With ``on_error="raise"`` an error
        comes behind the batch of the chunks before it, as an error of the stream with the same message; the stream ends
        there.
        """
        from chunkwire import _arrow

        return _arrow.batch_stream(self, requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The schema of `__arrow_c_stream__`."""
        from chunkwire import _arrow

        return _arrow.batch_schema()

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._columns.stats
        return stats


class ChunkBatch(Table):
    """Some chunks of a source, in its order, one row each; each column is an attribute, a read-only NumPy array.

    What is said of a choice is that of ``choices[0]``. ``batch[3]`` is a row as a dict.

    Attributes
    ----------
    stream : array of int64
        The number of the stream that the chunk belongs to, as far as could be told when it came: of the first stream of
        the source 0, of the next one 1. A part under another id counts to the stream that it continues; once the old id
        comes again, which shows that they are two streams, the later one has the next number. Where that does not
        happen, it is the row of the stream in ``usage(source)``.
    offset : array of int64
        Where in the (decompressed) source the event begins.
    id, model : array of str or None
        As the server sent them; None where it sent no string.
    index : array of int64
        The choice's; -1 where there is no choice, or its index is no integer.
    content : array of str or None
        ``choices[0].delta.content``; None where that is no string.
    finish_reason : array of str or None
    content_bytes : array of uint8
        The contents of all rows one behind the other, in UTF-8; a lone surrogate is three bytes (``surrogatepass``).
    content_end : array of int64
        Where in ``content_bytes`` each row's content ends; it begins where that of the row before ends.
    has_content : array of bool
        Whether the row's content is a string, perhaps an empty one.
    """

    stream: _Ints
    offset: _Ints
    id: _Texts
    model: _Texts
    index: _Ints
    content: _Texts
    finish_reason: _Texts
    content_bytes: npt.NDArray[np.uint8]
    content_end: _Ints
    has_content: _Bools

    def __init__(self, columns: dict[str, Any]) -> None:
        super().__init__()
        self._columns = columns

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name in _DTYPES or name in COLUMNS:
                return self._column(name)
            if name.startswith("_"):
                raise AttributeError(f"'ChunkBatch' object has no attribute {name!r}")
            columns = ", ".join([*COLUMNS, "content_bytes", "content_end", "has_content"])
            raise AttributeError(f"a batch has no column {name!r}; columns: {columns}")

    def _array(self, name: str) -> Any:
        import numpy as np

        if name == "content":
            return objects(self._contents())
        if name in _CODED:
            codes, texts = self.codes(name)
            # The last is what the code -1 finds.
            return objects([*texts, None])[codes]
        return np.frombuffer(self._columns["content" if name == "content_bytes" else name], _DTYPES[name])

    def _contents(self) -> list[str | None]:
        data: bytes = self._columns["content"]
        start, contents = 0, []
        for end, has in zip(self._column("content_end").tolist(), self._columns["has_content"], strict=True):
            contents.append(data[start:end].decode("utf-8", "surrogatepass") if has else None)
            start = end
        return contents

    def codes(self, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
        """``id``, ``model`` or ``finish_reason`` as a number for each row, -1 for None, and the text of each number."""
        import numpy as np

        if name not in _CODED:
            raise AttributeError(f"{name!r} is no column of texts that repeat; those are {', '.join(_CODED)}")
        codes, texts = self._columns[name]
        return np.frombuffer(codes, "int32"), list(texts)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The batch as Arrow data, by Arrow's PyCapsule interface: for ``pyarrow.record_batch(batch)`` and others.

        Numbers are int64, not copied; ``id``, ``model`` and ``finish_reason`` are dictionary<int32, utf8>, and
        ``content`` is utf8. What is None here is null, and so is the index -1. For lone surrogates and
        ``requested_schema`` see `UsageTable.__arrow_c_stream__`.
        """
        from chunkwire import _arrow

        schema, array = _arrow.batch_array(self, requested_schema)
        return schema, array

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The batch as a stream of one array: see `__arrow_c_array__`."""
        from chunkwire import _arrow

        return _arrow.batch_stream([self], requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The schema of `__arrow_c_array__`."""
        from chunkwire import _arrow

        return _arrow.batch_schema()

    def __len__(self) -> int:
        return len(self._columns["has_content"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = range(len(self))[index]
        return {name: self._column(name)[row : row + 1].tolist()[0] for name in COLUMNS}

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns as lists of Python's own values."""
        return {name: self._column(name).tolist() for name in COLUMNS}

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *COLUMNS, *_DTYPES})

    def __repr__(self) -> str:
        first, size = self._column("offset")[0], len(self._columns["content"])
        return f"<ChunkBatch of {len(self):,} chunks from offset {first:,}: {size:,} bytes of content>"
