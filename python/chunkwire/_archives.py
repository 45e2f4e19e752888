"""Archives: a tar (packed, too) or a zip in, each log in it as a source out. Nothing is unpacked to disk.

A zip says where its members are, so they are sources like files, read side by side. A tar is read from its start to
its end, once: its members are found while it is read.
"""

from __future__ import annotations

import copy
import errno
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, BinaryIO

from chunkwire._blocks import CompressedDamage, blocks_of
from chunkwire._feeds import Feed, Source
from chunkwire._links import LINK, Links
from chunkwire._packing import DAMAGED, END, MORE, TOO_MUCH_MEMORY, Codec, codec

__all__ = ["SUFFIXES", "Members", "is_archive", "is_log", "kind_of", "members_of"]

#: The files of a folder or an archive that are read. A path that is named, or matched by a glob, is read whatever its
#: suffix.
SUFFIXES = (".sse", ".txt", ".log", ".stream", ".events", ".jsonl", ".ndjson", ".har")
PACKED = (".gz", ".zst", ".xz", ".bz2", ".br")
_TARS = (".tar", ".tgz", ".tzst", ".txz", ".tbz2", *(".tar" + suffix for suffix in PACKED))

_BLOCK_BYTES = 1 << 20
#: How many packed bytes of a member of a zip are read at once.
_INPUT_BYTES = 1 << 16
_LITTLE_BYTES = 1 << 12
_ENCRYPTED = 1
#: Headers of a tar that say more of the next: long names, and what POSIX calls extended. They are held whole.
_BEFORE_HEADERS = (b"L", b"K", b"x", b"g", b"X")
_MOST_HEADER_BYTES = 1 << 20
_MOST_TARGET_BYTES = 1 << 12
#: So many links to one log are read, each in a pass of its own through the archive.
_MOST_PASSES = 16
_NO_END = "it ends before its end mark"
_MORE = "the archive has more behind its end mark, which is not read"
#: What `codec` calls the ways to pack of a zip that it knows: deflate and bzip2.
_METHODS = {8: "deflate", 12: "bzip2"}

#: Said in the place of a label: nothing more is wanted of the archive.
_REST = ""

#: Gives an archive's file, from its start.
Opener = Callable[[], BinaryIO]


def kind_of(path: str) -> str | None:
    """Is it an archive, by its name?"""
    name = path.lower()
    return "zip" if name.endswith(".zip") else "tar" if name.endswith(_TARS) else None


def is_archive(path: str) -> bool:
    """Is it one, by its name?"""
    return kind_of(path) is not None


def is_log(name: str) -> bool:
    """Is it a log, packed or not, by its name?"""
    name = name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    return name.endswith(SUFFIXES)


def members_of(path: str, label: str, opener: Opener | None = None) -> Iterator[Source]:
    """The logs of a zip, each as a source whose feed may be the error that it is; or those of a tar, as one `Members`.
    What is no log has None as its feed. Without an opener it is the file of this path."""
    if kind_of(path) == "tar":
        yield Source(Members(path, label, opener), None, label)
        return
    archive = _Zip(path, label, opener)
    infos = archive.infos()
    links = Links()
    texts = iter(archive.texts([info for info in infos if _is_link(info)]))
    for number, info in enumerate(infos):
        if _is_link(info):
            links.add_link(info.filename, next(texts), is_hard=False)
        elif not info.is_dir():
            links.add_file(info.filename, number)
    found, lost = links.resolved()
    targets = {name: number for number, names in found.items() for name in names}
    lost_targets = dict(lost)
    for info in infos:
        name = f"{label}!{info.filename}"
        if _is_hidden(info.filename) or info.filename.endswith("/"):
            continue
        if not is_log(info.filename):
            yield Source(None, None, name)
            continue
        if _is_link(info):
            if info.filename not in targets:
                yield Source(None, None, f"{name}{LINK}{lost_targets[info.filename]}")
                continue
            info = infos[targets[info.filename]]
        if info.flag_bits & _ENCRYPTED:
            yield Source(OSError(errno.EACCES, "the member is encrypted", name), None, name)
        else:
            archive.users += 1
            yield Source(_ZipBlocks(archive, info, name), name, name)


