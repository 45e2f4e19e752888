"""Cassettes of vcrpy and of Ruby's vcr, as YAML or JSON, in; their entries out.

YAML needs a package: PyYAML, with its parser in C where there is one, or ruamel.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chunkwire._json import JsonError, read
from chunkwire._logs._convert import Entry, from_base64, unpacked

__all__ = ["entries_of"]


def entries_of(data: bytes) -> Iterator[Entry]:
    """The entries of a cassette; ValueError for what is none, ImportError where it takes a package for YAML."""
    text = data.decode("utf-8-sig", "replace")
    found = _json(text) if text.lstrip()[:1] in ("{", "[") else _yaml(text)
    interactions = None
    if isinstance(found, dict):
        interactions = found.get("interactions", found.get("http_interactions"))
    if not isinstance(interactions, list):
        raise ValueError("this is no cassette: it has no interactions or http_interactions, which would be a list")
    return _entries(interactions)


def _json(text: str) -> Any:
    try:
        return read(text)
    except JsonError as error:
        why = "nested deeper than 512 levels" if error.too_deep else error.message
        raise ValueError(f"this is no cassette: at byte {error.position}, {why}") from None


def _yaml(text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return _ruamel(text)
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Reads plain values, and Ruby's name for bytes."""

    Loader.add_constructor("!binary", base.construct_yaml_binary)
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"this is no cassette: {_why(error)}") from None


def _ruamel(text: str) -> Any:
    try:
        from ruamel.yaml import YAML, YAMLError  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ImportError(
            f"reading cassettes needs the package PyYAML: pip install 'chunkwire[yaml]' ({error})"
        ) from error
    parser = YAML(typ="safe")
    parser.constructor.add_constructor("!binary", parser.constructor.__class__.construct_yaml_binary)
    try:
        return parser.load(text)
    except (YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"this is no cassette: {_why(error)}") from None


def _why(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())


def _entries(interactions: list[Any]) -> Iterator[Entry]:
    for place, interaction in enumerate(interactions):
        interactions[place] = None  # it is needed no more, and may be large
        interaction = _object(interaction)
        request, response = (_object(interaction.get(name)) for name in ("request", "response"))
        status = response.get("status", response.get("status_code"))
        headers = _object(response.get("headers"))
        body, problem = _body(response.get("body", response.get("content")), _header(headers, "content-encoding"))
        method = request.get("method")
        yield Entry(
            method.upper() if isinstance(method, str) else method,
            request.get("uri", request.get("url")),
            status.get("code") if isinstance(status, dict) else status,
            interaction.get("recorded_at"),
            _header(headers, "content-type"),
            body,
            problem,
        )


def _body(body: Any, encoding: str) -> tuple[bytes | None, str]:
    problem = ""
    if isinstance(body, dict):
        packed = body.get("base64_string")
        if isinstance(packed, (str, bytes)):
            body, problem = from_base64(packed)
        else:
            body = body.get("string")
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    if not isinstance(body, bytes) or not body:
        return None, "the cassette has no body of it"
    body, more = unpacked(body, encoding)
    return body, problem or more


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _header(headers: dict[str, Any], name: str) -> str:
    for key, value in headers.items():
        if str(key).lower() == name:
            return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return ""
