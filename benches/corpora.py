"""Logs to measure with, made from a seed in the shapes that servers send, each with what is in it: counted while it is
written, never decoded. Where `CHUNKWIRE_STREAMS` names a folder of recorded streams, those too, counted by `json`."""

import json
import os
import random
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"
SEED = 20_240_513
LETTERS = string.ascii_letters + string.digits

WORDS = (
    "Hello", " world", ",", ".", " the", " of", " and", " to", " a", " in", " is", " that", " streaming", " tokens",
    " quick", " brown", " fox", "s", "ing", " 42", "\n\n", "\n", ' "quoted"', " def", "():\n    ", " return", " C:\\",
    " naïve", " 北京", "。", " Привет", " 😊", "1", " **bold**", " understanding", "'s", " |", "\t", " -", ":",
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """What a log holds."""

    chunks: int = 0
    streams: int = 0
    content: int = 0
    """Characters of `choices[0].delta.content` in all chunks."""
    sent_tokens: int = 0
    """`usage.total_tokens`, added up over every chunk that carries usage; so running totals count again and again."""
    prompt_tokens: int = 0
    """This and the next two: of the last usage of each stream, which is what a stream cost."""
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Counts)))


@dataclass(frozen=True)
class Stream:
    """One response as it was sent, `[DONE]` included."""

    blocks: tuple[bytes, ...]
    counts: Counts

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.blocks))


class Corpus:
    """A log: streams one behind the other."""

    def __init__(self, name: str, streams: Iterable[Stream], note: str = "") -> None:
        self.name = name
        self.note = note
        self.streams = tuple(streams)
        self.counts = sum((stream.counts for stream in self.streams), Counts())
        self.data = b"".join(block for stream in self.streams for block in stream.blocks)

    def head(self, chunks: int) -> "Corpus":
        """The first streams that hold at least so many chunks: for who is too slow for all."""
        taken: list[Stream] = []
        seen = 0
        for stream in self.streams:
            if seen >= chunks:
                break
            taken.append(stream)
            seen += stream.counts.chunks
        return Corpus(self.name, taken, self.note)


@dataclass(frozen=True)
class Plan:
    """What a stream is to say; a shape writes it as its server would."""

    number: int
    tokens: tuple[str, ...]
    prompt: int
    cached: int
    created: int
    rng: random.Random

    @property
    def completion(self) -> int:
        """Completion tokens: one a piece of content."""
        return len(self.tokens)

    @property
    def total(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion

    def padding(self) -> str:
        """Random letters of random length."""
        return "".join(self.rng.choices(LETTERS, k=self.rng.randrange(1, 17)))

    def stream(
        self, blocks: Iterable[str], *, comments: int = 0, extra_chunks: int = 0, running: bool = False
    ) -> Stream:
        """The stream of these documents. A shape writes one for each token, and `extra_chunks` of them beside.

        `running`: each chunk with a token reported the tokens so far, and so did the last.
        """
        sent = sum(self.prompt + written for written in range(1, self.completion + 1)) if running else 0
        counts = Counts(
            chunks=self.completion + extra_chunks,
            streams=1,
            content=sum(map(len, self.tokens)),
            sent_tokens=sent + self.total,
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            total_tokens=self.total,
        )
        events = tuple(b"data: %b\n\n" % block.encode() for block in blocks)
        return Stream((COMMENT,) * comments + events + (DONE,), counts)


@cache
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@cache
def _escaped(text: str) -> str:
    return json.dumps(text)


def openai(plan: Plan, padded: bool = False) -> Stream:
    """OpenAI with `include_usage`: null usage on every chunk, then one chunk with usage and no choices."""

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"chatcmpl-{plan.number:029}","object":"chat.completion.chunk","created":{plan.created},'
            '"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_0123456789","choices":['
        )
        details = (
            f'"prompt_tokens_details":{{"cached_tokens":{plan.cached},"audio_tokens":0}},"completion_tokens_details":'
            '{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}'
        )

        def chunk(choices: str, usage: str = "null") -> str:
            padding = f',"obfuscation":"{plan.padding()}"' if padded else ""
            return f'{head}{choices}],"usage":{usage}{padding}}}'

        def choice(delta: str, finish: str = "null") -> str:
            return chunk(f'{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":{finish}}}')

        yield choice('"role":"assistant","content":"","refusal":null')
        for token in plan.tokens:
            yield choice(f'"content":{_quoted(token)}')
        yield choice("", '"stop"')
        yield chunk(
            "",
            f'{{"prompt_tokens":{plan.prompt},"completion_tokens":{plan.completion},'
            f'"total_tokens":{plan.total},{details}}}',
        )

    return plan.stream(blocks(), extra_chunks=3)


