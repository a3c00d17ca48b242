"""Leases: what runs out comes due again, and only the claim that holds it has a say."""

import asyncio
from datetime import timedelta

from servers.stores import (
    Stores,
    bounced,
    deferred,
    delivered,
    ids,
    open_stores,
)

LATER = timedelta(hours=1)


async def test_a_dead_lease_comes_due_again_as_uncertain_once(stores: Stores) -> None:
    """Maybe it was sent: the claim that had no result is written down, and it is sent again."""
    first = await stores.one_claimed()
    assert (await stores.deliveries.claim(10)).due == ()
    await stores.run_out()
    second = await stores.claim_one()
    assert (2, True, 0) == (second.claim, second.abandoned, second.tries)

    story = await stores.story(first.delivery.submission_id)
    uncertain = [(a["claim"], a["outcome"]) for a in story.attempts]
    assert uncertain == [(1, "uncertain")]
    told = [(e["delivery_id"], e["detail"]) for e in story.events if e["kind"] == "uncertain"]
    assert told == [(first.delivery.id, {"claim": 1})]


async def test_what_ran_out_is_left_to_its_holder_where_that_is_asked_for(stores: Stores) -> None:
    """Other work comes, however much ran out before it was due."""
    await stores.queue(recipients=("a@dest.example", "b@dest.example", "c@dest.example"))
    assert 3 == len((await stores.deliveries.claim(10)).deliveries)
    await stores.run_out()
    (new,) = await stores.queue(recipients=("new@dest.example",))

    assert [new.id] == ids((await stores.deliveries.claim(2, lapsed=False)).deliveries)
    assert not (await stores.deliveries.claim(2, lapsed=False)).deliveries
    assert 3 == len((await stores.deliveries.claim(10)).deliveries)


async def test_a_lease_that_died_twice_is_uncertain_twice(stores: Stores) -> None:
    first = await stores.one_claimed()
    for claim in (2, 3):
        await stores.run_out()
        assert (claim, claim - 1) == ((c := await stores.claim_one()).claim, c.abandoned)
    kinds = await stores.kinds(first.delivery.submission_id)
    assert kinds.count("uncertain") == 2


async def test_a_retry_is_not_taken_for_an_abandoned_claim(stores: Stores) -> None:
    """Also not the retry of one that was abandoned before."""
    await stores.one_claimed()
    await stores.run_out()
    again = await stores.claim_one()
    assert again.abandoned
    await stores.deliveries.settle(deferred(again))
    retried = await stores.claim_one()
    assert (3, 1, False) == (retried.claim, retried.tries, retried.abandoned)


async def test_a_renewed_lease_does_not_run_out(emptied: str) -> None:
    async with open_stores(emptied) as stores:
        claimed = await stores.one_claimed()
        await stores.sql("UPDATE due_deliveries SET due_at = now() + interval '100 ms'")
        assert await stores.deliveries.renew([claimed]) == {claimed.delivery.id}
        await asyncio.sleep(0.15)
        assert (await stores.deliveries.claim(10)).due == ()


async def test_what_is_given_back_can_be_claimed_at_once_and_is_not_uncertain(
    stores: Stores,
) -> None:
    claimed = await stores.one_claimed()
    await stores.deliveries.return_leases([claimed])
    again = await stores.claim_one()
    assert (2, 0, False) == (again.claim, again.tries, again.abandoned)


async def test_a_lost_claim_changes_nothing(stores: Stores) -> None:
    """Whatever the late worker says: the row is as the new holder has it, and nothing is told."""
    late = await stores.one_claimed()
    await stores.run_out()
    holder = await stores.claim_one()
    before = await stores.due_row(holder)
    kinds = await stores.kinds(late.delivery.submission_id)

    await stores.deliveries.settle(delivered(late))
    await stores.deliveries.settle(deferred(late))
    await stores.deliveries.settle(bounced(late))
    await stores.deliveries.park([(late, "dest.example")])
    await stores.deliveries.return_leases([late])
    assert await stores.deliveries.renew([late]) == set()

    assert before == await stores.due_row(holder)
    assert kinds == await stores.kinds(late.delivery.submission_id)
    assert await stores.value("SELECT count(*) FROM suppressions") == 0


async def test_a_claim_ends_with_its_result(stores: Stores) -> None:
    """What is said twice, because the first answer was lost, counts once and delays nothing."""
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(deferred(claimed, LATER))
    before = await stores.due_row(claimed)

    await stores.deliveries.settle(deferred(claimed, 2 * LATER))
    await stores.deliveries.settle(delivered(claimed))
    await stores.deliveries.park([(claimed, "dest.example")])
    await stores.deliveries.return_leases([claimed])
    assert await stores.deliveries.renew([claimed]) == set()

    assert before == await stores.due_row(claimed)
    kinds = await stores.kinds(claimed.delivery.submission_id)
    assert kinds == ["accepted", "prepared", "deferred"]


async def test_of_two_results_in_one_transaction_the_newer_claim_counts(stores: Stores) -> None:
    """A late result beside the right one, and the right one twice."""
    late = await stores.one_claimed()
    await stores.run_out()
    holder = await stores.claim_one()
    put_off = deferred(holder, LATER)
    results = [delivered(late), put_off, put_off, bounced(late)]
    first = asyncio.ensure_future(stores.deliveries.settle(delivered(late)))
    await asyncio.gather(first, *(stores.deliveries.settle(r) for r in results))
    kinds = await stores.kinds(late.delivery.submission_id)
    assert kinds == ["accepted", "prepared", "uncertain", "deferred"]
    row = await stores.due_row(holder)
    assert row is not None
    assert (1, 2, False) == (row["tries"], row["claim"], row["leased"])
