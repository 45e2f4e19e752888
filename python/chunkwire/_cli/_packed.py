"""What commands share that write one log out of another: where it goes, compressed as the suffix of its name says."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from chunkwire._cli._output import is_stdout, stdout_bytes, writing

__all__ = ["output_of", "write_pieces"]


def output_of(options: Namespace) -> str | None:
    """The file that -o names, None for stdout; ValueError if that is the log that is read."""
    if is_stdout(options.output):
        return None
    output = str(options.output)
    if options.path != "-" and os.path.exists(output) and os.path.samefile(options.path, output):
        raise ValueError(f"--output names the log itself: {output}")
    return output


def write_pieces(pieces: Iterable[bytes], output: str | None) -> int:
    """Writes them to the file or to stdout; gives how many bytes that were."""
    total = 0
    if output is None:
        write = stdout_bytes()
        for piece in pieces:
            with writing():
                write(piece)
            total += len(piece)
    else:
        with writing(output), _packed(output) as file:
            for piece in pieces:
                file.write(piece)
                total += len(piece)
    return total


@contextmanager
def _packed(path: str) -> Iterator[Any]:
    """A new file at the path: gzip, bzip2, xz or zstd by its suffix, else plain."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".gz":
        with gzip.open(path, "wb", compresslevel=6) as file:
            yield file
    elif suffix == ".bz2":
        with bz2.open(path, "wb") as file:
            yield file
    elif suffix == ".xz":
        with lzma.open(path, "wb", preset=3) as file:
            yield file
    elif suffix == ".zst":
        with _zstd(path) as file:
            yield file
    else:
        with open(path, "wb") as file:
            yield file


def _zstd(path: str) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        pass
    else:
        return zstd.open(path, "wb")
    try:
        import zstandard
    except ImportError:
        message = "writing zstd files needs the package zstandard: pip install 'chunkwire[zstd]'"
        raise ModuleNotFoundError(message, name="zstandard") from None
    return zstandard.open(path, "wb")
