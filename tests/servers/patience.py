"""Waiting for what happens elsewhere, however busy or slow the machine is.

A wait ends as soon as what it waits for has happened, so that a generous limit costs nothing; only
what never happens takes all of it. The load of the machine says too little to be asked: it is that
of the last minute, and knows nothing of processors that a container may use only in part.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

_TIMES_SLOWER = 6.0
_LEAST_SECONDS = 60.0


def on_this_machine(seconds: float) -> float:
    """What a promise of *seconds* may come to where others have most of the processors."""
    return max(seconds * _TIMES_SLOWER, _LEAST_SECONDS)


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


def eventually_says(say: Callable[[], str], pattern: str, within: float = 15.0) -> str:
    """What *say* says as soon as *pattern* is in it, for tests without a loop; fails as `until`."""
    deadline = time.monotonic() + on_this_machine(within)
    while re.search(pattern, said := say()) is None:
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    return said


async def turns_of_the_loop() -> None:
    """Let what has come to the sockets of this process be read, however late it gets to run."""
    for _ in range(10):
        await asyncio.sleep(0.005)
