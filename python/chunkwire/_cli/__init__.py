"""The command line: arguments in, data on stdout, everything else on stderr, and an exit code out.

This file reads the arguments and catches what goes wrong; each command has a file of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import chunkwire
from chunkwire._cli import _check, _convert, _decode, _follow, _redact, _text, _usage
from chunkwire._cli import _explain as _explaining
from chunkwire._cli._output import OutputError, flush, note, tell_absent
from chunkwire._cli._schema import keys_text
from chunkwire._options import FORMATS

__all__ = ["main"]

_READ_LINES = (_usage.run, _decode.run, _text.run, _check.run, _convert.run)

_EXAMPLES = """\
PATH is a file (plain, or packed by gzip, zstd, xz, bzip2, brotli), a folder, a
glob like 'logs/**/*.sse', a tar or zip, one log in it (logs.zip!a.sse), a URL
(https://, s3://, ..., with chunkwire[fsspec]), or - for standard input.

examples:
  chunkwire usage logs/                         tokens by model, of a folder
  chunkwire usage logs/ --by model,day -o u.csv --format csv
  chunkwire decode log.sse --fields id,content  chunks as JSON lines
  chunkwire text log.sse                        what was said
  chunkwire show log.sse@1234                   one stream whole
  chunkwire follow live.sse                     chunks as they are written
  chunkwire check log.sse                       what is wrong, and where
  chunkwire explain log.jsonl                   what a log is, and its quirks
  chunkwire redact log.sse -o report.sse        the log without what was said
  chunkwire convert log.jsonl -o log.sse        the log in another format

exit codes:
  0  fine
  1  the data has damage (from check, and from decode --on-error raise)
  2  wrong usage, or something could not be read or written
"""

_USAGE = """\
examples:
  chunkwire usage logs/
  chunkwire usage 'logs/2026-*/*.sse.gz' --by model,day
  chunkwire usage logs/ --since 7d --by day --percentiles
  chunkwire usage logs/ --since 2026-11 --until 2026-11 --breakdown --top 5
  chunkwire usage logs/ --by day --chart
  chunkwire usage logs/ --since 2026-11 --report report.html
  chunkwire usage logs/ --cost --estimate
  chunkwire usage live.sse --follow
  chunkwire usage proxy.jsonl --follow --keep user --by user
  chunkwire usage log.sse --rows --format csv -o streams.csv
  chunkwire usage logs/ --rows --format parquet -o streams.parquet
  curl -sN ... | chunkwire usage -
"""

_DECODE = """\
A field is a path into the chunk: usage.total_tokens, choices.0.finish_reason.
Where a chunk has none, it is null. Three are about the chunk: content (that of
choices.0.delta), offset and source.

examples:
  chunkwire decode log.sse
  chunkwire decode log.sse --fields id,model,content,usage.total_tokens
  tail -c +1 -f live.sse | chunkwire decode - --fields content
"""

_FOLLOW = """\
The log is server-sent events or JSON lines. It may be rotated and truncated.
The last event or line is printed once it is whole. Ctrl-C ends it. JSON lines
are printed once it is certain what they are: at once with --format-in
exchanges, reads or chunks.

examples:
  chunkwire follow live.sse
  chunkwire follow live.sse --from-end --text
  chunkwire follow live.sse --fields id,usage.total_tokens --idle 60
  chunkwire follow proxy.jsonl --format-in exchanges --field response.body
"""

_TEXT = """\
Each stream has a line with its place (PATH@OFFSET, as for `show`), its model,
time, status and tokens, and below it what was said. What is more than text has
its parts marked: [reasoning], [text], [refusal], [tool call]. --format jsonl
gives one chat.completion a line, with what was sent. Each comes when
its stream is over, those that broke off at the end.

examples:
  chunkwire text log.sse
  chunkwire text logs/ --format jsonl > completions.jsonl
"""

_SHOW = """\
The offset is that of the stream, as `usage --rows --format csv`, `check` and
`text` print it.

examples:
  chunkwire show log.sse@1234
  chunkwire show log.sse@1234 --format json
"""

_REDACT = """\
Whatever somebody said is replaced by filler with the same bytes, characters and
escapes; ids become others. What a parser reads stays: the framing, names of
members, usage, times, models, damage. So the log can be shared in a report of a
fault. FILE is compressed if it ends in .gz, .zst, .bz2 or .xz.

examples:
  chunkwire redact log.sse -o report.sse
  chunkwire redact log.jsonl.gz -o report.jsonl.gz --keep user_agent
"""

_CONVERT = """\
FILE says what is written: .sse server-sent events, .jsonl a chunk a line,
.parquet a row a chunk; with .gz, .zst, .bz2 or .xz behind it, compressed. --to
exchanges writes an exchange a line, of logs that hold exchanges. A table of
streams as Parquet is `chunkwire usage PATH --rows --format parquet -o FILE`.

examples:
  chunkwire convert proxy.jsonl -o streams.sse.gz
  chunkwire convert session.har --to exchanges --keep url,started -o proxy.jsonl
  chunkwire convert log.sse -o chunks.parquet
"""

_CHECK = """\
Each finding is a line: source, line, offset, kind, reason. The table below them
accounts for every byte.

examples:
  chunkwire check log.sse
  chunkwire check logs/ --format json | jq '.sources[].findings[]'
"""


_EXPLAIN = """\
Tells which format a log has and why, what its lines and chunks have in them,
and what its servers do otherwise than others. Of a long log the first 64 MiB
are read; --all reads all.

examples:
  chunkwire explain log.jsonl
  chunkwire explain logs/ --format json | jq '.sources[].quirks[].text'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line, and gives its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # what the terminal cannot show must not end the work
    try:
        parser = _parser()
        options = parser.parse_args(argv)
        if options.run is _usage.run:
            _check_keys(parser, options)
        code: int = options.run(options)
        if options.run in _READ_LINES and not getattr(options, "follow", False):
            # (Of --field `usage` says more.)
            tell_absent(options, ("id_field", "time_field", *([] if options.run is _usage.run else ["field"])))
        flush()
        return code
    except BrokenPipeError:
        # Who reads has had enough. Python flushes stdout once more when it ends: let that go nowhere.
        _silence_stdout()
        return 0
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, OutputError):
            flush()
        _silence_stdout()
        return 130
    except OutputError as error:
        _silence_stdout()
        note(str(error))
        return 2
    except chunkwire.ChunkwireError as error:
        note(str(error))
        return 1
    except OSError as error:
        note(_explain(error))
    except (ValueError, TypeError, ImportError, MemoryError, OverflowError, RecursionError) as error:
        note(str(error) or type(error).__name__)
    return 2


