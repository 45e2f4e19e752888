"""HAR files and cassettes in, the lines of JSON that they are converted to out: an exchange a line.

A line has ``method``, ``url``, ``status``, ``started`` and ``response_body``, the body as text, unpacked if it came
packed. Bytes that are no UTF-8 stay what they are.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from chunkwire._errors import DecodeError
from chunkwire._logs._lines import MAX_LINE_BYTES
from chunkwire._packing import DAMAGED, END, HEAD_BYTES, MORE, Codec, codec, packing_of

__all__ = ["FIELD", "Entry", "Note", "converted", "from_base64", "unpacked"]

#: Where the body is, in a converted line.
FIELD = "response_body"

#: What ends the path of a URL at which completions are made.
_COMPLETIONS = re.compile(r"completions?(?:[/?:#]|$)")
#: How a body begins that is an event stream, and what is in JSON that is a completion.
_EVENT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(?:data|event|id|retry)?:")
_COMPLETION = re.compile(rb'"choices"|"chat\.completion')
#: How much of a body is unpacked at once.
_PIECE_BYTES = 1 << 20
_CONTROL = re.compile(rb"[\x00-\x1f]")


class Entry(NamedTuple):
    """An exchange of a file."""

    method: Any
    url: Any
    status: Any
    started: Any
    kind: str  #: the type of its content, empty if that is unknown
    body: bytes | None
    problem: str  #: why the body is not there, or not whole; empty if nothing is wrong


class Note(NamedTuple):
    """What is to be said of an entry."""

    reason: str
    offset: int  #: of its line
    line: int


def converted(
    blocks: Callable[[], Iterable[bytes]], format: str, name: str | None = None, notes: list[Note] | None = None
) -> Iterator[bytes]:
    """The lines to which a file of format har or vcr is converted: of the exchanges that are completions, or may have
    been. The file is read when the first is asked for; ``notes`` gets what is to be said of entries.

    `DecodeError` of kind ``wrong_format`` where it is no such file, ImportError where a package is missing.
    """
    data = b"".join(blocks())
    if format == "har":
        from chunkwire._logs._har import entries_of
    else:
        from chunkwire._logs._vcr import entries_of
    try:
        entries = entries_of(data)
    except ValueError as error:
        raise DecodeError("wrong_format", str(error), offset=0, source=name, line=1) from None
    del data
    offset = line = 0
    for number, entry in enumerate(entries, 1):
        if not _is_completion(entry):
            continue
        line += 1
        if entry.problem and notes is not None:
            what = " ".join(str(part) for part in (entry.method, entry.url) if part)
            notes.append(Note(f"entry {number} ({what}): {entry.problem}", offset, line))
        text = _line(entry)
        offset += len(text)
        yield text


def _is_completion(entry: Entry) -> bool:
    """Is it, or may it have been, a completion?"""
    if "event-stream" in entry.kind or _COMPLETIONS.search(str(entry.url)):
        return True
    body = entry.body or b""
    if body.lstrip()[:1] in (b"{", b"["):
        return _COMPLETION.search(body) is not None
    return _EVENT.match(body) is not None


def _line(entry: Entry) -> bytes:
    head = {"method": entry.method, "url": entry.url, "status": entry.status, "started": entry.started}
    text = json.dumps(head, default=str).encode()[:-1]
    if entry.body is None:
        return text + b', "response_body": null}\n'
    body = entry.body.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    body = _CONTROL.sub(lambda match: b"\\u%04x" % match[0][0], body)
    return text + b', "response_body": "' + body + b'"}\n'


def from_base64(text: str | bytes) -> tuple[bytes, str]:
    """What base64 stands for, as far as it goes, and what is wrong with it."""
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    raw = b"".join(raw.split())
    try:
        return base64.b64decode(raw, validate=True), ""
    except binascii.Error as error:
        whole = re.match(rb"[A-Za-z0-9+/]*", raw)
        assert whole is not None
        return base64.b64decode(whole[0][: len(whole[0]) // 4 * 4]), f"its base64 is damaged ({error})"


def unpacked(body: bytes, encoding: str) -> tuple[bytes, str]:
    """A body as it was before its content encoding, as far as it goes, and what is wrong with it. gzip is told by its
    first bytes, too; a body that was unpacked already stays as it is."""
    problem = ""
    names = [part.strip().lower() for part in encoding.split(",") if part.strip()] or [""]
    for name in reversed(names):
        packing = packing_of(body[:HEAD_BYTES])
        if packing in ("gzip", "zstd"):
            body, problem = _unpacked(body, packing)
        elif name == "deflate" and body[:1] == b"\x78":
            body, problem = _unpacked(body, name)
        elif name == "br" and not _is_text(body):
            body, problem = _unpacked(body, "brotli")
    return body, problem


def _is_text(body: bytes) -> bool:
    """Was it unpacked already?"""
    return _EVENT.match(body) is not None or body.lstrip()[:1] in (b"{", b"[", b"<")


def _unpacked(body: bytes, packing: str) -> tuple[bytes, str]:
    """What is in all parts of a body, as far as they go."""
    pieces: list[bytes] = []
    size = 0
    while body:
        decoder: Codec = _Deflate() if packing == "deflate" else codec(packing)
        state = MORE
        while state == MORE:
            piece, body, state = decoder.unpack(body, _PIECE_BYTES)
            pieces.append(piece)
            size += len(piece)
            if size > MAX_LINE_BYTES:
                return b"".join(pieces)[:MAX_LINE_BYTES], f"its body has more than {MAX_LINE_BYTES} bytes"
            if state == MORE and not piece and not body:
                return b"".join(pieces), "its compressed body breaks off"
        if state != END:
            return b"".join(pieces), "its compressed body is damaged"
    return b"".join(pieces), ""


class _Deflate:
    """What HTTP calls deflate: zlib's form."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj()

    def unpack(self, data: bytes, most: int) -> tuple[bytes, bytes, int]:
        """What comes out, what is left of the data, and how it ended."""
        try:
            piece = self._decoder.decompress(data, most)
        except zlib.error:
            return b"", b"", DAMAGED
        if self._decoder.eof:
            return piece, self._decoder.unused_data, END
        return piece, self._decoder.unconsumed_tail, MORE
