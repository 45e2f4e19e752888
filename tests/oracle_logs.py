"""The slow, obvious reference for logs that hold streams in JSON: bytes in, exchanges, items, rows and counts out.

A line is read by `oracle.loads`; where things stand in it is told by a parser that goes from letter to letter; what a
body says is told by `oracle`. Nothing here is shared with the package. The format and its members are given: that they
are recognised is another matter.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import oracle as events
from oracle import COUNTS, BadJSON, Item, OracleEvent, Result, count, judge
from oracle_messages import oracle_completions
from oracle_streams import collected, columns, oracle_rows

MARK = re.compile(
    rb"(?:(?:\.\.\.|\xe2\x80\xa6)?[ ]?(?:\[truncated[^\]\r\n]*\]|\(truncated[^)\r\n]*\)|<truncated[^>\r\n]*>)"
    rb"|(?:\.\.\.|\xe2\x80\xa6)[ ]?truncated)[ \t]*\Z"
)
SPACE = b" \t\r\n"


# --- where things stand in JSON ----------------------------------------------------------------------------------


@dataclass
class Node:
    """A value in a text: where it stands, and what is in it."""

    start: int
    end: int
    whole: bool = True
    members: list[tuple[bytes, Node]] = field(default_factory=list)  # of an object
    items: list[Node] = field(default_factory=list)  # of an array
    text: bytes = b""  # of a string
    places: list[int] = field(default_factory=list)  # where each byte of the text stands, and where it ends


ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def skip(data: bytes, at: int) -> int:
    while at < len(data) and data[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
        at += 1
    return at


def hexadecimal(data: bytes, at: int) -> int | None:
    found = re.compile(rb"\\u([0-9a-fA-F]{4})").match(data, at)
    return int(found[1], 16) if found else None


def string(data: bytes, start: int) -> Node:
    node = Node(start, start + 1, whole=False)
    at = start + 1
    while at < len(data):
        one = data[at : at + 1]
        if one == b'"':
            node.whole, node.end = True, at + 1
            break
        written, size = one, 1
        if one < b" ":
            break
        if one == b"\\":
            escape = data[at + 1 : at + 2]
            if escape in ESCAPES and escape:
                written, size = ESCAPES[escape], 2
            else:
                unit = hexadecimal(data, at)
                if unit is None:
                    break
                size = 6
                second = hexadecimal(data, at + 6)
                if 0xD800 <= unit < 0xDC00 and second is not None and 0xDC00 <= second < 0xE000:
                    unit, size = 0x10000 + ((unit - 0xD800) << 10) + second - 0xDC00, 12
                written = chr(unit).encode("utf-8", "surrogatepass")
        node.text += written
        node.places += [at] * len(written)
        at += size
        node.end = at
    node.places.append(at)
    return node


def parse(data: bytes, at: int = 0) -> Node:
    """The value that begins here, as far as it goes."""
    at = skip(data, at)
    first = data[at : at + 1]
    if first == b'"':
        return string(data, at)
    if first not in (b"{", b"["):
        end = at
        while end < len(data) and data[end : end + 1] not in (b",", b"]", b"}", b" ", b"\t", b"\r", b"\n"):
            end += 1
        return Node(at, end, whole=end > at)
    node = Node(at, at + 1, whole=False)
    at = skip(data, at + 1)
    while at < len(data):
        if data[at : at + 1] in (b"}", b"]"):
            node.whole, node.end = True, at + 1
            return node
        key = b""
        if first == b"{":
            name = parse(data, at)
            at = skip(data, name.end)
            if not name.whole or data[at : at + 1] != b":":
                break
            key, at = name.text, at + 1
        value = parse(data, at)
        if value.start == len(data):
            break
        if first == b"{":
            node.members.append((key, value))
        else:
            node.items.append(value)
        node.end = value.end
        if not value.whole:
            break
        at = skip(data, value.end)
        if data[at : at + 1] == b",":
            at = skip(data, at + 1)
        elif data[at : at + 1] not in (b"}", b"]"):
            break
    node.end = len(data) if not node.whole else node.end
    return node


def elements(data: bytes, at: int) -> tuple[list[tuple[int, int, bool]], int | None]:
    """The elements of the array that begins here: start, end, and whether that is its own end; and where the array
    ends. Brackets alone tell; a string ends at the end of its line at the latest."""
    found = []
    at += 1
    while True:
        while at < len(data) and data[at : at + 1] in (b",", b" ", b"\t", b"\r", b"\n"):
            at += 1
        if at >= len(data):
            return found, None
        if data[at : at + 1] == b"]":
            return found, at + 1
        start, depth, in_string = at, 0, False
        container = data[at : at + 1] in (b"{", b"[")
        while at < len(data):
            one = data[at : at + 1]
            if in_string:
                if one == b"\\" and data[at + 1 : at + 2] not in (b"", b"\n"):
                    at += 1
                elif one == b'"' or one == b"\n":
                    in_string = False
                    if not container:
                        at += one == b'"'
                        break
            elif one == b'"' and (container or at == start):
                in_string = True
            elif container and one in (b"{", b"["):
                depth += 1
            elif container and one in (b"}", b"]"):
                depth -= 1
                if depth == 0:
                    at += 1
                    break
            elif not container and one in (b",", b"]", b" ", b"\t", b"\r", b"\n"):
                break
            at += 1
        found.append((start, at, not container or depth == 0))


@dataclass
class Place:
    """A value, the text in which it stands, and where the bytes of that text stand in the log."""

    data: bytes
    node: Node
    at: list[int]


def names_of(path: str) -> list[str]:
    return [name.replace("\0", ".") for name in path.replace("\\.", "\0").split(".")]


def find(data: bytes, names: list[str], at: list[int]) -> Place | None:
    node = parse(data)
    for number, name in enumerate(names):
        first = data[node.start : node.start + 1]
        if first == b'"':
            return find(valid_part(node.text)[0], names[number:], [at[place] for place in node.places])
        found = None
        if first == b"{":
            for key, value in node.members:
                if key == name.encode("utf-8", "surrogatepass"):
                    found = value
        elif first == b"[" and name.isdigit() and int(name) < len(node.items):
            found = node.items[int(name)]
        if found is None:
            return None
        node = found
    return Place(data, node, at)


def valid_part(text: bytes) -> tuple[bytes, BadJSON | None, Any]:
    """As much of a text as is valid JSON, what is wrong with it, and what it is."""
    plain = re.sub("[\udc80-\udcff]", "?", text.decode("utf-8", "surrogateescape"))
    try:
        return text, None, events.loads(plain)
    except BadJSON as bad:
        open_string = bad.message.startswith("Unterminated string")
        return text if open_string else text[: bad.position], bad, None


def value_of(place: Place | None) -> Any:
    """What `json.loads` has there; None where nothing is."""
    if place is None or not place.node.whole:
        return None
    text = place.data[place.node.start : place.node.end].decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return None


# --- exchanges ---------------------------------------------------------------------------------------------------


@dataclass
class Exchange:
    """One request with its response, as far as it was read."""

    key: Any
    offset: int  # of its first line
    line: int
    body: bytes = b""  # server-sent events
    places: list[tuple[int, int]] = field(default_factory=list)  # offset and line of each byte of the body
    given: int = 0  # how many items of the body were given
    result: Result = field(default_factory=Result)  # with places in the log
    kept: list[Any] = field(default_factory=list)
    began: float | None = None  # the time of its first read
    now: float | None = None  # and of its last
    times: dict[int, float | None] = field(default_factory=dict)  # by the number of an item's event


@dataclass
class Log:
    """All that there is to say about a log."""

    items: list[Item] = field(default_factory=list)  # in the order in which they are complete
    damages: list[tuple[Any, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*COUNTS, "wrapping_bytes", "exchanges"], 0))
    rows: list[dict[str, Any]] = field(default_factory=list)
    completions: list[Any] = field(default_factory=list)

    @property
    def given(self) -> list[Item]:
        return [item for item in self.items if item.what in ("chunk", "error", "damage")]


def is_whole(doc: Any) -> bool:
    """Is it a finished completion?"""
    choices = doc.get("choices") if isinstance(doc, dict) else None
    if not isinstance(choices, list) or not choices:
        return False
    choices = [choice for choice in choices if isinstance(choice, dict)]
    if any("delta" in choice for choice in choices):
        return False
    return doc.get("object") == "chat.completion" or any(isinstance(one.get("message"), dict) for one in choices)


class Reader:
    """Reads a log line by line."""

    def __init__(
        self,
        data: bytes,
        field: str | None,
        id_field: str | None,
        time_field: str | None,
        keep: list[str],
        strict: bool,
    ) -> None:
        self.data = data
        self.field, self.id_field, self.time_field = field, id_field, time_field
        self.keep = keep
        self.strict = strict
        self.log = Log()
        self.exchanges: list[Exchange] = []
        self.done: list[Exchange] = []

    # --- what is found

    def add(self, exchange: Exchange | None, item: Item, size: int, more: tuple[Any, ...] | None = None) -> None:
        """An item with its place in the log; ``more`` is a damage beside it."""
        counts = self.log.counts
        item.event = counts["events"]
        if more is not None:
            counts["damaged"] += 1
            self.log.damages.append((more[0], more[1], item.offset, item.line, item.event, more[5]))
        counts["events"] += 1
        count(counts, item, size)
        self.tell(exchange, item)

    def tell(self, exchange: Exchange | None, item: Item) -> None:
        if item.kind:
            self.log.damages.append(item.damage())
        self.log.items.append(item)
        if exchange is not None:
            exchange.result.items.append(item)

    def lost(
        self,
        exchange: Exchange | None,
        kind: str,
        reason: str,
        offset: int,
        line: int,
        position: int | None = None,
        *,
        outside: bool = False,
    ) -> None:
        """Damage that is no event; ``outside``: it harms a stream only if one is open, or if there is none at all."""
        self.log.counts["damaged"] += 1
        item = Item("damage", offset, line, self.log.counts["events"], kind=kind, reason=reason, position=position)
        item.outside = outside
        self.tell(exchange, item)

    def json_event(self, exchange: Exchange | None, data: bytes, at: int, line: int, *, pending: bool) -> None:
        text = data.decode("utf-8", "replace")
        item = judge(OracleEvent("message", text, "", None, at, line, data, pending), 0)
        item.whole = item.what == "chunk" and is_whole(item.doc)
        position = events.first_invalid(data)
        more = None
        if position is not None:
            more = ("invalid_utf8", "invalid UTF-8 in the event's data", 0, 0, 0, position)
        self.add(exchange, item, len(data), more)

    def json_body(
        self, exchange: Exchange | None, data: bytes, at: list[int], line: int, *, pending: bool, told: bool = False
    ) -> None:
        """An object is an event, an array as many as it has elements. ``told``: where it breaks off is told."""
        start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        start = skip(data, start)
        end = len(data.rstrip(SPACE))
        if data[start : start + 1] != b"[" or data[start + 1 : end - 1].strip(SPACE) == b"DONE":
            self.json_event(exchange, data[start:end], at[start], line, pending=pending)
            return
        found, closed = elements(data[:end], start)
        for first, last, whole in found:
            self.json_event(exchange, data[first:last], at[first], line, pending=pending and not whole)
        if closed is None and not told and all(whole for _, _, whole in found):
            reason = "the source ends inside an array" if pending else "the array has no end"
            self.lost(exchange, "truncated" if pending else "invalid_json", reason, at[end], line)
        self.behind(exchange, data[:end], closed, at, line)

    def behind(self, exchange: Exchange | None, data: bytes, closed: int | None, at: list[int], line: int) -> None:
        if closed is not None and data[closed:].strip(SPACE):
            place = skip(data, closed)
            reason = "something stands behind the end of the array"
            self.lost(exchange, "invalid_json", reason, at[place], line)
            self.log.counts["damaged_bytes"] += len(data[place:].rstrip(SPACE))

    # --- server-sent events

    def text(self, exchange: Exchange, text: bytes, places: list[tuple[int, int]], time: float | None) -> None:
        """Some more of a body, and the events that it completes."""
        exchange.places = exchange.places[: len(exchange.body)] + places
        exchange.body += text
        found = events.oracle(exchange.body, strict=True)
        self.events(exchange, [item for item in found.items if item.kind != "not_a_stream"], found, time)

    def events(self, exchange: Exchange, items: list[Item], found: Result, time: float | None) -> None:
        for item in items[exchange.given :]:
            offset, line = exchange.places[item.offset]
            local = item.event
            more = next((one for one in found.damages if one[0] == "invalid_utf8" and one[4] == local), None)
            moved = replace(item, offset=offset, line=line)
            self.add(exchange, moved, 0, more)
            exchange.times[moved.event] = time
        exchange.given = len(items)

    def end(self, exchange: Exchange) -> None:
        """The end of an exchange: its open event, a mark that says that it was clipped, its bytes."""
        lines = events.split_lines(exchange.body)
        mark = MARK.search(lines[-1].text) if lines and not lines[-1].terminated else None
        clipped = len(mark[0]) if mark else 0
        body = exchange.body[: len(exchange.body) - clipped]
        found = events.oracle(body, strict=self.strict)
        before = len(exchange.result.items)
        strangers = [item for item in found.items if item.kind == "not_a_stream"]
        self.events(exchange, [item for item in found.items if item.kind != "not_a_stream"], found, exchange.now)
        for item in strangers:
            offset, line = exchange.places[0]
            self.lost(exchange, "not_a_stream", str(item.reason), offset, line)
        new = exchange.result.items[before:]
        if clipped and not any(item.kind == "truncated" for item in new):
            words = mark[0].decode() if mark else ""
            offset, line = exchange.places[len(body)]
            self.lost(
                exchange, "truncated", f"the body was clipped: it ends in {words.strip()!r}", offset, line, outside=True
            )
        counts = self.log.counts
        for name in COUNTS:
            if name.endswith("_bytes") or name == "comments":
                counts[name] += found.counts[name]
        counts["damaged_bytes"] += clipped
        self.done.append(exchange)

    # --- lines

    def lines(self) -> list[tuple[int, bytes, int, bool]]:
        """Number, bytes without the end, offset, and whether it is ended."""
        found, start = [], 0
        for number, text in enumerate(self.data.split(b"\n"), 1):
            ended = start + len(text) < len(self.data)
            found.append((number, text[:-1] if ended and text.endswith(b"\r") else text, start, ended))
            start += len(text) + 1
        return found

    def finish(self) -> Log:
        log = self.log
        log.counts["bytes"] = len(self.data)
        classes = [name for name in COUNTS if name.endswith("_bytes")]
        log.counts["wrapping_bytes"] = len(self.data) - sum(log.counts[name] for name in classes)
        log.counts["exchanges"] = len(self.done)
        for exchange in self.done:
            rows, wrong = oracle_rows(exchange.result)
            log.damages += wrong
            log.counts["damaged"] += len(wrong)
            streams = collected(exchange.result)
            for row, stream in zip(rows, streams, strict=True):
                measure(row, [item for _, item in stream.chunks], exchange)
            if not rows:
                rows = [empty(exchange.offset)]
            for row in rows:
                row["kept"] = exchange.kept or [None] * len(self.keep)
            log.rows += rows
            log.completions += oracle_completions(exchange.result)
        log.rows.sort(key=lambda row: row["offset"])
        return log


def empty(offset: int) -> dict[str, Any]:
    from oracle_streams import Row

    return columns(Row(offset, 0), []) | {"status": "empty", "measured": False}


def has_content(doc: dict[str, Any]) -> bool:
    from chunkwire._written import written  # which has a reference and tests of its own

    return written(doc)[0] > 0


def measure(row: dict[str, Any], chunks: list[Item], exchange: Exchange) -> None:
    """The times that the log shows, where the server told none."""
    row["measured"] = False
    times = [exchange.times.get(item.event) for item in chunks if has_content(item.doc)]
    times = [time for time in times if time is not None]
    if not times:
        return
    spans = {"generation_time": times[-1] - times[0]}
    if exchange.began is not None:
        spans["time_to_first_token"] = times[0] - exchange.began
    for name, seconds in spans.items():
        if math.isnan(row[name]) and seconds >= 0:
            row[name], row["measured"] = seconds, True


def seconds_of(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    for limit, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if value > limit:
            return value / unit
    return float(value)


def foreign(text: bytes, doc: Any) -> str | None:
    """What a line looks like that is none of its log."""
    if isinstance(doc, list):
        return "an array"
    if not isinstance(doc, dict):
        return f"a JSON {events.json_type(doc)}"
    if "choices" in doc or str(doc.get("object", "")).endswith("chunk"):
        return "a bare chunk"
    return None


EVENT_LINE = re.compile(rb"(?:data|event|id|retry)?:")


def lines_of_exchanges(reader: Reader, *, reads: bool) -> Log:
    names = names_of(reader.field or "")
    open_: dict[str, Exchange] = {}
    for number, text, start, ended in reader.lines():
        mark = 3 if number == 1 and text.startswith(b"\xef\xbb\xbf") else 0
        text, start = text[mark:], start + mark
        if not text.strip(SPACE):
            continue
        at = list(range(start, start + len(text) + 1))
        valid, error, doc = valid_part(text)
        if error is not None and EVENT_LINE.match(text):
            reason = f"line {number} is no JSON; it looks like server-sent events"
            reader.lost(None, "wrong_format", reason, start, number)
            reader.log.counts["damaged_bytes"] += len(text)
            continue
        place = find(valid, names, at) if doc is None or isinstance(doc, dict) else None
        if error is None and place is None:
            looks = foreign(text, doc)
            if looks == "a bare chunk" and is_whole(doc):
                exchange = Exchange(None, start, number)
                exchange.kept = [value_of(find(valid, names_of(path), at)) for path in reader.keep]
                reader.json_event(exchange, text.strip(SPACE), start + skip(text, 0), number, pending=False)
                reader.done.append(exchange)
                continue
            if looks is not None:
                reason = f"line {number} has no member {reader.field}; it looks like {looks}"
                reader.lost(None, "wrong_format", reason, start, number)
                reader.log.counts["damaged_bytes"] += len(text)
                continue
        key, known = "", True
        if reads and reader.id_field:
            found = find(valid, names_of(reader.id_field), at)
            value = value_of(found)
            known = isinstance(value, (str, int, float)) and not isinstance(value, bool)
            key = json.dumps(value) if isinstance(value, str) else ""
            if found is not None and known and not key:
                key = found.data[found.node.start : found.node.end].decode()  # a number as it is written
        if reads:
            if error is not None and reader.id_field and not known:
                fail(reader, None, error, start, number, ended)
                reader.log.counts["damaged_bytes"] += len(text)
                continue
            if key not in open_:
                open_[key] = Exchange(key, start, number)
            exchange = open_[key]
        else:
            exchange = Exchange(None, start, number)
        time = seconds_of(value_of(find(valid, names_of(reader.time_field), at))) if reader.time_field else None
        exchange.now = time
        if exchange.began is None:
            exchange.began = time
        for index, path in enumerate(reader.keep):
            value = value_of(find(valid, names_of(path), at))
            exchange.kept = exchange.kept or [None] * len(reader.keep)
            if value is not None:
                exchange.kept[index] = value
        if place is not None:
            body(reader, exchange, place, number, time, broken=error is not None, ended=ended)
        if not reads:
            reader.end(exchange)
        if error is not None:
            fail(reader, exchange, error, start, number, ended)
            if place is None:
                reader.log.counts["damaged_bytes"] += len(text)
        elif place is not None and not place.node.whole:
            reason = f"line {number}: the JSON around {reader.field} breaks off"
            reader.lost(exchange, "truncated", reason, start, number, outside=True)
    for exchange in open_.values():
        reader.end(exchange)
    return reader.finish()


def body(
    reader: Reader, exchange: Exchange, place: Place, line: int, time: float | None, *, broken: bool, ended: bool
) -> None:
    """What a line has of an exchange's body."""
    node = place.node
    first = place.data[node.start : node.start + 1]
    if first == b'"':
        at = [place.at[one] for one in node.places]
        text = node.text
        begins = text.removeprefix(b"\xef\xbb\xbf").lstrip(SPACE)[:1]
        between = not exchange.body or events.split_blocks(exchange.body)[-1].pending is False
        if begins and begins in b"{[" and between:
            before = reader.log.counts["events"]
            reader.json_body(exchange, text, at, line, pending=True)
            for event in range(before, reader.log.counts["events"]):
                exchange.times[event] = time
        else:
            reader.text(exchange, text, [(one, line) for one in at], time)
    elif first in (b"{", b"[") and first:
        end = node.end if node.whole else len(place.data)
        inside = place.data[node.start : end]
        before = reader.log.counts["events"]
        if node.whole or first == b"[":
            reader.json_body(exchange, inside, place.at[node.start : end + 1], line, pending=not ended, told=broken)
        for event in range(before, reader.log.counts["events"]):
            exchange.times[event] = time
    elif place.data[node.start : node.end] != b"null" and node.whole:
        value = value_of(place)
        if value is not None:
            reason = f"line {line}: {reader.field} is a JSON {events.json_type(value)}, expected text"
            reader.lost(exchange, "wrong_format", reason, place.at[node.start], line)


