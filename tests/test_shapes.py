"""Shapes, the fast path for events that are built like earlier ones: with them, without them (``CHUNKWIRE_SHAPES=0``)
and by the oracle, the results are the same.

The logs are recordings ($CHUNKWIRE_STREAMS) and streams from `logs`, repeated, one behind the other and interleaved,
and the logs of `hostile`; what comes out is compared in every detail.

``CHUNKWIRE_TEST_CASES`` sets how often the hostile logs break what they made a decoder expect.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import logs
from generators import words
from hostile import Hostile
from oracle import Result, oracle
from rows import check_with, first, last, part, report
from support import assert_counts, canonical, drain, event, full, full_of, light, light_of, push, recorded
from views import assert_view, content_of

CASES = int(os.environ.get("CHUNKWIRE_TEST_CASES", "2400"))
#: How often one hostile log breaks what it made a decoder expect.
BREAKS = 12
#: So many tests share them, for machines with several processors.
PARTS = 4

if os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
    pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested", allow_module_level=True)
FILES = recorded()
with_recordings = pytest.mark.skipif(not FILES, reason="CHUNKWIRE_STREAMS is not set, or holds no *.sse")


@pytest.fixture(params=["shapes", "careful"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that asks for it runs once on each way."""
    monkeypatch.setenv("CHUNKWIRE_SHAPES", "1" if request.param == "shapes" else "0")
    return str(request.param)


def decode(source: Any, **options: Any) -> Any:
    return chunkwire.decode(source, engine="native", **options)


def assert_equal(found: list[Any], expected: list[Any], what: str) -> None:
    """Names the first difference; pytest would take minutes to show two long lists."""
    if found != expected:
        number = next((n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), -1)
        assert found[number : number + 1] == expected[number : number + 1], f"{what}, item {number}"
        assert len(found) == len(expected), what


def assert_whole(data: bytes, result: Result, **options: Any) -> list[Any]:
    """All at once: what is found, in order and in every detail, and the counts. Gives the chunks."""
    chunks = decode(data, **options)
    found = drain(chunks)
    assert_equal(full(found), full_of(result), "decode")
    assert_counts(chunks.stats, result)
    only = [one for one in found if not isinstance(one, Exception)]
    contents = [canonical(one.content) for one in only]
    assert_equal(contents, [canonical(content_of(item.doc)) for item in result.chunks], "content")
    return only


def assert_cut(pieces: list[bytes], result: Result, **options: Any) -> tuple[int, int]:
    """The same in pieces. Gives how many chunks went which way."""
    decoder = chunkwire.Decoder(engine="native", **options)
    assert_equal(full(push(decoder, pieces)), full_of(result), "feed")
    assert_counts(decoder.stats, result)
    paths: tuple[int, int] = decoder.finish()._paths  # type: ignore[attr-defined]
    return paths


# --- recorded streams


@with_recordings
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_again_and_again(way: str, path: Path) -> None:
    """The third time all shapes are known: then every attribute of every chunk is looked at, too."""
    pieces = logs.recording(path)
    data, result = logs.joined(pieces * 3)
    chunks = assert_whole(data, result)
    known = len(chunks) * 2 // 3
    for chunk, item in zip(chunks[known:], result.chunks[known:], strict=True):
        assert_view(chunk, "Chunk", item.doc)
    check_with("native", data, result)


@with_recordings
def test_what_is_joined_is_what_the_oracle_says_of_the_whole() -> None:
    """The test of a helper: `logs.joined` moves what was found in the pieces."""
    rng = random.Random(1)
    streams = [logs.recording(path) for path in rng.sample(FILES, 20)]
    data, result = logs.joined(logs.interleaved(rng, streams, 5))
    whole = oracle(data)
    assert full_of(result) == full_of(whole)
    assert (result.counts, result.damages) == (whole.counts, whole.damages)


def assert_log(pieces: list[logs.Piece], seed: int) -> None:
    """A long log: whole, in pieces and as rows of usage."""
    data, result = logs.joined(pieces)
    assert_whole(data, result)
    decoder = chunkwire.Decoder(engine="native")
    assert_equal(light(push(decoder, logs.cuts(random.Random(seed), data))), light_of(result), "feed")
    assert_counts(decoder.stats, result)
    check_with("native", data, result)


