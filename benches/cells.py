"""Lines of cells, as the benchmarks have measured them, as a table in Markdown."""

from collections.abc import Sequence


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The first line is the head; columns are as wide as their widest cell."""
    head, *rest = lines
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in (head, ["-" * width for width in widths], *rest)
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
