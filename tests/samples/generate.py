"""Writes the sample logs of this folder and `expected.json`, from a seed: `python tests/samples/generate.py [FOLDER]`.

The streams have the *shapes* of many providers (which fields, in which order, what is null, what is missing); every
text, id, model name and number is invented here. What `expected.json` says comes from this program's own knowledge of
what it writes; nothing is decoded. The same seed gives the same bytes on every Python.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from shapes import (
    SHAPES,
    TOKENS,
    Stream,
    anthropic_tools,
    audio,
    azure,
    cerebras,
    deepseek,
    error_alone,
    error_inside,
    groq,
    llamacpp,
    logprobs,
    mistral,
    openai,
    openrouter,
    parallel_tools,
    perplexity,
    refusal,
    truncated,
    vllm,
    xai,
)

SEED = 20250701
DAYS = [1751328000 + day * 86400 for day in range(3)]  # 2025-07-01 to 03, UTC
MODELS = ["aster-4-mini", "corvid-large-2506", "heron-r1", "lumen/quill-3", "tern-70b-instruct", "wren-fast"]

# --- the files ---------------------------------------------------------------------------------------------------


def make(shape: Callable[[Stream], None], rng: random.Random, number: int, *, day: int = 0) -> Stream:
    created = DAYS[day] + 1200 * number + int(rng.random() * 600)
    stream = Stream(rng, MODELS[int(rng.random() * len(MODELS))], created)
    shape(stream)
    return stream


def interleave(rng: random.Random, streams: list[Stream]) -> bytes:
    """The blocks of several streams in one log, each stream's own in their order."""
    waiting = [list(stream.blocks) for stream in streams]
    result = b""
    while any(waiting):
        left = [blocks for blocks in waiting if blocks]
        blocks = left[int(rng.random() * len(left))]
        result += blocks.pop(0)
        if blocks == [b"data: [DONE]\n\n"]:  # a server sends it at once behind the last chunk
            result += blocks.pop(0)
    return result


def whole(streams: Iterable[Stream]) -> bytes:
    return b"".join(b"".join(stream.blocks) for stream in streams)


def day_log(rng: random.Random) -> tuple[bytes, list[Stream]]:
    """Some forty streams of three days. Who sends no identity of its own at first stands behind a `[DONE]`."""
    after_done = [openai, azure, deepseek, error_alone, mistral, xai, azure]
    order = [*SHAPES, *SHAPES[:1], *after_done, *SHAPES[2:13]]
    streams = []
    for number, shape in enumerate(order):
        if shape is azure and streams[-1].known["status"] != "complete":
            streams.append(make(vllm, rng, number, day=number * 3 // len(order)))
        streams.append(make(shape, rng, number, day=number * 3 // len(order)))
    return b": one log of three days\n\n" + whole(streams), streams


def bad_log(rng: random.Random) -> tuple[bytes, list[Stream]]:
    """A stream that lost an event to damage, and one that the end of the file cut in an event."""
    first, second = make(openai, rng, 0), make(llamacpp, rng, 1)
    first.blocks[3] = first.blocks[3].replace(b'"choices":[', b'"choices":[,')
    first.known |= {"chunks": first.known["chunks"] - 1, "status": "malformed"}
    del second.blocks[5:]
    second.blocks[4] = second.blocks[4][:60]
    nothing = dict.fromkeys(TOKENS, 0)
    second.known |= {"chunks": 4, "status": "truncated", "finish_reason": None, "reported": False, **nothing}
    return whole([first, second]), [first, second]


def build() -> dict[str, bytes]:
    """Every file of this folder but this one."""
    files: dict[str, bytes] = {}
    known: dict[str, Any] = {}

    def add(name: str, data: bytes, streams: list[Stream], damaged: int = 0) -> None:
        rows = [stream.known for stream in streams]
        files[name] = data
        known[name] = {
            "bytes": len(data),
            "chunks": sum(row["chunks"] for row in rows),
            "done": sum(block.endswith(b"data: [DONE]\n\n") for stream in streams for block in stream.blocks),
            "errors": sum(row["status"] == "error" for row in rows),
            "damaged": damaged,
            "tokens": {name: sum(row[name] for row in rows) for name in TOKENS},
            "streams": rows,
        }

    rng = random.Random(SEED)
    add("day.sse", *day_log(rng))
    for shape in (openai, azure, deepseek, mistral, groq, openrouter, perplexity, llamacpp, audio, logprobs):
        streams = [make(shape, rng, 0)]
        add(shape.__name__ + ".sse", whole(streams), streams)
    streams = [make(shape, rng, number) for number, shape in enumerate([anthropic_tools, parallel_tools])]
    add("tools.sse", whole(streams), streams)
    streams = [
        make(shape, rng, number) for number, shape in enumerate([error_inside, error_alone, cerebras, truncated])
    ]
    add("errors.sse", whole(streams), streams)
    streams = [make(shape, rng, number) for number, shape in enumerate([openai, deepseek, xai, refusal, llamacpp])]
    log = interleave(rng, streams)
    first = {stream.known["id"]: log.index(stream.known["id"].encode()) for stream in streams}
    add("interleaved.sse", log, sorted(streams, key=lambda stream: first[stream.known["id"]]))
    add("damaged.sse", *bad_log(rng), damaged=2)
    files["expected.json"] = (json.dumps(known, indent=1) + "\n").encode()
    return files


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else __file__)
    folder = folder if folder.is_dir() else folder.parent
    for name, data in build().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
