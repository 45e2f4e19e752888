"""Generated logs of JSON: both engines say the same of each, chunk by chunk, row by row, byte by byte. Behind them what
such logs have shown to be wrong."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkwire
import generators as generate
from chunkwire import _engine
from chunkwire._packing import packing_of
from chunkwire._rows import COLUMNS, MEASURES
from messages import told
from odd_logs import OddLog, odd_logs
from oracle_logs import oracle_log
from support import drain, full, full_of, push


def refused(error: Exception) -> tuple[str, ...]:
    """Why a log is not read at all."""
    return (type(error).__name__, getattr(error, "kind", ""), str(error))


def said(engine: str, log: OddLog, **options: Any) -> dict[str, Any]:
    """All that an engine says of a log, or why it does not read it."""
    how: dict[str, Any] = {"engine": engine} | log.how | options
    found: dict[str, Any] = {}

    def decoded() -> None:
        chunks = chunkwire.decode(log.data, **how)
        found["decoded"] = full(drain(chunks))
        found["stats"] = asdict(chunks.stats)
        counted = [count for name, count in found["stats"].items() if name.endswith("_bytes")]
        assert sum(counted) == found["stats"]["bytes"]

    def usage() -> None:
        table = chunkwire.usage(log.data, estimate=True, keep=log.keep, **how)
        columns = {name: table._column(name).tolist() for name in (*COLUMNS, *MEASURES, "valid", "measured")}
        columns |= {f"kept {path}": table.kept[path].tolist() for path in log.keep}
        columns["raw"] = [table.raw(row) for row in range(len(table))]
        found.update({name: [repr(value) for value in values] for name, values in columns.items()})
        found["usage stats"] = asdict(table.stats)

    def completions() -> None:
        completions = chunkwire.completions(log.data, **how)
        found["completions"] = told(completions)
        found["completions stats"] = asdict(completions.stats)

    def others() -> None:
        texts = drain(chunkwire.contents(log.data, on_error="skip", **how))
        found["contents"] = [refused(text) if isinstance(text, Exception) else text for text in texts]
        batches = list(chunkwire.batches(log.data, on_error="skip", **how))
        for name in ("stream", "offset", "content", "finish_reason"):
            found[f"batches {name}"] = [value for batch in batches for value in list(getattr(batch, name))]

    for ask in (decoded, usage, completions, others):
        try:
            ask()
        except (chunkwire.DecodeError, ImportError) as error:
            found[f"{ask.__name__} is refused"] = refused(error)
    return found


@settings(max_examples=200)
@given(log=odd_logs(), strict=st.sampled_from([False, False, True]), limit=st.sampled_from([None, None, None, 200]))
def test_engines_agree(native: str, log: OddLog, strict: bool, limit: int | None) -> None:
    if packing_of(log.data[:6]) != "":
        return
    options: dict[str, Any] = {"strict": strict} | ({"max_event_bytes": limit} if limit else {})
    expected = said("simdjson", log, **options)
    found = said(native, log, **options)
    for name in expected:
        assert found[name] == expected[name], name
    assert found == expected


@settings(max_examples=100)
@given(log=odd_logs(), draw=st.data())
def test_logs_in_pieces(native: str, log: OddLog, draw: Any) -> None:
    """Through `Decoder`, where the format is known."""
    if "format" not in log.how:
        return
    pieces = draw.draw(generate.pieces(log.data))
    found = []
    for engine in ("simdjson", native):
        decoder = chunkwire.Decoder(engine=engine, **log.how)
        found.append((full(push(decoder, pieces)), asdict(decoder.stats)))
    assert found[0] == found[1]


# --- what they have shown


def body(*ids: str) -> str:
    """A chunk under each of these ids."""
    docs = ({"id": id, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]} for id in ids)
    return "".join(f"data: {json.dumps(doc)}\n\n" for doc in docs)


def lines(*docs: Any) -> bytes:
    return b"".join(json.dumps(doc).encode() + b"\n" for doc in docs)


def streams(engine: str, data: bytes, **how: Any) -> list[int]:
    """The number of each chunk's stream."""
    return [int(number) for batch in chunkwire.batches(data, engine=engine, **how) for number in batch.stream]


