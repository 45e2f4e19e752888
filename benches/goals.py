"""The goals of this project, each beside what is measured: `python benches/goals.py [--size MB] [--rounds N]`.

Logs of 300 MB are made in a temporary folder, one at a time, and removed at the end; they are on disk and in the page
cache. All contenders read a log from its path, in turns, and the best of their rounds counts, by the clock on the wall
and in CPU time, whole processes and all threads included. Each has to find what is known of the log (see `corpora.py`)
every time. A table on standard output has a line for each goal and log; goals are judged by the clock, never enforced.
(chunkwire decodes on one thread while another reads the file: what that saves the CPU time beside it does not show.)
The lines of the core alone come from `shapes.rs`, which reads the same logs from memory.
"""

import argparse
import gc
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chunkwire
import corpora
import limits
import peers
from cells import markdown
from corpora import Counts, Written
from environment import commit, machine, versions
from log import Counted, Peer
from peers import DATA, DONE, EMPTY, PREFIX, decode_chunk, decode_usage

HERE = Path(__file__).resolve().parent
MB = 1_000_000
PIECE = 20 * MB
"""Of a log this much is made, and then written again with other ids until the log is large enough."""
MEMORY_TIMES = 4
"""The log over which memory is measured is so many times as large."""
BLOCK = 256 << 10
"""Read at once where msgspec reads: a log cut as a whole measured slower, and so did larger blocks."""

NAMES = ("openai", "choices-first", "padded", "mixed", "short", "recorded")

# The goals. Those of speed say how many times as fast as the other chunkwire is to be. The recorded streams have the
# goal of the mix, whose shapes are theirs.
RECORDS = {"openai": 5.0, "mixed": 3.0, "recorded": 3.0, "short": 2.5}
NEWLINES = {"openai": 0.70, "choices-first": 0.60, "padded": 0.45, "mixed": 0.40, "recorded": 0.40}
USAGE_MSGSPEC = 15.0
USAGE_DUCKDB = 10.0
THREADS = 1.8
DECODE_NOTHING = 9.0
DECODE_CONTENT = 5.0
DECODE_FULL = 3.0
MEMORY = 120 * MB
GOALS = (
    "records", "newlines", "newlines in Rust", "msgspec", "DuckDB", "DuckDB, search", "threads", "processors",
    "nothing", "content", "full", "contents",
)  # fmt: skip
"""The order of the table."""


# --- contenders -------------------------------------------------------------------------------------------------------


def events(path: Path) -> Iterator[list[bytes]]:
    """The events of a log, some hundreds at a time, cut at empty lines."""
    rest = b""
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            found = (rest + block).split(EMPTY)
            rest = found.pop()
            yield found


def msgspec_usage(path: Path) -> Counted:
    """A Struct of usage alone: the rest is validated, and nothing made of it."""
    streams = prompt = completion = total = 0
    last = None
    for some in events(path):
        for event in some:
            if event.startswith(DATA):
                last = decode_usage(event[PREFIX:]).usage or last
            elif event == DONE:
                streams += 1
                if last is not None:
                    prompt += last.prompt_tokens
                    completion += last.completion_tokens
                    total += last.total_tokens
                    last = None
    return streams, prompt, completion, total


def msgspec_nothing(path: Path) -> Counted:
    """Typed chunks, none of them read."""
    chunks = 0
    for some in events(path):
        for event in some:
            if event.startswith(DATA):
                decode_chunk(event[PREFIX:])
                chunks += 1
    return (chunks,)


def msgspec_content(path: Path) -> Counted:
    """Typed chunks, and `choices[0].delta.content` of each."""
    chunks = content = 0
    for some in events(path):
        for event in some:
            if event.startswith(DATA):
                choices = decode_chunk(event[PREFIX:]).choices
                chunks += 1
                if choices:
                    delta = choices[0].delta
                    if delta is not None:
                        text = delta.content
                        if text:
                            content += len(text)
    return chunks, content


