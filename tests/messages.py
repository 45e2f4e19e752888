"""What the tests of whole messages share: an engine's completions beside the reference's, short ways to write them."""

from __future__ import annotations

from typing import Any

import chunkwire
import support
from oracle import oracle
from oracle_messages import oracle_completions
from rows import DONE, last, part, rows_of
from support import canonical

Told = list[tuple[str, str, int, int]]


def told(completions: Any) -> Told:
    """Everything that completions say, in a form that can be compared."""
    return [(canonical(one.to_dict()), one.status, one.offset, one.chunks) for one in completions]


def expected_of(data: bytes, **options: Any) -> Told:
    return [(canonical(doc), *rest) for doc, *rest in oracle_completions(oracle(data, **options))]


def check(engine: str, data: bytes, **options: Any) -> list[chunkwire.Completion]:
    """The engine's completions, after they were compared with the reference, in order, and with the usage rows."""
    found = chunkwire.completions(data, engine=engine, **options)
    completions = list(found)
    assert told(completions) == expected_of(data, **options)
    rows, stats = rows_of(engine, data, **options)
    whole = [row for row in rows if row["chunks"]]
    names = ["id", "model", "status", "offset", "chunks"]
    in_order = sorted(completions, key=lambda completion: completion.offset)
    assert [[getattr(one, name) for name in names] for one in in_order] == [
        [row[name] for name in names] for row in whole
    ]
    assert [one.created or 0 for one in in_order] == [row["created"] for row in whole]
    assert [one.usage and one.usage.to_dict() for one in in_order] == [row["usage"] for row in whole]
    assert support.counts(found.stats) | {"damaged": 0} == support.counts(stats) | {"damaged": 0}
    return completions


def one(engine: str, data: bytes) -> chunkwire.Completion:
    (completion,) = check(engine, data)
    return completion


def said(engine: str, *deltas: dict[str, Any]) -> chunkwire.Message:
    """The message that these deltas are together."""
    chunks = [part(choices=[{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    return one(engine, b"".join(chunks) + last() + DONE).choices[0].message


def calls(engine: str, *elements: dict[str, Any] | list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The tool calls that these elements are together: id, name and arguments of each."""
    deltas = [{"tool_calls": element if isinstance(element, list) else [element]} for element in elements]
    message = said(engine, *deltas)
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]


def call(arguments: Any = ..., name: Any = ..., **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return fields | {"function": {key: value for key, value in function.items() if value is not ...}}
