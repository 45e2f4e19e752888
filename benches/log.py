"""A log and a contender: what each way to read a log is given, and what it has to find."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from corpora import Corpus, Trait

Reads = Literal[
    "content and usage",
    "content",
    "nothing",
    "content alone",
    "usage of streams",
    "data, as httpx-sse gives it",
    "data, as httpx-sse gives it to async for",
    "data, as sseclient-py gives it",
]
"""What is read of every chunk, or of every event; all but "content alone" count them too."""
Counted = tuple[int, ...]

READ_SIZE = 64 << 10


class Log:
    """A corpus as the contenders take it. A context, for the file it may need."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.data = corpus.data
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Log":
        self._folder = tempfile.TemporaryDirectory()
        self.path.write_bytes(self.data)
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            self._folder.cleanup()

    @property
    def path(self) -> Path:
        """The log as a file."""
        assert self._folder is not None
        return Path(self._folder.name, "log.sse")

    @cached_property
    def events(self) -> list[bytes]:
        """The log as a network gives it: one event, or comment, at a time."""
        return self.corpus.blocks

    @cached_property
    def responses(self) -> list[list[bytes]]:
        """The body of each response, in blocks of 64 KiB."""
        bodies = [b"".join(stream.blocks) for stream in self.corpus.streams]
        return [[body[at : at + READ_SIZE] for at in range(0, len(body), READ_SIZE)] for body in bodies]

    @cached_property
    def live_responses(self) -> list[list[bytes]]:
        """The body of each response, one event at a time."""
        return [list(stream.blocks) for stream in self.corpus.streams]

    @cached_property
    def data_of_events(self) -> list[str]:
        """What stands behind ``data:`` in each event that has any."""
        found = []
        for block in self.corpus.blocks:
            lines = [line for line in re.split("\r\n|\n|\r", block.decode()) if line.startswith("data:")]
            if lines:
                found.append("\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines))
        return found

    def expected(self, reads: Reads) -> Counted:
        """What a contender that reads so much has to find."""
        counts = self.corpus.counts
        match reads:
            case "content and usage":
                return counts.chunks, counts.content, counts.sent_tokens
            case "content":
                return counts.chunks, counts.content
            case "nothing":
                return (counts.chunks,)
            case "content alone":
                return (counts.content,)
            case "usage of streams":
                return counts.streams, counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
            case _:
                return len(self.data_of_events), sum(map(len, self.data_of_events))


@dataclass(frozen=True)
class Peer:
    """A row of the table."""

    name: str
    reads: Reads
    run: Callable[[Log], Counted]
    slow: bool = False
    """Measured on the first streams of the log only."""
    cannot: frozenset[Trait] = frozenset()
    """A log that has one of these it reads wrong."""
    corpora: frozenset[str] | None = None
    """If given, the only ones whose chunks it takes."""

    def fits(self, corpus: Corpus) -> bool:
        """Can it read that log?"""
        return not self.cannot & corpus.traits and (self.corpora is None or corpus.name in self.corpora)
