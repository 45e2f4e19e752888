"""Logs of bare chunks: lines that are a chunk or an array of them, or one array over all lines, in; events out."""

from __future__ import annotations

from chunkwire._logs._elements import Elements, is_open_array
from chunkwire._logs._reader import LogReader
from chunkwire._marks import SPACE

__all__ = ["ChunksReader"]


class ChunksReader(LogReader):
    """Reads a log of format chunks. All its events are of one source: ids tell its streams apart."""

    _array: Elements | None = None  # the array of all, while it goes on
    _is_first = True
    _last_place = (0, 0)  # behind what was last seen of that array

    def _line(self, text: bytes, offset: int, number: int, end: bytes) -> None:
        if self._array is not None:
            self._array_line(self._array, text, offset, number, end)
            return
        indent = len(text) - len(text.lstrip(SPACE))
        inside, place = text.strip(SPACE), offset + indent
        first, self._is_first = self._is_first, False
        if first and inside.startswith(b"[") and is_open_array(inside):
            self._array, self._goes_on = Elements(self._max_event_bytes), True
            self._array_line(self._array, text[indent:], place, number, end)
        elif not self._is_foreign(inside, place, number):
            self._json(inside, lambda at: place + at, number, at_end=not end, begins=False)

    def _array_line(self, array: Elements, text: bytes, offset: int, number: int, end: bytes) -> None:
        for element in array.feed(text + end, offset, number):
            self._json_event(*element, at_end=False)
        self._dropped_bytes += array.dropped
        array.dropped = 0
        if text.strip(SPACE):
            self._last_place = (offset + len(text.rstrip(SPACE)), number)
        if array.closed:
            self._array, self._goes_on = None, False
            self._tell_behind(array, text, lambda place: offset + place, number)

    def _end(self) -> None:
        if self._array is None:
            return
        rest = self._array.finish()
        if rest is not None:
            self._json_event(*rest, at_end=True)
            self._dropped_bytes += self._array.dropped
        else:
            self._lost("truncated", "the source ends inside an array", *self._last_place)
