"""The stores over one database, and mail to put into them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from posthouse.mail.address_failure import AddressFailure, FailureWeight
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation, MailSelector
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.mail.suppression_list import SuppressedRecipient, Suppression, SuppressionList
from posthouse.running.identity import new_id
from posthouse.store.deliveries import Attempt, ClaimedDelivery, DeliveryStore, Settlement
from posthouse.store.postgres import Postgres
from posthouse.store.submissions import ClaimedSubmission, Prepared, SubmissionStore
from posthouse.store.timeline import Timeline, TimelineStore
from posthouse.store.waiting_mail import WaitingMail

ACCOUNT = UUID(int=1)
ON_BOUNCE_LIST = Suppression(SuppressionList.BOUNCE, "")


def a_submission(lane: Lane = Lane.NORMAL, **changes: Any) -> Submission:
    """A message to two recipients."""
    submission = Submission(
        id=new_id(),
        account_id=ACCOUNT,
        credential_id=UUID(int=2),
        profile="native",
        lane=lane,
        sender="shop@sender.example",
        recipients=("ann@dest.example", "bob@dest.example"),
        smtputf8=False,
        client="192.0.2.1",
        helo="app.sender.example",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
        header=b"Subject: a test\r\n\r\n",
        body=b"Hello.\r\n",
    )
    return replace(submission, **changes)


def prepared(claimed: ClaimedSubmission, *suppressed: str) -> Prepared:
    """One rendition, and a delivery for every recipient that is not suppressed."""
    s = claimed.submission
    rendition = Rendition(new_id(), s.id, b"DKIM-Signature: yes\r\n" + s.header)
    deliveries = tuple(
        Delivery(new_id(), s.id, s.account_id, rendition.id, s.lane, r, f"b+{r}@bounce.example")
        for r in s.recipients
        if r not in suppressed
    )
    listed = tuple(SuppressedRecipient(r, ON_BOUNCE_LIST) for r in suppressed)
    return Prepared(claimed, (rendition,), deliveries, listed, {"profile": "native"})


def an_attempt(outcome: str = "delivered", code: int = 250) -> Attempt:
    """What the other side said."""
    return Attempt(
        started_at=datetime.now(UTC),
        outcome=outcome,
        scope=None if code == 250 else "recipient",
        site="dest.example",
        host="mx.dest.example",
        tls="TLSv1.3",
        code=code,
        enhanced=f"{code // 100}.0.0",
        reply="so it is",
    )


def delivered(claimed: ClaimedDelivery) -> Settlement:
    """It was taken."""
    return Settlement(claimed, EventKind.DELIVERED, None, an_attempt())


def deferred(claimed: ClaimedDelivery, wait: timedelta = timedelta()) -> Settlement:
    """It is to be tried again, at once unless *wait* says otherwise."""
    return Settlement(claimed, EventKind.DEFERRED, wait, an_attempt("deferred", 450))


def a_failure(weight: FailureWeight = FailureWeight.HARD, **changes: Any) -> AddressFailure:
    """What a remote system said against the recipient."""
    kind = {"hard": "no such mailbox", "gone": "domain gone", "soft": "mailbox full"}[weight]
    said = AddressFailure(weight, kind, "550 5.1.1 no such user", "RCPT", rule="r", rules="7")
    return replace(said, **changes)


def bounced(
    claimed: ClaimedDelivery, weight: FailureWeight = FailureWeight.HARD, **changes: Any
) -> Settlement:
    """Refused for good, for what the recipient's address is."""
    failure = a_failure(weight, **changes)
    return Settlement(
        claimed, EventKind.BOUNCED, None, an_attempt("bounced", 550), {}, failure=failure
    )


