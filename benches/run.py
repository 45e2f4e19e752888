"""All contenders on all corpora in turns, as tables: `python benches/run.py [--size MB] [--rust] [--goals] [--write]`.

Everything runs in this one process. Each contender's counts are checked first; then each runs once a round, one after
the other, so that a noisy moment hits all alike, and its best round counts. The measure is the CPU time of the process.
`--write` puts the tables into `benches/README.md`, with the machine, the versions, the command and the commit, and
with what `goals.py` measures; `--rust` adds the benchmarks of the core.
"""

import argparse
import gc
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import corpora
import limits
import many
import peers
import speakeasy
from cells import markdown
from corpora import Corpus
from environment import commit, machine, versions
from log import Counted, Log, Peer

HERE = Path(__file__).resolve().parent


@dataclass
class Result:
    """The best of a contender's rounds on a log."""

    chunks: int
    size: int
    cpu: float = math.inf
    wall: float = math.inf

    @property
    def micros(self) -> float:
        """Microseconds of CPU a chunk."""
        return self.cpu / self.chunks * 1e6

    @property
    def speed(self) -> float:
        """Megabytes a second of CPU."""
        return self.size / self.cpu / 1e6

    def add(self, cpu: float, wall: float) -> None:
        """One more round."""
        self.cpu = min(self.cpu, cpu)
        self.wall = min(self.wall, wall)


Row = tuple[str, str]
"""A contender's name, and what it reads."""
Results = dict[Row, dict[str, Result]]
"""By row, then by corpus."""


def measure(corpus: Corpus, jobs: Sequence[list[Peer]], rounds: int, slow_chunks: int, into: Sequence[Results]) -> None:
    """Runs the contenders of all jobs on a corpus, in turns."""
    with Log(corpus) as whole, Log(corpus.head(slow_chunks)) as head:
        turns: list[tuple[Peer, Log, Result]] = []
        for peers_of_job, results in zip(jobs, into, strict=True):
            for peer in peers_of_job:
                log = head if peer.slow else whole
                if peer.fits(log.corpus):
                    check(peer, log)
                    result = Result(log.corpus.counts.chunks, len(log.data))
                    results.setdefault((peer.name, peer.reads), {})[corpus.name] = result
                    turns.append((peer, log, result))
        for _ in range(rounds):
            for peer, log, result in turns:
                gc.collect()
                wall, cpu = time.perf_counter(), time.process_time()
                peer.run(log)
                result.add(time.process_time() - cpu, time.perf_counter() - wall)


def check(peer: Peer, log: Log) -> None:
    """A contender that finds something else than the log holds measures something else."""
    counted, expected = peer.run(log), log.expected(peer.reads)
    if counted != expected:
        sys.exit(f"{peer.name} ({peer.reads}) on {log.corpus.name}: counted {counted}, not {expected}")


def measure_limits(corpus: Corpus, rounds: int, results: Results) -> None:
    """What no decoder can beat: to look at each byte once."""

    counters: dict[str, tuple[Callable[[Log], Counted], Callable[[], float]]] = {
        "bytes.count(newline)": (lambda log: (log.data.count(b"\n"),), time.process_time),
        "read in 1 MiB blocks + count": (lambda log: limits.newlines(log.path), time.process_time),
    }
    if shutil.which("wc"):
        wc = limits.child(["wc", "-l"])
        counters["wc -l"] = (lambda log: wc(log.path), limits.childrens_cpu)
    with Log(corpus) as log:
        for _ in range(rounds):
            for name, (count, clock) in counters.items():
                wall, cpu = time.perf_counter(), clock()
                (lines,) = count(log)
                cpu, wall = clock() - cpu, time.perf_counter() - wall
                if lines != log.data.count(b"\n"):
                    sys.exit(f"{name} on {corpus.name}: counted {lines} lines")
                row = results.setdefault((name, "line ends"), {})
                row.setdefault(corpus.name, Result(corpus.counts.chunks, len(log.data))).add(max(cpu, 1e-9), wall)


def table(results: Results, names: Sequence[str], baselines: Sequence[str] = ()) -> str:
    """Results as a Markdown table; each cell ends with how many times faster than the baselines it is,
    if it reads what they read."""
    base = [(row[1], cells) for baseline in baselines for row, cells in results.items() if row[0] == baseline]
    lines = [["contender", "reads", *names, "wall / CPU"]]
    for (name, reads), cells in results.items():
        line = [name, reads]
        for corpus in names:
            result = cells.get(corpus)
            if result is None:
                line.append("-")
                continue
            ratios = [
                f"{each[corpus].micros / result.micros:.2f}x" if corpus in each else "-"
                for same, each in base
                if same == reads
            ]
            cell = f"{result.speed:,.0f} MB/s, {result.micros:.{2 if result.micros > 0.1 else 3}f} µs"
            line.append(", ".join([cell, " / ".join(ratios)]) if ratios else cell)
        ratio = sum(result.wall for result in cells.values()) / sum(result.cpu for result in cells.values())
        lines.append([*line, f"{ratio:.2f}"])
    return markdown(lines)


