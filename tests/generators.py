"""Sources as odd as a server could write them: JSON in every spelling, events around it, damage, splits.

Drawing each letter from hypothesis is a hundred times slower than decoding it. So hypothesis draws how many events
there are and a number for each; `Writer` turns such a number into an event. A failure still shrinks to few events.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


def words(text: str) -> list[str]:
    return text.split(" ")


KEYS = words(
    "id object created model choices usage error system_fingerprint service_tier index delta finish_reason logprobs "
    "role content refusal tool_calls function_call function name arguments type token logprob bytes top_logprobs "
    "prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details cached_tokens "
    "audio_tokens reasoning_tokens prompt_cache_hit_tokens x_groq cost total_cost usd reasoning_content obfuscation p"
)
PLAIN = "abcdefgh XYZ0189{}[]:,'"
ODD = '"\\/\b\f\n\r\t\x00\x1f\x7f\u0080\u0085\u2028\u2029éß東🙂\ufeff\uffff\ufffd\U0010ffff'
SURROGATES = ["\ud83d", "\ude42", "\ud83d\ude42", "\ude42\ud83d", "\udbff", "\udc00"]
SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
NUMBERS = words(
    "-0 0 0.0 -0.0 1.0 1e2 1E+2 1e-7 1.5 12345678901234567890.0 1e400 -1e400 5e-324 1e-400 0.1 3.14159265358979312 "
    "9007199254740993 9007199254740993.0 123456789012345678901234567890e-10 9223372036854775807 9223372036854775808 "
    "-9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616 NaN Infinity -Infinity"
)
BROKEN = words(
    '01 +1 1. .5 1e 1e+ - -Inf nan Null TRUE tru undefined \'a\' "a "\\x" "\\u12" "\\u12g4" "\\ud83d\\u" "\t" [1,] {,} '
    '{"a"} {"a":} {"a":1,} {1:2} [1 [1,,2] ] } : , /**/1 \ufeff1 [1]] {"a"\u20001} "\\ -NaN +Infinity 1_0 0x1 '
    '1e5.5 [1\x0b] "\x7f'
)
COUNTS = words('0 1 2 17 999 null 7.0 1.5 1e3 -1 1e30 NaN true "5" [] {} 123456789012345678901')


class Writer:
    """Writes one event after another from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def one_in(self, number: int) -> bool:
        return self.rng.random() * number < 1

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.random() * len(options))]

    def gap(self) -> str:
        return self.pick(["", "", "", "", " ", "  ", "\t", "\n", " \r\n "]) if self.one_in(3) else ""

    def text(self) -> str:
        letters = [self.pick(ODD if self.one_in(5) else PLAIN) for _ in range(int(self.rng.random() * 9))]
        if self.one_in(12):
            letters.append(self.pick(SURROGATES))
        return "".join(letters)

    def string(self, text: str | None = None) -> str:
        """A JSON string, each letter plain or in one of its escapes; surrogates only in escapes, perhaps alone."""
        written = []
        odd = 4 if self.one_in(3) else 50
        for letter in self.text() if text is None else text:
            units = letter.encode("utf-16-be", "surrogatepass").hex()
            if self.one_in(4):
                units = units.upper()
            escape = "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))
            if letter in SHORT and (letter != "/" or self.one_in(2)):
                written.append(escape if self.one_in(odd) else SHORT[letter])
            elif letter < " " or "\ud800" <= letter <= "\udfff" or self.one_in(odd):
                written.append(escape)
            else:
                written.append(letter)
        return '"' + "".join(written) + '"'

    def key(self, name: str) -> str:
        return f'"{name}"' if name in KEYS and not self.one_in(8) else self.string(name)

    def value(self, depth: int = 0) -> str:
        kind = int(self.rng.random() * (9 if depth < 3 else 6))
        if kind < 2:
            return self.string()
        if kind == 2:
            return str(
                self.rng.randrange(
                    -(10 ** self.pick([1, 2, 5, 18, 19, 20, 40])), 10 ** self.pick([1, 2, 5, 18, 19, 40])
                )
            )
        if kind == 3:
            return str(self.pick(NUMBERS))
        if kind < 6:
            return str(self.pick(["true", "false", "null"]))
        items = range(int(self.rng.random() * 4))
        if kind == 6:
            return self.array([self.value(depth + 1) for _ in items])
        return self.object([(self.pick(KEYS) if self.one_in(2) else self.text(), self.value(depth + 1)) for _ in items])

    def array(self, items: list[str]) -> str:
        return "[" + self.gap() + ",".join(self.gap() + item + self.gap() for item in items) + "]"

    def object(self, pairs: list[tuple[str, str]]) -> str:
        parts = [self.gap() + self.key(name) + self.gap() + ":" + self.gap() + value for name, value in pairs]
        return "{" + self.gap() + (self.gap() + ",").join(parts) + self.gap() + "}"

    def members(self, known: dict[str, Callable[[], str]], missing: int = 6) -> str:
        """An object with these members: most of them, perhaps in another order, twice, null, or of a wrong type."""
        names = [name for name in known if not self.one_in(missing)]
        if self.one_in(3):
            self.rng.shuffle(names)
        if names and self.one_in(5):
            names.append(self.pick(names))
        pairs = []
        for name in names:
            odd = self.one_in(15)
            pairs.append((name, (self.value() if self.one_in(2) else "null") if odd else known[name]()))
        while self.one_in(3):
            pairs.insert(int(self.rng.random() * (len(pairs) + 1)), (self.text(), self.value()))
        return self.object(pairs)

    def picked(self, *options: str) -> Callable[[], str]:
        return lambda: self.string(self.pick(options))

    def count(self) -> str:
        return str(self.pick(COUNTS)) if self.one_in(4) else str(int(self.rng.random() * 1000))

    def counts(self, names: str) -> Callable[[], str]:
        return lambda: self.members(dict.fromkeys(names.split(), self.count))

    def usage(self) -> str:
        if self.one_in(3):
            return str(self.pick(["null", "{}", "null", '"none"', "[]"]))
        known = dict.fromkeys(["prompt_tokens", "completion_tokens", "total_tokens"], self.count)
        known["prompt_tokens_details"] = self.counts("cached_tokens cache_write_tokens audio_tokens")
        rest = "reasoning_tokens audio_tokens accepted_prediction_tokens rejected_prediction_tokens"
        known["completion_tokens_details"] = self.counts(rest)
        for name in (
            *("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens", "num_cached_tokens"),
            *("cache_creation_input_tokens", "reasoning_tokens"),
        ):
            if self.one_in(3):
                known[name] = self.count
        for name in (
            *("prompt_time", "queue_time", "completion_time", "total_prompt_time_sec", "total_completion_time_sec"),
            *("time_to_first_token_ms", "cost_in_usd_ticks", "estimated_cost"),
        ):
            if self.one_in(4):
                known[name] = self.time
        known["cost"] = lambda: self.pick(["0.5", "3", "null", '{"total_cost":0.25}', '{"usd":1.5}', "{}", "[1]"])
        return self.members(known, missing=3)

    def time(self) -> str:
        return str(self.pick(["0", "0.25", "125", "12.5", "-1", "1e308", "1e999", "null", '"1"', "true", "{}"]))

    def times(self, names: str) -> Callable[[], str]:
        return lambda: self.pick([self.members(dict.fromkeys(names.split(), self.time)), "null", "5", '"x"', "[]"])

    def tokens(self) -> str:
        known = {"token": self.string, "logprob": self.value, "bytes": self.value, "top_logprobs": self.value}
        return self.array([self.members(known) for _ in range(int(self.rng.random() * 3))])

    def function(self) -> str:
        return self.members({"name": self.string, "arguments": self.string})

    def call(self) -> str:
        return self.members({"index": self.count, "id": self.string, "type": self.string, "function": self.function})

    def delta(self) -> str:
        known = {"content": self.string, "refusal": self.string, "reasoning_content": self.string}
        if self.one_in(3):
            known["role"] = self.picked("assistant", "")
        if self.one_in(4):
            known["tool_calls"] = lambda: self.array([self.call() for _ in range(int(self.rng.random() * 3))])
            known["function_call"] = self.function
        return self.members(known)

    def choice(self) -> str:
        if self.one_in(20):
            return self.value()
        known = {
            "index": lambda: self.pick(["0", "0", "0", "0", "1", "2", "63", "99", "1.0", "-1", '"1"', "true"]),
            "delta": self.delta,
        }
        known["finish_reason"] = self.picked("stop", "length", "") if self.one_in(3) else lambda: "null"
        known["logprobs"] = lambda: self.members({"content": self.tokens, "refusal": self.tokens})
        if self.one_in(6):
            known["usage"] = self.usage
        return self.members(known)

    def chunk(self) -> str:
        """An object in the shape of a chunk; nearly all are chunks."""
        known = {"id": self.picked("a", "a", "a", "b", "c", "")}
        known["object"] = self.picked("chat.completion.chunk", "chunk")
        known["created"] = lambda: self.pick(["0", "1751328000", "1751400000", "7.0", '"5"', "null"])
        known["model"] = self.picked("m", "m", "n", "")
        known["choices"] = lambda: self.array([self.choice() for _ in range(self.pick([0, 1, 1, 1, 1, 2, 3]))])
        known["usage"] = self.usage if self.one_in(3) else lambda: "null"
        if self.one_in(5):
            known["x_groq"] = lambda: self.members({"usage": self.usage})
            known["cost"] = lambda: self.pick(["null", '{"usd":0.5}', '"0.125"', "2", '{"total_cost":3}'])
        if self.one_in(5):
            known["timings"] = self.times("prompt_ms predicted_ms")
            known["time_info"] = self.times("queue_time prompt_time completion_time")
        if self.one_in(5):
            known["metrics"] = self.times("time_to_first_token_ms generation_time_ms")
            known["sla_metrics"] = self.times("ttft_ms")
        if self.one_in(20):
            known["error"] = self.value
        return self.members(known, missing=20)

    def nested(self) -> str:
        """Arrays and objects in each other, about as deep as the limit; sometimes with something wrong inside."""
        depth = self.rng.randrange(505, 518)
        objects = [self.one_in(2) for _ in range(depth)]
        opened = "".join('{"a":' if one else "[" for one in objects)
        inner = self.value(3) if self.one_in(2) else self.pick(BROKEN)
        closed = "".join("}" if one else "]" for one in reversed(objects)) if not self.one_in(6) else ""
        return opened + inner + closed

    def anything(self) -> str:
        """Mostly chunks, and everything else that an event can hold."""
        kind = int(self.rng.random() * 20)
        if kind < 11:
            return self.chunk()
        if kind == 11:
            return self.nested()
        if kind == 12:
            return f'{{"choices":[],"x":{self.nested()}}}'
        if kind == 13:
            return str(self.pick(BROKEN))
        if kind == 14:
            return f'{{"choices":[{self.pick(BROKEN)}]}}'
        if kind == 15:
            return self.value()
        options = ["[DONE]", "[DONE]", " [DONE] ", "", " ", '{"error":"e"}', '{"error":{"message":"m"}}', "{}", "oops"]
        return str(self.pick(options))

    def block(self, data: str | None = None) -> bytes:
        """An event around the data, its lines ended in one way or another."""
        newline = self.pick(["\n", "\n", "\n", "\r\n", "\r"])
        data = self.anything() if data is None else data
        lines = ["data:" + self.pick([" ", " ", " ", "", "  "]) + line for line in split(data)]
        extra = [
            ": comment",
            ":",
            "id: 1",
            "id: \0",
            "event: error",
            "event: x",
            "retry: 5",
            "retry: x",
            "foo: bar",
            "data",
        ]
        while self.one_in(4):
            lines.insert(self.pick([0, len(lines)]), self.pick(extra))
        return (newline.join(lines) + newline * 2).encode("utf-8", "surrogatepass")


