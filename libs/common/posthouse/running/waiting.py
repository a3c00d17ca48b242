"""One way to wait for an event, at most so long."""

import asyncio


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Whether *event* was set within *seconds*."""
    try:
        # asyncio.wait_for loses cancellations on Python 3.11.
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
