"""Waiting for what happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Return as soon as *condition* holds; fails after *within* seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(0.01)


async def eventually(holds: Callable[[], Awaitable[bool]], within: float = 15.0) -> None:
    """Return as soon as *holds* says so; fails after *within* seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await holds():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(0.05)
