"""``chunkwire convert``: a path in; the same streams as a log in another format, or as Parquet, out."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from importlib import import_module
from itertools import chain
from typing import Any

import chunkwire
from chunkwire._cli._output import (
    check_hint,
    damage_text,
    is_stdout,
    log_options,
    note,
    sources_of,
    writing,
)
from chunkwire._cli._packed import output_of, write_pieces

__all__ = ["TARGETS", "run"]

TARGETS = ("sse", "chunks", "exchanges", "parquet")
_SUFFIXES = {".sse": "sse", ".txt": "sse", ".jsonl": "chunks", ".ndjson": "chunks", ".parquet": "parquet"}
_PACKED = re.compile(r"\.(?:gz|zst|bz2|xz)$", re.IGNORECASE)
_ROWS = 1 << 16


def run(options: Namespace) -> int:
    """Runs the command."""
    to: Any = options.to or _target(None if is_stdout(options.output) else options.output)
    if options.keep and to != "exchanges":
        raise ValueError("--keep carries members of lines into exchanges: say --to exchanges")
    output = output_of(options)
    (source,) = sources_of([options.path])
    if to == "parquet":
        if output is None:
            raise ValueError("Parquet is written to a file: name one with -o FILE")
        stats = _parquet(source, output, options)
    else:
        pieces = chunkwire.convert(source, to, keep=options.keep, **log_options(options))
        first = next(pieces, b"")  # so that what cannot be converted leaves no file
        write_pieces(chain((first,), pieces), output)
        stats = pieces.stats
        stats.errors = 0  # which are written
    if damage := damage_text(stats):
        note(f"left out {damage}: {check_hint([options.path], options)}")
    return 0


def _target(output: str | None) -> Any:
    """What a file's name says is to be in it."""
    suffix = os.path.splitext(_PACKED.sub("", output or ""))[1].lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"say what to write with --to {', '.join(TARGETS)}: the name of the output does not tell")
    return _SUFFIXES[suffix]


def _parquet(source: Any, output: str, options: Namespace) -> chunkwire.Stats:
    """A row a chunk, in row groups, so that no more than one of them is in memory."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(f"Parquet needs the package pyarrow: pip install 'chunkwire[arrow]' ({error})") from error
    batches = chunkwire.batches(source, size=_ROWS, on_error="skip", **log_options(options))
    schema = pyarrow.schema(batches)
    with writing(output), parquet.ParquetWriter(output, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(pyarrow.record_batch(batch))
    return batches.stats
