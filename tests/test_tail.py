"""A file that is written, rotated, cut and copied in; its bytes out, each once, and no others."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from chunkwire._tail import Tail
from test_follow import event
from writers import append, appending, count_open


def read(tail: Tail) -> bytes:
    """All that is there."""
    return b"".join(piece.data for piece in iter(tail.read, None))


def test_a_copy_of_what_is_not_cut_yet_is_not_read(tmp_path: Path) -> None:
    # A look may fall between the two, and into the copying.
    path, copy = tmp_path / "log.sse", tmp_path / "log.sse.1"
    path.touch()
    tail = Tail(str(path))

    path.write_bytes(event(0) + event(1))  # nothing was read of it yet
    shutil.copy(path, copy)
    assert read(tail) == event(0) + event(1)
    os.truncate(path, 0)
    with appending(path) as file:
        file.write(event(2))
        shutil.move(copy, f"{path}.2")
        shutil.copy(path, copy)  # once more, before what was cut is found
        assert read(tail) == event(2)
        os.truncate(path, 0)
        file.write(event(3))
        assert read(tail) == event(3)
    tail.close()


def test_a_copy_that_is_being_made_is_not_read(tmp_path: Path) -> None:
    path, copy = tmp_path / "log.sse", tmp_path / "log.sse.1"
    path.touch()
    tail = Tail(str(path))
    path.write_bytes(event(0) + event(1))
    copy.write_bytes(event(0)[:70])
    assert [piece.data for piece in iter(tail.read, None)] == [event(0) + event(1)]
    shutil.copy(path, copy)
    with appending(path) as file:
        file.write(event(2))
    os.truncate(path, 0)  # with what the copy lacks
    assert tail.read() is None
    path.write_bytes(event(3))
    assert [piece.data for piece in iter(tail.read, None)] == [event(3)]
    tail.close()


def test_a_file_that_was_moved_away_unread_comes_first(tmp_path: Path) -> None:
    """What is beside it is no copy of it, though nothing of it was read that could tell."""
    path = tmp_path / "log.sse"
    path.touch()
    tail = Tail(str(path))
    path.write_bytes(event(0))
    path.rename(tmp_path / "elsewhere")
    path.write_bytes(event(1))
    path.rename(f"{path}.1")
    path.write_bytes(event(2))
    assert [piece.data for piece in iter(tail.read, None)] == [event(0), event(1), event(2)]
    tail.close()


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_renamed_while_it_is_looked_for_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0))
    tail = Tail(str(path))
    assert tail.read() is not None
    path.rename(f"{path}.3")
    for number in (1, 2):
        path.write_bytes(event(number))
        path.rename(f"{path}.{3 - number}")
    path.write_bytes(event(3))
    siblings, calls = Tail._siblings, iter(range(100))

    def seen(tail: Tail) -> list[tuple[str, int]]:
        found = siblings(tail)
        return found[:lost] + found[lost + 1 :] if next(calls) == 0 else found

    monkeypatch.setattr(Tail, "_siblings", seen)
    assert [piece.data for piece in iter(tail.read, None)] == [event(1), event(2), event(3)]
    # Where all changes all the time nothing is given, and nothing is lost.
    path.rename(f"{path}.0")
    path.write_bytes(event(4))
    monkeypatch.setattr(Tail, "_siblings", lambda _: [(f"{path}.9", next(calls))])
    assert tail.read() is None
    monkeypatch.setattr(Tail, "_siblings", siblings)
    assert [piece.data for piece in iter(tail.read, None)] == [event(4)]
    tail.close()


@pytest.mark.parametrize("is_older", [True, False])
def test_a_copy_that_a_user_made_is_not_read(tmp_path: Path, is_older: bool) -> None:
    path = tmp_path / "log.sse"
    log = b"".join(map(event, range(5)))
    path.write_bytes(log)
    tail = Tail(str(path))
    given = read(tail)
    shutil.copy(path, f"{path}.2026-11-27")
    if is_older:
        time.sleep(0.02)
        append(path, event(5))()
        given += read(tail)
    path.rename(f"{path}.1")
    path.write_bytes(event(6))
    assert given + read(tail) == log + (event(5) if is_older else b"") + event(6)
    tail.close()


@pytest.mark.parametrize("log", [b"", event(0)])
def test_an_old_file_that_is_unpacked_is_not_read(tmp_path: Path, log: bytes) -> None:
    path, old = tmp_path / "log.sse", tmp_path / "log.sse.5"
    path.write_bytes(log)
    tail = Tail(str(path))
    given = read(tail)
    old.write_bytes(event(8) * 3)
    os.utime(old, (1e9, 1e9))
    given += read(tail)
    append(path, event(1))()
    given += read(tail)
    path.rename(f"{path}.1")
    path.write_bytes(event(2))
    assert given + read(tail) == log + event(1) + event(2)
    tail.close()


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights here")
def test_a_link_to_a_file_that_is_rotated_where_it_is(tmp_path: Path) -> None:
    for folder in "here", "there":
        (tmp_path / folder).mkdir()
    path, target = tmp_path / "here" / "log.sse", tmp_path / "there" / "log.sse"
    target.write_bytes(event(0))
    path.symlink_to(target)
    tail = Tail(str(path))
    given = read(tail)
    append(target, event(1))()
    shutil.copy(target, f"{target}.1")
    target.write_bytes(event(2))
    given += read(tail)
    for number in 3, 4:
        target.rename(f"{target}.{number}")
        target.write_bytes(event(number))
    given += read(tail)
    # Another file behind the link.
    other = tmp_path / "there" / "other"
    other.write_bytes(event(5))
    path.unlink()
    path.symlink_to(other)
    assert given + read(tail) == b"".join(map(event, range(6)))
    tail.close()


def test_a_file_that_was_cut_is_told_by_its_beginning_too(tmp_path: Path) -> None:
    """What stands before the place may be the same: logs end their streams alike."""
    path = tmp_path / "log.sse"
    same = b": " + b"-" * 300 + b"\n\n"
    path.write_bytes(event(0) + same)
    tail = Tail(str(path))
    given = read(tail)
    append(path, event(1) + same)()
    shutil.copy(path, f"{path}.1")
    path.write_bytes(event(2) + same)
    assert given + read(tail) == b"".join(event(number) + same for number in range(3))
    path.write_bytes(event(3) + same)
    assert read(tail) == event(3) + same
    tail.close()


def test_many_old_files_beside_it_are_not_all_opened(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "log.sse"
    path.touch()
    for number in range(200):
        Path(f"{path}.{number + 10}").write_bytes(event(number))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 100, hard))
    try:
        tail = Tail(str(path))
        given = read(tail)
        for number in range(3):
            append(path, event(number))()
            path.rename(f"{path}.{3 - number}")
            path.touch()
        append(path, event(3))()
        assert given + read(tail) == b"".join(map(event, range(4)))
        tail.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_is_renamed_while_the_folder_is_read_hides_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(0))
    tail = Tail(str(path))
    given = read(tail)
    for number in 1, 2:
        path.rename(f"{path}.{3 - number}")
        path.write_bytes(event(number))
    Path(f"{path}.9").write_bytes(b"")
    status, calls = os.stat, iter(range(100))

    def late(path: object, *arguments: object, **options: object) -> os.stat_result:
        if str(path).endswith(".9") and next(calls) < 2:
            raise FileNotFoundError
        return status(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", late)
    assert given + read(tail) + read(tail) == b"".join(map(event, range(3)))
    tail.close()


def test_no_file_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    before = count_open()
    for number in range(20):
        path.write_bytes(event(0))
        tail = Tail(str(path))
        while tail.read():
            pass
        path.rename(f"{path}.{number}")
        path.write_bytes(event(1))
        while tail.read():
            pass
        tail.close()
    assert count_open() == before
