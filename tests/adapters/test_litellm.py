"""litellm over accelerated clients: what its wrapper makes of their streams is what it makes of a plain client's.

litellm is large, so it is an extra of its own (``pip install '.[test-litellm]'``), and runs in a process of its own: a
program of this file for each engine, which asks a server on the loopback address.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("engine", ["native", "simdjson"])
def test_litellm(engine: str) -> None:
    if not importlib.util.find_spec("litellm"):
        pytest.skip("litellm is not installed: pip install '.[test-litellm]'")
    if engine == "native" and os.environ.get("CHUNKWIRE_TEST_NATIVE") == "0":
        pytest.skip("CHUNKWIRE_TEST_NATIVE=0: the extension module is not tested")
    folder = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)]),
        "CHUNKWIRE_ENGINE": engine,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch a newer one
    }
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # Cases, ways to ask, and how many chunks a plain client gave.
    assert done.stdout.splitlines()[-1].startswith("same: 9 answers, 8 ways, "), done.stdout


def answers() -> dict[str, list[Any]]:
    """By name, what a server sends."""
    from edges import CALL, DONE, A, B, chunk, delta, event, usage

    error = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": 503}}\n\n'
    calls = [
        delta(role="assistant", content=None, tool_calls=[CALL]),
        *(delta(tool_calls=[{"index": 0, "function": {"arguments": part}}]) for part in ('{"a', '": 1}')),
        event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])),
        DONE,
    ]
    stop = event(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    words = [delta(role="assistant", content=""), *(delta(content=word) for word in ("Hel", "lo", " [DONE]", "é"))]
    return {
        "text": [*words, b": ping\n\n", stop, DONE],
        "usage": [*words, stop, usage(), DONE],
        "in one piece": [b"".join([*words, stop, usage(), DONE])],
        "calls": calls,
        "reasoning": [delta(role="assistant", reasoning_content="Hm"), delta(content="a"), stop, DONE],
        "without [DONE]": [*words, stop],
        "an error": [A, B, error],
        "no JSON": [A, b"data: {oops\n\n", B, DONE],
        "two choices": [A, event(chunk(choices=[{"index": 1, "delta": {"content": "x"}}])), stop, DONE],
    }


def main() -> None:
    """Asks for every answer in every way, and compares."""
    import litellm
    import openai

    from chunkwire.adapters.openai import accelerate, restore
    from chunkwire.adapters.openai._stream import AsyncChunkStream, ChunkStream
    from server import serving

    litellm.suppress_debug_info = True
    chunks = ways = 0
    made = answers()
    with serving() as site:
        base = f"{site.url}/v1"

        def ask(client: Any) -> dict[str, Any]:
            settings = {"client": client} if client is not None else {"api_base": base, "api_key": "x"}
            options = {"include_usage": True}
            return {"model": "openai/m", "messages": MESSAGES, "stream": True, "stream_options": options, **settings}

        def run(client: Any) -> tuple[list[Any], Any]:
            found: list[Any] = []
            try:
                wrapper = litellm.completion(**ask(client), num_retries=0)
                types.add(type(wrapper.completion_stream))
                found.extend(map(sent, wrapper))
            except Exception as error:
                return found, (type(error), str(error))
            return found, None

        async def arun(client: Any) -> tuple[list[Any], Any]:
            found: list[Any] = []
            try:
                wrapper = await litellm.acompletion(**ask(client), num_retries=0)
                types.add(type(wrapper.completion_stream))
                found.extend([sent(chunk) async for chunk in wrapper])
            except Exception as error:
                return found, (type(error), str(error))
            return found, None

        def all_answers(client: Any) -> dict[str, Any]:
            found = {}
            for name, pieces in made.items():
                site.serve("/v1/chat/completions", *pieces)
                found[name] = run(client())
            return found

        async def all_async_answers(client: Any) -> dict[str, Any]:
            found = {}
            for name, pieces in made.items():
                site.serve("/v1/chat/completions", *pieces)
                found[name] = await arun(client())
            return found

        for is_async in (False, True):
            types: set[Any] = set()
            kind = openai.AsyncOpenAI if is_async else openai.OpenAI

            def plain(kind: Any = kind) -> Any:
                return kind(base_url=base, api_key="x", max_retries=0)

            def get(client: Any, is_async: bool = is_async) -> dict[str, Any]:
                return asyncio.run(all_async_answers(client)) if is_async else all_answers(client)

            expected = get(plain)
            assert types <= {openai.Stream, openai.AsyncStream}, types
            chunks += sum(len(found) for found, _ in expected.values())
            assert "".join(text(found) for found in expected["usage"][0]) == "Hello [DONE]é", expected["usage"]
            assert expected["an error"][1] is not None
            for objects in ("openai", "chunkwire"):

                def fast(plain: Any = plain, objects: Any = objects) -> Any:
                    return accelerate(plain(), objects=objects)

                types.clear()
                same(get(fast), expected, f"{kind.__name__}, {objects}")
                assert types == {AsyncChunkStream if is_async else ChunkStream}, types
                accelerate(objects=objects)
                try:
                    same(get(plain), expected, f"all, {kind.__name__}, {objects}")
                    ways += 2
                finally:
                    restore()
    print(f"same: {len(made)} answers, {ways} ways, {chunks} chunks")


def sent(chunk: Any) -> Any:
    """What a chunk of litellm's holds, but for when it was made."""
    return type(chunk), {**chunk.model_dump(), "created": None}


def text(found: Any) -> str:
    """What a chunk says."""
    choices = found[1]["choices"]
    return choices[0]["delta"]["content"] or "" if choices else ""


def same(found: dict[str, Any], expected: dict[str, Any], how: str) -> None:
    """Names the answer that is another, if there is one."""
    for name in expected:
        assert found[name] == expected[name], f"{how}: {name}:\n{found[name]}\n{expected[name]}"


if __name__ == "__main__":
    main()
