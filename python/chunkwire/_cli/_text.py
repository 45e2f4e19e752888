"""``chunkwire text`` and ``chunkwire show``: paths in; whole messages for people, or as JSON, out."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import chunkwire
from chunkwire._cli._each import each_source
from chunkwire._cli._output import json_bytes, log_options, note, progress_for, stdout_bytes, write, writing
from chunkwire._render import printable
from chunkwire._sources import Source

__all__ = ["place", "run", "show"]

_SCHEMA = 1
#: Fields of a message that are text by the side of its content, and what they are called here; others by their name.
_ASIDE = {"reasoning_content": "reasoning", "reasoning": "reasoning", "thinking": "reasoning"}
#: What is told in another place.
_TOLD = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "audio"})


def run(options: Namespace) -> int:
    """Runs ``text``."""
    return each_source(options.paths, lambda source: _write_source(source, options))


def _write_source(source: Source, options: Namespace) -> chunkwire.Stats:
    completions = chunkwire.completions(
        source.feed,
        strict=options.strict,
        engine=options.engine,
        max_decompressed_bytes=options.max_decompressed_bytes,
        **log_options(options),
        progress=progress_for(options) and not sys.stdout.isatty(),
    )
    if options.format == "jsonl":
        write_line = stdout_bytes()
        for completion in completions:
            line = json_bytes(completion.to_dict()) + b"\n"
            with writing():
                write_line(line)
    else:
        for completion in completions:
            write(_as_text(completion, source.label) + "\n\n")
    return completions.stats


# --- text --------------------------------------------------------------------------------------------------------


def _as_text(completion: chunkwire.Completion, label: str) -> str:
    """A line that says which stream it is, and what was said in it."""
    return "\n".join([_header(completion, label), *_messages(completion)])


def _header(completion: chunkwire.Completion, label: str) -> str:
    reasons = dict.fromkeys(choice.finish_reason for choice in completion.choices if choice.finish_reason)
    parts = [f"{label}@{completion.offset}", completion.model, _time(completion.created)]
    parts += [", ".join([completion.status, *reasons]), _tokens(completion.usage)]
    return f"== {' | '.join(printable(part) for part in parts if part)} =="


def _time(created: Any) -> str | None:
    try:
        return f"{datetime.fromtimestamp(created, UTC):%Y-%m-%d %H:%M:%S} UTC" if created else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _tokens(usage: chunkwire.Usage | None) -> str | None:
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    shown = [f"{count:,}" if isinstance(count, int) else "?" for count in counts]
    return f"{' + '.join(shown)} tokens" if usage is not None else None


def _messages(completion: chunkwire.Completion) -> Iterator[str]:
    for choice in completion.choices:
        if len(completion.choices) > 1:
            reason = f": {printable(choice.finish_reason)}" if choice.finish_reason else ""
            yield f"-- choice {choice.index}{reason}"
        yield from _message(choice.message)


def _message(message: chunkwire.Message) -> Iterator[str]:
    sent = message.to_dict()
    blocks: list[tuple[str, str]] = []
    for name, value in sent.items():
        if name not in _TOLD and isinstance(value, str) and value and (name in _ASIDE or "\n" in value):
            block = (_ASIDE.get(name, name), value)
            if block not in blocks:  # some servers send reasoning under two names
                blocks.append(block)
    if not blocks:
        blocks += [("reasoning", text) for text in _reasoning_details(sent.get("reasoning_details"))]
    blocks += _content(message.content)
    if isinstance(message.refusal, str) and message.refusal:
        blocks.append(("refusal", message.refusal))
    if message.audio is not None:
        transcript = sent["audio"].get("transcript") if isinstance(sent["audio"], dict) else None
        blocks.append(("audio", transcript if isinstance(transcript, str) else ""))
    # What is nothing but text needs no mark.
    marked = any(kind != "text" for kind, _ in blocks)
    for kind, text in blocks:
        if marked:
            yield f"[{printable(kind)}]"
        yield _readable(text)
    for call in sent.get("tool_calls") or []:
        yield _call(call)
    if isinstance(sent.get("function_call"), dict):
        yield _call({"function": sent["function_call"]})
    if not blocks and not sent.get("tool_calls") and not sent.get("function_call"):
        yield "(no text, and no call of a tool)"


def _content(content: Any) -> list[tuple[str, str]]:
    """The kinds and texts of a message's content: one, or those of its parts."""
    if isinstance(content, str):
        return [("text", content)] if content else []
    blocks = []
    for part in content if isinstance(content, list) else []:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "thinking":
            blocks.append(("reasoning", _text_of(part.get("thinking"))))
        else:
            blocks.append((kind if isinstance(kind, str) else "part", _text_of(part)))
    return blocks


