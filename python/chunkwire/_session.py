"""Decoding for a client that has a parser of its own: the bytes of a response in, chunks or the client's own objects
out, and what is not plain back to the client.

The same as ``rust/live.rs``, ``rust/python/plan.rs`` and ``rust/python/models.rs``, which say what is plain and what a
plan is; it serves where the extension is missing, and it is their slow twin in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeAlias

from chunkwire._json import MAX_DEPTH
from chunkwire._views import Chunk

__all__ = ["Models", "Session"]

#: A word and what belongs to it.
Spec: TypeAlias = tuple[Any, ...]

_LINE_END = re.compile(rb"\r\n|\n|\r")
#: How clients find the end of a block that look for two line ends in a row, in the bytes that came so far.
_BOUNDARIES = {
    "any pair": re.compile(rb"\r\n\r\n|\r\n\r|\r\n\n|\r\r\n|\n\r\n|\r\r|\n\r|\n\n"),
    "same pair": re.compile(rb"\r\n\r\n|\n\n|\r\r"),
}
_LONGEST = 4
#: More levels than this are left to a client that writes what it read once more.
_MAX_WRITTEN_DEPTH = 64
#: A float holds integers up to here exactly.
_EXACT = 1 << 53
_NUMBERS = frozenset({int, float, str, bool})


class _Invalid(Exception):
    """The client's validation would fail."""


class _Declined(Exception):
    """The client has to make the value itself: its validation might change it."""


class _Model:
    """A model class, and how its instances are filled."""

    def __init__(self, model: tuple[Any, ...]) -> None:
        cls, (fields_set, extra, private), self.defaults, self.keeps_extras, fields = model
        self.fields = {key: (name, construct, check) for name, key, _, construct, check, _ in fields}
        self.required = [name for name, _, required, _, _, _ in fields if required]
        #: Names of fields that are called otherwise in JSON: only the client knows which of both counts.
        self.names = {name for name, key, *_ in fields if name != key}
        #: The fields that have an empty instance of this model of their own by default.
        self.fresh = [(name, fresh) for name, _, _, _, _, fresh in fields if fresh is not None]

        def instance(values: dict[str, Any], names: set[str], extras: dict[str, Any] | None) -> Any:
            made = object.__new__(cls)
            object.__setattr__(made, "__dict__", values)
            fields_set.__set__(made, names)
            if extra is None:  # the class hides the slot
                values["__pydantic_extra__"] = extras
            else:
                extra.__set__(made, extras)
            private.__set__(made, None)
            return made

        self.instance = instance

    def is_odd(self, key: str) -> bool:
        """May a member that is no field mean something all the same, to pydantic or to the client's constructor?"""
        return (self.keeps_extras and key.startswith("_")) or key in self.names


class Models:
    """The plan of a model class and of those below it. With `inside`, a document is the value of that field of the
    first model."""

    def __init__(self, models: list[tuple[Any, ...]], *, inside: str | None = None) -> None:
        self._models = [_Model(model) for model in models]
        if inside is not None and inside not in self._models[0].fields:
            raise ValueError(f"no field {inside!r}")
        self._inside = inside

    def make(self, root: dict[str, Any]) -> Any:
        """An instance of the outermost model."""
        return self._object(0, root, False) if self._inside is None else self._object(0, {self._inside: root}, True)

    def _object(self, number: int, sent: dict[str, Any], checked: bool) -> Any:
        model = self._models[number]
        values, names = model.defaults.copy(), set()
        extras: dict[str, Any] | None = {} if model.keeps_extras else None
        declined = False
        for key, value in sent.items():
            if key not in model.fields:
                if model.is_odd(key):
                    raise _Declined
                if extras is not None:
                    extras[key] = value
                    if checked:  # pydantic counts these among the fields that were set, openai does not
                        names.add(key)
                continue
            name, construct, check = model.fields[key]
            names.add(name)
            try:
                if checked:
                    values[name] = self._check(check, value)
                elif value is not None:
                    values[name] = self._construct(construct, value)
            except _Declined:
                declined = True
        if checked and not names.issuperset(model.required):
            raise _Invalid
        if declined:
            raise _Declined
        for name, fresh in model.fresh:
            if name not in names:
                values[name] = self._models[fresh].instance({}, set(), None)
        return model.instance(values, names, extras)

    def _construct(self, spec: Spec, value: Any) -> Any:
        word, kind = spec[0], type(value)
        if word == "client" or (word == "model" and kind is list):
            raise _Declined
        if word == "float" and kind in (int, bool):
            return _float(value)
        if word == "model" and kind is dict:
            return self._object(spec[1], value, False)
        if word == "list" and kind is list:
            return [self._construct(spec[1], item) for item in value]
        if word == "optional":
            try:
                return self._check(spec[1], value)
            except _Invalid:
                return self._construct(spec[2], value)
        return value

    def _check(self, spec: Spec, value: Any) -> Any:
        word, kind = spec[0], type(value)
        if word == "client":
            raise _Declined
        if word == "nullable":
            return None if value is None else self._check(spec[1], value)
        if word == "any" or _EXPECTED.get(word) is kind:
            if word == "str" and not _is_unicode(value):
                raise _Declined
            return value
        if word == "literal" and kind is str and value in spec[1]:
            return value
        if word == "open" and kind is str:
            return value if value in spec[1] else spec[2](value)
        if word == "enum" and kind is str:
            return self._member(spec[1], value)
        if word == "kinds":
            return self._check(spec[1][_KINDS.get(kind, 3)], value)
        if word == "float" and kind is int:
            return _float(value)
        if word == "model" and kind is dict:
            return self._object(spec[1], value, True)
        if word == "list" and kind is list:
            return self._list(spec[1], value)
        # A validation that is not strict makes one of the other.
        if word in ("int", "float", "bool") and kind in _NUMBERS:
            raise _Declined
        raise _Invalid

    def _member(self, members: list[tuple[str, Any]], value: str) -> Any:
        for text, member in members:
            if text == value:
                return member
        raise _Invalid

    def _list(self, spec: Spec, items: list[Any]) -> list[Any]:
        made, declined = [], False
        for item in items:
            try:
                made.append(self._check(spec, item))
            except _Declined:
                declined = True
        if declined:
            raise _Declined
        return made