def split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


seeds = st.integers(0, 2**32 - 1)
#: The JSON of one event, as text.
anything = seeds.map(lambda seed: Writer(seed).anything())
chunk = seeds.map(lambda seed: Writer(seed).chunk())


@st.composite
def stream(draw: st.DrawFn, size: int = 8) -> bytes:
    """A source: some events, perhaps a byte order mark, perhaps an end too early."""
    source = b"".join(Writer(seed).block() for seed in draw(st.lists(seeds, max_size=size)))
    if draw(st.integers(0, 9)) == 9:
        source = b"\xef\xbb\xbf" + source
    if draw(st.integers(0, 4)) == 4:
        source = source[: draw(st.integers(0, len(source)))]
    return source


@st.composite
def damaged(draw: st.DrawFn, sources: Any) -> bytes:
    """A source in which some bytes were lost, changed or added."""
    source = bytearray(draw(sources))
    signs = st.sampled_from(
        [b"\n", b"\r", b"\n\n", b"{", b"}", b"[", b'"', b":", b",", b"\\", b"\xff", b"\xf0\x9f", b"0", b" "]
    )
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(source)))
        source[at : at + draw(st.integers(0, 3))] = draw(st.one_of(st.binary(max_size=2), signs))
    return bytes(source)


@st.composite
def pieces(draw: st.DrawFn, source: bytes) -> list[bytes]:
    """The source in pieces, empty ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(source)), max_size=8)))
    return [source[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(source)], strict=True)]
