"""Who is still to be told of failures, and the messages of ours that tell them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.undelivered import Digest, Means, Undelivered, UntoldFailure
from posthouse.store.event_feed import EventCursor, RecordedEvent
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.submissions import accept_arguments

READER = "notices"
FAILURES = (EventKind.BOUNCED, EventKind.EXPIRED, EventKind.SUPPRESSED)
HOUR = timedelta(hours=1)

# The process that has this advisory lock has the turn.
_LOCK = 0x6E6F7469636573


class NoticeStore:
    """The statements of telling."""

    def __init__(self, database: Postgres, *, window: timedelta = HOUR) -> None:
        """*window*: what the limit of notices to an address is for."""
        self._database = database
        self._window = window

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["NoticeTurn | None"]:
        """A transaction; None while another process, or task, has the turn.

        A crash undoes all that was written, and no other process was given the same.
        """
        async with self._database.connection() as connection, connection.transaction():
            free = await connection.fetchval(QUERIES["take_turn"], _LOCK)
            yield NoticeTurn(connection, self._window) if free else None


class NoticeTurn:
    """What is asked and written within one transaction."""

    def __init__(self, connection: Any, window: timedelta) -> None:
        self._connection = connection
        self._window = window

    async def cursor(self) -> EventCursor:
        """Where to read on."""
        row = await self._connection.fetchrow(QUERIES["read_event_cursor"], READER)
        return EventCursor(row["incarnation"], row["xid"], row["id"])

    async def note(
        self, events: Sequence[RecordedEvent], gather: timedelta, cursor: EventCursor
    ) -> None:
        """Keep the failures among *events* to be told after *gather*; move to *cursor*."""
        rows = [
            (e.submission_id, e.delivery_id, e.account_id, e.kind, e.at, e.detail) for e in events
        ]
        await self._run("note_failures", rows, gather)
        await self._run("move_event_cursor", READER, cursor.incarnation, cursor.xid, cursor.id)

    async def undelivered(self, limit: int) -> tuple[Undelivered | None, bool]:
        """What has been due longest, and whether its address had *limit* notices in this hour."""
        row = await self._connection.fetchrow(QUERIES["due_undelivered"], self._window, limit)
        if row is None:
            return None, False
        failures = await self._connection.fetch(
            QUERIES["failures_of_submission"], row["submission_id"], row["means"]
        )
        return _undelivered(row, failures), row["full"]

    async def digest(self, most: int) -> Digest | None:
        """The first *most* failures for the digest that has been due longest."""
        rows = await self._connection.fetch(QUERIES["due_digest"], most)
        if not rows:
            return None
        first = rows[0]
        failures = tuple((row["submission_id"], _failure(row)) for row in rows)
        return Digest(first["account_id"], first["address"], first["count"], failures)

    async def put_into_digest(self, undelivered: Undelivered) -> None:
        """Let all that is to be told to its address wait for a digest."""
        await self._run(
            "put_into_digest", undelivered.account_id, undelivered.address, self._window
        )

    async def put_off(self, undelivered: Undelivered) -> None:
        """Leave it for a minute: to a newer program, or to one that makes no mistake about it."""
        await self._run("put_off_undelivered", undelivered.submission_id, undelivered.means)

    async def tell(self, undelivered: Undelivered, notice: Submission) -> None:
        """Send *notice*, which tells all of *undelivered*."""
        await self._run(
            "end_undelivered", undelivered.submission_id, undelivered.means, notice.id.hex
        )
        if undelivered.means is Means.DSN:
            await self._count(undelivered.account_id, undelivered.address)
        await accept_within(self._connection, notice)

    async def drop(self, undelivered: Undelivered) -> None:
        """Tell nobody."""
        await self._run("end_undelivered", undelivered.submission_id, undelivered.means, None)

    async def tell_digest(self, digest: Digest, notice: Submission) -> None:
        """Send *notice*, which tells all of *digest*: the first of a new hour."""
        await self._run("end_digest", digest.account_id, digest.address, notice.id.hex)
        await self._count(digest.account_id, digest.address)
        await accept_within(self._connection, notice)

    async def _count(self, account_id: UUID, address: str) -> None:
        await self._run("forget_notice_windows", self._window)
        await self._run("count_notice", account_id, address)

    async def _run(self, query: str, *arguments: Any) -> None:
        await self._connection.fetch(QUERIES[query], *arguments)


async def accept_within(connection: Any, notice: Submission) -> None:
    """Accept *notice* in the transaction that is open on *connection*."""
    await connection.fetch(QUERIES["accept_submissions"], *accept_arguments([notice]))


def _undelivered(row: Any, failures: Sequence[Any]) -> Undelivered:
    """Of a submission that is past its retention only the failures are known."""
    id_: UUID = row["submission_id"]
    return Undelivered(
        submission_id=id_,
        account_id=row["account_id"],
        means=Means(row["means"]),
        address=row["address"],
        failures=tuple(_failure(failure) for failure in failures),
        accepted_at=datetime.fromtimestamp((id_.int >> 80) // 1000, UTC),
        sender=row["sender"] or "",
        lane=Lane(row["lane"] or Lane.NORMAL),
        credential_id=row["credential_id"],
        profile=row["profile"] or "",
        profile_revision=row["profile_revision"] or 0,
        header=row["header"] or b"",
        body=row["body"] or b"",
    )


def _failure(row: Any) -> UntoldFailure:
    return UntoldFailure(row["recipient"], EventKind(row["kind"]), row["at"], row["detail"])
