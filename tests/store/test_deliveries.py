"""Deliveries: claimed once, in strict lanes, settled once, whatever happens in between."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.store import StoreRefused
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from servers.stores import (
    ACCOUNT,
    Stores,
    an_attempt,
    bounced,
    deferred,
    delivered,
    fill,
    ids,
    open_stores,
)

LATER = timedelta(hours=1)


async def claim_one(stores: Stores) -> ClaimedDelivery:
    """The only delivery that is due."""
    (claimed,) = (await stores.deliveries.claim(1)).deliveries
    return claimed


async def one_claimed(stores: Stores, lane: Lane = Lane.NORMAL) -> ClaimedDelivery:
    """A new delivery, claimed."""
    await stores.queue(lane, recipients=("ann@dest.example",))
    return await claim_one(stores)


async def due_row(stores: Stores, claimed: ClaimedDelivery) -> dict[str, object] | None:
    """The row of work of a delivery, if it is still open."""
    rows = await stores.sql("SELECT * FROM due_deliveries WHERE id = $1", claimed.delivery.id)
    return dict(rows[0]) if rows else None


# Claiming


async def test_a_claim_brings_everything_about_the_delivery(stores: Stores) -> None:
    (delivery,) = await stores.queue(Lane.HIGH, recipients=("ann@dest.example",))
    before = datetime.now(UTC)
    claims = await stores.deliveries.claim(10)
    (claimed,) = claims.deliveries
    assert delivery == claimed.delivery
    assert (1, 0, False, False) == (
        claimed.claim, claimed.tries, claimed.abandoned, claimed.expired,
    )  # fmt: skip
    assert timedelta(0) <= before - claimed.received_at < timedelta(seconds=30)
    assert claimed.expires_at - claimed.received_at == timedelta(days=5)


async def test_nothing_due_is_said_so(stores: Stores) -> None:
    claims = await stores.deliveries.claim(10)
    assert ((), (), None) == (claims.deliveries, claims.due, claims.held_by)


async def test_a_lower_lane_waits_until_nothing_higher_is_due(stores: Stores) -> None:
    for lane in (Lane.BULK, Lane.VERY_HIGH, Lane.NORMAL):
        await stores.queue(lane)
    claims = [await stores.deliveries.claim(10) for _ in range(4)]
    lanes = [{c.delivery.lane for c in one.deliveries} for one in claims]
    assert lanes == [{Lane.VERY_HIGH}, {Lane.NORMAL}, {Lane.BULK}, set()]
    assert [one.due for one in claims] == [
        (Lane.VERY_HIGH, Lane.NORMAL, Lane.BULK),
        (Lane.NORMAL, Lane.BULK),
        (Lane.BULK,),
        (),
    ]


async def test_a_claim_is_never_filled_up_from_a_lower_lane(stores: Stores) -> None:
    """There may be room for ten: two go, and the next claim decides again."""
    await stores.queue(Lane.BULK)
    await stores.queue(Lane.HIGH)
    claims = await stores.deliveries.claim(10)
    assert [c.delivery.lane for c in claims.deliveries] == [Lane.HIGH, Lane.HIGH]


async def test_what_waits_for_its_time_or_its_site_pauses_nobody(stores: Stores) -> None:
    """A higher lane's delivery that is deferred, parked or on the wire is nothing to wait for."""
    for _ in range(3):
        await stores.queue(Lane.VERY_HIGH, recipients=("ann@dest.example",))
    put_off, parked, _ = (await stores.deliveries.claim(10)).deliveries
    await stores.deliveries.settle(deferred(put_off, datetime.now(UTC) + LATER))
    await stores.deliveries.park([(parked, "dest.example")])
    await stores.queue(Lane.BULK)
    claims = await stores.deliveries.claim(10)
    assert (2, (Lane.BULK,)) == (len(claims.deliveries), claims.due)


