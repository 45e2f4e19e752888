"""What generators give, and in the place of sessions what these give: for clients that have a parser of their own,
whose loops then need no step of a generator for each item.

The same as ``rust/python/relay.rs`` and the ``Relay`` of ``rust/python/live.rs``; it serves where the extension is
missing, and it is their slow twin in the tests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from chunkwire._clients import ClientEvents
from chunkwire._session import Session

__all__ = ["AsyncLoop", "AsyncRelay", "Relay"]


class Relay:
    """What a generator gives; where that gives a session, what the session gives until it ends."""

    def __init__(self, steps: Iterator[Any]) -> None:
        self._steps = steps
        self._session: Session | None = None

    def __iter__(self) -> Relay:
        return self

    def __next__(self) -> Any:
        while True:
            if self._session is not None:
                try:
                    for item in self._session:
                        return item
                except BaseException:
                    self.close()
                    raise
                self._session = None
            step = next(self._steps)
            if type(step) is not Session:
                return step
            self._session = step

    def close(self) -> None:
        """Ends the generator."""
        self._session = None
        self._steps.close()  # type: ignore[attr-defined]


class AsyncRelay:
    """What an asynchronous generator gives; where that gives a session, or client events, what these give until they
    end, which are fed from what they were to ``apull``. What is raised is raised where the generator stands."""

    def __init__(self, steps: AsyncGenerator[Any, None]) -> None:
        if not hasattr(type(steps), "__anext__"):
            raise TypeError(f"expected an asynchronous iterator, got {type(steps).__name__}")
        self._steps = steps
        self._given: Session | ClientEvents | None = None
        self._has_begun = self._is_running = self._is_over = False

    def __aiter__(self) -> AsyncRelay:
        return self

    async def __anext__(self) -> Any:
        self._begin("anext")
        if self._is_over:
            self._is_running = False
            raise StopAsyncIteration
        return await self._run(None)

    async def asend(self, value: Any, /) -> Any:
        """The same as `__anext__`: what is sent goes nowhere."""
        if value is not None and not self._has_begun:
            raise TypeError("can't send non-None value to a just-started async generator")
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raises an exception where the generator stands."""
        error: BaseException | None = None
        try:
            error = _thrown(typ, val, tb)
            self._begin("athrow")
            return await self._run(error)
        finally:
            typ = val = tb = error = None  # the traceback of what is raised has this frame

    async def aclose(self) -> None:
        """Ends the generator where it stands."""
        self._begin("aclose")
        self._given, self._is_over = None, True
        try:
            await self._steps.aclose()
        finally:
            self._is_running = False

    def loop(self) -> AsyncLoop:
        """A loop over what comes. Who leaves it, or closes it, leaves this as it is, and may begin another."""
        return AsyncLoop(self)

    def _begin(self, name: str) -> None:
        if self._is_running:
            raise RuntimeError(f"{name}(): asynchronous generator is already running")
        self._has_begun = self._is_running = True

    async def _run(self, error: BaseException | None) -> Any:
        """The next item, after an error was raised where the generator stands."""
        try:
            while True:
                if error is None and self._given is not None:
                    try:
                        for item in self._given:
                            return item
                        if await _read(self._given):
                            continue
                    except BaseException as raised:
                        error = raised
                self._given = None
                if error is None:
                    step = await self._steps.__anext__()
                else:
                    step = await self._steps.athrow(error)
                    error = None
                if type(step) not in (Session, ClientEvents):
                    return step
                self._given = step
        except BaseException:
            self._given, self._is_over = None, True
            raise
        finally:
            self._is_running = False
            error = None  # its traceback has this frame


async def _read(given: Session | ClientEvents) -> bool:
    """Reads more for it; false if no more is needed, or none will come."""
    try:
        if (read := given.read()) is None:
            return False
        data = await read
    except StopAsyncIteration:
        given.take_read(None)
        return True
    except BaseException as error:
        if not given.take_error(error):
            raise
        return True
    if data is None:
        raise TypeError("expected bytes of the source, got NoneType")
    given.take_read(data)
    return True


def _thrown(typ: Any, val: Any, tb: Any) -> BaseException:
    """The exception of the arguments of a ``throw``."""
    error: Any
    if not isinstance(typ, type) or not issubclass(typ, BaseException):
        error = typ
    elif isinstance(val, BaseException):
        error = val
    else:
        error = typ() if val is None else typ(val)
    if not isinstance(error, BaseException):
        kind = type(typ).__name__
        raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {kind}")
    return error if tb is None else error.with_traceback(tb)


class AsyncLoop:
    """A loop over what an `AsyncRelay` gives, which is over when it is closed; the relay is not."""

    def __init__(self, relay: AsyncRelay) -> None:
        self._relay: AsyncRelay | None = relay

    def __aiter__(self) -> AsyncLoop:
        return self

    async def __anext__(self) -> Any:
        if self._relay is None:
            raise StopAsyncIteration
        return await self._relay.__anext__()

    async def asend(self, value: Any, /) -> Any:
        """The same as `__anext__`: what is sent goes nowhere."""
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raises an exception, which ends the loop."""
        error = _thrown(typ, val, tb)
        self._relay = None
        raise error

    async def aclose(self) -> None:
        """Ends the loop."""
        self._relay = None
