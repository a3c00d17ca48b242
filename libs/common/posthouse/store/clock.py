"""The clock of the database, and what is done when it was ahead and is set back."""

import asyncio
from datetime import timedelta

import structlog

from posthouse.store.failure import StoreRefused, StoreUnavailable
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

_EVERY_SECONDS = 3.0
# Less is no harm: a lease or a retry is that much late.
_TOLERATED = timedelta(seconds=30)
# The longest that anything is told to wait is a retry in the lowest lane, and a lease.
_LONGEST_RETRY = timedelta(hours=5)
_LONGEST_LEASE = timedelta(minutes=15)
# Rows of a million messages take a while; they are left alone by others meanwhile.
_PATIENCE_SECONDS = 600.0

log = structlog.get_logger()


class ClockWatch:
    """Sees to it that nothing waits for a time that a wrong clock has set.

    A clock that jumps ahead makes everything due at once, and age alone ends nothing that was
    hardly tried. When it is set back, all that waits would go on waiting for as long as it was
    ahead.
    """

    def __init__(self, database: Postgres, *, lease: timedelta) -> None:
        """*lease*: how long work in hand is left to whoever has it."""
        self._database = database
        self._lease = lease

    async def run(self, stopping: asyncio.Event) -> None:
        """Look every few seconds until *stopping*; any number of processes may."""
        while not stopping.is_set():
            try:
                await self.look()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("clock_not_looked_at", reason=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), _EVERY_SECONDS)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Note the time; set back what waits if the clock was, and free what waits for ever."""
        await self._note_time()
        freed = [
            row
            for query, longest in (
                ("reset_future_due_submissions", _LONGEST_LEASE),
                ("reset_future_due_deliveries", _LONGEST_RETRY),
            )
            for row in await self._database.fetch(query, self._lease, longest)
        ]
        if freed:
            log.warning("freed_from_wrong_time", messages=len(freed))

    async def _note_time(self) -> None:
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["note_time"])
            if row is None or row["set_back"] < _TOLERATED:
                return
            log.warning("clock_set_back", seconds=round(row["set_back"].total_seconds()))
            await connection.execute(QUERIES["disable_statement_timeout"])
            for query in ("shift_due_submissions", "shift_due_deliveries"):
                await connection.fetch(
                    QUERIES[query], row["set_back"], self._lease, timeout=_PATIENCE_SECONDS
                )
