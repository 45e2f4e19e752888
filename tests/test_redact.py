"""Logs that are to be shared: that nothing of what was said is left, and that a parser finds all that it found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chunkwire
from chunkwire import _redact
from chunkwire._cli import main
from oracle import COUNTS
from support import SAMPLES, chunk_json, cut, event, recorded

SECRET = "Lebowski"
NUMBER = 867530942


@pytest.fixture(autouse=True)
def _same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same secret in every run, so that two can be compared."""
    monkeypatch.setattr(_redact.os, "urandom", lambda count: b"k" * count)


def redact(data: bytes, **options: Any) -> bytes:
    found = b"".join(chunkwire.redact(data, **options))
    assert len(found) == len(data)
    return found


def form(value: Any) -> Any:
    """What a parser sees of a document: names, kinds, and how long texts are."""
    if isinstance(value, dict):
        return {key: form(member) for key, member in value.items()}
    if isinstance(value, list):
        return [form(item) for item in value]
    if isinstance(value, str):
        return len(value), len(value.encode("utf-8", "surrogatepass"))
    return type(value)


def check(log: bytes) -> bytes:
    """Redacts a log, and compares what is found in it before and after."""
    other = redact(log)
    before, after = (chunkwire.decode(one, on_error="skip") for one in (log, other))
    for chunk, twin in zip(before, after, strict=True):
        assert (chunk.offset, form(chunk.to_dict())) == (twin.offset, form(twin.to_dict()))
    assert all(getattr(before.stats, name) == getattr(after.stats, name) for name in COUNTS)
    kinds = [[(one.kind, one.offset, one.line, one.event) for one in each.stats.damages] for each in (before, after)]
    assert kinds[0] == kinds[1]
    usage, twin_usage = chunkwire.usage(log), chunkwire.usage(other)
    for name in ("total_tokens", "prompt_tokens", "cached_tokens", "reported", "status", "finish_reason", "offset"):
        assert list(getattr(usage, name)) == list(getattr(twin_usage, name)), name
    return other


@pytest.mark.parametrize("path", [*sorted(SAMPLES.glob("*.sse")), *recorded()], ids=lambda path: path.name)
def test_a_parser_finds_the_same(path: Path) -> None:
    log = path.read_bytes()
    other = check(log)
    for chunk in chunkwire.decode(log, on_error="skip"):
        # A word of several letters is nowhere any more. (Where it is a name of a member or a model, it stays.)
        for word in (chunk.content or "").split() if isinstance(chunk.content, str) else ():
            if len(word) > 5 and not word.isascii():
                assert word.encode() not in other


