"""Held mail: no claim takes it, no lane waits for it, and it stays held wherever it goes."""

from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation
from posthouse.store.account_holds import AccountHolds
from posthouse.store.quarantine import Quarantine
from servers.stores import ACCOUNT, Stores, a_submission, deferred, open_stores, operate, prepared

HOLD = {
    "due_submissions": "UPDATE due_submissions SET held = true WHERE lane = $1",
    "due_deliveries": "UPDATE due_deliveries SET held = true WHERE lane = $1",
}


async def hold(stores: Stores, table: str, lane: Lane) -> None:
    await stores.sql(HOLD[table], lane)


async def test_a_held_submission_is_not_claimed(stores: Stores) -> None:
    bulk = a_submission(Lane.BULK)
    await stores.submissions.accept(a_submission(Lane.HIGH))
    await hold(stores, "due_submissions", Lane.HIGH)
    await stores.submissions.accept(bulk)
    claimed = await stores.submissions.claim(10)
    assert [bulk.id] == [c.submission.id for c in claimed.submissions]
    assert not claimed.more


async def test_held_mail_pauses_no_lane(emptied: str) -> None:
    """Neither as due, nor on the wire, nor with policy, nor parked."""
    async with open_stores(emptied, window=60) as stores:
        await stores.queue(Lane.HIGH)
        await hold(stores, "due_deliveries", Lane.HIGH)
        await stores.queue(Lane.NORMAL)
        claims = await stores.deliveries.claim(10)
        assert [Lane.NORMAL] * 2 == [c.delivery.lane for c in claims.deliveries]
        assert (Lane.NORMAL,) == claims.due
        assert claims.preempted_by is None

        await stores.sql("UPDATE due_deliveries SET leased = true, claimed_at = now() WHERE held")
        await stores.submissions.accept(a_submission(Lane.HIGH))
        await hold(stores, "due_submissions", Lane.HIGH)
        await stores.queue(Lane.BULK)
        claims = await stores.deliveries.claim(10)
        assert [Lane.BULK] * 2 == [c.delivery.lane for c in claims.deliveries]
        assert claims.preempted_by is None


async def test_held_deliveries_that_are_parked_stay_so(stores: Stores) -> None:
    claimed = await stores.one_claimed(Lane.HIGH)
    await stores.deliveries.park([(claimed, "full.example")])
    await hold(stores, "due_deliveries", Lane.HIGH)
    assert () == await stores.deliveries.claim_parked("full.example", 10)
    assert [] == await stores.deliveries.parked_sites()


async def test_a_hold_on_a_submission_is_one_on_its_deliveries(stores: Stores) -> None:
    """Also when it came while policy was at work."""
    await stores.submissions.accept(a_submission())
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await hold(stores, "due_submissions", Lane.NORMAL)
    await stores.submissions.prepare([prepared(claimed)])
    assert () == (await stores.deliveries.claim(10)).deliveries
    lines = await stores.timeline.queue()
    assert [("delivery", "held", 2)] == [(q.stage, q.state, q.messages) for q in lines]


async def test_what_was_held_is_held_after_the_quarantine(stores: Stores) -> None:
    """A restored database is no way around the operator's word."""
    await stores.queue(Lane.NORMAL)
    await stores.submissions.accept(a_submission(Lane.HIGH))
    await AccountHolds(stores.database).hold(ACCOUNT, "root@relay", "not paid")
    quarantine = Quarantine(stores.database)
    assert 3 == await quarantine.add_all("restored")
    assert 3 == await operate(stores.database, MailOperation.RELEASE)
    assert () == (await stores.submissions.claim(10)).submissions
    assert () == (await stores.deliveries.claim(10)).deliveries


async def test_the_quarantine_is_no_way_around_a_hold_that_came_later(stores: Stores) -> None:
    """And mail that was held when it came there is due when its account was released since."""
    await stores.queue(Lane.NORMAL)
    quarantine, holds = Quarantine(stores.database), AccountHolds(stores.database)
    await quarantine.add_all("restored")
    await holds.hold(ACCOUNT, "root@relay", "not paid")
    await operate(stores.database, MailOperation.RELEASE)
    assert () == (await stores.deliveries.claim(10)).deliveries
    await quarantine.add_all("restored")
    await holds.release(ACCOUNT, "root@relay")
    await operate(stores.database, MailOperation.RELEASE)
    assert 2 == len((await stores.deliveries.claim(10)).deliveries)


async def test_a_result_of_what_was_held_on_the_wire_counts(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    await hold(stores, "due_deliveries", Lane.NORMAL)
    assert await stores.deliveries.settle(deferred(claimed))
    assert () == (await stores.deliveries.claim(10)).deliveries
    row = await stores.due_row(claimed)
    assert row is not None
    assert (1, True, False) == (row["tries"], row["held"], row["leased"])
