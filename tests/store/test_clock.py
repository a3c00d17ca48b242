"""The database's clock was ahead and is set back: nothing waits for the time that it showed."""

from datetime import timedelta

import pytest
import structlog

from posthouse.store.clock import ClockWatch
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.store.webhook_endpoints import WebhookStore, WebhookTerms
from servers.stores import ACCOUNT, Stores, a_submission, deferred

LEASE = timedelta(seconds=20)
AHEAD = timedelta(days=5)
WAIT = timedelta(hours=2)
ENDPOINT = """
INSERT INTO webhook_endpoints (id, account_id, url, dialect, kinds, streams, sealed, retry_at)
SELECT new_id(), id, 'https://a.example/', 'posthouse', '{}', '{}', '', now() + $1::interval
FROM accounts
"""
BATCHES = """
INSERT INTO webhook_batches (endpoint_id, due_at, expires_at, leased, oldest_at, ids, kinds, body)
SELECT id, now() + $1::interval, now() + interval '9 days', leased, now(), '{}', '{}', ''
FROM webhook_endpoints CROSS JOIN (VALUES (false), (true)) AS t(leased)
"""


async def looked(stores: Stores) -> list[str]:
    """Look at the clock; the names of what was logged."""
    with structlog.testing.capture_logs() as logged:
        await ClockWatch(stores.database, lease=LEASE).look()
    return [entry["event"] for entry in logged]


async def be_ahead(stores: Stores) -> None:
    """Have everything look as if it had been written by a clock five days ahead."""
    for table in ("due_submissions", "due_deliveries"):
        columns = ("due_at", "received_at", "expires_at")
        moved = ", ".join(f"{column} = {column} + $1" for column in columns)
        await stores.sql(f"UPDATE {table} SET {moved}", AHEAD)  # noqa: S608 -- our own names
    await stores.sql("UPDATE due_deliveries SET claimed_at = claimed_at + $1", AHEAD)
    await stores.sql("UPDATE clock SET seen = now() + $1::interval", AHEAD)


async def test_what_was_accepted_by_a_clock_ahead_is_not_kept_waiting(stores: Stores) -> None:
    await stores.queue()
    await stores.submissions.accept(a_submission())
    await be_ahead(stores)
    assert not (await stores.submissions.claim(10)).submissions
    assert ["clock_set_back"] == await looked(stores)
    assert len((await stores.submissions.claim(10)).submissions) == 1
    (one, two) = (await stores.deliveries.claim(10)).deliveries
    assert timedelta(days=5) == one.expires_at - one.received_at
    assert two.received_at <= (await stores.value("SELECT now()"))


async def test_a_retry_waits_for_as_long_as_it_was_told_to(stores: Stores) -> None:
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(deferred(claimed, WAIT))
    await be_ahead(stores)
    await looked(stores)
    wait = await stores.value("SELECT due_at - now() FROM due_deliveries")
    assert WAIT - timedelta(minutes=1) < wait <= WAIT


async def test_customers_are_told_as_soon_as_they_were_to_be(stores: Stores) -> None:
    """Of what is due, and by an endpoint that is asked again after a while."""
    await stores.sql(ENDPOINT, AHEAD + WAIT)
    await stores.sql(BATCHES, AHEAD)
    await be_ahead(stores)
    assert ["clock_set_back"] == await looked(stores)
    rows = await stores.sql("SELECT due_at - now() AS wait FROM webhook_batches ORDER BY leased")
    due, leased = (row["wait"] for row in rows)
    assert timedelta() >= due
    assert timedelta() < leased <= LEASE
    wait = await stores.value("SELECT retry_at - now() FROM webhook_endpoints")
    assert WAIT - timedelta(minutes=1) < wait <= WAIT


async def test_a_lease_is_left_to_its_holder(stores: Stores) -> None:
    """A living process renews it; one without a process comes due when it runs out."""
    held = await stores.one_claimed()
    await be_ahead(stores)
    await looked(stores)
    assert not (await stores.deliveries.claim(10)).deliveries
    assert await stores.value("SELECT due_at - now() FROM due_deliveries") <= LEASE
    await stores.run_out()
    again = await stores.claim_one()
    assert (held.delivery, True) == (again.delivery, bool(again.abandoned))


async def test_what_a_clock_wrote_that_was_ahead_for_a_moment_is_reset(stores: Stores) -> None:
    """Shorter than the time between looks: it shows only because no wait is that long."""
    await stores.queue()
    waiting, held = (await stores.deliveries.claim(2)).deliveries
    await stores.deliveries.settle(deferred(waiting, WAIT))
    await stores.submissions.accept(a_submission())
    await be_ahead(stores)
    await stores.sql("UPDATE clock SET seen = now()")
    assert ["future_due_times_reset"] == await looked(stores)
    assert [waiting.delivery] == [c.delivery for c in (await stores.deliveries.claim(9)).deliveries]
    assert 1 == len((await stores.submissions.claim(9)).submissions)
    row = await stores.due_row(held)
    assert row is not None
    assert (
        timedelta() < await stores.value("SELECT $1::timestamptz - now()", row["due_at"]) <= LEASE
    )
    assert [] == await looked(stores)


@pytest.mark.parametrize("step", [timedelta(days=-5), timedelta(seconds=5)])
async def test_a_clock_that_goes_on_changes_nothing(stores: Stores, step: timedelta) -> None:
    """Forward by any length, or back by less than anybody would notice."""
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(deferred(claimed, WAIT))
    before = await stores.due_row(claimed)
    await stores.sql("UPDATE clock SET seen = now() + $1::interval", step)
    assert [] == await looked(stores)
    assert before == await stores.due_row(claimed)
    assert timedelta() <= await stores.value("SELECT now() - seen FROM clock") < LEASE


async def test_events_for_endpoints_wait_no_longer(stores: Stores) -> None:
    """Neither for the end of a lease nor for an endpoint that failed."""
    hooks = WebhookStore(stores.database)
    terms = WebhookTerms("https://a.example/", "native", (), (), timedelta())
    id_ = await hooks.create(ACCOUNT, terms, b"")
    await hooks.test(id_, id_, b"{}")
    batches = WebhookBatches(stores.database)
    assert await batches.claim(id_, 200, 1 << 19) is not None
    await stores.sql(
        "UPDATE webhook_batches SET is_test = false, due_at = due_at + $1, made_at = made_at + $1",
        AHEAD,
    )
    await stores.sql(
        "UPDATE webhook_endpoints SET failing_since = now() + $1, retry_at = now() + $1", AHEAD
    )
    await stores.sql("UPDATE clock SET seen = now() + $1::interval", AHEAD)
    await looked(stores)
    assert await stores.value("SELECT due_at - now() FROM webhook_batches") <= timedelta(minutes=1)
    await stores.sql("UPDATE webhook_batches SET due_at = now()")
    assert [id_] == await batches.due_endpoints()
