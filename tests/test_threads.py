"""`usage` of one file by several threads: it is split, and nothing of that may show in columns, counts or damages.

The logs are written so that whatever can lie across a split lies there: $CHUNKWIRE_TEST_SPLIT_BYTES, which only tests
set, makes the parts as small as an event, a line or a byte.
"""

from __future__ import annotations

import gzip
import inspect
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import logs
from chunkwire import _engine
from hostile import Hostile
from oracle import oracle
from oracle_streams import oracle_rows
from rows import DONE, first, last, part, report
from support import SAMPLES, assert_counts, event, recorded

if os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
    pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested", allow_module_level=True)


def splits() -> bool:
    """Does the engine know of threads?"""
    return "threads" in inspect.signature(_engine.load("native").usage).parameters


pytestmark = pytest.mark.skipif(not splits(), reason="the engine does not split a file among threads")

THREADS = range(1, 9)
#: The smallest part in bytes: a byte, less than an event, some events, many.
SPLITS = (1, 50, 700, 5000)


def read(path: Path | bytes, threads: int | None, **options: Any) -> tuple[dict[str, list[Any]], list[int], Any]:
    """All that a table says."""
    table = chunkwire.usage(path, engine="native", threads=threads, **options)
    return table.to_dict(), table._column("valid").tolist(), table.stats


def assert_alone(path: Path, monkeypatch: pytest.MonkeyPatch, threads: Any, sizes: Any, **options: Any) -> None:
    """So many threads say what one says."""
    monkeypatch.delenv("CHUNKWIRE_TEST_SPLIT_BYTES", raising=False)
    alone, valid, stats = read(path, 1, **options)
    for size in sizes:
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(size))
        for count in threads:
            columns, bits, counted = read(path, count, **options)
            told = f"{count} threads, parts of {size} bytes"
            # The damages first: where one is told at another place, the columns follow.
            assert counted.damages == stats.damages, told
            assert counted == stats, told
            for name in alone:
                assert columns[name] == alone[name], f"{name}, {told}"
            assert bits == valid, told


# --- one log for each thing that can lie across a split

