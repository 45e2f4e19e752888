"""The objects of the Python engine: what `_simdjson` decoded in, lazy views on it out.

A view holds the JSON object that it shows as a dict of its own, never given out: what leaves it is a scalar, a copy or
another view.
"""

from __future__ import annotations

import json
import operator
from typing import Any, TypeVar

from chunkwire import _model
from chunkwire._json import JsonError, in_fresh_thread, kind_of, read
from chunkwire._sse import decode_utf8

__all__ = [
    "Choice",
    "Chunk",
    "CompletionTokensDetails",
    "Delta",
    "Event",
    "FunctionCall",
    "Logprobs",
    "PromptTokensDetails",
    "TokenLogprob",
    "ToolCall",
    "Usage",
    "restore",
]

_CONTAINERS = frozenset({dict, list})
_ViewClass = TypeVar("_ViewClass", bound="type[_View]")
_VIEWS: dict[str, type[_View]] = {}


def _given(value: Any) -> Any:
    """A value to give out: containers are copied, so that nobody can change a view by them. (No recursion: they may be
    nested deeper than the caller's stack has room for.)"""
    if type(value) not in _CONTAINERS:
        return value
    result = value.copy()
    pending = [result]
    while pending:
        container = pending.pop()
        for key, item in container.items() if type(container) is dict else enumerate(container):
            if type(item) in _CONTAINERS:
                container[key] = item = item.copy()
                pending.append(item)
    return result


def _field(name: str, view: str | None, is_array: bool) -> property:
    """The attribute of a field of the model."""

    def plain(self: _View) -> Any:
        value = self._chunkwire_sent.get(name)
        return _given(value) if type(value) in _CONTAINERS else value

    def one(self: _View) -> Any:
        value = self._chunkwire_sent.get(name)
        return view_class()(value, self._chunkwire_offset) if type(value) is dict else _given(value)

    def many(self: _View) -> Any:
        value = self._chunkwire_sent.get(name)
        if type(value) is not list:
            return _given(value)
        make, offset = view_class(), self._chunkwire_offset
        return [make(item, offset) if type(item) is dict else _given(item) for item in value]

    def view_class() -> type[_View]:
        return _VIEWS[str(view)]

    return property(plain if view is None else many if is_array else one)


def _of_model(view: _ViewClass) -> _ViewClass:
    """Gives a view class the fields of its namesake in the model."""
    name = view.__name__
    arrays = _model.ARRAYS_OF.get(name, _model.ARRAYS)
    for field, field_view in _model.MODEL[name].items():
        setattr(view, field, _field(field, field_view, field in arrays))
    view._chunkwire_model = getattr(_model, name)
    view._chunkwire_model.register(view)
    _VIEWS[name] = view
    return view


class _View:
    """A JSON object as it was sent. (The slots' names are long because any short one may be a field that was sent.)"""

    __slots__ = ("_chunkwire_offset", "_chunkwire_sent")

    _chunkwire_model: Any

    def __init__(self, sent: dict[str, Any], offset: int) -> None:
        self._chunkwire_sent = sent
        self._chunkwire_offset = offset

    def to_dict(self) -> dict[str, Any]:
        """Every field that was sent, known or not, equal to what `json.loads` gives."""
        return _given(self._chunkwire_sent)  # type: ignore[no-any-return]

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The fields of the model and the others that were sent, as pydantic has it."""
        return _model.model_dump(self, **options)  # type: ignore[arg-type]

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The same as JSON text."""
        return _model.model_dump_json(self, indent=indent, **options)  # type: ignore[arg-type]

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """What was sent as JSON text."""
        return _model.to_json(self, indent=indent, **options)  # type: ignore[arg-type]

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return _model.members(self)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        try:
            return _given(self._chunkwire_sent[name])
        except KeyError:
            if name in _model.OPTIONAL.get(type(self).__name__, ()):
                return None
            raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._chunkwire_sent

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return bool(in_fresh_thread(operator.eq, self._chunkwire_sent, other._chunkwire_sent))
        if isinstance(other, self._chunkwire_model):
            return bool(in_fresh_thread(operator.eq, self._chunkwire_sent, other.to_dict()))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(in_fresh_thread(_model.describe, self))

    def __dir__(self) -> list[str]:
        return _model.names(self)  # type: ignore[arg-type]

    def __copy__(self) -> _View:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _View:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _model.restore, (type(self).__name__, self._chunkwire_json(), self._chunkwire_offset)

    def _chunkwire_json(self) -> bytes:
        return str(in_fresh_thread(json.dumps, self._chunkwire_sent)).encode("ascii")


