"""The events of all accounts, followed in the order of their commits without a gap.

Ids are made before a commit, and transactions commit in another order than they begin. So events
are read in the order of their transactions, and only those that come before every transaction
still running: nothing can appear behind a cursor any more.

A commit that is not synchronous is visible before it is on disk, and a crash of the server takes
it back. So what was read is handed out only after a synchronous commit of ours: PostgreSQL's log is
one sequence, and what was visible before is on disk then.

A restored database numbers its transactions from another start. It is a new incarnation: a cursor
of another one leads nowhere in it.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from prometheus_client import Gauge

from posthouse.mail.events import EventKind
from posthouse.store.postgres import Postgres

LAG = Gauge(
    "posthouse_event_feed_lag_seconds",
    "Age of the oldest event that a reader of events has not been given, in seconds.",
    ["reader"],
)

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The position of a reader: after one event, in one incarnation of the database."""

    incarnation: UUID
    xid: int
    id: UUID


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it was committed."""

    id: UUID
    at: datetime
    account_id: UUID
    submission_id: UUID
    delivery_id: UUID | None
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events after a cursor, in the order of their commits; all of them are on disk."""

    events: tuple[RecordedEvent, ...]
    cursor: EventCursor  # after the last one that was looked at
    more: bool  # others can be read at once


@dataclass(frozen=True, slots=True)
class AnotherIncarnation:
    """The cursor is from before a restore.

    Some events after it are gone, and some that were read may no longer exist.
    """

    start: EventCursor  # before the first event since the restore


FeedResult: TypeAlias = EventPage | AnotherIncarnation


class EventFeed:
    """Reads events after a cursor, which the reader stores together with its own results."""

    def __init__(
        self, database: Postgres, reader: str, *, kinds: Collection[EventKind] | None = None
    ) -> None:
        """*database* commits synchronously. *reader* names the metric.

        Events of other *kinds* are passed over by the database.
        """
        self._database = database
        self._kinds = None if kinds is None else [kind.value for kind in kinds]
        self._lag = 0.0
        self._read_at = time.monotonic()
        LAG.labels(reader).set_function(self._lag_now)

    async def start(self) -> EventCursor:
        """Before the first event of this incarnation of the database."""
        (row,) = await self._read(EventCursor(_FIRST, 0, _FIRST), 0)
        return EventCursor(row["of"], 0, _FIRST)

    async def read(self, after: EventCursor, limit: int = 1000) -> FeedResult:
        """What there is among the next *limit* events after *after*."""
        rows = await self._read(after, limit)
        first = rows[0]
        incarnation = first["of"]
        # A server whose files were put back does not know it, until its numbers are too low.
        if incarnation != after.incarnation or after.xid >= first["unused"]:
            return AnotherIncarnation(EventCursor(incarnation, 0, _FIRST))
        self._lag, self._read_at = max(0.0, first["lag"]), time.monotonic()
        if first["last_id"] is None:
            return EventPage((), after, more=False)
        await self._database.run("write_to_disk")
        return EventPage(
            tuple(_event(row) for row in rows if row["id"] is not None),
            EventCursor(incarnation, first["last_xid"], first["last_id"]),
            more=first["more"],
        )

    async def _read(self, after: EventCursor, limit: int) -> list[Any]:
        return await self._database.fetch(
            "read_events_after", after.xid, after.id, limit, self._kinds
        )

    def _lag_now(self) -> float:
        """Grows while nothing is read: later events are not known."""
        return self._lag + time.monotonic() - self._read_at


def _event(row: Any) -> RecordedEvent:
    return RecordedEvent(
        row["id"],
        row["at"],
        row["account_id"],
        row["submission_id"],
        row["delivery_id"],
        row["kind"],
        row["detail"] or {},
    )
