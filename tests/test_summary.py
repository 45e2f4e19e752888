"""`summary` with all it can be asked for, against a slow reference: groups, limits of time, order, the largest, kinds
of tokens, percentiles; and what it says when it is asked wrongly."""

from __future__ import annotations

import math
import random
import time
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import chunkwire
from chunkwire import _times
from support import chunk_json, event

DONE = event("[DONE]")
DAY = 86400
START = 1795132800  # 2026-11-20
MEASURES = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "chunks"),
    *("time_to_first_token", "generation_time"),
)
KINDS = {
    "cached_tokens": "prompt_tokens",
    "cache_write_tokens": "prompt_tokens",
    "audio_prompt_tokens": "prompt_tokens",
    "reasoning_tokens": "completion_tokens",
    "audio_completion_tokens": "completion_tokens",
    "accepted_prediction_tokens": "completion_tokens",
    "rejected_prediction_tokens": "completion_tokens",
}
SUMS = ("chunks", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")
CREATED = [0, -5, START - 1, START, START + 3599, START + 3600, START + DAY, START * 1000, 253402300799, 253402300800]


def stream(rng: random.Random, number: int) -> bytes:
    """A stream with whatever a server may say of it, or not."""
    doc: dict[str, Any] = {"id": f"s{number}", "model": rng.choice(["large", "large", "small", "", "other"])}
    doc["created"] = rng.choice([*CREATED, START + rng.randrange(5 * DAY)])
    if rng.random() < 0.1:
        del doc["created"]
    chunks = [chunk_json(**doc, choices=[{"index": 0, "delta": {"content": "x"}}]) for _ in range(rng.randrange(6))]
    doc["choices"] = [{"index": 0, "delta": {}, "finish_reason": rng.choice(["stop", "length"])}]
    if rng.random() < 0.8:
        usage: dict[str, Any] = {"prompt_tokens": rng.randrange(2000), "completion_tokens": rng.randrange(300)}
        usage["total_tokens"] = sum(usage.values())
        prompt, completion = {}, {}
        for name, whole in KINDS.items():
            if rng.random() < 0.4:
                key = "audio_tokens" if "audio" in name else name
                (prompt if whole == "prompt_tokens" else completion)[key] = rng.randrange(50)
        usage |= {"prompt_tokens_details": prompt, "completion_tokens_details": completion}
        if rng.random() < 0.2:
            usage["cost"] = rng.random()
        if rng.random() < 0.1:
            usage["prompt_tokens"] = "many"  # not reported, though usage is
        doc["usage"] = usage
    if rng.random() < 0.4:
        doc["timings"] = {"prompt_ms": rng.randrange(3000), "predicted_ms": rng.random() * 9000}
    return b"".join(map(event, [*chunks, chunk_json(**doc)])) + DONE * (rng.random() < 0.8)


def log(seed: int, streams: int = 300) -> bytes:
    rng = random.Random(seed)
    return b"".join(stream(rng, number) for number in range(streams))


@pytest.fixture
def table(engine: str) -> chunkwire.UsageTable:
    return chunkwire.usage(log(1), engine=engine)


# --- the reference


def key_of(row: dict[str, Any], key: str) -> Any:
    if key not in ("month", "day", "hour"):
        return row[key]
    if not 0 < row["created"] <= 253402300799:
        return "unknown"
    form = {"month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d %H:00"}[key]
    return (datetime(1970, 1, 1) + timedelta(seconds=row["created"])).strftime(form)


def percentile(values: list[Any], point: float) -> Fraction | None:
    """Exactly; None of nothing."""
    if not values:
        return None
    ascending = sorted(map(Fraction, values))
    place = (len(values) - 1) * Fraction(point) / 100
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)


def sums(rows: list[tuple[dict[str, Any], dict[str, bool]]], points: tuple[float, ...], costs: bool) -> dict[str, Any]:
    """What a group of rows (each with what was sent in it) should have."""
    found: dict[str, Any] = {"streams": len(rows), "reported": sum(row["reported"] for row, _ in rows)}
    found |= {name: sum(row[name] for row, _ in rows) for name in SUMS}
    if costs:
        sent = [row["cost"] for row, _ in rows if row["cost"] is not None]
        found["cost"] = math.fsum(sent) if sent else None
    found |= {name: sum(row[name] for row, _ in rows) for name in KINDS if name not in SUMS}
    for name, whole in KINDS.items():
        found[name.replace("_tokens", "_share")] = found[name] / found[whole] if found[whole] else None
    for name in MEASURES if points else ():
        values = [row[name] for row, valid in rows if valid[name]]
        found[f"{name}_streams"] = len(values)
        found |= {f"{name}_p{point:g}": percentile(values, point) for point in points}
    return found


