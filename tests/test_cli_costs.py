"""``chunkwire usage --cost``, ``--prices`` and ``--estimate``: what they add, and what they say of wrong wishes."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from command import Result, Run
from support import chunk_json, event
from test_cli import DONE

PRICES = Path(__file__).parent / "prices.json"


def stream(id: str, model: str, usage: Any, content: str = "hello") -> bytes:
    choices = [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    return event(chunk_json(id=id, model=model, choices=choices, usage=usage)) + DONE


def counts(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | more


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.sse"
    streams = [stream(str(number), "plain-1", counts(1000, 5)) for number in range(5)]
    streams += [stream("s", "plain-1", None), stream("x", "nobody's", counts(10, 5, cost=0.25))]
    path.write_bytes(b"".join(streams))
    return path


def told(result: Result) -> str:
    assert result.out == ""
    return result.err


def test_prices_and_estimates_stand_beside_what_was_reported(run: Run, log: Path) -> None:
    assert run("usage", log, "--prices", PRICES, "--estimate") == (0, f"""\
model     streams  reported  chunks  prompt  cached  completion  reasoning  total      cost  priced  computed  est. streams  estimate  low  high
------------------------------------------------------------------------------------------------------------------------------------------------
plain-1         6         5       6   5,000       0          25          0  5,025         -       5  0.010200             1         5    5     5
nobody's        1         1       1      10       0           5          0     15  0.250000       0         -             0         -    -     -
------------------------------------------------------------------------------------------------------------------------------------------------
total           7         6       7   5,010       0          30          0  5,040  0.250000       5  0.010200             1         5    5     5

6 of 7 streams reported usage
1 of the other 1 estimated (about 5 completion tokens, 5 to 5)
5 of 7 streams priced by {PRICES}; not priced:
  1 stream without usage
  nobody's (1 stream): the price file does not know this model
