"""Folders as they lie on disks: links that lead anywhere, pipes. Every log in them is read, once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chunkwire
from chunkwire._cli import main
from chunkwire._sources import find
from rows import DONE, first, last, part, report

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")


def stream(id: str) -> bytes:
    return first(id) + part(id) + last(id, usage=report(3)) + DONE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two logs, and whatever else may be there."""
    folder = tmp_path / "logs"
    (folder / "day").mkdir(parents=True)
    (folder / "a.sse").write_bytes(stream("a"))
    (folder / "day" / "b.sse").write_bytes(stream("b"))
    (folder / "dangling.sse").symlink_to("nowhere")
    (folder / "round.sse").symlink_to("round.log")
    (folder / "round.log").symlink_to("round.sse")
    (folder / "day" / "up.sse").symlink_to("..")
    (folder / "self").symlink_to(".")
    os.mkfifo(folder / "pipe.sse")
    os.mkfifo(folder / "pipe.tar")
    (folder / "to-pipe.sse").symlink_to("pipe.sse")
    (folder / "null.zip").symlink_to(os.devnull)
    return folder


FAILED = ["dangling.sse", "round.log", "round.sse"]
PASSED_OVER = ["null.zip", "pipe.sse", "pipe.tar", "to-pipe.sse"]


def test_links_and_pipes_in_a_folder(engine: str, folder: Path) -> None:
    """Links that lead nowhere are told, and take no other log with them. Nobody waits for a pipe that nobody named."""
    found = find(folder)
    labels = [os.path.relpath(source.label, folder) for source in found.sources]
    assert labels == ["a.sse", "dangling.sse", "day/b.sse", "round.log", "round.sse"]
    assert [os.path.relpath(path, folder) for path in found.passed_over] == PASSED_OVER
    table = chunkwire.usage(folder, engine=engine)
    assert list(table.id) == ["a", "b"]
    assert [os.path.relpath(label, folder) for label, _ in table.failures] == FAILED
    assert all(isinstance(error, OSError) for _, error in table.failures)


def test_links_and_pipes_that_a_glob_matches(engine: str, folder: Path) -> None:
    found = find(str(folder / "*.*"))
    assert [os.path.relpath(path, folder) for path in found.passed_over] == PASSED_OVER
    table = chunkwire.usage(str(folder / "*.sse"), engine=engine)
    assert list(table.id) == ["a"]
    assert [os.path.relpath(label, folder) for label, _ in table.failures] == ["dangling.sse", "round.sse"]


def test_a_glob_of_any_folders_reads_each_log_once(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It follows no links to folders, which may lead in a circle."""
    for pattern in ("**/[ab].sse", "**/**/[ab].sse", "lo*/**/[ab].sse", "**"):
        assert list(chunkwire.usage(str(tmp_path / pattern), engine=engine).id) == ["a", "b"], pattern
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            table = chunkwire.usage(pattern, engine=engine)
            assert list(table.source) == ["logs/a.sse", "logs/day/b.sse"], pattern
    (tmp_path / "logs" / ".hidden").mkdir()
    (tmp_path / "logs" / ".hidden" / "c.sse").write_bytes(stream("c"))
    (tmp_path / "logs" / ".d.sse").write_bytes(stream("d"))
    assert list(chunkwire.usage(str(folder / "**"), engine=engine).id) == ["a", "b"]
    assert list(chunkwire.usage(str(folder / "self" / "**" / "[ab].sse"), engine=engine).id) == ["a", "b"]
    assert list(chunkwire.usage(str(folder / "day" / "**" / "up.sse" / "a.sse"), engine=engine).id) == ["a"]
    odd = tmp_path / "[x]**"
    odd.mkdir()
    (odd / "e.sse").write_bytes(stream("e"))
    assert list(chunkwire.usage(str(tmp_path / "**" / "e.sse"), engine=engine).id) == ["e"]
    assert list(chunkwire.usage(str(tmp_path / "?x]**"), engine=engine).id) == ["e"], "a folder that is matched"
    with pytest.raises(FileNotFoundError, match="no file matches"):
        chunkwire.usage(str(folder / "**" / "*.no"), engine=engine)


@pytest.mark.parametrize("does_write", [False, True])
def test_who_waits_for_a_pipe_can_be_interrupted(engine: str, folder: Path, does_write: bool) -> None:
    """Where nobody opens it for writing, or opens it and writes nothing."""
    code = "import signal, sys, numpy, chunkwire, chunkwire._reading; "
    # (Who runs in the background inherits that it is ignored.)
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); print('!', flush=True); "
    code += "chunkwire.usage(sys.argv[1], engine=sys.argv[2], threads=1)"
    command = [sys.executable, "-c", code, str(folder / "pipe.sse"), engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            writer = os.open(folder / "pipe.sse", os.O_WRONLY) if does_write else None
            time.sleep(0 if does_write else 1)
            for _ in range(50):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                    break
            if writer is not None:
                os.close(writer)
            assert process.returncode == -signal.SIGINT
            assert process.stderr is not None
            assert "KeyboardInterrupt" in process.stderr.read()
        finally:
            process.kill()


def test_the_command_line_tells_what_it_did_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", str(folder), "--format", "csv", "--rows"]) == 2
    out, err = capsys.readouterr()
    assert [line.split(",")[2] for line in out.splitlines()] == ["id", "a", "b"]
    assert err.splitlines()[0] == (
        "chunkwire: passed over 4 pipes or devices (read only if they are named): null.zip, pipe.sse, pipe.tar, ..."
    )
    assert sorted(line.split(": ")[1] for line in err.splitlines()[1:]) == [str(folder / name) for name in FAILED]