def rows_with_validity(table: chunkwire.UsageTable) -> list[tuple[dict[str, Any], dict[str, bool]]]:
    valid = {name: table.valid(name).tolist() for name in MEASURES}
    return [(row, {name: valid[name][at] for name in MEASURES}) for at, row in enumerate(table)]


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, Fraction):
            assert isinstance(found[name], float)
            assert found[name] == pytest.approx(float(value), rel=1e-12, abs=1e-12), name
        else:
            assert found[name] == value, name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", [("model",), ("day",), ("hour", "model"), ("status", "month"), ("finish_reason",)])
def test_sums_agree_with_a_slow_reference(engine: str, seed: int, by: tuple[str, ...]) -> None:
    table = chunkwire.usage(log(seed), engine=engine)
    points = (50.0, 95.0, 99.0)
    rows = rows_with_validity(table)
    costs = any(row["cost"] is not None for row, _ in rows)
    groups: dict[tuple[Any, ...], Any] = {}
    for row, valid in rows:
        groups.setdefault(tuple(key_of(row, key) for key in by), []).append((row, valid))
    summary = table.summary(by, breakdown=True, percentiles=True)
    assert len(summary) == len(groups) > 1
    assert summary.percentiles == points
    for row in summary:
        keys = tuple(row[key] for key in by)
        assert_same(row, dict(zip(by, keys, strict=True)) | sums(groups[keys], points, costs))
    assert_same(summary.total, sums(rows, points, costs))
    assert summary.columns == (*by, *summary.total)

    for top in {1, len(groups) // 2, len(groups) - 1}:
        some = table.summary(by, breakdown=True, percentiles=True, top=top)
        assert len(some) == top
        assert some.total == summary.total
        shown = [tuple(row[key] for key in by) for row in some]
        left = [one for keys, group in groups.items() if keys not in shown for one in group]
        assert some.other is not None
        assert some.other.pop("groups") == len(groups) - top
        assert_same(some.other, sums(left, points, costs))
        assert min(row["total_tokens"] for row in some) >= max(
            row["total_tokens"] for row in summary if tuple(row[key] for key in by) not in shown
        )
        assert [row for row in summary if row in list(some)] == list(some), "in the order that they have without"
        for name in ("streams", "reported", *SUMS):
            assert sum(row[name] for row in some) + some.other[name] == some.total[name]


# --- percentiles


@pytest.mark.parametrize("size", [1, 2, 3, 10, 101, 1000])
def test_percentiles_are_numpys(engine: str, size: int) -> None:
    """To the last bit, of counts and of times, in every group."""
    rng = random.Random(size)
    table = chunkwire.usage(log(size, 300), engine=engine)
    table = table[[rng.randrange(300) for _ in range(size)]]
    points = [0, 12.5, 50, 95, 99, 99.9, 100]
    for row in table.summary("model", percentiles=points):
        some = table[[model == row["model"] for model in table.model]]
        for name in MEASURES:
            values = getattr(some, name)[some.valid(name)]
            assert row[f"{name}_streams"] == len(values)
            expected = np.percentile(values, points).tolist() if len(values) else [None] * len(points)
            assert [row[f"{name}_p{point}"] for point in points] == expected


def test_percentiles_of_extremes(engine: str) -> None:
    """Numbers at the edges of int64 and float64: no overflow, and between the neighbours."""
    usages = [{"total_tokens": value} for value in (2**63 - 1, -(2**63), 2**53 + 1)]
    times = [1e308, -1e308, 1e308]
    data = b"".join(
        event(chunk_json(id=str(at), choices=[], usage=usage, timings={"prompt_ms": wait, "predicted_ms": wait})) + DONE
        for at, (usage, wait) in enumerate(zip(usages, times, strict=True))
    )
    total = chunkwire.usage(data, engine=engine).summary(percentiles=[0, 25, 50, 100]).total
    assert [total[f"total_tokens_p{point}"] for point in (0, 50, 100)] == [-(2.0**63), 2.0**53, 2.0**63]
    assert total["time_to_first_token_p25"] == pytest.approx(0, abs=1e290)
    assert total["generation_time_p100"] == 1e305
    low, high = chunkwire.usage(data, engine=engine)[[0, 1]].summary(percentiles=[50]).total, total
    assert math.isfinite(low["time_to_first_token_p50"])
    assert math.isfinite(high["time_to_first_token_p50"])


def test_no_percentiles_of_nothing(engine: str) -> None:
    table = chunkwire.usage(b"", engine=engine)
    summary = table.summary(percentiles=True, breakdown=True, top=3)
    assert summary.other is None
    assert summary.total["total_tokens_streams"] == summary.total["chunks"] == 0
    assert summary.total["total_tokens_p50"] is None
    assert summary.total["cached_share"] is None
    assert summary.total["cache_write_tokens"] == 0
    assert list(summary.total) == list(chunkwire.usage(log(1), engine=engine).summary(
        percentiles=True, breakdown=True).total)[:8] + list(summary.total)[8:]  # fmt: skip
    assert "0 of 0 streams" in str(summary)


@pytest.mark.parametrize("wrong", [[101], [-1], ["50"], [True], [math.nan], [None]])
def test_what_is_no_percentile(table: chunkwire.UsageTable, wrong: Any) -> None:
    with pytest.raises(ValueError, match="percentiles: expected numbers from 0 to 100, got"):
        table.summary(percentiles=wrong)


def test_what_are_no_percentiles(table: chunkwire.UsageTable) -> None:
    for wrong in (50, "50"):
        with pytest.raises(TypeError, match="percentiles: expected True or numbers from 0 to 100"):
            table.summary(percentiles=wrong)  # type: ignore[arg-type]
    assert table.summary(percentiles=[]) == table.summary() == table.summary(percentiles=False)
    assert table.summary(percentiles=[50, 50.0]).percentiles == (50.0,)


# --- time


@pytest.mark.parametrize(
    ("since", "until", "first", "end"),
    [
        (START, None, START, None),
        (START + 0.5, None, START + 1, None),
        (str(START), str(START + 3600), START, START + 3600),
        ("2026-11-20", None, START, None),
        ("2026-11-20", "2026-11-20", START, START + DAY),
        ("2026-11", "2026-11", START - 19 * DAY, START + 11 * DAY),
        (None, "2026-12", None, START + 42 * DAY),
        ("2026-11-20T01", "2026-11-20T01:00:00.5Z", START + 3600, START + 3601),
        ("2026-11-20 02:00:00+01:00", None, START + 3600, None),
        (date(2026, 11, 20), date(2026, 11, 21), START, START + 2 * DAY),
        (datetime(2026, 11, 20, 1), datetime(2026, 11, 21, 1), START + 3600, START + DAY + 3600),
        (datetime(2026, 11, 20, 1, tzinfo=timezone(timedelta(hours=1))), None, START, None),
        (np.int64(START), np.float64(START + 1.5), START, START + 2),
        ("1970-01-01", "9999-12-31", 0, 253402300800),
        ("9999-12", "9999-12", 253399622400, 253402300800),
        (0, None, 0, None),
    ],
)
def test_limits_of_time(table: chunkwire.UsageTable, since: Any, until: Any, first: Any, end: Any) -> None:
    def inside(created: int) -> bool:
        return (first is None or created >= first) and (end is None or created < end)

    created = table.created.tolist()
    dated = [0 < one <= 253402300799 for one in created]
    expected = [ok and inside(one) for ok, one in zip(dated, created, strict=True)]
    summary = table.summary(since=since, until=until, by="hour")
    assert summary.total == table[expected].summary("hour").total
    assert list(summary) == list(table[expected].summary("hour"))
    assert summary.undated == len(table) - sum(dated) > 0
    assert summary.outside == sum(dated) - sum(expected)
    assert summary.total["streams"] + summary.undated + summary.outside == len(table)
    assert table.between(since, until) == table[expected]
    assert table.between(summary.since, summary.until) == table[expected], "what it was understood as means the same"
    assert f"{summary.undated} streams without a time" in summary.note
    assert summary.note in str(summary)


def test_no_limits_of_time(table: chunkwire.UsageTable) -> None:
    summary = table.summary()
    assert (summary.since, summary.until, summary.outside, summary.undated) == (None, None, 0, 0)
    assert summary.left_out == ""
    assert table.between() == table


def test_time_ago(engine: str) -> None:
    now = int(time.time())
    ages = [30, 5 * 60, 3 * 3600, 2 * DAY, 20 * DAY]
    data = b"".join(
        event(chunk_json(id=str(age), created=now - age, choices=[{"index": 0, "finish_reason": "stop"}])) + DONE
        for age in ages
    )
    table = chunkwire.usage(data, engine=engine)
    for since, count in {"200s": 1, "6m": 2, "4h": 3, "3d": 4, "2w": 4, "9w ": 5, "3d ago": 4}.items():
        assert table.summary(since=since).total["streams"] == count, since
        assert table.summary(until=since).total["streams"] == 5 - count, since
    today = datetime.now(UTC).date()
    assert table.summary(since="today") == table.summary(since=today)
    yesterday = table.summary(since="yesterday", until="yesterday")
    assert yesterday == table.summary(since=today - timedelta(days=1), until=today - timedelta(days=1))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("tomorrow", r"expected a date \(2026-11-20\).*, got 'tomorrow'"),
        ("", "got ''"),
        ("7x", "got '7x'"),
        ("-7d", "got '-7d'"),
        ("2026-13", "got '2026-13'"),
        ("2026-02-30", "got '2026-02-30'"),
        ("0000-01", "got '0000-01'"),
        ("999999999w", "got '999999999w'"),
        ("٢٠٢٦-١١", "got"),
        ("20261120", "could be a date or seconds; write 2026-11-20"),
        ("2026", "2026 could be a year or seconds; write 2026-01 or 2026.0"),
        ("202510", "202510 could be a month or seconds; write 2025-10 or 202510.0"),
        ("2026-W40", "2026-W40 is a week; write the date"),
        ("2026W40", "2026W40 is a week"),
        ("2026-W40-3", "2026-W40-3 is a week"),
        ("2026W403T12:00", "2026W403T12:00 is a week"),
        (10**400, "a number of seconds that is after the year 9999"),
        (START * 1000, "are these milliseconds"),
        (str(START * 1000), "are these milliseconds"),
        (-1, "no number of seconds between 1970"),
        (math.nan, "no number of seconds"),
        (math.inf, "no number of seconds"),
        ("0001-01-01T00:00:00+14:00", "no time between the years 1 and 9999"),
    ],
)
@pytest.mark.parametrize("name", ["since", "until"])
def test_what_is_no_time(table: chunkwire.UsageTable, value: Any, words: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*{words}"):
        table.summary(**{name: value})
    with pytest.raises(ValueError, match=words):
        table.between(**{name: value})


def test_what_can_be_no_time(table: chunkwire.UsageTable) -> None:
    for wrong in ([], b"7d", True, {}):
        with pytest.raises(TypeError, match="since: expected a date"):
            table.summary(since=wrong)  # type: ignore[arg-type]
    for since, until in (("2026-11-21", "2026-11-20"), (5, 5), ("2026-11-20", START)):
        with pytest.raises(ValueError, match=r"since \(.*\) is not before until"):
            table.summary(since=since, until=until)


@pytest.mark.parametrize("unit", ["month", "day", "hour"])
def test_times_as_texts(unit: str) -> None:
    rng = random.Random(unit)
    created = [*CREATED, 1, 2**62, -(2**63), 951782400, *(rng.randrange(2 * 10**9) for _ in range(1000))]
    codes, texts = _times.coded(np.array(created, np.int64), unit)
    assert [texts[code] for code in codes.tolist()] == [key_of({"created": one}, unit) for one in created]
    assert len(set(texts)) == len(texts)
    assert _times.coded(np.zeros(0, np.int64), unit)[1] == []


# --- order


def test_sorted(table: chunkwire.UsageTable) -> None:
    def column(sort: Any, name: str, **more: Any) -> list[Any]:
        return [row[name] for row in table.summary(("day", "model"), sort=sort, **more)]

    for sort in ("completion_tokens", "completion", "completion:desc", ["completion"]):
        assert column(sort, "completion_tokens") == sorted(column(None, "completion_tokens"), reverse=True)
    assert column("streams:asc", "streams") == sorted(column(None, "streams"))
    assert column("day", "day") == sorted(column(None, "day"))
    assert column("day:desc", "day") == sorted(column(None, "day"), reverse=True)
    models = column("model", "model")
    assert models == [*sorted(one for one in models if one is not None), *(one for one in models if one is None)]
    assert models[-1] is None
    assert column("model:desc", "model")[-1] is None, "no value is the last either way"
    costs = column("cost", "cost")
    known = [cost for cost in costs if cost is not None]
    assert costs == sorted(known, reverse=True) + [None] * (len(costs) - len(known))
    rows = list(table.summary(("day", "model"), sort="model,streams"))
    assert rows == list(table.summary(("day", "model"), sort=("model", "streams")))
    for first, second in pairwise(rows):
        assert first["model"] != second["model"] or first["streams"] >= second["streams"]
    assert column("total_p95", "total_tokens_p95", percentiles=True)[0] == max(
        row["total_tokens_p95"] or 0 for row in table.summary(("day", "model"), percentiles=True)
    )
    assert column("cached_share", "cached_tokens", breakdown=True)
    same = table.summary("day", sort="streams")
    assert [row["day"] for row in same if row["streams"] == 1] == sorted(
        row["day"] for row in same if row["streams"] == 1
    ), "equal rows stay in their order"


def test_sorted_and_the_first(table: chunkwire.UsageTable) -> None:
    every = list(table.summary("hour", sort="hour:desc"))
    some = table.summary("hour", sort="hour:desc", top=3)
    assert list(some) == every[:3]
    assert some.other is not None
    assert some.other["groups"] == len(every) - 3
    assert table.summary("hour", top=len(every)).other is None
    assert table.summary("hour", top=10**9) == table.summary("hour")
    assert some != table.summary("hour", sort="hour:desc", top=4)


def test_a_sum_of_cost_that_nobody_reported(engine: str) -> None:
    """A script that sorts by cost works on a log without any, too."""
    table = chunkwire.usage(event(chunk_json(id="a", choices=[])), engine=engine)
    assert table.summary(sort="cost") == table.summary()


@pytest.mark.parametrize(
    ("sort", "words"),
    [
        ("promt", "cannot sort by 'promt'; did you mean 'prompt'"),
        ("", "cannot sort by ''; possible are model, streams, reported, chunks, prompt_tokens"),
        ([], "cannot sort by nothing; possible are model"),
        ("day", "cannot sort by 'day'"),
        ("total:up", "cannot sort by 'total:up': behind the colon may be asc or desc"),
        ("total_p95", "cannot sort by 'total_p95'; percentiles were not asked for"),
        ("total,,cost", "cannot sort by ''"),
    ],
)
def test_what_cannot_be_sorted_by(table: chunkwire.UsageTable, sort: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        table.summary(sort=sort)
    with pytest.raises(ValueError, match=words):
        table[[]].summary(sort=sort)


def test_what_is_no_name_of_a_column(table: chunkwire.UsageTable) -> None:
    for wrong in (5, [5], [None], [["total"]]):
        with pytest.raises(TypeError, match="sort: expected the name of a column, or several, got"):
            table.summary(sort=wrong)  # type: ignore[arg-type]
    for nothing in (5, None):
        with pytest.raises(TypeError, match=f"by: expected 'model', .*, or several of them, got {nothing}"):
            table.summary(by=nothing)  # type: ignore[arg-type]
    assert table.summary(iter(["model", "day"])) == table.summary(("model", "day"))  # type: ignore[arg-type]


def test_costs_without_end(engine: str) -> None:
    usage = {"total_tokens": 1, "cost": 1.7e308}
    one, another = (event(chunk_json(id=id, usage=usage)) + DONE for id in "ab")
    summary = chunkwire.usage(one + another, engine=engine).summary()
    assert summary.total["cost"] == math.inf
    assert "  inf\n" in str(summary)
    assert "  1.7e+308\n" in str(chunkwire.usage(one, engine=engine).summary())


def test_what_is_no_number_of_groups(table: chunkwire.UsageTable) -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="top: expected a number from 1"):
            table.summary(top=wrong)
    for other in ("3", 1.5, True):
        with pytest.raises(TypeError, match="top: expected a number from 1"):
            table.summary(top=other)  # type: ignore[arg-type]
    assert table.summary(top=np.int64(1)) == table.summary(top=1)


# --- how they print


def test_all_of_it_prints(table: chunkwire.UsageTable) -> None:
    summary = table.summary(("model", "day"), top=2, breakdown=True, percentiles=True, since="2026-11")
    text = str(summary)
    sums, kinds, percentiles, note = text.split("\n\n")
    head, _, *rows = sums.splitlines()
    assert head.split() == [
        "model",
        "day",
        "streams",
        "reported",
        "chunks",
        "prompt",
        "cached",
        "completion",
        "reasoning",
        "total",
        "cost",
    ]
    assert rows[2].startswith(f"other ({summary.other['groups']} groups)")  # type: ignore[index]
    head, _, *rows = kinds.splitlines()
    assert head.split() == ["model", "day", "tokens", "count", "share"]
    total = [line[30:].strip() for line in rows[-10:]]
    places = ["prompt", "cached", "cache write", "audio", "completion", "reasoning", "audio", "accepted", "rejected"]
    assert rows[-10].startswith("total")
    assert [line.split("  ")[0].removesuffix(" prediction") for line in total] == [*places, "total"]
    assert f"{summary.total['cached_tokens']:,}  {100 * summary.total['cached_share']:.1f} %" in rows[-9]
    assert (
        f"{summary.total['cached_share']:.3f}"
        == f"{summary.total['cached_tokens'] / summary.total['prompt_tokens']:.3f}"
    )
    head, _, *rows = percentiles.splitlines()
    assert head.split() == ["model", "day", "of", "each", "stream", "streams", "p50", "p95", "p99"]
    assert rows[-6].startswith("total")
    assert rows[-1].split()[:2] == ["generation", "time"]
    assert rows[-1].endswith(" s")
    assert note.startswith(f"{summary.total['reported']} of {summary.total['streams']} streams reported usage\nonly")
    html = summary._repr_html_()
    assert html.count("<table>") == 3
    assert "other (" in html


def test_kinds_that_nobody_has_are_not_printed(engine: str) -> None:
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 3, "audio_tokens": 0}}
    table = chunkwire.usage(event(chunk_json(choices=[], usage=usage)) + DONE, engine=engine)
    _, kinds, _ = str(table.summary(breakdown=True)).split("\n\n")
    assert (
        kinds
        == """\
tokens         count   share
----------------------------
prompt             9
  cache write      3  33.3 %
completion         0
total              0"""
    )
    assert "rejected_prediction_tokens" in table.summary(breakdown=True).columns


