"""Streams recorded from many servers, under $CHUNKWIRE_STREAMS: every engine gives exactly what the oracle gives.

The recorded streams are no part of the project. The samples that are go the same ways, so that these tests mean
something on a machine without recordings.

A cut at every byte costs the square of a file's size. It is done below 20,000 bytes ($CHUNKWIRE_TEST_CUTS sets another
limit, for a shorter run); above that, 200 places are chosen at random, always the same ones.
"""

from __future__ import annotations

import json
import os
import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import chunkwire
from oracle import Result, oracle, oracle_program
from support import (
    SAMPLES,
    assert_counts,
    assert_decodes,
    assert_pushes,
    canonical,
    cut,
    drain,
    full,
    full_of,
    light,
    light_of,
    public,
    push,
    recorded,
)

PLACES = 200
EVERY_BYTE = int(os.environ.get("CHUNKWIRE_TEST_CUTS", "20000"))
ENDINGS = {"LF": b"\n", "CR": b"\r", "CRLF": b"\r\n"}

FILES = recorded() + sorted(SAMPLES.glob("*.sse"))
with_recordings = pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS is not set, or holds no *.sse")
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@cache
def load(path: Path, ending: str = "LF") -> tuple[bytes, Result]:
    data = path.read_bytes()
    if ending != "LF":
        data = data.replace(b"\r\n", b"\n").replace(b"\n", ENDINGS[ending])
    return data, oracle(data)


@with_recordings
def test_the_recordings_are_all_there() -> None:
    index = Path(os.environ["CHUNKWIRE_STREAMS"], "INDEX.tsv")
    if not index.exists():
        pytest.skip("the folder has no INDEX.tsv")
    names = {line.split("\t")[0] for line in index.read_text("utf-8").splitlines()[1:]}
    assert names == {path.name for path in recorded()}


@every_file
def test_whole(engine: str, path: Path) -> None:
    """From bytes and from the file: chunks, errors, counts and damages; and what was sent is in ``raw``."""
    data, result = load(path)
    assert_decodes(engine, data, result)
    chunks = chunkwire.decode(path, engine=engine)
    assert full(drain(chunks)) == full_of(result)
    assert_counts(chunks.stats, result)


@every_file
def test_the_program_of_the_design(engine: str, path: Path) -> None:
    """Not the reference that counts and judges, but the two lines of the design themselves."""
    data, result = load(path)
    if any(item.kind in ("invalid_json", "truncated", "too_deep") for item in result.items):
        pytest.skip("json.loads rejects an event of this stream")
    chunks = chunkwire.decode(data, engine=engine, on_error="skip", strict=True)
    assert [canonical(chunk.to_dict()) for chunk in chunks] == [canonical(doc) for doc in oracle_program(data)]


@every_file
@pytest.mark.parametrize("ending", ["CR", "CRLF"])
def test_line_ends(engine: str, path: Path, ending: str) -> None:
    data, result = load(path, ending)
    assert_decodes(engine, data, result)
    rng = random.Random(f"{path.name} {ending}")
    for at in [rng.randrange(len(data) + 1) for _ in range(10)]:
        assert_pushes(engine, [data[:at], data[at:]], result)
    # Where the halves of a CRLF go apart.
    first = data.find(b"\r") + 1
    assert_pushes(engine, [data[:first], data[first:]], result)
    assert_pushes(engine, cut(data, 1 + rng.randrange(50)), result)


@every_file
def test_byte_by_byte(engine: str, path: Path) -> None:
    data, result = load(path)
    decoder = chunkwire.Decoder(engine=engine)
    found = push(decoder, cut(data, 1))
    assert full(found) == full_of(result)
    assert_counts(decoder.stats, result)


@every_file
def test_cut_at_every_byte(engine: str, path: Path) -> None:
    """In two pieces, at every byte of a small file and at many places of a large one.

    The Python engine takes several cuts in one run, each some events from the next: so it does in seconds what would
    take it minutes. ``CHUNKWIRE_TEST_CUTS_APART=1`` gives it, too, a run for each.
    """
    data, result = load(path)
    expected = light_of(result)
    if len(data) < EVERY_BYTE:
        places = list(range(len(data) + 1))
    else:
        rng = random.Random(path.name)
        places = sorted(rng.randrange(len(data) + 1) for _ in range(PLACES))
    together = 1 if engine == "native" or os.environ.get("CHUNKWIRE_TEST_CUTS_APART") else 8
    stride = -(-len(places) // together)
    for start in range(stride):
        cuts = [0, *places[start::stride], len(data)]
        decoder = chunkwire.Decoder(engine=engine)
        found = push(decoder, [data[begin:end] for begin, end in pairwise(cuts)])
        assert light(found) == expected, cuts
        assert_counts(decoder.stats, result)


@with_recordings
@pytest.mark.parametrize(
    "path", [p for p in recorded() if (p.parent / "reads" / f"{p.stem}.json").exists()], ids=lambda p: p.stem
)
def test_recorded_reads(engine: str, path: Path) -> None:
    """In the sizes in which the bytes came from the network, through `Decoder` and through `decode`."""
    data, result = load(path)
    sizes = json.loads((path.parent / "reads" / f"{path.stem}.json").read_text("utf-8"))
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    pieces.append(data[start:])
    assert_pushes(engine, pieces, result, view=full)
    chunks = chunkwire.decode(iter(pieces), engine=engine)
    assert light(drain(chunks)) == light_of(result)
    assert_counts(chunks.stats, result)


@every_file
def test_events(engine: str, path: Path) -> None:
    data, result = load(path)
    expected = [one.public() for one in result.events]
    assert [public(one) for one in chunkwire.events(data, engine=engine)] == expected
    assert [public(one) for one in chunkwire.events(iter(cut(data, 101)), engine=engine)] == expected


@every_file
def test_repr_and_dir_never_fail(engine: str, path: Path) -> None:
    """Printing and listing work on everything that servers send."""
    data, result = load(path)
    for chunk, item in zip(chunkwire.decode(data, engine=engine, on_error="skip"), result.chunks, strict=True):
        assert repr(chunk).startswith("Chunk(")
        assert set(item.doc) <= set(dir(chunk))
