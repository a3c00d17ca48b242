"""Whether the database still answers, asked only while somebody waits for it."""

import asyncio
import math
from contextlib import suppress
from types import TracebackType
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
        self.waiting: dict[asyncio.Timeout, float] = {}  # until when; the longest waiting first
        self.silent = False

    def patience(self, seconds: float) -> "Patience":
        """Wait for the database inside, up to *seconds* and no longer than it shows life.

        Raises StoreUnavailable when that was too long: whether it was done is then not known.
        """
        return Patience(self, seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch over those who wait, until *stopping*."""
        await self._look(CONNECT_SECONDS)  # opens the connection before it is needed
        longest = None
        while not stopping.is_set():
            before, longest = longest, next(iter(self.waiting), None)
            if self.silent:
                await self._look(CONNECT_SECONDS)
            elif longest is not None and longest is before:
                await self._look(ANSWER_SECONDS)
                self._end(asyncio.get_running_loop().time())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stopping.wait()
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
        """Wake those whose time is over by *now*."""
        for limit, until in self.waiting.items():
            if until <= now and not limit.expired():
                limit.reschedule(0)

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


class Patience:
    """One who waits. Without a timer of his own: each message has one, and hardly any needs it."""

    __slots__ = ("_limit", "_pulse", "_seconds")

    def __init__(self, pulse: Pulse, seconds: float) -> None:
        self._pulse = pulse
        self._seconds = seconds
        self._limit = asyncio.Timeout(None)

    async def __aenter__(self) -> None:
        if self._pulse.silent:
            raise StoreUnavailable("no answer from the database: it is silent")
        await self._limit.__aenter__()
        self._pulse.waiting[self._limit] = asyncio.get_running_loop().time() + self._seconds

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del self._pulse.waiting[self._limit]
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError as over:
            why = (
                "it fell silent" if self._pulse.silent else f"not within {self._seconds:g} seconds"
            )
            raise StoreUnavailable(f"no answer from the database: {why}") from over
