"""`batches`, the chunks of a source as columns: what `decode` gives, in rows, and errors in their places.

The sources are recordings ($CHUNKWIRE_STREAMS), samples and generated logs; the reference is what the oracle reads, by
the rules that `ChunkBatch` states.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
import logs
from chunkwire import ChunkBatch
from hostile import Hostile
from oracle import Result, oracle
from oracle_streams import oracle_numbers, oracle_rows
from support import SAMPLES, assert_counts, canonical, chunk_json, drain, event, full, full_of, recorded
from views import content_of

FILES = recorded() + sorted(SAMPLES.glob("*.sse"))
BAD = b"data: {bad\n\n"


def row_of(doc: Any, offset: int, stream: int) -> dict[str, Any]:
    """What the row of a chunk is to be."""

    def text(value: Any) -> str | None:
        return value if isinstance(value, str) else None

    choices = doc.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    index = choice.get("index")
    if type(index) is float and math.isfinite(index) and index == int(index):
        index = int(index)
    fits = type(index) is int and -(1 << 63) <= index < 1 << 63
    return {
        "stream": stream,
        "offset": offset,
        "id": text(doc.get("id")),
        "model": text(doc.get("model")),
        "index": index if fits else -1,
        "content": text(content_of(doc)),
        "finish_reason": text(choice.get("finish_reason")),
    }


def expected_of(result: Result, size: int) -> list[Any]:
    """Batches as lists of rows, and errors: a batch ends where it is full, and before an error."""
    found: list[Any] = []
    rows: list[Any] = []
    numbers = iter(oracle_numbers(result))
    for item, one in zip(result.given, full_of(result), strict=True):
        if item.what == "chunk":
            rows.append(row_of(item.doc, item.offset, next(numbers)))
        if rows and (item.what != "chunk" or len(rows) == size):
            found.append(rows)
            rows = []
        if item.what != "chunk":
            found.append(one)
    return [*found, rows] if rows else found


def shown(found: list[Any]) -> list[Any]:
    return [list(one) if isinstance(one, ChunkBatch) else full([one])[0] for one in found]


def assert_batches(engine: str, source: Any, result: Result, size: int, **options: Any) -> None:
    batches = chunkwire.batches(source, engine=engine, size=size, **options)
    found = shown(drain(batches))
    assert canonical(found) == canonical(expected_of(result, size))
    assert_counts(batches.stats, result)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files(engine: str, path: Path) -> None:
    result = oracle(path.read_bytes())
    for size in (1, 7, 1 << 16):
        assert_batches(engine, path, result, size)


@pytest.mark.parametrize("shapes", ["1", "0"])
def test_hostile_logs(engine: str, monkeypatch: pytest.MonkeyPatch, shapes: str) -> None:
    monkeypatch.setenv("CHUNKWIRE_SHAPES", shapes)
    for seed in range(20):
        data = Hostile(2000 + seed).write(12).data
        assert_batches(engine, data, oracle(data), 50)
    rng = random.Random(5)
    streams = [logs.stream(rng, server, 12) for server in logs.SERVERS]
    data, result = logs.joined(logs.interleaved(rng, streams, 8))
    assert_batches(engine, iter(logs.cuts(rng, data)), result, 64)


INDEXES = ["0", "3", "-2", "1.0", "1.5", "1e2", "true", "null", '"1"', "[]", str(2**63), str(-(2**63)), "NaN"]
CHOICES = ["null", "{}", "[]", "[[]]", "[null]", '[{"delta":5,"index":4}]', '[{"delta":{"content":null}}]', '"x"']
TEXTS = ['"\\ud800"', '"\\ud83d\\ude00"', '""', '"\\u0000"', '"é"', "5", "null", '["a"]', '{"a":1}']


@pytest.mark.parametrize("shapes", ["1", "0"])
def test_values_of_any_kind(engine: str, monkeypatch: pytest.MonkeyPatch, shapes: str) -> None:
    monkeypatch.setenv("CHUNKWIRE_SHAPES", shapes)
    events = [f'{{"choices":[{{"index":{index},"delta":{{"content":"x"}}}}]}}' for index in INDEXES]
    events += [f'{{"choices":{choices},"id":"a"}}' for choices in CHOICES]
    for text in TEXTS:
        choice = f'{{"finish_reason":{text},"delta":{{"content":{text}}}}}'
        events.append(f'{{"id":{text},"model":{text},"choices":[{choice},{{"index":9}}]}}')
    data = b"".join(b"data: " + one.encode() + b"\n\n" for one in [*events, *events])
    result = oracle(data)
    assert sum(item.what == "chunk" for item in result.given) > 50
    assert_batches(engine, data, result, 1000)


def chunk(content: Any, **members: Any) -> bytes:
    return event(chunk_json(choices=[{"index": 0, "delta": {"content": content}}], **members))


def test_columns(engine: str) -> None:
    data = chunk("Hé", id="a", model="m") + chunk(None, id="b", model="m") + chunk("", id="a", model="m")
    (batch,) = chunkwire.batches(data, engine=engine)
    assert len(batch) == 3
    assert batch.content.tolist() == ["Hé", None, ""]
    assert bytes(batch.content_bytes) == "Hé".encode()
    assert batch.content_end.tolist() == [3, 3, 3]
    assert batch.has_content.tolist() == [True, False, True]
    codes, texts = batch.codes("id")
    assert (codes.tolist(), texts) == ([0, 1, 0], ["a", "b"])
    assert batch.id.tolist() == ["a", "b", "a"]
    dtypes = {name: getattr(batch, name).dtype.name for name in dir(batch) if name in ChunkBatch.__annotations__}
    assert dtypes == {
        **dict.fromkeys(("stream", "offset", "index", "content_end"), "int64"),
        **dict.fromkeys(("id", "model", "content", "finish_reason"), "object"),
        "content_bytes": "uint8",
        "has_content": "bool",
    }
    for name in dtypes:
        with pytest.raises(ValueError, match="read-only"):
            getattr(batch, name)[0] = getattr(batch, name)[0]
    assert batch[1] == batch[-2] == {**dict(batch[1]), "content": None, "id": "b"}
    with pytest.raises(IndexError):
        batch[3]
    with pytest.raises(AttributeError, match="a batch has no column 'contents'; columns: stream, offset, id, "):
        batch.contents  # noqa: B018
    with pytest.raises(AttributeError, match="'content' is no column of texts that repeat; those are id, model"):
        batch.codes("content")
    assert repr(batch) == "<ChunkBatch of 3 chunks from offset 0: 3 bytes of content>"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_number_of_a_stream_is_its_row(engine: str, path: Path) -> None:
    """In all logs but those where a part under another id turned out to be a stream: of these there is none."""
    usage = chunkwire.usage(path, engine=engine)
    found = [batch.stream for batch in chunkwire.batches(path, engine=engine, on_error="skip")]
    counts = np.bincount(np.concatenate([*found, np.zeros(0, np.int64)]), minlength=len(usage))
    assert counts.tolist() == usage.chunks.tolist()


def test_streams_under_several_ids(engine: str) -> None:
    def ids(*names: str) -> list[int]:
        data = b"".join(chunk("x", id=name) if name != "." else event("[DONE]") for name in names)
        (batch,) = chunkwire.batches(data, engine=engine)
        return list(batch.stream)

    assert ids("a", "b", "b", ".", "c") == [0, 0, 0, 1]
    assert ids("a", "b", "a", "b", "a") == [0, 0, 0, 1, 0], "they were two, which is known from then on"
    assert ids("a", "b", "c", "a", "c", "b", "c") == [0, 0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("seed", range(6))
def test_streams_that_have_ended_are_forgotten(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Here after a few chunks, and what is said of later ones stays the same. (For the other engine this is a test in
    Rust.)"""
    from chunkwire import _columns

    monkeypatch.setattr(_columns, "_REMEMBERED", 1 + seed)
    rng = random.Random(seed)
    names = [rng.choice("abcde") for _ in range(300)]
    kinds = [rng.choice(["first", "part", "part", "part", "last", "done", "error", "damage"]) for _ in names]
    events = {"done": event("[DONE]"), "error": event('{"error": {"message": "no"}}'), "damage": BAD}
    data = b""
    for name, kind in zip(names, kinds, strict=True):
        delta = {"role": "assistant"} if kind == "first" else {"content": "x"}
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if kind == "last" else None}
        data += events.get(kind) or event(chunk_json(id=name, choices=[choice]))
    result = oracle(data)
    assert len(oracle_rows(result)[0]) > 20
    assert_batches("simdjson", data, result, 64)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_many_streams(engine: str) -> None:
    streams = 400_000 if engine == "native" else 80_000
    code = f"""
import chunkwire
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def source():
    event = b'data: {{"id":"%d","choices":[{{}}]}}\\n\\ndata: [DONE]\\n\\n'
    for first in range(0, {streams}, 100):
        yield b"".join(event % number for number in range(first, first + 100))
last, before = -1, None
for batch in chunkwire.batches(source(), engine={engine!r}, size=10_000):
    last = batch.stream[-1]
    before = before or resident()
print(last, (resident() - before) >> 20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    last, grown = map(int, done.stdout.split())
    assert last == streams - 1
    assert grown < 15, "MiB; what is known of the streams would take some 40 to 100"


def test_an_error_comes_behind_the_chunks_before_it(engine: str) -> None:
    data = chunk("a") + BAD + chunk("b") + chunk("c") + BAD + BAD
    batches = chunkwire.batches(data, engine=engine)
    found = drain(batches)
    kinds = [one.content.tolist() if isinstance(one, ChunkBatch) else type(one).__name__ for one in found]
    assert kinds == [["a"], "DecodeError", ["b", "c"], "DecodeError", "DecodeError"]
    assert next(batches, None) is None
    (whole,) = chunkwire.batches(data, engine=engine, on_error="skip")
    assert whole.content.tolist() == ["a", "b", "c"]


def test_large_contents_fill_a_batch(engine: str) -> None:
    text = "x" * (33 << 20)
    batches = list(chunkwire.batches(iter([chunk(text), chunk(text), chunk("end")]), engine=engine))
    assert [len(batch) for batch in batches] == [2, 1]
    assert [int(batch.content_end[-1]) for batch in batches] == [66 << 20, 3]


def test_nothing(engine: str) -> None:
    assert list(chunkwire.batches(b"", engine=engine)) == []
    assert list(chunkwire.batches(b"data: [DONE]\n\n", engine=engine)) == []


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "size must be at least 1, not 0"),
        (-5, ValueError, "size must be at least 1, not -5"),
        (1.5, TypeError, "size must be an integer, not float"),
        (True, TypeError, "size must be an integer, not bool"),
    ],
)
def test_wrong_sizes(engine: str, size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        chunkwire.batches(b"", engine=engine, size=size)


def test_a_batch_outlives_its_source(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(chunk("a") * 100)
    batches = list(chunkwire.batches(path, engine=engine, size=30))
    path.unlink()
    assert [len(batch) for batch in batches] == [30, 30, 30, 10]
    assert np.concatenate([batch.offset for batch in batches]).tolist() == [i * len(chunk("a")) for i in range(100)]
    assert all(set(batch.content) == {"a"} for batch in batches)
