"""Housekeeping: independent duties that one process does for all, and relief of a full disk."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from posthouse.running.waiting import wait_for_event
from posthouse.store.account_holds import HELD, AccountHolds
from posthouse.store.failure import StoreRefused, StoreUnavailable, store_failures
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.queue_gauges import QueueGauges
from posthouse.store.retention import BODIES, HISTORY, Partitions, Retention
from posthouse.store.sandbox import SandboxStore
from posthouse.store.timeline import TimelineStore

LAST_SUCCESS = Gauge(
    "posthouse_housekeeping_last_success_timestamp_seconds",
    "When this process last finished the duty without failure, in seconds since 1970.",
    ["duty"],
)
FAILURES = Counter(
    "posthouse_housekeeping_failures_total", "Rounds of a duty that failed.", ["duty"]
)

# The session that holds this advisory lock does the duties.
_LOCK = 0x686F7573656B6570
# A process that is not in charge asks this often whether any is; the one in charge shows this
# often that it lives, and a session silent for a minute is ended by the server.
_LEAD_SECONDS = 5.0
_SILENT_SECONDS = 60

# A duty takes at most one part in twenty of a core: the longer a round took, the later the next.
_SHARE = 20
_ROWS = 1_000  # changed by one statement
# Events looked at for opens and clicks in one statement, and statements in one round.
_LOOKED_ROWS, _LOOKS = 10_000, 100
_LOOKING_SECONDS = 10.0
_AT_ONCE = 2  # duties: one that takes long stops no other
_COUNTING_SECONDS = 60.0
# With less than this free, in octets, bodies are dropped early.
_NEARLY_FULL = 512 << 20
_DISK_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Duty:
    """Periodic work. Its failure is counted and stops no other duty."""

    name: str
    every: float  # seconds from the end of one round to the next
    work: Callable[[], Awaitable[object]]

    async def run_once(self) -> bool:
        """One round; whether it succeeded."""
        try:
            await self.work()
        except (StoreUnavailable, StoreRefused) as error:
            FAILURES.labels(self.name).inc()
            log.warning("housekeeping_failed", duty=self.name, reason=str(error))
            return False
        except Exception:  # a mistake of ours in one duty stops neither the others nor the mail
            FAILURES.labels(self.name).inc()
            log.exception("housekeeping_failed", duty=self.name)
            return False
        LAST_SUCCESS.labels(self.name).set_to_current_time()
        return True

    async def repeat(self, at_once: asyncio.Semaphore) -> None:
        """Repeat until cancelled; no more than *at_once* duties run together."""
        while True:
            async with at_once:
                began = time.monotonic()
                await self.run_once()
            await asyncio.sleep(max(self.every, _SHARE * (time.monotonic() - began)))


class Housekeeping:
    """Runs in every process. One of them is in charge of the duties, the others stand by.

    Each process relieves a disk that it finds nearly full, in charge or not.
    """

    def __init__(
        self,
        database: Postgres,
        retention: Retention,
        *,
        disk: Path | None = None,
        least_free: int = _NEARLY_FULL,
        gauges_every: float = 15.0,
        lead_every: float = _LEAD_SECONDS,
    ) -> None:
        """*disk*: a folder on the database's disk, if that is on this machine.

        Less than *least_free* octets free on it is nearly full. *..._every*: seconds.
        """
        self._database = database
        # The service's own work never waits for a connection that a long duty has. One is for the
        # session in charge, one for relief of the disk.
        self._own = database.alone(connections=_AT_ONCE + 2)
        self._timeline = TimelineStore(self._own)
        self._gauges = QueueGauges()
        self._partitions = Partitions(self._own, retention)
        self._retention = retention
        self._disk = disk
        self._least_free = least_free
        self._gauges_every = gauges_every
        self._lead_every = lead_every
        self.duties = self._duties()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping*; if the database is away, it is tried again."""
        relief = Duty("disk", _DISK_SECONDS, self.relieve_disk).repeat(asyncio.Semaphore(1))
        async with self._own, asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(relief), tasks.create_task(self._age())]
            while not stopping.is_set():
                try:
                    await self._lead(stopping)
                except (StoreUnavailable, StoreRefused) as error:
                    log.warning("housekeeping_interrupted", reason=str(error))
                await wait_for_event(stopping, self._lead_every)
            for task in beside:
                task.cancel()

    async def _lead(self, stopping: asyncio.Event) -> None:
        """Do the duties for as long as we hold the lock; return at once if another process does.

        Raises StoreUnavailable when the session that holds it was lost.
        """
        if not (await self._database.fetch("nobody_leads", _LOCK))[0]["free"]:
            self._gauges.clear()
            HELD.clear()
            return
        async with self._own.connection() as session:
            if not await session.fetchval(QUERIES["try_to_lead"], _LOCK):
                return
            await session.execute(f"SET idle_session_timeout = '{_SILENT_SECONDS}s'")
            at_once = asyncio.Semaphore(_AT_ONCE)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(duty.repeat(at_once)) for duty in self.duties]
                lost = await self._watch(session, stopping)
                for task in running:
                    task.cancel()
            if lost is not None:
                raise lost
            await session.execute("RESET idle_session_timeout")
            await session.fetchval(QUERIES["stop_leading"], _LOCK)

    async def _watch(self, session: Any, stopping: asyncio.Event) -> StoreUnavailable | None:
        """Return when *stopping*, or with the reason why *session* was lost."""
        try:
            with store_failures():
                while not stopping.is_set():
                    await wait_for_event(stopping, self._lead_every)
                    await session.fetchval(QUERIES["round_trip"])
        except StoreUnavailable as error:
            return error
        return None

    async def _age(self) -> None:
        """Let the ages grow while the database does not answer: nothing is being finished."""
        while True:
            await asyncio.sleep(1.0)
            self._gauges.age(overdue=2 * self._gauges_every)

    def _duties(self) -> tuple[Duty, ...]:
        partitions = self._partitions
        return (
            Duty("queue_gauges", self._gauges_every, self._show_queue),
            Duty("parked_expiry", 15.0, self._unpark_expired),
            Duty("account_holds", 5.0, AccountHolds(self._own).finish),
            Duty("new_partitions", 60.0, partitions.add),
            Duty("bodies", 30.0, lambda: partitions.retire(BODIES)),
            Duty("history", 600.0, lambda: partitions.retire(HISTORY)),
            Duty("message_keys", 600.0, partitions.retire_keys),
            Duty("default_partitions", 60.0, partitions.sweep),
            Duty("bounce_counts", 3600.0, self._forget_counts),
            Duty("idempotency_keys", 60.0, self._forget_keys),
            Duty("sandbox", 600.0, SandboxStore(self._own).sweep),
            Duty("link_sets", 600.0, self._forget_links),
            *self._optional_duties(),
        )

    def _optional_duties(self) -> Iterator[Duty]:
        """For what goes only where a setting says so."""
        if (kept := self._retention.visits) is not None:
            yield Duty("visits", 60.0, partial(self._forget_visits, kept))
        if (kept := self._retention.audit) is not None:
            yield Duty("audit", 600.0, partial(self._forget_audit, kept))

    async def _show_queue(self) -> None:
        self._gauges.show(await self._timeline.queue(seconds=_COUNTING_SECONDS))

    async def _unpark_expired(self) -> None:
        """Make parked deliveries due that have expired, a limited number at a time."""
        while len(await self._own.fetch("unpark_expired_deliveries", _ROWS)) == _ROWS:
            continue

    async def _forget_counts(self) -> None:
        """Delete counts of bounces, and soft entries, that are older than any profile counts."""
        while len(await self._own.fetch("forget_counted_bounces", _ROWS)) == _ROWS:
            continue

    async def _forget_keys(self) -> None:
        """Delete idempotency keys that are too old to count."""
        while len(await self._own.fetch("forget_idempotency_keys", 10 * _ROWS)) == 10 * _ROWS:
            continue

    async def _forget_links(self) -> None:
        """Delete the targets of links that no message used for as long as they are kept."""
        kept = self._retention.links
        while len(await self._own.fetch("forget_link_sets", kept, _ROWS)) == _ROWS:
            continue

    async def _forget_visits(self, kept: timedelta) -> None:
        """Delete opens and clicks older than *kept*; a round goes on where the last one ended."""
        for _ in range(_LOOKS):
            (row,) = await self._own.fetch_within(
                _LOOKING_SECONDS, "forget_visits", kept, _LOOKED_ROWS
            )
            if row["looked"] < _LOOKED_ROWS:
                break

    async def _forget_audit(self, kept: timedelta) -> None:
        """Delete lines of the audit that are older than *kept*."""
        while len(await self._own.fetch("forget_audit", kept, _ROWS)) == _ROWS:
            continue

    async def relieve_disk(self) -> None:
        """Near a full disk, drop bodies of finished mail, the oldest first, until there is room."""
        for share in (1.0, 0.5, 0.25, 0.0):
            if not self._is_nearly_full():
                return
            self._database.is_full &= share > 0  # set again by the next statement without room
            freed = await self._partitions.retire(BODIES, share=share)
            if freed:
                log.warning("disk_relieved", octets=freed, share_of_retention=share)

    def _is_nearly_full(self) -> bool:
        if self._database.is_full:
            return True
        if self._disk is None:
            return False
        try:
            found = os.statvfs(self._disk)
        except OSError:
            return False
        return found.f_bavail * found.f_frsize < self._least_free
