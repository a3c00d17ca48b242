"""Keeping the tables: partitions ahead, old days dropped, nothing open beyond its age, gauges."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import Gauge

from posthouse.store.failure import StoreUnavailable, store_failures
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.timeline import QueueLine, TimelineStore

QUEUE_MESSAGES = Gauge("posthouse_queue_messages", "Open messages.", ["stage", "lane", "state"])
QUEUE_OLDEST = Gauge(
    "posthouse_queue_oldest_seconds",
    "Age of the oldest open message since it was accepted, in seconds.",
    ["stage", "lane", "state"],
)

# One process does this for all; the others stand by for the lock.
_LOCK = 0x686F7573656B6570

# How long each kind of row is kept. Longer than mail may wait, or a queued message loses its body.
RETENTION: Mapping[str, timedelta] = {
    "contents": timedelta(days=8),
    "renditions": timedelta(days=8),
    "submissions": timedelta(days=30),
    "deliveries": timedelta(days=30),
    "attempts": timedelta(days=30),
    "events": timedelta(days=30),
}

log = structlog.get_logger()


class Housekeeping:
    """Runs in every dispatcher; works in the one that holds the lock."""

    def __init__(
        self,
        database: Postgres,
        *,
        every: float = 15.0,
        retention: Mapping[str, timedelta] = RETENTION,
    ) -> None:
        """*every*: seconds between rounds; database time decides what is old."""
        self._database = database
        self._timeline = TimelineStore(database)
        self._every = every
        self._retention = retention
        self._shown: set[tuple[str, str, str]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping*; a database that is away is tried again at the next round."""
        while not stopping.is_set():
            try:
                await self._hold_lock(stopping)
            except StoreUnavailable as error:
                log.warning("housekeeping_interrupted", reason=str(error))
            await _pause(stopping, self._every)

    async def _hold_lock(self, stopping: asyncio.Event) -> None:
        # The lock lives as long as this connection: a dead process gives it up by dying.
        async with self._database.connection() as connection:
            while not stopping.is_set():
                row = await connection.fetchrow(QUERIES["try_lock"], _LOCK)
                if row["locked"]:
                    await self.round()
                    await connection.execute("SELECT pg_advisory_unlock($1::bigint)", _LOCK)
                await _pause(stopping, self._every)

    async def round(self) -> None:
        """One round of everything."""
        await self._database.run("create_partitions", datetime.now(UTC))
        await self._drop_old_partitions()
        await self._database.run("unpark_expired_deliveries")
        self._show(await self._timeline.queue())

    async def _drop_old_partitions(self) -> None:
        today = datetime.now(UTC)
        for parent, kept in self._retention.items():
            oldest = (today - kept).date()
            for row in await self._database.fetch("old_partitions", [parent], oldest):
                with store_failures():
                    async with self._database.connection() as connection:
                        # The name comes from the catalogue and matched `_[0-9]{8}`.
                        await connection.execute(f'DROP TABLE "{row["name"]}"')
                log.info("partition_dropped", partition=row["name"])

    def _show(self, lines: list[QueueLine]) -> None:
        now = {(line.stage, line.lane.label, line.state): line for line in lines}
        for labels, line in now.items():
            QUEUE_MESSAGES.labels(*labels).set(line.messages)
            QUEUE_OLDEST.labels(*labels).set(line.oldest_seconds)
        for labels in self._shown - now.keys():
            QUEUE_MESSAGES.labels(*labels).set(0)
            QUEUE_OLDEST.labels(*labels).set(0)
        self._shown |= now.keys()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), timeout=seconds)
    except TimeoutError:
        return
