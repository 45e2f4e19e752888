"""The numbers of a report: a usage table in; for each of its figures what is drawn and what stands in its table out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chunkwire import _breakdown, _percentiles
from chunkwire._render import Column, Total, cell_text, printable, seconds_text, share_text, shortened
from chunkwire._summary import Summary
from chunkwire._times import LAST, Window

if TYPE_CHECKING:
    from chunkwire._stats import Stats
    from chunkwire._table import UsageTable
    from chunkwire._times import When

__all__ = ["COLOURS", "Bars", "Figure", "Figures", "Histogram", "Part", "Table", "Timeline", "figures"]

#: So many groups are shown of each kind; the others are summed up.
_TOP = 10
#: So many models have a colour of their own over time.
_SERIES = 6
#: A table of more lines is folded away.
_LINES = 20
#: How many colours the page has; the last is grey, for what is left.
COLOURS = _SERIES + 1
_GREY = _SERIES
_NAME = 40
_HOUR, _DAY = 3600, 86400
_COSTS = ("cost", "computed_cost")
_DAMAGES = 25
#: No bar is longer: with more, axes cannot be computed.
_LONGEST = 1e30
#: More columns than a chart can show; only wrong times make so many.
_COLUMNS = 400


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers as they are printed everywhere."""

    columns: list[Column]
    rows: list[dict[str, Any]]
    total: Total = None
    folded: bool = False  #: shown when asked for, for its length


@dataclass(frozen=True, slots=True)
class Part:
    """What has a colour of its own in a chart."""

    name: str
    values: list[float]
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each label, of one part or several."""

    labels: list[str]
    parts: list[Part]
    unit: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Columns over time: from ``starts`` to ``ends`` (seconds since 1970), of one part or several."""

    starts: list[int]
    ends: list[int]
    parts: list[Part]
    unit: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many streams have which value, and lines at some."""

    values: Any  # array of float64, all above 0
    lines: list[tuple[str, float]]
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, or several, with what they say in words and in numbers."""

    key: str
    title: str
    about: str
    charts: list[tuple[str, Bars | Timeline | Histogram]] = field(default_factory=list)
    table: Table | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """All of a report."""

    tiles: list[tuple[str, str, str]]  #: what, how much, and what else is to be said of it
    note: str
    figures: list[Figure]


def figures(table: UsageTable, since: When | None, until: When | None) -> Figures:
    """The numbers of the streams in a span of time."""
    window = Window.of(since, until)
    by_model = table.summary(
        "model", since=window.since, until=window.until, top=_TOP, breakdown=True, percentiles=True
    )
    inside = table.between(window.since, window.until)
    found = [_models(by_model), _kinds(by_model)]
    found += [one for one in (_times(inside), *(_costs(inside, by_model, name) for name in _COSTS)) if one is not None]
    found += _spreads(inside, by_model)
    found += [_coverage(by_model), _ends(inside), _damage(table)]
    return Figures(_tiles(by_model, inside, table), by_model.note, found)


# --- what the page begins with


def _tiles(by_model: Summary, inside: UsageTable, table: UsageTable) -> list[tuple[str, str, str]]:
    total = by_model.total
    sources = len({label for label, _ in table.by_source()})
    share = f"{100 * total['reported'] / total['streams']:.1f} % reported usage" if total["streams"] else ""
    tiles = [
        ("streams", f"{total['streams']:,}", share),
        ("total tokens", f"{total['total_tokens']:,}", f"from {_counted(sources, 'source')}"),
        ("prompt tokens", f"{total['prompt_tokens']:,}", _share(total, "cached_tokens", "cached")),
        ("completion tokens", f"{total['completion_tokens']:,}", _share(total, "reasoning_tokens", "reasoning")),
    ]
    if total.get("cost") is not None:
        costs = int(inside.valid("cost").sum())
        tiles.append(("cost", _cell(total, "cost"), f"as {_counted(costs, 'stream')} reported it"))
    if total.get("computed_cost") is not None:
        tiles.append(("computed cost", _cell(total, "computed_cost"), f"of {_counted(total['priced'], 'stream')}"))
    if total["time_to_first_token_p50"] is not None:
        times = seconds_text(total["time_to_first_token_p50"])
        tiles.append(("first token", times, f"half of {_counted(total['time_to_first_token_streams'], 'stream')}"))
    return tiles


