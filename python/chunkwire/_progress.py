"""How far reading has come: counts of bytes in, calls of a user's function or a bar on the terminal out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from chunkwire import _sources

if TYPE_CHECKING:
    from chunkwire._decode import Chunks, Contents
    from chunkwire._stats import Stats

__all__ = ["Bar", "Progress", "Watched", "reporter"]

#: Called with the bytes done and the bytes in all (None if unknown); True for a bar.
Progress: TypeAlias = Callable[[int, int | None], object] | bool | None

#: A bar appears only if the work takes longer, and moves no more often than each so many seconds.
_PATIENCE = 0.5
_EVERY = 0.1
#: How many chunks go by between two looks at the clock.
_CHUNKS_AT_ONCE = 256


class Bar:
    """A bar on stderr, if that is a terminal: call it with the bytes done and in all, and `close` it."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._wanted = self._file is not None and self._file.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._rich: Any = None
        self._shown = False

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if not self._wanted or now - self._started < _PATIENCE or now - self._drawn < _EVERY:
            return
        self._drawn = now
        if not self._shown:
            self._shown = True
            self._rich = _rich_bar(self._file)
        if self._rich is not None:
            self._rich.update(self._rich.task_ids[0], completed=done, total=total)
        else:
            self._draw(done, total, now - self._started)

    def close(self) -> None:
        """Takes the bar away."""
        if self._rich is not None:
            self._rich.stop()
        elif self._shown:
            self._write("\r\x1b[K")
        self._wanted = self._shown = False

    def _draw(self, done: int, total: int | None, seconds: float) -> None:
        text = f"{size(done)}, {size(done / seconds)}/s"
        if total:
            part = min(done / total, 1.0)
            full = int(part * 30)
            speed = size(done / seconds)
            text = f"{'=' * full}{'-' * (30 - full)} {part:4.0%}  {size(done)} of {size(total)}, {speed}/s"
            if done:
                text += f", {duration(max(total - done, 0) * seconds / done)} left"
        self._write(f"\r{text}\x1b[K")

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):
            self._wanted = False  # the terminal is gone; the work is not


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """A time for people, e.g. 1:05 for a minute and five seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _rich_bar(file: TextIO) -> Any:
    """The bar of rich, started; None where rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TaskProgressColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError:
        return None
    columns = (BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(file=file), transient=True)
    bar.add_task("", total=None)
    bar.start()
    return bar


def reporter(progress: Any) -> tuple[Callable[[int, int | None], object], Callable[[], None]]:
    """What to call with counts, and what to call in the end."""
    if progress is True:
        bar = Bar()
        return bar, bar.close
    if not callable(progress):
        raise TypeError(f"progress must be a callable, True or None, not {type(progress).__name__}")
    return progress, lambda: None


class Watched:
    """An engine's iterator of chunks or of their texts, reporting now and then how far it has come."""

    def __init__(self, chunks: Chunks | Contents, source: _sources.Source, progress: Any) -> None:
        self._chunks = chunks
        self._report, self._close = reporter(progress)
        self._total = _sources.size_of(source)
        if isinstance(source.feed, str) and self._total is not None and _sources.is_packed(source.feed):
            self._total = None  # that of the packed file; what is counted is unpacked
        self._left = _CHUNKS_AT_ONCE
        self._reported = time.monotonic()

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return self._chunks.stats

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            if self._left >= 0:
                self._left = -1
                self._report(self._chunks.stats.bytes, self._total)
                self._close()
            raise
        self._left -= 1
        if not self._left:
            self._left = _CHUNKS_AT_ONCE
            now = time.monotonic()
            if now - self._reported >= _EVERY:
                self._reported = now
                self._report(self._chunks.stats.bytes, self._total)
        return chunk

    def __del__(self) -> None:
        self._close()
