"""What goes together into a batch."""

import asyncio
from typing import Any

import pytest

from policy import work_source as module
from policy.work_source import Claim, ClaimQueue, WorkSource
from posthouse.mail.lane import Lane
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions
from servers.stores import a_submission

MOST = 8


def some(count: int, lane: Lane = Lane.NORMAL) -> list[ClaimedSubmission]:
    return [ClaimedSubmission(a_submission(lane), claims=1) for _ in range(count)]


async def nothing_to_claim(lowest: Lane) -> ClaimedSubmissions:
    del lowest
    return ClaimedSubmissions((), more=False)


async def next_of(queue: ClaimQueue) -> int:
    """How many are in the next batch, which is done with at once."""
    async with queue.batch(nothing_to_claim) as batch:
        return len(batch)


async def after_a_batch_of(
    count: int, *then: ClaimedSubmission
) -> tuple[WorkSource, asyncio.Task[int]]:
    """How many are in the batch that follows one of *count*, when *then* was handed over."""
    work = WorkSource(MOST, poll_seconds=60)
    work.put(some(count))
    assert count == await next_of(work.others)
    work.put(then)
    return work, asyncio.create_task(next_of(work.others))


async def turns_until_done(task: asyncio.Task[Any]) -> int:
    """A few turns of the event loop, no more than ten: none of them takes any time."""
    for turns in range(10):
        if task.done():
            return turns
        await asyncio.sleep(0)
    return 10


async def test_where_little_happens_a_batch_does_not_linger() -> None:
    _, task = await after_a_batch_of(1, *some(1))

    assert await turns_until_done(task) < 3
    assert 1 == await task


async def test_on_a_busy_relay_a_batch_waits_until_there_is_no_room_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LINGER_SECONDS", 3600)
    work, task = await after_a_batch_of(4, *some(1))
    assert await turns_until_done(task) == 10
    work.put(some(2))
    assert await turns_until_done(task) == 10
    work.put(some(MOST - 3))

    assert await turns_until_done(task) < 5
    assert MOST == await task


async def test_it_lingers_for_milliseconds_only() -> None:
    _, task = await after_a_batch_of(4, *some(1))

    assert 1 == await task


@pytest.mark.parametrize("lane", [Lane.VERY_HIGH, Lane.HIGH])
async def test_urgent_mail_does_not_linger_nor_wait_for_a_batch_of_others(lane: Lane) -> None:
    work = WorkSource(MOST, poll_seconds=60)
    work.put(some(4))
    async with work.others.batch(nothing_to_claim):
        work.put(some(4, lane))
        assert 4 == await next_of(work.urgent)
        work.put(some(1, lane))
        task = asyncio.create_task(next_of(work.urgent))

        assert await turns_until_done(task) < 3
        assert 1 == await task


async def test_what_was_handed_over_waits_while_urgent_mail_is_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_YIELD_SECONDS", 3600)
    work = WorkSource(MOST, poll_seconds=60)
    work.put([*some(1, Lane.HIGH), *some(1)])
    async with work.urgent.batch(nothing_to_claim):
        task = asyncio.create_task(next_of(work.others))
        assert await turns_until_done(task) == 10

    assert await turns_until_done(task) < 3
    assert 1 == await task


async def test_urgent_mail_that_was_handed_over_goes_before_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also before work on it has begun."""
    monkeypatch.setattr(module, "_YIELD_SECONDS", 3600)
    work = WorkSource(MOST, poll_seconds=60)
    work.put([*some(1, Lane.HIGH), *some(1)])
    others = asyncio.create_task(next_of(work.others))
    assert await turns_until_done(others) == 10

    async with work.urgent.batch(nothing_to_claim):
        work.put(some(1, Lane.VERY_HIGH))
    assert await turns_until_done(others) == 10
    assert 1 == await next_of(work.urgent)
    assert await turns_until_done(others) < 3


@pytest.mark.parametrize("lane", [Lane.HIGH, Lane.NORMAL])
async def test_clients_are_answered_before_work_on_their_mail_begins(lane: Lane) -> None:
    """Though they are told only after it was handed over."""
    work = WorkSource(MOST, poll_seconds=60)
    queue = work.urgent if lane is Lane.HIGH else work.others
    order = []

    async def serve() -> None:
        async with queue.batch(nothing_to_claim):
            order.append("policy")

    working = asyncio.create_task(serve())
    await turns_until_done(working)
    work.put(some(1, lane))
    asyncio.get_running_loop().call_soon(order.append, "client")
    await working

    assert order == ["client", "policy"]


async def test_others_yield_to_urgent_mail_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_YIELD_SECONDS", 0.01)
    work = WorkSource(MOST, poll_seconds=60)
    work.put([*some(1, Lane.HIGH), *some(1)])
    async with work.urgent.batch(nothing_to_claim):
        assert 1 == await next_of(work.others)


async def test_the_urgent_queue_claims_only_on_a_hint() -> None:
    asked = asyncio.Event()

    async def claim(lowest: Lane) -> ClaimedSubmissions:
        assert lowest is Lane.HIGH
        asked.set()
        return ClaimedSubmissions((), more=False)

    work = WorkSource(MOST, poll_seconds=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nothing(work.urgent, claim))
        work.wake(Lane.NORMAL)
        await asyncio.sleep(0.01)
        assert not asked.is_set()
        work.wake(Lane.HIGH)
        await asked.wait()
        work.stop()


async def nothing(queue: ClaimQueue, claim: Claim) -> None:
    async with queue.batch(claim) as batch:
        assert not batch