def usage_ids(data: bytes, **how: Any) -> list[str]:
    return list(chunkwire.usage(data, **how).id)


READS: dict[str, Any] = {"format": "reads", "field": "text", "id_field": "n"}
WHOLE = {"object": "chat.completion", "id": "w", "user": "ann", "n": 1, "choices": [{"message": {"content": "x"}}]}


def test_a_finished_completion_among_reads_is_an_exchange_of_its_own(engine: str) -> None:
    """It is a request with its response, whatever it has in the place of an id."""
    data = lines(
        {"n": 1, "text": body("a")}, WHOLE, {"text": body("b")}, WHOLE | {"id": "v"}, {"n": 1, "text": body("a")}
    )
    table = chunkwire.usage(data, engine=engine, keep=["user"], **READS)
    assert table.stats.exchanges == 4
    assert list(table.id) == ["a", "w", "b", "v"]
    assert list(table.chunks) == [2, 1, 1, 1]
    assert list(table.kept["user"]) == [None, "ann", None, "ann"]
    without = chunkwire.usage(data, engine=engine, format="reads", field="text")
    assert (without.stats.exchanges, list(without.id)) == (3, ["a", "w", "b", "v"])
    exchanges = lines({"text": body("a")}, WHOLE)
    kept = chunkwire.usage(exchanges, engine=engine, format="exchanges", field="text", keep=["user"]).kept["user"]
    assert list(kept) == [None, "ann"]


def test_an_id_that_is_a_number_is_what_is_written(engine: str) -> None:
    data = b"".join(
        b'{"n": %b, "text": "x"}\n' % number for number in (b"1", b"1.0", b"1e0", b"1", b"0", b"-0", b'"1"')
    )
    assert chunkwire.usage(data, engine=engine, **READS).stats.exchanges == 6


def test_streams_of_reads_are_numbered_within_their_exchange(engine: str) -> None:
    data = lines({"n": 1, "text": body("", "a")}, {"n": 2, "text": body("a")}, {"n": 1, "text": body("a")})
    assert streams(engine, data, **READS) == [0, 0, 1, 0]
    assert list(chunkwire.usage(data, engine=engine, **READS).chunks) == [3, 1]
    data = lines({"n": 1, "text": "data: [DONE]\n\n"}, {"n": 2, "text": body("a")})
    assert streams(engine, data, **READS) == [1]
    # What seemed to be a part of a stream is another as soon as that goes on behind it.
    data = lines({"n": 1, "text": body("a", "b", "a")}, {"n": 2, "text": body("c")})
    assert list(chunkwire.usage(data, engine=engine, **READS).id) == ["a", "b", "c"]
    assert streams(engine, data, **READS) == [0, 0, 0, 2]


def test_the_mark_of_a_clipped_body_is_not_of_its_last_event(engine: str) -> None:
    data = lines({"text": body("a") + ": " + 90 * "x" + "[truncated]"})
    stats = chunkwire.usage(data, engine=engine, format="exchanges", field="text", max_event_bytes=100).stats
    assert [one.kind for one in stats.damages] == ["truncated"]


@pytest.mark.parametrize("rest", ["", " ", "n", "fals", "-", '"', "[", "null", "5"])
def test_a_member_that_comes_again_and_breaks_off(engine: str, rest: str) -> None:
    """Where nothing of its value is there, it takes none with it that was whole."""
    data = lines({"user": "ann", "text": body("a")})[:-2].decode() + f', "user": {rest}'
    how: dict[str, Any] = {"engine": engine, "format": "exchanges", "field": "text", "keep": ["user"]}
    kept = list(chunkwire.usage(data.encode(), **how).kept["user"])
    assert kept == ["ann" if rest in ("", " ", "n", "fals", "-") else 5 if rest == "5" else None]
    table = chunkwire.usage(lines({"text": body("a")})[:-2] + f', "text": {rest}'.encode(), **how)
    assert int(table.chunks.sum()) == (rest in ("", " ", "n", "fals", "-"))