def msgspec_full(path: Path) -> Counted:
    """Typed chunks, and content and usage of each."""
    chunks = content = tokens = 0
    for some in events(path):
        for event in some:
            if event.startswith(DATA):
                chunk = decode_chunk(event[PREFIX:])
                chunks += 1
                choices = chunk.choices
                if choices:
                    delta = choices[0].delta
                    if delta is not None:
                        text = delta.content
                        if text:
                            content += len(text)
                usage = chunk.usage
                if usage is not None:
                    tokens += usage.total_tokens or 0
    return chunks, content, tokens


def _at_path(peer: Peer) -> Callable[[Path], Counted]:
    """A contender of `run.py` that reads no more of a log than its path."""

    def run(path: Path) -> Counted:
        log: Any = SimpleNamespace(path=path)
        return peer.run(log)

    return run


def rust_program(name: str) -> Path | None:
    """A program of this folder that is written in Rust, built."""
    if not shutil.which("cargo"):
        return None
    command = ["cargo", "bench", "--bench", name, "--no-run", "--message-format=json"]
    run = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    built = (message.get("executable") for message in messages if message.get("target", {}).get("name") == name)
    return next((Path(path) for path in built if path), None)


ONE_PROCESSOR = """
import os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import chunkwire, peers
peers.chunkwire_usage(b"", "native")
wall, cpu = time.perf_counter(), time.process_time()
counted = peers.chunkwire_usage(sys.argv[1], "native")
print(time.perf_counter() - wall, time.process_time() - cpu, *counted)
"""
"""Run by a child: where there is one processor nothing reads ahead."""


@dataclass
class Time:
    """The best of some rounds, in seconds."""

    wall: float = math.inf
    cpu: float = math.inf

    def take(self, run: Callable[[Path], Counted], path: Path, clock: Callable[[], float]) -> Counted:
        """One more round."""
        gc.collect()
        wall, cpu = time.perf_counter(), clock()
        counted = run(path)
        self.cpu = min(self.cpu, clock() - cpu)
        self.wall = min(self.wall, time.perf_counter() - wall)
        return counted

    def __sub__(self, other: "Time") -> "Time":
        # On a small log a start can be all there is.
        return Time(max(self.wall - other.wall, 1e-6), max(self.cpu - other.cpu, 1e-6))


@dataclass
class Contender:
    """A way to read a log."""

    name: str
    run: Callable[[Path], Counted] | None
    """None where `round` is another, or the figures come from elsewhere."""
    expected: Counted
    is_child: bool = False
    """A process of its own: the start is measured on an empty file, and taken off."""
    spent: Time = field(default_factory=Time)
    start: Time = field(default_factory=Time)

    def round(self, log: Written, empty: Path) -> None:
        """Runs once, and has to find what is there."""
        assert self.run is not None
        clock = limits.childrens_cpu if self.is_child else time.process_time
        if self.is_child:
            self.start.take(self.run, empty, clock)
        counted = self.spent.take(self.run, log.path, clock)
        if counted != self.expected:
            sys.exit(f"{self.name}: counted {counted}, not {self.expected}")

    @property
    def time(self) -> Time:
        """The best of its rounds."""
        return self.spent - self.start if self.is_child else self.spent


class OneProcessor(Contender):
    """usage(path) in a process that has one processor, and measures itself."""

    def round(self, log: Written, empty: Path) -> None:
        command = [sys.executable, "-c", ONE_PROCESSOR, str(log.path)]
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        wall, cpu, *counted = done.stdout.split()
        self.spent = Time(min(self.spent.wall, float(wall)), min(self.spent.cpu, float(cpu)))
        if tuple(map(int, counted)) != self.expected:
            sys.exit(f"{self.name}: counted {counted}, not {self.expected}")


# --- lines ------------------------------------------------------------------------------------------------------------


