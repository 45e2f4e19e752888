"""sseclient-py, faster: an iterable of bytes in, the ``Event`` objects that sseclient-py itself would give out.

Another import, and nothing else changes::

    from chunkwire.adapters.sseclient import SSEClient

Or no import changes, and everybody's clients are faster: `accelerate`, which `restore` undoes.

sseclient-py differs from the standard in many ways, which stay: a block ends at two LF, two CR or two CRLF and nowhere
else, and at the end of the input; what is no UTF-8 raises ``UnicodeDecodeError``; ids do not last, and the retry is a
text. ``strict=True`` follows the standard instead, to the letter: it gives the same events as
``chunkwire.events(..., strict=True)``, with the last id, and the retry as an integer.

Responses of requests and urllib3 are read as they come, not by 128 bytes or by lines: no event waits for what is behind
it.

Another package has the same import name: ``sseclient``, which opens its connections itself. This is not for that one.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

try:
    import sseclient
except ImportError as error:
    raise ImportError(f"needs the package sseclient-py: pip install 'chunkwire[sseclient]' ({error})") from error
if not hasattr(sseclient.SSEClient, "events"):
    raise ImportError(
        "the installed module sseclient is not that of sseclient-py but that of the package sseclient, which has the "
        "same import name: pip uninstall sseclient, then pip install --force-reinstall sseclient-py"
    )
from sseclient import Event

from chunkwire import _live, _responses

__all__ = ["Event", "SSEClient", "accelerate", "restore"]

#: As they were before anybody changed them.
_EVENTS, _READ = sseclient.SSEClient.events, sseclient.SSEClient._read  # type: ignore[attr-defined]

_DEFAULTS = {"id": None, "event": "message", "data": "", "retry": None}
_LAYOUT = _live.Layout(Event, _DEFAULTS, ("event", "data", "id", "retry"))

#: Where other versions, and other programs, read something else.
_PROBE = (
    b"\xef\xbb\xbfdata: 0\ndata: a\xe2\x80\xa8b\xc2\x85\x0b\n\r\ndata\n\nretry: +7\r\r: c\r\n\r\nevent: e\nretry: x\n"
    b"\ndata:\n\nid: 1\0\ndata:  x\nfoo: bar\nevent\n\ndata: y\n"
)


class SSEClient(sseclient.SSEClient):
    """sseclient-py's ``SSEClient``, faster.

    Parameters
    ----------
    event_source : iterable of bytes
        Such as a response of requests or urllib3, with a ``close`` method.
    char_enc : str
        Other encodings than UTF-8 are left to sseclient-py's own code, and are as slow as they were. (So is everything
        while its log is on, at the level DEBUG.)
    strict : bool
        Follow the standard where sseclient-py does not. An event may have 64 MiB then; a longer one raises
        `chunkwire.DecodeError`.

    Raises
    ------
    ValueError
        If ``strict`` is asked for and another encoding than UTF-8, which is all that the standard knows.
    """

    # Its logger is named after the module of the class.
    __module__ = sseclient.SSEClient.__module__

    def __init__(self, event_source: Iterable[bytes], char_enc: str = "utf-8", *, strict: bool = False) -> None:
        if strict and not _is_utf8(char_enc):
            raise ValueError(f"strict=True reads UTF-8, not {char_enc!r}")
        super().__init__(event_source, char_enc)  # type: ignore[arg-type]
        self._strict = strict

    def events(self) -> Iterator[Event]:  # type: ignore[override]
        """The events of the source."""
        return _events(self, self._strict)


def accelerate(*, strict: bool = False) -> None:
    """Makes all of sseclient-py's clients fast, whoever imported them; with ``strict`` they follow the standard, except
    those of another encoding than UTF-8. (Those of this module's `SSEClient` have a ``strict`` of their own.)

    A sseclient-py that reads in a way that chunkwire does not know stays as it is, with a `RuntimeWarning`.
    """
    restore()
    if not _is_known(_live.engine()):
        _warn(3)
        return

    @functools.wraps(_EVENTS)
    def events(self: sseclient.SSEClient) -> Iterator[Event]:
        return _events(self, strict)

    sseclient.SSEClient.events = events  # type: ignore[method-assign, assignment]


def restore() -> None:
    """Undoes `accelerate`."""
    sseclient.SSEClient.events = _EVENTS  # type: ignore[method-assign]


def _events(client: Any, strict: bool) -> Iterator[Event]:
    if (events := _opened(client, strict)) is None:
        yield from _EVENTS(client)
        return
    source = _blocks_of(client._event_source)
    yield from events.pull(source)
    if (odd := events.odd()) is not None:  # what is no bytes: sseclient-py says what it makes of it
        twin = object.__new__(type(client))
        twin.__dict__.update(client.__dict__, _event_source=itertools.chain(odd, source))
        yield from _EVENTS(twin)


def _blocks_of(source: Any) -> Iterator[Any]:
    """What a source gives. Of itself a response of requests gives 128 bytes at a time, and waits for them; one of
    urllib3 gives lines. Both have more at once, and sooner."""
    way = getattr(type(source), "__iter__", None)
    is_response = getattr(way, "__module__", None) in ("requests.models", "urllib3.response")
    blocks = _responses.body(source) if is_response else None
    return iter(source) if blocks is None else blocks


def _opened(client: Any, strict: bool) -> _live.ClientEvents | None:
    """What reads a client's source; None if sseclient-py has to read it itself."""
    is_known = _is_known(_live.engine())
    if strict and _is_utf8(client._char_enc):
        if not is_known:
            raise RuntimeError(f"{_UNKNOWN}, and strict=True cannot be had with it")
        return _live.events("standard", _LAYOUT)
    if not is_known:
        _warn(4)
        return None
    is_usual = (
        type(client)._read is _READ
        and sseclient.Event is Event
        and _is_utf8(client._char_enc)
        # It logs every event that it gives.
        and not client._logger.isEnabledFor(logging.DEBUG)
    )
    return _live.events("sseclient", _LAYOUT) if is_usual else None


def _is_utf8(encoding: Any) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except (LookupError, TypeError):
        return False


@cache
def _is_known(engine: str) -> bool:
    """Does sseclient-py make of the probe what chunkwire does?"""
    logger = logging.Logger("probe", logging.CRITICAL)
    client: Any = object.__new__(sseclient.SSEClient)
    try:
        client.__init__([_PROBE])
        client._logger = logger
        theirs = [list(vars(event).items()) for event in _EVENTS(client)]
    except Exception:
        return False
    return theirs == [list(vars(event).items()) for event in _live.events("sseclient", _LAYOUT).pull([_PROBE])]


_UNKNOWN = "the installed sseclient-py reads in a way that chunkwire does not know"


def _warn(level: int) -> None:
    warnings.warn(f"{_UNKNOWN}: it stays as it is", RuntimeWarning, stacklevel=level)
