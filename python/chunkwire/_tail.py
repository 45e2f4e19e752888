"""A file that grows: its path in, what is written to it out, through rotation and truncation, nothing lost and nothing
twice.

Rotation (the file is renamed or removed, and another comes under its name): the old one is read to its end, then files
that came and went meanwhile, then the new one. Truncation (the file is copied, cut to nothing and written anew, as
logrotate's `copytruncate` does): what had not been read of it is read from the copy, then copies that came meanwhile,
then the file from its start. That a file is no longer the same is seen by its inode, by its first bytes, and by those
before the place up to which it is read. What stands beside it otherwise, as copies that somebody made or unpacked, is
left alone.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from chunkwire._packing import packing_of

__all__ = ["Piece", "Tail"]

_BLOCK_BYTES = 1 << 18
#: (A pipe would be waited for until somebody writes to it.)
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))
#: So many bytes before the place, and at the beginning, are compared to see whether a file is still the same.
_MEMORY = 256
#: So often it is looked what stands beside the file, while that changes.
_LOOKS = 10
#: So many of the files beside it are opened, those that were changed last: more do not come and go between two looks.
_MOST_OPEN = 64
#: What rotation puts behind a name: a number, a date, a time. (Not ".gz": what is packed is no longer written to.)
_ROTATED = re.compile(r"[-_.]?\d[-_.:T\d]*")
#: Where the head of a tar says that it is one.
_TAR = slice(257, 262)


@dataclass(slots=True)
class Piece:
    """Bytes that were written."""

    data: bytes
    #: Do they begin a file, or one that was cut to nothing?
    is_first: bool


class _File:
    """A file, and how far it is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = os.open(path, _FLAGS)
        self.at = 0
        self.is_first = True
        self._memory = b""  # what stands before the place
        self._start = b""  # what it begins with
        status = os.fstat(self._handle)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            raise ValueError(f"{path} is a pipe or a device: only a regular file can be followed")
        #: What tells it from other files, while it is open.
        self.key = status.st_dev, status.st_ino
        #: It is not changed any more.
        self.is_copy = False

    def close(self) -> None:
        if self._handle >= 0:  # and a number that is closed may be another file's by now
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.close()

    def size(self) -> int:
        return os.fstat(self._handle).st_size

    def changed(self) -> int:
        """When it was last changed."""
        return os.fstat(self._handle).st_mtime_ns

    def bytes_at(self, at: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, count, at)
        os.lseek(self._handle, at, os.SEEK_SET)
        return os.read(self._handle, count)

    def read(self) -> bytes | None:
        """What stands behind the place, a block at most; None if the file is not what it was."""
        if not self._begins_alike(self):
            return None
        before = len(self._memory)
        # Both in one, so that nothing happens between.
        found = self.bytes_at(self.at - before, before + _BLOCK_BYTES)
        if found[:before] != self._memory:
            return None
        data = found[before:]
        self._memory = found[-_MEMORY:]
        self._start += data[: _MEMORY - len(self._start)]
        self.at += len(data)
        return data

    def _begins_alike(self, other: _File) -> bool:
        """Does this file begin with what was read at the beginning of the other?"""
        return other.at <= _MEMORY or self.bytes_at(0, len(other._start)) == other._start

    def skip(self) -> bytes:
        """Goes on at the end; gives what stands before it."""
        self.at = self.size()
        self._memory = self.bytes_at(max(self.at - _MEMORY, 0), min(_MEMORY, self.at))
        self._start = self.bytes_at(0, min(_MEMORY, self.at))
        self.is_first = False
        return self._memory

    def restart(self) -> None:
        """Goes on at the start."""
        self.at, self._memory, self._start, self.is_first = 0, b"", b"", True

    def goes_on(self, other: _File) -> bool:
        """Begins this file with what was read of the other? Then it is read from there on."""
        before = len(other._memory)
        if self.size() < other.at or self.bytes_at(other.at - before, before) != other._memory:
            return False
        if not self._begins_alike(other):
            return False
        self.at, self._memory, self._start = other.at, other._memory, other._start
        self.is_first, self.is_copy = other.is_first, True
        return True

    def begins_with(self, copy: _File) -> bool:
        """Is all that stands in a copy still in this file?"""
        return self._has(copy, _MEMORY)

    def is_copied_in(self, other: _File) -> bool:
        """Is that one a copy of this file? (Of little nobody can tell: two may be all spaces.)"""
        is_little = other.size() <= _MEMORY or b"\n" not in other.bytes_at(0, _BLOCK_BYTES)
        return not is_little and self._has(other, _BLOCK_BYTES)

    def _has(self, copy: _File, most: int) -> bool:
        """Is all that stands in a copy in this file, as far as its beginning and its end tell?"""
        end = copy.size()
        if not 0 < end <= self.size():
            return False
        places = 0, max(end - most, 0)
        return all(self.bytes_at(at, min(most, end)) == copy.bytes_at(at, most) for at in places)


