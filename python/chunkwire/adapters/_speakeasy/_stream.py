"""The event streams of SDKs that Speakeasy generates, with a session in the place of their parser: a response in, the
events out that the SDK itself would give.

What is plain the session decodes. Every other block goes through the SDK's own ``_parse_event``, alone: so what is an
error, what ends a stream and what a wrong value is called is said by the SDK that is installed, in its own words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

from chunkwire import _live

__all__ = ["NewRun", "OldRun", "Run", "stream_events", "stream_events_async"]

_BOM = b"\xef\xbb\xbf"


class Run:
    """One run over a response: the session that reads it, and what the SDK is asked on the way. ``parse`` is its
    ``_parse_event`` with all arguments but those that change from block to block."""

    framing: ClassVar[_live.Framing]
    #: Is the response closed at the end, however that came?
    closes: ClassVar[bool]

    def __init__(self, response: Any, models: Any, parse: Callable[..., Any]) -> None:
        self.response = response
        self.is_done = False
        self._session = _live.session(models, framing=self.framing)
        self._parse = parse

    def read(self, data: bytes) -> Iterator[Any]:
        """The events that a read completes."""
        session = self._session
        yield from session.feed(self._before(data))
        while (block := session.foreign()) is not None:
            event = self._ask(block)
            if event is not None:
                yield event
            if self.is_done:
                return
            yield from self._behind()

    def end(self) -> Iterator[Any]:
        """The event that a response ends with, though no boundary came behind it."""
        event = self._ask(self._session.rest())
        if event is not None:
            yield event

    def _before(self, data: bytes) -> bytes:
        """What there is to decode of a read."""
        return data

    def _ask(self, block: bytes) -> Any:
        """What the SDK makes of a block."""
        raise NotImplementedError

    def _behind(self) -> Iterator[Any]:
        """What comes behind a block that the SDK was asked about."""
        return self._session


class OldRun(Run):
    """As the generator wrote it first: the sentinel counts if it is the last block of a read, and then the rest of the
    response is read but not looked at."""

    framing = "same pair"
    closes = False
    _is_discarding = False

    def _before(self, data: bytes) -> bytes:
        return b"" if self._is_discarding else data

    def _ask(self, block: bytes) -> Any:
        event, self._is_discarding = self._parse(bytearray(block))
        return event

    def _behind(self) -> Iterator[Any]:
        for event in self._session:
            self._is_discarding = False
            yield event


class NewRun(Run):
    """As the generator writes it now: the sentinel is the end, a byte order mark is dropped where nothing is left of
    the reads before, an id is that of later events too, and the response is closed by whoever stops."""

    framing = "any pair"
    closes = True
    _id: str | None = None

    def _before(self, data: bytes) -> bytes:
        if data[:3] != _BOM:
            return data
        rest = self._session.rest()
        return rest + data if rest else data[3:]

    def _ask(self, block: bytes) -> Any:
        event, self.is_done, self._id = self._parse(raw=bytearray(block), event_id=self._id)
        return event


def stream_events(run: Run) -> Iterator[Any]:
    """What the SDK's function of this name gives, faster."""
    try:
        for data in _live.bytes_of(run.response, "iter_bytes", "iter_raw"):
            yield from run.read(data)
            if run.is_done:
                return
        yield from run.end()
    finally:
        if run.closes:
            run.response.close()


async def stream_events_async(run: Run) -> AsyncIterator[Any]:
    """What the SDK's function of this name gives, faster."""
    try:
        async for data in _live.bytes_of(run.response, "aiter_bytes", "aiter_raw"):
            for event in run.read(data):
                yield event
            if run.is_done:
                return
        for event in run.end():
            yield event
    finally:
        if run.closes:
            await run.response.aclose()
