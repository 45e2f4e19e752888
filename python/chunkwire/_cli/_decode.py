"""``chunkwire decode``: paths in, chunks as JSON lines out."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import chunkwire
from chunkwire._cli._each import each_source
from chunkwire._cli._output import json_bytes, progress_for, stdout_bytes, writing
from chunkwire._sources import Source

__all__ = ["run"]

#: Attributes that give what the field holds, null where it is absent: quicker than the whole chunk as a dict.
_PLAIN = frozenset({"id", "object", "created", "model", "system_fingerprint", "service_tier", "content", "offset"})


def run(options: Namespace) -> int:
    """Runs the command."""

    def decode(source: Source) -> chunkwire.Stats:
        return _decode(source, _picker(options.fields, source.label) if options.fields else None, options)

    return each_source(options.paths, decode)


def _decode(source: Source, pick: Callable[[chunkwire.Chunk], Any] | None, options: Namespace) -> chunkwire.Stats:
    chunks = chunkwire.decode(
        source.feed,
        on_error=options.on_error,
        strict=options.strict,
        engine=options.engine,
        progress=progress_for(options) and not sys.stdout.isatty(),
    )
    write = stdout_bytes()
    for chunk in chunks:
        line = json_bytes(chunk.to_dict() if pick is None else pick(chunk)) + b"\n"
        with writing():
            write(line)
    return chunks.stats


def _picker(fields: list[str], source: str) -> Callable[[chunkwire.Chunk], dict[str, Any]]:
    """A function that takes the fields out of a chunk."""

    def pick(chunk: chunkwire.Chunk) -> dict[str, Any]:
        picked: dict[str, Any] = {}
        sent = None
        for field in fields:
            if field in _PLAIN:
                picked[field] = getattr(chunk, field)
            elif field == "source":
                picked[field] = source
            else:
                if sent is None:
                    sent = chunk.to_dict()
                picked[field] = _find(sent, field)
        return picked

    return pick


def _find(value: Any, path: str) -> Any:
    """What is at the end of a path of keys and places; None if nothing is there."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
