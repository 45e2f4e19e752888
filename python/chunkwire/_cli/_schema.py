"""The keys of ``chunkwire usage --format json`` and csv: what each means, for the help text; a test holds them to it.

Whoever adds a key adds it here. A key never changes its meaning: then SCHEMA counts up.
"""

from __future__ import annotations

import textwrap

__all__ = ["DOCUMENT", "GROUP", "MEASURES", "SCHEMA", "STREAM", "STREAM_OF_LOGS", "keys_text"]

SCHEMA = 1

#: The document of --format json.
DOCUMENT = {
    "schema": f"{SCHEMA}: keys are added, but none changes its meaning",
    "streams reported": "how many streams, and how many of them reported usage",
    "by": "the keys of the groups; null with --rows",
    "since until": "the limits of time as 2026-11-20T00:00:00Z; null without",
    "outside undated": "streams left out by these: from before or after; without a time",
    "percentiles": "which percentiles the rows have: [50, 95, 99] or []",
    "rows": "the groups, or with --rows the streams",
    "other": "what --top left out, summed up, with its number of groups; null if nothing",
    "total": "the sums of all",
    "prices": "of the streams of total: source, priced (how many), matched (by model the name in the prices), "
    "unpriced (model, provider, reason, streams); null without --cost or --prices",
    "damage": "damaged, server_errors (how many), damaged_bytes, skipped_bytes",
    "failures": "the sources that could not be read: source, error",
    "passed_over": "files in folders that were not read, for their names",
}
#: A row of groups; `total` and `other` have the same but for the first line.
GROUP = {
    "model month day hour source status finish_reason": "those of --by: times in UTC or unknown, null where none sent",
    "streams reported chunks": "how many",
    "prompt_tokens cached_tokens completion_tokens reasoning_tokens total_tokens": "sums, exact",
    "cost": "sum of what servers reported, null if that is no finite number; only there if any did",
    "priced computed_cost": "how many streams have a price, and the sum of their costs by it, null if there is "
    "none or that is no finite number; with --cost or --prices",
    "estimated estimated_completion_tokens estimated_low estimated_high": "how many streams without usage have an "
    "estimate, and the sums of these, or null; with --estimate",
    "cache_write_tokens audio_prompt_tokens audio_completion_tokens accepted_prediction_tokens "
    "rejected_prediction_tokens": "sums, with --breakdown",
    "cached_share cache_write_share audio_prompt_share": "of prompt_tokens, from 0 to 1 or null; with --breakdown",
    "reasoning_share audio_completion_share accepted_prediction_share rejected_prediction_share": "of "
    "completion_tokens, likewise",
    "groups": "of other alone: how many groups; with --rows it is not there",
}
#: What has percentiles, as MEASURE_streams, MEASURE_p50, MEASURE_p95, MEASURE_p99.
MEASURES = "prompt_tokens completion_tokens total_tokens chunks time_to_first_token generation_time"
#: A row of streams.
STREAM = {
    "source offset": "where the stream begins: a byte of its source",
    "id model finish_reason": "as sent, or null",
    "created": "Unix seconds; 0 where none was sent",
    "status": "complete, no_done, truncated, error, empty or malformed",
    "chunks": "how many",
    "reported": "whether the server reported usage; if not, the tokens are 0",
    "prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens reasoning_tokens "
    "audio_prompt_tokens audio_completion_tokens accepted_prediction_tokens rejected_prediction_tokens": "counts",
    "cost": "as the server reported it, or null",
    "time_to_first_token generation_time": "seconds, as the server measured them, or null",
    "content_deltas text_bytes": "deltas with text, and its bytes; with --estimate",
    "estimated_completion_tokens estimated_low estimated_high": "where no usage was reported, or null; with --estimate",
    "computed_cost": "by the prices, null if there is none or it is no finite number; with --cost or --prices",
}
#: What a row of streams has beside that, of some logs.
STREAM_OF_LOGS = {
    "measured": "whether a time was measured by the log, as those of reads are; only there if any was",
    "PATH": "for each path of --keep what the line says, or null (kept.PATH where the name is taken)",
}


def keys_text() -> str:
    """All that as text for a terminal of 80 columns."""
    lines = ["keys of --format json:", *_listed(DOCUMENT)]
    lines += ["", "keys of a group in rows, other and total (columns of --format csv):", *_listed(GROUP)]
    meaning = "streams that have the value; percentiles of those, or null (with --percentiles, for MEASURE each of "
    percentiles = "MEASURE_streams MEASURE_p50 MEASURE_p95 MEASURE_p99"
    lines += _listed({percentiles: f"{meaning}{MEASURES.replace(' ', ', ')})"})
    lines += ["", "keys of a stream with --rows (columns of --format csv):", *_listed(STREAM), *_listed(STREAM_OF_LOGS)]
    lines += [
        "",
        *textwrap.wrap(
            "A percentile is NumPy's method linear: of n values in their order, counted from 0, it lies at place "
            "(n - 1) p / 100, between its neighbours in a straight line. CSV has the rows and, as a last row called "
            "other (4 groups), what --top left out; so its columns add up. Share and percentile are no sums.",
            width=78,
        ),
    ]
    return "\n".join(lines) + "\n"


def _listed(keys: dict[str, str]) -> list[str]:
    lines = []
    for names, meaning in keys.items():
        lines += textwrap.wrap(
            f"{names.replace(' ', ', ')}: {meaning}", width=78, initial_indent="  ", subsequent_indent="      "
        )
    return lines
