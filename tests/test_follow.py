"""Logs that are being written: what a writer appends at any cut, rotates and truncates in; each chunk once out.

The writer is a thread of its own, as it is in life; the truth is what it wrote.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import chunkwire
from chunkwire import _follow
from writers import Steps, Writer, append, appending, count_open, follow_writer, numbers, rotate, truncate


def event(number: int) -> bytes:
    # Contents hold what also begins a line: the seam between two files must not be taken in by it.
    content = f"{number} data: x\\n: y"
    return b'data: {"id":"s%d","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (number // 9, content.encode())


#: Where the content of an event looks like a line's beginning.
INSIDE = event(1).index(b"data: x")


def log_of(events: int) -> bytes:
    return b"".join(event(number) + (b": ping\n\n" if number % 7 == 0 else b"") for number in range(events))


@pytest.mark.parametrize("seed", range(12))
def test_rotation_at_any_place_and_pace(tmp_path: Path, seed: int, engine: str) -> None:
    def between(writer: Writer) -> None:
        if writer.random.random() < 0.12:
            writer.rotate()
        if writer.random.random() < 0.2:
            time.sleep(writer.random.random() * 0.02)

    assert follow_writer(tmp_path / "log.sse", log_of(150), seed, between, engine=engine) == list(range(150))


@pytest.mark.parametrize("seed", range(6))
def test_truncation_of_what_was_copied(tmp_path: Path, seed: int, engine: str) -> None:
    def between(writer: Writer) -> None:
        if writer.random.random() < 0.1 and os.path.getsize(writer.path) > 400:
            # What was written last may not have been read when the file is cut: it is in the copy.
            time.sleep(writer.random.choice([0.0, 0.15]))
            writer.copy_and_truncate()
            # Not again at once: of a file that was cut twice between two looks nothing tells what it was.
            time.sleep(0.15)

    assert follow_writer(tmp_path / "log.sse", log_of(120), seed, between, engine=engine) == list(range(120))


@pytest.mark.parametrize("when", ["before", "later"])
def test_an_empty_file_beside_an_empty_one_is_no_copy(tmp_path: Path, when: str, engine: str) -> None:
    path, copy = tmp_path / "log.sse", tmp_path / "log.sse.1"
    path.touch()
    steps = [append(path, event(0)), rotate(path, b""), append(path, event(1))]
    if when == "before":
        copy.touch()
    else:
        steps.insert(0, copy.touch)
    assert numbers(chunkwire.follow(path, stop=Steps(*steps), engine=engine)) == [0, 1]  # type: ignore[arg-type]


def test_a_removed_file_comes_again(tmp_path: Path) -> None:
    def between(writer: Writer) -> None:
        if writer.random.random() < 0.1:
            time.sleep(0.15)
            os.remove(writer.path)
            time.sleep(0.02)
            writer.file.close()
            writer.file = appending(writer.path)

    assert follow_writer(tmp_path / "log.sse", log_of(100), 1, between, engine="native") == list(range(100))


def test_the_last_event_is_waited_for(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1)[:20])
    seen: list[int] = []
    steps = Steps(lambda: seen.append(0), append(path, event(1)[20:-1]), lambda: seen.append(1), append(path, b"\n"))
    found = []
    for chunk in chunkwire.follow(path, stop=steps, engine=engine):  # type: ignore[arg-type]
        found.append((str(chunk.content).split()[0], len(seen)))
    assert found == [("0", 0), ("1", 2)]


@pytest.mark.parametrize("change", [rotate, truncate])
@pytest.mark.parametrize(
    ("old", "new", "given", "damages"),
    [
        pytest.param(event(0), event(1), [0, 1], [], id="whole events"),
        pytest.param(event(0), b"\xef\xbb\xbf" + event(1), [0, 1], [], id="BOM"),
        pytest.param(b"\xef\xbb", b"\xbf" + event(1), [1], [], id="a BOM in both"),
        pytest.param(event(0) + event(1)[:30], event(1)[30:], [0, 1], [], id="an event in both"),
        pytest.param(event(0) + event(1)[:-2], event(1)[-2:], [0, 1], [], id="cut before the line end"),
        pytest.param(event(0) + event(1)[:-1], b"\n" + event(2), [0, 1, 2], [], id="cut before the blank line"),
        pytest.param(event(0) + b"event: x\n", event(1), [0, 1], [], id="cut between two fields"),
        pytest.param(event(0) + event(1)[:-1], event(2), [0, 1, 2], [], id="no blank line"),
        pytest.param(event(0) + event(1)[:30], event(2), [0, 2], ["truncated"], id="an event that broke off"),
        pytest.param(event(0) + event(1)[:30], b"\xef\xbb\xbf" + event(2), [0, 2], ["truncated"], id="and a BOM"),
        pytest.param(event(0) + event(1)[:30], b"event: x\n" + event(2), [0, 2], ["truncated"], id="and another field"),
        pytest.param(
            event(0) + event(1)[:INSIDE], event(1)[INSIDE:], [0, 1], [], id="cut before what looks like a field"
        ),
    ],
)
def test_where_one_file_ends_and_another_begins(
    tmp_path: Path, change: Callable[[Path, bytes], Callable[[], object]], old: bytes, new: bytes,
    given: list[int], damages: list[str], engine: str,
) -> None:  # fmt: skip
    path = tmp_path / "log.sse"
    path.write_bytes(old)
    chunks = chunkwire.follow(path, stop=Steps(change(path, new)), engine=engine)  # type: ignore[arg-type]
    assert numbers(chunks) == given
    assert [damage.kind for damage in chunks.stats.damages] == damages


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_a_new_file_that_begins_slowly(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0)[:40])
    chunks = chunkwire.follow(path, stop=Steps(rotate(path, event(1)[:size]), append(path, event(1)[size:])))
    assert numbers(chunks) == [1]
    assert [damage.kind for damage in chunks.stats.damages] == ["truncated"]


def test_offsets_are_those_of_each_file(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1))
    chunks = chunkwire.follow(path, stop=Steps(rotate(path, event(2) + event(3))), engine=engine)  # type: ignore[arg-type]
    assert [chunk.offset for chunk in chunks] == 2 * [0, len(event(0))]


def test_what_looks_like_the_name_but_is_no_rotation_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0))

    def others() -> None:
        for name in ("log.sse.json", "log.sse.bak", "log.sse.1.gz", "log.sse.usage", "log.sse2x"):
            (tmp_path / name).write_bytes(event(9))
        rotate(path, event(1))()

    assert numbers(chunkwire.follow(path, stop=Steps(others))) == [0, 1]


@pytest.mark.parametrize("cut", [1, 2, 5, 30])
def test_from_the_end(tmp_path: Path, cut: int, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1)[:cut])
    steps = Steps(append(path, event(1)[cut:]), append(path, event(2)), rotate(path, event(3)))
    chunks = chunkwire.follow(path, start="end", stop=steps, engine=engine)  # type: ignore[arg-type]
    assert numbers(chunks) == [2, 3]  # nobody saw how 1 began
    assert not chunks.stats.damaged
    path.write_bytes(event(0))
    assert numbers(chunkwire.follow(path, start="end", stop=Steps(append(path, event(1))))) == [1]


def test_idle_ends_it_with_the_event_that_is_open(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1)[:-2])
    assert numbers(chunkwire.follow(path, idle=0.05, engine=engine)) == [0, 1]  # type: ignore[arg-type]
    assert numbers(chunkwire.follow(path, idle=0, strict=True)) == [0]


def test_closing_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + event(1))
    chunks = chunkwire.follow(path)
    assert next(chunks).content is not None
    chunks.close()
    chunks.close()
    assert list(chunks) == []
    with chunkwire.follow(path) as chunks:
        pass
    assert list(chunks) == []


def test_it_is_asked_whether_to_end_while_there_is_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(map(event, range(20_000))))
    monkeypatch.setattr(_follow, "_BUSY_WAIT", 0.0)
    asked: list[int] = []
    chunks = chunkwire.follow(path, stop=lambda: asked.append(0) or len(asked) == 3)
    assert 0 < len(list(chunks)) < 15_000
    *_, table = chunkwire.follow_usage(path, stop=lambda: asked.append(0) or len(asked) == 6)
    assert 0 < sum(table.chunks) < 15_000


def test_damage_can_be_raised_and_gone_on_behind(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0) + b"data: {oops\n\n" + event(1))
    chunks = chunkwire.follow(path, idle=0.05, on_error="raise", engine=engine)  # type: ignore[arg-type]
    next(chunks)
    with pytest.raises(chunkwire.DecodeError, match=r"log\.sse"):
        next(chunks)
    assert numbers(chunks) == [1]


def test_async_for_lets_others_work(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.touch()

    async def main() -> list[int]:
        async def write() -> None:
            for number in range(5):
                await asyncio.sleep(0.01)
                append(path, event(number))()

        writing = asyncio.ensure_future(write())
        found = []
        async with chunkwire.follow(path, idle=0.5) as chunks:
            async for chunk in chunks:
                found.append(int(str(chunk.content).split()[0]))
        await writing
        return found

    assert asyncio.run(main()) == list(range(5))


def test_async_for_lets_others_work_where_there_is_much_to_read(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(map(event, range(20_000))))

    async def main() -> int:
        turns = 0

        async def work() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        working = asyncio.ensure_future(work())
        found = [chunk async for chunk in chunkwire.follow(path, idle=0)]
        working.cancel()
        assert len(found) == 20_000
        return turns

    assert asyncio.run(main()) >= os.path.getsize(path) >> 18


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"start": "middle"}, "start must be"),
        ({"idle": -1}, "idle must be"),
        ({"stop": True}, "stop must be"),
        ({"every": -1}, "every must be"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, object], error: str) -> None:
    path = tmp_path / "log.sse"
    path.touch()
    function = chunkwire.follow_usage if "every" in options else chunkwire.follow
    with pytest.raises((ValueError, TypeError), match=error):
        function(path, **options)  # type: ignore[arg-type]


def test_what_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        chunkwire.follow(tmp_path / "nowhere.sse")
    with pytest.raises(IsADirectoryError):
        chunkwire.follow(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="pipe or a device"):
            chunkwire.follow(tmp_path / "pipe")
    (tmp_path / "log.gz").write_bytes(b"\x1f\x8b\x08\x00rest")
    with pytest.raises(ValueError, match="compressed"):
        chunkwire.follow(tmp_path / "log.gz")


def test_who_breaks_off_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0))
    before = count_open()
    for _ in range(5):
        for _ in chunkwire.follow(path):
            break
        for _ in chunkwire.follow_usage(path):
            break
        chunkwire.follow_usage(path)
    gc.collect()
    assert count_open() == before


# --- usage ---------------------------------------------------------------------------------------------------------


def stream(number: int) -> bytes:
    head = b'{"id":"s%d","model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]' % number
    usage = b'"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    return b"data: " + head + b"}\n\ndata: " + head + b"," + usage + b"\n\ndata: [DONE]\n\n"


def test_usage_of_a_log_that_grows(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(stream(0) + stream(1)[:100])
    steps = Steps(append(path, stream(1)[100:]), rotate(path, stream(2)[:50]), append(path, stream(2)[50:]))
    tables = list(chunkwire.follow_usage(path, every=0, stop=steps, engine=engine))  # type: ignore[arg-type]
    assert [len(table) for table in tables] == sorted(len(table) for table in tables)
    last = tables[-1]
    assert list(last.id) == ["s0", "s1", "s2"]
    assert list(last.total_tokens) == [3, 3, 3]
    assert set(last.status) == {"complete"}
    assert set(last.source) == {str(path)}
    assert last.stats.bytes == 3 * len(stream(0))


def test_a_stream_may_go_on_in_the_next_file(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "log.sse"
    first = stream(0).index(b"\n\n") + 2
    path.write_bytes(stream(0)[:first])
    tables = chunkwire.follow_usage(path, stop=Steps(rotate(path, stream(0)[first:])), engine=engine)  # type: ignore[arg-type]
    *_, last = tables
    assert (len(last), list(last.chunks), list(last.status)) == (1, [2], ["complete"])


def test_not_more_tables_than_wanted(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.touch()
    steps = Steps(*[append(path, stream(number)) for number in range(10)])
    tables = list(chunkwire.follow_usage(path, every=60, stop=steps))
    assert [len(table) for table in tables] == [0, 10]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_a_reader_that_is_fed(samples: Path, size: int, engine: str) -> None:
    for sample in sorted(samples.glob("*.sse")):
        log = sample.read_bytes()
        reader = chunkwire.UsageReader(engine=engine, source=str(sample))  # type: ignore[arg-type]
        for start in range(0, len(log), size):
            reader.feed(log[start : start + size])
            if start % 50 == 0:
                reader.usage()
        reader.end()
        whole = chunkwire.usage(sample, engine=engine)  # type: ignore[arg-type]
        assert reader.usage().to_dicts() == whole.to_dicts()
        assert reader.usage().stats == whole.stats


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.skipif(os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0", reason="the extension module is not tested")
def test_an_interruption_loses_nothing_of_what_was_fed() -> None:
    class Interruption(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interruption

    def feed() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        while True:
            reader.feed(log)

    log = b"".join(map(event, range(1000))) * 100  # more than are decoded between two looks at signals
    reader = chunkwire.UsageReader(engine="native")
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interruption):
            feed()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    bytes_read = reader.usage().stats.bytes
    assert bytes_read % len(log) == 0
    assert sum(reader.usage().chunks) == bytes_read // len(log) * 100_000


def test_a_reader_counts_what_is_unfinished(engine: str) -> None:
    reader = chunkwire.UsageReader(engine=engine)  # type: ignore[arg-type]
    assert (reader.unfinished, len(reader.usage())) == (0, 0)
    for number in range(2):
        reader.feed(b'data: {"id":"%d","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n' % number)
        assert (reader.unfinished, set(reader.usage().status)) == (number + 1, {"truncated"})
    reader.feed(stream(5).replace(b'"delta":{', b'"delta":{"role":"assistant",'))
    assert reader.unfinished == 2
    assert list(reader.usage().status) == ["truncated", "truncated", "complete"]


def test_a_reader_counts_wrong_usage_in_each_table_once(engine: str) -> None:
    reader = chunkwire.UsageReader(engine=engine, source="here")  # type: ignore[arg-type]
    reader.feed(b'data: {"id":"a","choices":[],"usage":{"total_tokens":"many"}}\n\n')
    for _ in range(3):
        stats = reader.usage().stats
        assert (stats.damaged, [(one.kind, one.source) for one in stats.damages]) == (1, [("wrong_type", "here")])
