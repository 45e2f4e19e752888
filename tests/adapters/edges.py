"""What a server may send to an openai client beside plain chunks: a table of streams, each with a name."""

from __future__ import annotations

import json
from typing import Any


def chunk(content: Any = "a", **fields: Any) -> dict[str, Any]:
    doc = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {**doc, "choices": [choice], **fields}


def event(data: Any, end: bytes = b"\n\n") -> bytes:
    text = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return b"data: " + text + end


A, B, DONE = event(chunk("a")), event(chunk("b")), b"data: [DONE]\n\n"


def delta(**fields: Any) -> bytes:
    return event(chunk(choices=[{"index": 0, "delta": fields, "finish_reason": None}]))


def choice(**fields: Any) -> bytes:
    return event(chunk(choices=[fields]))


def token(**fields: Any) -> bytes:
    """A choice with the log probability of one token."""
    one = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "a", "logprob": -1, "bytes": None}]}
    return choice(index=0, delta={}, logprobs={"content": [{**one, **fields}], "refusal": None})


def usage(**fields: Any) -> bytes:
    return event(chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, **fields}))


CALL = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}

#: How blocks and lines may look.
FRAMING: dict[str, bytes] = {
    "plain": A + B + DONE,
    "nothing at all": b"",
    "only [DONE]": DONE,
    "no [DONE]": A + B,
    "comment": b": ping\n\n" + A + b":\n\n" + B + DONE,
    "comment in the block": b": OPENROUTER PROCESSING\n" + A + DONE,
    "comment behind an id": b"id: 7\n" + A + b": ping\n\n" + B + DONE,
    "id on every event": b"id: 1\n" + A + b"id: 2\n" + B + DONE,
    "id taken back": b"id: 1\n" + A + b"id:\n" + B + b": ping\n\n" + A + DONE,
    "id with NUL": b"id: 1\0\n" + A + b": ping\n\n" + B + DONE,
    "retry alone": b"retry: 3000\n\n" + A + DONE,
    "retry beside data": b"retry: 3000\n" + A + DONE,
    "retry without number": b"retry: soon\n\n" + A + DONE,
    "ping without data": b"event: ping\n\n" + A + DONE,
    "ping with data": b'event: ping\ndata: {"type": "ping"}\n\n' + A + DONE,
    "event type beside data": b"event: message\n" + A + DONE,
    "empty event type": b"event:\n" + A + b"event\n\n" + B + DONE,
    "thread event": b"event: thread.message.delta\n" + A + DONE,
    "empty data": A + b"data:\n\n" + B + DONE,
    "blank data": A + b"data:   \n\n" + B + DONE,
    "data without colon": A + b"data\n\n" + B + DONE,
    "no space": A.replace(b"data: ", b"data:") + DONE,
    "two spaces": A.replace(b"data: ", b"data:  ") + DONE,
    "tab": A.replace(b"data: ", b"data:\t") + DONE,
    "space behind data": A[:-2] + b" \t\n\n" + DONE,
    "upper case": A.replace(b"data", b"DATA") + B + DONE,
    "unknown field": b"foo: bar\n" + A + b"foo\n\n" + B + DONE,
    "space before the field": b" " + A + B + DONE,
    "byte order mark": b"\xef\xbb\xbf" + A + B + DONE,
    "byte order mark and comment": b"\xef\xbb\xbf: hi\n\n" + A + DONE,
    "CR": (A + B + DONE).replace(b"\n", b"\r"),
    "CRLF": (A + B + DONE).replace(b"\n", b"\r\n"),
    "mixed line ends": A[:-2] + b"\r\n\n" + B[:-2] + b"\n\r\n" + A[:-2] + b"\r\r\n" + B[:-2] + b"\r\n\r" + DONE,
    "blank lines": b"\n\n\n" + A + b"\n\n" + B + b"\n" + DONE,
    "one line end between events": A[:-1] + B + DONE,
    "two data lines": b'data: {"choices": [],\ndata:  "id": "x"}\n\n' + A + DONE,
    "three lines of data with an empty one": b'data: {"choices": [],\ndata:\ndata: "id": "x"}\n\n' + DONE,
    "unterminated": A + B[:-1],
    "unterminated line": A + B[:-2],
    "cut inside JSON": A + B[:40],
    "cut inside a field name": A + b"dat",
    "cut inside UTF-8": A + 'data: {"é'.encode()[:-1],
    "U+2028 and U+0085 end no line": event(chunk("a\u2028b\u0085c\x0bd\x0ce\x1cf")) + DONE,
    "[DONE] in content": event(chunk("[DONE]")) + event(chunk("data: [DONE]\n\n")) + DONE,
    "[DONE] then more": A + DONE + B,
    "[DONE] twice": A + DONE + DONE,
    "[DONE] with more behind": A + b"data: [DONE] ok\n\n" + B,
    "[DONE] without space": A + b"data:[DONE]\n\n" + B,
    "[DONE] with a space before": A + b"data:  [DONE]\n\n" + B,
    "[DONE] unterminated": A + b"data: [DONE]",
    "done in lower case": A + b"data: [done]\n\n" + B,
}