PLACES = [
    event(chunk_json(choices=[{"index": 0, "delta": {"content": f"Mr {SECRET} said"}}])),
    event(chunk_json(choices=[{"index": 0, "delta": {"content": f'"{SECRET}", \\ he said\n'}}])),
    event(chunk_json(choices=[{"index": 0, "delta": {"content": f": {SECRET}\nevent: {SECRET}\n"}}])),
    event(chunk_json(choices=[{"delta": {"reasoning": SECRET, "refusal": SECRET, "audio": {"data": SECRET}}}])),
    event(chunk_json(choices=[{"delta": {"tool_calls": [{"function": {"name": SECRET, "arguments": SECRET}}]}}])),
    event(chunk_json(choices=[{"delta": {"content": [{"type": "text", "text": SECRET}]}}])),
    event(chunk_json(id=SECRET, system_fingerprint=f"fp_{SECRET}")),
    event(chunk_json(model=f"ft:gpt-4o-mini-2024:{SECRET}::abc")),
    event(chunk_json(model=f"/home/{SECRET}/model.gguf")),
    event(chunk_json(role=f"{SECRET} {SECRET}", type=f"a {SECRET}", provider=f"{SECRET}'s")),
    event(chunk_json(user=SECRET, citations=[f"https://example.com/{SECRET}"], unknown={"deep": [[SECRET]]})),
    event(chunk_json(phone=NUMBER, numbers=[NUMBER], unknown={"x": {"y": NUMBER}})),
    event(chunk_json(choices=[{"logprobs": {"content": [{"token": SECRET, "bytes": [NUMBER], "top_logprobs": []}]}}])),
    event({"error": {"message": f"no {SECRET}", "code": 400}}),
    event("{" + SECRET),
    event('{"id": "a", "choices": [{"delta": {"content": "' + SECRET),
    event(f'{{"choices": [], {SECRET}: {NUMBER}}}'),
    event(SECRET),
    f"event: {SECRET} {SECRET}\ndata: {{}}\n\n".encode(),
    f"id: {SECRET}\ndata: {{}}\n\n".encode(),
    f"retry: {SECRET}!\n\n".encode(),
    f": {SECRET}\n\n".encode(),
    f"{SECRET}\n\n".encode(),
    f"{SECRET}: {SECRET}\n\n".encode(),
    f"<html><b>{SECRET}</b> {NUMBER}</html>\n".encode(),
    b'data: {"choices":[{"delta":\ndata: {"content":"' + SECRET.encode() + b'\ndata: ' + SECRET.encode() + b'"}}]}\n\n',
    b"event: error\ndata: " + SECRET.encode() + b"\n\n",
    # Arguments of a tool that are an object have members of every name.
    event(chunk_json(choices=[{"delta": {"tool_calls": [{"function": {"arguments": {
        "code": SECRET, "role": SECRET, "status": SECRET, "id": SECRET, "tokens": NUMBER, "usage": {"n": NUMBER},
        "model": f"{SECRET}-7", "day": ["2026-11-27"], "event": [{"type": SECRET}]}}}]}}])),
    event(chunk_json(metadata={"status": SECRET, "count": NUMBER})),
    # What is said may be about bodies.
    event(chunk_json(choices=[{"delta": {"content": json.dumps({"choices": [], SECRET: {"code": NUMBER}})}}])),
    event(chunk_json(choices=[{"delta": {"content": f'data: {{"choices": [], "{SECRET}": 1}}\n\n'}}])),
    # No names of members, nor values of those: quotes that are not escaped, arrays.
    event(f'{{"choices": [{{"delta": {{"content": "a "b" {SECRET}": c"}}}}]}}'),
    event(f'{{"choices": [], "role": "a" "{SECRET}", "type": "b" c "{SECRET}"}}'),
    event(f'{{"choices": [], "role": {{"{SECRET}"}}}}'),
    event(chunk_json(code=[SECRET], type=[[SECRET]])),
    # Whose they are is not for servers to say.
    event(chunk_json(custom_id=f"{SECRET}_1", session_id=f"{SECRET}-x", conversation_id=SECRET)),
    event(chunk_json(token=NUMBER, pin_code=NUMBER, zip_code=NUMBER, choices=[{"token": {"id": NUMBER}}])),
    f"event: message.{SECRET.lower()}\ndata: {SECRET}\n\n".encode(),
    f": {NUMBER}\n\n: ping {SECRET} {NUMBER}\n\n: {SECRET} PROCESSING\n\n".encode(),
    f'data: {{"x": 1e{NUMBER}, "y": 2.5E-{NUMBER}}}\n\n'.encode(),
]  # fmt: skip
SPELT = SECRET.encode(), "".join(f"\\u{ord(one):04x}" for one in SECRET).encode(), str(NUMBER).encode()


