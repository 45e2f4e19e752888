"""`UsageTable` and `Summary`: columns, rows, selections, sums, and how they print."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
from chunkwire import _engine
from chunkwire._options import Options
from support import SAMPLES, chunk_json, event

TOKENS = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
]
COLUMNS = [
    *("source", "offset", "id", "model", "created", "finish_reason", "status", "chunks", "reported"),
    *TOKENS,
    "cost",
    "time_to_first_token",
    "generation_time",
]
DONE = event("[DONE]")
DAY = 86400


def stream(
    id: str | None, *, usage: Any = None, done: bool = True, finish: str | None = "stop", **fields: Any
) -> bytes:
    """A stream of one chunk."""
    choices = [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": finish}]
    fields = {"id": id, "choices": choices} | fields
    if usage is not None:
        fields["usage"] = usage
    return event(chunk_json(**fields)) + (DONE if done else b"")


def tokens(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | more


STREAMS = [
    stream("a", usage=tokens(5, 2, prompt_tokens_details={"cached_tokens": 1}), model="small", created=20 * DAY),
    stream("b", usage=tokens(50, 20, cost=0.25), model="large", created=21 * DAY),
    stream("c", model="large", created=20 * DAY + DAY - 1, done=False),
    stream("d", usage=tokens(7, 1, cost=0.5), model="", created=0, finish="length"),
    stream(None, usage={"prompt_tokens": "many", "total_tokens": 3.0}, model="small", created=21 * DAY),
]
LOG = b"".join(STREAMS)


@pytest.fixture
def table(engine: str) -> chunkwire.UsageTable:
    return chunkwire.usage(LOG, engine=engine)


# --- columns


def test_columns(table: chunkwire.UsageTable) -> None:
    assert len(table) == 5
    assert table.prompt_tokens.tolist() == [5, 50, 0, 7, 0]
    assert table.completion_tokens.tolist() == [2, 20, 0, 1, 0]
    assert table.total_tokens.tolist() == [7, 70, 0, 8, 3]
    assert table.cached_tokens.tolist() == [1, 0, 0, 0, 0]
    assert table.reported.tolist() == [True, True, False, True, True]
    assert table.model.tolist() == ["small", "large", "large", None, "small"]
    assert table.id.tolist() == ["a", "b", "c", "d", None]
    assert table.created.tolist() == [20 * DAY, 21 * DAY, 21 * DAY - 1, 0, 21 * DAY]
    assert table.finish_reason.tolist() == ["stop", "stop", "stop", "length", "stop"]
    assert table.status.tolist() == ["complete", "complete", "no_done", "complete", "complete"]
    assert table.chunks.tolist() == [1] * 5
    assert table.source.tolist() == ["<bytes>"] * 5
    assert table.offset.tolist() == [len(b"".join(STREAMS[:at])) for at in range(5)]
    np.testing.assert_array_equal(table.cost, [np.nan, 0.25, np.nan, 0.5, np.nan])


def test_types(table: chunkwire.UsageTable) -> None:
    for name in COLUMNS:
        column = getattr(table, name)
        kind = "int64"
        if name in ("source", "id", "model", "finish_reason", "status"):
            kind = "object"
        elif name == "reported":
            kind = "bool"
        elif name in ("cost", "time_to_first_token", "generation_time"):
            kind = "float64"
        assert (column.dtype, column.shape) == (np.dtype(kind), (5,)), name
        assert getattr(table, name) is column, "made once"
        assert not column.flags.writeable, "as others may hold it"


def test_valid_tells_a_zero_that_was_sent_from_none(table: chunkwire.UsageTable) -> None:
    assert table.valid("prompt_tokens").tolist() == [True, True, False, True, False]
    assert table.valid("total_tokens").tolist() == [True, True, False, True, True]
    assert table.valid("cached_tokens").tolist() == [True, False, False, False, False]
    assert table.valid("cost").tolist() == [False, True, False, True, False]
    assert table.valid("created").tolist() == [True, True, True, False, True]
    assert table.valid("id").tolist() == [True] * 4 + [False]
    assert table.valid("model").tolist() == [True] * 3 + [False, True]
    assert table.valid("status").all()
    assert table[1:3].valid("prompt_tokens").tolist() == [True, False]
    with pytest.raises(AttributeError, match="no column 'promt'"):
        table.valid("promt")
    with pytest.raises(AttributeError, match="'stats' is no column"):
        table.valid("stats")
    (damage,) = table.stats.damages
    assert damage.kind == "wrong_type"


def test_unknown_columns_name_their_neighbours(table: chunkwire.UsageTable) -> None:
    with pytest.raises(AttributeError, match="no column 'promt_tokens'; did you mean 'prompt_tokens'"):
        table.promt_tokens  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="columns: source, offset"):
        table.xyzzy  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(table, "__array_interface__")
    assert set(COLUMNS) <= set(dir(table))


def test_no_rows(engine: str) -> None:
    table = chunkwire.usage(b"", engine=engine)
    assert len(table) == 0
    assert [len(getattr(table, name)) for name in COLUMNS] == [0] * len(COLUMNS)
    assert table.to_dicts() == []
    assert table == chunkwire.usage([], engine=engine)
    assert table.valid("prompt_tokens").tolist() == []
    summary = table.summary(by=("model", "day"))
    assert list(summary) == []
    assert summary.total["streams"] == 0
    assert "0 of 0 streams reported usage" in str(summary)
    assert "0 of 0 streams" in repr(table)


def test_numpy_is_imported_when_a_column_is_asked_for(engine: str) -> None:
    code = f"""