#: Which of the checks by kind is whose; the last is that of all others.
_KINDS: dict[type, int] = {str: 0, dict: 1, list: 2}
_EXPECTED: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def _float(value: int) -> float:
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return float(value)
    raise _Declined


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_deep(sent: Any) -> bool:
    level, depth = [sent], 1
    while level and depth <= _MAX_WRITTEN_DEPTH:
        members = [one.values() if type(one) is dict else one for one in level]
        level, depth = [below for one in members for below in one if type(below) in (dict, list)], depth + 1
    return bool(level)


def _has_lone_surrogate(data: bytes, sent: Any) -> bool:
    return b"\\u" in data and not _is_unicode(json.dumps(sent, ensure_ascii=False))


class Session:
    """One response: `feed` bytes, iterate for what they complete, and ask for what is `foreign` whenever that ends."""

    def __init__(self, models: Models | None = None, *, chunks_only: bool = False, framing: str = "lines") -> None:
        if framing not in ("lines", *_BOUNDARIES):
            raise ValueError(f'no framing is called "{framing}"')
        self._make: Callable[[dict[str, Any]], Any] | None = models.make if models is not None else None
        self._chunks_only = chunks_only
        #: What a client looks for that does not look for empty lines.
        self._boundary = _BOUNDARIES.get(framing)
        #: What is not decoded, where it begins, and where its open line begins.
        self._pending = bytearray()
        self._begin = 0
        self._line = 0
        self._after_cr = False
        self._has_id = False
        self._offset = 0
        self._foreign: bytes | None = None
        self._items: Iterator[Any] = iter(())
        self._source: Iterator[bytes] | None = None
        self._reads: AsyncIterator[bytes] | None = None
        self._error: Exception | None = None
        self._counted: tuple[object, str] | None = None
        self._pulled = 0

    def feed(self, data: bytes) -> Session:
        """Takes bytes; iterate for what they complete."""
        if self._foreign is not None or next(self._items, None) is not None:
            raise ValueError("feed() before all of the last bytes was iterated")
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
                self._offset += 1
        start = len(self._pending)
        self._pending += data
        self._items = self._decode(start) if self._boundary is None else self._decode_pairs(start, self._boundary)
        return self

    def pull(self, source: Iterable[bytes], counted: tuple[object, str] | None = None) -> Session:
        """Takes an iterator of bytes, and feeds itself from it; iterate for everything. ``counted`` is an object and
        the name of its attribute that is to say how many bytes have come."""
        self._source = iter(source)
        self._counted = counted
        self._pulled = 0
        return self

    def apull(self, source: AsyncIterator[bytes], counted: tuple[object, str] | None = None) -> Session:
        """Takes an asynchronous iterator of bytes, for an `AsyncRelay` that feeds this from it; ``counted`` is that of
        `pull`."""
        self._reads = source
        self._counted = counted
        self._pulled = 0
        return self

    def read(self) -> Awaitable[bytes] | None:
        """More bytes; None if no more are needed, or none will come."""
        return None if self._reads is None or self._foreign is not None else self._reads.__anext__()

    def take_read(self, data: bytes | None) -> None:
        """Takes what `read` came to; None for its end."""
        if data is None:
            self._reads = None
        else:
            self._count(data)
            self.feed(data)

    def take_error(self, error: BaseException) -> bool:
        """Takes an error of `read`; false if it is for others."""
        if not isinstance(error, Exception):
            return False
        self._reads, self._error = None, error
        return True

    def error(self) -> Exception | None:
        """The exception with which the iterator ended, if it did."""
        error, self._error = self._error, None
        return error

    def __iter__(self) -> Session:
        return self

    def __next__(self) -> Any:
        while self._foreign is None:
            for item in self._items:
                if self._foreign is not None:
                    raise StopIteration
                return item
            if self._source is None:
                break
            try:
                data = next(self._source)
            except StopIteration:
                self._source = None
            except Exception as error:
                self._source, self._error = None, error
            else:
                self._count(data)
                self.feed(data)
        raise StopIteration

    def _count(self, data: bytes) -> None:
        if self._counted is not None:
            self._pulled += len(data)
            setattr(*self._counted, self._pulled)

    def foreign(self) -> bytes | None:
        """The block that comes next and is not plain, as the client's parser is to read it; None if there is none."""
        block, self._foreign = self._foreign, None
        return block

    def rest(self) -> bytes:
        """What is not decoded: the beginning of a block that is left at the end, or all behind one that is foreign."""
        rest, self._pending, self._line = bytes(self._pending[self._begin :]), bytearray(), 0
        self._begin, self._items = 0, iter(())
        return rest

    def _decode(self, start: int) -> Iterator[Any]:
        """What the blocks that end behind ``start`` hold; None for one that is foreign."""
        begin = 0
        pending = self._pending
        at = max(start - 1, self._line)  # a CR may have been the last
        while (end := _LINE_END.search(pending, max(at, self._line))) is not None:
            # A CR at the very end may be half a CRLF; only behind an empty line it need not be known.
            cut = end[0] == b"\r" and end.end() == len(pending)
            if end.start() > self._line:
                if cut:
                    break
                self._line = at = end.end()
                continue
            block = bytes(pending[begin : end.end()])
            self._after_cr = cut
            self._line = at = begin = end.end()
            offset, self._offset = self._offset, self._offset + len(block)
            try:
                item = self._block(block, offset)
            except _Declined:
                self._foreign = (b"id: 0\n" if self._has_id else b"") + block
                yield None
                continue
            if item is not None:
                yield item
        end = None  # it holds the bytes
        del pending[:begin]
        self._line -= begin

    def _decode_pairs(self, start: int, boundary: re.Pattern[bytes]) -> Iterator[Any]:
        """The same for blocks that end at pairs of line ends, of which a part may have come before ``start``. Pairs may
        overlap: the block between is empty."""
        at, pending, is_behind = max(start - _LONGEST + 1, 0), self._pending, False
        while (end := boundary.search(pending, at)) is not None:
            block, offset = bytes(pending[self._begin : end.start()]), self._offset + self._begin
            self._begin, at = end.end(), end.start() + 1
            try:
                item = self._block(block, offset)
            except _Declined:
                is_behind = True
            else:
                # A block that is nothing is foreign right behind one that is.
                is_behind &= item is None
            if is_behind:
                self._foreign = block
                yield None
            elif item is not None:
                yield item
        end = None  # it holds the bytes
        del pending[: self._begin]
        self._offset, self._begin = self._offset + self._begin, 0

    def _block(self, block: bytes, offset: int) -> Any:
        """What a plain block holds."""
        is_in_pairs = self._boundary is not None
        data, has_type, plain, had_id = None, False, True, self._has_id and not is_in_pairs
        for line in _LINE_END.split(block):
            name, colon, value = line.partition(b":")
            value = value[1:] if value[:1] == b" " else value
            if name == b"data" and data is None:
                data = value
            elif name == b"id":
                plain = False
                if b"\0" not in value:
                    self._has_id = bool(value)
            elif line:
                has_type |= name == b"event"
                plain &= (not name and bool(colon)) or (name == b"event" and not value.startswith(b"thread."))
        if not plain or (data is None and (has_type or had_id)):
            raise _Declined
        try:
            block.decode()
            # What is nested too deeply for one thread may do for another: so it is left to the client.
            if data is not None and data.count(b"{") + data.count(b"[") > MAX_DEPTH:
                raise _Declined
            sent = None if data is None else json.loads(data.decode())
        except (ValueError, RecursionError):
            raise _Declined from None
        if data is None:
            return None
        if type(sent) is not dict or sent.get("error") or (self._chunks_only and "choices" not in sent):
            raise _Declined
        # Such a client writes the document once more, which needs text that is Unicode and not nested deeply.
        if is_in_pairs and data is not None and (data[:1] != b"{" or _is_deep(sent) or _has_lone_surrogate(data, sent)):
            raise _Declined
        if self._make is None:
            return Chunk(sent, offset, data)
        try:
            return self._make(sent)
        except _Invalid:
            raise _Declined from None
