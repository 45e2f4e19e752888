"""The report: what stands in the page, that nothing of a log gets out of its place, and how a browser shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkwire
from chunkwire._cli import main
from chunkwire._render import shortened
from support import SAMPLES, chunk_json, event
from test_summary import DONE, START, log

pytest.importorskip("matplotlib", reason="charts need matplotlib: pip install 'chunkwire[report]'")

VOID = {"meta", "br", "use"}
SECTIONS = ["models", "kinds", "times", "costs", "spreads", "coverage", "ends", "damage"]
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></svg></table><img src=x onerror=alert(1)>",
    r"$\frac{1}{0}$ $",
    "_starts with an underscore",
    "T000T",
    "'\"&amp;-->",
    "\x00\x1b[2J\u202e",
    "模型 😊",
    "#010203; url(#x)",
    "x" * 300,
    "",
]


class Page(HTMLParser):
    """A page taken apart: each element with its attributes, the texts of each, and whether all of them are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for one, text in self.texts if one == tag]


def written(table: chunkwire.UsageTable, tmp_path: Path, **options: Any) -> str:
    path = tmp_path / "report.html"
    table.report(path, **options)
    return path.read_text("utf-8")


@pytest.fixture
def table(engine: str) -> chunkwire.UsageTable:
    return chunkwire.usage(log(3) + event("{oops") + event('{"error":{"message":"<b>busy"}}'), engine=engine)


@pytest.fixture
def hostile(engine: str) -> chunkwire.UsageTable:
    """Names that are meant to get out of their place, in everything that a server names."""
    data = b""
    for at, name in enumerate(HOSTILE):
        usage = {"prompt_tokens": 50 - at, "completion_tokens": 1, "total_tokens": 51 - at, "cost": 0.1}
        choices = [{"index": 0, "delta": {}, "finish_reason": name}]
        doc = chunk_json(id=str(at), model=name, created=START + at * 999, choices=choices, usage=usage)
        data += event(doc) + DONE
    data += event(r'{"choices": [], "id": "u", "model": "\ud800<i>", "usage": {"total_tokens": 99}}') + DONE
    return chunkwire.usage(data + event("<script>alert(2)</script>"), engine=engine)


# --- what stands in it


def test_the_page_is_whole_and_alone(table: chunkwire.UsageTable, tmp_path: Path) -> None:
    text = written(table, tmp_path)
    page = Page(text)
    assert [attrs["id"] for tag, attrs in page.elements if tag == "section"] == SECTIONS
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["svg"] == tags["figure"] == 1 + 1 + 1 + 2 + 6 + 1 + 2 + 1
    assert not tags.keys() & {"script", "link", "img", "iframe", "object", "embed", "foreignobject", "image", "base"}
    for tag, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), "no script"
            if name in ("href", "xlink:href"):
                assert value.startswith("#"), "nothing from elsewhere"
            assert name != "src", tag
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "default-src &#x27;none&#x27;" in text
    assert text == written(table, tmp_path), "the same each time"


def test_charts_can_be_read_without_eyes(table: chunkwire.UsageTable, tmp_path: Path) -> None:
    text = written(table, tmp_path)
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids), "ids are the only ones of the page"
    for tag, attrs in page.elements:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert set(attrs["aria-labelledby"].split()) <= set(ids)
        for value in attrs.values():
            for used in re.findall(r"url\(#([^)]*)\)", value or ""):
                assert used in ids
        if "href" in attrs or "xlink:href" in attrs:
            assert (attrs.get("href") or attrs["xlink:href"])[1:] in ids
    assert all(len(title) > 3 for title in page.of("title"))
    assert all(len(about) > 20 for about in page.of("desc"))
    for section in text.split("<section ")[1:]:
        assert "<table>" in section, "the numbers stand beside each chart"
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in page.elements if tag == "th")
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]{3}", text), "no stand-in for a colour is left"
    assert not re.search(r"T\d{3}T", text), "and none for a text"


