"""Events on their way to the endpoints of customers: what is to be told, as batches.

The batches of a page of events and the cursor behind it are written in one transaction, so each
event is in one batch of each endpoint that wants it.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from posthouse.store.event_feed import EventPage, FeedReader, moving
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.webhooks.event_batch import (
    KEEP_TRYING,
    EventIds,
    FoundEvent,
    NewBatch,
    WebhookWish,
)
from posthouse.webhooks.occurrence import NO_METADATA, Occurrence

READER = FeedReader("webhooks", lock=0x776562686F6F6B73)
# A replay goes on when no more batches than this wait for its endpoint.
_FEW_BATCHES = 100
_LATE_BATCHES = 25  # an endpoint for which more wait is late: a page of events, in full batches
_OCTETS_AT_ONCE = 8 << 20


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """A part of what an endpoint is to be told once more."""

    wish: WebhookWish | None  # None: the endpoint is gone
    events: Sequence[EventIds]


class _Told(msgspec.Struct, frozen=True):
    """What is told of the attributes of a message (`posthouse.mail.submission.Attributes`)."""

    tags: tuple[str, ...] = ()
    metadata: msgspec.Raw = NO_METADATA
    stream: str = ""
    campaign: str = ""


_TOLD = msgspec.json.Decoder(_Told)
_NOTHING_TOLD = _Told()


class WebhookFeed:
    """The statements of the consumer of events."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    @asynccontextmanager
    async def moving(self, page: EventPage) -> AsyncIterator["FeedTurn | None"]:
        """A transaction that moves past *page*; None where another process has the turn."""
        async with moving(self._database, READER, page.after, page.last) as connection:
            yield None if connection is None else FeedTurn(connection)

    @asynccontextmanager
    async def replaying(self, kinds: Sequence[str], most: int) -> AsyncIterator[Any]:
        """A transaction in which a part of a replay is told; None where there is none.

        It gives a `FeedTurn` and a `ReplayPart`: of *most* events that were looked at, those that
        were asked for. Kinds that were not named are *kinds*.
        """
        async with self._database.connection() as connection, connection.transaction():
            asked = await connection.fetchrow(QUERIES["claim_webhook_replay"], _FEW_BATCHES)
            if asked is None:
                yield None
                return
            turn = FeedTurn(connection)
            wishes = await turn.wishes(asked["endpoint_id"])
            rows = await connection.fetch(
                QUERIES["read_events_to_replay"],
                *(asked["after_id"], asked["until_id"], most, asked["account_id"]),
                *(asked["kinds"] or list(kinds), asked["ids"]),
            )
            yield (
                turn,
                ReplayPart(
                    wishes[0] if wishes else None, event_ids(r for r in rows if not r["is_end"])
                ),
            )
            end = next((row["id"] for row in rows if row["is_end"]), None)
            if end is None or not wishes:
                await connection.execute(QUERIES["end_webhook_replay"], asked["id"])
            else:
                await connection.execute(QUERIES["move_webhook_replay"], asked["id"], end)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["tuple[FeedTurn, ReplayPart] | None"]:
        """A transaction in which a batch is told that is not written; None where there is none."""
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["take_unwritten_webhook_batch"], _LATE_BATCHES)
            if row is None:
                yield None
                return
            turn = FeedTurn(connection)
            wishes = await turn.wishes(row["endpoint_id"])
            rows = await connection.fetch(QUERIES["find_events_of_batch"], row["ids"])
            yield turn, ReplayPart(wishes[0] if wishes else None, event_ids(rows))


class FeedTurn:
    """What is asked and written within one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def wishes(self, endpoint_id: UUID | None = None) -> list[WebhookWish]:
        """Of all endpoints, or of that one; one that has been paused for long wishes nothing."""
        rows = await self._connection.fetch(
            QUERIES["find_webhook_wishes"], endpoint_id, KEEP_TRYING, _LATE_BATCHES
        )
        return [_wish(row) for row in rows]

    async def events(
        self, page: EventPage, accounts: Iterable[UUID], kinds: Iterable[str]
    ) -> list[FoundEvent]:
        """The events of *page* that may be told, in the order of their commits."""
        bounds = page.after.xid, page.after.id, page.last.xid, page.last.id
        rows = await self._connection.fetch(
            QUERIES["find_events_to_tell"], *bounds, list(accounts), list(kinds)
        )
        return [
            FoundEvent(EventIds(r["id"], r["submission_id"]), r["account_id"], r["kind"], r["at"])
            for r in rows
        ]

    async def occurrences(self, events: Sequence[EventIds]) -> list[tuple[UUID, Occurrence]]:
        """Those events, in their order, each with its account."""
        rows = await self._connection.fetch(
            QUERIES["gather_events_to_tell"],
            [ids.event for ids in events],
            [ids.message for ids in events],
        )
        found = {row["id"]: row for row in rows}
        told: dict[UUID, _Told] = {}  # by message: many events are of the same
        return [
            (row["account_id"], _occurrence(row, told))
            for ids in events
            if (row := found.get(ids.event)) is not None
        ]

    async def add(self, batches: Iterable[NewBatch]) -> int:
        """Let *batches* be sent; how many events that are. They are written as they are made."""
        rows: list[tuple[Any, ...]] = []
        events = octets = 0
        for batch in batches:
            rows.append(_row(batch))
            events += len(batch.ids)
            octets += len(batch.body)
            if octets > _OCTETS_AT_ONCE:
                await self._write(rows)
                rows, octets = [], 0
        await self._write(rows)
        return events

    async def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            await self._connection.fetch(QUERIES["add_webhook_batches"], rows, KEEP_TRYING)


def event_ids(rows: Iterable[Any]) -> list[EventIds]:
    """Of *rows* of a statement that finds events."""
    return [EventIds(row["id"], row["submission_id"]) for row in rows]


def _row(batch: NewBatch) -> tuple[Any, ...]:
    return (
        *(batch.wish.endpoint_id, batch.wish.gather, batch.is_replay),
        *(batch.oldest_at, list(batch.ids), list(batch.kinds), batch.body),
        batch.wish.dialect,
    )


def _wish(row: Any) -> WebhookWish:
    return WebhookWish(
        endpoint_id=row["id"],
        account_id=row["account_id"],
        dialect=row["dialect"],
        kinds=frozenset(row["kinds"]),
        streams=frozenset(row["streams"]),
        gather=row["gather"],
        is_late=row["is_late"],
    )


def _told_of(stored: str | None) -> _Told:
    if stored is None:
        return _NOTHING_TOLD
    try:
        return _TOLD.decode(stored)
    except msgspec.DecodeError:  # of a version that wrote them otherwise: the event is told anyway
        return _NOTHING_TOLD


def _occurrence(row: Any, told: dict[UUID, _Told]) -> Occurrence:
    message = row["submission_id"]
    if (asked := told.get(message)) is None:
        asked = told[message] = _told_of(row["attributes"])
    return Occurrence(
        id=row["id"],
        kind=row["kind"],
        at=row["at"],
        sequence=row["sequence"],
        account=row["account"],
        submission_id=message,
        delivery_id=row["delivery_id"],
        recipient=row["recipient"] or "",
        recipient_kind=row["recipient_kind"] or "to",
        recipients=row["recipients"] or (),
        sender=row["sender"],
        subject=row["subject"] or "",
        message_id=row["message_id"] or "",
        tags=asked.tags,
        stream=asked.stream,
        campaign=asked.campaign,
        metadata=asked.metadata,
        detail=row["detail"] or {},
    )
