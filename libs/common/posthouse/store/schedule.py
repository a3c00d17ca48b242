"""Mail that is to be sent later: it comes due when its time has come, or is cancelled before."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from posthouse.mail.lane import Lane
from posthouse.running.waiting import wait_for_event
from posthouse.store.failure import StoreRefused, StoreUnavailable
from posthouse.store.postgres import Postgres

_ROWS = 1000  # that come due by one statement
_LONGEST_SECONDS = 2.0  # between two looks
_BUSY_SECONDS = 0.05  # between two thousands that are due, or until another process has them

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A message that waits for its time."""

    id: UUID
    account: str
    lane: Lane
    sender: str
    recipients: tuple[str, ...]
    send_at: datetime


class Schedule:
    """The statements about scheduled mail."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def seconds_to_first(self) -> float:
        """Until the first is to be sent, by the database's clock; infinite if there is none."""
        (row,) = await self._database.fetch("first_scheduled")
        return math.inf if row["seconds"] is None else float(row["seconds"])

    async def open(self) -> Mapping[Lane, int]:
        """Make due what is to be sent by now, up to a thousand; how many messages of each lane.

        Any number of processes may do so: no message comes due twice.
        """
        rows = await self._database.fetch("open_scheduled_submissions", _ROWS)
        return {Lane(row["lane"]): row["messages"] for row in rows}

    async def first(self, limit: int, account_id: UUID | None = None) -> list[ScheduledMessage]:
        """Up to *limit* that are to be sent first, of all accounts or of one."""
        return [
            ScheduledMessage(
                row["id"],
                row["account"],
                Lane(row["lane"]),
                row["sender"],
                tuple(row["recipients"]),
                row["send_at"],
            )
            for row in await self._database.fetch("list_scheduled", account_id, limit)
        ]

    async def cancel(self, submission_id: UUID, actor: str) -> bool:
        """Never send it; False when it is not scheduled, or its time has come."""
        row = await self._database.first("cancel_scheduled_submission", submission_id, actor)
        return row is not None


class ScheduleWatch:
    """Makes mail due at its time.

    It looks when the first is due, and every two seconds whether another one is the first now.
    """

    def __init__(self, schedule: Schedule, came_due: Callable[[Lane], None]) -> None:
        """*came_due* is told the lanes, after the commit; it must neither wait nor raise."""
        self._schedule = schedule
        self._came_due = came_due

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until *stopping*, in every process of policy."""
        while not stopping.is_set():
            wait = _LONGEST_SECONDS
            try:
                wait = await self._look()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("schedule_not_looked_at", reason=str(error))
            await wait_for_event(stopping, wait)

    async def _look(self) -> float:
        """Make due what is; how long to wait before the next look, in seconds."""
        first = await self._schedule.seconds_to_first()
        if first > 0:
            return min(first, _LONGEST_SECONDS)
        for lane in await self._schedule.open():
            self._came_due(lane)
        return _BUSY_SECONDS
