"""The terms of acceptance: a message is accepted once under its key, and sent at its time."""

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation
from posthouse.mail.submission import Submission
from posthouse.mail.terms import (
    AcceptedBefore,
    Committed,
    IdempotencyKey,
    KeyTaken,
    SandboxUsedUp,
    Terms,
)
from posthouse.store import StoreRefused
from posthouse.store.account_holds import AccountHolds
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.postgres import Postgres
from posthouse.store.quarantine import Quarantine
from posthouse.store.schedule import Schedule, ScheduleWatch
from posthouse.store.submissions import ClaimedSubmission, SubmissionStore
from servers.patience import on_this_machine
from servers.stores import ACCOUNT, Stores, a_submission, open_stores, operate, prepared

DUE, WAITS = Committed(is_due=True), Committed(is_due=False)
HOUR = timedelta(hours=1)


def keyed(key: str = "order-17", digest: bytes = b"one", **changes: Any) -> Submission:
    """A message under an idempotency key."""
    return a_submission(terms=Terms(key=IdempotencyKey(key, digest)), **changes)


def later(wait: timedelta = HOUR, lane: Lane = Lane.NORMAL, **changes: Any) -> Submission:
    """A message that is to be sent after *wait*."""
    return a_submission(lane, terms=Terms(send_at=datetime.now(UTC) + wait), **changes)


async def let_time_pass(stores: Stores) -> None:
    """An hour, for what is scheduled."""
    await stores.sql("UPDATE scheduled_submissions SET send_at = send_at - $1::interval", HOUR)


# Idempotency keys.


async def test_the_same_message_is_accepted_once(stores: Stores) -> None:
    first, again = keyed(), keyed()
    assert DUE == await stores.submissions.accept(first)
    assert AcceptedBefore(first.id) == await stores.submissions.accept(again)
    assert [first.id] == [c.submission.id for c in (await stores.submissions.claim(9)).submissions]
    assert 1 == await stores.value("SELECT count(*) FROM contents")


async def test_another_message_does_not_get_a_key_that_is_taken(stores: Stores) -> None:
    first = keyed()
    await stores.submissions.accept(first)
    assert KeyTaken(first.id) == await stores.submissions.accept(keyed(digest=b"two"))
    assert 1 == await stores.value("SELECT count(*) FROM submissions")


async def test_keys_are_those_of_an_account(stores: Stores) -> None:
    await stores.submissions.accept(keyed())
    other = keyed(account_id=a_submission().id)
    assert DUE == await stores.submissions.accept(other)


async def test_a_key_is_free_again_after_a_day(stores: Stores) -> None:
    await stores.submissions.accept(keyed())
    await stores.sql("UPDATE idempotency_keys SET until = until - interval '25 hours'")
    second = keyed(digest=b"two")
    assert DUE == await stores.submissions.accept(second)
    assert AcceptedBefore(second.id) == await stores.submissions.accept(keyed(digest=b"two"))


async def test_of_many_at_the_same_moment_one_is_accepted(processes: list[Stores]) -> None:
    """In several processes, and several in one batch."""
    for number in range(10):
        messages = [(p, keyed(f"order-{number}")) for p in processes for _ in range(4)]
        found = await asyncio.gather(*(p.submissions.accept(s) for p, s in messages))
        ids = [s.id for (_, s), one in zip(messages, found, strict=True) if one == DUE]
        assert 1 == len(ids)
        assert {DUE, AcceptedBefore(ids[0])} == set(found)
    assert 10 == await processes[0].value("SELECT count(*) FROM due_submissions")


async def test_batches_that_share_keys_do_not_wait_in_a_circle(processes: list[Stores]) -> None:
    names = [f"order-{number}" for number in range(40)]
    messages = [
        (p, keyed(name))
        for p, order in zip(processes, (1, -1, 1, -1), strict=True)
        for name in names[::order]
    ]
    found = await asyncio.gather(*(p.submissions.accept(s) for p, s in messages))
    assert 40 == found.count(DUE)


async def test_a_message_that_the_store_refuses_leaves_its_key_free(stores: Stores) -> None:
    with pytest.raises(StoreRefused):
        await stores.submissions.accept(keyed(helo="nul\0"))
    assert DUE == await stores.submissions.accept(keyed())


