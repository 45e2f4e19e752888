"""The slow, obvious reference: bytes in, out everything that an engine must say about them.

Nothing here is shared with the package, and nothing is clever: whole inputs, lists, dicts and `json.loads`. It has
two halves. `whatwg_events` is the algorithm of the WHATWG HTML standard and nothing else; `oracle` is the program of
the design (what is a chunk, a `[DONE]`, an error, damage) with the counts of `Stats`. Streams and usage rows are told
from its items in `oracle_streams`.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 512
MAX_EVENT_BYTES = 64 * 1024 * 1024
MESSAGE_LENGTH = 200
KNOWN_FIELDS = ("data", "event", "id", "retry")


# --- framing ---------------------------------------------------------------------------------------------------


@dataclass
class Line:
    number: int  # from 1
    start: int  # offset of the first byte
    text: bytes  # without the terminator
    end: int  # offset behind the terminator
    terminated: bool


@dataclass
class OracleEvent:
    event: str
    data: str
    id: str
    retry: int | None
    offset: int
    line: int
    raw: bytes
    pending: bool  # the end of the input ended it, not a blank line

    def public(self) -> tuple[Any, ...]:
        return (self.event, self.data, self.id, self.retry, self.offset)


@dataclass
class Block:
    """The bytes from the end of one blank line to the end of the next."""

    start: int
    end: int
    lines: list[Line]  # without the blank line
    pending: bool


def split_lines(data: bytes) -> list[Line]:
    """Lines end at LF, CR or CRLF. A byte order mark at the very start is no part of the first line."""
    lines = []
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while start < len(data):
        stop = start
        while stop < len(data) and data[stop : stop + 1] not in (b"\n", b"\r"):
            stop += 1
        end = stop
        if data[stop : stop + 2] == b"\r\n":
            end += 2
        elif stop < len(data):
            end += 1
        lines.append(Line(len(lines) + 1, start, data[start:stop], end, end > stop))
        start = end
    return lines


def split_blocks(data: bytes) -> list[Block]:
    """All blocks; the last one is pending when no blank line ended it."""
    blocks = []
    start, lines = 0, []
    for line in split_lines(data):
        if line.text == b"" and line.terminated:
            blocks.append(Block(start, line.end, lines, pending=False))
            start, lines = line.end, []
        else:
            lines.append(line)
    if start < len(data):
        blocks.append(Block(start, len(data), lines, pending=True))
    return blocks


def field_of(line: bytes) -> tuple[str | None, bytes]:
    """Name and value of a line; the name is None for a comment."""
    if line.startswith(b":"):
        return None, line[1:]
    name, _, value = line.partition(b":")
    if value.startswith(b" "):
        value = value[1:]
    return name.decode("utf-8", "replace"), value


def whatwg_events(data: bytes, *, strict: bool = True) -> list[OracleEvent]:
    """ "Interpreting an event stream" of the standard. With ``strict=False`` the end of the input ends the event."""
    events = []
    last_id = ""
    for block in split_blocks(data):
        if block.pending and strict:
            break
        name, lines, retry, first = "", [], None, None
        for line in block.lines:
            key, value = field_of(line.text)
            if key in KNOWN_FIELDS and first is None:
                first = line
            if key == "data":
                lines.append(value)
            elif key == "event":
                name = value.decode("utf-8", "replace")
            elif key == "id" and b"\0" not in value:
                last_id = value.decode("utf-8", "replace")
            elif key == "retry" and value and all(byte in b"0123456789" for byte in value):
                # Python's int takes no more than some digits; thirty are more than the largest anyway.
                retry = min(int(value.lstrip(b"0")[:30] or b"0"), 2**64 - 1)
        if lines and first is not None:
            raw = b"\n".join(lines)
            text = raw.decode("utf-8", "replace")
            events.append(
                OracleEvent(name or "message", text, last_id, retry, first.start, first.number, raw, block.pending)
            )
    return events


# --- what an event is ------------------------------------------------------------------------------------------


@dataclass
class Item:
    """One event with its meaning: chunk, done, keepalive, error or damage."""

    what: str
    offset: int
    line: int
    event: int
    doc: Any = None  # a chunk's JSON, or an error's body
    raw: bytes = b""
    kind: str | None = None  # of a damage
    reason: str | None = None
    position: int | None = None
    whole: bool = False  # a finished completion, which only logs that are no event streams have
    outside: bool = False  # damage to what was around events, which such logs have, too

    def damage(self) -> tuple[Any, ...]:
        return (self.kind, self.reason, self.offset, self.line, self.event, self.position)


class BadJSON(Exception):
    def __init__(self, kind: str, message: str, text: str, index: int) -> None:
        super().__init__(message)
        self.kind, self.message, self.position = kind, message, len(text[:index].encode())


def loads(text: str) -> Any:
    """`json.loads`, with a limit on nesting; the first trouble in the text decides which error it is."""
    deep = index_of_too_deep(text)
    # Up to that bracket the text is parsed for errors of its own; without one, "Expecting value" stands exactly there.
    whole = text if deep is None else text[:deep]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 4 * MAX_DEPTH)
    try:
        return json.loads(whole)
    except json.JSONDecodeError as error:
        if deep is not None and error.pos == deep and error.msg == "Expecting value":
            raise BadJSON("too_deep", "", text, deep) from None
        message, index = error.msg, error.pos
        if message.startswith("Illegal trailing comma"):  # CPython 3.13 says it in other words and one place before
            in_array = message.endswith("array")
            message = "Expecting value" if in_array else "Expecting property name enclosed in double quotes"
            index += len(re.match(r",[ \t\r\n]*", whole[index:]).group())
        raise BadJSON("invalid_json", message, text, index) from None
    except ValueError:  # the interpreter's limit on the digits of an integer
        message = f"integer of more than {sys.get_int_max_str_digits()} digits"
        raise BadJSON("invalid_json", message, text, index_of_long_integer(whole)) from None
    finally:
        sys.setrecursionlimit(limit)


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|.', re.DOTALL)


def index_of_too_deep(text: str) -> int | None:
    """Where the 513th bracket opens that is open at once, if it does."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return None
    depth = 0
    for token in TOKEN.finditer(text):
        if token.group() in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return token.start()
        elif token.group() in "]}":
            depth -= 1
    return None