import sys, chunkwire
table = chunkwire.usage(b'data: {{"choices":[]}}\\n\\n', engine={engine!r})
len(table), table.stats
print('numpy' in sys.modules)
table.chunks
print('numpy' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# --- rows


def test_times(engine: str) -> None:
    log = stream("a", timings={"prompt_ms": 125, "predicted_ms": 500}) + stream("b") + stream("c", usage=tokens(1, 2))
    table = chunkwire.usage(log, engine=engine)
    assert table.time_to_first_token.dtype == table.generation_time.dtype == np.float64
    np.testing.assert_array_equal(table.time_to_first_token, [0.125, np.nan, np.nan])
    np.testing.assert_array_equal(table.generation_time, [0.5, np.nan, np.nan])
    assert table.valid("generation_time").tolist() == [True, False, False]
    assert table.to_dict()["time_to_first_token"] == [0.125, None, None]
    assert table == chunkwire.usage(log, engine=engine)


def test_raw_usage(engine: str) -> None:
    """Whatever a server put into its usage, also of a row that was picked from a table of many sources."""
    odd = tokens(1, 2) | {"x": {"y": [1.5, None, 2**70]}, "z": "é"}
    logs = [stream("a") + stream("b", usage=odd), b"", stream("c", usage=tokens(3, 4)) + stream("d", usage={})]
    table = chunkwire.usage([io.BytesIO(log) for log in logs], engine=engine)
    expected = [None, odd, tokens(3, 4), None]
    assert [table.raw(row) for row in range(4)] == expected
    assert table.raw(-3) == odd
    assert table[[3, 1]].raw(1) == odd
    assert table[1:][[True, False, True]].raw(0) == odd
    assert [part.raw(0) if len(part) else None for _, part in table.by_source()] == [None, None, tokens(3, 4)]
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            table.raw(wrong)
    twice = event('{"choices":[],"usage":{"total_tokens":1,"x":"\\ud83d","total_tokens":2}}')
    assert chunkwire.usage(twice, engine=engine).raw(0) == {"total_tokens": 2, "x": "\ud83d"}


def test_rows(table: chunkwire.UsageTable) -> None:
    row = table[1]
    assert list(row) == COLUMNS
    assert row == dict.fromkeys(TOKENS, 0) | tokens(50, 20) | {
        "source": "<bytes>",
        "offset": len(STREAMS[0]),
        "id": "b",
        "model": "large",
        "created": 21 * DAY,
        "finish_reason": "stop",
        "status": "complete",
        "chunks": 1,
        "reported": True,
        "cost": 0.25,
        "time_to_first_token": None,
        "generation_time": None,
    }  # fmt: skip
    assert table[-1]["id"] is None
    assert table[0]["cost"] is None
    assert {type(value) for row in table for value in row.values()} == {str, int, bool, float, type(None)}
    assert list(table) == table.to_dicts() == [table[at] for at in range(5)]
    assert [row["id"] for row in table] == table.to_dict()["id"] == table.id.tolist()
    assert list(table.to_dict()) == COLUMNS
    assert table[np.int64(1)] == row
    for index in (5, -6):
        with pytest.raises(IndexError):
            table[index]
    with pytest.raises(TypeError, match=r"table\.model"):
        table["model"]  # type: ignore[call-overload]


def test_selections_are_tables(table: chunkwire.UsageTable) -> None:
    for index, expected in (
        (slice(1, 3), ["b", "c"]),
        (slice(None, None, -1), [None, "d", "c", "b", "a"]),
        (table.reported, ["a", "b", "d", None]),
        ([True, False, False, False, True], ["a", None]),
        ([3, 0], ["d", "a"]),
        (np.array([], int), []),
        ([], []),
    ):
        some = table[index]
        assert isinstance(some, chunkwire.UsageTable)
        assert len(some) == len(expected)
        assert some.id.tolist() == expected
        assert some.to_dicts() == [row for name in expected for row in table if row["id"] == name]
        assert some.summary().total["streams"] == len(expected)
        assert some.stats is table.stats
    twice = table[1:4][[True, False, True]]
    assert twice.id.tolist() == ["b", "d"]
    assert twice.model.tolist() == ["large", None]
    assert [row["model"] for row in twice.summary()] == ["large", None]
    with pytest.raises(IndexError):
        table[[True, False]]


def test_equality(table: chunkwire.UsageTable, engine: str) -> None:
    assert table == chunkwire.usage(LOG, engine=engine)
    assert table == chunkwire.usage(LOG, engine="simdjson")
    assert table[1:] == table[[1, 2, 3, 4]]
    assert table != table[:4]
    assert table != table[::-1]
    assert table != chunkwire.usage([LOG[:9], LOG[9:]], engine=engine), "another source"
    unsent, sent = (
        chunkwire.usage(stream("a", usage={"total_tokens": 1} | more), engine=engine)
        for more in ({}, {"prompt_tokens": 0})
    )
    assert unsent != sent, "a zero that was sent is not nothing"
    assert table != 5
    with pytest.raises(TypeError):
        hash(table)


def test_copies_and_pickles(table: chunkwire.UsageTable) -> None:
    assert table.cost is not None, "columns that were made do not matter"
    assert table.summary() is not None
    for one in (table, table[table.chunks > 1], table[:0]):
        for again in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
            assert again == one
            assert [again.raw(row) for row in range(len(again))] == [one.raw(row) for row in range(len(one))]
            assert again.stats == one.stats
            assert str(again) == str(one)


def test_tables_of_many_files_are_copied_and_pickled(engine: str, tmp_path: Path) -> None:
    """Their counts are kept in another form."""
    for name, data in (("1.sse", LOG), ("2.sse", b""), ("3.sse", LOG + event("{"))):
        (tmp_path / name).write_bytes(data)
    table = chunkwire.usage(tmp_path, engine=engine)
    of_each = [stats for _, stats in table.by_source()]
    for again in (pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table)):
        assert again == table
        assert again.stats == table.stats
        assert [stats for _, stats in again.by_source()] == of_each
    for (_, one), again in zip(table.by_source(), pickle.loads(pickle.dumps(list(table.by_source()))), strict=True):
        assert again[1] == one


