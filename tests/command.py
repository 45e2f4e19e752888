"""The command line as tests start it: in this process (the fixture `run`), as one of its own, or on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

COMMAND = [sys.executable, "-m", "chunkwire"]


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Result]


def process(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, check=False, **options)


def on_terminal(columns: int, *arguments: Any, rich: bool = True, **environment: str) -> str:
    """What a terminal of that width shows of stdout and stderr."""
    import fcntl
    import pty
    import struct
    import termios

    hide = "" if rich else "sys.modules['rich'] = None; "
    code = f"import sys; {hide}from chunkwire._cli import main; sys.exit(main(sys.argv[1:]))"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    names = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=names | {"TERM": "xterm"} | environment,
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert running.returncode == 0
    return shown.decode().replace("\r\n", "\n")
