"""The broker of a single process: the same port and promises, kept in memory.

What is queued dies with the process. That loses nothing: hints only wake, and in one process
those who would be woken die too and look for work when they start.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import structlog

from posthouse.broker import BrokerState, BrokerUnavailable, DeadLetter, Handler, QueueTerms
from posthouse.broker.attempt import attempt

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Item:
    body: bytes
    expires: float  # by the event loop's clock
    failures: int = 0


class EmbeddedBroker:
    """Queues in the memory of this process, shared by all who hold this object."""

    def __init__(self, terms: QueueTerms | None = None) -> None:
        self._terms = terms or QueueTerms()
        self._queues: defaultdict[str, asyncio.Queue[_Item]] = defaultdict(asyncio.Queue)
        self._dead: defaultdict[str, deque[DeadLetter]] = defaultdict(
            lambda: deque(maxlen=self._terms.at_most)
        )
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, terms: QueueTerms | None = None) -> AsyncIterator[Self]:
        """A broker that is closed when the context is left."""
        broker = cls(terms)
        try:
            yield broker
        finally:
            await broker.close()

    async def publish(self, queue: str, bodies: Sequence[bytes]) -> None:
        """See Broker."""
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        expires = asyncio.get_running_loop().time() + self._terms.keep_for
        for body in bodies:
            self._put(queue, _Item(body, expires))

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> None:
        """See Broker."""
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        free = asyncio.Semaphore(prefetch)
        async with asyncio.TaskGroup() as handlers:
            while True:
                await free.acquire()
                item = await self._take(queue)
                running = handlers.create_task(self._handle(queue, item, handler))
                running.add_done_callback(lambda _: free.release())

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """See Broker."""
        return list(self._dead[queue])[:limit]

    @property
    def state(self) -> BrokerState:
        """See Broker."""
        return BrokerState.AWAY if self._closed else BrokerState.CONNECTED

    @property
    def connected(self) -> bool:
        """See Broker."""
        return not self._closed

    async def close(self) -> None:
        """See Broker."""
        self._closed = True
        self._queues.clear()

    def _put(self, queue: str, item: _Item) -> None:
        ready = self._queues[queue]
        if ready.qsize() >= self._terms.at_most:
            ready.get_nowait()
        ready.put_nowait(item)

    async def _take(self, queue: str) -> _Item:
        clock = asyncio.get_running_loop().time
        while True:
            item = await self._queues[queue].get()
            if item.expires > clock():
                return item

    async def _handle(self, queue: str, item: _Item, handler: Handler) -> None:
        try:
            reason = await attempt(handler, item.body)
        except asyncio.CancelledError:
            self._put(queue, item)
            raise
        if reason is not None:
            self._failed(queue, item, reason)

    def _failed(self, queue: str, item: _Item, reason: str) -> None:
        failures = item.failures + 1
        if failures >= self._terms.failures:
            log.error("dead_lettered", queue=queue, failures=failures, reason=reason)
            self._dead[queue].append(DeadLetter(queue, item.body, reason, failures))
            return
        log.warning("handling_failed", queue=queue, failures=failures, reason=reason)
        loop = asyncio.get_running_loop()
        delay = self._terms.retry_after
        again = _Item(item.body, loop.time() + delay + self._terms.keep_for, failures)
        loop.call_later(delay, self._put, queue, again)
