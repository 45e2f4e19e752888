"""Token usage as a polars LazyFrame: sources in, frames of the rows and columns that a query asks for out.

Sources are read when the query runs, a few at a time, so that memory stays flat and a query that has enough stops
early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from chunkwire import _arrow, _reading
from chunkwire._archives import Members
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._rows import COLUMNS, Parts
from chunkwire._sources import Found, Source, find
from chunkwire._table import UsageTable

if TYPE_CHECKING:
    import polars
    from typing_extensions import Buffer

    from chunkwire._options import Engine, Format, OnError

__all__ = ["scan"]

Again: TypeAlias = "str | PathLike[str] | Buffer"


def scan(
    sources: Again | Iterable[Again],
    *,
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    threads: int | None = None,
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
    on_error: OnError = "skip",
) -> polars.LazyFrame:
    """The token usage of every stream as a polars LazyFrame, whose columns are those of `usage`.

    Nothing is read before the query runs, and then only what it asks for: columns that it does not use are not made,
    rows that it filters out are dropped source by source, sources that a filter on ``source`` alone excludes are not
    read, and ``head(n)`` reads no source behind the one that has the n-th row. Every run reads the sources again.

    Parameters
    ----------
    sources : path or bytes, or many
        As for `usage`, but for files and iterators, which can be read only once.
    on_error : "skip" or "raise"
        With "skip", the rows' ``status`` tells of damage; with "raise", the first damage raises. A source that cannot
        be read raises in any case.
    strict, format, field, id_field, time_field, engine, threads, max_event_bytes, max_decompressed_bytes
        As for `usage`.

    Raises
    ------
    ImportError
        Where polars is not installed: ``pip install 'chunkwire[polars]'``.
    """
    pl, register = _polars()
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    _reading.check_threads(threads)
    _check_again(sources)

    def frames(
        columns: list[str] | None, predicate: Any, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[polars.DataFrame]:
        needed = columns
        filtered = [] if predicate is None else predicate.meta.root_names()
        if columns is not None:
            needed = [*columns, *(name for name in filtered if name not in columns)]
        found = _found(sources)
        if set(filtered) == {"source"} and n_rows is None:
            found = _of_labels(pl, found, predicate)
        # Side by side, but not where the first source may be enough.
        at_once = 1 if n_rows is not None else threads or _reading.processors()
        for start in range(0, len(found), at_once):
            some = Found(found[start : start + at_once], many=False)
            read = _reading.read_all(some, options, engine=engine, threads=threads)
            frame: polars.DataFrame = pl.DataFrame(_Columns(UsageTable(Parts(read.parts), read), needed or COLUMNS))
            if n_rows is not None:  # so many of all rows, whatever the predicate says of them
                frame = frame.head(n_rows)
                n_rows -= len(frame)
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame if columns is None else frame.select(columns)
            if n_rows == 0:
                return

    nothing = UsageTable(Parts([]), _reading.Read())
    query: polars.LazyFrame = register(frames, schema=pl.DataFrame(_Columns(nothing, COLUMNS)).schema)
    return query


class _Columns:
    """Some columns of a table, for who takes Arrow data."""

    def __init__(self, table: UsageTable, names: Sequence[str]) -> None:
        self._table = table
        self._names = names

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return _arrow.usage_stream(self._table, requested_schema, names=self._names)


def _polars() -> tuple[Any, Any]:
    try:
        import polars
        from polars.io.plugins import register_io_source
    except ImportError as error:
        raise ImportError(
            f"chunkwire.scan needs the package polars: pip install 'chunkwire[polars]' ({error})"
        ) from error
    return polars, register_io_source


def _check_again(sources: Any) -> None:
    """TypeError for what can be read only once; a query may run twice, and read in between."""
    for source in sources if isinstance(sources, (list, tuple)) else [sources]:
        if hasattr(source, "read") or isinstance(source, Iterator):
            kind = type(source).__name__
            raise TypeError(f"scan reads its sources every time the query runs, and a {kind} can be read only once")


def _found(sources: Any) -> list[Source]:
    found = find(sources)
    if found.failures:
        raise found.failures[0][1]
    return found.sources


def _of_labels(pl: Any, sources: list[Source], predicate: Any) -> list[Source]:
    """The sources that a predicate on their labels lets through, and tars, whose logs are not known yet."""
    labels = pl.DataFrame({"source": [source.label for source in sources]}, schema={"source": pl.Categorical})
    wanted = set(labels.filter(predicate)["source"].to_list())
    return [source for source in sources if source.label in wanted or isinstance(source.feed, Members)]