def padded(plan: Plan) -> Stream:
    """OpenAI today: `obfuscation` of random length on every chunk."""
    return openai(plan, padded=True)


def choices_first(plan: Plan) -> Stream:
    """llama.cpp: keys in alphabetical order, so what changes comes first; timings beside the usage."""

    def blocks() -> Iterator[str]:
        tail = (
            f'"created":{plan.created},"id":"chatcmpl-{plan.number:032}","model":"Qwen3-1.7B-Q4_K_M.gguf",'
            '"object":"chat.completion.chunk","system_fingerprint":"b10499-6d05498"'
        )

        def chunk(delta: str, finish: str = "null") -> str:
            return f'{{"choices":[{{"delta":{{{delta}}},"finish_reason":{finish},"index":0}}],{tail}}}'

        yield chunk('"content":null,"role":"assistant"')
        for token in plan.tokens:
            yield chunk(f'"content":{_quoted(token)}')
        yield chunk("", '"stop"')
        yield (
            f'{{"choices":[],{tail},"timings":{{"cache_n":{plan.cached},"predicted_ms":107.711,"prompt_ms":5.469}},'
            f'"usage":{{"completion_tokens":{plan.completion},"prompt_tokens":{plan.prompt},'
            f'"prompt_tokens_details":{{"cached_tokens":{plan.cached}}},"total_tokens":{plan.total}}}}}'
        )

    return plan.stream(blocks(), extra_chunks=3)


def azure(plan: Plan) -> Stream:
    """Azure: a first chunk about the prompt with id "", then filter results on every chunk; choices first."""

    def blocks() -> Iterator[str]:
        level = '{"filtered":false,"severity":"safe"}'
        verdict = f'{{"hate":{level},"self_harm":{level},"sexual":{level},"violence":{level}}}'
        yield (
            '{"choices":[],"created":0,"id":"","model":"","object":"",'
            f'"prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{verdict}}}]}}'
        )
        for token in plan.tokens:
            yield (
                f'{{"choices":[{{"content_filter_results":{verdict},"delta":{{"content":{_quoted(token)}}},'
                f'"finish_reason":null,"index":0,"logprobs":null}}],"created":{plan.created},'
                f'"id":"chatcmpl-{plan.number:029}","model":"gpt-4.1-mini-2025-04-14","obfuscation":"{plan.padding()}",'
                '"object":"chat.completion.chunk","system_fingerprint":"fp_b6f445fc1c","usage":null}'
            )
        yield (
            f'{{"choices":[],"created":{plan.created},"id":"chatcmpl-{plan.number:029}","model":"gpt-4.1-mini-2025-04-14",'
            f'"object":"chat.completion.chunk","usage":{{"completion_tokens":{plan.completion},'
            f'"prompt_tokens":{plan.prompt},"total_tokens":{plan.total}}}}}'
        )

    return plan.stream(blocks(), extra_chunks=2)


def mistral(plan: Plan) -> Stream:
    """Mistral: padding `p`, no usage before the last chunk, which has the finish reason too."""

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"{plan.number:032x}","object":"chat.completion.chunk","created":{plan.created},'
            '"model":"mistral-small-latest",'
        )
        last = len(plan.tokens) - 1
        for place, token in enumerate(plan.tokens):
            finish, usage = "null", ""
            if place == last:
                finish = '"stop"'
                usage = (
                    f'"usage":{{"prompt_tokens":{plan.prompt},"total_tokens":{plan.total},'
                    f'"completion_tokens":{plan.completion},"prompt_tokens_details":{{"cached_tokens":{plan.cached}}}}},'
                )
            yield (
                f'{head}"choices":[{{"index":0,"delta":{{"content":{_quoted(token)}}},"finish_reason":{finish}}}],'
                f'{usage}"p":"{plan.padding()}"}}'
            )

    return plan.stream(blocks())