def _reasoning_details(details: Any) -> Iterator[str]:
    for detail in details if isinstance(details, list) else []:
        text = detail.get("text") or detail.get("summary") if isinstance(detail, dict) else None
        if isinstance(text, str):
            yield text


def _text_of(part: Any) -> str:
    """The text of a part, or of parts; else its JSON."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_text_of, part))
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    return json_bytes(part).decode()


def _call(call: dict[str, Any]) -> str:
    tool = call.get("function") if call.get("function") is not None else call.get("custom")
    name: Any = tool
    given: Any = ""
    if isinstance(tool, dict):
        name, given = tool.get("name"), tool.get("arguments", tool.get("input"))
    given = given if isinstance(given, str) else json_bytes(given).decode()
    id = call.get("id")
    return f"[tool call] {printable(str(name))}({_readable(given)}){f' {printable(str(id))}' if id else ''}"


#: What a terminal would obey, but for line ends and tabs; what turns the direction of writing; halves of pairs.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _readable(text: str) -> str:
    """The text without what a terminal would obey."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], text)


# --- one stream --------------------------------------------------------------------------------------------------


def place(text: str) -> tuple[str, int]:
    """A path and an offset, as ``PATH@OFFSET``."""
    path, at, offset = text.rpartition("@")
    if not at or not path or not offset.isascii() or not offset.isdigit():
        raise ArgumentTypeError(f"expected PATH@OFFSET, as in log.sse@1234, got {text!r}")
    return path, int(offset)


def show(options: Namespace) -> int:
    """Runs ``show``."""
    path, offset = options.place
    if path == "-":
        note("show reads its source twice, which standard input cannot be: name a file")
        return 2
    given: dict[str, Any] = {
        "strict": options.strict,
        "engine": options.engine,
        "max_decompressed_bytes": options.max_decompressed_bytes,
        **log_options(options),
    }
    table = chunkwire.usage([path], **given)
    offsets = table.offset.tolist()
    if offset not in offsets:
        note(f"{path}: no stream begins at offset {offset:,}; {_nearest(offsets, offset)}")
        return 2
    row = table[offsets.index(offset)]
    following = min((other for other in offsets if other > offset), default=None)
    damages = [
        damage
        for damage in table.stats.damages
        if offset <= damage.offset and (following is None or damage.offset < following)
    ]
    completion = None
    if row["chunks"]:
        completions = chunkwire.completions(path, **given)
        completion = next((one for one in completions if one.offset == offset), None)
        if completion is None:
            note(f"{path}: it has to be read twice, and was another the second time: name a file that stays")
            return 2
    usage = table.raw(offsets.index(offset))
    if options.format == "json":
        document = {
            "schema": _SCHEMA,
            "source": path,
            "offset": offset,
            "status": row["status"],
            "chunks": row["chunks"],
            "completion": None if completion is None else completion.to_dict(),
            "damages": [
                {"offset": one.offset, "line": one.line, "kind": one.kind, "reason": one.reason} for one in damages
            ],
        }
        write(json_bytes(document, indent=1) + b"\n")
        return 0
    lines = [
        f"{name:<13} {printable(str(value))}"
        for name, value in (
            ("source", f"{path}@{offset}"),
            ("id", row["id"]),
            ("model", row["model"]),
            ("created", _time(row["created"])),
            ("status", row["status"]),
            ("finish_reason", row["finish_reason"]),
            ("chunks", f"{row['chunks']:,}"),
        )
        if value
    ]
    for name, value in _others(completion):
        lines.append(f"{printable(name):<13} {_readable(json_bytes(value).decode())}")
    lines.append(f"{'usage':<13} {_readable(json_bytes(usage).decode()) if usage else 'none reported'}")
    lines += [f"{one.kind:<13} offset {one.offset}: {printable(one.reason)}" for one in damages]
    if completion is not None:
        lines += ["", *_messages(completion)]
    write("\n".join(lines) + "\n")
    return 0


def _others(completion: chunkwire.Completion | None) -> Iterator[tuple[str, Any]]:
    """What else the server said of the stream."""
    told = ("id", "object", "created", "model", "choices", "usage")
    for name, value in completion.to_dict().items() if completion is not None else ():
        if name not in told and value is not None:
            yield name, value


def _nearest(offsets: list[int], offset: int) -> str:
    if not offsets:
        return "it has no streams"
    before = [other for other in offsets if other < offset]
    if before:
        return f"the one before begins at {max(before)}"
    return f"the first begins at {min(offsets)}"
