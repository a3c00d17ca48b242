"""What goes together into a batch."""

import asyncio
from collections.abc import Sequence

from policy.due import Due
from posthouse.mail.lane import Lane
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions
from servers.stores import a_submission

MOST = 8


def some(count: int, lane: Lane = Lane.NORMAL) -> list[ClaimedSubmission]:
    return [ClaimedSubmission(a_submission(lane), claims=1) for _ in range(count)]


async def nothing_to_claim() -> ClaimedSubmissions:
    return ClaimedSubmissions((), more=False)


async def after_a_batch_of(count: int, *then: ClaimedSubmission) -> tuple[Due, asyncio.Task[int]]:
    """How many are in the batch that follows one of *count*, when *then* was handed over."""
    due = Due(MOST, poll_seconds=60)
    due.take(some(count))
    assert count == len(await due.batch(nothing_to_claim))
    due.take(then)

    async def following() -> int:
        return len(await due.batch(nothing_to_claim))

    return due, asyncio.create_task(following())


async def turns_until_done(task: asyncio.Task[int]) -> int:
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


async def test_on_a_busy_relay_a_batch_waits_until_there_is_no_room_for_more() -> None:
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


async def test_the_two_highest_lanes_wait_for_nobody() -> None:
    lanes: Sequence[Lane] = (Lane.VERY_HIGH, Lane.HIGH)
    for lane in lanes:
        due, task = await after_a_batch_of(4, *some(2))
        assert await turns_until_done(task) == 10
        due.take(some(1, lane))

        assert await turns_until_done(task) < 5
        assert 1 == await task
