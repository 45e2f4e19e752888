"""Token usage as columns: an engine's columns of one source or many in, a `UsageTable` with a row a stream out.

The columns stay the engine's bytes until one is asked for; NumPy is imported then, and not before.
"""

from __future__ import annotations

import difflib
import json
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, overload

from chunkwire import _reading
from chunkwire._arrays import Table
from chunkwire._kept import Kept, paths_of
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._rows import COLUMNS, COMPUTED, ESTIMATES, FLOATS, MEASURES, TOKENS, Parts, Picked, Rows
from chunkwire._stats import Stats, StatsBySource
from chunkwire._summary import Summary, reported_note, summarize
from chunkwire._times import Window

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    from chunkwire._decode import OneSource
    from chunkwire._options import Engine, Format, OnError
    from chunkwire._prices import CostColumn, Costs, Prices
    from chunkwire._progress import Progress
    from chunkwire._times import When

    _Ints: TypeAlias = npt.NDArray[np.int64]
    _Floats: TypeAlias = npt.NDArray[np.float64]
    _Bools: TypeAlias = npt.NDArray[np.bool_]
    _Texts: TypeAlias = npt.NDArray[np.object_]

__all__ = ["COLUMNS", "TOKENS", "UsageTable", "check_keep", "usage"]

Sources: TypeAlias = "OneSource | Iterable[str | PathLike[str] | BinaryIO | Buffer]"


def usage(
    sources: Sources,
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
    progress: Progress = None,
    on_error: OnError = "skip",
    estimate: bool = False,
    keep: str | Sequence[str] = (),
) -> UsageTable:
    """The token usage of every stream, one row each.

    Parameters
    ----------
    sources : a source, or many
        One source as for `decode`, or a list of paths and files. A path may be a folder, whose logs are read
        (``.sse .txt .log .stream .events .jsonl .ndjson .har``, those packed as ``.gz .zst .xz .bz2 .br``, and
        archives; the rest is listed in ``passed_over``), or an archive, ``.tar`` (packed, too) or ``.zip``, each of
        whose logs is a source ``logs.zip!name``. A str may be a glob, with ``**`` for any folders, or a URL, a glob or
        folder of them, too, for what fsspec opens (extra ``fsspec``).
    threads : int, optional
        How many threads share the files; large ones are split between them. The result is the same for any number. The
        default is as many as there are processors.
    progress : callable or True, optional
        Called now and then with the bytes read and the bytes of all sources, or None where that is unknown. True
        shows a bar on a terminal.
    on_error : "skip" or "raise"
        With "skip", damage is counted in ``stats``, and of many sources those that cannot be read are listed in
        ``failures``; if none can be read, that raises. With "raise", the first damage raises, and so does the first
        source that cannot be read.
    estimate : bool
        Adds columns with estimates of the completion tokens of streams whose server reported no usage, by what their
        text was in tokens in streams of the same model that did report. They are never mixed with reported counts.
    keep : str or sequence of str
        Members of the lines of a log in JSON that become columns, such as ``["user", "meta.tag"]``: of each stream
        those of its exchange, in ``usage.kept["user"]``.
    strict, format, field, id_field, time_field, engine, max_event_bytes, max_decompressed_bytes
        As for `decode`.

    Returns
    -------
    UsageTable
        Its rows are in the order of the sources, and in each source in the order in which the streams begin.
    """
    kept = check_keep(keep, format)
    limits = max_event_bytes, max_decompressed_bytes
    options = Options(on_error, strict, format, field, id_field, time_field, *limits, tuple(kept.values()))
    more: dict[str, Any] = {"engine": engine, "threads": threads, "progress": progress, "measure": bool(estimate)}
    found = _reading.read_all(sources, options, **more)
    return UsageTable(Parts(found.parts, estimated=estimate, kept=kept), found)


