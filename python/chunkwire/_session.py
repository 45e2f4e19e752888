"""Decoding for a client that has a parser of its own: the bytes of a response in, chunks or the client's own objects
out, and what is not plain back to the client.

The same as ``rust/live.rs`` and ``rust/python/models.rs``, which say what is plain and what a plan is; it serves where
the extension is missing, and it is their slow twin in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from chunkwire._json import MAX_DEPTH
from chunkwire._views import Chunk

__all__ = ["Models", "Relay", "Session"]

#: A word and what belongs to it.
Spec: TypeAlias = tuple[Any, ...]

_LINE_END = re.compile(rb"\r\n|\n|\r")
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
        cls, (fields_set, extra, private), self.defaults, fields = model
        self.fields = {name: (required, construct, check) for name, required, construct, check in fields}
        self.required = [name for name, required, _, _ in fields if required]

        def instance(values: dict[str, Any], names: set[str], extras: dict[str, Any]) -> Any:
            made = object.__new__(cls)
            object.__setattr__(made, "__dict__", values)
            fields_set.__set__(made, names)
            extra.__set__(made, extras)
            private.__set__(made, None)
            return made

        self.instance = instance


class Models:
    """The plan of a model class and of those below it."""

    def __init__(self, models: list[tuple[Any, ...]]) -> None:
        self._models = [_Model(model) for model in models]

    def make(self, root: dict[str, Any]) -> Any:
        """An instance of the outermost model."""
        return self._object(0, root, False)

    def _object(self, number: int, sent: dict[str, Any], checked: bool) -> Any:
        model = self._models[number]
        values, names, extras = model.defaults.copy(), set(), {}
        declined = False
        for key, value in sent.items():
            if key not in model.fields:
                if key.startswith("_"):
                    raise _Declined
                extras[key] = value
                if checked:  # pydantic counts these among the fields that were set, openai does not
                    names.add(key)
                continue
            names.add(key)
            _, construct, check = model.fields[key]
            try:
                if checked:
                    values[key] = self._check(check, value)
                elif value is not None:
                    values[key] = self._construct(construct, value)
            except _Declined:
                declined = True
        if checked and not names.issuperset(model.required):
            raise _Invalid
        if declined:
            raise _Declined
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


class Session:
    """One response: `feed` bytes, iterate for what they complete, and ask for what is `foreign` whenever that ends."""

    def __init__(self, models: Models | None = None, *, chunks_only: bool = False) -> None:
        self._make: Callable[[dict[str, Any]], Any] | None = models.make if models is not None else None
        self._chunks_only = chunks_only
        #: The beginning of a block, and where its open line begins.
        self._pending = bytearray()
        self._line = 0
        self._after_cr = False
        self._has_id = False
        self._offset = 0
        self._foreign: bytes | None = None
        self._items: Iterator[Any] = iter(())
        self._source: Iterator[bytes] | None = None
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
        self._items = self._decode(start)
        return self

    def pull(self, source: Iterable[bytes], counted: tuple[object, str] | None = None) -> Session:
        """Takes an iterator of bytes, and feeds itself from it; iterate for everything. ``counted`` is an object and
        the name of its attribute that is to say how many bytes have come."""
        self._source = iter(source)
        self._counted = counted
        self._pulled = 0
        return self

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
                if self._counted is not None:
                    self._pulled += len(data)
                    setattr(*self._counted, self._pulled)
                self.feed(data)
        raise StopIteration

    def foreign(self) -> bytes | None:
        """The block that comes next and is not plain, as the client's parser is to read it; None if there is none."""
        block, self._foreign = self._foreign, None
        return block

    def rest(self) -> bytes:
        """The beginning of a block that is left at the end."""
        rest, self._pending, self._line = bytes(self._pending), bytearray(), 0
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

    def _block(self, block: bytes, offset: int) -> Any:
        """What a plain block holds."""
        data, has_type, plain, had_id = None, False, True, self._has_id
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
        if self._make is None:
            return Chunk(sent, offset, data)
        try:
            return self._make(sent)
        except _Invalid:
            raise _Declined from None


class Relay:
    """What a generator gives; where that gives a session, what the session gives until it ends."""

    def __init__(self, steps: Iterator[Any]) -> None:
        self._steps = steps
        self._session: Session | None = None

    def __iter__(self) -> Relay:
        return self

    def __next__(self) -> Any:
        while True:
            if self._session is not None:
                try:
                    for item in self._session:
                        return item
                except BaseException:
                    self.close()
                    raise
                self._session = None
            step = next(self._steps)
            if type(step) is not Session:
                return step
            self._session = step

    def close(self) -> None:
        """Ends the generator."""
        self._session = None
        self._steps.close()  # type: ignore[attr-defined]
