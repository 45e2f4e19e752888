"""``chunkwire check``: paths in; what is wrong in them, where, and where every byte went out."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import chunkwire
from chunkwire._cli._output import (
    failed,
    json_bytes,
    log_options,
    nothing_found,
    pass_over,
    progress_for,
    sources_of,
    table_text,
    write,
)
from chunkwire._render import Column, printable, shortened

__all__ = ["run"]

_SCHEMA = 1
_REASON_WIDTH = 300
#: How many findings are listed of one source, as many as an engine keeps; the rest is only counted.
_LISTED = 1000

#: What a stream's status says, where it is a finding.
_STREAM_FINDINGS = {
    "truncated": "ends without a finish_reason and without [DONE]",
    "error": "ends with an error of the server",
    "malformed": "lost events to damage",
    "empty": "has [DONE] but no chunk",
}


_NO_STREAM = "an exchange without a body, or with none that is a stream"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and where."""

    offset: int | None
    line: int | None
    kind: str
    reason: str

    def text(self, source: str) -> str:
        place = source if self.line is None else f"{source}:{self.line}"
        offset = "" if self.offset is None else f" offset {self.offset}:"
        return f"{printable(place)}:{offset} {self.kind}: {shortened(printable(self.reason), _REASON_WIDTH)}"


def run(options: Namespace) -> int:
    """Runs the command."""
    table = chunkwire.usage(
        sources_of(options.paths),
        strict=options.strict,
        engine=options.engine,
        max_decompressed_bytes=options.max_decompressed_bytes,
        **log_options(options),
        threads=options.threads,
        progress=progress_for(options),
    )
    checked = [(label, one, *_findings(one)) for label, one in table.by_source()]
    found = any(findings for _, _, findings, _ in checked)
    pass_over(table.passed_over)
    failed(table.failures)
    if not checked:
        return nothing_found(options.paths)
    if options.format == "json":
        write(json_bytes(_document(table, checked, not found), indent=1) + b"\n")
    else:
        lines = []
        for label, _, findings, unlisted in checked:
            lines += [finding.text(label) for finding in findings]
            if unlisted:
                lines.append(f"{printable(label)}: and {unlisted:,} more")
        if lines:
            lines.append("")
        write("\n".join([*lines, _summary(table, checked)]) + "\n")
    return 2 if table.failures else 1 if found else 0


def _findings(table: chunkwire.UsageTable) -> tuple[list[Finding], int]:
    """What is wrong in one source, in its order; and how many findings are only counted."""
    stats = table.stats
    findings = [Finding(one.offset, one.line or None, one.kind, one.reason) for one in stats.damages]
    wrong = [at for at, status in enumerate(table.status) if status in _STREAM_FINDINGS]
    for row in table[wrong] if wrong else ():
        name = f"stream {row['id']}" if row["id"] else "a stream without id"
        chunks = "1 chunk" if row["chunks"] == 1 else f"{row['chunks']:,} chunks"
        is_no_stream = row["status"] == "empty" and stats.exchanges
        reason = f"{name} ({chunks}) {_STREAM_FINDINGS[row['status']]}" if not is_no_stream else _NO_STREAM
        findings.append(Finding(row["offset"], None, f"{row['status']}_stream", reason))
    findings.sort(key=lambda finding: finding.offset or 0)
    if stats.skipped_bytes:
        reason = f"{stats.skipped_bytes:,} bytes are no fields that event streams have, or an end that was dropped"
        findings.append(Finding(None, None, "skipped_bytes", reason))
    unlisted = stats.damaged + stats.errors - len(stats.damages) + max(len(findings) - _LISTED, 0)
    return findings[:_LISTED], unlisted


def _classes(stats: chunkwire.Stats) -> list[dict[str, Any]]:
    """Where every byte went."""
    lost = stats.events - stats.chunks - stats.done - stats.errors - stats.keepalives
    classes: list[tuple[str, int | None, int]] = [
        ("chunks", stats.chunks, stats.chunk_bytes),
        ("[DONE]", stats.done, stats.done_bytes),
        ("server errors", stats.errors, stats.error_bytes),
        ("comments and keep-alives", stats.comments + stats.keepalives, stats.comment_bytes),
        ("skipped", None, stats.skipped_bytes),
        ("damaged", lost, stats.damaged_bytes),
    ]
    if stats.wrapping_bytes:
        classes.append(("JSON around them", stats.exchanges or None, stats.wrapping_bytes))
    return [{"class": name, "count": count, "bytes": size} for name, count, size in classes]


def _summary(table: chunkwire.UsageTable, checked: list[Any]) -> str:
    stats = table.stats
    rows = _classes(stats)
    for row in rows:
        row["percent"] = _percent(row["bytes"], stats.bytes)
    total = {"count": "", "bytes": sum(row["bytes"] for row in rows), "percent": _percent(stats.bytes, stats.bytes)}
    columns = [
        Column("class", "bytes of", is_text=True),
        Column("count", "count"),
        Column("bytes", "bytes"),
        Column("percent", "percent"),
    ]
    lines = [table_text(columns, rows, total, fit=sys.stdout.isatty()), ""]
    statuses = Counter(table.status)
    lines.append(f"streams: {', '.join(f'{count:,} {name}' for name, count in statuses.most_common()) or 'none'}")
    kinds = Counter(finding.kind for _, _, findings, _ in checked for finding in findings)
    unlisted = sum(count for *_, count in checked)
    wrong = sum(bool(findings) for _, _, findings, _ in checked)
    sources = "1 source" if len(checked) == 1 else f"{len(checked):,} sources"
    if kinds:
        parts = [f"{count:,} {kind}" for kind, count in kinds.most_common()]
        parts += [f"{unlisted:,} more"] if unlisted else []
        lines.append(f"findings in {wrong:,} of {sources}: {', '.join(parts)}")
    else:
        lines.append(f"nothing is wrong in {sources}")
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    if not part:
        return "0.0 %"
    percent = f"{100 * part / whole:.1f}"
    return "<0.1 %" if percent == "0.0" else ">99.9 %" if percent == "100.0" and part < whole else f"{percent} %"


def _document(table: chunkwire.UsageTable, checked: list[Any], clean: bool) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "clean": clean and not table.failures,
        "sources": [
            {
                "source": label,
                "bytes": one.stats.bytes,
                "streams": dict(Counter(one.status)),
                "findings": [asdict(finding) for finding in findings],
                "unlisted": unlisted,
                "classes": _classes(one.stats),
            }
            for label, one, findings, unlisted in checked
        ],
        "total": {
            "bytes": table.stats.bytes,
            "streams": dict(Counter(table.status)),
            "damaged": table.stats.damaged,
            "server_errors": table.stats.errors,
            "classes": _classes(table.stats),
        },
        "failures": [{"source": label, "error": str(error)} for label, error in table.failures],
        "passed_over": table.passed_over,
    }