async def test_young_transactions_of_a_higher_lane_hold_back_the_lower(emptied: str) -> None:
    """For the hold time and not longer; equal and higher lanes go on meanwhile."""
    async with open_stores(emptied, hold=0.4) as stores:
        await stores.queue(Lane.HIGH)
        await stores.queue(Lane.BULK)
        assert len((await stores.deliveries.claim(10)).deliveries) == 2
        held = await stores.deliveries.claim(10)
        assert ((), (Lane.BULK,), Lane.HIGH) == (held.deliveries, held.due, held.held_by)

        await stores.queue(Lane.HIGH)
        same = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in same.deliveries] == [Lane.HIGH] * 2
        await stores.queue(Lane.VERY_HIGH)
        higher = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in higher.deliveries] == [Lane.VERY_HIGH] * 2

        await asyncio.sleep(0.45)
        freed = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in freed.deliveries] == [Lane.BULK] * 2
        assert freed.held_by is None


async def test_a_result_frees_the_lower_lanes_before_the_hold_is_over(emptied: str) -> None:
    async with open_stores(emptied, hold=60) as stores:
        await stores.queue(Lane.HIGH)
        await stores.queue(Lane.BULK)
        one, two = (await stores.deliveries.claim(10)).deliveries
        await stores.deliveries.settle(delivered(one))
        assert (await stores.deliveries.claim(10)).held_by == Lane.HIGH
        await stores.deliveries.settle(deferred(two, datetime.now(UTC) + LATER))
        assert len((await stores.deliveries.claim(10)).deliveries) == 2


@pytest.mark.parametrize(("lowest", "expected"), [(Lane.HIGH, 0), (Lane.NORMAL, 2), (Lane.BULK, 2)])
async def test_nothing_is_claimed_below_the_lowest_lane_asked_for(
    stores: Stores, lowest: Lane, expected: int
) -> None:
    await stores.queue(Lane.NORMAL)
    claims = await stores.deliveries.claim(10, lowest=lowest)
    assert (expected, (Lane.NORMAL,)) == (len(claims.deliveries), claims.due)


async def test_the_oldest_are_claimed_first(stores: Stores) -> None:
    made = [(await stores.queue(recipients=("ann@dest.example",)))[0].id for _ in range(4)]
    claimed = [ids((await stores.deliveries.claim(2)).deliveries) for _ in range(2)]
    assert claimed == [made[:2], made[2:]]


async def test_claimers_side_by_side_claim_each_once(emptied: str) -> None:
    """Eight dispatchers over two lanes: each delivery once, and nothing is left behind."""
    await fill(emptied, 300, Lane.BULK)
    await fill(emptied, 300, Lane.HIGH)
    seen: Counter[UUID] = Counter()
    order: list[Lane] = []

    async def claim_all() -> None:
        async with open_stores(emptied) as mine:
            while (claims := await mine.deliveries.claim(7)).due:
                seen.update(ids(claims.deliveries))
                order.extend(c.delivery.lane for c in claims.deliveries)

    await asyncio.gather(*(claim_all() for _ in range(8)))
    assert len(seen) == 600
    assert set(seen.values()) == {1}
    assert order.index(Lane.BULK) >= 300 - 8 * 7


async def test_settling_beside_claiming_and_renewing_loses_nothing(emptied: str) -> None:
    """Results, renewals and claims of several dispatchers never wait for each other in a ring."""
    await fill(emptied, 400, Lane.NORMAL)
    ended: Counter[UUID] = Counter()

    async def dispatch() -> None:
        async with open_stores(emptied) as mine:
            while batch := (await mine.deliveries.claim(20)).deliveries:
                later = datetime.now(UTC) + LATER
                some, others = batch[::2], batch[1::2]
                results = [*map(delivered, some), *(deferred(c, later) for c in others)]
                await asyncio.gather(
                    *(mine.deliveries.settle(r) for r in results),
                    *(mine.deliveries.renew(batch[::-1]) for _ in range(3)),
                )
                ended.update(ids(batch))

    await asyncio.gather(*(dispatch() for _ in range(4)))
    async with open_stores(emptied) as stores:
        assert await stores.value("SELECT count(*) FROM attempts") == 400
        assert await stores.value("SELECT count(*) FROM due_deliveries WHERE leased") == 0
    assert set(ended.values()) == {1}


# Leases


