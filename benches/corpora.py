"""Logs to measure with, made from a seed in the shapes that servers send, each with what is in it: counted while it is
written, never decoded. Where `CHUNKWIRE_STREAMS` names a folder of recorded streams, those too, counted by `json`.

A large log is written in pieces (`write`): some megabytes over and over. Whenever streams come round again they have
other ids and another time, as in a log no id comes twice.
"""

import json
import os
import random
import string
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

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
    marks: tuple[bytes, ...] = ()
    """What is its own: the letters of its id, without a prefix that all ids of that server have."""
    times: tuple[int, ...] = ()
    """Its `created`, of ten digits."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.blocks))

    def again(self, time: int) -> "Stream":
        """The same stream as it comes round for the n-th time: other ids of the same letters, another time."""
        if not time:
            return self
        table, later = _permutation(time), time * LAP
        marks = {mark: mark.translate(table) for mark in self.marks}
        changes = marks | {b"%d" % created: b"%d" % (created + later) for created in self.times}
        blocks = []
        for block in self.blocks:
            for old, new in changes.items():
                block = block.replace(old, new)
            blocks.append(block)
        times = tuple(created + later for created in self.times)
        return Stream(tuple(blocks), self.counts, tuple(marks.values()), times)


LAP = 10_000_000
"""Seconds by which the same streams come later; more than a log's streams are apart."""
ALPHABETS = (string.digits, "abcdef", "ghijklmnopqrstuvwxyz", string.ascii_uppercase)


@cache
def _permutation(number: int) -> bytes:
    """A table for `bytes.translate` that makes other letters out of letters: digits of digits, and hexadecimal ones of
    such, so that an id stays of its kind and no two become the same."""
    rng = random.Random(number)
    after = ["".join(rng.sample(letters, len(letters))) for letters in ALPHABETS]
    return bytes.maketrans("".join(ALPHABETS).encode(), "".join(after).encode())


Trait = Literal["comments", "interleaved", "white space", "shared ids"]
"""What a log may have that not every contender can read: comments between events, many streams at a time, white space
where it likes between the tokens of JSON, streams that have the same id or none."""


class Corpus:
    """A log: so many streams at a time, and each that ends makes room for the next."""

    def __init__(
        self,
        name: str,
        streams: Iterable[Stream],
        note: str = "",
        lanes: int = 1,
        traits: frozenset[Trait] = frozenset(),
    ) -> None:
        self.name = name
        self.note = note
        self.lanes = lanes
        self.streams = tuple(streams)
        self.counts = sum((stream.counts for stream in self.streams), Counts())
        self.blocks = list(_interleave(self.streams, lanes))
        self.data = b"".join(self.blocks)
        found: dict[Trait, bool] = {
            "comments": any(block.startswith(b":") for block in self.blocks),
            "interleaved": lanes > 1,
        }
        self.traits = traits.union(trait for trait, has in found.items() if has)

    def head(self, chunks: int) -> "Corpus":
        """The first streams that hold at least so many chunks: for who is too slow for all."""
        taken: list[Stream] = []
        seen = 0
        for stream in self.streams:
            if seen >= chunks:
                break
            taken.append(stream)
            seen += stream.counts.chunks
        return Corpus(self.name, taken, self.note, self.lanes, self.traits)


def _interleave(streams: Iterable[Stream], lanes: int) -> Iterator[bytes]:
    """Blocks in the order of the log: the next one is of any open stream.

    A stream's last two blocks stay together, for the peers: they take what usage came last for that of the stream
    that ends.
    """
    if lanes == 1:
        yield from chain.from_iterable(stream.blocks for stream in streams)
        return
    rng = random.Random(SEED)
    waiting = iter(streams)
    open_streams = [[*reversed(stream.blocks)] for _, stream in zip(range(lanes), waiting, strict=False)]
    while open_streams:
        lane = rng.randrange(len(open_streams))
        left = open_streams[lane]
        yield left.pop()
        if len(left) == 2:
            yield left.pop()
            yield left.pop()
        if not left:
            if (following := next(waiting, None)) is not None:
                open_streams[lane] = [*reversed(following.blocks)]
            else:
                del open_streams[lane]


@dataclass(frozen=True)
class Written:
    """A log on disk, and what is in it."""

    path: Path
    counts: Counts
    size: int
    lines: int