def _packed(path: str, head: bytes) -> str:
    """What a file is that holds others, or one that is packed; nothing if it is none."""
    packing = packing_of(head) or ("brotli" if path.lower().endswith(".br") else "")
    if packing:
        return f"compressed ({packing})"
    if head[_TAR] == b"ustar" or head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "an archive"
    return ""


class _Changing(Exception):
    """What stands beside the file changes all the time: it is looked again later."""


class _Sibling(NamedTuple):
    """A file beside the one that is followed, and how it began when it was looked at."""

    file: _File
    head: bytes


class _Look(NamedTuple):
    """What stands beside the file that is followed, in the order of the last change."""

    siblings: list[_Sibling]
    #: The inodes of others, which were changed before all these.
    older: frozenset[int]


def _rotated(path: str) -> Iterator[tuple[int, int, str, int]]:
    """When files were last changed whose name is this one and what rotation puts behind it, how new their number is,
    their paths and their inodes."""
    folder, name = os.path.split(path)
    with suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            behind = entry.name.removeprefix(name)
            if len(behind) < len(entry.name) and _ROTATED.fullmatch(behind):
                number = behind[1:] if behind[1:].isdecimal() else "0"
                try:
                    status = os.stat(entry.path)
                except OSError:  # renamed just now: the next look differs
                    yield 0, 0, entry.path, -1
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield status.st_mtime_ns, -int(number), entry.path, status.st_ino


