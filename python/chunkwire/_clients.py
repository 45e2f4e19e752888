"""Events of any kind for a client that has a class of its own for them: the bytes of a response in, instances of that
class out, by the rules of the client's parser or by the standard's.

The same as ``rust/event/clients.rs``, which says what those rules are, and ``rust/python/clients.rs``; it serves where
the extension is missing, and it is their slow twin in the tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from chunkwire._errors import DecodeError
from chunkwire._options import MAX_EVENT_BYTES
from chunkwire._sse import Framer, decode_utf8

__all__ = ["ClientEvents"]


class _Fields(NamedTuple):
    """What was sent; what is None, or an empty type, is as in the client's defaults."""

    event: str
    data: str
    id: str | None
    retry: Any


def _text(value: bytes) -> str:
    return decode_utf8(value)[0]


class _Standard:
    """The standard's rules."""

    def __init__(self, max_event_bytes: int) -> None:
        self._framer = Framer(max_event_bytes)
        self._max_event_bytes = max_event_bytes

    def feed(self, piece: bytes) -> Iterator[_Fields]:
        for data, offset, line, number, _, kind, last_id, retry, _ in self._framer.feed(piece):
            if data is None:
                reason = f"the event is larger than {self._max_event_bytes} bytes"
                raise DecodeError("event_too_large", reason, offset=offset, line=line, event=number)
            yield _Fields(kind, _text(data), last_id, retry)

    def finish(self) -> Iterator[_Fields]:
        return iter(())  # what is open is discarded


