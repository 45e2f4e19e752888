"""Sources behind URLs: a URL, or a glob or folder of them, in; sources that are read through fsspec out.

What `fsspec` opens can be read: ``https://``, ``s3://`` (with s3fs), ``gs://`` (gcsfs), ``az://`` (adlfs), ``sftp://``,
``memory://`` and others. Nothing is opened before it is read.
"""

from __future__ import annotations

import errno
import re
from typing import Any, BinaryIO

from chunkwire._archives import is_archive, is_log, members_of
from chunkwire._feeds import Feed, Source

__all__ = ["is_url", "sources_of"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BLOCK_BYTES = 1 << 22


def is_url(path: str) -> bool:
    """Does it begin as a URL does? (A drive has but one letter.)"""
    return _URL.match(path) is not None


def sources_of(url: str) -> tuple[list[Source], list[str], bool]:
    """The sources of a URL, the files that were passed over, and whether it may be many: a glob, a folder, an archive.

    Raises
    ------
    ImportError
        Where fsspec is not installed, or what it needs for URLs of this kind.
    OSError
        Where there is nothing, or nobody answers.
    """
    files, path = _files_of(url)
    scheme = url.partition("://")[0].lower()
    is_web = scheme in ("http", "https")
    # In the address of a page a question mark is none for any character.
    is_glob = any(mark in url for mark in ("*" if is_web else "*?["))
    with _errors_of(url):
        if is_glob:
            names = files.glob(path, detail=True)
            if not names:
                raise FileNotFoundError(errno.ENOENT, "no file matches", url)
            sources, passed_over = [], []
            for name in sorted(names):
                if names[name].get("type") != "directory":
                    some = _of_names(files, [name], all_of_them=True)
                elif "**" not in path:  # which has matched what is in the folder, too
                    some = _of_names(files, sorted(files.find(name)), all_of_them=False)
                else:
                    continue
                sources += some[0]
                passed_over += some[1]
            return sources, passed_over, True
        # The page of a folder ends with a slash; without it the whole file would be read to find out.
        if url.endswith("/") if is_web else files.isdir(path):
            return _of_names(files, sorted(files.find(path)), all_of_them=False)
    sources, passed_over, is_many = _of_names(files, [path], all_of_them=True)
    return sources, passed_over, is_many and is_archive(_name(path))


def _of_names(files: Any, names: list[str], *, all_of_them: bool) -> tuple[list[Source], list[str], bool]:
    sources: list[Source] = []
    passed_over = []
    for path in names:
        label = files.unstrip_protocol(path)
        name = _name(path)
        if is_archive(name):

            def opener(path: str = path) -> BinaryIO:
                file: BinaryIO = files.open(path, "rb")
                return file

            try:
                with _errors_of(label):
                    members = list(members_of(name, label, opener))
            except OSError as error:  # one that cannot be read does not take the others with it
                members = [Source(error, None, label)]
            for member in members:
                if member.feed is None:
                    passed_over.append(member.label)
                else:
                    sources.append(member)
        elif all_of_them or is_log(name):
            sources.append(Source(_RemoteBlocks(files, path, label), label, label))
        else:
            passed_over.append(label)
    return sources, passed_over, True


def _name(path: str) -> str:
    """A URL's path without its query."""
    return re.split(r"[?#]", path, maxsplit=1)[0]


def _files_of(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        message = f"reading URLs needs the package fsspec: pip install 'chunkwire[fsspec]' ({error})"
        raise ImportError(message, name="fsspec") from None
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise ImportError(f"reading {url.partition('://')[0]}:// URLs: {error}") from None
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from None
    return files, path


class _errors_of:
    """Turns what a file system raises, whose client has errors of its own, into an OSError."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError) and error.filename is None:
            # Of a server that does not answer it is said, too, that a file was not found.
            cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
            raise FileNotFoundError(errno.ENOENT, f"not found{cause}", self._label) from None
        if not isinstance(error, Exception) or isinstance(error, (OSError, ImportError, StopIteration)):
            return
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}", self._label) from None


class _RemoteBlocks(Feed):
    """The bytes of a remote file, opened when the first of them are asked for."""

    def __init__(self, files: Any, path: str, label: str) -> None:
        self._files = files
        self._path = path
        self._label = label
        self._file: Any = None
        self.file_name = _name(path)

    def __next__(self) -> Any:
        with _errors_of(self._label):
            if self._file is None:
                self._file = self._files.open(self._path, "rb")
            block = self._file.read(_BLOCK_BYTES)
        if not block:
            self._file.close()
            raise StopIteration
        return block
