"""Completions: each engine beside the slow reference, on recorded and written logs, whole and cut; the objects."""

from __future__ import annotations

import copy
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import chunkwire
import odd_messages
import support
from generators import seeds, stream
from logs import interleaved
from messages import call, check, expected_of, one, told
from rows import DONE, first, last, part, report
from support import SAMPLES, canonical, cut, event, recorded

# --- logs


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.sse")), ids=lambda path: path.stem)
def test_samples(engine: str, path: Path) -> None:
    check(engine, path.read_bytes())


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded_streams(engine: str, path: Path) -> None:
    check(engine, path.read_bytes())


@pytest.mark.skipif(not recorded(), reason="CHUNKWIRE_STREAMS names no folder of recorded streams")
@pytest.mark.parametrize("seed", range(6))
def test_recorded_streams_side_by_side(engine: str, seed: int) -> None:
    rng = random.Random(seed)
    some = rng.sample([path for path in recorded() if path.stat().st_size < 60_000], k=20)
    streams = [[chunk + b"\n\n" for chunk in path.read_bytes().split(b"\n\n") if chunk] for path in some]
    check(engine, b"".join(interleaved(rng, streams, seed + 1)))


@given(seeds)
def test_odd_messages(engine: str, seed: int) -> None:
    check(engine, odd_messages.log(seed))


@given(stream(size=12))
def test_odd_sources(engine: str, data: bytes) -> None:
    check(engine, data)


@pytest.mark.parametrize("seed", range(60))
def test_many_odd_messages(engine: str, seed: int) -> None:
    data = b"".join(odd_messages.log(seed * 1000 + number) for number in range(10))
    check(engine, data)


@pytest.mark.parametrize("seed", range(10))
def test_pieces_of_any_size(engine: str, seed: int) -> None:
    data = odd_messages.log(seed)
    whole = told(chunkwire.completions(data, engine=engine))
    for size in (1, 2, 7, 100, 5000):
        assert told(chunkwire.completions(cut(data, size), engine=engine)) == whole


@pytest.mark.parametrize("name", ["tools", "mistral", "openrouter", "logprobs", "interleaved", "damaged"])
def test_a_source_that_is_cut_anywhere(engine: str, name: str) -> None:
    data = (SAMPLES / f"{name}.sse").read_bytes()[:6000]
    for end in range(0, len(data), 97):
        assert told(chunkwire.completions(data[:end], engine=engine)) == expected_of(data[:end])


