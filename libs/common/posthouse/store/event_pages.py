"""The events as they are told to programs, in pages, with a cursor behind each of them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.store.event_feed import AnotherIncarnation, EventCursor, EventFeed
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.webhook_feed import FeedTurn, event_ids
from posthouse.webhooks import native_events
from posthouse.webhooks.occurrence import Occurrence
from posthouse.webhooks.public_kinds import PUBLIC_KINDS

_LOOKED_AT_ONCE = 10_000  # events, of whatever account
_READ_AT_ONCE = 200  # so that even the largest metadata leave room for others
_MOST_LOOKED = 100_000  # for one page: then it ends where it is, perhaps with nothing
_SLACK = timedelta(minutes=1)  # by which clocks of programs differ
_OCTETS = 40  # of a cursor
_NUMBER = slice(16, 24)


class UnusableCursor(ValueError):
    """The text is none that a page ended with."""


class WantedEvents(NamedTuple):
    """Which events, of the kinds that customers are told of."""

    accounts: Collection[UUID] | None = None  # None: of all
    kinds: Collection[str] = PUBLIC_KINDS


class PlacedEvent(NamedTuple):
    """An event, and the place behind it."""

    account_id: UUID
    event: Occurrence
    cursor: EventCursor

    @property
    def json(self) -> bytes:
        """One line of JSON, in the relay's own form (docs/events.md), without its end."""
        return b"".join(native_events.render(self.event))


class EventSlice(NamedTuple):
    """Events in the order of their commits."""

    events: Sequence[PlacedEvent]
    cursor: EventCursor  # behind all that was looked at
    more: bool  # others can be read at once
    restored: bool = False  # the database was: these begin with the first event since


class EventPages:
    """Reads only. Messages of our own, such as notices, have no events here."""

    def __init__(self, database: Postgres) -> None:
        """*database* commits synchronously: what is told is on disk."""
        self._database = database
        self._feed = EventFeed(database)

    async def page(self, after: EventCursor, wanted: WantedEvents, limit: int) -> EventSlice:
        """Up to *limit* events after *after*; it may have none, and still `more`."""
        found: list[PlacedEvent] = []
        restored, more = False, True
        for _ in range(_MOST_LOOKED // _LOOKED_AT_ONCE):
            read = await self._feed.read(after, _LOOKED_AT_ONCE)
            if isinstance(read, AnotherIncarnation):
                after, restored = read.start, True
                continue
            beyond, more = read.last, read.more
            while len(found) < limit and after != beyond:
                placed, after = await self._read(after, beyond, wanted, limit - len(found))
                found += placed
            if not more or len(found) >= limit:
                return EventSlice(found, after, more or after != beyond, restored)
        return EventSlice(found, after, more, restored)

    async def start(self) -> EventCursor:
        """Before the first event that is kept."""
        return await self._feed.start()

    async def now(self) -> EventCursor:
        """Behind all events that there are."""
        return await self._place("newest_event_place")

    async def since(self, moment: datetime) -> EventCursor:
        """Before all events since *moment*, and perhaps some of the minute before it."""
        return await self._place("event_place_before", moment - _SLACK)

    async def _place(self, query: str, *arguments: object) -> EventCursor:
        start = await self._feed.start()
        row = await self._database.first(query, *arguments)
        return start if row is None else EventCursor(start.incarnation, row["xid"], row["id"])

    async def _read(
        self, after: EventCursor, last: EventCursor, wanted: WantedEvents, limit: int
    ) -> tuple[list[PlacedEvent], EventCursor]:
        """Some of the events up to *last*, and the place behind what was looked at."""
        async with self._database.connection() as connection:
            return await events_between(connection, after, last, wanted, limit)


async def events_between(
    connection: Any,
    after: EventCursor,
    last: EventCursor,
    wanted: WantedEvents,
    limit: int,
) -> tuple[list[PlacedEvent], EventCursor]:
    """Of the events up to *last* *limit*, or 200; and the place behind what was looked at."""
    most = min(limit, _READ_AT_ONCE)
    rows = await connection.fetch(
        QUERIES["find_told_events"],
        *(after.xid, after.id, last.xid, last.id),
        None if wanted.accounts is None else list(wanted.accounts),
        list(wanted.kinds),
        most,
    )
    told = await FeedTurn(connection).occurrences(event_ids(rows))
    places = {row["id"]: EventCursor(last.incarnation, row["xid"], row["id"]) for row in rows}
    found = [PlacedEvent(account, one, places[one.id]) for account, one in told]
    return found, places[rows[-1]["id"]] if len(rows) == most else last


def cursor_text(cursor: EventCursor) -> str:
    """A cursor for programs, which do not look into it."""
    octets = cursor.incarnation.bytes + cursor.xid.to_bytes(8, "big") + cursor.id.bytes
    return urlsafe_b64encode(octets).decode().rstrip("=")


def cursor_of(text: str) -> EventCursor:
    """The opposite; raises UnusableCursor."""
    try:
        octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        octets = b""
    if len(octets) != _OCTETS:
        raise UnusableCursor(f"{text[:80]!a} is not a cursor that a page ended with")
    number = int.from_bytes(octets[_NUMBER], "big")
    return EventCursor(UUID(bytes=octets[:16]), number, UUID(bytes=octets[24:]))
