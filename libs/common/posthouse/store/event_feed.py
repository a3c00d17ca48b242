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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from prometheus_client import Gauge

from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

LAG = Gauge(
    "posthouse_event_feed_lag_seconds",
    "Age of the oldest event that a reader of events has not been given, in seconds.",
    ["reader"],
)

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class FeedReader:
    """Who follows the events, with a durable position."""

    name: str  # of its row in event_cursors
    lock: int  # the process that has this advisory lock has the turn


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The position of a reader: after one event, in one incarnation of the database."""

    incarnation: UUID
    xid: int
    id: UUID


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events after *after* up to *last*; all of them are on disk, and none appears later."""

    after: EventCursor
    last: EventCursor
    more: bool  # others can be read at once
    lag: float  # age of the first event after *last*, in seconds; 0 if there is none


@dataclass(frozen=True, slots=True)
class AnotherIncarnation:
    """The cursor is from before a restore.

    Some events after it are gone, and some that were read may no longer exist.
    """

    start: EventCursor  # before the first event since the restore


FeedResult: TypeAlias = EventPage | AnotherIncarnation


class EventFeed:
    """Says how far events can be read; what is asked of them is the reader's own statement."""

    def __init__(self, database: Postgres) -> None:
        """*database* commits synchronously."""
        self._database = database

    async def start(self) -> EventCursor:
        """Before the first event of this incarnation of the database."""
        row = await self._read(EventCursor(_FIRST, 0, _FIRST), 1)
        return EventCursor(row["of"], 0, _FIRST)

    async def position(self, reader: FeedReader) -> EventCursor:
        """Where *reader* reads on."""
        (row,) = await self._database.fetch("read_event_cursor", reader.name)
        return EventCursor(row["incarnation"], row["xid"], row["id"])

    async def read(self, after: EventCursor, limit: int = 1000) -> FeedResult:
        """The page of the next *limit* events after *after*."""
        row = await self._read(after, limit)
        incarnation = row["of"]
        # A server whose files were put back does not know it, until its numbers are too low.
        if incarnation != after.incarnation or after.xid >= row["unused"]:
            return AnotherIncarnation(EventCursor(incarnation, 0, _FIRST))
        lag = max(0.0, row["lag"])
        if row["last_id"] is None:
            return EventPage(after, after, more=False, lag=lag)
        await self._database.run("write_to_disk")
        last = EventCursor(incarnation, row["last_xid"], row["last_id"])
        return EventPage(after, last, more=row["more"], lag=lag)

    async def _read(self, after: EventCursor, limit: int) -> Any:
        (row,) = await self._database.fetch("find_settled_events", after.xid, after.id, limit)
        return row


@asynccontextmanager
async def moving(
    database: Postgres, reader: FeedReader, after: EventCursor, last: EventCursor
) -> AsyncIterator[Any | None]:
    """A transaction in which *reader* moves from *after* to *last*, and its connection.

    What is written over it counts with the move, so once for each event. None where another process
    has the turn, or had it and moved.
    """
    async with database.connection() as connection, connection.transaction():
        yield connection if await move(connection, reader, after, last) else None


async def move(connection: Any, reader: FeedReader, after: EventCursor, last: EventCursor) -> bool:
    """Move *reader* over *connection*; False where another session has the turn, or moved it."""
    moved = await connection.fetchval(
        QUERIES["move_event_cursor"],
        reader.name,
        reader.lock,
        *(after.incarnation, after.xid, after.id),
        *(last.incarnation, last.xid, last.id),
    )
    return bool(moved)


class FeedLag:
    """The metric of one reader; it grows while nothing is read: later events are not known."""

    def __init__(self, reader: FeedReader) -> None:
        self.note(0.0)
        LAG.labels(reader.name).set_function(self._now)

    def note(self, seconds: float) -> None:
        """The oldest event that the reader has not been given is now *seconds* old."""
        self._lag, self._read_at = seconds, time.monotonic()

    def _now(self) -> float:
        return self._lag + time.monotonic() - self._read_at
