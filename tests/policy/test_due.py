"""What goes together into a batch."""

import asyncio
from typing import Any

import pytest

from policy import due as due_module
from policy.due import Claim, Due, Line
from posthouse.mail.lane import Lane
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions
from servers.stores import a_submission

MOST = 8


def some(count: int, lane: Lane = Lane.NORMAL) -> list[ClaimedSubmission]:
    return [ClaimedSubmission(a_submission(lane), claims=1) for _ in range(count)]


async def nothing_to_claim(lowest: Lane) -> ClaimedSubmissions:
    del lowest
    return ClaimedSubmissions((), more=False)


async def next_of(line: Line) -> int:
    """How many are in the next batch, which is done with at once."""
    async with line.batch(nothing_to_claim) as batch:
        return len(batch)


async def after_a_batch_of(count: int, *then: ClaimedSubmission) -> tuple[Due, asyncio.Task[int]]:
    """How many are in the batch that follows one of *count*, when *then* was handed over."""
    due = Due(MOST, poll_seconds=60)
    due.take(some(count))
    assert count == await next_of(due.all)
    due.take(then)
    return due, asyncio.create_task(next_of(due.all))


async def turns_until_done(task: asyncio.Task[Any]) -> int:
    """So many turns of the event loop, no more than ten: none of them takes any time."""
    for turns in range(10):
        if task.done():
            return turns
        await asyncio.sleep(0)
    return 10


async def test_where_little_happens_nobody_waits_for_company() -> None:
    _, task = await after_a_batch_of(1, *some(1))

    assert await turns_until_done(task) < 3
    assert 1 == await task


async def test_on_a_busy_relay_a_batch_waits_until_there_is_no_room_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_module, "_COMPANY_SECONDS", 3600)
    due, task = await after_a_batch_of(4, *some(1))
    assert await turns_until_done(task) == 10
    due.take(some(2))
    assert await turns_until_done(task) == 10
    due.take(some(MOST - 3))

    assert await turns_until_done(task) < 5
    assert MOST == await task


async def test_it_goes_alone_when_no_company_comes() -> None:
    _, task = await after_a_batch_of(4, *some(1))

    assert 1 == await task


@pytest.mark.parametrize("lane", [Lane.VERY_HIGH, Lane.HIGH])
async def test_the_express_waits_for_no_company_and_no_batch_of_others(lane: Lane) -> None:
    due = Due(MOST, poll_seconds=60)
    due.take(some(4))
    async with due.all.batch(nothing_to_claim):
        due.take(some(4, lane))
        assert 4 == await next_of(due.express)
        due.take(some(1, lane))
        task = asyncio.create_task(next_of(due.express))

        assert await turns_until_done(task) < 3
        assert 1 == await task


async def test_what_was_handed_over_waits_while_the_express_is_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_module, "_PATIENT_SECONDS", 3600)
    due = Due(MOST, poll_seconds=60)
    due.take([*some(1, Lane.HIGH), *some(1)])
    async with due.express.batch(nothing_to_claim):
        task = asyncio.create_task(next_of(due.all))
        assert await turns_until_done(task) == 10

    assert await turns_until_done(task) < 3
    assert 1 == await task


async def test_what_the_express_was_handed_goes_before_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anybody has begun with it, too."""
    monkeypatch.setattr(due_module, "_PATIENT_SECONDS", 3600)
    due = Due(MOST, poll_seconds=60)
    due.take([*some(1, Lane.HIGH), *some(1)])
    others = asyncio.create_task(next_of(due.all))
    assert await turns_until_done(others) == 10

    async with due.express.batch(nothing_to_claim):
        due.take(some(1, Lane.VERY_HIGH))
    assert await turns_until_done(others) == 10
    assert 1 == await next_of(due.express)
    assert await turns_until_done(others) < 3


@pytest.mark.parametrize("lane", [Lane.HIGH, Lane.NORMAL])
async def test_clients_are_answered_before_work_on_their_mail_begins(lane: Lane) -> None:
    """Though they are told only after it was handed over."""
    due = Due(MOST, poll_seconds=60)
    line = due.express if lane is Lane.HIGH else due.all
    order = []

    async def work() -> None:
        async with line.batch(nothing_to_claim):
            order.append("policy")

    working = asyncio.create_task(work())
    await turns_until_done(working)
    due.take(some(1, lane))
    asyncio.get_running_loop().call_soon(order.append, "client")
    await working

    assert order == ["client", "policy"]


async def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_module, "_PATIENT_SECONDS", 0.01)
    due = Due(MOST, poll_seconds=60)
    due.take([*some(1, Lane.HIGH), *some(1)])
    async with due.express.batch(nothing_to_claim):
        assert 1 == await next_of(due.all)


async def test_the_express_asks_only_when_it_is_told() -> None:
    asked = asyncio.Event()

    async def claim(lowest: Lane) -> ClaimedSubmissions:
        assert lowest is Lane.HIGH
        asked.set()
        return ClaimedSubmissions((), more=False)

    due = Due(MOST, poll_seconds=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nothing(due.express, claim))
        due.wake(Lane.NORMAL)
        await asyncio.sleep(0.01)
        assert not asked.is_set()
        due.wake(Lane.HIGH)
        await asked.wait()
        due.stop()


async def nothing(line: Line, claim: Claim) -> None:
    async with line.batch(claim) as batch:
        assert not batch
