"""The page of a report: figures in, HTML out. What comes from a log is escaped; the page loads and runs nothing."""

from __future__ import annotations

from html import escape
from typing import Any

import chunkwire
from chunkwire._render import cell_text, footers, printable
from chunkwire._report._charts import svg
from chunkwire._report._figures import Bars, Figure, Figures, Histogram, Table, Timeline

__all__ = ["page"]

#: Nothing from anywhere, not even a script of our own.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_CSS = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f6f7f9; --text: #1b1f24; --soft: #57606a; --rule: #d5d9df;
  --part-0: #1f6feb; --part-1: #c96a0b; --part-2: #0f8a7e; --part-3: #8250df;
  --part-4: #c2255c; --part-5: #7a8a00; --part-6: #7d858f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1318; --card: #171c23; --text: #e6e9ed; --soft: #a3adb8; --rule: #343c46;
    --part-0: #539bf5; --part-1: #f0883e; --part-2: #36c5b4; --part-3: #b392f0;
    --part-4: #f778ba; --part-5: #c3d04f; --part-6: #7d8590;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.7rem; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 0 0 2px; }
h3 { font-size: 0.95rem; margin: 12px 0 2px; }
p { margin: 0 0 10px; color: var(--soft); overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin: 18px 0; }
.tiles div, section { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 16px; }
.tiles dt { color: var(--soft); font-size: 0.85rem; }
.tiles dd { margin: 0; font-size: 1.45rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tiles dd small { display: block; font-size: 0.8rem; color: var(--soft); }
section { margin: 0 0 16px; padding: 16px 18px; }
figure { margin: 0; min-width: 0; overflow-x: auto; }
.charts:not(.many) svg { min-width: 560px; }
.charts.many { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 4px 20px; }
svg { display: block; width: 100%; height: auto; font-family: system-ui, sans-serif; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; padding: 0; margin: 6px 0; }
.legend li { font-size: 0.85rem; }
.legend li { overflow-wrap: anywhere; }
.legend span { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.45em; }
.wide { overflow-x: auto; margin-top: 12px; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; min-width: 50%; }
th, td { padding: 3px 10px 3px 0; text-align: right; white-space: nowrap; font-weight: normal; }
th:first-child, .text { text-align: left; }
td.text, tbody th { min-width: 9em; max-width: 26em; overflow-wrap: anywhere; white-space: pre-wrap; }
thead th { color: var(--soft); border-bottom: 1px solid var(--rule); }
tfoot th, tfoot td { font-weight: 600; }
tfoot tr:first-child > * { border-top: 1px solid var(--rule); }
summary { cursor: pointer; margin-top: 10px; color: var(--soft); }
footer { color: var(--soft); font-size: 0.85rem; }
"""


def page(figures: Figures, title: str) -> str:
    """The page, whole."""
    tiles = "".join(
        f"<div><dt>{_text(what)}</dt><dd>{_text(value)}<small>{_text(more)}</small></dd></div>"
        for what, value, more in figures.tiles
    )
    note = "<br>".join(_text(line) for line in figures.note.splitlines())
    sections = "\n".join(map(_section, figures.figures))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>{_text(title)}</h1>
<p>{note}</p>
<dl class="tiles">{tiles}</dl>
{sections}
<footer>Counted by chunkwire {_text(chunkwire.__version__)}. Sums are exact; a percentile is that of the streams that
have the value, in a straight line between neighbours (NumPy's method linear). Times are those of <code>created</code>,
in UTC.
</footer>
</main>
</body>
</html>
"""


def _text(text: Any) -> str:
    return escape(printable(str(text)))


def _section(figure: Figure) -> str:
    drawn = [
        _figure(f"{figure.key}-{number}", figure, heading, chart)
        for number, (heading, chart) in enumerate(figure.charts)
    ]
    parts = [f'<section id="{figure.key}"><h2>{_text(figure.title)}</h2><p>{_text(figure.about)}</p>']
    if drawn:
        many = " many" if len(drawn) > 2 else ""
        parts.append(f'<div class="charts{many}">{"".join(drawn)}</div>')
    parts += [f"<p>{_text(note)}</p>" for note in figure.notes]
    if figure.table is not None:
        parts.append(_table(figure.table, figure.title))
    return "\n".join([*parts, "</section>"])


def _figure(key: str, figure: Figure, heading: str, chart: Bars | Timeline | Histogram) -> str:
    title = f"{figure.title}, {heading}" if heading else figure.title
    head = f"<h3>{_text(heading)}</h3>" if heading else ""
    legend = ""
    if isinstance(chart, Timeline) or (isinstance(chart, Bars) and len(chart.parts) > 1):
        items = (
            f'<li><span style="background: var(--part-{part.colour})"></span>{_text(part.name)}</li>'
            for part in chart.parts
        )
        legend = f'<ul class="legend">{"".join(items)}</ul>'
    return f"<figure>{head}{legend}{svg(key, title, figure.about, chart)}</figure>"


def _table(table: Table, title: str) -> str:
    columns = table.columns

    def line(row: dict[str, Any], *, head: bool = False) -> str:
        cells = []
        for at, column in enumerate(columns):
            tag = "th" if head or at == 0 else "td"
            scope = ' scope="col"' if head else ' scope="row"' if at == 0 else ""
            kind = ' class="text"' if column.is_text else ""
            cells.append(f"<{tag}{scope}{kind}>{escape(cell_text(row, column))}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    head = line({column.name: column.head for column in columns}, head=True)
    body = "".join(line(row) for row in table.rows)
    end = "".join(line(row) for row in footers(columns, table.total))
    label = escape(f"{title}, in numbers")
    text = (
        f'<div class="wide" role="region" aria-label="{label}" tabindex="0"><table><thead>{head}</thead>'
        f"<tbody>{body}</tbody><tfoot>{end}</tfoot></table></div>"
    )
    return f"<details><summary>in numbers</summary>{text}</details>" if table.folded else text
