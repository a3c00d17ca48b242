"""Waits for an event with an upper bound."""

import asyncio


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until *event* is set, at most *seconds* (None: without a limit); whether it is set.

    A cancellation of the caller always gets through: `asyncio.wait_for` can lose one on Python 3.11
    when it arrives together with the result.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
