"""Folders of logs in all formats: the pool reads those that the engine reads by itself and hands back the others, and
the rows, counts, damages and failures are those of each file alone, in the order of the files."""

from __future__ import annotations

import builtins
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import wrapping
from chunkwire import _engine, _reading
from chunkwire._options import Options
from chunkwire._rows import COLUMNS, MEASURES
from rows import DONE, first, last, part, report
from support import event
from wrapping import Wrapped

KEEP = ["user", "meta.tag"]


def stream(id: str, parts: int = 3) -> bytes:
    return first(id) + part(id) * parts + last(id, usage=report(3)) + DONE


def some_streams(rng: random.Random, count: int) -> list[bytes]:
    return rng.sample(wrapping.streams(6000), count)


def exchanges(rng: random.Random) -> bytes:
    bodies = list(wrapping.bodies(rng, *some_streams(rng, 1)))
    path = rng.choice(["response_body", "response.body", "deep.er"])
    return wrapping.exchanges(rng, rng.sample(bodies, 12), path, rng.choice([b"\n", b"\r\n"])).data


def completions(rng: random.Random) -> bytes:
    wholes = [whole for body in some_streams(rng, 4) if (whole := wrapping.completion(body))]
    return wrapping.batch_output(rng, wholes or [{"choices": []}]).data


def chunks(rng: random.Random) -> bytes:
    docs = wrapping.documents(some_streams(rng, 1)[0])
    return rng.choice([wrapping.chunk_lines(rng, docs).data, wrapping.chunk_array(docs, rng.choice([None, 1])).data])


#: What may lie in a folder: a file's suffix, and what is in it.
KINDS: list[tuple[str, Callable[[random.Random], bytes]]] = [
    (".sse", lambda rng: b"".join(some_streams(rng, 2))),
    (".sse", lambda rng: stream("s") + event("{oops") + part("x")),
    (".jsonl", exchanges),
    (".jsonl", lambda rng: exchanges(rng)[:-60]),
    (".jsonl", lambda rng: exchanges(rng) + b"data: {}\n\n{oops\n" + exchanges(rng)),
    (".jsonl", lambda rng: wrapping.nested(rng, [text.decode() for text in some_streams(rng, 2)]).data),
    (".jsonl", completions),
    (".jsonl", lambda rng: wrapping.reads(rng, some_streams(rng, 3)).data),
    (".jsonl", lambda rng: wrapping.reads(rng, some_streams(rng, 2), ids=False, events=True).data),
    (".jsonl", chunks),
    (".log", lambda rng: b"\xef\xbb\xbf\n\n" + exchanges(rng)),
    (".log", lambda rng: b'{"nothing": "in it"}\n' * 3),
    (".log", lambda rng: b"<html>"),
    (".log", lambda rng: b""),
    (".har", lambda rng: wrapping.har([("text/event-stream", body) for body in some_streams(rng, 2)])),
    (".har", lambda rng: b'{"log": {"entries": [{"a": '),
    (".json.log", lambda rng: b'{"interactions": [], "version": 1}'),
]  # fmt: skip


def write(folder: Path, rng: random.Random, count: int) -> list[str]:
    """So many files, some of them packed; runs of one kind among them."""
    paths = []
    while len(paths) < count:
        suffix, make = rng.choice(KINDS)
        for _ in range(rng.choice([1, 1, 1, 3])):
            data = make(rng)
            is_packed = rng.random() < 0.15
            path = folder / f"{len(paths):04}{suffix}{'.gz' if is_packed else ''}"
            path.write_bytes(gzip.compress(data, mtime=0) if is_packed else data)
            paths.append(str(path))
    return paths


def said(table: chunkwire.UsageTable, **options: Any) -> dict[str, Any]:
    """All that a table says of one source, but for its name."""
    names = [name for name in (*COLUMNS, "valid", "measured") if name != "source"]
    names += MEASURES if options.get("estimate") else ()
    columns = {name: table._column(name).tolist() for name in names}
    columns |= {f"kept {path}": table.kept[path].tolist() for path in options.get("keep", ())}
    columns["raw"] = [table.raw(row) for row in range(len(table))]
    return {name: [repr(value) for value in values] for name, values in columns.items()}


def alone(paths: list[str], engine: str, **options: Any) -> dict[str, Any]:
    """Each file alone: its table, or its error."""
    found: dict[str, Any] = {}
    for path in paths:
        try:
            found[path] = chunkwire.usage(path, engine=engine, threads=1, **options)
        except chunkwire.DecodeError as error:
            found[path] = error
    return found


