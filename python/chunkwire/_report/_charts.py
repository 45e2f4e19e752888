"""The charts of a report: what is to be drawn in, SVG to stand in an HTML page out. Only here is matplotlib.

Colours are CSS variables of the page, so that one file is readable in light and dark: matplotlib draws with stand-ins,
which are replaced. So are the texts, which come from logs: matplotlib never sees them, as it would read formulas in
them and look for their glyphs.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import matplotlib as mpl
import matplotlib.dates
import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from chunkwire._render import width_of
from chunkwire._report._figures import COLOURS, Bars, Histogram, Timeline

__all__ = ["svg"]

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": False,  # all of a chart's bars are one path
}
#: What matplotlib draws with, and what it means.
_TEXT = "#010203"
_FAINT = "#040506"
_PARTS = [f"#0a0b{number:02x}" for number in range(COLOURS)]
_COLOURS = {_TEXT: "currentColor", _FAINT: "var(--rule)"} | {
    stand_in: f"var(--part-{number})" for number, stand_in in enumerate(_PARTS)
}
_WIDTH, _BAR, _HEIGHT = 9.6, 0.3, 2.8
_SMALL = 3.5, 2.1
_BINS = 30


def svg(key: str, title: str, about: str, chart: Bars | Timeline | Histogram) -> str:
    """The chart as SVG; ``key`` makes its ids the only ones of a page."""
    texts: list[str] = []

    def stand_in(text: str) -> str:
        texts.append(text)
        mark = f"T{len(texts) - 1:03d}T"
        return mark + "x" * max(width_of(text) - len(mark), 0)

    style: Any = _STYLE | {"svg.hashsalt": key}
    with mpl.rc_context(style):
        if isinstance(chart, Bars):
            drawing = _bars(chart, stand_in)
        elif isinstance(chart, Timeline):
            drawing = _timeline(chart)
        else:
            drawing = _histogram(chart)
        written = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing.savefig(written, format="svg", transparent=True, metadata=nothing)
    return _inline(written.getvalue(), key, title, about, texts)


def _inline(text: str, key: str, title: str, about: str, texts: Sequence[str]) -> str:
    """What matplotlib wrote, made to stand in a page among others."""
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'url\(#|href="#', lambda found: f"{found[0]}{key}-", text)
    for stand_in, colour in _COLOURS.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"T(\d{3})Tx*", lambda found: escape(texts[int(found[1])]), text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    head = (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}-title {key}-desc" '
        f'style="max-width: {float(width) * 1.35:.0f}px">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(about)}</desc>'
    )
    return re.sub(r"<svg [^>]*>", lambda _: head, text, count=1).strip()


# --- drawing


def _axes(width: float, height: float) -> tuple[Drawing, Any]:
    drawing = Drawing(figsize=(width, height), layout="constrained")
    axes = drawing.add_subplot()
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)
    axes.tick_params(colors=_TEXT, length=0, which="both")
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    return drawing, axes


def _boxes(axes: Any, boxes: Any, colour: int) -> None:
    """Rectangles of one colour, as one path: x from, x to, y from, y to in each row."""
    left, right, low, high = np.asarray(boxes, np.float64).reshape(-1, 4).T
    corners = np.stack([np.stack([left, low], -1), np.stack([right, low], -1), np.stack([right, high], -1)], 1)
    corners = np.concatenate([corners, np.stack([left, high], -1)[:, None], corners[:, :1]], 1)
    if len(corners):
        path = Path.make_compound_path_from_polys(corners)
        axes.add_patch(PathPatch(path, facecolor=_PARTS[colour], linewidth=0))


def _bars(chart: Bars, stand_in: Callable[[str], str]) -> Drawing:
    drawing, axes = _axes(_WIDTH, 0.55 + _BAR * max(len(chart.labels), 1))
    lefts = np.zeros(len(chart.labels))
    rows = np.arange(len(chart.labels))
    for part in chart.parts:
        rights = lefts + np.asarray(part.values, np.float64)
        _boxes(axes, np.stack([lefts, rights, rows - 0.36, rows + 0.36], -1), part.colour)
        lefts = rights
    axes.set_ylim(len(chart.labels) - 0.4, -0.6)
    axes.set_xlim(0, _most(lefts))
    axes.set_yticks(rows, [stand_in(label) for label in chart.labels])
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=chart.unit != "US dollars"))
    axes.set_xlabel(chart.unit, color=_TEXT)
    axes.spines["bottom"].set_visible(False)
    return drawing


def _timeline(chart: Timeline) -> Drawing:
    drawing, axes = _axes(_WIDTH, _HEIGHT)
    starts, ends = (np.asarray(some, np.float64) / 86400 for some in (chart.starts, chart.ends))
    wide = ends - starts
    gap, starts, ends = wide * 0.06, starts - wide / 2, ends - wide / 2  # the middle stands above the mark of its time
    low = np.zeros(len(starts))
    for part in chart.parts:
        high = low + np.asarray(part.values, np.float64)
        _boxes(axes, np.stack([starts + gap, ends - gap, low, high], -1), part.colour)
        low = high
    last = (datetime.max - datetime(1970, 1, 1)).days
    axes.set_xlim(max(starts.min() - gap[0], 0), min(ends.max() + gap[0], last))
    axes.set_ylim(0, _most(low))
    dates: Any = matplotlib.dates  # which has no types
    locator = dates.AutoDateLocator(tz=UTC, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    axes.xaxis.get_offset_text().set_color(_TEXT)
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=chart.unit != "US dollars"))
    axes.set_ylabel(chart.unit, color=_TEXT)
    return drawing


def _histogram(chart: Histogram) -> Drawing:
    drawing, axes = _axes(*_SMALL)
    values = np.clip(chart.values, 1e-9, 1e18)
    least, most = float(values.min()), float(values.max())
    wide = most / least > 20
    if wide:
        edges = np.geomspace(least, most * (1 + 1e-9), _BINS + 1)
    elif most < 2**50 and most - least < _BINS and (values == np.floor(values)).all():
        edges = np.arange(least, most + 2) - 0.5
    else:
        edges = np.linspace(least, most, _BINS + 1) if most > least else np.array([least * 0.9, least * 1.1])
    counts, edges = np.histogram(values, edges)
    _boxes(axes, np.stack([edges[:-1], edges[1:], np.zeros(len(counts)), counts], -1)[counts > 0], 0)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.set_xlim(edges[0], edges[-1])
    top = _most(counts)
    axes.set_ylim(0, top * 1.35)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    for level, (name, value) in enumerate(chart.lines):
        if edges[0] <= value <= edges[-1]:  # the names side by side or, as they may be near, one above the other
            axes.plot([value, value], [0, top * (1 + 0.1 * level)], color=_TEXT, linewidth=0.9, dashes=(3, 2))
            label = axes.text(value, top * (1 + 0.1 * level), name, color=_TEXT, ha="center", va="bottom", fontsize=7.5)
            label.set_in_layout(False)
    axes.set_xlabel(chart.unit, color=_TEXT)
    axes.set_ylabel("streams", color=_TEXT)
    return drawing


def _most(values: Any) -> float:
    """The end of an axis: a bit more than the largest value, and never nothing."""
    largest = float(np.max(values, initial=0))
    return largest * 1.05 if largest > 0 else 1.0


def _short(value: float, _: Any = None) -> str:
    """A number at an axis: 1.5k, 20M."""
    if abs(value) >= 1e21:
        return f"{value:.4g}"
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.6g}{letter}"
    return f"{value:.4g}"