def test_a_column_outlives_its_table(engine: str) -> None:
    column = chunkwire.usage(LOG, engine=engine).chunks
    gc.collect()
    assert column.tolist() == chunkwire.usage(LOG, engine="simdjson").chunks.tolist()
    assert not column.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        column.flags.writeable = True


def test_the_memory_of_a_column(native: str) -> None:
    """What NumPy reads in place: it can be neither written to nor moved."""
    columns = _engine.load(native).usage(LOG, Options())[0]
    memory = columns["chunks"]
    view = memoryview(memory)
    assert (view.readonly, view.nbytes, view.c_contiguous) == (True, len(memory), True)
    assert pickle.loads(pickle.dumps(memory)) == bytes(memory) == bytes(view)
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(bytes(8)).readinto(memory)
    empty = _engine.load(native).usage(b"", Options())[0]["chunks"]
    assert (len(empty), bytes(empty), memoryview(empty).nbytes) == (0, b"", 0)


def test_by_source(engine: str, tmp_path: Path) -> None:
    for name, data in (("1.sse", LOG), ("2.sse", b""), ("3.sse", LOG + event("{"))):
        (tmp_path / name).write_bytes(data)
    table = chunkwire.usage(tmp_path, engine=engine)
    found = list(table.by_source())
    assert [Path(label).name for label, _ in found] == ["1.sse", "2.sse", "3.sse"]
    assert [len(one) for _, one in found] == [5, 0, 6]
    for label, one in found:
        assert one == chunkwire.usage(label, engine=engine)
        assert one.stats == chunkwire.usage(label, engine=engine).stats
        assert [inner for _, inner in one.by_source()] == [one]
    assert [len(one) for _, one in table[table.chunks > 0][::-1].by_source()] == [5, 0, 5]
    again = chunkwire.usage([tmp_path / "1.sse"] * 2, engine=engine)
    assert [len(one) for _, one in again.by_source()] == [5, 5], "a source that comes twice counts twice"


