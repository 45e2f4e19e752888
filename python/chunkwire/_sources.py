"""What a source may be: whatever users pass in, what an engine can read out.

An engine reads a path (str), `bytes`, or an iterator of bytes-like blocks. `resolve` makes one of those of a single
source; `find` makes a list of many: paths, globs, folders, archives, URLs, files.
"""

from __future__ import annotations

import errno
import glob
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from chunkwire import _responses
from chunkwire._archives import SUFFIXES, Members, is_archive, is_log, members_of
from chunkwire._feeds import Feed, Source
from chunkwire._packing import HEAD_BYTES, packing_of

__all__ = [
    "SUFFIXES",
    "Found",
    "Source",
    "counted",
    "expanded",
    "find",
    "is_archive",
    "is_log",
    "resolve",
    "size_of",
]

_BLOCK_BYTES = 1 << 20
#: What is asked of files that may wait until they have it all.
_READ_BYTES = 1 << 16

_A_SOURCE_IS = "a source is a path, bytes, a binary file object or an iterable of bytes"
_HINT = "; use chunkwire.adecode()"


def resolve(source: Any) -> Source:
    """One source, as an engine can read it."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if "\n" in path and not os.path.lexists(path):
            raise TypeError("a str is a path, and this one is text: pass the text's bytes (text.encode())")
        if "\0" in path:
            raise ValueError(f"a path cannot have a NUL character: {path!r}")
        if "://" in path or "!" in path or is_archive(path):
            return _resolve_path(path)
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


def _resolve_path(path: str) -> Source:
    """That of an archive's member, of a URL, or of a path that looks like one of them."""
    if os.path.lexists(path) and not is_archive(path):
        return Source(path, path, path)
    found = Found()
    archive, mark, member = path.rpartition("!")
    is_member = bool(mark) and is_archive(archive) and not os.path.lexists(path)
    _find_one(archive if is_member else path, found)
    if is_member:
        members = expanded(found)
        for source in members:
            if source.label.endswith(f"!{member}"):
                return _owned(source, members)
        raise FileNotFoundError(errno.ENOENT, "the archive has no such log", path)
    # A tar is read no further than to its second member, and then once more.
    some = list(islice(expanded(found), 2))
    if len(some) > 1:
        raise ValueError(f"{path} holds more than one source: name one ({some[0].label}), or use chunkwire.usage()")
    if not some:
        raise found.failures[0][1] if found.failures else FileNotFoundError(errno.ENOENT, "no log in it", path)
    members = expanded(found)
    return _owned(next(members), members)


def _owned(source: Source, members: Iterator[Source]) -> Source:
    if isinstance(source.feed, Feed):
        source.feed.owner = members  # which would close the archive
    return source


def expanded(found: Found) -> Iterator[Source]:
    """The sources of what was found, those of a tar among them, each of which is to be read before the next. What
    cannot be read goes to the failures."""
    for source in found.sources:
        if not isinstance(source.feed, Members):
            yield source
            continue
        try:
            for member in source.feed:
                if member.feed is None:
                    found.passed_over.append(member.label)
                elif isinstance(member.feed, Exception):
                    found.fail(member.label, member.feed)
                else:
                    yield member
        except OSError as error:
            found.fail(source.label, error)


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
    path = source.feed.path if isinstance(source.feed, Members) else source.feed
    if isinstance(path, str):
        try:
            about = os.stat(path)
        except OSError:
            return None
        return about.st_size if stat.S_ISREG(about.st_mode) else None
    return None


def is_packed(path: str) -> bool:
    """Is the file packed, by its first bytes or its name?"""
    with open(path, "rb", buffering=0) as file:
        return bool(packing_of(file.read(HEAD_BYTES))) or path.lower().endswith(".br")


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
        except (OSError, ImportError) as error:
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
    if "\n" in path or "\0" in path:
        found.sources.append(resolve(path))
        return
    mode = _mode(path)
    if mode is not None and stat.S_ISDIR(mode):
        _find_in_folder(path, found)
    elif mode is not None or os.path.lexists(path):
        _add_path(path, found)
    elif "://" in path and _find_url(path, found):
        pass
    elif "!" in path and is_archive(path.rpartition("!")[0]):
        found.sources.append(resolve(path))
    elif isinstance(source, str) and glob.has_magic(path):
        _find_by_glob(path, found)
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _add_path(path: str, found: Found) -> None:
    """A file, or the logs in it if it is an archive."""
    if not is_archive(path):
        found.sources.append(Source(path, path, path))
        return
    found.many = True
    for member in members_of(path, path):
        if member.feed is None:
            found.passed_over.append(member.label)
        elif isinstance(member.feed, Exception):
            found.fail(member.label, member.feed)
        else:
            found.sources.append(member)


