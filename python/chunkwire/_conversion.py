"""Logs in one format out of logs in any: a source in, the bytes of another log that holds the same streams out.

What was sent stays as it was sent: the JSON of each chunk is not written anew unless it has line ends in it. Damage is
left out, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from chunkwire._blocks import CompressedDamage, blocks_of
from chunkwire._formats import prepared
from chunkwire._logs._auto import Sinks, reader_of
from chunkwire._options import MAX_EVENT_BYTES, Options
from chunkwire._sources import resolve
from chunkwire._stats import Damage, Stats
from chunkwire._streams import Row, Tracker

if TYPE_CHECKING:
    from chunkwire._decode import OneSource
    from chunkwire._logs._exchanges import Exchange
    from chunkwire._options import Format

__all__ = ["TARGETS", "Converted", "convert"]

#: What can be written.
TARGETS = ("sse", "chunks", "exchanges")

Target: TypeAlias = Literal["sse", "chunks", "exchanges"]


def convert(
    source: OneSource,
    to: Target,
    *,
    keep: tuple[str, ...] | list[str] = (),
    format: Format = "auto",
    field: str | None = None,
    id_field: str | None = None,
    time_field: str | None = None,
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_decompressed_bytes: int | None = None,
) -> Converted:
    """A log in another format, with the same streams in it.

    Parameters
    ----------
    to : "sse", "chunks" or "exchanges"
        - ``sse``: server-sent events, the streams of each exchange together, each event one ``data`` field and a blank
          line. Comments and other fields are left out.
        - ``chunks``: JSON lines, a chunk or a server's error each. What ends a stream, ``[DONE]``, is left out, so that
          every line is JSON: what was ``complete`` reads as ``no_done``.
        - ``exchanges``: JSON lines, an exchange each, with ``response_body`` (server-sent events, or the JSON of a
          finished completion), ``request_id`` and ``started`` where the log has them (format reads), and what is kept.
          Of a log that holds streams alone, as ``sse`` and ``chunks`` do, each stream is an exchange, written when it
          has ended.
    keep : list of str
        Members of the lines to be carried into exchanges.
    source, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes
        As for `decode`.

    Returns
    -------
    iterator of bytes
        Whole lines or events; its ``.stats`` tells what was read so far, damage among it.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    if to not in TARGETS:
        raise ValueError(f"to must be one of {', '.join(map(repr, TARGETS))}, not {to!r}")
    options = Options(
        "skip", False, format, field, id_field, time_field, max_event_bytes, max_decompressed_bytes, tuple(keep)
    )
    resolved = resolve(source)
    feed, options = prepared(resolved, options)
    pieces: list[bytes] = []
    write = {"sse": _events, "chunks": _lines, "exchanges": _events}[to]
    in_lines = to == "exchanges"

    def alone() -> _Sink:
        return _StreamSink(pieces, write, list(keep)) if in_lines else _Sink(pieces, write)

    def of_exchanges() -> _ExchangeSink:
        return _ExchangeSink(pieces, write, list(keep) if in_lines else None)

    reader = reader_of(Sinks(alone, of_exchanges), options, resolved.name)
    return Converted(blocks_of(feed), reader, pieces)


class Converted:
    """The bytes of the other log: an iterator that counts."""

    def __init__(self, blocks: Iterator[bytes], reader: Any, pieces: list[bytes]) -> None:
        self._blocks: Iterator[bytes] | None = blocks
        self._reader = reader
        self._pieces = pieces

    @property
    def stats(self) -> Stats:
        """What was read so far."""
        stats: Stats = self._reader.stats()
        return stats

    def __iter__(self) -> Converted:
        return self

    def __next__(self) -> bytes:
        while self._blocks is not None:
            try:
                block = next(self._blocks, None)
                if block is None:
                    self._end()
                else:
                    self._reader.feed(block)
            except CompressedDamage as error:
                self._reader.count_compressed_damage(error)
                self._end()
            if self._pieces:
                data = b"".join(self._pieces)
                self._pieces.clear()
                return data
        raise StopIteration

    def _end(self) -> None:
        self._blocks = None
        self._reader.finish()
        self._reader.sink.finish()


#: What becomes of an event: its data, or None for `[DONE]`; is it an error that is no JSON?
_Write = Callable[[bytes | None, bool], bytes]


def _events(data: bytes | None, is_text: bool) -> bytes:
    """As a server-sent event."""
    if data is None:
        return b"data: [DONE]\n\n"
    kind = b"event: error\n" if is_text else b""
    if b"\n" not in data and b"\r" not in data:
        return b"%bdata: %b\n\n" % (kind, data)
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return kind + b"".join(b"data: %b\n" % line for line in lines) + b"\n"


def _lines(data: bytes | None, is_text: bool) -> bytes:
    """As a line of JSON."""
    if data is None:
        return b""
    if is_text:
        return _json({"error": data.decode()}) + b"\n"
    if b"\n" in data or b"\r" in data:  # between tokens: in texts they are escaped
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data + b"\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _valid(raw: bytes) -> bytes:
    """What was decoded: U+FFFD for what is no UTF-8."""
    return raw if raw.isascii() else raw.decode("utf-8", "replace").encode()


