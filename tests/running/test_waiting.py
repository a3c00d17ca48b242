"""A bounded wait for an event says whether the event came, and loses no cancellation."""

import asyncio

import pytest

from posthouse.running.waiting import wait_for_event


async def test_an_event_that_is_set_needs_no_waiting() -> None:
    event = asyncio.Event()
    event.set()

    assert await wait_for_event(event, 0)
    assert await wait_for_event(event, None)


async def test_an_event_that_comes_in_time_ends_the_wait() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    assert await wait_for_event(event, 3600)


async def test_without_the_event_the_wait_ends_after_the_seconds() -> None:
    assert not await wait_for_event(asyncio.Event(), 0.001)


async def test_an_event_set_in_the_moment_of_the_timeout_counts() -> None:
    event = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait_for_event(event, 0))
        await asyncio.sleep(0)
        event.set()

    assert waiting.result()


async def test_a_cancellation_that_comes_with_the_event_is_not_lost() -> None:
    """`asyncio.wait_for` of Python 3.11 returns True here, and the caller runs on."""
    event = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(wait_for_event(event, 3600))
        await asyncio.sleep(0)
        event.set()
        waiting.cancel()

    assert waiting.cancelled()


async def test_a_timeout_around_it_is_not_taken_for_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await wait_for_event(asyncio.Event(), 3600)
