"""A package that Speakeasy generated, and its clients: which of their streams are fast, and how they become so.

Each stream passes through the constructor of ``EventStream`` or ``EventStreamAsync``. That is changed once, and looks
whose stream it is: of a client that is accelerated it exchanges the ``generator``, and all else stays what it was.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import textwrap
import types
import warnings
import weakref
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from chunkwire import _live
from chunkwire.adapters._speakeasy._plan import DATA, Unplanned, plan
from chunkwire.adapters._speakeasy._samples import SAMPLES
from chunkwire.adapters._speakeasy._stream import NewRun, OldRun, Run, stream_events, stream_events_async

__all__ = ["Package", "accelerate", "restore"]

#: What the generator wrote into ``eventstreaming``, by its digest.
_TEMPLATES: dict[str, type[Run]] = {"aa2dcde3b0619b51": OldRun, "253ac59b234ba1f2": NewRun}
_BOUNDARIES: dict[type[Run], list[bytes]] = {
    OldRun: [b"\r\n\r\n", b"\n\n", b"\r\r"],
    NewRun: [b"\r\n\r\n", b"\r\n\r", b"\r\n\n", b"\r\r\n", b"\n\r\n", b"\r\r", b"\n\r", b"\n\n"],
}
_IN_TEMPLATE = ("stream_events", "stream_events_async", "_parse_event", "_peek_sequence", "ServerEvent")
_STREAMS = ("EventStream", "EventStreamAsync")
_PARAMETERS = {"response", "decoder", "sentinel", "client_ref"}


def accelerate(packages: Sequence[Package], client: Any) -> Any:
    """What an adapter's ``accelerate`` does."""
    for package in _of(packages, client):
        package.accelerate(client)
    return client


def restore(packages: Sequence[Package], client: Any) -> Any:
    """What an adapter's ``restore`` does."""
    for package in _of(packages, client):
        package.restore(client)
    return client


def _of(packages: Sequence[Package], client: Any) -> Sequence[Package]:
    """The packages that are concerned."""
    if client is None:
        return packages
    found = [package for package in packages if isinstance(client, package.clients)]
    if not found:
        names = [cls.__name__ for package in packages for cls in package.clients]
        package = packages[0].name.partition(".")[0]
        raise TypeError(f"expected a client of {package} ({', '.join(names)}), got {type(client).__name__}")
    return found


