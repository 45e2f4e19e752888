"""``chunkwire usage``: paths in; tokens by model, day, ... or by stream out."""

from __future__ import annotations

import csv
import io
import sys
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import chunkwire
from chunkwire._cli._output import (
    check_hint,
    damage_text,
    failed,
    json_bytes,
    note,
    nothing_found,
    pass_over,
    progress_for,
    sources_of,
    table_text,
    write,
)
from chunkwire._render import Column

__all__ = ["run"]

_SCHEMA = 1
_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")


def run(options: Namespace) -> int:
    """Runs the command."""
    table = chunkwire.usage(
        sources_of(options.paths),
        strict=options.strict,
        engine=options.engine,
        threads=options.threads,
        progress=progress_for(options),
    )
    pass_over(table.passed_over)
    failed(table.failures)
    if next(table.by_source(), None) is None:
        return nothing_found(options.paths)
    summary = table.summary(by=options.by)
    to_file = options.output not in (None, "-")
    if options.format == "json":
        write(json_bytes(_document(table, summary, options.rows), indent=1) + b"\n", options.output)
    elif options.format == "csv":
        write(_csv(table, summary, options.rows), options.output)
        if damage := damage_text(table.stats):
            note(f"{damage}: {check_hint(options.paths)}")
    else:
        fit = not to_file and sys.stdout.isatty()
        if options.rows:
            columns, rows = _rows(table)
        else:
            columns, rows = summary.text_columns(), summary.to_dicts()
        lines = [table_text(columns, rows, summary.total, fit=fit), "", summary.note]
        if damage := damage_text(table.stats):
            lines.append(f"{damage}: {check_hint(options.paths)}")
        write("\n".join(lines) + "\n", options.output)
    return 2 if table.failures else 0


def _document(table: chunkwire.UsageTable, summary: chunkwire.Summary, rows: bool) -> dict[str, Any]:
    stats = table.stats
    return {
        "schema": _SCHEMA,
        "streams": len(table),
        "reported": summary.total["reported"],
        "by": None if rows else list(summary.by),
        "rows": table.to_dicts() if rows else summary.to_dicts(),
        "total": summary.total,
        "damage": {
            "damaged": stats.damaged,
            "server_errors": stats.errors,
            "damaged_bytes": stats.damaged_bytes,
            "skipped_bytes": stats.skipped_bytes,
        },
        "failures": [{"source": label, "error": str(error)} for label, error in table.failures],
        "passed_over": table.passed_over,
    }


def _csv(table: chunkwire.UsageTable, summary: chunkwire.Summary, rows: bool) -> bytes:
    """The rows without a total, so that their sum is right; an empty cell where there is nothing."""
    found = table.to_dicts() if rows else summary.to_dicts()
    names = list(table[:0].to_dict()) if rows else list(summary.columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _rows(table: chunkwire.UsageTable) -> tuple[list[Column], list[dict[str, Any]]]:
    """The streams as they are printed: no numbers where the server reported none."""
    columns = [
        Column("source", "source", is_text=True),
        Column("id", "id", is_text=True, optional=4),
        Column("model", "model", is_text=True),
        Column("created", "created (UTC)", is_text=True, optional=2),
        Column("finish_reason", "finish", is_text=True, optional=3),
        Column("status", "status", is_text=True),
        Column("chunks", "chunks", optional=1),
        *(
            Column(
                name, name.removesuffix("_tokens"), optional=5 if name in ("cached_tokens", "reasoning_tokens") else 0
            )
            for name in _TOKENS
        ),
        Column("cost", "cost"),
    ]
    rows = table.to_dicts()
    for row in rows:
        row["created"] = _time(row["created"])
        if not row["reported"]:
            row.update(dict.fromkeys(_TOKENS))
        for name in ("id", "model", "created", "finish_reason"):
            row[name] = row[name] or "-"
    if len({row["source"] for row in rows}) < 2:
        columns = columns[1:]
    if all(row["cost"] is None for row in rows):
        columns = columns[:-1]
    return columns, rows


def _time(seconds: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