def write(path: Path, corpus: Corpus, size: int) -> Written:
    """Writes a log of at least `size` bytes: the corpus over and over.

    In large pieces: then the page cache holds it as it holds a log that was read from the disk. After many small ones
    every contender reads it at a third of the speed.
    """
    counts, written, lines, time = Counts(), 0, 0, 0
    with open(path, "wb", buffering=1 << 20) as file:
        while written < size:
            streams = (stream.again(time) for stream in corpus.streams)
            written += sum(map(file.write, _interleave(streams, corpus.lanes)))
            counts += corpus.counts
            lines += corpus.data.count(b"\n")
            time += 1
        # What is written back while others are measured disturbs them.
        file.flush()
        os.fsync(file.fileno())
    return Written(path, counts, written, lines)


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

    def letters(self, length: int) -> str:
        """As in an id of OpenAI's."""
        return "".join(self.rng.choices(LETTERS, k=length))

    def uuid(self) -> str:
        """As in an id of DeepSeek's."""
        return str(uuid.UUID(int=self.rng.getrandbits(128)))

    def padding(self) -> str:
        """Random letters of random length."""
        return self.letters(self.rng.randrange(1, 17))

    def stream(
        self, mark: str, blocks: Iterable[str], *, comments: int = 0, extra_chunks: int = 0, running: bool = False
    ) -> Stream:
        """The stream of these documents. A shape writes one for each token, and `extra_chunks` of them beside.

        `mark` is what its id has for itself. `running`: each chunk with a token reported the tokens so far, and so did
        the last.
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
        return Stream((COMMENT,) * comments + events + (DONE,), counts, (mark.encode(),), (self.created,))


@lru_cache(len(WORDS))
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@lru_cache(len(WORDS))
def _escaped(text: str) -> str:
    return json.dumps(text)


def openai(plan: Plan, padded: bool = False) -> Stream:
    """OpenAI with `include_usage`: null usage on every chunk, then one chunk with usage and no choices."""
    mark = plan.letters(29)

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"chatcmpl-{mark}","object":"chat.completion.chunk","created":{plan.created},'
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

    return plan.stream(mark, blocks(), extra_chunks=3)


def padded(plan: Plan) -> Stream:
    """OpenAI today: `obfuscation` of random length on every chunk."""
    return openai(plan, padded=True)


def choices_first(plan: Plan) -> Stream:
    """llama.cpp: keys in alphabetical order, so what changes comes first; timings beside the usage."""
    mark = plan.letters(32)

    def blocks() -> Iterator[str]:
        tail = (
            f'"created":{plan.created},"id":"chatcmpl-{mark}","model":"Qwen3-1.7B-Q4_K_M.gguf",'
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

    return plan.stream(mark, blocks(), extra_chunks=3)


def azure(plan: Plan) -> Stream:
    """Azure: a first chunk about the prompt with id "", then filter results on every chunk; choices first."""
    mark = plan.letters(29)

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
                f'"id":"chatcmpl-{mark}","model":"gpt-4.1-mini-2025-04-14","obfuscation":"{plan.padding()}",'
                '"object":"chat.completion.chunk","system_fingerprint":"fp_b6f445fc1c","usage":null}'
            )
        yield (
            f'{{"choices":[],"created":{plan.created},"id":"chatcmpl-{mark}","model":"gpt-4.1-mini-2025-04-14",'
            f'"object":"chat.completion.chunk","usage":{{"completion_tokens":{plan.completion},'
            f'"prompt_tokens":{plan.prompt},"total_tokens":{plan.total}}}}}'
        )

    return plan.stream(mark, blocks(), extra_chunks=2)


def mistral(plan: Plan) -> Stream:
    """Mistral: padding `p`, no usage before the last chunk, which has the finish reason too."""
    mark = plan.uuid().replace("-", "")

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"{mark}","object":"chat.completion.chunk","created":{plan.created},"model":"mistral-small-latest",'
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

    return plan.stream(mark, blocks())


def openrouter(plan: Plan) -> Stream:
    """OpenRouter: comments while one waits, a role on every chunk, a cost at the end; escapes beyond ASCII."""
    mark = plan.letters(20)

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"gen-{plan.created}-{mark}","object":"chat.completion.chunk","created":{plan.created},'
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

    return plan.stream(mark, blocks(), comments=plan.rng.randrange(1, 12), extra_chunks=1)


def deepseek(plan: Plan) -> Stream:
    """DeepSeek: a part of the answer is `reasoning_content` with null content; usage on the chunk that finishes."""
    mark = plan.uuid()

    def blocks() -> Iterator[str]:
        head = (
            f'{{"id":"{mark}","object":"chat.completion.chunk",'
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

    return plan.stream(mark, blocks(), extra_chunks=9)


def perplexity(plan: Plan) -> Stream:
    """Perplexity: spaces behind colons and commas, citations and running totals of usage on every chunk."""
    mark = plan.uuid()

    def blocks() -> Iterator[str]:
        sites = ", ".join(f'"https://www.example.com/articles/{place}"' for place in range(6))

        def chunk(written: int, delta: str, finish: str) -> str:
            return (
                f'{{"id": "{mark}", "model": "sonar", '
                f'"created": {plan.created}, "usage": {{"prompt_tokens": {plan.prompt}, '
                f'"completion_tokens": {written}, "total_tokens": {plan.prompt + written}, '
                f'"search_context_size": "low"}}, "citations": [{sites}], "object": "chat.completion.chunk", '
                f'"choices": [{{"index": 0, "finish_reason": {finish}, '
                f'"delta": {{"role": "assistant", "content": {delta}}}}}]}}'
            )

        for written, token in enumerate(plan.tokens, 1):
            yield chunk(written, _escaped(token), "null")
        yield chunk(plan.completion, '""', '"stop"')

    return plan.stream(mark, blocks(), extra_chunks=1, running=True)


def adversarial(plan: Plan) -> Stream:
    """No server: every object of every chunk has its keys in random order, and white space wherever it may stand."""
    mark = plan.letters(29)
    rng = plan.rng

    def space() -> str:
        return rng.choice(("", "", " ", "  ", "\t"))

    def shuffled(**members: str) -> str:
        keys = rng.sample(list(members), len(members))
        pairs = (f'{space()}"{key}"{space()}:{space()}{members[key]}{space()}' for key in keys)
        return f"{{{','.join(pairs)}}}"

    def chunk(choices: str, usage: str = "null") -> str:
        return shuffled(
            id=f'"chatcmpl-{mark}"',
            object='"chat.completion.chunk"',
            created=str(plan.created),
            model='"gpt-4o-mini-2024-07-18"',
            service_tier='"default"',
            system_fingerprint='"fp_0123456789"',
            choices=f"[{choices}]",
            usage=usage,
        )

    def blocks() -> Iterator[str]:
        for token in plan.tokens:
            delta = shuffled(content=_quoted(token), role='"assistant"')
            yield chunk(shuffled(index="0", delta=delta, logprobs="null", finish_reason="null"))
        usage = shuffled(
            prompt_tokens=str(plan.prompt), completion_tokens=str(plan.completion), total_tokens=str(plan.total)
        )
        yield chunk("", usage)

    return plan.stream(mark, blocks(), extra_chunks=1)


def tiny(plan: Plan) -> Stream:
    """No server: the smallest chunks there are, one a token, between one with the stream's id and one with usage."""
    mark = plan.letters(8)
    head = f'{{"id":"{mark}","choices":['
    usage = f'{{"prompt_tokens":{plan.prompt},"completion_tokens":{plan.completion},"total_tokens":{plan.total}}}'
    content = "".join(plan.tokens)
    blocks = (
        f'{head}{{"index":0,"delta":{{"content":{json.dumps(content, ensure_ascii=False)}}}}}]}}',
        *('{"choices":[]}' for _ in plan.tokens),
        f'{head}],"usage":{usage}}}',
    )
    return plan.stream(mark, blocks, extra_chunks=2)


