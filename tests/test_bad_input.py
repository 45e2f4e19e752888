"""Bad input: a clear error with place and reason, or a count; never a panic, never unbounded memory."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from oracle import oracle
from support import SAMPLES, assert_counts, assert_decodes, chunk_json, counts, cut, drain, event

CHUNK = event(chunk_json(id="a"))
OTHER = event(chunk_json(id="b"))
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")


def ids(found: list[Any]) -> list[Any]:
    return [type(one).__name__ if isinstance(one, Exception) else one.id for one in found]


# --- what is no stream

LIKE_JSON = "it looks like JSON, not like server-sent events"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n", "it looks like HTML"),
        (b'{"error": {"message": "no"}}\n', LIKE_JSON),
        (b'[{"choices": []}]', LIKE_JSON),
        (b"hello world\n", "this is no event stream"),
        (bytes(range(14, 250)), "this is no event stream"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "this is no event stream"),
    ],
)
def test_not_a_stream(engine: str, tmp_path: Path, data: bytes, words: str) -> None:
    assert_decodes(engine, data, oracle(data))
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    with pytest.raises(chunkwire.DecodeError) as caught:
        list(chunkwire.decode(path, engine=engine, format="sse"))
    error = caught.value
    assert (error.kind, error.offset, error.line, error.event) == ("not_a_stream", 0, 1, 0)
    assert error.reason == f"no event found; {words}"
    assert str(path) in str(error)
    assert isinstance(error, ValueError)
    chunks = chunkwire.decode(path, engine=engine, on_error="skip", format="sse")
    assert list(chunks) == []
    assert chunks.stats.damages[0].reason == error.reason
    assert chunks.stats.skipped_bytes == len(data) - data.count(b"\n\n")
    assert list(chunkwire.usage(path, engine=engine, format="sse").status) == ["malformed"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_that_is_not_called_one(
    engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Most of its events would be found, and some not: that has to be said."""
    log = CHUNK * 9 + b"data: [DONE]\n\n"
    file = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name in ("a.sse", "b.sse"):
                info = tarfile.TarInfo(name)
                info.size = len(log)
                archive.addfile(info, io.BytesIO(log))
    else:
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("a.sse", log)
            zipped.writestr("b.sse", log)
    data = file.getvalue()
    assert_decodes(engine, data, oracle(data))
    words = f"it looks like a {kind} archive: in a file whose name ends in .{kind}"
    with pytest.raises(chunkwire.DecodeError, match=words):
        list(chunkwire.decode(data, engine=engine))
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(data))
    for split in ("100000", "300"):
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", split)
        for sources in (path, packed, [path, packed]):
            table = chunkwire.usage(sources, engine=engine, threads=2)
            found = [one for one in table.stats.damages if one.kind == "not_a_stream"]
            assert len(found) == (2 if isinstance(sources, list) else 1)
            assert words in found[0].reason


