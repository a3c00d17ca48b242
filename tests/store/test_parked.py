"""Deliveries that wait for room at their site, and the messages that deliveries read."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from posthouse.mail.lane import Lane
from servers.stores import Stores, fill, ids, open_stores


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
    assert await stores.deliveries.claim_parked("three.example", 10) == ()


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
    claimed = await stores.one_claimed()
    await stores.deliveries.park([(claimed, "dest.example")])
    await stores.deliveries.claim_parked("dest.example", 1)
    await stores.run_out()
    again = await stores.claim_one()
    assert (3, True) == (again.claim, again.abandoned)


async def test_what_expires_while_it_is_parked_comes_due(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    fresh = await stores.one_claimed()
    await stores.deliveries.park([(claimed, "dest.example"), (fresh, "dest.example")])
    await stores.sql(
        "UPDATE due_deliveries SET expires_at = now() WHERE id = $1", claimed.delivery.id
    )
    await stores.database.run("unpark_expired_deliveries", 1000)
    expired = await stores.claim_one()
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


@pytest.mark.parametrize("parked", [False, True])
async def test_what_is_claimed_comes_with_its_message(stores: Stores, parked: bool) -> None:
    """With the submission's body or the rendition's own; once written, however many share it."""
    both = await stores.queue(body=b"as it came")
    other, _ = await stores.queue(body=b"not this")
    await stores.sql("UPDATE renditions SET body = $1 WHERE id = $2", b"own", other.rendition_id)
    gone, _ = await stores.queue()
    await stores.sql("DELETE FROM renditions WHERE id = $1", gone.rendition_id)
    claimed = (await stores.deliveries.claim(10)).deliveries
    if parked:
        await stores.deliveries.park([(c, "full.example") for c in claimed])
        claimed = await stores.deliveries.claim_parked("full.example", 10)

    header = b"DKIM-Signature: yes\r\nSubject: a test\r\n\r\n"
    read = {c.delivery.id: (c.header, c.body) for c in claimed}
    assert read[both[0].id] == read[both[1].id] == (header, b"as it came")
    assert read[other.id] == (header, b"own")
    assert read[gone.id] == (b"", b"")
