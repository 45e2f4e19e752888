"""Usage tables as Arrow data: every cell as the columns say it, without a copy, for every library that takes it; and
what becomes of the memory. Batches of chunks are in `test_arrow_batches`."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import chunkwire
from chunkwire._rows import COLUMNS, TOKENS
from support import SAMPLES, event, recorded

CODED = ("source", "model", "finish_reason", "status")
NUMBERS = ("offset", "created", "chunks", *TOKENS)
FLOATS = ("cost", "time_to_first_token", "generation_time")


@pytest.fixture
def table(engine: str) -> chunkwire.UsageTable:
    return chunkwire.usage(SAMPLES, engine=engine)


def cells(table: chunkwire.UsageTable) -> dict[str, list[Any]]:
    """What every cell is to be: None where the server sent nothing."""
    columns = table.to_dict()
    return {
        name: [value if valid else None for value, valid in zip(columns[name], table.valid(name).tolist(), strict=True)]
        for name in COLUMNS
    }


class Once:
    """Hands out a capsule that is there already."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self.capsule


# --- cells


@pytest.mark.parametrize("path", recorded() + sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.stem)
def test_every_file(engine: str, path: Path) -> None:
    table = chunkwire.usage(path, engine=engine)
    arrow = pyarrow.table(table)
    arrow.validate(full=True)
    assert arrow.to_pydict() == cells(table)
    assert polars.DataFrame(table).to_dict(as_series=False) == cells(table)


def test_all_files_together(engine: str) -> None:
    table = chunkwire.usage([*recorded(), *sorted(SAMPLES.glob("*.sse"))], engine=engine)
    arrow = pyarrow.table(table)
    arrow.validate(full=True)
    assert arrow.to_pydict() == cells(table)
    nulls = {name: column.null_count for name, column in zip(arrow.column_names, arrow.columns, strict=True)}
    assert {name for name, count in nulls.items() if count} >= {
        "id",
        "model",
        "created",
        "finish_reason",
        "cost",
        *TOKENS,
    }
    assert not any(nulls[name] for name in ("source", "offset", "status", "chunks", "reported"))


