"""Properties over generated streams: no difference from the oracle, whatever was written, broken or cut."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import chunkwire
import generators as generate
from chunkwire._packing import packing_of
from oracle import oracle
from support import SAMPLES, assert_counts, assert_decodes, assert_pushes, canonical, event, full, full_of, public, push
from views import assert_view

many = settings(max_examples=200)
some = settings(max_examples=80)


def written(text: str) -> bytes:
    """An event that holds this text, one field for each of its lines."""
    lines = "".join(f"data: {line}\n" for line in generate.split(text))
    return lines.encode("utf-8", "surrogatepass") + b"\n"


@many
@given(text=generate.anything)
def test_one_event(engine: str, text: str) -> None:
    data = written(text)
    assert_decodes(engine, data, oracle(data))


@many
@given(text=generate.chunk)
def test_every_attribute(engine: str, text: str) -> None:
    """Attributes, `in`, `to_dict` and `content`, down to the last view."""
    data = written(text)
    result = oracle(data)
    chunks = list(chunkwire.decode(data, engine=engine, on_error="skip"))
    assert len(chunks) == len(result.chunks)
    for chunk, item in zip(chunks, result.chunks, strict=True):
        assert_view(chunk, "Chunk", item.doc)


@some
@given(text=generate.chunk)
def test_copies(engine: str, text: str) -> None:
    for chunk in chunkwire.decode(written(text), engine=engine, on_error="skip"):
        again = pickle.loads(pickle.dumps(chunk))
        assert canonical(again.to_dict()) == canonical(chunk.to_dict())
        assert (again.raw, again.offset) == (chunk.raw, chunk.offset)
        assert copy.copy(chunk) is chunk
        assert copy.deepcopy(chunk) is chunk
        same = chunk.to_dict() == again.to_dict()  # False where there is a NaN
        assert (chunk == again) is same
        assert repr(chunk).startswith("Chunk(")


@many
@given(data=generate.stream(), strict=st.booleans(), draw=st.data())
def test_streams_in_pieces(engine: str, data: bytes, strict: bool, draw: Any) -> None:
    result = oracle(data, strict=strict)
    assert_decodes(engine, data, result, strict=strict)
    decoder = chunkwire.Decoder(engine=engine, strict=strict)
    assert full(push(decoder, draw.draw(generate.pieces(data)))) == full_of(result)
    assert_counts(decoder.stats, result)


@some
@given(data=generate.stream(), limit=st.integers(1, 400), draw=st.data())
def test_streams_with_a_limit(engine: str, data: bytes, limit: int, draw: Any) -> None:
    result = oracle(data, max_event_bytes=limit)
    assert_decodes(engine, data, result, max_event_bytes=limit)
    decoder = chunkwire.Decoder(engine=engine, max_event_bytes=limit)
    assert full(push(decoder, draw.draw(generate.pieces(data)))) == full_of(result)
    assert_counts(decoder.stats, result)


@many
@given(data=generate.damaged(generate.stream()), draw=st.data())
def test_damage(engine: str, data: bytes, draw: Any) -> None:
    result = oracle(data)
    assert_decodes(engine, data, result)
    assert_pushes(engine, draw.draw(generate.pieces(data)), result, view=full)


LOG = (SAMPLES / "tools.sse").read_bytes()


@some
@given(data=generate.damaged(st.integers(0, len(LOG) - 800).map(lambda at: LOG[at : at + 800])), draw=st.data())
def test_damaged_samples(engine: str, data: bytes, draw: Any) -> None:
    result = oracle(data)
    assert_decodes(engine, data, result)
    assert_pushes(engine, draw.draw(generate.pieces(data)), result, view=full)


SOUP = [
    b"data",
    b"data:",
    b"data: ",
    b":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"id: 1",
    b"event: error",
    b"retry: 1",
    b" ",
]
SOUP += [b"[DONE]", b'{"choices":[]}', b'{"error":1}', b"{", b"}", b"\xef\xbb\xbf", b"\xef", b"\xff", b"\0", b"x", b"<"]
soup = st.lists(st.sampled_from(SOUP), max_size=25).map(b"".join)


@settings(max_examples=500)
@given(data=soup, strict=st.booleans(), draw=st.data())
def test_soup(engine: str, data: bytes, strict: bool, draw: Any) -> None:
    """Pieces of the format in any order."""
    result = oracle(data, strict=strict)
    assert_decodes(engine, data, result, strict=strict)
    assert_pushes(engine, draw.draw(generate.pieces(data)), result, view=full, strict=strict)
    found = chunkwire.events(iter(draw.draw(generate.pieces(data))), engine=engine, strict=strict)
    assert [public(one) for one in found] == [one.public() for one in result.events]


@some
@given(data=st.binary(max_size=60))
def test_any_bytes(engine: str, data: bytes) -> None:
    if not packing_of(data):  # what begins as packed sources do is unpacked
        assert_decodes(engine, data, oracle(data))
    inside = b'data: {"choices":[],"x":"' + data + b'"}\n\n'
    assert_decodes(engine, inside, oracle(inside))


@some
@given(text=generate.chunk, other=generate.chunk)
def test_equality(engine: str, text: str, other: str) -> None:
    chunks = list(chunkwire.decode(written(text) + written(other), engine=engine, on_error="skip"))
    for one in chunks:
        for two in chunks:
            assert (one == two) is (one.to_dict() == two.to_dict())
            assert (one != two) is (one.to_dict() != two.to_dict())


@some
@given(digits=st.integers(4290, 4310), sign=st.sampled_from(["", "-"]), tail=st.sampled_from(["", ".5", "e1"]))
def test_long_integers(engine: str, digits: int, sign: str, tail: str) -> None:
    """More digits than Python turns into an integer: damage, as `json.loads` has it; floats have no such limit."""
    data = event(f'{{"choices":[],"x":[1,{sign}{"7" * digits}{tail}]}}') + event('{"choices":[]}')
    assert_decodes(engine, data, oracle(data))
