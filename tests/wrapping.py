"""Logs in every format for the tests: bodies in, the lines of a log out, and where their members are.

The bodies come from the samples of the project and, where the environment names a folder, from recorded streams; those
that are JSON are folded or parsed from them. What a log says is told by `oracle_logs`.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

from oracle import oracle
from oracle_messages import oracle_completions
from support import SAMPLES, recorded


@dataclasses.dataclass
class Wrapped:
    """A log, and what is to be known of it."""

    data: bytes
    format: str
    field: str | None = None
    id_field: str | None = None
    time_field: str | None = None
    keep: list[str] = dataclasses.field(default_factory=list)

    def options(self) -> dict[str, Any]:
        """How an engine is told."""
        return {
            "format": self.format,
            "field": self.field,
            "id_field": self.id_field,
            "time_field": self.time_field,
        }


def streams(most: int = 20_000) -> list[bytes]:
    """Event streams, not too long."""
    paths = [*sorted(SAMPLES.glob("*.sse")), *recorded()]
    return [data for path in paths if 0 < len(data := path.read_bytes()) <= most]


def documents(stream: bytes) -> list[Any]:
    """The chunks of a stream, parsed."""
    return [item.doc for item in oracle(stream).items if item.what == "chunk"]


def completion(stream: bytes) -> dict[str, Any] | None:
    """A stream's first whole message."""
    found = oracle_completions(oracle(stream))
    return found[0][0] if found else None


ERROR = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}


def bodies(rng: random.Random, stream: bytes) -> Iterator[Any]:
    """What may stand in the place of a body: every kind of it, of one stream."""
    text = stream.decode("utf-8", "replace")
    yield text
    yield text.replace("\n", "\r\n")
    yield "\ufeff\n\n" + text
    chunks = documents(stream)
    whole = completion(stream)
    if whole is not None:
        yield whole
        yield json.dumps(whole)
        yield json.dumps(whole, indent=2, ensure_ascii=False)
    if chunks:
        yield chunks
        yield chunks[0]
        yield json.dumps(chunks)
        yield json.dumps(chunks[0])
        yield json.dumps(chunks)[: rng.randrange(1, len(json.dumps(chunks)))]
    yield ERROR
    yield json.dumps(ERROR)
    yield from (None, "", " \n", "[DONE]", 5, True, [], "[]", {"detail": "no"}, "<html>no</html>", ": ping\n\n")
    cut = rng.randrange(1, max(len(text), 2))
    yield text[:cut]
    for mark in (
        "[truncated]",
        "...[truncated 123 bytes]",
        "...(truncated)",
        "<truncated>",
        "… truncated",
        "…truncated",
    ):
        yield text[: rng.randrange(len(text) + 1)] + mark
        yield text + mark


STYLES: list[dict[str, Any]] = [{}, {"ensure_ascii": False}, {"separators": (",", ":")}]


def line(rng: random.Random, doc: dict[str, Any], **style: Any) -> bytes:
    """A line of JSON, in one of the ways to write it; the bytes of lone surrogates go as escapes."""
    options = rng.choice(STYLES) | style
    return json.dumps(doc, **options).encode("utf-8", "backslashreplace")


def exchanges(rng: random.Random, contents: list[Any], path: str = "response_body", eol: bytes = b"\n") -> Wrapped:
    """A line an exchange, its body at this path."""
    lines = []
    for number, body in enumerate(contents):
        members: dict[str, Any] = {
            "request_id": f"r{number}",
            "ts": 1760000000 + number,
            "user": rng.choice(["ann", "bob", None, "zoë"]),
            "request_body": json.dumps({"messages": [{"content": "data: {}\n\n"}]}),
            "meta": {"tag": rng.choice([1, 2.5, True, "x", [1], None]), "a.b": number},
        }
        inner: Any = body
        for name in reversed(path.split(".")):
            inner = {name: inner}
        doc = members | inner
        if rng.random() < 0.1:
            del doc[path.split(".")[0]]
        items = list(doc.items())
        rng.shuffle(items)
        lines.append(line(rng, dict(items)))
        if rng.random() < 0.1:
            lines.append(rng.choice([b"", b"  ", b"\t"]))
    return Wrapped(eol.join(lines) + eol, "exchanges", path, keep=["user", r"meta.a\.b", "meta.tag"])