Shape = Callable[[Plan], Stream]
MIX: tuple[Shape, ...] = (openai, padded, choices_first, azure, mistral, openrouter, deepseek, perplexity)


def _words(rng: random.Random, count: int) -> tuple[str, ...]:
    return tuple(rng.choices(WORDS, k=count))


def _books(rng: random.Random, count: int) -> tuple[str, ...]:
    """Texts of 64 KiB to 1 MiB."""
    return tuple(rng.randbytes(rng.randrange(32 << 10, 512 << 10)).hex() for _ in range(count))


@dataclass(frozen=True)
class Recipe:
    """How a log is made."""

    what: str
    shapes: tuple[Shape, ...]
    """By turns."""
    tokens: tuple[int, int]
    """How many pieces of content a stream has, at least and at most."""
    lanes: int = 1
    """So many streams at a time."""
    pieces: Callable[[random.Random, int], tuple[str, ...]] = _words
    traits: frozenset[Trait] = frozenset()


RECIPES = {
    "openai": Recipe(
        "as OpenAI sends with `include_usage`: null usage on every chunk, then one with usage; 100 to 400 tokens",
        (openai,),
        (100, 400),
    ),
    "padded": Recipe(
        "the same with `obfuscation`, random letters of random length on every chunk", (padded,), (100, 400)
    ),
    "choices-first": Recipe(
        "as llama.cpp sends: keys in alphabetical order, so what changes comes first", (choices_first,), (100, 400)
    ),
    "mixed": Recipe(
        "eight shapes by turns: OpenAI (twice), Azure, Mistral, OpenRouter, DeepSeek, Perplexity, llama.cpp",
        MIX,
        (50, 300),
    ),
    "short": Recipe("as OpenAI sends, but 2 to 8 tokens a stream", (openai,), (2, 8)),
    "interleaved": Recipe(
        "the streams of `mixed`, eight at a time, event by event at random; the usage and the end of a stream stay "
        "together, or the peers would take one stream's usage for another's",
        MIX,
        (50, 300),
        lanes=8,
    ),
    "adversarial": Recipe(
        "as no server sends: keys in random order and random white space in every event",
        (adversarial,),
        (100, 400),
        traits=frozenset({"white space"}),
    ),
    "huge": Recipe("events of 64 KiB to 1 MiB, almost all of it content", (openai,), (1, 8), pieces=_books),
    "tiny": Recipe(
        'almost nothing but `{"choices":[]}`: the content of a stream in its first event, usage in its last',
        (tiny,),
        (100, 400),
    ),
}
HARD = ("interleaved", "adversarial", "huge", "tiny")
"""What servers seldom send, or never."""
RECORDED = "recorded streams of many servers, one behind the other"