def test_without_shapes(native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(odd_messages.log(seed) for seed in range(40))
    by_shape = told(chunkwire.completions(data, engine=native))
    monkeypatch.setenv("CHUNKWIRE_SHAPES", "0")
    assert told(chunkwire.completions(data, engine=native)) == by_shape


def test_strict(engine: str) -> None:
    data = first() + part(content="hi").rstrip()
    assert one(engine, data).choices[0].message.content == "hi"
    (completion,) = chunkwire.completions(data, engine=engine, strict=True)
    assert completion.choices[0].message.content == ""


# --- streams


def test_a_stream_is_given_as_soon_as_it_is_final(engine: str) -> None:
    given = []

    def source() -> Any:
        for number in range(4):
            yield first(f"id-{number}") + last(f"id-{number}") + DONE
            given.append(f"end {number}")

    for completion in chunkwire.completions(source(), engine=engine):
        given.append(completion.id)
    # Behind [DONE] usage may still come: it is over when the next [DONE] has come.
    assert given == ["end 0", "id-0", "end 1", "id-1", "end 2", "id-2", "end 3", "id-3"]


def test_a_stream_that_breaks_off_keeps_none_waiting(engine: str) -> None:
    begun = 0

    def source() -> Any:
        nonlocal begun
        yield first("broken") + first("changes") + part("changed")
        for number in range(3000):
            yield first(f"id-{number}") + last(f"id-{number}") + DONE
            begun += 1

    ids = []
    for completion in chunkwire.completions(source(), engine=engine):
        ids.append(completion.id)
        assert begun == 3000 or begun == len(ids)
    # Usage may still come behind the last [DONE]; so that stream, too, is over only when the source is.
    assert ids == [*(f"id-{number}" for number in range(2999)), "broken", "changes", "id-2999"]


def test_completions_come_when_they_are_over(engine: str) -> None:
    """Not in the order in which they began, but for those that the end of the source ends."""
    data = first("a") + first("b") + first("c") + first("d")
    data += last("c") + DONE + part("a") + last("b") + DONE + part("a") + first("e") + last("e") + DONE
    assert [one.id for one in check(engine, data)] == ["c", "b", "a", "d", "e"]
    # Usage behind [DONE] still comes in.
    late = last("c") + DONE + part("c", choices=[], usage=report(5)) + last("b") + DONE
    found = check(engine, data[: data.index(last("c"))] + late)
    assert [(one.id, one.usage is not None) for one in found] == [
        ("c", True),
        *((id, False) for id in "abd"),
    ]


def test_a_part_that_turns_out_to_be_a_stream_comes_then(engine: str) -> None:
    """It may have ended long before."""
    begun = first("a") + part("b", content="1") + last("b") + DONE + first("c") + last("c") + DONE
    end = first("d") + last("d") + DONE
    assert [(one.id, one.chunks) for one in check(engine, begun + part("a", content="2") + end)] == [
        ("b", 2),
        ("c", 2),
        ("a", 2),
        ("d", 2),
    ]
    assert [(one.id, one.chunks) for one in check(engine, begun + end)] == [("c", 2), ("a", 3), ("d", 2)]


def test_many_exchanges_of_a_small_log(engine: str, tmp_path: Path) -> None:
    streams = [first(f"s{number}") + last(f"s{number}") + DONE for number in range(300)]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"body": stream.decode()}) + "\n" for stream in streams))
    whole = tmp_path / "whole.jsonl"
    whole.write_text(json.dumps({"body": b"".join(streams).decode()}))
    for log in (path, whole):
        found = chunkwire.completions(log, engine=engine)
        assert [completion.id for completion in found] == [f"s{number}" for number in range(300)]


def test_silent_streams_are_over_when_4096_are_open(engine: str) -> None:
    """Then 2048 of them are, and come in the order in which they began."""
    rng = random.Random(5)
    ids = [f"id-{number}" for number in range(4090)]
    # Parts, one of them of a stream that comes again, and one of a stream that comes again when it is over.
    events = [first("again"), part("part-1"), part("part-2"), part("again"), part("part-3", content="x")]
    events += [first(id) for id in ids]
    events += [part(id, content="y") for id in rng.sample(ids, 1500)]
    events += [first(f"new-{number}") for number in range(20)]
    events += [part("again", role="assistant"), last("part-3"), DONE, last("new-19"), DONE, last("new-18"), DONE]
    completions = check(engine, b"".join(events))
    again = [(one.chunks, one.choices[0].message.content) for one in completions if one.id == "again"]
    assert again == [(3, "xx"), (2, "x")]
    ended = [one.offset for one in completions[:2046]]
    assert ended == sorted(ended)
    left = [one.id for one in completions[2046:]]
    assert left[0] == "new-19"
    assert left[-1] == "again"


@pytest.mark.parametrize("seed", range(20))
def test_streams_in_any_order(engine: str, seed: int) -> None:
    """Ids that change, and come again; ends that come late, or never."""
    rng = random.Random(seed)
    events = []
    for _ in range(400):
        id = f"id-{rng.randrange(12)}"
        events.append(
            rng.choice([first(id), part(id, content="x"), part(id, content="y"), last(id), last(id) + DONE, DONE])
            if rng.randrange(20)
            else rng.choice([part(choices=[], usage=report(5)), event({"error": {"message": "busy"}}), event("{oops")])
        )
    check(engine, b"".join(events))


def test_streams_without_chunks_have_no_completion(engine: str) -> None:
    assert check(engine, DONE) == []
    assert check(engine, event({"error": {"message": "busy"}})) == []
    assert check(engine, b"<html>") == []
    completions = check(engine, event({"error": {"message": "busy"}}) + first() + last() + DONE + event("{oops"))
    assert [completion.status for completion in completions] == ["error"]


