"""openai-python's clients, faster: the bytes of a streamed chat completion in, the chunks that openai itself would give
out.

One line, and nothing else changes::

    client = chunkwire.adapters.openai.accelerate(openai.OpenAI())

What is concerned: every stream of ``ChatCompletionChunk`` that the client opens, from ``chat.completions.create`` with
``stream=True``, from ``chat.completions.stream``, with ``with_raw_response``, ``with_streaming_response`` and
``with_options``, and through wrappers such as langfuse's. All else (responses, completions, assistants, what is not
streamed) is untouched. An openai whose objects are built in a way that chunkwire does not know stays as it is, with a
`RuntimeWarning`.
"""

from __future__ import annotations

import functools
import re
import warnings
from functools import cache
from typing import Any, Literal, TypeAlias

try:
    import openai
    from openai import AsyncStream, Stream
    from openai._models import BaseModel
    from openai.types.chat import ChatCompletionChunk
except ImportError as error:
    raise ImportError(f"needs the package openai: pip install 'chunkwire[openai]' ({error})") from error

from chunkwire import _live
from chunkwire.adapters.openai import _stream
from chunkwire.adapters.openai._plan import Unplanned, plan
from chunkwire.adapters.openai._stream import AsyncChunkStream, ChunkStream, Settings

__all__ = ["accelerate", "restore"]

_FIRST_VERSION = (2, 54)

Objects: TypeAlias = Literal["openai", "chunkwire"]


def accelerate(client: Any = None, *, objects: Objects = "openai", tolerant: bool = False) -> Any:
    """Makes a client's streams of chat completions fast, or those of all clients.

    Parameters
    ----------
    client : openai.OpenAI or openai.AsyncOpenAI, optional
        Also AzureOpenAI, and any other subclass. It is changed in place; what its ``with_options()`` and ``copy()``
        give is fast too. Without a client, all clients are that do not have settings of their own.
    objects : "openai" or "chunkwire"
        What a stream gives. "openai": the very ``ChatCompletionChunk`` objects that openai would have made, field by
        field. "chunkwire": a `chunkwire.Chunk`, which has the same attributes and ``model_dump``, is several times
        faster, and is no pydantic object. (``chat.completions.stream`` and litellm are given openai's objects in
        any case.)
    tolerant : bool
        Go on where openai raises or gives what is no chunk: at blocks without data, pings, a byte order mark, bytes
        that are no UTF-8. Give the last event even if no blank line ended it. What a server reports as an error is an
        ``APIError`` all the same, and what is no JSON raises.

    Returns
    -------
    The client.

    Raises
    ------
    TypeError
        If the client is none of openai's.
    ValueError
        If ``objects`` is something else.
    """
    if objects not in ("openai", "chunkwire"):
        raise ValueError(f"objects must be 'openai' or 'chunkwire', not {objects!r}")
    if client is not None and not isinstance(client, (openai.OpenAI, openai.AsyncOpenAI)):
        raise TypeError(f"expected an openai.OpenAI or openai.AsyncOpenAI client, got {type(client).__name__}")
    restore(client)
    try:
        _check_version()
        models = _models()
    except Unplanned as reason:
        message = f"openai {openai.__version__} stays as it is: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return client
    settings = Settings(_live.engine(), models, objects == "chunkwire", tolerant)
    if client is None:
        _accelerate_all(settings)
    else:
        kind: Any = type(client)
        client.__class__ = _class(kind, settings)
    return client


def restore(client: Any = None) -> Any:
    """Undoes `accelerate`, for this client or for all. (Clients that were accelerated by themselves stay so.)

    Returns
    -------
    The client.
    """
    if client is None:
        Stream.__stream__ = _stream.STREAM  # type: ignore[method-assign]
        AsyncStream.__stream__ = _stream.ASYNC_STREAM  # type: ignore[method-assign]
    elif (own := getattr(client, "_chunkwire_class", None)) is not None:
        client.__class__ = own
    return client


def _check_version() -> None:
    """Raises if openai reads streams in an older way: which types of events it passes on, and when it closes."""
    version = tuple(int(part) for part in re.findall(r"\d+", openai.__version__)[:2])
    if version < _FIRST_VERSION:
        raise Unplanned(f"chunkwire knows openai from {'.'.join(map(str, _FIRST_VERSION))} on")


@cache
def _planned(_engine: Any) -> Any:
    return _live.models(plan(ChatCompletionChunk, BaseModel))


def _models() -> Any:
    return _planned(_live.engine())


def _accelerate_all(settings: Settings) -> None:
    def of_stream(self: Any) -> Any:
        is_ours = type(self) is Stream and self._cast_to is ChatCompletionChunk
        return _stream.chunks(self, settings) if is_ours else _stream.STREAM(self)

    def of_async_stream(self: Any) -> Any:
        is_ours = type(self) is AsyncStream and self._cast_to is ChatCompletionChunk
        return _stream.async_chunks(self, settings) if is_ours else _stream.ASYNC_STREAM(self)

    Stream.__stream__ = of_stream  # type: ignore[method-assign]
    AsyncStream.__stream__ = of_async_stream  # type: ignore[method-assign]


_FASTER: dict[Any, Any] = {
    Stream[ChatCompletionChunk]: ChunkStream[ChatCompletionChunk],
    AsyncStream[ChatCompletionChunk]: AsyncChunkStream[ChatCompletionChunk],
}


def _faster(keywords: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request, with our class of streams for openai's."""
    stream_cls = keywords.get("stream_cls")
    return {**keywords, "stream_cls": _FASTER.get(stream_cls, stream_cls)} if stream_cls is not None else keywords


@cache
def _class(base: Any, settings: Settings) -> Any:
    """An accelerated client's class, by the name of its own. ``copy()`` makes one of the same class, so keeps it."""

    def request(self: Any, *args: Any, **keywords: Any) -> Any:
        return base.request(self, *args, **_faster(keywords))

    async def async_request(self: Any, *args: Any, **keywords: Any) -> Any:
        return await base.request(self, *args, **_faster(keywords))

    names = {name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    names["request"] = functools.wraps(base.request)(request if issubclass(base, openai.OpenAI) else async_request)
    # A class with a base more would have another layout, and no client could become one.
    return type(base.__name__, (base,), {**names, "_chunkwire": settings, "_chunkwire_class": base})
