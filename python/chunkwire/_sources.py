"""What a source may be: whatever users pass in, what an engine can read out.

An engine reads a path (str), `bytes`, or an iterator of bytes-like blocks. `resolve` makes one of those of a single
source; `find` makes a list of many: paths, globs, folders, files.
"""

from __future__ import annotations

import errno
import glob
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import PurePath
from typing import Any

from chunkwire import _responses

__all__ = ["SUFFIXES", "Found", "Source", "check_format", "counted", "find", "resolve", "size_of"]

#: The files of a folder that are read. A path that is named, or matched by a glob, is read whatever its suffix.
SUFFIXES = (".sse", ".txt", ".log", ".stream", ".events")
_PACKED = (".gz", ".zst")
_PACKED_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")

FORMATS = ("auto", "sse")

_BLOCK_BYTES = 1 << 20
#: What is asked of files that may wait until they have it all.
_READ_BYTES = 1 << 16

_A_SOURCE_IS = "a source is a path, bytes, a binary file object or an iterable of bytes"
_HINT = "; use chunkwire.adecode()"


def check_format(format: str) -> None:
    """ValueError, unless the format is one that can be read."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, not {format!r}")


@dataclass(slots=True)
class Source:
    """One source, ready for an engine."""

    feed: str | bytes | Iterator[Any]
    name: str | None  #: what errors call it
    label: str  #: what tables call it


def resolve(source: Any) -> Source:
    """One source, as an engine can read it."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if "\n" in path and not os.path.lexists(path):
            raise TypeError("a str is a path, and this one is text: pass the text's bytes (text.encode())")
        if "\0" in path:
            raise ValueError(f"a path cannot have a NUL character: {path!r}")
        return Source(path, path, path)
    if type(source) is bytes:
        return Source(source, None, "<bytes>")
    try:
        memoryview(source).release()
    except TypeError:
        pass
    else:
        return Source(_blocks_of_buffer(source), None, "<bytes>")
    if _responses.is_asynchronous(source):
        raise TypeError(f"{_A_SOURCE_IS}, not {type(source).__name__}{_HINT}")
    if (blocks := _responses.blocks(source)) is not None:
        return Source(blocks, None, "<response>")
    if hasattr(source, "read"):
        if isinstance(source, io.TextIOBase):
            raise TypeError("a file that is open for text gives no bytes: open it with mode 'rb'")
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else None
        return Source(_FileBlocks(source), name, name or "<stream>")
    if isinstance(source, Iterable):
        if isinstance(source, (list, tuple)) and any(_is_path(item) for item in source):
            raise TypeError(f"{_A_SOURCE_IS}; a list of paths belongs to chunkwire.usage()")
        return Source(iter(source), None, "<stream>")
    hint = _HINT if hasattr(source, "__aiter__") else ""
    raise TypeError(f"{_A_SOURCE_IS}, not {type(source).__name__}{hint}")


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike))


def _blocks_of_buffer(source: Any) -> Iterator[bytes]:
    """Copies of the blocks of memory that its owner may change, or even shrink, at any time.

    A view of it is held no longer than one block takes, so that the owner can go on as if nobody read.
    """
    with memoryview(source) as whole:
        if not whole.c_contiguous or not whole.nbytes:
            return iter((whole.tobytes(),))
        try:
            whole.cast("B").release()
        except (TypeError, ValueError):  # items of a format that Python does not know
            return iter((whole.tobytes(),))
    return _copies(source)


def _copies(source: Any) -> Iterator[bytes]:
    start = 0
    while True:
        with memoryview(source) as whole, whole.cast("B") as view, view[start : start + _BLOCK_BYTES] as piece:
            block = piece.tobytes()
        if not block:
            return
        yield block
        start += len(block)


class _FileBlocks:
    """What a file has, as soon as it has any. (No generator, which would be over with the first error of the file.)"""

    def __init__(self, file: Any) -> None:
        self._read: Callable[[int], Any] = getattr(file, "read1", None) or file.read
        self._bytes = _BLOCK_BYTES if hasattr(file, "read1") else _READ_BYTES

    def __iter__(self) -> _FileBlocks:
        return self

    def __next__(self) -> Any:
        block = self._read(self._bytes)
        if block:
            if isinstance(block, str):
                raise TypeError("the file gives text, not bytes: open it with mode 'rb'")
            return block
        if block is None:
            raise BlockingIOError("the file is in non-blocking mode, and has nothing to read yet")
        raise StopIteration


