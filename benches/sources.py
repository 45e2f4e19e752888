"""Logs as they lie about, packed, many and large: `python benches/sources.py [--size MB] [--rounds N]`.

Each line is a way of chunkwire, beside another, in turns, the best of the rounds, by the clock on the wall; of three
times as many where a way takes milliseconds and needs two processors that nobody else uses. What packed logs are
measured against is `unpack.rs`: the same unpacking, and nothing done with what comes out. Small files have one stream
of three chunks each, as it was sent or in a line of JSON; what they cost beyond their bytes is the time of a folder
of them less that of all of them in one file, for each. The one processor is that of a child which may use no other.
Where two processors share no cache, what one has unpacked comes late to the other, so how far apart they were is told
below the table (`apart.rs`): a virtual machine may be moved meanwhile. Memory is the peak of a child beyond what it had
before chunkwire was imported.
"""

import argparse
import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import chunkwire
import corpora
from cells import markdown
from environment import commit, machine, versions
from goals import MB, PIECE, memory_row, rust_program

FILES = 10_000
PACKED = 0.9
THREADS = 1.8
OVERHEAD = 30e-6

ONE_PROCESSOR = """
import os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import chunkwire
chunkwire.usage(b"")
started = time.perf_counter()
chunkwire.usage(sys.argv[1:], threads=1)
print(time.perf_counter() - started)
"""

Way = Callable[[], float]


def timed(work: Callable[[], object]) -> Way:
    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


def printed(command: list[str | Path]) -> Way:
    """What a child says that it took."""
    return lambda: float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0])


def best(ways: dict[str, Way], rounds: int) -> dict[str, float]:
    """The best of each, in turns."""
    found = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            found[name] = min(found[name], way())
    return found


def row(what: str, log: str, ours: float, against: str, theirs: float, goal: float | None) -> list[str]:
    ratio = theirs / ours
    verdict = "-" if goal is None else "reached" if ratio >= goal else "missed"
    goal_text = "-" if goal is None else f"{goal:.2f}x"
    return [what, log, f"{ours * 1e3:,.0f} ms", against, f"{theirs * 1e3:,.0f} ms", f"{ratio:.2f}x", goal_text, verdict]


def packed_rows(path: Path, name: str, rounds: int) -> list[list[str]]:
    """gzip and zstd beside the unpacking alone."""
    from zstandard import ZstdCompressor

    unpack = rust_program("unpack")
    rows = []
    for suffix, tool in ((".gz", "zcat"), (".zst", "zstdcat")):
        packed = path.with_name(path.name + suffix)
        with path.open("rb") as source, packed.open("wb") as file:
            if suffix == ".gz":
                with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            else:
                ZstdCompressor(level=3).copy_stream(source, file)
        ways = {"ours": timed(lambda packed=packed: chunkwire.usage(packed))}
        if unpack:
            ways["the unpacking alone"] = printed([unpack, packed])
        if shutil.which(tool):
            command = f"{tool} '{packed}' | wc -l"
            ways[f"{tool} | wc -l"] = timed(lambda command=command: subprocess.run(command, shell=True, check=True,
                                                                                   capture_output=True))  # fmt: skip
        found = best(ways, 3 * rounds)
        log = f"{name}{suffix}, {path.stat().st_size / packed.stat().st_size:.0f}:1"
        ours = found.pop("ours")
        for against, theirs in found.items():
            rows.append(row("usage(path)", log, ours, against, theirs, PACKED if "alone" in against else None))
    return rows


