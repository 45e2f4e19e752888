"""Rows of streams in, columns of native numbers out, the token counts among them: the Python engine's twin of the room
`usage`."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable
from typing import Any

from chunkwire._json import kind_of
from chunkwire._reported import Times, cost_in_usage, either, estimated_cost, times_in_usage
from chunkwire._streams import Row, Wrong, integer

__all__ = ["TOKEN_COLUMNS", "columns_of", "find"]

_PROMPT, _COMPLETION = "prompt_tokens_details", "completion_tokens_details"

#: The token columns in the order of the bits of `valid`, and where each count stands in a usage object: the first
#: place that has one.
TOKEN_COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "prompt_tokens": (("prompt_tokens",),),
    "completion_tokens": (("completion_tokens",),),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (
        (_PROMPT, "cached_tokens"),
        ("prompt_cache_hit_tokens",),  # DeepSeek
        ("cache_read_input_tokens",),  # Anthropic's name: Databricks, Venice, Vercel
        ("cached_tokens",),  # Together
        ("num_cached_tokens",),  # Mistral
    ),
    "cache_write_tokens": ((_PROMPT, "cache_write_tokens"), ("cache_creation_input_tokens",)),
    "reasoning_tokens": ((_COMPLETION, "reasoning_tokens"), ("reasoning_tokens",)),
    "audio_prompt_tokens": ((_PROMPT, "audio_tokens"),),
    "audio_completion_tokens": ((_COMPLETION, "audio_tokens"),),
    "accepted_prediction_tokens": ((_COMPLETION, "accepted_prediction_tokens"),),
    "rejected_prediction_tokens": ((_COMPLETION, "rejected_prediction_tokens"),),
}


def columns_of(rows: list[Row], wrong: Wrong, *, measures: bool = False, keep: int = 0) -> dict[str, Any]:
    """The rows as columns of native numbers; appends to ``wrong`` what they cannot hold. ``keep`` is how many values
    each row has that a log says of it."""
    tokens = {name: array("q") for name in TOKEN_COLUMNS}
    valid = array("H")
    costs = array("d")
    first, rest, measured = array("d"), array("d"), bytearray()
    sent, ends = bytearray(), array("q")
    ids, id_ends = bytearray(), array("q")
    for row in rows:
        bits = 0
        usage = row.usage or {}
        for bit, (name, paths) in enumerate(TOKEN_COLUMNS.items()):
            found, path = find(usage, paths)
            count = integer(found)
            if count is not None:
                bits |= 1 << bit
            elif found is not None:
                reason = f"usage.{'.'.join(path)} is a JSON {kind_of(found)}, expected an integer"
                wrong.append((reason, row.usage_place))
            tokens[name].append(count or 0)
        valid.append(bits)
        cost = cost_in_usage(usage)
        if cost is None and math.isnan(row.cost):
            cost = estimated_cost(usage)
        costs.append(row.cost if cost is None else cost)
        sent_times = either(times_in_usage(usage), row.times)
        to_first, generation = either(sent_times, _measured(row))
        measured.append((to_first, generation) != sent_times)
        first.append(math.nan if to_first is None else to_first)
        rest.append(math.nan if generation is None else generation)
        if usage:
            sent += json.dumps(usage).encode()
        ends.append(len(sent))
        ids += (row.id or "").encode("utf-8", "surrogatepass")
        id_ends.append(len(ids))
    columns: dict[str, Any] = {name: column.tobytes() for name, column in tokens.items()}
    columns["valid"] = valid.tobytes()
    columns["reported"] = bytes(row.usage is not None for row in rows)
    columns["cost"] = costs.tobytes()
    columns["time_to_first_token"] = first.tobytes()
    columns["generation_time"] = rest.tobytes()
    if any(measured):
        columns["measured"] = bytes(measured)
    columns["usage"] = bytes(sent)
    columns["usage_end"] = ends.tobytes()
    columns["created"] = array("q", (row.created for row in rows)).tobytes()
    columns["chunks"] = array("q", (row.chunks for row in rows)).tobytes()
    columns["offset"] = array("q", (row.offset for row in rows)).tobytes()
    columns["id"] = bytes(ids)
    columns["id_end"] = id_ends.tobytes()
    columns["model"] = _coded(row.model for row in rows)
    columns["finish_reason"] = _coded(row.finish_reason for row in rows)
    columns["status"] = _coded(row.status() for row in rows)
    if measures:
        columns["content_deltas"] = array("q", (row.deltas for row in rows)).tobytes()
        columns["text_bytes"] = array("q", (row.text_bytes for row in rows)).tobytes()
    if keep:
        columns["kept"] = [_kept(rows, place) for place in range(keep)]
    return columns


def _measured(row: Row) -> Times:
    """The times that a log shows by those of its reads: from the first to the first chunk with content, and from there
    to the last."""
    if row.first_content is None or row.last_content is None:
        return None, None
    to_first = None if row.began is None else row.first_content - row.began
    generation = row.last_content - row.first_content
    return (
        None if to_first is None or to_first < 0 else to_first,
        None if generation < 0 else generation,
    )


def _kept(rows: list[Row], place: int) -> tuple[bytes, bytes]:
    """A value of each row as JSON, one behind the other, and where each ends; an empty one is none."""
    values, ends = bytearray(), array("q")
    for row in rows:
        value = row.kept[place] if row.kept is not None else None
        if value is not None:
            values += json.dumps(value).encode()
        ends.append(len(values))
    return bytes(values), ends.tobytes()


def find(usage: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> tuple[Any, tuple[str, ...]]:
    """The first value of these paths that is there and not null, and its path."""
    for path in paths:
        value: Any = usage
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value, path
    return None, ()


def _coded(texts: Iterable[str | None]) -> tuple[bytes, list[str]]:
    """Texts as codes, -1 for none, and the text of each code in the order of the first row that has it."""
    codes: dict[str, int] = {}
    column = array("i")
    for text in texts:
        column.append(-1 if text is None else codes.setdefault(text, len(codes)))
    return column.tobytes(), list(codes)
