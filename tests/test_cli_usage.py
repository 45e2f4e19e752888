"""``chunkwire usage`` with what it can be asked for: limits of time, order, the largest, kinds, percentiles; and that
its JSON and CSV have the keys that its help text tells, and no others."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli._schema import DOCUMENT, GROUP, MEASURES, STREAM
from command import Result, Run, on_terminal, process
from support import SAMPLES
from test_summary import log
from wrapping import har

ALL = ("--breakdown", "--percentiles")
LIMITS = ("--since", "2026-11-20", "--until", "2026-11-22")


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("usage") / "log.sse"
    path.write_bytes(log(7))
    return path


@pytest.fixture
def table(path: Path, engine: str) -> chunkwire.UsageTable:
    return chunkwire.usage(path, engine=engine)


def document(result: Result) -> dict[str, Any]:
    assert (result.code, result.err) == (0, "")
    found: dict[str, Any] = json.loads(result.out)
    return found


def table_of(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


# --- the same as in Python


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--by", "hour,model"], {"by": ("hour", "model")}),
        (["--by", "month", "--breakdown"], {"by": "month", "breakdown": True}),
        (["--percentiles", "--sort", "total_p95"], {"percentiles": True, "sort": "total_p95"}),
        (["--by", "day", "--top", "2"], {"by": "day", "top": 2}),
        (
            ["--by", "day", "--top", "2", "--sort", "streams:asc,day"],
            {"by": "day", "top": 2, "sort": "streams:asc,day"},
        ),
        ([*LIMITS, "--top", "1"], {"since": "2026-11-20", "until": "2026-11-22", "top": 1}),
    ],
)
def test_json_is_the_summary(
    run: Run, path: Path, table: chunkwire.UsageTable, arguments: list[str], options: dict[str, Any]
) -> None:
    summary = table.summary(**options)
    found = document(run("usage", path, "--format", "json", *arguments))
    assert found["rows"] == summary.to_dicts()
    assert (found["total"], found["other"]) == (summary.total, summary.other)
    assert (found["outside"], found["undated"]) == (summary.outside, summary.undated)
    assert found["percentiles"] == list(summary.percentiles)
    assert found["streams"] == summary.total["streams"]
    if summary.since:
        assert (found["since"], found["until"]) == ("2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z")
    lines = run("usage", path, *arguments).lines
    assert "\n".join(lines[:-1]) == str(summary), "and the table is, but for the damage"


def test_csv_adds_up(run: Run, path: Path, table: chunkwire.UsageTable) -> None:
    summary = table.summary("hour", top=2, breakdown=True, percentiles=True)
    header, rows = table_of(run("usage", path, "--by", "hour", "--top", 2, *ALL, "--format", "csv").out)
    assert header == list(summary.columns)
    assert [row[0] for row in rows] == [*(row["hour"] for row in summary), summary._other_label]
    for name in ("streams", "total_tokens", "rejected_prediction_tokens"):
        assert sum(int(row[header.index(name)]) for row in rows) == summary.total[name]
    assert summary.other is not None
    assert float(rows[-1][header.index("total_tokens_p99")]) == summary.other["total_tokens_p99"]


def test_streams_left_out_are_told(run: Run, path: Path, table: chunkwire.UsageTable) -> None:
    summary = table.summary(since="2026-11-20", until="2026-11-22")
    told = f"left out: {summary.outside} streams from before or after and {summary.undated} streams without a time"
    assert summary.outside * summary.undated > 0
    for arguments in ([], ["--rows"]):
        lines = run("usage", path, *LIMITS, *arguments).lines
        assert lines[-2] == f"only what was created since 2026-11-20 00:00:00 until 2026-11-23 00:00:00 UTC; {told}"
        result = run("usage", path, *LIMITS, *arguments, "--format", "csv")
        assert (
            f"chunkwire: only what was created since 2026-11-20 00:00:00 until 2026-11-23 00:00:00 UTC; {told}\n"
            in (result.err)
        )


# --- streams


def test_rows_in_order(run: Run, path: Path, table: chunkwire.UsageTable) -> None:
    def ids(*arguments: Any) -> list[str]:
        return [row["id"] for row in document(run("usage", path, "--rows", "--format", "json", *arguments))["rows"]]

    rows = table.to_dicts()
    assert ids() == [row["id"] for row in rows]
    largest = sorted(rows, key=lambda row: -row["total_tokens"])
    assert ids("--sort", "total") == [row["id"] for row in largest]
    assert ids("--sort", "created") == [row["id"] for row in sorted(rows, key=lambda row: row["created"])]
    slowest = [row for row in rows if row["time_to_first_token"] is not None]
    slowest.sort(key=lambda row: -row["time_to_first_token"])
    assert ids("--sort", "time_to_first_token", "--top", 5) == [row["id"] for row in slowest[:5]]
    five = {row["id"] for row in largest[:5]}
    assert ids("--top", 5) == [row["id"] for row in rows if row["id"] in five], "in the order of the log"
    assert ids(*LIMITS) == table.between("2026-11-20", "2026-11-22").id.tolist()


def test_rows_and_the_others(run: Run, path: Path, table: chunkwire.UsageTable) -> None:
    found = document(run("usage", path, "--rows", "--top", 3, *ALL, "--format", "json"))
    assert found["total"] == table.summary(breakdown=True, percentiles=True).total
    assert list(found["other"]) == list(found["total"])
    assert found["other"]["streams"] == len(table) - 3
    for name in ("chunks", "total_tokens", "cache_write_tokens"):
        assert sum(row[name] for row in found["rows"]) + found["other"][name] == found["total"][name]
    lines = run("usage", path, "--rows", "--top", 3, *ALL).lines
    assert lines[6].startswith("other (297 streams)")
    assert lines[7].startswith("total")
    assert lines[9].split() == ["tokens", "count", "share"]
    at = next(at for at, line in enumerate(lines) if line.startswith("of each stream"))
    assert lines[at + 2].startswith("prompt tokens"), "percentiles of all"
    for kind in ("cache write", "audio completion", "rejected"):
        assert kind in lines[0]
    slow = run("usage", path, "--rows", "--sort", "time_to_first_token", "--top", 1).lines
    assert "first token" in slow[0]
    assert slow[2].split().count("s") == 2, "two times"
    result = run("usage", path, "--rows", "--top", 3, "--format", "csv")
    assert "chunkwire: without 297 streams that --top leaves out\n" in result.err
    assert len(table_of(result.out)[1]) == 3


# --- what is wrong is told before anything is read


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "tomorow"], "since: expected a date (2026-11-20), a month (2026-11), a time"),
        (["--until", "1795132800000"], "are these milliseconds?"),
        (["--since", "2026-11-30", "--until", "2026-11-20"], "since (2026-11-30) is not before until (2026-11-20)"),
        (["--sort", "promt"], "cannot sort by 'promt'; did you mean 'prompt'?"),
        (["--sort", "total_p95"], "percentiles were not asked for"),
        (["--rows", "--sort", "streams"], "cannot sort by 'streams'"),
        (["--rows", "--since", "x"], "since: expected"),
    ],
)
def test_what_cannot_be_understood(run: Run, arguments: list[str], words: str) -> None:
    result = run("usage", "there-is-no-such.sse", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert "there-is-no-such" not in result.err


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5"])
def test_what_is_no_number(run: Run, top: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("usage", "x", f"--top={top}")
    assert "argument --top: expected a number from 1" in capsys.readouterr().err


# --- the keys that are promised


def names(keys: dict[str, str]) -> list[str]:
    return [name for some in keys for name in some.split()]


def test_documented_keys_are_those_of_json_and_csv(run: Run, path: Path) -> None:
    keys = "model,month,day,hour,source,status,finish_reason"
    costs = ("--prices", Path(__file__).with_name("prices.json"), "--estimate")
    found = document(run("usage", path, "--by", keys, "--top", 1, *ALL, *costs, "--format", "json"))
    assert sorted(found) == sorted(names(DOCUMENT))
    measures = [f"{measure}_{end}" for measure in MEASURES.split() for end in ("streams", "p50", "p95", "p99")]
    group = [*names(GROUP), *measures]
    assert len(set(group)) == len(group)
    assert sorted({*found["rows"][0], *found["other"]}) == sorted(group)
    assert {*found["other"]} - {*found["total"]} == {"groups"}
    assert sorted(found["damage"]) == ["damaged", "damaged_bytes", "server_errors", "skipped_bytes"]
    for name in found["damage"]:
        assert name in DOCUMENT["damage"]
    rows = document(run("usage", path, "--rows", *costs, "--format", "json"))["rows"]
    assert list(rows[0]) == table_of(run("usage", path, "--rows", *costs, "--format", "csv").out)[0]
    assert sorted(rows[0]) == sorted(names(STREAM))
    assert found["schema"] == 1, "which counts up if a key changes its meaning, and with it this line"


def test_the_help_text_has_the_keys() -> None:
    text = re.sub(r"\s+", " ", process("usage", "--help", env=os.environ | {"COLUMNS": "80"}).stdout.decode())
    for keys in (DOCUMENT, GROUP, STREAM):
        for some, meaning in keys.items():
            assert f"{some.replace(' ', ', ')}: {meaning}" in text
    for option in ("--since", "--until", "--sort", "--top", "--breakdown", "--percentiles", "--cost", "--prices"):
        assert f"{option} " in text


# --- on a terminal


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("columns", [80, 140])
def test_all_of_it_fits_a_terminal(rich: bool, columns: int) -> None:
    if rich:
        pytest.importorskip("rich")
    costs = ["--prices", Path(__file__).with_name("prices.json"), "--estimate"]
    for arguments in (
        ["--by", "model,day", "--top", "4", *ALL],
        ["--rows", "--top", "4", *ALL],
        ["--by", "model", "--top", "4", *ALL, *costs],
        ["--rows", "--top", "4", *ALL, *costs],
    ):
        shown = on_terminal(columns, "usage", SAMPLES / "day.sse", *arguments, rich=rich, NO_COLOR="1")
        lines = re.sub(r"\x1b\[[01]?m", "", shown).splitlines()
        assert "\x1b" not in "".join(lines), "no colour"
        fitting = [line for line in lines if not re.search(r"too narrow|tells where|priced by", line)]
        assert max(map(len, fitting)) <= columns
        assert sum(line.startswith("other") for line in lines) >= 1
        assert "…" not in lines[0].replace("model", ""), "no number is cut"
        assert any(line.endswith("p99") for line in lines)


def test_a_har_file_that_is_named(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "session.har"
    path.write_bytes(har([("text/event-stream", log(7))]))
    named, found = (run("usage", path, *how, "--format", "csv") for how in (("--format-in", "har"), ()))
    assert (named.code, named.out) == (0, found.out)
