"""The README's Python examples, run as they stand, from the repository's root as the README says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What each block printed; they share their names, as a reader's session would."""
    names: dict[str, object] = {}
    outputs = []
    with contextlib.chdir(ROOT):
        for number, block in enumerate(BLOCKS):
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(block, f"README.md, Python block {number}", "exec"), names)
            outputs.append(output.getvalue())
    return outputs


def test_the_examples_print_what_they_promise(printed: list[str]) -> None:
    iterate, batches, columns, arrow, costs, messages, push, client, events, sdk, logs, damage = printed
    assert re.fullmatch(r"[1-9]\d* \[[\d ]+\] \[.*\] \S+\n", batches)
    assert re.search(r"\n \S+ [1-9]\d*\n", iterate), "a model and its total tokens"
    assert "streams reported usage" in columns
    assert re.match(r"\$\d\.\d{4} for [1-9]\d* streams\n\[Unpriced\(", costs)
    assert "streams priced by tests/prices.json; not priced:" in costs
    assert arrow == ""
    assert re.search(r"^\S+ .* \['weather', 'clock'\]$", messages, re.M)
    assert push == "Hi\n"
    assert client == ""
    assert events == "greeting Hi\n"
    assert sdk == ""
    assert logs.startswith("['ann'] user")
    assert "<bytes>: exchanges (streams in response_body)" in logs
    chunks, *damages = damage.splitlines()
    assert re.fullmatch(r"\d+ chunks; [1-9]\d* damages", chunks)
    assert damages
    assert all(re.match(r"\d+ [a-z_]+ \S", line) for line in damages)


def test_the_table_of_columns_is_that_of_the_code() -> None:
    from chunkwire._usage_columns import TOKEN_COLUMNS

    rows = [
        line.split("|")
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if "_tokens` | `" in line
    ]
    told = {row[1].strip(" `"): [name.strip(" `") for name in row[2].split(",")] for row in rows}
    assert told == {name: [".".join(path) for path in paths] for name, paths in TOKEN_COLUMNS.items()}