#: What is wrong with data.
DATA: dict[str, bytes] = {
    "invalid UTF-8 in content": A + event(b'{"choices": [], "id": "\xff"}') + B + DONE,
    "invalid UTF-8 in a comment": A + b": \xff\n\n" + B + DONE,
    "invalid UTF-8 in an event type": A + b"event: \xff\n" + B + DONE,
    "invalid UTF-8 at the end": A + b"data: \xff",
    "invalid JSON": A + event(b"{oops}") + B + DONE,
    "cut JSON": A + event(b'{"choices": [') + B,
    "HTML": b"<html><body>\n<h1>502</h1>\n\n</body></html>\n",
    "JSON, no stream": b'{"error": {"message": "no"}}\n',
    "error object": A + event({"error": {"message": "boom", "type": "t", "param": "p", "code": "c"}}) + B,
    "error event": A + b"event: error\n" + event({"error": {"message": "boom", "code": 7}}) + B,
    "error text": A + event({"error": "boom"}) + B,
    "error without message": A + event({"error": {"code": 1}}) + B,
    "error with another message": A + event({"error": {"message": {"no": "text"}}}) + B,
    "error beside choices": A + event(chunk(error={"message": "boom"})) + B,
    "error true": A + event({"error": True}) + B,
    "error null": A + event(chunk(error=None)) + event(chunk(error="")) + event(chunk(error="x")) + B,
    "error empty": A + event({"error": {}}) + event({"error": []}) + event({"error": 0}) + DONE,
    "error twice": A + event(b'{"choices": [], "error": 1, "error": null}') + event(b'{"error": null, "error": 1}'),
    "error under a type, not JSON": A + b"event: error\ndata: boom\n\n" + B,
    "empty object": event({}) + DONE,
    "array": event([]) + event([chunk()]) + event([1]) + DONE,
    "string": event("hi") + DONE,
    "number": event(7) + event(1.5) + DONE,
    "true and null": event(True) + event(None) + DONE,
    "NaN": event(b'{"choices": [], "created": NaN, "x": [Infinity, -Infinity]}') + DONE,
    "deep": event(b'{"choices": [], "x": ' + b"[" * 400 + b"]" * 400 + b"}") + DONE,
    "deeper": event(b'{"choices": [], "x": ' + b"[" * 600 + b"]" * 600 + b"}") + DONE,
    "large integer": event(b'{"created": 123456789012345678901234567890, "choices": []}') + DONE,
    "too many digits": A + event(b'{"created": ' + b"1" * 5000 + b"}") + B,
    "escapes": event(b'{"id": "\\u00e9\\ud83d\\ude00\\n\\"", "choices": [], "\\u0069d": "later"}') + DONE,
    "lone surrogate": delta(content="\ud800".encode("ascii", "backslashreplace").decode()) + DONE,
    "lone surrogate, escaped": event(b'{"choices": [{"index": 0, "delta": {"content": "\\ud800"}}]}') + DONE,
    "surrogate in a checked object": event(b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"\\udc00"}]}}]}'),
    "duplicate keys": event(b'{"id": "1", "choices": null, "id": "2", "choices": [], "x": 1, "y": 2, "x": 3}') + DONE,
    "duplicate keys, null last": event(b'{"id": "1", "id": null, "usage": {"a": 1}, "usage": null}') + DONE,
    "duplicates in usage": event(
        b'{"usage":{"prompt_tokens":"x","prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    ),
    "spaces in JSON": event(b' { "id" : "x" ,\t"choices" : [ ] } ') + DONE,
}