def test_what_is_told_of_members_can_be_shown(engine: str) -> None:
    with pytest.raises(chunkwire.DecodeError) as caught:
        list(chunkwire.decode(b'{"\\ud83d": 1}\n{"\\u00e9": 1}\n', engine=engine))
    assert "(members: \ufffd\ufffd\ufffd, é)" in caught.value.reason


def test_what_is_less_than_nothing_by_its_sign_alone_is_nothing(engine: str) -> None:
    usage = '{"cost_in_usd_ticks": -0, "completion_time": -0.0, "prompt_time": -0}'
    data = f'{{"id": "a", "choices": [], "usage": {usage}}}\n'.encode()
    table = chunkwire.usage(data, engine=engine, format="chunks")
    cells = (table.cost[0], table.generation_time[0], table.time_to_first_token[0])
    assert [str(float(cell)) for cell in cells] == ["0.0", "0.0", "0.0"]


def test_a_byte_order_mark_before_another_line_hides_it(engine: str) -> None:
    """Also from who looks which format it is."""
    data = lines({"n": 1}) + b"\xef\xbb\xbf" + lines({"text": body("a")})
    assert tuple(_engine.load(engine).recognise(data))[1] is None
    data = b"\xef\xbb\xbf" + lines({"text": body("a")})
    assert tuple(_engine.load(engine).recognise(data))[1] == "text"


@pytest.mark.parametrize("name", ["log", "body"])
def test_a_member_whose_name_is_broken_is_found_by_what_is_shown_of_it(engine: str, name: str) -> None:
    data = lines({"log": {"body": body("a")}, "user": "ann"}).replace(name.encode(), b"\x80\xe2\x82" + name.encode())
    field = "log.body".replace(name, "\ufffd\ufffd" + name)
    assert tuple(_engine.load(engine).recognise(data))[:2] == ("exchanges", field)
    assert usage_ids(data, engine=engine) == usage_ids(data, engine=engine, field=field) == ["a"]
    kept = chunkwire.usage(data.replace(b"user", b"\xffuser"), engine=engine, keep=["\ufffduser"]).kept
    assert list(kept["\ufffduser"]) == ["ann"]


@pytest.mark.parametrize("space", ["\u2028", "\xa0", "\x1c", "\x0b"])
def test_what_is_white_space_elsewhere_is_none_of_json(engine: str, space: str) -> None:
    data = lines({"x": space + "{}", "y": space + '{"choices": []}', "text": body("a")})
    assert tuple(_engine.load(engine).recognise(data))[:2] == ("exchanges", "text")
    format, *_ = _engine.load(engine).recognise(lines({"y": space + '{"choices": []}'}))
    assert format == "sse"


def test_an_unknown_field_is_of_the_event_behind_it(engine: str) -> None:
    """Behind that no event is open: what comes next may be JSON."""
    data = lines(
        {"text": "field\n" + body("a")}, {"text": "[DONE]"}, {"text": "field\ndata: {}\n\n"}, {"text": "[DONE]"}
    )
    stats = chunkwire.usage(data, engine=engine, format="reads", field="text").stats
    assert (stats.chunks, stats.done, stats.skipped_bytes) == (1, 2, 12)


@pytest.mark.parametrize("mark", ["...[truncated]", " (truncated 12 bytes) ", "\u2026truncated", "<truncated>"])
def test_the_mark_of_a_clipped_body_stands_where_it_begins(engine: str, mark: str) -> None:
    """In whichever of the reads that is."""
    text = ": a line.. [x\n: 1... 3" + mark
    for cuts in itertools.combinations(range(len(text) + 1), 2):
        data, places = b"", []
        for number, char in enumerate(text):
            data += cuts.count(number) * b'"}\n{"text": "'
            places.append((len(data), data.count(b"\n") + 1))
            data += json.dumps(char)[1:-1].encode()
        data = b'{"text": "' + data + cuts.count(len(text)) * b'"}\n{"text": "' + b'"}\n'
        (damage,) = chunkwire.usage(data, engine=engine, format="reads", field="text").stats.damages
        offset, line = places[len(text) - len(mark)]
        assert (damage.kind, damage.offset, damage.line) == ("truncated", offset + len(b'{"text": "'), line)


