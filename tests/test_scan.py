"""`scan`: a LazyFrame that gives what `usage` gives, and reads no more than a query asks for."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars
import pytest
from polars.testing import assert_frame_equal

import chunkwire
from chunkwire import _arrow, _reading
from support import SAMPLES, chunk_json, event

DONE = event("[DONE]")
TOTAL = polars.col("total_tokens")
SOURCE = polars.col("source")

#: Some versions of polars raise an error of their own, with the message of what was raised.
RAISED = (polars.exceptions.ComputeError, chunkwire.DecodeError, OSError)


def stream(id: str, tokens: int) -> bytes:
    return event(chunk_json(id=id, choices=[], usage={"total_tokens": tokens})) + DONE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine logs of two streams: 0 and 1 tokens, 10 and 11, ..."""
    for number in range(9):
        (tmp_path / f"{number}.sse").write_bytes(stream("a", 10 * number) + stream("b", 10 * number + 1))
    return tmp_path


class Seen:
    """Which sources were read, how many at once, and which columns were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self.at_once: list[int] = []
        self.columns: list[list[str] | None] = []
        read_all, usage_stream = _reading.read_all, _arrow.usage_stream

        def reading(found: Any, options: Any, **more: Any) -> Any:
            self.read += [os.path.basename(source.label) for source in found.sources]
            self.at_once.append(len(found.sources))
            return read_all(found, options, **more)

        def streaming(table: Any, requested: Any, *, names: list[str] | None = None) -> Any:
            if len(table):
                self.columns.append(names)
            return usage_stream(table, requested, names=names)

        monkeypatch.setattr(_reading, "read_all", reading)
        monkeypatch.setattr(_arrow, "usage_stream", streaming)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


QUERIES = {
    "all": lambda frame: frame,
    "columns": lambda frame: frame.select("model", "total_tokens"),
    "one column": lambda frame: frame.select("id"),
    "count": lambda frame: frame.select(polars.len()),
    "rows": lambda frame: frame.filter(TOTAL > 500),
    "rows by another column": lambda frame: frame.filter(TOTAL > 500).select("id", "created"),
    "rows of a source": lambda frame: frame.filter(SOURCE.cast(str).str.ends_with("groq.sse")),
    "no rows": lambda frame: frame.filter(TOTAL < 0).select("model"),
    "nulls": lambda frame: frame.filter(polars.col("cost").is_null() & polars.col("reported")).select("cost", "status"),
    "head": lambda frame: frame.head(5),
    "head of rows": lambda frame: frame.filter(TOTAL > 500).head(3),
    "rows of head": lambda frame: frame.head(9).filter(TOTAL > 5),
    "rows of a source in head": lambda frame: frame.head(9).filter(SOURCE.cast(str).str.ends_with("day.sse")),
    "tail": lambda frame: frame.tail(3),
    "slice": lambda frame: frame.slice(7, 20).select("offset"),
    "groups": lambda frame: frame.group_by("model").agg(TOTAL.sum(), polars.len()).sort("total_tokens", "model"),
    "new column": lambda frame: frame.with_columns(rest=TOTAL - polars.col("prompt_tokens")).select("rest", "source"),
    "join": lambda frame: frame.select("id", "source").join(frame.select("id", "model"), on="id").sort("id", "source"),
}


@pytest.mark.parametrize("streaming", [False, True], ids=["in memory", "streaming"])
@pytest.mark.parametrize("name", QUERIES)
def test_it_gives_what_usage_gives(engine: str, name: str, streaming: bool) -> None:
    query = QUERIES[name]
    kind: Any = "streaming" if streaming else "in-memory"
    found = query(chunkwire.scan(SAMPLES, engine=engine)).collect(engine=kind)
    expected = query(polars.DataFrame(chunkwire.usage(SAMPLES, engine=engine)).lazy()).collect()
    assert_frame_equal(found, expected)


def test_nothing_is_read_before_the_query_runs(folder: Path, seen: Seen) -> None:
    query = chunkwire.scan(folder).select("total_tokens")
    assert query.collect_schema() == {"total_tokens": polars.Int64}
    assert seen.read == []
    (folder / "9.sse").write_bytes(stream("c", 90))
    assert query.collect()["total_tokens"].to_list() == [*(10 * n + m for n in range(9) for m in (0, 1)), 90]
    assert seen.read == [f"{number}.sse" for number in range(10)]


def test_columns_that_are_not_asked_for_are_not_made(folder: Path, seen: Seen) -> None:
    query = chunkwire.scan(folder, threads=9).filter(TOTAL > 5).select("id")
    assert "PROJECT 2/22 COLUMNS" in query.explain()
    assert "SELECTION" in query.explain()
    assert query.collect()["id"].to_list() == ["a", "b"] * 8
    assert [set(names or ()) for names in seen.columns] == [{"id", "total_tokens"}]


def test_rows_are_dropped_source_by_source(folder: Path, seen: Seen) -> None:
    """What polars gets has only the rows that it wants."""
    heights: list[int] = []
    query = chunkwire.scan(folder, threads=1).filter(TOTAL % 10 == 1).select("total_tokens")
    found = query.map_batches(lambda frame: (heights.append(frame.height), frame)[1]).collect()
    assert found["total_tokens"].to_list() == [10 * number + 1 for number in range(9)]
    assert seen.at_once == [1] * 9
    assert sum(heights) == 9


@pytest.mark.parametrize(("rows", "sources"), [(1, 1), (2, 1), (3, 2), (7, 4), (18, 9), (100, 9)])
def test_head_stops_early(folder: Path, seen: Seen, rows: int, sources: int) -> None:
    found = chunkwire.scan(folder).head(rows).collect()
    assert len(found) == min(rows, 18)
    assert seen.read == [f"{number}.sse" for number in range(sources)]


def test_sources_that_a_filter_excludes_are_not_read(folder: Path, seen: Seen) -> None:
    query = chunkwire.scan(folder)
    wanted = [str(folder / "3.sse"), str(folder / "5.sse")]
    assert query.filter(SOURCE.is_in(wanted)).select("total_tokens").collect()["total_tokens"].to_list() == [
        30,
        31,
        50,
        51,
    ]
    assert seen.read == ["3.sse", "5.sse"]
    seen.read.clear()
    assert query.filter(wanted[0] == SOURCE).head(1).collect()["source"].to_list() == wanted[:1]
    assert query.filter(SOURCE == "nowhere").collect().is_empty()
    assert seen.read == ["3.sse"]
    seen.read.clear()
    assert len(query.filter((wanted[0] == SOURCE) & (TOTAL > 30)).collect()) == 1


def test_many_sources_are_read_side_by_side(folder: Path, seen: Seen) -> None:
    assert len(chunkwire.scan(folder, threads=4).collect()) == 18
    assert seen.at_once == [4, 4, 1]


def test_sources_of_every_kind(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sse"
    path.write_bytes(stream("a", 1))
    for sources, ids in [
        (path, ["a"]),
        (str(tmp_path), ["a"]),
        (str(tmp_path / "*.sse"), ["a"]),
        ([path, str(path)], ["a", "a"]),
        (stream("b", 2), ["b"]),
        (bytearray(stream("b", 2)), ["b"]),
        ([stream("b", 2), stream("c", 3)], ["b", "c"]),
        ([path, stream("b", 2)], ["a", "b"]),
        ([], []),
    ]:
        query = chunkwire.scan(sources, engine=engine).select("id")
        for _ in range(2):
            assert query.collect()["id"].to_list() == ids


@pytest.mark.parametrize(
    "sources",
    [io.BytesIO(b""), iter([b""]), [io.BytesIO(b"")], (one for one in [Path("x")])],
    ids=["file", "iterator", "files", "generator"],
)
def test_what_can_be_read_only_once(sources: Any) -> None:
    with pytest.raises(TypeError, match=r"scan reads its sources every time the query runs, and a .* only once"):
        chunkwire.scan(sources)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="format must be one of"):
        chunkwire.scan(b"", format="csv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error must be"):
        chunkwire.scan(b"", on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads must be at least 1, not -1"):
        chunkwire.scan(b"", threads=-1)
    with pytest.raises(ValueError, match="engine must be one of"):
        chunkwire.scan(b"", engine="fast").collect()  # type: ignore[arg-type]


def test_damage(engine: str) -> None:
    log = stream("a", 1) + event("{bad") + stream("b", 2)
    query = chunkwire.scan(log, engine=engine).select("id", "status")
    assert query.collect()["status"].to_list() == ["complete", "malformed"]
    with pytest.raises(RAISED, match="invalid JSON at byte 1"):
        chunkwire.scan(log, engine=engine, on_error="raise").collect()


def test_sources_that_cannot_be_read(folder: Path) -> None:
    for sources in (folder / "none.sse", [folder / "0.sse", folder / "none.sse"], str(folder / "*.none")):
        query = chunkwire.scan(sources)
        with pytest.raises(RAISED, match=r"No such file or directory: .*none.sse|no file matches: .*none"):
            query.collect()


def test_where_polars_is_absent() -> None:
    code = """
import sys
sys.modules["polars"] = None
import chunkwire
try:
    chunkwire.scan("logs/")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("chunkwire.scan needs the package polars: pip install 'chunkwire[polars]'")
