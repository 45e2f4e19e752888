"""Times as users write them, and the months, days and hours of ``created``: text or seconds in, seconds or text out.

All is in UTC. A ``created`` that is no date (none was sent, or it is after the year 9999) belongs to no time.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Ints = npt.NDArray[np.int64]
    _Bools = npt.NDArray[np.bool_]

__all__ = ["ALWAYS", "LAST", "UNITS", "When", "Window", "coded"]

When: TypeAlias = "str | int | float | date"

#: What ``created`` may be grouped by, and NumPy's name of it.
UNITS = {"month": "M", "day": "D", "hour": "h"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 253402300799  # the last second of the year 9999
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_RELATIVE = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)
_COMPACT = re.compile(r"(?:19|20)\d\d[01]\d[0-3]\d", re.ASCII)
#: Years and months that lack what tells them from seconds.
_SHORT = re.compile(r"\d{4}(?:\d\d)?", re.ASCII)
_WEEK = re.compile(r"\d{4}-?[Ww].*", re.ASCII | re.DOTALL)
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
_EXPECTED = (
    "a date (2026-11-20), a month (2026-11), a time (2026-11-20T14:30, in UTC), seconds since 1970, or so long ago: 7d"
)


def coded(created: _Ints, unit: str) -> tuple[_Ints, list[str]]:
    """Of each row the month, day or hour, as a number, and the text that each number stands for."""
    import numpy as np

    name = UNITS[unit]
    times = np.where(_dated(created), created, 0).view("datetime64[s]").astype(f"datetime64[{name}]")
    numbers = np.where(_dated(created), times.view(np.int64), -1)
    distinct, codes = np.unique(numbers, return_inverse=True)
    texts = [
        "unknown" if number < 0 else text.replace("T", " ") + ":00" * (unit == "hour")
        for number, text in zip(
            distinct.tolist(), distinct.astype(f"datetime64[{name}]").astype(str).tolist(), strict=True
        )
    ]
    return codes.reshape(-1).astype(np.int64, copy=False), texts


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time: from ``since`` on, and before ``until``; None is without that end."""

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, since: When | None, until: When | None) -> Window:
        """What a user means. A date or a month as the end is meant with all of it; a time is not in it any more."""
        now = datetime.now(UTC)
        start = None if since is None else _moment("since", since, now)[0]
        end = None if until is None else _moment("until", until, now)[1]
        if start is not None and end is not None and start >= end:
            raise ValueError(f"since ({since}) is not before until ({until})")
        return cls(start, end)

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def split(self, created: _Ints) -> tuple[_Bools, int, int]:
        """Which rows are inside; how many are before or after; and how many have no time."""
        import numpy as np

        dated = _dated(created)
        inside = dated.copy() if self else np.ones(len(created), bool)
        if self.since is not None:
            inside &= created >= _seconds(self.since)
        if self.until is not None:
            inside &= created < _seconds(self.until)
        return inside, int((dated & ~inside).sum()), int((~dated & ~inside).sum())


ALWAYS = Window()


def _dated(created: _Ints) -> _Bools:
    """Nobody sent a time before 1970, and after the year 9999 there are no dates."""
    found: _Bools = (created > 0) & (created <= LAST)
    return found


def _seconds(moment: datetime) -> int:
    """The first whole second that is not before the moment."""
    return -((_EPOCH - moment) // timedelta(seconds=1))


def _moment(name: str, value: Any, now: datetime) -> tuple[datetime, datetime]:
    """When that begins and, as a day or a month lasts, when it ends."""
    found = _parsed(name, value, now) if isinstance(value, str) else value
    if isinstance(found, datetime):
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        try:
            found = found.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{name}: {value} is no time between the years 1 and 9999") from None
        return found, found
    if isinstance(found, date):
        start = datetime(found.year, found.month, found.day, tzinfo=UTC)
        return start, _after(start, timedelta(days=1))
    if isinstance(found, tuple):
        year, month = found
        last = year == 9999 and month == 12
        end = _MAX if last else datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return datetime(year, month, 1, tzinfo=UTC), end
    if isinstance(found, Real) and not isinstance(found, bool):
        try:
            seconds = float(found)
        except OverflowError:
            raise ValueError(f"{name}: a number of seconds that is after the year 9999") from None
        if not math.isfinite(seconds) or not 0 <= seconds <= LAST:
            hint = "; are these milliseconds?" if seconds > LAST else ""
            raise ValueError(f"{name}: {value} is no number of seconds between 1970 and the year 9999{hint}")
        moment = _EPOCH + timedelta(seconds=seconds)
        return moment, moment
    raise TypeError(f"{name}: expected {_EXPECTED}, got a {type(value).__name__}")


#: There is no datetime after this one, and no whole second between.
_MAX = datetime.max.replace(tzinfo=UTC)


def _after(start: datetime, span: timedelta) -> datetime:
    return start + span if _MAX - start > span else _MAX


def _parsed(name: str, text: str, now: datetime) -> datetime | date | float | tuple[int, int]:
    """A time in words: a month is a tuple, a day a date."""
    text = text.strip()
    if text in ("today", "yesterday"):
        return now.date() - timedelta(days=text == "yesterday")
    try:
        if found := _RELATIVE.fullmatch(text.removesuffix("ago").rstrip()):
            return now - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        if _COMPACT.fullmatch(text):
            raise ValueError(f"{name}: {text} could be a date or seconds; write {text[:4]}-{text[4:6]}-{text[6:]}")
        if _SHORT.fullmatch(text):
            dashed = f"{text[:4]}-{text[4:] or '01'}"
            raise ValueError(
                f"{name}: {text} could be a {'month' if text[4:] else 'year'} or seconds; write {dashed} or {text}.0"
            )
        if _WEEK.fullmatch(text):
            raise ValueError(f"{name}: {text} is a week; write the date of its first or last day, as in 2026-11-20")
        if _NUMBER.fullmatch(text):
            return float(text)
        if _MONTH.fullmatch(text):
            month = date.fromisoformat(f"{text}-01")
            return month.year, month.month
        return date.fromisoformat(text) if len(text) == len("2026-11-20") else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise ValueError(f"{name}: expected {_EXPECTED}, got {text!r}") from None
