"""The samples that the project ships: the generator gives them again, and they decode to what it knows of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from support import SAMPLES, counts, damages, drain

EXPECTED: dict[str, Any] = json.loads((SAMPLES / "expected.json").read_text("utf-8"))
TOKENS = list(EXPECTED["day.sse"]["tokens"])


def test_generating_again_gives_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SAMPLES / "generate.py"), str(tmp_path)], check=True)
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    here = {path.name: path.read_bytes() for path in SAMPLES.iterdir() if path.suffix in (".sse", ".json")}
    assert sorted(again) == sorted(here)
    for name, data in again.items():
        assert data == here[name], name


def test_there_is_enough_of_everything() -> None:
    rows = EXPECTED["day.sse"]["streams"]
    assert len(rows) >= 40
    assert len({row["model"] for row in rows} - {None}) == 6
    assert len({row["created"] // 86400 for row in rows} - {0}) == 3
    everywhere = [row for name in EXPECTED for row in EXPECTED[name]["streams"]]
    assert {row["status"] for row in everywhere} == {"complete", "no_done", "truncated", "error", "malformed"}
    for name in TOKENS:
        assert any(row[name] for row in everywhere), f"no stream of the samples has {name}"
    assert sum(EXPECTED[name]["bytes"] for name in EXPECTED) < 400_000


@pytest.mark.parametrize("name", EXPECTED)
def test_counts(engine: str, name: str) -> None:
    chunks = chunkwire.decode(SAMPLES / name, engine=engine, on_error="skip")
    assert len(list(chunks)) == EXPECTED[name]["chunks"]
    found = counts(chunks.stats)
    for key in ("bytes", "chunks", "done", "errors", "damaged"):
        assert found[key] == EXPECTED[name][key], key


@pytest.mark.parametrize("name", EXPECTED)
def test_streams(engine: str, name: str) -> None:
    usage = chunkwire.usage(SAMPLES / name, engine=engine)
    expected = EXPECTED[name]["streams"]
    assert len(usage) == len(expected)
    for column in ("id", "model", "created", "finish_reason", "status", "chunks", "reported", *TOKENS):
        assert list(getattr(usage, column)) == [row[column] for row in expected], column
    costs = [None if cost != cost else cost for cost in usage.cost.tolist()]
    assert costs == [row["cost"] for row in expected]
    assert {token: int(getattr(usage, token).sum()) for token in TOKENS} == EXPECTED[name]["tokens"]


def test_the_damaged_log_says_where(engine: str) -> None:
    data = (SAMPLES / "damaged.sse").read_bytes()
    chunks = chunkwire.decode(data, engine=engine)
    raised = [one for one in drain(chunks) if isinstance(one, Exception)]
    assert [error.kind for error in raised] == ["invalid_json", "truncated"]
    assert [error.offset for error in raised] == [
        data.index(b"[,") - data[: data.index(b"[,")][::-1].index(b"\n"),
        data.rindex(b"data:"),
    ]
    assert [one[0] for one in damages(chunks.stats)] == ["invalid_json", "truncated"]
    assert data[raised[0].offset :].startswith(b"data: {")
