"""What the test files share: running an input through an engine in every way, and comparing it with the oracle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import chunkwire
from oracle import COUNTS, Result

SAMPLES = Path(__file__).parent / "samples"


def recorded() -> list[Path]:
    """The recorded streams, where the environment says that there are some."""
    folder = os.environ.get("CHUNKWIRE_STREAMS")
    return sorted(Path(folder).glob("*.sse")) if folder else []


def chunk_json(**fields: Any) -> bytes:
    """A small chunk, with the given fields in place of the usual ones."""
    doc: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    doc["choices"] = [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]
    return json.dumps(doc | fields, ensure_ascii=False).encode()


def event(data: bytes | str | dict[str, Any]) -> bytes:
    """One event that holds the data."""
    if isinstance(data, dict):
        data = json.dumps(data)
    if isinstance(data, str):
        data = data.encode()
    return b"data: " + data + b"\n\n"


def canonical(value: Any) -> str:
    """A text that is equal for equal JSON values only: it tells 1, 1.0 and True apart, and NaN equals itself."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def drain(iterator: Iterator[Any]) -> list[Any]:
    """Everything an iterator gives, and the errors that it raises on the way; it goes on after each."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(iterator))
        except StopIteration:
            return found
        except chunkwire.ChunkwireError as error:
            found.append(error)


def push(decoder: Any, pieces: Iterable[bytes]) -> list[Any]:
    """Everything a decoder gives for these pieces, and the errors that it raises on the way."""
    found = []
    for piece in pieces:
        found += drain(decoder.feed(piece))
    return found + drain(decoder.finish())


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def light(found: list[Any]) -> list[Any]:
    """What was found, in a form that is quick to make: enough where the JSON was compared already."""
    return [
        (one.offset, one.raw) if not isinstance(one, Exception) else (one.offset, type(one).__name__) for one in found
    ]


def full(found: list[Any]) -> list[Any]:
    """What was found, in every detail."""
    result: list[Any] = []
    for one in found:
        if isinstance(one, chunkwire.DecodeError):
            result.append((one.kind, one.reason, one.offset, one.line, one.event, one.position))
        elif isinstance(one, chunkwire.StreamError):
            result.append(("server_error", canonical(one.body), one.offset, one.line, one.event))
        else:
            result.append(("chunk", canonical(one.to_dict()), one.offset, one.raw))
    return result


def full_of(result: Result) -> list[Any]:
    """The same of what the oracle found."""
    expected: list[Any] = []
    for item in result.given:
        if item.what == "chunk":
            expected.append(("chunk", canonical(item.doc), item.offset, item.raw))
        elif item.what == "error":
            expected.append(("server_error", canonical(item.doc), item.offset, item.line, item.event))
        else:
            expected.append(item.damage())
    return expected


def light_of(result: Result) -> list[Any]:
    names = {"error": "StreamError", "damage": "DecodeError"}
    return [(item.offset, item.raw if item.what == "chunk" else names[item.what]) for item in result.given]


def counts(stats: Any) -> dict[str, int]:
    return {name: getattr(stats, name) for name in COUNTS}


def damages(stats: Any) -> list[tuple[Any, ...]]:
    return [(one.kind, one.reason, one.offset, one.line, one.event, one.position) for one in stats.damages]


def assert_counts(stats: Any, result: Result) -> None:
    """The counts and damages are the oracle's, and every byte is in exactly one class."""
    assert counts(stats) == result.counts
    assert damages(stats) == result.damages
    classes = [getattr(stats, name) for name in COUNTS if name.endswith("_bytes")]
    assert sum(classes) == stats.bytes


def assert_decodes(engine: str, data: bytes, result: Result, **options: Any) -> None:
    """A whole input gives what the oracle gives: chunks, errors in their places, counts, damages."""
    chunks = chunkwire.decode(data, engine=engine, **{"format": "sse", **options})
    assert full(drain(chunks)) == full_of(result)
    assert_counts(chunks.stats, result)


def assert_pushes(
    engine: str, pieces: Iterable[bytes], result: Result, *, view: Callable[[list[Any]], Any] = light, **options: Any
) -> None:
    """The same through `Decoder`, in the given pieces."""
    decoder = chunkwire.Decoder(engine=engine, **options)
    found = view(push(decoder, pieces))
    assert found == (light_of if view is light else full_of)(result)
    assert_counts(decoder.stats, result)


def public(event: Any) -> tuple[Any, ...]:
    return (event.event, event.data, event.id, event.retry, event.offset)
