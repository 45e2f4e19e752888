"""Logs that can be shown to others: a source in; the same bytes out, with filler of the same length in the place of
whatever somebody said.

What stays is what a parser reads: the framing, names of members, brackets, escapes, how many bytes each character has,
numbers of usage and times, and a few texts that servers choose (models, roles, finish reasons). Ids become others, the
same one always the same. All else is unknown, and is replaced; so is all in a tool's arguments, where the names of
members mean nothing. Data need not be whole, nor JSON: what cannot be read is replaced as it stands.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from chunkwire._blocks import CompressedDamage, blocks_of
from chunkwire._errors import DecodeError
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._sources import resolve

if TYPE_CHECKING:
    from chunkwire._decode import OneSource

__all__ = ["redact"]

#: An event of more bytes is replaced in pieces.
_MOST_BYTES = 64 << 20

#: Texts that servers choose, by the name of the member whose value they are; kept if they look like a name.
_CHOSEN = frozenset(
    b"object model role type finish_reason native_finish_reason stop_reason service_tier provider status severity code "
    b"format event detail_type method content_type".split()
)
_NAME = re.compile(rb"[A-Za-z0-9][\w.:/+-]{0,79}")
#: A model of one's own has one's own name in it.
_OWN_MODEL = re.compile(rb"(ft:[\w.-]+:)(.+)")
#: What tells things apart.
_IDS = frozenset(
    b"id request_id system_fingerprint tool_call_id call_id item_id response_id req_id trace_id stream_id exchange_id "
    b"connection_id custom_id batch_id session_id conversation_id".split()
)
#: With which servers begin their ids. (What a user begins one with may be a name.)
_ID_PREFIX = re.compile(
    rb"(?:chatcmpl|cmpl|chat|gen|msg|resp|req|run|step|thread|asst|item|call|toolu|tool|fc|rs|fp|file|batch|cus|as|ws)[-_]"
)
_TIME = rb"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?"
_TIMES = re.compile(_TIME)
#: Members whose texts are times.
_TIMED = re.compile(
    rb"(?:.*_)?(?:created|updated|date|datetime|time|@?timestamp|ts|at)|t|[a-z]+(?:At|Time|Date|Timestamp)"
)
#: Numbers that are counts, times and the like, by the name of their member or of one around it.
_COUNTED = re.compile(
    rb"(?:.*_)?(?:tokens?|count|index|created|time|times|ts|timestamp|at|cost|duration|latency|ms|us|sec|seconds|logprob"
    rb"|probability)|code|status|status_code|n|t|size|score|version|temperature|top_p"
)
_COUNTED_INSIDE = frozenset(b"usage timings time_info x_groq sla_metrics category_scores cost".split())
#: Texts by their bytes or tokens.
_SPELT = frozenset(b"bytes token token_ids token_id tokens prompt_token_ids logit_bias".split())
#: What is said in a conversation: a text that holds a whole body is part of it there, not a log.
_SPOKEN_INSIDE = frozenset(b"choices messages delta".split())
#: What somebody filled with members of their own.
_SAID_INSIDE = frozenset(b"arguments args input parameters parsed metadata".split())
#: What is so inside of an object or array.
_IS_COUNTED, _IS_SPOKEN, _IS_SAID = 1, 2, 4

_TOKEN = re.compile(
    rb'"(?P<text>(?:[^"\\]++|\\.)*+\\?)(?P<end>"?)(?P<colon>[ \t\r\n]*:)?'
    rb"|(?P<number>-?\d++(?:\.\d++)?)(?P<exponent>[eE][-+]?\d++)?"
    rb"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<comma>,)|(?P<kept>true|false|null|NaN|-?Infinity|[:\s]++)"
    rb"|(?P<other>(?:[^\"\[\]{},:\s0-9])++|.)",
    re.DOTALL,
)
#: The units of a text: an escape, a character of one to four bytes, what is none.
_UNIT = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[\x00-\x7f]|[\x20-\x5b\x5d-\x7f]++|[\x00-\x1f]++"
    rb"|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
    # A surrogate, which is no character; and the beginnings of characters that break off, each one U+FFFD to a decoder.
    rb"|\xed[\xa0-\xbf][\x80-\xbf]"
    rb"|\xe0[\xa0-\xbf]|\xed[\x80-\x9f]|[\xe1-\xec\xee\xef][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]?|[\xf1-\xf3][\x80-\xbf]{1,2}|\xf4[\x80-\x8f][\x80-\xbf]?|.",
    re.DOTALL,
)
_FILLER = (b"", b"x", "é".encode(), "あ".encode(), "🙂".encode())
#: Characters that some parsers take for line ends, and the mark of byte order.
_TELLING = frozenset(one.encode() for one in "\u0085\u2028\u2029\ufeff")
_SURROGATES = rb"\ud83d\ude42"
_HIGH, _LOW = rb"\ud83d", rb"\ude42"

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE = re.compile(rb"([^\r\n]*+)(\r\n|\n|\r|$)")
_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?(data|event|id|retry)(?::[ ]?|$)")
_DIGITS = re.compile(rb"\d{0,9}")
#: Of these words are the event types that servers of completions send.
_WORDS = (
    rb"(?:action|added|alive|annotations?|arguments|audio|block|calls?|cancelled|cancelling|chat|chunk|code|completed"
    rb"|completions?|content|created|custom|data|delta|done|end|error|event|expired|failed|file|finish|function|generating"
    rb"|generation|heartbeat|image|in|incomplete|input|interpreter|interpreting|item|keep|list|mcp|messages?|metadata|output"
    rb"|part|partial|ping|progress|queued|reasoning|refusal|requires|response|run|search|searching|start|status|steps?|stop"
    rb"|summary|text|thread|tools?|transcript|update|updated|usage|web)"
)
_EVENT = re.compile(rb"%b(?:[._-]?%b){0,7}" % (_WORDS, _WORDS))
_COMMENT = re.compile(
    rb":[ ]?(?:OPENROUTER PROCESSING"
    rb"|(?:keep-?alive|ping|heartbeat|connected|ok)(?:[ :-]{1,3}(?:%b|\d{1,13}(?:\.\d{1,6})?))?)?[ ]{0,8}" % _TIME,
    re.IGNORECASE,
)
#: What a text is like that holds a whole body.
_STARTS_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data:|event:|id:|retry:|:)")
_HAS_DATA = re.compile(rb"^data: ?[{\[].*\"(?:choices|object)\"", re.MULTILINE)
_STARTS_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")


def redact(source: OneSource, *, keep: Iterable[str] = ()) -> Iterator[bytes]:
    """The bytes of a log with everything said in it replaced by filler, to be shown to others.

    Each replaced text has the bytes, characters and escapes that it had, so that the log is read as it was: the same
    events, damage, offsets, members and usage.

    Parameters
    ----------
    source : path, bytes-like, binary file, iterable of bytes or response
        As for `decode`: an event stream, or JSON with event streams in its texts, a line each. What is compressed comes
        out decompressed.
    keep : iterable of str
        Names of members whose texts and numbers are kept, too.

    Yields
    ------
    bytes
        As many in all as the source has.

    Raises
    ------
    DecodeError
        If a compressed source is cut or damaged, behind all that was whole.

    Notes
    -----
    Names of members are kept, wherever they stand, and so are numbers of usage, times and places. Look at the result
    before you give it away.
    """
    found = resolve(source)
    return _redacted(blocks_of(found.bounded(None)), _Redactor(keep), found.name)


def _redacted(blocks: Iterator[bytes], redactor: _Redactor, name: str | None) -> Iterator[bytes]:
    """Redacts one whole piece after the other: lines of JSON, or events with the blank line behind them."""
    rest = bytearray()
    is_json: bool | None = None
    damage: CompressedDamage | None = None
    total = 0
    while True:
        try:
            block = next(blocks)
        except StopIteration:
            break
        except CompressedDamage as error:
            damage = error
            break
        total += len(block)
        start = len(rest)
        rest += block
        if is_json is None:
            head = bytes(rest[:64]).lstrip(BYTE_ORDER_MARK + SPACE)
            if not head and len(rest) < 64:
                continue
            is_json = head[:1] in (b"{", b"[")
        if is_json:
            end = rest.rfind(b"\n", start) + 1
        else:
            # A blank line may have begun in the block before; a CR at the end may be half of a line's end.
            last = None
            for last in _BLANK_LINE.finditer(rest, max(start - 3, 0), max(len(rest) - 1, 0)):  # noqa: B007
                pass
            end = last.end() if last else 0
        if not end and len(rest) > _MOST_BYTES:
            end = len(rest)
        if end:
            yield redactor.piece(bytes(rest[:end]), is_json)
            del rest[:end]
    if rest:
        yield redactor.piece(bytes(rest), bool(is_json))
    if damage is not None:
        raise DecodeError(damage.kind, damage.reason, offset=total, source=name)


class _Place:
    """A place in a document."""

    def __init__(self) -> None:
        #: The members around, are they arrays, and what is so around them.
        self.around: list[tuple[bytes, bool, int]] = []
        #: The member whose value comes next, and what is so at this place.
        self.key, self.inside = b"", 0

    def leave(self) -> None:
        """Goes to the start of another document."""
        self.around.clear()
        self.key, self.inside = b"", 0


class _Redactor:
    """Replaces what is said. Ids are replaced alike wherever they come."""

    def __init__(self, keep: Iterable[str]) -> None:
        if isinstance(keep, str):
            raise TypeError("keep is a list of names, not a str")
        self._keep = frozenset(name.encode() for name in keep)
        self._secret = os.urandom(16)
        self._place = _Place()

    def piece(self, data: bytes, is_json: bool) -> bytes:
        """Lines of JSON, or events."""
        return self._lines(data, self._place) if is_json else self._events(data)

    def _lines(self, data: bytes, place: _Place) -> bytes:
        """A document a line, or one over many, which a line goes on with that begins with no bracket."""
        pieces: list[bytes] = []
        for line, end in _LINE.findall(data):
            if line.startswith((b"{", b"[", BYTE_ORDER_MARK)):
                place.leave()
            pieces += (self._document(line, place), end)
        return b"".join(pieces)

    def _events(self, data: bytes) -> bytes:
        """Events: the data lines of each are read as one text."""
        pieces: list[bytes] = []
        places: list[int] = []  # of data lines in the pieces

        def flush() -> None:
            if places:
                whole = self._data(b"\n".join(pieces[place] for place in places))
                start = 0
                for place in places:
                    length = len(pieces[place])
                    pieces[place] = whole[start : start + length]
                    start += length + 1
                places.clear()

        for line, end in _LINE.findall(data):
            field = _FIELD.match(line)
            if not line:
                flush()
            elif field is None:
                pieces.append(line if _COMMENT.fullmatch(line) else self._unread(line))
            else:
                name, value = field[1], line[field.end() :]
                pieces.append(field[0])
                if name == b"data":
                    places.append(len(pieces))
                elif name == b"id":
                    value = self._id(value)
                elif name == b"retry" and value.isdigit() and not _DIGITS.fullmatch(value):
                    value = _ones(value)
                elif not (_EVENT if name == b"event" else _DIGITS).fullmatch(value):
                    value = self._filler(value)
                pieces.append(value)
            pieces.append(end)
        flush()
        return b"".join(pieces)

    def _data(self, data: bytes) -> bytes:
        return data if data.strip() in (b"[DONE]", b"") else self._document(data, _Place())

    def _unread(self, line: bytes) -> bytes:
        """A line that is no field, or a comment that says something."""
        name, colon, value = line.partition(b":")
        return self._filler(name) + colon + self._filler(value)

    def _document(self, data: bytes, place: _Place) -> bytes:
        """A JSON document, whole or not, or what comes next of one."""
        pieces: list[bytes] = []
        around, key, inside = place.around, place.key, place.inside
        # A member's name comes first in an object, or behind a comma. (At the top it may: data need not be whole.)
        may_be_name = True
        for token in _TOKEN.finditer(data):
            kind = token.lastgroup
            if kind == "kept" and token[0][0] in b" \t\r\n:":
                pieces.append(token[0])
                continue
            was_name, may_be_name = may_be_name, False
            is_in_array = bool(around) and around[-1][1]
            if token["text"] is not None:
                text = token["text"]
                if token["colon"] is not None and was_name:
                    key = text
                    pieces.append(token[0])
                    continue
                is_whole = bool(token["end"]) and not is_in_array
                pieces += (b'"', self._text(key, text, is_whole, inside), token["end"], token["colon"] or b"")
            elif token["number"] is not None:
                is_kept = key in self._keep or (
                    key not in _SPELT
                    and not inside & _IS_SAID
                    and (inside & _IS_COUNTED or _COUNTED.fullmatch(key) is not None)
                )
                pieces.append(token[0] if is_kept else _ones(token[0]))
            elif kind == "open":
                is_array = token[0] == b"["
                around.append((key, is_array, inside))
                inside |= _inside(key)
                if not is_array:
                    key, may_be_name = b"", True
                pieces.append(token[0])
                continue
            elif kind == "close":
                if around:
                    key, _, inside = around.pop()
                    is_in_array = bool(around) and around[-1][1]
                pieces.append(token[0])
            elif kind == "comma":
                may_be_name = not is_in_array
                pieces.append(token[0])
            elif kind == "kept":
                pieces.append(token[0])
            else:
                pieces.append(self._filler(token[0]))
            if not is_in_array:  # one value to a name
                key = b""
        place.key, place.inside = key, inside
        return b"".join(pieces)

    def _text(self, key: bytes, text: bytes, is_whole: bool, inside: int) -> bytes:
        """The inside of a text that belongs to a member."""
        if key in self._keep or not text:
            return text
        if inside & _IS_SAID:
            return self._filler(text)
        if is_whole and key in _CHOSEN and _NAME.fullmatch(text):
            own = _OWN_MODEL.fullmatch(text)
            return text if own is None else own[1] + self._filler(own[2])
        if key == b"model" or (key in _IDS and _NAME.fullmatch(text)):
            return self._id(text)
        if _TIMED.fullmatch(key) and _TIMES.fullmatch(text):
            return text
        found = None if inside & _IS_SPOKEN else self._nested(text)
        return found or self._filler(text)

    def _nested(self, text: bytes) -> bytes | None:
        """A text that holds an event stream, or JSON with chunks; None if it is neither."""
        head = text[:200]
        if not (b":" in head or head.lstrip()[:1] in (b"[", b"{")):
            return None
        units = [match[0] for match in _UNIT.finditer(text)]
        inner = b"".join(_unescaped(unit) for unit in units)
        if _STARTS_EVENTS.match(inner) and _HAS_DATA.search(inner):
            redacted = self._events(inner)
        elif _STARTS_JSON.match(inner) and (b'"choices"' in inner or b"data:" in inner):
            redacted = self._lines(inner, _Place())
        else:
            return None
        pieces = []
        at = 0
        for unit in units:
            length = len(_unescaped(unit)) if unit[0] == 0x5C else len(unit)
            pieces.append(_escaped_like(unit, inner[at : at + length], redacted[at : at + length]))
            at += length
        return b"".join(pieces)

    def _id(self, text: bytes) -> bytes:
        """Another id of the same form, always the same for this one."""
        prefix = _ID_PREFIX.match(text)
        start = prefix.end() if prefix else 0
        digest = hashlib.blake2b(text, key=self._secret).digest()
        other = bytearray(text)
        for at in range(start, len(text)):
            byte, noise = text[at], digest[at % len(digest)]
            if 0x30 <= byte <= 0x39:
                other[at] = 0x30 + noise % 10
            elif 0x61 <= byte <= 0x7A:
                other[at] = 0x61 + noise % (6 if byte <= 0x66 else 26)
            elif 0x41 <= byte <= 0x5A:
                other[at] = 0x41 + noise % 26
            elif byte >= 0x80 or byte == 0x5C:
                return self._filler(text)
        return bytes(other)

    def _filler(self, text: bytes) -> bytes:
        return b"".join(_filler_of(match[0]) for match in _UNIT.finditer(text))


def _filler_of(unit: bytes) -> bytes:
    first = unit[0]
    if first == 0x5C:  # a backslash
        if len(unit) == 12:
            return _SURROGATES
        if len(unit) == 6:
            value = int(unit[2:], 16)
            if 0xD800 <= value < 0xE000:
                return _HIGH if value < 0xDC00 else _LOW
            if value < 0x20 or value in (0x22, 0x5C, 0x85, 0x2028, 0x2029, 0xFEFF):
                return unit
            return rb"\u0078" if value < 0x80 else rb"\u00e9" if value < 0x800 else rb"\u3042"
        return unit if len(unit) == 2 and unit[1] in b'"\\/bfnrt' else b"\\x"[: len(unit)]
    if first < 0x20:
        return unit
    if first < 0x80:
        return b"x" * len(unit)
    if len(unit) == 1:
        return b"\x80" if first < 0xC0 else b"\xff"
    if first == 0xED and unit[1] >= 0xA0:
        return b"\xed\xa0\x80" if unit[1] < 0xB0 else b"\xed\xb0\x80"
    whole = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    return unit if unit in _TELLING else _FILLER[whole][: len(unit)]


def _ones(number: bytes) -> bytes:
    """A number like this one, with the zeros that it has."""
    return re.sub(rb"[1-9]", b"1", number)


def _inside(key: bytes) -> int:
    """What is so inside of the object or array of a member."""
    return (
        _IS_COUNTED * (key in _COUNTED_INSIDE) | _IS_SPOKEN * (key in _SPOKEN_INSIDE) | _IS_SAID * (key in _SAID_INSIDE)
    )


_SHORT = {
    b'\\"': b'"',
    b"\\\\": b"\\",
    b"\\/": b"/",
    b"\\b": b"\b",
    b"\\f": b"\f",
    b"\\n": b"\n",
    b"\\r": b"\r",
    b"\\t": b"\t",
}


def _unescaped(unit: bytes) -> bytes:
    if unit[0] != 0x5C:
        return unit
    if len(unit) == 12:
        high, low = int(unit[2:6], 16), int(unit[8:], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()
    if len(unit) == 6:
        return chr(int(unit[2:], 16)).encode("utf-8", "surrogatepass")
    return _SHORT.get(unit, unit)


def _escaped_like(unit: bytes, old: bytes, new: bytes) -> bytes:
    """A character that takes the place of another, escaped as that was."""
    if unit[0] != 0x5C:
        return new
    if old == new:
        return unit
    if len(unit) == 12:
        return _SURROGATES
    if len(unit) == 6:
        return b"\\u%04x" % ord(new.decode("utf-8", "surrogatepass"))
    return new if len(unit) == len(new) else unit