def _share(total: dict[str, Any], name: str, word: str) -> str:
    share = total[_breakdown.share_name(name)]
    return "" if share is None else f"{100 * share:.1f} % {word}"


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


# --- by model, and over time


def _models(by_model: Summary) -> Figure:
    (columns, rows, total), *_ = by_model.tables()
    parts = [Part("prompt", _floats(rows, "prompt_tokens")), Part("completion", _floats(rows, "completion_tokens"), 1)]
    bars = Bars(_labels(rows, "model"), parts, "tokens")
    about = "Prompt and completion tokens of each model, the largest first."
    return Figure("models", "Tokens by model", about, [("", bars)], Table(columns, rows, total))


def _kinds(by_model: Summary) -> Figure:
    columns, rows, total = _breakdown.table_of(by_model.by, (), by_model.total)
    sums = by_model.total
    labels, values = [], []
    for whole, kinds in _breakdown.KINDS_OF.items():
        name = whole.removesuffix("_tokens")
        rest = sums[whole] - sum(sums[kind] for kind in kinds)
        for kind, head in kinds.items():
            if sums[kind]:
                labels.append(f"{name}: {head}")
                values.append(max(float(sums[kind]), 0.0))
        labels.append(f"{name}: other" if rest != sums[whole] else name)
        values.append(max(float(rest), 0.0))
    about = "What the prompt and the completion tokens are, where servers tell; the shares are of each of the two."
    bars = Bars(labels, [Part("tokens", values)], "tokens")
    return Figure("kinds", "Kinds of tokens", about, [("", bars)], Table(columns, rows, total))


def _unit(inside: UsageTable) -> str | None:
    """Hours, days or months: what makes a chart of a readable number of columns."""
    created = inside.created[(inside.created > 0) & (inside.created <= LAST)]
    if not len(created):
        return None
    span = int(created.max()) - int(created.min())
    return "hour" if span <= 3 * _DAY else "day" if span <= 120 * _DAY else "month"


def _series(inside: UsageTable, unit: str, name: str, shown: set[str]) -> Timeline:
    """A value over the times that are shown, the models that have the most of it apart from the others."""
    colours = _colours(inside, name)
    values: dict[str, dict[Any, float]] = {}
    for row in inside.summary((unit, "model")):
        if row[unit] in shown:
            model = row["model"] if row["model"] in colours else _OTHER
            value = _length(row.get(name))
            times = values.setdefault(row[unit], {})
            times[model] = times.get(model, 0.0) + value
    spans = [_span(text, unit) for text in values]
    parts = [
        Part("other models" if one is _OTHER else _name(one), [row.get(one, 0.0) for row in values.values()], colour)
        for one, colour in [*colours.items(), (_OTHER, _GREY)]
    ]
    parts = [part for part in parts if any(part.values)]
    unit_of = "US dollars" if name in _COSTS else "tokens"
    return Timeline([start for start, _ in spans], [end for _, end in spans], parts, unit_of)


def _colours(inside: UsageTable, name: str) -> dict[Any, int]:
    """The models that have the most of something, among streams with a time. Those that have the most tokens have the
    same colours everywhere."""

    def largest(name: str) -> list[Any]:
        return [row["model"] for row in inside.between(0).summary("model", sort=name, top=_SERIES) if row.get(name)]

    usual = {model: colour for colour, model in enumerate(largest("total_tokens"))}
    models = largest(name)
    free = iter(sorted({*range(_SERIES)} - {usual[model] for model in models if model in usual}))
    return {model: usual[model] if model in usual else next(free) for model in models}


def _shown(summary: Summary, unit: str) -> set[str]:
    return {row[unit] for row in summary} - {"unknown"}


#: Stands for all models that have no colour of their own; no model is called so.
_OTHER = object()


def _span(text: str, unit: str) -> tuple[int, int]:
    """When a month, day or hour begins and ends."""
    if unit == "hour":
        start = Window.of(text.replace(" ", "T"), None).since
        assert start is not None
        return int(start.timestamp()), int(start.timestamp()) + _HOUR
    window = Window.of(text, text)
    assert window.since is not None
    assert window.until is not None
    return int(window.since.timestamp()), int(window.until.timestamp())