def test_large_counts_are_exact(engine: str) -> None:
    largest = 2**63 - 1
    data = b"".join(stream(str(at), usage={"prompt_tokens": largest, "total_tokens": -largest}) for at in range(4))
    table = chunkwire.usage(data, engine=engine)
    assert table.prompt_tokens.tolist() == [largest] * 4
    (row,) = table.summary()
    assert row["prompt_tokens"] == 4 * largest
    assert row["total_tokens"] == table.summary().total["total_tokens"] == -4 * largest
    assert f"{4 * largest:,}" in str(table.summary())


# --- summaries


def test_summary_by_model(table: chunkwire.UsageTable) -> None:
    summary = table.summary()
    assert summary.by == ("model",)
    sums = ["prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens", "cost"]
    assert list(summary.columns) == ["model", "streams", "reported", "chunks", *sums]
    assert [list(row.values()) for row in summary] == [
        ["large", 2, 1, 2, 50, 0, 20, 0, 70, 0.25],
        ["small", 2, 2, 2, 5, 1, 2, 0, 10, None],
        [None, 1, 1, 1, 7, 0, 1, 0, 8, 0.5],
    ]
    assert list(summary.total.values()) == [5, 4, 5, 62, 1, 23, 0, 88, 0.75]
    assert summary.to_dicts() == list(summary) == [summary[at] for at in range(len(summary))]
    assert summary == table.summary(by=["model"])
    assert summary != table.summary(by="day")
    assert "cost" not in table[[0, 2]].summary().columns, "nobody reported one"


def test_summaries_by_other_keys(table: chunkwire.UsageTable) -> None:
    def groups(*by: str) -> list[tuple[Any, ...]]:
        return [(*(row[key] for key in by), row["total_tokens"]) for row in table.summary(by=by)]

    assert groups("day") == [("1970-01-21", 7), ("1970-01-22", 73), ("unknown", 8)]
    assert groups("status") == [("complete", 88), ("no_done", 0)]
    assert groups("finish_reason") == [("stop", 80), ("length", 8)]
    assert groups("source") == [("<bytes>", 88)]
    assert groups("model", "day") == [
        ("large", "1970-01-21", 0),
        ("large", "1970-01-22", 70),
        ("small", "1970-01-21", 7),
        ("small", "1970-01-22", 3),
        (None, "unknown", 8),
    ]
    assert groups("day", "model") == [
        ("1970-01-21", "small", 7),
        ("1970-01-21", "large", 0),
        ("1970-01-22", "large", 70),
        ("1970-01-22", "small", 3),
        ("unknown", None, 8),
    ]
    assert groups("model", "status", "finish_reason", "day", "source")[0][:-1] == (
        *("large", "complete", "stop", "1970-01-22"),
        "<bytes>",
    )


@pytest.mark.parametrize("by", ["modl", "id", "", (), ("model", "tokens"), ("model", "model")])
def test_what_cannot_be_summarized(table: chunkwire.UsageTable, by: Any) -> None:
    with pytest.raises(
        ValueError, match="possible are 'model', 'month', 'day', 'hour', 'source', 'status', 'finish_reason'"
    ):
        table.summary(by=by)


def test_days(engine: str) -> None:
    """In UTC; times that are no dates are of no day."""
    times = [1795132800, 1795132800 - 1, -5, 0, 1795132800_000, 2**62, -(2**63), 253402300799, 253402300800]
    data = b"".join(stream(str(at), created=time) for at, time in enumerate(times))
    table = chunkwire.usage(data, engine=engine)
    assert table.created.tolist() == times
    days = {row["day"]: row["streams"] for row in table.summary(by="day")}
    assert days == {"2026-11-19": 1, "2026-11-20": 1, "9999-12-31": 1, "unknown": 6}
    assert list(days) == sorted(days)