def _is_link(info: Any) -> bool:
    """Is a member of a zip a symbolic link? (Its bytes are the target then.)"""
    return stat.S_ISLNK(info.external_attr >> 16) and 0 < info.file_size <= _MOST_TARGET_BYTES


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/") if part not in ("", ".", ".."))


class _Zip:
    """A zip that is open while a member of it is read."""

    def __init__(self, path: str, label: str, opener: Opener | None) -> None:
        self._path = path
        self._label = label
        self._opener = opener
        self._lock = threading.Lock()
        self._open: Any = None
        self.users = 0  #: how many members are not read yet

    def _new(self) -> tuple[Any, BinaryIO | None]:
        """The zip, and the file in which it is, if that was opened for it."""
        import zipfile

        file = self._opener() if self._opener else None
        try:
            return zipfile.ZipFile(file or self._path), file
        except Exception as error:
            _close(file)
            if isinstance(error, _ZIP_ERRORS) or _is_odd(error):
                raise OSError(errno.EINVAL, f"the zip is cut or damaged: {error}", self._label) from None
            raise

    def infos(self) -> list[Any]:
        """What is in it, in the order of its directory."""
        archive, file = self._new()
        infos: list[Any] = archive.infolist()
        _close(archive, file)
        return infos

    def texts(self, infos: list[Any]) -> list[str]:
        """What small members hold; nothing where one cannot be read."""
        if not infos:
            return []
        archive, file = self._new()
        texts = []
        try:
            for info in infos:
                try:
                    texts.append(archive.read(info).decode("utf-8", "surrogateescape"))
                except Exception as error:
                    if not (isinstance(error, (*_ZIP_ERRORS, RuntimeError)) or _is_odd(error)):
                        raise
                    texts.append("")
        finally:
            _close(archive, file)
        return texts

    def member(self, info: Any) -> Any:
        """A member as a file."""
        with self._lock:
            if self._open is None:
                self._open = self._new()
            return self._open[0].open(info)

    def leave(self) -> None:
        """One member less to read."""
        with self._lock:
            self.users -= 1
            if self.users <= 0 and self._open is not None:
                _close(*self._open)
                self._open = None


def _close(*files: Any) -> None:
    for file in files:
        if file is not None:
            file.close()


#: What zipfile raises of a directory that makes no sense. (NotImplementedError: it asks for a version of the format.)
_ZIP_ERRORS = (ValueError, EOFError, LookupError, ArithmeticError, NotImplementedError)


def _is_odd(error: Exception) -> bool:
    """Does an error say that the bytes are not what they should be? (An OSError without a number is of bz2; one that
    calls an argument invalid is of a place that no file has.)"""
    import zipfile

    return isinstance(error, (zipfile.BadZipFile, zlib.error, *_lzma_errors())) or (
        type(error) is OSError and error.filename is None and error.errno in (None, errno.EINVAL)
    )


