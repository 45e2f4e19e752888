"""An accelerated openai client against a plain one and the best that Python alone can do, under pytest-benchmark: the
same response in reads of several sizes, all chunks asked for ``choices[0].delta.content``."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

import corpora
import peers
from chunkwire.adapters.openai._stream import ChunkStream

SIZE = 300_000
READS = {"an event": 0, "1,400 bytes": 1400, "64 KiB": 64 << 10}
CONTENDERS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda response: _stream(openai.Stream, response, peers.client),
    "model_validate_json": lambda response: _stream(peers.ValidatingStream, response, peers.client),
    "accelerated": lambda response: _stream(ChunkStream, response, peers.accelerated),
    "accelerated, chunkwire objects": lambda response: _stream(ChunkStream, response, peers.lazy),
}


def _stream(kind: Any, response: Any, client: Any) -> Any:
    return kind(cast_to=ChatCompletionChunk, response=response, client=client)


@pytest.fixture(scope="module")
def corpus() -> corpora.Corpus:
    return corpora.make("openai", SIZE)


@pytest.mark.parametrize("size", READS.values(), ids=READS)
@pytest.mark.parametrize("name", CONTENDERS)
def test_openai(benchmark: Any, corpus: corpora.Corpus, name: str, size: int) -> None:
    bodies = []
    for stream in corpus.streams:
        body = b"".join(stream.blocks)
        bodies.append([body[at : at + size] for at in range(0, len(body), size)] if size else list(stream.blocks))

    def run() -> tuple[int, int]:
        chunks = content = 0
        for pieces in bodies:
            for chunk in CONTENDERS[name](peers._response(pieces)):
                chunks += 1
                if chunk.choices:
                    content += len(chunk.choices[0].delta.content or "")
        return chunks, content

    assert run() == (corpus.counts.chunks, corpus.counts.content)
    benchmark.group = f"{corpus.counts.chunks} chunks in reads of {next(key for key in READS if READS[key] == size)}"
    benchmark(run)
