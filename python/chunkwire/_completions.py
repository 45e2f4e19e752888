"""Whole messages: an engine's streams in, `Completion` objects out.

An engine folds the chunks of each stream, and gives Python's own values; what is told of them, in which words, and what
a `chat.completion` has to have even where a server sent nothing, is said here for both.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from chunkwire import _model
from chunkwire._decode import opened
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._stats import Stats

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

    from chunkwire._decode import OneSource
    from chunkwire._options import Engine, Format, OnError
    from chunkwire._progress import Progress

__all__ = ["Audio", "Completion", "CompletionChoice", "Completions", "Message", "completions"]


def completions(
    source: OneSource,
    *,
    on_error: OnError = "skip",
    strict: bool = False,
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    engine: Engine = "auto",
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
    progress: Progress = None,
) -> Completions:
    """The streams of a source, each folded into whole messages. (Options as for `decode`, but damage is skipped by
    default.)

    There is one for each row of `usage` that has chunks. It comes out once its stream is over for sure, whatever began
    before it: when a ``[DONE]`` behind its own has ended another (until then usage may come), or when 4096 streams are
    open and it is one of those that were silent longest. What is left at the end of the source comes in the order in
    which it began. So a stream that breaks off keeps none waiting, but for one straight behind it that does not begin
    with a role: that may be the same stream under another id, as for `usage`. Streams that all end with ``[DONE]``, one
    behind the other, come in their order; to have the order of `usage` in any case, sort by ``offset``. What is kept is
    what the streams that are not over have said, and the chunks of such a part.

    A stream without chunks has no message: ``[DONE]`` alone, or an error of the server in place of an answer. Those are
    counted in ``.stats``.

    Parameters
    ----------
    on_error : "skip" or "raise"
        With "raise", damage and errors of the server are raised where they were met, behind what was complete by then;
        ``next()`` goes on after it.

    Returns
    -------
    iterator of Completion
        Its ``.stats`` tells what was counted so far.
    """
    options = Options(on_error, strict, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes)
    return Completions(opened("completions", source, options, engine, progress))


class Completions:
    """An iterator of completions that counts."""

    def __init__(self, streams: Any) -> None:
        self._streams = streams

    def __iter__(self) -> Completions:
        return self

    def __next__(self) -> Completion:
        return _completion(*next(self._streams))

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._streams.stats
        return stats


# --- what a chat.completion has to have --------------------------------------------------------------------------


def _completion(
    id: str | None,
    model: str | None,
    created: int | None,
    status: str,
    offset: int,
    chunks: int,
    usage: dict[str, Any] | None,
    choices: list[Any],
    fields: dict[str, Any],
) -> Completion:
    """The completion that an engine tells of."""
    sent = {
        "id": id or "",
        "object": "chat.completion",
        "created": created or 0,
        "model": model or "",
        "choices": [_choice(*choice) for choice in choices],
        **fields,
    }
    if usage is not None:
        sent["usage"] = usage
    return Completion(sent, status, offset, chunks)


def _choice(
    index: int,
    finish_reason: str | None,
    folded: dict[str, Any],
    tool_calls: list[dict[str, Any]],
    logprobs: Any,
    fields: dict[str, Any],
) -> dict[str, Any]:
    role = folded.get("role")
    message: dict[str, Any] = {"role": role if isinstance(role, str) and role else "assistant"}
    message |= {"content": None, "refusal": None}
    message |= {name: value for name, value in folded.items() if name != "role"}
    if tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in tool_calls]
    if isinstance(message.get("function_call"), dict):
        message["function_call"] = _with(message["function_call"], name="", arguments="")
    if isinstance(message.get("audio"), dict):
        message["audio"] = _with(message["audio"], id="", data="", expires_at=0, transcript="")
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish_reason} | fields


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    kind = "custom" if call.get("function") is None and call.get("custom") is not None else "function"
    call = _with(call, id="", type="")
    if call["type"] == "":
        call["type"] = kind
    if kind == "custom":
        if isinstance(call["custom"], dict):
            call["custom"] = _with(call["custom"], name="", input="")
    elif isinstance(call.get("function"), dict) or call.get("function") is None:
        call["function"] = _with(call.get("function") or {}, name="", arguments="")
    return call


def _with(sent: dict[str, Any], **needed: Any) -> dict[str, Any]:
    """What was sent, and what is needed where that is absent or null."""
    return needed | {name: value for name, value in sent.items() if value is not None or name not in needed}


# --- objects -----------------------------------------------------------------------------------------------------


def _given(value: Any) -> Any:
    """A value to give out: containers are copied, so that nobody can change an object by them. (No recursion: they may
    be nested deeper than the caller's stack has room for.)"""
    if type(value) not in (dict, list):
        return value
    result = value.copy()
    pending = [result]
    while pending:
        container = pending.pop()
        for key, item in container.items() if type(container) is dict else enumerate(container):
            if type(item) in (dict, list):
                container[key] = item = item.copy()
                pending.append(item)
    return result


class _Part:
    """An object of a completion: a dict of its own, never given out, with its fields as attributes."""

    __slots__ = ("_chunkwire_sent",)

    def __init__(self, sent: dict[str, Any]) -> None:
        self._chunkwire_sent = sent

    def to_dict(self) -> dict[str, Any]:
        """All fields, known or not."""
        return _given(self._chunkwire_sent)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        try:
            return _given(self._chunkwire_sent[name])
        except KeyError:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._chunkwire_sent

    def __eq__(self, other: object) -> bool:
        from chunkwire._json import in_fresh_thread

        if not isinstance(other, type(self)):
            return NotImplemented
        return bool(in_fresh_thread(operator.eq, self._chunkwire_sent, other._chunkwire_sent))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        from chunkwire._json import in_fresh_thread

        return str(in_fresh_thread(_model.describe, self))

    def __dir__(self) -> list[str]:
        return _model.names(self)  # type: ignore[arg-type]

    def __copy__(self) -> _Part:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Part:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self).__name__, self._chunkwire_sent)


