"""Who is still to be told of results, and the messages of ours that tell them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.alert import PACES
from posthouse.mail.dsn_action import Action
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.due_results import Digest, DueResults, Means, UntoldResult
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.store.accepting import accept_arguments
from posthouse.store.event_feed import EventPage, FeedReader, moving
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

READER = FeedReader("notices", lock=0x6E6F7469636573)
HOUR = timedelta(hours=1)
_TOLD = (
    EventKind.BOUNCED,
    EventKind.EXPIRED,
    EventKind.SUPPRESSED,
    EventKind.DELAYED,
    EventKind.CONFIRMED,
)
# A larger message comes back as its header, whatever its sender wants (RFC 3461 section 4.3).
_MOST_RETURNED_OCTETS = 256 << 10


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
            free = await connection.fetchval(QUERIES["take_turn"], READER.lock)
            yield NoticeTurn(connection, self._window) if free else None

    async def note(self, page: EventPage, gather: timedelta) -> bool:
        """Keep the results of *page* to be told after *gather*, its alerts as accounts chose.

        In the same transaction the reader moves past it.

        False where another process has the turn.
        """
        after, last = page.after, page.last
        async with moving(self._database, READER, after, last) as connection:
            if connection is None:
                return False
            await connection.fetch(
                QUERIES["note_untold"],
                *(gather, after.xid, after.id, last.xid, last.id, _TOLD),
            )
            await connection.fetch(
                QUERIES["note_alerts"], after.xid, after.id, last.xid, last.id, PACES
            )
        return True


class NoticeTurn:
    """What is asked and written within one transaction."""

    def __init__(self, connection: Any, window: timedelta) -> None:
        self._connection = connection
        self._window = window

    async def failures(self, limit: int) -> tuple[DueResults | None, bool]:
        """Those due longest, and whether their address had *limit* notices in this hour."""
        row = await self._connection.fetchrow(
            QUERIES["due_failures"], self._window, limit, _MOST_RETURNED_OCTETS
        )
        if row is None:
            return None, False
        failures = await self._connection.fetch(
            QUERIES["failures_of_submission"], row["submission_id"], row["means"]
        )
        return _due(row, failures), row["full"]

    async def report(self) -> DueResults | None:
        """The results, no failures, that have been due longest and for which their sender asked."""
        row = await self._connection.fetchrow(QUERIES["due_report"])
        if row is None:
            return None
        recipients = await self._connection.fetch(
            QUERIES["recipients_of_report"], row["submission_id"], row["action"]
        )
        return replace(_due(row, recipients), action=Action(row["action"]))

    async def digest(self, most: int) -> Digest | None:
        """The first *most* failures for the digest that has been due longest."""
        rows = await self._connection.fetch(QUERIES["due_digest"], most)
        if not rows:
            return None
        first = rows[0]
        failures = tuple((row["submission_id"], _result(row)) for row in rows)
        return Digest(first["account_id"], first["address"], first["count"], failures)

    async def put_into_digest(self, due: DueResults) -> None:
        """Let all failures that are to be told to its address wait for a digest."""
        await self._run("put_into_digest", due.account_id, due.address, self._window)

    async def put_off(self, due: DueResults | Digest) -> None:
        """Leave it for a minute: to a newer program, or to one that makes no mistake about it."""
        if isinstance(due, Digest):
            await self._run("put_off_digest", due.account_id, due.address)
        elif due.means is Means.REPORT:
            await self._run("put_off_report", due.submission_id, due.action)
        else:
            await self._run("put_off_failures", due.submission_id, due.means)

    async def tell(self, due: DueResults, notice: Submission) -> None:
        """Send *notice*, which tells all of *due*."""
        await self._end(due, notice)
        if due.means is Means.DSN:
            await self._count(due.account_id, due.address)
        await accept_within(self._connection, notice)

    async def drop(self, due: DueResults) -> None:
        """Tell nobody."""
        await self._end(due, None)

    async def _end(self, due: DueResults, notice: Submission | None) -> None:
        is_report = due.means is Means.REPORT
        query, which = ("end_report", due.action) if is_report else ("end_failures", due.means)
        await self._run(query, due.submission_id, which, notice and notice.id.hex)

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


def _due(row: Any, results: Sequence[Any]) -> DueResults:
    """Of a submission that is past its retention only the results are known."""
    id_: UUID = row["submission_id"]
    return DueResults(
        submission_id=id_,
        account_id=row["account_id"],
        means=Means(row["means"]),
        address=row["address"] or "",
        results=tuple(map(_result, results)),
        accepted_at=datetime.fromtimestamp((id_.int >> 80) // 1000, UTC),
        sender=row["sender"] or "",
        lane=Lane(row["lane"] or Lane.NORMAL),
        credential_id=row["credential_id"],
        profile=row["profile"] or "",
        profile_revision=row["profile_revision"] or 0,
        header=row["header"] or b"",
        body=row["body"],
        dsn=DsnRequest.from_json(row["dsn"]),
    )


def _result(row: Any) -> UntoldResult:
    return UntoldResult(row["recipient"], EventKind(row["kind"]), row["at"], row["detail"])