#: What fields may hold.
FIELDS: dict[str, bytes] = {
    "fields in another order": event(dict(reversed(chunk().items()))) + A + DONE,
    "fields that come and go": A + event(chunk(x=1)) + B + event(chunk(usage=None)) + event(chunk(x=2, y=[{}])) + DONE,
    "unknown fields": event(chunk(x_groq={"id": "r", "l": [1, {"a": None}]}, cost=0.5, obfuscation="abc")) * 3 + DONE,
    "unknown fields below": delta(content="a", reasoning_content="hm", thinking=[{"t": 1}]) * 3 + usage(cost=1) + DONE,
    "private names": event(chunk(_x=1)) + event({"_fields_set": ["id"], "id": "x"}) + event({"_BaseModel__cls": 1}),
    "fields_set": event({"_fields_set": {"a": 1}, "id": "x"}) + DONE,
    "names of methods": event(chunk(copy=1, dict=2, json=3, model_dump=4, self=5, cls=6, __class__=7)) + DONE,
    "dunder": event(chunk(__dict__={"a": 1}, __pydantic_extra__=1)) + DONE,
    "missing fields": event({"choices": []})
    + event({"id": "x"})
    + choice()
    + choice(delta={})
    + choice(index=1)
    + DONE,
    "null fields": event(dict.fromkeys(chunk())) + choice(index=None, delta=None, logprobs=None) + DONE,
    "wrong types": event(chunk(id=1, created="5", model=["m"], object={"a": 1}, choices={"a": 1})) + DONE,
    "wrong types in choices": event(chunk(choices=[1, "x", None, [], {"delta": 5}, [{"index": 1}]])) + DONE,
    "delta is an array": choice(index="0", delta=[{"content": "x"}, 5]) + DONE,
    "delta is a text": choice(index=0.0, delta="x") + DONE,
    "content is an array": delta(content=[{"type": "thinking", "thinking": []}]) * 2 + DONE,
    "content is a number": delta(content=5) + delta(content=True) + delta(content={"a": 1}) + delta(content="") + DONE,
    "unknown literals": event(chunk(object="", service_tier="on_demand")) + choice(delta={"role": "narrator"}) + DONE,
    "literals of another type": event(chunk(service_tier=5)) + choice(delta={"role": None}, finish_reason=7) + DONE,
    "finish reasons": b"".join(choice(index=0, delta={}, finish_reason=one) for one in ("stop", "eos", None, ""))
    + DONE,
    "usage": usage() + usage(prompt_tokens_details={"cached_tokens": 1}, completion_tokens_details=None) + DONE,
    "usage to be coerced": usage(prompt_tokens="1") + usage(total_tokens=3.0) + usage(total_tokens=True) + DONE,
    "usage that is not valid": usage(prompt_tokens=None) + usage(prompt_tokens="x") + usage(total_tokens=3.5) + DONE,
    "usage in part": event(chunk(usage={"prompt_tokens": 1})) * 2 + event(chunk(usage={})) + DONE,
    "usage of another kind": event(chunk(usage=[])) + event(chunk(usage=5)) + event(chunk(usage="x")) + DONE,
    "usage, details wrong": usage(prompt_tokens_details={"cached_tokens": "7"})
    + usage(prompt_tokens_details=[])
    + DONE,
    "usage in part, details right": event(chunk(usage={"prompt_tokens_details": {"cached_tokens": "7"}})) + DONE,
    "tool calls": delta(tool_calls=[CALL])
    + delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]) * 3
    + DONE,
    "parallel tool calls": delta(tool_calls=[CALL, {**CALL, "index": 1, "extra": [1]}, {**CALL, "index": 2}]) * 2
    + DONE,
    "tool calls without index": delta(tool_calls=[{"id": "x", "function": {"name": "f", "arguments": {}}}]) + DONE,
    "tool calls to be coerced": delta(tool_calls=[{**CALL, "index": "1"}])
    + delta(tool_calls=[{**CALL, "id": 5}])
    + DONE,
    "tool calls of which one is wrong": delta(tool_calls=[CALL, {"index": None}]) + delta(tool_calls=[CALL, 5]) + DONE,
    "tool calls of another kind": delta(tool_calls={}) + delta(tool_calls=[]) + delta(tool_calls=[[CALL]]) + DONE,
    "tool type unknown": delta(tool_calls=[{**CALL, "type": "custom"}])
    + delta(tool_calls=[{**CALL, "type": None}])
    + DONE,
    "function call": delta(function_call={"name": "f", "arguments": "{}"}) + delta(function_call={"name": 5}) + DONE,
    "audio": delta(audio={"id": "x", "data": "AA=="})
    + delta(audio={"expires_at": 5})
    + delta(audio={"expires_at": "5"}),
    "refusal and role": delta(role="assistant", refusal="no", content=None) + DONE,
    "logprobs": token() * 2 + token(bytes=None) + token(top_logprobs=[]) + DONE,
    "logprobs as integers": token(logprob=-1) + token(logprob=10**20) + token(logprob=True) + token(logprob="1") + DONE,
    "logprobs that are not valid": token(token=5)
    + token(bytes=["x"])
    + token(bytes=[1.0])
    + token(top_logprobs=None)
    + DONE,
    "logprobs of another kind": choice(index=0, delta={}, logprobs=[])
    + choice(delta={}, logprobs={"content": "x"})
    + DONE,
    "several choices": event(chunk(choices=[{"index": n, "delta": {"content": str(n)}} for n in range(3)])) * 3 + DONE,
    "choices of several forms": event(
        chunk(choices=[{"index": 0, "delta": {}}, {"delta": {"content": "x"}, "index": 1}])
    )
    * 2,
    "moderation": event(
        chunk(
            moderation={
                "input": {"type": "moderation_results", "model": "m", "results": []},
                "output": {"type": "error", "code": "c", "message": "no"},
            }
        )
    )
    + event(chunk(moderation={"input": 5}))
    + DONE,
    "long text": event(chunk("x" * 70_000)) + DONE,
    "many chunks": b"".join(event(chunk(f"w{n}", created=n, id=f"id{n % 3}")) for n in range(300)) + DONE,
}

EDGES = {**FRAMING, **DATA, **FIELDS}
