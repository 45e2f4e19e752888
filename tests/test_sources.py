"""What a source may be, for `decode` and `usage`; which engine reads it; how far it has come."""

from __future__ import annotations

import array
import contextlib
import gzip
import io
import mmap
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
from support import SAMPLES, chunk_json, drain, event

CHOICES = [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]
ONE = event(chunk_json(id="one", choices=CHOICES))
TWO = event(chunk_json(id="two", choices=CHOICES))
DATA = ONE + TWO
IDS = ["one", "two"]


def ids(chunks: Any) -> list[Any]:
    return [chunk.id for chunk in chunks]


def log(path: Path, data: bytes = DATA + event("[DONE]")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class PathLike:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


# --- one source


def test_paths(engine: str, tmp_path: Path) -> None:
    path = log(tmp_path / "größe ✓.sse")
    for source in (path, str(path), PathLike(path)):
        assert ids(chunkwire.decode(source, engine=engine)) == IDS
    (error,) = drain(chunkwire.decode(log(tmp_path / "bad.sse", event("{")), engine=engine))
    assert error.source == str(tmp_path / "bad.sse")


def test_a_path_that_is_no_utf8(engine: str, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.sse")
    try:
        log(Path(path))
    except OSError:
        pytest.skip("this file system takes no such name")
    assert ids(chunkwire.decode(path, engine=engine)) == IDS
    assert list(chunkwire.usage(path, engine=engine).source) == [path, path]


@pytest.mark.parametrize("function", [chunkwire.decode, chunkwire.events, chunkwire.adecode, chunkwire.usage])
def test_paths_that_cannot_be_read_are_errors_of_the_call(engine: str, tmp_path: Path, function: Any) -> None:
    with pytest.raises(FileNotFoundError):
        function(tmp_path / "missing.sse", engine=engine)
    with pytest.raises(ValueError, match="NUL"):
        function("a\0b", engine=engine)
    with pytest.raises(TypeError, match=r"a str is a path.*encode"):
        function(DATA.decode(), engine=engine)
    if function is not chunkwire.usage:
        with pytest.raises(IsADirectoryError):
            function(tmp_path, engine=engine)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are looked for there")
@pytest.mark.parametrize("events", [5_000, 60_000], ids=["small", "read ahead"])
def test_what_cannot_be_read_in_the_middle_of_a_file(engine: str, tmp_path: Path, events: int) -> None:
    path = log(tmp_path / "log.sse", ONE * events)
    chunks = chunkwire.decode(path, engine=engine)
    next(chunks)
    folder = os.open(tmp_path, os.O_RDONLY)
    for opened in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.path.samefile(f"/proc/self/fd/{opened}", path):
                os.dup2(folder, int(opened))  # a file no more
    with pytest.raises(IsADirectoryError) as caught:
        list(chunks)
    os.close(folder)
    assert caught.value.filename == str(path)


def test_packed_files(engine: str, tmp_path: Path) -> None:
    """Told by their first bytes, whatever they are called."""
    path = log(tmp_path / "log.sse", gzip.compress(ONE) + gzip.compress(TWO))
    assert ids(chunkwire.decode(path, engine=engine)) == IDS
    zstandard = pytest.importorskip("zstandard")
    path = log(tmp_path / "log2.sse", zstandard.compress(DATA))
    assert ids(chunkwire.decode(path, engine=engine)) == IDS
    assert len(chunkwire.usage(path, engine=engine)) == 2


def test_bytes_are_not_copied(engine: str) -> None:
    """Only what its owner could change is copied: `bytes` itself goes to the engine."""
    from chunkwire._sources import resolve

    assert resolve(DATA).feed is DATA
    assert resolve(bytearray(DATA)).feed is not DATA


def buffers() -> dict[str, Any]:
    memory = mmap.mmap(-1, len(DATA))
    memory[:] = DATA
    wide = np.zeros(2 * len(DATA), np.uint8)
    wide[::2] = np.frombuffer(DATA, np.uint8)
    even = DATA + b"\n" * (-len(DATA) % 8)
    return {
        "bytearray": bytearray(DATA),
        "memoryview": memoryview(DATA),
        "mmap": memory,
        "array": array.array("B", DATA),
        "numpy": np.frombuffer(DATA, np.uint8),
        "numpy, strided": wide[::2],
        "numpy, two dimensions": np.frombuffer(even, np.uint8).reshape(2, -1),
        "numpy, Fortran order": np.asfortranarray(np.frombuffer(even, np.uint8).reshape(2, -1)),
        "numpy, words": np.frombuffer(even, np.uint64),
        "numpy, other byte order": np.frombuffer(even, ">u4"),
        "pickle buffer": pickle.PickleBuffer(DATA),
    }


@pytest.mark.parametrize("name", buffers())
def test_bytes_like_objects(engine: str, name: str) -> None:
    source = buffers()[name]
    assert ids(chunkwire.decode(source, engine=engine)) == IDS
    assert ids(chunkwire.decode(iter([source]), engine=engine)) == IDS
    assert list(chunkwire.usage(source, engine=engine).id) == IDS
    assert list(chunkwire.usage([source], engine=engine).id) == IDS
    assert list(chunkwire.usage(source, engine=engine).source) == ["<bytes>"] * 2


def test_empty_buffers(engine: str) -> None:
    for source in (b"", bytearray(), memoryview(b""), np.zeros((0, 3), np.uint8), []):
        assert list(chunkwire.decode(source, engine=engine)) == []
        assert len(chunkwire.usage(source, engine=engine)) == 0


def test_large_buffers_come_in_blocks(engine: str) -> None:
    data = DATA * (3 * 2**20 // len(DATA))
    assert sum(1 for _ in chunkwire.decode(bytearray(data), engine=engine)) == 2 * (len(data) // len(DATA))


def test_a_buffer_that_shrinks_while_it_is_read(engine: str) -> None:
    source = bytearray(DATA * (3 * 2**20 // len(DATA)))
    chunks = chunkwire.decode(source, engine=engine, on_error="skip")
    assert next(chunks).id == "one"
    source.clear()  # BufferError, were it held
    assert len(list(chunks)) <= 2**20 // len(ONE)


class Slow(io.RawIOBase):
    """A file that gives a little at a time."""

    def __init__(self, *pieces: bytes | None) -> None:
        self.pieces = list(pieces)
        self.asked: list[int] = []

    def read(self, size: int = -1) -> Any:
        self.asked.append(size)
        return self.pieces.pop(0) if self.pieces else b""


def test_files(engine: str, tmp_path: Path) -> None:
    path = log(tmp_path / "log.sse")
    with path.open("rb") as file:
        assert list(chunkwire.usage(file, engine=engine).source) == [str(path)] * 2
        file.seek(len(ONE))
        assert ids(chunkwire.decode(file, engine=engine)) == ["two"], "from where it stands"
    bad = log(tmp_path / "bad.sse", event("{"))
    with bad.open("rb") as file:
        (error,) = drain(chunkwire.decode(file, engine=engine))
    assert error.source == str(bad)
    assert ids(chunkwire.decode(io.BytesIO(DATA), engine=engine)) == IDS
    assert list(chunkwire.usage(io.BytesIO(DATA), engine=engine).source) == ["<stream>"] * 2
    assert ids(chunkwire.decode(gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))), engine=engine)) == IDS


def test_a_file_is_asked_for_no_more_than_it_has(engine: str) -> None:
    """After each piece all its chunks are given before the file is asked again."""
    file = Slow(ONE, TWO[:9], TWO[9:])
    chunks = chunkwire.decode(file, engine=engine)
    assert next(chunks).id == "one"
    assert len(file.asked) == 1
    assert next(chunks).id == "two"
    assert len(file.asked) == 3
    assert list(chunks) == []


def test_a_file_that_has_nothing_yet(engine: str) -> None:
    file = Slow(ONE, None, TWO)
    chunks = chunkwire.decode(file, engine=engine)
    assert next(chunks).id == "one"
    with pytest.raises(BlockingIOError, match="non-blocking"):
        next(chunks)
    assert next(chunks).id == "two"


def test_text_is_refused_with_a_hint(engine: str, tmp_path: Path) -> None:
    path = log(tmp_path / "log.sse")
    with path.open() as file, pytest.raises(TypeError, match="'rb'"):
        chunkwire.decode(file, engine=engine)
    with pytest.raises(TypeError, match="'rb'"):
        chunkwire.decode(io.StringIO("data: x\n\n"), engine=engine)

    class Text:
        def read(self, size: int) -> str:
            return "data: x\n\n"

    with pytest.raises(TypeError, match="'rb'"):
        next(chunkwire.decode(Text(), engine=engine))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"belongs to chunkwire.usage\(\)"):
        chunkwire.decode([str(path)], engine=engine)  # type: ignore[list-item]


def test_iterables(engine: str) -> None:
    single = (bytearray([byte]) for byte in DATA)
    for source in ([ONE, TWO], (ONE, TWO), iter([DATA]), single, {1: ONE, 2: TWO}.values()):
        assert ids(chunkwire.decode(source, engine=engine)) == IDS

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            yield from (ONE, TWO)

    assert ids(chunkwire.decode(Response(), engine=engine)) == IDS
    assert list(chunkwire.usage(Response(), engine=engine).source) == ["<stream>"] * 2
    assert list(chunkwire.usage([ONE, TWO[:5], TWO[5:]], engine=engine).id) == IDS, "pieces of one source"


def test_what_is_no_source(engine: str) -> None:
    async def blocks() -> Any:
        yield DATA

    with pytest.raises(TypeError, match=r"not async_generator; use chunkwire.adecode\(\)"):
        chunkwire.decode(blocks(), engine=engine)  # type: ignore[arg-type]
    for source in (None, 5, object()):
        with pytest.raises(TypeError, match="a source is a path, bytes, a binary file object or an iterable of bytes"):
            chunkwire.decode(source, engine=engine)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a source is"):
            chunkwire.usage(source, engine=engine)  # type: ignore[arg-type]


def test_formats(engine: str) -> None:
    assert ids(chunkwire.decode(DATA, engine=engine, format="sse")) == IDS
    for function in (chunkwire.decode, chunkwire.events, chunkwire.adecode, chunkwire.usage):
        with pytest.raises(ValueError, match=r"format must be one of 'auto', 'sse', 'jsonl', .*, not 'csv'"):
            function(DATA, engine=engine, format="csv")  # type: ignore[operator]
    with pytest.raises(ValueError, match="of format 'sse', not of 'jsonl'"):
        chunkwire.events(DATA, engine=engine, format="jsonl")


# --- many sources


def sources(found: chunkwire.UsageTable, root: Path) -> list[str]:
    return [os.path.relpath(label, root).replace(os.sep, "/") for label, _ in found.by_source()]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    for name in ("b.sse", "a/2.log", "a/10.TXT", "a.stream", "z/y/x.events"):
        log(root / name)
    log(root / "packed.sse.gz", gzip.compress(DATA))
    for name in ("README.md", "data.json", "a/x.gz", ".hidden.sse", ".git/x.sse", "noname"):
        log(root / name)
    return root


def test_folders(engine: str, logs: Path) -> None:
    table = chunkwire.usage(logs, engine=engine)
    expected = ["a/10.TXT", "a/2.log", "a.stream", "b.sse", "packed.sse.gz", "z/y/x.events"]
    assert sources(table, logs) == expected
    assert [os.path.relpath(path, logs) for path in table.passed_over] == ["README.md", "a/x.gz", "data.json", "noname"]
    assert table.failures == []
    assert list(table.source) == [str(logs / name) for name in expected for _ in range(2)]
    assert table.stats.chunks == 2 * len(expected)


def test_an_empty_folder(engine: str, tmp_path: Path) -> None:
    assert len(chunkwire.usage(tmp_path, engine=engine)) == 0
    with pytest.raises(IsADirectoryError):
        chunkwire.decode(tmp_path, engine=engine)


def test_globs(engine: str, logs: Path) -> None:
    def matched(pattern: str) -> list[str]:
        return sources(chunkwire.usage(str(logs / pattern), engine=engine), logs)

    assert matched("*.sse") == ["b.sse"]
    assert matched("a/*") == ["a/10.TXT", "a/2.log", "a/x.gz"], "what a glob matches is read, whatever it is called"
    assert matched("**/*.log") == ["a/2.log"]
    assert matched("z*") == ["z/y/x.events"], "a folder that is matched is read as a folder"
    assert matched("z/**") == ["z/y/x.events"], "and no file twice"
    with pytest.raises(FileNotFoundError, match="no file matches"):
        matched("*.nothing")
    log(logs / "x[1].sse")
    assert matched("x[1].sse") == ["x[1].sse"], "a path that exists is no glob"


def test_lists(engine: str, logs: Path) -> None:
    a, b = logs / "b.sse", logs / "a.stream"
    for many in ([a, str(b)], (a, b), iter([a, b]), {a: 1, b: 2}, logs.glob("[ab].s*")):
        assert sorted(sources(chunkwire.usage(many, engine=engine), logs)) == ["a.stream", "b.sse"]
    with a.open("rb") as file:
        table = chunkwire.usage([file, b, io.BytesIO(ONE)], engine=engine)
    assert [label for label, _ in table.by_source()] == [str(a), str(b), "<stream>"]
    assert sources(chunkwire.usage([a, b, a], engine=engine), logs) == ["b.sse", "a.stream", "b.sse"]


def test_many_threads_keep_the_order(engine: str, tmp_path: Path) -> None:
    paths = [log(tmp_path / f"{at}.sse", event(chunk_json(id=str(at))) * (1 + at * 37 % 50)) for at in range(60)]
    one = chunkwire.usage(paths, engine=engine, threads=1)
    assert list(one.id) == [str(at) for at in range(60)]
    for threads in (None, 2, 7, 100):
        assert chunkwire.usage(paths, engine=engine, threads=threads) == one
    assert one.stats.chunks == one.chunks.sum()
    for threads in (0, -1):
        with pytest.raises(ValueError, match="threads must be at least 1"):
            chunkwire.usage(paths, engine=engine, threads=threads)


def test_many_threads_pass_on_what_goes_wrong(engine: str) -> None:
    def failing() -> Iterator[bytes]:
        yield ONE
        raise RuntimeError("oh")

    for threads in (1, 3):
        with pytest.raises(RuntimeError, match="oh"):
            chunkwire.usage([io.BytesIO(ONE), failing(), io.BytesIO(TWO)], engine=engine, threads=threads)


def test_sources_of_many_that_cannot_be_read(engine: str, tmp_path: Path) -> None:
    good, missing = log(tmp_path / "good.sse"), tmp_path / "missing.sse"
    link = tmp_path / "broken.sse"
    link.symlink_to("nowhere")
    table = chunkwire.usage([missing, good, link, str(tmp_path / "*.no")], engine=engine)
    assert list(table.id) == IDS
    assert {label for label, _ in table.failures} == {str(missing), str(link), str(tmp_path / "*.no")}
    assert all(isinstance(error, FileNotFoundError) for _, error in table.failures)
    assert [label for label, _ in chunkwire.usage(tmp_path, engine=engine).failures] == [str(link)]
    with pytest.raises(FileNotFoundError):
        chunkwire.usage([good, missing], engine=engine, on_error="raise")
    with pytest.raises(FileNotFoundError) as caught:
        chunkwire.usage([missing, tmp_path / "gone.sse"], engine=engine)
    assert "gone.sse" in "".join(caught.value.__notes__), "if none can be read, that is told of all"


def test_usage_raises_when_asked(engine: str, tmp_path: Path) -> None:
    data = ONE + event('{"error":{"message":"busy","code":7}}') + event("{oops") + TWO
    path = log(tmp_path / "log.sse", data)
    for source in (path, [log(tmp_path / "fine.sse"), path], data):
        with pytest.raises(chunkwire.StreamError, match="busy") as caught:
            chunkwire.usage(source, engine=engine, on_error="raise")
        assert caught.value.body == {"error": {"message": "busy", "code": 7}}
        assert caught.value.offset == len(ONE)
    with pytest.raises(chunkwire.StreamError, match="busy"):
        chunkwire.usage(io.BytesIO(data), engine=engine, on_error="raise")
    with pytest.raises(chunkwire.DecodeError) as damage:
        chunkwire.usage(iter([ONE, event("{oops")]), engine=engine, on_error="raise")
    assert (damage.value.kind, damage.value.offset, damage.value.position) == ("invalid_json", len(ONE), 1)
    harmless = event(chunk_json(id="one")[:-1] + b',"x":"\xff"}')
    assert len(chunkwire.usage(harmless, engine=engine, on_error="raise")) == 1, "what is only counted is not raised"
    with pytest.raises(ValueError, match="on_error"):
        chunkwire.usage(path, engine=engine, on_error="ignore")  # type: ignore[arg-type]


# --- progress


def test_progress(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chunkwire._progress._EVERY", 0.0)
    monkeypatch.setattr("chunkwire._reading._EVERY", 0.0)
    data = DATA * 20_000
    path = log(tmp_path / "log.sse", data)
    packed = log(tmp_path / "log.sse.gz", gzip.compress(data))
    for source, total in ((path, len(data)), (data, len(data)), (packed, None), (iter([data]), None)):
        calls: list[tuple[int, int | None]] = []
        chunks = chunkwire.decode(source, engine=engine, progress=lambda *call, calls=calls: calls.append(call))
        assert sum(1 for _ in chunks) == chunks.stats.chunks == 40_000
        assert calls[-1] == (len(data), total)
        assert {call[1] for call in calls} == {total}
        done = [call[0] for call in calls]
        assert done == sorted(done)
        assert len(done) > 2
    size = packed.stat().st_size
    for source, total in ((path, len(data)), (data, len(data)), ([path, packed], len(data) + size), (packed, size)):
        calls = []
        table = chunkwire.usage(source, engine=engine, progress=lambda *call, calls=calls: calls.append(call))
        assert calls[-1] == (total, total)
        assert table == chunkwire.usage(source, engine=engine)
    calls = []
    chunkwire.usage(iter([data]), engine=engine, progress=lambda *call: calls.append(call))
    assert calls[-1] == (len(data), None)


def test_progress_can_stop_the_work(engine: str, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        raise Enough

    with pytest.raises(Enough):
        chunkwire.usage(log(tmp_path / "log.sse"), engine=engine, progress=stop)
    with pytest.raises(TypeError, match="progress must be"):
        chunkwire.usage(DATA, engine=engine, progress=5)  # type: ignore[arg-type]


def test_a_bar_is_for_terminals(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ids(chunkwire.decode(DATA, engine=engine, progress=True)) == IDS
    assert len(chunkwire.usage(DATA, engine=engine, progress=True)) == 2
    assert ids(chunkwire.decode(DATA, engine=engine, progress=False)) == IDS
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("rich", [True, False])
def test_the_bar(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from chunkwire._progress import Bar

    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
        monkeypatch.setitem(sys.modules, "rich.progress", None)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    bar = Bar(screen)
    bar(1, 100)
    assert screen.getvalue() == "", "nothing for short work"
    monkeypatch.setattr("chunkwire._progress._PATIENCE", 0.0)
    monkeypatch.setattr("chunkwire._progress._EVERY", 0.0)
    bar(25, 100)
    bar(50_000_000, 100_000_000)
    bar(3, None)
    bar.close()
    shown = screen.getvalue()
    assert shown
    if not rich:
        assert "=" * 15 + "-" * 15 + "  50%  50.0 MB of 100.0 MB" in shown
        assert "0:00 left" in shown
        assert shown.endswith("\r\x1b[K"), "it is taken away"
    bar(4, None)
    assert screen.getvalue() == shown, "a bar that is closed stays so"


# --- files that another thread reads


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is worth a thread."""
    path = tmp_path_factory.mktemp("large") / "large.sse"
    path.write_bytes(DATA * (3_000_000 // len(DATA)))
    return path


def readers_become(count: int) -> bool:
    """Do so many threads of this process read ahead? (The system takes its time to forget one.)"""
    for _ in range(100):
        names = []
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                names.append((task / "comm").read_text().strip())
        if names.count("chunkwire-read") == count:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_large_files_are_read_ahead(large: Path, tmp_path: Path, suffix: str) -> None:
    path, whole = large, large.read_bytes()
    if suffix:
        # Little compressed, for it is the size on disk that counts.
        path = tmp_path / "large.sse.gz"
        path.write_bytes(gzip.compress(whole, 0))
    times = len(whole) // len(DATA)
    assert ids(chunkwire.decode(path, engine="native")) == IDS * times
    expected = [row | {"source": str(path)} for row in chunkwire.usage(whole, engine="simdjson").to_dicts()]
    assert chunkwire.usage(path, engine="native", threads=1).to_dicts() == expected
    if not Path("/proc/self/task").is_dir() or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("cannot see the threads, or there are none to spare")
    # More than what may wait, so that the thread does not end before it is seen.
    path = tmp_path / f"larger.sse{suffix}"
    path.write_bytes(gzip.compress(whole * 5, 0) if suffix else whole * 5)
    chunks = chunkwire.decode(path, engine="native")
    assert readers_become(0), "nothing is read before the first chunk is asked for"
    next(chunks)
    assert readers_become(1)
    del chunks
    assert readers_become(0), "nobody reads for nobody"


def test_a_large_file_that_is_cut(large: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.sse.gz"
    path.write_bytes(gzip.compress(large.read_bytes(), 0)[:-1000])
    chunks = chunkwire.decode(path, engine="native")
    with pytest.raises(chunkwire.DecodeError) as caught:
        for _ in chunks:
            pass
    assert caught.value.kind == "truncated"
    skipping = chunkwire.decode(path, engine="native", on_error="skip")
    assert len(ids(skipping)) > len(IDS) * 1000
    assert [damage.kind for damage in skipping.stats.damages][:1] == ["truncated"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="cannot see how much memory is mapped")
def test_a_large_file_is_read_where_no_thread_can_be_started(large: Path) -> None:
    code = """
import resource, sys
import numpy, chunkwire
chunks = chunkwire.decode(sys.argv[1], engine="native")
with open("/proc/self/statm") as file:
    mapped = int(file.read().split()[0]) * resource.getpagesize()
# Room for blocks, but not for the stack of a thread.
resource.setrlimit(resource.RLIMIT_AS, (mapped + 1_800_000, resource.RLIM_INFINITY))
print(sum(1 for _ in chunks), chunks.stats.bytes)
"""
    command = [sys.executable, "-c", code, str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    size = large.stat().st_size
    assert done.stdout.split() == [str(size // len(DATA) * len(IDS)), str(size)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_fork_cannot_go_on_with_what_another_thread_reads(large: Path) -> None:
    code = """
import os, sys
import chunkwire
chunks = chunkwire.decode(sys.argv[1], engine="native")
next(chunks)
child = os.fork()
try:
    result = 1 + sum(1 for _ in chunks)
except RuntimeError as error:
    result = error
os.write(1, f"{'parent' if child else 'child'} {result}\\n".encode())
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    count = large.stat().st_size // len(DATA) * len(IDS)
    lines = sorted(done.stdout.splitlines())
    if len(os.sched_getaffinity(0)) > 1:
        assert lines[0] == "child the source was opened before this process was forked"
    assert lines[1] == f"parent {count}"


# --- engines


def test_engines_are_loaded_by_name(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from chunkwire import _engine

    assert _engine.load(engine).__name__ == f"chunkwire._{engine}"
    monkeypatch.setenv("CHUNKWIRE_ENGINE", engine)
    assert _engine.load().__name__ == f"chunkwire._{engine}"
    assert type(chunkwire.Decoder()).__module__ == f"chunkwire._{engine}"
    monkeypatch.setenv("CHUNKWIRE_ENGINE", "fastest")
    with pytest.raises(ValueError, match="CHUNKWIRE_ENGINE must be one of auto, native, simdjson, not 'fastest'"):
        chunkwire.decode(b"")
    assert ids(chunkwire.decode(DATA, engine=engine)) == IDS, "what the call names counts more"
    with pytest.raises(ValueError, match="engine must be one of 'auto', 'native', 'simdjson', not 'rust'"):
        chunkwire.decode(b"", engine="rust")  # type: ignore[arg-type]


def test_without_the_extension() -> None:
    code = """
import sys
sys.modules["chunkwire._native"] = None
import chunkwire
(chunk,) = chunkwire.decode(b'data: {"choices":[]}\\n\\n')
print(type(chunk).__module__, isinstance(chunk, chunkwire.Chunk))
try:
    chunkwire.decode(b"", engine="native")
except ImportError as error:
    print(error)
"""
    environment = {name: value for name, value in os.environ.items() if name != "CHUNKWIRE_ENGINE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    first, second = done.stdout.splitlines()
    assert first == "chunkwire._views True"
    assert second.startswith("the native engine is not in this installation")
    assert "engine='simdjson'" in second


def test_decoders_are_decoders(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine)
    assert isinstance(decoder, chunkwire.Decoder)
    assert not isinstance(5, chunkwire.Decoder)


def test_the_samples_as_one_folder(engine: str) -> None:
    table = chunkwire.usage(SAMPLES, engine=engine)
    alone = [chunkwire.usage(path, engine=engine) for path in sorted(SAMPLES.glob("*.sse"))]
    assert len(table) == sum(map(len, alone))
    assert table.to_dicts() == [row for one in alone for row in one]
