"""``chunkwire usage --format arrow`` and ``parquet``: files that others read, and nothing binary on a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

import chunkwire
from chunkwire._cli import main
from support import SAMPLES, chunk_json, event

FORMATS = ["arrow", "parquet"]
COMMAND = [sys.executable, "-m", "chunkwire", "usage"]


def read(path: Path, format: str) -> Any:
    if format == "parquet":
        return pyarrow.parquet.read_table(path)
    with pyarrow.ipc.open_file(path) as file:
        return file.read_all()


def written(path: Path, format: str, *arguments: Any) -> Any:
    assert main(["usage", "--format", format, "-o", str(path), *map(str, arguments)]) == 0
    table = read(path, format)
    table.validate(full=True)
    frame = polars.read_parquet(path) if format == "parquet" else polars.read_ipc(io.BytesIO(path.read_bytes()))
    assert frame.to_dict(as_series=False) == table.to_pydict()
    return table


@pytest.mark.parametrize("format", FORMATS)
def test_rows(engine: str, format: str, tmp_path: Path) -> None:
    table = written(tmp_path / "rows", format, "--engine", engine, "--rows", SAMPLES)
    expected = pyarrow.table(chunkwire.usage(str(SAMPLES), engine=engine))
    assert table.schema == expected.schema
    assert table.to_pydict() == expected.to_pydict()


@pytest.mark.parametrize("by", ["model", "model,day", "source,status", "finish_reason"])
@pytest.mark.parametrize("format", FORMATS)
def test_groups(format: str, by: str, tmp_path: Path) -> None:
    table = written(tmp_path / "groups", format, "--by", by, SAMPLES)
    summary = chunkwire.usage(str(SAMPLES)).summary(by=tuple(by.split(",")))
    assert table.to_pylist() == summary.to_dicts()
    kinds = {name: pyarrow.string() for name in summary.by} | {"cost": pyarrow.float64()}
    assert table.schema == pyarrow.schema([(name, kinds.get(name, pyarrow.int64())) for name in summary.columns])


@pytest.mark.parametrize("format", FORMATS)
def test_groups_with_all_columns(format: str, tmp_path: Path) -> None:
    options = ["--by", "model,day", "--top", "3", "--percentiles", "--breakdown"]
    table = written(tmp_path / "groups", format, *options, SAMPLES)
    about = {"by": ("model", "day"), "top": 3, "percentiles": True, "breakdown": True}
    summary = chunkwire.usage(str(SAMPLES)).summary(**about)
    assert summary.other
    other = {name: summary.other.get(name) for name in summary.columns} | {"model": summary._other_label}
    assert table.to_pylist() == [*summary.to_dicts(), other]
    (log := tmp_path / "empty.sse").write_bytes(b": nothing\n\n")
    empty = written(tmp_path / "empty", format, *options, log)
    shared = [name for name in empty.column_names if name in table.column_names and name != "cost"]
    assert [empty.schema.field(name).type for name in shared if name.endswith("_p50")] == [pyarrow.float64()] * 6
    assert all(empty.schema.field(name) == table.schema.field(name) for name in shared if "share" not in name)


@pytest.mark.parametrize("format", FORMATS)
def test_the_streams_that_are_asked_for(format: str, tmp_path: Path) -> None:
    table = written(tmp_path / "rows", format, "--rows", "--sort", "total", "--top", "4", SAMPLES)
    totals = chunkwire.usage(str(SAMPLES)).total_tokens
    assert table["total_tokens"].to_pylist() == sorted(totals.tolist(), reverse=True)[:4]


@pytest.mark.parametrize("arguments", [[], ["--rows"]], ids=["groups", "rows"])
@pytest.mark.parametrize("format", FORMATS)
def test_no_streams(format: str, arguments: list[str], tmp_path: Path) -> None:
    log = tmp_path / "empty.sse"
    log.write_bytes(b": nothing\n\n")
    table = written(tmp_path / "out", format, *arguments, log)
    assert table.num_rows == 0
    assert "total_tokens" in table.column_names


def test_a_pipe_gets_a_stream() -> None:
    for format in FORMATS:
        done = subprocess.run([*COMMAND, "--rows", "--format", format, SAMPLES], capture_output=True, check=True)
        memory = pyarrow.BufferReader(done.stdout)
        reader = pyarrow.ipc.open_stream if format == "arrow" else pyarrow.parquet.ParquetFile
        rows = reader(memory).read_all() if format == "arrow" else reader(memory).read()
        assert rows.to_pydict() == pyarrow.table(chunkwire.usage(str(SAMPLES))).to_pydict()
        assert b"tells where" in done.stderr, "notes go elsewhere"


@pytest.mark.parametrize("format", FORMATS)
def test_texts_that_utf8_has_no_bytes_for(format: str, tmp_path: Path) -> None:
    log = tmp_path / "log.sse"
    log.write_bytes(event('{"model": "a\\ud800b", "choices": []}'))
    assert written(tmp_path / "groups", format, log)["model"].to_pylist() == ["a\ufffdb"]
    assert written(tmp_path / "rows", format, "--rows", log)["model"].to_pylist() == ["a\ufffdb"]


def test_a_sum_of_more_than_64_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = {"total_tokens": 2**63 - 1}
    log = tmp_path / "log.sse"
    log.write_bytes((event(chunk_json(usage=usage)) + event("[DONE]")) * 2)
    assert main(["usage", "--format", "arrow", "-o", str(tmp_path / "out"), str(log)]) == 2
    assert "a sum of total_tokens has more than 64 bits; --format json and csv have it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("arguments", [[], ["-o", "-"]], ids=["stdout", "dash"])
def test_nothing_binary_on_a_terminal(format: str, arguments: list[str], tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "--format", format, *arguments, SAMPLES],
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.write(theirs, b"|")
        assert os.read(ours, 100) == b"|"
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert done.stderr == f"chunkwire: --format {format} is binary, and this is a terminal: name a file with -o FILE\n"


@pytest.mark.parametrize("format", FORMATS)
def test_where_pyarrow_is_absent(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.ipc")
    # It is told before the logs are read.
    assert main(["usage", "--format", format, "-o", str(tmp_path / "out"), str(tmp_path / "no such log")]) == 2
    message = f"--format {format} needs the package pyarrow: pip install 'chunkwire[arrow]'"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_where_it_cannot_be_written(format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--format", format, "-o", str(tmp_path / "none" / "out"), str(SAMPLES)]) == 2
    assert "cannot write to" in capsys.readouterr().err
