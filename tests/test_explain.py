"""What a log is said to be: its format and why, what was seen in it, and what its servers do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli import main
from support import event
from wrapping import ERROR, har, streams


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish} | ({} if delta is None else {"delta": delta})
    doc = {"id": "a", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}
    return {name: value for name, value in (doc | more).items() if value is not ...}


def explained(*docs: dict[str, Any], done: bool = True) -> chunkwire.Explanation:
    data = b"".join(event(doc) for doc in docs) + (event("[DONE]") if done else b"")
    return chunkwire.explain(data)


def quirks(*docs: dict[str, Any], **options: bool) -> dict[str, int]:
    return {one.name: one.count for one in explained(*docs, **options).quirks}


PLAIN = [chunk({"role": "assistant", "content": ""}), chunk({"content": "x"}), chunk({}, "stop")]
COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
LAST = chunk(choices=[], usage=COUNTS)


def test_a_stream_that_is_as_the_model_says() -> None:
    found = explained(*PLAIN, LAST)
    assert [one.name for one in found.quirks] == ["empty_choices"]
    assert (found.format, found.compression, found.whole) == ("sse", None, True)
    assert found.streams == {"complete": 1}
    assert found.models == {"m": 1}
    fields = {one.path: (one.count, one.offset, one.known) for one in found.fields}
    assert fields["id"] == (4, 0, True)
    assert fields["choices[].delta.content"] == (2, 0, True)
    assert fields["usage.total_tokens"][::2] == (1, True)


def test_one_is_not_many() -> None:
    one = chunkwire.explain(json.dumps({"body": "data: [DONE]\n\n"}).encode() + b"\n")
    assert "read: 29 bytes, 1 exchange, 1 event, 0 chunks" in one.head()
    assert repr(one).endswith("1 stream>")
    assert "1 byte, 0 events" in chunkwire.explain(b"\n").head()


def test_of_nothing_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "empty.sse"
    path.write_bytes(b"")
    for source in (path, b"", b"\xef\xbb\xbf \n"):
        why = chunkwire.explain(source).why
        assert why == "there is nothing in it, so it counts as server-sent events"


@pytest.mark.parametrize(
    ("name", "docs"),
    [
        ("padding", [chunk({"content": "x"}, obfuscation="abc")]),
        ("padding", [chunk({"content": "x"}, p="abc")]),
        ("no_usage", PLAIN),
        ("null_usage", [chunk({"content": "x"}, usage=None), LAST]),
        ("usage_every_chunk", [chunk({"content": "x"}, usage=COUNTS), chunk({}, "stop", usage=COUNTS)]),
        ("usage_twice", [chunk({}), chunk({"content": "x"}, usage=COUNTS), chunk({}, "stop", usage=COUNTS)]),
        ("usage_with_choices", [chunk({}, "stop", usage=COUNTS)]),
        ("usage_in_x_groq", [chunk({}, "stop", x_groq={"usage": COUNTS})]),
        ("id_changes", [chunk({"content": "x"}), chunk({"content": "y"}, id="b"), chunk({}, "stop", id="b")]),
        ("empty_id", [chunk({"content": "x"}, id="")]),
        ("no_id", [chunk({"content": "x"}, id=...)]),
        ("no_id", [chunk({"content": "x"}, id=None)]),
        ("object", [chunk({"content": "x"}, object="")]),
        ("no_created", [chunk({"content": "x"}, created=...)]),
        ("created_type", [chunk({"content": "x"}, created="7")]),
        ("created_changes", [chunk({"content": "x"}), chunk({"content": "x"}, created=8)]),
        ("no_model", [chunk({"content": "x"}, model="")]),
        ("no_choices", [chunk(choices=...)]),
        ("many_choices", [chunk(choices=[{"index": 0, "delta": {}}, {"index": 1, "delta": {}}])]),
        ("no_delta", [chunk()]),
        ("message", [chunk(choices=[{"index": 0, "delta": {}, "message": {"content": "x"}}])]),
        ("content_list", [chunk({"content": [{"type": "text", "text": "x"}]})]),
        ("role_again", [chunk({"role": "assistant"}), chunk({"role": "assistant"})]),
        ("finish_again", [chunk({}, "stop"), chunk({}, "stop")]),
        ("after_finish", [chunk({}, "stop"), chunk({"content": "x"})]),
        ("call_without_index", [chunk({"tool_calls": [{"id": "c", "function": {"name": "f"}}]})]),
        ("call_without_id", [chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})]),
        ("errors", [ERROR]),
        ("error_beside_choices", [chunk({}, "stop", error={"message": "no"})]),
    ],
)
def test_quirks(name: str, docs: list[dict[str, Any]]) -> None:
    assert name in quirks(*docs)
    assert name not in quirks(*PLAIN) or name == "no_usage"


def test_quirks_of_framing() -> None:
    found = chunkwire.explain(b"\xef\xbb\xbf: ping\r\n\r\n" + event(PLAIN[0]).replace(b"\n", b"\r\n") + b"data:\n\n")
    names = [one.name for one in found.quirks]
    assert names[:4] == ["byte_order_mark", "crlf", "comments", "keepalives"]
    assert "no_done" in quirks(*PLAIN, done=False)
    assert "truncated" in quirks(*PLAIN[:2], done=False)


def test_unknown_fields() -> None:
    found = explained(chunk({"content": "x", "reasoning": "y"}, provider="p", usage=COUNTS | {"cost": 1}))
    unknown = {one.path for one in found.fields if not one.known}
    assert unknown == {"provider", "choices[].delta.reasoning", "usage.cost"}


def log() -> bytes:
    docs = [
        {"user": "u", "meta": {"n": 1}, "response_body": stream.decode("utf-8", "replace")} for stream in streams()[:3]
    ]
    return b"".join(json.dumps(doc).encode() + b"\n" for doc in [*docs, {"user": "v", "response_body": None}])


def test_exchanges() -> None:
    found = chunkwire.explain(log())
    assert (found.format, found.field) == ("exchanges", "response_body")
    assert "response_body of line 1" in found.why
    assert {one.path: one.count for one in found.members} == {"user": 4, "meta.n": 3}
    assert found.streams["empty"] == 1
    assert found.stats.exchanges == 4
    table = chunkwire.usage(log())
    assert sum(found.streams.values()) == len(table)
    assert sorted(found.models) == sorted({model for model in table.model if model})


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(log()))
    found = chunkwire.explain(path)
    assert (found.format, found.compression, found.source) == ("exchanges", "gzip", str(path))
    found = chunkwire.explain(har([("text/event-stream", streams()[0]), ("text/event-stream", None)]))
    assert found.format == "har"
    assert len(found.notes) == 1
    assert "kept no body" in str(found)
    with pytest.raises(FileNotFoundError):
        chunkwire.explain(tmp_path / "missing.sse")
    with pytest.raises(TypeError, match="twice"):
        chunkwire.explain(iter([b""]))  # type: ignore[arg-type]


def test_the_beginning_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(event(PLAIN[1]) * 20_000)
    found = chunkwire.explain(path, max_bytes=1000)
    assert not found.whole
    assert "truncated" not in found.streams
    assert "which is not all" in str(found)
    assert chunkwire.explain(path).whole


def test_what_is_no_log() -> None:
    found = chunkwire.explain(b'{"level": "info"}\n')
    assert found.format == "sse"
    assert "members: level" in found.why
    assert "not_a_stream" in str(found)
    assert str(chunkwire.explain(b""))


def test_all_samples(samples: Path) -> None:
    for path in sorted(samples.glob("*.sse")):
        found = chunkwire.explain(path)
        table = chunkwire.usage(path)
        assert sum(found.streams.values()) == len(table)
        assert found.streams == {status: int((table.status == status).sum()) for status in found.streams}
        assert found.stats.chunk_bytes == table.stats.chunk_bytes
        assert found.stats.errors == table.stats.errors
        document = json.loads(json.dumps(found.to_dict()))
        assert document["schema"] == 1
        assert document["chunks"] == int(table.chunks.sum())


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(log())
    (tmp_path / "b.sse").write_bytes(b"".join(map(event, PLAIN)))
    assert main(["explain", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "a.jsonl: exchanges (streams in response_body)" in out
    assert "b.sse: sse" in out
    assert "fields of chunks:" in out
    assert main(["explain", str(tmp_path), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["format"] for one in document["sources"]] == ["exchanges", "sse"]
    assert main(["explain", str(tmp_path / "a.jsonl"), "--format-in", "har"]) == 2
    assert "this is no HAR file" in capsys.readouterr().err
    assert main(["explain", str(tmp_path / "no.sse"), str(tmp_path / "b.sse")]) == 2
    captured = capsys.readouterr()
    assert "no.sse" in captured.err
    assert "b.sse: sse" in captured.out
