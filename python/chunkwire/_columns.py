"""Columns with a row for each chunk, for the engine in Python: chunks in, columns as bytes out."""

from __future__ import annotations

from array import array
from collections import deque
from typing import Any

from chunkwire._stats import Damage, Stats
from chunkwire._streams import Tracker, integer
from chunkwire._views import Choice

__all__ = ["Columns", "Numbered"]

#: A batch of so many bytes of content is full, however few rows it has.
MAX_CONTENT = 64 << 20


#: After so many findings the streams that have ended are forgotten.
_REMEMBERED = 1 << 12


class Numbered:
    """A sink that keeps of each chunk the number of its stream (see `Tracker.number`), and passes all on to another."""

    def __init__(self, sink: Any, streams: deque[int]) -> None:
        self.streams = streams
        self._sink = sink
        self._tracker = Tracker(numbers_only=True)
        self._found = 0

    def chunk(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a chunk."""
        self._tracker.chunk(sent, raw, offset, line, event)
        self.streams.append(self._tracker.number())
        self._sink.chunk(sent, raw, offset, line, event)
        self._count()

    def completion(self, sent: dict[str, Any], raw: bytes, offset: int, line: int, event: int) -> None:
        """Takes a finished completion."""
        self._tracker.completion(sent, raw, offset, line, event)
        self.streams.append(self._tracker.number())
        self._sink.completion(sent, raw, offset, line, event)
        self._count()

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        self._tracker.done(offset)
        self._count()

    def server_error(self, body: Any, offset: int, line: int, event: int) -> None:
        """Takes an error that the server sent."""
        self._tracker.server_error(body, offset, line, event)
        self._sink.server_error(body, offset, line, event)
        self._count()

    def damage(self, damage: Damage) -> None:
        """Takes damage."""
        self._tracker.damage(damage)
        self._sink.damage(damage)
        self._count()

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        self._tracker.damage_outside(damage)
        self._sink.damage(damage)
        self._count()

    def _count(self) -> None:
        self._found += 1
        if self._found >= _REMEMBERED:
            self._found = 0
            self._tracker.forget()


class Columns:
    """The chunks of a source as columns, so many rows at a time."""

    def __init__(self, chunks: Any, streams: Any, size: int) -> None:
        self._chunks = chunks
        self._streams = streams  # a queue with the number of each chunk's stream
        self._size = size
        self._error: BaseException | None = None

    def __iter__(self) -> Columns:
        return self

    def __next__(self) -> dict[str, Any]:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        rows = _Rows()
        while len(rows.offset) < self._size and len(rows.content) < MAX_CONTENT:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                break
            except BaseException as error:
                if not rows.offset:
                    raise
                self._error = error
                break
            rows.push(chunk, self._streams.popleft())
        if not rows.offset:
            raise StopIteration
        return rows.columns()

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        stats: Stats = self._chunks.stats
        return stats


class _Rows:
    """Columns while they are filled."""

    def __init__(self) -> None:
        self.stream, self.offset, self.index, self.content_end = (array("q") for _ in range(4))
        self.content, self.has_content = bytearray(), bytearray()
        self.id, self.model, self.finish_reason = _Texts(), _Texts(), _Texts()

    def push(self, chunk: Any, stream: int) -> None:
        choices = chunk.choices
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Choice) else None
        index = integer(choice.index) if choice is not None else None
        content = chunk.content
        self.stream.append(stream)
        self.offset.append(chunk.offset)
        self.index.append(-1 if index is None else index)
        if isinstance(content, str):
            self.content += content.encode("utf-8", "surrogatepass")
        self.content_end.append(len(self.content))
        self.has_content.append(isinstance(content, str))
        self.id.push(chunk.id)
        self.model.push(chunk.model)
        self.finish_reason.push(choice.finish_reason if choice is not None else None)

    def columns(self) -> dict[str, Any]:
        return {
            "stream": self.stream.tobytes(),
            "offset": self.offset.tobytes(),
            "index": self.index.tobytes(),
            "content": bytes(self.content),
            "content_end": self.content_end.tobytes(),
            "has_content": bytes(self.has_content),
            "id": self.id.column(),
            "model": self.model.column(),
            "finish_reason": self.finish_reason.column(),
        }


class _Texts:
    """A column of texts that repeat: a code for each row, -1 where none was sent."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._categories: dict[str, int] = {}

    def push(self, text: Any) -> None:
        code = self._categories.setdefault(text, len(self._categories)) if isinstance(text, str) else -1
        self._codes.append(code)

    def column(self) -> tuple[bytes, list[str]]:
        return self._codes.tobytes(), list(self._categories)
