"""The ways to pack, each behind one call: packed bytes in, unpacked bytes out, and what became of it.

The same as ``rust/source/unpack.rs``. What is whole before a damaged byte is given; of xz and bzip2, whose modules lose
what a failing call has unpacked, all but the last few kB. brotli, and zstd before Python 3.14, need packages.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

__all__ = [
    "DAMAGED",
    "END",
    "HEAD_BYTES",
    "MAGIC",
    "MORE",
    "NAMES",
    "PART_NAMES",
    "TOO_MUCH_MEMORY",
    "Codec",
    "codec",
    "packing_of",
]

#: As many bytes as the longest magic has.
HEAD_BYTES = 6

#: How sources begin that are packed. (brotli has no first bytes of its own.)
MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes((first, 0x2A, 0x4D, 0x18)) for first in range(0x50, 0x60))),
    "xz": (b"\xfd7zXZ\0",),
    "bzip2": (b"BZh",),
}
#: What the things are called that stand one behind the other.
PART_NAMES = {"gzip": "member", "zstd": "frame", "xz": "stream", "bzip2": "stream", "brotli": "stream"}
NAMES = tuple(PART_NAMES)

#: How a call ended: it wants more input or has more to give, here the part ends, or it fails.
MORE, END, DAMAGED, TOO_MUCH_MEMORY = range(4)

#: The most memory that unpacking xz takes: ``xz -9`` asks for 65 MiB.
_XZ_MEMORY = 256 << 20
#: What a call of a module gives at most that loses it when it fails.
_SMALL = 1 << 13
_SMALL_INPUT = 1 << 10
_GZIP_WITH_HEADER = 31
_DEFLATE = -15
_SKIPPABLE = MAGIC["zstd"][1:]


def packing_of(head: bytes) -> str | None:
    """How a source is packed that begins with these bytes: a name, "" for not at all, or None if that takes more."""
    short = False
    for name, magics in MAGIC.items():
        if head.startswith(magics):
            return name
        short |= any(magic.startswith(head) for magic in magics)
    return None if short else ""


class Codec(Protocol):
    """Unpacks one part: a gzip member, a zstd frame, a stream of the others."""

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        """What comes out, about ``most`` bytes; what is left of the data; and how it ended."""


def codec(name: str) -> Codec:
    """A codec at the start of a part: one of `NAMES`, or "deflate" alone. ModuleNotFoundError where a package is needed
    that is not there."""
    if name in ("gzip", "deflate"):
        return _Gzip(_DEFLATE if name == "deflate" else _GZIP_WITH_HEADER)
    if name == "zstd":
        return _Zstd()
    if name == "brotli":
        return _Brotli()
    return _Lossy(name)


class _Gzip:
    def __init__(self, window_bits: int) -> None:
        self._decoder: Any = zlib.decompressobj(window_bits)

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        spare = self._decoder.copy()
        try:
            piece = self._decoder.decompress(data, most)
        except zlib.error:
            # What came before the damaged byte was lost with the call: byte by byte it is not.
            pieces: list[bytes] = []
            try:
                for at in range(len(data)):
                    pieces.append(spare.decompress(data[at : at + 1]))
            except zlib.error:
                pass
            return b"".join(pieces), b"", DAMAGED
        if self._decoder.eof:
            return piece, self._decoder.unused_data, END
        return piece, self._decoder.unconsumed_tail, MORE


class _Lossy:
    """xz and bzip2."""

    def __init__(self, name: str) -> None:
        self._decoder: Any
        if name == "xz":
            import lzma

            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
            self._errors: tuple[type[Exception], ...] = (lzma.LZMAError,)
        else:
            import bz2

            self._decoder = bz2.BZ2Decompressor()
            self._errors = (OSError, ValueError)

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        pieces: list[bytes] = []
        size = 0
        while size < most:
            try:
                piece = self._decoder.decompress(data, _SMALL)
            except self._errors as error:
                return b"".join(pieces), b"", TOO_MUCH_MEMORY if "emory" in str(error) else DAMAGED
            data = b""
            pieces.append(piece)
            size += len(piece)
            if self._decoder.eof:
                return b"".join(pieces), self._decoder.unused_data, END
            # (A block of bzip2 whose bytes have all come gives more without more input.)
            if self._decoder.needs_input and len(piece) < _SMALL:
                break
        return b"".join(pieces), b"", MORE


class _Brotli:
    def __init__(self) -> None:
        try:
            import brotli  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            message = "reading brotli files with this engine needs the package brotli: pip install 'chunkwire[brotli]'"
            raise ModuleNotFoundError(message, name="brotli") from None
        self._decoder: Any = brotli.Decompressor()
        self._error: type[Exception] = brotli.error

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        pieces: list[bytes] = []
        at = size = 0
        while size < most:
            unit = data[at : at + _SMALL_INPUT] if self._decoder.can_accept_more_data() else b""
            try:
                piece = self._decoder.process(unit, output_buffer_limit=most)
            except self._error:
                return b"".join(pieces), b"", DAMAGED
            at += len(unit)
            pieces.append(piece)
            size += len(piece)
            if self._decoder.is_finished():
                return b"".join(pieces), data[at:], END
            if at == len(data) and self._decoder.can_accept_more_data():
                break
        return b"".join(pieces), data[at:], MORE


class _Zstd:
    """It gives its decoder the head of the frame, each block and the checksum apart, so that a damaged block takes none
    with it that were whole, and no call gives more than a block (RFC 8878, 3.1.1)."""

    def __init__(self) -> None:
        self._decoder, self._error = _zstd()
        self._stage = "frame"
        self._held = b""  # the beginning of what it wants whole
        self._left = 0  # of a skippable frame, or of a block

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at = size = 0
        while size < most:
            there = len(data) - at
            if self._stage == "skip":
                at += min(self._left, there)
                self._left -= min(self._left, there)
                return b"", data[at:], MORE if self._left else END
            wanted = self._wanted(data[at : at + 8])
            if self._stage == "raw":
                wanted = min(wanted, there)
            if there < wanted or not there:
                self._held = data[at:]
                return b"".join(pieces), b"", MORE
            unit = data[at : at + wanted]
            at += wanted
            if unit[:4] in _SKIPPABLE and self._stage == "frame":
                self._stage, self._left = "skip", int.from_bytes(unit[4:], "little")
                continue
            try:
                piece = self._decoder.decompress(unit)
            except self._error as error:
                return b"".join(pieces), b"", TOO_MUCH_MEMORY if "memory" in str(error) else DAMAGED
            pieces.append(piece)
            size += len(piece)
            if self._decoder.eof:
                return b"".join(pieces), data[at:], END
            self._go_on(unit)
        return b"".join(pieces), data[at:], MORE

    def _wanted(self, head: bytes) -> int:
        """How many bytes what comes next has."""
        if self._stage == "block":
            return 3
        if self._stage != "frame":
            return self._left
        if head[:4] in _SKIPPABLE:
            return 8
        if len(head) < 5:
            return 5
        descriptor = head[4]
        is_single = descriptor >> 5 & 1
        size = (is_single, 2, 4, 8)[descriptor >> 6]
        return 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3] + size

    def _go_on(self, unit: bytes) -> None:
        """Takes note of what comes behind this."""
        if self._stage == "raw" and (left := self._left - len(unit)):
            self._left = left
        elif self._stage == "block":
            head = int.from_bytes(unit, "little")
            self._is_last = bool(head & 1)
            self._left = 1 if head >> 1 & 3 == 1 else head >> 3
            self._stage = "raw" if head >> 1 & 3 == 0 else "body"
            if not self._left:
                self._behind_block()
        elif self._stage == "frame":
            self._stage = "block"
        else:
            self._behind_block()

    def _behind_block(self) -> None:
        self._stage, self._left = ("checksum", 4) if self._is_last else ("block", 0)


def _zstd() -> tuple[Any, type[Exception]]:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        pass
    else:
        return zstd.ZstdDecompressor(), zstd.ZstdError
    try:
        import zstandard
    except ImportError:
        message = "reading zstd files with this engine needs the package zstandard: pip install 'chunkwire[zstd]'"
        raise ModuleNotFoundError(message, name="zstandard") from None
    # The greatest window that the other engine takes.
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), zstandard.ZstdError
