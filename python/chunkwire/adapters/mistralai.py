"""mistralai's clients, faster: the bytes of a streamed completion in, the events out that the SDK itself would give.

One line, and nothing else changes::

    client = chunkwire.adapters.mistralai.accelerate(mistralai.client.Mistral(api_key="..."))

What is concerned: the ``EventStream`` and ``EventStreamAsync`` whose events are a ``CompletionEvent``: of chat, agents
and fill in the middle, of Azure's and Google Cloud's clients too. All else (conversations, transcriptions, what is not
streamed) is untouched. An SDK whose streams or objects are made in a way that chunkwire does not know stays as it is,
with a `RuntimeWarning`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

try:
    import mistralai.client  # noqa: F401
except ImportError as error:
    raise ImportError(f"needs the package mistralai: pip install 'chunkwire[mistralai]' ({error})") from error

from chunkwire.adapters._speakeasy import _package
from chunkwire.adapters._speakeasy._package import Package

__all__ = ["accelerate", "restore"]


def accelerate(client: Any = None) -> Any:
    """Makes a client's streams of chat completions fast, or those of all clients.

    Parameters
    ----------
    client : mistralai.client.Mistral, optional
        Also MistralAzure and MistralGCP. It is changed in place, with all its parts. Without a client, all clients are.

    Returns
    -------
    The client.

    Raises
    ------
    TypeError
        If the client is none of mistralai's.
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
    packages = []
    for name, client in _CLIENTS.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            # Those of clouds need more packages.
            continue
        packages.append(Package(name, module.VERSION, "CompletionEvent", getattr(module, client)))
    return packages


_CLIENTS = {
    "mistralai.client": "Mistral",
    "mistralai.azure.client": "MistralAzure",
    "mistralai.gcp.client": "MistralGCP",
}
