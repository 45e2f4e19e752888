"""The shapes of the sample streams: one function for each provider, which writes a stream and keeps what it knows.

Which fields there are, in which order, what is null and what is missing follows what servers send. Every text, id,
model name and number is invented.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

WORDS = [
    "amber", "brook", "candle", "drift", "ember", "fjord", "garden", "harbor", "island", "juniper", "kettle",
    "lantern", "meadow", "nectar", "orchard", "pebble", "quartz", "river", "saddle", "thicket", "umber", "velvet",
    "willow", "yonder", "zephyr",
]  # fmt: skip
SPECIAL = [
    "naïve",
    "Öl",
    "東京",
    "привет",
    "🙂",
    "🧵",
    '"quoted"',
    "back\\slash",
    "tab\there",
    "line\nbreak",
    "\u2028",
    "</p>",
]
TOKENS = [
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_prompt_tokens", "audio_completion_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
]  # fmt: skip


class Stream:
    """One stream while it is being written: its blocks, and what the writer knows about it."""

    def __init__(self, rng: random.Random, model: str, created: int, *, newline: str = "\n") -> None:
        self.rng, self.newline = rng, newline
        self.blocks: list[bytes] = []
        self.known: dict[str, Any] = {
            "id": None,
            "model": model,
            "created": created,
            "finish_reason": None,
            "status": "truncated",
            "chunks": 0,
            "reported": False,
            "cost": None,
            **dict.fromkeys(TOKENS, 0),
        }

    # Only `Random.random` is promised to give the same numbers in every version of Python.

    def below(self, limit: int) -> int:
        return int(self.rng.random() * limit)

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def letters(self, count: int, alphabet: str = "0123456789abcdef") -> str:
        return "".join(alphabet[self.below(len(alphabet))] for _ in range(count))

    def word(self) -> str:
        if self.below(9) == 0:
            return " " + SPECIAL[self.below(len(SPECIAL))]
        return " " + WORDS[self.below(len(WORDS))]

    def words(self, low: int = 6, high: int = 14) -> list[str]:
        return [self.word() for _ in range(self.between(low, high))]

    def name(self, prefix: str, count: int = 24) -> str:
        self.known["id"] = prefix + self.letters(count)
        return str(self.known["id"])

    # --- blocks

    def write(self, *lines: str) -> None:
        self.blocks.append("".join(line + self.newline for line in (*lines, "")).encode())

    def comment(self, text: str) -> None:
        self.write(":" + text)

    def chunk(self, doc: dict[str, Any], *, spaced: bool = False, ascii: bool = False, colon: str = "data: ") -> None:
        separators = (", ", ": ") if spaced else (",", ":")
        self.write(colon + json.dumps(doc, ensure_ascii=ascii, separators=separators))
        self.known["chunks"] += 1

    def done(self) -> None:
        self.write("data: [DONE]")
        self.known["status"] = "complete"

    # --- what usage says

    def finish(self, reason: str) -> str:
        self.known["finish_reason"] = reason
        if self.known["status"] == "truncated":
            self.known["status"] = "no_done"
        return reason

    def count(self, completion: int, **details: int) -> tuple[int, int, int]:
        prompt = self.between(9, 900)
        self.known |= {"reported": True, "prompt_tokens": prompt, "completion_tokens": completion}
        self.known |= {"total_tokens": prompt + completion} | details
        return prompt, completion, prompt + completion

    def usage(self, completion: int, **details: int) -> dict[str, int]:
        return dict(zip(TOKENS[:3], self.count(completion, **details), strict=True))


def choice(delta: dict[str, Any], reason: str | None = None, index: int = 0, **extra: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, **extra, "finish_reason": reason}


# --- the shapes, one function a provider -------------------------------------------------------------------------


def openai(stream: Stream) -> None:
    """Null usage on every chunk, padding of random length, the counts in a last chunk without choices."""
    head = {"id": stream.name("chatcmpl-"), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head |= {
        "model": stream.known["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_" + stream.letters(10),
    }

    def send(choices: list[Any], usage: Any = None) -> None:
        padding = stream.letters(stream.between(1, 16), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789")
        stream.chunk({**head, "choices": choices, "usage": usage, "obfuscation": padding})

    words = stream.words()
    send([choice({"role": "assistant", "content": "", "refusal": None}, logprobs=None)])
    for word in words:
        send([choice({"content": word}, logprobs=None)])
    send([choice({}, stream.finish("stop"), logprobs=None)])
    cached = stream.below(3) * 128
    usage: dict[str, Any] = stream.usage(len(words), cached_tokens=cached)
    usage["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": 0}
    zeros = dict.fromkeys(TOKENS[8:], 0)
    usage["completion_tokens_details"] = {"reasoning_tokens": 0, "audio_tokens": 0, **zeros}
    send([], usage)
    stream.done()


def azure(stream: Stream) -> None:
    """A first chunk without identity that carries the prompt's filters; filters beside every delta."""
    safe = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm")}
    filters = [
        {"prompt_index": 0, "content_filter_results": {**safe, "jailbreak": {"filtered": False, "detected": False}}}
    ]
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filters}
    stream.chunk(first)
    head = {"created": stream.known["created"], "id": stream.name("chatcmpl-"), "model": stream.known["model"]}
    tail = {"object": "chat.completion.chunk", "system_fingerprint": "fp_" + stream.letters(10), "usage": None}

    def send(delta: dict[str, Any], reason: str | None = None, results: Any = None) -> None:
        one = {
            "content_filter_results": results or {},
            "delta": delta,
            "finish_reason": reason,
            "index": 0,
            "logprobs": None,
        }
        stream.chunk({"choices": [one], **head, **tail})

    words = stream.words(4, 9)
    send({"content": "", "refusal": None, "role": "assistant"})
    for word in words:
        send({"content": word}, results=safe)
    send({}, stream.finish("stop"))
    usage = stream.usage(len(words))
    stream.chunk({"choices": [], **head, **tail, "usage": usage})
    stream.done()


