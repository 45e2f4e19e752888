"""Many files read together: whatever threads share them, the rows, counts and failures are those of each file alone, in
the order of the files."""

from __future__ import annotations

import gzip
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard

import chunkwire
import logs
from chunkwire import _engine
from chunkwire._options import Options
from chunkwire._rows import COLUMNS, MEASURES
from rows import DONE, first, last, part, report
from support import event


def stream(id: str, parts: int = 3) -> bytes:
    return first(id) + part(id) * parts + last(id, usage=report(3)) + DONE


def some_logs(rng: random.Random, count: int) -> list[bytes]:
    """Logs of all sizes, some empty, damaged or of other servers, each with models and reasons of its own."""
    made = []
    for number in range(count):
        kind = rng.randrange(6)
        data = b""
        if kind == 1:
            data = stream(f"id{number}") + event("{oops") + part(f"x{number}", model=f"model-{number % 7}")
        elif kind == 2:
            data = b"<html>"
        elif kind > 2:
            server = rng.choice(list(logs.SERVERS))
            data = b"".join(logs.written(rng, server, rng.choice((1, 3, 40 if number % 17 == 0 else 5))))
        made.append(data)
    return made


def write(folder: Path, datas: list[bytes]) -> list[str]:
    paths = []
    for number, data in enumerate(datas):
        suffix = ".gz" if number % 5 == 4 else ""
        path = folder / f"{number:04}.sse{suffix}"
        path.write_bytes(gzip.compress(data) if suffix else data)
        paths.append(str(path))
    return paths


def said(table: chunkwire.UsageTable, added: tuple[str, ...] = ()) -> dict[str, Any]:
    """All that a table says, but for the sources' names."""
    columns = {name: table._column(name).tolist() for name in (*COLUMNS, "valid", "part", *added) if name != "source"}
    columns |= {name: [repr(value) for value in columns[name]] for name in columns}
    return columns


@pytest.mark.parametrize("split", [None, 1, 900, 20_000])
def test_many_files_are_what_each_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str, split: int | None
) -> None:
    paths = write(tmp_path, some_logs(random.Random(split), 200 if split is None else 60))
    alone = [chunkwire.usage(path, engine="simdjson", estimate=True) for path in paths]
    rows = [row for table in alone for row in table]
    if split is not None:
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(split))
    for threads in (1, 2, 5):
        table = chunkwire.usage(paths, engine=native, threads=threads, estimate=True)
        names = [name for name in rows[0] if not name.startswith("estimated")]
        for name in names:
            assert [repr(row[name]) for row in table] == [repr(row[name]) for row in rows], f"{name}, {threads} threads"
        assert [label for label, _ in table.by_source()] == paths
        for (_, one), other in zip(table.by_source(), alone, strict=True):
            assert one.stats == other.stats
            assert said(one, MEASURES) == said(other, MEASURES)
        total = sum((other.stats for other in alone), chunkwire.Stats())
        assert table.stats == total
        raws = [other.raw(row) for other in alone for row in range(len(other))]
        assert [table.raw(row) for row in range(len(table))] == raws
        python = chunkwire.usage(paths, engine="simdjson", estimate=True)
        assert table == python
        assert repr(table.summary(by=("model", "status"))) == repr(python.summary(by=("model", "status")))


def test_few_huge_and_many_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str) -> None:
    """Every thread has something to do, and all that it does is in its place."""
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "3000")
    sizes = [1, 2000, 1, 1, 900, 1, 1, 1, 3000, 1]
    paths = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.sse"
        path.write_bytes(b"".join(stream(f"{number}-{one}") for one in range(size)))
        paths.append(path)
    ids = [f"{number}-{one}" for number, size in enumerate(sizes) for one in range(size)]
    for threads in (1, 2, 3, 8):
        for _ in range(5):
            assert list(chunkwire.usage(paths, engine=native, threads=threads).id) == ids