def _silence_stdout() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be none
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _explain(error: OSError) -> str:
    text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    return "\n".join([text, *getattr(error, "__notes__", [])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chunkwire",
        description="Decode chat-completion event streams: token usage, chunks, damage.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    usage = _command(
        commands, "usage", _usage.run, "token usage by model, day, source or status", f"{_USAGE}\n{keys_text()}"
    )
    usage.add_argument(
        "--by", type=_keys, default=("model",), metavar="KEY[,KEY]",
        help="group by model, month, day, hour, source, status, finish_reason, what --keep names, or several: "
        "model,day (default: model)",
    )  # fmt: skip
    usage.add_argument(
        "--since", metavar="TIME",
        help="only streams created (UTC) since a date 2026-11-20, a month 2026-11, a time 2026-11-20T14:30, seconds "
        "since 1970, today, yesterday, or so long ago: 30m, 24h, 7d, 2w",
    )  # fmt: skip
    usage.add_argument(
        "--until", metavar="TIME", help="only streams created before that; a date or a month is meant to its end"
    )
    usage.add_argument(
        "--sort", metavar="COLUMN[,COLUMN]",
        help="numbers from the largest, texts from the first; COLUMN:asc or COLUMN:desc as you say "
        "(default: total tokens, but times in their order)",
    )  # fmt: skip
    usage.add_argument(
        "--top", type=_count, metavar="N",
        help="only the first N by --sort, or the N with the most tokens; the rest is summed up as other",
    )  # fmt: skip
    usage.add_argument(
        "--keep", type=_names, default=[], metavar="PATH[,PATH]",
        help="members of a log's lines as columns of --rows, and to group --by: user,meta.tag",
    )  # fmt: skip
    usage.add_argument("--breakdown", action="store_true", help="every kind of token: cached, reasoning, audio, ...")
    usage.add_argument("--percentiles", action="store_true", help="p50, p95, p99 of tokens, chunks and times")
    usage.add_argument(
        "--chart", action="store_true", help="bars below the table: of total tokens, or the first number of --sort"
    )
    usage.add_argument(
        "--report", metavar="FILE", help="also write a report with charts as one HTML file (needs the extra report)"
    )
    usage.add_argument("--rows", action="store_true", help="one row for each stream instead of groups")
    usage.add_argument(
        "--cost", action="store_true", help="what it costs by the package genai-prices, beside what servers reported"
    )
    usage.add_argument("--prices", metavar="FILE", help="the same by a price file in LiteLLM's form")
    usage.add_argument("--provider", metavar="NAME", help="who serves the models, as the prices call them, e.g. groq")
    usage.add_argument(
        "--alias", type=_alias, action="append", default=[], metavar="MODEL=NAME",
        help="the name that the prices have for a model; may begin with a provider and a slash; may be repeated",
    )  # fmt: skip
    usage.add_argument(
        "--estimate", action="store_true", help="estimate completion tokens where no usage was reported, apart"
    )
    usage.add_argument(
        "--format", choices=("table", "json", "csv", "arrow", "parquet"), default="table",
        help="default: table; arrow (an IPC file; to stdout an IPC stream) and parquet need chunkwire[arrow]",
    )  # fmt: skip
    usage.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of stdout")
    usage.add_argument("--threads", type=_count, metavar="N", help="sources decoded at once (default: all processors)")

    usage.add_argument(
        "--follow", action="store_true", help="a log that is being written: show the table as it grows, until Ctrl-C"
    )
    _growing(usage)

    decode = _command(commands, "decode", _decode.run, "chunks as JSON lines", _DECODE)
    decode.add_argument(
        "--fields", type=_names, metavar="NAME[,NAME]", help="only these fields, e.g. id,model,content (default: all)"
    )
    decode.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip",
        help="at damage: skip it and tell at the end, or stop (default: skip)",
    )  # fmt: skip

    follow = _command(commands, "follow", _follow.run, "chunks as JSON lines, as a log is written", _FOLLOW)
    follow.add_argument(
        "--fields", type=_names, metavar="NAME[,NAME]", help="only these fields, as for decode (default: all)"
    )
    follow.add_argument("--text", action="store_true", help="only what is said, as it comes")
    _growing(follow)

    text = _command(commands, "text", _text.run, "what was said: the deltas of each stream as whole messages", _TEXT)
    text.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")

    show = _command(commands, "show", _text.show, "one stream whole: its head, usage and message", _SHOW, paths=False)
    show.add_argument(
        "place", type=_text.place, metavar="PATH@OFFSET", help="a file, and where the stream begins in it"
    )
    show.add_argument("--format", choices=("text", "json"), default="text", help="default: text")

    redact = _command(commands, "redact", _redact.run, "a log to share: filler for what was said", _REDACT, reads=False)
    redact.add_argument("path", metavar="PATH", help="a file (plain, gzip, zstd), or - for stdin")
    redact.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of stdout")
    redact.add_argument(
        "--keep", type=_names, default=(), metavar="NAME[,NAME]", help="keep what members of these names hold, too"
    )

    convert = _command(
        commands, "convert", _convert.run, "the same streams as a log in another format, or as Parquet", _CONVERT,
        paths=False, engines=False,
    )  # fmt: skip
    convert.add_argument("path", metavar="PATH", help="a file, or - for stdin")
    convert.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of stdout")
    convert.add_argument("--to", choices=_convert.TARGETS, help="what to write (default: as FILE's name says)")
    convert.add_argument(
        "--keep", type=_names, default=(), metavar="PATH[,PATH]", help="members of lines to carry into exchanges"
    )

    check = _command(commands, "check", _check.run, "what is wrong, and where; exits 1 if anything is", _CHECK)
    check.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    check.add_argument("--threads", type=_count, metavar="N", help="sources decoded at once (default: all processors)")

    explain = _command(
        commands, "explain", _explaining.run, "what a log is: its format and why, its fields, its quirks", _EXPLAIN,
        engines=False,
    )  # fmt: skip
    explain.add_argument("--all", action="store_true", help="read all of it (default: 64 MiB)")
    explain.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    return parser


