"""Waiting for what happens elsewhere."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Return as soon as *condition* holds; fails after *within* seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(0.01)
