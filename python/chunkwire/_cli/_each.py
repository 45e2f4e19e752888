"""What commands share that write while they read: paths in, a function called for each source, an exit code out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import chunkwire
from chunkwire._cli._output import check_hint, damage_text, failed, note, nothing_found, pass_over, sources_of
from chunkwire._sources import Source, expanded, find

__all__ = ["each_source"]


def each_source(paths: Sequence[str], use: Callable[[Source], chunkwire.Stats]) -> int:
    """Calls ``use`` with each source, and tells in the end which could not be read and what was skipped."""
    found = find(sources_of(paths))
    before = len(found.passed_over)
    pass_over(found.passed_over)
    if not found.sources:
        failed(found.failures)
        return 2 if found.failures else nothing_found(paths)
    failures = found.failures
    total = chunkwire.Stats()
    for source in expanded(found):
        try:
            total += use(source)
        except BrokenPipeError:
            raise
        except (OSError, ImportError) as error:
            failures.append((source.label, error))
    pass_over(found.passed_over[before:])
    failed(failures)
    if damage := damage_text(total):
        note(f"skipped {damage}: {check_hint(paths)}")
    return 2 if failures else 0
