"""The engine for tests of adapters, which take the one that the environment names."""

from __future__ import annotations

import pytest


@pytest.fixture
def engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the engine, which is the one in use; every test that asks for it runs once with each."""
    monkeypatch.setenv("CHUNKWIRE_ENGINE", engine)
    return engine