def tables(results: Results, names: Sequence[str], baselines: Sequence[str] = ()) -> str:
    """One of what servers send, and one of what they do not; a line holds no more."""
    usual = [name for name in names if name not in corpora.HARD]
    hard = [name for name in names if name in corpora.HARD]
    return "\n\n".join(table(results, some, baselines) for some in (usual, hard) if some)


def sdk_tables(by_sdk: Sequence[Results], names: Sequence[str]) -> str:
    """A table of each SDK against itself, of the corpora that it takes."""
    found = [name for name in names if name in speakeasy.CORPORA]
    parts = [table(results, found, [next(iter(results))[0]]) for results in by_sdk if results]
    return "x: each against itself, plain.\n\n" + "\n\n".join(parts) if parts else "(not measured)"


def rust_tables() -> str:
    """What the benchmarks of the core print."""
    if not shutil.which("cargo"):
        return ""
    parts = []
    for name in ("shapes", "careful"):
        print(f"cargo bench --bench {name} ...", file=sys.stderr, flush=True)
        run = subprocess.run(["cargo", "bench", "--bench", name], cwd=HERE.parent, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stderr)
        parts.append(f"`cargo bench --bench {name}`: {RUST[name]}\n\n```text\n{run.stdout.strip()}\n```")
    return "\n\n".join(parts)


RUST = {
    "shapes": "decoding into batches and reading `choices[0].delta.content` of every chunk, with the fast path for "
    'events of a known shape ("shapes") and without ("careful").',
    "careful": "the parser for events of no known shape, beside parsers that one would take instead.",
}


