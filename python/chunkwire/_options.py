"""What a caller says of how to read: public functions make it of their arguments, which are checked then, and both
engines read it.

An engine's functions take a source, these options, and what errors call the source; whatever else they take is their
own. (``rust/python/options.rs`` reads the same object.)
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from chunkwire._logs._names import names_of

__all__ = ["FORMATS", "MAX_EVENT_BYTES", "Engine", "Format", "OnError", "Options", "check_path"]

OnError: TypeAlias = Literal["raise", "skip"]
Format: TypeAlias = Literal["auto", "sse", "jsonl", "exchanges", "reads", "chunks", "har", "vcr"]
Engine: TypeAlias = Literal["auto", "native", "simdjson"]

#: How logs hold streams; "jsonl" is whichever of exchanges, reads and chunks it is.
FORMATS: tuple[str, ...] = get_args(Format)
_WITH_FIELD = ("auto", "jsonl", "exchanges", "reads")
_WITH_ID = ("auto", "jsonl", "reads")

MAX_EVENT_BYTES = 64 << 20
#: The native engine counts no further inside an event; so neither does the other one.
_MOST_EVENT_BYTES = (1 << 28) - 1


@dataclass(slots=True)
class Options:
    """The options of reading, each as `chunkwire.decode` explains it; ValueError or TypeError for one that cannot be.

    Nobody changes them: `dataclasses.replace` makes others. (A frozen dataclass would take four times as long to make,
    and live clients make one for each response.)
    """

    on_error: OnError = "raise"
    strict: bool = False
    format: Format = "auto"
    field: str | None = None
    id_field: str | None = None
    time_field: str | None = None
    max_event_bytes: int = MAX_EVENT_BYTES
    max_decompressed_bytes: int | None = None
    keep: tuple[str, ...] = ()  #: the paths of members of lines that are given as columns, too

    def __post_init__(self) -> None:
        if not isinstance(self.format, str) or self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, not {self.format!r}")
        if self.field is not None:
            self._check_member("field", self.field, _WITH_FIELD)
        if self.id_field is not None:
            self._check_member("id_field", self.id_field, _WITH_ID)
        if self.time_field is not None:
            self._check_member("time_field", self.time_field, _WITH_ID)
        if self.max_decompressed_bytes is not None:
            _check_bound(self.max_decompressed_bytes)
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f'on_error must be "raise" or "skip", not {self.on_error!r}')
        if self.strict is not False:
            _check_bool("strict", self.strict)
        if self.max_event_bytes != MAX_EVENT_BYTES:
            _check_event_bytes(self.max_event_bytes)

    def _check_member(self, name: str, path: object, formats: tuple[str, ...]) -> None:
        check_path(name, path)
        if self.format not in formats:
            those = " or ".join(map(repr, formats[2:]))
            raise ValueError(f"{name} names a member of lines of format {those}, not of {self.format!r}")

    @property
    def is_told(self) -> bool:
        """Was anything said of the format?"""
        return self.format != "auto" or any((self.field, self.id_field, self.time_field))

    @property
    def leaves_nothing(self) -> bool:
        """Was all said of the format that there is to say?"""
        if self.format == "exchanges":
            return self.field is not None
        if self.format in ("reads", "auto"):
            return None not in (self.field, self.id_field, self.time_field)
        return self.format != "jsonl"


def check_path(name: str, path: object) -> None:
    """ValueError or TypeError for what is no path to a member of JSON, such as response.body."""
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a path such as 'response.body', not {type(path).__name__}")
    try:
        names_of(path)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_bound(max_decompressed_bytes: Any) -> None:
    if isinstance(max_decompressed_bytes, bool) or not isinstance(max_decompressed_bytes, int):
        found = type(max_decompressed_bytes).__name__
        raise TypeError(f"max_decompressed_bytes must be an integer or None, not {found}")
    if not 0 < max_decompressed_bytes < 1 << 63:
        raise ValueError(f"max_decompressed_bytes must be at least 1 and below 2**63, not {max_decompressed_bytes}")


def _check_bool(name: str, value: object) -> None:
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's are named so, too
        raise TypeError(f"{name} must be True or False, not {value!r}")


def _check_event_bytes(max_event_bytes: Any) -> None:
    try:
        size = operator.index(max_event_bytes)
    except TypeError:
        raise TypeError(f"max_event_bytes must be an integer, not {type(max_event_bytes).__name__}") from None
    if not 1 <= size <= _MOST_EVENT_BYTES:
        raise ValueError(f"max_event_bytes must be between 1 and {_MOST_EVENT_BYTES}")
