"""What the tests of httpx-sse's and sseclient-py's adapters share: a table of streams, ways to cut them, what comes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from hosts import as_it_came, cuts, single_cuts
from hypothesis import strategies as st

A, B = b"data: a\n\n", b"data: b\n\n"

#: Everything that a stream of events may look like; each a whole stream.
EDGES: dict[str, bytes] = {
    "nothing at all": b"",
    "plain": A + B,
    "one chunk": b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n',
    "blank lines": b"\n\n\n" + A + b"\n\n\n\n" + B + b"\n",
    "comment": b": ping\n\n" + A + b":\n\n" + B,
    "comment in the block": b": ping\ndata: a\n: pong\ndata: b\n\n",
    "comment that looks like data": b":data: a\n\n" + B,
    "retry alone": b"retry: 3000\n\n" + A,
    "retry beside data": b"retry: 3000\n" + A + B,
    "retry twice": b"retry: 1\nretry: 2\n" + A + b"retry: 1\nretry: x\n" + B,
    "retry empty": b"retry\n\nretry:\n\nretry: \n" + A,
    "retry without number": b"retry: soon\n\n" + A + b"retry: x\n" + B,
    "retry as int takes it": b"".join(b"retry: %b\n\n" % one for one in (b"+7", b"-7", b" 7 ", b"1_0", b"007", b"1.5")),
    "retry in other digits": "retry: \u0663\u0664\n\nretry: \uff15\n\nretry: \u00b2\n\nretry:\u2003 8\n\n".encode() + A,
    "retry of many digits": b"retry: 18446744073709551615\n\nretry: 18446744073709551616\n" + A,
    "retry of too many digits": b"retry: " + b"9" * 5000 + b"\n\n" + A,
    "event type": b"event: ping\n" + A + B,
    "event type alone": b"event: ping\n\n" + A,
    "event type twice": b"event: a\nevent: b\n" + A + b"event: a\nevent:\n" + B,
    "event type empty": b"event:\n" + A + b"event\n\n" + B,
    "event type with spaces": b"event:  x y \n" + A,
    "id": b"id: 1\n" + A + B + b"id: 2\n" + A,
    "id alone": b"id: 1\n\n" + A + b"\n\n" + B,
    "id on a comment's block": b": c\nid: 1\n\n: c\n\n" + A,
    "id taken back": b"id: 1\n" + A + b"id:\n" + B + b": ping\n\n" + A + b"id: 1\n" + A + b"id\n\n" + B,
    "id with NUL": b"id: 1\0\n" + A + b"id: 2\nid: \0\n" + B + b"id: \0\n\n" + A,
    "id twice": b"id: 1\nid: 2\n" + A,
    "id behind data": b"data: a\nid: 1\n\n" + B,
    "empty data": A + b"data:\n\n" + b"data: \n\n" + B,
    "data without colon": A + b"data\n\n" + B,
    "no space": b"data:a\n\ndata:b\n\n",
    "more spaces": b"data:  a\n\ndata:   \n\ndata: a \n\n",
    "tab": b"data:\ta\n\n" + B,
    "space before the field": b" data: a\n\n" + B,
    "space before the colon": b"data : a\n\n" + B,
    "colons in data": b"data:::a:b\n\ndata: :\n\n",
    "many data lines": b"".join(b"data: %d\n" % number for number in range(300)) + b"\n" + B,
    "data lines with empty ones": b"data: a\ndata\ndata:\ndata: b\n\n" + b"data\ndata\n\n" + b"data: a\ndata:\n\n",
    "upper case": b"DATA: a\n\nData: b\n\n" + B,
    "unknown field": b"foo: bar\n" + A + b"foo\n\n" + B + b"datab: x\ndat: y\n\n",
    "names of attributes": b"_data: x\n__dict__: y\njson: z\n" + A,
    "byte order mark": b"\xef\xbb\xbf" + A + B,
    "byte order mark and comment": b"\xef\xbb\xbf: hi\n" + A + B,
    "byte order mark, twice": b"\xef\xbb\xbf\xef\xbb\xbf" + A + B,
    "byte order mark later": A + b"\xef\xbb\xbfdata: x\n\ndata: \xef\xbb\xbfy\n\n",
    "part of a byte order mark": b"\xef\xbbdata: x\n\n",
    "CR": (A + b"id: 1\n" + B + b"\n" + A).replace(b"\n", b"\r"),
    "CRLF": (A + b"id: 1\n" + B + b"\n" + A).replace(b"\n", b"\r\n"),
    "mixed line ends": b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\r\n\rdata: f\r\n\r\n" + B,
    "CR and LF in turns": b"data: a\rdata: b\ndata: c\r\ndata: d\r\r\n\n\rdata: e\n\n\rdata: f\r\r",
    "many line ends": b"data: a\r\r\r\n\n\n\r\n\r\n\r\r" + A + b"\n\r\n\r\n\n",
    "one line end between events": b"data: a\ndata: b\n\n",
    "unterminated": A + b"data: b\n",
    "unterminated line": A + b"data: b",
    "unterminated by CR": A + b"data: b\r",
    "ended by CR alone": A + b"data: b\r\r",
    "ended by LF and CR": A + b"data: b\n\r",
    "unterminated without data": A + b"event: x\nid: 1",
    "unterminated comment": A + b": x",
    "cut inside a field name": A + b"dat",
    "cut inside UTF-8": A + "data: é".encode()[:-1],
    "text of all sorts": "data: é東🙂 \u0130\n\nevent: é\nid: 東\n".encode() + A,
    "what str.splitlines ends lines at": "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\n\n\u2028\n".encode() + B,
    "lines of spaces": "  \n\u2003\n\t\n\x1c\n".encode() + A + b" \n\n" + B,
    "NUL": b"data: a\0b\n\n\0data: x\n\nevent: \0\n" + B,
    "invalid UTF-8 in data": A + b"data: \xff\xe2\x82x\n\n" + B,
    "invalid UTF-8 before a line end": A + b"data: \xe2\x82\ndata: \xf0\x9f\r\n\r\n" + B,
    "invalid UTF-8 in a comment": A + b": \xff\n\n" + B,
    "invalid UTF-8 in a type": A + b"event: \xff\n" + B,
    "invalid UTF-8 in an id": A + b"id: \xc0\x80\n" + B + A,
    "invalid UTF-8 in a name": A + b"data\xff: x\n\n" + B,
    "invalid UTF-8 in a retry": A + b"retry: 1\xff\n" + B,
    "invalid UTF-8 in the second line": A + b"data: a\ndata: \xed\xa0\x80\n\n" + B,
    "invalid UTF-8 at the end": A + b"data: \xff",
    "surrogates and overlong forms": b"data: \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80 \xf8\x88\x80\x80\x80\n\n" + B,
    "HTML": b"<html>\n<body>502: Bad Gateway</body>\n\n</html>\n",
    "JSON, no stream": b'{"error": {"message": "no"}}\n',
    "all fields": b"retry: 5\nid: 7\nevent: e\ndata: a\ndata: b\n: c\n\n" + B,
    "long lines": b"data: " + b"x" * 5000 + b"\n\nevent: " + b"y" * 5000 + b"\n" + B,
    "a long stream": b"".join(b"id: %d\ndata: %d\n\n" % (number, number) for number in range(300)),
}

#: Those under test.
ENGINES = ["simdjson"] if os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0" else ["native", "simdjson"]

#: Of what generated streams are made.
PARTS = [
    *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"data: ", b"data", b"data:", b"data: a\n\n", b": c"],
    *[b"event: ", b"event", b"id: ", b"id", b"retry: ", b"retry", b":", b" ", b"x", b"1", b"0", b"+", b"_", b"-"],
    *[b"\xc3", b"\xa9", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x1c", b"\0", b"\xff", b"\xef\xbb\xbf", b"\t"],
    *["é".encode(), "\u0663".encode(), b"[DONE]", b"datax"],
]
streams = st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join)


def recorded_ways(path: Path) -> Iterator[list[bytes]]:
    """A recorded stream, also with other line ends, cut at every place if it is small, and at many if not; and as the
    network gave it, where that is known."""
    random = Random(path.stem)
    data = path.read_bytes()
    yield from as_it_came(path, data)
    for text in (data, data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\r")):
        yield [text]
        if len(text) < 700:
            yield from single_cuts(text)
        for count in (1, 3, 20, len(text) // 100):
            yield cuts(text, sorted(random.sample(range(1, len(text)), min(count, len(text) - 1))))


def given(events: Iterable[Any]) -> tuple[list[Any], Any]:
    """What is given, attribute by attribute, and what is raised in the end."""
    found: list[Any] = []
    try:
        for event in events:
            found.append(seen(event))
    except Exception as error:
        return found, (type(error), str(error), error.args)
    return found, None


async def agiven(events: Any) -> tuple[list[Any], Any]:
    """The same of an asynchronous iteration."""
    found: list[Any] = []
    try:
        async for event in events:
            found.append(seen(event))
    except Exception as error:
        return found, (type(error), str(error), error.args)
    return found, None


def seen(event: Any) -> Any:
    """All that there is to an event."""
    return type(event), [(name, type(value), value) for name, value in vars(event).items()]


def counting(pieces: Iterable[bytes], counts: list[int]) -> Iterator[bytes]:
    """The pieces; the last of the counts is how many were taken."""
    for number, piece in enumerate(pieces, 1):
        counts[:] = [number]
        yield piece


def assert_linear(read: Callable[[int], None]) -> None:
    """Does an event of eight times as many pieces take about eight times as long to read?"""

    def seconds(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            read(count)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(40_000) < 10 * seconds(5_000) + 0.05  # 64 times if it were quadratic