def test_types(table: chunkwire.UsageTable) -> None:
    kinds = {"id": pyarrow.string(), "reported": pyarrow.bool_()}
    kinds |= dict.fromkeys(CODED, pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
    kinds |= dict.fromkeys(NUMBERS, pyarrow.int64()) | dict.fromkeys(FLOATS, pyarrow.float64())
    expected = pyarrow.schema([(name, kinds[name]) for name in COLUMNS])
    assert pyarrow.table(table).schema == expected
    assert pyarrow.schema(table) == expected
    assert pyarrow.schema(table[:0]) == expected


@pytest.mark.parametrize(
    "rows", [slice(2, 9), slice(None, None, -2), slice(0, 0), [5, 5, 1], [True, False] * 32, "reported"], ids=str
)
def test_picked_rows(table: chunkwire.UsageTable, rows: Any) -> None:
    picked = table[table.reported if rows == "reported" else rows]
    again = picked[::-1]
    for some in (picked, again):
        arrow = pyarrow.table(some)
        arrow.validate(full=True)
        assert arrow.to_pydict() == cells(some)
        # No text that no row has.
        for name in CODED:
            assert set(arrow[name].combine_chunks().dictionary.to_pylist()) == set(cells(some)[name]) - {None}


def test_sources_apart(table: chunkwire.UsageTable) -> None:
    for label, one in table.by_source():
        assert pyarrow.table(one).to_pydict() == cells(one)
        assert set(pyarrow.table(one)["source"].to_pylist()) <= {label}


def test_texts_that_utf8_has_no_bytes_for(engine: str) -> None:
    doc = '{"id": "a\\udc00\\ud800é", "model": "\\ud83dm\\ude00", "choices": [{"finish_reason": "\\ud800"}]}'
    log = event(doc) + event("[DONE]") + event('{"id": "\\ud83d\\ude00", "choices": []}')
    table = chunkwire.usage(log, engine=engine)
    assert table.id.tolist() == ["a\udc00\ud800é", "😀"]
    arrow = pyarrow.table(table)
    arrow.validate(full=True)
    assert arrow["id"].to_pylist() == ["a\ufffd\ufffdé", "😀"]
    assert arrow["model"].to_pylist() == ["\ufffdm\ufffd", None]
    assert arrow["finish_reason"].to_pylist() == ["\ufffd", None]
    assert polars.DataFrame(table)["id"].to_list() == ["a\ufffd\ufffdé", "😀"]


# --- consumers


def test_consumers(table: chunkwire.UsageTable) -> None:
    expected = cells(table)
    frame = polars.DataFrame(table)
    assert frame.to_dict(as_series=False) == expected
    assert frame.schema["model"] == polars.Categorical
    usage = table  # noqa: F841 (by this name)
    assert duckdb.sql("from usage").fetchall() == list(zip(*expected.values(), strict=True))
    total = int(table.total_tokens.sum())
    assert duckdb.sql("select sum(total_tokens) from usage").fetchall() == [(total,)]
    panda = pandas.DataFrame.from_arrow(table)
    assert panda["total_tokens"].sum() == total
    assert panda["model"].astype(object).where(panda["model"].notna(), None).tolist() == expected["model"]


def test_no_rows(engine: str) -> None:
    usage = chunkwire.usage(b"", engine=engine)
    assert pyarrow.table(usage).to_pydict() == {name: [] for name in COLUMNS}
    assert polars.DataFrame(usage).shape == pandas.DataFrame.from_arrow(usage).shape == (0, 22)
    assert duckdb.sql("select count(*) from usage").fetchall() == [(0,)]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_polars_and_duckdb_need_no_pyarrow(engine: str) -> None:
    code = f"""
import sys
sys.modules["pyarrow"] = None
import chunkwire, duckdb, polars
usage = chunkwire.usage({str(SAMPLES)!r}, engine={engine!r})
batches = chunkwire.batches({str(SAMPLES / "openai.sse")!r}, engine={engine!r}, size=7)
print(len(polars.DataFrame(usage)), len(polars.DataFrame(batches)))
print(*duckdb.sql("select count(*) from usage").fetchall()[0])
"""
    rows = len(chunkwire.usage(SAMPLES))
    chunks = sum(1 for _ in chunkwire.decode(SAMPLES / "openai.sse"))
    assert run(code) == f"{rows} {chunks}\n{rows}"


def test_where_the_extension_module_is_absent() -> None:
    code = """
import sys
sys.modules["chunkwire._native"] = None
import chunkwire
usage, batches = chunkwire.usage(b'data: {"choices":[]}\\n\\n'), chunkwire.batches(b'')
for what in (usage.__arrow_c_stream__, usage.__arrow_c_schema__, batches.__arrow_c_stream__):
    try:
        what()
    except ImportError as error:
        print(error)
"""
    for line in run(code).splitlines():
        assert line.startswith("Arrow data needs chunkwire's extension module, which is not in this installation (no")


# --- requested schemas


def schema_with(table: chunkwire.UsageTable, **kinds: Any) -> pyarrow.Schema:
    return pyarrow.schema([(field.name, kinds.get(field.name, field.type)) for field in pyarrow.schema(table)])


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()], ids=str)
def test_texts_in_the_layout_that_is_requested(table: chunkwire.UsageTable, kind: Any) -> None:
    wanted = schema_with(table, **dict.fromkeys((*CODED, "id"), kind))
    reader = pyarrow.RecordBatchReader.from_stream(table, schema=wanted)
    assert reader.schema == wanted
    arrow = reader.read_all()
    arrow.validate(full=True)
    assert arrow.to_pydict() == cells(table)


def test_large_dictionaries_where_requested(table: chunkwire.UsageTable) -> None:
    large = pyarrow.dictionary(pyarrow.int32(), pyarrow.large_string())
    reader = pyarrow.RecordBatchReader.from_stream(table, schema=schema_with(table, model=large))
    assert reader.schema.field("model").type == large
    assert reader.read_all()["model"].to_pylist() == cells(table)["model"]


