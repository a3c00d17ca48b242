"""Many work side by side, or one alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Floor:
    """Room for any number of workers, or for one who must have nobody beside it."""

    def __init__(self) -> None:
        self._busy = 0
        self._free = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Work beside others; waits while somebody is, or wants to be, alone."""
        await self._open.wait()
        self._busy += 1
        self._free.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._free.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Work when all others have finished; nobody begins before this ends. For one at a time."""
        self._open.clear()
        try:
            while self._busy:
                await self._free.wait()
            yield
        finally:
            self._open.set()