def assert_unsaid(data: bytes) -> None:
    for secret in SPELT:
        assert secret not in data
        assert secret[: len(secret) // 2] not in data


@pytest.mark.parametrize("number", range(len(PLACES)))
def test_nothing_that_was_said_is_left(number: int) -> None:
    log = PLACES[number]
    assert SPELT[0] in log or SPELT[2] in log
    assert_unsaid(check(log))
    for size in range(len(log)):  # a log that breaks off anywhere
        assert_unsaid(redact(log[:size])[: max(size - 2, 0)])


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_bodies_in_json_lines(ensure_ascii: bool, depth: int) -> None:
    body: Any = (
        b"".join(PLACES).decode() + event(chunk_json(choices=[{"delta": {"content": "é \u2028 🙂 / \t"}}])).decode()
    )
    document: Any = {"user": SECRET, "phone": NUMBER, "ts": 17.5, "timestamp": "2026-11-27T12:00:00Z", "body": body}
    for _ in range(depth - 1):
        document = {"log": json.dumps(document, ensure_ascii=ensure_ascii), "note": SECRET, "choices": 0}
    line = json.dumps(document, ensure_ascii=ensure_ascii).encode() + b"\n"
    other = redact(line + line)
    assert_unsaid(other)
    assert other[: len(line)] == other[len(line) :]
    found, twin = json.loads(line), json.loads(other[: len(line)])
    for _ in range(depth - 1):
        assert form(found) == form(twin)
        found, twin = json.loads(found["log"]), json.loads(twin["log"])
    assert (twin["ts"], twin["timestamp"]) == (17.5, "2026-11-27T12:00:00Z")
    before, after = (chunkwire.decode(one["body"].encode(), on_error="skip") for one in (found, twin))
    for chunk, other_chunk in zip(before, after, strict=True):
        assert form(chunk.to_dict()) == form(other_chunk.to_dict())


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_document_over_many_lines(size: int) -> None:
    body = b"".join(PLACES[:8]).decode()
    said = {"code": SECRET, "usage": {"tokens": NUMBER}, "list": [[SECRET, NUMBER]]}
    document = {"log": {"arguments": said, "entries": [{"messages": [{"content": body}]}, {"body": body, "t": 17.25}]}}
    log = json.dumps(document, indent=2).encode() + b"\n"
    other = b"".join(chunkwire.redact(iter(cut(log + log[:-9] + b"\n" + log, size))))
    for place in (0, 2 * len(log) - 8):
        one = other[place : place + len(log)]
        assert_unsaid(one)
        assert form(json.loads(one)) == form(document)
        entry = json.loads(one)["log"]["entries"][1]
        assert entry["t"] == 17.25
        assert [form(chunk.to_dict()) for chunk in chunkwire.decode(entry["body"].encode())] == [
            form(chunk.to_dict()) for chunk in chunkwire.decode(body.encode())
        ]


def test_what_stays() -> None:
    log = b": OPENROUTER PROCESSING\n\n: ping - 2026-11-27 12:00:00\n\nevent: message\nretry: 3000\n" + event(
        chunk_json(
            model="gpt-4o-mini",
            choices=[{"index": 3, "delta": {"role": "assistant"}, "finish_reason": "tool_calls"}],
            usage={
                "prompt_tokens": 12,
                "completion_tokens_details": {"reasoning_tokens": 99},
                "anything": 5,
                "cost": 0.5,
            },
            service_tier="default",
        )
    )
    (chunk,) = chunkwire.decode(redact(log))
    assert redact(b"retry: 4111111111111111\n\n") == b"retry: 1111111111111111\n\n"  # that is no time
    sent = json.loads(log[log.index(b"{") :])
    assert {**chunk.to_dict(), "id": None} == {**sent, "id": None}
    assert redact(log).startswith(log[: log.index(b"data")])


def test_dates_are_kept_where_they_are_times() -> None:
    log = event(
        chunk_json(
            created_at="2026-11-27T12:00:00Z",
            started="2026-11-27",
            choices=[{"delta": {"content": "1984-05-12", "birthday": "1984-05-12"}}],
            time="2026-11-27 4111111111111111",
        )
    )
    (chunk,) = chunkwire.decode(redact(log))
    assert chunk.created_at == "2026-11-27T12:00:00Z"
    for other in (chunk.content, chunk.choices[0].delta.birthday, chunk.started, chunk.time):
        assert other == "x" * len(other)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "koi8-r", "gbk", "euc-jp", "euc-kr", "utf-8"])
def test_no_encoding_gets_through(encoding: str) -> None:
    texts = {"latin-1": "àéîõü", "euc-jp": "こんにちは", "euc-kr": "안녕하세요", "gbk": "密码是什么"}
    said = texts.get(encoding, "Привет")
    content = f'data: {{"choices": [{{"delta": {{"content": "{said}"}}}}]}}\n\n'.encode(encoding)
    body = said.encode(encoding)
    other = redact(content)
    assert not any(body[at : at + 2] in other for at in range(len(body) - 1))


#: What matters to a decoder of UTF-8.
BYTES = st.sampled_from(b"a\\\x80\x8f\x90\x9f\xa0\xbf\xc1\xc2\xdf\xe0\xe1\xed\xee\xf0\xf1\xf4\xf5\xff")


@given(st.binary(max_size=60) | st.lists(BYTES).map(bytes))
def test_what_is_no_utf8_stays_so_character_by_character(text: bytes) -> None:
    other = _redact._Redactor(())._filler(text)
    spots = [[one == "\ufffd" for one in each.decode("utf-8", "replace")] for each in (text, other)]
    assert spots[0] == spots[1]