def check(paths: list[str], each: dict[str, Any], threads: int, engine: str = "native", **options: Any) -> None:
    """Together they say what each says."""
    table = chunkwire.usage(paths, engine=engine, threads=threads, **options)
    read = [path for path in paths if not isinstance(each[path], Exception)]
    assert [(label, type(error), str(error)) for label, error in table.failures] == [
        (path, type(each[path]), str(each[path])) for path in paths if path not in read
    ]
    assert [label for label, _ in table.by_source()] == read
    for label, one in table.by_source():
        assert one.stats == each[label].stats, label
        expected = said(each[label], **options)
        for name, values in said(one, **options).items():
            assert values == expected[name], f"{name} of {label}, {threads} threads"
    assert list(table.source) == [path for path in read for _ in range(len(each[path]))]
    total = sum((each[path].stats for path in read), chunkwire.Stats())
    assert table.stats == total


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write(tmp_path_factory.mktemp("logs"), random.Random(11), 150)


@pytest.mark.parametrize("options", [{}, {"estimate": True, "keep": KEEP}], ids=["plain", "measured and kept"])
@pytest.mark.parametrize("oracle", ["native", "simdjson"])
def test_mixed_folders(
    monkeypatch: pytest.MonkeyPatch, folder: list[str], native: str, options: dict[str, Any], oracle: str
) -> None:
    each = alone(folder, oracle, **options)
    assert sum(isinstance(one, Exception) for one in each.values()) > 3
    assert sum(len(one) for one in each.values() if not isinstance(one, Exception)) > 300
    for threads in (1, 2, 5):
        check(folder, each, threads, **options)
    for split in (1, 3000):
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(split))
        check(folder, each, 3, **options)


TOLD: list[tuple[Wrapped, dict[str, Any]]] = [
    (wrapping.exchanges(random.Random(1), [stream(id).decode() for id in "abc"], "my.own"), {"field": "my.own"}),
    (wrapping.exchanges(random.Random(2), [stream(id).decode() for id in "abc"]), {"format": "jsonl"}),
    (wrapping.exchanges(random.Random(3), [stream(id).decode() for id in "abc"]), {"format": "exchanges"}),
    (wrapping.reads(random.Random(4), [stream(id) for id in "abc"]), {"format": "reads", "id_field": "request_id"}),
    (wrapping.reads(random.Random(5), [stream(id) for id in "abc"]), {"id_field": "user", "time_field": "ts"}),
    (wrapping.chunk_lines(random.Random(6), wrapping.documents(stream("a"))), {"format": "chunks"}),
    (Wrapped(stream("a"), "sse"), {"format": "sse"}),
]


@pytest.mark.parametrize("number", range(len(TOLD)))
@pytest.mark.parametrize("split", [None, 200])
def test_what_the_caller_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str, number: int, split: int | None
) -> None:
    """`format`, `field`, `id_field`, `time_field` and `keep` mean of many files what they mean of each: also of such
    that are of other formats."""
    log, options = TOLD[number]
    if log.format in ("exchanges", "reads"):
        options = options | {"keep": ["user"]}
    rng = random.Random(number)
    paths = write(tmp_path, rng, 12)
    for place in range(12):
        path = tmp_path / f"{place:04}-this.jsonl"
        path.write_bytes(log.data)
        paths.insert(rng.randrange(len(paths)), str(path))
    each = alone(paths, "simdjson", **options)
    if split is not None:
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(split))
    for threads in (1, 3):
        check(paths, each, threads, **options)
    assert len(each[str(tmp_path / "0000-this.jsonl")]) > 0


