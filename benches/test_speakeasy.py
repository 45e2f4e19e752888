"""Accelerated clients of the SDKs that Speakeasy generates against plain ones, under pytest-benchmark: the same
responses, one event a read, all events asked for ``choices[0].delta.content`` and usage."""

from typing import Any

import pytest

import corpora
import speakeasy
from log import Log, Peer

PEERS = [peer for sdk in speakeasy.INSTALLED for peer in sdk.peers]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", sorted(speakeasy.CORPORA))
def test_speakeasy(benchmark: Any, peer: Peer, name: str) -> None:
    log = Log(corpora.make(name, 60_000))
    assert peer.run(log) == log.expected(peer.reads)
    benchmark.group = f"{log.corpus.counts.chunks} chunks of {name}"
    benchmark(peer.run, log)
