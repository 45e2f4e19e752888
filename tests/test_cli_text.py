"""The commands that print whole messages: what `text` and `show` print and where, and their exit codes."""

# ruff: noqa: F401, F811 (fixtures of another file)
from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import chunkwire
from chunkwire._cli import main
from command import COMMAND, Run
from support import chunk_json, event
from test_cli import CLEAN, DONE, clean, dirty, stream

SAID = (
    event(chunk_json(id="a", choices=[{"index": 0, "delta": {"role": "assistant", "reasoning": "hm\x1b[2J"}}]))
    + event(chunk_json(id="a", choices=[{"index": 0, "delta": {"content": "Hé\nyou\u202e 👩‍🚀"}}]))
    + event(chunk_json(id="a", choices=[{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a": 1}'}}]}, "finish_reason": "stop"}]))
    + DONE
)  # fmt: skip


def test_text(run: Run, clean: Path) -> None:
    result = run("text", clean)
    second = len(stream("a", 1000, model="m1"))
    assert result == (0, f"""\
== {clean}@0 | m1 | 1970-01-01 00:00:07 UTC | complete, stop | 999 + 1 tokens ==
hé

== {clean}@{second} | m2 | 1970-01-02 00:00:00 UTC | complete, stop | 233 + 1 tokens ==
hé

""", "")  # fmt: skip


def test_text_marks_what_is_more_than_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "said.sse"
    path.write_bytes(SAID)
    result = run("text", path)
    assert (result.code, result.err) == (0, "")
    assert result.lines[1:] == [
        "[reasoning]",
        "hm\\x1b[2J",
        "[text]",
        "Hé",
        "you\\u202e 👩‍🚀",
        '[tool call] f({"a": 1}) call_1',
        "",
    ]


@pytest.mark.parametrize(
    ("choices", "lines"),
    [
        ([{"index": 0, "delta": {}}], ["(no text, and no call of a tool)"]),
        ([{"index": 0, "delta": {"refusal": "no"}}], ["[refusal]", "no"]),
        ([{"index": 0, "delta": {"audio": {"transcript": "hi"}}}], ["[audio]", "hi"]),
        ([{"index": 0, "delta": {"function_call": {"name": "f", "arguments": "{}"}}}], ["[tool call] f({})"]),
        (
            [
                {"index": number, "delta": {"content": text}, "finish_reason": "stop"}
                for number, text in enumerate("ab")
            ],
            ["-- choice 0: stop", "a", "-- choice 1: stop", "b"],
        ),
        (
            [
                {
                    "index": 0,
                    "delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, 5]},
                }
            ],
            ["[reasoning]", "t", "[part]", "5"],
        ),
        (
            [{"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.summary", "summary": "s"}]}}],
            ["[reasoning]", "s"],
        ),
        ([{"index": 0, "delta": {"tool_calls": [{"custom": {"name": "c", "input": "i"}}]}}], ["[tool call] c(i)"]),
    ],
)
def test_text_of_odd_messages(run: Run, choices: Any, lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "odd.sse"
    path.write_bytes(event(chunk_json(choices=choices)) + DONE)
    assert run("text", path).lines[1:-1] == lines


def test_text_as_jsonl(run: Run, dirty: Path, engine: str) -> None:
    result = run("text", "--format", "jsonl", dirty)
    completions = [completion.to_dict() for completion in chunkwire.completions(dirty, engine=engine)]
    assert [json.loads(line) for line in result.lines] == completions
    assert result.code == 0
    assert result.err == f"chunkwire: skipped 1 damage and 1 server error: `chunkwire check {dirty}` tells where\n"


@pytest.mark.parametrize("command", ["text", "show"])
def test_what_has_no_messages(run: Run, command: str, tmp_path: Path) -> None:
    path = tmp_path / "none.sse"
    path.write_bytes(DONE)
    if command == "text":
        assert run("text", path) == (0, "", "")
        assert run("text", tmp_path / "missing.sse")[:2] == (2, "")
    else:
        result = run("show", f"{path}@0")
        assert (result.code, result.err) == (0, "")
        assert "status        empty" in result.lines
        assert run("show", f"{tmp_path / 'missing.sse'}@0").code == 2


def test_show(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "odd@name.sse"
    broken = event(chunk_json(id="b", x={"y": 1})) + event("{oops")
    path.write_bytes(CLEAN + broken)
    result = run("show", f"{path}@{len(CLEAN)}")
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        f"source        {path}@{len(CLEAN)}",
        "id            b",
        "model         m",
        "created       1970-01-01 00:00:07 UTC",
        "status        malformed",
        "chunks        1",
        'x             {"y": 1}',
        "usage         none reported",
        result.lines[8],
        "",
        "a",
    ]
    at = len(CLEAN + broken) - len(event("{oops"))
    assert result.lines[8].startswith(
        f"invalid_json  offset {at}: invalid JSON at byte 1 of the event's data: Expecting"
    )
    document = json.loads(run("show", f"{path}@0", "--format", "json").out)
    assert document["completion"]["usage"]["total_tokens"] == 1000
    assert (document["status"], document["chunks"], document["damages"]) == ("complete", 1, [])


def test_show_says_what_is_near(run: Run, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = len(stream("a", 1000, model="m1"))
    result = run("show", f"{clean}@{second + 5}")
    assert result == (
        2, "", f"chunkwire: {clean}: no stream begins at offset {second + 5:,}; the one before begins at {second}\n"
    )  # fmt: skip
    for wrong in (clean, f"{clean}@", "@5", f"{clean}@-1", f"{clean}@x"):
        with pytest.raises(SystemExit) as left:
            main(["show", str(wrong)])
        assert left.value.code == 2
        assert "expected PATH@OFFSET" in capsys.readouterr().err


def test_show_reads_twice(run: Run) -> None:
    assert run("show", "./-@0")[0] == 2
    with pytest.raises(SystemExit):
        run("show", "-@0")
    code, _, said = run("show", "--", "-@0")
    assert code == 2
    assert said.endswith("chunkwire: show reads its source twice, which standard input cannot be: name a file\n")


def test_show_of_a_source_that_changes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.sse"
    path.write_bytes(CLEAN)
    read = chunkwire.usage

    def usage(*arguments: Any, **options: Any) -> Any:
        table = read(*arguments, **options)
        path.write_bytes(b"")
        return table

    monkeypatch.setattr(chunkwire, "usage", usage)
    code, _, said = run("show", f"{path}@0")
    assert (code, "read twice" in said) == (2, True)


def test_text_of_standard_input(engine: str) -> None:
    command = [*COMMAND, "text", "--engine", engine, "-"]
    done = subprocess.run(command, input=CLEAN, capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[0].startswith("== <stdin>@0 | m1 |")
