"""The quarantine: what gets there, what stays there, and how it comes back."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation
from posthouse.mail.terms import Terms
from posthouse.store.quarantine import Quarantine
from servers.stores import Stores, a_submission, deferred, delivered, operate

DAY = timedelta(days=1)
HOLD, RELEASE = MailOperation.HOLD, MailOperation.RELEASE


async def abandoned(stores: Stores, times: int) -> None:
    """Have everything claimed, and nothing come of it, so often."""
    for _ in range(times):
        await stores.deliveries.claim(10)
        await stores.run_out()


async def test_a_delivery_abandoned_twice_comes_one_at_a_time(stores: Stores) -> None:
    await stores.queue(recipients=tuple(f"{n}@dest.example" for n in range(3)))
    await abandoned(stores, 2)
    await stores.queue(recipients=("new@dest.example",))

    first = await stores.deliveries.claim(10)
    assert sorted(c.abandoned for c in first.deliveries) == [0, 2]
    assert first.more
    assert not (await stores.deliveries.claim(10, suspects=None)).deliveries
    (second,) = (await stores.deliveries.claim(10)).deliveries
    assert 2 == second.abandoned


async def test_a_result_ends_all_suspicion(stores: Stores) -> None:
    await stores.queue(recipients=("ann@dest.example",))
    await abandoned(stores, 3)
    claimed = await stores.claim_one()
    assert 3 == claimed.abandoned
    await stores.deliveries.settle(deferred(claimed))
    again = await stores.claim_one()
    assert (0, 5) == (again.abandoned, again.claim)


async def test_a_quarantined_delivery_is_nobodys_until_it_is_released(stores: Stores) -> None:
    """Then it comes under its next claim, and has as much time as at first."""
    await stores.queue(recipients=("ann@dest.example",))
    claimed = await stores.claim_one()
    await stores.deliveries.quarantine(claimed, "five of six")
    await stores.run_out()
    assert not (await stores.deliveries.claim(10)).deliveries
    assert not await stores.deliveries.settle(delivered(claimed))
    await stores.sql(
        "UPDATE quarantined_deliveries SET expires_at = expires_at - interval '1 day',"
        " received_at = received_at - interval '1 day'"
    )
    assert [("delivery", "shop", "five of six", 1)] == [
        (x.stage, x.account, x.reason, x.messages)
        for x in await Quarantine(stores.database).lines()
    ]

    assert 1 == await operate(stores.database, RELEASE)
    again = await stores.claim_one()
    assert (2, 0) == (again.claim, again.abandoned)
    assert again.expires_at - again.received_at > timedelta(days=5.9)
    assert ["quarantined", "unquarantined"] == (await stores.kinds(claimed.delivery.submission_id))[
        -2:
    ]
    assert [] == await Quarantine(stores.database).lines()


async def test_quarantining_under_a_lost_claim_changes_nothing(stores: Stores) -> None:
    await stores.queue(recipients=("ann@dest.example",))
    lost = await stores.claim_one()
    await stores.run_out()
    held = await stores.claim_one()
    await stores.deliveries.quarantine(lost, "too late")
    assert await stores.deliveries.settle(delivered(held))


async def test_everything_open_is_quarantined_at_once_and_released_by_choice(
    stores: Stores,
) -> None:
    """By account, reason and age; the rest stays where it is, or is cancelled."""
    quarantine = Quarantine(stores.database)
    await stores.queue(Lane.HIGH)
    await stores.submissions.accept(a_submission())
    assert 3 == await quarantine.add_all("restored")
    assert not (await stores.deliveries.claim(10)).deliveries
    assert not (await stores.submissions.claim(10)).submissions
    now = await stores.value("SELECT now()")
    await stores.sql("UPDATE quarantined_deliveries SET received_at = $1", now - 3 * DAY)

    assert 0 == await operate(stores.database, RELEASE, account="nobody")
    assert 0 == await operate(stores.database, RELEASE, reason="another")
    assert 0 == await operate(stores.database, RELEASE, older_than="4d")
    assert 1 == await operate(stores.database, RELEASE, newer_than="1d")
    assert 1 == len((await stores.submissions.claim(10)).submissions)
    assert 2 == await operate(
        stores.database, MailOperation.CANCEL, account="shop", reason="restored"
    )
    assert [] == await quarantine.lines()
    assert not (await stores.deliveries.claim(10)).deliveries


async def test_what_the_operator_holds_is_not_released_with_what_was_restored(
    stores: Stores,
) -> None:
    """It is quarantined for the reason of the hold: scheduled, with policy, or a delivery."""
    later = Terms(send_at=datetime.now(UTC) + DAY)
    await stores.submissions.accept(replace(a_submission(), terms=later))
    await stores.queue(recipients=("ann@dest.example",))
    await stores.submissions.accept(a_submission())
    held = 3
    assert held == await operate(stores.database, HOLD, because="wrong prices", account="shop")
    await stores.queue(recipients=("bob@dest.example",))
    assert held + 1 == await Quarantine(stores.database).add_all("restored")
    assert 1 == await operate(stores.database, RELEASE, reason="restored")
    assert {"wrong prices": held} == await _quarantined(stores)
    assert held == await operate(stores.database, RELEASE, reason="wrong prices")


async def _quarantined(stores: Stores) -> Counter[str]:
    lines = await Quarantine(stores.database).lines()
    return sum((Counter({line.reason: line.messages}) for line in lines), Counter())
