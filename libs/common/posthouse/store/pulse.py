"""Whether the database still answers, asked only while somebody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog

from posthouse.store.failure import StoreUnavailable

# Who waits through two looks has the question asked; a healthy store is never asked it.
LOOK_SECONDS = 0.2
# A server that is alive answers it in a millisecond, whatever its disk and its locks are doing.
ANSWER_SECONDS = 0.5
# The same with a new connection to be made first: what is known to be silent may take its time.
CONNECT_SECONDS = 2.0
_PIECES = 5

log = structlog.get_logger()


class Server(Protocol):
    """A database over one connection that nobody else uses."""

    async def run(self, query: str) -> None:
        """Return when the named statement was answered; raises StoreUnavailable."""

    async def close(self) -> None:
        """Close the connection."""


class Pulse:
    """Ends the wait for a database that has fallen silent, in less than a second.

    A server that is gone refuses connections, which is heard at once. One that stands still, or
    behind a network that swallows everything, says nothing at all, and for seconds that looks like
    one that waits for its disk. To give that one up would be wrong: it commits what its client was
    told to send again (RFC 1047). So it is asked something that needs neither disk nor lock.
    """

    def __init__(self, server: Server) -> None:
        """*server* is closed at the end of `run`."""
        self._server = server
        self._waiting: dict[asyncio.Timeout, None] = {}  # who has waited longest comes first
        self._silent = False

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Wait for the database inside, up to *seconds* and no longer than it shows life.

        Raises StoreUnavailable when that was too long: whether it was done is then not known.
        """
        if self._silent:
            raise StoreUnavailable("no answer from the database: it is silent")
        try:
            async with asyncio.timeout(seconds) as limit:
                self._waiting[limit] = None
                try:
                    yield
                finally:
                    del self._waiting[limit]
        except TimeoutError as error:
            why = "it fell silent" if self._silent else f"not within {seconds:g} seconds"
            raise StoreUnavailable(f"no answer from the database: {why}") from error

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch over those who wait, until *stopping*."""
        await self._look(CONNECT_SECONDS)  # opens the connection before it is needed
        longest = None
        while not stopping.is_set():
            before, longest = longest, next(iter(self._waiting), None)
            if self._silent:
                await self._look(CONNECT_SECONDS)
            elif longest is not None and longest is before:
                await self._look(ANSWER_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stopping.wait()
        await self._server.close()

    async def _look(self, seconds: float) -> None:
        silent = not await self._answers(seconds)
        if silent and not self._silent:
            log.error("database_silent", waiting=len(self._waiting))
        elif self._silent and not silent:
            log.warning("database_answers")
        self._silent = silent
        if silent:
            now = asyncio.get_running_loop().time()
            for limit in self._waiting:
                if not limit.expired():
                    limit.reschedule(now)

    async def _answers(self, seconds: float) -> bool:
        asked = asyncio.ensure_future(self._server.run("round_trip"))
        try:
            for _ in range(_PIECES):
                # In pieces: when it was this process that stood still, the answer may be there.
                await asyncio.wait((asked,), timeout=seconds / _PIECES)
                if asked.done():
                    with suppress(StoreUnavailable):
                        asked.result()
                    return True
        finally:
            asked.cancel()
        return False
