"""Whole messages: chunkwire beside openai's `ChatCompletionStreamState` and litellm's `stream_chunk_builder`.

    python benches/completions.py --size 20 --slow-chunks 2000

In one process every contender folds the same streams, and has to find the same characters of content and the same total
tokens before it is timed. The peers get chunks: openai's as its own client would make them of each event, litellm's as
its own class. They are too slow for the whole log, so they fold its first streams. chunkwire reads bytes in memory, and
makes of each completion the objects of the first message and of the usage. The goals: a million chunks a second, and 50
times openai.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chunkwire
import corpora
from environment import commit, machine, versions

MB = 1_000_000

Found = tuple[int, int, int]
"""Streams, characters of content, total tokens of the last usage of each."""


def by_chunkwire(engine: Any) -> Callable[[corpora.Corpus], Found]:
    def run(corpus: corpora.Corpus) -> Found:
        streams = content = tokens = 0
        for completion in chunkwire.completions(corpus.data, engine=engine):
            streams += 1
            choices = completion.choices
            if choices:
                content += len(choices[0].message.content or "")
            usage = completion.usage
            if usage is not None:
                tokens += usage.total_tokens or 0
        return streams, content, tokens

    return run


def documents(corpus: corpora.Corpus) -> list[list[dict[str, Any]]]:
    """The chunks of each stream."""
    return [
        [json.loads(block[6:]) for block in stream.blocks if block.startswith(b"data: {")] for stream in corpus.streams
    ]


def by_openai(corpus: corpora.Corpus) -> Found:
    """Parsing and making chunks as `openai.Stream` does, and then its state."""
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    streams = content = tokens = 0
    for docs in documents(corpus):
        state: Any = ChatCompletionStreamState()
        total = 0
        for doc in docs:
            chunk = ChatCompletionChunk.construct(**doc)
            state.handle_chunk(chunk)
            if chunk.usage is not None:  # its snapshot forgets usage that a later chunk does not repeat
                total = chunk.usage.total_tokens
        snapshot = state.current_completion_snapshot
        streams += 1
        content += len(snapshot.choices[0].message.content or "") if snapshot.choices else 0
        tokens += total
    return streams, content, tokens


def by_litellm(corpus: corpora.Corpus) -> Found:
    """Parsing, its class of chunks, and its builder."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or importing it asks the network for prices
    import litellm

    litellm.suppress_debug_info = True
    streams = content = tokens = 0
    for docs in documents(corpus):
        built: Any = litellm.stream_chunk_builder([litellm.ModelResponseStream(**doc) for doc in docs])
        streams += 1
        content += len(built.choices[0].message.content or "")
        tokens += built.usage.total_tokens
    return streams, content, tokens


@dataclass
class Row:
    """A contender on a log."""

    name: str
    run: Callable[[corpora.Corpus], Found]
    corpus: corpora.Corpus
    best: float = float("inf")

    def check(self) -> None:
        counts = self.corpus.counts
        found, expected = self.run(self.corpus), (counts.streams, counts.content, counts.total_tokens)
        if found != expected:
            sys.exit(f"{self.name} on {self.corpus.name}: found {found}, not {expected}")

    def round(self) -> None:
        gc.collect()
        start = time.process_time()
        self.run(self.corpus)
        self.best = min(self.best, time.process_time() - start)

    @property
    def per_second(self) -> float:
        return self.corpus.counts.chunks / self.best


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=20, metavar="MB", help="of each log (default 20)")
    parser.add_argument("--slow-chunks", type=int, default=2000, metavar="N", help="for the peers (default 2000)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the best counts (default 3)")
    parser.add_argument("--corpus", action="append", choices=corpora.names(), help="only this one; may be repeated")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{machine()}\n{versions()}\n{commit()}\n", file=sys.stderr)
    print("| log | way | chunks | chunks/s | chunkwire[native] is |\n|---|---|---|---|---|")
    for name in options.corpus or ["openai", "padded", "choices-first", "mixed", "short"]:
        corpus = corpora.make(name, round(options.size * MB))
        head = corpus.head(options.slow_chunks)
        rows = [Row("chunkwire[native]", by_chunkwire("native"), corpus)]
        rows.append(Row("chunkwire[simdjson]", by_chunkwire("simdjson"), head))
        peers = [("openai ChatCompletionStreamState", "openai", by_openai)]
        # litellm estimates the usage of streams that report none, and its builder folds one stream.
        peers.append(("litellm stream_chunk_builder", "litellm", by_litellm))
        rows += [Row(title, run, head) for title, package, run in peers if has(package)]
        for row in rows:
            row.check()
        for _ in range(options.rounds):
            for row in rows:
                row.round()
        for row in rows:
            times = "" if row is rows[0] else f"{rows[0].per_second / row.per_second:,.0f}x as fast"
            print(f"| {name} | {row.name} | {row.corpus.counts.chunks:,} | {row.per_second:,.0f} | {times} |")


if __name__ == "__main__":
    main()
