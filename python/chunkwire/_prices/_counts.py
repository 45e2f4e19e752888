"""Which tokens of a stream are billed: the columns of a usage table in, counts that lie inside each other out.

Servers do not agree on what a count contains. OpenAI's cached tokens lie inside its prompt tokens, and reasoning inside
completion tokens. Anthropic counts cached tokens beside the others, and xAI reasoning beside completion tokens. The sum
of all, ``total_tokens``, tells which it was. What is billed here is always the former.
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from chunkwire._usage_columns import TOKEN_COLUMNS, find

if TYPE_CHECKING:
    from chunkwire._table import UsageTable

__all__ = ["MOST_TOKENS", "NO_USAGE", "Billed", "billed", "check_provider", "keys_of"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

NO_USAGE = "no usage reported"
#: Why a stream cannot be billed, by number; 0 is that it can.
_REASONS = (
    "",
    NO_USAGE,
    "no prompt_tokens or no completion_tokens reported",
    "the counts contradict each other",
    "a count that was sent is no integer",
)
_SILENT, _NO_COUNT, _CONTRADICTION, _UNREADABLE = 1, 2, 3, 4
#: No request has more tokens than this; sums of such counts are exact.
MOST_TOKENS = 10**15
#: Some servers count a few more tokens of reasoning than of completion, up to so many times as many.
_MOST_REASONING = 1.25

_COLUMNS = (
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "audio_prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "audio_completion_tokens",
)


@dataclass(slots=True)
class Billed:
    """Counts of all rows, int64, shape (streams,).

    ``prompt`` holds ``cached``, ``cache_write`` and ``audio_prompt``, which have no token in common, and ``completion``
    holds ``reasoning`` and ``audio_completion`` in the same way.
    """

    prompt: _Ints
    cached: _Ints
    cache_write: _Ints
    audio_prompt: _Ints
    completion: _Ints
    reasoning: _Ints
    audio_completion: _Ints
    created: _Ints
    why: _Ints  #: the number of the reason for which a row cannot be billed; 0 if it can
    reasons: tuple[str, ...] = _REASONS


def billed(table: UsageTable) -> Billed:
    """The counts of all rows."""
    prompt, cached, write, audio_prompt, completion, reasoning, audio_completion = (
        getattr(table, name).copy() for name in _COLUMNS
    )
    total = np.where(table.valid("total_tokens"), table.total_tokens, 0)
    why = np.zeros(len(table), np.int64)
    why[~(table.valid("prompt_tokens") & table.valid("completion_tokens"))] = _NO_COUNT
    why[~table.reported] = _SILENT
    parts = (prompt, cached, write, audio_prompt, completion, reasoning, audio_completion)
    absurd = np.any([(part < 0) | (part > MOST_TOKENS) for part in (*parts, total)], axis=0)
    why[absurd & (why == 0)] = _CONTRADICTION
    why[_unreadable(table, why == 0)] = _UNREADABLE
    for part in (*parts, total):
        part[why > 0] = 0

    # What the total has more than prompt and completion tokens lies beside them. (A total of 0 is none.)
    more = np.where(total > 0, total - prompt - completion, 0)
    stored = cached + write
    reasoning_beside = (more > 0) & ((more == reasoning) | (more == reasoning + stored))
    stored_beside = (more > 0) & ((more == stored) | (more == reasoning + stored)) & ~(more == reasoning)
    # By Anthropic's names they do, too, though total_tokens may not say so: where prompt tokens could not contain them.
    rest = np.flatnonzero((more == 0) & (stored > prompt))
    stored_beside[rest] = [_has_names_of_anthropic(table, row) for row in rest.tolist()]
    # Gemini's total contains thoughts that no other count does; they are billed as output.
    unexplained = (more != 0) & ~reasoning_beside & ~stored_beside
    thoughts = unexplained & (more > 0) & (reasoning == 0) & _is_gemini(table)
    reasoning[thoughts] = more[thoughts]
    reasoning_beside |= thoughts
    why[unexplained & ~thoughts & (why == 0)] = _CONTRADICTION

    prompt += np.where(stored_beside, stored, 0)
    completion += np.where(reasoning_beside, reasoning, 0)
    why[((stored > prompt) | (reasoning > completion * _MOST_REASONING)) & (why == 0)] = _CONTRADICTION
    for part in parts:
        part[why > 0] = 0
    # What was cached may be audio, too.
    np.minimum(reasoning, completion, out=reasoning)
    np.minimum(audio_prompt, prompt - cached - write, out=audio_prompt)
    np.minimum(audio_completion, completion - reasoning, out=audio_completion)
    return Billed(prompt, cached, write, audio_prompt, completion, reasoning, audio_completion, table.created, why)


def keys_of(table: UsageTable) -> _Ints:
    """A number for each row, which is the same where it is the same stream: made of its place, model and counts."""
    codes, names = table._codes("model")
    models = np.array([zlib.crc32(repr(name).encode()) for name in names] or [0], np.int64)
    key = np.zeros(len(table), np.uint64)
    for column in (models[codes], *(getattr(table, name) for name in (*_COLUMNS, "total_tokens", "created", "offset"))):
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key.view(np.int64)


def _unreadable(table: UsageTable, rows: _Bools) -> _Ints:
    """Which of these rows have a count that is no integer, so that it stands as 0 in its column."""
    if not table._read.stats.damaged:  # such counts are among the damage
        return np.zeros(0, np.int64)
    places = [(table.valid(name), TOKEN_COLUMNS[name]) for name in (*_COLUMNS, "total_tokens")]
    found = []
    for row in np.flatnonzero(rows).tolist():
        usage = table.raw(row) or {}
        if any(not valid[row] and find(usage, paths)[0] is not None for valid, paths in places):
            found.append(row)
    return np.array(found, np.int64)


def _has_names_of_anthropic(table: UsageTable, row: int) -> bool:
    usage = table.raw(row) or {}
    return any(usage.get(name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))


def _is_gemini(table: UsageTable) -> Any:
    codes, names = table._codes("model")
    return np.array([name is not None and "gemini" in name.lower() for name in names] or [False], bool)[codes]


def check_provider(provider: str | None, known: Iterable[str], prices: str) -> None:
    """Raises ValueError if these prices have no provider of that name."""
    names = {name for name in known if name}
    if provider is not None and not isinstance(provider, str):
        raise TypeError(f"provider must be a str or None, not {type(provider).__name__}")
    if provider is None or provider in names:
        return
    if not names:
        raise ValueError(f"{prices} knows no provider {provider!r}; it does not say who serves its models")
    near = difflib.get_close_matches(provider, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it knows {', '.join(sorted(names))}"
    raise ValueError(f"{prices} knows no provider {provider!r}; {hint}")
