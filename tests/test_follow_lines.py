"""Logs of JSON lines that are being written: what a writer appends at any cut, rotates and truncates in; what the
finished log says, once, out."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire import _follow
from chunkwire._tail import Tail
from test_log_formats import SMALL, TEXT, small_logs
from wrapping import Wrapped, batch_output, bodies, chunk_lines, completion, documents, exchanges, har, nested, reads
from wrapping import streams as all_streams
from writers import ByteByByte, Steps, Writer, append, follow_writer, numbers, rotate, truncate

#: Every format of which lines can be appended.
LOGS = {name: wrapped for name, wrapped in small_logs().items() if name != "array"}


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_follow, "_FIRST_WAIT", 0.0)
    monkeypatch.setattr(_follow, "_LAST_WAIT", 0.0)


def found(chunks: Iterator[chunkwire.Chunk]) -> list[tuple[Any, ...]]:
    return [(chunk.offset, chunk.to_dict(), chunk.raw) for chunk in chunks]


def whole(engine: str, data: bytes, source: Path, **told: Any) -> tuple[list[tuple[Any, ...]], Any]:
    """The chunks of the finished log, and what was counted."""
    source.write_bytes(data)
    chunks = chunkwire.decode(source, on_error="skip", engine=engine, **told)  # type: ignore[arg-type]
    return found(chunks), chunks.stats


def rows(table: chunkwire.UsageTable) -> list[dict[str, Any]]:
    return [{**row, "is measured": bool(one)} for row, one in zip(table.to_dicts(), table.measured, strict=True)]


def ways(wrapped: Wrapped) -> list[dict[str, Any]]:
    return [wrapped.options(), {}]


@pytest.mark.parametrize("name", LOGS)
def test_every_byte_by_itself(tmp_path: Path, name: str, engine: str) -> None:
    wrapped = LOGS[name]
    for told in ways(wrapped):
        expected, stats = whole(engine, wrapped.data, tmp_path / "log", **told)
        assert expected
        stop = ByteByByte(tmp_path / "log", wrapped.data)
        chunks = chunkwire.follow(tmp_path / "log", stop=stop, engine=engine, **told)  # type: ignore[arg-type]
        assert found(chunks) == expected
        assert chunks.stats == stats
        assert chunks.format == wrapped.format


@pytest.mark.parametrize("name", LOGS)
def test_every_cut(tmp_path: Path, name: str, engine: str) -> None:
    wrapped, path = LOGS[name], tmp_path / "log"
    for told in ways(wrapped):
        expected, stats = whole(engine, wrapped.data, path, **told)
        for cut in range(0, len(wrapped.data), 1 if engine == "native" else 7):
            stop = ByteByByte(path, wrapped.data, cut, len(wrapped.data))
            chunks = chunkwire.follow(path, stop=stop, engine=engine, **told)  # type: ignore[arg-type]
            assert found(chunks) == expected, cut
            assert chunks.stats == stats


def generated(seed: int) -> list[Wrapped]:
    rng = random.Random(seed)
    some = [stream for stream in all_streams(6000) if b"data:" in stream]
    some = rng.sample(some, 5)
    texts = [body for stream in some for body in bodies(rng, stream)]
    wholes = [one for stream in some if (one := completion(stream))]
    return [
        exchanges(rng, rng.sample(texts, 25), rng.choice(["response_body", "a.b"])),
        nested(rng, rng.sample(texts, 12)),
        batch_output(rng, wholes),
        reads(rng, [stream[:4000] for stream in some]),
        reads(rng, [stream[:2000] for stream in some], ids=False, events=True),
        chunk_lines(rng, [doc for stream in some for doc in documents(stream)][:80]),
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(6))
def test_random_cuts_of_long_logs(tmp_path: Path, seed: int, number: int, engine: str) -> None:
    wrapped, path = generated(seed)[number], tmp_path / "log"
    rng = random.Random(seed)
    for told in ways(wrapped):
        expected, stats = whole(engine, wrapped.data, path, **told)
        stop = ByteByByte(path, wrapped.data, rng.randrange(len(wrapped.data)))

        def append(stop: ByteByByte = stop) -> bool:
            stop.size = rng.choice([1, 2, 50, 700, 5000])
            return stop()

        chunks = chunkwire.follow(path, stop=append, engine=engine, **told)  # type: ignore[arg-type]
        assert found(chunks) == expected
        assert chunks.stats == stats
        kept = {"keep": wrapped.keep} if wrapped.format != "chunks" else {}
        usage = chunkwire.usage(path, engine=engine, **told, **kept)  # type: ignore[arg-type]
        stop = ByteByByte(path, wrapped.data, 0, 997)
        *_, last = chunkwire.follow_usage(path, stop=stop, every=0, engine=engine, **told, **kept)  # type: ignore[arg-type]
        assert rows(last) == rows(usage)
        assert last.stats == usage.stats
        if kept and len(usage):
            assert [list(map(str, column)) for column in last.kept.values()] == [
                list(map(str, column)) for column in usage.kept.values()
            ]


def test_chunks_come_with_their_lines(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log"
    lines = [json.dumps({"id": "r", "t": at, "text": f"data: {json.dumps(SMALL)}\n\n"}) + "\n" for at in range(4)]
    for told, early in ({"format": "reads"}, 0), ({}, 1):
        path.write_bytes(b"")
        seen: list[int] = []
        steps = [append(path, line.encode()[:-1]) for line in lines]
        ends = [append(path, b"\n") for _ in lines]
        counts: list[int] = []

        def step(
            step: Callable[[], object], counts: list[int] = counts, seen: list[int] = seen
        ) -> Callable[[], object]:
            return lambda: (counts.append(len(seen)), step())

        plan = [step(one) for pair in zip(steps, ends, strict=True) for one in pair]
        for chunk in chunkwire.follow(path, stop=Steps(*plan), engine=engine, **told):  # type: ignore[arg-type]
            seen.append(chunk.offset)
        assert len(seen) == 4
        # Before each half of a line there are the chunks of all lines before it.
        assert counts == [number // 2 if number // 2 > early else 0 for number in range(8)]


# --- usage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOGS)
def test_tables_byte_by_byte(tmp_path: Path, name: str, engine: str) -> None:
    wrapped, path = LOGS[name], tmp_path / "log"
    kept = {"keep": wrapped.keep} if wrapped.keep else {}
    for told in ways(wrapped):
        path.write_bytes(wrapped.data)
        usage = chunkwire.usage(path, engine=engine, **told, **kept)  # type: ignore[arg-type]
        stop = ByteByByte(path, wrapped.data)
        tables = list(chunkwire.follow_usage(path, stop=stop, every=0, engine=engine, **told, **kept))  # type: ignore[arg-type]
        assert rows(tables[-1]) == rows(usage)
        assert tables[-1].stats == usage.stats
        assert [len(table) for table in tables] == sorted(len(table) for table in tables)
        assert {path: list(column) for path, column in tables[-1].kept.items()} == {
            path: list(column) for path, column in usage.kept.items()
        }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(6))
def test_a_reader_that_is_fed_any_pieces(seed: int, number: int, engine: str) -> None:
    wrapped = generated(seed + 10)[number]
    kept = {"keep": wrapped.keep} if wrapped.format != "chunks" else {}
    data = wrapped.data[:40_000] if engine == "native" else wrapped.data[:6_000]
    for told in ways(wrapped):
        usage = chunkwire.usage(data, engine=engine, **told, **kept)  # type: ignore[arg-type]
        for size in 1, 7, 4096:
            reader = chunkwire.UsageReader(engine=engine, source="<bytes>", **told, **kept)  # type: ignore[arg-type]
            for start in range(0, len(data), size):
                reader.feed(data[start : start + size])
                if start % 1001 == 0:
                    reader.usage()
            reader.end()
            assert rows(reader.usage()) == rows(usage)
            assert reader.usage().stats == usage.stats


def test_an_array_that_is_fed_is_read(engine: str) -> None:
    data = small_logs()["array"].data
    reader = chunkwire.UsageReader(engine=engine, source="<bytes>")  # type: ignore[arg-type]
    for byte in data:
        reader.feed(bytes([byte]))
    reader.end()
    assert reader.usage().to_dicts() == chunkwire.usage(data, engine=engine).to_dicts()  # type: ignore[arg-type]


def test_a_table_before_the_format_is_certain(engine: str) -> None:
    line = json.dumps({"request_id": 1, "user": "ann", "response_body": TEXT}).encode() + b"\n"
    reader = chunkwire.UsageReader(engine=engine, keep="user", source="<bytes>")  # type: ignore[arg-type]
    for count in range(1, 4):
        reader.feed(line.replace(b'"request_id": 1', b'"request_id": %d' % count))
        table = reader.usage()
        assert (len(table), list(table.kept["user"]), table.stats.bytes) == (count, ["ann"] * count, count * len(line))
        assert reader.unfinished == 0
    reader.feed(line[:100])
    assert len(reader.usage()) == 3


def test_requests_that_are_open_are_shown(engine: str) -> None:
    def line(at: float, name: str, text: str) -> bytes:
        return json.dumps({"ts": at, "request_id": name, "user": f"of {name}", "text": text}).encode() + b"\n"

    head, tail = TEXT[:250], TEXT[250:]
    reader = chunkwire.UsageReader(engine=engine, keep="user", format="reads")  # type: ignore[arg-type]
    reader.feed(line(10, "a", ": begun\n\n") + line(11, "b", head) + line(12.5, "a", head))
    table = reader.usage()
    assert list(table.status) == ["truncated"] * 2 or list(table.chunks) == [1, 1]
    assert list(table.kept["user"]) == ["of b", "of a"]
    assert list(table.time_to_first_token) == [0.0, 2.5]
    assert list(table.measured) == [True, True]
    reader.feed(line(20, "b", tail) + line(21, "a", tail))
    reader.end()
    last = reader.usage()
    assert list(last.status) == ["complete"] * 2
    assert list(last.generation_time) == [9.0, 8.5]


# --- rotation and truncation ---------------------------------------------------------------------------------------


def numbered(number: int) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": f'{number} {{"a":"b"}}\n'}, "finish_reason": None}
    return {"id": f"s{number // 9}", "object": "chat.completion.chunk", "choices": [choice]}


def event_of(number: int) -> str:
    return f"data: {json.dumps(numbered(number))}\n\n"


def line_of(format: str, number: int) -> bytes:
    if format == "chunks":
        return json.dumps(numbered(number)).encode() + b"\n"
    members: dict[str, Any] = {"request_id": f"r{number}", "ts": number, "note": {"x": "}"}}
    return json.dumps(members | {"text": event_of(number) + event_of(number + 1_000_000)}).encode() + b"\n"


def reads_of(count: int, seed: int) -> bytes:
    """Five requests side by side, cut anywhere: also inside of events."""
    rng = random.Random(seed)
    waiting = {name: "".join(event_of(number) for number in range(name, count, 5)) for name in range(5)}
    lines = []
    while waiting:
        name = rng.choice(list(waiting))
        size = rng.choice([1, 30, 200])
        lines.append(json.dumps({"request_id": name, "ts": len(lines), "text": waiting[name][:size]}).encode() + b"\n")
        waiting[name] = waiting[name][size:]
        if not waiting[name]:
            del waiting[name]
    return b"".join(lines)


def log_and_numbers(format: str, seed: int) -> tuple[bytes, list[int]]:
    if format == "reads":
        return reads_of(120, seed), list(range(120))
    log = b"".join(line_of(format, number) for number in range(60))
    given = [*range(60), *(range(1_000_000, 1_000_060) if format == "exchanges" else ())]
    return log, given


@pytest.mark.parametrize("format", ["exchanges", "reads", "chunks"])
@pytest.mark.parametrize("seed", range(4))
def test_rotation_at_any_byte(tmp_path: Path, format: str, seed: int, engine: str) -> None:
    log, given = log_and_numbers(format, seed)

    def between(writer: Writer) -> None:
        if writer.random.random() < 0.1:
            time.sleep(0.02)
            writer.rotate()

    told = {"format": format} | ({"field": "text"} if format != "chunks" else {})
    found = follow_writer(tmp_path / "log", log, seed, between, engine=engine, **told)
    assert sorted(found) == given


@pytest.mark.parametrize("format", ["exchanges", "reads", "chunks"])
@pytest.mark.parametrize("seed", range(2))
def test_truncation_of_what_was_copied(tmp_path: Path, format: str, seed: int, engine: str) -> None:
    log, given = log_and_numbers(format, seed)

    def between(writer: Writer) -> None:
        if writer.random.random() < 0.1 and os.path.getsize(writer.path) > 400:
            time.sleep(0.02)
            writer.copy_and_truncate()
            time.sleep(0.15)

    # (Recognised by itself, too: each file may be too short for it.)
    told: dict[str, Any] = {"format": format, "field": "text"} if seed and format != "chunks" else {}
    found = follow_writer(tmp_path / "log", log, seed, between, engine=engine, **told)
    assert sorted(found) == given


def rotate_again(path: Path, data: bytes) -> Callable[[], object]:
    def step() -> None:
        path.rename(f"{path}-2026-11-28")
        path.write_bytes(data)

    return step


@pytest.mark.parametrize("change", [rotate, truncate])
@pytest.mark.parametrize(
    ("old", "new", "given", "kinds"),
    [
        pytest.param(line_of("chunks", 0), line_of("chunks", 1), [0, 1], [], id="whole lines"),
        pytest.param(line_of("chunks", 0), b"\xef\xbb\xbf" + line_of("chunks", 1), [0, 1], [], id="BOM"),
        pytest.param(line_of("chunks", 0)[:30], line_of("chunks", 0)[30:], [0], [], id="a line in both"),
        pytest.param(line_of("chunks", 0)[:-1], b"\n" + line_of("chunks", 1), [0, 1], [], id="cut before its end"),
        pytest.param(line_of("chunks", 0)[:-1], line_of("chunks", 1), [0, 1], [], id="no end"),
        pytest.param(line_of("chunks", 0)[:-1], b"{oops\n", [0], ["invalid_json"], id="no end, then a broken line"),
        pytest.param(line_of("chunks", 0)[:-2], line_of("chunks", 0)[-2:], [0], [], id="the bracket alone"),
        pytest.param(line_of("chunks", 9)[:60], line_of("chunks", 1), [1], ["truncated"], id="a line that broke off"),
        pytest.param(
            line_of("chunks", 0) + line_of("chunks", 1)[: line_of("chunks", 1).index(b"{", 9)],
            line_of("chunks", 1)[line_of("chunks", 1).index(b"{", 9) :], [0, 1], [], id="cut before an object",
        ),
        pytest.param(
            line_of("chunks", 0)[: line_of("chunks", 0).index(b"{\\")],
            line_of("chunks", 0)[line_of("chunks", 0).index(b"{\\") :], [0], [], id="cut before a bracket in a text",
        ),
        pytest.param(line_of("chunks", 0), b"", [0], [], id="nothing"),
        pytest.param(line_of("chunks", 0)[:40], line_of("chunks", 0)[40:-1], [0], [], id="a line without end in both"),
    ],
)  # fmt: skip
def test_where_one_file_ends_and_another_begins(
    tmp_path: Path, change: Callable[[Path, bytes], Callable[[], object]], old: bytes, new: bytes,
    given: list[int], kinds: list[str], engine: str,
) -> None:  # fmt: skip
    path = tmp_path / "log"
    path.write_bytes(old)
    chunks = chunkwire.follow(path, stop=Steps(change(path, new)), engine=engine)  # type: ignore[arg-type]
    assert numbers(chunks) == given
    assert [damage.kind for damage in chunks.stats.damages] == kinds
    assert chunks.stats.bytes == len(old + new)


def test_a_new_file_that_begins_byte_by_byte(tmp_path: Path, engine: str) -> None:
    path, line = tmp_path / "log", line_of("exchanges", 1)
    for cut in 0, 1, 30, len(line) - 2, len(line) - 1:
        path.write_bytes(line_of("exchanges", 0) + line[:cut])
        steps = [rotate(path, line[cut : cut + 1])]
        steps += [append(path, line[at : at + 1]) for at in range(cut + 1, len(line))]
        chunks = chunkwire.follow(path, stop=Steps(*steps), format="exchanges", engine=engine)  # type: ignore[arg-type]
        assert numbers(chunks) == [0, 1_000_000, 1, 1_000_001]
        assert not chunks.stats.damaged


def test_offsets_are_those_of_each_file(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(line_of("exchanges", 0))
    steps = Steps(rotate(path, line_of("exchanges", 0)))
    offsets = [chunk.offset for chunk in chunkwire.follow(path, stop=steps, format="jsonl", engine=engine)]  # type: ignore[arg-type]
    assert offsets[:2] == offsets[2:]


@pytest.mark.parametrize("format", ["exchanges", "reads", "auto"])
@pytest.mark.parametrize("is_whole", [False, True])
def test_rows_are_in_the_order_of_files(tmp_path: Path, format: str, is_whole: bool, engine: str) -> None:
    path = tmp_path / "log"

    def line(number: int, more: str = "") -> bytes:
        body: Any = event_of(9 * number)
        if is_whole:
            body = {"id": f"s{number}", "choices": [{"message": {"content": "x"}}]}
        return json.dumps({"more": more, "id": f"r{number}", "text": body}).encode() + b"\n"

    path.write_bytes(line(0, "x" * 500) + line(1))
    steps = Steps(rotate(path, line(2) + line(3)), rotate_again(path, line(4)))
    *_, last = chunkwire.follow_usage(path, stop=steps, format=format, engine=engine)  # type: ignore[arg-type]
    assert list(last.id) == [f"s{number}" for number in range(5)]
    assert list(last.offset)[2] == list(last.offset)[4] < list(last.offset)[1]


def test_a_request_goes_on_in_the_next_file(tmp_path: Path, engine: str) -> None:
    def line(at: float, text: str, name: str = "a") -> bytes:
        return json.dumps({"ts": at, "request_id": name, "user": name, "text": text}).encode() + b"\n"

    first, second = event_of(0), event_of(1)
    old = line(1, first + second[:20]) + line(2, first, "b")
    new = line(4, second[20:]) + line(5, second + "data: [DONE]\n\n", "b") + line(6, "data: [DONE]\n\n")
    path = tmp_path / "log"
    for told in {"format": "reads"}, {}:
        for more in (b"", line(0, ": begun\n\n")):
            path.write_bytes(more + old)
            chunks = chunkwire.follow(path, stop=Steps(rotate(path, new)), engine=engine, **told)  # type: ignore[arg-type]
            assert numbers(chunks) == [0, 0, 1, 1]
            assert not chunks.stats.damaged
            assert chunks.stats.exchanges == 2
            path.write_bytes(more + old)
            tables = chunkwire.follow_usage(
                path,
                stop=Steps(rotate(path, new)),
                every=0,
                keep="user",
                engine=engine,
                **told,  # type: ignore[arg-type]
            )
            *_, last = tables
            assert (list(last.chunks), list(last.status)) == ([2, 2], ["complete"] * 2)
            assert list(last.generation_time) == [3.0, 3.0]
            assert list(last.kept["user"]) == ["a", "b"]
            assert last.stats.bytes == len(more + old + new)


OTHER = json.dumps({"msg": "started"}).encode() + b"\n"
BODY = json.dumps({"body": event_of(5) + event_of(6)}).encode() + b"\n"


@pytest.mark.parametrize(
    ("old", "new", "given", "format"),
    [
        pytest.param(line_of("chunks", 0), event_of(1).encode(), [0, 1], "sse", id="then events"),
        pytest.param(event_of(0).encode(), line_of("chunks", 1), [0, 1], "chunks", id="events before"),
        pytest.param(line_of("chunks", 0), BODY, [0, 5, 6], "exchanges", id="chunks, then exchanges"),
        pytest.param(BODY, line_of("chunks", 1), [5, 6, 1], "chunks", id="exchanges, then chunks"),
        pytest.param(BODY, OTHER + BODY, [5, 6, 5, 6], "exchanges", id="another line first"),
        pytest.param(BODY, OTHER * 3, [5, 6], "exchanges", id="other lines alone"),
        pytest.param(BODY, b"a line of text\n" + BODY, [5, 6, 5, 6], "exchanges", id="a line of text first"),
        pytest.param(BODY, BODY.replace(b"body", b"text"), [5, 6, 5, 6], "exchanges", id="another field"),
        pytest.param(BODY, b'{"body": null}\n' + BODY, [5, 6, 5, 6], "exchanges", id="an empty body first"),
        pytest.param(line_of("chunks", 0), OTHER + line_of("chunks", 1), [0, 1], "chunks", id="another object"),
    ],
)  # fmt: skip
def test_the_next_file_in_another_format(
    tmp_path: Path, old: bytes, new: bytes, given: list[int], format: str, engine: str
) -> None:
    path = tmp_path / "log"
    for size in 1, len(new):
        path.write_bytes(old)
        steps = [rotate(path, new[:size]), *(append(path, new[at : at + size]) for at in range(size, len(new), size))]
        chunks = chunkwire.follow(path, stop=Steps(*steps), engine=engine)  # type: ignore[arg-type]
        assert numbers(chunks) == given
        assert chunks.format == format
        path.unlink()
        path.write_bytes(old)
        for one in tmp_path.glob("log-*"):
            one.unlink()
        *_, last = chunkwire.follow_usage(path, stop=Steps(*steps), engine=engine)  # type: ignore[arg-type]
        assert sum(last.chunks) == len(given)
        assert last.stats.bytes == len(old + new)


@pytest.mark.parametrize(
    ("files", "given"),
    [
        pytest.param([BODY, OTHER, line_of("chunks", 1)], [5, 6, 1], id="nothing between"),
        pytest.param([BODY, OTHER, event_of(1).encode()], [5, 6, 1], id="nothing, then events"),
        pytest.param([line_of("chunks", 0)[:-1], BODY], [0, 5, 6], id="no end of the first line"),
        pytest.param([line_of("chunks", 0), BODY[:-1], line_of("chunks", 1)], [0, 5, 6, 1], id="no end of another"),
        pytest.param([event_of(0).encode(), OTHER, BODY], [0, 5, 6], id="events, nothing, exchanges"),
        pytest.param([BODY, b"", b"\n", line_of("chunks", 1)], [5, 6, 1], id="empty files"),
    ],
)
def test_each_file_is_recognised_by_itself(tmp_path: Path, files: list[bytes], given: list[int], engine: str) -> None:
    """Also one that ends before it is certain what it is."""
    path = tmp_path / "log"
    for size in 1, 10_000:
        steps: list[Callable[[], object]] = []
        for number, data in enumerate(files):
            if number:
                steps.append(lambda number=number: (path.rename(f"{path}.{9 - number}"), path.touch()))  # type: ignore[misc]
            steps += [append(path, data[at : at + size]) for at in range(0, len(data), size)]
        path.write_bytes(b"")
        chunks = chunkwire.follow(path, stop=Steps(*steps), engine=engine)  # type: ignore[arg-type]
        assert numbers(chunks) == given
        assert chunks.stats.bytes == sum(map(len, files))
        for one in tmp_path.iterdir():
            one.unlink()


def test_what_is_recognised_is_the_beginning_of_all_files(tmp_path: Path, engine: str) -> None:
    """One file is too short to tell reads from exchanges; an id that comes again in the next one does."""
    path = tmp_path / "log"
    lines = [json.dumps({"id": 1, "text": text}).encode() + b"\n" for text in (TEXT[:100], TEXT[100:])]
    for first in lines[0], lines[0][:-1]:
        path.write_bytes(first)
        chunks = chunkwire.follow(path, stop=Steps(rotate(path, lines[1])), engine=engine)  # type: ignore[arg-type]
        assert len(list(chunks)) == 2
        assert not chunks.stats.damaged
        assert chunks.format == "reads"
        for one in tmp_path.iterdir():
            one.unlink()


# --- from the end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["exchanges", "reads", "chunks"])
@pytest.mark.parametrize("cut", [0, 1, 20, -2, -1])
@pytest.mark.parametrize("is_told", [True, False])
def test_from_the_end(tmp_path: Path, format: str, cut: int, is_told: bool, engine: str) -> None:
    def line(number: int) -> bytes:
        if format != "reads":
            return line_of(format, number)
        return json.dumps({"id": 7, "text": event_of(number)}).encode() + b"\n"

    path = tmp_path / "log"
    told = {"format": format} if is_told else {}
    before = b"".join(map(line, range(10, 13)))
    cut = cut if cut >= 0 else len(line(1)) + cut
    path.write_bytes(before + line(1)[:cut])
    steps = Steps(append(path, line(1)[cut:]), append(path, line(2)), rotate(path, line(3)))
    chunks = chunkwire.follow(path, start="end", stop=steps, engine=engine, **told)  # type: ignore[arg-type]
    found = [number for number in numbers(chunks) if number < 1_000_000]
    assert found == ([1, 2, 3] if not cut else [2, 3])  # nobody saw how the first line began
    assert not chunks.stats.damaged
    assert chunks.format == format


def test_what_is_written_while_it_is_opened_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Else its id would come twice, and tell of reads."""
    path = tmp_path / "log"
    path.write_bytes(line_of("exchanges", 0))
    head = Tail.head

    def late(tail: Tail, most: int) -> bytes:
        if most > 1000:
            append(path, line_of("exchanges", 1))()
        return head(tail, most)

    monkeypatch.setattr(Tail, "head", late)
    chunks = chunkwire.follow(path, start="end", idle=0, engine=engine)  # type: ignore[arg-type]
    assert numbers(chunks) == [1, 1_000_001]
    assert chunks.format == "exchanges"


