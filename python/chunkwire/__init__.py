"""Chat-completion event streams, decoded exactly and fast.

Chunks, out of a path (packed ones too), bytes, a binary file or an iterable of bytes::

    for chunk in chunkwire.decode("log.sse"):
        print(chunk.content or "", end="")       # choices[0].delta.content
        if chunk.usage:
            print(chunk.model, chunk.usage.total_tokens)

`contents` gives only the texts, and fastest; `batches` gives NumPy columns with a row for each chunk. `adecode` is for
``async for``, and `Decoder` for code that owns the socket::

    decoder = chunkwire.Decoder()
    for chunk in decoder.feed(data): ...
    for chunk in decoder.finish(): ...

Token counts, one row for each stream, out of one source or of many (folders and globs too)::

    usage = chunkwire.usage("logs/")
    usage.total_tokens[usage.reported].sum()     # NumPy columns
    print(usage.summary(by=("model", "day")))
    usage.cost(prices="prices.json").total       # dollars by a price file; usage.cost is what servers reported
    polars.DataFrame(usage), duckdb.sql("from usage"), pyarrow.table(usage)     # Arrow data, not copied
    chunkwire.scan("logs/").filter(...)          # a polars LazyFrame

Whole messages, the deltas of each stream folded into one completion::

    for completion in chunkwire.completions("log.sse"):
        print(completion.choices[0].message.content, completion.usage)

Logs that are being written, through rotation and truncation; `UsageReader` for code that owns the socket::

    for chunk in chunkwire.follow("live.sse"): ...
    for usage in chunkwire.follow_usage("live.sse"): print(usage.summary())

Any server-sent events, not only chunks: `events`. Logs may hold streams in JSON lines, HAR files or cassettes, too: the
format is recognised, and `explain` says what a log is, why, and what its servers do.
A log to be shared, without what was said in it: `redact`.

What is damaged raises `DecodeError`, and what the server reports as an error raises `StreamError`; decoding can go on
after either. With ``on_error="skip"`` they are counted instead: ``.stats`` (a `Stats`) says where every byte went.
"""

from typing import Any

from chunkwire._batches import ChunkBatch, batches
from chunkwire._completions import Audio, Completion, CompletionChoice, Message, completions
from chunkwire._conversion import Converted, convert
from chunkwire._decode import Decoder, adecode, contents, decode, events
from chunkwire._errors import ChunkwireError, DecodeError, StreamError
from chunkwire._explain import Explanation, explain
from chunkwire._follow import Followed, follow, follow_usage
from chunkwire._model import (
    Choice,
    Chunk,
    CompletionTokensDetails,
    Delta,
    Event,
    FunctionCall,
    Logprobs,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    Usage,
)
from chunkwire._redact import redact
from chunkwire._scan import scan
from chunkwire._stats import Damage, Stats
from chunkwire._summary import Summary
from chunkwire._table import UsageTable, usage
from chunkwire._usage_reader import UsageReader

__all__ = [
    "Audio",
    "Choice",
    "Chunk",
    "ChunkBatch",
    "ChunkwireError",
    "Completion",
    "CompletionChoice",
    "CompletionTokensDetails",
    "Converted",
    "Damage",
    "DecodeError",
    "Decoder",
    "Delta",
    "Event",
    "Explanation",
    "Followed",
    "FunctionCall",
    "Logprobs",
    "Message",
    "PromptTokensDetails",
    "Stats",
    "StreamError",
    "Summary",
    "TokenLogprob",
    "ToolCall",
    "Usage",
    "UsageReader",
    "UsageTable",
    "adecode",
    "batches",
    "completions",
    "contents",
    "convert",
    "decode",
    "events",
    "explain",
    "follow",
    "follow_usage",
    "redact",
    "scan",
    "usage",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from chunkwire._engine import version

        return version()
    raise AttributeError(f"module 'chunkwire' has no attribute {name!r}")
