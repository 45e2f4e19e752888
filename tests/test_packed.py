"""Packed sources, however they come: all parts of them, whole, cut at each byte, damaged, and larger than is allowed.

What they hold is known, since it was packed here; both engines give the same of it, and say the same.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire import _blocks
from oracle import COUNTS
from rows import DONE, first, last, part, report
from support import cut, drain

zstandard = pytest.importorskip("zstandard")
brotli = pytest.importorskip("brotli")


def zstd(data: bytes, *, checksum: bool = True) -> bytes:
    packed: bytes = zstandard.ZstdCompressor(level=3, write_checksum=checksum).compress(data)
    return packed


def skippable(size: int) -> bytes:
    return b"\x5a\x2a\x4d\x18" + size.to_bytes(4, "little") + b"x" * size


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstd,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "br": brotli.compress,
}
#: Those that have parts one behind the other.
PARTED = ["gz", "zst", "xz", "bz2"]
LOG = b"".join(first(id) + part(id) * 4 + last(id, usage=report(3)) + DONE for id in "abcdefgh")
IDS = list("abcdefgh")


def noise(size: int, seed: int = 1) -> bytes:
    """A log that packs badly, so that what is packed has many bytes."""
    rng = random.Random(seed)
    pieces, length = [], 0
    while length < size:
        pieces.append(part(content=f"{rng.getrandbits(256):x}"))
        length += len(pieces[-1])
    return b"".join(pieces)


def save(folder: Path, suffix: str, packed: bytes) -> Path:
    path = folder / f"log.sse.{suffix}"
    path.write_bytes(packed)
    return path


def read(source: Any, engine: str, **options: Any) -> tuple[list[int], Any]:
    """The offsets of all chunks, and the counts."""
    chunks = chunkwire.decode(source, engine=engine, on_error="skip", **options)
    return [chunk.offset for chunk in chunks], chunks.stats


def assert_sum(stats: Any) -> None:
    """Every byte is in exactly one class."""
    assert sum(getattr(stats, name) for name in COUNTS if name.endswith("_bytes")) == stats.bytes


def told(stats: Any) -> list[tuple[Any, ...]]:
    return [(damage.kind, damage.offset, damage.line, damage.reason) for damage in stats.damages]


class Named(io.BytesIO):
    """A file object that has a name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def ways(packed: bytes, suffix: str) -> Iterator[Any]:
    """The same bytes as file objects, blocks and memory. (Only a name tells brotli.)"""
    yield Named(packed, f"log.{suffix}")
    if suffix != "br":
        yield packed
        yield bytearray(packed)
        yield iter(cut(packed, 1))
        yield iter([b"", *cut(packed, 1000)])


@pytest.mark.parametrize("suffix", PACK)
def test_all_that_was_packed_comes_out(engine: str, tmp_path: Path, suffix: str) -> None:
    for data in (LOG, b"", noise(2_000_000)):
        packed = PACK[suffix](data)
        expected = read(data, engine)
        path = save(tmp_path, suffix, packed)
        assert read(path, engine) == (expected[0], expected[1])
        assert list(chunkwire.contents(path, engine=engine)) == list(chunkwire.contents(data, engine=engine))
        if len(data) < 1_000_000:
            for source in ways(packed, suffix):
                offsets, stats = read(source, engine)
                assert (offsets, stats.bytes, stats.damages) == (expected[0], len(data), [])


def test_brotli_is_told_by_the_name_alone(engine: str, tmp_path: Path) -> None:
    path = save(tmp_path, "other", brotli.compress(LOG))
    assert read(path, engine)[1].chunks == 0
    path = save(tmp_path, "BR", brotli.compress(LOG))
    assert read(path, engine)[1].bytes == len(LOG)
    # The first bytes say more than a name.
    path = save(tmp_path, "br", gzip.compress(LOG))
    assert read(path, engine)[1].bytes == len(LOG)