class Completion(_Part):
    """A stream, folded into whole messages: a ``chat.completion`` with the attributes of openai's.

    A field of the model is None where the server sent none. A field outside the model is an attribute too, and
    AttributeError where it is absent.

    Attributes
    ----------
    id, model : str or None
        The first ones that are not empty.
    created : int or None
        Unix seconds; the first that is not zero.
    object : str
        ``"chat.completion"``
    choices : list of CompletionChoice
        In the order of their indexes.
    usage : Usage or None
        The last one of the stream that is not empty, wherever the server put it.
    system_fingerprint, service_tier : str or None
        The last ones.
    status : str
        How the stream went: complete, no_done, truncated, error or malformed, as in `usage`.
    offset : int
        Byte offset of its first event in the (decompressed) source.
    chunks : int
        How many chunks it had.
    """

    __slots__ = ("_chunkwire_chunks", "_chunkwire_offset", "_chunkwire_status")

    object: str
    choices: list[CompletionChoice]
    usage: _model.Usage | None
    system_fingerprint: str | None
    service_tier: str | None

    def __init__(self, sent: dict[str, Any], status: str, offset: int, chunks: int) -> None:
        super().__init__(sent)
        self._chunkwire_status = status
        self._chunkwire_offset = offset
        self._chunkwire_chunks = chunks

    @property
    def id(self) -> str | None:
        """The first one that is not empty."""
        return self._chunkwire_sent["id"] or None

    @property
    def model(self) -> str | None:
        """The first one that is not empty."""
        return self._chunkwire_sent["model"] or None

    @property
    def created(self) -> int | None:
        """Unix seconds; the first that is not zero."""
        return self._chunkwire_sent["created"] or None

    @property
    def status(self) -> str:
        """How the stream went: complete, no_done, truncated, error or malformed."""
        return self._chunkwire_status

    @property
    def offset(self) -> int:
        """Byte offset of the stream's first event in the (decompressed) source."""
        return self._chunkwire_offset

    @property
    def chunks(self) -> int:
        """How many chunks the stream had."""
        return self._chunkwire_chunks

    def to_dict(self) -> dict[str, Any]:
        """A valid ``chat.completion``: what it requires and the server did not send is empty (``id`` and ``model`` ""
        and ``created`` 0, a tool call's ``id`` and ``arguments`` ""). Two things are never made up: a ``finish_reason``
        is null where the stream broke off, and ``usage`` is absent where none was reported."""
        return super().to_dict()

    def to_openai(self) -> ChatCompletion:
        """The same as the `ChatCompletion` of the package openai, made as its client makes one: unknown fields are
        kept, and nothing is checked. ImportError where that package is not installed."""
        try:
            from openai.types.chat import ChatCompletion
        except ImportError as error:
            raise ImportError(f"needs the package openai: pip install 'chunkwire[openai]' ({error})") from error
        return ChatCompletion.construct(**self.to_dict())

    def __eq__(self, other: Any) -> bool:
        """Are the fields and the status equal? (Not where the streams stand.)"""
        if isinstance(other, Completion) and self._chunkwire_status != other._chunkwire_status:
            return False
        return super().__eq__(other)

    __hash__ = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Completion, (
            self._chunkwire_sent,
            self._chunkwire_status,
            self._chunkwire_offset,
            self._chunkwire_chunks,
        )


