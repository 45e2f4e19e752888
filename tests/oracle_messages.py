"""The slow, obvious reference for whole messages: items of `oracle` in, a `chat.completion` for each stream out.

`oracle_streams` says which chunks are a stream's; here they are folded one after the other, with lists searched from
the end and nothing remembered but what was sent.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from oracle import Result
from oracle_streams import collected, columns, integer, is_text

DEPTH = 8
IDENTIFIER = re.compile(
    r"channel|format|id|language|mime_type|model|name|object|phase|provider|recipient|role|signature|status|type|url"
    r"|.*(Id|_(format|id|model|name|reason|role|signature|status|type|url))",
    re.DOTALL,
)
RUNNING = ("text", "thinking", "reasoning.text", "reasoning.summary")


@dataclass
class Whole:
    """A value that another replaces, and that nothing is added to."""

    value: Any


def plain(value: Any) -> Any:
    if isinstance(value, Whole):
        return value.value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def add(old: Any, new: Any, name: str, depth: int = 0) -> Any:
    """What a field of a delta is after another piece of it."""
    if new is None:
        return old
    if isinstance(new, str):
        if isinstance(old, str):
            return (new or old) if IDENTIFIER.fullmatch(name) else old + new
        return new
    if isinstance(new, dict) and depth < DEPTH:
        old = old if isinstance(old, dict) else {}
        return old | {key: add(old.get(key), value, key, depth + 1) for key, value in new.items()}
    if isinstance(new, list) and depth < DEPTH:
        items = [*old] if isinstance(old, list) else []
        for item in new:
            add_item(items, item, name, depth)
        return items
    return Whole(new)


def add_item(items: list[Any], item: Any, name: str, depth: int) -> None:
    """Adds an element to a list: to one that it goes on with, or as a new one."""
    index = integer(item.get("index")) if isinstance(item, dict) else None
    runs = isinstance(item, dict) and index is None and item.get("type") in RUNNING
    places = [place for place, known in enumerate(items) if index is not None and index_of(known) == index]
    if name == "executed_tools" and depth == 0:
        if places:
            items[places[-1]] = Whole(item)
        else:
            items.append(Whole(item))
    elif index is None and not runs:
        items.append(Whole(item))
    else:
        if runs and items and index_of(items[-1]) is None:
            places = [len(items) - 1]
        if places and isinstance(items[places[-1]], dict) and agree(items[places[-1]], item):
            items[places[-1]] = add(items[places[-1]], item, name, depth + 1)
        else:
            items.append(add(None, item, name, depth + 1))


def index_of(item: Any) -> int | None:
    item = plain(item)
    return integer(item.get("index")) if isinstance(item, dict) else None


def agree(known: dict[str, Any], new: dict[str, Any]) -> bool:
    pairs = [(known.get(name), new.get(name)) for name in ("type", "id")]
    return all(one == other for one, other in pairs if is_text(one) and is_text(other))


def add_content(old: Any, new: Any) -> Any:
    if isinstance(old, str) and isinstance(new, list):
        old = [{"type": "text", "text": old}] if old else []
    if isinstance(old, list) and isinstance(new, str):
        new = [{"type": "text", "text": new}] if new else []
    return add(old, new, "content")


def last(old: Any, new: Any) -> Any:
    """What counts of a field that is no delta."""
    if new is None:
        return old
    if isinstance(new, dict):
        old = old if isinstance(old, dict) else {}
        return old | {key: Whole(value) for key, value in new.items() if value is not None or key not in old}
    return Whole(new)


def longer(old: Any, new: Any) -> Any:
    """The same where arrays grow."""
    if isinstance(new, list):
        return (old if isinstance(old, list) else []) + [Whole(item) for item in new]
    return last(old, new)


@dataclass
class Call:
    """A tool call, and with which index and id its elements came."""

    value: dict[str, Any] = field(default_factory=dict)


class Calls:
    """Tool calls; who of them an element belongs to is looked up in all elements before."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.history: list[tuple[int | None, str | None, Call]] = []  # index, the call's id if it was sent, call

    def add(self, element: dict[str, Any]) -> None:
        index = integer(element.get("index"))
        sent_id = element["id"] if is_text(element.get("id")) else None
        call = self.find(element, index, sent_id)
        if call is None:
            call = Call()
            self.calls.append(call)
        known = call.value.get("id")
        for name, value in element.items():
            if name != "index" and not (name == "id" and is_text(known)):
                call.value[name] = add(call.value.get(name), value, name, 1)
        self.history.append((index, sent_id if call.value.get("id") == sent_id else None, call))

    def find(self, element: dict[str, Any], index: int | None, sent_id: str | None) -> Call | None:
        for other_index, other_id, call in reversed(self.history):
            if sent_id and other_id == sent_id and index in (None, other_index):
                return call
        call = next((call for other, _, call in reversed(self.history) if index in (None, other)), None)
        if call is None:
            return None
        name, known = tool_name(element), tool_name(call.value)
        if name and sent_id and is_text(call.value.get("id")):
            return None
        if name and known and (index is None or known != name):
            return None
        return call


