"""What a caller can say of a log's format, what is kept of its lines, and what is wrong in logs of mixed formats."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
from chunkwire._cli import main
from support import drain
from wrapping import har

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chunk(id: str = "a", content: str | None = "x", finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]
    return {"id": id, "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices} | more


def stream(id: str = "a") -> str:
    docs = [chunk(id), chunk(id, "y"), chunk(id, None, "stop", usage=USAGE)]
    return "".join(f"data: {json.dumps(doc)}\n\n" for doc in docs) + "data: [DONE]\n\n"


def lines(*docs: Any) -> bytes:
    return b"".join((doc if isinstance(doc, bytes) else json.dumps(doc).encode()) + b"\n" for doc in docs)


LOG = lines(*({"user": user, "meta": {"n": n}, "body": stream(str(n))} for n, user in enumerate(["ann", "bob", "ann"])))


# --- options that do not fit


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "csv"}, "format must be one of"),
        ({"format": "sse", "field": "x"}, "field names a member of lines of format 'exchanges' or 'reads', not of"),
        ({"format": "chunks", "field": "x"}, "not of 'chunks'"),
        ({"format": "har", "field": "x"}, "not of 'har'"),
        ({"format": "exchanges", "id_field": "x"}, "id_field names a member of lines of format 'reads'"),
        ({"format": "exchanges", "time_field": "x"}, "time_field names a member of lines of format 'reads'"),
        ({"field": ""}, "field: a path names a member"),
        ({"field": "a\\b"}, "is no path"),
        ({"format": "reads", "id_field": "a\\"}, "id_field: .* is no path"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(engine: str, options: dict[str, str], words: str) -> None:
    for function in (chunkwire.decode, chunkwire.contents, chunkwire.batches, chunkwire.completions, chunkwire.usage):
        with pytest.raises(ValueError, match=words):
            function(LOG, engine=engine, **options)  # type: ignore[operator]
    with pytest.raises(ValueError, match=words):
        chunkwire.Decoder(engine=engine, **{"format": "auto", **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=words):
        chunkwire.adecode(LOG, engine=engine, **{"format": "auto", **options})  # type: ignore[arg-type]


def test_types_that_do_not_fit(engine: str) -> None:
    with pytest.raises(TypeError, match=r"field must be a path such as 'response.body', not int"):
        chunkwire.decode(LOG, engine=engine, field=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keep must be a path"):
        chunkwire.usage(LOG, engine=engine, keep=[5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="keep: the same path twice"):
        chunkwire.usage(LOG, engine=engine, keep=["a", "a"])
    with pytest.raises(ValueError, match="which format 'sse' has not"):
        chunkwire.usage(LOG, engine=engine, keep=["a"], format="sse")


def test_files_that_are_converted_cannot_be_fed(engine: str) -> None:
    with pytest.raises(ValueError, match="read whole"):
        chunkwire.Decoder(engine=engine, format="har")
    with pytest.raises(ValueError, match="read whole"):
        chunkwire.adecode(har([]), engine=engine, format="har")


# --- formats that are said


def test_a_push_decoder_looks_only_if_it_is_told(engine: str) -> None:
    decoder = chunkwire.Decoder(engine=engine)
    assert [type(one) for one in [*drain(decoder.feed(LOG)), *drain(decoder.finish())]] == [chunkwire.DecodeError]
    for options in ({"format": "auto"}, {"format": "jsonl"}, {"format": "exchanges", "field": "body"}):
        decoder = chunkwire.Decoder(engine=engine, **options)  # type: ignore[arg-type]
        found = [*drain(decoder.feed(LOG[:700])), *drain(decoder.feed(LOG[700:])), *drain(decoder.finish())]
        assert len(found) == 9
    live = chunkwire.Decoder(engine=engine, format="auto")
    assert [one.content for one in live.feed(stream().encode()[:180])] == ["x"]  # nothing is held back of events
    live = chunkwire.Decoder(engine=engine, format="auto")
    assert [one.content for one in live.feed(b"id: 1\n" + stream().encode()[:180])] == ["x"]


def test_asynchronous_sources(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(LOG)

    async def blocks() -> Any:
        for start in range(0, len(LOG), 100):
            yield LOG[start : start + 100]

    async def read(source: Any, **options: Any) -> int:
        return len([one async for one in chunkwire.adecode(source, engine=engine, **options)])

    for source in (lambda: path, lambda: LOG, blocks):
        assert asyncio.run(read(source(), format="auto")) == 9
        assert asyncio.run(read(source(), field="body", format="exchanges")) == 9
        with pytest.raises(chunkwire.DecodeError, match="no event found"):
            asyncio.run(read(source()))


def test_the_field_is_named(engine: str) -> None:
    log = lines({"one": stream("1"), "two": stream("2") + stream("3")})
    assert chunkwire.usage(log, engine=engine).id.tolist() == ["2", "3"]
    assert chunkwire.usage(log, engine=engine, field="one").id.tolist() == ["1"]
    assert chunkwire.usage(log, engine=engine, field="three").status.tolist() == ["empty"]


# --- mixed formats


def test_lines_of_other_formats_are_damage(engine: str) -> None:
    log = lines(
        {"body": stream("1")},
        chunk("2"),
        [chunk("2")],
        5,
        "text",
        b"data: {}",
        {"started": True},
        {"body": 17},
        {"body": stream("3")},
    )
    chunks = chunkwire.decode(log, engine=engine, on_error="skip")
    assert [one.id for one in chunks] == ["1"] * 3 + ["3"] * 3
    assert [(one.kind, one.line, one.reason) for one in chunks.stats.damages] == [
        ("wrong_format", 2, "line 2 has no member body; it looks like a bare chunk"),
        ("wrong_format", 3, "line 3 has no member body; it looks like an array"),
        ("wrong_format", 4, "line 4 has no member body; it looks like a JSON number"),
        ("wrong_format", 5, "line 5 has no member body; it looks like a JSON string"),
        ("wrong_format", 6, "line 6 is no JSON; it looks like server-sent events"),
        ("wrong_format", 8, "line 8: body is a JSON number, expected text"),
    ]
    table = chunkwire.usage(log, engine=engine)
    assert table.status.tolist() == ["complete", "empty", "malformed", "complete"]
    with pytest.raises(chunkwire.DecodeError, match="it looks like a bare chunk") as caught:
        list(chunkwire.decode(log, engine=engine))
    assert caught.value.kind == "wrong_format"


def test_lines_of_events_among_chunks_are_damage(engine: str) -> None:
    chunks = chunkwire.decode(lines(chunk(), b"data: {}", chunk()), engine=engine, on_error="skip")
    assert len(list(chunks)) == 2
    assert [(one.kind, one.reason) for one in chunks.stats.damages] == [
        ("wrong_format", "line 2 is no JSON; it looks like server-sent events")
    ]


def test_damage_of_reads_is_told_in_the_order_of_the_log(engine: str) -> None:
    log = lines(
        {"id": 1, "text": stream("1")[:100]},
        b"data: {}",
        {"id": 1, "text": "\n\n"},
        b"{oops",
        {"id": 2, "text": "data: {\n\n"},
    )
    table = chunkwire.usage(log, engine=engine, format="reads", id_field="id", field="text")
    kinds = [(one.kind, one.line) for one in table.stats.damages]
    assert kinds == [("wrong_format", 2), ("invalid_json", 1), ("invalid_json", 4), ("invalid_json", 5)]


def test_a_mark_stands_where_it_came(engine: str) -> None:
    """What a later line of the exchange holds that is no text moves nothing."""
    log = lines({"id": 1, "text": stream()[:40]}, {"id": 1, "text": "x...[truncated]"})
    for more in (b"", lines({"id": 1, "text": None}), lines({"id": 1, "text": chunk()}), lines({"id": 1, "text": ""})):
        table = chunkwire.usage(log + more, engine=engine, format="reads", id_field="id", field="text")
        (damage,) = [one for one in table.stats.damages if one.kind == "truncated"]
        assert (damage.line, damage.offset) == (1, log.index(b"data: ")), more


def test_what_looks_like_json_behind_an_unknown_field_is_text(engine: str) -> None:
    log = lines({"id": 1, "text": "what: ever\n"}, {"id": 1, "text": "[]\n"}, {"id": 1, "text": stream()})
    stats = chunkwire.usage(log, engine=engine, format="reads", id_field="id", field="text").stats
    assert (stats.chunks, stats.skipped_bytes) == (3, len("what: ever\n[]\n"))


def test_finished_completions_are_welcome_everywhere(engine: str) -> None:
    whole = {"id": "w", "object": "chat.completion", "model": "m", "choices": [], "usage": USAGE}
    whole["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]
    logs = {
        "exchanges": lines({"body": stream("1")}, whole, {"body": whole}, {"body": json.dumps(whole)}),
        "chunks": lines(chunk("1"), whole, chunk("1", None, "stop"), [whole, whole]),
    }
    for format, log in logs.items():
        table = chunkwire.usage(log, engine=engine)
        rows = [(row["id"], row["status"], row["total_tokens"]) for row in table]
        assert rows.count(("w", "complete", 7)) == 3, format
        assert len(rows) == 4
        said = [one.choices[0].message.content for one in chunkwire.completions(log, engine=engine)]
        assert said.count("hi") == 3


def test_a_reason_names_the_members_that_were_seen(engine: str) -> None:
    with pytest.raises(chunkwire.DecodeError) as caught:
        list(chunkwire.decode(lines({"level": "info", "msg": "no"}), engine=engine))
    assert caught.value.kind == "not_a_stream"
    assert "(members: level, msg)" in caught.value.reason
    assert "--field" in caught.value.reason


def test_lines_that_are_too_long(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long = json.dumps({"body": stream("2" * 500)}).encode()
    log = lines({"body": stream("1")}, long, {"body": stream("3")})
    monkeypatch.setenv("CHUNKWIRE_TEST_LINE_BYTES", str(len(long) - 1))
    for pieces in ([log], [log[start : start + 100] for start in range(0, len(log), 100)]):
        chunks = chunkwire.decode(iter(pieces), engine=engine, on_error="skip")
        assert {one.id for one in chunks} == {"1", "3"}
        (damage,) = chunks.stats.damages
        assert (damage.kind, damage.line) == ("event_too_large", 2)
        assert damage.reason == f"the line is longer than {len(long) - 1} bytes"
        assert chunks.stats.damaged_bytes == len(long)
    monkeypatch.setenv("CHUNKWIRE_TEST_LINE_BYTES", str(len(long)))
    assert len(chunkwire.usage(log, engine=engine)) == 3


def test_events_that_are_too_large(engine: str) -> None:
    log = lines({"body": stream("1")}, {"body": chunk("2", "x" * 999)}, {"body": [chunk("3", "x" * 999), chunk("3")]})
    chunks = chunkwire.decode(log, engine=engine, on_error="skip", max_event_bytes=500, field="body")
    assert [one.id for one in chunks] == ["1"] * 3 + ["3"]
    assert [(one.kind, one.line) for one in chunks.stats.damages] == [("event_too_large", 2), ("event_too_large", 3)]


def test_lines_that_are_nested_too_deep(engine: str) -> None:
    log = lines({"body": stream("1")}, b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}", {"body": stream("3")})
    chunks = chunkwire.decode(log, engine=engine, on_error="skip")
    assert len(list(chunks)) == 6
    assert [(one.kind, one.line, one.position) for one in chunks.stats.damages] == [("too_deep", 2, 517)]


# --- what is kept


def test_kept_members_are_columns(engine: str) -> None:
    table = chunkwire.usage(LOG, engine=engine, keep=["user", "meta.n", "meta", "nothing"])
    assert table.kept["user"].tolist() == ["ann", "bob", "ann"]
    assert table.kept["meta.n"].dtype == np.int64
    assert table.kept["meta.n"].tolist() == [0, 1, 2]
    assert table.kept["meta"].tolist() == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert table.kept["nothing"].tolist() == [None] * 3
    assert list(table.kept) == ["user", "meta.n", "meta", "nothing"]
    assert table[1]["user"] == "bob"
    assert table[1:].kept["user"].tolist() == ["bob", "ann"]
    assert table.valid("nothing").tolist() == [False] * 3
    assert table == chunkwire.usage(LOG, engine=engine, keep=["user", "meta.n", "meta", "nothing"])
    with pytest.raises(KeyError, match="if it was asked for"):
        table.kept["other"]
    rows = table.summary(by="user").to_dicts()
    assert [(row["user"], row["streams"], row["total_tokens"]) for row in rows] == [("ann", 2, 14), ("bob", 1, 7)]
    assert [row["meta"] for row in table.summary(by=("user", "meta"))] == ['{"n": 0}', '{"n": 2}', '{"n": 1}']
    with pytest.raises(ValueError, match=r"possible are .*'user'"):
        table.summary(by="usr")


def test_kept_members_whose_names_are_taken(engine: str) -> None:
    table = chunkwire.usage(lines({"model": 1, "body": stream()}), engine=engine, keep="model")
    assert table.model.tolist() == ["m"]
    assert table.kept["model"].tolist() == [1]
    assert table[0]["kept.model"] == 1
    assert table.summary(by="kept.model")[0]["kept.model"] == "1"


def test_kept_numbers_of_which_some_are_absent(engine: str) -> None:
    values = [1, None, 2.5]
    log = lines(*({"n": value, "t": value and str(value), "body": stream()} for value in values))
    table = chunkwire.usage(log, engine=engine, keep=["n", "t"])
    assert table.kept["n"].dtype == np.float64
    assert table.to_dict()["n"] == [1.0, None, 2.5]
    assert table.to_dict()["t"] == ["1", None, "2.5"]


def test_kept_members_as_arrow_data(engine: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    log = lines(
        {"a": 1, "b": 1, "c": "x", "d": [1], "body": stream()}, {"a": 2, "b": None, "c": None, "body": stream()}
    )
    table = pyarrow.table(chunkwire.usage(log, engine=engine, keep=["a", "b", "c", "d"]))
    assert table["a"].to_pylist() == [1, 2]
    assert str(table["a"].type) == "int64"
    assert table["b"].to_pylist() == [1.0, None]
    assert str(table["b"].type) == "double"
    assert table["c"].to_pylist() == ["x", None]
    assert table["d"].to_pylist() == ["[1]", None]


def test_nothing_is_kept_of_events(engine: str) -> None:
    table = chunkwire.usage([stream().encode()], engine=engine, keep=["user"])
    assert table.kept["user"].tolist() == [None]


# --- times of reads


def test_times_of_reads_are_measured(engine: str) -> None:
    texts = [f"data: {json.dumps(chunk('a', text))}\n\n" for text in ("", "x", "y", "z")]
    docs = [{"ts": 100 + at, "request_id": "r", "text": text} for at, text in enumerate(texts)]
    table = chunkwire.usage(lines(*docs), engine=engine, estimate=True)
    assert table.measured.tolist() == [True]
    assert table.time_to_first_token.tolist() == [1.0]
    assert table.generation_time.tolist() == [2.0]
    assert (table.generation_time / (table.content_deltas - 1)).tolist() == [1.0]
    assert table[0]["measured"] is True
    assert not chunkwire.usage(LOG, engine=engine).measured.any()
    told = chunk("b", None, "stop", usage=USAGE | {"prompt_time": 0.25, "completion_time": 0.5})
    docs.append({"ts": 110, "request_id": "r", "text": f"data: {json.dumps(told)}\n\n"})
    docs[-1]["request_id"] = "s"
    table = chunkwire.usage(lines(*docs), engine=engine)
    assert table.measured.tolist() == [True, False]
    assert table.time_to_first_token.tolist() == [1.0, 0.25]


# --- the command line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, engine: str) -> Run:
    monkeypatch.setenv("CHUNKWIRE_ENGINE", engine)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as exit:
            code = int(str(exit.code))
        out, error = capsys.readouterr()
        return code, out, error

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_bytes(LOG)
    return path


def test_commands_read_logs_in_json(run: Run, path: Path) -> None:
    code, out, _ = run("usage", path, "--keep", "user,meta.n", "--by", "user", "--format", "json")
    assert (code, [row["user"] for row in json.loads(out)["rows"]]) == (0, ["ann", "bob"])
    code, out, _ = run("usage", path, "--keep", "user,meta", "--rows", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["user"], row["meta"]) for row in rows] == [
        ("ann", '{"n": 0}'),
        ("bob", '{"n": 1}'),
        ("ann", '{"n": 2}'),
    ]
    code, out, _ = run("usage", path, "--keep", "user", "--rows")
    assert "bob" in out
    code, out, _ = run("decode", path, "--fields", "id,content")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    code, out, _ = run("decode", path, "--format-in", "exchanges", "--field", "body", "--fields", "id")
    assert len(out.splitlines()) == 9
    code, out, _ = run("text", path, "--format", "jsonl")
    assert [json.loads(line)["choices"][0]["message"]["content"] for line in out.splitlines()] == ["xy"] * 3
    offset = chunkwire.usage(path).offset[1]
    code, out, _ = run("show", f"{path}@{offset}")
    assert (code, "xy" in out) == (0, True)
    assert run("check", path)[0] == 0
    code, out, _ = run("check", path, "--format", "json")
    total = json.loads(out)["total"]
    assert sum(one["bytes"] for one in total["classes"]) == total["bytes"] == os.path.getsize(path)


def test_commands_say_what_does_not_fit(run: Run, path: Path) -> None:
    for arguments, words in [
        (["usage", path, "--format-in", "csv"], "invalid choice"),
        (["usage", path, "--format-in", "sse", "--field", "x"], "field names a member of lines"),
        (["usage", path, "--by", "user"], "cannot summarize by 'user'"),
        (["usage", path, "--by", "user"], "keep=['user'] (--keep) makes a key of a member of lines"),
        (["usage", path, "--format-in", "sse", "--keep", "user"], "which format 'sse' has not"),
        (["decode", path, "--field", ""], "field: a path names a member"),
        (["explain", "-"], "name a file"),
    ]:
        code, _, error = run(*arguments)
        assert (code, words in error) == (2, True), (arguments, error)


def test_a_field_that_leads_nowhere_is_told(run: Run, path: Path) -> None:
    words = "no line has a stream in nope: `chunkwire explain PATH` tells which members lines have"
    assert words in run("usage", path, "--field", "nope")[1]
    _, out, error = run("usage", path, "--field", "nope", "--format", "csv")
    assert words not in out
    assert words in error
    assert "has a stream in" not in "".join(map(str, run("usage", path, "--field", "body")))
    assert "no line at the beginning has it (members: " in run("explain", path, "--field", "nope")[1]


def test_members_that_no_line_has_are_told(run: Run, path: Path) -> None:
    def told(*arguments: Any) -> str:
        error: str = run(*arguments)[2]
        return error

    words = f"no line at the beginning of {path} has nope, which --{{}} names (members: user, meta, body)"
    for command in ("usage", "decode", "text", "check"):
        assert words.format("id-field") in told(command, path, "--id-field", "nope")
        assert words.format("time-field") in told(command, path, "--time-field", "nope", "--id-field", "user")
        assert "no line" not in told(command, path, "--id-field", "meta.n", "--time-field", "meta")
    assert words.format("field") in told("decode", path, "--field", "nope")
    assert words.format("field") in told("convert", path, "--to", "sse", "--field", "nope")
    assert (
        "no line at the beginning has nope or no2 (members: user, meta, body)"
        in run("explain", path, "--id-field", "nope", "--time-field", "no2")[1]
    )
    other = path.with_name("other.sse")
    other.write_bytes(stream().encode())
    assert "(it is no JSON lines)" in told("usage", other, "--id-field", "nope")
    assert "no line" not in told("usage", other, path, "--id-field", "user")
    assert "no line at the beginning of the 2 logs that were" in told("usage", path.parent, "--id-field", "nope")


def test_hints_say_how_the_log_was_read(run: Run, path: Path) -> None:
    assert f"`chunkwire check {path} --format-in chunks` tells where" in run("usage", path, "--format-in", "chunks")[1]


def test_folders_have_logs_in_json_too(run: Run, path: Path) -> None:
    (path.parent / "a.har").write_bytes(har([("text/event-stream", stream("h").encode())]))
    code, out, _ = run("usage", path.parent, "--format", "json")
    assert (code, json.loads(out)["streams"]) == (0, 4)