def _command(
    commands: Any,
    name: str,
    run: Any,
    summary: str,
    epilog: str,
    *,
    paths: bool = True,
    reads: bool = True,
    engines: bool = True,
    formats: bool = True,
) -> argparse.ArgumentParser:
    """A command, and the options that all commands have which decode: paths, who decodes, the format of logs."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    if not reads:
        return command
    if paths:
        command.add_argument(
            "paths", nargs="+", metavar="PATH", help="a file, a folder, a glob, a tar or zip, a URL, or - for stdin"
        )
    if engines:
        command.add_argument("--strict", action="store_true", help="drop an event that a source ends in the middle of")
        command.add_argument(
            "--max-decompressed", type=_size, metavar="SIZE", dest="max_decompressed_bytes",
            help="the most bytes (500M, 20G) that a packed source may unpack to (default: 1,000 times its size)",
        )  # fmt: skip
        command.add_argument(
            "--engine", choices=("auto", "native", "simdjson"), default="auto", help="who decodes (default: auto)"
        )
    if formats:
        command.add_argument(
            "--format-in", choices=FORMATS, default="auto", metavar="FORMAT",
            help=f"how the log holds streams: {', '.join(FORMATS)} (default: auto, by its beginning)",
        )  # fmt: skip
        command.add_argument("--field", metavar="PATH", help="the member of a line that holds a stream: response.body")
        command.add_argument("--id-field", metavar="PATH", help="whose piece a line is (format reads)")
        command.add_argument("--time-field", metavar="PATH", help="when it came (format reads)")
    return command


def _growing(command: argparse.ArgumentParser) -> None:
    """The options about logs that are being written."""
    command.add_argument("--from-end", action="store_true", help="only what is written from now on")
    command.add_argument("--idle", type=_seconds, metavar="SECONDS", help="end when nothing was written for so long")


class _Version(argparse.Action):
    """Prints the version; looks it up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"chunkwire {chunkwire.__version__}")
        parser.exit()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return names


def _keys(text: str) -> tuple[str, ...]:
    return tuple(_names(text))


def _check_keys(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What cannot be grouped by is wrong usage; what --keep names can be."""
    table = chunkwire.usage(b"", keep=options.keep)
    try:
        table.summary(by=options.by)
    except ValueError as error:
        parser.error(str(error))


def _size(text: str) -> int:
    number, unit = text[:-1], text[-1:].upper()
    if unit not in "KMGT" or not unit:
        number, unit = text, ""
    if not number.isascii() or not number.isdigit() or not 0 < int(number) << 10 * " KMGT".index(unit or " ") < 1 << 63:
        raise argparse.ArgumentTypeError(f"expected a number of bytes such as 500M, got {text!r}")
    return int(number) << 10 * " KMGT".index(unit or " ")


def _alias(text: str) -> tuple[str, str]:
    model, equals, name = text.partition("=")
    if not (model and equals and name):
        raise argparse.ArgumentTypeError(f"expected MODEL=NAME, got {text!r}")
    return model, name


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)