@pytest.mark.parametrize("suffix", PARTED)
def test_parts_one_behind_the_other(engine: str, tmp_path: Path, suffix: str) -> None:
    pack = PACK[suffix]
    for size in (1, 100, 1000):
        packed = b"".join(map(pack, cut(LOG, size)[:300]))
        expected = read(LOG[: size * 300], engine)[0]
        assert read(save(tmp_path, suffix, packed), engine)[0] == expected
        assert read(packed, engine)[0] == expected
    packed = pack(b"") + pack(LOG) + pack(b"") + pack(LOG) + pack(b"")
    assert read(save(tmp_path, suffix, packed), engine) == read(LOG * 2, engine)
    assert read(iter(cut(packed, 3)), engine)[1].damages == []


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_zeros_behind_and_between(engine: str, tmp_path: Path, suffix: str) -> None:
    for zeros in (4, 512, 200_000):
        packed = PACK[suffix](LOG) + bytes(zeros) + PACK[suffix](LOG) + bytes(zeros)
        assert read(save(tmp_path, suffix, packed), engine) == read(LOG * 2, engine)


def test_frames_to_be_skipped(engine: str, tmp_path: Path) -> None:
    """As pzstd and seekable zstd write them, also at the front, where their magic is all there is to see."""
    for size in (0, 1, 4, 100_000):
        packed = skippable(size) + zstd(LOG) + skippable(size) + zstd(LOG, checksum=False) + skippable(size)
        assert read(save(tmp_path, "zst", packed), engine) == read(LOG * 2, engine)
        assert read(iter(cut(packed, 7)), engine)[1].bytes == 2 * len(LOG)
        cut_short = read(save(tmp_path, "zst", (skippable(size) + zstd(LOG))[: 8 + size // 2]), engine)[1]
        if size:
            assert told(cut_short) == [
                ("truncated", 0, 0, "the compressed source is cut or damaged: the zstd data ends before its end mark")
            ]


def test_zstd_of_every_make(engine: str, tmp_path: Path) -> None:
    """Raw blocks, blocks of one byte, no size in the head, all levels."""
    rng = random.Random(3)
    datas = [rng.randbytes(300_000), b": " + b"x" * 1_000_000 + b"\n\n" + LOG, noise(700_000)]
    for data in datas:
        expected = read(data, engine)[1].bytes
        for level in (-5, 1, 3, 12):
            compressor = zstandard.ZstdCompressor(level=level, write_content_size=level > 1, write_checksum=level != 3)
            stream = compressor.compressobj()
            packed = b""
            for piece in cut(data, 90_000):
                packed += stream.compress(piece)
                if level < 0:
                    packed += stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            packed += stream.flush()
            _, stats = read(save(tmp_path, "zst", packed), engine)
            assert (stats.bytes, stats.bytes) == (expected, len(data))
            assert not [damage for damage in stats.damages if damage.kind == "truncated" and not damage.line]


@pytest.mark.parametrize("suffix", PACK)
def test_cut_at_each_byte(tmp_path: Path, suffix: str) -> None:
    """What is whole is given, and one damage says that the rest is not; both engines find the same."""
    data = noise(4000) + LOG
    packed = PACK[suffix](data)
    assert 500 < len(packed) < 3000
    least = {"gz": 2, "zst": 4, "xz": 6, "bz2": 3, "br": 1}[suffix]
    lengths = {*range(0, len(packed), 2 if suffix in ("gz", "zst") else 7), *range(len(packed) - 12, len(packed))}
    for length in sorted(lengths):
        path = save(tmp_path, suffix, packed[:length])
        found = [read(path, name) for name in ("native", "simdjson")]
        assert found[0] == found[1], length
        offsets, stats = found[0]
        assert_sum(stats)
        if length < least:
            continue
        (damage,) = [damage for damage in stats.damages if damage.line == 0]
        assert damage.kind == "truncated"
        assert "ends before its end mark" in damage.reason
        assert damage.offset == stats.bytes <= len(data)
        assert offsets == read(data[: stats.bytes], "native")[0]
        for name in ("native", "simdjson"):
            for source in ways(packed[:length], suffix):
                assert told(read(source, name)[1]) == told(stats)


@pytest.mark.parametrize("suffix", PACK)
def test_cut_late_gives_nearly_all(engine: str, tmp_path: Path, suffix: str) -> None:
    data = noise(2_500_000)
    packed = PACK[suffix](data)
    offsets, stats = read(save(tmp_path, suffix, packed[:-20]), engine)
    # A block of bzip2 has up to 900 kB, and is nothing until it is whole.
    assert stats.bytes > len(data) - (1_000_000 if suffix == "bz2" else 300_000)
    assert offsets == read(data[: stats.bytes], engine)[0]
    with pytest.raises(chunkwire.DecodeError, match="ends before its end mark"):
        list(chunkwire.decode(tmp_path / f"log.sse.{suffix}", engine=engine))


def test_cut_gives_first_what_was_whole_of_a_log_in_json(engine: str, tmp_path: Path) -> None:
    """Also where so little came that it took all of it to recognise the log."""
    body = "".join(f'data: {{"id":"a","choices":[],"n":{number}}}\n\n' for number in range(9))
    log = b"".join(b'{"n":%d,"body":%s}\n' % (number, json.dumps(body).encode()) for number in range(3))
    packed = gzip.compress(log, mtime=0)
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(packed[:-10])
    for source in (path, packed[:-10]):
        chunks = chunkwire.decode(source, engine=engine)
        found = drain(chunks)
        errors = [place for place, one in enumerate(found) if isinstance(one, chunkwire.DecodeError)]
        assert len(found) > 18
        assert errors[0] >= 18
        completions = chunkwire.completions(source, engine=engine, on_error="raise")
        assert [type(one).__name__ for one in drain(completions)][:2] == ["Completion", "Completion"]
        damages = chunkwire.usage(source, engine=engine, threads=1).stats.damages
        assert [(one.kind, one.line) for one in damages][:2] == [("truncated", 0), ("truncated", 3)]
    together = chunkwire.usage([path, path], engine=engine, threads=2).stats.damages
    assert together == chunkwire.usage(path, engine=engine, threads=1).stats.damages * 2


@pytest.mark.parametrize("suffix", PACK)
def test_damage_inside(tmp_path: Path, suffix: str) -> None:
    """Whatever is whole before it is given, and what is said does not depend on the engine."""
    data = noise(600_000)
    packed = PACK[suffix](data)
    rng = random.Random(5)
    for _ in range(12):
        at = rng.randrange(len(packed) // 4, len(packed))
        damaged = bytearray(packed)
        damaged[at] ^= 1 << rng.randrange(8)
        path = save(tmp_path, suffix, bytes(damaged))
        found = [read(path, name) for name in ("native", "simdjson")]
        stats = found[0][1]
        if stats.damaged <= 1000 and suffix != "br":  # which has no checksum; of many damages not all are kept
            assert [one.kind for one in stats.damages if one.line == 0] == ["truncated"]
        if suffix in ("gz", "zst"):
            assert found[0] == found[1]
        else:
            assert found[1][1].bytes <= stats.bytes <= found[1][1].bytes + 70_000
        if suffix != "bz2":  # whose blocks hold it all
            assert stats.bytes > 0


@pytest.mark.parametrize("suffix", PARTED)
def test_what_stands_behind_and_is_not_packed(engine: str, tmp_path: Path, suffix: str) -> None:
    pack = PACK[suffix]
    name = {"gz": "gzip", "zst": "zstd", "xz": "xz", "bz2": "bzip2"}[suffix]
    thing = {"gz": "member", "zst": "frame"}.get(suffix, "stream")
    other = b"\x28" if suffix == "gz" else b"\x1f"  # with which other packed data begins
    for behind in (b"hello", LOG, b"x", other):
        offsets, stats = read(save(tmp_path, suffix, pack(LOG) + pack(LOG) + behind), engine)
        reason = f"what stands behind {thing} 2 of the {name} data is no {name} data"
        assert told(stats) == [("truncated", 2 * len(LOG), 0, f"the compressed source is cut or damaged: {reason}")]
        assert len(offsets) == 2 * read(LOG, engine)[1].chunks
    for left in (1, len(pack(LOG)) - 5):
        _, stats = read(save(tmp_path, suffix, pack(LOG) + pack(LOG)[:left]), engine)
        assert stats.damages[0].reason.endswith(f"the {name} data ends before its end mark (in its {thing} 2)")


@pytest.mark.parametrize("size", [2_000, 100_000])
def test_a_block_of_zstd_before_a_damaged_head(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It is whole, and is given, however much room there is for it."""
    packer = zstandard.ZstdCompressor().compressobj()
    data = noise(size)
    packed = packer.compress(data) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    reserved = b"\x06\0\0"
    path = save(tmp_path, "zst", packed + reserved + bytes(20))
    expected = read(data, engine)[0]
    for split in (None, 1, 700, 20_000):
        if split is not None:
            monkeypatch.setenv("CHUNKWIRE_TEST_SPLIT_BYTES", str(split))
        for threads in (1, 2, 3):
            tables = [chunkwire.usage(source, engine=engine, threads=threads) for source in (path, [path, path])]
            assert [int(table.chunks.sum()) for table in tables] == [len(expected), 2 * len(expected)]
            reason = "the compressed source is cut or damaged: the zstd data is damaged"
            assert told(tables[0].stats)[0] == ("truncated", len(data), 0, reason)
    for pieces in (cut(path.read_bytes(), 1), cut(path.read_bytes(), 1000)):
        assert read(iter(pieces), engine)[0] == expected


# --- bounds


@pytest.mark.parametrize("suffix", PACK)
def test_a_bound_on_what_comes_out(engine: str, tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path, suffix, PACK[suffix](LOG))
    whole = read(path, engine)
    assert read(path, engine, max_decompressed_bytes=len(LOG)) == whole
    for most in (1, 100, len(LOG) - 1):
        name = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "br": "brotli"}.get(suffix, suffix)
        reason = (
            f"the {name} data unpacks to more than {most} bytes, which max_decompressed_bytes allows; "
            "the rest was not read"
        )
        for source in (path, Named(path.read_bytes(), f"log.{suffix}")):
            offsets, stats = read(source, engine, max_decompressed_bytes=most)
            assert told(stats)[0] == ("source_too_large", most, 0, reason)
            assert stats.bytes == most
            assert offsets == read(LOG[:most], engine)[0]
            assert_sum(stats)
        table = chunkwire.usage(path, engine=engine, max_decompressed_bytes=most)
        assert told(table.stats) == told(stats)
    with pytest.raises(chunkwire.DecodeError, match="max_decompressed_bytes") as caught:
        list(chunkwire.decode(path, engine=engine, max_decompressed_bytes=1))
    assert caught.value.kind == "source_too_large"


def test_a_bound_is_for_what_is_packed(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(LOG)
    for source in (path, LOG, iter([LOG])):
        assert read(source, engine, max_decompressed_bytes=5)[1].damages == []


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (1 << 63, ValueError), ("5", TypeError)]
)
def test_what_is_no_bound(engine: str, value: Any, error: type[Exception]) -> None:
    for function in (chunkwire.decode, chunkwire.usage, chunkwire.completions, chunkwire.contents, chunkwire.events):
        with pytest.raises(error, match="max_decompressed_bytes must be"):
            function(LOG, engine=engine, max_decompressed_bytes=value)


@pytest.mark.parametrize("suffix", ["zst", "bz2", "br"])
def test_bombs(engine: str, tmp_path: Path, suffix: str) -> None:
    """What no log comes to ends there, and says with which figures."""
    comment = b":" + b"x" * 999 + b"\n"
    size = _blocks.FREE_BYTES + 10_000_000
    data = LOG + comment * (size // len(comment))
    if suffix == "zst":
        packed = zstd(data)
    elif suffix == "br":
        packed = brotli.compress(data, quality=3, lgwin=18)
    else:
        piece = bz2.compress(comment * 10_000)
        packed = bz2.compress(LOG) + piece * (size // 10_000_000 + 1)
    path = save(tmp_path, suffix, packed)
    assert len(packed) < 250_000
    table = chunkwire.usage(path, engine=engine)
    (damage,) = table.stats.damages
    name = {"zst": "zstd", "bz2": "bzip2", "br": "brotli"}[suffix]
    assert (damage.kind, damage.offset, table.stats.bytes) == ("source_too_large", _blocks.FREE_BYTES, damage.offset)
    assert damage.reason == (
        f"the {name} data unpacks to more than 1000 times its size: {_blocks.FREE_BYTES} bytes came out of "
        f"{len(packed)} at most, the rest was not read; max_decompressed_bytes allows more"
    )
    assert list(table.id) == IDS, "what came before is given"
    # Who says how much may come has it.
    assert chunkwire.usage(path, engine=engine, max_decompressed_bytes=1 << 40).stats.damages == []


def test_memory_that_nobody_should_have_to_give(engine: str, tmp_path: Path) -> None:
    """A window of 1 GiB is declined, not allocated."""
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(3, window_log=30)
    )
    stream = compressor.compressobj()  # without a size, which would make the window smaller
    path = save(tmp_path, "zst", stream.compress(LOG) + stream.flush())
    (damage,) = read(path, engine)[1].damages
    assert damage.reason.endswith("the zstd data needs too much memory to be unpacked")


# --- beside others


def test_what_is_not_packed_is_not_held_back(engine: str) -> None:
    """Of a live source nothing waits, but for first bytes that might be those of an archive."""
    asked = 0

    def blocks() -> Iterator[bytes]:
        nonlocal asked
        for block in (LOG[:50], LOG[50:], b""):
            asked += 1
            yield block

    chunks = chunkwire.decode(blocks(), engine=engine)
    next(chunks)
    assert asked == 2
    for start in (b"\x1f", b"\x28\xb5", b"BZ", b"\xfd7zX", b"P*M"):
        offsets, stats = read(iter([start, b"\n\n" + LOG]), engine)
        assert (len(offsets), stats.bytes) == (read(LOG, engine)[1].chunks, len(start) + 2 + len(LOG))
        assert read(iter(cut(start, 1)), engine)[1].bytes == len(start)


def test_a_packed_source_can_go_on_after_an_error_of_its_own(engine: str) -> None:
    class Source:
        """Fails once, in the middle."""

        def __init__(self, pieces: list[bytes]) -> None:
            self.pieces = pieces
            self.count = 0

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> bytes:
            self.count += 1
            if self.count == 3:
                raise BlockingIOError("not yet")
            if not self.pieces:
                raise StopIteration
            return self.pieces.pop(0)

    packed = gzip.compress(LOG)
    chunks = chunkwire.decode(Source(cut(packed, len(packed) // 4)), engine=engine)
    found, errors = [], 0
    while True:
        try:
            found.append(next(chunks).offset)
        except BlockingIOError:
            errors += 1
        except StopIteration:
            break
    assert (found, errors) == (read(LOG, engine)[0], 1)


def test_all_functions_unpack(engine: str, tmp_path: Path) -> None:
    path = save(tmp_path, "xz", lzma.compress(LOG))
    assert len(list(chunkwire.events(path, engine=engine))) == len(list(chunkwire.events(LOG, engine=engine)))
    assert len(list(chunkwire.completions(path, engine=engine))) == len(IDS)
    assert sum(len(batch) for batch in chunkwire.batches(path, engine=engine)) == read(LOG, engine)[1].chunks
    assert list(chunkwire.usage(path, engine=engine).id) == IDS
    assert list(chunkwire.usage(path.read_bytes(), engine=engine).id) == IDS
