"""The head of a log in, which format it has out, where its streams stand, and why: a pure function of these bytes.

What the formats are is said in the README. Whoever looks for streams in the members of lines looks at what is there: a
line that the head cuts counts as far as it goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from chunkwire._logs._names import names_of, path_of
from chunkwire._logs._partial import Cut, Number, partial
from chunkwire._logs._reader import is_whole
from chunkwire._logs._times import seconds_of
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._options import Options
from chunkwire._verdicts import printable

__all__ = [
    "HEAD_BYTES",
    "Recognised",
    "best_text",
    "by_first_value",
    "comes_again",
    "holds_choices",
    "is_chunk",
    "is_cut",
    "is_piece",
    "lines_of",
    "recognise",
    "value_at",
]

HEAD_BYTES = 1 << 16

#: Names of members that hold bodies, the likeliest first.
_BODIES = (
    ("response_body",), ("response", "body"), ("body",), ("raw_response",), ("response",), ("raw",), ("text",),
    ("chunk",), ("data",), ("log",), ("message",),
)  # fmt: skip
_IDS = ("request_id", "req_id", "trace_id", "stream_id", "exchange_id", "connection_id", "id")
_TIMES = ("ts", "time", "timestamp", "@timestamp", "received_at", "t")
_MAX_DEPTH = 16
_MAX_STRINGS = 3
#: So many members are named in a message.
_NAMED = 8

_EVENT = re.compile(r"\ufeff?[ \t\r\n]*(?:data|event|id|retry)?:")
_CASSETTE = re.compile(rb"^(?:- )?(?:http_)?interactions:", re.MULTILINE)
_CASSETTE_AT_TOP = re.compile(rb"^(?:http_)?interactions:", re.MULTILINE)
_DOCUMENT = re.compile(rb"^---", re.MULTILINE)
_BLANK_LINE = re.compile(r"(?>\r\n|\r|\n){2}")
_DATA = re.compile(r"(?:^|[\r\n])data(?:[:\r\n]|\Z)")

_Path = tuple[str, ...]
#: A member without a name, which cannot be named.
_NAMELESS = ("",)


class Recognised(NamedTuple):
    """A format, the paths of the members that it needs, and one sentence that says why."""

    format: str
    field: str | None
    id_field: str | None
    time_field: str | None
    why: str


class _Candidate(NamedTuple):
    """A member that may hold a body."""

    path: _Path
    value: Any
    size: int


def recognise(head: bytes, options: Options | None = None) -> Recognised:
    """The format of the log that begins with these bytes, of which the first `HEAD_BYTES` count; what the options tell
    of it is not looked for."""
    head = head[:HEAD_BYTES].removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
    if options is not None and options.format in ("sse", "chunks", "har", "vcr"):
        return Recognised(options.format, None, None, None, f"format={options.format!r} says so")
    if options is not None and options.is_told:
        return _as_told(head, options)
    if not head.startswith((b"{", b"[")):
        if _CASSETTE_AT_TOP.search(head) or (_DOCUMENT.search(head) and _CASSETTE.search(head)):
            return Recognised("vcr", None, None, None, "a line begins with interactions:, as in cassettes of vcr")
        if not head:
            return Recognised("sse", None, None, None, "there is nothing in it, so it counts as server-sent events")
        return Recognised("sse", None, None, None, "it begins as no JSON does, so it is server-sent events")
    first = partial(head.decode("utf-8", "replace"))
    found = by_first_value(first)
    return found or _by_lines(head)


def by_first_value(first: Any) -> Recognised | None:
    """What is no log of lines, or has a chunk on its first line."""
    if isinstance(first, list):
        if first and isinstance(first[0], dict):
            return Recognised("chunks", None, None, None, "it begins with an array of objects")
        return None
    if not isinstance(first, dict):
        return None
    log = first.get("log")
    if isinstance(log, dict) and ("entries" in log or "creator" in log or "version" in log):
        return Recognised("har", None, None, None, "it is an object with log.entries, as HAR files are")
    if "interactions" in first or "http_interactions" in first:
        return Recognised("vcr", None, None, None, "it is an object with interactions, as in cassettes of vcr")
    if is_chunk(first):
        why = "the first line is a chunk by itself" if "choices" in first else "the first line says that it is a chunk"
        return Recognised("chunks", None, None, None, why)
    return None


def is_chunk(value: dict[str, Any]) -> bool:
    kind = value.get("object")
    named = (
        isinstance(kind, str) and not isinstance(kind, Cut) and (kind.endswith("chunk") or kind == "chat.completion")
    )
    return "choices" in value or named


def _as_told(head: bytes, options: Options) -> Recognised:
    """What is left to find where something is known."""
    format: str = options.format
    field, id_field, time_field = options.field, options.id_field, options.time_field
    if format == "auto" and (id_field is not None or time_field is not None):
        format = "reads"
    if field is not None:
        objects = lines_of(head)
        why = f"field='{field}' says where streams are"
        if objects and _is_absent(field, objects):
            why += f", though no line at the beginning has it (members: {_members_of(objects)})"
        found = _of_field(objects, names_of(field), why, format)
    else:
        found = recognise(head)
        if found.format in ("exchanges", "reads") and found.field is not None and format != "jsonl":
            found = _of_field(lines_of(head), names_of(found.field), f"{found.field} holds a body", format)
    if found.format == "reads":
        told = [path for path in (id_field, time_field) if path is not None]
        objects = lines_of(head) if told else []
        absent = " or ".join(path for path in told if _is_absent(path, objects))
        if objects and absent:
            members = _members_of(objects)
            why = f"{found.why}, though no line at the beginning has {absent} (members: {members})"
            found = found._replace(why=why)
        found = found._replace(id_field=id_field or found.id_field, time_field=time_field or found.time_field)
    wanted = ("exchanges", "reads", "chunks") if format == "jsonl" else (format,)
    if format != "auto" and found.format not in wanted and found.format != "sse":
        why = f"format={format!r} was wanted, but {printable(found.why)}"
        return Recognised("sse", None, None, None, why)
    return found


def _is_absent(path: str, objects: list[dict[str, Any]]) -> bool:
    """Has no line this member?"""
    return all(value_at(line, names_of(path), ...) is ... for line in objects)


def absent_from(head: bytes, paths: Iterable[str]) -> tuple[list[str], str]:
    """Which of these members no line at the beginning of a log has, and the names of those that they have; all and
    nothing where there are no lines of JSON."""
    objects = lines_of(head[:HEAD_BYTES].removeprefix(BYTE_ORDER_MARK))
    return [path for path in paths if _is_absent(path, objects)], _members_of(objects)


def lines_of(head: bytes) -> list[dict[str, Any]]:
    """The lines that are objects, as far as they are there."""
    lines = (partial(line.decode("utf-8", "replace")) for line in head.split(b"\n") if line.strip(SPACE))
    return [line for line in lines if isinstance(line, dict)]


def _by_lines(head: bytes) -> Recognised:
    objects = lines_of(head)
    for kinds, what in ((_texts, "server-sent events"), (_documents, "chunks or completions as JSON")):
        for number, line in enumerate(objects, 1):
            path = _best(kinds(line, (), _MAX_DEPTH, _MAX_STRINGS))
            if path is not None:
                return _of_field(objects, path, f"{path_of(path)} of line {number} holds {what}")
    if not any(objects):
        return Recognised("sse", None, None, None, "it begins as JSON does, but no line is an object")
    return Recognised(
        "sse", None, None, None, f"no member of its lines holds a stream (members: {_members_of(objects)})"
    )


def best_text(line: dict[str, Any]) -> _Path | None:
    """The likeliest of the members of a line whose text begins as event streams do."""
    return _best(_texts(line, (), _MAX_DEPTH, _MAX_STRINGS))


def _best(candidates: Iterable[_Candidate]) -> _Path | None:
    best = min(candidates, key=lambda one: (_rank(one.path), -one.size), default=None)
    return None if best is None else best.path


def _members_of(objects: list[dict[str, Any]]) -> str:
    """The names of the members of lines, for a message."""
    names = list(dict.fromkeys(name for line in objects for name in line))
    return printable(", ".join(names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


def _rank(path: _Path) -> int:
    """How likely a name is that of a body."""
    for rank, names in enumerate(_BODIES):
        if path[-len(names) :] == names:
            return rank
    return len(_BODIES)


def _members(value: Any, path: _Path, depth: int) -> Iterator[tuple[_Path, Any]]:
    """What is in an object or array, but for what is of a request."""
    if depth:
        items = value.items() if isinstance(value, dict) else ((str(at), one) for at, one in enumerate(value))
        for name, item in items:
            if not (isinstance(value, dict) and name.startswith("request")):
                yield (*path, name), item


def _first(text: str) -> str:
    """What a JSON text begins with. (White space is JSON's: Unicode has more.)"""
    return text.lstrip(" \t\r\n")[:1]


def _texts(value: Any, path: _Path, depth: int, strings: int) -> Iterator[_Candidate]:
    """The strings that begin as event streams do."""
    for inner, item in _members(value, path, depth):
        if isinstance(item, (dict, list)):
            yield from _texts(item, inner, depth - 1, strings)
        elif isinstance(item, str):
            if inner != _NAMELESS and _EVENT.match(item):
                yield _Candidate(inner, item, len(item.encode("utf-8", "surrogatepass")))
            elif strings and _first(item) == "{":
                yield from _texts(partial(item), inner, depth - 1, strings - 1)


def _documents(value: Any, path: _Path, depth: int, strings: int) -> Iterator[_Candidate]:
    """The members that are chunks or completions, or arrays of them, or strings of such."""
    for inner, item in _members(value, path, depth):
        read = partial(item) if isinstance(item, str) and strings and _first(item) in ("{", "[") else item
        if isinstance(read, (dict, list)):
            if inner != _NAMELESS and holds_choices(read):
                size = len(item.encode("utf-8", "surrogatepass")) if isinstance(item, str) else item.size
                yield _Candidate(inner, read, size)
            elif read is item or isinstance(read, dict):
                yield from _documents(read, inner, depth - 1, strings - (read is not item))


def holds_choices(value: Any) -> bool:
    if isinstance(value, list):
        value = value[0] if value else None
    return isinstance(value, dict) and "choices" in value


def _of_field(objects: list[dict[str, Any]], path: _Path, why: str, format: str = "auto") -> Recognised:
    """Exchanges or reads, of which the body is known."""
    field = path_of(path)
    values = [(line, value) for line in objects if (value := value_at(line, path)) is not None]
    line = values[0][0] if values else objects[0] if objects else {}
    id_path = _first_member(line, path, _IDS, _is_id)
    if format in ("exchanges", "reads"):
        is_reads = format == "reads"
        why += f", and format={format!r} says what a line is"
    elif id_path is not None:
        again = _first_again(objects, id_path)
        is_reads = again is not None
        if again is not None:
            why += f", and {path_of(id_path)} {again[:60]} comes again: each line is a piece of an exchange"
    else:
        texts = [value for _, value in values if not is_cut(value)]
        is_reads = len(texts) > 1 and all(map(is_piece, texts))
        if is_reads:
            why += ", and each line has one event at most: each is a piece of an exchange"
    if not is_reads:
        why += "" if format in ("exchanges", "reads") else ": each line is an exchange"
        return Recognised("exchanges", field, None, None, why)
    time_path = _first_member(line, path, _TIMES, lambda value: seconds_of(value) is not None)
    id_field = path_of(id_path) if id_path is not None else None
    time_field = path_of(time_path) if time_path is not None else None
    return Recognised("reads", field, id_field, time_field, why)


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def comes_again(objects: list[dict[str, Any]], line: dict[str, Any], path: _Path) -> tuple[bool, str | None]:
    """Has a line with a body at this path an id, and which one comes in two lines?"""
    id_path = _first_member(line, path, _IDS, _is_id)
    return id_path is not None, None if id_path is None else _first_again(objects, id_path)


def _first_again(objects: list[dict[str, Any]], id_path: _Path) -> str | None:
    known: set[str] = set()
    for line in objects:
        found = value_at(line, id_path)
        if _is_id(found) and not isinstance(found, Cut):
            value = found.text if isinstance(found, Number) else json.dumps(found)
            if value in known:
                return value
            known.add(value)
    return None


def _first_member(line: dict[str, Any], path: _Path, names: tuple[str, ...], fits: Any) -> _Path | None:
    """The path of the first member of these names, beside the body or at the top."""
    for name in names:
        for place in dict.fromkeys(((*path[:-1], name), (name,))):
            if place != path and fits(value_at(line, place)):
                return place
    return None


def value_at(value: Any, path: _Path, absent: Any = None) -> Any:
    """What is at the end of a path, in what there is of a line."""
    for name in path:
        if isinstance(value, str):
            value = partial(value)
        if isinstance(value, dict):
            value = value.get(name, absent)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return absent
    return value


def is_cut(value: Any) -> bool:
    """Did the head cut this value?"""
    return isinstance(value, Cut) or (isinstance(value, (dict, list)) and any(map(is_cut, _inside(value))))


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def is_piece(value: Any) -> bool:
    """Is it one event at most, and no whole stream?"""
    if isinstance(value, str) and _first(value) in ("{", "["):
        value = partial(value)
    if isinstance(value, list):
        return len(value) <= 1 and all(map(is_piece, value))
    if isinstance(value, dict):
        return not is_whole(value)
    return not isinstance(value, str) or sum(bool(_DATA.search(block)) for block in _BLANK_LINE.split(value)) <= 1
