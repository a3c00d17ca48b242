"""Connections to PostgreSQL, lent to one statement at a time.

asyncpg has a pool. What it does around each statement costs three times what the statement costs
itself, and a message needs several; here a connection is taken from a list and put back.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any


class Connections:
    """At most so many open connections; the one used last is lent first.

    A connection that was closed from the other side, or that somebody left in the middle of a
    statement, is not lent again.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], most: int) -> None:
        self._connect = connect
        self._most = most
        self._open = 0  # lent, free, or being made
        self._free: list[Any] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def take(self, seconds: float) -> Any:
        """A connection for one user; TimeoutError when none came free within *seconds*.

        Raises what connecting raised.
        """
        while True:
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    return connection
                self._open -= 1
            if self._open < self._most:
                return await self._new()
            await self._turn(seconds)

    def give_back(self, connection: Any, *, whole: bool) -> None:
        """End what `take` began; *whole*: nothing of ours is under way on it any more."""
        if whole and not self._closed and not connection.is_closed():
            self._free.append(connection)
        else:
            connection.terminate()
            self._open -= 1
        self._call_next()

    async def close(self, seconds: float) -> None:
        """Close all; those still lent are cut when they come back."""
        self._closed = True
        free, self._free = self._free, []
        self._open -= len(free)
        for connection in free:
            try:
                await connection.close(timeout=seconds)
            except (OSError, TimeoutError):
                connection.terminate()

    async def _new(self) -> Any:
        self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            self._call_next()
            raise

    async def _turn(self, seconds: float) -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(called)
        try:
            async with asyncio.timeout(seconds):
                await called
        except BaseException:
            if called.done() and not called.cancelled():
                self._call_next()  # it was our turn, and we are not there to take it
            raise

    def _call_next(self) -> None:
        while self._waiting:
            called = self._waiting.popleft()
            if not called.done():
                called.set_result(None)
                return
