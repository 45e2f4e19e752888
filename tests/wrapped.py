"""What the tests of logs in JSON share: an engine's findings in a log beside those of the reference."""

from __future__ import annotations

import array
import json
import math
from typing import Any

import chunkwire
from chunkwire import _engine
from chunkwire._options import Options
from messages import told
from oracle import COUNTS
from oracle_logs import Log, oracle_log
from rows import comparable, rows_of
from support import canonical, cut, damages, drain, full, full_of, push
from wrapping import Wrapped

MORE = [*COUNTS, "wrapping_bytes", "exchanges"]


def expected(wrapped: Wrapped, **options: Any) -> Log:
    told = wrapped.options()
    told.pop("format")
    return oracle_log(wrapped.data, wrapped.format, keep=wrapped.keep, **told, **options)


def counted(stats: Any, *, wrong: int = 0) -> dict[str, int]:
    return {name: getattr(stats, name) for name in MORE} | {"damaged": stats.damaged - wrong}


def check(engine: str, wrapped: Wrapped, *, recognised: bool = False, **options: Any) -> list[dict[str, Any]]:
    """The rows of a log, after everything that the engine says of it was compared."""
    log = expected(wrapped, **options)
    module = _engine.load(engine)
    how = ({"format": "auto"} if recognised else wrapped.options()) | options
    data = wrapped.data

    chunks = module.chunks(data, Options(**how))
    found = drain(chunks)
    assert full(found) == full_of(log)  # type: ignore[arg-type]
    wrong = [one for one in log.damages if one[0] == "wrong_type"]
    others = [one for one in log.damages if one[0] != "wrong_type"]
    if len(others) <= 1000:
        # Reads interleave: there an engine may tell in the order of the log, or in that in which it was found.
        order = sorted if wrapped.format == "reads" else list
        assert order(map(repr, damages(chunks.stats))) == order(map(repr, others))
    counts = log.counts | {"damaged": log.counts["damaged"] - len(wrong)}
    assert counted(chunks.stats) == counts
    sizes = [getattr(chunks.stats, name) for name in MORE if name.endswith("_bytes")]
    assert sum(sizes) == chunks.stats.bytes == len(data)
    for one in found:
        if isinstance(one, chunkwire.Chunk) and b"\\" not in one.raw and b'"' not in one.raw:
            assert data[one.offset :].startswith(b"data")

    rows, stats = rows_of(engine, data, **how)
    plain = [{name: row[name] for name in rows[0]} for row in log.rows] if rows else log.rows
    assert approximate(comparable(rows)) == approximate(comparable(plain))
    assert counted(stats, wrong=len(wrong)) == counts
    columns, _ = module.usage(data, Options(keep=tuple(wrapped.keep), **how))
    assert kept(columns, len(wrapped.keep)) == [[canonical(value) for value in row["kept"]] for row in log.rows]
    measured = [bool(one) for one in columns.get("measured", bytes(len(rows)))]
    assert measured == [row["measured"] for row in log.rows]

    completions = chunkwire.completions(data, engine=engine, **how)
    assert told(completions) == [(canonical(doc), *rest) for doc, *rest in log.completions]

    texts = [item.doc for item in log.items if item.what == "chunk"]
    assert drain(module.contents(data, Options("skip", **how))) == [
        text for doc in texts if (text := content(doc)) is not None
    ]
    streams = [
        number for batch in chunkwire.batches(data, engine=engine, on_error="skip", **how) for number in batch.stream
    ]
    assert len(streams) == len(texts)
    if wrapped.format == "exchanges":
        starts = {row["offset"]: number for number, row in enumerate(log.rows)}
        offsets = [item.offset for item in log.items if item.what == "chunk"]
        for number, offset in zip(streams, offsets, strict=True):
            if offset in starts:
                assert number == starts[offset]
    return rows


def check_cuts(engine: str, wrapped: Wrapped, sizes: tuple[int, ...] = (1, 7, 64)) -> None:
    """A log that comes in pieces gives the same."""
    whole = chunkwire.Decoder(engine=engine, **wrapped.options())
    found = full(push(whole, [wrapped.data]))
    for size in sizes:
        decoder = chunkwire.Decoder(engine=engine, **wrapped.options())
        assert full(push(decoder, cut(wrapped.data, size))) == found
        assert counted(decoder.stats) == counted(whole.stats)
        assert damages(decoder.stats) == damages(whole.stats)


def content(doc: dict[str, Any]) -> str | None:
    choices = doc.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = first.get("delta") if isinstance(first, dict) else None
    text = delta.get("content") if isinstance(delta, dict) else None
    return text if isinstance(text, str) else None


def approximate(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with measured times to the microsecond, which is what floats of seconds since 1970 hold."""
    names = ("time_to_first_token", "generation_time")
    return [row | {name: row[name] and round(row[name], 5) for name in names} for row in rows]


def kept(columns: dict[str, Any], count: int) -> list[list[str]]:
    """The kept values of each row, as JSON."""
    found: list[list[str]] = [[] for _ in range(len(columns["reported"]))]
    for values, ends in columns.get("kept", ()):
        start, text = 0, bytes(values)
        for row, end in zip(found, array.array("q", bytes(ends)), strict=True):
            row.append(canonical(json.loads(text[start:end])) if end > start else "null")
            start = end
    assert all(len(row) == count for row in found)
    return found


def is_nan(value: float) -> bool:
    return math.isnan(value)
