"""``chunkwire redact``: a path in; the same log with filler in the place of what was said out."""

from __future__ import annotations

import os
from argparse import Namespace

import chunkwire
from chunkwire._cli._output import is_stdout, note, sources_of, stdout_bytes, writing
from chunkwire._cli._packed import packed

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Runs the command."""
    (source,) = sources_of([options.path])
    output = None if is_stdout(options.output) else str(options.output)
    if output is not None and options.path != "-" and os.path.exists(output) and os.path.samefile(options.path, output):
        raise ValueError(f"--output names the log itself: {output}")
    pieces = chunkwire.redact(source, keep=options.keep)
    total = 0
    if output is None:
        write = stdout_bytes()
        for piece in pieces:
            with writing():
                write(piece)
            total += len(piece)
    else:
        with writing(output), packed(output) as file:
            for piece in pieces:
                file.write(piece)
                total += len(piece)
    note(f"redacted {total:,} bytes; names of members and numbers of usage are kept: look at it before you share it")
    return 0
