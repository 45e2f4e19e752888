"""Logs that are being written: what a test wants written in; the file, and what follows it, out.

A `Writer` is a thread of its own, as it is in life; `Steps` and `ByteByByte` write as soon as all was read.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire

__all__ = [
    "ByteByByte",
    "Steps",
    "Writer",
    "append",
    "appending",
    "count_open",
    "follow_writer",
    "numbers",
    "rotate",
    "truncate",
]

#: Silence after which a test takes the writer to be done. (It tells when it is; this is for what it wrote last.)
IDLE = 0.3


def numbers(chunks: Iterator[chunkwire.Chunk]) -> list[int]:
    """The numbers that contents begin with."""
    return [int(str(chunk.content).split()[0]) for chunk in chunks]


def appending(path: Path) -> io.FileIO:
    return io.FileIO(path, "a")


class Writer(threading.Thread):
    """Appends a log piece by piece, and does something else between pieces."""

    def __init__(self, path: Path, log: bytes, seed: int, between: Callable[[Writer], None]) -> None:
        super().__init__(daemon=True)
        self.path, self.log, self.random, self.between = path, log, random.Random(seed), between
        self.rotations = 0
        self.error: BaseException | None = None
        path.touch()
        self.file = appending(path)

    def run(self) -> None:
        try:
            at = 0
            while at < len(self.log):
                size = self.random.choice([1, 2, 9, 50, 500, 3000])
                self.file.write(self.log[at : at + size])
                at += size
                self.between(self)
            self.file.close()
        except BaseException as error:
            self.error = error

    def shift(self) -> None:
        """Gives the name with ``.1`` free."""
        for number in range(self.rotations, 0, -1):
            os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        self.rotations += 1

    def rotate(self) -> None:
        self.shift()
        os.rename(self.path, f"{self.path}.1")
        self.file.close()
        self.file = appending(self.path)

    def copy_and_truncate(self) -> None:
        self.shift()
        shutil.copy(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)


def follow_writer(path: Path, log: bytes, seed: int, between: Callable[[Writer], None], **options: Any) -> list[int]:
    """The numbers of the chunks that come while a log is written; all of it is counted, and no damage."""
    writer = Writer(path, log, seed, between)
    ended: list[float] = []

    def stop() -> bool:
        time.sleep(0.001)
        if not writer.is_alive():
            ended.append(time.monotonic())
        return bool(ended) and time.monotonic() - ended[0] > IDLE

    with chunkwire.follow(path, stop=stop, **options) as chunks:
        writer.start()
        found = numbers(chunks)
        assert writer.error is None
        assert not chunks.stats.damaged, chunks.stats.damages
        assert chunks.stats.bytes == len(log)
    return found


class Steps:
    """A file that is changed step by step, each as soon as all of the last has been read."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps, self.calls = list(steps), 0

    def __call__(self) -> bool:
        self.calls += 1
        if self.calls % 3:  # is asked only when nothing is there to read; now and then twice, so that it is waited for
            return False
        if not self.steps:
            return True
        self.steps.pop(0)()
        return False


def append(path: Path, data: bytes) -> Callable[[], object]:
    def step() -> None:
        with open(path, "ab") as file:
            file.write(data)

    return step


def rotate(path: Path, data: bytes) -> Callable[[], object]:
    def step() -> None:
        path.rename(f"{path}-2026-11-27")
        path.write_bytes(data)

    return step


def truncate(path: Path, data: bytes) -> Callable[[], object]:
    return lambda: path.write_bytes(data)


class ByteByByte:
    """Appends one byte more whenever all of the last has been read."""

    def __init__(self, path: Path, data: bytes, at: int = 0, size: int = 1) -> None:
        path.write_bytes(data[:at])
        self.path = path
        self.data, self.at, self.size = data, at, size

    def __call__(self) -> bool:
        if self.at >= len(self.data):
            return True
        append(self.path, self.data[self.at : self.at + self.size])()
        self.at += self.size
        return False


def count_open() -> int:
    """How many files are open."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not tell which files are open")
    return len(os.listdir("/proc/self/fd"))