def openrouter(plan: Plan) -> Stream:
    """OpenRouter: comments while one waits, a role on every chunk, a cost at the end; escapes beyond ASCII."""

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"gen-{plan.created}-{plan.number:020}","object":"chat.completion.chunk","created":{plan.created},'
            '"model":"deepseek/deepseek-chat","provider":"Example","choices":[{"index":0,"delta":{"content":'
        )
        for token in plan.tokens:
            yield f'{head}{_escaped(token)},"role":"assistant"}},"finish_reason":null,"native_finish_reason":null}}]}}'
        yield (
            f'{head}"","role":"assistant"}},"finish_reason":"stop","native_finish_reason":"stop"}}],"usage":'
            f'{{"prompt_tokens":{plan.prompt},"completion_tokens":{plan.completion},"total_tokens":{plan.total},'
            f'"cost":0.00765,"prompt_tokens_details":{{"cached_tokens":{plan.cached},"cache_write_tokens":0,'
            '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}}'
        )

    return plan.stream(blocks(), comments=plan.rng.randrange(1, 12), extra_chunks=1)


def deepseek(plan: Plan) -> Stream:
    """DeepSeek: a part of the answer is `reasoning_content` with null content; usage on the chunk that finishes."""

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"{plan.number:08x}-e097-4853-914d-0c7ee561e2ba","object":"chat.completion.chunk",'
            f'"created":{plan.created},"model":"deepseek-reasoner","system_fingerprint":"fp_3a5770e1b4","choices":[{{'
        )
        thoughts = " so" if plan.number % 2 else " 那么"
        for _ in range(8):
            delta = f'{{"content":null,"reasoning_content":{_quoted(thoughts)}}}'
            yield f'{head}"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]}}'
        for token in plan.tokens:
            yield f'{head}"index":0,"delta":{{"content":{_quoted(token)}}},"logprobs":null,"finish_reason":null}}]}}'
        yield (
            f'{head}"index":0,"delta":{{"content":""}},"logprobs":null,"finish_reason":"stop"}}],"usage":'
            f'{{"prompt_tokens":{plan.prompt},"completion_tokens":{plan.completion},"total_tokens":{plan.total},'
            f'"prompt_tokens_details":{{"cached_tokens":{plan.cached}}},"prompt_cache_hit_tokens":{plan.cached},'
            f'"prompt_cache_miss_tokens":{plan.prompt - plan.cached}}}}}'
        )

    return plan.stream(blocks(), extra_chunks=9)


def perplexity(plan: Plan) -> Stream:
    """Perplexity: spaces behind colons and commas, citations and running totals of usage on every chunk."""

    def blocks() -> Iterator[str]:
        sites = ", ".join(f'"https://www.example.com/articles/{place}"' for place in range(6))

        def chunk(written: int, delta: str, finish: str) -> str:
            return (
                f'{{"id": "{plan.number:08x}-004c-48c6-8da3-bb9d4db974bb", "model": "sonar", '
                f'"created": {plan.created}, "usage": {{"prompt_tokens": {plan.prompt}, '
                f'"completion_tokens": {written}, "total_tokens": {plan.prompt + written}, '
                f'"search_context_size": "low"}}, "citations": [{sites}], "object": "chat.completion.chunk", '
                f'"choices": [{{"index": 0, "finish_reason": {finish}, '
                f'"delta": {{"role": "assistant", "content": {delta}}}}}]}}'
            )

        for written, token in enumerate(plan.tokens, 1):
            yield chunk(written, _escaped(token), "null")
        yield chunk(plan.completion, '""', '"stop"')

    return plan.stream(blocks(), extra_chunks=1, running=True)


Shape = Callable[[Plan], Stream]
MIX: tuple[Shape, ...] = (openai, padded, choices_first, azure, mistral, openrouter, deepseek, perplexity)


def generate(name: str, shapes: tuple[Shape, ...], size: int, tokens: tuple[int, int]) -> Corpus:
    """A log of at least `size` bytes, whose streams have between `tokens` pieces of content, in all shapes by turns."""
    rng = random.Random(SEED)
    streams: list[Stream] = []
    written = 0
    while written < size:
        prompt = rng.randrange(8, 4000)
        plan = Plan(
            number=len(streams) + 1,
            tokens=tuple(rng.choices(WORDS, k=rng.randint(*tokens))),
            prompt=prompt,
            cached=rng.randrange(0, prompt),
            created=1_760_000_000 + len(streams),
            rng=rng,
        )
        stream = shapes[len(streams) % len(shapes)](plan)
        streams.append(stream)
        written += stream.size
    return Corpus(name, streams)


