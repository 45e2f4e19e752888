"""Logs in archives and behind URLs: each is a source, in order; what cannot be read is told, and the rest given."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli import main
from chunkwire._options import Options
from rows import DONE, first, last, part, report

brotli = pytest.importorskip("brotli")
zstandard = pytest.importorskip("zstandard")


def stream(id: str, parts: int = 3) -> bytes:
    return first(id) + part(id) * parts + last(id, usage=report(3)) + DONE


#: What is in each archive, in order; and the ids that are found, with the member's name.
MEMBERS = {
    "b/two.sse": stream("two"),
    "a.log": stream("one"),
    "packed.sse.gz": gzip.compress(stream("three")),
    "x/packed.txt.zst": zstandard.ZstdCompressor().compress(stream("four")),
    "packed.events.br": brotli.compress(stream("five")),
    "README.md": b"hello",
    ".hidden.sse": stream("hidden"),
    "__MACOSX/._a.log": stream("hidden"),
    "long/" + "n" * 150 + ".sse": stream("six", 9000),
}
FOUND = {"b/two.sse": "two", "a.log": "one", "packed.sse.gz": "three", "x/packed.txt.zst": "four"}
FOUND |= {"packed.events.br": "five", "long/" + "n" * 150 + ".sse": "six"}


def tar(members: dict[str, bytes] = MEMBERS, **options: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        folder = tarfile.TarInfo("x")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo("link.sse")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zipped(members: dict[str, bytes] = MEMBERS, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.mkdir("x")
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


ARCHIVES = {
    "logs.tar": tar(),
    "pax.tar": tar(format=tarfile.PAX_FORMAT),
    "gnu.TAR": tar(format=tarfile.GNU_FORMAT),
    "logs.tar.gz": gzip.compress(tar()),
    "logs.tgz": gzip.compress(tar()),
    "logs.tar.zst": zstandard.ZstdCompressor().compress(tar()),
    "logs.tar.xz": lzma.compress(tar()),
    "logs.tar.bz2": bz2.compress(tar()),
    "logs.tar.br": brotli.compress(tar(), quality=1),
    "deflated.zip": zipped(),
    "stored.ZIP": zipped(method=zipfile.ZIP_STORED),
    "bzip2.zip": zipped(method=zipfile.ZIP_BZIP2),
    "lzma.zip": zipped(method=zipfile.ZIP_LZMA),
}


def save(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def found(table: chunkwire.UsageTable) -> list[tuple[str, str]]:
    return list(zip(table.source, table.id, strict=True))


def labels(path: str) -> list[tuple[str, str]]:
    return [(f"{path}!{name}", id) for name, id in FOUND.items()]


@pytest.mark.parametrize("name", ARCHIVES)
def test_each_member_is_a_source(engine: str, tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, ARCHIVES[name])
    for threads in (1, 3):
        table = chunkwire.usage(path, engine=engine, threads=threads)
        assert found(table) == labels(path)
        lost = [] if name.lower().endswith("zip") else [f"{path}!link.sse -> /etc/passwd"]
        assert (table.failures, table.passed_over) == ([], [f"{path}!README.md", *lost])
        assert table.stats.damaged == 0
        assert [label for label, _ in table.by_source()] == [label for label, _ in labels(path)]
        assert table.stats.bytes == sum(stats.stats.bytes for _, stats in table.by_source())
    # In a folder, among others, and named twice.
    save(tmp_path, "z.sse", stream("last"))
    assert [id for _, id in found(chunkwire.usage(tmp_path, engine=engine))] == [*FOUND.values(), "last"]
    table = chunkwire.usage([path, str(tmp_path / "z.sse"), path], engine=engine)
    assert [id for _, id in found(table)] == [*FOUND.values(), "last", *FOUND.values()]


#: Links, and the member that each leads to; None for those that lead nowhere.
SYMBOLIC = {
    "latest.sse": ("a.log", "a.log"),
    "x/up.log": ("../a.log", "a.log"),
    "x/./y/far.txt": ("../../b/two.sse", "b/two.sse"),
    "again.sse": ("x/up.log", "a.log"),  # a link to a link
    "plain.events": ("README.md", "README.md"),  # what a link is called counts
    "packed.log": ("packed.sse.gz", "packed.sse.gz"),
    "gone.sse": ("nothing.sse", None),
    "out.sse": ("../../../../a.log", None),
    "absolute.sse": ("/a.log", None),
    "loop.sse": ("loop2.sse", None),
    "loop2.sse": ("loop.sse", None),
    "itself.sse": ("itself.sse", None),
    "folder.sse": ("x", None),
    ".hidden-link.sse": ("a.log", None),
    "no-log": ("a.log", None),
}
IDS = FOUND | {"c.sse": "c"}  # (README.md is no stream.)
HARD = {"hard.sse": ("a.log", "a.log"), "x/hard.log": ("b/two.sse", "b/two.sse"), "early.sse": ("c.sse", "c.sse")}


def with_links(kind: str) -> bytes:
    """The members and links to them; behind those another version of a member that a hard link has nothing of."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (target, _) in SYMBOLIC.items():
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, 0o120777 << 16
                archive.writestr(info, target)
            archive.mkdir("x")
            for name, data in MEMBERS.items():
                archive.writestr(name, data)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as archive:

        def add(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, target
            archive.addfile(info, io.BytesIO(data))

        add("x", kind=tarfile.DIRTYPE)
        for name, (target, _) in list(SYMBOLIC.items())[::2]:
            add(name, kind=tarfile.SYMTYPE, target=target)
        for name, data in MEMBERS.items():
            add(name, data)
        for name, (target, _) in HARD.items():
            add(name, kind=tarfile.LNKTYPE, target=target)
        for name, (target, _) in list(SYMBOLIC.items())[1::2]:
            add(name, kind=tarfile.SYMTYPE, target=target)
        add("c.sse", stream("c"))
    return file.getvalue()


@pytest.mark.parametrize("name", ["links.tar", "links.tar.gz", "links.zip"])
def test_links_are_read_where_they_lead(engine: str, tmp_path: Path, name: str) -> None:
    is_zip = name.endswith("zip")
    data = with_links("zip" if is_zip else "tar")
    path = save(tmp_path, name, gzip.compress(data) if name.endswith("gz") else data)
    table = chunkwire.usage(path, engine=engine)
    links = SYMBOLIC if is_zip else SYMBOLIC | HARD
    expected = {f"{path}!{member}": id for member, id in FOUND.items()}
    expected |= {f"{path}!{link}": IDS.get(target) for link, (_, target) in links.items() if target}
    expected |= {} if is_zip else {f"{path}!c.sse": "c"}
    assert dict(found(table)) == expected
    assert len(table) == len(dict(found(table)))
    assert {label for label, _ in table.by_source()} == set(expected)
    lost = [f"{path}!{link} -> {to}" for link, (to, target) in links.items() if not target and "." in link[1:]]
    lost = [label for label in lost if "!." not in label]
    assert sorted(table.passed_over) == sorted([f"{path}!README.md", f"{path}!no-log", *lost])
    assert table.failures == []
    chunks = chunkwire.decode(f"{path}!x/up.log", engine=engine)
    assert {chunk.id for chunk in chunks} == {"one"}


def test_links_in_an_archive_that_is_cut(engine: str, tmp_path: Path) -> None:
    """What is whole is read through them; that the archive is cut is told once."""
    data = with_links("tar")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        end = next(info.offset for info in archive if info.name == "c.sse")
    path = save(tmp_path, "links.tar", data[: end + 512 + 20])
    table = chunkwire.usage(path, engine=engine)
    assert list(table.id).count("one") == 5
    damaged = {label for label, one in table.by_source() if one.stats.damages}
    assert damaged == {f"{path}!{name}" for name in ("c.sse", "early.sse", "plain.events")}
    assert len(table.failures) == 0


def test_very_many_links_to_one_log(engine: str, tmp_path: Path) -> None:
    """Each is a pass through a tar, so they are bounded, and what is not read is told."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("a.sse")
        info.size = len(stream("a"))
        archive.addfile(info, io.BytesIO(stream("a")))
        for number in range(40):
            info = tarfile.TarInfo(f"{number}.sse")
            info.type, info.linkname = tarfile.LNKTYPE, "a.sse"
            archive.addfile(info)
    path = save(tmp_path, "links.tar", file.getvalue())
    table = chunkwire.usage(path, engine=engine)
    assert list(table.id) == ["a"] * 17
    assert [label for label, _ in table.failures] == [f"{path}!{number}.sse" for number in range(16, 40)]
    assert "too many links" in str(table.failures[0][1])


def test_links_that_lead_nowhere_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, "links.tar", with_links("tar"))
    assert main(["usage", path, "--format", "csv"]) == 0
    error = capsys.readouterr().err
    assert "passed over 2 files (neither .sse" in error
    assert "passed over 7 links (to what is not in the archive): gone.sse -> nothing.sse, " in error


@pytest.mark.parametrize("name", ["logs.tar", "logs.tar.gz", "deflated.zip"])
def test_a_member_alone(engine: str, tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, ARCHIVES[name])
    for member, id in FOUND.items():
        chunks = chunkwire.decode(f"{path}!{member}", engine=engine)
        assert next(chunks).id == id
        assert list(chunkwire.usage(f"{path}!{member}", engine=engine).id) == [id]
    with pytest.raises(FileNotFoundError, match="no such log"):
        chunkwire.decode(f"{path}!other.sse", engine=engine)
    with pytest.raises(ValueError, match="holds more than one source"):
        chunkwire.decode(path, engine=engine)
    alone = {"one.sse": stream("one")}
    path = save(
        tmp_path, name, gzip.compress(tar(alone)) if "gz" in name else tar(alone) if "tar" in name else zipped(alone)
    )
    assert next(chunkwire.decode(path, engine=engine)).id == "one"
    path = save(tmp_path, "empty.zip", zipped({}))
    with pytest.raises(FileNotFoundError, match="no log in it"):
        chunkwire.decode(path, engine=engine)
    assert len(chunkwire.usage(path, engine=engine)) == 0


def test_names_that_look_like_members(engine: str, tmp_path: Path) -> None:
    """A file is what it is called, whatever is in its name."""
    for name in ("a!b.sse", "x.zip!a.sse", "http:--x.sse"):
        path = save(tmp_path, name, stream("one"))
        assert list(chunkwire.usage(path, engine=engine).id) == ["one"]
        assert next(chunkwire.decode(path, engine=engine)).id == "one"
    with pytest.raises(FileNotFoundError):
        chunkwire.usage(str(tmp_path / "none!x.sse"), engine=engine)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_tar_that_is_cut(engine: str, tmp_path: Path, suffix: str) -> None:
    """What is whole is given; one damage or one failure says that there was more."""
    members = {f"{id}.sse": stream(id) for id in "abcdef"}
    whole = tar(members)
    packed = gzip.compress(whole) if suffix == "tar.gz" else whole
    for length in range(len(packed) * 2 // 3, len(packed), 97 if suffix == "tar.gz" else 300):
        path = save(tmp_path, f"cut.{suffix}", packed[:length])
        try:
            table = chunkwire.usage(path, engine=engine)
        except OSError as error:
            assert "cut or damaged" in str(error)  # noqa: PT017
            continue
        ends = [damage for damage in table.stats.damages if damage.line == 0]
        zeros = not whole[length:].strip(b"\0") and suffix == "tar"
        assert len(ends) + len(table.failures) == 1 or zeros
        for _, error in table.failures:
            assert "the archive is cut or damaged" in str(error)
        ids = [id for id in table.id if id]
        assert ids == list("abcdef")[: len(ids)]


def test_what_cannot_be_read_of_a_zip(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, "logs.zip", zipped({"a.sse": stream("a"), "b.sse": stream("b"), "c.sse": stream("c", 900)}))
    data = bytearray(Path(path).read_bytes())
    # Encrypted, by what the directory says of the first member.
    entry = data.index(b"a.sse", data.index(b"PK\x01\x02")) - 46
    data[entry + 8] |= 1
    # And damage inside the last one.
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("c.sse")
    data[info.header_offset + 60] ^= 0xFF
    path = save(tmp_path, "logs.zip", bytes(data))
    table = chunkwire.usage(path, engine=engine)
    assert [(label, error.strerror) for label, error in table.failures] == [  # type: ignore[attr-defined]
        (f"{path}!a.sse", "the member is encrypted")
    ]
    assert next(iter(table.id)) == "b"
    (damage,) = [damage for damage in table.stats.damages if damage.line == 0]
    assert (damage.kind, damage.source) == ("truncated", f"{path}!c.sse")
    assert damage.reason.startswith("the compressed source is cut or damaged: the zip member is damaged: ")
    assert main(["usage", "--engine", engine, path]) == 2
    assert "the member is encrypted" in capsys.readouterr().err
    for broken in (b"", b"PK", zipped()[:-30], b"x" * 1000):
        with pytest.raises(OSError, match="the zip is cut or damaged"):
            chunkwire.usage(save(tmp_path, "broken.zip", broken), engine=engine)
    (tmp_path / "z.sse").write_bytes(stream("z"))
    table = chunkwire.usage(tmp_path, engine=engine)
    assert [label for label, _ in table.failures] == [str(tmp_path / "broken.zip"), f"{path}!a.sse"]
    assert "z" in list(table.id)


def test_a_tar_whose_header_is_damaged(engine: str, tmp_path: Path) -> None:
    """What is behind it cannot be found any more, and that is told: a tar is padded with zeros, as if it had ended."""
    members = {f"{id}.sse": stream(id) for id in "abcd"}
    whole = tar(members)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        places = [info.offset for info in archive if info.isreg()]
    for number, place in enumerate(places):
        data = bytearray(whole)
        data[place + 150] ^= 0xFF
        path = save(tmp_path, "x.tar", bytes(data))
        save(tmp_path, "z.sse", stream("z"))
        table = chunkwire.usage(tmp_path, engine=engine)
        assert list(table.id) == [*"abcd"[:number], "z"]
        assert [label for label, _ in table.failures] == [path]
        assert "the archive is cut or damaged: " in str(table.failures[0][1])


def test_what_stands_behind_the_end_of_a_tar(engine: str, tmp_path: Path) -> None:
    """Archives one behind the other are read no further than the first, as by tar; that is told."""
    one, other = tar({"a.sse": stream("a")}), tar({"b.sse": stream("b")})
    path = save(tmp_path, "two.tar.gz", gzip.compress(one) + gzip.compress(other))
    table = chunkwire.usage(path, engine=engine)
    assert list(table.id) == ["a"]
    assert "the archive has more behind its end mark" in str(table.failures[0][1])
    table = chunkwire.usage(save(tmp_path, "one.tar", one + bytes(3 << 20)), engine=engine)
    assert (list(table.id), table.failures) == (["a"], [])


def test_a_tar_with_a_huge_header(engine: str, tmp_path: Path) -> None:
    """A header that says more of the next is held whole: so it is bounded."""
    info = tarfile.TarInfo("huge")
    info.type, info.size = tarfile.XHDTYPE, 1 << 33
    whole = tar({"a.sse": stream("a")})
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        end = archive.getmembers()[-1].offset_data + (len(stream("a")) + 511) // 512 * 512
    path = save(tmp_path, "x.tar.gz", gzip.compress(whole[:end] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    table = chunkwire.usage(path, engine=engine)
    assert list(table.id) == ["a"]
    assert f"a header of {1 << 33} bytes" in str(table.failures[0][1])


def test_a_tar_that_cannot_be_read_on(engine: str, tmp_path: Path) -> None:
    """What was read of it is given all the same."""
    whole = tar({"a.sse": stream("a"), "b.sse": stream("b", 900)})

    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionResetError("gone")
            return super().read(50_000)

    members = chunkwire._archives.Members("x.tar", "far/x.tar", lambda: Gone(whole))
    found = chunkwire._sources.Found([chunkwire._sources.Source(members, None, "far/x.tar")])
    read = chunkwire._reading.read_all(found, Options("skip"), engine=engine, threads=2)
    assert [label for label, _ in read.stats_by_source] == ["far/x.tar!a.sse"]
    assert [(label, str(error)) for label, error in read.failures] == [("far/x.tar", "gone")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_whole_of_a_damaged_member_is_given(engine: str, tmp_path: Path, method: int) -> None:
    rng = random.Random(method)
    log = b"".join(stream(f"{rng.getrandbits(400):x}") for _ in range(3000))
    whole = zipped({"a.sse": log, "b.sse": stream("b")}, method)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        info = archive.getinfo("a.sse")
    # Only the sum is another, here and in the directory.
    data = bytearray(whole)
    data[info.header_offset + 14] ^= 1
    data[whole.rindex(b"a.sse") - 46 + 16] ^= 1
    table = chunkwire.usage(save(tmp_path, "sum.zip", bytes(data)), engine=engine)
    assert len(table) == 3001
    assert ["checksum" in damage.reason for damage in table.stats.damages] == [True]
    # The data are damaged, late.
    data = bytearray(whole)
    at = info.header_offset + 30 + len("a.sse") + info.compress_size * 99 // 100
    data[at : at + 40] = bytes(40)
    table = chunkwire.usage(save(tmp_path, "data.zip", bytes(data)), engine=engine)
    assert len(table) > 2000
    assert table.id[-1] == "b"
    assert [damage.source for damage in table.stats.damages if damage.line == 0] == [f"{tmp_path / 'data.zip'}!a.sse"]
    assert table.failures == []


def test_archives_of_any_bytes(engine: str, tmp_path: Path) -> None:
    """Whatever is in an archive, an OSError is all that its reader may raise."""
    rng = random.Random(5)
    members = {"a.sse": stream("a"), "b.sse": stream("b")}
    made = {
        "x.tar": [tar(members), tar({"n" * 150 + ".sse": stream("n")}, format=tarfile.PAX_FORMAT)],
        "x.zip": [zipped(members, method) for method in (0, 8, 12, 14)],
    }
    for name, archives in made.items():
        for _ in range(250):
            data = bytearray(rng.choice(archives))
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(data)) if rng.random() < 0.5 else max(len(data) - rng.randrange(1, 300), 0)
                data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
            path = save(tmp_path, name, bytes(data))
            with contextlib.suppress(OSError):
                chunkwire.usage(path, engine=engine)
    # These once were no OSError: a version of the format that nobody has, and a name of no length.
    data = bytearray(zipped(members))
    entry = data.rindex(b"a.sse") - 46
    data[entry + 6] = 200
    with pytest.raises(OSError, match=r"cut or damaged: zip file version 20\.0"):
        chunkwire.usage(save(tmp_path, "x.zip", bytes(data)), engine=engine)
    data[entry + 6], data[entry + 28] = 20, 0
    with contextlib.suppress(OSError):
        chunkwire.usage(save(tmp_path, "x.zip", bytes(data)), engine=engine)


def test_a_member_that_is_a_bomb(engine: str, tmp_path: Path) -> None:
    members = {"a.sse": stream("a"), "bomb.sse": stream("b") + (b":" + b"x" * 999 + b"\n") * 3000}
    for name, data in (("logs.zip", zipped(members)), ("logs.tar.gz", gzip.compress(tar(members)))):
        path = save(tmp_path, name, data)
        table = chunkwire.usage(path, engine=engine, max_decompressed_bytes=1_000_000)
        (damage,) = table.stats.damages
        assert (damage.kind, damage.source) == ("source_too_large", f"{path}!bomb.sse")
        assert "1000000 bytes" in damage.reason
        assert list(table.id) == ["a", "b"]


def test_the_command_line(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("logs.tar.gz", "deflated.zip"):
        path = save(tmp_path, name, ARCHIVES[name])
        assert main(["decode", "--engine", engine, "--fields", "id,source", path]) == 0
        out = capsys.readouterr().out.splitlines()
        assert f'{{"id":"one","source":"{path}!a.log"}}' in [line.replace(" ", "") for line in out]
        assert main(["check", "--engine", engine, path]) == 0
        assert main(["text", "--engine", engine, f"{path}!a.log"]) == 0
        assert "a.log@0" in capsys.readouterr().out
        assert main(["show", "--engine", engine, f"{path}!a.log@0"]) == 0
        assert main(["usage", "--engine", engine, "--max-decompressed", "1G", path]) == 0
        assert main(["check", "--engine", engine, "--max-decompressed", "100k", path]) in (1, 2)
        assert "max_decompressed_bytes allows" in "".join(capsys.readouterr())
    with pytest.raises(SystemExit):
        main(["usage", "--max-decompressed", "0", path])


def test_standard_input_is_unpacked(engine: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chunkwire", "decode", "--engine", engine, "--fields", "id", "-"]
    done = subprocess.run(command, input=lzma.compress(stream("a")), capture_output=True, check=True)
    assert done.stdout.count(b'"a"') == stream("a").count(b"data: {")


# --- URLs


@pytest.fixture
def memory() -> Iterator[Any]:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.pipe({"/logs/b.sse": stream("b"), "/logs/a/a.sse.gz": gzip.compress(stream("a")), "/logs/x.json": b"{}"})
    files.pipe(
        {"/logs/z.zip": zipped({"m.sse": stream("m")}), "/logs/t.tgz": gzip.compress(tar({"t.sse": stream("t")}))}
    )
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_urls(engine: str, memory: Any) -> None:
    assert list(chunkwire.usage("memory://logs/b.sse", engine=engine).id) == ["b"]
    assert next(chunkwire.decode("memory://logs/a/a.sse.gz", engine=engine)).id == "a"
    table = chunkwire.usage("memory://logs/**/*.sse*", engine=engine)
    assert found(table) == [("memory:///logs/a/a.sse.gz", "a"), ("memory:///logs/b.sse", "b")]
    table = chunkwire.usage(["memory://logs"], engine=engine, threads=3)
    assert list(table.id) == ["a", "b", "t", "m"]
    assert table.passed_over == ["memory:///logs/x.json", "memory:///logs/t.tgz!link.sse -> /etc/passwd"]
    assert list(table.source)[2:] == ["memory:///logs/t.tgz!t.sse", "memory:///logs/z.zip!m.sse"]
    assert next(chunkwire.decode("memory://logs/z.zip!m.sse", engine=engine)).id == "m"


def test_urls_where_nothing_is(engine: str, memory: Any) -> None:
    for url in ("memory://logs/none.sse", "memory://none/*.sse"):
        with pytest.raises(FileNotFoundError, match=re.escape(url.partition("//")[2].strip("/"))):
            chunkwire.usage(url, engine=engine)
    table = chunkwire.usage(["memory://logs/none.sse", "memory://logs/b.sse"], engine=engine)
    assert list(table.id) == ["b"]
    assert [label for label, _ in table.failures] == ["memory:///logs/none.sse"]
    with pytest.raises(ValueError, match="nonsense://x: Protocol not known"):
        chunkwire.usage("nonsense://x", engine=engine)


def test_an_archive_that_cannot_be_read_takes_no_other_with_it(engine: str, memory: Any) -> None:
    memory.pipe({"/logs/bad.zip": b"PK", "/logs/bad.tar": b"x" * 2000})
    for url in ("memory://logs", "memory://logs/[!x]*"):
        table = chunkwire.usage(url, engine=engine)
        assert list(table.id) == ["a", "b", "t", "m"]
        assert [label for label, _ in table.failures] == ["memory:///logs/bad.zip", "memory:///logs/bad.tar"]
    with pytest.raises(OSError, match="the zip is cut or damaged"):
        chunkwire.decode("memory://logs/bad.zip", engine=engine)


def test_urls_without_fsspec(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'chunkwire[fsspec]'")):
        chunkwire.usage("s3://bucket/log.sse", engine=engine)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_web(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    save(tmp_path, "a.sse", stream("a", 30_000))
    save(tmp_path, "b.sse.zst", zstandard.ZstdCompressor().compress(stream("b")))
    save(tmp_path, "c.sse.br", brotli.compress(stream("c")))
    save(tmp_path, "d.tar.gz", gzip.compress(tar({"d.sse": stream("d")})))
    with served(tmp_path) as url:
        names = ["a.sse", "b.sse.zst", "c.sse.br?x=1", "none.sse", "d.tar.gz"]
        table = chunkwire.usage([f"{url}/{name}" for name in names], engine=engine)
        assert list(table.id) == ["a", "b", "c", "d"]
        assert [label for label, _ in table.failures] == [f"{url}/none.sse"]
        assert chunkwire.usage([f"{url}/{name}" for name in names], engine=engine, progress=lambda *_: None) == table
        assert next(chunkwire.decode(f"{url}/b.sse.zst", engine=engine)).id == "b"
        assert sorted(chunkwire.usage(f"{url}/*.sse*", engine=engine).id) == ["a", "b", "c"]
