"""The SDKs that Speakeasy generates, as tests see them: clients over bytes or over HTTP, and their streams."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hosts import Pieces

#: The transports that were made, to be closed: an SDK does not close what it was given.
OPEN: list[Any] = []
MESSAGES = [{"role": "user", "content": "Hi"}]


@dataclass(frozen=True)
class Sdk:
    """One SDK: where its modules are, and how its client is made and asked."""

    name: str
    package: str
    #: The modules of an SDK have these names.
    root: str
    event: str
    path: str
    make: Callable[..., Any]
    ask: Callable[[Any], Any]
    ask_async: Callable[[Any], Any]
    part: Callable[[Any], Any]

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.root}.{name}")

    @property
    def adapter(self) -> Any:
        return importlib.import_module(f"chunkwire.adapters.{self.name}")

    @property
    def streaming(self) -> Any:
        return self.module("utils.eventstreaming")

    @property
    def httpx(self) -> Any:
        return self.module("basesdk").httpx

    @property
    def type(self) -> Any:
        return getattr(self.module("models"), self.event)

    @property
    def closes(self) -> bool:
        """Does a stream close its response when it is over?"""
        return hasattr(self.streaming.EventStream, "close")

    def client(self, url: str = "http://server", **options: Any) -> Any:
        """A client of both kinds of transport. (To load certificates would take longer than most tests.)"""
        httpx = self.httpx
        plain = {"trust_env": False, "verify": False}
        clients = {"client": httpx.Client(**plain), "async_client": httpx.AsyncClient(**plain)}
        OPEN.append(clients["client"])
        # friendli complains that no team is named, on whatever the root logger has.
        logging.disable(logging.WARNING)
        try:
            return self.make(url, {**clients, **options})
        finally:
            logging.disable(logging.NOTSET)

    def over(self, *pieces: bytes, error: Exception | None = None, **options: Any) -> Any:
        """A client whose every request is answered with these pieces."""
        transport = self.httpx.MockTransport(lambda _: self.response(pieces, error))
        clients = {
            "client": self.httpx.Client(transport=transport),
            "async_client": self.httpx.AsyncClient(transport=transport),
        }
        return self.client(**{**clients, **options})

    def response(self, pieces: Iterable[bytes], error: Exception | None = None) -> Any:
        kind = type("OwnPieces", (Pieces, self.httpx.SyncByteStream, self.httpx.AsyncByteStream), {})
        headers = {"content-type": "text/event-stream"}
        request = self.httpx.Request("POST", "http://server/")
        return self.httpx.Response(200, stream=kind(pieces, error), headers=headers, request=request)

    def stream(self, client: Any, pieces: Iterable[bytes], error: Exception | None = None, **options: Any) -> Any:
        """What a client gives of a response, without the request before it."""
        return self._stream("EventStream", client, pieces, error, options)

    def async_stream(self, client: Any, pieces: Iterable[bytes], error: Exception | None = None, **options: Any) -> Any:
        return self._stream("EventStreamAsync", client, pieces, error, options)

    def _stream(self, kind: str, client: Any, pieces: Any, error: Any, options: dict[str, Any]) -> Any:
        given = {"sentinel": "[DONE]", "decoder": self.decoder, "client_ref": self.part(client), **options}
        return getattr(self.streaming, kind)(self.response(pieces, error), **given)

    @property
    def decoder(self) -> Any:
        """The SDK's own, which is an argument of a generator that has not begun."""
        return _decoder(self)


@cache
def _decoder(sdk: Sdk) -> Any:
    return sdk.ask(sdk.over(b"")).generator.gi_frame.f_locals["decoder"]


def _sudo(url: str, options: dict[str, Any]) -> Any:
    import sudo_ai

    return sudo_ai.Sudo(server_url=url, api_key="none", **options)


def _friendli(url: str, options: dict[str, Any]) -> Any:
    from friendli.friendli import AsyncFriendli, SyncFriendli

    kind = AsyncFriendli if options.pop("is_async", False) else SyncFriendli
    return kind(server_url=url, token="none", **options)


def _mistral(url: str, options: dict[str, Any]) -> Any:
    from mistralai.client import Mistral

    return Mistral(server_url=url, api_key="none", **options)


def _ask_friendli(client: Any) -> Any:
    return client.serverless.chat.complete(model="m", messages=MESSAGES, stream=True)


SDKS = [
    Sdk(
        "sudo_ai",
        "sudo-ai",
        "sudo_ai",
        "ChatCompletionChunk",
        "/v1/chat/completions",
        _sudo,
        lambda client: client.router.create_streaming(model="m", messages=MESSAGES),
        lambda client: client.router.create_streaming_async(model="m", messages=MESSAGES),
        lambda client: client.router,
    ),
    Sdk(
        "friendli",
        "friendli",
        "friendli.core",
        "StreamedChatResult",
        "/serverless/v1/chat/completions",
        _friendli,
        _ask_friendli,
        _ask_friendli,
        lambda client: client.serverless.chat,
    ),
    Sdk(
        "mistralai",
        "mistralai",
        "mistralai.client",
        "CompletionEvent",
        "/v1/chat/completions",
        _mistral,
        lambda client: client.chat.stream(model="m", messages=MESSAGES),
        lambda client: client.chat.stream_async(model="m", messages=MESSAGES),
        lambda client: client.chat,
    ),
]
INSTALLED = [sdk for sdk in SDKS if importlib.util.find_spec(sdk.name) is not None]