def test_ids_stay_the_same_and_different(monkeypatch: pytest.MonkeyPatch) -> None:
    log = b"".join(event(chunk_json(id=f"chatcmpl-A{number // 2}bcdef0123")) for number in range(6))
    ids = [str(chunk.id) for chunk in chunkwire.decode(redact(log))]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert all(one.startswith("chatcmpl-") for one in ids)
    monkeypatch.setattr(_redact.os, "urandom", lambda count: b"l" * count)
    assert not set(ids) & {chunk.id for chunk in chunkwire.decode(redact(log))}


def test_what_is_to_be_kept() -> None:
    log = event(chunk_json(user=SECRET, phone=NUMBER, note=SECRET))
    (chunk,) = chunkwire.decode(redact(log, keep=["user", "phone"]))
    assert (chunk.user, chunk.phone) == (SECRET, NUMBER)
    assert chunk.note == "x" * len(SECRET)
    with pytest.raises(TypeError, match="list of names"):
        chunkwire.redact(log, keep="user")


@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:\\udata \n\r0e-xé🙂\u2028', max_size=200).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    redact(data)
    redact(b"data: " + data)
    redact(b'{"body": "data: ' + data)


@pytest.mark.parametrize("size", [1, 2, 3, 50, 1000])
def test_the_cuts_do_not_matter(size: int) -> None:
    for log in (b"".join(PLACES), b"".join(PLACES).replace(b"\n", b"\r\n"), b"".join(PLACES).replace(b"\n", b"\r")):
        assert b"".join(chunkwire.redact(iter(cut(log, size)))) == redact(log)
    lines = b"".join(json.dumps({"body": place.decode()}).encode() + b"\r\n" for place in PLACES)
    assert b"".join(chunkwire.redact(iter(cut(lines, size)))) == redact(lines)


def test_it_comes_piece_by_piece() -> None:
    def blocks() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield PLACES[0] + b": x"

    read: list[int] = []
    pieces = chunkwire.redact(blocks())
    next(pieces)
    assert len(read) <= 2


def test_a_compressed_log_that_breaks_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, short = tmp_path / "log.sse.gz", tmp_path / "short.sse"
    log.write_bytes(gzip.compress(b"".join(PLACES), mtime=0)[:-9])  # the end mark, and a byte before it
    found: list[bytes] = []
    with pytest.raises(chunkwire.DecodeError, match="cut or damaged") as caught:
        found.extend(chunkwire.redact(log))
    whole = b"".join(found)
    assert redact(b"".join(PLACES)).startswith(whole)
    assert (caught.value.kind, caught.value.offset) == ("truncated", len(whole))
    assert len(whole) > 500
    assert main(["redact", str(log), "-o", str(short)]) == 1
    assert "log.sse.gz" in capsys.readouterr().err
    assert short.read_bytes() == whole


# --- the command line


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.sse"
    log.write_bytes(b"".join(PLACES))
    assert main(["redact", str(log)]) == 0
    out, err = capsys.readouterr()
    assert out.encode() == redact(log.read_bytes())
    assert "look at it before you share it" in err
    for name in ("a.sse", "a.sse.gz", "a.sse.bz2", "a.sse.xz", "a.sse.zst"):
        assert main(["redact", str(log), "-o", str(tmp_path / name), "--keep", "user"]) == 0
    assert gzip.decompress((tmp_path / "a.sse.gz").read_bytes()) == (tmp_path / "a.sse").read_bytes()
    assert SECRET.encode() in (tmp_path / "a.sse").read_bytes()
    assert (tmp_path / "a.sse.zst").read_bytes().startswith(b"\x28\xb5\x2f\xfd")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nowhere.sse",), "nowhere.sse: No such file or directory"),
        (("{log}", "-o", "{log}"), "--output names the log itself"),
        (("{log}", "-o", "{folder}/none/x.sse"), "cannot write to"),
    ],
)
def test_what_cannot_be(
    arguments: tuple[str, ...], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.sse"
    log.write_bytes(PLACES[0])
    assert main(["redact", *(one.format(log=log, folder=tmp_path) for one in arguments)]) == 2
    assert error in capsys.readouterr().err
    assert log.read_bytes() == PLACES[0]