class _ZipBlocks(Feed):
    """The bytes of a member of a zip. It is unpacked here where that can be: zipfile's own would drop all that a call
    has unpacked before the damaged byte, and the end of a member whose sum is wrong."""

    def __init__(self, archive: _Zip, info: Any, label: str) -> None:
        self._archive: _Zip | None = archive
        self._info = info
        self._label = label
        self._file: Any = None
        self._codec: Codec | None = None
        self._data = b""
        self._is_pending = False
        self._has_ended = False
        self._broken = ""
        self._given = 0
        self._sum = 0

    def __next__(self) -> bytes:
        if self._archive is None:
            raise StopIteration
        block = b""
        try:
            if self._file is None:
                self._file = self._open(self._archive)
            block = self._next()
            self._sum = zlib.crc32(block, self._sum)
            if self._info.compress_type:
                room = self.limit(self._info.compress_size) - self._given
                if len(block) > room:
                    if room <= 0:
                        raise self.too_much(self._info.compress_size, "zip")
                    block = block[:room]
            if not block and self._sum != self._info.CRC:
                raise CompressedDamage("the zip member is damaged: its checksum is another")
        except (NotImplementedError, RuntimeError) as error:
            self._leave()
            raise OSError(errno.ENOTSUP, f"the member cannot be unpacked: {error}", self._label) from None
        except CompressedDamage:
            self._leave()
            raise
        except Exception as error:
            self._leave()
            if isinstance(error, _ZIP_ERRORS) or _is_odd(error):
                reason = str(error) or "it ends too early"
                raise CompressedDamage(f"the zip member is damaged: {reason}") from None
            raise
        self._given += len(block)
        if not block:
            self._leave()
            raise StopIteration
        return block

    def _open(self, archive: _Zip) -> Any:
        """The member's file: of its packed bytes, if it is unpacked here."""
        info = copy.copy(self._info)
        if method := _METHODS.get(info.compress_type):
            self._codec = codec(method)
            info.compress_type, info.file_size = 0, info.compress_size
        del info.CRC  # so that zipfile does not look at it
        return archive.member(info)

    def _next(self) -> bytes:
        """Some bytes, none at the end."""
        if self._codec is None:
            # zipfile unpacks what it reads at once, however much that becomes.
            block: bytes = self._file.read1(_LITTLE_BYTES if self._info.compress_type else _BLOCK_BYTES)
            return block
        while not self._has_ended:
            if self._broken:
                raise CompressedDamage(f"the zip member {self._broken}")
            if not self._data and not self._is_pending:
                self._data = self._file.read(_INPUT_BYTES)
                if not self._data:
                    raise CompressedDamage("the zip member is damaged: it ends before its end mark")
            data = self._data
            piece, self._data, state = self._codec.unpack(data, _BLOCK_BYTES)
            self._is_pending = len(piece) >= _BLOCK_BYTES
            self._has_ended = state == END
            if state == TOO_MUCH_MEMORY:
                self._broken = "needs too much memory to be unpacked"
            elif state == DAMAGED or (state == MORE and not piece and data and self._data == data):
                self._broken = "is damaged: its data is not what it should be"
            if piece:
                return piece
        return b""

    def _leave(self) -> None:
        file, self._file = self._file, None
        archive, self._archive = self._archive, None
        if file is not None:
            file.close()
        if archive is not None:
            archive.leave()


def _lzma_errors() -> tuple[type[Exception], ...]:
    try:
        import lzma
    except ImportError:
        return ()
    return (lzma.LZMAError,)