@with_recordings
@pytest.mark.parametrize("seed", [1, 2])
def test_one_behind_the_other(way: str, seed: int) -> None:
    files = random.Random(seed).sample(FILES, len(FILES))
    assert_log([piece for path in files for piece in logs.recording(path)], seed)


@with_recordings
@pytest.mark.parametrize("width", [8, 40])
def test_interleaved(way: str, width: int) -> None:
    rng = random.Random(width)
    streams = [logs.recording(path) for path in rng.sample(FILES, len(FILES))]
    assert_log(logs.interleaved(rng, streams, width), width)


# --- streams written here, so that this means something without recordings


@pytest.mark.parametrize("server", logs.SERVERS)
def test_one_server(way: str, server: str) -> None:
    """Streams of many lengths, one behind the other and then eight at once."""
    rng = random.Random(server)
    streams = [logs.stream(rng, server, rng.choice([1, 3, 10, 100])) for _ in range(12)]
    pieces = [piece for stream in streams for piece in stream]
    assert_log(pieces + logs.interleaved(rng, streams, 8), 1)


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_ends_of_lines(way: str, newline: bytes) -> None:
    """Cut at every byte of an event, so also between the halves of a CRLF."""
    rng = random.Random(7)
    events = logs.written(rng, "openai", 12)
    data = b"".join(events).replace(b"\n", newline)
    result = oracle(data)
    assert_whole(data, result)
    start = data.index(b"data:", len(data) // 2)
    for at in range(start, data.index(b"data:", start + 1) + 1):
        decoder = chunkwire.Decoder(engine="native")
        assert light(push(decoder, [data[:at], data[at:]])) == light_of(result)
        assert_counts(decoder.stats, result)


@pytest.mark.parametrize("limit", [0, 640, 5000])
def test_the_limit_on_digits(way: str, limit: int) -> None:
    """A number that varies has as many digits as Python takes, and one more."""
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(limit)
        digits = [1, 2, 3, 4, limit or 4300, (limit or 4300) + 1, 5, 6, 10_000, 7]
        data = b"".join(event(f'{{"choices":[],"x":{sign}{"7" * n}}}') for n in digits for sign in ("", "-"))
        assert_whole(data, oracle(data))
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("prefix", [b"data:", b"data: "])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_the_limit_on_an_event(way: str, prefix: bytes, newline: bytes) -> None:
    """Events of every size around the limit, all of one shape."""
    sizes = [1, 2, 3, *range(80, 100), 5]
    docs = [b'{"id":"a","choices":[{"delta":{"content":"%b"}}]}' % (b"x" * size) for size in sizes]
    data = b"".join(prefix + doc + newline * 2 for doc in docs)
    for limit in (len(docs[10]), len(docs[10]) + len(prefix)):
        result = oracle(data, max_event_bytes=limit)
        assert {item.what for item in result.items} == {"chunk", "damage"}
        assert_whole(data, result, max_event_bytes=limit)


@pytest.mark.parametrize("strict", [False, True])
def test_the_end_of_the_source(way: str, strict: bool) -> None:
    """Cut off at every byte of an event whose shape is known."""
    events = logs.written(random.Random(3), "padded", 10)
    before, cut = b"".join(events[:8]), events[8]
    for end in range(len(cut) + 1):
        data = before + cut[:end]
        assert_whole(data, oracle(data, strict=strict), strict=strict)


# --- hostile logs


@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_logs(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    shaped = careful = 0
    for seed in range(part, CASES // BREAKS, PARTS):
        log = Hostile(seed).write(BREAKS)
        result = oracle(log.data, **log.options)
        pieces = logs.cuts(random.Random(seed), log.data)
        for switch in ("1", "0"):
            monkeypatch.setenv("CHUNKWIRE_SHAPES", switch)
            try:
                chunks = assert_whole(log.data, result, **log.options)
                paths = assert_cut(pieces, result, **log.options)
                if seed % 3 == 0:
                    check_with("native", log.data, result, **log.options)
                    for chunk, item in zip(chunks, result.chunks, strict=True):
                        assert_view(chunk, "Chunk", item.doc)
            except BaseException as error:
                error.add_note(f"Hostile({seed}).write({BREAKS}), CHUNKWIRE_SHAPES={switch}")
                raise
            if switch == "1":
                shaped, careful = shaped + paths[0], careful + paths[1]
    # Otherwise none of this would have been about shapes.
    assert shaped > 0.2 * (shaped + careful)


#: For each a way to break an event: as it was before and behind, and what stands between.
SMALL = b'data: {"id":"a","n":%b,"choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}]}\n\n'
TEXTS = [
    b'"x"',
    b'""',
    b'"\\""',
    b'"\\\\"',
    b'"\\',
    b'"\\"',
    b'"\\u0041"',
    b'"\\u004"',
    b'"\\ud83d"',
    b'"\\x"',
    b'"\t"',
    b'"\x00"',
]
TEXTS += [
    b'"\x7f"',
    b'"\xc3\xa9"',
    b'"\xc3"',
    b'"\xa9"',
    b'"\xed\xa0\x80"',
    b'"\xf4\x90\x80\x80"',
    b'"\xc0\x80"',
    b'"\xff"',
]
TEXTS += [
    b"null",
    b"true",
    b"1",
    b"{}",
    b"[]",
    b"",
    b'"',
    b'"x""',
    b'"x"x',
    b'"x" ',
    b' "x"',
    b"'x'",
    b'"x"}',
    b'"x","content":"y"',
]
TEXTS += [b'"' + b"x" * n + b'"' for n in (7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000)]
TEXTS += [b'"' + b"x" * n + b'\\"y"' for n in (6, 7, 8, 14, 15, 16, 30, 31, 32, 63)]
TEXTS += [b'"' + b"x" * n + b'\xff"' for n in (6, 7, 8, 14, 15, 16, 30, 31, 32, 63)]
TEXTS += [b'"' + b"x" * n + b'\n"' for n in (0, 7, 8, 15, 16, 31, 32)]
NUMBERS = [
    one.encode() for one in words("0 -0 00 01 -01 -00 1. .5 1.0 -1.5 1e5 1E5 1e+5 1e-5 1e 1e+ 1.e5 1.5e5 e5 - -- -a +1")
]
NUMBERS += [one.encode() for one in words("0x1 1_0 1,2 1}2 NaN Infinity -Infinity")]
NUMBERS += [b"9" * n for n in (18, 19, 20, 30, 400)] + [
    b"null",
    b"true",
    b'"1"',
    b"[1]",
    b" 1",
    b"1 ",
    b"1\t",
    b"1\x00",
    b"1\xff",
]


def test_each_small_break(way: str) -> None:
    """Every text and every number that is listed, in a place that was constant, and in one that varies."""
    for constant in (True, False):
        usual = [SMALL % ((b"1", b'"a"') if constant else (b"%d" % n, b'"b%d"' % n)) for n in range(4)]
        texts = [SMALL % (b"1", text) for text in TEXTS]
        numbers = [SMALL % (number, b'"a"') for number in NUMBERS]
        for odd in texts + numbers:
            data = b"".join([*usual, odd, *usual, odd, odd, usual[0]])
            assert_whole(data, oracle(data))
        data = b"".join(one for odd in texts + numbers for one in (*usual, odd))
        result = oracle(data)
        assert_whole(data, result)
        check_with("native", data, result)


# --- what becomes of the objects


def parts_of(chunk: Any, doc: dict[str, Any]) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    """The chunk and the views in it that users hold most, each with its class and what was sent."""
    yield chunk, "Chunk", doc
    for choice, sent in zip(chunk.choices or [], doc.get("choices") or [], strict=True):
        yield choice, "Choice", sent
        if sent.get("delta") is not None:
            yield choice.delta, "Delta", sent["delta"]
    if doc.get("usage"):
        yield chunk.usage, "Usage", doc["usage"]


@pytest.fixture(scope="module")
def long_log() -> tuple[bytes, Result]:
    """Many batches of events, and shapes that come, change and go."""
    rng = random.Random(5)
    streams = [logs.stream(rng, rng.choice(list(logs.SERVERS)), rng.choice([5, 20, 60])) for _ in range(50)]
    whole = [piece for stream in streams[:25] for piece in stream]
    return logs.joined((whole + logs.interleaved(rng, streams[25:], 6)) * 3)


@pytest.mark.parametrize("source", ["bytes", "path", "blocks", "feed"])
def test_objects_outlive_their_iterator(way: str, source: str, long_log: tuple[bytes, Result], tmp_path: Path) -> None:
    """Views that were taken on the way are true at the end: others reuse no memory under them, and no shape changes."""
    data, result = long_log
    if source == "feed":
        decoder = chunkwire.Decoder(engine="native")
        pieces = logs.cuts(random.Random(2), data)
        found: Iterator[Any] = (
            chunk for piece in [*pieces, None] for chunk in (decoder.finish() if piece is None else decoder.feed(piece))
        )
    elif source == "path":
        (tmp_path / "log.sse").write_bytes(data)
        found = decode(tmp_path / "log.sse")
    else:
        found = decode(data if source == "bytes" else iter(logs.cuts(random.Random(2), data)))
    rng = random.Random(way)
    kept = []
    for number, chunk in enumerate(found):
        # Stretches of which all is kept, and long ones of which nothing is: the memory of their batches, and of the
        # blocks of a file, serves again.
        if number % 1700 < 150:
            views = list(parts_of(chunk, result.chunks[number].doc))
            # Some are held by a view in them alone.
            kept.append((number, rng.sample(views, rng.randrange(1, len(views) + 1))))
    assert number == len(result.chunks) - 1
    del found, chunk, views
    if source == "feed":
        del decoder
    (tmp_path / "log.sse").unlink(missing_ok=True)
    gc.collect()
    for _ in decode(data, on_error="skip"):  # takes the memory that was given back
        pass
    rng.shuffle(kept)
    for number, views in kept:
        for view, name, doc in views:
            assert_view(view, name, doc, f"{name} of chunk {number}")
            if name == "Chunk":
                item = result.chunks[number]
                assert (view.offset, view.raw) == (item.offset, item.raw)


def test_copies_and_pickles(way: str, long_log: tuple[bytes, Result]) -> None:
    data, result = long_log
    chunks = list(decode(data))
    gc.collect()
    for chunk, item in list(zip(chunks, result.chunks, strict=True))[::11]:
        again = pickle.loads(pickle.dumps(chunk))
        assert (again.offset, again.raw, again) == (item.offset, item.raw, chunk)
        assert_view(again, "Chunk", item.doc)
        assert copy.copy(chunk) is chunk
        assert copy.deepcopy(chunk) is chunk
        for view, name, doc in parts_of(chunk, item.doc):
            assert_view(pickle.loads(pickle.dumps(view)), name, doc)
            assert_view(copy.deepcopy(view), name, doc)


def test_equality_and_printing(monkeypatch: pytest.MonkeyPatch, long_log: tuple[bytes, Result]) -> None:
    """A chunk that took one way equals itself on the other way, and prints alike."""
    data, _ = long_log
    chunks = {}
    for way in ("0", "1"):
        monkeypatch.setenv("CHUNKWIRE_SHAPES", way)
        chunks[way] = list(decode(data))
    for one, other, before in zip(chunks["0"], chunks["1"], [None, *chunks["1"]], strict=False):
        assert one == other
        assert repr(one) == repr(other)
        assert dir(one) == dir(other)
        assert (before == other) is (before is not None and before.to_dict() == other.to_dict())


# --- rows of usage: what a repeated shape must not hide

SAME = part(content="x")


def each(doc: str, values: Iterable[str]) -> list[bytes]:
    """An event for each value, which stands in the place of @."""
    return [event(doc.replace("@", value)) for value in values]


ROWS = {
    "an id changes": [first("a"), *[part("a")] * 5, *[part("b")] * 5, last("b")],
    "an id comes back": [first("a"), *[part("a")] * 5, first("b"), *[part("b")] * 5, *[part("a")] * 5, last("b")],
    "a finish reason": [first(), *[SAME] * 5, part(finish="length"), *[SAME] * 5, part(finish="stop"), *[SAME] * 3],
    "another index": [
        part(choices=[{"index": index, "delta": {"content": "x"}, "finish_reason": reason}])
        for index, reason in [(0, None)] * 5 + [(1, None)] * 5 + [(0, "a"), (0, "b"), (1, "c"), (1, None), (1, None)]
    ],
    "usage on every chunk": [part(usage=report(number)) for number in [*range(9), 3, 3, 3]],
    "usage that stays": [part(usage=report(5))] * 9 + [part(usage=None)] * 9,
    "usage of a wrong type": [part(usage="x")] * 9 + [part(usage=5)] * 9 + [part(usage={"total_tokens": "x"})] * 9,
    "a cost that stays, then another": [part(cost=1)] * 9 + [part(cost=2)] * 9 + [part(cost="0.5")] * 9,
    "in x_groq": [part(x_groq={"usage": report(number)}) for number in range(9)] * 2,
    "in a choice": [part(choices=[{"index": 0, "delta": {}, "usage": report(number)}]) for number in range(9)] * 2,
    "a model that comes late": [*[part(model="")] * 9, *[part(model="x")] * 9, *[part(model="y")] * 9],
    "a time that comes late": [*[part(created=0)] * 9, *[part(created=5)] * 9, *[part(created=6)] * 9],
    "times of many kinds": [part(created=one) for one in (0, 0, 7.5, 7.5, 1e3, "5", "5", 6, 2**63, 2**64, 9)] * 2,
    "no id": [part(...) for _ in range(9)] + [logs.DONE] + [part(...) for _ in range(9)],
    "an id, then none": [*[part("a")] * 9, *[part("")] * 9, *[part(...)] * 9, *[part(None)] * 9, *[part("b")] * 9],
    "[DONE] between": [SAME, SAME, SAME, logs.DONE, SAME, SAME, SAME, logs.DONE, logs.DONE, SAME],
    "[DONE] between, no choices": [*[part(choices=[])] * 5, logs.DONE, *[part(choices=[])] * 5, logs.DONE],
    "an error in a chunk": [SAME, SAME, SAME, part(error="x"), part(error="y"), part(error=""), SAME, SAME],
    "an error between": [SAME, SAME, SAME, event('{"error":"x"}'), SAME, SAME, SAME, SAME],
    "damage between": [SAME, SAME, SAME, event("{"), SAME, SAME, SAME, event("5"), SAME, SAME],
    "a comment between": [SAME, SAME, SAME, b": hi\n\n", SAME, SAME, SAME],
    "the same row under two ids": [first("a"), *[*[part("a")] * 3, *[part("b")] * 3] * 2, last("b")],
    "a role that comes and goes": [part(id, role=role) for id in "abc" for role in ("tool", "", "tool", None, None)],
    "keys twice": each('{"id":"a","choices":[{"index":0}],"id":"@"}', "aaaabbbbaaaabbbb"),
    "ids with escapes": each('{"id":"@","choices":[{"index":0}]}', ["a", "a", "\\u0061", "\\u0061", "b", "a"] * 3),
    "ids of many kinds": each('{"id":@,"choices":[{"index":0}]}', ['"a"', "5", "null", '"a"', "5", "6", '""'] * 3),
    "choices of many kinds": each(
        '{"id":"a","object":"chunk","choices":@}',
        [*words("5 6 6"), '"x"', *words("null {} [] [5] [6] [[]] [{}] true 0 0.0"), '""', *words("5 6 6 [] [5] [6]")],
    ),
    "indexes of many kinds": each(
        '{"id":"a","choices":[{"index":@}]}',
        [f'{index},"finish_reason":"{index}"' for index in words("0 1 2 0.0 -0 -1 99 63 64 1e1 1.5")] * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows(way: str, name: str) -> None:
    """In this order, again from the start, and shuffled."""
    rng = random.Random(name)
    events = ROWS[name]
    for order in (
        events,
        events * 3,
        [*events * 2, *rng.sample(events, len(events))],
        rng.sample(events * 3, len(events) * 3),
    ):
        data = b"".join(order)
        check_with("native", data, oracle(data))


def test_rows_of_thousands_of_streams_at_once(way: str) -> None:
    rng = random.Random(11)
    streams = [logs.stream(rng, rng.choice(["openai", "nameless", "tools"]), rng.choice([0, 1, 4])) for _ in range(300)]
    data, result = logs.joined(logs.interleaved(rng, streams, 150))
    check_with("native", data, result)


# --- which way the chunks went


def servers(*names: str, tokens: int, streams: int, width: int = 1) -> Callable[[], bytes]:
    """A log of streams of these servers by turns, so many at once."""

    def write() -> bytes:
        rng = random.Random(f"{names}{width}")
        found = [logs.written(rng, names[number % len(names)], tokens) for number in range(streams)]
        return b"".join(logs.interleaved(rng, found, width))

    return write


def files(pattern: str, times: int, width: int = 1) -> Callable[[], bytes]:
    """The recordings whose names begin so, again and again."""

    def write() -> bytes:
        paths = [path for path in FILES if path.name.startswith(pattern)]
        streams = [[piece.data for piece in logs.recording(path)] for path in paths] * times
        return b"".join(logs.interleaved(random.Random(width), streams, width))

    return write


#: Of all chunks of a log, the least share that must have matched a shape.
SHARES: dict[str, tuple[Callable[[], bytes], float]] = {
    "OpenAI": (servers("openai", tokens=300, streams=10), 0.99),
    "padding": (servers("padded", tokens=300, streams=10), 0.99),
    "choices first": (servers("choices first", tokens=300, streams=10), 0.99),
    "Mistral's p": (servers("mistral", tokens=300, streams=10), 0.99),
    "keys in two orders": (servers("alternating", tokens=300, streams=10), 0.99),
    "reasoning, then content": (servers("reasoning", tokens=300, streams=10), 0.99),
    "usage on every chunk": (servers("running", tokens=300, streams=10), 0.99),
    "tool calls": (servers("tools", tokens=300, streams=10), 0.99),
    "no id": (servers("nameless", tokens=300, streams=10), 0.99),
    "short streams": (servers("openai", tokens=5, streams=200), 0.99),
    "short streams, keys in two orders": (servers("alternating", tokens=5, streams=200), 0.98),
    "8 of one server at once": (servers("openai", tokens=100, streams=40, width=8), 0.99),
    "40 of one server at once": (servers("padded", tokens=100, streams=80, width=40), 0.99),
    "8 with keys in two orders at once": (servers("alternating", tokens=100, streams=40, width=8), 0.98),
    "all servers by turns": (servers(*logs.SERVERS, tokens=100, streams=60), 0.86),
    "8 of all servers at once": (servers(*logs.SERVERS, tokens=100, streams=60, width=8), 0.84),
    "40 of all servers at once": (servers(*logs.SERVERS, tokens=100, streams=120, width=40), 0.80),
}
RECORDED: dict[str, tuple[Callable[[], bytes], float]] = {
    "all": (files("", 1), 0.90),
    "all, four times": (files("", 4), 0.93),
    "all, four times, 8 at once": (files("", 4, 8), 0.85),
    "all, four times, 40 at once": (files("", 4, 40), 0.75),
    "Alibaba": (files("alibaba__", 3), 0.97),
    "Azure": (files("azure__", 3), 0.93),
    "Cerebras": (files("cerebras__", 3), 0.95),
    "DeepSeek": (files("deepseek__", 3), 0.98),
    "Groq": (files("groq__", 3), 0.95),
    "Hugging Face": (files("huggingface__", 3), 0.97),
    "llama.cpp": (files("llamacpp__", 3), 0.98),
    "Mistral": (files("mistral__", 3), 0.96),
    "Ollama": (files("ollama__", 3), 0.97),
    "OpenRouter": (files("openrouter__", 3), 0.87),
    "Perplexity": (files("perplexity__", 3), 0.95),
    "Venice": (files("venice__", 3), 0.97),
}
ALL = [pytest.param(*SHARES[name], id=name) for name in SHARES]
ALL += [pytest.param(*RECORDED[name], id=name, marks=with_recordings) for name in RECORDED]


def paths_of(data: bytes) -> tuple[int, int, int]:
    """How many chunks matched a shape, how many were read carefully, and how many there are."""
    chunks = decode(data, on_error="skip")
    count = sum(1 for _ in chunks)
    return (*chunks._paths, count)


@pytest.mark.parametrize(("write", "least"), ALL)
def test_the_share_of_shapes(monkeypatch: pytest.MonkeyPatch, write: Callable[[], bytes], least: float) -> None:
    data = write()
    monkeypatch.delenv("CHUNKWIRE_SHAPES", raising=False)
    shaped, careful, count = paths_of(data)
    assert shaped + careful == count
    assert shaped >= least * count, f"{shaped / count:.4f} of {count} chunks"
    monkeypatch.setenv("CHUNKWIRE_SHAPES", "0")
    assert paths_of(data) == (0, count, count)


def test_a_feed_has_shapes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    events = logs.written(random.Random(4), "openai", 600)
    for switch, least in (("1", 0.9), ("0", 0)):
        monkeypatch.setenv("CHUNKWIRE_SHAPES", switch)
        decoder = chunkwire.Decoder(engine="native")
        count = sum(1 for one in events for _ in decoder.feed(one))
        shaped, careful = decoder.finish()._paths
        assert shaped + careful == count
        assert shaped >= least * count if least else shaped == 0