def generate(name: str, size: int) -> Corpus:
    """A log of at least `size` bytes."""
    recipe = RECIPES[name]
    rng = random.Random(SEED)
    streams: list[Stream] = []
    written = 0
    while written < size:
        prompt = rng.randrange(8, 4000)
        plan = Plan(
            number=len(streams) + 1,
            tokens=recipe.pieces(rng, rng.randint(*recipe.tokens)),
            prompt=prompt,
            cached=rng.randrange(0, prompt),
            created=1_760_000_000 + len(streams),
            rng=rng,
        )
        stream = recipe.shapes[len(streams) % len(recipe.shapes)](plan)
        streams.append(stream)
        written += stream.size
    return Corpus(name, streams, recipe.what, recipe.lanes, recipe.traits)


def make(name: str, size: int) -> Corpus:
    """The corpus of that name, of at least `size` bytes."""
    if name == "recorded":
        return recorded(Path(os.environ["CHUNKWIRE_STREAMS"]), size)
    return generate(name, size)


def names() -> list[str]:
    """What `make` can make here."""
    recorded = ["recorded"] if os.environ.get("CHUNKWIRE_STREAMS") else []
    return [*(name for name in RECIPES if name not in HARD), *recorded, *HARD]


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
    note = f"{RECORDED} ({len(streams)} of {len(paths)} files, those that every peer reads right)"
    marks = [stream.marks for stream in streams if stream.counts.total_tokens]
    traits: frozenset[Trait] = frozenset({"shared ids"} if () in marks or len(set(marks)) < len(marks) else ())
    again = (stream.again(time) for time in range(times) for stream in streams)
    return Corpus("recorded", again, note, traits=traits)


def _counted(data: bytes) -> Stream | None:
    if not data.endswith(b"\n\n" + DONE) or data.count(DONE) != 1 or b"\r" in data:
        return None
    blocks = data[: -len(b"\n\n")].split(b"\n\n")
    chunks = content = sent = 0
    ids: set[str] = set()
    times: set[int] = set()
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
        times.add(document.get("created") or 0)
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
    marks = tuple(mark.encode() for name in ids if len(mark := _own_part(name)) >= 6)
    times = {created for created in times if len(str(created)) == 10}
    return Stream(tuple(block + b"\n\n" for block in blocks), counts, marks, tuple(times))


def _own_part(name: str) -> str:
    """An id without the prefix that all ids of its server have: "chatcmpl-", "gen-"."""
    prefix, dash, rest = name.partition("-")
    return rest if dash and prefix.isalpha() else name


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