CRLF = (first() + part() * 5 + last(usage=report(3)) + DONE).replace(b"\n", b"\r\n")
LONG = part(content="x" * 3000)
LOGS: dict[str, bytes] = {
    "nothing": b"",
    "one event": first(),
    "a stream": first() + part() * 30 + last(usage=report(3)) + DONE,
    "streams": b"".join(first(id) + part(id) * 9 + last(id, usage=report(3)) + DONE for id in "abcdefgh"),
    "a long event": LONG + last() + DONE + LONG * 2,
    "CRLF": CRLF * 4,
    "CR": CRLF.replace(b"\r\n", b"\r") * 4,
    "ends of lines by turns": (CRLF + CRLF.replace(b"\r\n", b"\n") + CRLF.replace(b"\r\n", b"\r")) * 3,
    "LF CR": first() + (b"data: {}\n\r\n" + part() + b"\r\n\r" + part()) * 9,
    "blank lines": (part() + b"\n" * 50) * 5 + (part() + b"\r\n" * 50) * 5,
    "comments": (b": hello\n\n" * 5 + part() + b": between\n" + part()) * 9,
    "long comments": (b": " + b"data: {}" * 99 + b"\n\n" + part()) * 9,
    "a byte order mark": b"\xef\xbb\xbf" + part() * 20,
    "byte order marks inside": (b"\xef\xbb\xbf" + part()) * 20,
    "many lines of data": (b"data: {\ndata:\ndata: \"choices\":\ndata: []\ndata: }\n\n" + part()) * 9,
    "lines of data with a gap": (b'data: {"choices":\n: hm\nid: 1\ndata: []}\n\n') * 20,
    "other fields": (b"id: 1\nevent: x\nretry: 5\n" + part() + b"foo: bar\n\n") * 9,
    "blank-looking lines": (b"data: {\n \ndata: }\n\n" + b"data\n\n" + part()) * 9,
    "data that looks like events": part(content="\n\ndata: {}\n\n") * 20,
    "damage": (first() + event("{oops") + part() + event("5") + event('{"a":1}') + last() + DONE) * 9,
    "damage between streams": first("a") + last("a") + DONE + event("{") * 5 + first("b") + event("{") * 5 + last("b"),
    "damage, and no stream": event("{oops") * 20,
    "not a chunk, and no stream": event("5") * 20,
    "errors": (first() + part() + event('{"error":{"message":"m"}}') + part() + last()) * 9,
    "errors only": event('{"error":"e"}') * 20,
    "error events": (part() + b"event: error\ndata: oops\n\n" + b"event: error\ndata: {}\n\n") * 9,
    "no UTF-8": (part() + b'data: {"choices":[],"x":"\xff"}\n\n' + b"id: \xff\n" + part()) * 9,
    "wrong types": b"".join(first(id) + last(id, usage=report(3, total_tokens="x")) + DONE for id in "abcdefgh"),
    "usage that is no object": (part(usage=5) + part(usage="x") + last(usage=[1]) + DONE) * 9,
    "usage at many places": b"".join(part(usage=report(number), cost=number) for number in range(40)),
    "[DONE] alone": DONE * 30,
    "[DONE] before, between, behind": (DONE * 3 + first() + last() + DONE * 3) * 5,
    "usage behind [DONE]": (first() + last() + DONE + part(choices=[], usage=report(8)) + DONE) * 9,
    "usage without id behind [DONE]": (first() + last() + DONE + part(..., choices=[], usage=report(8))) * 9,
    "no id": (first(...) + part(...) * 9 + last(...) + DONE) * 5,
    "no id, never finished": part(...) * 50,
    "an id that comes later": (part("", choices=[]) + first("a") + part("a") + part("") * 3 + last("a") + DONE) * 9,
    "ids that change inside a stream": first("a") + part("a") * 9 + part("b") * 9 + last("b") + DONE,
    "ids that change and come back": first("a") + part("a") * 9 + part("b") * 9 + part("a") * 9 + last("b") + last("a"),
    "the same id again": (first() + part() * 5 + last() + DONE) * 9,
    "the same id again, no [DONE]": (first() + part() * 5 + last()) * 9,
    "side by side": b"".join(part(id) for _ in range(20) for id in "abc") + last("b") + DONE + last("a") + DONE * 2,
    "[DONE] for whom": (first("a") + first("b") + part("a") + last("b") + part("a") + DONE + last("a") + DONE) * 5,
    "many choices": b"".join(part(choices=[{"index": n % 5, "finish_reason": "ab"[n % 2]}]) for n in range(30)),
    "finish reasons": b"".join(part(finish=["a", "b", None][n % 3]) for n in range(30)),
    "models and times": b"".join(part(model=["", "x", "y"][n % 3], created=[0, 5, 6][n % 3]) for n in range(30)),
    "broken off": first() + part() * 20 + part()[:40],
    "broken off before the blank line": first() + part() * 20 + part()[:-1],
    "broken off between streams": first() + last() + DONE + first("b")[:-1],
    "HTML": b"<html>\n" * 50,
    "HTML, then events": b"<html>\n" * 50 + part() * 9,
    "comments, then HTML": b": ping\n\n" * 30 + b"<html>\n\n" * 30,
    "HTML, then comments": b"<html>\n\n" * 30 + b": ping\n\n" * 30,
    "blank lines, then HTML": b"\n" * 300 + b"<html>\n\n" * 30,
    "comments alone": b": ping\n\n" * 30,
    "JSON": b'{"error": "no"}\n' * 50,
    "unknown fields": b"foo: bar\n\n" * 50,
    "more damages than are kept": (part() + event("{") * 7) * 200,
}  # fmt: skip


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", LOGS)
def test_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, strict: bool) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(LOGS[name])
    assert_alone(path, monkeypatch, (2, 3, 8), SPLITS, strict=strict)


def test_one_thread_is_what_the_oracle_says(tmp_path: Path) -> None:
    """Otherwise all of them could be wrong together."""
    path = tmp_path / "log.sse"
    for data in LOGS.values():
        path.write_bytes(data)
        result = oracle(data)
        rows, damages = oracle_rows(result)
        if damages:  # of type: `test_usage` knows their order
            continue
        table = chunkwire.usage(path, engine="native", threads=1, format="sse")
        assert list(table.status) == [row["status"] for row in rows]
        assert table.chunks.tolist() == [row["chunks"] for row in rows]
        if len(result.damages) <= 1000:
            assert_counts(table.stats, result)


@pytest.mark.parametrize("limit", [60, 200, 400])
def test_events_that_are_too_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int) -> None:
    path = tmp_path / "log.sse"
    data = (first() + LONG + part(content="x" * 150) + b"data: x\n" * 60 + b"\n" + b": " + b"y" * 500 + b"\n\n") * 5
    path.write_bytes(data + last() + DONE)
    assert chunkwire.usage(path, engine="native", threads=1, max_event_bytes=limit).stats.damaged > 5
    assert_alone(path, monkeypatch, (2, 3, 8), SPLITS, max_event_bytes=limit)


@pytest.mark.parametrize("threads", THREADS)
def test_interleaved_streams(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads: int) -> None:
    """Streams of all servers, as many at once as would fill several parts."""
    rng = random.Random(threads)
    streams = [logs.written(rng, rng.choice(list(logs.SERVERS)), rng.choice([1, 5, 30])) for _ in range(40)]
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(logs.interleaved(rng, streams, rng.choice([1, 2, 6, 20]))))
    assert_alone(path, monkeypatch, [threads], SPLITS)


@pytest.mark.parametrize("seed", range(6))
def test_hostile_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(Hostile(100 * seed + number).write(12).data for number in range(3)))
    assert_alone(path, monkeypatch, (2, 5, 8), SPLITS)