@_of_model
class Chunk(_View):
    """One ``chat.completion.chunk``."""

    __slots__ = ("_chunkwire_raw",)

    def __init__(self, sent: dict[str, Any], offset: int, raw: bytes) -> None:
        self._chunkwire_sent = sent
        self._chunkwire_offset = offset
        self._chunkwire_raw = raw

    @property
    def content(self) -> Any:
        """``choices[0].delta.content``, or None."""
        choices = self._chunkwire_sent.get("choices")
        if type(choices) is list and choices and type(choices[0]) is dict:
            delta = choices[0].get("delta")
            if type(delta) is dict:
                return _given(delta.get("content"))
        return None

    @property
    def offset(self) -> int:
        """Byte offset of the event in the (decompressed) source."""
        return self._chunkwire_offset

    @property
    def raw(self) -> bytes:
        """The event's data, exactly as sent."""
        return self._chunkwire_raw

    def _chunkwire_json(self) -> bytes:
        return self._chunkwire_raw


@_of_model
class Choice(_View):
    """One element of ``chunk.choices``."""

    __slots__ = ()


@_of_model
class Delta(_View):
    """What a chunk adds to a message."""

    __slots__ = ()


@_of_model
class ToolCall(_View):
    """One element of ``delta.tool_calls``."""

    __slots__ = ()


@_of_model
class FunctionCall(_View):
    """The function of a tool call."""

    __slots__ = ()


@_of_model
class Logprobs(_View):
    """The log probabilities of a choice's tokens."""

    __slots__ = ()


@_of_model
class TokenLogprob(_View):
    """One token, its log probability, and its rivals."""

    __slots__ = ()


@_of_model
class Usage(_View):
    """Token counts of a stream so far."""

    __slots__ = ()


@_of_model
class PromptTokensDetails(_View):
    """What the prompt tokens were."""

    __slots__ = ()


@_of_model
class CompletionTokensDetails(_View):
    """What the completion tokens were."""

    __slots__ = ()


def restore(name: str, raw: bytes, offset: int) -> Any:
    """The view that was pickled: ``raw`` is its JSON as sent, ``offset`` that of its event."""
    if name not in _VIEWS:
        raise ValueError(f"no view is called {name!r}")
    try:
        sent = read(decode_utf8(raw)[0])
    except JsonError as error:
        raise ValueError(f"invalid JSON at byte {error.position} of a pickled view: {error.message}") from None
    if not isinstance(sent, dict):
        raise ValueError(f"a pickled view is a JSON object, not a JSON {kind_of(sent)}")
    return Chunk(sent, offset, raw) if name == "Chunk" else _VIEWS[name](sent, offset)


class Event:
    """One dispatched server-sent event."""

    __slots__ = ("_data", "_event", "_id", "_offset", "_retry")

    def __init__(self, event: str, data: str, id: str, retry: int | None, offset: int) -> None:
        self._event = event
        self._data = data
        self._id = id
        self._retry = retry
        self._offset = offset

    event = property(operator.attrgetter("_event"))
    data = property(operator.attrgetter("_data"))
    id = property(operator.attrgetter("_id"))
    retry = property(operator.attrgetter("_retry"))
    offset = property(operator.attrgetter("_offset"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _model.Event):
            return NotImplemented
        mine = (self._event, self._data, self._id, self._retry)
        return mine == (other.event, other.data, other.id, other.retry)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _model.describe_event(self)  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:
        return Event, (self._event, self._data, self._id, self._retry, self._offset)


_model.Event.register(Event)
