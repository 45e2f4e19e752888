"""Reads all sources of a usage table: what the caller named in, each source's columns and counts out.

Files are read together by the native engine, whose threads share them, small ones and parts of large ones. Other
sources, those that it hands back (it reads no HAR file, and no cassette), and all where damage is to raise, are decoded
side by side in threads of Python; the engine leaves Python to others while it decodes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from chunkwire import _engine, _progress
from chunkwire._archives import Members
from chunkwire._errors import ChunkwireError, DecodeError, StreamError
from chunkwire._formats import Replayed, convert, prepared
from chunkwire._options import Options
from chunkwire._rows import Part
from chunkwire._sources import Found, Source, counted, find, size_of
from chunkwire._stats import KEPT_DAMAGES, Damage, Stats, StatsBySource

if TYPE_CHECKING:
    from chunkwire._logs._convert import Note

__all__ = ["Read", "check_threads", "processors", "read_all"]

#: Damage that is never raised: nothing was lost by it.
_COUNTED_ONLY = frozenset({"invalid_utf8", "wrong_type", "no_body"})
#: What says that a source cannot be read. (ImportError: what unpacks it is not installed. DecodeError: it is no file of
#: its format.)
_UNREADABLE = (OSError, ImportError, DecodeError)
_COUNTS = tuple(item.name for item in fields(Stats) if item.name != "damages")
#: More threads than this would wait for each other, or be more than a system gives.
_MOST_THREADS = 256
#: How often the progress is told while threads work, in seconds.
_EVERY = 0.1


@dataclass(slots=True)
class Read:
    """What was read, in the order of the sources."""

    parts: list[Part] = field(default_factory=list)
    stats_by_source: StatsBySource = field(default_factory=StatsBySource)
    stats: Stats = field(default_factory=Stats)
    passed_over: list[str] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)

    def add(self, label: str, columns: dict[str, Any], stats: Stats) -> None:
        """Another source."""
        self.parts.append(Part([label], [len(columns["reported"])], columns))
        self.stats_by_source.add(label, stats)
        _add(self.stats, stats)


def read_all(
    sources: Any,
    options: Options,
    *,
    engine: str,
    threads: int | None,
    progress: Any = None,
    measure: bool = False,
) -> Read:
    """Finds the sources, if that is not done, and reads them all."""
    check_threads(threads)
    raises = options.on_error == "raise"
    module = _engine.load(engine)
    found = sources if isinstance(sources, Found) else find(sources)
    if found.failures and raises:
        raise found.failures[0][1]

    told = _Told(found, progress)
    wanted = min(threads or processors(), _MOST_THREADS)
    is_native = not module.__name__.endswith("._simdjson")
    if not is_native:
        wanted = 1  # it holds Python's lock all the time: threads would only wait for each other
    read = Read(passed_over=found.passed_over, failures=found.failures)

    def take(source: Source, result: Any) -> None:
        if isinstance(result, _UNREADABLE) and found.many and not raises:
            read.failures.append((source.label, result))
        elif isinstance(result, BaseException):
            raise result
        else:
            for label, columns, stats in result:
                if isinstance(stats, Stats):
                    read.add(label, columns, stats)
                elif stats is None:
                    read.passed_over.append(label)
                else:
                    take(Source("", None, label), stats)

    def in_python(some: list[Source]) -> None:
        count = max(1, min(wanted, len(some)))
        # A source alone is split, if it is large.
        reader = _Reader(module, options, {"threads": wanted // count, "measure": measure}, told)
        results = reader.one_by_one(some) if count < 2 else reader.together(some, count)
        for source, result in zip(some, results, strict=True):
            take(source, result)

    def in_pool(some: list[Source]) -> None:
        handed_back: list[Source] = []
        for first, result in _Pool(module, options, {"threads": wanted, "measure": measure}, told).read(some):
            if result is None:
                handed_back.append(some[first])
                continue
            if handed_back:
                in_python(handed_back)
                handed_back = []
            if isinstance(result, BaseException):
                take(some[first], result)
            else:
                part, counts, total, damages = result
                read.parts.append(part)
                read.stats_by_source.extend(part.labels, counts, damages)
                _add(read.stats, total)
        if handed_back:
            in_python(handed_back)

    is_for_pool = is_native and not raises and options.format not in ("har", "vcr")

    def is_file(source: Source) -> bool:
        """Is it one that the pool may read?"""
        return is_for_pool and type(source.feed) is str

    try:
        for are_files, run in groupby(found.sources, is_file):
            some = list(run)
            # One file alone is split by the engine; its bytes are told by the pool.
            is_pooled = are_files and (len(some) > 1 or (told.wanted and wanted > 1))
            (in_pool if is_pooled else in_python)(some)
        told.end()
    finally:
        told.close()
    if read.failures and not read.parts:
        first, *others = read.failures
        for label, error in others:
            first[1].add_note(f"{label}: {getattr(error, 'strerror', None) or error}")
        raise first[1]
    return read


def check_threads(threads: int | None) -> None:
    """ValueError or TypeError for what is no number of threads."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(f"threads must be an integer or None, not {type(threads).__name__}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _add(total: Stats, stats: Stats) -> None:
    """``total += stats``, without a new list of damages for each of thousands of sources."""
    for name in _COUNTS:
        setattr(total, name, getattr(total, name) + getattr(stats, name))
    total.damages.extend(stats.damages[: KEPT_DAMAGES - len(total.damages)])