RECIPES: dict[str, tuple[tuple[Shape, ...], tuple[int, int]]] = {
    "openai": ((openai,), (100, 400)),
    "padded": ((padded,), (100, 400)),
    "choices-first": ((choices_first,), (100, 400)),
    "mixed": (MIX, (50, 300)),
    "short": ((openai,), (2, 8)),
}
WHAT = {
    "openai": "as OpenAI sends with `include_usage`: null usage on every chunk, then one with usage; 100 to 400 tokens",
    "padded": "the same with `obfuscation`, random letters of random length on every chunk",
    "choices-first": "as llama.cpp sends: keys in alphabetical order, so what changes comes first",
    "mixed": "eight shapes by turns: OpenAI (twice), Azure, Mistral, OpenRouter, DeepSeek, Perplexity, llama.cpp",
    "short": "as OpenAI sends, but 2 to 8 tokens a stream",
    "recorded": "recorded streams of many servers, one behind the other",
}


def make(name: str, size: int) -> Corpus:
    """The corpus of that name, of at least `size` bytes."""
    if name == "recorded":
        return recorded(Path(os.environ["CHUNKWIRE_STREAMS"]), size)
    shapes, tokens = RECIPES[name]
    return generate(name, shapes, size, tokens)


def names() -> list[str]:
    """What `make` can make here."""
    return [*RECIPES, "recorded"] if os.environ.get("CHUNKWIRE_STREAMS") else list(RECIPES)


def recorded(folder: Path, size: int) -> Corpus:
    """The recorded streams of a folder over and over.

    Only those that the peers can read: they split at empty lines, take one line of data an event, each stream's end
    from `[DONE]` alone and its usage from `usage`. The note says how many those are.
    """
    paths = sorted(folder.glob("*.sse"))
    streams = [stream for path in paths if (stream := _counted(path.read_bytes())) is not None]
    if not streams:
        raise ValueError(f"no stream in {folder} that every peer can read")
    times = size // sum(stream.size for stream in streams) + 1
    note = f"{len(streams)} of {len(paths)} files, those that every peer reads right"
    return Corpus("recorded", streams * times, note)


def _counted(data: bytes) -> Stream | None:
    if not data.endswith(b"\n\n" + DONE) or data.count(DONE) != 1 or b"\r" in data:
        return None
    blocks = data[: -len(b"\n\n")].split(b"\n\n")
    chunks = content = sent = 0
    ids: set[str] = set()
    last = None
    for block in blocks[:-1]:
        if block.startswith(b":"):
            continue
        if not block.startswith(b"data: {") or b"\n" in block:
            return None
        document = json.loads(block[len(b"data: ") :])
        if not _is_model(document):
            return None
        ids.add(document.get("id") or "")
        chunks += 1
        if document["choices"]:
            content += len(document["choices"][0].get("delta", {}).get("content") or "")
        if document.get("usage"):
            last = document["usage"]
            sent += last["total_tokens"]
    if len(ids - {""}) > 1:  # two responses in one file
        return None
    counts = Counts(chunks, 1, content, sent)
    if last is not None:
        counts += Counts(0, 0, 0, 0, last["prompt_tokens"], last["completion_tokens"], last["total_tokens"])
    return Stream(tuple(block + b"\n\n" for block in blocks), counts)


def _is_model(document: Any) -> bool:
    """Is it as the chunk model has it, so that typed parsers take it?"""
    match document:
        case {"choices": list(choices), "object": str()} if "error" not in document and "x_groq" not in document:
            usage = document.get("usage")
            return (
                all(_is_choice(choice) for choice in choices)
                and all(isinstance(document.get(key), str | None) for key in ("id", "model", "system_fingerprint"))
                and isinstance(document.get("created"), int | None)
                and (usage is None or _is_usage(usage))
            )
    return False


def _is_choice(choice: Any) -> bool:
    match choice:
        case {"delta": {**delta}}:
            return "usage" not in choice and isinstance(delta.get("content"), str | None)
    return isinstance(choice, dict) and "delta" not in choice and "usage" not in choice


def _is_usage(usage: Any) -> bool:
    match usage:
        case {"prompt_tokens": int(), "completion_tokens": int(), "total_tokens": int()}:
            return True
    return False
