"""The command line: what it prints and where, its exit codes, and that nothing makes it print a traceback."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli import main
from command import COMMAND, Run, on_terminal, process
from support import SAMPLES, chunk_json, event

DONE = event("[DONE]")
CHOICES = [{"index": 0, "delta": {"role": "assistant", "content": "hé"}, "finish_reason": "stop"}]


def stream(id: str, total: int, **fields: Any) -> bytes:
    usage = {"prompt_tokens": total - 1, "completion_tokens": 1, "total_tokens": total}
    return event(chunk_json(**({"id": id, "choices": CHOICES, "usage": usage} | fields))) + DONE


CLEAN = stream("a", 1000, model="m1") + stream("b", 234, model="m2", created=86400)
DIRTY = CLEAN + event("{oops") + event('{"error":{"message":"bu\\u001bsy"}}')


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.sse"
    path.write_bytes(CLEAN)
    return path


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    path = tmp_path / "dirty.sse"
    path.write_bytes(DIRTY)
    return path


# --- usage


def test_usage(run: Run, clean: Path) -> None:
    result = run("usage", clean)
    assert result == (0, """\
model  streams  reported  chunks  prompt  cached  completion  reasoning  total
------------------------------------------------------------------------------
m1           1         1       1     999       0           1          0  1,000
m2           1         1       1     233       0           1          0    234
------------------------------------------------------------------------------
total        2         2       2   1,232       0           2          0  1,234

