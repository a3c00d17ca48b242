"""Keeping the tables: partitions ahead, old days dropped, nothing open beyond its age, gauges."""

import asyncio
import time
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

# A round that failed, or that another process had, is tried again this much later.
_AGAIN_SECONDS = 1.0

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


class QueueGauges:
    """What is open, as it was last seen; the age of the oldest never stands still."""

    def __init__(self) -> None:
        self._ages: dict[tuple[str, str, str], float] = {}
        self._seen = time.monotonic()

    def show(self, lines: list[QueueLine]) -> None:
        """The queue as it is now; what is gone is shown as nothing."""
        self._seen = time.monotonic()
        now = {(line.stage, line.lane.label, line.state): line for line in lines}
        for labels in self._ages.keys() | now.keys():
            line = now.get(labels)
            self._ages[labels] = line.oldest_seconds if line else 0
            QUEUE_MESSAGES.labels(*labels).set(line.messages if line else 0)
            QUEUE_OLDEST.labels(*labels).set(self._ages[labels])

    def age(self, *, overdue: float) -> None:
        """Count on from what was last seen, if that is more than *overdue* seconds ago."""
        since = time.monotonic() - self._seen
        if since > overdue:
            for labels, seconds in self._ages.items():
                if seconds:
                    QUEUE_OLDEST.labels(*labels).set(seconds + since)


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
        self._queue = QueueGauges()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping*; a database that is away is tried again and again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._age_until(stopping))
            while not stopping.is_set():
                done = False
                try:
                    done = await self.take_turn()
                except (StoreUnavailable, StoreRefused) as error:
                    log.warning("housekeeping_interrupted", reason=str(error))
                await _pause(stopping, self._every if done else min(self._every, _AGAIN_SECONDS))

    async def _age_until(self, stopping: asyncio.Event) -> None:
        """Have what is shown grow older while a round is overdue: nothing is being finished."""
        while not stopping.is_set():
            await _pause(stopping, _AGAIN_SECONDS)
            self._queue.age(overdue=self._every + 2 * _AGAIN_SECONDS)

    async def take_turn(self) -> bool:
        """Work one round, unless another process does just now: then False."""
        # The lock lives as long as this transaction: a process that dies or hangs gives it up.
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["try_lock"], _LOCK)
            if row["locked"]:
                await self._round()
            return bool(row["locked"])

    async def _round(self) -> None:
        # First what a database can tell that takes no changes just now.
        self._queue.show(await self._timeline.queue())
        await self._database.run("unpark_expired_deliveries")
        await self._create_partitions()
        await self._drop_old_partitions()

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


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), timeout=seconds)
    except TimeoutError:
        return