@dataclass
class Stores:
    """What services ask, over one database; leases and holds of the length a test wants."""

    url: str
    database: Postgres
    submissions: SubmissionStore
    deliveries: DeliveryStore
    timeline: TimelineStore

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Look at, or meddle with, the tables."""
        async with self.database.connection() as connection:
            rows: list[Any] = await connection.fetch(statement, *arguments)
            return rows

    async def value(self, statement: str, *arguments: object) -> Any:
        """The one value that *statement* gives."""
        return (await self.sql(statement, *arguments))[0][0]

    async def queue(self, lane: Lane = Lane.NORMAL, **changes: Any) -> list[Delivery]:
        """Accept and prepare a submission; its deliveries."""
        await self.submissions.accept(a_submission(lane, **changes))
        (claimed,) = (await self.submissions.claim(1)).submissions
        one = prepared(claimed)
        await self.submissions.prepare([one])
        return list(one.deliveries)

    async def claim_one(self) -> ClaimedDelivery:
        """The only delivery that is due, or the oldest."""
        (claimed,) = (await self.deliveries.claim(1)).deliveries
        return claimed

    async def one_claimed(self, lane: Lane = Lane.NORMAL) -> ClaimedDelivery:
        """A new delivery to ann@dest.example, claimed."""
        await self.queue(lane, recipients=("ann@dest.example",))
        return await self.claim_one()

    async def due_row(self, claimed: ClaimedDelivery) -> dict[str, object] | None:
        """The row of work of a delivery, if it is still open."""
        rows = await self.sql("SELECT * FROM due_deliveries WHERE id = $1", claimed.delivery.id)
        return dict(rows[0]) if rows else None

    async def story(self, submission_id: UUID) -> Timeline:
        """The timeline of a submission that exists."""
        found = await self.timeline.of_submission(submission_id)
        assert found is not None
        return found

    async def kinds(self, submission_id: UUID) -> list[str]:
        """The kinds of a submission's events, in order."""
        return [event["kind"] for event in (await self.story(submission_id)).events]

    async def run_out(self) -> None:
        """Let every lease run out now."""
        await self.sql("UPDATE due_deliveries SET due_at = now() WHERE leased")
        await self.sql("UPDATE due_submissions SET due_at = now() WHERE leased")


async def operate(
    database: Postgres, operation: MailOperation, *ids: UUID, because: str = "", **words: str
) -> int:
    """Do it to waiting mail; how much that was. In words "_" stands for "-"."""
    selector = MailSelector.of({name.replace("_", "-"): w for name, w in words.items()}, ids)
    result = await WaitingMail(database).run(operation, selector, "root@relay", because)
    assert 0 == result.missed
    return result.messages


@asynccontextmanager
async def open_stores(
    url: str, *, window: float = 0.0, keep_trying: timedelta = timedelta(days=5)
) -> AsyncIterator[Stores]:
    """All stores on connections of their own, as a process has them."""
    async with Postgres(url) as database, Postgres(url, background=True) as background:
        stores = Stores(
            url,
            database,
            SubmissionStore(database, background, keep_trying=keep_trying),
            DeliveryStore(database, background, window=timedelta(seconds=window)),
            TimelineStore(database),
        )
        await stores.sql(
            "INSERT INTO accounts (id, name) VALUES ($1, 'shop') ON CONFLICT DO NOTHING", ACCOUNT
        )
        yield stores


FILL = """
WITH made AS (
    SELECT new_id() AS id, new_id() AS other, $2::smallint AS lane FROM generate_series(1, $1)
), submitted AS (
    INSERT INTO submissions
    SELECT id, other, other, 'native', lane, 's@sender.example', '{r@dest.example}', false, '', '',
           '', 1 FROM made
), kept AS (
    INSERT INTO contents SELECT id, '', '' FROM made
), rendered AS (
    INSERT INTO renditions SELECT id, id, '', NULL FROM made
), delivering AS (
    INSERT INTO deliveries SELECT id, id, other, id, lane, 'r@dest.example', 'b@x' FROM made
), waiting AS (
    INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at)
    SELECT id, other, lane, 1, now() - interval '1 hour', now() + interval '5 days' FROM made
)
INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at, parked_at)
SELECT id, other, lane, 1, now() - interval '1 hour', now(), now() + interval '5 days', $3 FROM made
"""


async def fill(url: str, rows: int, lane: Lane, *, parked_at: str | None = None) -> None:
    """Queue *rows* at once, each due for policy and for dispatch."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL, rows, lane, parked_at)
    finally:
        await connection.close()


def ids(items: Sequence[ClaimedDelivery]) -> list[UUID]:
    """Their delivery ids."""
    return [claimed.delivery.id for claimed in items]
