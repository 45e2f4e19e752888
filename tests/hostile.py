"""Logs that mean harm to a decoder which expects every event to look like the one before: a seed in, a log out.

Each log tells a decoder what to expect (an event again and again, in which a few values change), and then breaks that:
in one byte next to the end of a value, in the kind of a value, in a key, in the order, in the lines around the data.
Between the breaks the usual events go on, so that whatever a decoder has wrongly learned shows in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generators import BROKEN, NUMBERS, Writer, split, words
from logs import SERVERS, WORDS

TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[A-Za-z]+|\s+|.', re.DOTALL)
#: Bytes that end a value, begin one, or may not stand in one.
SIGNS = [bytes([one]) for one in b'"\\\n\r\t\0\x1f\x7f 019-+.eE,:{}[]ntf/u'] + [
    b"\r\n",
    b'\\"',
    b"\\\\",
    b"\\u",
    b'","',
]
#: What is no UTF-8: a byte alone, too long a form, one cut off, a surrogate, too large.
BAD_UTF8 = [b"\x80", b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xc3"]
ODD_NUMBERS = [*NUMBERS, *words("-0 01 1. 1e5 -1 - .5 1e 00 0e0 -01 1E-5 0x1 1_0"), "7" * 30, "-" + "7" * 30]
FIELDS = [
    b": comment",
    b":",
    b"id: 1",
    b"id: \0",
    b"id: \xff",
    b"event: error",
    b"event: \xff",
    b"retry: 5",
    b"data",
    b"x: y",
    b" ",
]


@dataclass(frozen=True)
class Log:
    data: bytes
    options: dict[str, Any]
    breaks: int


class Hostile:
    """Writes one log."""

    def __init__(self, seed: int) -> None:
        self.writer = Writer(seed)
        self.rng = self.writer.rng
        self.parts: list[str] = []
        self.varying: list[int] = []
        self.newline = b"\n"
        self.colon = b"data: "

    def one_in(self, number: int) -> bool:
        return self.writer.one_in(number)

    def pick(self, options: Any) -> Any:
        return self.writer.pick(options)

    # --- the usual events

    def begin(self) -> None:
        """An event to repeat, and which of its values change."""
        if self.one_in(4):
            text = self.writer.chunk()
        else:
            docs, style = SERVERS[self.pick(list(SERVERS))]
            text = json.dumps(self.pick(list(docs(self.rng, self.rng.choices(WORDS, k=4)))), **style)
        self.parts = TOKENS.findall(text)
        self.vary()

    def vary(self) -> None:
        places = self.values()
        self.varying = self.rng.sample(places, min(len(places), self.pick([1, 1, 1, 2, 2, 3, 6])))

    def values(self, first: str = '"-0123456789') -> list[int]:
        """Which parts are values, strings and numbers unless others are asked for."""
        found = [place for place, part in enumerate(self.parts) if part[0] in first]
        return [place for place in found if not self.is_key(place)]

    def is_key(self, place: int) -> bool:
        behind = next((part for part in self.parts[place + 1 :] if not part.isspace()), "")
        return behind == ":" and self.parts[place][0] == '"'

    def another(self, part: str) -> str:
        """A value of the same kind."""
        if part[0] != '"':
            if self.one_in(6):
                return str(self.pick(["0", "-0", "1e5", "1.5", "-7", "0.0", "1E-9", "9" * 18, "9" * 19, "9" * 30]))
            return str(self.rng.randrange(10 ** self.pick([1, 1, 2, 5, 15])))
        kind = self.rng.randrange(8)
        if kind < 3:
            return self.writer.string()
        if kind == 3:
            return json.dumps(self.pick('aé北😊\\"') * self.rng.randrange(80), ensure_ascii=self.one_in(2))
        return json.dumps(self.pick(WORDS), ensure_ascii=False)

    def usual(self) -> list[str]:
        parts = self.parts.copy()
        for place in self.varying:
            parts[place] = self.another(parts[place])
        if self.one_in(20) and (places := self.values()):  # what was a constant
            place = self.pick(places)
            parts[place] = self.parts[place] = self.another(parts[place])
        return parts

    def block(self, data: bytes) -> bytes:
        lines = [self.colon + line for line in re.split(rb"\r\n|\r|\n", data)]
        return self.newline.join(lines) + self.newline * 2

    def event(self) -> bytes:
        return self.block("".join(self.usual()).encode())

    # --- what breaks them

    def byte(self) -> bytes:
        """One byte lost, doubled, changed or added next to where a value begins or ends."""
        parts = [part.encode() for part in self.usual()]
        place = self.pick(self.values('"-0123456789tfnNI') or [0])
        data = b"".join(parts)
        at = len(b"".join(parts[: place + self.rng.randrange(2)])) + self.pick([-2, -1, -1, 0, 0, 1, 2])
        at = min(max(at, 0), len(data) - 1)
        sign = self.pick(SIGNS) if not self.one_in(4) else bytes([self.rng.randrange(128, 256)])
        changed = [b"", data[at : at + 1] * 2, sign, sign, sign + data[at : at + 1], data[at : at + 1] + sign]
        return self.colon + data[:at] + self.pick(changed) + data[at + 1 :] + self.newline * 2

    def kind(self) -> bytes:
        """A value of another kind, or none at all."""
        parts = self.usual()
        if places := self.values('"-0123456789tfnNI'):
            options = [self.writer.value, lambda: self.pick(ODD_NUMBERS), lambda: self.pick(BROKEN), lambda: ""]
            parts[self.pick(places)] = self.pick(options)()
        return self.block("".join(parts).encode("utf-8", "surrogatepass"))

    def long_number(self) -> bytes:
        """About as many digits as Python takes."""
        parts = self.usual()
        if places := self.values("-0123456789"):
            parts[self.pick(places)] = (
                self.pick(["", "-"]) + "7" * self.rng.randrange(4298, 4303) + self.pick(["", "", ".5"])
            )
        return self.block("".join(parts).encode())

    def utf8(self) -> bytes:
        """A string with bytes that are no UTF-8: one that changes, or one that never did."""
        parts = [part.encode() for part in self.usual()]
        if places := [place for place, part in enumerate(parts) if part.startswith(b'"')]:
            changing = [place for place in self.varying if place in places]
            place = self.pick(changing if changing and self.one_in(2) else places)
            at = self.pick([1, len(parts[place]) - 1, self.rng.randrange(1, max(len(parts[place]), 2))])
            parts[place] = parts[place][:at] + self.pick(BAD_UTF8) + parts[place][at:]
        return self.colon + b"".join(parts) + self.newline * 2

    def tail(self) -> bytes:
        """More, or less, at the end of the data."""
        data = self.event()[: -2 * len(self.newline)]
        more = [
            b" ",
            b"\t",
            b"}",
            b"]",
            b",",
            b"\0",
            b"\xff",
            b" {}",
            b"[DONE]",
            b"\xc2\xa0",
            b"\xef\xbb\xbf",
            data,
            b"null",
        ]
        data = data[: -self.rng.randrange(1, 4)] if self.one_in(4) else data + self.pick(more)
        return data + self.newline * 2

    def lines(self) -> bytes:
        """The same data in other lines."""
        parts = self.usual()
        newline = self.pick([b"\n", b"\r\n", b"\r"])
        for _ in range(self.rng.randrange(3)):
            parts.insert(self.rng.randrange(len(parts) + 1), "\n")
        colon = self.pick([b"data:", b"data:  ", b"data:\t", b"data: ", b"data : ", b" data: ", b"Data: "])
        lines = [colon + line.encode() for line in split("".join(parts))]
        while self.one_in(2):
            lines.insert(self.rng.randrange(len(lines) + 1), self.pick(FIELDS))
        # With one end of a line only, the next event goes on with this one's data.
        return newline.join(lines) + newline * self.pick([1, 2, 2, 2, 3])

    def other(self) -> bytes:
        """Something else between the events."""
        found = [self.block(b"[DONE]"), b"data: [DONE]\n\n", b"data:[DONE]\r\n\r\n", b"data: [DONE] \n\n", b": hi\n\n"]
        found += [b"\n", b"\r", b"\r\n", b"data\n\n", b'data: {"error":{"message":"m"}}\n\n', b"data: {}\n\n", b"data:"]
        found += [b"\xef\xbb\xbf", b"id: 1\n\n", b"data: [DONE\n\n", b"data: [D\n\ndata: ONE]\n\n", b"event: error\n"]
        return bytes(self.pick(found))

    # --- events that stay JSON, perhaps with a new order of things

    def structure(self) -> bytes:
        change: Callable[[], list[str]] = self.pick(
            [self.twice, self.reorder, self.escape, self.space, self.lose, self.add]
        )
        before, parts = self.parts, change()
        self.parts = parts
        data = self.event_of_other_parts()
        if not self.one_in(3):
            self.parts = before  # else the usual events go on like this
        else:
            self.vary()
        return data

    def event_of_other_parts(self) -> bytes:
        varying, self.varying = self.varying, []
        data = self.block("".join(self.usual()).encode())
        self.varying = varying
        return data

    def objects(self) -> list[list[tuple[int, int]]]:
        """Of each object the members: from which part to before which."""
        stack: list[list[int] | None] = []
        found = []
        for place, part in enumerate(self.parts):
            if part == "{":
                stack.append([place + 1])
            elif part == "[":
                stack.append(None)
            elif part == "," and stack and stack[-1] is not None:
                stack[-1] += [place, place + 1]
            elif part in ("}", "]") and stack and (bounds := stack.pop()) is not None:
                bounds.append(place)
                members = list(zip(bounds[::2], bounds[1::2], strict=True))
                if ":" in self.parts[bounds[0] : place]:
                    found.append(members)
        return found

    def with_members(self, change: Callable[[list[list[str]]], None]) -> list[str]:
        objects = self.objects()
        if not objects:
            return self.parts.copy()
        bounds = self.pick(objects)
        members = [self.parts[start:end] for start, end in bounds]
        change(members)
        inner = [part for member in members for part in [",", *member]][1:]
        return self.parts[: bounds[0][0]] + inner + self.parts[bounds[-1][1] :]

    def twice(self) -> list[str]:
        """A key twice, with the same value or another."""

        def change(members: list[list[str]]) -> None:
            member = self.pick(members).copy()
            scalars = [at for at, part in enumerate(member) if part[0] in '"-0123456789' and ":" in member[:at]]
            if scalars and not self.one_in(3):
                at = self.pick(scalars)
                member[at] = self.another(member[at])
            members.insert(self.rng.randrange(len(members) + 1), member)

        return self.with_members(change)

    def reorder(self) -> list[str]:
        return self.with_members(self.rng.shuffle)

    def lose(self) -> list[str]:
        def change(members: list[list[str]]) -> None:
            if len(members) > 1:
                del members[self.rng.randrange(len(members))]

        return self.with_members(change)

    def add(self) -> list[str]:
        def change(members: list[list[str]]) -> None:
            name = self.pick(
                ["error", "usage", "cost", "timings", "id", "x_groq", "choices", "x", "", "object", "content"]
            )
            value = self.pick(
                ['"x"', "null", "{}", "[]", "1", '{"total_tokens":5}', '[{"index":1}]', self.writer.value()]
            )
            members.insert(
                self.rng.randrange(len(members) + 1), [*TOKENS.findall(f'"{name}"'), ":", *TOKENS.findall(value)]
            )

        return self.with_members(change)

    def escape(self) -> list[str]:
        """A key in another spelling."""
        parts = self.parts.copy()
        keys = [place for place in range(len(parts)) if self.is_key(place)]
        if keys:
            place = self.pick(keys)
            name = json.loads(parts[place])
            letter = self.rng.randrange(len(name)) if name else 0
            escaped = "".join(
                f"\\u{ord(one):04x}" if at == letter and ord(one) < 65536 else one for at, one in enumerate(name)
            )
            parts[place] = (
                f'"{escaped}"' if self.one_in(2) and name.isascii() and name.isalnum() else self.writer.string(name)
            )
        return parts

    def space(self) -> list[str]:
        parts = self.parts.copy()
        for _ in range(self.rng.randrange(1, 4)):
            parts.insert(self.rng.randrange(len(parts) + 1), self.pick([" ", "  ", "\t", "\n", " \n "]))
        return parts

    # --- the log

    def write(self, breaks: int) -> Log:
        if self.one_in(6):
            self.newline = self.pick([b"\r\n", b"\r"])
        if self.one_in(6):
            self.colon = b"data:"
        self.begin()
        kinds = [self.byte] * 8 + [self.kind] * 4 + [self.structure] * 4 + [self.utf8] * 2 + [self.lines] * 2
        kinds += [self.tail, self.other]
        blocks = [b"\xef\xbb\xbf"] if self.one_in(8) else []
        blocks += [self.event() for _ in range(self.pick([2, 3, 4, 6, 40 if self.one_in(4) else 8]))]
        size = len(blocks[-1])
        for _ in range(breaks):
            # Breaks come alone, twice in a row, or again a little later: a decoder may learn from the first.
            block = (self.long_number if self.one_in(200) else self.pick(kinds))()
            blocks += [block] * self.pick([1, 1, 1, 2, 3])
            blocks += [self.event() for _ in range(self.pick([0, 1, 1, 2, 3]))]
            if self.one_in(4):
                blocks.append(block)
            if self.one_in(25):
                self.begin()
        data = b"".join(blocks)
        if self.one_in(4):
            data = data[: len(data) - self.rng.randrange(size + 1)]
        options: dict[str, Any] = {}
        if self.one_in(8):
            options["strict"] = True
        if self.one_in(8):
            options["max_event_bytes"] = max(size + self.rng.randrange(-30, 30), 1)
        return Log(data, options, breaks)
