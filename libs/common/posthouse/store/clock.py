"""Repairs due times that were written while the clock of the database was ahead."""

import asyncio
from datetime import timedelta

import structlog

from posthouse.running.waiting import wait_for_event
from posthouse.store.failure import StoreRefused, StoreUnavailable
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

_EVERY_SECONDS = 3.0
# A smaller step does no harm: a lease or a retry is that much late.
_TOLERATED = timedelta(seconds=30)
# No due time is further ahead than the longest retry, or the longest lease.
_LONGEST_RETRY = timedelta(hours=5)
_LONGEST_LEASE = timedelta(minutes=15)
# A million rows take a while.
_SHIFT_SECONDS = 600.0

log = structlog.get_logger()


class ClockWatch:
    """Makes mail, and what customers are told of it, due in time after the clock was ahead.

    A clock that jumps ahead makes everything due at once, which does no harm: age alone ends no
    mail that had few attempts. When the clock is set back, everything would wait for as long as it
    was ahead.
    """

    def __init__(self, database: Postgres, *, lease: timedelta) -> None:
        """*lease*: how long a claim stays with its worker."""
        self._database = database
        self._lease = lease

    async def run(self, stopping: asyncio.Event) -> None:
        """Look every few seconds until *stopping*; any number of processes may do so."""
        while not stopping.is_set():
            try:
                await self.look()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("clock_not_looked_at", reason=str(error))
            await wait_for_event(stopping, _EVERY_SECONDS)

    async def look(self) -> None:
        """Note the time; shift due times if the clock was set back, and reset impossible ones."""
        await self._note_time()
        reset = [
            row
            for query, longest in (
                ("reset_future_due_submissions", _LONGEST_LEASE),
                ("reset_future_due_deliveries", _LONGEST_RETRY),
            )
            for row in await self._database.fetch(query, self._lease, longest)
        ]
        if reset:
            log.warning("future_due_times_reset", messages=len(reset))

    async def _note_time(self) -> None:
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["note_time"])
            if row is None or row["set_back"] < _TOLERATED:
                return
            log.warning("clock_set_back", seconds=round(row["set_back"].total_seconds()))
            await connection.execute(QUERIES["disable_statement_timeout"])
            await connection.execute(QUERIES["forget_rate_windows"])
            for query in ("shift_due_submissions", "shift_due_deliveries", "shift_due_webhooks"):
                await connection.fetch(
                    QUERIES[query], row["set_back"], self._lease, timeout=_SHIFT_SECONDS
                )