class _Sink:
    """Who writes what is found in a source."""

    def __init__(self, pieces: list[bytes], write: _Write) -> None:
        self._pieces = pieces
        self._write = write

    def chunk(self, _: dict[str, Any], raw: bytes, *__: int) -> None:
        """Takes a chunk."""
        self._pieces.append(self._write(_valid(raw), False))

    completion = chunk

    def done(self, _: int) -> None:
        """Takes a `[DONE]`."""
        self._pieces.append(self._write(None, False))

    def server_error(self, body: Any, *_: int) -> None:
        """Takes an error that the server sent."""
        is_text = isinstance(body, str)
        data = body.encode("utf-8", "replace") if is_text else _json(body)
        # Some are errors by the event's type alone.
        is_told = isinstance(body, dict) and bool(body.get("error"))
        if not is_text and not is_told:
            data = _json({"error": body})
        self._pieces.append(self._write(data, is_text))

    def damage(self, _: Damage) -> None:
        """Takes damage, which the reader has counted."""

    damage_outside = damage

    def finish(self) -> None:
        """The source has ended."""


class _StreamSink(_Sink):
    """Who writes streams that stand alone as exchanges: each as a whole, when nothing more can come of it."""

    def __init__(self, pieces: list[bytes], write: _Write, kept: list[str]) -> None:
        super().__init__([], write)
        self._out = pieces
        self._kept = kept
        self._tracker = Tracker(numbers_only=True, early=True)
        self._streams: dict[Row, list[bytes]] = {}

    def chunk(self, sent: dict[str, Any], raw: bytes, *place: int) -> None:
        """Takes a chunk."""
        self._add(self._tracker.chunk(sent, raw, *place), self._write(_valid(raw), False))

    def completion(self, sent: dict[str, Any], raw: bytes, *place: int) -> None:
        """Takes a finished completion."""
        self._add(self._tracker.completion(sent, raw, *place), _valid(raw))

    def done(self, offset: int) -> None:
        """Takes a `[DONE]`."""
        row = self._tracker.done(offset)
        if row is not None:
            self._add(row, self._write(None, False))

    def server_error(self, body: Any, *place: int) -> None:
        """Takes an error that the server sent."""
        row = self._tracker.server_error(body, *place)
        super().server_error(body, *place)
        self._add(row, self._pieces.pop())

    def damage(self, damage: Damage) -> None:
        """Takes damage, which may stand between two streams."""
        self._tracker.damage(damage)

    def damage_outside(self, damage: Damage) -> None:
        """Takes damage to what was around events."""
        self._tracker.damage_outside(damage)

    def finish(self) -> None:
        """The source has ended, and with it all streams."""
        self._end(*self._tracker.take_final())
        self._end(*self._tracker.take_left(list(self._streams)))

    def _add(self, row: Row, piece: bytes) -> None:
        self._streams.setdefault(row, []).append(piece)
        if self._tracker.news:
            self._end(*self._tracker.take_final())

    def _end(self, rows: list[Row], joined: list[tuple[Row, Row]]) -> None:
        for row, part in joined:
            self._streams.setdefault(row, []).extend(self._streams.pop(part, ()))
        for row in rows:
            if body := b"".join(self._streams.pop(row, ())):
                line = dict.fromkeys(self._kept) | {"response_body": body.decode()}
                self._out.append(_json(line) + b"\n")


class _ExchangeSink(_Sink):
    """Who writes what is found in exchanges: each as a whole, when it ends."""

    def __init__(self, pieces: list[bytes], write: _Write, kept: list[str] | None) -> None:
        super().__init__([], write)
        self._out = pieces
        self._kept = kept  # None: no line for each exchange
        self._open: dict[Exchange, tuple[list[bytes], list[bytes]]] = {}
        self._whole: list[bytes] = []  # finished completions of the exchange at hand

    def exchange(self, exchange: Exchange | None) -> None:
        """What follows is of this one."""
        if exchange is None:
            self._pieces, self._whole = [], []
        else:
            self._pieces, self._whole = self._open.setdefault(exchange, ([], []))

    def completion(self, sent: dict[str, Any], raw: bytes, *place: int) -> None:
        """Takes a finished completion."""
        self._whole.append(_valid(raw))
        super().chunk(sent, raw, *place)

    def end(self, exchange: Exchange) -> None:
        """This one has ended."""
        pieces, whole = self._open.pop(exchange, ([], []))
        if self._kept is None:
            self._out += pieces
            return
        body = whole[0] if len(whole) == len(pieces) == 1 else b"".join(pieces)
        line: dict[str, Any] = {}
        if exchange.key:
            line["request_id"] = json.loads(exchange.key)
        if exchange.began is not None:
            line["started"] = exchange.began
        line |= zip(self._kept, exchange.kept or [None] * len(self._kept), strict=True)
        line["response_body"] = body.decode() if body else None
        self._out.append(_json(line) + b"\n")