def test_errors_are_raised_in_their_place_when_asked(engine: str) -> None:
    error = event({"error": {"message": "busy"}})
    data = (
        first("a") + last("a") + DONE + first("b") + event("{oops") + last("b") + DONE + error + first("c") + last("c")
    )
    found = support.drain(chunkwire.completions(data + DONE, engine=engine, on_error="raise"))
    kinds = [one.id if isinstance(one, chunkwire.Completion) else type(one).__name__ for one in found]
    assert kinds == ["DecodeError", "a", "StreamError", "b", "c"]
    assert found[2].body == {"error": {"message": "busy"}}
    skipped = chunkwire.completions(data, engine=engine)
    assert [one.id for one in skipped] == ["a", "b", "c"]
    assert (skipped.stats.damaged, skipped.stats.errors) == (1, 1)


def test_usage_that_is_no_object_is_counted(engine: str) -> None:
    data = b"".join(part(f"id-{number}", usage="none") for number in range(1500))
    completions = chunkwire.completions(data, engine=engine)
    assert all(completion.usage is None for completion in completions)
    assert (completions.stats.damaged, len(completions.stats.damages)) == (1500, 1000)
    assert completions.stats.damages[-1].kind == "wrong_type"


def test_an_id_that_changes_inside_a_stream(engine: str) -> None:
    data = first("a") + part("b", content="1") + part("c", content="2") + part("d", content="3") + last("e") + DONE
    completion = one(engine, data)
    assert (completion.id, completion.chunks, completion.choices[0].message.content) == ("a", 5, "123")


def test_an_id_that_only_seemed_to_change(engine: str) -> None:
    data = first("a") + part("b", content="1") + part("a", content="2") + part("b", content="3") + last("a") + last("b")
    assert [one.choices[0].message.content for one in check(engine, data)] == ["2", "13"]


def test_a_long_stream_under_many_ids(engine: str) -> None:
    data = b"".join(part(f"id-{number}", content=f" {number}") for number in range(5000)) + last("end") + DONE
    (completion,) = chunkwire.completions(data, engine=engine)
    assert completion.choices[0].message.content == "".join(f" {number}" for number in range(5000))
    assert completion.chunks == 5001


# --- objects


def test_what_is_required_is_there(engine: str) -> None:
    completion = one(engine, event({"choices": [{"delta": {"tool_calls": [{}]}}]}))
    assert completion.to_dict() == {
        "id": "",
        "object": "chat.completion",
        "created": 0,
        "model": "",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "tool_calls": [{"id": "", "type": "function", "function": {"name": "", "arguments": ""}}],
                },
                "logprobs": None,
                "finish_reason": None,
            }
        ],
    }
    assert (completion.id, completion.model, completion.created, completion.usage) == (None, None, None, None)
    assert completion.status == "truncated"


def test_objects(engine: str) -> None:
    completion = one(
        engine, first(usage=report(5, prompt_tokens_details={"cached_tokens": 2}), extra={"a": [1]}) + last()
    )
    assert completion.object == "chat.completion"
    assert isinstance(completion, chunkwire.Completion)
    assert isinstance(completion.choices[0], chunkwire.CompletionChoice)
    assert isinstance(completion.choices[0].message, chunkwire.Message)
    assert isinstance(completion.usage, chunkwire.Usage)
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 2
    assert completion.extra == {"a": [1]}
    completion.extra["a"].append(2)
    completion.to_dict()["choices"].clear()
    assert completion.extra == {"a": [1]}
    assert len(completion.choices) == 1
    with pytest.raises(AttributeError, match="'Completion' object has no attribute 'citations'"):
        _ = completion.citations
    with pytest.raises(AttributeError):
        completion.id = "b"  # type: ignore[misc]
    assert "usage" in completion
    assert "service_tier" not in completion
    assert {"id", "choices", "extra", "status"} <= set(dir(completion))
    assert repr(completion).startswith("Completion(id='a', object='chat.completion', created=7, model='m', choices=[")
    assert repr(completion.choices[0].message) == "Message(role='assistant', content='')"
    for other in (pickle.loads(pickle.dumps(completion)), copy.copy(completion), copy.deepcopy(completion)):
        assert other == completion
        assert (other.status, other.offset, other.chunks) == (completion.status, 0, 2)
    message = pickle.loads(pickle.dumps(completion.choices[0].message))
    assert message == completion.choices[0].message
    assert message != completion
    assert pickle.loads(pickle.dumps(completion.usage)) == completion.usage
    assert completion != one(engine, first() + last())


