"""``chunkwire redact``: a path in; the same log with filler in the place of what was said out."""

from __future__ import annotations

from argparse import Namespace

import chunkwire
from chunkwire._cli._output import note, sources_of
from chunkwire._cli._packed import output_of, write_pieces

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Runs the command."""
    (source,) = sources_of([options.path])
    output = output_of(options)
    total = write_pieces(chunkwire.redact(source, keep=options.keep), output)
    note(f"redacted {total:,} bytes; names of members and numbers of usage are kept: look at it before you share it")
    return 0
