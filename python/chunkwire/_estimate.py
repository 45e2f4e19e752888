"""Completion tokens of streams whose server reported none: what was written in them in, estimates and spread out.

What a stream carries is measured in two ways, by its deltas that have text and by the bytes of that. Neither is good
for all servers: some send a token a delta, others dozens at once, and how many bytes a token has depends on the
language. So the streams of the same model in the same log that do report decide, leaving out one at a time, which of
the two would have told their tokens better. An estimate is what the stream has of that, times the tokens for each of it
in all of these streams together.

Leaving out one at a time of the 93 recorded streams whose model has another, the errors add up to 49 % of the tokens,
against 56 % by deltas alone and 59 % by bytes alone; half of the estimates are off by a factor of more than 1.6. (These
are streams of all sorts, few of a model. Those of one application are more alike.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    _Ints: TypeAlias = npt.NDArray[np.int64]
    _Floats: TypeAlias = npt.NDArray[np.float64]
    _Bools: TypeAlias = npt.NDArray[np.bool_]

__all__ = ["columns_of", "estimate"]

#: More are no count of tokens. (Sums of such counts may have more than 64 bits: they are summed as floats.)
_MOST_TOKENS = 10**15
#: The spread goes from this part of the calibration's ratios to that.
_SPREAD = (0.1, 0.9)
#: Fewer streams than these say nothing of a spread.
_LEAST_FOR_SPREAD = 5
#: Fewer than these say nothing of which measure is better; then it is the bytes.
_LEAST_TO_CHOOSE = 2


def columns_of(rows: Any) -> tuple[_Floats, _Floats, _Floats]:
    """The columns of all rows of a log: those of the streams that did not report, from those that did and ended."""
    models, names = rows.codes("model")
    models = np.where(np.array([name is None for name in names] or [True], bool)[models], -1, models)
    statuses, texts = rows.codes("status")
    ended = np.array([text in ("complete", "no_done") for text in texts] or [False], bool)[statuses]
    reported, tokens = rows.column("reported"), rows.column("completion_tokens")
    known = reported & ended & (tokens < _MOST_TOKENS)  # (0 where that count was not sent)
    return estimate(models, ~reported, known, tokens, rows.column("content_deltas"), rows.column("text_bytes"))


def estimate(
    models: _Ints, wanted: _Bools, known: _Bools, tokens: _Ints, deltas: _Ints, size: _Ints
) -> tuple[_Floats, _Floats, _Floats]:
    """Estimates for the streams that are ``wanted``, from those of the same model that are ``known``.

    Parameters
    ----------
    models : array of int64, shape (streams,)
        A number for each model, -1 for none.
    wanted, known : array of bool, shape (streams,)
    tokens, deltas, size : array of int64, shape (streams,)
        Tokens of those that are known; deltas with text, and its bytes.

    Returns
    -------
    tuple of arrays of float64, shape (streams,)
        The tokens, and the 10th and the 90th percentile of what they would be by each known stream alone. NaN for
        streams that are not wanted or have no text, and where no stream of the model is known; the percentiles also
        where fewer than five are.
    """
    result = np.full((3, len(models)), np.nan)
    wanted = wanted & (deltas > 0) & (models >= 0)
    known = known & (deltas > 0) & (tokens > 0) & (models >= 0)
    order = np.argsort(models, kind="stable")
    begins = np.flatnonzero(np.diff(models[order], prepend=-2))
    for rows in np.split(order, begins[1:]):
        own, base = rows[wanted[rows]], rows[known[rows]]
        if not len(own) or not len(base):
            continue
        measure = _better(tokens[base].astype(float), deltas[base].astype(float), size[base].astype(float))
        amount = (deltas, size)[measure]
        ratio = float(tokens[base].sum(dtype=float) / amount[base].sum(dtype=float))
        result[0, own] = ratio * amount[own]
        if len(base) >= _LEAST_FOR_SPREAD:
            low, high = np.quantile(tokens[base] / amount[base], _SPREAD)
            result[1, own] = min(low, ratio) * amount[own]
            result[2, own] = max(high, ratio) * amount[own]
    return result[0], result[1], result[2]


def _better(tokens: _Floats, deltas: _Floats, size: _Floats) -> int:
    """Which of the two measures would have told each stream's tokens better from the others: 0 or 1."""
    if len(tokens) < _LEAST_TO_CHOOSE:
        return 1
    errors = []
    for amount in (deltas, size):
        ratio = (tokens.sum() - tokens) / (amount.sum() - amount)
        errors.append(float(np.abs(np.log(ratio * amount / tokens)).sum()))
    return int(errors[1] <= errors[0])