def test_sums_agree_with_the_rows(engine: str) -> None:
    table = chunkwire.usage(SAMPLES, engine=engine)
    for by in (("model",), ("day",), ("source", "status"), ("model", "day", "finish_reason")):
        summary = table.summary(by=by)
        rows = table.to_dicts()
        for name in (
            "prompt_tokens",
            "cached_tokens",
            "completion_tokens",
            "reasoning_tokens",
            "total_tokens",
            "chunks",
        ):
            assert sum(row[name] for row in summary) == summary.total[name] == sum(row[name] for row in rows)
        assert sum(row["streams"] for row in summary) == summary.total["streams"] == len(table)
        assert sum(row["reported"] for row in summary) == table.reported.sum()
        cost = math.fsum(row["cost"] for row in rows if row["cost"] is not None)
        assert summary.total["cost"] == pytest.approx(cost)
        keys = [tuple(row[key] for key in by) for row in summary]
        assert len(keys) == len(set(keys))


# --- how they print


def test_a_summary_prints_as_a_table(table: chunkwire.UsageTable) -> None:
    assert (
        str(table.summary())
        == """\
model    streams  reported  chunks  prompt  cached  completion  reasoning  total      cost
------------------------------------------------------------------------------------------
large          2         1       2      50       0          20          0     70  0.250000
small          2         2       2       5       1           2          0     10         -
unknown        1         1       1       7       0           1          0      8  0.500000
------------------------------------------------------------------------------------------
total          5         4       5      62       1          23          0     88  0.750000

4 of 5 streams reported usage"""
    )
    html = table.summary(by=("model", "day"))._repr_html_()
    assert html.count("<tr>") == 5 + 2
    assert "4 of 5 streams reported usage" in html
    assert repr(table.summary()).endswith(str(table.summary()))


def test_what_terminals_obey_is_not_printed(engine: str) -> None:
    data = stream("a", model="\x1b[2Jboo\u202e\n<b>?", usage=tokens(1234567, 1)).replace(b"?", rb"\ud800")
    summary = chunkwire.usage(data, engine=engine).summary()
    assert "\\x1b[2Jboo\\u202e\\n<b>\\ud800" in str(summary)
    assert "1,234,567" in str(summary)
    assert "\x1b" not in str(summary)
    assert "&lt;b&gt;" in summary._repr_html_()


def test_wide_characters_take_two_cells(engine: str) -> None:
    data = stream("a", model="模型", usage=tokens(1, 1)) + stream("b", model="model")
    head, _, first, second, *_ = str(chunkwire.usage(data, engine=engine).summary()).splitlines()
    assert len(first) + 2 == len(second) == len(head)


def test_the_repr_of_a_table(table: chunkwire.UsageTable) -> None:
    assert (
        repr(table)
        == """\
<UsageTable of 1 source: 4 of 5 streams reported usage>
  prompt_tokens           62
  cached_tokens            1
  completion_tokens       23
  reasoning_tokens         0
  total_tokens            88
  cost              0.750000"""
    )


def test_tables_fit_a_width() -> None:
    from chunkwire._render import Column, as_text, fitted, shortened, width_of

    columns = [
        Column("name", "name", is_text=True),
        *(Column(f"n{at}", f"number {at}", optional=at) for at in range(4)),
    ]
    rows = [{"name": "a-rather-long-name-of-a-model"} | {f"n{at}": 10**at for at in range(4)}]
    for width in range(20, 120):
        shown, text_width = fitted(columns, rows, None, width)
        lines = as_text(shown, rows, text_width=text_width).splitlines()
        if width > 25:
            assert max(map(width_of, lines)) <= width
        assert shown[0] is columns[0]
    shown, _ = fitted(columns, rows, None, 70)
    assert [column.name for column in shown] == ["name", "n0", "n1", "n2", "n3"], "first the text gives way"
    shown, _ = fitted(columns, rows, None, 60)
    assert [column.name for column in shown] == ["name", "n0", "n2", "n3"]
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert width_of(shortened("模型模型模型", 5)) <= 5