class Tail:
    """What is written to a file.

    `read` never waits: it gives the next piece, or None if there is none yet.
    """

    def __init__(self, path: str, *, at_end: bool = False) -> None:
        self.path = path
        self._waiting: deque[_File] = deque()  # what is to be read behind the file
        self._file = _File(path)
        try:
            if what := _packed(path, self.head(512)):
                raise ValueError(f"{path} is {what}: only a file that is written plainly can be followed")
            #: What stands before the place where it begins, as far as it matters.
            self.before = self._file.skip() if at_end else b""
            #: That place.
            self.began = self._file.at
            self._known: dict[tuple[int, int], bytes] = {}
            self._older: frozenset[int] = frozenset()
            #: When the file had last been changed as it was last seen whole and in its place: no news is older.
            self._changed = 0
            with suppress(_Changing):
                look = self._look()
                self._set_known(look)
                for one in look.siblings:
                    one.file.close()
        except BaseException:
            self.close()
            raise

    def head(self, most: int) -> bytes:
        """What the file begins with: so much at most, and none of what is yet to be written."""
        return self._file.bytes_at(0, most)

    def close(self) -> None:
        """Lets go of all files."""
        for file in (self._file, *self._waiting):
            file.close()
        self._waiting.clear()

    def read(self) -> Piece | None:
        """The next piece."""
        try:
            return self._read()
        except _Changing:
            return None

    def _read(self) -> Piece | None:
        while True:
            file = self._file
            changed = file.changed()  # before anything is looked at: what is copied from now on is no older
            # Where nothing was read yet, only the copies can tell that something was there.
            if file.at == 0 and not file.is_copy and self._turn_to_copies():
                continue
            data = file.read()
            if data:
                piece = Piece(data, file.is_first)
                file.is_first = False
                return piece
            if data is None:
                if not self._turn_to_copies():
                    file.restart()
            elif not self._turn(changed):
                return None

    def _turn(self, changed: int) -> bool:
        """Goes on with the next file, if the one at hand has been read and is not written to any more."""
        file = self._file
        if self._waiting:
            self._file = self._waiting.popleft()
            file.close()
            return True
        try:
            new = _File(self.path)
        except (OSError, ValueError):  # between two files, or not to be read now
            return False
        if new.key == file.key:
            self._changed = changed
            new.close()
            return False
        try:
            look = self._look()
        except _Changing:
            new.close()
            raise
        before, after = self._news(look, file)
        between = []
        for other in (*before, *after):
            if file.is_copied_in(other):
                other.close()
            else:
                between.append(other)
        # Who writes may have the old file open still, until the new one has something.
        if not (new.size() or between):
            new.close()
            return False
        if any(other.key == new.key for other in between):  # which was new a moment ago
            new.close()
            self._waiting.extend(between)
        else:
            self._waiting.extend([*between, new])
        self._set_known(look)
        return True  # the old file may have got more until now

    def _turn_to_copies(self) -> bool:
        """Goes on with copies of the file that were made before it was cut to nothing, and then with the file anew;
        False if there are none."""
        file = self._file
        # Of a file that was moved away nothing was cut, and what came beside it is no copy.
        if file.at == 0 and not self._is_in_its_place():
            return False
        look = self._look()
        copies, later = self._news(look, file)
        for other in later:
            other.close()
        if file.at == 0 and not self._is_in_its_place():  # which may have been just now
            for other in copies:
                other.close()
            return False
        while copies and not (copies[0].size() and copies[0].goes_on(file)):
            copies.pop(0).close()
        early = None  # a copy of what is in the file, which is yet to be cut: only then it counts
        if copies and file.begins_with(copies[-1]):
            early = copies.pop()
            early.close()
        if not copies:
            return False
        for copy in copies:
            copy.is_copy = True
        file.restart()
        self._waiting.extendleft((file, *copies[:0:-1]))
        self._file = copies[0]
        self._set_known(look)
        if early is not None:
            self._known.pop(early.key, None)
        return True

    def _is_in_its_place(self) -> bool:
        """Does the file bear its name still?"""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._file.key

    def _siblings(self) -> list[tuple[str, int]]:
        """The paths of files that bear the name of this one and what rotation puts behind it, where it is and where it
        is linked to, each with its inode, in the order of their last change (which a system tells to a few
        milliseconds; of two numbers the larger is the older)."""
        found = {one for path in {self.path, os.path.realpath(self.path)} for one in _rotated(path)}
        return [(path, inode) for *_, path, inode in sorted(found)]

    def _look(self) -> _Look:
        """The same files, open: as they are at one moment, for a file that is renamed meanwhile would be missed."""
        for _ in range(_LOOKS):
            siblings = self._siblings()
            found: list[_Sibling] = []
            for path, _ in siblings[-_MOST_OPEN:]:
                try:
                    file = _File(path)
                except (OSError, ValueError):
                    continue
                found.append(_Sibling(file, file.bytes_at(0, _MEMORY)))
            inodes = dict(siblings)
            if all(inodes[one.file.path] == one.file.key[1] for one in found) and self._siblings() == siblings:
                return _Look(found, frozenset(inode for _, inode in siblings[:-_MOST_OPEN]))
            for one in found:
                one.file.close()
        raise _Changing

    def _set_known(self, look: _Look) -> None:
        """These are no news any more."""
        self._known = {one.file.key: one.head for one in look.siblings}
        self._older = look.older

    def _news(self, look: _Look, file: _File) -> tuple[list[_File], list[_File]]:
        """Files beside this one that were not there before, last changed before it and after it; the others are closed.
        (A system gives the inode of a file that is gone to another.)"""
        before: list[_File] = []
        after: list[_File] = []
        found = before
        for other, start in look.siblings:
            head = self._known.get(other.key)
            is_known = other.key[1] in self._older or (head and start.startswith(head))
            if other.key == file.key:
                found = after
            elif not is_known and other.changed() >= self._changed:
                found.append(other)
                continue
            other.close()
        return before, after