class _Told:
    """How many bytes are read, of how many; told to the caller by the thread that called."""

    def __init__(self, found: Found, progress: Any) -> None:
        self.wanted = progress is not None and progress is not False
        self._told = time.monotonic()
        self._lock = threading.Lock()
        self._done = 0
        self._caller = threading.get_ident()
        if self.wanted:
            self._report, self.close = _progress.reporter(progress)
            sizes = [size_of(source) for source in found.sources]
            self._total = None if None in sizes else sum(size or 0 for size in sizes)
        else:
            self.close = lambda: None

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
        if threading.get_ident() == self._caller:
            self.tell()

    def done(self) -> int:
        """How many so far."""
        return self._done

    def set(self, done: int) -> None:
        """So many are read."""
        self._done = max(done, self._done)
        self.tell()

    def end(self) -> None:
        """All is done, and told: also where sources have less to read than they had, or cannot be read."""
        if self.wanted:
            self._done = self._done if self._total is None else self._total
            self.tell(now=True)

    def tell(self, *, now: bool = False) -> None:
        """Tells, but not too often; ``now`` in any case."""
        if self.wanted and (now or time.monotonic() - self._told >= _EVERY):
            self._told = time.monotonic()
            # Of a packed source in a stream, and of a file that grows, more may be read than was known.
            done = self._done if self._total is None else min(self._done, self._total)
            self._report(done, self._total)


class _Pool:
    """Reads files with the native engine, whose threads share them."""

    def __init__(self, module: Any, options: Options, more: dict[str, Any], told: _Told) -> None:
        self._module = module
        self._options = options
        self._more = more  # what `usage` alone takes
        self._told = told

    def read(self, sources: list[Source]) -> Iterator[tuple[int, Any]]:
        """The number of a source, and the error that it is, or None where the pool cannot read it; or that of the first
        of some, and their columns, counts one behind the other, the sum of those, and damages by number."""
        told, before = self._told, self._told.done()
        labels = [source.label for source in sources]
        report = (lambda done: told.set(before + done)) if told.wanted else None
        paths = [source.feed for source in sources]
        tables = self._module.usage_many(paths, self._options, **self._more, progress=report)
        if told.wanted:
            left = sum(size_of(sources[first]) or 0 for first, *rest in tables if not rest)
            told.set(before + sum(map(_size, sources)) - left)
        for first, *rest in tables:
            if not rest:
                yield first, None
                continue
            reads, columns, counts, total, found = rest
            damages: dict[int, list[Damage]] = {}
            rows: list[int] = []
            names: list[str] = []
            numbers: dict[int, int] = {}
            for number, is_read in enumerate(reads, first):
                if isinstance(is_read, int):
                    numbers[number] = len(rows)
                    rows.append(is_read)
                    names.append(labels[number])
                else:
                    yield number, is_read
            for number, damage in found:
                damages.setdefault(numbers[number], []).append(damage)
                if len(total.damages) < KEPT_DAMAGES:
                    total.damages.append(damage)
            if names:
                yield first, (Part(names, rows, columns), counts, total, damages)


def _size(source: Source) -> int:
    return size_of(source) or 0