def test_any_number_of_threads(engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody gets more of them than help."""
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "3000")
    paths = write(tmp_path, [stream(f"id{number}", 40) for number in range(4)])
    ids = [f"id{number}" for number in range(4)]
    for threads in (10**7, 1 << 63, 1 << 64):
        assert list(chunkwire.usage(paths, engine=engine, threads=threads).id) == ids
        assert list(chunkwire.usage(paths[0], engine=engine, threads=threads).id) == ids[:1]


def test_what_cannot_be_read_is_told_and_the_rest_given(engine: str, tmp_path: Path) -> None:
    paths = write(tmp_path, [stream(f"id{number}") for number in range(150)])
    gone = [3, 64, 65, 149]
    found = chunkwire._sources.find(paths)
    for number in gone:
        os.unlink(paths[number])
    from chunkwire import _reading

    read = _reading.read_all(found, Options("skip", max_event_bytes=1 << 20), engine=engine, threads=3)
    assert [label for label, _ in read.failures] == [paths[number] for number in gone]
    assert all(isinstance(error, FileNotFoundError) and error.filename == label for label, error in read.failures)
    left = [path for number, path in enumerate(paths) if number not in gone]
    assert [label for label, _ in read.stats_by_source] == left
    table = chunkwire.UsageTable(chunkwire._rows.Parts(read.parts), read)
    assert list(table.source) == left


def test_if_no_file_can_be_read_that_raises(engine: str, tmp_path: Path) -> None:
    from chunkwire import _reading

    paths = write(tmp_path, [stream(f"id{number}") for number in range(3)])
    found = chunkwire._sources.find(paths)
    for path in paths:
        os.unlink(path)
    with pytest.raises(FileNotFoundError) as caught:
        _reading.read_all(found, Options("skip", max_event_bytes=1 << 20), engine=engine, threads=3)
    assert caught.value.filename == paths[0]
    assert len(caught.value.__notes__) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
def test_a_pipe_among_files(engine: str, tmp_path: Path) -> None:
    paths = write(tmp_path, [stream(f"id{number}") for number in range(5)])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: pipe.write_bytes(stream("pipe")))
    thread.start()
    table = chunkwire.usage([*paths[:3], str(pipe), *paths[3:]], engine=engine, threads=2)
    thread.join()
    assert list(table.id) == ["id0", "id1", "id2", "pipe", "id3", "id4"]
    assert list(table.source)[3] == str(pipe)


def test_a_file_in_which_no_event_ends(tmp_path: Path, native: str) -> None:
    """It cannot be split, and is read all the same."""
    paths = []
    for number, data in enumerate((stream("a"), b": " + b"x" * (12 << 20) + b"\n" + stream("b"), stream("c"))):
        path = tmp_path / f"{number}.sse"
        path.write_bytes(data)
        paths.append(path)
    for threads in (1, 2):
        table = chunkwire.usage(paths, engine=native, threads=threads)
        assert (list(table.id), list(table._column("part"))) == (["a", "b", "c"], [0, 1, 2])


def test_files_among_others(engine: str, tmp_path: Path) -> None:
    paths = write(tmp_path, [stream(f"id{number}") for number in range(9)])
    with open(paths[8], "rb") as file:
        table = chunkwire.usage([*paths[:4], file, stream("bytes"), *paths[4:8]], engine=engine, threads=2)
    assert list(table.id) == ["id0", "id1", "id2", "id3", "id8", "bytes", "id4", "id5", "id6", "id7"]
    assert list(table.source)[4:6] == [paths[8], "<bytes>"]


def test_progress_over_many_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str) -> None:
    monkeypatch.setattr(chunkwire._reading, "_EVERY", 0)
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "2000")
    paths = write(tmp_path, [stream(f"id{number}", 50) for number in range(40)])
    size = sum(map(os.path.getsize, paths))
    for threads in (1, 2):
        told: list[tuple[int, int | None]] = []
        chunkwire.usage(paths, engine=native, threads=threads, progress=lambda *done, told=told: told.append(done))
        assert told[-1] == (size, size)
        assert told == sorted(told)

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chunkwire.usage(paths, engine=native, threads=2, progress=stop)


def test_progress_ends_with_all_of_it(engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where files vanish, shrink and grow while others are read."""
    monkeypatch.setattr(chunkwire._reading, "_EVERY", 0)
    for threads in (1, 3):
        paths = write(tmp_path, [stream(f"id{number}", 50) for number in range(6)])
        total = sum(map(os.path.getsize, paths))
        total += len(stream("bytes", 50))
        told: list[tuple[int, int | None]] = []

        def meanwhile(*done: Any, paths: list[str] = paths, told: list[Any] = told) -> None:
            if not told:
                os.unlink(paths[2])
                Path(paths[3]).write_bytes(stream("short", 1))
                Path(paths[5]).write_bytes(stream("long", 90))
            told.append(done)

        sources = [stream("bytes", 50), *paths]
        table = chunkwire.usage(sources, engine=engine, threads=threads, progress=meanwhile)
        assert told[-1] == (total, total)
        assert told == sorted(told)
        assert [label for label, _ in table.failures] == [paths[2]]
        assert list(table.id) == ["bytes", "id0", "id1", "short", "id4", "long"]


def test_the_first_damage_of_many_raises(engine: str, tmp_path: Path) -> None:
    paths = write(tmp_path, [stream("a"), stream("b") + event("{oops"), stream("c"), event("{oops")])
    with pytest.raises(chunkwire.DecodeError) as caught:
        chunkwire.usage(paths, engine=engine, on_error="raise", threads=3)
    assert (caught.value.source, caught.value.offset) == (paths[1], len(stream("b")))


def test_packed_files_are_bounded(tmp_path: Path, native: str) -> None:
    paths = write(tmp_path, [stream(f"id{number}") for number in range(10)])
    table = chunkwire.usage(paths, engine=native, max_decompressed_bytes=100)
    assert [(one.kind, one.source, one.offset) for one in table.stats.damages if one.kind == "source_too_large"] == [
        ("source_too_large", paths[4], 100),
        ("source_too_large", paths[9], 100),
    ]


def test_small_files_that_unpack_to_much_keep_nobody_waiting(tmp_path: Path, native: str) -> None:
    """Between some blocks of them somebody looks whether the caller was interrupted, and tells how far it is."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = packer.compress(b"\n" * (200 << 20)) + packer.flush()
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number:02}.sse.zst")
        paths[-1].write_bytes(bomb)
    told = []

    def stop(done: int, total: int | None) -> None:
        told.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chunkwire.usage(paths, engine=native, threads=1, progress=stop)
    assert told[0][0] < 6 * len(bomb)
    assert told[0][1] == 12 * len(bomb)


def test_the_pool_closes_its_files(tmp_path: Path, native: str) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    paths = write(tmp_path, [stream(f"id{number}") for number in range(300)])
    before = len(os.listdir("/proc/self/fd"))
    for threads in (1, 4):
        _engine.load(native).usage_many(paths, Options(), threads=threads)
    assert len(os.listdir("/proc/self/fd")) == before