async def test_a_key_that_is_too_old_is_deleted(stores: Stores) -> None:
    await stores.submissions.accept(keyed("old"))
    await stores.sql("UPDATE idempotency_keys SET until = until - interval '25 hours'")
    await stores.submissions.accept(keyed("new"))
    await stores.database.run("forget_idempotency_keys", 100)
    assert "new" == await stores.value("SELECT key FROM idempotency_keys")


# Messages that are accepted together.


async def test_messages_that_go_together_are_all_accepted(stores: Stores) -> None:
    """Also where they are more than one statement writes."""
    large = [a_submission(body=bytes(900_000)) for _ in range(6)]
    together = [*large, later(), keyed()]
    found = await stores.submissions.accept_together(together)
    assert [DUE] * 6 + [WAITS, DUE] == found
    assert 8 == await stores.value("SELECT count(*) FROM contents")
    assert 1 == await stores.value("SELECT count(DISTINCT xmin::text) FROM submissions")
    claimed = (await stores.submissions.claim(9)).submissions
    assert {s.id for s in together} - {together[6].id} == {c.submission.id for c in claimed}


async def test_of_messages_that_go_together_none_is_accepted_if_one_is_refused(
    stores: Stores,
) -> None:
    taken = keyed()
    await stores.submissions.accept(taken)
    together = [keyed("another"), a_submission(), keyed(digest=b"two"), later()]
    assert [KeyTaken(taken.id)] * 4 == await stores.submissions.accept_together(together)
    assert 1 == await stores.value("SELECT count(*) FROM submissions")
    assert DUE == await stores.submissions.accept(keyed("another", b"its key is free"))

    limited = [a_submission(terms=Terms(sandbox_limit=1)) for _ in range(2)]
    assert [SandboxUsedUp(1)] * 2 == await stores.submissions.accept_together(limited)
    assert [DUE] == await stores.submissions.accept_together(limited[:1])


async def test_messages_that_go_together_again_are_those_accepted_before(stores: Stores) -> None:
    first, again = ([keyed(f"k/{n}") for n in range(3)] for _ in range(2))
    await stores.submissions.accept_together(first)
    found = await stores.submissions.accept_together(again)
    assert [AcceptedBefore(s.id) for s in first] == found
    assert 3 == await stores.value("SELECT count(*) FROM submissions")


async def test_of_messages_that_go_together_some_are_handed_over(stores: Stores) -> None:
    """As many as there is room for; the others come by a claim."""
    taken: list[ClaimedSubmission] = []
    stores.submissions.accepted.subscribe(taken.extend, room=lambda: 2)
    await stores.submissions.claim(1)
    together = [a_submission(body=bytes(900_000)) for _ in range(4)]
    found = await stores.submissions.accept_together([later(), *together])
    assert [WAITS, WAITS, WAITS, DUE, DUE] == found
    assert [s.id for s in together[:2]] == [one.submission.id for one in taken]
    claimed = (await stores.submissions.claim(9)).submissions
    assert [s.id for s in together[2:]] == [one.submission.id for one in claimed]


# Scheduled mail.


async def test_scheduled_mail_is_due_at_its_time(stores: Stores) -> None:
    submission = later()
    assert WAITS == await stores.submissions.accept(submission)
    assert {} == await Schedule(stores.database).open()
    assert not (await stores.submissions.claim(1)).submissions
    assert ["accepted", "scheduled"] == await stores.kinds(submission.id)
    found = await stores.story(submission.id)
    assert submission.terms.send_at == found.submission["send_at"]

    await let_time_pass(stores)
    assert {Lane.NORMAL: 1} == await Schedule(stores.database).open()
    (claimed,) = (await stores.submissions.claim(1)).submissions
    assert (submission.id, submission.body) == (claimed.submission.id, claimed.submission.body)
    assert None is (await stores.story(submission.id)).submission["send_at"]


async def test_it_expires_as_long_after_its_time_as_others_after_acceptance(
    stores: Stores,
) -> None:
    submission = later(timedelta(days=20))
    await stores.submissions.accept(submission)
    send_at = datetime.now(UTC) - timedelta(minutes=1)
    await stores.sql("UPDATE scheduled_submissions SET send_at = $1", send_at)
    await Schedule(stores.database).open()
    row = (await stores.sql("SELECT * FROM due_submissions"))[0]
    assert send_at == row["due_at"]
    assert timedelta(days=5) == row["expires_at"] - send_at
    # Its age in the queue is the time since it was due.
    assert row["received_at"] > send_at


