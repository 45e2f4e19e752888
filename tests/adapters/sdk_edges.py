"""What a server may send to the SDKs that Speakeasy generates, beside what it may send to anybody: more streams."""

from __future__ import annotations

import json
from typing import Any

from edges import CALL, DONE, EDGES, A, B, choice, chunk, delta, event, usage

BOM = b"\xef\xbb\xbf"
WHOLE = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "token_id": 3}


def logprobs(**fields: Any) -> bytes:
    return choice(**WHOLE, logprobs={"content": [{**TOKEN, "top_logprobs": [TOKEN], **fields}]})


def whole_choice(**fields: Any) -> bytes:
    return choice(**{**WHOLE, **fields})


OWN: dict[str, bytes] = {
    # Framing.
    "pairs of unlike ends": A[:-2] + b"\n\r\n" + B[:-2] + b"\r\n\r" + A[:-2] + b"\n\r" + B[:-2] + b"\r\r\n" + DONE,
    "ends left over": A[:-2] + b"\r\r\n" + b"\n" + B[:-2] + b"\r\n\n\r\n" + A + b"\r" + B + b"\r\n" + A + DONE,
    "ends left over before what is no UTF-8": A[:-2] + b"\r\r\n" + b"data: \xff\n\n" + B + DONE,
    "odd ends at the end": A + B[:-2] + b"\r\n\r",
    "no UTF-8 at a boundary": A + b"data: \xe3\x81\n\n" + B + DONE,
    "no UTF-8 behind an id": b"id: 1\n" + A + b"id: 2\ndata: \xff\n\n" + B,
    "byte order mark in the middle": A + BOM + B + DONE,
    "byte order mark in a block": A[:-2] + b"\n" + BOM + b": hi\n\n" + B + DONE,
    "byte order mark twice": BOM + BOM + A + B + DONE,
    "byte order mark alone": BOM,
    "byte order mark behind a line end": b"\n" + BOM + A + DONE,
    "sentinel and comment behind it": A + DONE + b": x\n\n" + B + A,
    "sentinel and half a block behind it": A + DONE + B[:-2],
    "sentinel and half a boundary behind it": A + DONE + B[:-1] + b"\n" + A,
    "sentinel and an end behind it": A + DONE + b"\n" + B,
    "sentinel under a type": A + b"event: end\n" + DONE + B,
    "sentinel in two lines": A + b"data: [DONE]\ndata: \n\n" + B,
    "sentinel in quotes": A + b'data: "[DONE]"\n\n' + B,
    "id and then an error": b"id: 41\n" + A + B + event({"choices": 5}) + A,
    "id, type and retry beside an error": b'id: 1\nevent: e\nretry: 5\ndata: {"choices": 5}\n\n' + A,
    "type beside an error": A + b'event: e\ndata: {"choices": 5}\n\n' + A,
    "empty id beside an error": b"id: 1\n" + A + b'id:\ndata: {"id": 1}\n\n',
    "retry of odd digits": A + "retry: ²\n".encode() + B + DONE,
    "retry of Arabic digits": A + "retry: ٣\n".encode() + B + DONE,
    "retry of many digits": A + b"retry: " + b"1" * 5000 + b"\n" + B + DONE,
    "type alone": A + b"event: x\n\n" + B + DONE,
    "id alone": A + b"id: x\n\n" + B + DONE,
    "type without colon": A + b"event\n" + B + DONE,
    "primitives": event(True) + A,
    "digits that are no number": A + "data: ²\n\n".encode() + B,
    "text in quotes": A + event("hi") + B,
    "space before the brace": A + event(b"  " + json.dumps(chunk("b")).encode()) + A + DONE,
    "tab before the brace": A + event(b"\t" + json.dumps(chunk("b")).encode()) + A + DONE,
    # JSON that is written and read once more.
    "lone surrogate in a field": A + event(json.dumps(chunk("x\ud800")).encode()) + B,
    "lone surrogate in what is ignored": A + event(json.dumps(chunk("x", y=[{"z": "\udfff"}])).encode()) + B,
    "lone surrogate in a key": A + event(json.dumps(chunk("x", **{"\ud800": 1})).encode()) + B,
    "lone surrogate, replaced": A + event(b'{"x": "\\ud800", "x": 1, ' + json.dumps(chunk()).encode()[1:]) + B + DONE,
    "pairs of surrogates": event(json.dumps(chunk("😀", y="\U0001f600")).encode()) * 3 + DONE,
    "escapes that are none": event(json.dumps(chunk("\\ud800 \\\\ud800")).encode()) * 3 + DONE,
    "deep in what is ignored": A + event(chunk(x=[[[[1]]]])) + DONE,
    "deeper in what is ignored": A
    + event(json.dumps(chunk()).encode()[:-1] + b', "x": ' + b"[" * 150 + b"]" * 150 + b"}")
    + DONE,
    "too deep in what is ignored": A
    + event(json.dumps(chunk()).encode()[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}")
    + DONE,
    "NaN in what is ignored": A + event(json.dumps(chunk(x=[float("nan"), float("inf")])).encode()) + DONE,
    "NaN in a number": A + event(json.dumps(chunk(created=float("nan"))).encode()) + DONE,
    "floats": event(
        chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "x": 1e400, "y": 1e-400})
    )
    + usage(cost=0.1, prompt_tokens_details={"cached_tokens": 1, "f": [1e22, -0.0, 1.1]})
    + DONE,
    # Names.
    "names of fields that are called otherwise": event(chunk(OBJECT="chat.completion.chunk")) + A + DONE,
    "only that name": event({**{key: value for key, value in chunk().items() if key != "object"}, "OBJECT": "x"})
    + DONE,
    "that name below": logprobs(bytes_=[1])
    + delta(tool_calls=[{**{key: value for key, value in CALL.items() if key != "type"}, "TYPE": "function"}])
    + DONE,
    "without object": event({key: value for key, value in chunk().items() if key != "object"}) * 2 + DONE,
    "another object": A + event(chunk(object="chat.completion")) + B,
    "object null": A + event(chunk(object=None)) + B,
    # Absent, null, value, and what is not valid.
    "three states": delta(content="a") + delta(content=None) + delta() + delta(content="") + delta(role=None) + DONE,
    "three states of usage": A + event(chunk(usage=None)) + usage() + event(chunk()) + usage(x=1) * 2 + DONE,
    "three states of finish": whole_choice()
    + choice(index=0, delta={})
    + whole_choice(finish_reason="stop") * 2
    + DONE,
    "what Unset takes": event(chunk(system_fingerprint={"a": 1}))
    + event(chunk(usage={}))
    + event(chunk(usage={"x": 1})),
    "what Unset takes below": delta(content={"a": 1}) + DONE,
    "what Unset takes in a list's place": delta(tool_calls={}) + DONE,
    "usage in part is Unset": event(chunk(usage={"prompt_tokens": 1}))
    + event(chunk(usage={"prompt_tokens": "x"}))
    + DONE,
    "usage to be coerced is a usage": usage(prompt_tokens="1") + usage(prompt_tokens=1.0) + DONE,
    "usage with null": usage(prompt_tokens=None) + usage(prompt_tokens_details=None, completion_tokens_details=None),
    "usage with more": usage(prompt_audio_seconds=None, service_tier="default", num_cached_tokens=0) * 2
    + usage(prompt_audio_seconds=5, service_tier=None)
    + usage(prompt_audio_seconds={})
    + usage(_x=1)
    + DONE,
    "usage, a member twice": event(
        json.dumps(chunk()).encode()[:-1]
        + b',"usage":{"total_tokens":"x","prompt_tokens":1,"completion_tokens":1,"y":1,"total_tokens":3,"y":2}}'
    )
    + DONE,
    "details of usage": usage(prompt_tokens_details={"cached_tokens": 5, "audio_tokens": None})
    + usage(prompt_tokens_details={}, completion_tokens_details={"reasoning_tokens": 7})
    + usage(prompt_tokens_details={"cached_tokens": None})
    + usage(prompt_tokens_details={"cached_tokens": "5"})
    + usage(prompt_tokens_details=[1], completion_tokens_details="x")
    + DONE,
    "finish reasons that are known": b"".join(
        whole_choice(finish_reason=one) for one in ("stop", "length", "tool_calls")
    ),
    "finish reasons that are not": whole_choice(finish_reason="eos") + whole_choice(finish_reason="") + DONE,
    "finish reasons of some": whole_choice(finish_reason="content_filter")
    + whole_choice(finish_reason="error")
    + whole_choice(finish_reason="null"),
    "finish reason is a number": whole_choice(finish_reason=5) + DONE,
    "roles": delta(role="assistant") * 2 + delta(role="tool", content="x") + delta(role="developer") + DONE,
    "roles in capitals": delta(role="Assistant") + DONE,
    "tool calls of one kind": delta(tool_calls=[CALL]) * 2 + delta(tool_calls=[CALL, {**CALL, "index": 1}]) + DONE,
    "tool calls, no more than arguments": delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]) + DONE,
    "tool calls without an index": delta(tool_calls=[{"id": "x", "type": "function", "function": CALL["function"]}])
    + DONE,
    "tool calls with null": delta(tool_calls=[{**CALL, "id": None}])
    + delta(tool_calls=[{**CALL, "type": None}])
    + DONE,
    "tool calls with an object": delta(tool_calls=[{**CALL, "function": {"name": "f", "arguments": {"a": [1, None]}}}])
    * 2
    + DONE,
    "tool calls of no name": delta(tool_calls=[{**CALL, "function": {"name": None, "arguments": ""}}]) + DONE,
    "content in parts": delta(content=[{"type": "text", "text": "a"}, {"type": "odd", "x": 1}]) + B + DONE,
    "content is thinking": delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}])
    + B
    + DONE,
    "metadata": delta(metadata={"a": [1, {"b": None}]}) * 2 + delta(metadata=None) + delta(metadata=[]) + DONE,
    "index in a delta": delta(index=1) * 2 + delta(index=None) + delta(index="1") + DONE,
    "tokens": logprobs() * 2 + logprobs(logprob=-1) + logprobs(bytes=None) + logprobs(top_logprobs=[]) + DONE,
    "tokens to be coerced": logprobs(logprob="-1") + logprobs(token=5) + DONE,
    "log probabilities null": whole_choice(logprobs=None) * 2 + whole_choice(logprobs={}) + DONE,
    "log probabilities of no content": whole_choice(logprobs={"content": None}) + whole_choice(logprobs=[]) + DONE,
    "created that is large": event(chunk(created=2**70)) * 2 + event(chunk(created=-1)) + DONE,
    "created to be coerced": event(chunk(created="5")) + event(chunk(created=5.0)) + event(chunk(created=True)) + DONE,
    "created that is wrong": A + event(chunk(created=5.5)) + B,
    "model null": event(chunk(model=None))
    + event({key: value for key, value in chunk().items() if key != "model"})
    + DONE,
    "no choices": event(chunk(choices=[])) * 2 + event(chunk(choices=None)) + DONE,
    "choices that are one": A + event(chunk(choices=WHOLE)) + B,
    "data null": A + b"data: null\n\n" + B + DONE,
    "several choices, whole": event(chunk(choices=[{**WHOLE, "index": n} for n in range(3)])) * 3 + DONE,
    "many members that are ignored": event(chunk(**{f"x{n}": n for n in range(100)})) * 3 + DONE,
    "padding that changes": b"".join(event(chunk("a", p="x" * n, obfuscation="y" * (n % 7))) for n in range(20)) + DONE,
    "text_completion": event({**chunk(), "object": "text_completion", "choices": [{"index": 0, "text": "a"}]}) + DONE,
}

ALL = {**EDGES, **OWN}
#: What all of them take without a word, and chunkwire decodes without asking them.
USUAL = (
    "plain",
    "no [DONE]",
    "comment in the block",
    "event type beside data",
    "no space",
    "CR",
    "CRLF",
    "many chunks",
    "several choices, whole",
    "many members that are ignored",
    "padding that changes",
    "tool calls of one kind",
    "pairs of surrogates",
    "three states",
)
