"""A held account: its mail is accepted and waits, and goes on when it is released."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.terms import Committed
from posthouse.store.accepting import accept_arguments
from posthouse.store.account_holds import HELD, AccountHolds
from posthouse.store.audit_log import AuditStore
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.submissions import ClaimedSubmission, SubmissionStore
from servers.stores import ACCOUNT, Stores, a_submission, deferred, prepared

OTHER = UUID(int=9)
WHO = "root@relay"


@pytest.fixture
async def holds(stores: Stores) -> AccountHolds:
    await stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", OTHER)
    return AccountHolds(stores.database)


@asynccontextmanager
async def session(stores: Stores) -> AsyncIterator[Any]:
    """A connection of our own, to leave a transaction open on."""
    connection = await asyncpg.connect(stores.url)
    try:
        yield connection
    finally:
        await connection.close()


async def claimable(stores: Stores) -> tuple[int, int]:
    """How many submissions and deliveries claims take."""
    submissions = await stores.submissions.claim(100)
    deliveries = await stores.deliveries.claim(100)
    return len(submissions.submissions), len(deliveries.deliveries)


async def test_nothing_of_a_held_account_is_claimed_and_others_go_on(
    stores: Stores, holds: AccountHolds
) -> None:
    """Neither what was there, nor what comes later; with policy or with a dispatcher."""
    await stores.queue()
    await stores.submissions.accept(a_submission(Lane.HIGH))
    assert await holds.hold(ACCOUNT, WHO, "not paid")
    await stores.submissions.accept(a_submission(Lane.HIGH))
    await stores.submissions.accept(a_submission(Lane.BULK, account_id=OTHER))
    lines = {(q.stage, q.state): q.messages for q in await stores.timeline.queue()}
    assert {("policy", "held"): 2, ("policy", "ready"): 1, ("delivery", "held"): 2} == lines
    (claimed,) = (await stores.submissions.claim(100)).submissions
    assert OTHER == claimed.submission.account_id
    await stores.submissions.prepare([prepared(claimed)])
    deliveries = (await stores.deliveries.claim(100)).deliveries
    assert [OTHER] * 2 == [c.delivery.account_id for c in deliveries]


async def test_what_policy_had_when_the_hold_came_is_not_dispatched(
    stores: Stores, holds: AccountHolds
) -> None:
    await stores.submissions.accept(a_submission())
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await holds.hold(ACCOUNT, WHO, "not paid")
    await stores.submissions.prepare([prepared(claimed)])
    assert (0, 0) == await claimable(stores)
    await holds.release(ACCOUNT, WHO)
    assert (0, 2) == await claimable(stores)


async def test_a_message_that_was_accepted_while_the_hold_came_is_not_dispatched(
    stores: Stores, holds: AccountHolds
) -> None:
    """Its statement began before the hold and did not see it."""
    async with session(stores) as ingest:
        # A snapshot from before the hold is what a statement has that began before it.
        await ingest.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM accounts")
        await holds.hold(ACCOUNT, WHO, "not paid")
        await ingest.fetch(QUERIES["accept_submissions"], *_arguments())
        await ingest.execute("COMMIT")
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([prepared(claimed)])
    assert (0, 0) == await claimable(stores)


async def test_a_hold_waits_for_what_policy_is_writing(stores: Stores, holds: AccountHolds) -> None:
    """Deliveries whose transaction began before the hold are marked when it has ended."""
    await stores.submissions.accept(a_submission())
    (claimed,) = (await stores.submissions.claim(1)).submissions
    async with session(stores) as policy:
        await policy.execute("BEGIN")
        one = prepared(claimed)
        await policy.fetch(
            QUERIES["prepare_submissions"],
            [(claimed.submission.id, 1)],
            [rendition.row() for rendition in one.renditions],
            [
                (
                    d.id,
                    d.submission_id,
                    d.rendition_id,
                    d.recipient,
                    d.kind,
                    d.return_path,
                    "",
                    9,
                    False,
                )
                for d in one.deliveries
            ],
            [],
            timedelta(),
            timedelta(),
        )
        holding = asyncio.create_task(holds.hold(ACCOUNT, WHO, "not paid"))
        done, _ = await asyncio.wait([holding], timeout=0.5)
        assert not done
        await policy.execute("COMMIT")
        await holding
    assert (0, 0) == await claimable(stores)
    assert 2 == await stores.value("SELECT count(*) FROM due_deliveries WHERE held")


async def test_a_row_that_was_marked_for_a_hold_that_ended_is_found(
    stores: Stores, holds: AccountHolds
) -> None:
    await holds.hold(ACCOUNT, WHO, "not paid")
    async with session(stores) as ingest:
        await ingest.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM accounts")
        await holds.release(ACCOUNT, WHO)
        await ingest.fetch(QUERIES["accept_submissions"], *_arguments())
        await ingest.execute("COMMIT")
    assert (0, 0) == await claimable(stores)
    await holds.finish()
    assert (1, 0) == await claimable(stores)


async def test_a_hold_whose_command_died_is_finished(stores: Stores, holds: AccountHolds) -> None:
    await stores.queue()
    await stores.sql(
        "INSERT INTO account_holds (account_id, actor, by_relay, reason)"
        " VALUES ($1, 'root@relay', false, 'x')",
        ACCOUNT,
    )
    await holds.finish()
    assert (0, 0) == await claimable(stores)
    assert [] == await stores.sql("SELECT FROM account_holds WHERE NOT marked")


async def test_a_message_of_a_held_account_is_not_handed_over(
    stores: Stores, holds: AccountHolds
) -> None:
    """Policy in the same process gets those of others, in the order in which they came."""
    await holds.hold(ACCOUNT, WHO, "not paid")
    handoff: DirectHandoff[ClaimedSubmission] = DirectHandoff()
    taken: list[ClaimedSubmission] = []
    handoff.subscribe(taken.extend, room=lambda: 3)
    handoff.claim_ends(handoff.claim_begins(), more=False)
    async with Postgres(stores.url) as database, Postgres(stores.url) as background:
        submissions = SubmissionStore(database, background, accepted=handoff)
        held, free = a_submission(), a_submission(account_id=OTHER)
        accepted = await asyncio.gather(submissions.accept(held), submissions.accept(free))
    assert [free.id] == [c.submission.id for c in taken]
    assert [Committed(is_due=False)] * 2 == list(accepted)
    rows = {r["id"]: r for r in await stores.sql("SELECT * FROM due_submissions")}
    assert (True, False, 0) == (
        rows[held.id]["held"],
        rows[held.id]["leased"],
        rows[held.id]["claim"],
    )
    assert (False, True, 1) == (
        rows[free.id]["held"],
        rows[free.id]["leased"],
        rows[free.id]["claim"],
    )


async def test_released_mail_keeps_its_place_and_has_its_time(
    stores: Stores, holds: AccountHolds
) -> None:
    """It does not expire for having been held, and a deferred one waits for its next try."""
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(deferred(claimed, timedelta(hours=1)))
    await stores.submissions.accept(a_submission())
    await holds.hold(ACCOUNT, WHO, "not paid")
    await stores.sql(
        "UPDATE due_deliveries SET received_at = received_at - interval '9 d',"
        " expires_at = expires_at - interval '9 d'"
    )
    before = await stores.due_row(claimed)
    assert before is not None
    await holds.release(ACCOUNT, WHO)
    after = await stores.due_row(claimed)
    assert after is not None
    assert (before["due_at"], before["tries"], False) == (
        after["due_at"], after["tries"], after["held"],
    )  # fmt: skip
    left = await stores.value("SELECT expires_at - now() FROM due_deliveries")
    assert timedelta(days=4, hours=23) < left <= timedelta(days=5)
    assert (1, 0) == await claimable(stores)


async def test_what_is_on_the_wire_finishes(stores: Stores, holds: AccountHolds) -> None:
    claimed = await stores.one_claimed()
    await holds.hold(ACCOUNT, WHO, "not paid")
    assert {claimed.delivery.id} == await stores.deliveries.renew([claimed])
    assert await stores.deliveries.settle(deferred(claimed))
    assert (0, 0) == await claimable(stores)
    await holds.release(ACCOUNT, WHO)
    assert (0, 1) == await claimable(stores)


async def test_many_rows_are_marked_and_released(stores: Stores, holds: AccountHolds) -> None:
    """More than one statement looks at, and nobody else's."""
    await stores.sql(
        "INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at)"
        " SELECT new_id(), CASE WHEN n % 2 = 0 THEN $1::uuid ELSE $2 END, 3, 1, now(), now(), now()"
        " FROM generate_series(1, 25000) n",
        ACCOUNT,
        OTHER,
    )
    held = "SELECT account_id, count(*) FROM due_deliveries WHERE held GROUP BY 1"
    await holds.hold(ACCOUNT, WHO, "not paid")
    assert [(ACCOUNT, 12_500)] == [tuple(row) for row in await stores.sql(held)]
    await holds.release(ACCOUNT, WHO)
    assert [] == await stores.sql(held)


