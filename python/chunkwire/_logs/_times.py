"""The time of a line in, seconds since 1970 out: from a number, in whatever unit, or from a text in ISO 8601."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

__all__ = ["seconds_of"]

#: Numbers above are of units of which a second has so many.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def seconds_of(value: Any) -> float | None:
    """The time in seconds; None where it is none. A text without an offset is in UTC."""
    if isinstance(value, str):
        if "W" in value:  # a date by its week, which no log writes
            return None
        try:
            moment = datetime.fromisoformat(value.strip(" \t\n\r\f"))
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return next((number / unit for limit, unit in _UNITS if number > limit), number)