def test_an_empty_file_is_an_empty_stream(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.sse"
    path.write_bytes(b"")
    chunks = chunkwire.decode(path, engine=engine)
    assert list(chunks) == []
    assert not any(counts(chunks.stats).values())
    assert list(chunkwire.events(path, engine=engine)) == []
    assert len(chunkwire.usage(path, engine=engine)) == 0


def test_a_missing_path(engine: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.sse", str(tmp_path / "missing.sse")):
        with pytest.raises(FileNotFoundError, match="missing"):
            list(chunkwire.decode(path, engine=engine))
        with pytest.raises(FileNotFoundError, match="missing"):
            list(chunkwire.events(path, engine=engine))
        with pytest.raises(FileNotFoundError, match="missing"):
            chunkwire.usage(path, engine=engine)


def test_a_directory(engine: str, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        list(chunkwire.decode(tmp_path, engine=engine))


def test_sources_of_another_type(engine: str) -> None:
    for source in (5, None, 1.5, object()):
        with pytest.raises(TypeError):
            list(chunkwire.decode(source, engine=engine))


def test_unknown_options(engine: str) -> None:
    for attempt in (
        lambda: chunkwire.decode(b"", engine=engine, on_error="ignore"),
        lambda: chunkwire.Decoder(engine=engine, on_error="ignore"),
    ):
        with pytest.raises(ValueError, match='on_error must be "raise" or "skip"'):
            attempt()
    with pytest.raises((ValueError, ImportError)):
        chunkwire.decode(b"", engine="fastest")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_event_bytes": 0}, ValueError, "max_event_bytes must be between 1 and 268435455"),
        ({"max_event_bytes": -1}, ValueError, "max_event_bytes must be between 1 and 268435455"),
        ({"max_event_bytes": 1 << 28}, ValueError, "max_event_bytes must be between 1 and 268435455"),
        ({"max_event_bytes": 1 << 90}, ValueError, "max_event_bytes must be between 1 and 268435455"),
        ({"max_event_bytes": "5"}, TypeError, "max_event_bytes must be an integer, not str"),
        ({"max_event_bytes": 1.5}, TypeError, "max_event_bytes must be an integer, not float"),
        ({"strict": 1}, TypeError, "strict must be True or False, not 1"),
        ({"strict": "no"}, TypeError, "strict must be True or False, not 'no'"),
        ({"format": ["sse"]}, ValueError, "format must be one of"),
    ],
)
def test_options_of_another_kind(engine: str, options: dict[str, Any], error: type, words: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(CHUNK)
    for function in (
        *(chunkwire.decode, chunkwire.contents, chunkwire.events, chunkwire.completions, chunkwire.batches),
        *(chunkwire.usage, chunkwire.adecode, chunkwire.follow, chunkwire.follow_usage),
    ):
        with pytest.raises(error, match=words):
            function(path, engine=engine, **options)  # type: ignore[operator]
    for function in (chunkwire.Decoder, chunkwire.UsageReader):
        with pytest.raises(error, match=words):
            function(engine=engine, **options)


def test_numbers_and_bools_of_numpy_are_options(engine: str) -> None:
    numpy = pytest.importorskip("numpy")
    data = CHUNK + OTHER[:-1]
    options = {"strict": numpy.True_, "max_event_bytes": numpy.int64(len(CHUNK) + len(OTHER))}
    assert [chunk.raw for chunk in chunkwire.decode(data, engine=engine, **options)] == [CHUNK[6:-2]]


# --- damage, and what stands around it

DAMAGE = {
    "invalid_json": event("{oops"),
    "not_a_chunk": event('{"type": "ping"}'),
    "too_deep": event('{"choices":' + "[" * 100_000),
    "event_too_large": b"data: " + b"x" * 200_000 + b"\n\n",
    "server error": event('{"error": {"message": "boom"}}'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_before_and_behind_the_damage_all_is_given(engine: str, kind: str) -> None:
    limit = 150_000
    data = CHUNK + DAMAGE[kind] + OTHER + DAMAGE[kind] + event("[DONE]") + CHUNK
    result = oracle(data, max_event_bytes=limit)
    assert_decodes(engine, data, result, max_event_bytes=limit)
    name = "StreamError" if kind == "server error" else "DecodeError"
    expected = ["a", name, "b", name, "a"]
    assert ids(drain(chunkwire.decode(data, engine=engine, max_event_bytes=limit))) == expected
    assert ids(drain(chunkwire.decode(iter(cut(data, 1000)), engine=engine, max_event_bytes=limit))) == expected
    skipping = chunkwire.decode(data, engine=engine, on_error="skip", max_event_bytes=limit)
    assert ids(list(skipping)) == ["a", "b", "a"]
    assert_counts(skipping.stats, result)
    decoder = chunkwire.Decoder(engine=engine, on_error="skip", max_event_bytes=limit)
    assert ids([*decoder.feed(data), *decoder.finish()]) == ["a", "b", "a"]
    assert_counts(decoder.stats, result)


def test_going_on_after_an_error(engine: str) -> None:
    """The iterator is not over with an error, and neither is the decoder."""
    decoder = chunkwire.Decoder(engine=engine, source="socket")
    waiting = decoder.feed(CHUNK + event("oops") + OTHER + event('{"error":"e"}'))
    assert next(waiting).id == "a"
    with pytest.raises(chunkwire.DecodeError) as caught:
        next(waiting)
    assert (caught.value.kind, caught.value.offset, caught.value.source) == ("invalid_json", len(CHUNK), "socket")
    assert next(waiting).id == "b"
    with pytest.raises(chunkwire.StreamError, match="the server sent an error: e") as failed:
        next(waiting)
    assert failed.value.offset == len(CHUNK + OTHER) + len(event("oops"))
    with pytest.raises(StopIteration):
        next(waiting)
    assert [chunk.id for chunk in decoder.feed(CHUNK)] == ["a"]
    assert list(decoder.finish()) == []


def test_an_error_says_where(engine: str) -> None:
    data = CHUNK + b': hi\n\nid: 1\ndata: {"choices": [},\n\n'
    (_, error) = drain(chunkwire.decode(data, engine=engine))
    assert (error.kind, error.offset, error.line, error.event, error.position) == (
        "invalid_json",
        len(CHUNK) + 6,
        5,
        1,
        13,
    )
    assert error.reason == "invalid JSON at byte 13 of the event's data: Expecting value"
    assert str(error) == f"event 1, offset {len(CHUNK) + 6}, line 5: {error.reason} [invalid_json]"
    assert error.source is None


def test_truncated_event(engine: str) -> None:
    for at in range(len(b"data: {"), len(CHUNK) - 4):
        data = OTHER + CHUNK[:at]
        assert_decodes(engine, data, oracle(data))
        (chunk, error) = drain(chunkwire.decode(data, engine=engine))
        assert (chunk.id, error.kind, error.offset) == ("b", "truncated", len(OTHER))
        (only,) = drain(chunkwire.decode(data, engine=engine, strict=True))
        assert only.id == "b"


def test_only_the_first_thousand_damages_are_kept(engine: str) -> None:
    chunks = chunkwire.decode(event("oops") * 1500 + CHUNK, engine=engine, on_error="skip")
    assert ids(list(chunks)) == ["a"]
    assert chunks.stats.damaged == 1500
    assert len(chunks.stats.damages) == 1000
    assert chunks.stats.damages[999].event == 999


# --- nesting


@pytest.mark.parametrize(
    "inner", ['{"choices":%s}', '{"choices":[],"unknown":%s}', '{"choices":[],"u":{"v":[%s]}}', "%s"]
)
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":'])
def test_deep_nesting(engine: str, inner: str, opening: str) -> None:
    """A hundred thousand levels, closed or not, also in members that nobody asks for; and just at the limit."""
    closing = opening.replace("[", "]").replace('{"a":', "}").replace('{"b":', "}")[::-1]
    for depth in (100_000, 511, 512, 513, 256, 257, 509, 510):
        for end in (closing * depth, ""):
            data = CHUNK + event(inner % (opening * depth + "1" + end)) + OTHER
            result = oracle(data)
            assert_decodes(engine, data, result)
            if depth == 100_000:
                assert result.given[1].kind == "too_deep"


def test_deep_nesting_is_the_same_in_a_thread_with_a_small_stack(engine: str) -> None:
    code = f"""
import threading, chunkwire
data = b'data: {{"choices":[],"x":' + b'[' * 511 + b']' * 511 + b'}}\\n\\n'
data += b'data: {{"choices":' + b'[' * 100000 + b'\\n\\n'
def work():
    chunks = chunkwire.decode(data, engine={engine!r}, on_error="skip")
    found = list(chunks)
    depth, value = 0, found[0].to_dict()["x"]
    while value:
        depth, value = depth + 1, value[0]
    found.append(repr(found[0])[:6])
    print(len(found), depth, [one.kind for one in chunks.stats.damages])
threading.stack_size(512 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "2 510 ['too_deep']", "")


# --- memory and time

MEASURE = """
import sys, chunkwire

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024

def blocks():
    yield b'data: {{"choices":[],"id":"first"}}\\n\\n'
    yield {start!r}
    for _ in range({count}):
        yield block

block = b"x" * 2**20
list(chunkwire.decode(b"data: {{}}\\n\\n", engine={engine!r}, on_error="skip"))
before = peak()
chunks = chunkwire.decode(blocks(), engine={engine!r}, on_error="skip"{options})
found = [chunk.id for chunk in chunks]
stats = chunks.stats
print(found, [one.kind for one in stats.damages], stats.bytes, stats.damaged_bytes, peak() - before)
"""


def endless_line(engine: str, start: bytes, count: int, options: str) -> int:
    """Decodes a line of `count` MiB in a process of its own; gives by how many bytes its memory grew."""
    code = MEASURE.format(engine=engine, start=start, count=count, options=options)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, _, rest = done.stdout.partition("] [")
    kinds, _, numbers = rest.partition("] ")
    size, damaged, grown = map(int, numbers.split())
    assert (found, kinds) == ("['first'", "'event_too_large'")
    assert damaged == len(start) + count * 2**20
    assert size == damaged + len(b'data: {"choices":[],"id":"first"}\n\n')
    return grown


@LINUX
@pytest.mark.parametrize("start", [b"data: ", b"", b": ", b'data: {"choices":["'])
def test_a_line_without_an_end(engine: str, start: bytes) -> None:
    assert endless_line(engine, start, 96, ", max_event_bytes=100_000") < 12 * 2**20


@LINUX
def test_a_line_of_a_gibibyte(engine: str) -> None:
    """With the usual limit of 64 MiB; a buffer that doubles as it grows may hold some of it twice."""
    assert endless_line(engine, b"data: ", 1024, "") < 320 * 2**20


def test_small_pieces_cost_no_more_than_large_ones(engine: str) -> None:
    """An event that comes byte by byte takes time in proportion to its length: nothing is scanned twice."""

    def seconds(size: int) -> float:
        data = event(chunk_json(model="x" * size))
        best = 1e9
        for _ in range(3):
            decoder = chunkwire.Decoder(engine=engine)
            started = time.perf_counter()
            count = sum(len(list(decoder.feed(piece))) for piece in cut(data, 8))
            best = min(best, time.perf_counter() - started)
            assert count == 1
        return best

    small, large = seconds(40_000), seconds(320_000)
    assert large < 8 * small * 3 + 0.05  # in proportion: 8; were it quadratic: 64


def test_many_data_lines_cost_time_in_proportion(engine: str) -> None:
    def seconds(lines: int) -> float:
        data = b'data: {"choices":[\n' + b"data: \n" * lines + b"data: ]}\n\n"
        started = time.perf_counter()
        assert len(list(chunkwire.decode(data, engine=engine))) == 1
        return time.perf_counter() - started

    small, large = min(seconds(10_000) for _ in range(3)), min(seconds(80_000) for _ in range(3))
    assert large < 8 * small * 3 + 0.05


# --- odd buffers and iterables


def test_nul_bytes(engine: str) -> None:
    for data in (b"\0" * 5000, b"\0\n\0\n\n\0", CHUNK + b"\0" * 100 + b"\n\n" + OTHER, event(b"\0") + CHUNK):
        assert_decodes(engine, data, oracle(data))


def test_bytes_like_sources(engine: str) -> None:
    data = CHUNK + OTHER
    wide = bytearray(len(data) * 2)
    wide[::2] = data
    strided = memoryview(wide)[::2]
    assert not strided.contiguous
    backwards = memoryview(data[::-1])[::-1]
    for source in (data, bytearray(data), memoryview(data), memoryview(bytearray(data)), strided, backwards):
        assert ids(list(chunkwire.decode(source, engine=engine))) == ["a", "b"]
        decoder = chunkwire.Decoder(engine=engine)
        assert ids(list(decoder.feed(source))) == ["a", "b"]
        assert ids(list(chunkwire.decode(iter([source]), engine=engine))) == ["a", "b"]
    words = memoryview(data + b"\n" * (-len(data) % 8)).cast("Q")
    assert ids(list(chunkwire.decode(words, engine=engine))) == ["a", "b"]


def test_a_buffer_that_changes_while_it_is_read(engine: str) -> None:
    """What comes out then is not promised; that nothing breaks is, and that chunks given out stay as they are."""
    buffer = bytearray(CHUNK * 2000)
    chunks = chunkwire.decode(buffer, engine=engine, on_error="skip")
    first = next(chunks)
    buffer[:] = b"\xff" * len(buffer)
    rest = list(chunks)
    assert len(rest) <= 1999
    assert first.id == "a"
    assert first.raw == chunk_json(id="a")
    assert all(chunk.to_dict() is not None for chunk in rest)
    decoder = chunkwire.Decoder(engine=engine)
    piece = bytearray(CHUNK)
    waiting = decoder.feed(piece)
    piece[:] = b"!" * len(piece)  # the bytes were consumed at once
    assert ids(list(waiting)) == ["a"]


def test_a_buffer_is_free_again(engine: str) -> None:
    buffer = bytearray(CHUNK)
    decoder = chunkwire.Decoder(engine=engine)
    assert ids(list(decoder.feed(buffer))) == ["a"]
    buffer += b"more"  # BufferError, were it still held
    source = bytearray(CHUNK)
    assert ids(list(chunkwire.decode(source, engine=engine))) == ["a"]
    source += b"more"


def test_text_is_no_bytes(engine: str) -> None:
    with pytest.raises(TypeError):
        list(chunkwire.decode(iter(["data: x\n\n"]), engine=engine))
    with pytest.raises(TypeError):
        chunkwire.Decoder(engine=engine).feed("data: x\n\n")
    chunks = chunkwire.decode(iter([CHUNK, "data: x\n\n"]), engine=engine)
    assert next(chunks).id == "a"
    with pytest.raises(TypeError):
        next(chunks)
    with pytest.raises(TypeError):
        list(chunkwire.decode(iter([CHUNK, None]), engine=engine))


class Failure(Exception):
    pass


def failing() -> Iterator[bytes]:
    yield CHUNK
    yield OTHER[:20]
    raise Failure("the network is gone")


def test_an_iterator_that_raises(engine: str) -> None:
    """Its own exception comes through, behind everything that was read before."""
    chunks = chunkwire.decode(failing(), engine=engine)
    assert next(chunks).id == "a"
    with pytest.raises(Failure, match="the network is gone"):
        next(chunks)
    events = chunkwire.events(failing(), engine=engine)
    assert next(events).offset == 0
    with pytest.raises(Failure):
        next(events)
    with pytest.raises(Failure):
        chunkwire.usage(failing(), engine=engine)


def test_an_asynchronous_iterator_that_raises(engine: str) -> None:
    async def source() -> Any:
        for block in failing():
            yield block

    found = []

    async def read() -> None:
        async for chunk in chunkwire.adecode(source(), engine=engine):
            found.append(chunk.id)

    with pytest.raises(Failure):
        asyncio.run(read())
    assert found == ["a"]


def test_empty_pieces(engine: str) -> None:
    pieces = [b"", CHUNK[:5], b"", b"", CHUNK[5:], b"", OTHER, b""]
    assert ids(list(chunkwire.decode(iter(pieces), engine=engine))) == ["a", "b"]
    decoder = chunkwire.Decoder(engine=engine)
    assert ids([chunk for piece in pieces for chunk in decoder.feed(piece)]) == ["a", "b"]
    assert ids(list(chunkwire.decode(iter([]), engine=engine))) == []


def test_feed_after_finish(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine)
    decoder.feed(CHUNK)
    assert ids(list(decoder.finish())) == ["a"]
    with pytest.raises(ValueError, match=r"feed\(\) after finish\(\)"):
        decoder.feed(OTHER)
    assert decoder.stats.chunks == 1
    assert list(decoder.finish()) == []


def test_a_file_that_is_open(engine: str, tmp_path: Path) -> None:
    with (SAMPLES / "tools.sse").open("rb") as file:
        expected = [chunk.raw for chunk in chunkwire.decode(file.read(), engine=engine)]
        file.seek(0)
        assert [chunk.raw for chunk in chunkwire.decode(file, engine=engine)] == expected
    assert [
        chunk.raw for chunk in chunkwire.decode(io.BytesIO((SAMPLES / "tools.sse").read_bytes()), engine=engine)
    ] == expected
    with (SAMPLES / "tools.sse").open("rb", buffering=0) as raw:
        assert [chunk.raw for chunk in chunkwire.decode(raw, engine=engine)] == expected
    assert [chunk.raw for chunk in chunkwire.decode(os.fspath(SAMPLES / "tools.sse"), engine=engine)] == expected


def test_a_pipe_gives_chunks_as_they_come(engine: str) -> None:
    """What was written so far is given, though the other end is still open."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as file:
        os.write(write, CHUNK + OTHER[:9])
        chunks = chunkwire.decode(file, engine=engine)
        assert next(chunks).id == "a"
        os.write(write, OTHER[9:])
        assert next(chunks).id == "b"
        os.close(write)
        assert list(chunks) == []


def test_stats_are_those_of_what_was_read(engine: str) -> None:
    """A snapshot: it does not change with what is read later."""
    decoder = chunkwire.Decoder(engine=engine)
    list(decoder.feed(CHUNK + OTHER[:10]))
    early = decoder.stats
    assert (early.bytes, early.chunks, early.chunk_bytes) == (len(CHUNK) + 10, 1, len(CHUNK))
    drain(decoder.feed(OTHER[10:] + event("oops")))
    assert early.chunks == 1
    assert early.damages == []
    assert decoder.stats.chunks == 2
    assert decoder.stats.damaged == 1


def test_an_iterator_that_several_threads_share(engine: str) -> None:
    """Whoever comes while another is served is told so; nothing is lost, nothing is given twice."""
    log = b"".join(event(chunk_json(created=number)) for number in range(5000))
    chunks = chunkwire.decode(log, engine=engine)
    given: list[int | None] = []
    refusals: list[ValueError] = []

    def work() -> None:
        while True:
            try:
                given.append(next(chunks).created)
            except StopIteration:
                return
            except ValueError as error:
                refusals.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number in given if number is not None) == list(range(5000))
    assert all("already in use" in str(error) for error in refusals)


def test_a_source_that_asks_for_what_is_made_of_it(engine: str) -> None:
    def source() -> Iterator[bytes]:
        yield event(chunk_json())
        next(chunks)

    chunks = chunkwire.decode(source(), engine=engine)
    assert next(chunks).id == "c1"
    with pytest.raises(ValueError, match="already in use, by another thread or by its own source"):
        next(chunks)
