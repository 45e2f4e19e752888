"""Events for clients that have a class of their own for them, as the engines make them: whose class, what is wrong."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from chunkwire import _engine

DEFAULTS = {"id": None, "kind": "message", "text": "", "retry": None}
NAMES = ("kind", "text", "id", "retry")


class Event:
    """A client's."""


def make(engine: str, rules: str = "standard", kind: Any = Event, **options: Any) -> Any:
    return _engine.load(engine).ClientEvents(rules, kind, DEFAULTS, NAMES, **options)


def test_whose_class(engine: str) -> None:
    [event] = make(engine).feed(b"id: 1\ndata: a\n\ndata: b\n")
    assert type(event) is Event
    assert list(vars(event).items()) == [("id", "1"), ("kind", "message"), ("text", "a"), ("retry", None)]
    assert DEFAULTS["text"] == ""


def test_classes_that_are_made_otherwise(engine: str) -> None:
    for kind in (int, type("New", (), {"__new__": lambda cls: 1}), dict):
        with pytest.raises(TypeError, match="a __new__ of its own"):
            make(engine, kind=kind)


def test_what_is_wrong(engine: str) -> None:
    module = _engine.load(engine)
    with pytest.raises(ValueError, match="no rules of this name: other"):
        make(engine, "other")
    for defaults in ({"id": None}, {**DEFAULTS, "more": 1}, {}):
        with pytest.raises(ValueError, match="do not belong together"):
            module.ClientEvents("standard", Event, defaults, NAMES)
    events = make(engine)
    events.feed(b"data: a\n\n")
    with pytest.raises(ValueError, match="before all of the last bytes was iterated"):
        events.feed(b"data: b\n\n")
    with pytest.raises(TypeError):
        events.pull(5)


def test_feeding_and_pulling(engine: str) -> None:
    for rules, count in (("standard", 2), ("httpx_sse", 2), ("sseclient", 3)):
        data = b"data: a\n\ndata: b\r\n\r\ndata: c"
        pieces = [data[at : at + 3] for at in range(0, len(data), 3)]
        pulled = [event.text for event in make(engine, rules).pull(pieces)]
        assert pulled == ["a", "b", "c"][:count]
        events = make(engine, rules)
        assert [event.text for piece in pieces for event in events.feed(piece)] == ["a", "b"]


def test_counting(engine: str) -> None:
    class Counter:
        bytes = 0

    counter = Counter()
    events = make(engine).pull([b"data: a\n", b"", b"\ndata: b\n\n", b"x"], (counter, "bytes"))
    assert [(event.text, counter.bytes) for event in events] == [("a", 18), ("b", 18)]
    assert counter.bytes == 19


def test_a_source_that_fails(engine: str) -> None:
    def source() -> Iterator[bytes]:
        yield b"data: a\n\ndata: b"
        raise OSError("gone")

    for rules in ("standard", "httpx_sse", "sseclient"):
        events = make(engine, rules).pull(source())
        assert next(events).text == "a"
        with pytest.raises(OSError, match="gone"):
            next(events)
        assert list(events) == []


def test_a_source_that_uses_its_own_events(engine: str) -> None:
    def source() -> Iterator[bytes]:
        yield b"data: a\n\n"
        next(events)

    events = make(engine)
    events.pull(source())
    assert next(events).text == "a"
    with pytest.raises(ValueError, match="already"):
        next(events)


def test_cycles_are_collected(engine: str) -> None:
    class Source:
        events: Any = None

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            return b"data: a\n\n"

    source = Source()
    source.events = make(engine).pull(source, (source, "count"))
    next(source.events)
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None