2 of 2 streams reported usage
""", "")  # fmt: skip


def test_usage_by(run: Run, clean: Path) -> None:
    lines = run("usage", clean, "--by", "model,day").lines
    assert lines[2].split()[:3] == ["m1", "1970-01-01", "1"]
    assert run("usage", clean, "--by=day").lines[3].startswith("1970-01-02")
    assert run("usage", clean, "--by", "status").lines[2].startswith("complete")
    assert run("usage", clean, "--by", "source").lines[2].startswith(str(clean))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["usage", "--by", "modl", "x"],
            "possible are 'model', 'month', 'day', 'hour', 'source', 'status', 'finish_reason'",
        ),
        (["usage", "--by", "model,", "x"], "expected names with commas"),
        (["usage", "--threads", "0", "x"], "expected a number from 1"),
        (["usage", "--format", "xml", "x"], "invalid choice"),
        (["usage"], "required: PATH"),
        (["decode", "--fields", ",", "x"], "expected names with commas"),
        (["decode", "--on-error", "ignore", "x"], "invalid choice"),
        (["check", "--engine", "fast", "x"], "invalid choice"),
        (["chekc", "x"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_usage_as_json(run: Run, clean: Path, dirty: Path, engine: str) -> None:
    result = run("usage", dirty, "--format", "json", "--by", "model,status")
    document = json.loads(result.out)
    table = chunkwire.usage(dirty, engine=engine)
    summary = table.summary(by=("model", "status"))
    assert (result.code, result.err) == (0, "")
    assert document == {
        "schema": 1,
        "streams": 3,
        "reported": 2,
        "by": ["model", "status"],
        "since": None,
        "until": None,
        "outside": 0,
        "undated": 0,
        "percentiles": [],
        "rows": summary.to_dicts(),
        "other": None,
        "total": summary.total,
        "prices": None,
        "damage": {"damaged": 1, "server_errors": 1, "damaged_bytes": len(event("{oops")), "skipped_bytes": 0},
        "failures": [],
        "passed_over": [],
    }
    rows = json.loads(run("usage", clean, "--format", "json", "--rows").out)["rows"]
    assert rows == chunkwire.usage(clean, engine=engine).to_dicts()


def test_usage_as_csv(run: Run, dirty: Path) -> None:
    result = run("usage", dirty, "--format", "csv")
    header, *rows = csv.reader(io.StringIO(result.out))
    assert header[:4] == ["model", "streams", "reported", "chunks"]
    assert [row[0] for row in rows] == ["m1", "m2", ""], "no total: the sum of the column is right"
    assert sum(int(row[header.index("total_tokens")]) for row in rows) == 1234
    assert result.err == f"chunkwire: 1 damage and 1 server error: `chunkwire check {dirty}` tells where\n"
    header, *rows = csv.reader(io.StringIO(run("usage", dirty, "--format", "csv", "--rows").out))
    assert header[:4] == ["source", "offset", "id", "model"]
    assert [row[2] for row in rows] == ["a", "b", ""]


def test_usage_by_rows(run: Run, dirty: Path, clean: Path) -> None:
    lines = run("usage", dirty, "--rows").lines
    assert lines[0].split()[:3] == ["id", "model", "created"]
    assert lines[2].split()[:2] == ["a", "m1"]
    assert lines[2].endswith("1,000")
    assert "1970-01-02 00:00:00" in lines[3]
    assert lines[4].split() == ["-", "-", "-", "-", "error", "0", "-", "-", "-", "-", "-"]
    assert lines[6].startswith("total")
    assert run("usage", dirty, clean, "--rows").lines[0].startswith("source"), "where there are several"


def test_usage_tells_of_damage(run: Run, dirty: Path, clean: Path) -> None:
    assert run("usage", dirty).lines[-1] == f"1 damage and 1 server error: `chunkwire check {dirty}` tells where"
    assert run("usage", dirty, clean).lines[-1].endswith(f"`chunkwire check {dirty} ...` tells where")


@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_usage_into_a_file(run: Run, clean: Path, tmp_path: Path, format: str) -> None:
    output = tmp_path / "out"
    shown = run("usage", clean, "--format", format)
    assert run("usage", clean, "--format", format, "-o", output) == (0, "", "")
    assert output.read_bytes().decode() == shown.out
    assert run("usage", clean, "--format", format, "-o", "-") == shown
    failed = run("usage", clean, "--format", format, "-o", tmp_path / "no" / "out")
    assert failed == (2, "", f"chunkwire: cannot write to {tmp_path / 'no' / 'out'}: No such file or directory\n")


# --- many paths


def test_folders_and_globs(run: Run, clean: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no log")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "log.sse.gz").write_bytes(gzip.compress(CLEAN))
    for path in (tmp_path, tmp_path / "**" / "*.sse*"):
        result = run("usage", path, "--threads", 2)
        assert result.code == 0
        assert result.lines[5].split()[1] == "4"
        told = "chunkwire: passed over 1 file (neither .sse, .txt, .log, .stream, .events, "
        told += ".jsonl, .ndjson nor .har): notes.md\n"
        assert result.err == (told if path == tmp_path else "")
    assert len(run("decode", tmp_path).lines) == 4
    assert "nothing is wrong in 2 sources" in run("check", tmp_path).out


@pytest.mark.parametrize("command", ["usage", "decode", "check", "text"])
def test_what_cannot_be_read(run: Run, command: str, clean: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.sse"
    result = run(command, missing)
    assert result == (2, "", f"chunkwire: {missing}: No such file or directory\n")
    result = run(command, missing, clean)
    assert result.code == 2
    assert result.err == f"chunkwire: {missing}: No such file or directory\n"
    assert result.out == run(command, clean).out, "the rest is given"
    assert run(command, missing, tmp_path / "gone").err.count("No such file or directory") == 2
    assert "no file matches" in run(command, tmp_path / "*.nothing").err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(command, empty) == (2, "", f"chunkwire: found no logs in {empty}\n")
    (empty / "x.json").write_text("{}")
    assert "passed over" in run(command, empty).err
    assert run(command, "a\0b").code == 2
    assert run(command, "").code == 2


@pytest.mark.parametrize("command", ["usage", "decode", "check", "text"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"<html>\x1b[2J</html>",
        b'{"a": 1}\n',
        b"data: {",
        event('{"choices":' + "[" * 100_000),
        event("\xff".encode("latin-1")),
        b"data: " + b"x" * 100_000,
        event('{"error": {"message": "\\ud800 \\u001b[2J"}}'),
        event('{"choices": [], "model": "\\ud800"}') + event('{"choices": [{"delta": {"content": "\\udc00"}}]}'),
        b"\x1f\x8b\x08 no gzip",
        gzip.compress(CLEAN)[:-20],
        event('{"choices": [], "usage": {"total_tokens": 1e999, "prompt_tokens": NaN}, "created": -1e300}'),
    ],
)
def test_bad_input_is_no_traceback(run: Run, command: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    result = run(command, path)
    assert result.code in ((0, 1) if command == "check" else (0,))
    assert "\x1b" not in result.out + result.err
    if command != "decode":
        assert run(command, path, "--format", "jsonl" if command == "text" else "json").code == result.code
    else:
        for line in result.lines:
            json.loads(line)


# --- decode


def test_decode(run: Run, clean: Path, dirty: Path, engine: str) -> None:
    result = run("decode", clean)
    assert (result.code, result.err) == (0, "")
    assert [json.loads(line) for line in result.lines] == [
        chunk.to_dict() for chunk in chunkwire.decode(clean, engine=engine)
    ]
    assert '"hé"' in result.out, "as it is, not escaped"
    skipped = run("decode", dirty)
    assert skipped.out == result.out
    assert skipped.err == f"chunkwire: skipped 1 damage and 1 server error: `chunkwire check {dirty}` tells where\n"
    assert skipped.code == 0


def test_decode_fields(run: Run, clean: Path) -> None:
    fields = "id,content,offset,source,usage.total_tokens,choices.0.delta.role,choices.1,choices.0.none.x,service_tier"
    first, second = (json.loads(line) for line in run("decode", clean, "--fields", fields).lines)
    assert first == {
        "id": "a",
        "content": "hé",
        "offset": 0,
        "source": str(clean),
        "usage.total_tokens": 1000,
        "choices.0.delta.role": "assistant",
        "choices.1": None,
        "choices.0.none.x": None,
        "service_tier": None,
    }
    assert list(second) == fields.split(",")
    assert second["offset"] == len(stream("a", 1000, model="m1"))
    assert json.loads(run("decode", clean, "--fields", "choices").lines[0]) == {"choices": CHOICES}


def test_lone_surrogates_stay_escapes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(r'{"choices": [], "model": "\ud83d é", "id": "\ud83d\ude00"}'))
    (line,) = run("decode", path).lines
    assert line == r'{"choices": [], "model": "\ud83d é", "id": "😀"}'
    assert json.loads(line)["model"] == "\ud83d é"


def test_decode_stops_at_damage_when_asked(run: Run, dirty: Path) -> None:
    result = run("decode", dirty, "--on-error", "raise")
    assert result.code == 1
    assert len(result.lines) == 2, "what is before the damage is given"
    assert result.err.startswith(f"chunkwire: {dirty}: event 4, offset {len(CLEAN)}, line 9: invalid JSON at byte 1")


def test_strict(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(CLEAN + event(chunk_json(id="c"))[:-1])
    assert [len(run("decode", path, *strict).lines) for strict in ([], ["--strict"])] == [3, 2]
    assert [run("usage", path, *strict).lines[-1][:6] for strict in ([], ["--strict"])] == ["2 of 3", "2 of 2"]
    assert "skipped_bytes" in run("check", path, "--strict").out


# --- check


def test_check_of_a_clean_log(run: Run, clean: Path) -> None:
    size = len(CLEAN)
    assert run("check", clean) == (0, f"""\
