"""Which engine decodes: the name of an engine in, its module out.

`chunkwire._native` is the extension module; `chunkwire._simdjson` is the same decoder in pure Python, and serves where
the extension is absent.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

from chunkwire import _model

__all__ = ["ENGINES", "load", "version"]

ENGINES = ("auto", "native", "simdjson")

_VARIABLE = "CHUNKWIRE_ENGINE"


def load(engine: str = "auto") -> Any:
    """The module of an engine; "auto" is what ``CHUNKWIRE_ENGINE`` in the environment says, or the best there is."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, not {engine!r}")
    if engine == "auto":
        engine = os.environ.get(_VARIABLE) or "auto"
        if engine not in ENGINES:
            raise ValueError(f"{_VARIABLE} must be one of {', '.join(ENGINES)}, not {engine!r}")
    if engine == "auto":
        try:
            return _module("native")
        except ImportError:
            engine = "simdjson"
    return _module(engine)


@cache
def _module(engine: str) -> Any:
    """Imports an engine, and makes its objects instances of the public classes."""
    try:
        module = importlib.import_module(f"chunkwire._{engine}")
    except ImportError as error:
        raise ImportError(_WHY_NOT[engine].format(error)) from error
    for name in _model.__all__:
        getattr(_model, name).register(getattr(module, name))
    return module


_WHY_NOT = {
    "native": (
        "the native engine is not in this installation (no extension module chunkwire._native: {}); "
        "reinstall chunkwire, or use engine='simdjson'"
    ),
    "simdjson": "the simdjson engine needs the package pysimdjson: pip install pysimdjson ({})",
}


def version() -> str:
    """The version of chunkwire that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("chunkwire")
    except PackageNotFoundError:
        return "unknown"  # run from a source tree
