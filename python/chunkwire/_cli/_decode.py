"""``chunkwire decode``: paths in, chunks as JSON lines out."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import chunkwire
from chunkwire._cli._each import each_source
from chunkwire._cli._output import json_bytes, log_options, progress_for, stdout_bytes, writing
from chunkwire._sources import Source

__all__ = ["line_of", "run"]

#: Attributes that give what the field holds, null where it is absent: quicker than the whole chunk as a dict.
_PLAIN = frozenset({"id", "object", "created", "model", "system_fingerprint", "service_tier", "content", "offset"})


def run(options: Namespace) -> int:
    """Runs the command."""

    def decode(source: Source) -> chunkwire.Stats:
        return _decode(source, line_of(options.fields, source.label), options)

    return each_source(options.paths, decode)


def line_of(fields: list[str] | None, source: str) -> Callable[[chunkwire.Chunk], bytes]:
    """A function that gives a chunk, or these fields of it, as a line of JSON."""
    if fields is None:
        return lambda chunk: json_bytes(chunk.to_dict()) + b"\n"
    pick = _picker(fields, source)
    return lambda chunk: json_bytes(pick(chunk)) + b"\n"


def _decode(source: Source, line: Callable[[chunkwire.Chunk], bytes], options: Namespace) -> chunkwire.Stats:
    chunks = chunkwire.decode(
        source.feed,
        on_error=options.on_error,
        strict=options.strict,
        engine=options.engine,
        max_decompressed_bytes=options.max_decompressed_bytes,
        **log_options(options),
        progress=progress_for(options) and not sys.stdout.isatty(),
    )
    write = stdout_bytes()
    for chunk in chunks:
        with writing():
            write(line(chunk))
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
