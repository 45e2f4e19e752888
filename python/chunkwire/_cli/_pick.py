"""Which streams ``chunkwire usage --rows`` shows, and in which order: a table in, its rows picked and sorted out."""

from __future__ import annotations

from typing import Any

import chunkwire
from chunkwire._order import ordered, sort_keys

__all__ = ["picked", "sorting"]

#: What grows along a log is sorted as it grows.
_ASCENDING = ("source", "offset", "id", "model", "created", "finish_reason", "status")


def sorting(sort: str | None, table: chunkwire.UsageTable) -> list[tuple[str, bool]] | None:
    """The columns to sort the streams of a table by; ValueError where it has no such column."""
    return None if sort is None else sort_keys(sort, list(table.to_dict()), _ASCENDING)


def picked(
    table: chunkwire.UsageTable, keys: list[tuple[str, bool]] | None, top: int | None, **about: Any
) -> tuple[chunkwire.UsageTable, dict[str, Any] | None]:
    """The streams that are shown, and the sums of those that ``top`` leaves out: all but the first ones, or but those
    with the most tokens, which then stay in the order of the log. ``about`` says what the sums are to have."""
    if keys is None and (top is None or top >= len(table)):
        return table, None
    names = [name for name, _ in keys or [("total_tokens", True)]]
    columns = table.to_dict()
    rows = [dict(zip(names, values, strict=True)) for values in zip(*(columns[name] for name in names), strict=True)]
    order = ordered(rows, keys or [("total_tokens", True)], range(len(table)))
    if top is None or top >= len(table):
        return table[order], None
    shown = order[:top] if keys is not None else sorted(order[:top])
    return table[shown], table[order[top:]].summary(**about).total
