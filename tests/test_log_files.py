"""HAR files and cassettes: converted to lines of exchanges, and read by either engine like those."""

from __future__ import annotations

import base64
import builtins
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from oracle_logs import oracle_log
from support import drain, light
from wrapping import ERROR, completion, har, packed, streams

yaml = pytest.importorskip("yaml")

EVENTS = "text/event-stream"
URL = "https://api.example.com/v1/chat/completions"


def wrapped(bodies: list[bytes | None]) -> bytes:
    """The lines that say the same."""
    docs = [{"response_body": None if body is None else body.decode("utf-8", "replace")} for body in bodies]
    return b"".join(json.dumps(doc).encode() + b"\n" for doc in docs)


def check(engine: str, source: Any, bodies: list[bytes | None]) -> chunkwire.UsageTable:
    """A converted file says of its exchanges what lines of them say."""
    log = oracle_log(wrapped(bodies), "exchanges", "response_body")
    table = chunkwire.usage(source, engine=engine)
    assert list(table.status) == [row["status"] for row in log.rows]
    assert table.chunks.tolist() == [row["chunks"] for row in log.rows]
    assert table.total_tokens.tolist() == [row["total_tokens"] for row in log.rows]
    chunks = chunkwire.decode(source, engine=engine, on_error="skip")
    docs = [item.doc for item in log.items if item.what == "chunk"]
    assert [chunk.to_dict() for chunk in chunks] == docs
    completions = chunkwire.completions(source, engine=engine)
    assert [one.to_dict() for one in completions] == [doc for doc, *_ in log.completions]
    assert sum(len(batch) for batch in chunkwire.batches(source, engine=engine, on_error="skip")) == len(docs)
    return table


