"""A chunk in, how much of its model's text it carries out: the Python engine's twin of the room `written`.

That is what the tokens of a stream are estimated from where its server reported none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["written"]

#: Names of reasoning; a server that sends two sends the same text twice.
_REASONING = ("reasoning_content", "reasoning", "reasoning_text")


def written(sent: dict[str, Any]) -> tuple[int, int]:
    """How many deltas of a chunk carry text, and the bytes of that in UTF-8.

    Text is whatever the model wrote: content (or its parts), reasoning, refusals, names and arguments of calls, what
    was said aloud.
    """
    deltas, size = 0, 0
    for choice in _items(sent.get("choices")):
        delta = _get(choice, "delta")
        if isinstance(delta, dict):
            length = sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(delta) if isinstance(text, str))
            deltas += length > 0
            size += length
    return deltas, size


def _texts(delta: dict[str, Any]) -> Iterator[Any]:
    """The texts of a delta, and what else stands in their places."""
    content = delta.get("content")
    yield content
    for part in _items(content):
        yield _get(part, "text")
        # Mistral's: a text, or a list of parts again.
        thinking = _get(part, "thinking")
        yield thinking
        for thought in _items(thinking):
            yield _get(thought, "text")
    yield next((text for name in _REASONING if isinstance(text := delta.get(name), str) and text), None)
    yield delta.get("refusal")
    for call in _items(delta.get("tool_calls")):
        function = _get(call, "function")
        yield _get(function, "name")
        yield _get(function, "arguments")
    yield _get(delta.get("function_call"), "name")
    yield _get(delta.get("function_call"), "arguments")
    yield _get(delta.get("audio"), "transcript")


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
