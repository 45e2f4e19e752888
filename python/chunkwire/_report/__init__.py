"""A report of token usage as one HTML file: a usage table in, a page out that needs nothing else, no network either.

The numbers are summaries' (`_figures`), the charts are matplotlib's (`_charts`), the page is put together in `_page`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chunkwire._table import UsageTable
    from chunkwire._times import When

__all__ = ["html", "needed"]


def needed() -> None:
    """Raises ImportError, with what to install, where charts cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(f"a report needs the package matplotlib: pip install 'chunkwire[report]' ({error})") from None


def html(table: UsageTable, *, since: When | None = None, until: When | None = None, title: str = "Token usage") -> str:
    """The page."""
    needed()
    from chunkwire._report import _figures, _page

    return _page.page(_figures.figures(table, since, until), title)
