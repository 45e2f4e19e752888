"""Objects that serve again: a log of chunks that all differ, read in every way of holding on to what is given."""

from __future__ import annotations

import gc
import json
import random
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import chunkwire
from support import event

COUNT = 700
"""Several batches of the native engine."""


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "choices": [{"index": number, "delta": {"content": f"t{number}"}, "finish_reason": None}],
        "usage": {"prompt_tokens": number, "total_tokens": number * 2},
    }


LOG = b"".join(event(document(number)) for number in range(COUNT))

Way = tuple[str, Any]


def parts(chunk: Any) -> Iterator[Way]:
    """What can be held of a chunk, each with the way to look at it later."""
    yield "chunk", chunk
    yield "choices", chunk.choices
    yield "choice", chunk.choices[0]
    yield "delta", chunk.choices[0].delta
    yield "usage", chunk.usage
    yield "content", chunk.content


def look(what: str, held: Any) -> Any:
    """The number of the chunk that it is of."""
    match what:
        case "chunk":
            assert held.to_dict()["choices"][0]["index"] == held.usage.prompt_tokens
            return held.choices[0].index
        case "choices":
            assert len(held) == 1
            return held[0].index
        case "choice":
            assert held.delta.content == f"t{held.index}"
            return held.index
        case "delta":
            return int(held.content[1:])
        case "usage":
            assert held.total_tokens == 2 * held.prompt_tokens
            return held.prompt_tokens
        case _:
            return int(held[1:])


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_what_is_held_stays(engine: str, share: float) -> None:
    generator = random.Random(7)
    held: list[tuple[int, str, Any]] = []
    window: list[tuple[int, str, Any]] = []
    for number, chunk in enumerate(chunkwire.decode(LOG, engine=engine)):
        for what, part in parts(chunk):
            assert look(what, part) == number
            if generator.random() < share:
                held.append((number, what, part))
            window.append((number, what, part))
        # Some are held for a while only, and looked at while later chunks are read.
        while len(window) > 9:
            was, what, part = window.pop(generator.randrange(len(window)))
            assert look(what, part) == was
    del chunk, part
    gc.collect()
    for number, what, part in held + window:
        assert look(what, part) == number


def test_fed_chunks_stay_too(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine)
    held = []
    for start in range(0, len(LOG), 5000):
        for chunk in decoder.feed(LOG[start : start + 5000]):
            held += [(what, part) for what, part in parts(chunk) if chunk.usage.prompt_tokens % 3 == 0]
    decoder.finish()
    assert [look(what, part) for what, part in held] == [number for number in range(0, COUNT, 3) for _ in range(6)]


def test_objects_serve_again(native: str) -> None:
    """The iterator holds one reference more, for the next use, until it goes on to other chunks."""
    chunks = chunkwire.decode(LOG, engine=native)
    first = next(chunks)
    delta = first.choices[0].delta
    owners = sys.getrefcount(first), sys.getrefcount(delta)
    for _ in chunks:
        pass
    assert (sys.getrefcount(first), sys.getrefcount(delta)) == (owners[0] - 1, owners[1] - 1)
    assert first.choices[0].delta is not first.choices[0].delta, "nothing is kept when the iterator has gone on"

    views: set[int] = set()
    keep: list[Any] = []
    for number, chunk in enumerate(chunkwire.decode(LOG, engine=native)):
        if number == 100:
            break
        # Memory that came free would go to these.
        keep += [bytearray(size) for size in range(0, 256, 8)] + [bytes(size) for size in range(0, 256, 8)]
        views |= {id(chunk), id(chunk.choices), id(chunk.choices[0]), id(chunk.choices[0].delta)}
    assert len(views) == 8, "two of each, in turns"


def test_lists_that_were_changed_do_not_serve_again(engine: str) -> None:
    for number, chunk in enumerate(chunkwire.decode(LOG, engine=engine)):
        assert [choice.index for choice in chunk.choices] == [number]
        match number % 4:
            case 0:
                chunk.choices.append("more")
            case 1:
                chunk.choices.clear()
            case 2:
                chunk.choices[0] = "other"


def test_a_list_that_holds_its_iterator_is_collected(engine: str) -> None:
    class Canary:
        pass

    for feed in (False, True):
        canary = Canary()
        gone = weakref.ref(canary)
        decoder = chunkwire.Decoder(engine=engine)
        chunks: Any = decoder.feed(LOG) if feed else chunkwire.decode(LOG, engine=engine)
        next(iter(chunks)).choices.extend([canary, chunks, decoder])
        del canary, chunks, decoder
        gc.collect()
        assert gone() is None


def test_the_last_chunk_does_not_hold_the_iterator(engine: str) -> None:
    source = bytes(bytearray(LOG))
    before = sys.getrefcount(source)
    chunks = chunkwire.decode(source, engine=engine)
    chunk = next(chunks)
    assert chunk.choices[0].delta.content == "t0"
    del chunks
    assert chunk.choices[0].delta.content == "t0"
    del chunk
    gc.collect()
    assert sys.getrefcount(source) == before


def test_threads_read_what_one_iterator_gave(engine: str) -> None:
    chunks = chunkwire.decode(LOG, engine=engine)
    given = [next(chunks) for _ in range(100)]
    problems: list[BaseException] = []
    start = threading.Barrier(4)

    def read() -> None:
        try:
            start.wait()
            for _ in range(20):
                for number, chunk in enumerate(given):
                    for what, part in parts(chunk):
                        assert look(what, part) == number
        except BaseException as problem:
            problems.append(problem)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert problems == []


TEXTS = [
    *("", "a", "ab", "abc", "\n", "\n\n", '"', "\\n", "\\", " the", "é", "naïve", "北京", "😊", "\0", "\x7f", "\ud83d"),
    *("x" * length for length in range(20)),
    *("x" * length + "y" + "x" * (15 - length) for length in range(16)),
    *(left + right for left in ("ab", "ba", "aab", "é") for right in ("", "b", "bb", "bbbb", "bbbbbbbb")),
]
"""Texts that differ in one place only, and those that JSON can say in several ways."""


def test_short_texts_are_told_apart(engine: str) -> None:
    generator = random.Random(11)
    many = ["".join(generator.choices('ab"\\\né€😊', k=generator.randrange(1, 6))) for _ in range(3000)]
    texts = TEXTS * 3 + many
    for ascii in (True, False):
        documents = [{"id": "a", "choices": [{"delta": {"content": text, "role": text}}]} for text in texts]
        sent = [json.dumps(document, ensure_ascii=ascii).encode("utf-8", "surrogatepass") for document in documents]
        if not ascii:
            # A lone surrogate is no UTF-8.
            sent = [data for data, text in zip(sent, texts, strict=True) if "\ud83d" not in text]
        expected = [json.loads(data)["choices"][0]["delta"]["content"] for data in sent]
        log = b"".join(event(data) for data in sent)
        assert [chunk.content for chunk in chunkwire.decode(log, engine=engine)] == expected
        assert list(chunkwire.contents(log, engine=engine)) == expected
        roles = [chunk.choices[0].delta.role for chunk in chunkwire.decode(log, engine=engine)]
        assert roles == expected


def test_tokens_are_one_object(native: str) -> None:
    texts = [" token", "\n\n", " naïve", " token", "\n\n", " naïve"]
    log = b"".join(event({"id": "a", "choices": [{"delta": {"content": text}}]}) for text in texts)
    found = list(chunkwire.contents(log, engine=native))
    assert found == texts
    assert all(one is other for one, other in zip(found[:3], found[3:], strict=True))