def fail(reader: Reader, exchange: Exchange | None, error: BadJSON, start: int, line: int, ended: bool) -> None:
    """A line that is no JSON."""
    position = error.position
    kind = error.kind
    if kind == "too_deep":
        reason = f"nested deeper than 512 levels at byte {position} of the line"
    elif ended:
        reason = f"invalid JSON at byte {position} of the line: {error.message}"
    else:
        kind, reason = "truncated", f"the source ends inside a line, at byte {position} of it: {error.message}"
    reader.lost(exchange, kind, reason, start, line, position, outside=True)


def lines_of_chunks(reader: Reader) -> Log:
    """Lines that are chunks, or arrays of them; or one array of all."""
    source = Exchange(None, 0, 1)
    data = reader.data
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    start = skip(data, start)
    after: int | None = 0  # where lines begin that stand for themselves
    first_line = data[start:].split(b"\n")[0].rstrip(SPACE)
    begins_done = first_line[1:].lstrip(SPACE).startswith(b"D")  # as `[DONE]` does, which is none
    is_open = first_line.startswith(b"[") and elements(first_line, 0)[1] is None
    if is_open and not is_cut(first_line) and not begins_done:
        line_of, after = [1], None
        for byte in data:
            line_of.append(line_of[-1] + (byte == 10))
        found, closed = elements(data, start)
        for first, last, whole in found:
            element = data[first:last].rstrip(SPACE) if last == len(data) else data[first:last]
            reader.json_event(source, element, first, line_of[first], pending=not whole)
        end = len(data.rstrip(SPACE))
        if closed is None and all(whole for _, _, whole in found):
            reader.lost(source, "truncated", "the source ends inside an array", end, line_of[end])
        if closed is not None:
            line_end = len(data[closed:].split(b"\n")[0]) + closed
            reader.behind(source, data[:line_end], closed, list(range(line_end + 1)), line_of[closed])
            after = line_end + 1
    if after is not None:
        for number, text, offset, ended in reader.lines():
            if offset < after:
                continue
            mark = 3 if number == 1 and text.startswith(b"\xef\xbb\xbf") else 0
            inside = text[mark:].strip(SPACE)
            offset += mark + skip(text[mark:], 0)
            if inside and EVENT_LINE.match(inside):
                reason = f"line {number} is no JSON; it looks like server-sent events"
                reader.lost(source, "wrong_format", reason, offset, number)
                reader.log.counts["damaged_bytes"] += len(inside)
            elif inside:
                at = list(range(offset, offset + len(inside) + 1))
                reader.json_body(source, inside, at, number, pending=not ended)
    rows, wrong = oracle_rows(source.result)
    log = reader.log
    log.counts["bytes"] = len(data)
    log.counts["wrapping_bytes"] = len(data) - sum(log.counts[name] for name in COUNTS if name.endswith("_bytes"))
    log.damages += wrong
    log.counts["damaged"] += len(wrong)
    for row in rows:
        row |= {"measured": False, "kept": [None] * len(reader.keep)}
    log.rows = rows
    log.completions = oracle_completions(source.result)
    return log


def is_cut(line: bytes) -> bool:
    """Does an array end inside a string? (In an element that is none, a quote begins none.)"""
    found, _ = elements(line, 0)
    last = line[found[-1][0] :] if found else b""
    strings = re.finditer(rb'"(?:[^"\\]|\\.)*+("?)', last)
    return last[:1] in (b'"', b"{", b"[") and any(not string[1] for string in strings)


def oracle_log(
    data: bytes,
    format: str,
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    keep: list[str] | None = None,
    strict: bool = False,
) -> Log:
    """Reads a whole log of this format."""
    reader = Reader(data, field, id_field, time_field, keep or [], strict)
    if format == "chunks":
        return lines_of_chunks(reader)
    return lines_of_exchanges(reader, reads=format == "reads")
