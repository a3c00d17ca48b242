"""Waiting for what a relay does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

_LOOK_SECONDS = 0.05


async def eventually(holds: Callable[[], Awaitable[bool]], within: float = 15.0) -> None:
    """Return as soon as *holds* says so; fails after *within* seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await holds():
        assert loop.time() < deadline, f"did not happen within {within:g} seconds"
        await asyncio.sleep(_LOOK_SECONDS)
