"""A source of the Python engine in, blocks of its unpacked bytes out: a path, bytes, or an iterator of bytes.

What is packed is told by its first bytes (brotli by its name), and what is whole before a cut or damaged place is given
before `CompressedDamage` says so. The same as ``rust/source/packed.rs``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO

from chunkwire._packing import (
    DAMAGED,
    END,
    HEAD_BYTES,
    MAGIC,
    MORE,
    PART_NAMES,
    TOO_MUCH_MEMORY,
    Codec,
    codec,
    packing_of,
)

__all__ = ["FREE_BYTES", "MOST_RATIO", "CompressedDamage", "as_bytes", "blocks_of"]

#: How many bytes are read, or unpacked, at once.
_BLOCK_BYTES = 1 << 20
#: How many packed bytes are read at once.
_INPUT_BYTES = 1 << 16

#: So much may come out of any source, and so many times its size out of one that has no other bound. (Each event has
#: some bytes of its own, so a log is far from that.)
FREE_BYTES = 256 << 20
MOST_RATIO = 1000


class CompressedDamage(Exception):
    """A packed source is cut, damaged or too large; all that was whole before has been given."""

    def __init__(self, reason: str, kind: str = "truncated") -> None:
        super().__init__(reason)
        self.kind = kind

    @property
    def reason(self) -> str:
        """What is said of it as damage."""
        if self.kind == "truncated":
            return f"the compressed source is cut or damaged: {self}"
        return str(self)


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
    """The blocks of ``source``: a path (str), bytes, or an iterator of bytes-like objects; or a tuple of that, the most
    bytes that may come out if it is packed, and ``"brotli"`` where its name says that."""
    most, by_name = None, None
    if isinstance(source, tuple):
        source, most, by_name = source
    if isinstance(source, str):
        if source.lower().endswith(".br"):
            by_name = "brotli"
        # Opened here and now, so that a path that cannot be read is an error of the call.
        blocks = _of_file(open(source, "rb"), most, by_name)  # noqa: SIM115
        next(blocks)  # so that the file is closed even if nobody asks for a block
        return blocks
    if isinstance(source, bytes):
        packing = packing_of(source[:HEAD_BYTES]) or (by_name if source else None)
        if not packing:
            return iter((source,))
        return _Packed(BytesIO(source).read, b"", packing, len(source), most)
    return _Unknown(map(as_bytes, source), most, by_name)


@contextmanager
def _named(file: BinaryIO) -> Iterator[None]:
    """Says of which file it is that something cannot be read."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = file.name
        raise


def _of_file(file: BinaryIO, most: int | None, by_name: str | None) -> Iterator[bytes]:
    with file, _named(file):
        yield b""
        head = file.read(HEAD_BYTES)
        packing = packing_of(head) or by_name
        if packing:
            about = os.fstat(file.fileno())
            size = about.st_size if stat.S_ISREG(about.st_mode) else None
            yield from _Packed(file.read, head, packing, size, most)
        else:
            block = head + file.read1(_BLOCK_BYTES - len(head)) if head else b""  # type: ignore[attr-defined]
            while block:
                yield block
                block = file.read1(_BLOCK_BYTES)  # type: ignore[attr-defined]


class _Unknown:
    """Blocks of an iterator, unpacked if its first bytes say so. Nothing is held back of one that is not packed."""

    def __init__(self, blocks: Iterator[bytes], most: int | None, by_name: str | None) -> None:
        self._blocks = blocks
        self._most = most
        self._by_name = by_name
        self._head = b""
        self._is_known = False

    def __iter__(self) -> _Unknown:
        return self

    def __next__(self) -> bytes:
        if not self._is_known:
            self._recognise()
        if self._head:
            head, self._head = self._head, b""
            return head
        return next(self._blocks)

    def _recognise(self) -> None:
        packing = None
        while packing is None:
            if (block := next(self._blocks, None)) is None:
                packing = ""
            else:
                self._head += block
                packing = packing_of(self._head[:HEAD_BYTES])
        self._is_known = True
        packing = packing or (self._by_name if self._head else None)
        if packing:
            head, self._head = self._head, b""
            blocks = self._blocks
            self._blocks = _Packed(lambda _: next(blocks, b""), head, packing, None, self._most)


