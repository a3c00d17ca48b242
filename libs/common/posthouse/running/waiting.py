"""Waits: for an event with an upper bound, and before a retry."""

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


def wait_before_retry(
    failures: int, chance: float, *, first: float = 0.1, longest: float = 5.0
) -> float:
    """Seconds to wait after *failures* in a row (1, 2, ...), doubling from *first* to *longest*.

    *chance* in [0, 1) takes away up to half, so that callers that failed together do not return
    together.
    """
    doublings = min(max(failures - 1, 0), 30)
    return min(first * 2.0**doublings, longest) * (1 - chance / 2)