def test_numbers_in_print() -> None:
    from chunkwire._render import count_text, seconds_text, share_text

    assert [count_text(one) for one in (None, 0.0, 1.5, 99.5, 100.5, 12345.6)] == [
        "-",
        "0",
        "1.5",
        "99.5",
        "100",
        "12,346",
    ]
    assert [seconds_text(one) for one in (None, 0.0, 0.1234, 1.2345, 12.345, 123.45, 12345.0)] == [
        *("-", "0.000 s", "0.123 s", "1.23 s", "12.3 s", "123 s", "12,345 s")
    ]
    assert [share_text(one) for one in (None, 0.0, 0.1234, 1.0)] == ["-", "0.0 %", "12.3 %", "100.0 %"]


# --- many streams


def test_a_hundred_thousand_streams_take_no_time(table: chunkwire.UsageTable) -> None:
    many = table[np.arange(100_000) % len(table)]
    many.summary(("model", "hour"), breakdown=True, percentiles=True)  # makes the columns
    times = []
    for _ in range(3):
        start = time.process_time()
        summary = many.summary(("model", "hour"), breakdown=True, percentiles=True, top=10, since="2000-01")
        times.append(time.process_time() - start)
    assert summary.total["streams"] + summary.undated + summary.outside == 100_000
    assert min(times) < 0.8, "it takes a fifth of that on a quiet machine"


def test_costs_whose_sum_no_float_can_hold() -> None:
    chunk = b'data: {"id":"%d","choices":[],"usage":{"total_tokens":1,"cost":1e308}}\n\ndata: [DONE]\n\n'
    summary = chunkwire.usage(b"".join(chunk % number for number in range(3))).summary()
    assert summary.total["cost"] == float("inf")
    assert "inf" in str(summary)
