"""HAR files, as browsers and proxies write them, in; their entries out. (The format is HAR 1.2.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chunkwire._json import JsonError, read
from chunkwire._logs._convert import Entry, from_base64, unpacked

__all__ = ["entries_of"]


def entries_of(data: bytes) -> Iterator[Entry]:
    """The entries of a HAR file; ValueError for what is none."""
    try:
        found = read(data.decode("utf-8-sig", "replace"))
    except JsonError as error:
        why = "nested deeper than 512 levels" if error.too_deep else error.message
        raise ValueError(f"this is no HAR file: at byte {error.position}, {why}") from None
    log = found.get("log") if isinstance(found, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise ValueError("this is no HAR file: it has no log.entries, which would be an array")
    return _entries(entries)


def _entries(entries: list[Any]) -> Iterator[Entry]:
    for place, entry in enumerate(entries):
        entries[place] = None  # it is needed no more, and may be large
        if not isinstance(entry, dict):
            entry = {}
        request, response = (_object(entry.get(name)) for name in ("request", "response"))
        content = _object(response.get("content"))
        body, problem = _body(content, _header(response.get("headers"), "content-encoding"))
        kind = content.get("mimeType")
        yield Entry(
            request.get("method"),
            request.get("url"),
            response.get("status"),
            entry.get("startedDateTime"),
            kind if isinstance(kind, str) else "",
            body,
            problem,
        )


def _body(content: dict[str, Any], encoding: str) -> tuple[bytes | None, str]:
    text = content.get("text")
    if not isinstance(text, str) or not text:
        return None, "the proxy or browser kept no body, as many do where the response is streamed"
    if content.get("encoding") != "base64":
        return text.encode("utf-8", "surrogatepass"), ""
    body, problem = from_base64(text)
    body, more = unpacked(body, encoding)
    return body, problem or more


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _header(headers: Any, name: str) -> str:
    for header in headers if isinstance(headers, list) else ():
        header = _object(header)
        if str(header.get("name")).lower() == name:
            return str(header.get("value") or "")
    return ""
