"""What servers do otherwise than the chunk model says: events of a log in, the fields and quirks that were seen out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from chunkwire._marks import BYTE_ORDER_MARK
from chunkwire._model import ARRAYS, ARRAYS_OF, MODEL, OPTIONAL
from chunkwire._options import Options
from chunkwire._stats import Damage, Stats

__all__ = ["Finder"]

#: So many fields are told apart.
_MOST_FIELDS = 2000
#: How deep fields are told.
_MAX_DEPTH = 8
_MEMBER_DEPTH = 4
#: Random text of random length, against who watches sizes.
_PADDING = ("obfuscation", "p")

#: Each quirk by its name, in the order in which they are told.
_TEXTS = {
    "byte_order_mark": "the source begins with a byte order mark",
    "crlf": "lines end with CRLF",
    "comments": "comments between events, which are no data",
    "keepalives": "events with empty data, as keep-alives",
    "no_done": "streams without [DONE]",
    "truncated": "streams that break off",
    "errors": "errors of the server in place of chunks",
    "error_beside_choices": "chunks with an error beside their choices",
    "completions": "finished completions, not chunks",
    "padding": "padding members: random text of random length",
    "object": "chunks whose object is not chat.completion.chunk",
    "no_id": "chunks without an id",
    "empty_id": "chunks whose id is empty",
    "id_changes": "streams whose id changes",
    "no_created": "chunks without a time of creation",
    "created_type": "chunks whose created is no number",
    "created_changes": "streams whose created changes",
    "no_model": "chunks without a model, or with an empty one",
    "no_choices": "chunks without choices",
    "empty_choices": "chunks with empty choices",
    "many_choices": "chunks with several choices",
    "no_delta": "choices without a delta",
    "message": "chunks with a message in a choice",
    "content_list": "contents that are lists of parts",
    "role_again": "chunks that say the role again",
    "finish_again": "streams that say a finish_reason again",
    "after_finish": "chunks with content behind a finish_reason",
    "call_without_index": "tool calls without an index",
    "call_without_id": "tool calls that begin without an id",
    "no_usage": "streams without usage",
    "null_usage": "chunks whose usage is null",
    "usage_every_chunk": "streams with usage on every chunk: the last one counts",
    "usage_twice": "streams with usage on several chunks: the last one counts",
    "usage_with_choices": "usage on chunks that have choices",
    "usage_in_x_groq": "usage in x_groq.usage",
    "usage_in_choices": "usage in choices[].usage",
}


class _Stream:
    """What was seen of a stream."""

    __slots__ = ("chunks", "created", "finishes", "ids", "offset", "roles", "usages")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.chunks = self.usages = self.finishes = self.roles = 0
        self.ids: set[str] = set()
        self.created: set[Any] = set()

    def absorb(self, part: _Stream) -> None:
        """Takes over what was seen of a part under another id."""
        self.chunks += part.chunks
        self.usages += part.usages
        self.finishes += part.finishes
        self.ids |= part.ids
        self.created |= part.created


class Finder:
    """A sink for a log's reader that notes what it sees."""

    def __init__(self) -> None:
        self.fields: dict[str, tuple[int, int]] = {}
        self.members: dict[str, tuple[int, int]] = {}
        self.models: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._quirks: dict[str, tuple[int, int | None]] = {}
        self._streams: dict[Any, _Stream] = {}
        self._rows: list[Any] = []
        self._trackers: dict[Any, Any] = {}
        self._exchange: Any = None
        self._has_exchanges = False
        self._begun = False

    def reader(self, found: Any, name: str) -> Any:
        """A reader of a log of this format, which finds for this sink."""
        from chunkwire._logs._auto import Sinks, reader_of
        from chunkwire._logs._exchanges import ExchangesReader

        if found.format in ("exchanges", "reads"):
            finder = self

            class Reader(ExchangesReader):
                """Notes the members of lines, too."""

                def _line(self, text: bytes, offset: int, number: int, end: bytes) -> None:
                    finder.line(text, offset, self._names)
                    super()._line(text, offset, number, end)

            return Reader(self, Options(), name, found)
        is_sure = found.format != "sse" or found.why.startswith(("it begins as no", "format='sse'"))
        options = Options(format=found.format if is_sure else "auto")
        return reader_of(Sinks(lambda: self, lambda: self), options, name)

    def see(self, block: bytes) -> None:
        """Notes what can be seen of a block alone."""
        if not self._begun and block:
            self._begun = True
            if block.startswith(BYTE_ORDER_MARK):
                self._note("byte_order_mark", 0)
            if b"\r\n" in block or rb"\r\n" in block:
                self._note("crlf", None)

    def line(self, text: bytes, offset: int, body: tuple[str, ...]) -> None:
        """Notes the members of a line, but for its body."""
        from chunkwire._logs._paths import parsed

        value, _, _ = parsed(text)
        for path in _members(value, (), body):
            count, first = self.members.get(path, (0, offset))
            if count or len(self.members) < _MOST_FIELDS:
                self.members[path] = (count + 1, first)

    # --- as a sink

    def exchange(self, exchange: Any) -> None:
        """What follows is of this one."""
        self._exchange = exchange
        self._has_exchanges = True

    def end(self, exchange: Any) -> None:
        """This one has ended."""
        tracker = self._trackers.pop(exchange, None)
        rows = tracker.finished() if tracker is not None else []
        if not rows:
            self.statuses["empty"] += 1
        self._told(rows)

    def chunk(self, sent: dict[str, Any], _: bytes, offset: int, line: int, event: int) -> None:
        """Takes a chunk."""
        row = self._tracker().chunk(sent, _, offset, line, event)
        stream = self._streams.get(row)
        if stream is None:
            stream = self._streams[row] = _Stream(offset)
        self._look(sent, stream, offset)

    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a finished completion."""
        self._tracker().completion(sent, raw, offset, line, event)
        self._note("completions", offset)
        self._fields(sent, "", offset, _MAX_DEPTH)

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        self._tracker().done(offset)

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        """Takes an error that the server sent."""
        self._tracker().server_error(body, offset, line, event)
        self._note("errors", offset)

    def damage(self, damage: Damage) -> None:
        """Takes damage."""
        if self._exchange is not None or not self._has_exchanges:
            self._tracker().damage(damage)

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        if self._exchange is not None:
            self._tracker().damage_outside(damage)

    def finish(self, *, whole: bool) -> None:
        """The end: streams that are open break off there, unless the log goes on."""
        for tracker in self._trackers.values():
            rows = tracker.finished()
            self._told(rows if whole else [row for row in rows if not row.is_open])
        self._trackers.clear()

    def quirks(self, stats: Stats) -> Iterator[tuple[str, str, int, int | None]]:
        """What was seen: names, sentences, how often, and where first."""
        if stats.comments:
            self._quirks["comments"] = (stats.comments, None)
        if stats.keepalives:
            self._quirks["keepalives"] = (stats.keepalives, None)
        for name, text in _TEXTS.items():
            if name in self._quirks:
                yield (name, text, *self._quirks[name])

    def is_known(self, path: str) -> bool:
        """Is it a field of the chunk model, or of that of completions?"""
        return any(_is_known(path, view) for view in ("Chunk", "Completion"))

    def _tracker(self) -> Any:
        from chunkwire._streams import Tracker

        tracker = self._trackers.get(self._exchange)
        if tracker is None:
            tracker = self._trackers[self._exchange] = Tracker()
        return tracker

    def _note(self, name: str, offset: int | None) -> None:
        count, first = self._quirks.get(name, (0, offset))
        self._quirks[name] = (count + 1, first)

    def _told(self, rows: list[Any]) -> None:
        for row in rows:
            status = row.status()
            self.statuses[status] += 1
            if row.model:
                self.models[row.model] += 1
            if status in ("no_done", "truncated"):
                self._note(status, row.offset)
            if row.chunks and row.usage is None:
                self._note("no_usage", row.offset)
        for row, part in reversed(self._streams.items()):  # a part begins behind the stream that it is of
            if row.parent is not None and row.parent in self._streams:
                self._streams[row.parent].absorb(part)
        for row, stream in self._streams.items():
            if row.parent is not None:
                continue
            for name, is_so in (
                ("id_changes", len(stream.ids) > 1),
                ("created_changes", len(stream.created) > 1),
                ("finish_again", stream.finishes > 1),
                ("usage_every_chunk", 1 < stream.chunks == stream.usages),
                ("usage_twice", 1 < stream.usages < stream.chunks),
            ):
                if is_so:
                    self._note(name, stream.offset)
        if not self._trackers or self._has_exchanges:
            self._streams.clear()

    def _look(self, sent: dict[str, Any], stream: _Stream, offset: int) -> None:
        self._fields(sent, "", offset, _MAX_DEPTH)
        choices, name = sent.get("choices"), sent.get("id")
        stream.chunks += 1
        if isinstance(name, str) and name:
            stream.ids.add(name)
        if isinstance(sent.get("created"), (int, float)):
            stream.created.add(sent["created"])
        usage = sent.get("usage")
        elements = choices if isinstance(choices, list) else []
        in_choices = any(isinstance(one, dict) and one.get("usage") for one in elements)
        groq = sent.get("x_groq")
        in_groq = isinstance(groq, dict) and bool(groq.get("usage"))
        stream.usages += bool(usage or in_choices or in_groq)
        for quirk, is_so in (
            ("error_beside_choices", bool(sent.get("error")) and "choices" in sent),
            ("padding", any(isinstance(sent.get(name), str) for name in _PADDING)),
            ("object", sent.get("object") != "chat.completion.chunk"),
            ("no_id", name is None),
            ("empty_id", name == ""),
            ("no_created", sent.get("created") is None),
            ("created_type", isinstance(sent.get("created"), (str, bool, list, dict))),
            ("no_model", not sent.get("model")),
            ("no_choices", choices is None),
            ("empty_choices", choices == []),
            ("many_choices", len(elements) > 1),
            ("null_usage", "usage" in sent and usage is None),
            ("usage_with_choices", bool(usage) and bool(elements)),
            ("usage_in_x_groq", in_groq),
            ("usage_in_choices", in_choices),
        ):
            if is_so:
                self._note(quirk, offset)
        for choice in elements:
            if isinstance(choice, dict):
                self._look_at_choice(choice, stream, offset)

    def _look_at_choice(self, choice: dict[str, Any], stream: _Stream, offset: int) -> None:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            self._note("no_delta", offset)
            delta = {}
        if "message" in choice:
            self._note("message", offset)
        content = delta.get("content")
        if isinstance(content, list):
            self._note("content_list", offset)
        if content and stream.finishes and not choice.get("finish_reason") and not choice.get("index"):
            self._note("after_finish", offset)
        if delta.get("role"):
            stream.roles += not choice.get("index")
            if stream.roles > 1 and not choice.get("index"):
                self._note("role_again", offset)
        if choice.get("finish_reason") and not choice.get("index"):
            stream.finishes += 1
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                function = call.get("function")
                if call.get("index") is None:
                    self._note("call_without_index", offset)
                if not call.get("id") and isinstance(function, dict) and function.get("name"):
                    self._note("call_without_id", offset)

    def _fields(self, value: Any, path: str, offset: int, depth: int) -> None:
        if not depth:
            return
        if isinstance(value, dict):
            for name, item in value.items():
                inner = f"{path}.{name}" if path else name
                count, first = self.fields.get(inner, (0, offset))
                if count or len(self.fields) < _MOST_FIELDS:
                    self.fields[inner] = (count + 1, first)
                if isinstance(item, (dict, list)):
                    self._fields(item, inner, offset, depth - 1)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, (dict, list)):
                    self._fields(item, f"{path}[]", offset, depth - 1)


def _members(value: Any, path: tuple[str, ...], body: tuple[str, ...]) -> Iterator[str]:
    """The paths of what is in a line, but for its body; of arrays and of strings only their own."""
    from chunkwire._logs._names import path_of

    for name, item in value.items() if isinstance(value, dict) else ():
        inner = (*path, name)
        if inner == body:
            continue
        if isinstance(item, dict) and item and len(inner) < _MEMBER_DEPTH:
            yield from _members(item, inner, body)
        else:
            yield path_of(inner)


def _is_known(path: str, view: str | None) -> bool:
    """Does a path lead through fields of the model only?"""
    for step in path.split("."):
        name, is_array = step.removesuffix("[]"), step.endswith("[]")
        if view is None:
            return False
        if name not in MODEL[view]:
            return name in OPTIONAL.get(view, ()) and step == path.rpartition(".")[2]
        if is_array and name not in ARRAYS_OF.get(view, ARRAYS):
            return False
        view = MODEL[view][name]
    return True
