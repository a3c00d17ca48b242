"""Results of deliveries: committed once, with attempt, event and suppression."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store import StoreRefused
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from posthouse.store.suppressions import SuppressionStore
from servers.stores import (
    ACCOUNT,
    Stores,
    an_attempt,
    bounced,
    deferred,
    delivered,
    fill,
    open_stores,
)

LATER = timedelta(hours=1)


async def test_a_final_result_ends_the_work_and_tells_the_story(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    attempt = an_attempt()
    detail = {"code": 250, "reply": "2.0.0 taken"}
    settlement = Settlement(claimed, EventKind.DELIVERED, None, attempt, detail)
    await stores.deliveries.settle(settlement)
    assert await stores.due_row(claimed) is None

    story = await stores.story(claimed.delivery.submission_id)
    (written,) = story.attempts
    assert attempt.started_at == written["started_at"]
    expected = ("delivered", None, "dest.example", "mx.dest.example", "TLSv1.3", 250, "2.0.0")
    names = ("outcome", "scope", "site", "host", "tls", "code", "enhanced")
    assert expected == tuple(written[name] for name in names)
    assert ("delivered", detail) == (story.events[-1]["kind"], story.events[-1]["detail"])


async def test_a_dead_recipient_is_suppressed_with_the_evidence(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(bounced(claimed, answer="550 5.1.1 no such user"))
    (row,) = await stores.sql("SELECT * FROM suppressions")
    assert (ACCOUNT, "ann@dest.example", "no such mailbox", claimed.delivery.id) == (
        row["account_id"], row["address"], row["reason"], row["delivery_id"],
    )  # fmt: skip
    (bounce,) = row["evidence"]["bounces"]
    assert ("550 5.1.1 no such user", "RCPT", "hard", str(claimed.delivery.id)) == (
        bounce["answer"], bounce["stage"], bounce["weight"], bounce["delivery"],
    )  # fmt: skip
    last = (await stores.story(claimed.delivery.submission_id)).events[-1]
    assert ("bounced", {"rule": "r", "rules": "7", "listed": "hard"}) == (
        last["kind"],
        last["detail"],
    )


async def test_a_dead_recipient_is_suppressed_for_good(stores: Stores) -> None:
    """Also where it was for some time only; twice in one batch is once."""
    claimed = [await stores.one_claimed(), await stores.one_claimed()]
    soon = datetime.now(UTC) + timedelta(hours=1)
    suppressions = SuppressionStore(stores.database)
    await suppressions.add(
        ACCOUNT, "ann@dest.example", "full", {}, on=SuppressionList.BOUNCE, expires_at=soon
    )
    await asyncio.gather(*(stores.deliveries.settle(bounced(c)) for c in claimed))
    (entry,) = await suppressions.entries(ACCOUNT)
    assert ("no such mailbox", None) == (entry["reason"], entry["expires_at"])


async def test_a_recipient_that_is_already_suppressed_bounces_all_the_same(stores: Stores) -> None:
    for _ in range(2):
        await stores.deliveries.settle(bounced(await stores.one_claimed()))
    assert await stores.value("SELECT count(*) FROM suppressions") == 1
    assert await stores.value("SELECT count(*) FROM events WHERE kind = 'bounced'") == 2


async def test_the_same_dead_recipients_in_any_order_do_not_block_each_other(
    emptied: str,
) -> None:
    """Batches that suppress the same addresses crosswise would otherwise end in a deadlock."""
    await fill(emptied, 120, Lane.NORMAL)
    async with open_stores(emptied) as one, open_stores(emptied) as two:
        held = (await one.deliveries.claim(120)).deliveries
        await one.sql("UPDATE deliveries SET account_id = $1", ACCOUNT)
        names = [f"user{n % 20}@dest.example" for n in range(120)]
        dead = [
            bounced(_to(c, n)) for c, n in zip(held, names[:60] + names[60:][::-1], strict=True)
        ]
        await asyncio.gather(
            *(one.deliveries.settle(s) for s in dead[:60]),
            *(two.deliveries.settle(s) for s in dead[60:]),
        )
        assert await one.value("SELECT count(*) FROM suppressions") == 20


def _to(claimed: ClaimedDelivery, recipient: str) -> ClaimedDelivery:
    delivery = replace(claimed.delivery, recipient=recipient, account_id=ACCOUNT)
    return replace(claimed, delivery=delivery)


async def test_a_deferred_delivery_comes_due_at_its_next_time(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    wait = timedelta(hours=1)
    await stores.deliveries.settle(deferred(claimed, wait))
    row = await stores.due_row(claimed)
    assert row is not None
    next_at = await _written_at(stores, claimed) + wait
    assert (next_at, 1, False) == (row["due_at"], row["tries"], row["leased"])
    assert (await stores.deliveries.claim(10)).due == ()
    await stores.sql("UPDATE due_deliveries SET due_at = due_at - $1::interval", wait)
    retried = await stores.claim_one()
    assert (2, 1, False) == (retried.claim, retried.tries, retried.abandoned)


async def _written_at(stores: Stores, claimed: ClaimedDelivery) -> datetime:
    """When, by the database's clock, its last result was written down."""
    at = (await stores.story(claimed.delivery.submission_id)).events[-1]["at"]
    assert isinstance(at, datetime)
    return at


async def test_a_next_time_beyond_expiry_comes_due_at_expiry(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(
        deferred(claimed, claimed.expires_at - claimed.received_at + LATER)
    )
    row = await stores.due_row(claimed)
    assert row is not None
    assert claimed.expires_at == row["due_at"]


async def test_what_is_past_its_expiry_keeps_its_next_time(stores: Stores) -> None:
    """It was not tried often enough yet: it must not come due at once, again and again."""
    await stores.one_claimed()
    await stores.sql("UPDATE due_deliveries SET expires_at = now() - interval '1 day'")
    await stores.run_out()
    claimed = await stores.claim_one()
    assert claimed.expired
    await stores.deliveries.settle(deferred(claimed, LATER))
    row = await stores.due_row(claimed)
    assert row is not None
    assert await _written_at(stores, claimed) + LATER == row["due_at"]


async def test_an_end_without_a_try_is_an_event_without_an_attempt(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(Settlement(claimed, EventKind.EXPIRED, None, None))
    story = await stores.story(claimed.delivery.submission_id)
    assert ([], "expired") == (story.attempts, story.events[-1]["kind"])


async def test_a_result_that_cannot_be_kept_fails_alone(stores: Stores) -> None:
    await stores.queue(recipients=tuple(f"{n}@dest.example" for n in range(6)))
    held = (await stores.deliveries.claim(10)).deliveries
    bad = Settlement(held[3], EventKind.DELIVERED, None, an_attempt(), {"reply": "nul \0"})
    settlements = [bad if c is held[3] else delivered(c) for c in held]
    results = await asyncio.gather(
        *(stores.deliveries.settle(s) for s in settlements), return_exceptions=True
    )
    assert [r for r in results if r is not True] == [results[3]]
    assert isinstance(results[3], StoreRefused)
    assert await stores.value("SELECT count(*) FROM due_deliveries") == 1


async def test_a_result_under_a_lost_claim_says_so(stores: Stores) -> None:
    """The worker keeps it: should the claim come back to it, it knows the answer."""
    lost = await stores.one_claimed()
    await stores.run_out()
    mine = await stores.claim_one()

    assert [False, True] == [
        await stores.deliveries.settle(delivered(lost)),
        await stores.deliveries.settle(delivered(mine)),
    ]
    assert not await stores.deliveries.settle(delivered(mine))
