"""The SDKs that Speakeasy generates, plain and accelerated: the same responses as in openai's rows of the live table,
one event a read, and of each event ``choices[0].delta.content`` and ``usage`` of its data."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from log import Counted, Log, Peer

MESSAGES = [{"role": "user", "content": "Hi"}]
#: Whose chunks have all that these SDKs ask for, and no value that they refuse.
CORPORA = frozenset({"openai", "padded", "short", "choices-first"})


@dataclass
class Sdk:
    """One of them."""

    name: str
    root: str
    client: Callable[..., Any]
    ask: Callable[[Any], Any]
    part: Callable[[Any], Any]

    @cached_property
    def httpx(self) -> Any:
        """The client library that it is built on."""
        return import_module(f"{self.root}.basesdk").httpx

    @cached_property
    def clients(self) -> tuple[Any, Any]:
        """A plain one and an accelerated one."""
        adapter = import_module(f"chunkwire.adapters.{self.name}")
        return self._client(), adapter.accelerate(self._client())

    def _client(self) -> Any:
        return self.client(client=self.httpx.Client(transport=self.httpx.MockTransport(self._answer)))

    def _answer(self, _: Any) -> Any:
        return self.httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"")

    @cached_property
    def decoder(self) -> Any:
        """What makes its events: an argument of a generator that has not begun."""
        return self.ask(self._client()).generator.gi_frame.f_locals["decoder"]

    def stream(self, client: Any, blocks: list[bytes]) -> Any:
        """What a client gives of a response."""
        httpx = self.httpx

        class Body(httpx.SyncByteStream):  # type: ignore[name-defined,misc]
            def __iter__(self) -> Any:
                return iter(blocks)

        response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())
        kind = import_module(f"{self.root}.utils.eventstreaming").EventStream
        return kind(response, self.decoder, sentinel="[DONE]", client_ref=self.part(client))

    def read(self, client: Any, responses: list[list[bytes]]) -> Counted:
        """All events of some responses."""
        chunks = content = tokens = 0
        for blocks in responses:
            for event in self.stream(client, blocks):
                chunks += 1
                chunk = event.data
                if chunk.choices:
                    text = chunk.choices[0].delta.content
                    if text:
                        content += len(text)
                usage = chunk.usage
                if usage:
                    tokens += usage.total_tokens
        return chunks, content, tokens

    def plain(self, log: Log) -> Counted:
        """By its own parser, and pydantic."""
        return self.read(self.clients[0], log.live_responses)

    def accelerated(self, log: Log) -> Counted:
        """The same objects, accelerated."""
        return self.read(self.clients[1], log.live_responses)

    @property
    def peers(self) -> list[Peer]:
        """Its two rows."""
        return [
            Peer(f"{self.name} EventStream", "content and usage", self.plain, slow=True, corpora=CORPORA),
            Peer(f"{self.name} EventStream, accelerated", "content and usage", self.accelerated, corpora=CORPORA),
        ]


def _sudo(**options: Any) -> Any:
    return import_module("sudo_ai").Sudo(server_url="http://server", api_key="none", **options)


def _friendli(**options: Any) -> Any:
    logging.disable(logging.WARNING)  # that no team is named
    client = import_module("friendli.friendli").SyncFriendli(server_url="http://server", token="none", **options)
    logging.disable(logging.NOTSET)
    return client


def _mistral(**options: Any) -> Any:
    return import_module("mistralai.client").Mistral(server_url="http://server", api_key="none", **options)


SDKS = [
    Sdk(
        "sudo_ai",
        "sudo_ai",
        _sudo,
        lambda client: client.router.create_streaming(model="m", messages=MESSAGES),
        lambda client: client.router,
    ),
    Sdk(
        "friendli",
        "friendli.core",
        _friendli,
        lambda client: client.serverless.chat.complete(model="m", messages=MESSAGES, stream=True),
        lambda client: client.serverless.chat,
    ),
    Sdk(
        "mistralai",
        "mistralai.client",
        _mistral,
        lambda client: client.chat.stream(model="m", messages=MESSAGES),
        lambda client: client.chat,
    ),
]
INSTALLED = [sdk for sdk in SDKS if importlib.util.find_spec(sdk.name) is not None]
