"""The slow, obvious reference for streams and usage: items of `oracle` in, one dict for each stream out.

A row only collects what belongs to it; every column is told at the end, from all of its chunks in their order.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from oracle import Item, Result, json_type

MAX_OPEN = 4096
#: Where each token column is looked for in a usage object; the first place that is neither absent nor null counts.
PLACES = {
    "prompt_tokens": ["prompt_tokens"],
    "completion_tokens": ["completion_tokens"],
    "total_tokens": ["total_tokens"],
    "cached_tokens": [
        "prompt_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cached_tokens",
        "num_cached_tokens",
    ],
    "cache_write_tokens": ["prompt_tokens_details.cache_write_tokens", "cache_creation_input_tokens"],
    "reasoning_tokens": ["completion_tokens_details.reasoning_tokens", "reasoning_tokens"],
    "audio_prompt_tokens": ["prompt_tokens_details.audio_tokens"],
    "audio_completion_tokens": ["completion_tokens_details.audio_tokens"],
    "accepted_prediction_tokens": ["completion_tokens_details.accepted_prediction_tokens"],
    "rejected_prediction_tokens": ["completion_tokens_details.rejected_prediction_tokens"],
}
TOKENS = list(PLACES)
#: Where each time is looked for, in a usage object and then in the chunks, the last of which counts; how many of its
#: units are a second, and what is added to it.
TIMES_IN_USAGE = {
    "time_to_first_token": [
        ("prompt_time", 1, "queue_time"),
        ("total_prompt_time_sec", 1, None),
        ("time_to_first_token_ms", 1000, None),
    ],
    "generation_time": [("completion_time", 1, None), ("total_completion_time_sec", 1, None)],
}
TIMES_IN_CHUNK = {
    "time_to_first_token": [
        ("timings.prompt_ms", 1000, None),
        ("time_info.prompt_time", 1, "time_info.queue_time"),
        ("metrics.time_to_first_token_ms", 1000, None),
        ("sla_metrics.ttft_ms", 1000, None),
    ],
    "generation_time": [
        ("timings.predicted_ms", 1000, None),
        ("time_info.completion_time", 1, None),
        ("metrics.generation_time_ms", 1000, None),
    ],
}


@dataclass(eq=False)
class Row:
    """A stream while it is being collected."""

    offset: int
    last: int  # number of its last item
    id: str | None = None
    chunks: list[tuple[int, Item]] = field(default_factory=list)  # with their numbers
    open: bool = True
    done: bool = False
    errored: bool = False
    malformed: bool = False
    truncated: bool = False
    parent: Row | None = None
    own: int = 0  # number of the item since which it is no part of another, if it was
    final: float = math.inf  # number of the item since which it can get no more chunks

    @property
    def finished(self) -> bool:
        seen, finished = set(), set()
        for _, item in self.chunks:
            for choice in choices_of(item.doc):
                seen.add(index_of(choice))
                if is_text(choice.get("finish_reason")):
                    finished.add(index_of(choice))
        return bool(finished) and seen == finished


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def integer(value: Any) -> int | None:
    """An int64, also where a server wrote it as a float."""
    if not is_number(value) or (isinstance(value, float) and not value.is_integer()):
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def choices_of(doc: dict[str, Any]) -> list[dict[str, Any]]:
    choices = doc.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def index_of(choice: dict[str, Any]) -> int:
    """From 0 to 63, which stands for all that are larger; 0 for what is no index."""
    return min(max(integer(choice.get("index")) or 0, 0), 63)


def begins_a_message(doc: dict[str, Any]) -> bool:
    deltas = [choice.get("delta") for choice in choices_of(doc)]
    return any(isinstance(delta, dict) and is_text(delta.get("role")) for delta in deltas)


class Collector:
    """Sorts items into rows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.current: Row | None = None  # of the last chunk
        self.ended: Row | None = None  # by the last [DONE]
        self.number = 0

    def new(self, offset: int, *, parent: Row | None = None, id: str | None = None) -> Row:
        row = Row(offset, self.number, id, parent=parent)
        self.rows.append(row)
        self.current = row
        opened = [row for row in self.rows if row.open]
        if len(opened) > MAX_OPEN:
            for silent in sorted(opened, key=lambda row: row.last)[: MAX_OPEN // 2]:
                silent.open, silent.final = False, self.number
        return row

    def current_open(self) -> Row | None:
        return self.current if self.current and self.current.open else None

    def row_of_chunk(self, item: Item) -> Row:
        doc, current = item.doc, self.current_open()
        nothing = not doc.get("choices")
        if not is_text(doc.get("id")):
            if current:
                return current
            if self.ended and doc.get("id") is None and nothing:
                return self.ended  # behind [DONE]
            return self.new(item.offset)
        name = doc["id"]
        for row in self.rows:
            if row.open and row.id == name:
                for child in self.rows:
                    if child.parent is row:
                        child.parent, child.own = None, self.number  # two streams after all
                return row
        if self.ended and self.ended.id == name and nothing:
            return self.ended
        if current and current.id is None and not current.finished:
            current.id = name
            return current
        if current and not current.finished and not current.errored and not begins_a_message(doc):
            return self.new(item.offset, parent=current, id=name)
        return self.new(item.offset, id=name)

    def chunk(self, item: Item) -> None:
        if item.whole:
            return self.completion(item)
        row = self.row_of_chunk(item)
        row.chunks.append((self.number, item))
        row.last = self.number
        row.errored |= bool(item.doc.get("error"))
        if row.open:
            self.current = row

    def completion(self, item: Item) -> None:
        """A stream of its own, which is over at once and touches no other."""
        row = Row(item.offset, self.number, item.doc["id"] if is_text(item.doc.get("id")) else None)
        row.chunks, row.open, row.done, row.final = [(self.number, item)], False, True, self.number
        row.errored = bool(item.doc.get("error"))
        self.rows.append(row)

    def done(self, item: Item) -> None:
        current = self.current_open()
        opened = [row for row in self.rows if row.open]
        window = 2 * sum(not row.finished for row in opened) + 2
        waiting = [row for row in opened if row.finished and self.number - row.last <= window]
        if current and (current.finished or current.errored):
            target = current
        elif waiting:
            target = min(waiting, key=lambda row: row.last)
        elif current:
            target = current
        elif not self.rows:
            row = self.new(item.offset)
            row.done, row.open, self.current = True, False, None
            return
        else:
            return
        target.done, target.open = True, False
        if self.ended:
            self.ended.final = self.number  # until now usage could still come behind its [DONE]
        self.ended = target
        if target is self.current:
            self.current = None

    def error(self, item: Item) -> None:
        row = self.current_open()
        if row is None or row.errored:
            row = self.new(item.offset)
        row.errored, row.last = True, self.number

    def damage(self, item: Item) -> None:
        if item.kind not in ("invalid_json", "too_deep", "event_too_large", "truncated"):
            return
        if item.outside and self.rows and not self.current_open():
            return
        row = self.current_open() or self.new(item.offset)
        if item.kind == "truncated":
            row.truncated = True
        else:
            row.malformed = True


def collected(result: Result) -> list[Row]:
    """The streams of a source, in the order in which they began, each with its chunks."""
    collector = Collector()
    for item in result.items:
        if item.what != "keepalive":
            collector.number += 1
            getattr(collector, item.what)(item)
    rows = collector.rows
    for row in reversed(rows):  # a part that never turned out to be a stream of its own
        if row.parent:
            row.parent.chunks = sorted(row.parent.chunks + row.chunks, key=lambda pair: pair[0])
            row.parent.final = max(row.parent.final, row.final)
            for flag in ("done", "errored", "malformed", "truncated"):
                setattr(row.parent, flag, getattr(row.parent, flag) or getattr(row, flag))
    rows = [row for row in rows if row.parent is None]
    lost = [item for item in result.items if item.what == "damage"]
    if not rows and lost:
        rows = [Row(lost[0].offset, 0, malformed=True)]
    return rows


def oracle_rows(result: Result) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    """The rows of a source, and the damages of kind ``wrong_type``."""
    rows = collected(result)
    damages: list[tuple[Any, ...]] = []
    for item in result.chunks:
        sent = item.doc.get("usage")
        if sent is not None and not isinstance(sent, dict):
            damages.append(wrong_type(item, f"usage is a JSON {json_type(sent)}"))
    return [columns(row, damages) for row in rows], damages


def oracle_numbers(result: Result) -> list[int]:
    """For each chunk the number of its stream, as far as could be told when it came: streams are numbered when they
    begin, or when they turn out to be streams."""
    collector = Collector()
    numbers: dict[Row, int] = {}
    found = []
    for item in result.items:
        if item.what == "keepalive":
            continue
        collector.number += 1
        getattr(collector, item.what)(item)
        for row in collector.rows:
            if row.parent is None:
                numbers.setdefault(row, len(numbers))
        if item.what == "chunk":
            (row,) = (row for row in collector.rows if row.chunks and row.chunks[-1][1] is item)
            while row.parent:
                row = row.parent
            found.append(numbers[row])
    return found


def wrong_type(item: Item, reason: str) -> tuple[Any, ...]:
    return ("wrong_type", reason, item.offset, item.line, item.event, None)


def status_of(row: Row) -> str:
    if row.errored:
        return "error"
    if row.malformed:
        return "malformed"
    if row.truncated:
        return "truncated"
    if row.done:
        return "complete" if row.chunks else "empty"
    return "no_done" if row.finished else "truncated"


def usage_of(doc: dict[str, Any]) -> dict[str, Any] | None:
    """The usage object of one chunk, wherever the server put it."""
    places = [doc.get("usage")]
    if isinstance(doc.get("x_groq"), dict):
        places.append(doc["x_groq"].get("usage"))
    places += [choice.get("usage") for choice in reversed(choices_of(doc))]
    return next((usage for usage in places if isinstance(usage, dict) and usage), None)


def finite(value: Any) -> float | None:
    try:
        return float(value) if is_number(value) and math.isfinite(value) else None
    except OverflowError:
        return None


def cost_in(value: Any) -> float | None:
    """A number, or the number in an object."""
    if isinstance(value, dict):
        found = (finite(value.get(key)) for key in ("total_cost", "usd"))
        return next((number for number in found if number is not None), None)
    return finite(value)


def root_cost(value: Any) -> float | None:
    """The cost beside usage may be a number in a string, too."""
    if isinstance(value, str):
        return finite(float(value)) if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", value) else None
    return cost_in(value)


def at(doc: Any, path: str | None) -> Any:
    for key in path.split(".") if path else ():
        doc = doc.get(key) if isinstance(doc, dict) else None
    return doc if path else None


def time_in(doc: dict[str, Any], places: list[tuple[str, int, str | None]]) -> float | None:
    for path, unit, more in places:
        time = finite(at(doc, path))
        if time is not None:
            seconds = finite(time / unit + (finite(at(doc, more)) or 0.0))
            if seconds is not None:
                return seconds
    return None


def columns(row: Row, damages: list[tuple[Any, ...]]) -> dict[str, Any]:
    docs = [item.doc for _, item in row.chunks]
    reporting = [item for _, item in row.chunks if usage_of(item.doc)]
    usage = usage_of(reporting[-1].doc) if reporting else None
    created = [number for doc in docs if (number := integer(doc.get("created")))]
    models = [doc["model"] for doc in docs if is_text(doc.get("model"))]
    reasons: dict[int, str] = {}
    for doc in docs:
        for choice in choices_of(doc):
            if is_text(choice.get("finish_reason")):
                reasons[index_of(choice)] = choice["finish_reason"]
    cost = cost_in(usage.get("cost")) if usage else None
    if cost is None and usage and (ticks := finite(usage.get("cost_in_usd_ticks"))) is not None:
        cost = ticks / 10_000_000_000
    if cost is None:
        costs = [number for doc in docs if (number := root_cost(doc.get("cost"))) is not None]
        cost = costs[-1] if costs else None
    if cost is None and usage:
        cost = finite(usage.get("estimated_cost"))
    result: dict[str, Any] = {
        "id": row.id,
        "model": models[0] if models else None,
        "created": created[0] if created else 0,
        "finish_reason": reasons[min(reasons)] if reasons else None,
        "status": status_of(row),
        "chunks": len(docs),
        "offset": row.offset,
        "reported": usage is not None,
        "cost": math.nan if cost is None else cost,
        "valid": 0,
        "usage": usage,
    }
    for name in TIMES_IN_CHUNK:
        found = [time_in(usage or {}, TIMES_IN_USAGE[name])]
        found += [time_in(doc, TIMES_IN_CHUNK[name]) for doc in reversed(docs)]
        result[name] = next((time for time in found if time is not None), math.nan)
    for bit, name in enumerate(TOKENS):
        result[name] = 0
        path, sent = first_sent(usage or {}, PLACES[name])
        if sent is None:
            continue
        number = integer(sent)
        if number is None:
            reason = f"usage.{path} is a JSON {json_type(sent)}, expected an integer"
            damages.append(wrong_type(reporting[-1], reason))
        else:
            result[name] = number
            result["valid"] |= 1 << bit
    return result


def first_sent(usage: dict[str, Any], paths: list[str]) -> tuple[str, Any]:
    for path in paths:
        found: Any = usage
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return path, found
    return paths[0], None