class _Reader:
    """Reads sources with an engine."""

    def __init__(self, module: Any, options: Options, more: dict[str, Any], told: _Told) -> None:
        self._module = module
        self._options = options
        self._more = more  # what `usage` alone takes
        self._most = options.max_decompressed_bytes
        self._raises = options.on_error == "raise"
        self._told = told

    def one_by_one(self, sources: list[Source]) -> Iterator[Any]:
        """The result of each source, or the error that it is."""
        for source in sources:
            try:
                result: Any = self._read(source)
            except _UNREADABLE as error:
                result = error
            yield result

    def together(self, sources: list[Source], count: int) -> Iterator[Any]:
        """The same in the same order, from several threads.

        They are daemons, so that nobody who interrupts waits for the end of a large file.
        """
        results: dict[int, Any] = {}
        ready: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        waiting = iter(enumerate(sources))
        lock = threading.Lock()
        stopped = False

        def work() -> None:
            while not stopped:
                with lock:
                    at, source = next(waiting, (-1, None))
                if source is None:
                    return
                try:
                    result: Any = self._read(source)
                except BaseException as error:
                    result = error
                ready.put((at, result))

        for _ in range(count):
            threading.Thread(target=work, name="chunkwire", daemon=True).start()
        try:
            for at in range(len(sources)):
                while at not in results:
                    try:
                        number, result = ready.get(timeout=_EVERY if self._told.wanted else None)
                    except Empty:
                        pass
                    else:
                        results[number] = result
                    self._told.tell()
                yield results.pop(at)
        finally:
            stopped = True

    def _read(self, source: Source) -> list[tuple[str, Any, Any]]:
        """The label, columns and counts of the source, or of each in an archive. In place of the counts is the error of
        one that cannot be read, or None for what is no log."""
        if not isinstance(source.feed, Members):
            return [(source.label, *self._read_one(source))]
        source.feed.most = self._most
        results: list[tuple[str, Any, Any]] = []
        try:
            for member in source.feed:
                if member.feed is None:
                    results.append((member.label, None, None))
                elif isinstance(member.feed, Exception):
                    results.append((member.label, None, member.feed))
                else:
                    results.append(self._read_member(member))
        except OSError as error:  # the archive cannot be read on
            results.append((source.label, None, error))
        return results

    def _read_member(self, member: Source) -> tuple[str, Any, Any]:
        try:
            return (member.label, *self._read_one(member))
        except (ImportError, DecodeError) as error:
            if self._raises:
                raise
            return (member.label, None, error)

    def _read_one(self, source: Source) -> tuple[dict[str, Any], Stats]:
        feed = source.bounded(self._most)
        if self._told.wanted:
            before = 0

            def count(size: int) -> None:
                nonlocal before
                before += size
                self._told.add(size)

            name = getattr(source.feed, "file_name", None) or source.name
            feed = Source(counted(source, count), name, source.label).bounded(self._most)
        columns, stats = self._usage(feed, source)
        if self._raises and (stats.damaged or stats.errors):
            self._raise(source, stats)
        if self._told.wanted:
            self._told.add(max((size_of(source) or 0) - before, 0))
        return columns, stats

    def _usage(self, feed: Any, source: Source) -> tuple[dict[str, Any], Stats]:
        """What the engine says of a source, once what it cannot read by itself is converted."""
        options, format = self._options, str(self._options.format)
        if format == "auto":
            feed = Replayed.of(feed)
        if format not in ("har", "vcr"):
            try:
                found: tuple[dict[str, Any], Stats] = self._module.usage(feed, options, source.label, **self._more)
                return found
            except self._module.NeedsConversion as needed:
                format = needed.format
            feed = Replayed.again(feed)
        notes: list[Note] = []
        lines, options = convert(feed, options, format, source.name, notes)
        columns, stats = self._module.usage(lines, options, source.label, **self._more)
        stats.damaged += len(notes)
        room = KEPT_DAMAGES - len(stats.damages)
        stats.damages += [Damage("no_body", *note, event=0, source=source.label) for note in notes[:room]]
        return columns, stats

    def _raise(self, source: Source, stats: Stats) -> None:
        """Raises the first damage of a source, if it is of a kind that is raised."""
        if isinstance(source.feed, (str, bytes)):
            try:
                feed, options = prepared(source, replace(self._options, keep=()))
                for _ in self._module.chunks(feed, options, source.name):
                    pass
            except ChunkwireError as error:
                raise error.with_traceback(None) from None  # which would keep the file open
            return
        for damage in stats.damages:
            if damage.kind not in _COUNTED_ONLY:
                raise _as_error(damage)


def _as_error(damage: Damage) -> Exception:
    """The error that the damage would have been. (Of a server's error only the message was kept.)"""
    place: dict[str, Any] = {
        "offset": damage.offset,
        "source": damage.source,
        "line": damage.line,
        "event": damage.event,
    }
    if damage.kind == "server_error":
        return StreamError(damage.reason, **place)
    return DecodeError(damage.kind, damage.reason, position=damage.position, **place)