def test_completions_come_in_the_order_in_which_they_began(engine: str) -> None:
    """Of reads, what stands first in the log may be complete last."""
    text = body("a").replace('"content"', '"role": "assistant", "content"')
    whole = json.loads(body("b").removeprefix("data:"))
    data = lines({"n": 1, "text": text[:30]}, {"n": 1, "text": whole}, {"n": 1, "text": text[30:]})
    completions = list(chunkwire.completions(data, engine=engine, **READS))
    assert [one.id for one in completions] == ["b", "a"]
    assert completions[0].offset > completions[1].offset
    assert usage_ids(data, engine=engine, **READS) == ["a", "b"]


def test_a_document_is_in_no_event(engine: str) -> None:
    """Though one may be open: its name says nothing of what stands by itself."""
    data = lines({"text": "event: error\n"}, {"text": {"y": 1}}, {"text": "data: no\n\n"}, {"text": {"x": 1}})
    for format, kinds in (
        ("reads", ["not_a_chunk", "server_error", "not_a_chunk"]),
        ("exchanges", ["not_a_chunk", "invalid_json", "not_a_chunk"]),
    ):
        stats = chunkwire.usage(data, engine=engine, format=format, field="text").stats
        assert [one.kind for one in stats.damages] == kinds


NO_END, AT_END = "the array has no end", "the source ends inside an array"


@pytest.mark.parametrize(
    ("data", "expected", "wrapping"),
    [
        # In a string of the first line it ends: the next line is another. Elsewhere a string ends with its line.
        (b'["x\n{"choices": []}', [("invalid_json", 1), (NO_END, 3), ("chunk", 4)], 2),
        (b'[{"a": "x  \n{"choices": []}', [("invalid_json", 1), ("chunk", 12)], 4),
        (b'[\n"x\n, "y\\\n, {"choices": []}]', [("invalid_json", 2), ("invalid_json", 7), ("chunk", 13)], 9),
        # A quote in what is no string begins none.
        (b'[x",\n{"choices": []}]', [("invalid_json", 1), ("chunk", 5)], 4),
        (b'[x""",\n{"choices": []}]', [("invalid_json", 1), ("chunk", 7)], 4),
        # White space at its end is of no element.
        (b"[1,\n2 ", [("not_a_chunk", 1), ("not_a_chunk", 4), (AT_END, 5)], 4),
        (b'[1,\n"x  ', [("not_a_chunk", 1), ("invalid_json", 4), (AT_END, 6)], 5),
        (b'[1,\n{"x": "  ', [("not_a_chunk", 1), ("truncated", 4)], 5),
        # It begins as `[DONE]` does, which is a line.
        (b'[DONE\n{"choices": []}', [("invalid_json", 1), (NO_END, 5), ("chunk", 6)], 2),
    ],
)
def test_arrays_that_break_off(engine: str, data: bytes, expected: list[tuple[str, int]], wrapping: int) -> None:
    chunks = chunkwire.decode(data, engine=engine, format="chunks")
    assert [(what(one), one.offset) for one in drain(chunks)] == expected
    assert chunks.stats.wrapping_bytes == wrapping
    # What is too large to be kept takes the same bytes.
    chunks = chunkwire.decode(data, engine=engine, format="chunks", max_event_bytes=1)
    assert [one.offset for one in drain(chunks)] == [offset for _, offset in expected]
    assert chunks.stats.wrapping_bytes == wrapping


PARTS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b" ", b"x", b"\xff", b"DONE", b'"a"', b"1"]
PARTS += [b'{"choices": []}', b'{"a": "b"}', b"null", b'\\"', b'"\n', b"\\\n"]