def _times(inside: UsageTable) -> Figure | None:
    unit = _unit(inside)
    if unit is None:
        return None
    summary = inside.summary(unit, top=_COLUMNS)
    (columns, rows, total), *_ = summary.tables()
    about = f"Total tokens by {unit} and model, at the time that streams were created (UTC)."
    undated = len(inside) - sum(row["streams"] for row in rows if row[unit] != "unknown")
    notes = (
        [f"Not in the chart: {_counted(undated, 'stream')} without a time or with one that is odd."] if undated else []
    )
    chart = _series(inside, unit, "total_tokens", _shown(summary, unit))
    return Figure("times", "Tokens over time", about, [("", chart)], Table(columns, rows, total, folded=True), notes)


def _costs(inside: UsageTable, by_model: Summary, name: str) -> Figure | None:
    """What servers reported, or what prices gave."""
    if by_model.total.get(name) is None:
        return None
    summary = inside.summary("model", sort=name, top=_TOP)
    (_, rows, total), *_ = summary.tables()
    told = {row["model"]: row["streams"] for row in inside[inside.valid(name)].summary("model")}
    for row in rows:
        row["told"] = told.get(row["model"], 0) if row.get("model") in told else 0
    shown = sum(row["told"] for row in rows)
    everywhere = int(inside.valid(name).sum())
    if summary.other is not None:
        rows[-1]["told"] = everywhere - shown
    columns = [
        Column("model", "model", is_text=True),
        Column("streams", "streams"),
        Column("told", "with a cost"),
        Column("total_tokens", "total tokens"),
        Column(name, "cost"),
    ]
    with_cost = [row for row in rows if row[name] is not None]
    bars = Bars(_labels(with_cost, "model"), [Part("cost", _floats(with_cost, name))], "US dollars")
    charts: list[tuple[str, Bars | Timeline | Histogram]] = [("by model", bars)]
    if unit := _unit(inside):
        shown = _shown(inside.summary(unit, top=_COLUMNS), unit)
        charts.append((f"by {unit}", _series(inside, unit, name, shown)))
    sums = [*(row[name] for row in with_cost), *getattr(inside, name).tolist()]
    notes = [f"Bars end at {_LONGEST:g}: some would be longer."] if any(value > _LONGEST for value in sums) else []
    assert isinstance(total, dict)
    table = Table(columns, rows, total | {"told": everywhere})
    if name == "cost":
        about = "As servers reported it with the usage of a stream; what they did not price is not in it."
        return Figure("costs", "Cost", about, charts, table, notes)
    about = "Computed for each stream by a list of prices; what has no price there is not in it."
    notes += inside.costs.note.splitlines() if inside.costs is not None else []
    return Figure("computed", "Computed cost", about, charts, table, notes)


# --- distributions


def _spreads(inside: UsageTable, by_model: Summary) -> list[Figure]:
    import numpy as np

    charts: list[tuple[str, Bars | Timeline | Histogram]] = []
    notes = []
    points = _percentiles.point_names(by_model.percentiles)
    for name, title in _percentiles.MEASURES.items():
        values = getattr(inside, name)[inside.valid(name)].astype(np.float64)
        if not len(values):
            continue
        above = values[values > 0]
        if len(above) < len(values):
            notes.append(f"{title}: {_counted(len(values) - len(above), 'stream')} with 0 or less, not in the chart.")
        if len(above):
            lines = [(point, by_model.total[f"{name}_{point}"]) for point in points]
            charts.append((title, Histogram(above, lines, "seconds" if "time" in name else "")))
    if not charts:
        return []
    rows = by_model.tables()[0][1]
    columns, lines_of, total = _percentiles.table_of(by_model.by, rows, by_model.total, by_model.percentiles)
    table = Table(columns, lines_of, total, folded=len(lines_of) > _LINES)
    about = "How many streams have how many tokens and chunks, and how long they took where servers tell it."
    about += " The lines are percentiles: half of the streams are below p50, 95 % below p95."
    return [Figure("spreads", "Distributions", about, charts, table, notes)]


# --- what is missing, and what is wrong


