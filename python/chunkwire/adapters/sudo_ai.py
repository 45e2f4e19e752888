"""sudo-ai's clients, faster: the bytes of a streamed chat completion in, the events out that the SDK itself would give.

One line, and nothing else changes::

    client = chunkwire.adapters.sudo_ai.accelerate(sudo_ai.Sudo(server_url="...", api_key="..."))

What is concerned: the ``EventStream`` and ``EventStreamAsync`` of chat completions, whose events are a
``ChatCompletionChunk``. All else (responses, what is not streamed) is untouched. An SDK whose streams or objects are
made in a way that chunkwire does not know stays as it is, with a `RuntimeWarning`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

try:
    import sudo_ai
except ImportError as error:
    raise ImportError(f"needs the package sudo-ai: pip install 'chunkwire[sudo-ai]' ({error})") from error

from chunkwire.adapters._speakeasy import _package
from chunkwire.adapters._speakeasy._package import Package

__all__ = ["accelerate", "restore"]


def accelerate(client: Any = None) -> Any:
    """Makes a client's streams of chat completions fast, or those of all clients.

    Parameters
    ----------
    client : sudo_ai.Sudo, optional
        It is changed in place, with all its parts. Without a client, all clients are.

    Returns
    -------
    The client.

    Raises
    ------
    TypeError
        If the client is none of sudo-ai's.
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
    return [Package("sudo_ai", sudo_ai.VERSION, "ChatCompletionChunk", sudo_ai.Sudo)]
