"""Failures count towards the bounce list, expire, and end with a delivery."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from posthouse.answers import Stage
from posthouse.mail.address_failure import FailureWeight, Objection
from posthouse.mail.events import Event, EventKind
from posthouse.mail.submission import Delivery
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store.accounts import AccountStore
from posthouse.store.housekeeping import Housekeeping
from posthouse.store.retention import Retention
from posthouse.store.returns import ReturnStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores, a_failure, a_submission, bounced, delivered, open_stores

HARD, GONE, SOFT = FailureWeight
ANN = "ann@dest.example"
DAY = timedelta(days=1)
LATER = """
UPDATE suppressions SET expires_at = expires_at - $1::interval,
    evidence = evidence || jsonb_build_object('bounces', (
        SELECT jsonb_agg(b || jsonb_build_object('at', (b->>'at')::timestamptz - $1::interval))
        FROM jsonb_array_elements(evidence->'bounces') AS b))
"""


async def fail(stores: Stores, weight: FailureWeight, **mail: Any) -> str | None:
    """One more message to ann fails; the list that this put her on."""
    await stores.queue(recipients=(ANN,), **mail)
    claimed = await stores.claim_one()
    assert await stores.deliveries.settle(bounced(claimed, weight))
    last = (await stores.story(claimed.delivery.submission_id)).events[-1]
    listed: str | None = last["detail"].get("listed")
    return listed


async def later(stores: Stores, days: float) -> None:
    """That much time goes by for what was counted."""
    await stores.sql(LATER, days * DAY)


async def profile(stores: Stores, **knobs: object) -> dict[str, Any]:
    """Mail under a profile with other limits, of the account whose user sends it."""
    await stores.sql(
        "INSERT INTO credentials (id, account_id, username, secret_hash)"
        " VALUES ($1, $2, 'shop-1', '') ON CONFLICT DO NOTHING",
        a_submission().credential_id,
        ACCOUNT,
    )
    revision = await AccountStore(stores.database).create_profile(
        ACCOUNT,
        "own",
        preset="native",
        preset_revision=1,
        knobs={f"suppression.{name}": value for name, value in knobs.items()},
    )
    return {"profile": "own", "profile_revision": revision}


async def listed(stores: Stores) -> list[tuple[str, bool]]:
    """The entries that count: reason, and whether they stay."""
    entries = await SuppressionStore(stores.database).entries()
    return [(e["reason"], e["expires_at"] is None) for e in entries]


async def test_one_mailbox_that_does_not_exist_is_enough_by_default(stores: Stores) -> None:
    assert "hard" == await fail(stores, HARD)
    assert [("no such mailbox", True)] == await listed(stores)


async def test_E07_M23_the_profile_says_how_many_hard_bounces_it_takes(stores: Stores) -> None:
    """Three in M23."""
    mail = await profile(stores, hard_limit=3)
    assert [None, None, "hard"] == [await fail(stores, HARD, **mail) for _ in range(3)]
    (entry,) = await SuppressionStore(stores.database).entries()
    assert 3 == len({bounce["delivery"] for bounce in entry["evidence"]["bounces"]})


async def test_M23_three_permanent_bounces_put_an_address_on_the_list(stores: Stores) -> None:
    mail = {"profile": "maxemail", "profile_revision": 1}
    assert [None, None, None] == [await fail(stores, SOFT, **mail) for _ in range(3)]
    assert [None, None, "hard"] == [await fail(stores, HARD, **mail) for _ in range(3)]


async def test_mail_of_a_child_account_has_the_limits_of_the_parent_whose_user_sent_it(
    stores: Stores,
) -> None:
    """The parent's profile is one of its own, and counts in its child's list."""
    child = await AccountStore(stores.database).create_account("branch", parent=ACCOUNT)
    mail = await profile(stores, hard_limit=2)
    assert [None, "hard"] == [await fail(stores, HARD, account_id=child, **mail) for _ in range(2)]


@pytest.mark.parametrize("weight", [HARD, GONE])
async def test_what_no_limit_counts_is_not_kept(stores: Stores, weight: FailureWeight) -> None:
    """An application may write to a dead address for ever: its row must not grow."""
    mail = await profile(stores, hard_limit=0)
    assert [None, None] == [await fail(stores, weight, **mail) for _ in range(2)]
    assert 0 == await stores.value("SELECT count(*) FROM suppressions")
    assert None is await fail(stores, SOFT, **mail)
    assert 1 == await stores.value("SELECT count(*) FROM suppressions")


async def test_a_domain_has_to_be_gone_twice(stores: Stores) -> None:
    assert [None, "hard"] == [await fail(stores, GONE), await fail(stores, GONE)]
    assert [("domain gone", True)] == await listed(stores)


async def test_a_domain_that_was_gone_once_does_not_count(stores: Stores) -> None:
    mail = await profile(stores, hard_limit=2)
    assert [None, None] == [await fail(stores, w, **mail) for w in (GONE, HARD)]
    assert [] == await listed(stores)


async def test_E08_soft_bounces_of_three_days_list_for_a_week(stores: Stores) -> None:
    """Those of one day count as one: three orders within an hour are one full mailbox."""
    assert [None, None, None] == [await fail(stores, SOFT) for _ in range(3)]
    await later(stores, 1)
    assert None is await fail(stores, SOFT)
    await later(stores, 1)
    assert "soft" == await fail(stores, SOFT)
    (entry,) = await SuppressionStore(stores.database).entries()
    stays = entry["expires_at"] - datetime.now(UTC)
    assert timedelta(days=6.9) < stays <= timedelta(days=7)
    assert 3 == len(entry["evidence"]["bounces"])


async def soft_listed(stores: Stores) -> None:
    """Ann is on the list for a week."""
    for _ in range(3):
        await later(stores, 1)
        last = await fail(stores, SOFT)
    assert "soft" == last


async def test_what_is_older_than_the_window_does_not_count(stores: Stores) -> None:
    for _ in range(2):
        await later(stores, 1)
        await fail(stores, SOFT)
    await later(stores, 14)
    assert None is await fail(stores, SOFT)
    assert [] == await listed(stores)


async def test_after_its_time_one_failed_attempt_brings_an_entry_back(stores: Stores) -> None:
    await soft_listed(stores)
    await later(stores, 8)
    assert [] == await listed(stores)
    assert "soft" == await fail(stores, SOFT)
    assert [("mailbox full", False)] == await listed(stores)


async def test_long_after_its_time_the_count_begins_again(stores: Stores) -> None:
    await soft_listed(stores)
    await later(stores, 7 + 15)
    assert None is await fail(stores, SOFT)


async def test_a_failure_of_mail_that_was_under_way_makes_an_entry_no_longer(
    stores: Stores,
) -> None:
    await soft_listed(stores)
    (before,) = await SuppressionStore(stores.database).entries()
    assert None is await fail(stores, SOFT)
    (after,) = await SuppressionStore(stores.database).entries()
    assert before["expires_at"] == after["expires_at"]


async def test_a_delivery_ends_the_count(stores: Stores) -> None:
    for _ in range(2):
        await later(stores, 1)
        await fail(stores, SOFT)
    await stores.deliveries.settle(delivered(await stores.one_claimed()))
    assert 0 == await stores.value("SELECT count(*) FROM suppressions")
    assert None is await fail(stores, SOFT)


async def test_a_delivery_ends_a_soft_entry_and_no_other(stores: Stores) -> None:
    suppressions = SuppressionStore(stores.database)
    await soft_listed(stores)
    await suppressions.add(ACCOUNT, ANN, "wish", {}, on=SuppressionList.UNSUBSCRIBE)
    await stores.deliveries.settle(delivered(await stores.one_claimed()))
    assert ["unsubscribe"] == [e["list"] for e in await suppressions.entries()]
    await fail(stores, HARD)
    await stores.deliveries.settle(delivered(await stores.one_claimed()))
    assert {"unsubscribe", "bounce"} == {e["list"] for e in await suppressions.entries()}


async def test_a_hard_bounce_makes_a_soft_entry_permanent(stores: Stores) -> None:
    await soft_listed(stores)
    assert "hard" == await fail(stores, HARD)
    assert [("no such mailbox", True)] == await listed(stores)


@pytest.mark.parametrize(("weight", "knob"), [(HARD, "hard_limit"), (SOFT, "soft_limit")])
async def test_a_limit_of_zero_lists_nobody(
    stores: Stores, weight: FailureWeight, knob: str
) -> None:
    mail = await profile(stores, **{knob: 0})
    for _ in range(4):
        assert None is await fail(stores, weight, **mail)
        await later(stores, 1)


async def test_a_profile_of_a_newer_version_counts_nothing(stores: Stores) -> None:
    assert None is await fail(stores, HARD, profile="later", profile_revision=3)
    assert 0 == await stores.value("SELECT count(*) FROM suppressions")
    assert [] == await listed(stores)


async def test_a_delivery_and_a_failure_in_one_batch(stores: Stores) -> None:
    await fail(stores, SOFT)
    claimed = [await stores.one_claimed(), await stores.one_claimed()]
    await asyncio.gather(
        stores.deliveries.settle(delivered(claimed[0])),
        stores.deliveries.settle(bounced(claimed[1], HARD)),
    )
    assert [("no such mailbox", True)] == await listed(stores)


async def test_failures_at_once_are_all_counted(emptied: str) -> None:
    """From many connections: three of three list, whatever their order."""
    async with open_stores(emptied) as one, open_stores(emptied) as two:
        mail = await profile(one, hard_limit=8)
        claimed = []
        for _ in range(8):
            await one.queue(recipients=(ANN,), **mail)
            claimed.append(await one.claim_one())
        await asyncio.gather(
            *((one, two)[n % 2].deliveries.settle(bounced(c)) for n, c in enumerate(claimed))
        )
        assert [("no such mailbox", True)] == await listed(one)


async def test_a_complaint_lists_at_once_with_its_report(stores: Stores) -> None:
    (delivery, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    detail = {"subject": "abuse", "digest": "d"}
    event = Event(EventKind.COMPLAINED, ACCOUNT, delivery.submission_id, delivery.id, detail)
    against = Objection(SuppressionList.COMPLAINT, rule="arf", rules="2")
    assert await returns.record(event, delivery, against)
    suppressions = SuppressionStore(stores.database)
    (entry,) = await suppressions.entries()
    assert ("complaint", "complained", "arf", "2", delivery.id) == (
        entry["list"], entry["reason"], entry["rule"], entry["version"], entry["delivery_id"],
    )  # fmt: skip
    last = (await stores.story(delivery.submission_id)).events[-1]
    assert {**detail, "listed": "complaint"} == last["detail"]

    await suppressions.remove(ACCOUNT, delivery.recipient)
    assert not await returns.record(event, delivery, against)
    assert [] == await suppressions.entries()


async def test_a_report_that_was_believed_counts_like_a_reply(stores: Stores) -> None:
    mail = await profile(stores, hard_limit=2)
    await fail(stores, HARD, **mail)
    (delivery,) = await stores.queue(recipients=(ANN,), **mail)
    event = Event(EventKind.BOUNCED, ACCOUNT, delivery.submission_id, delivery.id, {"digest": "d"})
    failure = a_failure(HARD, stage="report")
    assert await ReturnStore(stores.database).record(event, delivery, failure)
    assert [("no such mailbox", True)] == await listed(stores)


async def taken(stores: Stores, **mail: Any) -> Delivery:
    """One more message to ann is taken by her server."""
    await stores.queue(recipients=(ANN,), **mail)
    claimed = await stores.claim_one()
    assert await stores.deliveries.settle(delivered(claimed))
    return claimed.delivery


async def comes_back(
    stores: Stores, delivery: Delivery, weight: FailureWeight, stage: Stage = Stage.REPORT
) -> str | None:
    """A report says that it failed later; the list that this put ann on."""
    detail = {"digest": delivery.id.hex}
    event = Event(EventKind.BOUNCED, ACCOUNT, delivery.submission_id, delivery.id, detail)
    failure = a_failure(weight, stage=stage)
    return await ReturnStore(stores.database).record(event, delivery, failure)


@pytest.mark.parametrize("stage", [Stage.REPORT, Stage.REPORT_OF_DOT])
@pytest.mark.parametrize("weight", [SOFT, HARD])
async def test_failures_that_are_reported_later_count_though_each_was_taken_before(
    stores: Stores, weight: FailureWeight, stage: Stage
) -> None:
    mail = await profile(stores, hard_limit=3)
    results = []
    for _ in range(3):
        await later(stores, 1)
        results.append(await comes_back(stores, await taken(stores, **mail), weight, stage))
    assert ["none", "none", weight] == results


async def test_one_that_was_taken_and_not_reported_in_between_ends_the_count(
    stores: Stores,
) -> None:
    for _ in range(2):
        await later(stores, 1)
        assert "none" == await comes_back(stores, await taken(stores), SOFT)
    await later(stores, 1)
    await taken(stores)
    last = await taken(stores)
    assert 0 == await stores.value("SELECT count(*) FROM suppressions")
    assert "none" == await comes_back(stores, last, SOFT)


async def test_a_soft_entry_that_has_ended_comes_back_by_one_report(stores: Stores) -> None:
    for _ in range(3):
        await later(stores, 1)
        last = await comes_back(stores, await taken(stores), SOFT)
    assert "soft" == last
    await later(stores, 8)
    assert "soft" == await comes_back(stores, await taken(stores), SOFT)


async def test_old_counts_are_forgotten_by_housekeeping(stores: Stores) -> None:
    """What stays on a list stays; what a profile may still count does too."""
    await fail(stores, SOFT)
    await later(stores, 91)
    suppressions = SuppressionStore(stores.database)
    await suppressions.add(ACCOUNT, "dead@dest.example", "bounced", {}, on=SuppressionList.BOUNCE)
    await stores.queue(recipients=("bob@dest.example",))
    await stores.deliveries.settle(bounced(await stores.claim_one(), SOFT))
    duties = {d.name: d for d in Housekeeping(stores.database, Retention()).duties}
    assert await duties["bounce_counts"].run_once()
    left = await stores.sql("SELECT normal FROM suppressions ORDER BY normal")
    assert ["bob@dest.example", "dead@dest.example"] == [row["normal"] for row in left]
