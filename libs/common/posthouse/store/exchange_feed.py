"""Events on their way to the exchange of RabbitMQ: who publishes them, and how far that is."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from posthouse.store.event_feed import EventCursor, FeedReader, move
from posthouse.store.event_pages import PlacedEvent, WantedEvents, events_between
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

READER = FeedReader("exchange", lock=0x65786368616E6765)
_MOST = 200  # events that are published together, and again where that fails


class FeedPart(NamedTuple):
    """Some of the next events."""

    events: Sequence[PlacedEvent]
    cursor: EventCursor  # behind them


class PublishingTurn:
    """While this process, and no other, publishes. No transaction is open meanwhile."""

    def __init__(self, connection: Any, after: EventCursor) -> None:
        self._connection = connection
        self._after = after

    async def next_part(self, last: EventCursor) -> FeedPart:
        """Up to 200 of the events up to *last*."""
        return FeedPart(
            *await events_between(self._connection, self._after, last, WantedEvents(), _MOST)
        )

    async def move(self, cursor: EventCursor) -> None:
        """All before *cursor* was published; on disk when this returns."""
        await move(self._connection, READER, self._after, cursor)


class ExchangeFeed:
    """The statements of the consumer of events that publishes them."""

    def __init__(self, database: Postgres) -> None:
        """*database* commits synchronously."""
        self._database = database

    async def begin(self) -> None:
        """Follow the events, at the first time from now on."""
        await self._database.run("begin_to_follow", READER.name)

    @asynccontextmanager
    async def turn(self, after: EventCursor) -> AsyncIterator[PublishingTurn | None]:
        """The turn to publish what comes after *after*.

        None where another session has it, or has published that.
        """
        async with self._database.connection() as connection:
            if not await connection.fetchval(QUERIES["try_to_lead"], READER.lock):
                yield None
                return
            row = await connection.fetchrow(QUERIES["read_event_cursor"], READER.name)
            is_next = EventCursor(row["incarnation"], row["xid"], row["id"]) == after
            yield PublishingTurn(connection, after) if is_next else None
            # Whatever fails before, this session ends, and with it the lock.
            await connection.fetchval(QUERIES["stop_leading"], READER.lock)
