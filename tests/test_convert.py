"""Logs converted to other formats: that what is read of the one is what was read of the other."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import chunkwire
import logs
from chunkwire._cli import main
from rows import DONE, first, last, part, report
from support import SAMPLES, canonical, chunk_json, cut, event, recorded

LOGS = [*sorted(SAMPLES.glob("*.sse")), *recorded()]
COMPLETION = (
    b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
)


def converted(data: bytes, to: Any, **options: Any) -> bytes:
    return b"".join(chunkwire.convert(data, to, **options))


def chunks(data: bytes, **options: Any) -> list[str]:
    return [canonical(chunk.to_dict()) for chunk in chunkwire.decode(data, on_error="skip", **options)]


def rows(data: bytes, **options: Any) -> list[dict[str, Any]]:
    """The rows of usage, without what the format itself changes."""
    found = chunkwire.usage(data, **options).to_dicts()
    return [{key: value for key, value in row.items() if key not in ("offset", "source")} for row in found]


def exchange(body: bytes | None, **others: Any) -> bytes:
    text = None if body is None else body.decode("utf-8", "replace")
    return json.dumps({**others, "response_body": text}).encode() + b"\n"


LINES: dict[str, Any] = {"format": "exchanges", "field": "response_body"}


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_streams_stay_what_they_are(path: Path) -> None:
    log = path.read_bytes().decode("utf-8", "replace").encode()
    line = exchange(log, user="u")
    events = converted(line, "sse", **LINES)
    assert chunks(events) == chunks(log)
    lines = converted(log, "chunks")
    assert chunks(lines, format="chunks") == chunks(log)
    assert all(json.loads(one) for one in lines.splitlines())
    again = converted(line, "exchanges", keep=["user"], **LINES)
    table = chunkwire.usage(again, keep=["user"], **LINES)
    if chunks(log):
        assert chunks(again, **LINES) == chunks(log)
        assert set(table.kept["user"]) == {"u"}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.name)
def test_usage_of_events(path: Path) -> None:
    log = path.read_bytes()
    damaged = chunkwire.usage(log).stats.damaged
    if not damaged:  # what is damaged is left out
        assert rows(converted(exchange(log), "sse", **LINES)) == rows(log)


def test_reads_become_whole_exchanges() -> None:
    bodies = {name: event(chunk_json(id=name)) + event(chunk_json(id=name)) + b"data: [DONE]\n\n" for name in "abc"}
    pieces = {name: cut(body, 37) for name, body in bodies.items()}
    log = b""
    for number in range(max(map(len, pieces.values()))):
        for name, own in pieces.items():
            if number < len(own):
                line = {"ts": 1000.5 + number, "request_id": name, "text": own[number].decode()}
                log += json.dumps(line).encode() + b"\n"
    options: dict[str, Any] = {"format": "reads", "field": "text", "id_field": "request_id", "time_field": "ts"}
    lines = [json.loads(line) for line in converted(log, "exchanges", **options).splitlines()]
    assert [(line["request_id"], line["started"]) for line in lines] == [(name, 1000.5) for name in "abc"]
    assert [line["response_body"].encode() for line in lines] == list(bodies.values())
    assert converted(log, "sse", **options) == b"".join(bodies.values())


def test_bodies_of_every_sort() -> None:
    log = b"".join(
        [
            exchange(
                b": ping\r\n\r\nevent: x\r\nid: 7\r\ndata: " + chunk_json() + b"\r\n\r\ndata: [DONE]\r\n\r\n", user=1
            ),
            exchange(COMPLETION, user=2),
            exchange(None, user=3),
            exchange(b"", user=4),
            exchange(b'{"error":{"message":"no"}}', user=5),
            exchange(b"event: error\ndata: no\n\n", user=6),
            b'{"user":7,"response_body":' + COMPLETION + b"}\n",
            exchange(event(chunk_json()) + b"data: {oops\n\n", user=8),
        ]
    )
    found = chunkwire.convert(log, "exchanges", keep=["user", "none"], **LINES)
    lines = [json.loads(line) for line in b"".join(found).splitlines()]
    assert [(line["user"], line["none"]) for line in lines] == [(number, None) for number in range(1, 9)]
    bodies = [line["response_body"] for line in lines]
    chunk = chunk_json().decode()
    assert bodies[0] == f"data: {chunk}\n\ndata: [DONE]\n\n"
    assert bodies[1] == bodies[6] == COMPLETION.decode()
    assert bodies[2:4] == [None, None]
    assert json.loads(bodies[4].removeprefix("data: ")) == {"error": {"message": "no"}}
    assert bodies[5] == "event: error\ndata: no\n\n"
    assert bodies[7] == f"data: {chunk}\n\n"
    assert found.stats.damaged == 1
    table = chunkwire.usage(b"".join(chunkwire.convert(log, "exchanges", **LINES)), **LINES)
    assert list(table.status) == [*list(chunkwire.usage(log, **LINES).status)[:7], "truncated"]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_json_on_several_lines(ends: bytes) -> None:
    text = json.dumps(json.loads(chunk_json()), indent=1).encode()
    log = b"".join(b"data: " + line + ends for line in text.split(b"\n")) + ends
    assert chunks(converted(log, "sse")) == chunks(log)
    (line,) = converted(log, "chunks").splitlines()
    assert json.loads(line) == json.loads(text)


def test_bytes_that_are_no_utf8() -> None:
    log = event(chunk_json(model="m").replace(b'"m"', b'"\xff"'))
    for to, options in (("sse", {}), ("chunks", {"format": "chunks"})):
        data = converted(log, to)
        assert b"\xef\xbf\xbd" in data
        assert chunks(data, **options) == chunks(log)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_cuts_do_not_matter(size: int) -> None:
    log = (SAMPLES / "day.sse").read_bytes()[:20_000]
    for source, options in ((log, {}), (exchange(log) * 3, LINES)):
        assert b"".join(chunkwire.convert(iter(cut(source, size)), "sse", **options)) == converted(
            source, "sse", **options
        )


def test_compressed_sources_that_break_off() -> None:
    log = (SAMPLES / "openai.sse").read_bytes()
    data = gzip.compress(log)
    assert converted(data, "chunks") == converted(log, "chunks")
    found = chunkwire.convert(data[:-100], "chunks")
    assert converted(log, "chunks").startswith(b"".join(found))
    assert [damage.kind for damage in found.stats.damages][-1] == "truncated"


def test_targets_that_are_none() -> None:
    with pytest.raises(ValueError, match="to must be one of"):
        chunkwire.convert(b"", "xml")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
@pytest.mark.parametrize("to", ["sse", "chunks"])
def test_streams_alone_become_exchanges(path: Path, to: str) -> None:
    """A line each, with all that is of it; as they are, and as bare chunks."""
    log = converted(path.read_bytes(), to)
    lines = converted(log, "exchanges")
    table = chunkwire.usage(log)
    assert sorted(chunks(lines, **LINES)) == sorted(chunks(log))
    assert len(lines.splitlines()) == len(table)
    assert all(list(json.loads(line)) == ["response_body"] for line in lines.splitlines())
    assert sorted(map(repr, rows(lines, **LINES))) == sorted(map(repr, rows(log)))


def test_interleaved_streams_become_exchanges() -> None:
    """Also such whose id changes, whose usage comes behind [DONE], that are errors or finished completions."""
    rng = random.Random(5)
    streams = [logs.written(rng, rng.choice(list(logs.SERVERS)), rng.choice([1, 4, 12])) for _ in range(80)]
    log = b"".join(logs.interleaved(rng, streams, 5))
    odd = [
        first("a") + part("a") * 2 + part("b") * 2 + last("b") + DONE,
        first("a") + part("b") + part("a") + last("b") + DONE + last("a") + DONE,
        first("c") + last("c") + DONE + part("c", choices=[], usage=report(8)) + DONE * 2,
        event('{"error":{"message":"no"}}') + first("d") + event('{"error":{"message":"no"}}'),
        part(..., choices=[]) + first("e") + last("e"),
        DONE,
    ]
    for one in (log, *odd, b"".join(odd)):
        lines = converted(one, "exchanges")
        assert sorted(chunks(lines, **LINES)) == sorted(chunks(one))
        assert sorted(map(repr, rows(lines, **LINES))) == sorted(map(repr, rows(one)))
    mixed = COMPLETION + b"\n" + chunk_json(id="x") + b"\n" + COMPLETION + b"\n"
    bodies = [json.loads(line)["response_body"] for line in converted(mixed, "exchanges").splitlines()]
    assert bodies == [COMPLETION.decode(), COMPLETION.decode(), event(chunk_json(id="x")).decode()]


def test_streams_become_exchanges_as_they_end() -> None:
    stream = first("a") + last("a") + DONE
    pieces = chunkwire.convert(
        iter([stream, stream.replace(b'"a"', b'"b"'), b": ping\n\n" * 9]), "exchanges", keep=["k"]
    )
    assert json.loads(next(pieces)) == {"k": None, "response_body": stream.decode()}
    assert len(list(pieces)) == 1


# --- the command line


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.jsonl"
    body = (SAMPLES / "openai.sse").read_bytes()
    log.write_bytes(exchange(body, user="u") * 2)
    for name, to in (
        ("a.sse", ()),
        ("a.jsonl", ()),
        ("a.ndjson.gz", ()),
        ("a.out", ("--to", "exchanges", "--keep", "user")),
    ):
        assert main(["convert", str(log), "-o", str(tmp_path / name), *to]) == 0
    assert chunks((tmp_path / "a.sse").read_bytes()) == 2 * chunks(body)
    assert gzip.decompress((tmp_path / "a.ndjson.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()
    assert [json.loads(line)["user"] for line in (tmp_path / "a.out").read_bytes().splitlines()] == ["u", "u"]
    assert main(["convert", str(log), "--to", "sse"]) == 0
    assert capsys.readouterr().out.encode() == (tmp_path / "a.sse").read_bytes()


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, log in (("day", (SAMPLES / "day.sse").read_bytes()), ("none", b"")):
        source, output = tmp_path / f"{name}.sse", tmp_path / f"{name}.parquet"
        source.write_bytes(log)
        assert main(["convert", str(source), "-o", str(output)]) == 0
        table = parquet.read_table(output)
        expected = [(chunk.offset, chunk.id, chunk.model) for chunk in chunkwire.decode(log, on_error="skip")]
        columns = [table.column(column).to_pylist() for column in ("offset", "id", "model")]
        assert len(expected) == table.num_rows
        assert [row[0] for row in expected] == columns[0]
        assert [row[1] or None for row in expected] == [one or None for one in columns[1]]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("{log}",), "say what to write with --to"),
        (("{log}", "-o", "x.bin"), "say what to write with --to"),
        (("{log}", "--to", "parquet"), "name one with -o FILE"),
        (("{log}", "-o", "{log}"), "--output names the log itself"),
        (("{log}", "-o", "x.sse", "--keep", "user"), "say --to exchanges"),
        (("nowhere.sse", "-o", "{folder}/new"), "say what to write"),
        (("nowhere.sse", "--to", "sse", "-o", "{folder}/new"), "nowhere.sse: No such file or directory"),
    ],
)
def test_what_cannot_be(
    arguments: tuple[str, ...], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.sse"
    log.write_bytes(event(chunk_json()))
    assert main(["convert", *(one.format(log=log, folder=tmp_path) for one in arguments)]) == 2
    assert error in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.sse"]
    assert log.read_bytes() == event(chunk_json())
