"""A consumer for tests that remembers what it was given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from posthouse.broker import Broker, Handler


class Seen:
    """A handler that remembers bodies, in order, and how many it was working on at most."""

    def __init__(self, then: Handler | None = None) -> None:
        self.bodies: list[bytes] = []
        self.most_at_once = 0
        self._at_once = 0
        self._then = then

    async def __call__(self, body: bytes) -> None:
        """Remember *body*, then do what else there is to do."""
        self.bodies.append(body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self._then is not None:
                await self._then(body)
        finally:
            self._at_once -= 1


@asynccontextmanager
async def consuming(
    broker: Broker, queue: str, handler: Handler, prefetch: int = 10
) -> AsyncIterator[asyncio.Task[None]]:
    """Consume in the background while inside."""
    task = asyncio.create_task(broker.consume(queue, handler, prefetch=prefetch))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