async def test_a_dead_lease_comes_due_again_as_uncertain_once(stores: Stores) -> None:
    """Maybe it was sent: the claim that had no result is written down, and it is sent again."""
    first = await one_claimed(stores)
    assert (await stores.deliveries.claim(10)).due == ()
    await stores.run_out()
    second = await claim_one(stores)
    assert (2, True, 0) == (second.claim, second.abandoned, second.tries)

    story = await stores.story(first.delivery.submission_id)
    uncertain = [(a["claim"], a["outcome"]) for a in story.attempts]
    assert uncertain == [(1, "uncertain")]
    told = [(e["delivery_id"], e["detail"]) for e in story.events if e["kind"] == "uncertain"]
    assert told == [(first.delivery.id, {"claim": 1})]


async def test_a_lease_that_died_twice_is_uncertain_twice(stores: Stores) -> None:
    first = await one_claimed(stores)
    for claim in (2, 3):
        await stores.run_out()
        assert (claim, True) == ((c := await claim_one(stores)).claim, c.abandoned)
    kinds = await stores.kinds(first.delivery.submission_id)
    assert kinds.count("uncertain") == 2


async def test_a_retry_is_not_taken_for_an_abandoned_claim(stores: Stores) -> None:
    """Also not the retry of one that was abandoned before."""
    await one_claimed(stores)
    await stores.run_out()
    again = await claim_one(stores)
    assert again.abandoned
    await stores.deliveries.settle(deferred(again, datetime.now(UTC)))
    retried = await claim_one(stores)
    assert (3, 1, False) == (retried.claim, retried.tries, retried.abandoned)


async def test_a_renewed_lease_does_not_run_out(emptied: str) -> None:
    async with open_stores(emptied) as stores:
        claimed = await one_claimed(stores)
        await stores.sql("UPDATE due_deliveries SET due_at = now() + interval '100 ms'")
        assert await stores.deliveries.renew([claimed]) == {claimed.delivery.id}
        await asyncio.sleep(0.15)
        assert (await stores.deliveries.claim(10)).due == ()


async def test_what_is_given_back_can_be_claimed_at_once_and_is_not_uncertain(
    stores: Stores,
) -> None:
    claimed = await one_claimed(stores)
    await stores.deliveries.release([claimed])
    again = await claim_one(stores)
    assert (2, 0, False) == (again.claim, again.tries, again.abandoned)


async def test_a_lost_claim_changes_nothing(stores: Stores) -> None:
    """Whatever the late worker says: the row is as the new holder has it, and nothing is told."""
    late = await one_claimed(stores)
    await stores.run_out()
    holder = await claim_one(stores)
    before = await due_row(stores, holder)
    kinds = await stores.kinds(late.delivery.submission_id)

    await stores.deliveries.settle(delivered(late))
    await stores.deliveries.settle(deferred(late, datetime.now(UTC)))
    await stores.deliveries.settle(bounced(late))
    await stores.deliveries.park([(late, "dest.example")])
    await stores.deliveries.release([late])
    assert await stores.deliveries.renew([late]) == set()

    assert before == await due_row(stores, holder)
    assert kinds == await stores.kinds(late.delivery.submission_id)
    assert await stores.value("SELECT count(*) FROM suppressions") == 0


async def test_a_claim_ends_with_its_result(stores: Stores) -> None:
    """What is said twice, because the first answer was lost, counts once and delays nothing."""
    claimed = await one_claimed(stores)
    await stores.deliveries.settle(deferred(claimed, datetime.now(UTC) + LATER))
    before = await due_row(stores, claimed)

    await stores.deliveries.settle(deferred(claimed, datetime.now(UTC) + 2 * LATER))
    await stores.deliveries.settle(delivered(claimed))
    await stores.deliveries.park([(claimed, "dest.example")])
    await stores.deliveries.release([claimed])
    assert await stores.deliveries.renew([claimed]) == set()

    assert before == await due_row(stores, claimed)
    kinds = await stores.kinds(claimed.delivery.submission_id)
    assert kinds == ["accepted", "prepared", "deferred"]