def check_keep(keep: str | Sequence[str], format: str) -> dict[str, str]:
    """The columns that are to be kept, by label; ValueError or TypeError if that cannot be."""
    kept = paths_of(keep, (*COLUMNS, *MEASURES, *ESTIMATES, *COMPUTED))
    if kept and format in ("sse", "chunks"):
        raise ValueError(f"keep= names members of lines that hold an exchange, which format {format!r} has not")
    return kept


class UsageTable(Table):
    """Token usage, one row for each stream; each column is an attribute, a read-only NumPy array.

    The token columns have 0 where the server reported nothing: ``reported`` tells for which streams it reported usage
    at all, and ``valid("cached_tokens")`` where it reported that count. ``table[3]`` is a row as a dict;
    ``table[mask]`` and ``table[2:5]`` are tables.

    Attributes
    ----------
    source : array of str
        The path, or ``<bytes>`` or ``<stream>``.
    offset : array of int64
        Where in its source the stream begins.
    id, model, finish_reason : array of str or None
        As the server sent them.
    created : array of int64
        Unix seconds; 0 where the server sent none.
    status : array of str
        ``complete``, ``no_done`` (finished without ``[DONE]``), ``truncated``, ``error`` (the server sent one),
        ``empty`` or ``malformed`` (events were lost to damage).
    chunks : array of int64
    reported : array of bool
    prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens : array of int64
    audio_prompt_tokens, audio_completion_tokens : array of int64
    accepted_prediction_tokens, rejected_prediction_tokens : array of int64
    cost : array of float64
        As the server reported it, in US dollars where it says so; NaN where it did not. Call it for what the streams
        cost by a list of prices: ``table.cost()``, ``table.cost(prices="prices.json")``; see `cost` there.
    time_to_first_token, generation_time : array of float64
        Seconds, as the server measured them: from the request to the first token (waiting and reading the prompt), and
        from there to the last. NaN where it did not tell. (The README has every name that servers use.)
    content_deltas, text_bytes : array of int64
        Only with ``estimate=True``: how many deltas carry text (content, reasoning, refusals, calls), and its bytes in
        UTF-8.
    estimated_completion_tokens, estimated_low, estimated_high : array of float64
        Only with ``estimate=True``: for streams without usage, the completion tokens that their text stands for, and
        the 10th and 90th percentile of that. The measure is deltas or bytes, whichever would have told the tokens
        better of the streams of that model in this log which do report. NaN where usage was reported, where there is
        no text, and where no stream of the model reports; the percentiles also where fewer than five do.
    measured : array of bool
        Whether a time was measured by the log itself, in format "reads", since the server told none: the time to the
        first token from the first read of the request, the generation from the first to the last chunk with content.
        (It is a column of rows and exports where any is.) The latency between tokens is ``generation_time /
        (content_deltas - 1)``.
    kept : mapping of str to array
        What `keep` named: by path a column of int64 or float64 (NaN where there is none) if all are numbers, else of
        objects (None where there is none). In rows and exports they are columns by the name of their path, or
        ``kept.`` and that where the name is taken.
    stats : Stats
        What was counted in all sources together.
    passed_over : list of str
        Files in folders that were not read, for their names; and pipes and devices in folders, or matched by a glob.
    failures : list of (str, Exception)
        Sources that could not be read, and why.
    """

    source: _Texts
    offset: _Ints
    id: _Texts
    model: _Texts
    created: _Ints
    finish_reason: _Texts
    status: _Texts
    chunks: _Ints
    reported: _Bools
    prompt_tokens: _Ints
    completion_tokens: _Ints
    total_tokens: _Ints
    cached_tokens: _Ints
    cache_write_tokens: _Ints
    reasoning_tokens: _Ints
    audio_prompt_tokens: _Ints
    audio_completion_tokens: _Ints
    accepted_prediction_tokens: _Ints
    rejected_prediction_tokens: _Ints
    cost: CostColumn
    time_to_first_token: _Floats
    generation_time: _Floats
    content_deltas: _Ints
    text_bytes: _Ints
    estimated_completion_tokens: _Floats
    estimated_low: _Floats
    estimated_high: _Floats
    computed_cost: _Floats
    measured: _Bools

    def __init__(self, rows: Rows, read: _reading.Read) -> None:
        super().__init__()
        self._rows = rows
        self._read = read
        self._coded: dict[str, tuple[_Ints, list[str | None]]] = {}
        self._cost: weakref.ref[CostColumn] | None = None
        self.stats: Stats = read.stats
        self.passed_over: list[str] = read.passed_over
        self.failures: list[tuple[str, Exception]] = read.failures

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if "_rows" not in self.__dict__:  # it is being unpickled
                raise AttributeError(name)
            if name == "cost":
                return self._cost_column()
            if name == "measured" and "measured" not in self._rows.added:
                import numpy as np

                return np.zeros(len(self), bool)
            if name in COLUMNS or name in self._rows.added:
                return self._column(name)
            if name.startswith("_"):
                raise AttributeError(f"'UsageTable' object has no attribute {name!r}")
            if name in (*MEASURES, *ESTIMATES):
                raise AttributeError(f"{name!r} is there if it was asked for: usage(..., estimate=True)")
            if name == "computed_cost":
                raise AttributeError(f"{name!r} is there if prices were given: table.with_costs(...)")
            near = difflib.get_close_matches(name, [*COLUMNS, *_OTHER], n=3)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"columns: {', '.join(COLUMNS)}"
            raise AttributeError(f"a usage table has no column {name!r}; {hint}")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_arrays": {}, "_coded": {}, "_cost": None}  # these are made again

    def _array(self, name: str) -> Any:
        return self._rows.column(name)

    def _cost_column(self) -> CostColumn:
        """The cost, which can be called. It holds the table, so the table must not hold it."""
        made = self._cost() if self._cost is not None else None
        if made is None:
            from chunkwire._prices import CostColumn

            made = CostColumn.of(self._column("cost"), self)
            self._cost = weakref.ref(made)
        return made

    def _codes(self, name: str) -> tuple[_Ints, list[str | None]]:
        if name not in self._coded:
            self._coded[name] = self._rows.codes(name)
        return self._coded[name]

    def valid(self, name: str) -> _Bools:
        """For each row, whether the server sent this value (and it is one that the column can hold)."""
        import numpy as np

        if name not in COLUMNS and name not in self._rows.added:
            getattr(self, name)
            raise AttributeError(f"{name!r} is no column")
        if name in TOKENS:
            bits: _Bools = self._column("valid") >> TOKENS.index(name) & 1 > 0
            return bits
        column = self._column(name)
        if name in (*FLOATS, *COMPUTED):
            return ~np.isnan(column)  # type: ignore[no-any-return]
        if name == "created":
            return column != 0  # type: ignore[no-any-return]
        if name in ("id", "model", "finish_reason") or (name in self._rows.kept and column.dtype.kind == "O"):
            return np.array([text is not None for text in column], bool)
        if name in self._rows.kept and column.dtype.kind == "f":
            return ~np.isnan(column)  # type: ignore[no-any-return]
        return np.ones(len(self), bool)

    @property
    def kept(self) -> Kept:
        """What was kept of the lines of a log, by path."""
        return Kept(self)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | Sequence[bool] | _Bools | _Ints) -> UsageTable: ...
    def __getitem__(self, index: Any) -> dict[str, Any] | UsageTable:
        import numpy as np

        if isinstance(index, str):
            raise TypeError(f"a column is an attribute: table.{index}")
        if not isinstance(index, slice) and np.ndim(index) == 0 and not isinstance(index, (bool, np.bool_)):
            (row,) = self[[range(len(self))[index]]]
            return row
        if isinstance(index, (list, tuple)) and not index:
            index = np.zeros(0, np.int64)
        return UsageTable(Picked(self, np.arange(len(self))[index]), self._read)

    def raw(self, row: int) -> dict[str, Any] | None:
        """The usage object of a stream, with whatever else the server put there; None where it reported none."""
        sent = self._rows.raw(range(len(self))[row])
        return json.loads(sent) if sent else None

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns as lists of Python's own values; a cost or time that was not reported is None."""
        columns = {name: self._column(name).tolist() for name in (*COLUMNS, *self._rows.added)}
        for name in (*FLOATS, *(name for name in self._rows.added if self._column(name).dtype.kind == "f")):
            columns[name] = [value if value == value else None for value in columns[name]]
        return columns

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        return list(self)

    def by_source(self) -> Iterator[tuple[str, UsageTable]]:
        """For each source that was read its name, and a table of its streams with the source's own ``stats``."""
        import numpy as np

        parts = self._column("part")
        order = np.argsort(parts, kind="stable")
        ends = np.searchsorted(parts[order], np.arange(len(self._read.stats_by_source)), side="right").tolist()
        start = 0
        for (label, stats), end in zip(self._read.stats_by_source, ends, strict=True):
            read = _reading.Read(stats_by_source=StatsBySource([(label, stats)]), stats=stats)
            yield label, UsageTable(Picked(self, order[start:end], whole=True), read)
            start = end

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as Arrow data, by Arrow's PyCapsule interface: for ``polars.DataFrame(usage)``,
        ``pyarrow.table(usage)``, ``duckdb.sql("from usage")``, ``pandas.DataFrame.from_arrow(usage)`` and others.

        Numbers are int64 and float64, not copied, and null where `valid` says that nothing was sent; ``source``,
        ``model``, ``finish_reason`` and ``status`` are dictionary<int32, utf8>, ``id`` is utf8 (large_utf8 from 2 GiB
        on). A lone surrogate, which UTF-8 has no bytes for, becomes U+FFFD. A requested schema has the same fields; it
        can ask for texts as utf8, large_utf8 or utf8_view, and what else it asks for is left to the consumer.

        ImportError where chunkwire's extension module is absent; ValueError for a requested schema that cannot be met.
        """
        from chunkwire import _arrow

        return _arrow.usage_stream(self, requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The schema of `__arrow_c_stream__`."""
        from chunkwire import _arrow

        return _arrow.usage_schema(self)

    def __eq__(self, other: object) -> bool:
        """Are all values the same?"""
        if not isinstance(other, UsageTable):
            return NotImplemented
        import numpy as np

        if len(self) != len(other) or self._rows.added != other._rows.added:
            return False
        return all(
            np.array_equal(self._column(name), other._column(name), equal_nan=self._column(name).dtype.kind == "f")
            for name in (*COLUMNS, "valid", *self._rows.added)
        )

    __hash__ = None  # type: ignore[assignment]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *COLUMNS, *self._rows.added})

    def __repr__(self) -> str:
        sources = len(self._read.stats_by_source)
        read = f"{sources:,} {'source' if sources == 1 else 'sources'}"
        lines = [f"<UsageTable of {read}: {reported_note(int(self.reported.sum()), len(self))}>"]
        total = self.summary(by="source").total
        counts = {name: f"{total[name]:,}" for name in total if name.endswith("_tokens") and name not in ESTIMATES}
        if total.get("cost") is not None:
            counts["cost"] = f"{total['cost']:,.6f}"
        width = max(map(len, counts.values()))
        lines += [f"  {name:<17} {text:>{width}}" for name, text in counts.items()]
        return "\n".join(lines)

    def between(self, since: When | None = None, until: When | None = None) -> UsageTable:
        """The streams that were created in a span of time, as `summary` understands it; none of them without a time."""
        inside, _, _ = Window.of(since, until).split(self.created)
        return self[inside]

    def summary(
        self,
        by: str | Sequence[str] = "model",
        *,
        since: When | None = None,
        until: When | None = None,
        sort: str | Iterable[str] | None = None,
        top: int | None = None,
        breakdown: bool = False,
        percentiles: bool | Iterable[float] = False,
        prices: Prices | Costs = None,
    ) -> Summary:
        """Sums by group. All times are those of ``created``, in UTC.

        Parameters
        ----------
        by : str or sequence of str
            "model", "month", "day", "hour", "source", "status", "finish_reason", or several of them. A time is a text
            such as ``2026-11-20 14:00``, and "unknown" where the server sent none.
        since, until : str, date, datetime or number, optional
            Only streams that were created since then, and before that. A text is a date (``2026-11-20``), a month
            (``2026-11``), a time (``2026-11-20T14:30``, perhaps with its offset), ``today``, ``yesterday``, or so long
            ago: ``90s``, ``30m``, ``24h``, ``7d``, ``2w``. A number is seconds since 1970. ``until`` a date or a month
            means to its end. Streams without a time are left out then, and counted as ``undated``.
        sort : str or sequence of str, optional
            Columns to sort by, numbers from the largest and texts from the first; the other way with ``:asc`` or
            ``:desc`` behind the name. ``_tokens`` may be left out. By default the largest group by total tokens comes
            first, key by key, and times come in their order.
        top : int, optional
            Only so many groups: the first ones by ``sort``, or those with the most total tokens. The others are summed
            up as ``summary.other``.
        breakdown : bool
            Every kind of token (cached, written to the cache, audio, reasoning, predictions), and its share: of the
            prompt tokens, or of the completion tokens, from 0 to 1. None where there are none of those.
        percentiles : bool or numbers from 0 to 100
            Percentiles of the streams' tokens, chunks and times, 50, 95 and 99 if True: ``total_tokens_p95`` and so
            on, and as ``total_tokens_streams`` how many streams have that value, which are those that count. They are
            NumPy's method "linear", as float64; None where no stream has the value.
        prices : optional
            What streams cost by a list of prices, as for `with_costs`: each group also has ``computed_cost`` in US
            dollars, beside the ``cost`` that servers reported, and ``priced``, the streams that this is the sum of.

        Estimates, if there are any, are summed in columns of their own, with ``estimated``, the streams they stand for.

        Raises
        ------
        ValueError, TypeError
            Where one of these cannot be understood.
        """
        return summarize(
            self if prices is None else self.with_costs(prices),
            by,
            since=since,
            until=until,
            sort=sort,
            top=top,
            breakdown=breakdown,
            percentiles=percentiles,
        )

    def with_costs(
        self,
        prices: Prices | Costs = None,
        *,
        provider: str | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> UsageTable:
        """The same streams with a column ``computed_cost``: what they cost by a list of prices, float64, in US dollars,
        NaN where there is no price. ``costs`` of that table, and of tables of its rows, tells what has none and why.

        Parameters
        ----------
        prices, provider, aliases
            As for `cost`; or what that gave: ``table.with_costs(table.cost(...))``.
        """
        from chunkwire._prices import Costs, Priced

        costs = prices if isinstance(prices, Costs) else self.cost(prices, provider=provider, aliases=aliases)
        return UsageTable(Priced(self, costs), self._read)

    @property
    def costs(self) -> Costs | None:
        """What `with_costs` computed, for these streams; None without that."""
        return self._rows.costs

    def report(
        self,
        path: str | PathLike[str],
        *,
        since: When | None = None,
        until: When | None = None,
        title: str = "Token usage",
    ) -> None:
        """Writes a report as one HTML file, which needs nothing else: tokens and cost by model and over time,
        distributions, coverage, status and damage, as charts and in numbers. Needs the extra ``report``.

        Parameters
        ----------
        path : str or PathLike
            The file; one that is there is replaced.
        since, until : optional
            Only streams that were created in that span of time, as for `summary`.
        title : str
            What stands above.
        """
        from chunkwire import _report

        text = _report.html(self, since=since, until=until, title=title)
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


_OTHER = (
    "between",
    "by_source",
    "costs",
    "kept",
    "measured",
    "raw",
    "report",
    "stats",
    "passed_over",
    "failures",
    "summary",
    "to_dict",
    "to_dicts",
    "valid",
    "with_costs",
)