""", "")  # fmt: skip  # noqa: E501


def test_rows(run: Run, log: Path) -> None:
    lines = run("usage", log, "--rows", "--prices", PRICES, "--estimate").lines
    assert lines[0].split()[-5:] == ["cost", "computed", "estimate", "low", "high"]
    assert lines[2].split()[-4:] == ["0.002040", "-", "-", "-"]
    assert lines[7].split()[-8:] == ["-", "-", "-", "-", "-", "5", "5", "5"]
    found = list(csv.DictReader(io.StringIO(run("usage", log, "--rows", "--prices", PRICES, "--format", "csv").out)))
    assert [float(row["computed_cost"] or -1) for row in found] == pytest.approx([0.00204] * 5 + [-1, -1])
    assert [row["cost"] for row in found][-1] == "0.25"


def test_json(run: Run, log: Path) -> None:
    document = json.loads(run("usage", log, "--prices", PRICES, "--estimate", "--format", "json").out)
    assert document["prices"] == {
        "source": str(PRICES),
        "priced": 5,
        "matched": {"plain-1": "plain-1"},
        "unpriced": [
            {
                "model": "nobody's",
                "provider": None,
                "reason": "the price file does not know this model",
                "streams": 1,
            },
            {"model": "plain-1", "provider": "openai", "reason": "no usage reported", "streams": 1},
        ],
    }
    assert document["rows"][0]["computed_cost"] == pytest.approx(0.0102)
    assert document["total"]["estimated_completion_tokens"] == 5
    rows = json.loads(run("usage", log, "--rows", "--prices", PRICES, "--format", "json").out)["rows"]
    assert [row["computed_cost"] for row in rows][4:] == [pytest.approx(0.00204), None, None]
    assert json.loads(run("usage", log, "--format", "json").out)["prices"] is None
    assert "estimated_low" not in json.loads(run("usage", log, "--rows", "--format", "json").out)["rows"][0]


def test_with_the_other_options(run: Run, log: Path) -> None:
    """Costs go with their streams into spans of time, the largest, and orders."""
    more = ("--prices", PRICES, "--estimate")
    assert run("usage", log, *more, "--since", "2000-01-01").lines[-1].startswith("0 of 0 streams priced by")
    dear = json.loads(run("usage", log, *more, "--sort", "computed_cost", "--top", "1", "--format", "json").out)
    assert dear["rows"][0]["model"] == "plain-1"
    assert (dear["other"]["priced"], dear["other"]["computed_cost"], dear["other"]["estimated"]) == (0, None, 0)
    streams = run("usage", log, *more, "--rows", "--sort", "estimated_low", "--top", "1", "--format", "json").out
    assert [row["id"] for row in json.loads(streams)["rows"]] == ["s"]
    assert json.loads(streams)["other"]["computed_cost"] == pytest.approx(0.0102)
    assert "computed" in run("usage", log, *more, "--percentiles", "--breakdown").out
    assert "computed_cost" in told(run("usage", log, "--sort", "computed_cost")), "there is none without prices"


def test_genai_prices_and_names(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(stream("a", "gpt-4o", counts(1_000_000, 0)) + stream("b", "house", counts(1_000_000, 0)))
    document = json.loads(run("usage", path, "--cost", "--alias", "house=openai/gpt-4o", "--format", "json").out)
    assert document["total"]["computed_cost"] == pytest.approx(5)
    assert document["prices"]["matched"] == {"gpt-4o": "openai/gpt-4o", "house": "openai/gpt-4o"}
    assert document["prices"]["source"].startswith("genai-prices ")
    azure = json.loads(run("usage", path, "--cost", "--provider", "azure", "--format", "json").out)
    assert (azure["prices"]["priced"], azure["prices"]["matched"]) == (0, {}), "azure's own list does not have it"


def test_wrong_wishes(run: Run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "none.json"
    for arguments, code, words in [
        (["--prices", nothing], 2, f"{nothing}: No such file or directory"),
        (["--prices", log], 2, f"{log} is no price file"),
        (["--prices", tmp_path], 2, "Is a directory"),
        (["--cost", "--provider", "opnai"], 2, "knows no provider 'opnai'; did you mean 'openai'?"),
        (["--provider", "openai"], 2, "they need --cost or --prices FILE"),
        (["--alias", "a=b"], 2, "they need --cost or --prices FILE"),
    ]:
        result = run("usage", log, *arguments)
        assert result.code == code, arguments
        assert words in told(result), arguments
    with pytest.raises(SystemExit):
        run("usage", log, "--cost", "--alias", "a")
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    result = run("usage", log, "--cost")
    assert (result.code, "pip install 'chunkwire[prices]'" in told(result)) == (2, True)


def test_wrong_prices_are_told_before_the_log_is_read(run: Run, log: Path) -> None:
    assert "knows no provider" in told(run("usage", log.with_name("none.sse"), "--cost", "--provider", "opnai"))


def test_json_tells_the_prices_of_its_streams(run: Run, tmp_path: Path) -> None:
    """Of those of `total`: neither of streams outside the span of time, nor of fewer than are summed."""
    path = tmp_path / "log.sse"
    days = {"old": 1795046400, "x": 1795132800, "y": 1795132800}
    logged = (
        chunk_json(id=id, model="plain-1", created=created, choices=[], usage=counts(10, 5))
        for id, created in days.items()
    )
    path.write_bytes(b"".join(event(doc) + DONE for doc in logged))
    more = ("--prices", PRICES, "--format", "json")
    for arguments, priced in [
        ([], 3),
        (["--since", "2026-11-20"], 2),
        (["--until", "2026-11-19"], 1),
        (["--rows", "--top", "1"], 3),
        (["--rows", "--top", "1", "--since", "2026-11-20"], 2),
    ]:
        document = json.loads(run("usage", path, *more, *arguments).out)
        assert (document["prices"]["priced"], document["total"]["priced"]) == (priced, priced), arguments


def no_constant(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def test_json_has_null_where_a_sum_is_no_number(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(b"".join(stream(id, "a", counts(1, 1, cost=1.7e308)) for id in "xy"))
    for arguments in ([], ["--rows", "--top", "1"], ["--percentiles", "--breakdown"]):
        text = run("usage", path, "--format", "json", *arguments).out
        document = json.loads(text, parse_constant=no_constant)
        assert document["total"]["cost"] is None
    assert run("usage", path).lines[2].endswith("  inf")
    lines = run("usage", path, "--rows").lines
    assert lines[2].split()[-1] == "1.7e+308"
    assert max(map(len, lines)) < 150
    assert run("usage", path, "--chart", "--sort", "cost").code == 0


def test_prices_without_end(run: Run, tmp_path: Path) -> None:
    path, prices = tmp_path / "log.sse", tmp_path / "prices.json"
    path.write_bytes(stream("x", "plain-1", counts(1000, 5)))
    for text in (
        "[" * 200_000,
        '{"m-1": {"tiered_pricing": [{"range": [Infinity, 2], "output_cost_per_token": 1}]}}',
    ):
        prices.write_text(text, "utf-8")
        result = run("usage", path, "--prices", prices)
        assert (result.code, result.out, result.err.count("\n")) in [(2, "", 1), (0, result.out, 0)]
        assert result.err.startswith("chunkwire: ") or result.code == 0


@pytest.mark.parametrize("error", [OverflowError("too large"), RecursionError("too deep")])
def test_errors_are_one_line(
    run: Run,
    log: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("chunkwire.usage", broken)
    assert run("usage", log) == (2, "", f"chunkwire: {error}\n")


def test_files_that_are_written_over(run: Run, log: Path, tmp_path: Path) -> None:
    prices, output = tmp_path / "prices.json", tmp_path / "out"
    prices.write_bytes(PRICES.read_bytes())
    (tmp_path / "link").symlink_to(prices)
    for arguments, words in [
        (["--report", output, "-o", output], "--output and --report name the same file"),
        (["--report", output, "-o", tmp_path / "x" / ".." / "out"], "--output and --report name the same file"),
        (["--prices", prices, "--report", prices], "--prices and --report name the same file"),
        (["--prices", prices, "-o", tmp_path / "link"], "--prices and --output name the same file"),
    ]:
        result = run("usage", log, *arguments)
        assert result.code == 2
        assert words in told(result)
        assert (prices.read_bytes(), output.exists()) == (PRICES.read_bytes(), False)


def test_a_model_called_other(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    models = {"other": 50, "b": 20, "c": 10}
    path.write_bytes(b"".join(stream(model, model, counts(size, 1)) for model, size in models.items()))
    found = list(csv.DictReader(io.StringIO(run("usage", path, "--top", "1", "--format", "csv").out)))
    assert [row["model"] for row in found] == ["other", "other (2 groups)"]
    assert run("usage", path, "--top", "1").lines[3].startswith("other (2 groups)")
