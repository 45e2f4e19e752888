"""``chunkwire follow`` and ``chunkwire usage --follow``: a file that another process writes in, what users see out."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chunkwire._cli import main
from command import Run
from test_follow import event, stream

#: So long nothing is written when a test takes it to be over.
IDLE = ("--idle", "0.05")


def test_chunks_as_lines(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1))
    result = run("follow", path, *IDLE)
    assert (result.code, result.err) == (0, "")
    assert [json.loads(line)["id"] for line in result.out.splitlines()] == ["s0", "s0"]
    result = run("follow", path, "--fields", "id,offset,source", *IDLE)
    assert json.loads(result.out.splitlines()[1]) == {"id": "s0", "offset": len(event(0)), "source": str(path)}
    assert run("follow", path, "--text", *IDLE).out == "0 data: x\n: y1 data: x\n: y"
    assert run("follow", path, "--from-end", *IDLE).out == ""


def test_damage_is_told_in_the_end(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + b"data: {oops\n\n" + event(1))
    result = run("follow", path, *IDLE)
    assert (result.code, len(result.out.splitlines())) == (0, 2)
    assert "skipped 1 damage" in result.err


def test_the_table_of_a_log_that_grows(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(stream(0) + stream(1))
    result = run("usage", path, "--follow", *IDLE, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(result.out))
    assert (result.code, row["model"], row["streams"], row["total_tokens"]) == (0, "m", "2", "6")
    assert result.err == f"chunkwire: following {path}; Ctrl-C ends it\n"
    assert run("usage", path, "--follow", *IDLE).out == run("usage", path).out


def exchange(number: int) -> bytes:
    members = {"request_id": number, "user": ["ann", "bob"][number % 2], "body": stream(number).decode()}
    return json.dumps(members).encode() + b"\n"


def test_json_lines(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(exchange(0) + exchange(1) + exchange(2)[:-1])
    told = ("--format-in", "exchanges", "--field", "body")
    for options in (), told:
        result = run("follow", path, *options, *IDLE)
        assert (result.code, result.err) == (0, "")
        assert result.out == run("decode", path, *options).out
        assert len(result.out.splitlines()) == 6
    table = run("usage", path, "--follow", "--keep", "user", "--by", "user", *IDLE)
    assert table.out == run("usage", path, "--keep", "user", "--by", "user").out
    assert "ann" in table.out
    assert run("follow", path, *told, "--from-end", *IDLE).out == ""
    rows = run("usage", path, "--follow", "--rows", "--format", "csv", "--keep", "user", *told, *IDLE)
    assert [row["user"] for row in csv.DictReader(io.StringIO(rows.out))] == ["ann", "bob", "ann"]


def test_damage_of_json_lines_is_told_with_their_format(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(exchange(0) + b"{oops\n")
    result = run("follow", path, "--format-in", "jsonl", *IDLE)
    assert len(result.out.splitlines()) == 2
    assert f"skipped 1 damage: `chunkwire check {path} --format-in jsonl` tells where" in result.err


def test_why_nothing_comes_is_told_once(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chunkwire._cli._follow._PATIENCE", 0.1)
    path = tmp_path / "log.jsonl"
    path.write_bytes(exchange(0))
    result = run("follow", path, "--idle", "0.5")
    assert len(result.out.splitlines()) == 2  # which come in the end
    assert result.err.count("waiting until it is certain how") == 1
    assert "--format-in" in result.err
    path.write_bytes(b'{"level": "info"}\n' * 4000)
    result = run("follow", path, "--idle", "0.5")
    assert result.err.count("no member of its lines holds a stream (members: level); --field names") == 1
    for log in b"", stream(0):
        path.write_bytes(log)
        assert run("follow", path, "--idle", "0.5").err == ""
    path.write_bytes(exchange(0))
    for told in (), ("--format-in", "exchanges"):
        result = run("follow", path, "--field", "bdoy", "--idle", "0.5", *told)
        absent = "has bdoy, which --field names (members: request_id, user, body)"
        assert result.err == f"chunkwire: no line at the beginning of {path} {absent}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("follow", "-"), "one file can be followed"),
        (("follow", "a.sse", "b.sse"), "one file can be followed"),
        (("follow", "nowhere.sse"), "nowhere.sse: No such file or directory"),
        (("usage", "nowhere.sse", "--follow"), "nowhere.sse: No such file or directory"),
        (("usage", "a.sse", "b.sse", "--follow"), "one file can be followed"),
        (("usage", "a.sse", "--follow", "--estimate"), "--estimate"),
        (("usage", "a.sse", "--from-end"), "they need --follow"),
        (("usage", "a.sse", "--idle", "3"), "they need --follow"),
        (("follow", "a.sse", "--format-in", "har"), "format 'har' cannot be followed: a HAR file is whole only when"),
        (("usage", "a.sse", "--follow", "--format-in", "vcr"), "format 'vcr' cannot be followed"),
        (("follow", "a.sse", "--format-in", "sse", "--field", "x"), "field names a member of lines"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], error: str, run: Run) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert error in result.err


def test_seconds_are_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["follow", "a.sse", "--idle", "soon"])
    assert "expected a number of seconds, got 'soon'" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal")
@pytest.mark.parametrize("command", ["follow", "usage"])
def test_control_c_ends_it_well(tmp_path: Path, command: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(stream(0))
    arguments = [sys.executable, "-m", "chunkwire", command, str(path)]
    arguments += ["--follow", "--format", "json"] if command == "usage" else []
    # (Where tests run in the background, Ctrl-C is ignored, and so would the child.)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_hear) as process:
        if command == "follow":
            assert process.stdout is not None
            assert b"total_tokens" in process.stdout.readline() + process.stdout.readline()
            with open(path, "ab") as file:
                file.write(stream(1))
            assert b'"s1"' in process.stdout.readline()  # at once, not when it ends
        else:
            assert process.stderr is not None
            assert b"following" in process.stderr.readline()
            time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    if command == "usage":
        assert json.loads(out)["total"]["total_tokens"] == 3


def _hear() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal of its own")
def test_a_live_table(tmp_path: Path) -> None:
    import pty

    path = tmp_path / "log.sse"
    path.write_bytes(stream(0))
    terminal, end = pty.openpty()
    arguments = [sys.executable, "-m", "chunkwire", "usage", str(path), "--follow", "--idle", "2.5"]
    shown = b""
    with subprocess.Popen(arguments, stdout=end, stderr=end, stdin=end, env=os.environ | {"COLUMNS": "100"}) as process:
        os.close(end)
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # how Linux says that nobody writes to it any more
                break
            if not data:
                break
            if b"Ctrl-C" in data and shown.count(b"Ctrl-C") == 0:
                with open(path, "ab") as file:
                    file.write(stream(1))
            shown += data
        assert process.wait(30) == 0
    os.close(terminal)
    text = shown.decode()
    assert "Ctrl-C ends it" in text
    final = text[text.rindex("\x1b[J") :]
    assert "Ctrl-C" not in final  # the last table stands alone
    assert " 6" in final