@settings(max_examples=300)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=14))
def test_arrays_are_what_the_reference_makes_of_them(engine: str, parts: list[bytes]) -> None:
    data = b"[" + b"".join(parts)
    log = oracle_log(data, "chunks")
    chunks = chunkwire.decode(data, engine=engine, format="chunks")
    assert full(drain(chunks)) == full_of(log)
    for name in ("events", "chunks", "damaged_bytes", "wrapping_bytes"):
        assert getattr(chunks.stats, name) == log.counts[name]


def what(one: Any) -> str:
    """What was found, or why not: the reason where no event is meant."""
    if not isinstance(one, Exception):
        return "chunk"
    return one.reason if one.reason in (NO_END, AT_END) else one.kind


def test_the_end_of_an_array_in_a_body_that_breaks_off(engine: str) -> None:
    data = lines({"a": '{"text": [0'})
    stats = chunkwire.usage(data, engine=engine, format="exchanges", field="a.text").stats
    reasons = ["a JSON number that is no chunk", NO_END, "line 1: the JSON around a.text breaks off"]
    assert [one.reason for one in stats.damages] == reasons


def test_only_objects_have_members(engine: str) -> None:
    """An array that breaks off has none, either."""
    data = lines({"0": body("a")}) + b'["data: 1'
    for how in ({"format": "exchanges"}, {"format": "reads", "id_field": "0"}):
        stats = chunkwire.usage(data, engine=engine, field="0", **how).stats
        assert (stats.chunks, stats.damaged_bytes) == (1, len('["data: 1'))


def test_which_number_comes_again_is_told_by_how_it_is_written(engine: str) -> None:
    recognise = _engine.load(engine).recognise
    for numbers, format in (
        (("0.1", "0.10"), "exchanges"),
        (("0", "-0"), "exchanges"),
        (("1", "1.0"), "exchanges"),
        (("0.10", "1", "0.10"), "reads"),
        (("9" * 5000, "9" * 5000), "reads"),
    ):
        data = b"".join(f'{{"id": {number}, "text": {json.dumps(body("a"))}}}\n'.encode() for number in numbers)
        assert recognise(data)[0] == format
    assert "id 0.10 comes again" in recognise(b'{"id": 0.10, "text": "data: {}"}\n' * 2)[4]


def test_what_stands_before_a_body_does_not_hide_it(engine: str) -> None:
    """When it is recognised, at least: of JSON that is wrong nobody reads more than is right."""
    for before in ("[" * 99 + "]" * 99, "[1, ]", "1" * 5000):
        data = f'{{"n": {before}, "text": {json.dumps(body("a"))}}}\n'.encode()
        assert tuple(_engine.load(engine).recognise(data))[:2] == ("exchanges", "text")


def test_the_largest_body_is_the_one_of_which_most_is_written(engine: str) -> None:
    for one, other in (('{"choices": ["é"]}', '{"choices": ["xx" ]}'), ('{"choices":[1,2]}', '{"choices":[1234]}')):
        data = f'{{"a": {one}, "b": {other}}}\n'.encode()
        assert _engine.load(engine).recognise(data)[1] == ("b" if len(other.encode()) > len(one.encode()) else "a")


def test_the_name_of_a_member_can_be_shown(engine: str) -> None:
    data = b'{"\\ud83d": {"choices": []}}\n5\n'
    (damage,) = chunkwire.usage(data, engine=engine).stats.damages
    assert damage.reason == "line 2 has no member \ufffd\ufffd\ufffd; it looks like a JSON number"


def test_usage_that_is_none_is_told_in_the_order_of_the_log(engine: str) -> None:
    """Also where it is of exchanges that take turns."""
    chunk = 'data: {"id": "a", "choices": [], "usage": 5}\n\n'
    data = lines({"n": 2, "text": body("b")}, {"n": 1, "text": chunk}, {"n": 2, "text": chunk}, {"n": 1, "text": chunk})
    completions = chunkwire.completions(data, engine=engine, **READS)
    assert len(list(completions)) == 2
    for stats in (chunkwire.usage(data, engine=engine, **READS).stats, completions.stats):
        assert [(one.kind, one.line) for one in stats.damages] == [("wrong_type", line) for line in (2, 3, 4)]