def thread_rows(path: Path, name: str, rounds: int) -> list[list[str]]:
    """Two threads beside one processor: six files of different sizes, and one."""
    folder = path.with_name("several")
    folder.mkdir()
    data = path.read_bytes()
    starts = [data.index(b"\n\n", len(data) * place // 100) + 2 for place in (3, 10, 22, 45, 60)]
    for number, (start, end) in enumerate(zip([0, *starts], [*starts, len(data)], strict=True)):
        (folder / f"{number}.sse").write_bytes(data[start:end])
    del data
    rows = []
    for log, paths in ((f"{name}, 6 files", sorted(folder.iterdir())), (f"{name}, one file", [path])):
        texts = [str(one) for one in paths]
        two = timed(lambda texts=texts: chunkwire.usage(texts, threads=2))
        one = printed([sys.executable, "-c", ONE_PROCESSOR, *texts])
        found = best({"two": two, "one": one}, 3 * rounds)
        rows.append(row("usage(paths, threads=2)", log, found["two"], "one processor", found["one"], THREADS))
    return rows


def small_rows(folder: Path, rounds: int) -> list[list[str]]:
    """What a small file costs beyond its bytes."""
    event = (
        'data: {{"id":"chatcmpl-{0}","object":"chat.completion.chunk","created":1,"model":"m","choices":[{1}]{2}}}\n\n'
    )
    whole: dict[str, list[str]] = {"sse": [], "jsonl": []}
    for suffix in whole:
        (folder / suffix).mkdir()
    for number in range(FILES):
        delta = '{"index":0,"delta":{"content":"Hi"},"finish_reason":null}'
        end = '{"index":0,"delta":{},"finish_reason":"stop"}'
        usage = ',"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}'
        text = event.format(number, delta, "") + event.format(number, end, "") + event.format(number, "", usage)
        text += "data: [DONE]\n\n"
        line = json.dumps({"request_id": f"r{number}", "user": "ann", "response_body": text}) + "\n"
        for suffix, log in (("sse", text), ("jsonl", line)):
            whole[suffix].append(log)
            (folder / suffix / f"{number:05}.{suffix}").write_text(log)
    for suffix, logs in whole.items():
        (folder / f"one.{suffix}").write_text("".join(logs))
    rows = []
    for suffix, threads in ((suffix, threads) for suffix in whole for threads in (1, 2)):
        many, one = folder / suffix, folder / f"one.{suffix}"
        ways = {
            "many": timed(lambda many=many, threads=threads: chunkwire.usage(many, threads=threads)),
            "one": timed(lambda one=one: chunkwire.usage(one, threads=1)),
        }
        found = best(ways, 3 * rounds)
        each = (found["many"] - found["one"]) / FILES
        verdict = "reached" if each <= OVERHEAD else "missed"
        what, log = f"usage(folder, threads={threads})", f"{FILES:,} .{suffix} files"
        cells = [f"{each * 1e6:.1f} µs a file", "their bytes in one", f"{found['one'] * 1e3:,.0f} ms", "-"]
        rows.append([what, log, *cells, f"{OVERHEAD * 1e6:.0f} µs", verdict])
    return rows


def distance(program: Path | None) -> str:
    """How far apart two processors are, in nanoseconds; "" if that is not known."""
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout.strip() if program else ""


HEADER = ["chunkwire", "log", "wall", "against", "wall", "times as fast", "goal", ""]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=300, metavar="MB", help="of each log (default 300)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of which the best counts (default 5)")
    parser.add_argument("--corpus", action="append", choices=corpora.names(), help="default: openai and mixed")
    options = parser.parse_args()

    size = round(options.size * MB)
    chunkwire.usage(b"")
    rows: list[list[str]] = []
    program = rust_program("apart")
    apart = [distance(program)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows += small_rows(folder, options.rounds)
        for corpus in options.corpus or ["openai", "mixed"]:
            print(f"{corpus} ...", file=sys.stderr, flush=True)
            path = folder / f"{corpus}.sse"
            corpora.write(path, corpora.make(corpus, min(size, PIECE)), size)
            rows += packed_rows(path, corpus, options.rounds)
            if hasattr(os, "sched_setaffinity"):
                rows += thread_rows(path, corpus, options.rounds)
            if os.path.exists("/proc/self/status"):
                for one in (
                    path,
                    path.with_name(path.name + ".gz"),
                    path.with_name(path.name + ".zst"),
                    folder / "several",
                ):
                    rows.append(memory_row("usage(path, threads=2)", one.name, one))
            for one in [*folder.glob(f"{corpus}.sse*"), *(folder / "several").iterdir()]:
                one.unlink()
            (folder / "several").rmdir()
            apart.append(distance(program))
    print(f"{machine()}\n{versions()}\n{commit()}\n", file=sys.stderr)
    print(markdown([HEADER, *rows]))
    if all(apart):
        print(f"\nA byte went to another processor's cache and back in {', '.join(apart)} ns, in the course of this.")


if __name__ == "__main__":
    main()