def bodies_of(rng: random.Random) -> list[bytes | None]:
    some = rng.sample(streams(), 4)
    whole = json.dumps(completion(some[0])).encode()
    return [some[0], whole, None, some[1][:200], json.dumps(ERROR).encode(), some[2], b": ping\n\n"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("encodings", [["text"], ["base64"], ["text", "base64"]])
def test_har(engine: str, tmp_path: Path, seed: int, encodings: list[str]) -> None:
    bodies = bodies_of(random.Random(seed))
    data = har([(EVENTS, body) for body in bodies], encodings)
    table = check(engine, data, bodies)
    path = tmp_path / "session.har"
    path.write_bytes(data)
    assert check(engine, path, bodies) is not None
    (tmp_path / "session.har.gz").write_bytes(gzip.compress(data))
    check(engine, tmp_path / "session.har.gz", bodies)
    (note,) = [damage for damage in table.stats.damages if damage.kind == "no_body"]
    assert note.line == 3
    assert "entry 3 (POST https://api.example.com/v1/chat/completions)" in note.reason
    assert "kept no body" in note.reason


def test_har_of_what_can_be_read_once(engine: str) -> None:
    data = har([(EVENTS, streams()[0])] * 40)
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert len(chunkwire.usage(iter(pieces), engine=engine)) == 40
    assert len(chunkwire.usage(iter(pieces), engine=engine, format="har")) == 40
    assert len(light(drain(chunkwire.decode(iter(pieces), engine=engine, format="har")))) > 40
    with pytest.raises(ValueError, match="har"):
        next(chunkwire.decode(iter(pieces), engine=engine))


def test_har_members_are_kept(engine: str) -> None:
    data = har([(EVENTS, streams()[0]), (EVENTS, None)])
    table = chunkwire.usage(data, engine=engine, keep=["url", "status", "method", "started"])
    assert table.kept["url"].tolist() == [URL, URL]
    assert table.kept["status"].tolist() == [200, 200]
    assert table.kept["started"].tolist() == ["2026-11-20T10:00:00.000Z", "2026-11-20T10:00:01.000Z"]


def test_har_of_a_browser_has_other_things_too(engine: str) -> None:
    document = json.loads(har([(EVENTS, streams()[0]), ("text/html", b"<html></html>"), ("application/json", b"{}")]))
    for entry in document["log"]["entries"][1:]:
        entry["request"]["url"] = "https://example.com/index"
    document["log"]["entries"] += [{}, None, {"response": 5}, {"response": {"content": {"text": "data: [DONE]\n\n"}}}]
    table = chunkwire.usage(json.dumps(document).encode(), engine=engine)
    assert list(table.status) == ["complete", "empty"]


def test_har_whose_bytes_are_no_text(engine: str) -> None:
    body = streams()[0].replace(b'"content":"', b'"content":"\xff\xe4\x00\x1f', 1)[:-3]
    data = har([(EVENTS, body)], ["base64"])
    plain = chunkwire.usage(body, engine=engine)
    table = chunkwire.usage(data, engine=engine)
    assert [(one.kind, one.position) for one in table.stats.damages] == [
        (one.kind, one.position) for one in plain.stats.damages
    ]
    assert table.status.tolist() == plain.status.tolist()


def test_har_whose_base64_or_gzip_is_damaged(engine: str) -> None:
    body = b"".join(streams()[:9])
    document = json.loads(har([(EVENTS, body)] * 3, ["base64"]))
    first, second, third = (entry["response"] for entry in document["log"]["entries"])
    first["content"]["text"] = first["content"]["text"][:601] + "*" + first["content"]["text"][601:]
    second["content"]["text"] = base64.b64encode(gzip.compress(body)[:-2000]).decode()
    third["headers"] = [{"name": "Content-Encoding", "value": "gzip"}]
    third["content"]["text"] = base64.b64encode(gzip.compress(body)).decode()
    table = chunkwire.usage(json.dumps(document).encode(), engine=engine)
    assert table.chunks[table.offset > table.offset[-1] // 2].sum() > 50
    kinds = [(one.kind, one.line) for one in table.stats.damages]
    assert ("no_body", 1) in kinds
    assert ("no_body", 2) in kinds


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"log": {"entries": 5}}', "no log.entries"),
        (b'{"log": {"entries": [{"a": ', "at byte 27, Expecting value"),
        (b'{"log": {"entries": [' + b"[" * 600, "nested deeper than 512 levels"),
        (b"[]", "no log.entries"),
        (b"", "at byte 0"),
    ],
)
def test_what_is_no_har(engine: str, tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(chunkwire.DecodeError, match=words) as caught:
        list(chunkwire.decode(data, engine=engine, format="har"))
    assert caught.value.kind == "wrong_format"
    path = tmp_path / "a.log"
    path.write_bytes(data)
    (tmp_path / "b.log").write_bytes(har([(EVENTS, streams()[0])]))
    table = chunkwire.usage(tmp_path, engine=engine, format="har")
    assert len(table) == 1
    assert [(label, type(error)) for label, error in table.failures] == [(str(path), chunkwire.DecodeError)]


# --- cassettes


def vcrpy(bodies: list[bytes | None], *, pack: bool) -> dict[str, Any]:
    interactions = []
    for body in bodies:
        headers = {"content-type": [EVENTS]}
        sent: Any = body or b""
        if pack and body is not None:
            headers["Content-Encoding"] = ["gzip"]
            sent = gzip.compress(body, mtime=0)
        else:
            sent = sent.decode("utf-8", "replace")
        response = {"status": {"code": 200, "message": "OK"}, "headers": headers, "body": {"string": sent}}
        request = {"method": "POST", "uri": URL, "body": "{}", "headers": {}}
        interactions.append({"request": request, "response": response})
    return {"interactions": interactions, "version": 1}


RUBY = """---
http_interactions:
{interactions}recorded_with: VCR 6.2.0
"""
INTERACTION = """- request:
    method: post
    uri: {url}
    body:
      encoding: UTF-8
      string: '{{}}'
  response:
    status:
      code: 200
      message: OK
    headers:
      Content-Encoding:
      - gzip
    body:
      encoding: ASCII-8BIT
      {body}
  recorded_at: Fri, 20 Nov 2026 10:00:00 GMT
"""


@pytest.mark.parametrize("pack", [True, False])
def test_cassettes_of_vcrpy(engine: str, tmp_path: Path, pack: bool) -> None:
    bodies = bodies_of(random.Random(5))
    document = vcrpy(bodies, pack=pack)
    path = tmp_path / "cassette.yaml"
    path.write_text(yaml.safe_dump(document, width=60), "utf-8")
    table = check(engine, path, bodies)
    assert [one.line for one in table.stats.damages if one.kind == "no_body"] == [3]
    if not pack:
        check(engine, json.dumps(document).encode(), bodies)


@pytest.mark.parametrize("how", ["string: !binary |-\n        ", "base64_string: "])
def test_cassettes_of_ruby(engine: str, tmp_path: Path, how: str) -> None:
    bodies = [body for body in bodies_of(random.Random(6)) if body]
    texts = [INTERACTION.format(url=URL, body=how + packed(body)) for body in bodies]
    path = tmp_path / "cassette.yml"
    path.write_text(RUBY.format(interactions="".join(texts)), "utf-8")
    check(engine, path, bodies)  # type: ignore[arg-type]
    table = chunkwire.usage(path, engine=engine, keep=["method", "started"])
    assert set(table.kept["method"]) == {"POST"}
    assert set(table.kept["started"]) == {"Fri, 20 Nov 2026 10:00:00 GMT"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"interactions: 5\n", "no interactions"),
        (b"interactions: [\n", "this is no cassette"),
        (b"interactions: " + b"[" * 50_000, "this is no cassette"),
        (b"interactions: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        (b'{"interactions": [', "this is no cassette: at byte 18"),
    ],
)
def test_what_is_no_cassette(engine: str, data: bytes, words: str) -> None:
    with pytest.raises(chunkwire.DecodeError, match=words):
        list(chunkwire.decode(data, engine=engine, format="vcr"))


def test_cassettes_need_a_package(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] in ("yaml", "ruamel"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'chunkwire\[yaml\]'"):
        list(chunkwire.decode(b"interactions: []\n", engine=engine))
    document = json.dumps(vcrpy([streams()[0]], pack=False)).encode()
    assert len(chunkwire.usage(document, engine=engine)) == 1  # which is no YAML
