"""Connections to PostgreSQL, lent to one statement at a time.

asyncpg has a pool, whose work around each statement costs three times as much as the statement
itself; a message needs several. Here a connection is taken from a list and put back.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from prometheus_client import Counter, Gauge

from posthouse.store.failure import TooManyConnections

CONNECTIONS = Gauge(
    "posthouse_database_connections",
    "Connections to PostgreSQL by what they do, and statements that wait for one.",
    ["pool", "state"],
)
WAITS = Counter(
    "posthouse_database_connection_waits_total",
    "Times that a statement had to wait for a connection.",
    ["pool"],
)

_UNUSED_SECONDS = 30.0
_RETRY_SECONDS = 0.1  # between two tries to connect to a server that has no connection left

# All that this process has, by pool; several may share a name.
_shown: dict[str, WeakSet["Connections"]] = {}


class Connections:
    """Up to *most* open connections; the one used last is lent first.

    A connection that the other side closed, or that was given back in the middle of a statement, is
    not lent again. All but one of those that were not used for *unused_seconds* are closed.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        most: int,
        *,
        pool: str = "service",
        unused_seconds: float = _UNUSED_SECONDS,
    ) -> None:
        self._connect = connect
        self._most = most
        self._unused_seconds = unused_seconds
        self._open = 0  # lent, free, or being made
        self._free: list[Any] = []
        self._least_free = 0  # how many at the bottom of that list were unused since a sweep
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._waits = WAITS.labels(pool)
        _show(pool, self)

    @property
    def lent(self) -> int:
        """How many are in use, or being made."""
        return self._open - len(self._free)

    @property
    def free(self) -> int:
        """How many are open and not in use."""
        return len(self._free)

    @property
    def waiting(self) -> int:
        """How many statements wait for one."""
        return len(self._waiting)

    async def take(self, seconds: float) -> Any:
        """A connection for one user; TimeoutError when none came free within *seconds*.

        Where the server has no connection left for us, wait for one of ours. Raises what connecting
        raised, TooManyConnections only after *seconds*.
        """
        if (connection := self._take_free()) is not None:
            return connection
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        while True:
            if self._open < self._most:
                try:
                    return await self._new()
                except TooManyConnections:
                    if now() >= deadline:
                        raise
                with suppress(TimeoutError):
                    await self._turn(_RETRY_SECONDS)
            else:
                await self._turn(deadline - now())
            if (connection := self._take_free()) is not None:
                return connection

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
        if self._sweep is not None:
            self._sweep.cancel()
        free, self._free = self._free, []
        self._open -= len(free)
        for connection in free:
            try:
                await connection.close(timeout=seconds)
            except (OSError, TimeoutError):
                connection.terminate()

    def _take_free(self) -> Any | None:
        while self._free:
            connection = self._free.pop()
            self._least_free = min(self._least_free, len(self._free))
            if not connection.is_closed():
                return connection
            self._open -= 1
        return None

    async def _new(self) -> Any:
        self._open += 1
        try:
            connection = await self._connect()
        except TooManyConnections:
            self._open -= 1
            if not self._open:  # else one that is given back wakes who waits
                self._call_next()
            raise
        except BaseException:
            self._open -= 1
            self._call_next()
            raise
        if self._sweep is None:
            self._sweep_later()
        return connection

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._unused_seconds, self._close_unused)

    def _close_unused(self) -> None:
        unused = max(min(self._least_free, len(self._free) - 1), 0)
        for connection in self._free[:unused]:
            connection.terminate()
        del self._free[:unused]
        self._open -= unused
        self._least_free = len(self._free)
        self._sweep_later()

    async def _turn(self, seconds: float) -> None:
        """Return when a connection was given back; TimeoutError after *seconds*."""
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.inc()
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


def _show(pool: str, connections: Connections) -> None:
    """Count *connections* at each scrape, for as long as they are there."""
    if pool not in _shown:
        members: WeakSet[Connections] = WeakSet()
        _shown[pool] = members
        now = CONNECTIONS.labels
        now(pool, "lent").set_function(lambda: sum(member.lent for member in members))
        now(pool, "free").set_function(lambda: sum(member.free for member in members))
        now(pool, "waiting").set_function(lambda: sum(member.waiting for member in members))
    _shown[pool].add(connections)
