"""Whether the database still answers, asked only while a caller waits for it."""

import asyncio
import math
from contextlib import suppress
from types import TracebackType
from typing import Protocol

import structlog

from posthouse.running.waiting import wait_for_event
from posthouse.store.failure import StoreUnavailable

# The database is asked when a caller has waited through two looks; a healthy one never is.
LOOK_SECONDS = 0.2
# A server that is alive answers within a millisecond, whatever its disk and its locks do.
ANSWER_SECONDS = 0.5
# The same with a new connection to be made first; for a database that is known to be silent.
CONNECT_SECONDS = 2.0
_PIECES = 5

log = structlog.get_logger()


class Server(Protocol):
    """A database over a connection of its own."""

    async def run(self, query: str) -> None:
        """Return when the named statement was answered; raises StoreUnavailable."""

    async def close(self) -> None:
        """Close the connection."""


class DatabaseWatchdog:
    """Ends the wait for a database that has fallen silent, within a second.

    A server that is gone refuses connections, which is noticed at once. One that is stopped, or
    behind a network that drops every packet, says nothing, and for seconds that looks like a
    server that waits for its disk. A server that waits must not be given up: it commits messages
    whose clients were told to send them again (RFC 1047). So it is asked a question that needs
    neither disk nor lock.
    """

    def __init__(self, server: Server) -> None:
        """*server* is closed at the end of `run`."""
        self._server = server
        self.waiting: dict[asyncio.Timeout, float] = {}  # until when; the longest waiting first
        self.silent = False

    def deadline(self, seconds: float) -> "WatchedWait":
        """Wait for the database inside, for *seconds* at most and only while it answers.

        Raises StoreUnavailable afterwards: whether the work was done is then unknown.
        """
        return WatchedWait(self, seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch over the callers that wait, until *stopping*."""
        await self._look(CONNECT_SECONDS)  # opens the connection before it is needed
        longest = None
        while not stopping.is_set():
            before, longest = longest, next(iter(self.waiting), None)
            if self.silent:
                await self._look(CONNECT_SECONDS)
            elif longest is not None and longest is before:
                await self._look(ANSWER_SECONDS)
                self._end(asyncio.get_running_loop().time())
            await wait_for_event(stopping, LOOK_SECONDS)
        await self._server.close()

    async def _look(self, seconds: float) -> None:
        silent = not await self._answers(seconds)
        if silent and not self.silent:
            log.error("database_silent", waiting=len(self.waiting))
        elif self.silent and not silent:
            log.warning("database_answers")
        self.silent = silent
        if silent:
            self._end(math.inf)

    def _end(self, now: float) -> None:
        """End the waits whose deadline has passed by *now*."""
        for limit, until in self.waiting.items():
            if until <= now and not limit.expired():
                limit.reschedule(0)

    async def _answers(self, seconds: float) -> bool:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(), name="asking the database")
            for _ in range(_PIECES):
                # In pieces: if this process itself was stopped, the answer may be there already.
                await asyncio.wait((asking,), timeout=seconds / _PIECES)
                if asking.done():
                    return True
            asking.cancel()
        return False

    async def _ask(self) -> None:
        with suppress(StoreUnavailable):  # an error is an answer too
            await self._server.run("round_trip")


class WatchedWait:
    """One wait. It has no timer of its own: every message makes one, and few expire."""

    __slots__ = ("_limit", "_seconds", "_watchdog")

    def __init__(self, watchdog: DatabaseWatchdog, seconds: float) -> None:
        self._watchdog = watchdog
        self._seconds = seconds
        self._limit = asyncio.Timeout(None)

    async def __aenter__(self) -> None:
        if self._watchdog.silent:
            raise StoreUnavailable("no answer from the database: it is silent")
        await self._limit.__aenter__()
        self._watchdog.waiting[self._limit] = asyncio.get_running_loop().time() + self._seconds

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del self._watchdog.waiting[self._limit]
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError as over:
            silent = self._watchdog.silent
            why = "it fell silent" if silent else f"not within {self._seconds:g} seconds"
            raise StoreUnavailable(f"no answer from the database: {why}") from over
