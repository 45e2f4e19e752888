"""Sessions and events for clients that have a parser of their own: what the adapters know of the engines."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from chunkwire import _engine
from chunkwire._model import Chunk

__all__ = [
    "ClientEvents",
    "Framing",
    "Layout",
    "Session",
    "bytes_of",
    "chunk",
    "engine",
    "events",
    "loop",
    "models",
    "relay",
    "relay_async",
    "session",
]


Framing: TypeAlias = Literal["lines", "any pair", "same pair"]


class Session(Protocol):
    """One response. What a block holds that is not plain the client's own parser has to say."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """Takes bytes; iterate for what they complete."""

    def pull(self, source: Iterable[bytes], counted: tuple[object, str] | None = None) -> Iterator[Any]:
        """Takes an iterator of bytes, and feeds itself from it; iterate for everything. ``counted`` is an object and
        the name of its attribute that is to say how many bytes have come."""

    def apull(self, source: AsyncIterator[bytes], counted: tuple[object, str] | None = None) -> Session:
        """Takes an asynchronous iterator of bytes, for a `relay_async` that feeds this from it."""

    def error(self) -> Exception | None:
        """The exception with which the iterator, or what was read, ended, if it did."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...

    def foreign(self) -> bytes | None:
        """The block that comes next and is not plain; None if there is none. Iterate on behind it."""

    def rest(self) -> bytes:
        """What is not decoded: the beginning of a block that is left at the end, or all behind one that is foreign."""


class ClientEvents(Protocol):
    """The events of one response, as objects of its client's."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """Takes bytes; iterate for what they complete."""

    def pull(self, source: Iterable[Any], counted: tuple[Any, str] | None = None) -> Iterator[Any]:
        """Takes an iterator of bytes, and feeds itself from it up to its end; iterate for everything. ``counted`` is an
        object, and which of its attributes is to say how many bytes there were so far."""

    def apull(self, source: AsyncIterator[bytes], counted: tuple[Any, str] | None = None) -> ClientEvents:
        """Takes an asynchronous iterator of bytes, for a `relay_async` that feeds this from it."""

    def odd(self) -> tuple[bytes, Any] | None:
        """Where the iteration ended because the source gave what is no bytes: the beginning of a block before that, and
        that; else None."""


class Layout(NamedTuple):
    """How a client's events are made."""

    #: Their class, whose instances have nothing but a ``__dict__``.
    kind: type
    #: The ``__dict__`` of an event of which nothing was sent.
    defaults: dict[str, Any]
    #: Its keys for type, data, id and retry.
    names: tuple[str, str, str, str]


def models(plan: list[tuple[Any, ...]], *, inside: str | None = None) -> Any:
    """The plan of a model class, for sessions: of each model its class, its three slots (None for
    the one of extras if the class hides it), its defaults by name, does it keep members that are no fields, and its
    fields, each a tuple of name, key, is it required, two specifications (how a value is constructed, and how it is
    checked), and the number of a model of which each instance has an empty one of
    its own by default, or None. (The words of a specification are in ``rust/python/plan.rs``.) With ``inside`` what
    is sent is the value of that field of the first model, which is checked."""
    return engine().Models(plan, inside=inside)


def session(
    models: Any = None, *, chunks_only: bool = False, framing: Framing = "lines", module: Any = None
) -> Session:
    """A session that gives instances of the first of the models, or without models chunks. With ``chunks_only`` an
    object without ``choices`` is not plain. Blocks end at empty ``lines``, or as clients find them that look for two
    line ends in a row: "any pair" or the "same pair". Those write once more what they have read: so what is plain is
    also Unicode and not nested deeply; and a foreign block is as they cut it, without the line ends behind it.
    ``module`` is the `engine`, for who asked for it before."""
    found: Session = (module or engine()).Session(models, chunks_only=chunks_only, framing=framing)
    return found


def relay(steps: Iterator[Any], module: Any = None) -> Iterator[Any]:
    """What a generator gives; where that gives a session, what the session gives until it ends. Who drops or closes
    this ends the generator where it stands."""
    found: Iterator[Any] = (module or engine()).Relay(steps)
    return found


def relay_async(steps: AsyncIterator[Any], module: Any = None) -> AsyncGenerator[Any, None]:
    """What an asynchronous generator gives; where that gives a session, or client events, what these give until they
    end, which meanwhile are fed from what they were to ``apull``. What is raised, by that too (unless it is
    `Session.error`), is raised where the generator stands. To the event loop the generator is what it was: it is closed
    with all others, also when this is dropped."""
    found: AsyncGenerator[Any, None] = (module or engine()).AsyncRelay(steps)
    return found


def loop(relay: Any) -> AsyncGenerator[Any, None] | None:
    """A loop over what `relay_async` gave: who leaves it, or closes it, leaves that as it is, and may begin another.
    None for anything else."""
    found: AsyncGenerator[Any, None] | None = relay.loop() if isinstance(relay, engine().AsyncRelay) else None
    return found


def events(rules: str, layout: Layout, module: Any = None) -> ClientEvents:
    """Events by the rules of "httpx_sse", "sseclient" or the "standard". ``module`` is that of `session`."""
    found: ClientEvents = (module or engine()).ClientEvents(rules, *layout)
    return found


def bytes_of(response: Any, decoded: str, raw: str) -> Any:
    """What a response's ``iter_bytes`` gives. That goes through four loops for each block: where nothing is to be
    decoded, httpx's own ``iter_raw`` gives the same in half the time."""
    kind = type(response)
    is_httpx = _is_httpx(getattr(kind, decoded, None)) and _is_httpx(getattr(kind, raw, None))
    is_raw = is_httpx and not response.is_stream_consumed and "content-encoding" not in response.headers
    return getattr(response, raw if is_raw else decoded)()


def _is_httpx(way: Any) -> bool:
    return getattr(way, "__module__", None) in ("httpx._models", "httpx2._models")


def chunk(sent: dict[str, Any]) -> Chunk:
    """A chunk of an object that was read already."""
    made: Chunk = engine().restore("Chunk", json.dumps(sent).encode(), 0)
    return made


def engine() -> Any:
    """Which engine decodes: its module."""
    return _engine.load("auto")