def tool_name(call: dict[str, Any]) -> str | None:
    for kind in ("function", "custom"):
        if isinstance(call.get(kind), dict) and is_text(call[kind].get("name")):
            return call[kind]["name"]
    return None


@dataclass
class Choice:
    delta: dict[str, Any] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)
    had_delta: bool = False
    whole: dict[str, Any] | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    fields: dict[str, Any] = field(default_factory=dict)

    def add(self, choice: dict[str, Any]) -> None:
        if isinstance(choice.get("message"), dict):
            self.whole = choice["message"]
        if isinstance(choice.get("delta"), dict):
            self.had_delta = True
            self.add_delta(choice["delta"])
        if is_text(choice.get("finish_reason")):
            self.finish_reason = choice["finish_reason"]
        sent = choice.get("logprobs")
        if isinstance(sent, dict):
            old = self.logprobs if isinstance(self.logprobs, dict) else {}
            self.logprobs = old | {name: longer(old.get(name), value) for name, value in sent.items()}
        elif sent is not None:
            self.logprobs = Whole(sent)
        for name, value in choice.items():
            if name in ("index", "delta", "message", "finish_reason", "logprobs", "usage"):
                continue
            adds = add if name == "text" and isinstance(value, str) else None
            old = self.fields.get(name)
            self.fields[name] = adds(old, value, name) if adds else longer(old, value)

    def add_delta(self, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if name == "tool_calls":
                for element in value if isinstance(value, list) else []:
                    if isinstance(element, dict):
                        self.calls.add(element)
            elif name == "content":
                self.delta[name] = add_content(self.delta.get(name), value)
            else:
                self.delta[name] = add(self.delta.get(name), value, name)

    def told(self, index: int) -> dict[str, Any]:
        if not self.had_delta and self.whole is not None:
            self.add_delta(self.whole)
        message = {"content": None, "refusal": None} | plain(self.delta)
        message["role"] = message["role"] if is_text(message.get("role")) else "assistant"
        calls = [plain(call.value) for call in self.calls.calls]
        if calls:
            message["tool_calls"] = [whole_call(call) for call in calls]
        if isinstance(message.get("function_call"), dict):
            fill(message["function_call"], name="", arguments="")
        if isinstance(message.get("audio"), dict):
            fill(message["audio"], id="", data="", expires_at=0, transcript="")
        told = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return plain(self.fields) | told | {"logprobs": plain(self.logprobs)}


def fill(sent: dict[str, Any], **needed: Any) -> None:
    for name, value in needed.items():
        if sent.get(name) is None:
            sent[name] = value


def whole_call(call: dict[str, Any]) -> dict[str, Any]:
    is_custom = call.get("custom") is not None and call.get("function") is None
    fill(call, id="", type="")
    if call["type"] == "":
        call["type"] = "custom" if is_custom else "function"
    if is_custom:
        if isinstance(call["custom"], dict):
            fill(call["custom"], name="", input="")
    else:
        fill(call, function={})
        if isinstance(call["function"], dict):
            fill(call["function"], name="", arguments="")
    return call


def completion(docs: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """The `chat.completion` of a stream's chunks, whose row in the usage table is known."""
    choices: dict[int, Choice] = {}
    fields: dict[str, Any] = {}
    for doc in copy.deepcopy(docs):
        for name, value in doc.items():
            if name not in ("id", "object", "created", "model", "choices", "usage", "obfuscation", "p"):
                fields[name] = last(fields.get(name), value)
        for place, choice in enumerate(doc["choices"] if isinstance(doc.get("choices"), list) else []):
            if isinstance(choice, dict):
                index = integer(choice.get("index"))
                index = place if index is None or index < 0 else index
                choices.setdefault(index, Choice()).add(choice)
    told = {"id": row["id"] or "", "model": row["model"] or "", "created": row["created"]}
    told |= {"object": "chat.completion", "choices": [choices[index].told(index) for index in sorted(choices)]}
    if row["usage"] is not None:
        told["usage"] = row["usage"]
    return plain(fields) | told


def oracle_completions(result: Result) -> list[tuple[dict[str, Any], str, int, int]]:
    """What `completions` gives for a source: each one as dict, with its status, offset and number of chunks."""
    found = []
    # Each in its place: where the last item came by which its stream was over. What was not over comes last.
    for row in sorted(collected(result), key=lambda row: max(row.final, row.own)):
        docs = [item.doc for _, item in row.chunks]
        if docs:
            told = columns(row, [])
            found.append((completion(docs, told), told["status"], told["offset"], len(docs)))
    return found