async def test_of_two_results_in_one_transaction_the_newer_claim_counts(stores: Stores) -> None:
    """A late result beside the right one, and the right one twice."""
    late = await one_claimed(stores)
    await stores.run_out()
    holder = await claim_one(stores)
    put_off = deferred(holder, datetime.now(UTC) + LATER)
    results = [delivered(late), put_off, put_off, bounced(late)]
    first = asyncio.ensure_future(stores.deliveries.settle(delivered(late)))
    await asyncio.gather(first, *(stores.deliveries.settle(r) for r in results))
    kinds = await stores.kinds(late.delivery.submission_id)
    assert kinds == ["accepted", "prepared", "uncertain", "deferred"]
    row = await due_row(stores, holder)
    assert row is not None
    assert (1, 2, False) == (row["tries"], row["claim"], row["leased"])


# Results


async def test_a_final_result_ends_the_work_and_tells_the_story(stores: Stores) -> None:
    claimed = await one_claimed(stores)
    attempt = an_attempt()
    detail = {"code": 250, "reply": "2.0.0 taken"}
    settlement = Settlement(claimed, EventKind.DELIVERED, None, attempt, detail)
    await stores.deliveries.settle(settlement)
    assert await due_row(stores, claimed) is None

    story = await stores.story(claimed.delivery.submission_id)
    (written,) = story.attempts
    assert attempt.started_at == written["started_at"]
    expected = ("delivered", None, "dest.example", "mx.dest.example", "TLSv1.3", 250, "2.0.0")
    names = ("outcome", "scope", "site", "host", "tls", "code", "enhanced")
    assert expected == tuple(written[name] for name in names)
    assert ("delivered", detail) == (story.events[-1]["kind"], story.events[-1]["detail"])


async def test_a_dead_recipient_is_suppressed_with_the_evidence(stores: Stores) -> None:
    claimed = await one_claimed(stores)
    await stores.deliveries.settle(bounced(claimed, reply="550 5.1.1 no such user"))
    (row,) = await stores.sql("SELECT * FROM suppressions")
    assert (ACCOUNT, "ann@dest.example", "bounced", claimed.delivery.id) == (
        row["account_id"], row["address"], row["reason"], row["delivery_id"],
    )  # fmt: skip
    assert row["evidence"] == {"reply": "550 5.1.1 no such user"}


async def test_a_recipient_that_is_already_suppressed_bounces_all_the_same(stores: Stores) -> None:
    for _ in range(2):
        await stores.deliveries.settle(bounced(await one_claimed(stores)))
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
    claimed = await one_claimed(stores)
    next_at = datetime.now(UTC) + timedelta(seconds=0.3)
    await stores.deliveries.settle(deferred(claimed, next_at))
    row = await due_row(stores, claimed)
    assert row is not None
    assert (next_at, 1, False) == (row["due_at"], row["tries"], row["leased"])
    assert (await stores.deliveries.claim(10)).due == ()
    await asyncio.sleep(0.35)
    retried = await claim_one(stores)
    assert (2, 1, False) == (retried.claim, retried.tries, retried.abandoned)


async def test_a_next_time_beyond_expiry_comes_due_at_expiry(stores: Stores) -> None:
    claimed = await one_claimed(stores)
    await stores.deliveries.settle(deferred(claimed, claimed.expires_at + LATER))
    row = await due_row(stores, claimed)
    assert row is not None
    assert claimed.expires_at == row["due_at"]


async def test_what_is_past_its_expiry_keeps_its_next_time(stores: Stores) -> None:
    """It was not tried often enough yet: it must not come due at once, again and again."""
    await one_claimed(stores)
    await stores.sql("UPDATE due_deliveries SET expires_at = now() - interval '1 day'")
    await stores.run_out()
    claimed = await claim_one(stores)
    assert claimed.expired
    next_at = datetime.now(UTC) + LATER
    await stores.deliveries.settle(deferred(claimed, next_at))
    row = await due_row(stores, claimed)
    assert row is not None
    assert next_at == row["due_at"]


async def test_an_end_without_a_try_is_an_event_without_an_attempt(stores: Stores) -> None:
    claimed = await one_claimed(stores)
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
    assert [r for r in results if r is not None] == [results[3]]
    assert isinstance(results[3], StoreRefused)
    assert await stores.value("SELECT count(*) FROM due_deliveries") == 1


# Parked for a site


