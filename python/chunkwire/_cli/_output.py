"""What all commands print with: tables, JSON, notes; and standard input as a source."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chunkwire import Stats
from chunkwire._formats import absent
from chunkwire._links import LINK
from chunkwire._render import Column, Total, as_text, cell_text, fitted, footers, printable, shortened
from chunkwire._sources import SUFFIXES, find, is_archive, is_log

__all__ = [
    "OutputError",
    "Stdin",
    "check_hint",
    "damage_text",
    "failed",
    "flush",
    "is_stdout",
    "json_bytes",
    "log_options",
    "note",
    "nothing_found",
    "pass_over",
    "progress_for",
    "sources_of",
    "stdout_bytes",
    "table_text",
    "tell_absent",
    "write",
    "writing",
]

_LISTED = 3
_NAMED = "read only if they are named"
#: In how many files it is looked whether any has a member.
_LOOKED_AT = 20


def note(text: str) -> None:
    """Tells something on stderr."""
    for line in text.splitlines() or [""]:
        print(f"chunkwire: {printable(line)}", file=sys.stderr)


def pass_over(paths: Sequence[str]) -> None:
    """Tells which files of folders were not read."""
    files = [path for path in paths if LINK not in path]
    links = [path.rpartition("!")[2] for path in paths if LINK in path]
    # What is called as a log is, and lies in a folder, is no file.
    pipes = {path for path in files if "!" not in path and (is_log(path) or is_archive(path))}
    suffixes = f"neither {', '.join(SUFFIXES[:-1])} nor {SUFFIXES[-1]}"
    for names, what, plural, why in (
        ([os.path.basename(path) for path in files if path not in pipes], "file", "files", suffixes),
        ([os.path.basename(path) for path in files if path in pipes], "pipe or device", "pipes or devices", _NAMED),
        (links, "link", "links", "to what is not in the archive"),
    ):
        if names:
            some = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            note(f"passed over {len(names):,} {what if len(names) == 1 else plural} ({why}): {some}")


def failed(failures: Sequence[tuple[str, Exception]]) -> None:
    """Tells which sources could not be read."""
    for label, error in failures:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        note(f"{label}: {reason}")


def damage_text(stats: Stats) -> str:
    """How much is wrong, in words; nothing if nothing is."""
    parts = []
    if stats.damaged:
        parts.append(f"{stats.damaged:,} {'damage' if stats.damaged == 1 else 'damages'}")
    if stats.errors:
        parts.append(f"{stats.errors:,} server {'error' if stats.errors == 1 else 'errors'}")
    return " and ".join(parts)


def check_hint(paths: Sequence[str], options: Any = None) -> str:
    """How to learn more; ``options`` say how the logs are read."""
    first, *others = paths
    again = "" if "-" in paths else f" {first} ..." if others else f" {first}"
    if options is not None:
        told = {"--format-in": options.format_in, "--field": options.field, "--id-field": options.id_field}
        again += "".join(f" {name} {shlex.quote(said)}" for name, said in told.items() if said not in (None, "auto"))
    return f"`chunkwire check{again}` tells where"


def nothing_found(paths: Sequence[str]) -> int:
    """Tells that there is nothing to read; gives the exit code."""
    note(f"found no logs in {', '.join(paths)}")
    return 2


class Stdin:
    """Standard input as a binary file, which lets waiting output go before it waits for input."""

    name = "<stdin>"

    def __init__(self) -> None:
        if sys.stdin is None:
            raise OSError("standard input is closed")
        self._file: Any = getattr(sys.stdin, "buffer", sys.stdin)

    def read1(self, size: int) -> Any:
        flush()
        return self._file.read1(size)

    read = read1


def sources_of(paths: Sequence[str]) -> list[Any]:
    """The paths, with standard input for ``-``."""
    return [Stdin() if path == "-" else path for path in paths]


def log_options(options: Any) -> dict[str, Any]:
    """How the log is to be read, as the functions of chunkwire take it."""
    return {
        "format": options.format_in,
        "field": options.field,
        "id_field": options.id_field,
        "time_field": options.time_field,
    }


def tell_absent(options: Any, names: Sequence[str]) -> bool:
    """Tells which members that these options name no line has: they may be misspelt. Says whether there were any."""
    named = {"--" + name.replace("_", "-"): path for name in names if (path := getattr(options, name)) is not None}
    if not named:
        return False
    paths = [path for path in getattr(options, "paths", None) or [options.path] if path != "-"]
    files = [source.feed for source in find(paths).sources if isinstance(source.feed, str)]
    left, members = absent(files[:_LOOKED_AT], dict.fromkeys(named.values()))
    for option, path in named.items():
        if path in left:
            of = files[0] if len(files) == 1 else f"the {len(files[:_LOOKED_AT])} logs that were looked at"
            instead = f"members: {members}" if members else "it is no JSON lines"
            note(f"no line at the beginning of {of} has {path}, which {option} names ({instead})")
    return bool(left)


def progress_for(options: Any) -> bool:
    """Is there a terminal that a bar can be shown on?"""
    return sys.stderr is not None and sys.stderr.isatty() and "-" not in options.paths


def table_text(columns: Sequence[Column], rows: Sequence[dict[str, Any]], total: Total, *, fit: bool) -> str:
    """The table as text; where it has to fit a terminal, columns may be left out, which is told below it."""
    if not fit:
        return as_text(columns, rows, total)
    shown, text_width = fitted(columns, rows, total, shutil.get_terminal_size().columns)
    text = _rich_text(shown, rows, total, text_width) or as_text(shown, rows, total, text_width=text_width)
    left_out = [column.head for column in columns if column not in shown]
    if left_out:
        text += f"\n(too narrow for: {', '.join(left_out)}; --format csv has all)"
    return text


def _rich_text(
    columns: Sequence[Column], rows: Sequence[dict[str, Any]], total: Total, text_width: int | None
) -> str | None:
    """The same with bold and colours; None where rich is not installed."""
    try:
        from rich.box import SIMPLE
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return None

    def cell(row: dict[str, Any], column: Column) -> Text:
        text = cell_text(row, column)
        return Text(shortened(text, text_width) if text_width and column.is_text else text)

    ends = footers(columns, total)
    table = Table(
        box=SIMPLE,
        show_edge=False,
        show_footer=bool(ends),
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        footer_style="bold",
    )
    for column in columns:
        footer = Text("\n").join(cell(end, column) for end in ends)
        table.add_column(
            Text(column.head),
            footer,
            justify="left" if column.is_text else "right",
            style="cyan" if column.is_text else None,
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(cell(row, column) for column in columns))
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8. A lone surrogate, which UTF-8 has no bytes for, stays the escape that it was."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")


class OutputError(Exception):
    """Something could not be written. (No OSError: those say that something could not be read.)"""


@contextmanager
def writing(path: str | None = None) -> Iterator[None]:
    """Makes an `OutputError` of what goes wrong while writing, but for a reader that has had enough."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to {path or 'stdout'}: {error.strerror or error}") from None


def is_stdout(path: str | None) -> bool:
    """Does this -o mean stdout?"""
    return path in (None, "-")


def write(data: str | bytes, path: str | None = None) -> None:
    """Writes to a file, or to stdout: text for people as the terminal wants it, bytes as they are."""
    if is_stdout(path):
        with writing():
            if isinstance(data, str):
                sys.stdout.write(data)
            else:
                stdout_bytes()(data)
    else:
        with writing(path), open(str(path), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace"))


def stdout_bytes() -> Callable[[bytes], Any]:
    """What writes bytes to stdout."""
    binary: Any = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a replacement that takes text only
        return lambda data: sys.stdout.write(data.decode("utf-8"))
    sys.stdout.flush()
    write_bytes: Callable[[bytes], Any] = binary.write
    return write_bytes


def flush() -> None:
    """Lets all output go."""
    with writing():
        sys.stdout.flush()
