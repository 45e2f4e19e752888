"""``chunkwire usage --chart``: the rows of a summary in, a line with a bar for each out."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import chunkwire
from chunkwire._render import Column, cell_text, count_text, seconds_text, share_text, shortened, width_of

__all__ = ["chart_text", "charted"]

_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_PLAIN = "#"
#: A bar is not worth looking at if it is shorter than this.
_LEAST_BAR = 10
_GAP = "  "


def charted(summary: chunkwire.Summary, sort: str | None) -> str:
    """The column whose bars are drawn: the first number of ``sort``, total tokens without."""
    keys = {name.replace("_tokens", ""): name for name in summary.columns if name not in summary.by}
    keys |= {name: name for name in keys.values()}
    for one in (sort or "").split(","):
        if (name := one.partition(":")[0].strip()) in keys:
            return keys[name]
    return "total_tokens"


def chart_text(summary: chunkwire.Summary, name: str, *, width: int, encoding: str | None, colour: bool) -> str:
    """The bars, no line wider than ``width``; in ASCII where the encoding has no blocks."""
    (columns, rows, _), *_ = summary.tables()
    labels = [column for column in columns if column.is_text]
    numbers = [_number(row, name) for row in rows]
    values = [max(float(row[name]), 0.0) if row.get(name) is not None else 0.0 for row in rows]
    longest = max(filter(math.isfinite, values), default=0.0)
    # First come the numbers, then the labels, and what they leave is for the bars.
    room = width - max(map(len, numbers), default=0) - len(_GAP) * (len(labels) + 1)
    texts = [[cell_text(row, label) for label in labels] for row in rows]
    widths = [max(map(width_of, some)) for some in zip(*texts, strict=True)]
    if sum(widths) > room - _LEAST_BAR:
        most = max((room - _LEAST_BAR) // len(labels), _LEAST_BAR // 2)
        texts = [[shortened(text, most) for text in some] for some in texts]
        widths = [max(map(width_of, some)) for some in zip(*texts, strict=True)]
    bar_width = max(room - sum(widths), 1)
    blocks = _has_blocks(encoding)
    lines = []
    for some, value, number in zip(texts, values, numbers, strict=True):
        label = _GAP.join(text + " " * (wide - width_of(text)) for text, wide in zip(some, widths, strict=True))
        if math.isfinite(value):
            share = value / longest if longest > 0 else 0.0
        else:
            share = float(math.isinf(value))
        lines.append((label, bar(share, bar_width, blocks=blocks), number))
    title = name.replace("_", " ")
    if math.inf in values:
        title += " (bars of inf are cut off)"
    return _coloured(title, lines) if colour else _joined(title, lines)


def _number(row: dict[str, Any], name: str) -> str:
    """The value of a row's column, as it is printed everywhere."""
    value = row.get(name)
    if name.endswith("_share"):
        return share_text(value)
    if isinstance(value, float) and name not in ("cost", "computed_cost"):
        return seconds_text(value) if "time" in name else count_text(value)
    return cell_text({name: value}, Column(name, name))


def bar(share: float, width: int, *, blocks: bool) -> str:
    """A bar that takes its share of the width; what is not nothing is seen."""
    if share <= 0:
        return ""
    if not blocks:
        return _PLAIN * max(round(share * width), 1)
    eighths = max(round(share * width * 8), 1)
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _has_blocks(encoding: str | None) -> bool:
    try:
        (_EIGHTHS + _FULL).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _joined(title: str, lines: Iterable[tuple[str, str, str]]) -> str:
    return "\n".join([title, *(_GAP.join(part for part in line if part) for line in lines)])


def _coloured(title: str, lines: Sequence[tuple[str, str, str]]) -> str:
    """The same with colours, where rich is installed."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return _joined(title, lines)
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as captured:
        console.print(Text(title, "bold"))
        for label, bars, number in lines:
            parts = [Text(label, "cyan"), Text(bars, "green"), Text(number)]
            console.print(Text(_GAP).join(part for part in parts if part.plain), no_wrap=True, overflow="ignore")
    return captured.get().rstrip("\n")