async def test_mail_for_a_time_that_is_past_is_due_at_once(stores: Stores) -> None:
    submission = later(-HOUR)
    assert DUE == await stores.submissions.accept(submission)
    assert ["accepted"] == await stores.kinds(submission.id)


@pytest.mark.parametrize("lane", [Lane.VERY_HIGH, Lane.BULK])
async def test_mail_that_is_not_due_pauses_no_lane(emptied: str, lane: Lane) -> None:
    async with open_stores(emptied, window=60.0) as stores:
        await stores.submissions.accept(later(lane=lane))
        (delivery, _) = await stores.queue(Lane.BULK)
        claims = await stores.deliveries.claim(1)
        assert [delivery.id] == [c.delivery.id for c in claims.deliveries]


async def test_two_processes_open_it_once(processes: list[Stores]) -> None:
    for _ in range(30):
        await processes[0].submissions.accept(later())
    await let_time_pass(processes[0])
    opened = await asyncio.gather(*(Schedule(p.database).open() for p in processes))
    assert 30 == sum(sum(lanes.values()) for lanes in opened)
    assert 30 == await processes[0].value("SELECT count(*) FROM due_submissions")


async def test_the_watch_makes_it_due_and_tells_its_lane(stores: Stores) -> None:
    await stores.submissions.accept(later(lane=Lane.LOW))
    schedule = Schedule(stores.database)
    assert 3590 < await schedule.seconds_to_first() <= 3600
    await let_time_pass(stores)
    stopping, told = asyncio.Event(), asyncio.Queue[Lane]()
    async with asyncio.timeout(on_this_machine(20)), asyncio.TaskGroup() as tasks:
        tasks.create_task(ScheduleWatch(schedule, told.put_nowait).run(stopping))
        assert Lane.LOW is await told.get()
        stopping.set()
    assert math.inf == await schedule.seconds_to_first()
    assert 1 == len((await stores.submissions.claim(1)).submissions)


async def test_what_is_cancelled_is_never_sent(stores: Stores) -> None:
    submission = later()
    await stores.submissions.accept(submission)
    schedule = Schedule(stores.database)
    assert [submission.id] == [one.id for one in await schedule.first(10, ACCOUNT)]
    assert await schedule.cancel(submission.id, "root@relay")
    assert not await schedule.cancel(submission.id, "root@relay")
    await let_time_pass(stores)
    assert {} == await schedule.open()
    assert ["accepted", "scheduled", "cancelled"] == await stores.kinds(submission.id)


async def test_scheduled_mail_of_a_held_account_waits_for_both(stores: Stores) -> None:
    await AccountHolds(stores.database).hold(ACCOUNT, "root@relay", "not paid")
    await stores.submissions.accept(later())
    await let_time_pass(stores)
    await Schedule(stores.database).open()
    assert not (await stores.submissions.claim(1)).submissions
    await AccountHolds(stores.database).release(ACCOUNT, "root@relay")
    assert 1 == len((await stores.submissions.claim(1)).submissions)


async def test_the_queue_shows_it_and_how_late_it_is(stores: Stores) -> None:
    await stores.submissions.accept(later())
    (line,) = await stores.timeline.queue()
    assert ("scheduled", 1, 0.0) == (line.state, line.messages, line.oldest_seconds)
    await stores.sql("UPDATE scheduled_submissions SET send_at = now() - interval '1 minute'")
    (line,) = await stores.timeline.queue()
    assert 60 == round(line.oldest_seconds)


async def test_out_of_the_quarantine_it_is_scheduled_again(stores: Stores) -> None:
    """All open mail of a restored database is quarantined: it may have been cancelled since."""
    submission, plain = later(), a_submission()
    await stores.submissions.accept(submission)
    await stores.submissions.accept(plain)
    quarantine = Quarantine(stores.database)
    assert 2 == await quarantine.add_all("restored")
    await let_time_pass(stores)
    assert {} == await Schedule(stores.database).open()
    assert 2 == await operate(stores.database, MailOperation.RELEASE)
    (claimed,) = (await stores.submissions.claim(9)).submissions
    assert plain.id == claimed.submission.id
    row = (await stores.sql("SELECT * FROM scheduled_submissions"))[0]
    assert submission.terms.send_at == row["send_at"]
    assert timedelta(days=5) == row["keep_trying"]


