"""`contents`, the texts of a source without its chunks: what `decode` and ``chunk.content`` give, and nothing else.

The sources are recordings ($CHUNKWIRE_STREAMS), samples and streams from `logs`; the reference is `decode` of the same
engine, and the oracle.
"""

from __future__ import annotations

import gc
import gzip
import io
import random
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import logs
from hostile import Hostile
from oracle import Result, oracle
from support import SAMPLES, assert_counts, canonical, chunk_json, cut, drain, event, full, full_of, recorded
from views import content_of

pytestmark = pytest.mark.skipif(not hasattr(chunkwire, "contents"), reason="chunkwire has no contents()")

FILES = recorded() + sorted(SAMPLES.glob("*.sse"))


def chunk(content: Any) -> bytes:
    return event(chunk_json(choices=[{"index": 0, "delta": {"content": content}}]))


def texts_of(result: Result) -> list[str]:
    contents = [content_of(item.doc) for item in result.chunks]
    return [content for content in contents if isinstance(content, str)]


def shown(found: list[Any]) -> list[Any]:
    """Texts as they are, and errors in every detail."""
    return [canonical(one) if isinstance(one, str) else full([one])[0] for one in found]


def shown_of(result: Result) -> list[Any]:
    expected: list[Any] = []
    for item, one in zip(result.given, full_of(result), strict=True):
        if item.what != "chunk":
            expected.append(one)
        elif isinstance(content_of(item.doc), str):
            expected.append(canonical(content_of(item.doc)))
    return expected


def assert_contents(engine: str, source: Any, result: Result, **options: Any) -> None:
    texts = chunkwire.contents(source, engine=engine, **options)
    found = drain(texts)
    assert shown(found) == shown_of(result)
    assert all(type(one) is str for one in found if not isinstance(one, Exception))
    assert_counts(texts.stats, result)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files(engine: str, path: Path) -> None:
    data = path.read_bytes()
    result = oracle(data)
    assert_contents(engine, path, result)
    chunks = chunkwire.decode(path, engine=engine, on_error="skip")
    texts = chunkwire.contents(path, engine=engine, on_error="skip")
    assert list(texts) == [chunk.content for chunk in chunks if isinstance(chunk.content, str)] == texts_of(result)
    assert texts.stats == chunks.stats


@pytest.mark.parametrize("shapes", ["1", "0"])
def test_streams_side_by_side(engine: str, monkeypatch: pytest.MonkeyPatch, shapes: str) -> None:
    monkeypatch.setenv("CHUNKWIRE_SHAPES", shapes)
    rng = random.Random(8)
    streams = [logs.stream(rng, server, length) for server in logs.SERVERS for length in (3, 20)]
    data, result = logs.joined(logs.interleaved(rng, streams, 8))
    assert_contents(engine, data, result)
    assert_contents(engine, iter(logs.cuts(rng, data)), result)


@pytest.mark.parametrize("seed", range(20))
def test_hostile_logs(engine: str, seed: int) -> None:
    log = Hostile(1000 + seed).write(12)
    assert_contents(engine, log.data, oracle(log.data, **log.options), **log.options)


