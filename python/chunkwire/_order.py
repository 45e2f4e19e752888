"""Which rows come first: names of columns, as users write them, and rows as dicts in; places of the rows out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

__all__ = ["ordered", "sort_keys", "top_of"]

_PERCENTILE = re.compile(r"_p\d[\d.e-]*$")


def sort_keys(sort: str | Iterable[str], columns: Sequence[str], ascending: Collection[str]) -> list[tuple[str, bool]]:
    """The columns to sort by, and whether the largest comes first.

    ``sort`` is a name or several (also in one text, with commas), each perhaps with ``:asc`` or ``:desc`` behind it.
    Without, the largest comes first but in the columns of ``ascending``. ``_tokens`` in a name may be left out.
    """
    if not isinstance(sort, Iterable):
        raise TypeError(f"sort: expected the name of a column, or several, got {sort!r}")
    names = {short: name for name in columns for short in (name.replace("_tokens", ""), name)}
    names |= {name: name for name in columns}
    found: list[tuple[str, bool]] = []
    texts = [sort] if isinstance(sort, str) else list(sort)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"sort: expected the name of a column, or several, got {text!r}")
    for one in (part.strip() for text in texts for part in text.split(",")):
        name, _, direction = one.partition(":")
        if direction not in ("", "asc", "desc"):
            raise ValueError(f"cannot sort by {one!r}: behind the colon may be asc or desc")
        if name not in names:
            raise ValueError(f"cannot sort by {name!r}; {_hint(name, columns, list(names))}")
        column = names[name]
        found.append((column, direction == "desc" if direction else column not in ascending))
    if not found:
        raise ValueError(f"cannot sort by nothing; {_hint('', columns, [])}")
    return found


def _hint(name: str, columns: Sequence[str], names: Sequence[str]) -> str:
    some = [column for column in columns if not _PERCENTILE.search(column)]
    if _PERCENTILE.search(name) and len(some) == len(columns):
        return "percentiles were not asked for"
    near = difflib.get_close_matches(name, names, n=1)
    return f"{f'did you mean {near[0]!r}? ' if near else ''}possible are {', '.join(some)}"


def ordered(rows: Sequence[dict[str, Any]], keys: Sequence[tuple[str, bool]], order: Iterable[int]) -> list[int]:
    """The places of the rows, sorted; rows that are equal stay as they are in ``order``. No value comes last."""
    places = list(order)
    for name, largest_first in reversed(keys):
        sent = [place for place in places if rows[place].get(name) is not None]
        sent.sort(key=lambda place: rows[place][name], reverse=largest_first)
        places = [*sent, *(place for place in places if rows[place].get(name) is None)]
    return places


def top_of(top: int | None) -> int | None:
    """The number of rows, checked."""
    if top is None:
        return None
    if isinstance(top, bool) or not hasattr(top, "__index__"):
        raise TypeError(f"top: expected a number from 1, got {top!r}")
    number = top.__index__()
    if number < 1:
        raise ValueError(f"top: expected a number from 1, got {top!r}")
    return number