async def test_its_body_is_kept_until_it_is_sent(database: str) -> None:
    """However long that is: it moves out of partitions that are dropped."""
    async with open_stores(database) as stores:
        submission, plain = later(timedelta(days=30)), a_submission()
        await stores.submissions.accept(submission)
        await stores.submissions.accept(plain)
        await stores.sql("DELETE FROM due_submissions")  # it is finished
        await stores.sql(
            "SELECT retire_partitions('contents', now() + interval '9 hours', false, 9, 100000)"
        )
        await stores.sql("DELETE FROM events")
        await stores.sql("SELECT sweep_default('contents', $1, 100, now())", UUID(int=0))
        assert [submission.id] == [row["id"] for row in await stores.sql("SELECT id FROM contents")]


async def test_a_message_may_be_scheduled_under_a_key(stores: Stores) -> None:
    send_at = datetime.now(UTC) + HOUR
    terms = Terms(key=IdempotencyKey("order-17", b"one"), send_at=send_at)
    first, again, plain = a_submission(terms=terms), a_submission(terms=terms), keyed("order-18")
    found = await asyncio.gather(*map(stores.submissions.accept, (first, again, plain)))
    assert [WAITS, AcceptedBefore(first.id), DUE] == found


# Policy in the same process.


@pytest_asyncio.fixture
async def handing(emptied: str) -> AsyncIterator[tuple[SubmissionStore, list[ClaimedSubmission]]]:
    """A store whose process has policy, idle and with room, and what policy was handed."""
    handoff: DirectHandoff[ClaimedSubmission] = DirectHandoff()
    taken: list[ClaimedSubmission] = []
    handoff.subscribe(taken.extend, room=lambda: 5)
    async with Postgres(emptied) as database, Postgres(emptied, background=True) as background:
        store = SubmissionStore(database, background, accepted=handoff)
        await store.claim(1)
        yield store, taken


async def test_what_has_a_key_is_handed_over_and_what_waits_is_not(
    handing: tuple[SubmissionStore, list[ClaimedSubmission]],
) -> None:
    """What was accepted before neither, and none of it closes the way."""
    store, taken = handing
    first, again, other, waits = keyed(), keyed(), keyed("order-18"), later()
    assert WAITS == await store.accept(first)
    found = await asyncio.gather(*map(store.accept, (again, waits, other)))
    assert [AcceptedBefore(first.id), WAITS, WAITS] == found
    assert [first.id, other.id] == [c.submission.id for c in taken]
    assert WAITS == await store.accept(a_submission())
    assert 3 == len(taken)


async def test_what_was_scheduled_for_now_is_brought_by_a_claim(
    handing: tuple[SubmissionStore, list[ClaimedSubmission]],
) -> None:
    """Nothing is handed over before it."""
    store, taken = handing
    assert DUE == await store.accept(later(-HOUR))
    assert DUE == await store.accept(a_submission())
    assert [] == taken
    assert 2 == len((await store.claim(9)).submissions)


# The sandbox.


async def test_an_account_has_so_many_from_the_sandbox_in_all_its_life(
    processes: list[Stores],
) -> None:
    """However many arrive at the same moment."""
    messages = [
        (p, a_submission(terms=Terms(sandbox_limit=5))) for p in processes for _ in range(3)
    ]
    found = await asyncio.gather(*(p.submissions.accept(s) for p, s in messages))
    assert (5, 7) == (found.count(DUE), found.count(SandboxUsedUp(5)))
    assert 5 == await processes[0].value("SELECT count(*) FROM due_submissions")
    assert 5 == await processes[0].value("SELECT accepted FROM sandbox_counts")


async def test_a_message_over_the_limit_leaves_its_key_free(stores: Stores) -> None:
    key = IdempotencyKey("order-17", b"one")
    refused = a_submission(terms=Terms(key=key, sandbox_limit=0))
    assert SandboxUsedUp(0) == await stores.submissions.accept(refused)
    allowed = a_submission(terms=Terms(key=key, sandbox_limit=1))
    assert DUE == await stores.submissions.accept(allowed)
    again = a_submission(terms=Terms(key=key, sandbox_limit=1))
    assert AcceptedBefore(allowed.id) == await stores.submissions.accept(again)


async def test_a_prepared_message_was_not_handed_over_twice(stores: Stores) -> None:
    """What comes due by its time is prepared like any other."""
    await stores.submissions.accept(later(-HOUR))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([prepared(claimed)])
    assert 2 == len((await stores.deliveries.claim(9)).deliveries)
