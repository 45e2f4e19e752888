"""Fixtures of the whole suite: the engine under test, the command line, a server, and where the recorded inputs lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from command import Result, Run
from server import Site, serving

settings.register_profile(
    "chunkwire",
    deadline=None,  # the machine may be busy
    derandomize="CI" in os.environ,  # what is wrong is looked for elsewhere; a change is judged by the same cases
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("chunkwire")


@pytest.fixture(scope="session", params=["native", "simdjson"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine; every test that asks for it runs once with each."""
    if request.param == "native" and os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
        pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested")
    return str(request.param)


@pytest.fixture(scope="session")
def native() -> str:
    """The name of the native engine, for tests of what it alone does."""
    if os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
        pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested")
    return "native"


@pytest.fixture
def run(engine: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, with the engine under test: a command and its arguments."""
    from chunkwire._cli import main

    def run(command: str, *arguments: Any) -> Result:
        code = main([command, "--engine", engine, *map(str, arguments)])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server that streams what a test tells it to."""
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of logs that the project ships."""
    return Path(__file__).parent / "samples"
