"""Claims of deliveries: each once, the oldest first, in strict lanes."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.body_edits import edited, packed
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import LARGE_OCTETS
from servers.stores import (
    Stores,
    a_submission,
    deferred,
    delivered,
    fill,
    ids,
    open_stores,
    prepared,
)

LATER = timedelta(hours=1)


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
    assert ((), (), None) == (claims.deliveries, claims.due, claims.preempted_by)


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
    await stores.deliveries.settle(deferred(put_off, LATER))
    await stores.deliveries.park([(parked, "dest.example")])
    await stores.queue(Lane.BULK)
    claims = await stores.deliveries.claim(10)
    assert (2, (Lane.BULK,)) == (len(claims.deliveries), claims.due)


async def test_young_transactions_of_a_higher_lane_hold_back_the_lower(emptied: str) -> None:
    """For the window and not longer; equal and higher lanes go on meanwhile."""
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.HIGH)
        await stores.queue(Lane.BULK)
        assert len((await stores.deliveries.claim(10)).deliveries) == 2
        held = await stores.deliveries.claim(10)
        assert ((), (Lane.BULK,), Lane.HIGH) == (held.deliveries, held.due, held.preempted_by)

        await stores.queue(Lane.HIGH)
        same = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in same.deliveries] == [Lane.HIGH] * 2
        await stores.queue(Lane.VERY_HIGH)
        higher = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in higher.deliveries] == [Lane.VERY_HIGH] * 2

        await stores.sql("UPDATE due_deliveries SET claimed_at = claimed_at - interval '61 s'")
        freed = await stores.deliveries.claim(10)
        assert [c.delivery.lane for c in freed.deliveries] == [Lane.BULK] * 2
        assert freed.preempted_by is None


async def test_a_result_frees_the_lower_lanes_before_the_hold_is_over(emptied: str) -> None:
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.HIGH)
        await stores.queue(Lane.BULK)
        one, two = (await stores.deliveries.claim(10)).deliveries
        await stores.deliveries.settle(delivered(one))
        assert (await stores.deliveries.claim(10)).preempted_by == Lane.HIGH
        await stores.deliveries.settle(deferred(two, LATER))
        assert len((await stores.deliveries.claim(10)).deliveries) == 2


@pytest.mark.parametrize("lane", [Lane.VERY_HIGH, Lane.HIGH])
async def test_an_alert_that_is_still_with_policy_holds_back_the_lower_lanes(
    emptied: str, lane: Lane
) -> None:
    """Accepted within the window, claimed by policy or not; no longer, though it waits on."""
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.BULK)
        await stores.submissions.accept(a_submission(lane))
        held = await stores.deliveries.claim(10)
        assert ((), lane) == (held.deliveries, held.preempted_by)
        await stores.submissions.claim(10)
        assert lane == (await stores.deliveries.claim(10)).preempted_by

        await stores.sql("UPDATE due_submissions SET received_at = received_at - interval '61 s'")
        freed = await stores.deliveries.claim(10)
        assert ([Lane.BULK] * 2, None) == (
            [c.delivery.lane for c in freed.deliveries],
            freed.preempted_by,
        )


async def test_mail_that_is_no_alert_holds_nobody_back_while_it_is_with_policy(
    emptied: str,
) -> None:
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.BULK)
        await stores.submissions.accept(a_submission(Lane.NORMAL))
        assert len((await stores.deliveries.claim(10)).deliveries) == 2


async def test_who_has_been_patient_for_long_takes_a_turn_within_the_window(
    emptied: str,
) -> None:
    """Of young transactions and of what is with policy; never of what is due in a higher lane."""
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.HIGH)
        await stores.deliveries.claim(10)
        await stores.queue(Lane.BULK)
        await stores.submissions.accept(a_submission(Lane.VERY_HIGH))
        assert () == (await stores.deliveries.claim(10)).deliveries
        turn = await stores.deliveries.claim(1, preemptible=False)
        assert ([Lane.BULK], None) == (
            [c.delivery.lane for c in turn.deliveries],
            turn.preempted_by,
        )

        await stores.queue(Lane.VERY_HIGH)
        due = await stores.deliveries.claim(1, preemptible=False)
        assert [Lane.VERY_HIGH] == [c.delivery.lane for c in due.deliveries]


@pytest.mark.parametrize(("lowest", "expected"), [(Lane.HIGH, 0), (Lane.NORMAL, 2), (Lane.BULK, 2)])
async def test_nothing_is_claimed_below_the_lowest_lane_asked_for(
    stores: Stores, lowest: Lane, expected: int
) -> None:
    await stores.queue(Lane.NORMAL)
    claims = await stores.deliveries.claim(10, lowest=lowest)
    assert (expected, (Lane.NORMAL,)) == (len(claims.deliveries), claims.due)


async def test_large_messages_come_without_their_text(stores: Stores) -> None:
    """Claimed from a lane or parked, each tells its size: its text is read when it is sent."""
    large, small = b"x" * LARGE_OCTETS, b"small"
    for body in (large, small):
        await stores.queue(recipients=("ann@dest.example",), body=body)
    claimed = (await stores.deliveries.claim(10)).deliveries
    assert [(True, b""), (False, small)] == [(c.is_large, c.body) for c in claimed]
    await stores.deliveries.park([(c, "dest.example") for c in claimed])
    parked = await stores.deliveries.claim_parked("dest.example", 10)
    assert [(True, b""), (False, small)] == [(c.is_large, c.body) for c in parked]

    read = await stores.deliveries.read_message(parked[0])
    assert (large, read.size) == (read.body, len(read.header) + len(read.body))
    await stores.sql("DELETE FROM renditions")
    assert b"" == (await stores.deliveries.read_message(parked[0])).header


async def test_suspects_that_may_not_come_keep_nobody_waiting(stores: Stores) -> None:
    """However many were due first: their own lane goes on, and lower lanes do."""
    await stores.queue(Lane.HIGH, recipients=tuple(f"{n}@dest.example" for n in range(5)))
    for _ in range(2):
        await stores.deliveries.claim(10)
        await stores.run_out()
    (high,) = await stores.queue(Lane.HIGH, recipients=("new@dest.example",))
    (bulk,) = await stores.queue(Lane.BULK, recipients=("new@dest.example",))

    first = await stores.deliveries.claim(2, suspects=None)
    assert ([high.id], (Lane.HIGH, Lane.BULK)) == (ids(first.deliveries), first.due)
    assert [bulk.id] == ids((await stores.deliveries.claim(2, suspects=Lane.VERY_HIGH)).deliveries)
    (suspect,) = (await stores.deliveries.claim(2, suspects=Lane.HIGH)).deliveries
    assert (2, Lane.HIGH) == (suspect.abandoned, suspect.delivery.lane)


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
                some, others = batch[::2], batch[1::2]
                results = [*map(delivered, some), *(deferred(c, LATER) for c in others)]
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


@pytest.mark.parametrize("size", [30, LARGE_OCTETS])
async def test_a_body_is_made_of_that_of_its_submission_by_what_it_differs_in(
    stores: Stores, size: int
) -> None:
    """By a claim, and where a large one is read by itself."""
    body = b"x" * size
    edits = [(3, 5, b"here"), (9, 9, b"there")]
    await stores.submissions.accept(a_submission(recipients=("ann@dest.example",), body=body))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    one = prepared(claimed)
    changed = edited(body, edits)
    (rendition,) = one.renditions
    rendition = replace(rendition, body=changed, edits=packed(edits))
    await stores.submissions.prepare([replace(one, renditions=(rendition,))])
    assert await stores.value("SELECT body IS NULL FROM renditions")
    found = await stores.claim_one()
    if size >= LARGE_OCTETS:
        assert b"" == found.body
        found = await stores.deliveries.read_message(found)
    assert changed == found.body