def test_every_place_to_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two parts, the first as long as may be: the smallest part is every number of bytes there is."""
    path = tmp_path / "log.sse"
    crlf = (first() + part()).replace(b"\n", b"\r\n")
    data = crlf + b": c\r\n\r\n" + b'data: {\ndata:  "choices": []}\n\n' + event("{") + last() + DONE + part("b")[:-1]
    path.write_bytes(data)
    assert_alone(path, monkeypatch, [2], range(1, len(data) + 2))


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS is not set, or holds no *.sse")
def test_recorded_streams(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All in one file, a part of them again side by side; in parts of some hundred kilobytes and of some."""
    rng = random.Random(9)
    data = [path.read_bytes() for path in recorded()]
    events = [[one + b"\n\n" for one in stream.split(b"\n\n")] for stream in rng.sample(data, 60)]
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(data + logs.interleaved(rng, events, 9)))
    assert_alone(path, monkeypatch, (2, 3, 8), [300_000])
    assert_alone(path, monkeypatch, [8], [4000])


@pytest.mark.parametrize("kind", ["gz", "zst", "members", "cut"])
def test_packed_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    """They are read by one thread at a time, and decoded by all."""
    path = tmp_path / f"log.sse.{kind}"
    data = LOGS["streams"]
    if kind == "zst":
        zstandard = pytest.importorskip("zstandard")
        path.write_bytes(zstandard.ZstdCompressor().compress(data))
    else:
        packed = {"gz": gzip.compress(data), "members": b"".join(map(gzip.compress, data.splitlines(keepends=True)))}
        path.write_bytes(packed.get(kind, gzip.compress(data)[:-60]))
    assert_alone(path, monkeypatch, THREADS, SPLITS)
    table = chunkwire.usage(path, engine="native", threads=4)
    assert {one.kind for one in table.stats.damages} == ({"truncated"} if kind == "cut" else set())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
def test_what_cannot_be_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bytes, blocks, a file object and a pipe are read by one thread, however many there are."""
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "50")
    data = LOGS["streams"]
    alone = read(data, 1)
    assert read(data, 8) == alone
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    table, bits, stats = read(path, 8)
    assert (table | {"source": alone[0]["source"]}, bits, stats) == alone
    with path.open("rb") as file:
        table, bits, stats = read(file, 8)  # type: ignore[arg-type]
    assert (table | {"source": alone[0]["source"]}, bits, stats.bytes) == (*alone[:2], len(data))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if not (child := os.fork()):
        pipe.write_bytes(data)
        os._exit(0)
    table, bits, stats = read(pipe, 8)
    os.waitpid(child, 0)
    assert (table | {"source": alone[0]["source"]}, bits, stats.bytes) == (*alone[:2], len(data))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_many_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads: int) -> None:
    """Files among each other, and parts of a file, are given in their order."""
    for number, name in enumerate(("streams", "damage", "CRLF", "errors", "nothing")):
        (tmp_path / f"{number}.sse").write_bytes(LOGS[name] * (1 + number % 2))
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "300")
    assert read(tmp_path, threads) == read(tmp_path, 1)


def test_the_first_damage_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With ``on_error="raise"`` the first in the order of the file, whichever thread meets one first."""
    path = tmp_path / "log.sse"
    path.write_bytes(part() * 30 + event("{one") + part() * 30 + event('{"error":"two"}') + event("{three") * 9)
    for size in SPLITS:
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(size))
        with pytest.raises(chunkwire.DecodeError) as caught:
            chunkwire.usage(path, engine="native", threads=8, on_error="raise")
        assert (caught.value.offset, caught.value.line, caught.value.event) == (30 * len(part()), 61, 30)


def test_shapes_are_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    rng = random.Random(1)
    path.write_bytes(b"".join(one for _ in range(30) for one in logs.written(rng, rng.choice(list(logs.SERVERS)), 9)))
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "2000")
    found = []
    for switch in ("1", "0"):
        monkeypatch.setenv("CHUNKWIRE_SHAPES", switch)
        found += [read(path, threads) for threads in (1, 4)]
    assert found == [found[0]] * 4


def test_progress_reaches_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "500")
    path = tmp_path / "log.sse"
    path.write_bytes(LOGS["streams"])
    told: list[tuple[int, int | None]] = []
    chunkwire.usage(path, engine="native", threads=4, progress=lambda *done: told.append(done))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert told == sorted(told)


@pytest.mark.parametrize("threads", [0, -1, -(2**70)])
def test_too_few_threads(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        chunkwire.usage(SAMPLES / "openai.sse", threads=threads)


@pytest.mark.parametrize("threads", [True, False, "2", 2.0, [2]])
def test_threads_that_are_no_number(threads: Any) -> None:
    with pytest.raises(TypeError, match="threads"):
        chunkwire.usage(SAMPLES / "openai.sse", threads=threads)


def test_more_threads_than_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(part())
    assert_alone(path, monkeypatch, [100, 1000], [1])
