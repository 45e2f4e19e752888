"""Files that are written compressed, as their suffix says: a path in, a binary file to write to out."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["packed"]


@contextmanager
def packed(path: str) -> Iterator[Any]:
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
