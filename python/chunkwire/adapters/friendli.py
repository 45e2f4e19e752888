"""friendli's clients, faster: the bytes of a streamed completion in, the events out that the SDK itself would give.

One line, and nothing else changes::

    client = chunkwire.adapters.friendli.accelerate(friendli.SyncFriendli(token="..."))

What is concerned: the ``EventStream`` and ``EventStreamAsync`` of chat and text completions, serverless, dedicated and
in a container. All else (messages, responses, audio, what is not streamed) is untouched. An SDK whose streams or
objects are made in a way that chunkwire does not know stays as it is, with a `RuntimeWarning`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

try:
    from friendli.core import VERSION
    from friendli.friendli import AsyncFriendli, SyncFriendli
except ImportError as error:
    raise ImportError(f"needs the package friendli: pip install 'chunkwire[friendli]' ({error})") from error

from chunkwire.adapters._speakeasy import _package
from chunkwire.adapters._speakeasy._package import Package

__all__ = ["accelerate", "restore"]


def accelerate(client: Any = None) -> Any:
    """Makes a client's streams of chat completions fast, or those of all clients.

    Parameters
    ----------
    client : friendli.SyncFriendli or friendli.AsyncFriendli, optional
        It is changed in place, with all its parts. Without a client, all clients are.

    Returns
    -------
    The client.

    Raises
    ------
    TypeError
        If the client is none of friendli's.
    """
    return _package.accelerate(_packages(), client)


def restore(client: Any = None) -> Any:
    """Undoes `accelerate`, for this client or for all. (Clients that were accelerated by themselves stay so.)

    Returns
    -------
    The client.
    """
    return _package.restore(_packages(), client)


@cache
def _packages() -> list[Package]:
    return [Package("friendli.core", VERSION, "StreamedChatResult", SyncFriendli, AsyncFriendli)]
