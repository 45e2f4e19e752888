"""``chunkwire usage``: paths in; tokens by model, day, ... or by stream out."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import sys
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import chunkwire
from chunkwire import _report
from chunkwire._breakdown import KINDS
from chunkwire._cli import _arrow
from chunkwire._cli._chart import chart_text, charted
from chunkwire._cli._follow import live
from chunkwire._cli._output import (
    check_hint,
    damage_text,
    failed,
    is_stdout,
    json_bytes,
    log_options,
    note,
    nothing_found,
    pass_over,
    progress_for,
    sources_of,
    table_text,
    write,
)
from chunkwire._cli._pick import picked, sorting
from chunkwire._cli._schema import SCHEMA
from chunkwire._kept import labels_of
from chunkwire._render import LABEL, Column, Total, printable, seconds_text

__all__ = ["run"]

_TIMES = ("time_to_first_token", "generation_time")
_WIDTH = 80  # of a chart that goes to no terminal
_ESTIMATES = {"estimated_completion_tokens": "estimate", "estimated_low": "low", "estimated_high": "high"}
_MAIN = ("prompt_tokens", "completion_tokens", "total_tokens")


def run(options: Namespace) -> int:
    """Runs the command."""
    about = {name: getattr(options, name) for name in ("by", "since", "until", "breakdown", "percentiles")}
    nothing = _read(b"", options, **({"format": "auto"} if options.format_in in ("har", "vcr") else {}))
    keys = sorting(options.sort, nothing) if options.rows else None
    if not options.rows:
        about |= {"sort": options.sort, "top": options.top}
    _check_files(options)
    if not options.follow and (options.from_end or options.idle is not None):
        raise ValueError("--from-end and --idle are about a log that is followed: they need --follow")
    if options.report:
        _report.needed()
    if options.chart and (options.rows or options.format != "table"):
        raise ValueError("--chart draws the groups of --format table: leave --rows and other formats away")
    if options.format in _arrow.FORMATS:
        _arrow.check(options.format, options.output)
    nothing.summary(**about)  # what cannot be understood is told before anything is read
    if options.follow:
        table = live(options, lambda found: _live_text(_priced(found, options), about, keys, options))
        table = _priced(table, options)
    else:
        table = _read(
            sources_of(options.paths),
            options,
            strict=options.strict,
            engine=options.engine,
            max_decompressed_bytes=options.max_decompressed_bytes,
            threads=options.threads,
            progress=progress_for(options),
        )
    pass_over(table.passed_over)
    failed(table.failures)
    if next(table.by_source(), None) is None:
        return nothing_found(options.paths)
    summary = table.summary(**about)
    if options.report != "-":
        _write(table, summary, keys, options)
    if options.report:
        page = _report.html(table, since=summary.since, until=summary.until)
        write(page.encode("utf-8", "backslashreplace"), options.report)
        if options.report != "-":
            note(f"wrote {options.report}")
    return 2 if table.failures else 0


def _check_files(options: Namespace) -> None:
    """What is written must not be written over, nor over the prices."""
    named = [("--prices", options.prices), ("--output", options.output), ("--report", options.report)]
    files = [(option, os.path.realpath(path)) for option, path in named if path not in (None, "-", os.devnull)]
    for at, (option, path) in enumerate(files):
        for other, same in files[:at]:
            if path == same or (os.path.exists(path) and os.path.exists(same) and os.path.samefile(path, same)):
                raise ValueError(f"{other} and {option} name the same file: {path}")


def _read(sources: Any, options: Namespace, **others: Any) -> chunkwire.UsageTable:
    """The table, with estimates and costs if those are wanted."""
    others = {"keep": options.keep, **log_options(options), **others}
    return _priced(chunkwire.usage(sources, estimate=options.estimate, **others), options)


def _priced(table: chunkwire.UsageTable, options: Namespace) -> chunkwire.UsageTable:
    """The table with costs, if those are wanted."""
    if options.cost or options.prices:
        return table.with_costs(options.prices, provider=options.provider, aliases=dict(options.alias))
    if options.provider or options.alias:
        raise ValueError("--provider and --alias are about prices: they need --cost or --prices FILE")
    return table


def _write(
    table: chunkwire.UsageTable,
    summary: chunkwire.Summary,
    keys: list[tuple[str, bool]] | None,
    options: Namespace,
) -> None:
    """The groups or streams, as they are asked for."""
    other = summary.other
    inside = table.between(summary.since, summary.until)
    if options.rows:
        table, other = picked(inside, keys, options.top, breakdown=options.breakdown, percentiles=options.percentiles)
    to_file = not is_stdout(options.output)
    if options.format == "json":
        write(json_bytes(_document(table, inside, summary, other, options.rows), indent=1) + b"\n", options.output)
    elif options.format in ("csv", *_arrow.FORMATS):
        if options.format == "csv":
            data = _csv(table, summary, options.rows)
        else:
            groups = None if options.rows else _groups(summary)
            data = _arrow.binary(table, summary, groups, format=options.format, output=options.output)
        write(data, options.output)
        if summary.left_out:
            note(summary.left_out)
        if options.rows and other is not None:
            note(f"without {other['streams']:,} streams that --top leaves out")
        if damage := damage_text(table.stats):
            note(f"{damage}: {check_hint(options.paths, options)}")
        if missed := _missed(table, options):
            note(missed)
    else:
        fit = not to_file and sys.stdout.isatty()
        lines = _lines(table, summary, other, options, fit=fit, to_file=to_file)
        if damage := damage_text(table.stats):
            lines.append(f"{damage}: {check_hint(options.paths, options)}")
        if missed := _missed(table, options):
            lines.append(missed)
        write("\n".join(lines) + "\n", options.output)


def _missed(table: chunkwire.UsageTable, options: Namespace) -> str | None:
    """What to say where --field leads to nothing in all lines: it may be misspelt."""
    stats = table.stats
    if not options.field or not stats.exchanges or stats.events or stats.damaged:
        return None
    return (
        f"no line has a stream in {printable(options.field)}: `chunkwire explain PATH` tells which members lines have"
    )


def _lines(
    table: chunkwire.UsageTable,
    summary: chunkwire.Summary,
    other: dict[str, Any] | None,
    options: Namespace,
    *,
    fit: bool,
    to_file: bool,
) -> list[str]:
    """The groups or streams as tables for people, with a chart if that is wanted."""
    tables = summary.tables(grouped=not options.rows)
    if options.rows:
        shown = (one for one in tables[0][0] if one.name.endswith("_tokens") and one.name not in _ESTIMATES)
        tokens = {one.name: one.head for one in shown}
        if options.breakdown:
            tokens |= {name: name.removesuffix("_tokens").replace("_", " ") for name in KINDS if summary.total[name]}
        tables[0] = _rows(table, tokens, other, summary.total)
    parts = [table_text(*one, fit=fit) for one in tables]
    if options.chart:
        parts.append(_chart(summary, options.sort, fit=fit, to_file=to_file))
    return ["\n\n".join(parts), "", summary.note]


def _live_text(
    table: chunkwire.UsageTable, about: dict[str, Any], keys: list[tuple[str, bool]] | None, options: Namespace
) -> str:
    """A table of what has been read so far, for a terminal."""
    summary = table.summary(**about)
    other = summary.other
    if options.rows:
        inside = table.between(summary.since, summary.until)
        table, other = picked(inside, keys, options.top, breakdown=options.breakdown, percentiles=options.percentiles)
    lines = _lines(table, summary, other, options, fit=True, to_file=False)
    if damage := damage_text(table.stats):
        lines.append(damage)
    return "\n".join(lines)


def _chart(summary: chunkwire.Summary, sort: str | None, *, fit: bool, to_file: bool) -> str:
    width = shutil.get_terminal_size().columns if fit else _WIDTH
    encoding = "utf-8" if to_file else sys.stdout.encoding
    name = charted(summary, sort)
    if "cost" not in summary.columns and "cost" in (one.partition(":")[0].strip() for one in (sort or "").split(",")):
        note(f"no server reported a cost: the chart is of {name.replace('_', ' ')}")
    return chart_text(summary, name, width=width, encoding=encoding, colour=fit)


def _document(
    table: chunkwire.UsageTable,
    inside: chunkwire.UsageTable,
    summary: chunkwire.Summary,
    other: dict[str, Any] | None,
    rows: bool,
) -> dict[str, Any]:
    stats = table.stats
    return {
        "schema": SCHEMA,
        "streams": summary.total["streams"],
        "reported": summary.total["reported"],
        "by": None if rows else list(summary.by),
        "since": _instant(summary.since),
        "until": _instant(summary.until),
        "outside": summary.outside,
        "undated": summary.undated,
        "percentiles": list(summary.percentiles),
        "rows": [_finite(row) for row in (table if rows else summary).to_dicts()],
        "other": None if other is None else _finite(other),
        "total": _finite(summary.total),
        "prices": _prices(inside),
        "damage": {
            "damaged": stats.damaged,
            "server_errors": stats.errors,
            "damaged_bytes": stats.damaged_bytes,
            "skipped_bytes": stats.skipped_bytes,
        },
        "failures": [{"source": label, "error": str(error)} for label, error in table.failures],
        "passed_over": table.passed_over,
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None for what JSON has no number for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def _prices(table: chunkwire.UsageTable) -> dict[str, Any] | None:
    """What has a price, and what not."""
    costs = table.costs
    if costs is None:
        return None
    unpriced = [one._asdict() for one in costs.unpriced]
    return {"source": costs.source, "priced": costs.priced, "matched": costs.matched, "unpriced": unpriced}


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _groups(summary: chunkwire.Summary) -> list[dict[str, Any]]:
    """The groups, and what ``--top`` left out as one more."""
    found = summary.to_dicts()
    if summary.other is not None:
        found.append({summary.by[0]: summary._other_label} | {key: summary.other[key] for key in summary.total})
    return found


def _csv(table: chunkwire.UsageTable, summary: chunkwire.Summary, rows: bool) -> bytes:
    """The rows without a total, so that their sum is right; an empty cell where there is nothing."""
    found = table.to_dicts() if rows else _groups(summary)
    names = list(table[:0].to_dict()) if rows else list(summary.columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> Any:
    """What was kept of a line may be an object or array: as JSON."""
    return json_bytes(value).decode() if isinstance(value, (dict, list)) else value


def _rows(
    table: chunkwire.UsageTable, tokens: dict[str, str], other: dict[str, Any] | None, total: dict[str, Any]
) -> tuple[list[Column], list[dict[str, Any]], Total]:
    """The streams as they are printed: no numbers where the server reported none."""
    columns = [
        Column("source", "source", is_text=True),
        Column("id", "id", is_text=True, optional=4),
        Column("model", "model", is_text=True),
        Column("created", "created (UTC)", is_text=True, optional=2),
        Column("finish_reason", "finish", is_text=True, optional=3),
        Column("status", "status", is_text=True),
        *(Column(label, path, is_text=True) for path, label in labels_of(table).items()),
        Column("chunks", "chunks", optional=1),
        *(Column(name, head, optional=0 if name in _MAIN else 5) for name, head in tokens.items()),
        Column("cost", "cost"),
        Column("computed_cost", "computed"),
        *(Column(name, head, optional=at and 7) for at, (name, head) in enumerate(_ESTIMATES.items())),
        Column("time_to_first_token", "first token", optional=6),
        Column("generation_time", "generation", optional=6),
    ]
    rows = table.to_dicts()
    for row in rows:
        row["created"] = _time(row["created"])
        for name in _TIMES:
            row[name] = None if row[name] is None else seconds_text(row[name])
        row |= {name: None if row.get(name) is None else round(row[name]) for name in _ESTIMATES}
        if not row["reported"]:
            row.update(dict.fromkeys(tokens))
        for name in ("id", "model", "created", "finish_reason"):
            row[name] = row[name] or "-"
        for name in labels_of(table).values():
            row[name] = "-" if row[name] is None else str(_cell(row[name]))
    if len({row["source"] for row in rows}) < 2:
        columns = columns[1:]
    empty = {name for name in ("cost", *_TIMES) if all(row[name] is None for row in rows)}
    empty |= {name for name in ("computed_cost", *_ESTIMATES) if name not in total}
    columns = [column for column in columns if column.name not in empty]
    summed = [*tokens, "chunks", "cost", "computed_cost", *_ESTIMATES]
    ends = [{name: total.get(name) for name in summed}]
    if other is not None:
        streams = f"other ({other['streams']:,} {'stream' if other['streams'] == 1 else 'streams'})"
        ends = [{LABEL: streams} | {name: other.get(name) for name in summed}, {LABEL: "total"} | ends[0]]
    return columns, rows, ends


def _time(seconds: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
