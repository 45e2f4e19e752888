"""Bytes that may stand around what a source holds, for all who look where that begins."""

from __future__ import annotations

__all__ = ["BYTE_ORDER_MARK", "SPACE"]

#: May stand at the start of an event stream (WHATWG, 9.2.5), and does before some JSON.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: The white space of JSON (RFC 8259, 2): less than what `bytes.strip` takes for it.
SPACE = b" \t\r\n"