def goals_table(size: float) -> str:
    """What `goals.py` prints, in a process of its own: it measures memory and threads."""
    command = [sys.executable, str(HERE / "goals.py"), "--size", f"{size:g}"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit("goals.py failed")
    return GOALS + run.stdout.strip()


GOALS = """\
`python benches/goals.py`: logs on disk and in the page cache, read from their paths by all; the best of some rounds, by
the clock on the wall and in CPU time. "Times as fast" says both; a goal is reached if the clock says so. chunkwire
decodes on one thread while another reads the file (on one processor nothing is read ahead), so its CPU time is spent on
two processors; "records in memory" is the core alone, without Python and without a file. The start of `wc`, and of the
counter in Rust, is taken off their times. "DuckDB, search each" parses only lines with the letters of usage in them, so
there is no goal against it; `recorded` has streams with the same id, which DuckDB cannot tell apart.
Memory is the peak of a new process beyond what it had after importing NumPy. Of each log 20 MB are made, and written
again and again with other ids and times.

"""


LIVE_BASELINES = ("openai Stream", "httpx-sse", "httpx-sse, async", "sseclient-py")
LIVE = """\
x: against openai Stream, httpx-sse or sseclient-py, whichever reads the same.

"""


def ratios(results: Results, row: Row, baseline: str, names: Sequence[str]) -> dict[str, float]:
    """By corpus, how many times as fast as the baseline the row is."""
    cells = results.get((baseline, row[1]), {})
    return {name: cells[name].micros / results[row][name].micros for name in names if name in cells}


def span(found: dict[str, float]) -> str:
    """From the least to the greatest."""
    if not found:
        return "(not measured)"
    low, high = f"{min(found.values()):.2f}", f"{max(found.values()):.2f}"
    return low if low == high else f"{low} to {high}"


MANY = """\
`python benches/many.py`: streams that are open at the same time in one asyncio process, a task for each, which take
turns after each event; all chunks are asked for `choices[0].delta.content`. "Beyond the loop" is what a chunk costs
over the same tasks and reads without decoding; x is against AsyncOpenAI, by that. (How a stream ends, with openai's own
draining of the response, is in it for all of openai's.) Memory is what the process grew by until half of each stream
was read, its task and its response included.

"""

CHUNKS: Row = ("chunkwire decode(path)", "content and usage")
SHORT: Row = ("chunkwire decode(path), .content", "content and usage")
USAGE: Row = ("chunkwire usage(path)", "usage of streams")


def present(row: Row, results: Results) -> Row:
    """The row of the native engine, where there is one."""
    return row if row in results else (row[0] + ", engine simdjson", row[1])


def summary(decode: Results, usage: Results, names: Sequence[str]) -> str:
    """The claims that the tables bear, in numbers."""
    usual = [name for name in names if name not in corpora.HARD]
    full, short, columns = present(CHUNKS, decode), present(SHORT, decode), present(USAGE, usage)
    return "\n".join(
        [
            "- Iterating `chunkwire.decode(path)` and reading `choices[0].delta.content` and `usage` of each chunk is",
            f"  {span(ratios(decode, full, peers.BASELINE, usual))} times as fast as {peers.BASELINE},",
            "  which gets bytes in memory,",
            f"  and {span(ratios(decode, full, peers.BOLDEST, usual))} times as fast as {peers.BOLDEST},",
            "  where that can read the log;",
            f"  with `chunk.content` in place of the choices {span(ratios(decode, short, peers.BASELINE, usual))} and",
            f"  {span(ratios(decode, short, peers.BOLDEST, usual))} times.",
            f"- `chunkwire.usage(path)` is {span(ratios(usage, columns, peers.USAGE_BASELINES[0], usual))} times as",
            f"  fast as {peers.USAGE_BASELINES[0]},",
            f"  and {span(ratios(usage, columns, peers.USAGE_BASELINES[1], usual))} times as fast as",
            f"  {peers.USAGE_BASELINES[1]}.",
        ]
    )


def weaknesses(decode: Results, live: Results, usage: Results, names: Sequence[str]) -> str:
    """Where chunkwire is slow, or someone faster: read from the same results, so that no good run can hide it."""
    full, columns = present(CHUNKS, decode), present(USAGE, usage)
    lines = []
    for results, row in ((decode, full), (usage, columns)):
        for name, reads in results:
            if reads != row[1] or name.startswith("chunkwire"):
                continue
            ahead = {corpus: 1 / ratio for corpus, ratio in ratios(results, row, name, names).items() if ratio < 1}
            if ahead:
                lines.append(f"{name} is {span(ahead)} times as fast as `{row[0]}` on {', '.join(ahead)}")
    for results, row in ((decode, full), (usage, columns)):
        speeds = {corpus: result.speed for corpus, result in results[row].items()}
        slow, fast = min(speeds, key=speeds.__getitem__), max(speeds, key=speeds.__getitem__)
        lines.append(
            f"`{row[0]}` ({row[1]}) reads {speeds[slow]:,.0f} MB/s of {slow} but {speeds[fast]:,.0f} MB/s of {fast}"
        )

    def cost(results: Results, dearer: Row, cheaper: Row, other: Results | None = None) -> str:
        others = (other or results)[cheaper]
        cells = results[dearer]
        return span({name: cells[name].micros / others[name].micros for name in cells if name in others})

    native = full[0] == CHUNKS[0]
    if native:
        nothing: Row = ("chunkwire decode(bytes)", "nothing")
        read: Row = ("chunkwire decode(bytes)", "content and usage")
        lines.append(
            "objects of Python cost time: to read `choices[0].delta.content` and `usage` of each chunk takes "
            f"{cost(decode, read, nothing)} times as long as to read nothing of it"
        )
        fed: Row = ("chunkwire Decoder.feed", "content and usage")
        lines.append(f"fed event by event, a chunk takes {cost(live, fed, read, decode)} times as long as in a log")
        slower: Row = ("chunkwire decode(bytes), engine simdjson", "content and usage")
        lines.append(
            "the engine in Python, for where the extension module cannot be had, takes "
            f"{cost(decode, slower, ('split + json', slower[1]))} times as long as split + json"
        )
    lines.append(
        "where each event has another structure, nothing is gained by known shapes, and a little may be lost: see the "
        "last lines of `cargo bench --bench shapes`; the goals that were missed are marked so"
    )
    return "\n".join(f"- {line[0].upper() if line[0].isalpha() else line[0]}{line[1:]}." for line in lines)


ABOUT = """\
# Benchmarks

`corpora.py` makes logs with known counts, `peers.py` has one function for each way to read them, `run.py` runs all of
them in turns and wrote this page; `goals.py` measures the project's goals over large logs. The core without Python is
measured by `shapes.rs` and `careful.rs`, on the logs of `corpora.rs`, and step by step by `steps.rs`; `newlines.rs` is
a contender of `goals.py`.
`many.py` has thousands of streams open at once.
`test_peers.py` has the contenders of `run.py` under pytest-benchmark: `pytest benches`, or
`pytest benches --benchmark-disable` to check no more than their counts.

```sh
pip install '.[bench]' && python benches/run.py --rust --write
```

## How this was measured

- Machine: {machine}
- Versions: {versions}
- Commit: {commit}
- Command: `{command}`

One process; every contender's counts are checked first; then {rounds} rounds in turns, of which the best counts. Times
are CPU time of the process (`wall / CPU` says how much longer it took by the clock on the wall). MB/s are 10^6 bytes of
log, µs are for each chunk, and `x` is how many times faster than the baseline a row is. The peers get bytes that are in
memory already; only the rows with a path read a file too, from a warm cache. Slow contenders run on the first
{slow_chunks:,} chunks or a little more.

What a row reads is in its second column, and only equal ones compare: "content and usage" is
`choices[0].delta.content` and `usage.total_tokens` of every chunk. chunkwire validates every event whole, whatever is
read, and accounts for every byte; for usage it finds the streams by their ids. The peers' loops cut at empty lines,
trust that an event is one line of data, and end a stream at `[DONE]`; the rows that search look at nothing but usage.
DuckDB has one thread, reads the file, and tells streams apart by their ids alone. Where a row has a "-", it would read
that log wrong. CPU time does not show what a second thread saves: see `wall / CPU` there, and the goals.

| corpus | bytes | chunks | streams | |
|---|---|---|---|---|
{corpora}"""


def page(sections: Sequence[tuple[str, str]], made: Sequence[Corpus], **about: object) -> str:
    """The README of this folder."""
    rows = ""
    for corpus in made:
        counts = corpus.counts
        rows += f"| {corpus.name} | {len(corpus.data):,} | {counts.chunks:,} | {counts.streams:,} | {corpus.note} |\n"
    head = ABOUT.format(machine=machine(), versions=versions(), commit=commit(), corpora=rows, **about)
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections)