bytes of                  count  bytes  percent
-----------------------------------------------
chunks                        2    {size - 28}   {100 * (size - 28) / size:.1f} %
[DONE]                        2     28    {100 * 28 / size:.1f} %
server errors                 0      0    0.0 %
comments and keep-alives      0      0    0.0 %
skipped                       -      0    0.0 %
damaged                       0      0    0.0 %
-----------------------------------------------
total                              {size}  100.0 %

streams: 2 complete
nothing is wrong in 1 source
""", "")  # fmt: skip


def test_check_says_what_and_where(run: Run, dirty: Path) -> None:
    result = run("check", dirty)
    assert result.code == 1
    at = len(CLEAN)
    assert result.lines[0] == (
        f"{dirty}:9: offset {at}: invalid_json: invalid JSON at byte 1 of the event's data: "
        "Expecting property name enclosed in double quotes"
    )
    stream = "a stream without id (0 chunks) ends with an error of the server"
    assert result.lines[1] == f"{dirty}: offset {at}: error_stream: {stream}"
    assert result.lines[2] == f"{dirty}:11: offset {at + len(event('{oops'))}: server_error: bu\\x1bsy"
    assert result.lines[-2:] == [
        "streams: 2 complete, 1 error",
        "findings in 1 of 1 source: 1 invalid_json, 1 error_stream, 1 server_error",
    ]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (event("[1]"), "not_a_chunk"),
        (b"<html>", "not_a_stream"),
        (CLEAN + b"nonsense: 1\n\n", "skipped_bytes"),
        (CLEAN + event(chunk_json(id="c")), "truncated_stream"),
        (DONE, "empty_stream"),
        (event("{"), "malformed_stream"),
        (event('{"error":1}'), "error_stream"),
        (event(chunk_json(choices=CHOICES, error="e")), "error_stream"),
        (stream("a", 5).replace(b"h\xc3\xa9", b"h\xc3"), "invalid_utf8"),
        (stream("a", 5).replace(b'"total_tokens": 5', b'"total_tokens": "5"'), "wrong_type"),
        (gzip.compress(CLEAN)[:-9], "truncated"),
    ],
)
def test_what_counts_as_a_finding(run: Run, data: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    result = run("check", path)
    assert result.code == 1
    assert f" {kind}: " in result.out
    document = json.loads(run("check", path, "--format", "json").out)
    assert document["clean"] is False
    assert kind in {finding["kind"] for finding in document["sources"][0]["findings"]}


@pytest.mark.parametrize("data", [b"", b": hi\n\n", CLEAN, CLEAN.replace(DONE, b""), event("") + CLEAN])
def test_what_is_no_finding(run: Run, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    assert run("check", path).code == 0
    assert json.loads(run("check", path, "--format", "json").out)["clean"] is True


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.sse")))
def test_check_accounts_for_every_byte(run: Run, name: str) -> None:
    document = json.loads(run("check", SAMPLES / name, "--format", "json").out)
    (source,) = document["sources"]
    assert sum(one["bytes"] for one in source["classes"]) == source["bytes"] == (SAMPLES / name).stat().st_size
    assert source["classes"] == document["total"]["classes"]
    offsets = [one["offset"] for one in source["findings"] if one["offset"] is not None]
    assert offsets == sorted(offsets)


def test_check_lists_the_first_thousand(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event("[1]") * 1500)
    result = run("check", path)
    assert sum("not_a_chunk" in line for line in result.lines) == 999 + 1, "and the stream that lost them"
    assert f"{path}: and 501 more" in result.out
    assert "1,500" in result.out, "the table counts all"


# --- as a process


def test_standard_input(engine: str) -> None:
    for command in ("usage", "decode", "check"):
        done = process(command, "-", "--engine", engine, input=CLEAN)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b"m1" if command != "check" else b"nothing is wrong") == 1
    assert b'"<stdin>"' in process("decode", "-", "--fields", "source", "--engine", engine, input=CLEAN).stdout
    done = process("usage", "-", "--engine", engine, input=DIRTY)
    assert b"`chunkwire check` tells where" in done.stdout


def test_chunks_are_given_as_they_come(engine: str) -> None:
    """The first line is out while standard input is still open."""
    command = [*COMMAND, "decode", "-", "--fields", "id", "--engine", engine]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(stream("a", 1))
        running.stdin.flush()
        assert running.stdout.readline() == b'{"id": "a"}\n'
        running.stdin.write(stream("b", 1))
        running.stdin.close()
        assert running.stdout.read() == b'{"id": "b"}\n'
    assert running.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that can break and /dev/full")
def test_output_that_nobody_reads(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(CLEAN * 5000)
    command = [*COMMAND, "decode", str(path), "--engine", engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0
    if Path("/dev/full").exists():
        for arguments in (["decode"], ["usage"], ["usage", "--format", "json"], ["check"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    [*COMMAND, *arguments, str(path)], stdout=full, stderr=subprocess.PIPE, check=False
                )
            assert done.returncode == 2
            assert done.stderr == b"chunkwire: cannot write to stdout: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt(engine: str) -> None:
    command = [*COMMAND, "decode", "-", "--fields", "id", "--engine", engine]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Where the tests run in the background of a shell they ignore the interrupt, and what they start would too.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        running = subprocess.Popen(command, bufsize=0, **pipes)
    finally:
        signal.signal(signal.SIGINT, before)
    with running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(CLEAN)
        assert running.stdout.readline() == b'{"id": "a"}\n'
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, b'{"id": "b"}\n', b"")


def test_a_terminal_that_knows_ascii_only(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(stream("a", 5, model="modèle-東京"))
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = process("usage", path, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"mod\xe8le-\u6771\u4eac" in done.stdout
    assert "modèle-東京".encode() in process("decode", path, env=environment).stdout, "JSON is UTF-8 everywhere"


def test_versions_and_help() -> None:
    done = process("--version")
    assert done.returncode == 0
    assert done.stdout.decode().split() == ["chunkwire", chunkwire.__version__]
    commands = ("usage", "decode", "follow", "text", "show", "redact", "convert", "check", "explain")
    for arguments in ([], *([command] for command in commands)):
        done = process(*arguments, "--help", env=os.environ | {"COLUMNS": "80"})
        assert done.returncode == 0
        text = done.stdout.decode()
        assert "examples:" in text
        assert max(map(len, text.splitlines())) <= 80


def test_the_engine_of_the_environment(clean: Path) -> None:
    done = process("usage", clean, env=os.environ | {"CHUNKWIRE_ENGINE": "fastest"})
    assert done.returncode == 2
    assert done.stderr == b"chunkwire: CHUNKWIRE_ENGINE must be one of auto, native, simdjson, not 'fastest'\n"


# --- on a terminal


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("rich", [True, False])
def test_tables_fit_the_terminal(rich: bool) -> None:
    if rich:
        pytest.importorskip("rich")
    log = SAMPLES / "day.sse"
    for columns, left_out in ((80, "(too narrow for: reported, chunks, reasoning; --format csv has all)"), (120, "")):
        shown = on_terminal(columns, "usage", log, rich=rich, NO_COLOR="1")
        lines = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
        assert "\x1b" not in "".join(lines), "no colour"
        assert max(map(len, lines[:-1])) <= columns
        assert lines[0].split()[:2] == ["model", "streams"]
        assert [line for line in lines if "too narrow" in line] == ([left_out] if left_out else [])
        assert "of 41 streams reported usage" in shown
        assert "\r" not in shown, "no bar for short work"
    assert ("\x1b[36m" in on_terminal(120, "usage", log, rich=rich)) == rich


def test_piped_tables_are_whole(clean: Path) -> None:
    done = process("usage", SAMPLES / "day.sse", env=os.environ | {"COLUMNS": "40", "FORCE_COLOR": "1"})
    assert done.stdout.splitlines()[0].split()[-1] == b"cost"
    assert b"reasoning" in done.stdout
    assert b"\x1b" not in done.stdout
