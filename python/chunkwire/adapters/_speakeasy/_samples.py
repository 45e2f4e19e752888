"""A few chat completion chunks in which all fields of the SDKs occur: what an SDK makes of them has to be what its plan
makes of them, or it stays as it is."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["SAMPLES"]


def _chunk(delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": fields.pop("finish_reason", None),
        **fields.pop("choice", {}),
    }
    sent = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}
    return {**sent, **fields}


_CALL = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_LIKELY = {"token": "a", "logprob": -0.5, "bytes": [97], "token_id": 5}
_TOKEN = {**_LIKELY, "logprob": -1, "top_logprobs": [_LIKELY]}
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_DETAILS: dict[str, Any] = {"cached_tokens": 1, "more": [{"a": None}, 1.5, "x", True]}

#: As JSON.
SAMPLES = tuple(
    json.dumps(sent)
    for sent in (
        _chunk({"role": "assistant", "content": ""}, usage=None),
        _chunk({"content": "a", "reasoning_content": "b", "x": [1, {"y": None}]}, system_fingerprint="f", usage=None),
        _chunk({"content": None, "refusal": "no", "tool_calls": None}, system_fingerprint=None),
        _chunk({"tool_calls": [_CALL, {**_CALL, "index": 1}]}),
        _chunk({}, finish_reason="stop", usage={**_USAGE, "prompt_tokens_details": _DETAILS, "cost": 0.5}),
        _chunk({"content": "a"}, choice={"logprobs": {"content": [_TOKEN, _TOKEN], "refusal": None}}),
        {**_chunk({}), "choices": [], "usage": _USAGE},
    )
)