def test_numbers_of_the_page(table: chunkwire.UsageTable, tmp_path: Path) -> None:
    def cells(section: str) -> list[list[str]]:
        part = text[text.index(f'<section id="{section}"') :]
        part = part[: part.index("</section>")]
        rows = re.findall(r"<tr>(.*?)</tr>", part)
        return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]

    text = written(table, tmp_path)
    summary = table.summary()
    rows = cells("models")
    assert [row[0] for row in rows] == ["model", *(row["model"] or "unknown" for row in summary), "total"]
    assert [row[-2] for row in rows[1:]] == [f"{row['total_tokens']:,}" for row in [*summary, summary.total]]
    month = table.summary("month")
    assert len(table.summary("day")) > 3
    assert [row[1] for row in cells("times")[1:]] == [f"{row['streams']:,}" for row in [*month, month.total]]
    assert cells("costs")[-1][2] == str(int(table.valid("cost").sum()))
    assert cells("costs")[-1][-1] == f"{summary.total['cost']:,.2f}"
    by_reason = table.summary(("status", "finish_reason"))
    assert sum(int(row[2].replace(",", "")) for row in cells("ends")[1:-1]) == by_reason.total["streams"]
    assert cells("coverage")[-1][1:4] == [
        f"{number:,}" for number in (len(table), table.reported.sum(), len(table) - table.reported.sum())
    ]
    found = cells("damage")[1:]
    assert [(row[2], row[3]) for row in found] == [(f"{one.offset:,}", one.kind) for one in table.stats.damages[:25]]
    assert any("&lt;b&gt;busy" in row[-1] for row in found)


def test_a_span_of_time(table: chunkwire.UsageTable, tmp_path: Path) -> None:
    text = written(table, tmp_path, since="2026-11-20", until="2026-11-21", title="A & B")
    summary = table.summary(since="2026-11-20", until="2026-11-21")
    assert "<h1>A &amp; B</h1>" in text
    assert f"<dd>{summary.total['total_tokens']:,}<" in text
    assert "left out:" in text
    assert "Total tokens by hour" in text
    with pytest.raises(ValueError, match="since: expected a date"):
        written(table, tmp_path, since="x")


@pytest.mark.parametrize("name", ["day.sse", "openai.sse", "damaged.sse"])
def test_samples(engine: str, tmp_path: Path, name: str) -> None:
    Page(written(chunkwire.usage(SAMPLES / name, engine=engine), tmp_path))


# --- whatever a log brings


def test_names_stay_where_they_belong(hostile: chunkwire.UsageTable, tmp_path: Path) -> None:
    text = written(hostile, tmp_path)
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "i", "b"}
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    labels = page.of("text")
    for name in HOSTILE[:-1]:
        shown = shortened(name.replace("\x00", r"\x00").replace("\x1b", r"\x1b").replace("\u202e", r"\u202e"), 40)
        assert shown in labels, "a label of a chart"
    assert r"\ud800<i>" in "".join(text for _, text in page.texts)
    assert "no_done" not in labels


@pytest.mark.parametrize(
    "docs",
    [
        [],
        [{}],
        [{"created": START}],
        [{"created": 1}, {"created": 253402300799}],
        [{"created": at * 90 * 86400 + 1} for at in range(3000)],
        [{"created": START, "usage": {"total_tokens": -5, "prompt_tokens": -3, "completion_tokens": 0}}],
        [{"created": START, "usage": {"total_tokens": 2**63 - 1, "prompt_tokens": 2**63 - 1}}] * 3,
        [{"usage": {"total_tokens": 0, "prompt_tokens": 0}, "timings": {"prompt_ms": 0, "predicted_ms": -1}}],
        [{"usage": {"total_tokens": 7}, "timings": {"prompt_ms": 1e308, "predicted_ms": 1e-308}}],
        [{"usage": {"total_tokens": 7, "cost": 1e-12}}, {"usage": {"total_tokens": 7, "cost": -1e300}}],
        [{"model": f"m{at}", "created": START + at, "usage": {"total_tokens": at + 1}} for at in range(300)],
    ],
    ids=[
        "nothing",
        "no usage",
        "one",
        "all times",
        "many months",
        "negative",
        "large",
        "zero",
        "odd times",
        "cost",
        "many",
    ],
)
def test_odd_logs(engine: str, tmp_path: Path, docs: list[dict[str, Any]]) -> None:
    choices = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    data = b"".join(event(json.dumps({"id": str(at), "choices": choices} | doc)) + DONE for at, doc in enumerate(docs))
    table = chunkwire.usage(data, engine=engine)
    assert len(table) == len(docs)
    text = written(table, tmp_path)
    Page(text)
    assert len(text) < 500_000
    assert "nan" not in re.sub(r"<[^<>]*font[^<>]*>", "", text).lower()


# --- where it goes, and what it needs


