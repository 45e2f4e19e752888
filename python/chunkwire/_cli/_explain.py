"""``chunkwire explain``: paths in; what each log is, why, and what its servers do out."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

import chunkwire
from chunkwire._cli._output import (
    failed,
    json_bytes,
    log_options,
    note,
    nothing_found,
    pass_over,
    table_text,
    write,
)
from chunkwire._sources import find

__all__ = ["run"]

_SCHEMA = 1


def run(options: Namespace) -> int:
    """Runs the command."""
    if "-" in options.paths:
        note("explain reads the beginning of its source twice, which standard input cannot be: name a file")
        return 2
    found = find(list(options.paths))
    pass_over(found.passed_over)
    explained = []
    for source in found.sources:
        try:
            more: dict[str, Any] = {"max_bytes": None} if options.all else {}
            one = chunkwire.explain(str(source.feed), **log_options(options), **more)
        except (OSError, ImportError, chunkwire.DecodeError) as error:
            found.fail(source.label, error)
            continue
        explained.append(one)
        if options.format == "text":
            write(("\n" if len(explained) > 1 else "") + _text(one))
    failed(found.failures)
    if not explained and not found.failures:
        return nothing_found(options.paths)
    if options.format == "json":
        failures = [{"source": label, "error": str(error)} for label, error in found.failures]
        document = {
            "schema": _SCHEMA,
            "sources": [one.to_dict() for one in explained],
            "failures": failures,
            "passed_over": found.passed_over,
        }
        write(json_bytes(document, indent=1) + b"\n")
    return 2 if found.failures else 0


def _text(one: chunkwire.Explanation) -> str:
    fit = sys.stdout.isatty()
    tables = [f"{title}:\n{table_text(columns, rows, [], fit=fit)}" for title, columns, rows in one.tables()]
    return "\n\n".join([one.head(), *tables]) + "\n"