def index_of_long_integer(text: str) -> int:
    for token in TOKEN.finditer(text):
        if re.fullmatch(r"-?[0-9]+", token.group()) and len(token.group().lstrip("-")) > sys.get_int_max_str_digits():
            return token.start()
    raise AssertionError("json.loads complained about an integer that is not there")


def json_type(value: Any) -> str:
    if isinstance(value, bool):  # before int, of which it is one
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number", type(None): "null"}
    return names[type(value)]


def error_message(body: Any, text: str) -> str:
    """The reason of a ``server_error``: the server's own words, or all that it sent."""
    if isinstance(body, dict) and body.get("error"):
        body = body["error"]
    words = [body.get("message"), body.get("detail")] if isinstance(body, dict) else [body]
    found = printable(next((one for one in words if isinstance(one, str) and one), text.strip()))
    return found if len(found) <= MESSAGE_LENGTH else found[:MESSAGE_LENGTH] + "..."


def printable(text: str) -> str:
    """A reason can be printed everywhere: the bytes of a lone surrogate are replaced."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def count(counts: dict[str, int], item: Item, size: int) -> None:
    """One more of its kind, and so many bytes."""
    items, size_of = {
        "chunk": ("chunks", "chunk_bytes"),
        "done": ("done", "done_bytes"),
        "error": ("errors", "error_bytes"),
        "keepalive": ("keepalives", "comment_bytes"),
        "damage": ("damaged", "damaged_bytes"),
    }[item.what]
    counts[items] += 1
    counts[size_of] += size


def judge(event: OracleEvent, number: int) -> Item:
    """What this event is, in the order of the rules."""
    item = Item("damage", event.offset, event.line, number, raw=event.raw)
    text = event.data
    if text.strip() == "":
        item.what = "keepalive"
        return item
    if text.strip() == "[DONE]":
        item.what = "done"
        return item
    try:
        doc = loads(text)
    except BadJSON as error:
        if event.event == "error":
            item.what, item.doc, item.kind, item.reason = "error", text, "server_error", error_message(text, text)
            return item
        item.kind, item.position = error.kind, error.position
        if error.kind == "too_deep":
            item.reason = f"nested deeper than {MAX_DEPTH} levels at byte {error.position} of the event's data"
        elif event.pending:
            item.kind = "truncated"
            item.reason = f"the source ends inside an event, at byte {error.position} of its data: {error.message}"
        else:
            item.reason = f"invalid JSON at byte {error.position} of the event's data: {error.message}"
        return item
    item.doc = doc
    if isinstance(doc, dict) and ("choices" in doc or str(doc.get("object", "")).endswith("chunk")):
        item.what = "chunk"
    elif (isinstance(doc, dict) and doc.get("error")) or event.event == "error":
        item.what, item.kind, item.reason = "error", "server_error", error_message(doc, text)
    else:
        item.kind, item.reason = "not_a_chunk", f"a JSON {json_type(doc)} that is no chunk"
        if isinstance(doc, dict):
            item.reason += f" (keys: {printable(', '.join(list(doc)[:5]))})"
    return item


# --- a whole source --------------------------------------------------------------------------------------------


@dataclass
class Result:
    """Everything there is to say about a source."""

    events: list[OracleEvent] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    damages: list[tuple[Any, ...]] = field(default_factory=list)  # in the order of `stats.damages`
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def chunks(self) -> list[Item]:
        return [item for item in self.items if item.what == "chunk"]

    @property
    def given(self) -> list[Item]:
        """What an iterator with ``on_error="raise"`` gives or raises, in order."""
        return [item for item in self.items if item.what in ("chunk", "error", "damage")]


COUNTS = [
    "bytes", "events", "chunks", "done", "errors", "keepalives", "comments", "damaged",
    "chunk_bytes", "done_bytes", "error_bytes", "comment_bytes", "skipped_bytes", "damaged_bytes",
]  # fmt: skip


def first_invalid(raw: bytes) -> int | None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def oracle(data: bytes, *, strict: bool = False, max_event_bytes: int = MAX_EVENT_BYTES) -> Result:
    """Read a whole source: events, items, damages and counts."""
    result = Result(counts=dict.fromkeys(COUNTS, 0))
    counts = result.counts
    counts["bytes"] = len(data)
    events = {event.line: event for event in whatwg_events(data, strict=strict)}
    known = False  # was any line a field that the standard knows?
    unknown: bytes | None = None  # the first line that was none
    for block in split_blocks(data):
        large = overflow(block.lines, max_event_bytes)
        discarded = block.pending and strict and large is None
        lines = [line for line in block.lines if line.terminated] if discarded else block.lines[:large]
        fields = []  # the known ones
        invalid = False  # UTF-8, in `event` or `id`
        sizes = {"comment_bytes": 0, "skipped_bytes": 0}
        for line in lines:
            key, value = field_of(line.text)
            if key is None:
                counts["comments"] += 1
                sizes["comment_bytes"] += line.end - line.start
            elif key in KNOWN_FIELDS:
                known = True
                fields.append(line)
                ignored = key == "id" and b"\0" in value
                invalid |= key in ("event", "id") and not ignored and first_invalid(value) is not None
            else:
                unknown = line.text if unknown is None else unknown
                sizes["skipped_bytes"] += line.end - line.start
        if discarded:
            counts["skipped_bytes"] += block.end - block.start
            continue
        rest = block.end - block.start - sum(sizes.values())
        for name, size in sizes.items():
            counts[name] += size
        if large is not None:
            first = (fields or [block.lines[large]])[0]
            reason = f"the event is larger than {max_event_bytes} bytes"
            item = Item("damage", first.start, first.number, counts["events"], kind="event_too_large", reason=reason)
        elif fields and fields[0].number in events:
            event = events[fields[0].number]
            result.events.append(event)
            item = judge(event, counts["events"])
            position = first_invalid(event.raw)
            if position is not None or invalid:
                counts["damaged"] += 1
                reason = "invalid UTF-8 in the event's data"
                result.damages.append(("invalid_utf8", reason, event.offset, event.line, item.event, position))
        else:  # no data: not dispatched
            counts["comment_bytes"] += rest
            continue
        counts["events"] += 1
        result.items.append(item)
        if item.kind:
            result.damages.append(item.damage())
        count(counts, item, rest)
    first = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").partition(b"\n")[0]
    is_archive = first == unknown and (first[257:262] == b"ustar" or first[:4] == b"PK\x03\x04")
    if is_archive or (counts["events"] == 0 and not known and unknown is not None):
        reason = "no event found; "
        if is_archive:
            kind, names = ("tar", ".tar, .tgz or .tar.gz") if first[257:262] == b"ustar" else ("zip", ".zip")
            reason = f"it looks like a {kind} archive: in a file whose name ends in {names} its logs are read"
        elif unknown.strip().startswith(b"<"):
            reason += "it looks like HTML"
        elif unknown.strip().startswith((b"{", b"[")):
            reason += "it looks like JSON, not like server-sent events"
        else:
            reason += "this is no event stream"
        counts["damaged"] += 1
        result.items.append(Item("damage", 0, 1, 0, kind="not_a_stream", reason=reason))
        result.damages.append(result.items[-1].damage())
    return result


def overflow(lines: list[Line], limit: int) -> int | None:
    """The index of the line at which a block becomes larger than the limit, if it does."""
    joined = 0
    for index, line in enumerate(lines):
        if joined + len(line.text) > limit:
            return index
        key, value = field_of(line.text)
        if key == "data":
            joined += len(value) + 1
    return None


def oracle_program(data: bytes) -> list[dict[str, Any]]:
    """The program of the design, word for word: only for inputs that `json.loads` accepts throughout."""
    docs = [json.loads(event.data) for event in whatwg_events(data) if event.data.strip() not in ("", "[DONE]")]
    dicts = [doc for doc in docs if isinstance(doc, dict)]
    return [doc for doc in dicts if "choices" in doc or str(doc.get("object", "")).endswith("chunk")]