def test_on_the_command_line(
    engine: str, tmp_path: Path, table: chunkwire.UsageTable, capsys: pytest.CaptureFixture[str]
) -> None:
    path, report = tmp_path / "log.sse", tmp_path / "r.html"
    path.write_bytes(log(3))
    command = ["usage", "--engine", engine, str(path)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert main([*command, "--report", str(report)]) == 0
    out, err = capsys.readouterr()
    assert out == shown, "the table as without"
    assert err == f"chunkwire: wrote {report}\n"
    assert report.read_text("utf-8") == written(chunkwire.usage(path, engine=engine), tmp_path)
    assert main([*command, "--report", "-", "--since", "2026-11"]) == 0
    assert capsys.readouterr().out == written(chunkwire.usage(path, engine=engine), tmp_path, since="2026-11")
    assert main([*command, "--report", str(tmp_path / "no" / "r.html")]) == 2
    out, err = capsys.readouterr()
    assert out == shown, "what was counted is not lost"
    assert "cannot write to" in err


def test_without_the_extra(tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    path.write_bytes(log(1, 3))
    code = """
import sys
sys.modules["matplotlib"] = None
import chunkwire
from chunkwire._cli import main
table = chunkwire.usage(sys.argv[1])
try:
    table.report(sys.argv[2])
except ImportError as error:
    print(error)
print(main(["usage", "there-is-no-such.sse", "--report", sys.argv[2]]))
"""
    arguments = [sys.executable, "-c", code, str(path), str(tmp_path / "r.html")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    words = "a report needs the package matplotlib: pip install 'chunkwire[report]'"
    assert done.stdout.splitlines()[0].startswith(words)
    assert done.stdout.splitlines()[1] == "2"
    assert done.stderr.startswith(f"chunkwire: {words}"), "before anything is read"
    assert not (tmp_path / "r.html").exists()


def test_charts_are_not_imported_before_they_are_drawn(tmp_path: Path) -> None:
    code = "import sys, chunkwire._cli; chunkwire.usage(b'').summary(); print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- in a browser

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))),
    None,
)
in_browser = pytest.mark.skipif(BROWSER is None, reason="looks at the page in Chromium, which is not installed")

MEASURE = """
<script>
const box = (one) => { const b = one.getBoundingClientRect(); return [b.width, b.height]; };
const seen = {
  svgs: [...document.querySelectorAll("svg")].map(box),
  texts: [...document.querySelectorAll("svg text")].map(box),
  paths: [...document.querySelectorAll("svg path")].filter((one) => one.style.fill.startsWith("var")).map(box),
  fills: [...new Set([...document.querySelectorAll("svg path")].map((one) => getComputedStyle(one).fill))],
  ink: getComputedStyle(document.querySelector("svg text")).fill,
  text: getComputedStyle(document.body).color,
  ground: getComputedStyle(document.body).backgroundColor,
  card: getComputedStyle(document.querySelector("section")).backgroundColor,
  wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
  hung: [...document.querySelectorAll("svg")].filter((svg) => {
    const all = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].some((one) => {
      const b = one.getBoundingClientRect();
      return b.left < all.left - 2 || b.right > all.right + 2 || b.top < all.top - 2 || b.bottom > all.bottom + 2;
    });
  }).length,
};
document.body.setAttribute("data-seen", JSON.stringify(seen));
</script>
"""


def browse(path: Path, tmp_path: Path, scheme: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(BROWSER),
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"),
        f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}",
        *more,
        path.as_uri(),
    ]
    home = os.environ | {"HOME": str(tmp_path)}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=home)


