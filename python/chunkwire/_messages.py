"""Chunks in the order of a source in, one stream folded into whole messages out at a time: the Python engine's twin of
the room `message`.

Which chunk belongs to which stream is said by the `Tracker`, and by nothing else. How the pieces of a field become one
value is said in the table of `rust/message/rules.rs`; the classes here are named as those there.
"""

from __future__ import annotations

from typing import Any, Protocol

from chunkwire._stats import KEPT_DAMAGES, Damage
from chunkwire._streams import Row, Tracker, Wrong, integer

__all__ = ["Completions", "WrongUsage"]

#: What is nested deeper than so many levels in a delta is not folded: the last one counts.
_MAX_DEPTH = 8
#: Strings that name something, and are sent again or not, but never in pieces; as do those whose name ends so.
_IDENTIFIERS = frozenset({
    "channel", "format", "id", "language", "mime_type", "model", "name", "object", "phase", "provider", "recipient",
    "role", "signature", "status", "type", "url",
})  # fmt: skip
_IDENTIFIER_ENDS = (
    "Id", "_format", "_id", "_model", "_name", "_reason", "_role", "_signature", "_status", "_type", "_url",
)  # fmt: skip
#: Elements that hold pieces of one running text.
_RUNNING = frozenset({"text", "thinking", "reasoning.text", "reasoning.summary"})
#: The fields of a chunk that are no news of the completion: told otherwise, or padding.
_TOLD_OTHERWISE = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "p"})


class _Text:
    """A string in the making."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = [*pieces]

    def built(self) -> str:
        return "".join(self.pieces)


class _Object:
    """An object in the making: what is in `members` is in the making too, or a value as it was sent."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}

    def fold(self, new: dict[str, Any], depth: int) -> _Object:
        members = self.members
        for name, value in new.items():
            members[name] = _fold(members.get(name), value, name, depth)
        return self

    def non_empty(self, name: str) -> str | None:
        """The text of a string that is not empty."""
        value = self.members.get(name)
        return value.built() or None if type(value) is _Text else None

    def built(self) -> dict[str, Any]:
        return {name: _built(value) for name, value in self.members.items()}


class _List:
    """An array in the making."""

    __slots__ = ("by_index", "items", "runs")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.by_index: dict[int, int] = {}  # the last element of each index
        self.runs = False  # the last element has no index, but running text

    def fold(self, new: list[Any], name: str, depth: int) -> _List:
        for item in new:
            self._fold_item(item, name, depth)
        return self

    def _fold_item(self, item: Any, name: str, depth: int) -> None:
        index = kind = new_id = None
        if type(item) is dict:
            index = integer(item.get("index"))
            kind, new_id = _non_empty(item.get("type")), _non_empty(item.get("id"))
        runs = index is None and kind in _RUNNING
        place = None if index is None else self.by_index.get(index)
        if (index is None and not runs) or (name == "executed_tools" and depth == 0):
            if place is None:
                self._push(item, index, False)
            else:
                self.items[place] = item
            return
        if runs and self.runs:
            place = len(self.items) - 1
        if place is None or not _agrees(self.items[place], kind, new_id):
            place = len(self.items)
            self._push(None, index, runs)
        self.items[place] = _fold(self.items[place], item, name, depth + 1)

    def _push(self, item: Any, index: int | None, runs: bool) -> None:
        if index is not None:
            self.by_index[index] = len(self.items)
        self.runs = runs
        self.items.append(item)

    def built(self) -> list[Any]:
        return [_built(item) for item in self.items]


def _agrees(known: Any, kind: str | None, new_id: str | None) -> bool:
    """May an element of this type and id go on with that one?"""
    if type(known) is not _Object:
        return False
    for name, new in (("type", kind), ("id", new_id)):
        old = known.non_empty(name)
        if old is not None and new is not None and old != new:
            return False
    return True


def _fold(old: Any, new: Any, name: str, depth: int) -> Any:
    """A field of a delta, and another piece of it, together."""
    kind = type(new)
    if new is None:
        return old
    if kind is str:
        if type(old) is not _Text:
            return _Text(new)
        if not _is_identifier(name):
            old.pieces.append(new)
        elif new:
            old.pieces = [new]
        return old
    if depth < _MAX_DEPTH:
        if kind is dict:
            return (old if type(old) is _Object else _Object()).fold(new, depth + 1)
        if kind is list:
            return (old if type(old) is _List else _List()).fold(new, name, depth)
    return new


def _fold_content(old: Any, new: Any) -> Any:
    """The same for a message's content, in which strings and arrays can take turns."""
    if type(old) is _Text and type(new) is list:
        text, old = old.built(), _List()
        if text:
            old.fold([{"type": "text", "text": text}], "content", 0)
    elif type(old) is _List and type(new) is str:
        new = [{"type": "text", "text": new}] if new else []
    return _fold(old, new, "content", 0)