def _coverage(by_model: Summary) -> Figure:
    rows, total = by_model.tables()[0][1], dict(by_model.total)
    other = [rows.pop()] if by_model.other is not None else []
    rows = sorted(rows, key=lambda row: -row["streams"]) + other
    for row in [*rows, total]:
        row["missing"] = row["streams"] - row["reported"]
        row["share"] = share_text(row["reported"] / row["streams"] if row["streams"] else None)
    parts = [Part("reported usage", _floats(rows, "reported")), Part("did not", _floats(rows, "missing"), _GREY)]
    columns = [
        Column("model", "model", is_text=True),
        Column("streams", "streams"),
        Column("reported", "reported"),
        Column("missing", "not reported"),
        Column("share", "share"),
    ]
    about = "For how many streams the server reported usage. The tokens of the others are in no sum of this report."
    bars = Bars(_labels(rows, "model"), parts, "streams")
    return Figure("coverage", "Coverage", about, [("", bars)], Table(columns, rows, total))


def _ends(inside: UsageTable) -> Figure:
    summary = inside.summary(("status", "finish_reason"), sort="streams", top=_TOP)
    (_, rows, total), *_ = summary.tables()
    columns = [
        Column("status", "status", is_text=True),
        Column("finish_reason", "finish reason", is_text=True),
        Column("streams", "streams"),
        Column("total_tokens", "total tokens"),
    ]
    by_status = inside.summary("status", sort="streams")
    (_, statuses, _), *_ = by_status.tables()
    by_reason = inside.summary("finish_reason", sort="streams", top=_TOP)
    (_, reasons, _), *_ = by_reason.tables()
    charts: list[tuple[str, Bars | Timeline | Histogram]] = [
        ("status", Bars(_labels(statuses, "status"), [Part("streams", _floats(statuses, "streams"))], "streams")),
        (
            "finish reason",
            Bars(_labels(reasons, "finish_reason"), [Part("streams", _floats(reasons, "streams"))], "streams"),
        ),
    ]
    about = (
        "How streams end: complete, no_done (finished without [DONE]), truncated, error (the server sent one), empty "
        "or malformed (events were lost to damage); and the finish reason that the server gave."
    )
    return Figure("ends", "Status", about, charts, Table(columns, rows, total))


def _damage(table: UsageTable) -> Figure:
    stats: Stats = table.stats
    about = f"{_counted(stats.damaged, 'damage')} and {_counted(stats.errors, 'server error')} in "
    about += f"{stats.bytes:,} bytes, of which {stats.damaged_bytes:,} were lost; whatever the time."
    charts: list[tuple[str, Bars | Timeline | Histogram]] = []
    kinds = Counter(damage.kind for damage in stats.damages).most_common()
    if kinds:
        bars = Bars([_name(kind) for kind, _ in kinds], [Part("found", [float(count) for _, count in kinds])], "")
        charts.append(
            ("kinds" if stats.damaged + stats.errors <= len(stats.damages) else "kinds, first thousand", bars)
        )
    columns = [
        Column("source", "source", is_text=True),
        Column("line", "line"),
        Column("offset", "offset"),
        Column("kind", "kind", is_text=True),
        Column("reason", "reason", is_text=True),
    ]
    rows = [
        {
            "source": damage.source or "",
            "line": damage.line,
            "offset": damage.offset,
            "kind": damage.kind,
            "reason": shortened(printable(damage.reason), 200),
        }
        for damage in stats.damages[:_DAMAGES]
    ]
    notes = []
    if stats.damaged + stats.errors > len(rows):
        notes.append(f"The first {len(rows)} are listed; chunkwire check lists more.")
    notes += [f"Could not be read: {label}: {error}" for label, error in table.failures]
    return Figure("damage", "Damage", about, charts, Table(columns, rows) if rows else None, notes)


# --- how it is written


def _floats(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Lengths of bars: nothing is shorter than 0, whatever a server sent."""
    return [_length(row.get(name)) for row in rows]


def _length(value: float | None) -> float:
    """The same of one value; and what is no finite number, or too large, ends where bars end."""
    return 0.0 if value is None or not value > 0 else min(float(value), _LONGEST)


def _labels(rows: Sequence[dict[str, Any]], name: str) -> list[str]:
    return [_name(row[name]) for row in rows]


def _name(text: Any) -> str:
    return shortened(cell_text({"": text}, Column("", "", is_text=True)), _NAME)


def _cell(row: dict[str, Any], name: str) -> str:
    return cell_text(row, Column(name, name))
