"""Kinds of tokens, and what each is a share of: sums of a summary in; shares, and their table in print, out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chunkwire._render import Column, share_text

__all__ = ["KINDS", "KINDS_OF", "share_name", "shares", "table_of"]

#: What the tokens are that a server counts as those of the prompt, or of the completion; and what they are called.
KINDS_OF = {
    "prompt_tokens": {
        "cached_tokens": "cached",
        "cache_write_tokens": "cache write",
        "audio_prompt_tokens": "audio",
    },
    "completion_tokens": {
        "reasoning_tokens": "reasoning",
        "audio_completion_tokens": "audio",
        "accepted_prediction_tokens": "accepted prediction",
        "rejected_prediction_tokens": "rejected prediction",
    },
}
KINDS = tuple(name for kinds in KINDS_OF.values() for name in kinds)


def share_name(name: str) -> str:
    """The key of a kind's share."""
    return name.replace("_tokens", "_share")


def shares(sums: dict[str, list[Any]]) -> dict[str, list[float | None]]:
    """For each kind its share in each group, from 0 to 1; None where there is nothing to have a share of."""
    return {
        share_name(name): [part / all if all else None for part, all in zip(sums[name], sums[whole], strict=True)]
        for whole, kinds in KINDS_OF.items()
        for name in kinds
    }


def table_of(
    by: Sequence[str], rows: Iterable[dict[str, Any]], total: dict[str, Any]
) -> tuple[list[Column], list[dict[str, Any]], list[dict[str, Any]]]:
    """As it is printed: for each group its prompt and completion tokens, and below each the kinds that it has; and
    those of the total, which are alone where there are no groups."""
    columns = [
        *(Column(name, name.replace("_", " "), is_text=True) for name in by),
        Column("kind", "tokens", is_text=True),
        Column("count", "count"),
        Column("share", "share"),
    ]

    def lines(row: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for whole, kinds in KINDS_OF.items():
            found.append({"kind": whole.removesuffix("_tokens"), "count": row[whole], "share": ""})
            found += [
                {"kind": f"  {head}", "count": row[name], "share": share_text(row[share_name(name)])}
                for name, head in kinds.items()
                if row[name]
            ]
        found.append({"kind": "total", "count": row["total_tokens"], "share": ""})
        labels: dict[str, Any] = {key: row[key] for key in by if key in row}
        return [(dict.fromkeys(by, "") if at else labels) | line for at, line in enumerate(found)]

    groups = [line for row in rows for line in lines(row)]
    return (columns, groups, lines(total)) if groups else (columns[len(by) :], lines(total), [])
