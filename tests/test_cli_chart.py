"""``chunkwire usage --chart``: bars whose lengths are in proportion, in any width, encoding and language."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli import main
from chunkwire._cli._chart import bar, chart_text, charted
from chunkwire._render import width_of
from command import on_terminal, process
from support import SAMPLES, event
from test_cli import DONE

BLOCKS = " ▏▎▍▌▋▊▉█"


def log_of(models: dict[str, int], **more: Any) -> bytes:
    return b"".join(
        event(json.dumps({"id": model, "model": model, "choices": [], "usage": {"total_tokens": tokens} | more})) + DONE
        for model, tokens in models.items()
    )


def summary_of(models: dict[str, int], engine: str, **options: Any) -> chunkwire.Summary:
    return chunkwire.usage(log_of(models), engine=engine).summary(**options)


def drawn(
    summary: chunkwire.Summary, width: int = 60, encoding: str | None = "utf-8", name: str = "total_tokens"
) -> str:
    return chart_text(summary, name, width=width, encoding=encoding, colour=False)


def test_a_chart(engine: str) -> None:
    models = {"large": 1_000_000, "half": 500_000, "eighth": 125_000, "little": 1, "nothing": 0}
    assert drawn(summary_of(models, engine), 38) == (
        "total tokens\n"
        "large    ██████████████████  1,000,000\n"
        "half     █████████  500,000\n"
        "eighth   ██▎  125,000\n"
        "little   ▏  1\n"
        "nothing  0"
    )
    assert drawn(summary_of(models, engine), 38, "ascii") == (
        "total tokens\n"
        "large    ##################  1,000,000\n"
        "half     #########  500,000\n"
        "eighth   ##  125,000\n"
        "little   #  1\n"
        "nothing  0"
    )


@pytest.mark.parametrize("width", [1, 7, 50])
def test_bars_are_in_proportion(width: int) -> None:
    for eighths in range(8 * width + 1):
        blocks = bar(eighths / (8 * width), width, blocks=True)
        assert sum(BLOCKS.index(one) for one in blocks) == eighths
        assert len(blocks) <= width
        plain = bar(eighths / (8 * width), width, blocks=False)
        assert set(plain) <= {"#"}
        assert abs(len(plain) - eighths / 8) <= 0.5 or len(plain) == 1 >= eighths / 8 > 0
    assert bar(1e-9, width, blocks=True) == "▏"
    assert bar(1e-9, width, blocks=False) == "#"
    assert bar(0.0, width, blocks=True) == bar(0.0, width, blocks=False) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp437", None, "no-such-encoding"])
@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_charts_fit(engine: str, width: int, encoding: str | None) -> None:
    models = {
        "a-model-with-a-rather-long-name-2026-11-20": 5,
        "模型模型模型模型模型模型模型": 70,
        "m\x1b[2J": 123_456_789,
    }
    for by in ("model", ("model", "day", "status")):
        summary = summary_of(models, engine, by=by, top=2)
        lines = drawn(summary, width, encoding).splitlines()
        assert len(lines) == 1 + 3
        if width >= 40 + 20 * (by != "model"):
            assert max(map(width_of, lines)) <= width
        if width > 60 + 20 * (by != "model"):
            assert max(map(width_of, lines)) >= width - 1, "and take the room"
        assert "\x1b" not in "".join(lines)
        assert ("█" in "".join(lines)) == (encoding == "utf-8")


def test_what_is_charted(engine: str) -> None:
    summary = summary_of({"a": 5, "b": 70}, engine, percentiles=True, breakdown=True)
    for sort, name in {
        None: "total_tokens",
        "model": "total_tokens",
        "streams": "streams",
        "model,prompt:asc": "prompt_tokens",
        "total_p95": "total_tokens_p95",
        "cost": "total_tokens",
    }.items():
        assert charted(summary, sort) == name
    assert drawn(summary, name="total_tokens_p95").splitlines()[0] == "total tokens p95"
    assert drawn(summary, name="total_tokens_p95").splitlines()[1].endswith("  70")
    assert drawn(summary, name="cached_share").splitlines()[1:] == ["b  -", "a  -"]
    assert drawn(summary, name="time_to_first_token_p50").splitlines()[1:] == ["b  -", "a  -"]


def test_times_and_costs(engine: str) -> None:
    data = log_of({"a": 5}, cost=0.25, prompt_time=0.5, completion_time=2)
    summary = chunkwire.usage(data, engine=engine).summary(percentiles=True)
    assert drawn(summary, name="cost").endswith("  0.250000")
    assert drawn(summary, name="generation_time_p95").endswith("  2.00 s")
    prices = {"a": {"input_cost_per_token": 0.25, "output_cost_per_token": 0}}
    data = log_of({"a": 6}, prompt_tokens=5, completion_tokens=1)
    summary = chunkwire.usage(data, engine=engine).summary(prices=prices)
    assert drawn(summary, name="computed_cost").endswith("  1.25"), "dollars, no count"


def test_odd_numbers(engine: str) -> None:
    lines = drawn(summary_of({"negative": -5, "large": 2**63 - 1}, engine)).splitlines()
    assert lines[1].endswith("9,223,372,036,854,775,807")
    assert lines[2] == "negative  -5"
    assert drawn(summary_of({}, engine)) == "total tokens"


def test_on_the_command_line(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "log.sse", tmp_path / "out.txt"
    path.write_bytes(log_of({"a": 5, "b": 70}))
    command = ["usage", "--engine", engine, str(path), "--chart"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    summary = summary_of({"a": 5, "b": 70}, engine)
    table, chart, note = shown.split("\n\n")
    assert chart == drawn(summary, 80)
    assert "\n\n".join([table, note]) == f"{summary}\n"
    assert main([*command, "-o", str(output)]) == 0
    assert output.read_text("utf-8") == shown
    for wrong in (["--rows"], ["--format", "json"], ["--format", "csv"]):
        assert main([*command, *wrong]) == 2
        assert "--chart draws the groups of --format table" in capsys.readouterr().err
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = process(*command, env=environment)
    assert b"####" in done.stdout
    assert b"\\u" not in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("columns", [80, 140])
def test_on_a_terminal(rich: bool, columns: int) -> None:
    if rich:
        pytest.importorskip("rich")
    command = ("usage", SAMPLES / "day.sse", "--by", "model,day", "--chart")
    plain = {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    lines = re.sub(r"\x1b\[[01]?m", "", on_terminal(columns, *command, rich=rich, **plain)).splitlines()
    bars = [line for line in lines if "█" in line]
    assert len(bars) > 5
    assert max(map(len, bars)) == columns
    assert "\x1b" not in "".join(lines), "no colour"
    shown = on_terminal(columns, *command, rich=rich, PYTHONIOENCODING="utf-8")
    assert ("\x1b[32m█" in shown) == rich


def test_bars_without_end(engine: str) -> None:
    large = log_of({"a": 5}, cost=1.7e308)
    large += large.replace(b'"id": "a"', b'"id": "another"')
    lines = drawn(
        chunkwire.usage(large + log_of({"b": 5}, cost=0.25), engine=engine).summary(), name="cost"
    ).splitlines()
    assert lines[0] == "cost (bars of inf are cut off)"
    assert lines[1].count("█") == lines[2].count("█") > 20
    assert [line.split()[-1] for line in lines[1:]] == ["inf", "0.250000"]
    assert "█" in drawn(chunkwire.usage(large, engine=engine).summary(), name="cost")


def test_no_cost_to_chart(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(log_of({"a": 5, "b": 70}))
    command = ["usage", "--engine", engine, str(path), "--chart", "--sort"]
    for sort, name in {"cost": "total tokens", "model,cost:asc,chunks": "chunks"}.items():
        assert main([*command, sort]) == 0
        assert capsys.readouterr().err == f"chunkwire: no server reported a cost: the chart is of {name}\n"
    assert main([*command, "total"]) == 0
    assert capsys.readouterr().err == ""
