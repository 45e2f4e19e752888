"""Long logs for the tests: pieces that the oracle has read alone go in, the log and what it says of the whole come out.

The pieces are the events of recorded streams or of streams written here, each in the manner of one server. Reading
every piece once and moving what was found is what makes thousands of events cheap; `test_shapes` asks the oracle about
a whole log, too, so that the moving is tested as well.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from oracle import COUNTS, Result, oracle, split_blocks, split_lines
from support import event

DONE = event("[DONE]")
WORDS = [
    "Hello",
    " world",
    ",",
    ".",
    " the",
    "s",
    "\n\n",
    "\n",
    ' "so"',
    " C:\\",
    " naïve",
    " 北京",
    " 😊",
    "",
    "1",
    "\t",
    "'",
]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

One = TypeVar("One")


# --- pieces


@dataclass(frozen=True, eq=False)
class Piece:
    """One event, or whatever else stands between two blank lines, and what the oracle says of it."""

    data: bytes
    lines: int
    result: Result


def piece(data: bytes) -> Piece:
    result = oracle(data)
    # Among others, a block of unknown fields is no sign that the source is no stream.
    if any(item.kind == "not_a_stream" for item in result.items):
        result = Result(counts=result.counts | {"damaged": result.counts["damaged"] - 1})
    return Piece(data, len(split_lines(data)), result)


def pieces_of(data: bytes) -> list[Piece]:
    """The pieces of a source; a last event that nothing ended is ended here, so that others can follow it."""
    found = [data[block.start : block.end] for block in split_blocks(data)]
    if found and split_blocks(data)[-1].pending:
        found[-1] += b"\n" if found[-1].endswith(b"\n") else b"\n\n"
    return [piece(one) for one in found]


@cache
def recording(path: Path) -> list[Piece]:
    return pieces_of(path.read_bytes())


def joined(pieces: Iterable[Piece]) -> tuple[bytes, Result]:
    """The log of these pieces, and what the oracle would say of it."""
    whole = Result(counts=dict.fromkeys(COUNTS, 0))
    parts: list[bytes] = []
    bytes_, lines = 0, 0
    for one in pieces:
        events = whole.counts["events"]
        for item in one.result.items:
            moved = replace(item, offset=item.offset + bytes_, line=item.line + lines, event=item.event + events)
            whole.items.append(moved)
        for kind, reason, offset, line, number, position in one.result.damages:
            whole.damages.append((kind, reason, offset + bytes_, line + lines, number + events, position))
        for name in COUNTS:
            whole.counts[name] += one.result.counts[name]
        parts.append(one.data)
        bytes_ += len(one.data)
        lines += one.lines
    return b"".join(parts), whole


def interleaved(rng: random.Random, streams: Iterable[list[One]], width: int) -> list[One]:
    """The streams side by side, so many at once: each next piece is that of one of them."""
    waiting = iter(streams)
    live = [iter(stream) for _, stream in zip(range(width), waiting, strict=False)]
    mixed: list[One] = []
    while live:
        place = rng.randrange(len(live))
        following = next(live[place], None)
        if following is not None:
            mixed.append(following)
        elif (new := next(waiting, None)) is not None:
            live[place] = iter(new)
        else:
            del live[place]
    return mixed


def cuts(rng: random.Random, data: bytes, most: int = 4000) -> list[bytes]:
    """The bytes in pieces of random sizes: tiny ones, empty ones and ones of many events."""
    pieces, start = [], 0
    while start < len(data):
        end = start + rng.choice([0, 1, 2, rng.randrange(60), rng.randrange(600), rng.randrange(most)])
        pieces.append(data[start:end])
        start = end
    return pieces


# --- streams in the manner of servers


def usage(rng: random.Random, completion: int) -> dict[str, Any]:
    prompt = rng.randrange(5, 4000)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": rng.randrange(prompt), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def choice(delta: dict[str, Any], finish: str | None = None, **more: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, **more, "finish_reason": finish}]


def padding(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randrange(1, 17)))


def head(rng: random.Random, model: str = "m-1") -> dict[str, Any]:
    name = "".join(rng.choices("0123456789abcdef", k=24))
    created = 1_760_000_000 + rng.randrange(10**6)
    return {"id": f"chatcmpl-{name}", "object": "chat.completion.chunk", "created": created, "model": model}


Docs = Iterator[dict[str, Any]]


def openai(rng: random.Random, tokens: list[str]) -> Docs:
    base = head(rng) | {"service_tier": "default", "system_fingerprint": "fp_0123456789"}
    yield base | {
        "choices": choice({"role": "assistant", "content": "", "refusal": None}, logprobs=None),
        "usage": None,
    }
    for token in tokens:
        yield base | {"choices": choice({"content": token}, logprobs=None), "usage": None}
    yield base | {"choices": choice({}, "stop", logprobs=None), "usage": None}
    yield base | {"choices": [], "usage": usage(rng, len(tokens))}


def padded(rng: random.Random, tokens: list[str]) -> Docs:
    for doc in openai(rng, tokens):
        yield doc | {"obfuscation": padding(rng)}


def choices_first(rng: random.Random, tokens: list[str]) -> Docs:
    """Keys in alphabetical order, so what changes comes first."""
    for doc in openai(rng, tokens):
        yield {key: doc[key] for key in sorted(doc) if doc[key] is not None}


def mistral(rng: random.Random, tokens: list[str]) -> Docs:
    base = head(rng)
    for token in tokens:
        yield base | {"choices": choice({"content": token}), "p": padding(rng)}
    yield base | {"choices": choice({"content": ""}, "stop"), "usage": usage(rng, len(tokens)), "p": padding(rng)}


def alternating(rng: random.Random, tokens: list[str]) -> Docs:
    """The keys in another order in every second chunk."""
    for number, doc in enumerate(openai(rng, tokens)):
        yield dict(reversed(doc.items())) if number % 2 else doc


def reasoning(rng: random.Random, tokens: list[str]) -> Docs:
    base = head(rng)
    for token in tokens[: len(tokens) // 2]:
        yield base | {"choices": choice({"content": None, "reasoning_content": token})}
    for token in tokens[len(tokens) // 2 :]:
        yield base | {"choices": choice({"content": token})}
    yield base | {"choices": choice({"content": ""}, "stop"), "usage": usage(rng, len(tokens))}


def running(rng: random.Random, tokens: list[str]) -> Docs:
    """Usage so far on every chunk, and a cost."""
    base, prompt = head(rng), rng.randrange(5, 4000)
    for number, token in enumerate(tokens, 1):
        counts = {"prompt_tokens": prompt, "completion_tokens": number, "total_tokens": prompt + number}
        finish = "stop" if number == len(tokens) else None
        yield base | {"usage": counts | {"cost": number / 1024}, "choices": choice({"content": token}, finish)}


def tools(rng: random.Random, tokens: list[str]) -> Docs:
    base = head(rng)
    call = {"index": 0, "id": "call_" + padding(rng), "type": "function", "function": {"name": "f", "arguments": ""}}
    yield base | {"choices": choice({"role": "assistant", "content": None, "tool_calls": [call]})}
    for token in tokens:
        yield base | {"choices": choice({"tool_calls": [{"index": 0, "function": {"arguments": token}}]})}
    yield base | {"choices": choice({}, "tool_calls")}


def logprobs(rng: random.Random, tokens: list[str]) -> Docs:
    """Numbers with fractions, and arrays as long as the token: structures that hardly come again."""

    def one(token: str) -> dict[str, Any]:
        return {"token": token, "logprob": -rng.random() * 10, "bytes": list(token.encode())}

    base = head(rng)
    for token in tokens:
        found = {"content": [one(token) | {"top_logprobs": [one(token), one(rng.choice(WORDS))]}], "refusal": None}
        yield base | {"choices": choice({"content": token}, logprobs=found)}
    yield base | {"choices": choice({}, "length", logprobs=None)}


def nameless(rng: random.Random, tokens: list[str]) -> Docs:
    """No id at all, and several choices."""
    for token in tokens:
        yield {
            "object": "chat.completion.chunk",
            "choices": [choice({"content": token})[0] | {"index": rng.randrange(3)}],
        }
    for index in range(3):
        yield {"object": "chat.completion.chunk", "choices": [choice({}, "stop")[0] | {"index": index}]}


COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
#: Each server with the way in which it writes JSON.
SERVERS: dict[str, tuple[Callable[[random.Random, list[str]], Docs], dict[str, Any]]] = {
    "openai": (openai, COMPACT),
    "padded": (padded, COMPACT),
    "choices first": (choices_first, COMPACT),
    "mistral": (mistral, COMPACT),
    "alternating": (alternating, COMPACT),
    "reasoning": (reasoning, COMPACT | {"ensure_ascii": True}),
    "running": (running, {}),  # with spaces, and escapes beyond ASCII
    "tools": (tools, COMPACT),
    "logprobs": (logprobs, COMPACT),
    "nameless": (nameless, COMPACT),
}


def written(rng: random.Random, server: str, tokens: int) -> list[bytes]:
    """The events of one stream of so many tokens, `[DONE]` included."""
    docs, style = SERVERS[server]
    return [event(json.dumps(doc, **style)) for doc in docs(rng, rng.choices(WORDS, k=tokens))] + [DONE]


def stream(rng: random.Random, server: str, tokens: int) -> list[Piece]:
    return [piece(one) for one in written(rng, server, tokens)]