class CompletionChoice(_Part):
    """One element of ``completion.choices``.

    ``index`` is the one that the server sent, or the choice's place where it sent none; ``finish_reason`` the last one
    that is not empty, None where the stream broke off before; ``logprobs`` those of all its tokens.
    """

    __slots__ = ()

    index: int
    message: Message
    finish_reason: str | None
    logprobs: _model.Logprobs | None


class Message(_Part):
    """What was said in a choice.

    ``content`` is text, or a list of parts where the server sent such (Mistral's thinking). Reasoning is an attribute
    by the name that the server gave it: ``reasoning_content``, ``reasoning``, ``reasoning_details`` ...; AttributeError
    where it sent none.
    """

    __slots__ = ()

    role: str
    content: str | list[Any] | None
    refusal: str | None
    tool_calls: list[_model.ToolCall] | None
    function_call: _model.FunctionCall | None
    audio: Audio | None
    annotations: list[dict[str, Any]] | None


class Audio(_Part):
    """What was said as sound: ``data`` is base64, ``transcript`` its words."""

    __slots__ = ()

    id: str
    data: str
    expires_at: int
    transcript: str


def _field(name: str, view: str | None, is_array: bool) -> property:
    """The attribute of a field of the model."""

    def plain(self: _Part) -> Any:
        return _given(self._chunkwire_sent.get(name))

    def one(self: _Part) -> Any:
        value = self._chunkwire_sent.get(name)
        return _PARTS[str(view)](value) if type(value) is dict else _given(value)

    def many(self: _Part) -> Any:
        value = self._chunkwire_sent.get(name)
        if type(value) is not list:
            return _given(value)
        make = _PARTS[str(view)]
        return [make(item) if type(item) is dict else _given(item) for item in value]

    return property(plain if view is None else many if is_array else one)


_PARTS: dict[str, Any] = {"Completion": Completion, "CompletionChoice": CompletionChoice}
_PARTS |= {"Message": Message, "Audio": Audio}


def _define() -> None:
    """Gives the classes their fields; those of a chunk that a completion has, too, are made here."""
    for name in (
        *("ToolCall", "FunctionCall", "Logprobs", "TokenLogprob"),
        *("Usage", "PromptTokensDetails", "CompletionTokensDetails"),
    ):
        public = getattr(_model, name)
        _PARTS[name] = type(name, (_Part, public), {"__slots__": (), "__doc__": public.__doc__})
    for name, part in _PARTS.items():
        arrays = _model.ARRAYS_OF.get(name, _model.ARRAYS)
        for field, view in _model.MODEL[name].items():
            if field not in vars(part):
                setattr(part, field, _field(field, view, field in arrays))


_define()


def _restored(name: str, sent: dict[str, Any]) -> Any:
    """The part that was pickled."""
    return _PARTS[name](sent)
