"""A reference for the views: what every attribute of a chunk must be, told from `json.loads`'s value alone."""

from __future__ import annotations

from typing import Any

import chunkwire
from support import canonical

#: For each view its fields: None for a plain value, a name for a view, a name in a list for an array of views.
MODEL: dict[str, dict[str, Any]] = {
    "Chunk": dict.fromkeys(["id", "object", "created", "model", "system_fingerprint", "service_tier"])
    | {"choices": ["Choice"], "usage": "Usage"},
    "Choice": {"index": None, "delta": "Delta", "finish_reason": None, "logprobs": "Logprobs"},
    "Delta": dict.fromkeys(["role", "content", "refusal"])
    | {"tool_calls": ["ToolCall"], "function_call": "FunctionCall"},
    "ToolCall": {"index": None, "id": None, "type": None, "function": "FunctionCall"},
    "FunctionCall": {"name": None, "arguments": None},
    "Logprobs": {"content": ["TokenLogprob"], "refusal": ["TokenLogprob"]},
    "TokenLogprob": {"token": None, "logprob": None, "bytes": None, "top_logprobs": ["TokenLogprob"]},
    "Usage": dict.fromkeys(["prompt_tokens", "completion_tokens", "total_tokens"])
    | {"prompt_tokens_details": "PromptTokensDetails", "completion_tokens_details": "CompletionTokensDetails"},
    "PromptTokensDetails": dict.fromkeys(["cached_tokens", "cache_write_tokens", "audio_tokens"]),
    "CompletionTokensDetails": dict.fromkeys(
        ["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"]
    ),
}
#: Names that belong to the classes: a field of that name is reached by `to_dict` only.
METHODS = {"to_dict", "model_dump", "model_dump_json", "to_json"}
TAKEN = {"Chunk": {"content", "offset", "raw", *METHODS}}


def assert_view(view: Any, name: str, doc: dict[str, Any], path: str = "") -> None:
    """Every attribute of the view, and of the views in it, is what was sent."""
    path = path or name
    assert isinstance(view, getattr(chunkwire, name)), path
    assert type(view).__name__ == name, path
    assert canonical(view.to_dict()) == canonical(doc), path
    fields = MODEL[name]
    for field in [*fields, *doc]:
        assert (field in view) is (field in doc), f"{path}.{field}"
        if field in TAKEN.get(name, METHODS) or (field.startswith("__") and field.endswith("__")):
            continue
        assert_value(getattr(view, field), fields.get(field), doc.get(field), f"{path}.{field}")
    if name == "Chunk":
        assert canonical(view.content) == canonical(content_of(doc)), path


def assert_value(found: Any, kind: Any, sent: Any, path: str) -> None:
    if isinstance(kind, str) and isinstance(sent, dict):
        assert_view(found, kind, sent, path)
    elif isinstance(kind, list) and isinstance(sent, list):
        assert type(found) is list, path
        assert len(found) == len(sent), path
        for number, (one, item) in enumerate(zip(found, sent, strict=True)):
            assert_value(one, kind[0], item, f"{path}[{number}]")
    else:
        assert canonical(found) == canonical(sent), path


def content_of(doc: dict[str, Any]) -> Any:
    choices = doc.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        delta = choices[0].get("delta")
        if isinstance(delta, dict):
            return delta.get("content")
    return None
