"""The exceptions of chunkwire: raised by both engines, caught by users, printed by the command line."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ChunkwireError", "DecodeError", "StreamError"]


class ChunkwireError(Exception):
    """What every exception of chunkwire's own is an instance of.

    Attributes
    ----------
    offset : int
        Byte offset of the event in the (decompressed) source, from 0.
    source : str or None
        Name of the source: its path, or what the caller named it.
    line : int or None
        Line of the event's first field, from 1.
    event : int or None
        Number of the event in its source, from 0.
    """

    offset: int
    source: str | None
    line: int | None
    event: int | None

    def _place(self) -> str:
        parts = [] if self.event is None else [f"event {self.event}"]
        parts.append(f"offset {self.offset}")
        if self.line is not None:
            parts.append(f"line {self.line}")
        place = ", ".join(parts)
        return f"{self.source}: {place}" if self.source else place


class DecodeError(ChunkwireError, ValueError):
    """Bytes that are no chunk: damage, with where it is and why.

    Attributes
    ----------
    kind : str
        One of ``invalid_json``, ``too_deep``, ``not_a_chunk``, ``truncated``, ``event_too_large``,
        ``not_a_stream``, ``source_too_large``, ``wrong_format`` (a line, or a file, is not in the format of its log).
        The list only ever grows.
    reason : str
        What was expected and what was found.
    position : int or None
        For ``invalid_json``, ``too_deep`` and ``truncated``: the byte of the event's data at which reading
        failed, from 0. (``offset``, ``source``, ``line``, ``event``: see `ChunkwireError`.)
    """

    def __init__(
        self,
        kind: str,
        reason: str,
        *,
        offset: int,
        source: str | None = None,
        line: int | None = None,
        event: int | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.offset = offset
        self.source = source
        self.line = line
        self.event = event
        self.position = position

    def __str__(self) -> str:
        return f"{self._place()}: {self.reason} [{self.kind}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _decode_error, (self.kind, self.reason, self.offset, self.source, self.line, self.event, self.position)


class StreamError(ChunkwireError):
    """An error that the server sent in place of a chunk: ``{"error": ...}`` or ``event: error``.

    Attributes
    ----------
    body : object
        The event's data as sent: the parsed JSON value (usually ``{"error": {...}}``), or the text where it is
        not JSON. (``offset``, ``source``, ``line``, ``event``: see `ChunkwireError`.)
    """

    def __init__(
        self,
        body: Any,
        *,
        offset: int,
        source: str | None = None,
        line: int | None = None,
        event: int | None = None,
    ) -> None:
        super().__init__(body)
        self.body = body
        self.offset = offset
        self.source = source
        self.line = line
        self.event = event

    @property
    def message(self) -> str:
        """The server's message, wherever it put it; the whole body as text where there is none."""
        return error_message(self.body) or json.dumps(self.body, ensure_ascii=False)

    def __str__(self) -> str:
        return f"{self._place()}: the server sent an error: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _stream_error, (self.body, self.offset, self.source, self.line, self.event)


def error_message(body: Any) -> str | None:
    """The human-readable part of a server's error: ``error.message``, ``error``, ``message`` or ``detail``, if any."""
    found = body
    if isinstance(found, dict) and found.get("error"):
        found = found["error"]
    if isinstance(found, dict):
        texts = [found.get("message"), found.get("detail")]
    else:
        texts = [found]
    return next((text for text in texts if isinstance(text, str) and text), None)


def _decode_error(
    kind: str,
    reason: str,
    offset: int,
    source: str | None,
    line: int | None,
    event: int | None,
    position: int | None,
) -> DecodeError:
    return DecodeError(kind, reason, offset=offset, source=source, line=line, event=event, position=position)


def _stream_error(body: Any, offset: int, source: str | None, line: int | None, event: int | None) -> StreamError:
    return StreamError(body, offset=offset, source=source, line=line, event=event)
