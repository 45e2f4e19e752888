"""The contenders side by side under pytest-benchmark, on small corpora; their counts are checked first."""

from collections.abc import Iterator
from typing import Any

import pytest

import corpora
import peers
from log import Log, Peer

SIZE = 200_000
SLOW_CHUNKS = 100


@pytest.fixture(scope="module", params=corpora.names())
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    with Log(corpora.make(request.param, SIZE)) as log:
        yield log


@pytest.fixture(scope="module")
def head(log: Log) -> Iterator[Log]:
    with Log(log.corpus.head(SLOW_CHUNKS)) as head:
        yield head


@pytest.mark.parametrize("peer", peers.DECODE, ids=lambda peer: f"{peer.name}: {peer.reads}")
def test_decode(benchmark: Any, log: Log, head: Log, peer: Peer) -> None:
    side_by_side(benchmark, log, head, peer)


@pytest.mark.parametrize("peer", peers.LIVE, ids=lambda peer: peer.name)
def test_live(benchmark: Any, log: Log, head: Log, peer: Peer) -> None:
    side_by_side(benchmark, log, head, peer)


@pytest.mark.parametrize("peer", peers.USAGE, ids=lambda peer: peer.name)
def test_usage(benchmark: Any, log: Log, head: Log, peer: Peer) -> None:
    side_by_side(benchmark, log, head, peer)


def side_by_side(benchmark: Any, log: Log, head: Log, peer: Peer) -> None:
    taken = head if peer.slow else log
    if not peer.fits(taken.corpus):
        pytest.skip("this way of reading cannot read that log")
    assert peer.run(taken) == taken.expected(peer.reads)
    benchmark.group = f"{taken.corpus.name}, {taken.corpus.counts.chunks} chunks: {peer.reads}"
    benchmark.extra_info |= {"chunks": taken.corpus.counts.chunks, "bytes": len(taken.data)}
    benchmark(peer.run, taken)


def test_head_is_counted() -> None:
    """A head holds the first streams, whole."""
    corpus = corpora.make("short", SIZE)
    head = corpus.head(SLOW_CHUNKS)
    assert corpus.data.startswith(head.data)
    assert SLOW_CHUNKS <= head.counts.chunks < corpus.counts.chunks
    assert head.data.count(corpora.DONE) == head.counts.streams


@pytest.mark.parametrize("name", corpora.RECIPES)
def test_same_seed_same_log(name: str) -> None:
    """Numbers of different days are about the same bytes."""
    assert corpora.make(name, SIZE).data == corpora.make(name, SIZE).data
