"""Keeping the tables: partitions ahead, old days dropped, nothing open beyond its age, gauges."""

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta

import structlog
from prometheus_client import Gauge

from posthouse.running.identity import day_of
from posthouse.store.failure import StoreRefused, StoreUnavailable
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.timeline import QueueLine, TimelineStore

QUEUE_MESSAGES = Gauge("posthouse_queue_messages", "Open messages.", ["stage", "lane", "state"])
QUEUE_OLDEST = Gauge(
    "posthouse_queue_oldest_seconds",
    "Age of the oldest open message since it was accepted, in seconds.",
    ["stage", "lane", "state"],
)

# One process at a time; the others leave out their turn.
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

# An open delivery has its id from policy, the content it needs has its own from ingest: their
# clocks may name different days.
_CLOCKS_APART = timedelta(days=2)

log = structlog.get_logger()


class Housekeeping:
    """Runs in every dispatcher, but never in two at once."""

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
                await self.take_turn()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("housekeeping_interrupted", reason=str(error))
            await _pause(stopping, self._every)

    async def take_turn(self) -> bool:
        """Work one round, unless another process does just now: then False."""
        # The lock lives as long as this transaction: a process that dies or hangs gives it up.
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["try_lock"], _LOCK)
            if row["locked"]:
                await self._round()
            return bool(row["locked"])

    async def _round(self) -> None:
        await self._create_partitions()
        await self._drop_old_partitions()
        await self._database.run("unpark_expired_deliveries")
        self._show(await self._timeline.queue())

    async def _create_partitions(self) -> None:
        for row in await self._database.fetch("missing_partitions", list(self._retention)):
            table, day = row["parent"], row["day"]
            try:
                made = await self._database.first("create_partition", table, day)
            except (StoreUnavailable, StoreRefused) as error:
                # Days are made a week ahead: the next round is soon enough, and until then the
                # mail goes on. What is in the way of one is in the way of the others.
                log.warning("partition_not_created", table=table, day=str(day), reason=str(error))
                return
            if made and made["created"]:
                log.info("partition_created", table=table, day=str(day))
            else:
                reason = "the default partition holds too many rows of that day to move them"
                log.warning("partition_not_created", table=table, day=str(day), reason=reason)

    async def _drop_old_partitions(self) -> None:
        for table, kept in self._retention.items():
            for row in await self._database.fetch("old_partitions", table, kept):
                if await self._is_needed(row["day"]):
                    log.warning("partition_needed", partition=row["name"])
                    break
                try:
                    await self._database.run("drop_partition", row["name"])
                except StoreUnavailable as error:
                    log.warning("partition_not_dropped", partition=row["name"], reason=str(error))
                    return
                log.info("partition_dropped", partition=row["name"])

    async def _is_needed(self, day: date) -> bool:
        """Whether something of *day* or before is still open, however long ago that was."""
        row = await self._database.first("oldest_open_id")
        oldest = row and row["id"]
        return oldest is not None and day_of(oldest) - _CLOCKS_APART <= day

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