class _HttpxSse:
    """httpx-sse's rules."""

    def __init__(self) -> None:
        self._open = bytearray()  # the line that the last piece left open
        self._after_cr = False  # the last line ended with CR: a LF at once belongs to it
        self._last_id = ""
        self._begin_block()

    def _begin_block(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._retry: int | None = None

    def feed(self, piece: bytes) -> Iterator[_Fields]:
        if self._after_cr and piece:
            self._after_cr = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        if not piece:
            return
        self._after_cr = piece.endswith(b"\r")
        lines = piece.splitlines()  # those of bytes end at LF, CR and CRLF only
        last = b"" if piece.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._open:
            lines[0] = bytes(self._open + lines[0])
            self._open.clear()
        for line in lines:
            if line:
                self._line(line)
            elif self._event or self._data or self._last_id or self._retry is not None:
                fields = _Fields(self._event, "\n".join(self._data), self._last_id or None, self._retry)
                self._begin_block()
                yield fields
        self._open += last

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        text = _text(value.removeprefix(b" "))
        if name == b"event":
            self._event = text
        elif name == b"data":
            self._data.append(text)
        elif name == b"id":
            if "\0" not in text:
                self._last_id = text
        elif name == b"retry":
            with suppress(ValueError):
                self._retry = int(text)

    def finish(self) -> Iterator[_Fields]:
        return iter(())  # what is open is discarded


class _SseClient:
    """sseclient-py's rules."""

    def __init__(self) -> None:
        self._open = bytearray()  # the open block

    def feed(self, piece: bytes) -> Iterator[_Fields]:
        for line in piece.splitlines(keepends=True):
            self._open += line
            if self._open.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")):
                yield from self.finish()

    def finish(self) -> Iterator[_Fields]:
        block = self.take_rest()
        data: list[str] = []
        event, number, retry = "", None, None
        for line in block.splitlines():
            name, _, value = line.decode().partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                number = value
            elif name == "retry":
                retry = value
        if data:
            yield _Fields(event, "\n".join(data), number, retry)

    def take_rest(self) -> bytes:
        """The beginning of the open block, for who reads on instead."""
        block = bytes(self._open)
        self._open.clear()
        return block


class ClientEvents:
    """The events of one response: `pull` an iterator of bytes, or `feed` bytes, and iterate."""

    def __init__(
        self,
        rules: str,
        kind: type,
        defaults: dict[str, Any],
        names: tuple[str, str, str, str],
        *,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._reader: _Standard | _HttpxSse | _SseClient
        if rules == "standard":
            self._reader = _Standard(max_event_bytes)
        elif rules == "httpx_sse":
            self._reader = _HttpxSse()
        elif rules == "sseclient":
            self._reader = _SseClient()
        else:
            raise ValueError(f"no rules of this name: {rules}")
        if getattr(kind, "__new__", None) is not object.__new__:
            raise TypeError("a class with a __new__ of its own")
        if sorted(defaults) != sorted(names):
            raise ValueError("defaults and names do not belong together")
        self._class = kind
        self._defaults = defaults
        self._names = names
        self._source: Iterator[Any] | None = None
        self._reads: AsyncIterator[Any] | None = None
        self._counted: tuple[Any, str] | None = None
        self._bytes = 0
        self._odd: tuple[Any] | None = None  # what the source gave that is no bytes
        self._found: Iterator[_Fields] | None = None
        self._ending = False  # the input has ended, and the reader does not know yet

    def feed(self, data: bytes) -> ClientEvents:
        """Takes bytes; iterate for what they complete."""
        if self._found is not None:
            raise ValueError("feed() before all of the last bytes was iterated")
        self._found = self._reader.feed(data)
        return self

    def pull(self, source: Iterable[Any], counted: tuple[Any, str] | None = None) -> ClientEvents:
        """Takes an iterator of bytes, and feeds itself from it up to its end; iterate for everything. ``counted`` is an
        object, and which of its attributes is to say how many bytes there were so far."""
        self._source = iter(source)
        self._counted = counted
        return self

    def apull(self, source: AsyncIterator[Any], counted: tuple[Any, str] | None = None) -> ClientEvents:
        """Takes an asynchronous iterator of bytes, for an `AsyncRelay` that feeds this from it; ``counted`` is that of
        `pull`."""
        self._reads = source
        self._counted = counted
        return self

    def read(self) -> Awaitable[Any] | None:
        """More bytes; None if none will come."""
        return None if self._reads is None else self._reads.__anext__()

    def take_read(self, data: bytes | None) -> None:
        """Takes what `read` came to; None for its end."""
        if data is None:
            self._reads, self._ending = None, True
            return
        self._count(data)
        self._found = self._reader.feed(bytes(data))

    def take_error(self, error: BaseException) -> bool:
        """Takes an error of `read`; false if it is for others."""
        return False

    def __iter__(self) -> ClientEvents:
        return self

    def __next__(self) -> Any:
        while True:
            if self._found is not None:
                for fields in self._found:
                    return self._make(fields)
                self._found = None
            if not self._next_block():
                if not self._ending:
                    raise StopIteration
                self._ending = False
                self._found = self._reader.finish()

    def odd(self) -> tuple[bytes, Any] | None:
        """Where the iteration ended because the source gave what is no bytes: the beginning of a block before that, and
        that; else None."""
        odd, self._odd = self._odd, None
        if odd is None:
            return None
        if not isinstance(self._reader, _SseClient):
            raise TypeError(f"expected bytes of the source, got {type(odd[0]).__name__}")
        return self._reader.take_rest(), odd[0]

    def _next_block(self) -> bool:
        """Asks the source for bytes; false if there are none."""
        if self._source is None:
            return False
        try:
            data = next(self._source)
        except StopIteration:
            self._ending = True
        except Exception:
            self._source = None
            raise
        else:
            if isinstance(data, (bytes, bytearray)):
                self._count(data)
                self._found = self._reader.feed(bytes(data))
                return True
            self._odd = (data,)
        self._source = None
        return False

    def _count(self, data: Any) -> None:
        if self._counted is not None:
            self._bytes += len(data)
            setattr(*self._counted, self._bytes)

    def _make(self, fields: _Fields) -> Any:
        event, data, number, retry = self._names
        values = self._defaults.copy()
        values[data] = fields.data
        if fields.event:
            values[event] = fields.event
        if fields.id is not None:
            values[number] = fields.id
        if fields.retry is not None:
            values[retry] = fields.retry
        made: Any = object.__new__(self._class)
        object.__setattr__(made, "__dict__", values)
        return made