def test_what_the_consumer_has_to_convert_itself(table: chunkwire.UsageTable) -> None:
    wanted = schema_with(table, chunks=pyarrow.int32(), cost=pyarrow.float32(), id=pyarrow.large_binary())
    capsule = table.__arrow_c_stream__(wanted.__arrow_c_schema__())
    assert pyarrow.table(Once(capsule)).schema == pyarrow.schema(table)
    assert pyarrow.table(table, schema=schema_with(table, chunks=pyarrow.int32()))["chunks"].type == pyarrow.int32()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (lambda _: pyarrow.schema([]), "the requested schema has 0 fields, there are 22"),
        (
            lambda table: pyarrow.schema([field.with_name("x") for field in pyarrow.schema(table)]),
            'the requested schema has a field "x" where there is "source"',
        ),
        (
            lambda table: schema_with(table, id=pyarrow.list_(pyarrow.int8())),
            'column "id" is Utf8, which cannot become',
        ),
    ],
    ids=["fields", "names", "nested"],
)
def test_requests_that_no_table_can_meet(table: chunkwire.UsageTable, schema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table.__arrow_c_stream__(schema(table).__arrow_c_schema__())


def test_what_is_no_schema(table: chunkwire.UsageTable) -> None:
    with pytest.raises(TypeError, match="PyCapsule"):
        table.__arrow_c_stream__(5)
    with pytest.raises(ValueError, match="incorrect name"):
        table.__arrow_c_stream__(table.__arrow_c_stream__())
    capsule = table.__arrow_c_schema__()
    pyarrow.Schema._import_from_c_capsule(capsule)
    with pytest.raises(ValueError, match="the requested schema was released"):
        table.__arrow_c_stream__(capsule)


# --- memory


def address(arrow: pyarrow.Table, name: str) -> int:
    (chunk,) = arrow[name].chunks
    memory: int = chunk.buffers()[1].address
    return memory


@pytest.mark.parametrize("rows", [slice(None), slice(3, 40)], ids=["whole", "picked"])
def test_numbers_are_not_copied(table: chunkwire.UsageTable, rows: slice) -> None:
    table = table[rows] if rows != slice(None) else table
    arrow = pyarrow.table(table)
    for name in (*NUMBERS, *FLOATS):
        assert address(arrow, name) == getattr(table, name).ctypes.data, name


def test_arrow_data_outlives_the_table(table: chunkwire.UsageTable) -> None:
    expected = cells(table)
    arrow, frame = pyarrow.table(table), polars.DataFrame(table)
    del table
    gc.collect()
    ballast = [np.full(1000, -1) for _ in range(1000)]  # whoever has freed memory, writes to it
    assert arrow.slice(3, 20).to_pydict() == {name: values[3:23] for name, values in expected.items()}
    assert frame[10:].to_dict(as_series=False) == {name: values[10:] for name, values in expected.items()}
    assert len(ballast) == 1000


def test_the_last_owner_lets_go(table: chunkwire.UsageTable) -> None:
    column = table.prompt_tokens
    before = sys.getrefcount(column)
    capsule = table.__arrow_c_stream__()
    assert sys.getrefcount(column) > before
    del capsule  # which nobody has consumed
    assert sys.getrefcount(column) == before
    arrow = pyarrow.table(table)
    part = arrow.slice(2, 3)
    del arrow
    assert sys.getrefcount(column) > before
    del part
    assert sys.getrefcount(column) == before
    frame = polars.DataFrame(table)
    assert sys.getrefcount(column) > before
    del frame
    gc.collect()
    assert sys.getrefcount(column) == before


def test_a_capsule_is_consumed_once(table: chunkwire.UsageTable) -> None:
    capsule = table.__arrow_c_stream__()
    assert pyarrow.table(Once(capsule)).num_rows == len(table)
    with pytest.raises(pyarrow.ArrowInvalid, match="released"):
        pyarrow.table(Once(capsule))
    with pytest.raises(ValueError, match="released"):
        polars.DataFrame(Once(capsule))
    assert pyarrow.table(table).num_rows == len(table), "each call gives a new one"


@pytest.mark.skipif(sys.platform != "linux", reason="POSIX threads by ctypes")
@pytest.mark.parametrize("library", [ctypes.CDLL, ctypes.PyDLL], ids=["lock free", "lock held"])
def test_a_thread_that_python_does_not_know_lets_go(table: chunkwire.UsageTable, library: Any) -> None:
    """It does not wait for Python's lock, which whoever waits for it may hold; Python's main thread does the work."""
    column = table.prompt_tokens
    before = sys.getrefcount(column)
    from chunkwire import _native

    _, capsule = _native.export_array([("prompt_tokens", "int64", column, None)], len(column), None)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    array = get(capsule, b"arrow_array")
    # struct ArrowArray: five int64, then buffers, children, dictionary, release.
    release = ctypes.cast(array, ctypes.POINTER(ctypes.c_void_p))[8]
    threads = library(None)
    thread = ctypes.c_ulong()
    start = threads.pthread_create
    start.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    assert sys.getrefcount(column) > before
    assert start(ctypes.byref(thread), None, release, array) == 0
    assert threads.pthread_join(thread, None) == 0
    for _ in range(100):  # the main thread comes to its pending calls when it takes the lock again
        time.sleep(0.001)
    assert sys.getrefcount(column) == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_many_exports() -> None:
    code = """
import chunkwire, polars, pyarrow
stream = b'data: {"id":"id-%06d","choices":[],"usage":{"prompt_tokens":5}}\\n\\ndata: [DONE]\\n\\n'
log = b"".join(stream % i for i in range(20_000))
usage = chunkwire.usage(log)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def export():
    usage.__arrow_c_stream__(), usage.__arrow_c_schema__()
    polars.DataFrame(usage), pyarrow.table(usage)
    polars.DataFrame(chunkwire.batches(log[: 2000 * len(stream % 0)]))
for _ in range(30):
    export()
before = resident()
for _ in range(150):
    export()
print((resident() - before) >> 20)
"""
    # An export has some 2 MiB of its own.
    assert int(run(code)) < 30


# --- what Python says of its columns

NUMBERS_OF = np.arange(3)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (("n", "int64", NUMBERS_OF[:2], None), ValueError, "expected 3 numbers of 8 bytes, found 16 bytes"),
        (("n", "int64", NUMBERS_OF, b"\1\1"), ValueError, "expected 3 numbers of 1 bytes, found 2 bytes"),
        (("n", "int64", np.arange(6)[::2], None), ValueError, "has to be contiguous"),
        (("n", "int64", [1, 2, 3], None), TypeError, "bytes-like"),
        (("n", "float32", NUMBERS_OF, None), ValueError, 'unknown kind of column: "float32"'),
        (("n", "coded", np.array([0, 1, 2], "int32"), ["a", "b"]), ValueError, "Invalid dictionary key 2"),
        (("n", "texts", ["a"]), ValueError, "must have the specified row count"),
        (("n", "texts", ["a", 5, "b"]), TypeError, "int"),
        (("n", "joined", b"abc", np.array([0, 3, 2]), None), ValueError, "not where they are said to be"),
        (("n", "joined", b"abc", np.array([0, 3, 4]), None), ValueError, "not where they are said to be"),
        (("n", "joined", b"abc", np.array([-1, 3, 3]), None), ValueError, "not where they are said to be"),
        (("n", "joined", "é".encode(), np.array([1, 2, 2]), None), ValueError, "not where they are said to be"),
        (("n", "joined", b"\xff\xed", np.array([1, 2, 2]), None), ValueError, "not where they are said to be"),
        (("n",), IndexError, "index out of range"),
    ],
)
def test_columns_that_cannot_be(native: str, column: Any, error: type[Exception], message: str) -> None:
    from chunkwire import _native

    with pytest.raises(error, match=message):
        _native.export_stream([column], 3, None)


