"""Waiting for what happens elsewhere, for longer where the machine has more to do than it can."""

import asyncio
import os
from collections.abc import Awaitable, Callable

_MOST_TIMES_SLOWER = 6.0


def on_this_machine(seconds: float) -> float:
    """What a promise of *seconds* comes to while other tests run on the same processors."""
    wanted, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return seconds * min(max(1.0, wanted / processors), _MOST_TIMES_SLOWER)


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Return as soon as *condition* holds; fails after *within* seconds of a machine at rest."""

    async def holds() -> bool:
        return condition()

    await eventually(holds, within, look=0.01)


async def eventually(
    holds: Callable[[], Awaitable[bool]], within: float = 15.0, *, look: float = 0.05
) -> None:
    """Return as soon as *holds*, asked each *look* seconds, says so; fails as `until` does."""
    loop = asyncio.get_running_loop()
    within = on_this_machine(within)
    deadline = loop.time() + within
    while not await holds():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(look)