def test_deep_values(engine: str) -> None:
    deep = json.loads("[" * 300 + "]" * 300)
    completion = one(engine, first(x=deep) + part(choices=[{"delta": {"x": deep}}]) + last())
    assert canonical(completion.x) == canonical(deep)
    assert canonical(completion.choices[0].message.x) == canonical(deep)


def test_options_and_sources(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "log.sse"
    data = first() + last() + DONE
    path.write_bytes(data)
    told_bytes: list[tuple[int, int | None]] = []
    found = list(chunkwire.completions(path, engine=engine, progress=lambda *counts: told_bytes.append(counts)))
    assert told(found) == told(chunkwire.completions(data, engine=engine))
    assert told_bytes[-1] == (len(data), len(data))
    with pytest.raises(ValueError, match="on_error must be"):
        chunkwire.completions(data, engine=engine, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        chunkwire.completions(tmp_path / "none.sse", engine=engine)
    large = chunkwire.completions(first() + part(content="x" * 999) + last(), engine=engine, max_event_bytes=500)
    assert [one.status for one in large] == ["malformed"]


def test_a_source_that_asks_for_its_own_completions(engine: str) -> None:
    def source() -> Any:
        yield first()
        with pytest.raises(ValueError, match="already in use"):
            next(completions)
        yield last() + DONE

    completions = chunkwire.completions(source(), engine=engine)
    assert len(list(completions)) == 1


def test_linear_time_whatever_the_pieces(engine: str) -> None:
    """A message of many pieces, tool calls of many ids, many choices: nothing is looked at again and again."""
    count = 3000
    text = b"".join(part(content="x" * 50) for _ in range(count))
    elements = [call("{}", f"f{number}", index=number, id=f"id-{number}") for number in range(count)]
    tools = b"".join(part(choices=[{"delta": {"tool_calls": [element]}}]) for element in elements)
    many = b"".join(part(choices=[{"index": number, "delta": {"content": "x"}}]) for number in range(count))
    details = [{"type": "reasoning.text", "index": number % 1500, "text": "x"} for number in range(count)]
    thoughts = b"".join(part(choices=[{"delta": {"reasoning_details": [detail]}}]) for detail in details)
    names = b"".join(part(choices=[{"delta": {f"x{number}": "x"}}]) for number in range(count))
    (completion,) = chunkwire.completions(text + tools + many + thoughts + names, engine=engine)
    message = completion.choices[0].message
    assert len(message.content or "") == 50 * count + 1
    assert len(message.tool_calls or []) == count
    assert len(completion.choices) == count
    assert [one["text"] for one in message.reasoning_details] == ["xx"] * 1500
    assert message.x2999 == "x"


def test_a_finish_reason_that_is_empty_until_the_end(engine: str) -> None:
    # The chunks are built alike, and so are the streams: an empty reason must not hide the last one.
    streams = [
        b"".join(
            event(json.dumps({"id": id, "created": 1, "model": "m", "choices": [choice(text, reason)]}))
            for text, reason in [("a", ""), ("b", ""), ("c", ""), ("", "stop")]
        )
        + DONE
        for id in "ABC"
    ]
    found = list(chunkwire.completions(b"".join(streams), engine=engine))
    assert [one.choices[0].finish_reason for one in found] == ["stop"] * 3
    reasons = [choice("x", reason) for reason in ["a", "b", "", "c"]]
    source = b"".join(event(json.dumps({"id": "A", "created": 1, "model": "m", "choices": [one]})) for one in reasons)
    (completion,) = chunkwire.completions(source, engine=engine)
    assert completion.choices[0].finish_reason == "c"


def choice(text: str, reason: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, "finish_reason": reason}


def test_a_tool_type_that_is_no_text_stays(engine: str) -> None:
    sent = [{"index": 0, "id": "a", "type": {}, "function": {"name": "f", "arguments": "1"}}]
    delta = {"index": 0, "delta": {"tool_calls": sent}, "finish_reason": "tool_calls"}
    (completion,) = check(engine, part(choices=[delta]) + DONE)
    assert completion.to_dict()["choices"][0]["message"]["tool_calls"][0]["type"] == {}