def _fold_last(old: Any, new: Any) -> Any:
    """The last one counts, but for null; of an object the last one of each member."""
    if new is None:
        return old
    if type(new) is not dict:
        return new
    if type(old) is not _Object:
        old = _Object()
    for name, value in new.items():
        if value is not None or name not in old.members:
            old.members[name] = value
    return old


def _fold_elements(old: Any, new: Any) -> Any:
    """Elements of arrays come one behind the other; of anything else the last one counts."""
    if type(new) is not list:
        return _fold_last(old, new)
    if type(old) is not _Runs:
        old = _Runs()
    old.items += new
    return old


class _Runs:
    """An array that only grows."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Any] = []

    def built(self) -> list[Any]:
        return self.items


_IN_THE_MAKING = frozenset({_Text, _Object, _List, _Runs})


def _built(value: Any) -> Any:
    return value.built() if type(value) in _IN_THE_MAKING else value


def _is_identifier(name: str) -> bool:
    return name in _IDENTIFIERS or name.endswith(_IDENTIFIER_ENDS)


def _non_empty(value: Any) -> str | None:
    return value if type(value) is str and value else None


class _Calls:
    """The tool calls of a message; its twin in Rust says which call an element adds to."""

    __slots__ = ("_by_id", "_by_index", "_last", "calls")

    def __init__(self) -> None:
        self.calls: list[_Object] = []
        self._by_index: dict[int, int] = {}
        self._by_id: dict[tuple[int | None, str], int] = {}
        self._last = 0

    def fold(self, new: Any) -> None:
        for element in new if type(new) is list else ():
            if type(element) is dict:
                self._fold_element(element)

    def _fold_element(self, element: dict[str, Any]) -> None:
        index, new_id = integer(element.get("index")), _non_empty(element.get("id"))
        place = self._place_of(element, index, new_id)
        if place is None:
            place = len(self.calls)
            self.calls.append(_Object())
        self._last = place
        if index is not None:
            self._by_index[index] = place
        call = self.calls[place]
        known = call.non_empty("id")
        for name, value in element.items():
            if name != "index" and (name != "id" or known is None):
                call.members[name] = _fold(call.members.get(name), value, name, 1)
        if new_id is not None and call.non_empty("id") == new_id:
            self._by_id[index, new_id] = self._by_id[None, new_id] = place

    def _place_of(self, element: dict[str, Any], index: int | None, new_id: str | None) -> int | None:
        if new_id is not None:
            place = self._by_id.get((index, new_id))
            if place is not None:
                return place
        place = self._last if index is None else self._by_index.get(index)
        if place is None or place >= len(self.calls):
            return None
        call = self.calls[place]
        named = [element.get(name) for name in ("function", "custom")]
        name = next((found for one in named if type(one) is dict and (found := _non_empty(one.get("name")))), None)
        if name is None:
            return place
        tools = [call.members.get(name) for name in ("function", "custom")]
        known = next((found for one in tools if type(one) is _Object and (found := one.non_empty("name"))), None)
        other_id = new_id is not None and call.non_empty("id") is not None
        other_name = known is not None and (index is None or known != name)
        return None if other_id or other_name else place


class _Choice:
    """A choice in the making."""

    __slots__ = ("calls", "delta", "fields", "finish_reason", "had_delta", "logprobs", "whole")

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.delta = _Object()
        self.calls = _Calls()
        self.logprobs: Any = None
        self.fields = _Object()
        self.had_delta = False
        self.whole: dict[str, Any] | None = None  # the last `message`, until there is a delta

    def fold(self, choice: dict[str, Any]) -> None:
        for name, value in choice.items():
            if name == "delta":
                if type(value) is dict:
                    self.had_delta, self.whole = True, None
                    self._fold_delta(value)
            elif name == "finish_reason":
                self.finish_reason = _non_empty(value) or self.finish_reason
            elif name == "logprobs":
                self._fold_logprobs(value)
            elif name == "message":
                if type(value) is dict and not self.had_delta:
                    self.whole = value
            elif name not in ("index", "usage"):
                fields = self.fields.members
                if name == "text" and type(value) is str:
                    fields[name] = _fold(fields.get(name), value, name, 0)
                else:
                    fields[name] = _fold_elements(fields.get(name), value)

    def _fold_delta(self, delta: dict[str, Any]) -> None:
        members = self.delta.members
        for name, value in delta.items():
            if name == "tool_calls":
                self.calls.fold(value)
            elif name == "content":
                members[name] = _fold_content(members.get(name), value)
            else:
                members[name] = _fold(members.get(name), value, name, 0)

    def _fold_logprobs(self, new: Any) -> None:
        if type(new) is not dict:
            self.logprobs = self.logprobs if new is None else new
            return
        if type(self.logprobs) is not _Object:
            self.logprobs = _Object()
        members = self.logprobs.members
        for name, value in new.items():
            members[name] = _fold_elements(members.get(name), value)

    def built(self, index: int) -> tuple[Any, ...]:
        if self.whole is not None:
            self._fold_delta(self.whole)
        calls = [call.built() for call in self.calls.calls]
        return index, self.finish_reason, self.delta.built(), calls, _built(self.logprobs), self.fields.built()


class _State:
    """All messages of a stream."""

    __slots__ = ("_choices", "_fields", "waiting")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._fields = _Object()
        self.waiting: list[dict[str, Any]] = []  # chunks of which it is not known yet whose they are

    def fold(self, sent: dict[str, Any]) -> None:
        for name, value in sent.items():
            if name not in _TOLD_OTHERWISE:
                self._fields.members[name] = _fold_last(self._fields.members.get(name), value)
        choices = sent.get("choices")
        for place, choice in enumerate(choices if type(choices) is list else ()):
            if type(choice) is dict:
                index = integer(choice.get("index"))
                index = place if index is None or index < 0 else index
                if index not in self._choices:
                    self._choices[index] = _Choice()
                self._choices[index].fold(choice)

    def fold_waiting(self) -> None:
        """Adds the chunks that wait."""
        waiting, self.waiting = self.waiting, []
        for sent in waiting:
            self.fold(sent)

    def fold_part(self, part: _State) -> None:
        """Adds the chunks of a part, all of which wait, behind its own."""
        self.waiting += part.waiting
        self.fold_waiting()

    def completed(self, row: Row) -> tuple[Any, ...]:
        self.fold_waiting()
        choices = [self._choices[index].built(index) for index in sorted(self._choices)]
        head = (row.id, row.model, row.created or None, row.status(), row.offset, row.chunks, row.usage)
        return *head, choices, self._fields.built()


class _Queue(Protocol):
    """Where what is ready goes: completions, and the errors to raise between them."""

    items: Any

    def server_error(self, body: Any, offset: int, line: int, event: int, /) -> None: ...
    def damage(self, damage: Damage, /) -> None: ...


class WrongUsage:
    """Usage that is no object, in the order in which it was found: what is kept of it, and how much more there was."""

    def __init__(self) -> None:
        self.kept: Wrong = []
        self._more = 0

    def drop(self) -> None:
        """Keeps no more than is ever told."""
        if len(self.kept) > KEPT_DAMAGES:
            self.kept.pop()
            self._more += 1

    def told(self) -> Wrong:
        """As many as there were."""
        return self.kept + self.kept[-1:] * self._more


class Completions:
    """A sink that folds the chunks of each stream into whole messages; usage that is no object goes to ``wrong``."""

    def __init__(self, queue: _Queue, wrong: WrongUsage | None = None) -> None:
        self._queue = queue
        self._wrong = wrong or WrongUsage()
        self._tracker = Tracker(early=True)
        self._tracker.wrong = self._wrong.kept
        self._states: dict[Row, _State] = {}  # of the streams that are not given out

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a chunk."""
        row = self._tracker.chunk(sent, raw, offset, line, event)
        state = self._states.get(row)
        if state is None:
            state = self._states[row] = _State()
        if row.parent is not None:
            state.waiting.append(sent)  # whether it goes on with the message of another row is known later
        else:
            if state.waiting:
                state.fold_waiting()
            state.fold(sent)
        self._wrong.drop()
        self._look()

    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a finished completion."""
        row = self._tracker.completion(sent, raw, offset, line, event)
        self._states[row] = state = _State()
        state.fold(sent)
        self._wrong.drop()
        self._look()

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        self._tracker.done(offset)
        self._look()

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        """Takes an error that the server sent."""
        self._tracker.server_error(body, offset, line, event)
        self._look()
        self._queue.server_error(body, offset, line, event)

    def damage(self, damage: Damage) -> None:
        """Takes damage."""
        self._tracker.damage(damage)
        self._look()
        self._queue.damage(damage)

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        self._tracker.damage_outside(damage)
        self._look()
        self._queue.damage(damage)

    def finish(self) -> Wrong:
        """Ends all streams; gives the usage that is no object (reason and place)."""
        self._give_out(*self._tracker.take_left(self._states))
        return self._wrong.told()

    def _look(self) -> None:
        """Gives out what the last event made final."""
        if self._tracker.news:
            self._give_out(*self._tracker.take_final())

    def _give_out(self, rows: list[Row], joined: list[tuple[Row, Row]]) -> None:
        for row, part in joined:
            state = self._states.pop(part, None)
            if state is not None:
                self._states.setdefault(row, _State()).fold_part(state)
        for row in rows:
            state = self._states.pop(row, None)
            if state is not None:
                self._queue.items.append(state.completed(row))