async def test_parked_deliveries_are_claimed_for_their_site_only(stores: Stores) -> None:
    await stores.queue(recipients=("a@one.example", "b@two.example", "c@one.example"))
    a, b, c = (await stores.deliveries.claim(10)).deliveries
    await stores.deliveries.park([(a, "one.example"), (b, "two.example"), (c, "one.example")])
    assert (await stores.deliveries.claim(10)).due == ()
    assert await stores.deliveries.parked_sites() == ["one.example", "two.example"]

    claimed = await stores.deliveries.claim_parked("one.example", 10)
    assert ids(claimed) == ids([a, c])
    assert {(2, False)} == {(x.claim, x.abandoned) for x in claimed}
    assert await stores.deliveries.parked_sites() == ["two.example"]
    assert await stores.deliveries.claim_parked("three.example", 10) == []


async def test_parked_deliveries_are_claimed_highest_lane_first(stores: Stores) -> None:
    for lane in (Lane.BULK, Lane.HIGH):
        await stores.queue(lane)
        batch = (await stores.deliveries.claim(10)).deliveries
        await stores.deliveries.park([(c, "dest.example") for c in batch])
    claimed = await stores.deliveries.claim_parked("dest.example", 3)
    assert [c.delivery.lane for c in claimed] == [Lane.HIGH, Lane.HIGH, Lane.BULK]


async def test_parked_deliveries_wait_for_higher_lanes_elsewhere(stores: Stores) -> None:
    """Room at a site does not let bulk pass what could be sent now."""
    for lane in (Lane.BULK, Lane.HIGH):
        await stores.queue(lane)
        batch = (await stores.deliveries.claim(10)).deliveries
        await stores.deliveries.park([(c, "dest.example") for c in batch])
    await stores.queue(Lane.NORMAL)
    claimed = await stores.deliveries.claim_parked("dest.example", 10)
    assert [c.delivery.lane for c in claimed] == [Lane.HIGH, Lane.HIGH]


async def test_a_lease_on_a_parked_delivery_that_dies_comes_due_for_all(stores: Stores) -> None:
    claimed = await one_claimed(stores)
    await stores.deliveries.park([(claimed, "dest.example")])
    await stores.deliveries.claim_parked("dest.example", 1)
    await stores.run_out()
    again = await claim_one(stores)
    assert (3, True) == (again.claim, again.abandoned)


async def test_what_expires_while_it_is_parked_comes_due(stores: Stores) -> None:
    claimed = await one_claimed(stores)
    fresh = await one_claimed(stores)
    await stores.deliveries.park([(claimed, "dest.example"), (fresh, "dest.example")])
    await stores.sql(
        "UPDATE due_deliveries SET expires_at = now() WHERE id = $1", claimed.delivery.id
    )
    await stores.database.run("unpark_expired_deliveries")
    expired = await claim_one(stores)
    assert (claimed.delivery, True) == (expired.delivery, expired.expired)
    assert await stores.deliveries.parked_sites() == ["dest.example"]


async def test_claimers_of_one_site_claim_each_once(emptied: str) -> None:
    await fill(emptied, 200, Lane.NORMAL, parked_at="dest.example")
    seen: Counter[UUID] = Counter()

    async def claim_all() -> None:
        async with open_stores(emptied) as mine:
            while await mine.deliveries.parked_sites():
                seen.update(ids(await mine.deliveries.claim_parked("dest.example", 7)))

    await asyncio.gather(*(claim_all() for _ in range(8)))
    assert len(seen) == 200
    assert set(seen.values()) == {1}


# Reading


async def test_a_rendition_is_read_with_the_body_as_it_came_or_its_own(stores: Stores) -> None:
    delivery = (await stores.queue(body=b"as it came"))[0]
    other = (await stores.queue(body=b"not this"))[0]
    await stores.sql("UPDATE renditions SET body = $1 WHERE id = $2", b"own", other.rendition_id)
    wanted = [delivery.rendition_id, other.rendition_id, delivery.rendition_id, UUID(int=1)]
    header = b"DKIM-Signature: yes\r\nSubject: a test\r\n\r\n"
    assert await stores.deliveries.messages(wanted) == {
        delivery.rendition_id: (header, b"as it came"),
        other.rendition_id: (header, b"own"),
    }