def test_what_files_hand_on_to_others(tmp_path: Path, native: str) -> None:
    """Shapes that were learned of events serve for no documents, in which completions look like them."""
    whole = wrapping.completion(stream("a"))
    assert whole is not None
    odd = whole | {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    datas = [event(odd) * 3 + DONE, json.dumps(whole).encode() + b"\n", json.dumps(odd).encode() + b"\n"]
    datas += [json.dumps({"response_body": one}).encode() + b"\n" for one in (whole, odd, event(odd).decode())]
    rng = random.Random(3)
    paths = []
    for number in range(120):
        path = tmp_path / f"{number:03}.log"
        path.write_bytes(rng.choice(datas) * rng.choice([1, 3]))
        paths.append(str(path))
    check(paths, alone(paths, "simdjson"), 1)


def test_each_file_is_opened_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str) -> None:
    """Python opens none that the engine reads by itself."""
    rng = random.Random(1)
    for number in range(40):
        (tmp_path / f"{number}.log").write_bytes(KINDS[number % 10][1](rng))
    real, opened = builtins.open, []

    def counted(path: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", counted)
    table = chunkwire.usage(tmp_path, engine=native, threads=2)
    assert (len(list(table.by_source())), [path for path in opened if str(tmp_path) in str(path)]) == (40, [])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the system what was opened")
@pytest.mark.parametrize("suffix", [".log", ".log.gz"])
def test_the_engine_opens_each_file_once(tmp_path: Path, native: str, suffix: str) -> None:
    """What a file is, and how it is packed, is told by the bytes that are read anyway."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    for number, data in enumerate((stream("a"), exchanges(random.Random(2)), stream("b") * 200)):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    code = "import sys, chunkwire; chunkwire.usage(sys.argv[1], engine='native')"
    command = ["strace", "-f", "-e", "trace=openat,open", sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    for number in range(3):
        assert done.stderr.count(f'{number}{suffix}"') == 1


def test_a_large_log_that_cannot_be_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str) -> None:
    """One thread of the pool reads it, while others read others; its bytes are told on the way."""
    monkeypatch.setattr(_reading, "_EVERY", 0)
    monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", "1000")
    rng = random.Random(8)
    logs = [wrapping.reads(rng, [stream(f"{n}-{id}", 20) for id in range(200)]).data for n in range(3)]
    docs = wrapping.documents(stream("c", 3000))
    logs += [wrapping.chunk_array(docs, 2).data, b'{"nothing": "in it"}\n' * 20_000, stream("d", 500)]
    paths = []
    for number, data in enumerate(logs):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(data)
        paths.append(str(path))
    each = alone(paths, "native")
    for threads in (2, 4):
        check(paths, each, threads)
        told: list[int] = []
        chunkwire.usage(paths, engine=native, threads=threads, progress=lambda done, _, told=told: told.append(done))
        assert told == sorted(told)
        assert told[-1] == sum(map(os.path.getsize, paths))

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chunkwire.usage(paths, engine=native, threads=2, progress=stop)


def test_what_is_handed_back_is_in_its_place(tmp_path: Path, native: str) -> None:
    """The engine says so of a file that has to be converted, and Python reads it."""
    paths = []
    for number in range(140):
        path = tmp_path / f"{number:03}.log"
        is_har = number % 50 == 1 or number in (139, 0) or 70 <= number < 80
        path.write_bytes(
            wrapping.har([("text/event-stream", stream(f"id{number}"))]) if is_har else stream(f"id{number}")
        )
        paths.append(str(path))
    found = _engine.load(native).usage_many(paths, Options(), threads=2)
    handed_back = [first for first, *rest in found if not rest]
    assert handed_back == [0, 1, 51, *range(70, 80), 101, 139]
    for threads in (1, 3):
        table = chunkwire.usage(paths, engine=native, threads=threads)
        assert list(table.id) == [f"id{number}" for number in range(140)]
        assert list(table.source) == paths


@pytest.mark.parametrize("what", ["exchanges", "chunks"])
def test_every_place_to_split_a_log_of_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: str, what: str
) -> None:
    """Of one log alone, and among others: the smallest part is every number of bytes there is."""
    body = (stream("a", 1) + event("{oops")).decode()
    if what == "exchanges":
        docs: list[Any] = [{"user": "ann", "response_body": body}, {"user": "bob", "response_body": body[:-90]}]
        docs += [{"response_body": wrapping.completion(stream("a"))}, {"n": 1}, {"response_body": 5}]
    else:
        docs = [*wrapping.documents(stream("a", 1)), {"error": {"message": "no"}}, 5]
    data = b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(doc).encode() for doc in docs)
    data += b"\n\n \n{oops\ndata: {}\n\n" + json.dumps(docs[0]).encode() + b"\n" + json.dumps(docs[1])[:-30].encode()
    path, other = tmp_path / "0.jsonl", tmp_path / "1.sse"
    path.write_bytes(data)
    other.write_bytes(stream("z"))
    options = {"estimate": True} | ({"keep": ["user"]} if what == "exchanges" else {})
    each = alone([str(path), str(other)], "simdjson", **options)
    assert each[str(path)].stats.damaged > 3
    for size in range(1, len(data) + 2):
        monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(size))
        check([str(path)], each, 2, **options)
        if size % 7 == 0:
            check([str(path), str(other)], each, 2, **options)
