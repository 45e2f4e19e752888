"""Tables as text: columns and rows in, aligned lines out.

Summaries print with it, and so does the command line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "LABEL",
    "Column",
    "Total",
    "as_text",
    "cell_text",
    "count_text",
    "fitted",
    "footers",
    "printable",
    "seconds_text",
    "share_text",
    "shortened",
    "width_of",
]

_GAP = "  "
#: From here on, and where they are not finite, numbers with a fraction are written as 1.7e+308.
_LARGE = 1e15
_LEAST_TEXT = 12

#: The key of what a row below the others is called, whichever column is the first; else the first is "total".
LABEL = ""

#: What stands below the rows: nothing, a row, or several.
Total: TypeAlias = "dict[str, Any] | Sequence[dict[str, Any]] | None"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key of its values, its head, and what may be done to make it fit."""

    name: str
    head: str
    is_text: bool = False  #: to the left, and may be shortened; numbers go to the right
    optional: int = 0  #: may be left out where the terminal is narrow: the smallest first, 0 never


def printable(text: str) -> str:
    """Without what a terminal would obey: control characters and the like are written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        one if one == " " or unicodedata.category(one) not in _UNPRINTABLE else ascii(one)[1:-1] for one in text
    )


#: Controls, formats (bidirectional ones among them), surrogates, private, unassigned, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp", "Cf"})


def shortened(text: str, width: int) -> str:
    """The text, or its two ends with an ellipsis between: what differs in paths and models is often the end."""
    if width_of(text) <= width:
        return text
    head = width // 2
    tail = width - head - 1
    start, end = text[:head], text[len(text) - tail :] if tail else ""
    while width_of(start) > head:
        start = start[:-1]
    while width_of(end) > tail:
        end = end[1:]
    return f"{start}…{end}"


def width_of(text: str) -> int:
    """How many cells of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def cell_text(row: dict[str, Any], column: Column) -> str:
    """A value as it is printed."""
    value = row.get(column.name, "")
    if value is None:
        return "unknown" if column.is_text else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6f}" if abs(value) < 1 else f"{value:,.2f}" if abs(value) < _LARGE else f"{value:g}"
    return printable(str(value))


def share_text(share: float | None) -> str:
    """A share of 1 as it is printed."""
    return "-" if share is None else f"{100 * share:,.1f} %"


def count_text(count: float | None) -> str:
    """A count that may lie between two whole numbers."""
    return "-" if count is None else f"{count:,.0f}" if abs(count) >= 100 or count == int(count) else f"{count:,.1f}"


def seconds_text(seconds: float | None) -> str:
    """A time: to the millisecond where it is short, and never more than is worth reading."""
    if seconds is None:
        return "-"
    size = abs(seconds)
    if not size < _LARGE:
        return f"{seconds:g} s"
    return f"{seconds:,.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f} s"


def as_text(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    total: Total = None,
    *,
    text_width: int | None = None,
) -> str:
    """The table, without a line end at its end; texts no wider than ``text_width``."""
    ends = footers(columns, total)
    cells = [[_cell(row, column, text_width) for column in columns] for row in [*rows, *ends]]
    heads = [column.head for column in columns]
    widths = [max(map(width_of, values)) for values in zip(heads, *cells, strict=True)]

    def line(values: Sequence[str]) -> str:
        parts = [
            value + " " * (width - width_of(value)) if column.is_text else " " * (width - width_of(value)) + value
            for value, width, column in zip(values, widths, columns, strict=True)
        ]
        return _GAP.join(parts).rstrip()

    rule = "-" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    lines = [line(heads), rule, *map(line, cells)]
    if ends:
        lines.insert(-len(ends), rule)
    return "\n".join(lines)


def footers(columns: Sequence[Column], total: Total) -> list[dict[str, Any]]:
    """The rows at the end of a table: none, the total, or several, each with its label in the first column."""
    ends = [total] if isinstance(total, dict) else list(total or ())
    return [{columns[0].name: end.get(LABEL, "" if at else "total")} | end for at, end in enumerate(ends)]


def _cell(row: dict[str, Any], column: Column, text_width: int | None) -> str:
    text = cell_text(row, column)
    return shortened(text, text_width) if text_width and column.is_text else text


def fitted(
    columns: Sequence[Column], rows: Sequence[dict[str, Any]], total: Total, width: int
) -> tuple[list[Column], int | None]:
    """The columns that fit into a width, and how wide their texts may be: first texts are shortened, then columns left
    out, then texts shortened further."""
    shown = list(columns)
    widest = {
        column.name: max(
            [width_of(column.head), *(width_of(cell_text(row, column)) for row in [*rows, *footers(columns, total)])]
        )
        for column in columns
    }

    def needed(text_width: int) -> int:
        widths = (min(widest[one.name], text_width) if one.is_text else widest[one.name] for one in shown)
        return sum(widths) + len(_GAP) * (len(shown) - 1)

    for least in (2 * _LEAST_TEXT, _LEAST_TEXT):
        while True:
            for text_width in range(max([least, *(widest[one.name] for one in shown if one.is_text)]), least - 1, -1):
                if needed(text_width) <= width:
                    return shown, text_width
            left_out = sorted((one for one in shown if one.optional), key=lambda one: one.optional)
            if not left_out:
                break
            shown.remove(left_out[0])
    return shown, _LEAST_TEXT