def test_memory_that_others_may_write_to_is_copied(native: str) -> None:
    from chunkwire import _native

    numbers = np.arange(3)
    memory = bytearray(24)
    capsule = _native.export_stream([("a", "int64", numbers, None), ("b", "int64", memory, None)], 3, None)
    numbers[:] = 9
    memory[0] = 9
    assert pyarrow.table(Once(capsule)).to_pydict() == {"a": [0, 1, 2], "b": [0, 0, 0]}


def test_memory_at_any_address(native: str) -> None:
    from chunkwire import _native

    data = np.arange(3).tobytes()
    odd = memoryview(b"x" + data)[1:]
    assert pyarrow.table(Once(_native.export_stream([("a", "int64", odd, None)], 3, None)))["a"].to_pylist() == [
        0,
        1,
        2,
    ]


def test_offsets_of_32_bits_do_not_overflow(native: str) -> None:
    """Texts that may have 2 GiB get offsets of 64 bits. (It is one str many times, and no array is made of it.)"""
    from chunkwire import _native

    many = ["x" * (1 << 20)] * 513
    columns = [("id", "texts", many), ("model", "coded", b"", many), ("few", "texts", many[:3])]
    schema = pyarrow.Schema._import_from_c_capsule(_native.export_schema(columns))
    large = pyarrow.large_string()
    assert schema.types == [large, pyarrow.dictionary(pyarrow.int32(), large), pyarrow.string()]
    codes = np.zeros(1000, "int32")
    wanted = pyarrow.schema([("model", pyarrow.string())])
    capsule = _native.export_stream([("model", "coded", codes, many[:1])], 1000, wanted.__arrow_c_schema__())
    assert pyarrow.table(Once(capsule)).schema.types == [pyarrow.dictionary(pyarrow.int32(), pyarrow.string())]


def test_columns_that_were_asked_for_are_in_it() -> None:
    prices = {"aster-4-mini": {"input_cost_per_token": 0.5, "output_cost_per_token": 1.0}}
    table = chunkwire.usage("tests/samples", estimate=True).with_costs(prices)
    arrow = pyarrow.table(table)
    assert arrow.column_names == list(table.to_dict())
    expected = table.to_dict()
    for name in ("content_deltas", "text_bytes", "estimated_completion_tokens", "estimated_low", "computed_cost"):
        assert arrow[name].to_pylist() == expected[name]
    assert arrow["computed_cost"].null_count < len(table)