def nested(rng: random.Random, contents: list[Any]) -> Wrapped:
    """As collectors write it: a line that holds a line in a string, twice."""
    lines = []
    for number, body in enumerate(contents):
        inner = line(rng, {"level": "info", "response_body": body, "n": number}).decode()
        middle = line(rng, {"log": inner + "\n", "stream": "stdout", "time": "2026-11-20T10:00:00.123456789Z"}).decode()
        lines.append(line(rng, {"kubernetes": {"pod": "p"}, "message": middle}))
    return Wrapped(b"\n".join(lines) + b"\n", "exchanges", "message.log.response_body", keep=["message.log.n"])


def batch_output(rng: random.Random, wholes: list[dict[str, Any]]) -> Wrapped:
    """What OpenAI's batches give: finished completions."""
    lines = []
    for number, whole in enumerate(wholes):
        response = {"status_code": 200, "request_id": f"req_{number}", "body": whole}
        if rng.random() < 0.2:
            response = {"status_code": 429, "request_id": f"req_{number}", "body": ERROR}
        lines.append(line(rng, {"id": f"b_{number}", "custom_id": f"c{number}", "response": response, "error": None}))
    return Wrapped(b"\n".join(lines), "exchanges", "response.body", keep=["custom_id"])


def reads(rng: random.Random, contents: list[bytes], *, ids: bool = True, events: bool = False) -> Wrapped:
    """Streams as they came over the network, in pieces that are cut anywhere and interleave; or an event a line."""
    pieces: list[list[bytes]] = []
    for body in contents:
        if events:
            parts = [part + b"\n\n" for part in body.split(b"\n\n") if part]
        else:
            cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(1, 12)))
            parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        pieces.append(parts)
    lines, now = [], 1760000000.0
    waiting = list(range(len(pieces)))
    if not ids:
        lines_of = [(number, part) for number in waiting for part in pieces[number]]
    else:
        lines_of = []
        places = [0] * len(pieces)
        while waiting:
            number = rng.choice(waiting)
            lines_of.append((number, pieces[number][places[number]]))
            places[number] += 1
            if places[number] == len(pieces[number]):
                waiting.remove(number)
    for number, part in lines_of:
        now += rng.randrange(1, 500) / 1000
        time: Any = rng.choice([now, round(now * 1000), None]) if rng.random() < 0.3 else now
        doc: dict[str, Any] = {"ts": time, "text": as_text(part), "user": f"u{number}"}
        if ids:
            doc["request_id"] = number if number % 2 else f"r{number}"
        lines.append(line(rng, doc))
    return Wrapped(b"\n".join(lines) + b"\n", "reads", "text", "request_id" if ids else None, "ts", keep=["user"])


def as_text(part: bytes) -> str:
    """A read as a string: a character that is cut goes as the replacement that decoders make of it."""
    return part.decode("utf-8", "replace")


def chunk_lines(rng: random.Random, docs: list[Any]) -> Wrapped:
    """A chunk a line, or some of them in an array."""
    lines, at = [], 0
    while at < len(docs):
        if rng.random() < 0.3:
            count = rng.randrange(1, 4)
            lines.append(line(rng, docs[at : at + count]))  # type: ignore[arg-type]
            at += count
        else:
            lines.append(line(rng, docs[at]))
            at += 1
    return Wrapped(b"\n".join(lines) + b"\n", "chunks")


def chunk_array(docs: list[Any], indent: int | None = None, eol: str = "\n") -> Wrapped:
    """One array of all."""
    text = json.dumps(docs, indent=indent).replace("\n", eol)
    if indent is None:
        text = text.replace(', {"id"', ',\n{"id"')
    return Wrapped(text.encode(), "chunks")


def har(contents: list[tuple[str, bytes | None]], encodings: list[str] | None = None) -> bytes:
    """A HAR file: a type and a body each; the bodies as text, as base64, or absent."""
    entries = []
    for number, (kind, body) in enumerate(contents):
        content: dict[str, Any] = {"size": len(body or b""), "mimeType": kind}
        how = (encodings or ["text", "base64"])[number % len(encodings or "ab")]
        if body is not None and how == "base64":
            content |= {"text": base64.b64encode(body).decode(), "encoding": "base64"}
        elif body is not None:
            content["text"] = body.decode("utf-8", "replace")
        entries.append({
            "startedDateTime": f"2026-11-20T10:00:{number % 60:02}.000Z",
            "time": 12.5,
            "request": {"method": "POST", "url": "https://api.example.com/v1/chat/completions", "headers": []},
            "response": {"status": 200, "statusText": "OK", "headers": [], "content": content},
            "timings": {"send": 0, "wait": 5, "receive": 7},
        })  # fmt: skip
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries}}
    ).encode()


def packed(body: bytes) -> str:
    """A body as Ruby's vcr keeps one that is compressed."""
    return base64.b64encode(gzip.compress(body, mtime=0)).decode()
