"""Logs as odd as a collector could write them: streams in, lines of JSON around them out, and how they are to be read.

The streams, and JSON in every spelling, are those of `generators`: hypothesis draws a number, and `LogWriter` turns it
into a log. Each is of a format, and holds lines of others now and then; of some, some bytes are changed then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

import generators as generate
from chunkwire._logs._names import path_of
from wrapping import har

NAMES = ["body", "response_body", "response", "log", "data", "text", "raw", "a.b", "x\\", "é", "", "0"]
MARKS = ["[truncated]", "...[truncated 12 bytes]", "... truncated", "…truncated", "<truncated>", "(truncated", "[cut]"]
#: What may stand in a line in the place of text.
OTHERS = ["null", "5", "true", "NaN", "{}", "[]", "[5]", '{"detail": "no"}']
OTHERS += ["[" * 99 + "]" * 99, '{"choices": [0.10, "é"]}', '{"choices" : [ "\\u00e9" ]}']
OTHERS += ['""', '" \\n"', '"[DONE]"', '"{}"', '"<html>"']
#: Lines that are none of the log's, or no exchange.
STRANGERS = [
    b"",
    b"",
    b" \t",
    b"[DONE]",
    b'{"n": 1}',
    b'{"body": 5}',
    b"{}",
    b"5",
    b"[]",
    b"[1, {}]",
    b"data: [DONE]",
    b'data: {"choices": []}',
    b": ping",
    b"event: x",
    b"{oops",
    b'{"error": {"message": "no"}}',
    b"null",
    b"\xff\xfe",
]
IDS = ["1", "1", "1.0", "0", "-0", "0.5", "0.50", "12345678901234567890", "null", "true", "[]", "{}"]
IDS += ['""', '"1"', '"a"', '"a"', '"\\u0061"', '"b"', '"é"', '"\\u00e9"']
TIMES = ["1760000000", "1760000000.5", "1760000001250", "1760000002000000", '"2025-10-09T08:53:20Z"', '"1760000000.25"']
TIMES += ['"2025-10-09T10:53:21.5+02:00"', "null", '"now"', "0", "-1", "1e999", '"2025-10-09 08:53:22,125"', "true"]


@dataclass
class OddLog:
    """A log, and how an engine is told to read it."""

    data: bytes
    how: dict[str, Any] = field(default_factory=dict)
    keep: list[str] = field(default_factory=list)


class LogWriter(generate.Writer):
    """Writes logs from a seed."""

    def gap(self) -> str:
        return self.pick(["", "", "", "", " ", "  ", "\t"]) if self.one_in(4) else ""

    # --- bodies

    def events(self) -> str:
        """Server-sent events as text: odd ones, or streams one behind the other or taking turns."""
        if self.one_in(3):
            blocks = [self.block() for _ in range(self.rng.randrange(5))]
            return b"".join(blocks).decode("utf-8", "surrogatepass")
        streams = [self.stream(f"c{number}") for number in range(self.pick([1, 1, 1, 2, 3]))]
        if self.one_in(2):
            return "".join(data for one in streams for data in one)
        text = []
        while streams:
            one = self.pick(streams)
            text.append(one.pop(0))
            streams = [left for left in streams if left]
        return "".join(text)

    def stream(self, name: str) -> list[str]:
        """The events of a stream."""
        newline = self.pick(["\n", "\n", "\n", "\r\n", "\r"])
        docs = [self.plain_chunk(name, self.string()) for _ in range(self.rng.randrange(1, 4))]
        if self.one_in(2):
            docs.append(self.plain_chunk(name, "null", finish='"stop"'))
        if self.one_in(2):
            docs.append(self.plain_chunk(name, "null", usage=self.usage()))
        if self.one_in(6):
            docs.append(self.completion())
        if not self.one_in(3):
            docs.append("[DONE]")
        return [f"data: {line}{newline}{newline}" for doc in docs for line in [doc.replace("\n", " ")]]

    def plain_chunk(self, name: str, content: str, *, finish: str = "null", usage: str = "null") -> str:
        return (
            f'{{"id":"{name}","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":'
            f'{{"content":{content}}},"finish_reason":{finish}}}],"usage":{usage}}}'
        )

    def completion(self) -> str:
        """A finished completion, or nearly one."""

        def message() -> str:
            return self.members({"role": self.picked("assistant"), "content": self.string})

        def choice() -> str:
            known = {"index": lambda: self.pick(["0", "1"]), "message": message}
            return self.members(known | {"finish_reason": self.picked("stop", "length")})

        known = {"id": self.picked("a", "b", ""), "object": self.picked("chat.completion", "chat.completion", "x")}
        known |= {"created": lambda: "7", "model": self.picked("m", "n"), "usage": self.usage}
        known["choices"] = lambda: self.array([choice() for _ in range(self.pick([0, 1, 1, 1, 2]))])
        return self.members(known, missing=20)

    def document(self) -> str:
        """A document that is not in an event."""
        kind = self.rng.randrange(10)
        if kind < 3:
            return self.completion()
        if kind < 5:
            return self.plain_chunk("d", self.string())
        if kind < 7:
            return self.chunk()
        return self.pick([*OTHERS, '{"error":{"message":"m"}}', "[DONE]", self.value()])

    def documents(self) -> str:
        return self.array([self.document() for _ in range(self.rng.randrange(4))])

    def cut(self, text: str) -> str:
        """A body that was clipped, perhaps with a mark."""
        text = text[: self.rng.randrange(len(text) + 1)] if self.one_in(2) else text
        return text + (self.pick(MARKS) if self.one_in(2) else "")

    def body(self) -> str:
        """What stands in the place of a body, as JSON."""
        kind = self.rng.randrange(12)
        if kind < 7:
            text = self.pick(["", "", "", "\ufeff", "\n", " \r\n"]) + self.events()
            return self.string(self.cut(text) if self.one_in(4) else text)
        if kind < 9:
            text = self.document() if self.one_in(2) else self.documents()
            return self.string(self.cut(text) if self.one_in(4) else self.pick(["", "", "\ufeff", " \n"]) + text)
        if kind == 9:
            return self.document()
        return self.documents() if kind == 10 else str(self.pick(OTHERS))

    # --- lines

    def wrapped(self, value: str, layers: list[tuple[str, bool]]) -> str:
        """A value in members of objects, some of which stand in strings; with other members around it."""
        for depth, (name, in_text) in enumerate(reversed(layers)):
            pairs = [(name, value)]
            if self.one_in(8):  # another of this name: the last one wins
                pairs.insert(self.rng.randrange(2), (name, self.pick(OTHERS)))
            for other in self.rng.sample(NAMES, self.rng.randrange(3)):
                if other != name:
                    pairs.insert(self.rng.randrange(len(pairs) + 1), (other, self.value(2)))
            if depth == len(layers) - 1:
                for pair in self.outer():
                    pairs.insert(self.rng.randrange(len(pairs) + 1), pair)
            value = self.object(pairs)
            if in_text:
                value = self.string(value + self.pick(["", "", "\n"]))
        return value

    def outer(self) -> list[tuple[str, str]]:
        pairs = [("user", self.pick(['"ann"', '"bob"', '"zo\\u00eb"', "null", "5"]))] if not self.one_in(4) else []
        if self.one_in(3):
            pairs.append(("meta", self.pick(['{"tag": [1, "\\ud83d\\ude42"]}', '{"tag": null}', '{"tag": 1.50}', "7"])))
        return pairs

    def layers(self) -> list[tuple[str, bool]]:
        """The names of the members that a body stands in, from the outside; and which of those stand in a string."""
        count = self.pick([1, 1, 2, 3])
        layers = [(self.pick(NAMES), number > 0 and self.one_in(2)) for number in range(count)]
        return layers if layers != [("", False)] else [("body", False)]  # a path of one empty name is refused

    def exchanges(self) -> OddLog:
        layers = self.layers()
        lines = [self.wrapped(self.body(), layers) for _ in range(self.rng.randrange(1, 6))]
        return self.log(lines, {"format": "exchanges", "field": path_of(tuple(name for name, _ in layers))})

    def reads(self) -> OddLog:
        """Bodies in pieces that take turns."""
        layers = self.layers()
        has_id, has_time = not self.one_in(4), not self.one_in(3)
        pieces = []
        for number in range(self.rng.randrange(1, 4)):
            text = self.events()
            if self.one_in(4):
                text = self.cut(text)
            cuts = sorted(self.rng.randrange(len(text) + 1) for _ in range(self.rng.randrange(5)))
            key = self.pick(IDS) if self.one_in(2) else str(number)
            parts = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            pieces.append((key, [self.string(part) if not self.one_in(20) else self.body() for part in parts]))
        lines = []
        while pieces:
            key, parts = self.pick(pieces)
            members = [("id", key)] if has_id and not self.one_in(15) else []
            if has_time and not self.one_in(8):
                members.append(("ts", self.pick(TIMES) if self.one_in(3) else f"{1760000000 + len(lines) / 8}"))
            line = self.wrapped(parts.pop(0), layers)
            lines.append("{" + ",".join([self.key(name) + ":" + value for name, value in members] + [line[1:]]))
            pieces = [one for one in pieces if one[1]]
        how: dict[str, Any] = {"format": "reads", "field": path_of(tuple(name for name, _ in layers))}
        how |= {"id_field": "id"} if has_id else {}
        return self.log(lines, how | ({"time_field": "ts"} if has_time else {}))

    def chunks(self) -> OddLog:
        docs = [self.document() for _ in range(self.rng.randrange(1, 6))]
        if self.one_in(3):
            array = "[" + self.pick([",\n", ",", "\n, \r\n"]).join(docs) + "]"
            return self.log([array], {"format": "chunks"})
        return self.log([doc if not self.one_in(4) else self.documents() for doc in docs], {"format": "chunks"})

    def log(self, lines: list[str], how: dict[str, Any]) -> OddLog:
        data = [line.encode("utf-8", "backslashreplace") for line in lines]
        while self.one_in(3):
            strange = self.pick(STRANGERS) if self.one_in(2) else self.document().encode("utf-8", "backslashreplace")
            data.insert(self.rng.randrange(len(data) + 1), strange)
        end = self.pick([b"\n", b"\n", b"\r\n"])
        log = end.join(data) + (end if not self.one_in(4) else b"")
        if self.one_in(10):
            log = b"\xef\xbb\xbf" + log
        if self.one_in(8):
            log = log[: self.rng.randrange(len(log) + 1)]
        if self.one_in(4):
            how = how if self.one_in(2) or how["format"] == "chunks" else {"field": how["field"]}
            how = {name: value for name, value in how.items() if name != "format"}
        keep = self.rng.sample(["user", "meta.tag", "id", "choices"], self.rng.randrange(3))
        return OddLog(log, how, keep if how.get("format") != "chunks" else [])

    def har(self) -> OddLog:
        bodies = [self.events().encode("utf-8", "replace") for _ in range(self.rng.randrange(1, 4))]
        return OddLog(har([("text/event-stream", self.pick([body, body, None])) for body in bodies]))

    def any(self) -> OddLog:
        kind = self.rng.randrange(20)
        if kind < 8:
            return self.exchanges()
        if kind < 15:
            return self.reads()
        return self.chunks() if kind < 19 else self.har()


@st.composite
def odd_logs(draw: st.DrawFn) -> OddLog:
    """Logs, some of them damaged."""
    log = LogWriter(draw(generate.seeds)).any()
    if draw(st.integers(0, 3)) == 3:
        log.data = draw(generate.damaged(st.just(log.data)))
    return log