@dataclass
class Line:
    """A line of the table: a way of chunkwire's, beside the fastest of the others."""

    goal_of: str
    """Lines of the same goal stand together."""
    ours: str
    others: list[Contender]
    log: str
    goal: float | None
    time: Time

    def cells(self) -> list[str]:
        """As text."""
        wall = min(self.others, key=lambda other: other.time.wall)
        cpu = min(self.others, key=lambda other: other.time.cpu)
        ratios = wall.time.wall / self.time.wall, cpu.time.cpu / self.time.cpu
        goal = verdict = "-"
        if self.goal is not None:
            goal, verdict = f"{self.goal:.2f}x", "reached" if ratios[0] >= self.goal else "missed"
        names = wall.name if wall is cpu else f"{wall.name} / {cpu.name}"
        theirs = f"{wall.time.wall * 1e3:,.0f} / {cpu.time.cpu * 1e3:,.0f} ms"
        ours = f"{self.time.wall * 1e3:,.0f} / {self.time.cpu * 1e3:,.0f} ms"
        return [self.ours, self.log, ours, names, theirs, f"{ratios[0]:.2f}x / {ratios[1]:.2f}x", goal, verdict]


HEADER = ["chunkwire", "log", "wall / CPU", "against", "wall / CPU", "times as fast", "goal", ""]


def records(program: Path, name: str, log: Written) -> Line:
    """Records decoded and read from memory by the core, with shapes and by the careful parser alone."""
    done = subprocess.run([program, "--log", log.path], check=True, capture_output=True, text=True)
    shapes, careful, newlines, chunks, by_shape = map(float, done.stdout.split())
    if chunks != log.counts.chunks:
        sys.exit(f"the core found {chunks:.0f} chunks, not {log.counts.chunks}")
    others = Contender("the careful parser alone", None, (), spent=Time(careful, careful))
    ours = f"records in memory ({by_shape / chunks:.1%} by shape; memchr counts newlines in {newlines * 1e3:,.0f} ms)"
    return Line("records", ours, [others], name, RECORDS.get(name), Time(shapes, shapes))


def lines_of(name: str, log: Written, rust: Path | None, rounds: int, has_ids: bool) -> list[Line]:
    """Measures everything on one log."""
    counts: Counts = log.counts
    usage = (counts.streams, counts.prompt_tokens, counts.completion_tokens, counts.total_tokens)
    full = (counts.chunks, counts.content, counts.sent_tokens)
    lines = (log.lines,)

    usage_one = Contender("usage(path)", lambda path: peers.chunkwire_usage(str(path), "native"), usage)
    usage_two = Contender("usage, 2 threads", lambda path: peers.chunkwire_usage(str(path), "native", 2), usage)
    nothing = Contender("nothing", lambda path: peers.decode_nothing(str(path), "native"), full[:1])
    content = Contender(".content", lambda path: peers.decode_content(str(path), "native"), full[:2])
    both = Contender("content and usage", lambda path: peers.decode_full(str(path), "native"), full)
    ours = [usage_one, usage_two, nothing, content, both]

    python = Contender("reads of 1 MiB + count", limits.newlines, lines)
    newlines = [python]
    if shutil.which("wc"):
        newlines.append(Contender("wc -l", limits.child(["wc", "-l"]), lines, is_child=True))
    in_rust = (
        [Contender("reads of 1 MiB + memchr, in Rust", limits.child([rust]), lines, is_child=True)] if rust else []
    )
    usage_only = Contender("split + msgspec, usage only", msgspec_usage, usage)
    typed = [
        Contender("split + msgspec, typed, nothing", msgspec_nothing, full[:1]),
        Contender("split + msgspec, typed, content", msgspec_content, full[:2]),
        Contender("split + msgspec, typed, content and usage", msgspec_full, full),
    ]
    # DuckDB tells streams apart by their ids alone.
    duckdb = [Contender(f"{row.name}, one thread", _at_path(row), usage) for row in peers.duckdb_rows() if has_ids]

    made = [
        Line("newlines", "usage(path)", newlines, name, NEWLINES.get(name), usage_one.spent),
        Line("msgspec", "usage(path)", [usage_only], name, USAGE_MSGSPEC, usage_one.spent),
        Line("threads", "usage(path, threads=2)", [usage_one], name, None, usage_two.spent),
        Line("nothing", "decode(path), nothing read", typed[:1], name, DECODE_NOTHING, nothing.spent),
        Line("content", "decode(path), .content", typed[1:2], name, DECODE_CONTENT, content.spent),
        Line("full", "decode(path), choices[0].delta.content and usage", typed[2:], name, DECODE_FULL, both.spent),
    ]
    if hasattr(os, "sched_setaffinity"):
        one = OneProcessor("usage(path) on one processor", None, usage)
        ours.append(one)
        made.append(Line("processors", "usage(path, threads=2)", [one], name, THREADS, usage_two.spent))
    if in_rust:
        made.append(Line("newlines in Rust", "usage(path)", in_rust, name, NEWLINES.get(name), usage_one.spent))
    if duckdb:
        made += [
            Line("DuckDB", "usage(path)", duckdb[:1], name, USAGE_DUCKDB, usage_one.spent),
            Line("DuckDB, search", "usage(path)", duckdb[1:], name, None, usage_one.spent),
        ]
    if hasattr(chunkwire, "contents"):
        text = Contender("contents", lambda path: peers.chunkwire_contents(str(path)), full[1:2])
        ours.append(text)
        made.append(Line("contents", "contents(path)", typed[1:2], name, None, text.spent))

    empty = log.path.with_suffix(".empty")
    empty.touch()
    for _ in range(rounds):
        for contender in [*ours, *newlines, *in_rust, usage_only, *duckdb, *typed]:
            contender.round(log, empty)
    return made