class Package:
    """One package.

    Parameters
    ----------
    name : str
        Of the module that has ``utils.eventstreaming`` and ``models``.
    version : str
        For messages.
    event : str
        The class of the events of chat completions, in ``models``.
    clients : types
        The classes of its clients.
    """

    def __init__(self, name: str, version: str, event: str, *clients: type) -> None:
        self.name, self.version, self.clients = name, version, clients
        self._streaming = importlib.import_module(f"{name}.utils.eventstreaming")
        self._serializers = importlib.import_module(f"{name}.utils.serializers")
        self._responses = importlib.import_module(f"{name}.utils.unmarshal_json_response")
        self._event = event
        #: Our constructors, each around the one that was there.
        self._own: dict[str, Any] = {}
        #: Whose streams are fast: the configuration that a client shares with all parts of it.
        self._configurations: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._are_all = False
        self._plans: dict[tuple[Any, str], Any] = {}

    def accelerate(self, client: Any) -> None:
        """Makes the streams of a client fast, or those of all."""
        try:
            self._check()
            self._install()
        except Unplanned as reason:
            message = f"{self.name} {self.version} stays as it is: {reason}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
            return
        if client is None:
            self._are_all = True
        else:
            self._configurations[id(client.sdk_configuration)] = client.sdk_configuration

    def restore(self, client: Any) -> None:
        """Undoes that, for a client or for all that were not accelerated by themselves."""
        if client is None:
            self._are_all = False
        else:
            self._configurations.pop(id(client.sdk_configuration), None)
        if not self._are_all and not self._configurations:
            for name, own in list(self._own.items()):
                cls = getattr(self._streaming, name)
                if cls.__init__ is own:  # or somebody else has changed it too, and needs ours
                    cls.__init__ = own.__wrapped__
                    del self._own[name]

    def _install(self) -> None:
        for name in _STREAMS:
            cls = getattr(self._streaming, name)
            there = cls.__init__
            while there is not None and there is not self._own.get(name):
                there = getattr(there, "__wrapped__", None)
            if there is not None:
                continue
            # What stands there is the package's, or somebody else's around or in the place of ours.
            if _PARAMETERS.issubset(inspect.signature(cls.__init__).parameters):
                cls.__init__ = self._own[name] = self._constructor(cls.__init__, name == _STREAMS[1])
            elif name not in self._own:
                raise Unplanned(f"somebody has changed how its {name} is made")

    def _constructor(self, constructor: Any, is_async: bool) -> Any:
        cls = getattr(self._streaming, _STREAMS[is_async])

        @functools.wraps(constructor)
        def init(stream: Any, /, *arguments: Any, **keywords: Any) -> None:
            constructor(stream, *arguments, **keywords)
            if type(stream) is cls and self._is_fast(stream.client_ref):
                run = self._run(constructor, stream, arguments, keywords)
                if run is not None:
                    stream.generator = stream_events_async(run) if is_async else stream_events(run)

        return init

    def _is_fast(self, part: Any) -> bool:
        """Is this a part of a client whose streams are fast?"""
        if self._are_all:
            return True
        configuration = getattr(part, "sdk_configuration", None)
        return configuration is not None and self._configurations.get(id(configuration)) is configuration

    def _run(self, constructor: Any, stream: Any, arguments: Any, keywords: Any) -> Run | None:
        """What reads a stream; None if that is better left to the package."""
        given = inspect.signature(constructor).bind(stream, *arguments, **keywords)
        given.apply_defaults()
        own = {
            name: given.arguments[name] for name in given.arguments if name in ("decoder", "sentinel", "data_required")
        }
        # A sentinel that is an object would be plain.
        if own["sentinel"] is not None and (type(own["sentinel"]) is not str or "{" in own["sentinel"]):
            return None
        try:
            models = self._models(self._type(own["decoder"]))
        except Unplanned:
            return None
        parse = functools.partial(self._streaming._parse_event, **own)
        return self._template(stream.response, models, parse)

    # --- What the package is known to do ---------------------------------------------------------------------------

    def _check(self) -> None:
        """Raises if the package does not do what is known, or makes other objects than the plan says."""
        if _BOUNDARIES[self._template] != self._streaming.MESSAGE_BOUNDARIES:
            raise Unplanned("its event streams are none that chunkwire knows")
        event = getattr(importlib.import_module(f"{self.name}.models"), self._event)
        models = self._models(event)
        for sample in SAMPLES:
            text = f'{{"{DATA}": {sample}}}'
            made = list(_live.session(models, framing=self._template.framing).feed(f"data: {sample}\n\n".encode()))
            if made and not _are_same(made[0], self._serializers.unmarshal_json(text, event)):
                raise Unplanned(f"chunkwire would make other objects of {self._event}")

    @functools.cached_property
    def _template(self) -> type[Run]:
        streaming = self._streaming
        parts = [getattr(streaming, name, None) for name in (*_IN_TEMPLATE, *_STREAMS)]
        try:
            if any(hasattr(part, "__wrapped__") for part in parts):  # whose source would be that of the inner one
                raise TypeError
            return _TEMPLATES[_digest(parts)]
        except (KeyError, OSError, TypeError) as error:
            raise Unplanned("its event streams are none that chunkwire knows") from error

    def _models(self, event: Any) -> Any:
        """The plan of a class of events for the engine in use; raises `Unplanned`."""
        key = (event, _live.engine())
        if key not in self._plans:
            try:
                self._plans[key] = _live.models(plan(event), inside=DATA)
            except Unplanned as reason:
                self._plans[key] = reason
        found = self._plans[key]
        if isinstance(found, Unplanned):
            raise found
        return found

    def _type(self, decoder: Any) -> Any:
        """The class of the events that a decoder makes, which is a ``lambda raw: unmarshal(raw, class)``. It is asked:
        called with functions in the place of those of the package that tell what they were called with."""
        if not isinstance(decoder, types.FunctionType):
            raise Unplanned("a decoder of its own")
        asked: list[Any] = []

        def unmarshal_json(raw: Any, typ: Any) -> Any:
            asked.append((raw, typ))
            return asked

        def unmarshal_json_response(typ: Any, http_res: Any, body: Any = None) -> Any:
            return unmarshal_json(body, typ)

        names = dict(decoder.__globals__)
        if names.get("unmarshal_json_response") is self._responses.unmarshal_json_response:
            names["unmarshal_json_response"] = unmarshal_json_response
        if getattr(names.get("utils"), "unmarshal_json", None) is self._serializers.unmarshal_json:
            names["utils"] = types.SimpleNamespace(unmarshal_json=unmarshal_json)
        raw = object()
        try:
            made = types.FunctionType(decoder.__code__, names, None, decoder.__defaults__, decoder.__closure__)(raw)
        except Exception as error:
            raise Unplanned("a decoder of its own") from error
        if made is not asked or len(asked) != 1 or asked[0][0] is not raw:
            raise Unplanned("a decoder of its own")
        return asked[0][1]


def _digest(parts: Sequence[Any]) -> str:
    """What functions and classes do, whatever their types are called and however they are laid out."""
    shapes = [_shape(ast.parse(textwrap.dedent(inspect.getsource(part)))) for part in parts]
    return sha256(repr(shapes).encode()).hexdigest()[:16]


_NO_CODE = ("annotation", "returns", "ctx", "kind", "type_comment", "type_params", "simple")


def _shape(node: Any) -> Any:
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if name not in _NO_CODE]
        return (type(node).__name__, [(name, _shape(value)) for name, value in fields if value not in (None, [])])
    return list(map(_shape, node)) if isinstance(node, list) else repr(node)


def _are_same(one: Any, other: Any) -> bool:
    """Are two objects made alike, all that is in them too?"""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_are_same, one.values(), other.values()))
    if hasattr(one, "__pydantic_fields_set__"):
        slots = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
        return all(_are_same(getattr(one, name), getattr(other, name)) for name in slots)
    return bool(one == other)
