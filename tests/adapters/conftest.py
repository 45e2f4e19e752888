"""The engine for tests of adapters, which take the one that the environment names."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(params=["native", "simdjson"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the engine, which is the one in use; every test that asks for it runs once with each."""
    if request.param == "native" and os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
        pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested")
    monkeypatch.setenv("CHUNKWIRE_ENGINE", request.param)
    return str(request.param)
