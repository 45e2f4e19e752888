"""A source of the Python engine in, blocks of its decompressed bytes out: a path, bytes, or an iterator of bytes.

Files are read in blocks, gzip and zstd are told by their first bytes, and what is whole before a cut or damaged place
of a compressed file is given before `CompressedDamage` says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

__all__ = ["CompressedDamage", "as_bytes", "blocks_of"]

#: How many bytes are read, or decompressed, at once.
_BLOCK_BYTES = 1 << 20

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WITH_HEADER = 31


class CompressedDamage(Exception):
    """A compressed file is cut or damaged; all that was whole before has been given."""


def as_bytes(data: Any) -> bytes:
    """The bytes of any bytes-like object; a copy of whatever its owner could change."""
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        raise TypeError("expected bytes, got str: open the file in binary mode ('rb')")
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"expected a bytes-like object, got {type(data).__name__}") from None
    return view.tobytes()


def blocks_of(source: Any) -> Iterator[bytes]:
    """The blocks of ``source``: a path (str), bytes, or an iterator of bytes-like objects."""
    if isinstance(source, str):
        # Opened here and now, so that a path that cannot be read is an error of the call.
        blocks = _of_file(open(source, "rb"))  # noqa: SIM115
        next(blocks)  # so that the file is closed even if nobody asks for a block
        return blocks
    if isinstance(source, bytes):
        return iter((source,))
    return map(as_bytes, source)


def _of_file(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield b""
        head = file.read(4)
        if head.startswith(_GZIP):
            yield from _decompressed(file, head, "gzip")
        elif head.startswith(_ZSTD):
            yield from _decompressed(file, head, "zstd")
        else:
            block = head + file.read1(_BLOCK_BYTES - len(head)) if head else b""  # type: ignore[attr-defined]
            while block:
                yield block
                block = file.read1(_BLOCK_BYTES)  # type: ignore[attr-defined]


def _decompressed(file: BinaryIO, data: bytes, name: str) -> Iterator[bytes]:
    new, error_class, read_bytes = _gzip() if name == "gzip" else _zstd()
    decoder: Any = None
    while True:
        if decoder is None and name == "gzip":
            data = data.lstrip(b"\0")  # tapes and block devices pad with zeros
        if not data:
            data = file.read(read_bytes)
            if not data:
                break
            continue
        decoder = decoder or new()
        try:
            yield from _pieces(decoder, data)
        except error_class as error:
            # zlib opens with a number and "while decompressing data".
            raise CompressedDamage(str(error).rpartition("data: ")[2]) from None
        data = b""
        if decoder.eof:
            data = decoder.unused_data
            decoder = None
    if decoder is not None:
        raise CompressedDamage(f"the {name} data ends before its end mark")


def _pieces(decoder: Any, data: bytes) -> Iterator[bytes]:
    """What ``data`` decompresses to, in pieces of bounded size however small it was packed."""
    while True:
        spare: Any = decoder.copy() if hasattr(decoder, "copy") else None
        try:
            piece = decoder.decompress(data, _BLOCK_BYTES)
        except zlib.error:
            # What came before the damaged byte was lost with the call: byte by byte it is not.
            for at in range(len(data)):
                if piece := spare.decompress(data[at : at + 1]):
                    yield piece
            raise
        if piece:
            yield piece
        data = getattr(decoder, "unconsumed_tail", b"")
        if decoder.eof or (not data and getattr(decoder, "needs_input", len(piece) < _BLOCK_BYTES)):
            return


def _gzip() -> tuple[Any, Any, int]:
    return lambda: zlib.decompressobj(_GZIP_WITH_HEADER), zlib.error, 1 << 16


def _zstd() -> tuple[Any, Any, int]:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        pass
    else:
        return zstd.ZstdDecompressor, zstd.ZstdError, 1 << 16
    try:
        import zstandard
    except ImportError:
        message = "reading zstd files needs the package zstandard: pip install 'chunkwire[zstd]'"
        raise ModuleNotFoundError(message, name="zstandard") from None

    class Decompressor:
        needs_input = True

        def __init__(self) -> None:
            self._decoder = zstandard.ZstdDecompressor().decompressobj()

        def decompress(self, data: bytes, _: int) -> bytes:
            return self._decoder.decompress(data)

        @property
        def eof(self) -> bool:
            return self._decoder.eof

        @property
        def unused_data(self) -> bytes:
            return self._decoder.unused_data

    # It gives all at once, so it gets little at once.
    return Decompressor, zstandard.ZstdError, 1 << 10
