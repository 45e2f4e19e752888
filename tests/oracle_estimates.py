"""The slow, obvious reference for estimates: chunks of streams in, what they carry and what that stands for out."""

from __future__ import annotations

import math
import statistics
from typing import Any

from oracle import Result
from oracle_streams import choices_of, collected


def texts_of(delta: dict[str, Any]) -> list[str]:
    """All that a model wrote in one delta."""
    found: list[Any] = [delta.get("content"), delta.get("refusal")]
    if isinstance(delta.get("content"), list):
        for part in delta["content"]:
            if isinstance(part, dict):
                found += [part.get("text"), part.get("thinking")]
                if isinstance(part.get("thinking"), list):
                    found += [one.get("text") for one in part["thinking"] if isinstance(one, dict)]
    names = ("reasoning_content", "reasoning", "reasoning_text")
    thoughts = [delta[name] for name in names if isinstance(delta.get(name), str) and delta[name]]
    found += thoughts[:1]
    calls = delta.get("tool_calls") if isinstance(delta.get("tool_calls"), list) else []
    functions = [call.get("function") for call in calls if isinstance(call, dict)] + [delta.get("function_call")]
    for function in functions:
        if isinstance(function, dict):
            found += [function.get("name"), function.get("arguments")]
    if isinstance(delta.get("audio"), dict):
        found.append(delta["audio"].get("transcript"))
    return [text for text in found if isinstance(text, str) and text]


def measures(result: Result) -> list[tuple[int, int]]:
    """For each stream its deltas with text, and the bytes of that."""
    found = []
    for row in collected(result):
        texts = [
            texts_of(choice["delta"])
            for _, item in row.chunks
            for choice in choices_of(item.doc)
            if isinstance(choice.get("delta"), dict)
        ]
        size = sum(len(text.encode("utf-8", "surrogatepass")) for some in texts for text in some)
        found.append((sum(bool(some) for some in texts), size))
    return found


def estimates(rows: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    """For each row of a table the estimate, its low and its high."""
    known: dict[str, list[tuple[int, int, int]]] = {}
    for row in rows:
        usable = row["completion_tokens"] > 0 and row["content_deltas"] > 0 and row["status"] in ("complete", "no_done")
        if row["reported"] and usable and row["model"] is not None:
            known.setdefault(row["model"], []).append(
                (row["completion_tokens"], row["content_deltas"], row["text_bytes"])
            )
    return [estimate_of(row, known.get(row["model"], [])) for row in rows]


def estimate_of(row: dict[str, Any], known: list[tuple[int, int, int]]) -> tuple[float, float, float]:
    nothing = math.nan
    if row["reported"] or not row["content_deltas"] or not known:
        return nothing, nothing, nothing
    by_deltas, by_bytes = errors(known, 1), errors(known, 2)
    place = 1 if len(known) >= 2 and by_deltas < by_bytes else 2
    amount = row["content_deltas"] if place == 1 else row["text_bytes"]
    ratio = sum(one[0] for one in known) / sum(one[place] for one in known)
    if len(known) < 5:
        return ratio * amount, nothing, nothing
    tenths = statistics.quantiles([one[0] / one[place] for one in known], n=10, method="inclusive")
    return ratio * amount, min(ratio, tenths[0]) * amount, max(ratio, tenths[-1]) * amount


def errors(known: list[tuple[int, int, int]], place: int) -> float:
    """How wrong this measure would have been for each of the streams, had it been told by the others."""
    if len(known) < 2:
        return math.inf
    tokens, amount = sum(one[0] for one in known), sum(one[place] for one in known)
    return sum(abs(math.log((tokens - one[0]) / (amount - one[place]) * one[place] / one[0])) for one in known)
