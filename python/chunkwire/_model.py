"""The objects that decoding yields, as both engines give them: what each is, which fields it has, how it prints.

The classes here are abstract: `chunkwire._native` and `chunkwire._simdjson` each bring lazy views that are
registered as their subclasses, so ``isinstance(chunk, chunkwire.Chunk)`` holds whichever engine made it. The
helpers at the end are called by both engines for what need not be fast: printing, pickling, listing names.
"""

from __future__ import annotations

from abc import ABC
from typing import Any

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
]


class View(ABC):  # noqa: B024 (its methods are for reading, the engines bring their own)
    """A JSON object as it was sent, read lazily.

    A field of the model is an attribute, None where the server sent null or nothing (``"usage" in chunk`` tells
    those apart). A field outside the model is an attribute too, and AttributeError where it is absent. Values are
    neither checked nor coerced: objects of the model come as views, other objects as dict, arrays as list. Views
    cannot be changed; equal views hold equal JSON.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Every field that was sent, known or not, equal to what `json.loads` gives."""
        raise NotImplementedError

    def __contains__(self, name: object) -> bool:
        """Was a field of this name sent (null counts)?"""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Chunk(View):
    """One ``chat.completion.chunk`` (or what a server sends in its place)."""

    __slots__ = ()

    id: str | None
    object: str | None
    created: int | None  #: Unix seconds
    model: str | None
    system_fingerprint: str | None
    service_tier: str | None
    choices: list[Choice] | None
    usage: Usage | None
    content: str | None  #: ``choices[0].delta.content``, or None
    offset: int  #: byte offset of the event in the (decompressed) source
    raw: bytes  #: the event's data, exactly as sent


class Choice(View):
    """One element of ``chunk.choices``."""

    __slots__ = ()

    index: int | None
    delta: Delta | None
    finish_reason: str | None
    logprobs: Logprobs | None


class Delta(View):
    """What a chunk adds to a message."""

    __slots__ = ()

    role: str | None
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | None
    function_call: FunctionCall | None


class ToolCall(View):
    """One element of ``delta.tool_calls``: a call, or a piece of one."""

    __slots__ = ()

    index: int | None
    id: str | None
    type: str | None
    function: FunctionCall | None


class FunctionCall(View):
    """The function of a tool call: its name, and (a piece of) its arguments as JSON text."""

    __slots__ = ()

    name: str | None
    arguments: str | None


class Logprobs(View):
    """The log probabilities of a choice's tokens."""

    __slots__ = ()

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


class TokenLogprob(View):
    """One token, its log probability, and its rivals."""

    __slots__ = ()

    token: str | None
    logprob: float | None
    bytes: list[int] | None
    top_logprobs: list[TokenLogprob] | None


class Usage(View):
    """Token counts of a stream so far."""

    __slots__ = ()

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    prompt_tokens_details: PromptTokensDetails | None
    completion_tokens_details: CompletionTokensDetails | None


class PromptTokensDetails(View):
    """What the prompt tokens were."""

    __slots__ = ()

    cached_tokens: int | None
    cache_write_tokens: int | None
    audio_tokens: int | None


class CompletionTokensDetails(View):
    """What the completion tokens were."""

    __slots__ = ()

    reasoning_tokens: int | None
    audio_tokens: int | None
    accepted_prediction_tokens: int | None
    rejected_prediction_tokens: int | None


class Event(ABC):
    """One dispatched server-sent event (WHATWG HTML, "Interpreting an event stream")."""

    __slots__ = ()

    event: str  #: the type; ``"message"`` where none was sent
    data: str
    id: str  #: the last event id, which stays until another is sent; ``""`` before the first
    retry: int | None  #: milliseconds, where this event's block set them
    offset: int  #: byte offset of the event in the source


#: The model: for each view its fields in the order of printing; the value names the view that an object (or the
#: objects of an array) in that field becomes, None for a field whose value is given as it was sent.
MODEL: dict[str, dict[str, str | None]] = {
    "Chunk": {
        "id": None,
        "object": None,
        "created": None,
        "model": None,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": "Choice",
        "usage": "Usage",
    },
    "Choice": {"index": None, "delta": "Delta", "finish_reason": None, "logprobs": "Logprobs"},
    "Delta": {
        "role": None,
        "content": None,
        "refusal": None,
        "tool_calls": "ToolCall",
        "function_call": "FunctionCall",
    },
    "ToolCall": {"index": None, "id": None, "type": None, "function": "FunctionCall"},
    "FunctionCall": {"name": None, "arguments": None},
    "Logprobs": {"content": "TokenLogprob", "refusal": "TokenLogprob"},
    "TokenLogprob": {"token": None, "logprob": None, "bytes": None, "top_logprobs": "TokenLogprob"},
    "Usage": {
        "prompt_tokens": None,
        "completion_tokens": None,
        "total_tokens": None,
        "prompt_tokens_details": "PromptTokensDetails",
        "completion_tokens_details": "CompletionTokensDetails",
    },
    "PromptTokensDetails": {"cached_tokens": None, "cache_write_tokens": None, "audio_tokens": None},
    "CompletionTokensDetails": {
        "reasoning_tokens": None,
        "audio_tokens": None,
        "accepted_prediction_tokens": None,
        "rejected_prediction_tokens": None,
    },
}

#: Fields that a view is which (array -> list of views, object -> view) are told by the kind of value that was sent:
#: an object in ``choices`` stays a dict, an array in ``delta`` stays a list. These fields hold arrays of views:
ARRAYS = frozenset({"choices", "tool_calls", "top_logprobs"})
ARRAYS_OF = {"Logprobs": frozenset({"content", "refusal"})}

_SHOWN = 60


def describe(view: View) -> str:
    """The repr of a view: its known fields that are not null, then the names of the others."""
    name = type(view).__name__
    sent = view.to_dict()
    parts = []
    for field in MODEL[name]:
        if sent.get(field) is not None:
            parts.append(f"{field}={_short(getattr(view, field))}")
    others = [field for field in sent if field not in MODEL[name]]
    if others:
        parts.append("+" + ", +".join(others))
    return f"{name}({', '.join(parts)})"


def describe_event(event: Event) -> str:
    """The repr of an event: what is not the default."""
    parts = [f"data={_short(event.data)}"]
    if event.event != "message":
        parts.insert(0, f"event={event.event!r}")
    if event.id:
        parts.append(f"id={event.id!r}")
    if event.retry is not None:
        parts.append(f"retry={event.retry}")
    return f"Event({', '.join(parts)})"


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[: _SHOWN - 1]!r}..."
    if isinstance(value, (dict, list)) and not any(isinstance(item, View) for item in value):
        text = repr(value)
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}..."
    return repr(value)


def names(view: View) -> list[str]:
    """What `dir` lists: the class's own names, and the fields that were sent."""
    return sorted({*object.__dir__(view), *view.to_dict()})


def restore(name: str, raw: bytes, offset: int) -> View:
    """Make the view that was pickled: ``raw`` is its JSON as sent, ``offset`` its event's."""
    from chunkwire import _engine

    view: View = _engine.load("auto").restore(name, raw, offset)
    return view