async def test_holds_are_audited_shown_and_counted(stores: Stores, holds: AccountHolds) -> None:
    assert await holds.hold(ACCOUNT, WHO, "not paid")
    assert not await holds.hold(ACCOUNT, "other@relay", "again")
    await holds.finish()
    assert (1, 0) == (
        HELD.labels("operator")._value.get(), HELD.labels("relay")._value.get(),
    )  # fmt: skip
    ended = await holds.release(ACCOUNT, WHO)
    assert ended is not None
    assert (WHO, "not paid", False) == (ended.actor, ended.reason, ended.by_relay)
    assert await holds.release(ACCOUNT, WHO) is None
    lines = await AuditStore(stores.database).newest(10)
    assert [("account release", WHO), ("account hold", WHO)] == [
        (line["action"], line["actor"]) for line in lines
    ]
    assert all(line["detail"]["reason"] == "not paid" for line in lines)
    await holds.finish()
    assert 0 == HELD.labels("operator")._value.get()


async def test_a_timeline_has_the_hold(stores: Stores, holds: AccountHolds) -> None:
    submission = a_submission()
    await stores.submissions.accept(submission)
    assert (await stores.story(submission.id)).hold is None
    await holds.hold(ACCOUNT, WHO, "not paid")
    hold = (await stores.story(submission.id)).hold
    assert hold is not None
    assert ("not paid", True) == (hold["reason"], hold["waits"])


def _arguments() -> tuple[Any, ...]:
    """Of accept_submissions."""
    return accept_arguments([a_submission()])
