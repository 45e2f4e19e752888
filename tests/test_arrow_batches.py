"""Batches of chunks as Arrow data: one, or all as a stream that reads when it is asked and stops at damage."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pytest

import chunkwire
from chunkwire._batches import COLUMNS
from support import SAMPLES, chunk_json, event, recorded

BAD = b"data: {bad\n\n"
CODED = ("id", "model", "finish_reason")


def chunk(content: Any, **members: Any) -> bytes:
    return event(chunk_json(choices=[{"index": 0, "delta": {"content": content}}], **members))


def cells(batch: chunkwire.ChunkBatch) -> dict[str, list[Any]]:
    """What every cell is to be: the index -1 says that there is none."""
    columns = batch.to_dict()
    return columns | {"index": [None if index == -1 else index for index in columns["index"]]}


def whole(source: Any, **options: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for batch in chunkwire.batches(source, **options):
        for name, values in cells(batch).items():
            found[name] += values
    return found


@pytest.mark.parametrize("path", recorded() + sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.stem)
def test_every_file(engine: str, path: Path) -> None:
    options: dict[str, Any] = {"engine": engine, "on_error": "skip", "size": 50}
    expected = whole(path, **options)
    reader = pyarrow.RecordBatchReader.from_stream(chunkwire.batches(path, **options))
    arrow = reader.read_all()
    arrow.validate(full=True)
    assert arrow.to_pydict() == expected
    assert all(0 < batch.num_rows <= 50 for batch in arrow.to_batches())
    assert polars.DataFrame(chunkwire.batches(path, **options)).to_dict(as_series=False) == expected


def test_types(engine: str) -> None:
    batches = chunkwire.batches(SAMPLES / "openai.sse", engine=engine)
    coded = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = dict.fromkeys(CODED, coded) | {"content": pyarrow.string()}
    expected = pyarrow.schema([(name, kinds.get(name, pyarrow.int64())) for name in COLUMNS])
    assert pyarrow.schema(batches) == expected
    batch = next(batches)
    assert pyarrow.schema(batch) == expected
    assert pyarrow.record_batch(batch).schema == expected
    assert pyarrow.table(batch).schema == expected


def test_one_batch(engine: str) -> None:
    for batch in chunkwire.batches(SAMPLES / "interleaved.sse", engine=engine, size=20):
        arrow = pyarrow.record_batch(batch)
        arrow.validate(full=True)
        assert arrow.to_pydict() == cells(batch)
        assert polars.DataFrame(batch).to_dict(as_series=False) == cells(batch)
        assert len(pandas.DataFrame.from_arrow(batch)) == len(batch)
        assert duckdb.sql("from batch").fetchall() == list(zip(*cells(batch).values(), strict=True))
        memory = batch.offset.ctypes.data
        assert arrow["offset"].buffers()[1].address == memory, "not copied"
        assert arrow["content"].buffers()[2].address == batch.content_bytes.ctypes.data
        assert arrow.slice(3, 5).to_pydict() == {name: values[3:8] for name, values in cells(batch).items()}


def test_consumers(engine: str) -> None:
    def batches() -> chunkwire._batches.Batches:
        return chunkwire.batches(SAMPLES / "interleaved.sse", engine=engine, size=20)

    expected = whole(SAMPLES / "interleaved.sse", engine=engine)
    log = batches()
    assert duckdb.sql("from log").fetchall() == list(zip(*expected.values(), strict=True))
    assert list(log) == [], "it is a stream, which is read once"
    panda = pandas.DataFrame.from_arrow(batches())
    assert panda["offset"].tolist() == expected["offset"]
    assert pyarrow.table(batches()).to_pydict() == expected


def test_nothing(engine: str) -> None:
    def batches() -> Any:
        return chunkwire.batches(b": hello\n\ndata: [DONE]\n\n", engine=engine)

    empty = {name: [] for name in COLUMNS}
    assert pyarrow.RecordBatchReader.from_stream(batches()).read_all().to_pydict() == empty
    assert polars.DataFrame(batches()).shape == pandas.DataFrame.from_arrow(batches()).shape == (0, len(COLUMNS))
    log = batches()  # noqa: F841 (by this name)
    assert duckdb.sql("select count(*) from log").fetchall() == [(0,)]


def test_texts_that_utf8_has_no_bytes_for(engine: str) -> None:
    text = '"\\ud800é\\ud83d\\ude00\\udfff"'
    choice = f'{{"finish_reason": {text}, "delta": {{"content": {text}}}}}'
    log = event(f'{{"id": {text}, "model": {text}, "choices": [{choice}]}}') + chunk("plain")
    (batch,) = chunkwire.batches(log, engine=engine)
    assert batch.content[0] == "\ud800é😀\udfff"
    arrow = pyarrow.record_batch(batch)
    arrow.validate(full=True)
    for name in (*CODED, "content"):
        assert arrow[name][0].as_py() == "\ufffdé😀\ufffd", name
    assert arrow["content"][1].as_py() == "plain"


# --- a stream reads when it is asked


def test_a_batch_is_read_when_it_is_wanted(engine: str) -> None:
    pulled = 0

    def source() -> Iterator[bytes]:
        nonlocal pulled
        for number in range(1000):
            pulled += 1
            yield chunk(str(number))

    reader = pyarrow.RecordBatchReader.from_stream(chunkwire.batches(source(), engine=engine, size=10))
    assert pulled == 0
    assert reader.read_next_batch()["content"].to_pylist() == [str(number) for number in range(10)]
    assert pulled <= 11
    assert reader.read_next_batch().num_rows == 10
    assert pulled <= 21


def test_on_another_thread(engine: str) -> None:
    reader = pyarrow.RecordBatchReader.from_stream(chunkwire.batches(iter([chunk("a")] * 100), engine=engine, size=7))
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(reader.read_all().num_rows))
    thread.start()
    thread.join()
    assert found == [100]


def test_the_rest_of_batches(engine: str) -> None:
    batches = chunkwire.batches(b"".join(chunk(str(number)) for number in range(9)), engine=engine, size=3)
    assert next(batches).content.tolist() == ["0", "1", "2"]
    assert pyarrow.table(batches)["content"].to_pylist() == [str(number) for number in range(3, 9)]
    assert batches.stats.chunks == 9


def test_a_stream_that_nobody_reads_lets_its_source_go(engine: str) -> None:
    class Source:
        def __iter__(self) -> Source:
            return self

        def __next__(self) -> bytes:
            return chunk("a")

    source = Source()
    gone = weakref.ref(source)
    batches = chunkwire.batches(source, engine=engine, size=10)
    capsule = batches.__arrow_c_stream__()
    reader = pyarrow.RecordBatchReader.from_stream(batches)
    assert reader.read_next_batch().num_rows == 10
    del source, batches, capsule
    gc.collect()
    assert gone() is not None
    del reader
    gc.collect()
    assert gone() is None


# --- damage


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (BAD, "invalid JSON at byte 1 of the event's data"),
        (event('{"error": {"message": "over\\u0000loaded"}}'), "over\ufffdloaded"),
        (event("5"), "a JSON number that is no chunk"),
    ],
    ids=["damage", "server", "no chunk"],
)
def test_damage_is_an_error_of_the_stream(engine: str, bad: bytes, message: str) -> None:
    log = chunk("a") * 5 + bad + chunk("b")
    (first, error, *_) = told(log, engine)
    assert isinstance(first, chunkwire.ChunkBatch)
    expected = str(error).replace("\0", "\ufffd")
    assert message in expected
    for read in (
        polars.DataFrame,
        pyarrow.table,
        pandas.DataFrame.from_arrow,
        lambda batches: duckdb.sql("from batches").fetchall(),
    ):
        with pytest.raises(Exception, match="offset") as raised:
            read(chunkwire.batches(log, engine=engine))
        assert expected in str(raised.value)


def told(log: bytes, engine: str) -> list[Any]:
    batches = chunkwire.batches(log, engine=engine)
    found: list[Any] = []
    while True:
        try:
            found.append(next(batches))
        except StopIteration:
            return found
        except chunkwire.ChunkwireError as error:
            found.append(error)


def test_nothing_comes_behind_an_error(engine: str) -> None:
    batches = chunkwire.batches(chunk("a") + BAD + chunk("b"), engine=engine)
    reader = pyarrow.RecordBatchReader.from_stream(batches)
    assert reader.read_next_batch()["content"].to_pylist() == ["a"]
    for _ in range(2):
        with pytest.raises(pyarrow.ArrowInvalid, match="invalid_json"):
            reader.read_next_batch()
    assert next(batches).content.tolist() == ["b"], "as ever, the batches themselves go on"


def test_an_error_of_the_source(engine: str) -> None:
    def source() -> Iterator[bytes]:
        yield chunk("a") * 20
        raise OSError("the disk is gone")

    with pytest.raises(pyarrow.ArrowInvalid, match="the disk is gone"):
        pyarrow.table(chunkwire.batches(source(), engine=engine, size=10))


def test_skipped_damage(engine: str) -> None:
    batches = chunkwire.batches(chunk("a") + BAD + chunk("b"), engine=engine, on_error="skip")
    assert polars.DataFrame(batches)["content"].to_list() == ["a", "b"]
    assert batches.stats.damaged == 1


# --- requested schemas


def test_texts_in_the_layout_that_is_requested(engine: str) -> None:
    for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()):
        kinds = dict.fromkeys((*CODED, "content"), kind)
        wanted = pyarrow.schema([(name, kinds.get(name, pyarrow.int64())) for name in COLUMNS])
        batches = chunkwire.batches(SAMPLES / "interleaved.sse", engine=engine, size=20)
        reader = pyarrow.RecordBatchReader.from_stream(batches, schema=wanted)
        assert reader.schema == wanted
        assert reader.read_all().to_pydict() == whole(SAMPLES / "interleaved.sse", engine=engine)
        (batch,) = chunkwire.batches(SAMPLES / "interleaved.sse", engine=engine)
        arrow = pyarrow.record_batch(batch, schema=wanted)
        assert arrow.schema == wanted
        assert arrow.to_pydict() == cells(batch)


def test_requests_that_no_batch_can_meet(engine: str) -> None:
    batches = chunkwire.batches(chunk("a"), engine=engine)
    for one in (batches, next(batches)):
        with pytest.raises(ValueError, match="the requested schema has 1 fields, there are 7"):
            one.__arrow_c_stream__(pyarrow.schema([("a", pyarrow.int8())]).__arrow_c_schema__())