def deepseek(stream: Stream) -> None:
    """Reasoning first, beside a null content; the finish chunk carries usage with the cache's hits and misses."""
    head = {"id": stream.letters(8) + "-" + stream.letters(4), "object": "chat.completion.chunk"}
    stream.known["id"] = head["id"]
    head |= {"created": stream.known["created"], "model": stream.known["model"], "system_fingerprint": "fp_heron_v0"}

    def send(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> None:
        stream.chunk({**head, "choices": [choice(delta, reason, logprobs=None)], **extra}, ascii=True)

    thoughts, words = stream.words(4, 8), stream.words(4, 8)
    send({"role": "assistant", "content": None, "reasoning_content": ""})
    for word in thoughts:
        send({"content": None, "reasoning_content": word})
    for word in words:
        send({"content": word, "reasoning_content": None})
    reason = stream.finish("stop")
    prompt, completion, total = stream.count(len(thoughts + words), reasoning_tokens=len(thoughts))
    hit = prompt // 3
    stream.known["cached_tokens"] = hit
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    usage |= {"completion_tokens_details": {"reasoning_tokens": len(thoughts)}}
    usage |= {"prompt_cache_hit_tokens": hit, "prompt_cache_miss_tokens": prompt - hit}
    send({"content": "", "reasoning_content": None}, reason, usage=usage)
    stream.done()


def mistral(stream: Stream) -> None:
    """Content as a list of parts while it thinks; `p` pads every chunk."""
    head = {"id": stream.name("", 32), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head["model"] = stream.known["model"]

    def send(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> None:
        padding = "abcdefghijklmnopqrstuvwxyz0123456789"[: stream.between(1, 36)]
        stream.chunk({**head, "choices": [choice(delta, reason)], **extra, "p": padding})

    thoughts, words = stream.words(3, 6), stream.words(4, 8)
    send({"role": "assistant", "content": ""})
    for word in thoughts:
        send({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": word}], "closed": False}]})
    for word in words:
        send({"content": word})
    reason = stream.finish("length")
    send({"content": ""}, reason, usage=stream.usage(len(thoughts + words)))
    stream.done()


def groq(stream: Stream) -> None:
    """Usage in `x_groq` of the finish chunk, and again as usage of a chunk without choices."""
    head = {"id": stream.name("chatcmpl-", 16), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head |= {"model": stream.known["model"], "system_fingerprint": "fp_" + stream.letters(10)}
    words = stream.words(4, 8)
    request = {"id": "req_" + stream.letters(20)}
    first = choice({"role": "assistant", "content": ""}, logprobs=None)
    stream.chunk({**head, "choices": [first], "x_groq": request})
    for word in words:
        stream.chunk({**head, "choices": [choice({"content": word}, logprobs=None)]})
    usage = {"queue_time": 0.0625, **stream.usage(len(words)), "prompt_time": 0.001953125, "total_time": 0.25}
    last = choice({}, stream.finish("stop"), logprobs=None)
    stream.chunk({**head, "choices": [last], "x_groq": {**request, "usage": usage}})
    stream.done()


def openrouter(stream: Stream) -> None:
    """Comments while it waits, a role on every chunk, finish sent twice, the cost as a number."""
    stream.comment(" OPENROUTER PROCESSING")
    head: dict[str, Any] = {"id": stream.name(f"gen-{stream.known['created']}-", 12), "provider": "Nook"}
    head |= {"model": stream.known["model"], "object": "chat.completion.chunk", "created": stream.known["created"]}

    def send(content: str, reason: str | None = None, **extra: Any) -> None:
        one = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": reason}
        stream.chunk({**head, "choices": [{**one, "native_finish_reason": reason, "logprobs": None}], **extra})

    words = stream.words(4, 9)
    for word in words:
        if stream.below(4) == 0:
            stream.comment(" OPENROUTER PROCESSING")
        send(word)
    send("", stream.finish("stop"))
    cost = stream.between(1, 900) / 2**20
    stream.known["cost"] = cost
    details = {"cached_tokens": 16, "cache_write_tokens": 8, "audio_tokens": 0}
    usage = {**stream.usage(len(words), cached_tokens=16, cache_write_tokens=8), "cost": cost, "is_byok": False}
    send(
        "", "stop", usage={**usage, "prompt_tokens_details": details, "cost_details": {"upstream_inference_cost": None}}
    )
    stream.done()


def perplexity(stream: Stream) -> None:
    """CRLF, running usage and the whole message on every chunk, the cost as an object, no `[DONE]`."""
    stream.newline = "\r\n"
    name, words, text = stream.name("", 32), stream.words(4, 8), ""
    prompt = stream.between(5, 40)
    sources = [f"https://example.org/{stream.letters(6)}" for _ in range(2)]
    for number, word in enumerate(words, 1):
        text += word
        last = number == len(words)
        cost = {"input_tokens_cost": 0.5**12, "output_tokens_cost": number / 4096, "request_cost": 0.0078125}
        cost["total_cost"] = sum(cost.values())
        usage = {"prompt_tokens": prompt, "completion_tokens": number, "total_tokens": prompt + number}
        stream.known |= {**usage, "reported": True, "cost": cost["total_cost"]}
        message = {"role": "assistant", "content": text}
        one = {"index": 0, "delta": {"role": "assistant", "content": word}, "message": message}
        one["finish_reason"] = stream.finish("stop") if last else None
        doc = {"id": name, "model": stream.known["model"], "created": stream.known["created"]}
        doc |= {"usage": {**usage, "search_context_size": "low", "cost": cost}, "citations": sources}
        stream.chunk({**doc, "object": "chat.completion.done" if last else "chat.completion.chunk", "choices": [one]})


def cerebras(stream: Stream) -> None:
    """`time_info` with floats, usage on the finish chunk, no `[DONE]`."""
    tail = {"created": stream.known["created"], "model": stream.known["model"], "object": "chat.completion.chunk"}
    head = {"id": stream.name("chatcmpl-", 16)}
    words = stream.words(4, 8)
    stream.chunk({**head, "choices": [{"delta": {"role": "assistant"}, "index": 0}], **tail})
    for word in words:
        stream.chunk({**head, "choices": [{"delta": {"content": word}, "index": 0}], **tail})
    usage = {**stream.usage(len(words), cached_tokens=0), "prompt_tokens_details": {"cached_tokens": 0}}
    times = {"queue_time": 6.103515625e-05, "completion_time": 0.0078125, "created": stream.known["created"] + 0.5}
    last = {"delta": {}, "finish_reason": stream.finish("length"), "index": 0}
    stream.chunk({**head, "choices": [last], **tail, "usage": usage, "time_info": times})


def llamacpp(stream: Stream) -> None:
    """Choices first, the id in the middle, timings beside usage on the last chunk."""
    tail = {"created": stream.known["created"], "id": stream.name("chatcmpl-", 20), "model": stream.known["model"]}
    tail |= {"system_fingerprint": "b0000-" + stream.letters(8), "object": "chat.completion.chunk"}
    words = stream.words()
    stream.chunk(
        {"choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}], **tail}
    )
    for word in words:
        stream.chunk({"choices": [{"finish_reason": None, "index": 0, "delta": {"content": word}}], **tail})
    stream.chunk({"choices": [{"finish_reason": stream.finish("stop"), "index": 0, "delta": {}}], **tail})
    usage = {name: stream.usage(len(words))[name] for name in ("total_tokens",)}
    usage = {"completion_tokens": len(words), "prompt_tokens": stream.known["prompt_tokens"], **usage}
    timings = {"cache_n": 0, "prompt_n": usage["prompt_tokens"], "prompt_ms": 31.25, "predicted_per_second": 123.0625}
    stream.chunk({"choices": [], **tail, "usage": usage, "timings": timings})
    stream.done()


def xai(stream: Stream) -> None:
    """Running usage on every chunk, with zeros at first; the last one counts."""
    head = {"id": stream.name(""), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head |= {"model": stream.known["model"], "system_fingerprint": "fp_" + stream.letters(10)}
    thoughts, words = stream.words(2, 4), stream.words(3, 7)
    deltas = [{"reasoning_content": word, "role": "assistant"} for word in thoughts]
    deltas += [{"content": word, "role": "assistant"} for word in words]
    prompt = stream.between(9, 99)
    for number, delta in enumerate([*deltas, {}]):
        spent = max(0, number - len(thoughts))
        usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": spent}
        usage |= {"total_tokens": prompt + spent + min(number, len(thoughts)), "num_sources_used": 0}
        usage["prompt_tokens_details"] = {
            "text_tokens": prompt,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 2,
        }
        usage["completion_tokens_details"] = {"reasoning_tokens": min(number, len(thoughts)), "audio_tokens": 0}
        stream.chunk({**head, "choices": [choice(delta, None if delta else stream.finish("stop"))], "usage": usage})
    stream.known |= {name: usage[name] for name in TOKENS[:3]} | {"reported": True, "cached_tokens": 2}
    stream.known["reasoning_tokens"] = len(thoughts)
    stream.done()


def vllm(stream: Stream) -> None:
    """Spaces in the JSON, `stop_reason` and `token_ids` beside the delta, no usage asked for."""
    head = {"id": stream.name("chatcmpl-", 32), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head["model"] = stream.known["model"]
    first = choice({"role": "assistant", "content": "", "reasoning_content": None}, logprobs=None)
    stream.chunk({**head, "choices": [first], "prompt_token_ids": None}, spaced=True)
    for word in stream.words(5, 10):
        one = choice({"content": word, "reasoning_content": None}, logprobs=None)
        stream.chunk({**head, "choices": [{**one, "token_ids": [stream.below(999)]}]}, spaced=True)
    last = choice({"content": ""}, stream.finish("stop"), logprobs=None, stop_reason=2)
    stream.chunk({**head, "choices": [last]}, spaced=True)
    stream.done()


def anthropic_tools(stream: Stream) -> None:
    """One tool call, its arguments in pieces; no space behind `data:`; the finish chunk carries usage."""
    head = {"id": stream.name("msg_"), "choices": [], "created": stream.known["created"]}
    tail = {"model": stream.known["model"], "object": "chat.completion.chunk"}

    def send(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> None:
        stream.chunk({**head, "choices": [choice(delta, reason)], **tail, **extra}, colon="data:")

    send({"role": "assistant", "content": "Let me" + stream.word()})
    call = {"index": 0, "id": "toolu_" + stream.letters(12), "type": "function"}
    send({"tool_calls": [{**call, "function": {"name": "find_" + WORDS[stream.below(25)], "arguments": ""}}]})
    pieces = ['{"qu', 'ery":', f' "{stream.word().strip()[:3].strip(chr(34) + chr(92))}"', ', "limit": 3', "}"]
    for piece in pieces:
        send({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    send({}, stream.finish("tool_calls"), usage=stream.usage(len(pieces)))
    stream.done()


def parallel_tools(stream: Stream) -> None:
    """Two tool calls at once, whose pieces alternate."""
    head = {"id": stream.name("chatcmpl-"), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head |= {"model": stream.known["model"], "system_fingerprint": None}
    for number in range(2):
        call = {"index": number, "id": "call_" + stream.letters(16), "type": "function"}
        call["function"] = {"name": ("weather", "clock")[number], "arguments": ""}
        who = {"role": "assistant", "content": None} if number == 0 else {}
        stream.chunk({**head, "choices": [choice({**who, "tool_calls": [call]}, logprobs=None)]})
    for piece in ('{"', "city", '":"', "Nook", '"}'):
        for number in range(2):
            delta = {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
            stream.chunk({**head, "choices": [choice(delta, logprobs=None)]})
    stream.chunk({**head, "choices": [choice({}, stream.finish("tool_calls"), logprobs=None)]})
    stream.chunk({**head, "choices": [], "usage": stream.usage(10)})
    stream.done()


def audio(stream: Stream) -> None:
    """Chunks of speech: no member `choices` at all on some of them, audio tokens in the details."""
    head = {"id": stream.name("chatcmpl-audio-", 12), "object": "chat.completion.chunk"}
    head |= {"created": stream.known["created"], "model": stream.known["model"]}
    voice = {"id": "audio_" + stream.letters(10), "transcript": stream.word()}
    stream.chunk({**head, "choices": [choice({"role": "assistant", "audio": voice})]})
    for _ in range(4):
        sound = base64.b64encode(bytes(stream.below(256) for _ in range(96))).decode()
        stream.chunk({**head, "audio": {"data": sound}})
        stream.chunk({**head, "choices": [choice({"audio": {"transcript": stream.word()}})]})
    stream.chunk(
        {**head, "choices": [choice({"audio": {"expires_at": stream.known["created"] + 60}}, stream.finish("stop"))]}
    )
    usage: dict[str, Any] = stream.usage(40, audio_prompt_tokens=7, audio_completion_tokens=33, cached_tokens=0)
    usage["prompt_tokens_details"] = {"audio_tokens": 7, "cached_tokens": 0}
    usage["completion_tokens_details"] = {"reasoning_tokens": None, "audio_tokens": 33}
    stream.chunk({**head, "choices": [], "usage": usage})
    stream.done()


def refusal(stream: Stream) -> None:
    """The model declines, in a field of its own; predicted tokens in the details."""
    head = {"id": stream.name("chatcmpl-"), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head["model"] = stream.known["model"]
    stream.chunk({**head, "choices": [choice({"role": "assistant", "content": None, "refusal": ""})]})
    words = stream.words(3, 6)
    for word in words:
        stream.chunk({**head, "choices": [choice({"refusal": word})]})
    stream.chunk({**head, "choices": [choice({}, stream.finish("content_filter"))]})
    predicted = {"accepted_prediction_tokens": 2, "rejected_prediction_tokens": 1}
    usage = {**stream.usage(len(words), **predicted), "completion_tokens_details": predicted}
    stream.chunk({**head, "choices": [], "usage": usage})
    stream.done()


def several_choices(stream: Stream) -> None:
    """Three answers at once, finished one by one; usage sits in the choice."""
    head = {"id": stream.name("chatcmpl-"), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head["model"] = stream.known["model"]
    for index in range(3):
        stream.chunk({**head, "choices": [choice({"role": "assistant", "content": ""}, index=index)]})
    for number in range(12):
        stream.chunk({**head, "choices": [choice({"content": stream.word()}, index=number % 3)]})
    usage = stream.usage(12)
    for index in (2, 1, 0):
        extra = {"usage": usage} if index == 0 else {}
        reason = "length" if index else stream.finish("stop")
        stream.chunk({**head, "choices": [choice({}, reason, index, **extra)]})
    stream.done()


def logprobs(stream: Stream) -> None:
    """Log probabilities with the rivals of every token."""
    head = {"id": stream.name("chatcmpl-"), "object": "chat.completion.chunk", "created": stream.known["created"]}
    head["model"] = stream.known["model"]
    stream.chunk({**head, "choices": [choice({"role": "assistant", "content": ""}, logprobs=None)]})
    for word in stream.words(3, 6):
        rivals = []
        for token in (word, stream.word()):
            rivals.append({"token": token, "logprob": -stream.between(1, 99) / 64, "bytes": list(token.encode())})
        found = {"content": [{**rivals[0], "top_logprobs": rivals}], "refusal": None}
        stream.chunk({**head, "choices": [choice({"content": word}, logprobs=found)]})
    stream.chunk({**head, "choices": [choice({}, stream.finish("stop"), logprobs=None)]})
    stream.done()


def changing_id(stream: Stream) -> None:
    """The id changes inside the stream (and there is no second role); the first one names it."""
    tail = {"object": "chat.completion.chunk", "created": stream.known["created"], "model": stream.known["model"]}
    stream.chunk({"id": stream.name(""), "choices": [choice({"role": "assistant", "content": ""})], **tail})
    words = stream.words(4, 7)
    for number, word in enumerate(words):
        other = f"{stream.letters(8)}-{number}"
        stream.chunk({"id": other, "choices": [choice({"content": word})], **tail})
    last = {"id": other, "choices": [choice({}, stream.finish("stop"))], **tail, "usage": stream.usage(len(words))}
    stream.chunk(last)
    stream.done()


def late_usage(stream: Stream) -> None:
    """The counts come behind `[DONE]`."""
    vllm(stream)
    doc = {"id": stream.known["id"], "object": "chat.completion.chunk", "choices": [], "usage": stream.usage(21)}
    stream.chunk(doc)


def error_inside(stream: Stream) -> None:
    """The server fails after a few tokens, and says so in an event of that name."""
    vllm(stream)
    keep = 4
    del stream.blocks[keep:]
    body = {"error": {"message": "the model is" + stream.word(), "type": "server_error", "code": 502}}
    stream.write("event: error", "data: " + json.dumps(body))
    stream.known |= {"chunks": keep, "status": "error", "finish_reason": None}


def error_alone(stream: Stream) -> None:
    """The server fails at once."""
    stream.write('data: {"error":{"message":"slow down","type":"rate_limit"}}')
    stream.write("data: [DONE]")
    stream.known |= {"status": "error", "model": None, "created": 0}


def truncated(stream: Stream) -> None:
    """The connection breaks, between two events."""
    cerebras(stream)
    del stream.blocks[-2:]
    nothing = dict.fromkeys(TOKENS, 0)
    chunks = len(stream.blocks)
    stream.known |= {"chunks": chunks, "status": "truncated", "finish_reason": None, "reported": False, **nothing}


SHAPES: list[Callable[[Stream], None]] = [
    openai, azure, deepseek, mistral, groq, openrouter, perplexity, cerebras, llamacpp, xai, vllm, anthropic_tools,
    parallel_tools, audio, refusal, several_choices, logprobs, changing_id, late_usage, error_inside, error_alone,
    truncated,
]  # fmt: skip
