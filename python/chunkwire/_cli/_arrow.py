"""``chunkwire usage --format arrow`` and ``parquet``: a usage table or a summary in, a file's bytes out, by pyarrow."""

from __future__ import annotations

import io
import re
import sys
from importlib import import_module
from typing import Any

import chunkwire
from chunkwire._cli._output import is_stdout

__all__ = ["FORMATS", "binary", "check"]

FORMATS = ("arrow", "parquet")


def check(format: str, output: str | None) -> None:
    """Before anything is read: can this be written, and to where it is to go?"""
    if is_stdout(output) and sys.stdout.isatty():
        raise ValueError(f"--format {format} is binary, and this is a terminal: name a file with -o FILE")
    _pyarrow(format)


def binary(
    table: chunkwire.UsageTable,
    summary: chunkwire.Summary,
    groups: list[dict[str, Any]] | None,
    *,
    format: str,
    output: str | None,
) -> bytes:
    """The streams, or these groups, as an Arrow file (to stdout as a stream) or as a Parquet file."""
    pyarrow = _pyarrow(format)
    data = pyarrow.table(table if groups is None else _columns(pyarrow, summary, groups))
    written = io.BytesIO()
    if format == "parquet":
        import_module("pyarrow.parquet").write_table(data, written)
    else:
        # A reader of a pipe cannot go to the end first, where the places in a file are.
        new = pyarrow.ipc.new_stream if is_stdout(output) else pyarrow.ipc.new_file
        with new(written, data.schema) as writer:
            writer.write_table(data)
    return written.getvalue()


def _columns(pyarrow: Any, summary: chunkwire.Summary, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Keys are texts, counts int64, and what is no integer in some group float64."""
    columns = {}
    for name in summary.columns:
        values = [group.get(name) for group in groups]
        if name in summary.by:
            # As in the table: UTF-8 has no bytes for a lone surrogate.
            values = [value and re.sub("[\ud800-\udfff]", "\ufffd", value) for value in values]
            kind = pyarrow.string()
        elif all(isinstance(value, int) for value in [*values, summary.total[name]]):
            kind = pyarrow.int64()
        else:
            kind = pyarrow.float64()
        try:
            columns[name] = pyarrow.array(values, kind)
        except OverflowError:
            raise ValueError(f"a sum of {name} has more than 64 bits; --format json and csv have it") from None
    return columns


def _pyarrow(format: str) -> Any:
    try:
        import_module("pyarrow.ipc")
        return import_module("pyarrow")
    except ImportError as error:
        raise ImportError(
            f"--format {format} needs the package pyarrow: pip install 'chunkwire[arrow]' ({error})"
        ) from error