@pytest.mark.parametrize("cut", [300, 60])
def test_what_stands_before_the_end_tells_the_format(tmp_path: Path, cut: int, engine: str) -> None:
    """Also where only a piece of a line does, which is no part of any."""
    path = tmp_path / "log"
    line = json.dumps({"id": 7, "text": event_of(1)}).encode() + b"\n"
    path.write_bytes((line + line)[:cut])
    seen: list[int] = []
    counts: list[int] = []
    rest = (line + line)[cut:]
    steps = [append(path, rest), append(path, line), lambda: counts.append(len(seen))]
    for chunk in chunkwire.follow(path, start="end", stop=Steps(*steps), engine=engine):  # type: ignore[arg-type]
        seen.append(chunk.offset)
    assert counts[-1] == len(seen) == (1 if cut > len(line) else 2)


def test_from_the_end_of_a_long_log(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(line_of("exchanges", 0) * 400)
    count: list[int] = []
    for chunk in chunkwire.follow(
        path,
        start="end",
        stop=Steps(append(path, line_of("exchanges", 1))),
        engine=engine,  # type: ignore[arg-type]
    ):
        count += [chunk.offset]
    assert len(count) == 2  # the head tells for certain that these are exchanges
    *_, table = chunkwire.follow_usage(
        path,
        start="end",
        stop=Steps(append(path, line_of("exchanges", 1)[:-1])),
        engine=engine,  # type: ignore[arg-type]
    )
    assert list(table.chunks) == [2]


# --- what cannot be followed ---------------------------------------------------------------------------------------


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("a.jsonl", BODY)
    else:
        with tarfile.open(fileobj=file, mode="w") as tarred:
            info = tarfile.TarInfo("a.jsonl")
            info.size = len(BODY)
            tarred.addfile(info, io.BytesIO(BODY))
    return file.getvalue()


HAR = har([("text/event-stream", TEXT.encode())])
REFUSED: dict[str, tuple[bytes, str]] = {
    "HAR": (HAR, "a HAR file is whole only when its end is written; read it then, with chunkwire.decode()"),
    "cassette": (b"interactions:\n- request: {}\n", "a cassette is whole only"),
    "array": (json.dumps([SMALL, SMALL], indent=1).encode(), "one array over many lines is whole only"),
    "array by line": (b"[" + json.dumps(SMALL).encode() + b",\n", "one array over many lines"),
    "gzip": (gzip.compress(BODY), r"compressed \(gzip\)"),
    "bzip2": (bz2.compress(BODY), r"compressed \(bzip2\)"),
    "xz": (lzma.compress(BODY), r"compressed \(xz\)"),
    "zip": (archive("zip"), "is an archive"),
    "tar": (archive("tar"), "is an archive"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("function", [chunkwire.follow, chunkwire.follow_usage])
def test_what_cannot_grow(tmp_path: Path, name: str, function: Any, engine: str) -> None:
    data, why = REFUSED[name]
    path = tmp_path / "log"
    path.write_bytes(data)
    for start in "begin", "end":
        with pytest.raises(ValueError, match=why) as error:
            function(path, start=start, engine=engine)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["HAR", "array", "array by line"])
@pytest.mark.parametrize("size", [1, 50, 5000])
def test_what_turns_out_not_to_grow(tmp_path: Path, name: str, size: int, engine: str) -> None:
    data, why = REFUSED[name]
    data += b"\n"
    path = tmp_path / "log"
    for function in chunkwire.follow, lambda *args, **how: chunkwire.follow_usage(*args, every=0, **how):
        followed = function(path, stop=ByteByByte(path, data, 0, size), engine=engine)  # type: ignore[operator]
        with pytest.raises(ValueError, match=why):
            list(followed)
        assert list(followed) == []


def test_arrays_of_lines_are_followed(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log"
    line = json.dumps([numbered(1), numbered(2)]).encode() + b"\n"
    path.write_bytes(line)
    assert numbers(chunkwire.follow(path, idle=0, engine=engine)) == [1, 2]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="over many lines"):
        list(chunkwire.follow(path, stop=Steps(rotate(path, b"[\n")), engine=engine))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"format": "har"}, "format 'har' cannot be followed"),
        ({"format": "vcr"}, "format 'vcr' cannot be followed"),
        ({"format": "json"}, "format must be one of"),
        ({"format": "sse", "field": "x"}, "field names a member"),
        ({"format": "exchanges", "id_field": "x"}, "id_field names a member"),
        ({"field": ""}, "field"),
        ({"field": 3}, "field must be a path"),
    ],
)
def test_options_are_those_of_decode(tmp_path: Path, options: dict[str, Any], error: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(BODY)
    for function in chunkwire.follow, chunkwire.follow_usage:
        with pytest.raises((ValueError, TypeError), match=error):
            function(path, **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"format": "har"}, r"format 'har' is read whole: use chunkwire.usage\(\)"),
        ({"format": "sse", "keep": "x"}, "keep= names members"),
        ({"keep": ["x", "x"]}, "the same path twice"),
        ({"format": "nope"}, "format must be one of"),
    ],
)
def test_a_reader_that_cannot_be(options: dict[str, Any], error: str, engine: str) -> None:
    with pytest.raises(ValueError, match=error):
        chunkwire.UsageReader(engine=engine, **options)  # type: ignore[arg-type]