# --- memory -----------------------------------------------------------------------------------------------------------

PEAK = """
import sys, numpy
def memory(what):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) * 1024
before = memory("VmRSS")
import chunkwire
path = sys.argv[1]
{work}
print(memory("VmHWM") - before)
"""
"""Run by a child, which works on a path: the most memory it had, beyond what it had before it imported chunkwire."""


def memory_row(way: str, log: str, path: Path) -> list[str]:
    """The peak of a new process that reads a log so, as a line of the table."""
    work = f"for _ in chunkwire.{way}: pass" if way.startswith("decode") else f"chunkwire.{way}"
    command = [sys.executable, "-c", PEAK.replace("{work}", work), str(path)]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    verdict = "reached" if peak <= MEMORY else "missed"
    return [f"{way}, memory", log, f"{peak / 1e6:,.0f} MB", "-", "-", "-", f"{MEMORY / 1e6:,.0f} MB", verdict]


# --- the whole --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=300, metavar="MB", help="of each log (default 300)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the best counts (default 3)")
    parser.add_argument("--corpus", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--folder", type=Path, help="where the logs are made (default: that for temporary files)")
    options = parser.parse_args()

    size = round(options.size * MB)
    known = corpora.names()
    rust, shapes = rust_program("newlines"), rust_program("shapes")
    lines: list[Line] = []
    memory: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "log.sse")
        for name in options.corpus or [name for name in NAMES if name in known]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            corpus = corpora.make(name, min(size, PIECE))
            log = corpora.write(path, corpus, size)
            has_ids = "shared ids" not in corpus.traits
            del corpus
            print(f"- {name}: {log.size:,} bytes, {log.counts.chunks:,} chunks, {log.counts.streams:,} streams")
            lines += lines_of(name, log, rust, options.rounds, has_ids)
            if shapes:
                lines.append(records(shapes, name, log))
        if os.path.exists("/proc/self/status"):
            print("memory ...", file=sys.stderr, flush=True)
            log = corpora.write(path, corpora.make("openai", min(size, PIECE)), MEMORY_TIMES * size)
            ways = ("usage(path)", "usage(path, threads=2)", "decode(path)")
            memory = [memory_row(way, f"openai, {log.size / 1e9:.2f} GB", path) for way in ways]
    print(f"{machine()}\n{versions()}\n{commit()}\n", file=sys.stderr)
    print()
    cells = [line.cells() for line in sorted(lines, key=lambda line: GOALS.index(line.goal_of))]
    print(markdown([HEADER, *cells, *memory]))


if __name__ == "__main__":
    main()