def luminance(colour: tuple[float, ...]) -> float:
    """Of WCAG 2."""
    parts = [one / 255 for one in colour]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(luminance(tuple(map(float, re.findall(r"[\d.]+", colour)[:3]))) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_a_browser_shows_it(hostile: chunkwire.UsageTable, tmp_path: Path, scheme: str, engine: str) -> None:
    if engine != "native":
        pytest.skip("the page is the same for both engines")
    image = pytest.importorskip("PIL.Image")
    path, copy, shot = tmp_path / "report.html", tmp_path / "measured.html", tmp_path / "shot.png"
    text = written(hostile, tmp_path)
    done = browse(path, tmp_path, scheme, "--window-size=1100,2400", f"--screenshot={shot}")
    assert "CONSOLE" not in done.stderr, "no error, and nothing that the policy forbids"

    copy.write_text(re.sub(r"<meta http-equiv.*?>", "", text).replace("</body>", f"{MEASURE}</body>"), "utf-8")
    dom = browse(copy, tmp_path, scheme, "--window-size=1100,2400", "--dump-dom").stdout
    seen = json.loads(re.search(r'data-seen="([^"]*)"', dom)[1].replace("&quot;", '"'))  # type: ignore[index]
    assert len(seen["svgs"]) == text.count("<svg ")
    assert all(width > 250 and height > 50 for width, height in seen["svgs"])
    assert all(width > 1 and height > 5 for width, height in seen["texts"])
    assert seen["paths"]
    assert all(width > 0 and height > 0 for width, height in seen["paths"])
    assert seen["wide"], "nothing to scroll to the side"
    assert seen["hung"] == 0, "no text hangs out of its chart"
    dark = scheme == "dark"
    assert (luminance(tuple(map(float, re.findall(r"\d+", seen["ground"])))) < 0.2) == dark
    assert contrast(seen["text"], seen["ground"]) > 7
    assert contrast(seen["ink"], seen["card"]) > 7
    parts = [fill for fill in seen["fills"] if fill not in ("none", seen["ink"], "rgb(0, 0, 0)")]
    assert len(parts) >= 6, "models have colours of their own"
    assert all(contrast(fill, seen["card"]) >= 3 for fill in parts)

    with image.open(shot) as picture:
        colours = Counter(zip(*[iter(picture.convert("RGB").tobytes())] * 3, strict=True))
    assert len(colours) > 100, "not blank"
    for fill in parts:
        red, green, blue = map(int, re.findall(r"\d+", fill))
        assert colours[red, green, blue] > 50, "a colour that is nowhere to be seen"
    ground = tuple(map(int, re.findall(r"\d+", seen["ground"])))
    assert colours.most_common(2)[0][0] in (ground, tuple(map(int, re.findall(r"\d+", seen["card"]))))


@in_browser
def test_a_narrow_window(table: chunkwire.UsageTable, tmp_path: Path, engine: str) -> None:
    if engine != "native":
        pytest.skip("the page is the same for both engines")
    copy = tmp_path / "measured.html"
    text = re.sub(r"<meta http-equiv.*?>", "", written(table, tmp_path))
    copy.write_text(text.replace("</body>", f"{MEASURE}</body>"), "utf-8")
    dom = browse(copy, tmp_path, "light", "--window-size=500,2400", "--dump-dom").stdout
    seen = json.loads(re.search(r'data-seen="([^"]*)"', dom)[1].replace("&quot;", '"'))  # type: ignore[index]
    assert seen["wide"], "tables scroll for themselves"
    assert all(width > 250 for width, _ in seen["svgs"])


def test_computed_costs_have_a_section_of_their_own(tmp_path: Path) -> None:
    def page(table: chunkwire.UsageTable) -> str:
        table.report(tmp_path / "report.html")
        return (tmp_path / "report.html").read_text("utf-8")

    prices = {"heron-r1": {"input_cost_per_token": 1e-3, "output_cost_per_token": 2e-3}}
    table = chunkwire.usage(SAMPLES / "day.sse").with_costs(prices)
    priced = page(table)
    assert 'id="computed"' in priced
    assert "not priced" in priced
    assert f"{table.summary().total['computed_cost']:,.2f}" in priced
    assert 'id="computed"' not in page(chunkwire.usage(SAMPLES / "day.sse"))


def test_costs_without_end(engine: str, tmp_path: Path) -> None:
    """Bars end somewhere, and the page says so; the table has the numbers."""
    data = b""
    for at, (model, cost) in enumerate([("a", 1.7e308), ("a", 1.7e308), ("b", 1.7e308), ("c", 1e300), ("d", 0.5)]):
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "cost": cost}
        data += event(chunk_json(id=str(at), model=model, created=START + at, choices=[], usage=usage)) + DONE
    text = written(chunkwire.usage(data, engine=engine), tmp_path)
    assert "<p>Bars end at 1e+30: some would be longer.</p>" in text
    assert "<td>inf</td>" in text
    assert not re.search("nan|inf", "".join(re.findall(r' d="[^"]*"', text)))
    prices = {"a": {"input_cost_per_token": 1e300, "output_cost_per_token": 1e300}}
    with np.errstate(all="ignore"):
        priced = chunkwire.usage(data, engine=engine).with_costs(prices)
    assert written(priced, tmp_path).count("Bars end at 1e+30") == 2
    small = chunkwire.usage(event(chunk_json(usage=usage)) + DONE, engine=engine)
    assert "Bars end" not in written(small, tmp_path)
