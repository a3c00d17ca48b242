"""Hints leave after the commit that made them true, and wake whoever waits for them."""

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from posthouse.broker import Broker, BrokerUnavailable, Hint
from posthouse.mail.lane import Lane

# A hint is a few octets and handled at once: as many as arrive together may be on their way.
_PREFETCH = 50

log = structlog.get_logger()


class Announcer:
    """Tells the queues of one kind that there is work; never waits, never fails its caller.

    What is announced while a publish is under way leaves together in the next one. A hint that
    the broker does not take is dropped: workers also look by themselves.
    """

    def __init__(self, broker: Broker, queue_of: Callable[[Lane], str]) -> None:
        self._broker = broker
        self._queue_of = queue_of
        self._news: Counter[Lane] = Counter()
        self._told = asyncio.Event()

    def announce(self, lane: Lane, count: int = 1) -> None:
        """*count* items became due in *lane*; call it after their commit."""
        self._news[lane] += count
        self._told.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until *stopping*."""
        ending = asyncio.ensure_future(stopping.wait())
        ending.add_done_callback(lambda _: self._told.set())
        try:
            while not stopping.is_set():
                await self._told.wait()
                await self._publish()
        finally:
            ending.cancel()

    async def _publish(self) -> None:
        self._told.clear()
        news, self._news = self._news, Counter()
        for lane, count in sorted(news.items()):
            try:
                hint = Hint(lane=lane, count=count)
                await self._broker.publish(self._queue_of(lane), [hint.encode()])
            except BrokerUnavailable as error:
                log.debug("hint_dropped", lane=lane.label, reason=str(error))


class Listener:
    """Calls *heard* for every hint of one kind of queue, whatever its lane."""

    def __init__(
        self, broker: Broker, queue_of: Callable[[Lane], str], heard: Callable[[Lane], None]
    ) -> None:
        self._broker = broker
        self._queue_of = queue_of
        self._heard = heard

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until *stopping*."""
        async with asyncio.TaskGroup() as tasks:
            listening = [
                tasks.create_task(
                    self._broker.consume(self._queue_of(lane), self._on_hint, prefetch=_PREFETCH)
                )
                for lane in Lane
            ]
            await stopping.wait()
            for task in listening:
                task.cancel()

    async def _on_hint(self, body: bytes) -> None:
        self._heard(Hint.decode(body).lane)
