"""The objects that decoding yields, as both engines give them: what each is, which fields it has, how it prints.

The classes here are abstract: `chunkwire._native` and `chunkwire._simdjson` each bring lazy views that are
registered as their subclasses, so ``isinstance(chunk, chunkwire.Chunk)`` holds whichever engine made it. The
helpers at the end are called by both engines for what need not be fast: printing, pickling, listing names.
"""

from __future__ import annotations

import json
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

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The fields of the model, None where nothing was sent, and the others that were sent: as pydantic has it, with
        its options (``exclude_unset``, ``exclude_none``, ``include``, ``exclude``, ...)."""
        raise NotImplementedError

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The same as JSON text."""
        raise NotImplementedError

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """What was sent as JSON text, by openai's name and with its options."""
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
    # Whole messages: `chunkwire._completions` brings these classes, for both engines.
    "Completion": {
        "id": None,
        "object": None,
        "created": None,
        "model": None,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": "CompletionChoice",
        "usage": "Usage",
    },
    "CompletionChoice": {"index": None, "message": "Message", "finish_reason": None, "logprobs": "Logprobs"},
    "Message": {
        "role": None,
        "content": None,
        "refusal": None,
        "tool_calls": "ToolCall",
        "function_call": "FunctionCall",
        "audio": "Audio",
        "annotations": None,
    },
    "Audio": {"id": None, "data": None, "expires_at": None, "transcript": None},
}

#: Fields outside the model that openai has: they are given as they were sent, and None where they were not.
OPTIONAL: dict[str, frozenset[str]] = {
    "Chunk": frozenset({"moderation", "obfuscation"}),
    "Delta": frozenset({"audio"}),
    "PromptTokensDetails": frozenset({"image_tokens", "text_tokens"}),
    "CompletionTokensDetails": frozenset({"image_tokens", "text_tokens"}),
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


def members(view: View) -> dict[str, Any]:
    """What ``vars`` gives: the attributes for the fields of the model, and for the others that were sent."""
    sent = view.to_dict()
    known = MODEL[type(view).__name__]
    return {name: getattr(view, name) for name in known} | {name: sent[name] for name in sent if name not in known}


def model_dump(
    view: View,
    *,
    mode: str = "python",
    include: Any = None,
    exclude: Any = None,
    context: Any = None,
    by_alias: bool | None = None,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    exclude_computed_fields: bool = False,
    round_trip: bool = False,
    warnings: bool | str = True,
    fallback: Any = None,
    serialize_as_any: bool = False,
) -> dict[str, Any]:
    """What ``model_dump`` gives: pydantic's, with its options. (All values are JSON's, and no name has another one: so
    half of the options change nothing.)"""
    if mode not in ("python", "json"):
        raise ValueError(f"mode must be 'python' or 'json', not {mode!r}")

    def model(name: str, sent: dict[str, Any], include: Any, exclude: Any) -> dict[str, Any]:
        fields, arrays = MODEL[name], ARRAYS_OF.get(name, ARRAYS)
        result = {}
        for key in [*fields, *(key for key in sent if key not in fields)]:
            value = sent.get(key)
            is_default = value is None and (exclude_none or (exclude_defaults and key in fields))
            if is_default or (exclude_unset and key not in sent) or not _is_included(key, include, exclude):
                continue
            below = (_below(key, include), _below(key, exclude))
            kind = fields.get(key)
            if kind and isinstance(value, dict) and key not in arrays:
                value = model(kind, value, *below)
            elif kind and isinstance(value, list) and key in arrays:
                value = [
                    model(kind, item, *(_below(number, one) for one in below)) if isinstance(item, dict) else item
                    for number, item in enumerate(value)
                    if _is_included(number, *below)
                ]
            result[key] = value
        return result

    return model(type(view).__name__, view.to_dict(), include, exclude)


def model_dump_json(view: View, *, indent: int | None = None, **options: Any) -> str:
    """What ``model_dump_json`` gives."""
    separators = (",", ":") if indent is None else None
    return json.dumps(model_dump(view, **options), indent=indent, separators=separators, ensure_ascii=False)


def to_json(
    view: View,
    *,
    indent: int | None = 2,
    use_api_names: bool = True,
    exclude_unset: bool = True,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    warnings: bool = True,
) -> str:
    """What ``to_json`` gives: openai's, with its options."""
    options = {"exclude_unset": exclude_unset, "exclude_defaults": exclude_defaults, "exclude_none": exclude_none}
    return model_dump_json(view, indent=indent, **options)


def _is_included(key: str | int, include: Any, exclude: Any) -> bool:
    """Does pydantic's ``include`` and ``exclude``, each a set or a dict of what is below, leave a key in?"""
    keys = (key, "__all__") if isinstance(key, int) else (key,)
    if isinstance(exclude, dict):
        is_excluded = any(exclude.get(one) in (True, ...) for one in keys)
    else:
        is_excluded = exclude is not None and any(one in exclude for one in keys)
    return not is_excluded and (include is None or any(one in include for one in keys))


def _below(key: str | int, chosen: Any) -> Any:
    """What is chosen below a key; None for everything, or nothing."""
    if not isinstance(chosen, dict):
        return None
    below = chosen.get(key, chosen.get("__all__") if isinstance(key, int) else None)
    return None if below in (True, ...) else below


def names(view: View) -> list[str]:
    """What `dir` lists: the class's own names, and the fields that were sent."""
    return sorted({*object.__dir__(view), *view.to_dict()})


def restore(name: str, raw: bytes, offset: int) -> View:
    """Make the view that was pickled: ``raw`` is its JSON as sent, ``offset`` its event's."""
    from chunkwire import _engine

    view: View = _engine.load("auto").restore(name, raw, offset)
    return view