class _Packed:
    """What packed bytes unpack to, in blocks of bounded size however small they were packed. (No generator, which would
    be over with the first error of its source.)"""

    def __init__(
        self, read: Callable[[int], bytes], head: bytes, packing: str, size: int | None, most: int | None
    ) -> None:
        self._read = read
        self._packing = packing
        self._size = size
        self._most = most
        self._codec: Codec | None = None
        self._data = head
        self._parts = 0  # how many have begun
        self._packed = len(head)  # how many bytes were read
        self._given = 0
        self._is_pending = False
        self._broken: CompressedDamage | None = None

    def __iter__(self) -> _Packed:
        return self

    def __next__(self) -> bytes:
        while self._broken is None:
            if self._codec is None and not self._begin():
                raise StopIteration
            if not self._data and not self._is_pending and not self._fill():
                self._fault("ends before its end mark")
                break
            if self._codec is None:
                break
            data = self._data
            piece, self._data, state = self._codec.unpack(data, _BLOCK_BYTES)
            self._is_pending = len(piece) >= _BLOCK_BYTES
            if state == END:
                self._codec, self._is_pending = None, False
            elif state == DAMAGED or (state == MORE and not piece and self._data and self._data == data):
                self._fault("is damaged")
            elif state == TOO_MUCH_MEMORY:
                self._fault("needs too much memory to be unpacked")
            if len(piece) > (room := self._room()):
                piece = piece[:room]
                self._given += room
                self._too_much()
            else:
                self._given += len(piece)
            if piece:
                return piece
        if self._broken is None:
            raise StopIteration
        raise self._broken

    def _fill(self) -> bool:
        """Reads packed bytes where none are left; false at their end."""
        if not self._data:
            self._data = self._read(_INPUT_BYTES)
            self._packed += len(self._data)
        return bool(self._data)

    def _begin(self) -> bool:
        """Begins the next part; false at the end."""
        while True:
            if not self._fill():
                return False
            if not self._parts or self._packing not in ("gzip", "xz"):
                break
            self._data = self._data.lstrip(b"\0")  # tapes and block devices pad with zeros
            if self._data:
                break
        if self._parts and not self._continues():
            name, part = self._packing, PART_NAMES[self._packing]
            self._break(f"what stands behind {part} {self._parts} of the {name} data is no {name} data")
            return True
        self._codec = codec(self._packing)
        self._parts += 1
        return True

    def _continues(self) -> bool:
        """Is what comes next packed in the same way?"""
        while (packing := packing_of(self._data[:HEAD_BYTES])) is None:
            more = self._read(_INPUT_BYTES)
            self._packed += len(more)
            self._data += more
            if not more:  # where it may be the beginning of a part it is cut
                return any(magic.startswith(self._data) for magic in MAGIC.get(self._packing, ()))
        return packing == self._packing

    def _room(self) -> int:
        """How many more bytes may come out."""
        most = self._most
        if most is None:
            most = max(max(self._size or 0, self._packed) * MOST_RATIO, FREE_BYTES)
        return max(most - self._given, 0)

    def _fault(self, what: str) -> None:
        name, part = self._packing, PART_NAMES[self._packing]
        self._break(f"the {name} data {what}" + (f" (in its {part} {self._parts})" if self._parts > 1 else ""))

    def _too_much(self) -> None:
        name = self._packing
        if self._most is not None:
            reason = (
                f"the {name} data unpacks to more than {self._most} bytes, which max_decompressed_bytes allows; "
                "the rest was not read"
            )
        else:
            reason = (
                f"the {name} data unpacks to more than {MOST_RATIO} times its size: {self._given} bytes came out of "
                f"{max(self._size or 0, self._packed)} at most, the rest was not read; "
                "max_decompressed_bytes allows more"
            )
        self._break(reason, "source_too_large")

    def _break(self, reason: str, kind: str = "truncated") -> None:
        self._broken = CompressedDamage(reason, kind)
