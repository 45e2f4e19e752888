"""An event's data in, its JSON value out, exactly as `json.loads` has it: pysimdjson where it is right, else `json`.

`reader` gives the quick way, which may only accept or decline: it raises for everything that pysimdjson reads
otherwise than `json` or not at all. `read` is the strict way; it alone says what is wrong with a text, and where.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

from chunkwire._marks import BYTE_ORDER_MARK

try:
    import simdjson
except (ImportError, RuntimeError):  # absent, or its C part does not load
    simdjson = None  # type: ignore[assignment]

__all__ = ["MAX_DEPTH", "JsonError", "in_fresh_thread", "kind_of", "read", "reader"]

#: How deep containers may be nested. Fixed, so that a verdict never depends on thread, engine or Python version.
MAX_DEPTH = 512

#: A shorter document cannot be valid and nested deeper.
_DEEP_BYTES = 2 * (MAX_DEPTH + 1)

#: pysimdjson makes a list of the array's size, which simdjson counts up to 2**24 - 1 only, and writes beyond it.
_SIMDJSON_BYTES = 1 << 24


class JsonError(ValueError):
    """Why a text is not JSON: in the words of CPython 3.11's `json`, ``position`` counts bytes of UTF-8."""

    def __init__(self, message: str, position: int, *, too_deep: bool = False) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position
        self.too_deep = too_deep


class _ParsersOfThread(threading.local):
    """A parser's memory is its own: one a thread, so that no thread reads what another is writing."""

    def __init__(self) -> None:
        self.parse: Callable[[bytes, bool], Any] = simdjson.Parser().parse if simdjson else _parse_without_simdjson


def _parse_without_simdjson(data: bytes, _: bool) -> Any:
    return json.loads(data.decode())


_of_thread = _ParsersOfThread()


def reader() -> Callable[[bytes], Any]:
    """The quick way, for this thread: data in, value out, ValueError or RuntimeError where `read` has to decide."""
    parse = _of_thread.parse

    def read_quickly(data: bytes) -> Any:
        size = len(data)
        if size >= _DEEP_BYTES and (size >= _SIMDJSON_BYTES or data.count(b"[") + data.count(b"{") > MAX_DEPTH):
            raise ValueError("perhaps too deep, or too large")
        if data[:3] == BYTE_ORDER_MARK:
            raise ValueError("simdjson skips a byte order mark, json does not")
        return parse(data, True)

    return read_quickly


def read(text: str) -> Any:
    """The value of a JSON text; `JsonError` if it is none. Whatever comes first in the text decides."""
    deep = _too_deep_at(text) if text.count("[") + text.count("{") > MAX_DEPTH else None
    if deep is None:
        return in_fresh_thread(_loads, text)
    try:
        # With the bracket, so that it is read as one too many only where a bracket may be.
        in_fresh_thread(_loads, text[: deep + 1])
    except JsonError as error:
        position = _bytes_before(text, deep)
        if error.position <= position:
            raise
        raise JsonError("nested too deep", position, too_deep=True) from None
    raise AssertionError("a document ended before its last bracket was closed")


#: Strings (perhaps without an end), and runs of brackets.
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]++|[\]}]++', re.DOTALL)


def _too_deep_at(text: str) -> int | None:
    """Where the first bracket opens that is one too many. True to the text up to its first error, which is enough."""
    depth = 0
    for match in _STRUCTURE.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += match.end() - match.start()
            if depth > MAX_DEPTH:
                return match.end() - (depth - MAX_DEPTH)
        elif first in "]}":
            depth -= match.end() - match.start()
    return None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _explained(error, text) from None


#: A number as `json` takes it, or a string, to step over.
_NUMBER = re.compile(
    r'"(?:[^"\\]++|\\.)*+"|(-?(?:0|[1-9]\d*+))(?P<rest>\.\d+)?(?P<power>[eE][-+]?\d+)?', re.ASCII | re.DOTALL
)


def _explained(error: ValueError, text: str) -> JsonError:
    if not isinstance(error, json.JSONDecodeError):
        # int() refused to read that many digits.
        limit = sys.get_int_max_str_digits()
        for match in _NUMBER.finditer(text):
            digits = match[1]
            if digits and not match["rest"] and not match["power"] and len(digits.lstrip("-")) > limit:
                return JsonError(f"integer of more than {limit} digits", _bytes_before(text, match.start()))
        raise error
    message, at = error.msg, error.pos
    if message.startswith("Illegal trailing comma before end of "):
        # Python 3.13 points at the comma; earlier ones at the bracket behind it.
        at = len(text) - len(text[at + 1 :].lstrip(" \t\n\r"))
        message = "Expecting value" if text[at] == "]" else "Expecting property name enclosed in double quotes"
    return JsonError(message, _bytes_before(text, at))


def _bytes_before(text: str, at: int) -> int:
    return len(text[:at].encode())


def in_fresh_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls ``function``, in a thread if the stack here is used up too far for 512 levels of nesting."""
    try:
        return function(*arguments)
    except RecursionError:
        pass
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.extend((True, function(*arguments)))
        except Exception as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=call, name="chunkwire-deep")
    thread.start()
    thread.join()
    succeeded, value = outcome
    if succeeded:
        return value
    raise value


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "null"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (dict, "object"),
    (list, "array"),
    (str, "string"),
    (bool, "boolean"),
    ((int, float), "number"),
)
