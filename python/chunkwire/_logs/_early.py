"""The beginning of a log that grows in, its format as soon as nothing that may come can change it out; and whether a
file goes on with the format of the one before it."""

from __future__ import annotations

from typing import Any

from chunkwire._logs._names import names_of
from chunkwire._logs._partial import partial, partial_and_end
from chunkwire._logs._reader import EVENT_LINE
from chunkwire._logs._recognise import (
    HEAD_BYTES,
    Recognised,
    best_text,
    by_first_value,
    comes_again,
    holds_choices,
    is_chunk,
    is_cut,
    is_piece,
    lines_of,
    recognise,
    value_at,
)
from chunkwire._marks import BYTE_ORDER_MARK, SPACE
from chunkwire._options import Options

__all__ = ["begins_json", "early", "fits"]

#: What a cassette may begin with.
_CASSETTE = (b"interactions:", b"http_interactions:")
_DOCUMENT = (b"-", b"#", b"%")


def early(head: bytes, options: Options, asked: int) -> tuple[Recognised | None, int]:
    """What `recognise` will say of a log that begins with these bytes, whatever follows; None if that is not certain.
    Of lines only whole ones count. ``asked`` is how much there was when it was asked last, so that it is not asked too
    often; the new one is given, too."""
    if len(head) >= HEAD_BYTES or options.leaves_nothing:
        return recognise(head, options), asked
    begun = head.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
    if not begun.startswith((b"{", b"[")):
        if options.is_told or _may_be_other(begun):
            return None, asked
        return recognise(head), asked
    whole = head[: head.rfind(b"\n") + 1]
    if len(whole) <= asked or len(whole) < asked + asked // 8:
        return None, asked
    found = recognise(whole, options) if _is_settled(whole, options) else None
    return found, len(whole)


def begins_json(head: bytes) -> bool:
    """Does it begin as JSON does?"""
    return head.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE).startswith((b"{", b"["))


def _may_be_other(begun: bytes) -> bool:
    """May what begins like this be anything but an event stream? Of those nothing is held back."""
    if not begun or BYTE_ORDER_MARK.startswith(begun) or begun.startswith((*_CASSETTE, *_DOCUMENT)):
        return True
    return any(start.startswith(begun) for start in _CASSETTE)


def _is_settled(whole: bytes, options: Options) -> bool:
    """Can no more lines change what is recognised by these?"""
    text = whole.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
    value, has_end = partial_and_end(text.decode("utf-8", "replace"))
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and options.field is None
    if not has_end:
        return False
    if options.field is None and by_first_value(value) is not None:
        return True  # what is no log of lines is told by it
    lines = lines_of(text)
    if options.field is not None:
        path = names_of(options.field)
    else:
        best = next((best for line in lines if (best := best_text(line)) is not None), None)
        if best is None:
            return False
        path = best
    values = [(line, value) for line in lines if (value := value_at(line, path)) is not None]
    if not values:
        return False
    is_beside = options.id_field is not None or options.time_field is not None
    if options.format in ("exchanges", "reads") or (options.format == "auto" and is_beside):
        return True
    has_id, again = comes_again(lines, values[0][0], path)
    return again is not None if has_id else any(not is_cut(value) and not is_piece(value) for _, value in values)


def fits(head: bytes, found: Recognised, asked: int, *, at_end: bool = False) -> tuple[bool | None, int]:
    """Does a file that begins with these bytes go on with the format of the one before it? It does if it is as little
    JSON, or if one of its lines has what is looked for; not if it is server-sent events behind something else, or the
    reverse. None if that cannot be said yet; ``at_end``: nothing follows. ``asked`` is up to where there were lines
    when it was asked last; the new one is given, too."""
    begun = head.removeprefix(BYTE_ORDER_MARK).lstrip(SPACE)
    if not begun:
        return None, asked
    if found.format == "sse" or EVENT_LINE.match(begun):
        if begun.startswith((b"{", b"[")):
            return False, asked
        return (None if BYTE_ORDER_MARK.startswith(head) else found.format == "sse"), asked
    end = len(head) if at_end else head.rfind(b"\n") + 1
    lines = head[max(asked, len(head) - len(begun)) : end].split(b"\n")
    values = (partial(line.decode("utf-8", "replace")) for line in lines if line.strip(SPACE))
    return (True if any(_is_one(value, found.field) for value in values) else None), max(end, asked)


def _is_one(value: Any, field: str | None) -> bool:
    if field is not None:
        return isinstance(value, dict) and value_at(value, names_of(field), ...) is not ...
    return (isinstance(value, dict) and is_chunk(value)) or holds_choices(value)
