"""One channel that is fed from one queue, for as long as it lasts."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import takewhile

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.abc import ConsumerCallback
from prometheus_client import Gauge

from posthouse.broker.rabbitmq_link import ANSWER_WITHIN, broker_failures
from posthouse.broker.rabbitmq_queues import close_channel

CONSUMERS = Gauge("posthouse_amqp_consumers", "Consumers that RabbitMQ feeds", ["queue"])

_ASK_EVERY = 30.0  # seconds; a consumer that was lost without a word is found by then

_TAKE_CONSUMER_WITHIN = 3.0  # seconds; less than for other answers, as it tells of a broken queue


class QueueMute(Exception):
    """The broker answers, but this queue of it does not."""


def acknowledgements(unsettled: Iterable[int], finished: set[int]) -> list[tuple[int, bool]]:
    """The fewest acks for the *finished* ones of the *unsettled* tags: (tag, and all before it)."""
    first = list(takewhile(finished.__contains__, unsettled))
    upto = [(first[-1], True)] if first else []
    return upto + [(tag, False) for tag in sorted(finished.difference(first))]


class Subscription:
    """A consumer on a channel of its own, and what was delivered over it and is not settled."""

    def __init__(self, queue: str, channel: AbstractChannel) -> None:
        self.gone = asyncio.Event()
        self.cancelled = False  # by the broker, because the queue was deleted
        self._queue = queue
        self._channel = channel
        self._wire: WireChannel | None = None
        self._unsettled: dict[int, None] = {}  # in the order of delivery
        self._finished: set[int] = set()

    async def last(self, on_message: ConsumerCallback, prefetch: int) -> None:
        """Subscribe, and return when consumer, channel, queue or connection is gone."""
        try:
            with broker_failures():
                wire = await self._subscribe(on_message, prefetch)
                with CONSUMERS.labels(self._queue).track_inprogress():
                    await self._outlast(wire)
        finally:
            self.gone.set()
            await close_channel(self._channel)

    def take(self, tag: int) -> None:
        """Note a delivery; in the order in which they come."""
        self._unsettled[tag] = None

    async def settle(self, tag: int) -> None:
        """Tell the broker that this one is done, together with others that are done just now."""
        self._finished.add(tag)
        if len(self._finished) > 1:
            return  # whoever was first tells
        await asyncio.sleep(0)
        acks = acknowledgements(self._unsettled, self._finished)
        for finished in self._finished:
            self._unsettled.pop(finished, None)
        self._finished = set()
        # A channel that is gone needs no word from us: the broker delivers the body again.
        with suppress(*CONNECTION_EXCEPTIONS):
            for last, multiple in acks:
                await self._open_wire().basic_ack(last, multiple=multiple, wait=False)

    def _open_wire(self) -> WireChannel:
        if self._wire is None:
            raise RuntimeError("nothing was delivered yet")
        return self._wire

    async def _subscribe(self, on_message: ConsumerCallback, prefetch: int) -> WireChannel:
        wire = self._wire = await self._channel.get_underlay_channel()
        self._channel.close_callbacks.add(lambda *_: self.gone.set())
        wire.on_consumer_cancel_callbacks.add(self._on_cancel)
        async with asyncio.timeout(ANSWER_WITHIN):
            await wire.basic_qos(prefetch_count=prefetch)
        try:
            async with asyncio.timeout(_TAKE_CONSUMER_WITHIN):
                await wire.basic_consume(self._queue, on_message)
        except TimeoutError as error:
            raise QueueMute(f"{self._queue} takes no consumer") from error
        return wire

    def _on_cancel(self, _: object) -> None:
        self.cancelled = True
        self.gone.set()

    async def _outlast(self, wire: WireChannel) -> None:
        while not self.gone.is_set():
            try:
                async with asyncio.timeout(_ASK_EVERY):
                    await self.gone.wait()
            except TimeoutError:
                async with asyncio.timeout(ANSWER_WITHIN):
                    found = await wire.queue_declare(self._queue, passive=True)
                if not found.consumer_count:
                    return
