"""Logs in JSON lines, beside what people write for them: `python benches/wrapped.py [--size MB] [--rounds N]`.

The same streams three times: each as the escaped body of an exchange, an event a line as it was read, with the id of
its request and a time, and its chunks as lines. Usage is read from the path, on one thread; the others read the lines
with orjson, cut the bodies at empty lines, and read each event with orjson again, or with msgspec and nothing but
usage. All have to find what is known of the streams; they run in turns, and the best of the rounds counts. The speed is
that of the log, wrapping and all.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

import chunkwire
import corpora
from cells import markdown
from environment import commit, machine, versions
from goals import MB, PIECE, Contender
from log import Counted
from peers import DATA, DONE, EMPTY, PREFIX, chunkwire_usage, decode_usage

NAMES = ("openai", "padded")
SPEED, TIMES = 1.0, 15.0
"""Goals, for escaped bodies: GB/s of log, and times as fast as orjson twice."""
HEADER = ["log", "corpus", "chunkwire", "times as fast as split + orjson", "as split + msgspec, usage only", "goal", ""]

Write = Callable[[list[bytes]], Iterator[bytes]]


def exchanges(streams: list[bytes]) -> Iterator[bytes]:
    """A stream a line."""
    for number, stream in enumerate(streams):
        line = {"request_id": f"req-{number}", "user": "ann", "status": 200, "response_body": stream.decode()}
        yield json.dumps(line).encode() + b"\n"


def reads(streams: list[bytes]) -> Iterator[bytes]:
    """An event a line."""
    time = 1_764_000_000.0
    for number, stream in enumerate(streams):
        for event in stream.split(EMPTY)[:-1]:
            time += 0.01
            line = {"ts": round(time, 3), "request_id": f"req-{number}", "text": event.decode() + "\n\n"}
            yield json.dumps(line).encode() + b"\n"


def chunks(streams: list[bytes]) -> Iterator[bytes]:
    """A chunk a line."""
    for stream in streams:
        for event in stream.split(EMPTY):
            if event.startswith(DATA) and event != DONE:
                yield event[PREFIX:] + b"\n"


FORMATS: dict[str, tuple[Write, str | None]] = {
    "exchanges": (exchanges, "response_body"),
    "reads": (reads, "text"),
    "chunks": (chunks, None),
}


def by_hand(path: Path, field: str | None, read: Callable[[bytes], dict[str, int] | None]) -> Counted:
    """The usage of a log by lines and events."""
    prompt = completion = total = 0
    with open(path, "rb") as file:
        for line in file:
            if field is None:
                events = [b"data: " + line[:-1]]
            else:
                events = orjson.loads(line)[field].encode().split(EMPTY)
            for event in events:
                # (Servers here send usage once, at the end.)
                if event.startswith(DATA) and event != DONE and (usage := read(event[PREFIX:])):
                    prompt += usage["prompt_tokens"]
                    completion += usage["completion_tokens"]
                    total += usage["total_tokens"]
    return prompt, completion, total


def with_orjson(data: bytes) -> dict[str, int] | None:
    """All of a chunk."""
    usage: dict[str, int] | None = orjson.loads(data).get("usage")
    return usage


def with_msgspec(data: bytes) -> dict[str, int] | None:
    """Nothing of a chunk but its usage."""
    usage = decode_usage(data).usage
    if usage is None:
        return None
    return {name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def rows(name: str, folder: Path, size: int, rounds: int) -> Iterator[list[str]]:
    """The lines of the table about one corpus."""
    log = corpora.write(folder / "log.sse", corpora.make(name, min(size, PIECE)), size)
    expected = (log.counts.prompt_tokens, log.counts.completion_tokens, log.counts.total_tokens)
    # Each stream with its end: the streams of these corpora stand one behind the other.
    streams = [stream + DONE + EMPTY for stream in log.path.read_bytes().split(DONE + EMPTY)[:-1]]
    empty = folder / "empty"
    empty.touch()
    for kind, (write, field) in FORMATS.items():
        path = folder / f"log-{kind}.jsonl"
        with open(path, "wb") as file:
            file.writelines(write(streams))
        if chunkwire.explain(path, max_bytes=1 << 20).format != kind:
            sys.exit(f"{path.name} was taken for another format")

        def ours(path: Path) -> Counted:
            return chunkwire_usage(str(path), "native")[1:]

        contenders = [
            Contender("chunkwire", ours, expected),
            Contender("orjson", lambda path, field=field: by_hand(path, field, with_orjson), expected),  # type: ignore[misc]
            Contender("msgspec", lambda path, field=field: by_hand(path, field, with_msgspec), expected),  # type: ignore[misc]
        ]
        written = corpora.Written(path, log.counts, path.stat().st_size, 0)
        for _ in range(rounds):
            for contender in contenders:
                contender.round(written, empty)
        wall, orjsons, msgspecs = (contender.time.wall for contender in contenders)
        speed = written.size / wall / 1e9
        goal = verdict = "-"
        if kind == "exchanges":
            goal = f"{SPEED:.1f} GB/s, {TIMES:.0f}x orjson"
            verdict = "reached" if speed >= SPEED and orjsons / wall >= TIMES else "missed"
        yield [
            kind, name, f"{speed:.2f} GB/s, {wall * 1e3:,.0f} ms", f"{orjsons / wall:.1f}x", f"{msgspecs / wall:.1f}x",
            goal, verdict,
        ]  # fmt: skip
        path.unlink()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=300, metavar="MB", help="of each log (default 300)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the best counts (default 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for name in NAMES for line in rows(name, Path(folder), round(options.size * MB), options.rounds)]
    print(f"{machine()}\n{versions()}\n{commit()}\n", file=sys.stderr)
    print(markdown([HEADER, *lines]))


if __name__ == "__main__":
    main()