def size_of(source: Source) -> int | None:
    """How many bytes the source has to read, where that is known: those of the file, packed as it may be."""
    if isinstance(source.feed, bytes):
        return len(source.feed)
    if isinstance(source.feed, str):
        try:
            return os.stat(source.feed).st_size if os.path.isfile(source.feed) else None
        except OSError:
            return None
    return None


def is_packed(path: str) -> bool:
    """Is the file compressed, by its first bytes?"""
    with open(path, "rb", buffering=0) as file:
        return file.read(4).startswith(_PACKED_MAGIC)


def counted(source: Source, count: Callable[[int], None]) -> str | bytes | Iterator[Any]:
    """The source's feed, telling ``count`` how many bytes each block has that is read.

    What an engine has to unpack or has at once is counted by nobody: the caller adds its `size_of` in the end.
    """
    if isinstance(source.feed, bytes):
        return source.feed
    if isinstance(source.feed, str):
        path = source.feed
        if not os.path.isfile(path) or is_packed(path):
            return path
        return _counted(_blocks_of_path(path), count)
    return _counted(source.feed, count)


def _blocks_of_path(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _counted(blocks: Iterator[Any], count: Callable[[int], None]) -> Iterator[Any]:
    for block in blocks:
        count(len(block) if isinstance(block, bytes) else memoryview(block).nbytes)
        yield block


@dataclass(slots=True)
class Found:
    """The sources that were found, in order; what was passed over in folders; what could not be found or read."""

    sources: list[Source] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    many: bool = True  #: is it a list, a folder or a glob?

    def fail(self, label: str, error: Exception) -> None:
        self.failures.append((label, error))


def find(sources: Any) -> Found:
    """All sources of a single one (as for `resolve`; or a folder or a glob) or of a list of them.

    An iterable of bytes is one source, an iterable of paths (or of files) many.
    """
    found = Found()
    if not isinstance(sources, (list, tuple)):
        is_file = hasattr(sources, "read") or hasattr(sources, "iter_content")  # or a response
        if _is_path(sources) or _is_bytes(sources) or is_file or not isinstance(sources, Iterable):
            found.many = False
            _find_one(sources, found)
            return found
        # The first item tells: Path.glob() gives paths, a response gives bytes.
        items = iter(sources)
        first = list(islice(items, 1))
        if not first or _is_bytes(first[0]):
            found.many = False
            found.sources.append(resolve(chain(first, items)))
            return found
        sources = [*first, *items]
    if sources and all(_is_bytes(item) for item in sources):
        found.many = False
        found.sources.append(resolve(sources))
        return found
    for source in sources:
        try:
            _find_one(source, found)
        except OSError as error:
            found.fail(_label(source), error)
    return found


def _is_bytes(item: Any) -> bool:
    try:
        memoryview(item).release()
    except TypeError:
        return False
    return True


def _label(source: Any) -> str:
    return os.fsdecode(source) if _is_path(source) else "<stream>"


def _find_one(source: Any, found: Found) -> None:
    if not _is_path(source):
        found.sources.append(resolve(source))
        return
    path = os.fsdecode(source)
    if os.path.isdir(path):
        _find_in_folder(path, found)
    elif os.path.lexists(path) or "\n" in path or "\0" in path:
        found.sources.append(resolve(path))
    elif isinstance(source, str) and glob.has_magic(path):
        _find_by_glob(path, found)
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _find_by_glob(pattern: str, found: Found) -> None:
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise FileNotFoundError(errno.ENOENT, "no file matches", pattern)
    found.many = True
    for path in paths:
        if not os.path.isdir(path):
            found.sources.append(resolve(path))
        elif "**" not in pattern:  # which has matched what is in the folder, too
            _find_in_folder(path, found)


def _find_in_folder(folder: str, found: Found) -> None:
    """The logs in a folder and the folders in it; hidden ones are left alone, as are links to other folders."""

    def unreadable(error: OSError) -> None:
        found.fail(str(error.filename), error)

    found.many = True
    paths = []
    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [os.path.join(root, name) for name in names if not name.startswith(".")]
    for path in sorted(paths, key=lambda path: PurePath(path).parts):
        stem, suffix = os.path.splitext(path.lower())
        if suffix in _PACKED:
            suffix = os.path.splitext(stem)[1]
        if suffix in SUFFIXES and (os.path.isfile(path) or os.path.islink(path)):
            found.sources.append(resolve(path))
        else:
            found.passed_over.append(path)