def _find_url(url: str, found: Found) -> bool:
    from chunkwire import _remote

    if not _remote.is_url(url):
        return False
    sources, passed_over, is_many = _remote.sources_of(url)
    found.many |= is_many
    found.passed_over += passed_over
    for source in sources:
        if isinstance(source.feed, Exception):
            found.fail(source.label, source.feed)
        else:
            found.sources.append(source)
    return True


def _find_by_glob(pattern: str, found: Found) -> None:
    names = re.split(r"[\\/]" if os.name == "nt" else "/", pattern)
    paths = sorted(_matches(names, found))
    if not paths:
        raise FileNotFoundError(errno.ENOENT, "no file matches", pattern)
    found.many = True
    for path in paths:
        mode = _mode(path)
        if not (mode is not None and stat.S_ISDIR(mode)):
            _add_file(path, mode, found)
        elif "**" not in names:  # which has matched what is in the folder, too
            _find_in_folder(path, found)


def _matches(names: list[str], found: Found) -> set[str]:
    """The paths that these names match, one behind the other. ``**`` goes into all folders but hidden ones and links,
    as `_find_in_folder` does: of links that lead in a circle `glob` would make countless folders."""
    if "**" not in names:
        return set(glob.glob("/".join(names)))
    at = names.index("**")
    before, behind = names[:at], names[at + 1 :]
    paths = set()
    for base in glob.glob("/".join(before) + "/") if before else ["."]:
        walk = os.walk(base, onerror=lambda error: found.fail(str(error.filename), error))
        for folder, folders, files in walk:
            folders[:] = [name for name in folders if not name.startswith(".")]
            here = folder.removesuffix("/") if before else folder[2:]
            if behind:
                paths |= _matches([*glob.escape(here).split("/"), *behind] if before or here else behind, found)
            else:
                paths.update(os.path.join(here, name) for name in files if not name.startswith("."))
    return paths


def _mode(path: str) -> int | None:
    """What stands at a path, where a link leads somewhere: None if it does not, or nobody may look."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return None


def _add_file(path: str, mode: int | None, found: Found) -> None:
    """What was found, but not named. A link is taken even if it leads nowhere, which is then said; a pipe or a device,
    which may have no end, has to be named."""
    if mode is None or stat.S_ISREG(mode):
        _add_or_fail(path, found)
    else:
        found.passed_over.append(path)


def _add_or_fail(path: str, found: Found) -> None:
    try:
        _add_path(path, found)
    except OSError as error:
        found.fail(path, error)


def _find_in_folder(folder: str, found: Found) -> None:
    """The logs in a folder and the folders in it; hidden ones are left alone, as are links to other folders."""
    found.many = True
    inside = [_entries(folder, found)]
    while inside:
        entry = next(inside[-1], None)
        if entry is None:
            inside.pop()
        elif entry.is_dir(follow_symlinks=False):
            inside.append(_entries(entry.path, found))
        elif not (is_archive(entry.name) or is_log(entry.name)):
            found.passed_over.append(entry.path)
        elif entry.is_file(follow_symlinks=False):
            _add_or_fail(entry.path, found)
        else:
            _add_file(entry.path, _mode(entry.path), found)


def _entries(folder: str, found: Found) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            some = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        found.fail(str(error.filename), error)
        return iter(())
    some.sort(key=lambda entry: entry.name)
    # (A link to a folder is neither read nor passed over. Of links that lead in a circle `is_dir` would raise.)
    return (entry for entry in some if not (entry.is_symlink() and os.path.isdir(entry.path)))