class NeedsARead(io.RawIOBase):
    """A file without `read1`."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


def test_every_kind_of_source(engine: str, tmp_path: Path) -> None:
    data = (SAMPLES / "openai.sse").read_bytes()
    result = oracle(data)
    path = tmp_path / "log.sse"
    path.write_bytes(data)
    packed = tmp_path / "log.sse.gz"
    packed.write_bytes(gzip.compress(data))
    sources = [path, str(path), packed, data, bytearray(data), memoryview(data), io.BytesIO(data), NeedsARead(data)]
    sources += [iter(cut(data, 100)), cut(data, 1), (bytearray(one) for one in cut(data, 7)), iter([data, b"", b""])]
    assert texts_of(result)
    for source in sources:
        assert_contents(engine, source, result)
    with path.open("rb") as file:
        assert_contents(engine, file, result)
    with path.open("rb", buffering=0) as raw:
        assert_contents(engine, raw, result)


CONTENTS: list[Any] = ["", "a", " ", "\n", '"', "\\", "\0", "é", "北京", "😊", "\ufffd", "\u2028", "x" * 100_000]
CONTENTS += ["\ud83d", "\ude42", "a\ud83d", "\ud83d\ude42"[::-1], "\udc80"]


def test_texts(engine: str) -> None:
    """Empty ones are given, too; lone surrogates and NUL as they are."""
    data = b"".join(event({"choices": [{"delta": {"content": text}}]}) * 2 for text in CONTENTS)
    expected = [text for text in CONTENTS for _ in range(2)]
    assert list(chunkwire.contents(data, engine=engine)) == expected
    assert_contents(engine, data, oracle(data))
    plain = b"".join(chunk(text) for text in CONTENTS if not any("\ud800" <= one <= "\udfff" for one in text))
    assert_contents(engine, plain, oracle(plain))


def test_what_is_no_text(engine: str) -> None:
    """Chunks without a string as content are passed over, and counted."""
    docs = [
        "[]",
        "[5]",
        "[null]",
        "{}",
        "null",
        '"x"',
        "5",
        '[{"delta":null}]',
        '[{"delta":5}]',
        '[{"delta":[]}]',
        "[[]]",
    ]
    docs += [
        '[{"index":1}]',
        '[{"delta":{"text":"x"}}]',
        '[{"message":{"content":"x"}}]',
        '[{},{"delta":{"content":"x"}}]',
    ]
    docs += [
        f'[{{"delta":{{"content":{one}}}}}]' for one in ("null", "5", "true", "{}", '["x"]', '[{"text":"x"}]', "1.5")
    ]
    data = b"".join(event('{"choices":' + doc + "}") for doc in docs)
    texts = chunkwire.contents(data + chunk("end"), engine=engine)
    assert list(texts) == ["end"]
    assert texts.stats.chunks == len(docs) + 1
    # The last of two keys counts, the first choice, and keys are the same in any spelling.
    data = event('{"choices":[],"choices":[{"delta":{"content":"a"},"delta":{"content":5,"content":"b"}},{}]}')
    data += event('{"\\u0063hoices":[{"del\\u0074a":{"c\\u006fntent":"\\u0063"}}]}')
    data += event('{"object":"chat.completion.chunk"}')
    assert list(chunkwire.contents(data, engine=engine)) == ["b", "c"]
    assert_contents(engine, data, oracle(data))


ERRORS = chunk("a") + event("{") + event('{"error":"e"}') + chunk(None) + event("5") + chunk("") + chunk("b")[:-9]


def test_errors_come_in_their_places(engine: str) -> None:
    found = drain(chunkwire.contents(ERRORS, engine=engine))
    kinds = [one if isinstance(one, str) else getattr(one, "kind", "error") for one in found]
    assert kinds == ["a", "invalid_json", "error", "not_a_chunk", "", "truncated"]
    assert_contents(engine, ERRORS, oracle(ERRORS))
    assert_contents(engine, iter(cut(ERRORS, 3)), oracle(ERRORS))


def test_skip_counts_them(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(ERRORS)
    texts = chunkwire.contents(path, engine=engine, on_error="skip")
    assert list(texts) == ["a", ""]
    assert_counts(texts.stats, oracle(ERRORS))
    assert {damage.source for damage in texts.stats.damages} == {str(path)}
    (error, *_) = [one for one in drain(chunkwire.contents(path, engine=engine)) if isinstance(one, Exception)]
    assert error.source == str(path)


def test_options(engine: str) -> None:
    data = chunk("x" * 300) + chunk("a") + chunk("b")[:-1]
    assert_contents(engine, data, oracle(data, strict=True), strict=True)
    assert_contents(engine, data, oracle(data, max_event_bytes=250), max_event_bytes=250)
    for wrong in ({"on_error": "ignore"}, {"format": "xml"}, {"engine": "fastest"}, {"max_event_bytes": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            chunkwire.contents(data, **({"engine": engine} | wrong))
    with pytest.raises(TypeError):
        chunkwire.contents(5, engine=engine)
    with pytest.raises(FileNotFoundError):
        list(chunkwire.contents("missing.sse", engine=engine))


def test_a_damaged_archive(engine: str, tmp_path: Path) -> None:
    """All that was whole before the damage is given."""
    path = tmp_path / "log.sse.gz"
    path.write_bytes(gzip.compress(chunk("a") * 10 + chunk("b") * 1000)[:-20])
    found = drain(chunkwire.contents(path, engine=engine))
    assert found[:10] == ["a"] * 10
    assert [one.kind for one in found if isinstance(one, Exception)][:1] == ["truncated"]
    skipped = chunkwire.contents(path, engine=engine, on_error="skip")
    assert list(skipped) == [one for one in found if isinstance(one, str)]
    assert skipped.stats.damaged >= 1


def test_live(engine: str) -> None:
    """A text is out before the next block is asked for; the counts go along."""
    asked = []

    def blocks() -> Any:
        for letter in "abc":
            asked.append(letter)
            yield chunk(letter)

    texts = chunkwire.contents(blocks(), engine=engine)
    assert iter(texts) is texts
    for number, letter in enumerate("abc", 1):
        assert next(texts) == letter
        assert asked == list("abc"[:number])
        assert texts.stats.chunks == number
    assert list(texts) == []
    assert list(texts) == []


def test_a_source_that_fails(engine: str) -> None:
    """Its own error comes through, behind the texts before it."""

    def blocks() -> Any:
        yield chunk("a")
        raise OSError("gone")

    texts = chunkwire.contents(blocks(), engine=engine)
    assert next(texts) == "a"
    with pytest.raises(OSError, match="gone"):
        next(texts)


def test_progress(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(chunk("a") * 5000)
    told: list[tuple[int, int | None]] = []
    texts = chunkwire.contents(path, engine=engine, progress=lambda *done: told.append(done))
    assert list(texts) == ["a"] * 5000
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert texts.stats.chunks == 5000


def test_texts_outlive_their_source(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    expected = [f"{number} 😊" * (number % 50) for number in range(4000)]
    path.write_bytes(b"".join(map(chunk, expected)))
    texts = chunkwire.contents(path, engine=engine)
    kept = list(texts)
    path.unlink()
    del texts
    gc.collect()
    assert kept == expected
