"""Waiting for what happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Return as soon as *condition* holds; fails after *within* seconds."""

    async def holds() -> bool:
        return condition()

    await eventually(holds, within, look=0.01)


async def eventually(
    holds: Callable[[], Awaitable[bool]], within: float = 15.0, *, look: float = 0.05
) -> None:
    """Return as soon as *holds*, asked each *look* seconds, says so; fails after *within*."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await holds():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(look)
