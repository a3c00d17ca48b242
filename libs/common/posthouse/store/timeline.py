"""The timeline of a message and the state of the queue: for people, pages and gauges."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.store.postgres import STATEMENT_SECONDS, Postgres


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is known about one submission, oldest first."""

    submission: dict[str, Any]
    deliveries: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    events: list[dict[str, Any]]
    hold: dict[str, Any] | None = None  # of its account, if that is held


@dataclass(frozen=True, slots=True)
class QueueLine:
    """Open messages of one stage, lane and state."""

    stage: str  # "policy" or "delivery"
    lane: Lane
    state: str  # ready, inflight, deferred, parked, held, scheduled, quarantined
    messages: int
    oldest_seconds: float


class TimelineStore:
    """Reads only."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def of_submission(self, submission_id: UUID) -> Timeline | None:
        """The whole timeline of a submission, or None if there is none of that id."""
        row = await self._database.first("read_submission", submission_id)
        if row is None:
            return None
        deliveries, attempts, events = [
            [dict(r) for r in await self._database.fetch(query, submission_id)]
            for query in ("read_deliveries", "read_attempts", "read_events")
        ]
        hold = await self._database.first("read_hold", submission_id)
        held = None if hold is None else dict(hold)
        return Timeline(dict(row), deliveries, attempts, events, held)

    async def queue(self, *, seconds: float = STATEMENT_SECONDS) -> list[QueueLine]:
        """How many messages are open, by stage, lane and state, and the age of the oldest.

        Counting millions takes *seconds* at most.
        """
        return [
            QueueLine(r["stage"], Lane(r["lane"]), r["state"], r["messages"], r["oldest_seconds"])
            for r in await self._database.fetch_within(seconds, "queue_by_lane")
        ]
