"""Counts of rate limits, in all processes together and over a restart (RULES U24)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from posthouse.mail.rate_limit import (
    Charge,
    Counted,
    Exceeded,
    Granted,
    LimitAction,
    Period,
    RateLimit,
    Verdict,
)
from posthouse.mail.terms import Committed, Terms
from posthouse.store.account_holds import AccountHolds
from posthouse.store.accounts import AccountStore
from posthouse.store.clock import ClockWatch
from posthouse.store.postgres import Postgres
from posthouse.store.rate_counter import RateCounter
from posthouse.store.rate_limits import LimitOwner, RateLimitStore
from posthouse.store.schedule import Schedule
from servers.stores import ACCOUNT, Stores, a_submission

USER = UUID(int=2)
OF_USER = LimitOwner(USER, ACCOUNT, "shop-1")
OF_ACCOUNT = LimitOwner(ACCOUNT, ACCOUNT, "shop")
CHARGE = Charge(ACCOUNT, USER, 1)


def limit(
    text: str = "10/month",
    action: LimitAction = LimitAction.REFUSE,
    counted: Counted = Counted.MESSAGES,
) -> RateLimit:
    return RateLimit.parse(counted, text, action)


async def set_limits(stores: Stores, *limits: RateLimit, owner: LimitOwner = OF_USER) -> None:
    for each in limits:
        await RateLimitStore(stores.database).set(owner, each, "jo@here")


async def used(stores: Stores, owner: LimitOwner = OF_USER) -> list[int]:
    return [count.used for count in await RateLimitStore(stores.database).of(owner)]


@pytest_asyncio.fixture
async def counters(emptied: str) -> AsyncIterator[list[RateCounter]]:
    """Those of four processes."""
    async with AsyncExitStack() as opened:
        yield [
            RateCounter(await opened.enter_async_context(Postgres(emptied, background=True)))
            for _ in range(4)
        ]


async def charged(
    counter: RateCounter, charge: Charge = CHARGE, *, urgent: bool = False
) -> Verdict:
    verdict = await counter.charge([charge], urgent=urgent)
    return verdict if isinstance(verdict, Exceeded) else verdict[0]


async def charge_all(
    counters: list[RateCounter], times: int, charge: Charge = CHARGE
) -> list[Verdict]:
    """So many messages at once at each of the processes, some of them urgent."""
    return await asyncio.gather(
        *(charged(one, charge, urgent=n % 7 == 0) for one in counters for n in range(times))
    )


async def test_U24_processes_together_let_no_more_through_than_the_limit(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("250/month"), limit("1000/day"))
    verdicts = await charge_all(counters, 100)
    assert 250 == sum(isinstance(v, Granted) for v in verdicts)
    assert [250, 250] == await used(stores)


async def test_batches_that_name_the_same_owners_do_not_wait_for_each_other_in_a_circle(
    stores: Stores, counters: list[RateCounter]
) -> None:
    users = [UUID(int=100 + n) for n in range(5)]
    for user in users:
        await set_limits(
            stores, limit("1000/day"), limit("9/min"), owner=LimitOwner(user, ACCOUNT, "")
        )
    await set_limits(stores, limit("1000/day"), owner=OF_ACCOUNT)
    charges = [Charge(ACCOUNT, user, 1) for user in users]
    verdicts = await asyncio.gather(
        *(
            charged(counter, charge, urgent=True)
            for n in range(40)
            for counter in counters
            for charge in (charges if n % 2 else reversed(charges))
        )
    )
    assert 800 == len(verdicts)


async def test_U24_messages_that_go_together_count_all_or_not_at_all(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("10/month"), limit("5/day", LimitAction.DELAY), owner=OF_ACCOUNT)
    one = counters[0]
    granted = await one.charge([CHARGE] * 7, urgent=False)
    assert isinstance(granted, list)
    assert [False] * 5 + [True] * 2 == [each.send_at is not None for each in granted]
    assert [2, 7] == await used(stores, OF_ACCOUNT)
    for expected in (True, False):  # it is told of once
        refused = await one.charge([CHARGE] * 4, urgent=False)
        assert isinstance(refused, Exceeded)
        assert expected is refused.excess.is_first
        assert [2, 7] == await used(stores, OF_ACCOUNT)
    assert isinstance(await one.charge([CHARGE] * 3, urgent=False), list)


async def test_what_is_refused_together_has_not_used_up_the_limit(
    stores: Stores, counters: list[RateCounter]
) -> None:
    """Other messages of the user are not turned away for it."""
    await set_limits(stores, limit("10/month"))
    assert isinstance(await charged(counters[0]), Granted)

    refused = await counters[0].charge([CHARGE] * 10, urgent=False)
    assert isinstance(refused, Exceeded)
    assert refused.again_at is not None
    assert timedelta() == refused.used_up_for
    assert isinstance(await charged(counters[0]), Granted)


@pytest.mark.parametrize(
    ("most", "number"), [(limit("10/month"), 11), (limit("1/day", LimitAction.DELAY), 40)]
)
async def test_what_can_never_go_together_is_refused_for_good(
    stores: Stores, counters: list[RateCounter], most: RateLimit, number: int
) -> None:
    """There is no time at which a client should come back with it."""
    await set_limits(stores, most)
    refused = await counters[0].charge([CHARGE] * number, urgent=False)
    assert isinstance(refused, Exceeded)
    assert refused.again_at is None
    assert [0] == await used(stores)


async def test_U24_an_account_is_held_though_messages_were_refused_together_before(
    stores: Stores, counters: list[RateCounter]
) -> None:
    """That these would have been above the other limit is no reason."""
    await set_limits(stores, limit("2/day", LimitAction.HOLD), limit("3/month"))
    assert isinstance(await charged(counters[0]), Granted)
    assert isinstance(await counters[0].charge([CHARGE] * 3, urgent=False), Exceeded)
    assert [] == await stores.sql("SELECT FROM account_holds")

    assert isinstance(await counters[0].charge([CHARGE] * 2, urgent=False), list)
    assert 1 == len(await stores.sql("SELECT FROM account_holds"))


async def test_a_user_that_waits_for_its_own_limit_does_not_make_others_of_its_account_wait(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("9/hour", LimitAction.DELAY), owner=OF_ACCOUNT)
    await set_limits(stores, limit("1/month", LimitAction.DELAY))
    assert Granted() == await charged(counters[0])
    waits = await charged(counters[0])
    assert isinstance(waits, Granted)
    assert waits.send_at is not None
    other = Charge(ACCOUNT, UUID(int=3), 1)
    assert Granted() == await charged(counters[0], other)


async def test_counts_outlive_the_process(stores: Stores, emptied: str) -> None:
    await set_limits(stores, limit("10/month"))
    for expected in (4, 8, 10):
        async with Postgres(emptied, background=True) as one:
            await charge_all([RateCounter(one)], 4)
        assert [expected] == await used(stores)


async def test_U24_excess_waits_in_the_schedule_and_comes_due_in_order(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("2/month", LimitAction.DELAY))
    messages = []
    for _ in range(4):  # what would wait for the month after the next is refused
        granted = await charged(counters[0])
        assert isinstance(granted, Granted)
        messages.append(a_submission(terms=Terms(send_at=granted.send_at)))
    accepted = await asyncio.gather(*(stores.submissions.accept(m) for m in messages))
    assert [True, True, False, False] == [isinstance(a, Committed) and a.is_due for a in accepted]
    waits = [one.id for one in await Schedule(stores.database).first(10)]
    assert [m.id for m in messages[2:]] == waits
    claimed = (await stores.submissions.claim(9)).submissions
    assert {m.id for m in messages[:2]} == {c.submission.id for c in claimed}
    # Two months later it comes due, the first first.
    await stores.sql("UPDATE scheduled_submissions SET send_at = send_at - interval '62 days'")
    await Schedule(stores.database).open()
    released = [c.submission.id for c in (await stores.submissions.claim(9)).submissions]
    assert [m.id for m in messages[2:]] == sorted(released, key=released.index)


async def test_a_hold_is_made_with_the_count_once(
    stores: Stores, counters: list[RateCounter]
) -> None:
    child = await AccountStore(stores.database).create_account("child", parent=ACCOUNT)
    await set_limits(stores, limit("3/hour", LimitAction.HOLD), owner=OF_ACCOUNT)
    holds = AccountHolds(stores.database)
    for _ in range(3):
        await charged(counters[0])
    assert [] == await stores.sql("SELECT FROM account_holds")
    assert all(isinstance(v, Granted) for v in await charge_all(counters, 2))
    rows = await stores.sql("SELECT account_id, actor, reason FROM account_holds ORDER BY 1")
    assert {ACCOUNT, child} == {row["account_id"] for row in rows}
    assert {("posthouse", "more than 3 messages an hour, the limit of its account")} == {
        (row["actor"], row["reason"]) for row in rows
    }
    # Its mail is accepted and waits.
    await stores.submissions.accept(a_submission())
    assert () == (await stores.submissions.claim(9)).submissions
    await holds.finish()
    # Released, it is not held again for what was counted in the same hour.
    await holds.release(ACCOUNT, "jo@here")
    await charge_all(counters, 2)
    assert [child] == [
        row["account_id"] for row in await stores.sql("SELECT account_id FROM account_holds")
    ]


async def test_a_batch_with_others_keeps_each_to_its_own_limits(
    stores: Stores, counters: list[RateCounter]
) -> None:
    other = Charge(UUID(int=7), UUID(int=8), 5)
    await set_limits(stores, limit("1/day"))
    await set_limits(
        stores,
        limit("6/day", counted=Counted.RECIPIENTS),
        owner=LimitOwner(other.credential_id, other.account_id, "news"),
    )
    nobodys = Charge(UUID(int=9), UUID(int=10), 5)
    verdicts = await asyncio.gather(
        *(charged(counters[0], c) for c in (CHARGE, other, nobodys) * 3)
    )
    for n, granted in enumerate((1, 1, 3)):
        assert granted == sum(isinstance(v, Granted) for v in verdicts[n::3])


async def test_a_limit_that_was_removed_lets_everything_through(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("1/month"))
    store = RateLimitStore(stores.database)
    assert await store.remove(OF_USER, Counted.MESSAGES, Period.MONTH, "jo@here")
    assert not await store.remove(OF_USER, Counted.MESSAGES, Period.MONTH, "jo@here")
    assert {Granted()} == set(await charge_all(counters, 3))


async def test_a_changed_limit_goes_on_counting_and_another_action_begins_anew(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("3/month", LimitAction.DELAY))
    await charge_all(counters[:1], 9)
    await set_limits(stores, limit("5/month", LimitAction.DELAY))
    granted = await charged(counters[0])
    assert isinstance(granted, Granted)
    assert granted.send_at is not None
    await set_limits(stores, limit("5/month", LimitAction.REFUSE))
    verdicts = await charge_all(counters, 2)
    assert 5 == sum(isinstance(v, Granted) for v in verdicts)


async def test_windows_ahead_of_a_clock_that_was_set_back_are_forgotten(
    stores: Stores, counters: list[RateCounter]
) -> None:
    await set_limits(stores, limit("1/month"))
    ahead = datetime.now(UTC) + timedelta(days=300)
    await stores.sql("UPDATE rate_limits SET window_at = $1, used = 1", ahead)
    assert isinstance(await charged(counters[0]), Exceeded)
    await stores.sql("UPDATE clock SET seen = now() + interval '300 days'")
    await ClockWatch(stores.database, lease=timedelta(seconds=20)).look()
    assert isinstance(await charged(counters[0]), Granted)


async def test_a_message_counted_before_a_crash_is_counted_if_it_was_accepted(
    stores: Stores, counters: list[RateCounter]
) -> None:
    """The asynchronous commit of a count is in the log before the acceptance that is waited for."""
    await set_limits(stores, limit("9/month"))
    await charged(counters[0])
    counted = await stores.value("SELECT pg_current_wal_insert_lsn()")
    await stores.submissions.accept(a_submission())
    assert await stores.value("SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn", counted)


async def test_U24_a_limit_of_a_child_holds_the_child_alone(
    stores: Stores, counters: list[RateCounter]
) -> None:
    child: UUID = await stores.value(
        "INSERT INTO accounts (name, parent_id) VALUES ('branch', $1) RETURNING id", ACCOUNT
    )
    owner = LimitOwner(child, child, "branch")
    await set_limits(stores, limit("1/month", LimitAction.HOLD), owner=owner)
    for _ in range(2):
        await counters[0].charge([CHARGE._replace(child_id=child)], urgent=False)
    assert [2] == await used(stores, owner)
    assert [child] == [row[0] for row in await stores.sql("SELECT account_id FROM account_holds")]


async def login(stores: Stores) -> Any:
    return await AccountStore(stores.database).login("shop-1")


async def test_U24_a_login_is_limited_with_a_child_of_its_account(stores: Stores) -> None:
    await stores.sql(
        "INSERT INTO credentials (account_id, username, secret_hash) VALUES ($1, 'shop-1', '')",
        ACCOUNT,
    )
    child: UUID = await stores.value(
        "INSERT INTO accounts (name, parent_id) VALUES ('branch', $1) RETURNING id", ACCOUNT
    )
    await set_limits(stores, limit(), owner=LimitOwner(child, child, "branch"))
    assert (await login(stores)).is_limited


@pytest.mark.parametrize("of_account", [False, True])
async def test_a_login_says_whether_anything_limits_it(stores: Stores, *, of_account: bool) -> None:
    await stores.sql(
        "INSERT INTO credentials (account_id, username, secret_hash) VALUES ($1, 'shop-1', '')",
        ACCOUNT,
    )
    assert not (await login(stores)).is_limited
    owner = OF_ACCOUNT if of_account else await RateLimitStore(stores.database).credential("shop-1")
    assert owner is not None
    await set_limits(stores, limit(), owner=owner)
    assert (await login(stores)).is_limited
    (line,) = await stores.sql("SELECT actor, action, account_id, detail FROM audit")
    kind = "account" if of_account else "credential"
    assert ("jo@here", f"{kind} limit", ACCOUNT) == tuple(line)[:3]
    assert {kind: owner.name, "set": "10 messages a month", "above": "refuse"} == line["detail"]