class Members:
    """The logs of a tar: iterate for sources, each of which is to be read before the next is asked for. One whose feed
    is an error tells that the archive broke off; one whose feed is None is no log."""

    def __init__(self, path: str, label: str, opener: Opener | None) -> None:
        self._path = path
        self._label = label
        self._opener = opener
        self.most: int | None = None  #: the most bytes that may come out of the archive, None for the default

    @property
    def path(self) -> str:
        """That of the archive."""
        return self._path

    def __iter__(self) -> Iterator[Source]:
        links = Links()

        def first(number: int, info: Any) -> str | Source | None:
            name = f"{self._label}!{info.name}"
            is_link = info.issym() or info.islnk()
            if info.isreg():
                links.add_file(info.name, number)
            if not (info.isreg() or is_link) or _is_hidden(info.name):
                return None
            if not is_log(info.name):
                return Source(None, None, name)
            if is_link:
                links.add_link(info.name, info.linkname, is_hard=info.islnk())
                return None
            return name

        yield from self._pass(first)
        # Links to what is in the archive are read where that stands, once more.
        found, lost = links.resolved()
        for name, target in lost:
            yield Source(None, None, f"{self._label}!{name}{LINK}{target}")
        for _ in range(_MOST_PASSES):
            if not found:
                break
            labels = {number: f"{self._label}!{names.pop(0)}" for number, names in found.items()}
            found = {number: names for number, names in found.items() if names}

            def later(number: int, _: Any, labels: dict[int, str] = labels) -> str | Source | None:
                return labels.pop(number, None) if labels else _REST

            yield from self._pass(later, again=True)
        for name in (name for names in found.values() for name in names):
            label = f"{self._label}!{name}"
            yield Source(
                OSError(errno.EMLINK, "too many links lead to the same log, to read all of them", label), None, label
            )

    def _pass(self, pick: Callable[[int, Any], str | Source | None], *, again: bool = False) -> Iterator[Source]:
        """Reads the archive from its start. For the number and the info of each member ``pick`` gives the label under
        which it is read, a source to give in its place, None for nothing, or `_REST` where nothing more is wanted. What
        is wrong with the archive is told, but not again."""
        import tarfile

        stream = _Stream(self._blocks())
        # What tarfile says of the header where it stops: it ends at a damaged one as if that were the end.
        last: list[tarfile.HeaderError] = []

        class Info(tarfile.TarInfo):
            @classmethod
            def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> Any:
                try:
                    info = super().frombuf(buf, encoding, errors)
                except tarfile.HeaderError as error:
                    last.append(error)
                    raise
                if info.type in _BEFORE_HEADERS and not 0 <= info.size <= _MOST_HEADER_BYTES:
                    raise tarfile.ReadError(f"a header of {info.size} bytes")
                return info

        problem = ""
        with closing(stream):
            try:
                with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape", tarinfo=Info) as archive:  # type: ignore[call-overload]
                    for number, info in enumerate(archive):
                        picked = pick(number, info)
                        if picked == _REST:
                            return
                        if picked is None:
                            continue
                        if isinstance(picked, Source):
                            yield picked
                            continue
                        if info.issparse():
                            error = OSError(errno.ENOTSUP, "a sparse file in a tar is not read", picked)
                            yield Source(error, None, picked)
                            continue
                        blocks = _TarBlocks(archive, info, stream)
                        yield Source(blocks, picked, picked)
                        if blocks.is_broken:
                            return
                        archive.members = []  # which would all be kept
                    said = type(last[-1]).__name__ if last else ""
                    if said == "EOFHeaderError":
                        problem = "" if _is_zeros(archive.fileobj) else _MORE
                    else:
                        problem = str(last[-1]) if said == "InvalidHeaderError" else _NO_END
            except (tarfile.TarError, ValueError, ArithmeticError, LookupError) as error:
                problem = str(error)
        problem = str(stream.broken or problem)
        if problem and not again:
            if problem != _MORE and (stream.broken is None or stream.broken.kind == "truncated"):
                problem = f"the archive is cut or damaged: {problem}"
            yield Source(OSError(errno.EINVAL, problem, self._label), None, self._label)

    def _blocks(self) -> Iterator[bytes]:
        source: Any = self._path if self._opener is None else _FileBlocks(self._opener())
        by_name = "brotli" if self._path.lower().endswith(".br") else None
        unpack: Any = blocks_of
        try:
            from chunkwire import _native
        except ImportError:
            pass
        else:
            unpack = _native.blocks
        blocks: Iterator[bytes] = unpack((source, self.most, by_name))
        return blocks


def _is_zeros(file: Any) -> bool:
    """Has a file nothing else up to its end? (It is read no further than that.)"""
    while block := file.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            return False
    return True


class _FileBlocks:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> _FileBlocks:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(_BLOCK_BYTES)
        if not block:
            self._file.close()
            raise StopIteration
        return block


class _Stream:
    """Blocks as a file that can only be read on, as tarfile wants it. At damage it ends, and is `broken`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks: Iterator[bytes] | None = blocks
        self._block = memoryview(b"")
        self.broken: CompressedDamage | None = None

    def read(self, size: int) -> bytes:
        """So many bytes, or less at the end."""
        pieces = []
        while size:
            if not self._block:
                block = self._next()
                if not block:
                    break
                self._block = memoryview(block)
            piece = self._block[:size]
            self._block = self._block[len(piece) :]
            size -= len(piece)
            pieces.append(piece)
        return pieces[0].tobytes() if len(pieces) == 1 else b"".join(pieces)

    def _next(self) -> bytes:
        try:
            return next(self._blocks, b"") if self._blocks is not None else b""
        except CompressedDamage as error:
            self.broken, self._blocks = error, None
            return b""

    def close(self) -> None:
        """Lets go of the blocks."""
        self._blocks = None


class _TarBlocks(Feed):
    """The bytes of a member of a tar."""

    def __init__(self, archive: Any, info: Any, stream: _Stream) -> None:
        # That of tarfile's own file objects would drop what is whole of the last block.
        self._file = archive.fileobj
        self._offset: int = info.offset_data
        self._left: int = info.size
        self._stream = stream
        self.is_broken = False  #: did the archive break off in it?

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._file.seek(self._offset)
        block: bytes = self._file.read(min(self._left, _BLOCK_BYTES))
        if not block:
            self._left, self.is_broken = 0, True
            raise self._stream.broken or CompressedDamage("the archive ends inside this log")
        self._offset += len(block)
        self._left -= len(block)
        return block
