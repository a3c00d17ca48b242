"""What an operator does to mail that waits: retry, hold, release, cancel, bounce."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation, MailSelector
from posthouse.mail.message_query import UnusableQuery
from posthouse.mail.submission import Attributes
from posthouse.mail.terms import Terms
from posthouse.store.account_holds import AccountHolds
from posthouse.store.audit_log import AuditStore
from posthouse.store.deliveries import ClaimedDelivery
from posthouse.store.queries import QUERIES
from posthouse.store.schedule import Schedule
from posthouse.store.waiting_mail import WaitingMail
from servers.patience import eventually
from servers.stores import (
    ACCOUNT,
    Stores,
    a_submission,
    deferred,
    delivered,
    fill,
    operate,
    prepared,
)

RETRY, HOLD, RELEASE = MailOperation.RETRY, MailOperation.HOLD, MailOperation.RELEASE
CANCEL, BOUNCE = MailOperation.CANCEL, MailOperation.BOUNCE
HOUR, WHO = timedelta(hours=1), "root@relay"
ANN, BOB = "ann@dest.example", "bob@dest.example"


async def claimable(stores: Stores) -> list[str]:
    """The recipients of the deliveries that a dispatcher gets now."""
    claims = await stores.deliveries.claim(100)
    await stores.deliveries.return_leases(claims.deliveries)
    return sorted(claimed.delivery.recipient for claimed in claims.deliveries)


async def two_claimed(stores: Stores) -> tuple[ClaimedDelivery, ClaimedDelivery]:
    """Deliveries to Ann and Bob that a worker has."""
    await stores.queue()
    claims = (await stores.deliveries.claim(2)).deliveries
    ann, bob = sorted(claims, key=lambda claimed: claimed.delivery.recipient)
    return ann, bob


async def audited(stores: Stores) -> list[tuple[str, Any]]:
    """Action and detail of each line of the audit, the newest first."""
    return [(row["action"], row["detail"]) for row in await AuditStore(stores.database).newest(9)]


async def test_what_is_deferred_is_tried_now(stores: Stores) -> None:
    """And nothing else: what a worker has is being tried, what is parked waits for room."""
    ann, bob = await two_claimed(stores)
    await stores.deliveries.settle(deferred(ann, HOUR))
    await stores.deliveries.park([(bob, "dest.example")])
    leased = await stores.one_claimed()
    assert 1 == await operate(stores.database, RETRY, account="shop")
    assert [ANN] == await claimable(stores)
    assert [("queue retry", {"messages": 1, "account": "shop"})] == await audited(stores)
    assert await stores.deliveries.settle(delivered(leased))
    parked = await stores.deliveries.claim_parked("dest.example", 5)
    assert [BOB] == [claimed.delivery.recipient for claimed in parked]


async def test_a_submission_that_policy_put_off_is_tried_now(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    claimed = (await stores.submissions.claim(1)).submissions
    await stores.submissions.return_leases(claimed, HOUR)
    assert 1 == await operate(stores.database, RETRY, state="deferred")
    assert 1 == len((await stores.submissions.claim(1)).submissions)


async def test_what_is_held_waits_until_it_is_released(stores: Stores) -> None:
    """With as much time as at first; the duty that mends holds of accounts leaves it alone."""
    await stores.queue()
    assert 1 == await operate(stores.database, HOLD, because="a look", recipient=ANN)
    assert 0 == await operate(stores.database, HOLD, because="another", recipient=ANN)
    await AccountHolds(stores.database).finish()
    assert [BOB] == await claimable(stores)
    await stores.sql(
        "UPDATE due_deliveries SET received_at = received_at - interval '9 days',"
        " expires_at = expires_at - interval '9 days'"
    )
    assert 0 == await operate(stores.database, RELEASE, reason="another")
    assert 1 == await operate(stores.database, RELEASE, reason="a look")
    assert [ANN, BOB] == await claimable(stores)
    assert await stores.value(
        "SELECT bool_and(expires_at - now() > interval '4 days') FROM due_deliveries d"
        " JOIN deliveries v USING (id) WHERE v.recipient = $1", ANN,
    )  # fmt: skip


async def test_a_hold_and_that_of_the_account_end_by_themselves(stores: Stores) -> None:
    holds = AccountHolds(stores.database)
    await stores.queue()
    await operate(stores.database, HOLD, because="a look", recipient=ANN)
    await holds.hold(ACCOUNT, WHO, "not paid")
    await operate(stores.database, RELEASE, recipient=ANN)
    assert [] == await claimable(stores)
    await operate(stores.database, HOLD, because="a look", recipient=BOB)
    await holds.release(ACCOUNT, WHO)
    assert [ANN] == await claimable(stores)
    await operate(stores.database, RELEASE, account="shop")
    assert [ANN, BOB] == await claimable(stores)


async def test_what_policy_or_the_schedule_has_is_held_on_its_way(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    (claimed,) = (await stores.submissions.claim(1)).submissions
    soon = Terms(send_at=datetime.now(UTC) + timedelta(seconds=0.5))
    later = a_submission(terms=soon)
    await stores.submissions.accept(later)
    assert 2 == await operate(stores.database, HOLD, because="a look", account="shop")
    await stores.submissions.prepare([prepared(claimed)])
    schedule = Schedule(stores.database)

    async def opened() -> bool:
        return bool(await schedule.open())

    await eventually(opened)
    await AccountHolds(stores.database).finish()
    assert [] == await claimable(stores)
    assert not (await stores.submissions.claim(1)).submissions
    assert {"a look"} == {
        d["hold_reason"] for d in (await stores.story(claimed.submission.id)).deliveries
    }
    assert "a look" == (await stores.story(later.id)).submission["hold_reason"]
    assert 3 == await operate(stores.database, RELEASE, account="shop")
    assert [ANN, BOB] == await claimable(stores)
    assert 1 == len((await stores.submissions.claim(1)).submissions)


async def test_on_the_wire_a_hold_lets_the_result_count(stores: Stores) -> None:
    ann, bob = await two_claimed(stores)
    assert 2 == await operate(stores.database, HOLD, because="a look", state="inflight")
    assert await stores.deliveries.settle(delivered(ann))
    assert await stores.deliveries.settle(deferred(bob))
    assert [] == await claimable(stores)
    await operate(stores.database, RELEASE, bob.delivery.submission_id)
    assert [BOB] == await claimable(stores)


async def test_what_is_cancelled_on_the_wire_is_uncertain(stores: Stores) -> None:
    """Its result counts no more, and what only waits in a dispatcher is dropped there."""
    ann, bob = await two_claimed(stores)
    assert 2 == await operate(stores.database, CANCEL, ann.delivery.submission_id)
    assert set() == await stores.deliveries.renew([ann, bob])
    assert not await stores.deliveries.settle(delivered(ann))
    story = await stores.story(ann.delivery.submission_id)
    assert [
        ("uncertain", ann.delivery.id, {"claim": 1}),
        ("cancelled", ann.delivery.id, {"by": WHO}),
    ] == [
        (e["kind"], e["delivery_id"], e["detail"])
        for e in story.events if e["delivery_id"] == ann.delivery.id
    ]  # fmt: skip
    assert ["uncertain"] * 2 == [attempt["outcome"] for attempt in story.attempts]
    assert [None] * 2 == [delivery["due_at"] for delivery in story.deliveries]


async def test_wherever_it_waits_it_is_cancelled(stores: Stores) -> None:
    """With policy too, which finds nothing to prepare under its claim."""
    for _ in range(2):
        await stores.submissions.accept(a_submission())
    with_policy, refused = (await stores.submissions.claim(2)).submissions
    await stores.submissions.quarantine(refused, "no From field")
    scheduled = a_submission(terms=Terms(send_at=datetime.now(UTC) + HOUR))
    await stores.submissions.accept(scheduled)
    (ann, _) = await stores.queue()
    assert 5 == await operate(stores.database, CANCEL)
    await stores.submissions.prepare([prepared(with_policy)])
    assert [] == await claimable(stores)
    assert [] == await stores.timeline.queue()
    for id_ in (with_policy.submission.id, refused.submission.id, scheduled.id, ann.submission_id):
        assert "cancelled" == (await stores.kinds(id_))[-1]


@pytest.mark.parametrize("statement", ["end_submissions", "release_submissions"])
async def test_two_who_end_the_same_mail_in_quarantine_never_wait_for_each_other(
    stores: Stores, statement: str
) -> None:
    """Each has one of two that both want: what the other has is left to that one."""
    for _ in range(2):
        await stores.submissions.accept(a_submission())
    one, other = (await stores.submissions.claim(2)).submissions
    for claimed in (one, other):
        await stores.submissions.quarantine(claimed, "no From field")
    first, second = one.submission.id, other.submission.id
    more: tuple[object, ...] = ("cancelled", {}) if statement == "end_submissions" else ()
    async with (
        stores.database.connection() as a,
        stores.database.connection() as b,
        a.transaction(),
        b.transaction(),
    ):
        assert [first] == [r["id"] for r in await a.fetch(QUERIES[statement], [first], *more)]
        both = [second, first]
        assert [second] == [r["id"] for r in await b.fetch(QUERIES[statement], both, *more)]
        assert [] == await a.fetch(QUERIES[statement], both, *more)
    assert 0 == await stores.value("SELECT count(*) FROM quarantined_submissions")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("end_deliveries", "release_deliveries"),
        ("release_deliveries", "end_deliveries"),
        ("end_deliveries", "end_deliveries"),
        ("release_deliveries", "release_deliveries"),
    ],
)
@pytest.mark.parametrize("table", ["due_deliveries", "quarantined_deliveries"])
async def test_two_who_change_the_same_deliveries_never_wait_for_each_other(
    stores: Stores, one: str, other: str, table: str
) -> None:
    """The same, for deliveries that are held, or in quarantine."""
    claims = await two_claimed(stores)
    first, second = (claimed.delivery.id for claimed in claims)
    if table == "due_deliveries":
        await operate(stores.database, HOLD, because="a look")
    else:
        for claimed in claims:
            await stores.deliveries.quarantine(claimed, "it fails")
    more: dict[str, tuple[object, ...]] = {
        "end_deliveries": ("cancelled", {}),
        "release_deliveries": (),
    }
    async with (
        stores.database.connection() as a,
        stores.database.connection() as b,
        a.transaction(),
        b.transaction(),
    ):
        assert [first] == [r["id"] for r in await a.fetch(QUERIES[one], [first], *more[one])]
        both = [second, first]
        assert [second] == [r["id"] for r in await b.fetch(QUERIES[other], both, *more[other])]
        assert [] == await a.fetch(QUERIES[other], both[:1], *more[other])
    if table == "quarantined_deliveries":
        assert 0 == await stores.value("SELECT count(*) FROM quarantined_deliveries")


async def test_a_bounce_names_recipient_and_reason(stores: Stores) -> None:
    """Of a message that policy has not prepared, one for each recipient."""
    prepared_before = (await stores.queue(recipients=(ANN,)))[0].submission_id
    new = a_submission()
    await stores.submissions.accept(new)
    assert 2 == await operate(stores.database, BOUNCE, because="not wanted", account="shop")
    said = {"by": WHO, "reply": "not wanted", "enhanced": "5.7.1"}
    for id_, expected in (
        (prepared_before, [said]),
        (new.id, [{**said, "recipient": ANN}, {**said, "recipient": BOB}]),
    ):
        events = [e for e in (await stores.story(id_)).events if e["kind"] == "bounced"]
        assert expected == [event["detail"] for event in events]


async def waiting(stores: Stores) -> None:
    """A delivery of every kind that selectors tell apart."""
    await stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", UUID(int=9))
    await stores.sql(
        "INSERT INTO credentials (id, account_id, username, secret_hash)"
        " VALUES ($1, $2, 'app-1', '')", UUID(int=3), ACCOUNT,
    )  # fmt: skip
    for name, changes in (
        ("plain", {}),
        ("user", {"credential_id": UUID(int=3)}),
        ("account", {"account_id": UUID(int=9)}),
        ("tagged", {"attributes": Attributes(tags=("may",), stream="news")}),
    ):
        await stores.queue(recipients=(f"{name}@dest.example",), **changes)
    await stores.queue(Lane.BULK, recipients=("bulk@Other.example",))
    (claimed,) = (await stores.deliveries.claim(1)).deliveries
    said = replace(deferred(claimed, HOUR), detail={"class": "greylisted"})
    await stores.deliveries.settle(said)
    await stores.sql(
        "UPDATE due_deliveries d SET site = 'big.example', received_at = now() - interval '2 h'"
        " FROM deliveries v WHERE v.id = d.id AND v.recipient LIKE 'tagged%'"
    )


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ({"recipient": "Tagged@dest.example"}, ["tagged"]),
        ({"domain": "OTHER.example"}, ["bulk"]),
        ({"site": "big.example"}, ["tagged"]),
        ({"user": "app-1"}, ["user"]),
        ({"user": "nobody"}, []),
        ({"account": "news"}, ["account"]),
        ({"stream": "news"}, ["tagged"]),
        ({"tag": "may"}, ["tagged"]),
        ({"lane": "bulk"}, ["bulk"]),
        ({"older-than": "1h"}, ["tagged"]),
        ({"newer-than": "1h", "lane": "3"}, ["account", "plain", "user"]),
        ({"class": "greylisted"}, ["plain"]),
        ({"state": "deferred,held"}, ["plain"]),
        ({"tag": "may", "account": "news"}, []),
    ],
    ids=str,
)
async def test_a_selector_chooses_what_it_says(
    stores: Stores, words: dict[str, str], chosen: list[str]
) -> None:
    await waiting(stores)
    preview = await WaitingMail(stores.database).preview(CANCEL, MailSelector.of(words))
    assert chosen == sorted(str(one.recipient).partition("@")[0] for one in preview.sample)
    assert len(chosen) == preview.messages


async def test_a_message_in_policy_is_chosen_when_all_of_it_is(stores: Stores) -> None:
    await stores.submissions.accept(a_submission(recipients=(ANN, "cy@other.example")))
    assert 0 == await operate(stores.database, CANCEL, domain="dest.example")
    assert 0 == await operate(stores.database, CANCEL, site="dest.example")
    await stores.submissions.accept(a_submission())
    assert 1 == await operate(stores.database, CANCEL, domain="dest.example")


async def test_a_preview_counts_and_changes_nothing(stores: Stores) -> None:
    ann, _ = await two_claimed(stores)
    await stores.deliveries.settle(deferred(ann, HOUR))
    preview = await WaitingMail(stores.database).preview(RETRY, MailSelector.of({}))
    assert [("delivery", Lane.NORMAL, "", "deferred", 1)] == [
        (line.stage, line.lane, line.site, line.state.value, line.messages)
        for line in preview.lines
    ]
    assert (0, 1, [ANN]) == (preview.leased, preview.others, [i.recipient for i in preview.sample])
    assert [] == await audited(stores)


async def test_many_are_changed_in_batches_and_counted_once(stores: Stores) -> None:
    await fill(stores.url, 2_500, Lane.BULK)
    await stores.queue()
    assert 5_000 == await operate(stores.database, CANCEL, lane="bulk")
    assert [("queue cancel", {"messages": 5_000, "lane": "bulk"})] == await audited(stores)
    assert [ANN, BOB] == await claimable(stores)


async def test_a_row_that_others_are_writing_is_changed_when_they_are_done(
    stores: Stores,
) -> None:
    await stores.queue()
    other = await asyncpg.connect(stores.url)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.fetch("SELECT FROM due_deliveries FOR UPDATE")
        holding = asyncio.create_task(operate(stores.database, HOLD, because="a look"))

        async def looked() -> bool:
            return bool(await audited(stores))

        await eventually(looked)
        await transaction.rollback()
        assert 2 == await holding
    finally:
        await other.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"colour": "red"}, "'colour' is none of account"),
        ({"lane": "6"}, "no lane is called '6'"),
        ({"older-than": "long"}, "'long' is not like 30min"),
        ({"class": "rude"}, "'rude' is not a valid AnswerClass"),
        ({"state": "delivered"}, "mail that waits is ready, inflight"),
        ({"tag": ""}, "tag is empty"),
    ],
)
def test_words_that_choose_nothing_are_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(UnusableQuery, match=said):
        MailSelector.of(words)


async def test_what_comes_meanwhile_is_not_waited_for(stores: Stores) -> None:
    """Else no operation would end while mail comes in: a part with room in it is the last one."""
    await stores.queue(recipients=(ANN, BOB))
    await stores.submissions.accept(a_submission())
    everything = [None] * 12
    for at_once, stage, more, others in (
        (1, "submissions", (), True),
        (2, "submissions", (), False),
        (2, "deliveries", (None, None), True),
        (3, "deliveries", (None, None), False),
    ):
        rows = await stores.database.fetch(
            f"choose_{stage}", UUID(int=0), at_once, *everything, *more
        )
        assert others is (rows[0]["last"] is not None), (at_once, stage)


async def test_a_domain_is_meant_in_letters_and_in_ascii(stores: Stores) -> None:
    await stores.queue(recipients=("ann@b\u00fccher.example", "bob@XN--bcher-kva.example"))
    await stores.submissions.accept(a_submission(recipients=("cy@xn--bcher-kva.example",)))
    assert 3 == await operate(stores.database, HOLD, because="?", domain="B\u00fccher.example")
    assert 3 == await operate(stores.database, RELEASE, domain="xn--bcher-kva.example")