def main() -> None:
    """Measures, prints, and writes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=10, metavar="MB", help="of each corpus (default 10)")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="of which the best counts (default 10)")
    parser.add_argument("--corpus", action="append", choices=corpora.names(), help="only this one; may be repeated")
    parser.add_argument("--slow-chunks", type=int, default=2000, metavar="N", help="for slow contenders (default 2000)")
    parser.add_argument("--rust", action="store_true", help="run the benchmarks of the core too")
    parser.add_argument("--goals", action="store_true", help="run goals.py too; --write does so anyway")
    parser.add_argument("--goals-size", type=float, default=300, metavar="MB", help="of its logs (default 300)")
    parser.add_argument(
        "--many", type=int, nargs=2, default=(10_000, 100), metavar=("N", "CHUNKS"), help="streams at once (10000, 100)"
    )
    parser.add_argument("--write", action="store_true", help="write benches/README.md")
    options = parser.parse_args()

    decode, live, usage, limits = Results(), Results(), Results(), Results()
    by_sdk = [Results() for _ in speakeasy.INSTALLED]
    made: list[Corpus] = []
    for name in options.corpus or corpora.names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        corpus = corpora.make(name, round(options.size * 1e6))
        jobs = (peers.DECODE, peers.LIVE, peers.USAGE, *(sdk.peers for sdk in speakeasy.INSTALLED))
        measure(corpus, jobs, options.rounds, options.slow_chunks, (decode, live, usage, *by_sdk))
        measure_limits(corpus, options.rounds, limits)
        made.append(corpus)
    names = [corpus.name for corpus in made]
    sections = [("In short", summary(decode, usage, names))]
    if options.goals or options.write:
        sections.append(("The goals", goals_table(options.goals_size)))
    sections += [
        ("What chunkwire is slow at", weaknesses(decode, live, usage, names)),
        ("Chunks of a log", f"x: against {peers.BASELINE}.\n\n" + tables(decode, names, [peers.BASELINE])),
        ("Live: one event a call", LIVE + tables(live, names, LIVE_BASELINES)),
        ("Live: SDKs that Speakeasy generates", sdk_tables(by_sdk, names)),
        ("Many at once", MANY + many.table(*options.many)),
        (
            "Usage of a log",
            f"x: against {peers.USAGE_BASELINES[0]} / {peers.USAGE_BASELINES[1]}.\n\n"
            + tables(usage, names, peers.USAGE_BASELINES),
        ),
        (
            "The limit",
            "To look for line ends and do nothing else; µs are for each chunk of the log here too. "
            "(`wc` includes the start of its process.)\n\n" + tables(limits, names),
        ),
    ]
    if options.rust and (text := rust_tables()):
        sections.append(("The core without Python", text))
    print("\n\n".join(f"## {title}\n\n{text}" for title, text in sections))
    if options.write:
        recorded = ["CHUNKWIRE_STREAMS=..."] if "recorded" in names else []
        command = " ".join([*recorded, "python benches/run.py", *sys.argv[1:]])
        text = page(sections, made, command=command, rounds=options.rounds, slow_chunks=options.slow_chunks)
        (HERE / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
