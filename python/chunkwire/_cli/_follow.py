"""``chunkwire follow``: the path of a log that is being written in, its chunks as JSON lines out; and the live table of
``chunkwire usage --follow``."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import chunkwire
from chunkwire._cli._decode import line_of
from chunkwire._cli._output import check_hint, damage_text, flush, log_options, note, stdout_bytes, tell_absent, writing

__all__ = ["live", "run"]

#: So many seconds nothing may come before it is told why.
_PATIENCE = 2.0


def run(options: Namespace) -> int:
    """Runs the command."""
    path = _one_file(options)
    make: Callable[[Any], bytes] = _text if options.text else line_of(options.fields, path)
    write = stdout_bytes()
    hint = _Hint(path, options)
    with _until_interrupt() as stop, chunkwire.follow(path, stop=hint.then(stop), **_how(options)) as chunks:
        hint.chunks = chunks
        for chunk in chunks:
            with writing():
                write(make(chunk))
            flush()  # whoever reads this waits for it
    if damage := damage_text(chunks.stats):
        note(f"skipped {damage}: {check_hint(options.paths, options)}")
    return 0


def live(options: Namespace, text_of: Callable[[chunkwire.UsageTable], str]) -> chunkwire.UsageTable:
    """Shows a table that grows, where there is a terminal; gives the table of everything when following ends."""
    path = _one_file(options)
    if options.estimate:
        raise ValueError("--estimate is for logs that are read to their end, not for --follow")
    screen = _Screen() if sys.stdout.isatty() else None
    if screen is None:
        note(f"following {path}; Ctrl-C ends it")
    with _until_interrupt() as stop:
        for table in chunkwire.follow_usage(path, stop=stop, keep=options.keep, **_how(options)):
            if screen is not None:
                screen.show(f"{text_of(table)}\nfollowing {path}; Ctrl-C ends it")
    if screen is not None:
        screen.clear()
    return table  # of which there is always one, in the end


class _Hint:
    """Tells why nothing comes, once: where the format is not certain yet, or is none that holds streams, or where no
    line has what was named."""

    def __init__(self, path: str, options: Namespace) -> None:
        self.chunks: chunkwire.Followed | None = None
        self._path = path
        self._options = options
        self._since = time.monotonic()

    def then(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """What is asked now and then, while nothing is written."""

        def ask() -> bool:
            if self.chunks is not None and time.monotonic() - self._since >= _PATIENCE:
                self._tell(self.chunks)
            return stop()

        return ask

    def _tell(self, chunks: chunkwire.Followed) -> None:
        if not chunks.stats.bytes:
            return
        self._since = float("inf")
        if tell_absent(self._options, ("field", "id_field", "time_field")):
            return
        if chunks.format is None:
            note(
                f"waiting until it is certain how {self._path} holds streams (64 KiB of it will tell); "
                "--format-in, or --field and what else it needs, says so at once"
            )
        elif chunks.why is not None and chunks.why.startswith("no member"):
            note(f"{self._path}: {chunks.why}; --field names the one that does")


def _one_file(options: Namespace) -> str:
    path: str
    path, *others = options.paths
    if others or path == "-":
        raise ValueError("one file can be followed; what comes through a pipe is read by the other commands with -")
    return path


def _how(options: Namespace) -> dict[str, Any]:
    return {
        "start": "end" if options.from_end else "begin",
        "idle": options.idle,
        "strict": options.strict,
        "engine": options.engine,
        **log_options(options),
    }


def _text(chunk: chunkwire.Chunk) -> bytes:
    """What was said, as it is."""
    content = chunk.content
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else b""


@contextmanager
def _until_interrupt() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: that ends following, and what was read is still told. A second one ends all."""
    event = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def interrupt(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    try:
        signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # this is not the main thread, which alone hears it
        yield event.is_set
        return
    try:
        yield event.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class _Screen:
    """A text on a terminal that takes the place of the one before."""

    def __init__(self) -> None:
        self._lines = 0

    def show(self, text: str) -> None:
        """Shows a text, as much of it as there is room for."""
        lines = text.splitlines()
        room = max(shutil.get_terminal_size().lines - 1, 2)
        if len(lines) > room:
            lines = [*lines[: room - 2], f"... {len(lines) - room + 1} lines more", lines[-1]]
        self._write("\n".join(lines) + "\n")
        self._lines = len(lines)

    def clear(self) -> None:
        """Leaves nothing."""
        self._write("")
        self._lines = 0

    def _write(self, text: str) -> None:
        back = f"\x1b[{self._lines}A\r\x1b[J" if self._lines else ""
        with writing():
            sys.stdout.write(back + text)
        flush()
