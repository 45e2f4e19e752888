"""The JSON test suite, each file placed in a chunk: the verdict and the value are those of `json.loads`.

The files are found at $CHUNKWIRE_JSONTESTSUITE, or beside the recorded streams; they are no part of the project.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oracle import oracle
from support import assert_decodes, assert_pushes, cut, event


def folder() -> Path | None:
    if "CHUNKWIRE_JSONTESTSUITE" in os.environ:
        return Path(os.environ["CHUNKWIRE_JSONTESTSUITE"])
    if "CHUNKWIRE_STREAMS" in os.environ:
        return Path(os.environ["CHUNKWIRE_STREAMS"]).resolve().parent / "jsontestsuite"
    return None


def files() -> list[Path]:
    found = folder()
    return sorted(found.glob("*.json")) if found and found.is_dir() else []


FILES = files()
suite = pytest.mark.skipif(not FILES, reason="no JSON test suite at $CHUNKWIRE_JSONTESTSUITE")
#: How a document is put in a chunk: as the value of a member, inside an array of one, before another, and alone.
PLACES = {
    "member": (b'{"choices":[],"x":', b"}"),
    "content": (b'{"id":"c","choices":[{"index":0,"delta":{"content":', b'},"finish_reason":null}],"usage":null}'),
    "usage": (b'{"object":"chunk","usage":{"prompt_tokens":', b',"total_tokens":3}}'),
    "alone": (b"", b""),
}


def lines(data: bytes) -> bytes:
    """An event whose data is this, as far as line ends let it: one field for each line."""
    fields = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + one + b"\n" for one in fields) + b"\n"


@suite
def test_the_suite_is_all_there() -> None:
    assert len(FILES) >= 300
    verdicts = [
        {item.what for item in oracle(lines(PLACES["member"][0] + path.read_bytes() + b"}")).items} for path in FILES
    ]
    rejected = sum("damage" in kinds for kinds in verdicts)
    # Of both there are many; should the oracle begin to accept or reject everything, this says so.
    assert rejected >= 150
    assert len(verdicts) - rejected >= 100


@suite
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(engine: str, path: Path, place: str) -> None:
    before, after = PLACES[place]
    data = lines(before + path.read_bytes() + after) + event('{"choices":[]}')
    result = oracle(data)
    assert result.items[-1].what == "chunk"
    assert_decodes(engine, data, result)
    if len(data) < 2000:
        assert_pushes(engine, cut(data, 1), result)


@suite
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_at_the_end_of_the_source(engine: str, path: Path) -> None:
    """Without the blank line: what is wrong then is told as the source's end."""
    data = lines(PLACES["member"][0] + path.read_bytes() + b"}")[:-1]
    assert_decodes(engine, data, oracle(data))