def test_a_reader_that_is_fed_a_har_file(engine: str) -> None:
    reader = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"format 'har' is read whole: use chunkwire.usage\(\)"):
        reader.feed(HAR + b"\n")
    reader = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
    reader.feed(HAR)
    with pytest.raises(ValueError, match="read whole"):
        reader.end()


def test_a_reader_of_several_sources(engine: str) -> None:
    """Each is recognised by itself; with ``goes_on`` it is the same log, whose requests go on."""
    line = json.dumps({"id": 1, "text": TEXT}).encode() + b"\n"
    for goes_on, requests in (False, 2), (True, 1):
        reader = chunkwire.UsageReader(engine=engine, format="reads")  # type: ignore[arg-type]
        reader.feed(line)
        reader.end(goes_on=goes_on)
        reader.feed(line)
        reader.end()
        assert reader.usage().stats.exchanges == requests
        assert sum(reader.usage().chunks) == 4
    reader = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
    for log in LOGS.values():
        reader.feed(log.data)
        reader.end()
    line = json.dumps({"id": 1, "text": event_of(0)}).encode() + b"\n"
    for before in b"", TEXT.encode() * 2:
        other = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
        other.feed(before)
        other.end()
        other.feed(line.replace(b'"c', b'"x'))
        assert list(other.usage().chunks)[-1] == 1
        assert list(other.usage().chunks)[:-1] == ([2, 2] if before else [])
    for pieces in 1, 2:
        assert list(reader.usage().chunks)[len(reader.usage()) - pieces :] != [1] * pieces
        reader.feed(line.replace(b'"id": 1', b'"id": %d' % pieces))
        assert list(reader.usage().chunks)[-pieces:] == [1] * pieces  # behind the others, though it may be a read yet
    reader = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
    for log in LOGS.values():
        reader.feed(log.data)
        reader.end()
    singles = [chunkwire.usage(log.data, engine=engine) for log in LOGS.values()]  # type: ignore[arg-type]
    assert list(reader.usage().chunks) == [count for table in singles for count in table.chunks]
    assert reader.usage().stats.bytes == sum(table.stats.bytes for table in singles)
