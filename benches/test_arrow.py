"""A usage table of 100,000 streams as a polars DataFrame: by Arrow, and by lists of Python's values; counts first."""

from typing import Any

import polars
import pytest

import chunkwire

STREAMS = 100_000
TOKENS = 7
STREAM = (
    b'data: {"id":"chatcmpl-%06d","object":"chat.completion.chunk","created":17000%05d,"model":"m-%d",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\ndata: [DONE]\n\n'
)


@pytest.fixture(scope="module")
def log() -> bytes:
    return b"".join(STREAM % (number, number, number % 9) for number in range(STREAMS))


def by_arrow(usage: chunkwire.UsageTable) -> polars.DataFrame:
    return polars.DataFrame(usage)


def by_lists(usage: chunkwire.UsageTable) -> polars.DataFrame:
    return polars.DataFrame(usage.to_dict())


@pytest.mark.parametrize("way", [by_arrow, by_lists], ids=["DataFrame(usage)", "DataFrame(usage.to_dict())"])
def test_usage_as_a_frame(benchmark: Any, log: bytes, way: Any) -> None:
    def table() -> tuple[tuple[chunkwire.UsageTable], dict[str, Any]]:
        return (chunkwire.usage(log),), {}  # a new one each time: it keeps the columns that were asked for

    ((usage,), _) = table()
    frame = way(usage)
    assert (len(frame), frame["id"].n_unique(), frame["model"].n_unique()) == (STREAMS, STREAMS, 9)
    assert frame["total_tokens"].sum() == TOKENS * STREAMS
    assert frame["reported"].all()
    benchmark.group = f"{STREAMS:,} streams as a polars DataFrame"
    benchmark.pedantic(way, setup=table, rounds=5)
