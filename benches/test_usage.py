"""The contenders for token counts side by side under pytest-benchmark, on small corpora; counts are checked first."""

from collections.abc import Iterator
from typing import Any

import pytest

import corpora
import peers
from log import Log, Peer

SIZE = 200_000
SLOW_CHUNKS = 200


@pytest.fixture(scope="module", params=corpora.names())
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    with Log(corpora.make(request.param, SIZE)) as log:
        yield log


@pytest.mark.parametrize("peer", peers.USAGE, ids=lambda peer: peer.name)
def test_usage(benchmark: Any, log: Log, peer: Peer) -> None:
    with Log(log.corpus.head(SLOW_CHUNKS)) as head:
        taken = head if peer.slow else log
        if not peer.fits(taken.corpus):
            pytest.skip("this way of reading cannot read that log")
        assert peer.run(taken) == taken.expected(peer.reads)
        benchmark.group = f"{taken.corpus.name}, {taken.corpus.counts.chunks} chunks: {peer.reads}"
        benchmark.extra_info |= {"chunks": taken.corpus.counts.chunks, "bytes": len(taken.data)}
        benchmark(peer.run, taken)
