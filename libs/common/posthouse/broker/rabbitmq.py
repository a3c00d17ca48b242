"""The broker for several processes: RabbitMQ 3.10 to 4.x, through aio-pika.

What it needs to survive is spread over its parts: the link keeps a connection, the publisher a
channel with confirms, the subscription a consumer, the consumer what was delivered.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from aio_pika.exceptions import ChannelClosed
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.abc import DeliveredMessage

from posthouse.broker import BrokerState, BrokerUnavailable, DeadLetter, Handler, QueueTerms
from posthouse.broker.rabbitmq_consumer import Consumer
from posthouse.broker.rabbitmq_link import ANSWER_WITHIN, Link, broker_failures
from posthouse.broker.rabbitmq_publisher import FAILURES, QUEUE, REASON, Parcel, Publisher
from posthouse.broker.rabbitmq_queues import close_channel, dead_queue


class RabbitMqBroker:
    """Queues in RabbitMQ: one node, or a cluster whose nodes are tried in turn.

    Publishing has a connection of its own: a broker with an alarm stops reading from connections
    that publish, and what consumers acknowledge must not wait behind that. Consuming has another,
    made when it is first needed.
    """

    def __init__(self, *urls: str, terms: QueueTerms | None = None) -> None:
        """*urls*: one for each node."""
        if not urls or not all(url.startswith(("amqp://", "amqps://")) for url in urls):
            raise ValueError("the broker's URL begins with amqp:// or amqps://")
        self._terms = terms or QueueTerms()
        self._publishing = Link(urls, "publishing")
        self._consuming = Link(urls, "consuming")
        self._publisher = Publisher(self._publishing, self._terms)
        self._kept: dict[Link, asyncio.Task[None]] = {}
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, *urls: str, terms: QueueTerms | None = None) -> AsyncIterator[Self]:
        """A broker that is closed when the context is left.

        Connects in the background: RabbitMQ may still be away, see `connected`.
        """
        broker = cls(*urls, terms=terms)
        broker._keep(broker._publishing)
        try:
            yield broker
        finally:
            await broker.close()

    async def publish(self, queue: str, bodies: Sequence[bytes]) -> None:
        """See Broker."""
        await self._publisher.publish(queue, [Parcel(body) for body in bodies])

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> None:
        """See Broker."""
        self._keep(self._consuming)
        consumer = Consumer(queue, handler, self._consuming, self._publisher, self._terms)
        await consumer.run(prefetch)

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """See Broker."""
        self._keep(self._consuming)
        with broker_failures():
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._consuming.up()
                channel = await self._consuming.channel(confirms=False)
                try:
                    return await _browse(await channel.get_underlay_channel(), queue, limit)
                finally:
                    await close_channel(channel)

    @property
    def state(self) -> BrokerState:
        """See Broker."""
        return self._publishing.state

    @property
    def connected(self) -> bool:
        """See Broker."""
        return all(link.state is BrokerState.CONNECTED for link in (self._publishing, *self._kept))

    async def close(self) -> None:
        """See Broker."""
        self._closed = True
        for task in self._kept.values():
            task.cancel()
        await asyncio.gather(*self._kept.values(), return_exceptions=True)

    def _keep(self, link: Link) -> None:
        """Have *link* connected from now on until we are closed."""
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        if link not in self._kept:
            self._kept[link] = asyncio.create_task(link.keep())


async def _browse(wire: WireChannel, queue: str, limit: int) -> list[DeadLetter]:
    """Get up to *limit* without acknowledging them: closing the channel puts them back."""
    letters: list[DeadLetter] = []
    try:
        while len(letters) < limit:
            message = await wire.basic_get(dead_queue(queue))
            if message.delivery_tag is None:
                break
            letters.append(_dead_letter(queue, message))
    except ChannelClosed:
        return []  # nothing ever died there, so there is no such queue
    return letters


def _dead_letter(queue: str, message: DeliveredMessage) -> DeadLetter:
    headers = message.header.properties.headers or {}
    return DeadLetter(
        queue=str(headers.get(QUEUE, queue)),
        body=message.body,
        reason=str(headers.get(REASON, "")),
        failures=int(str(headers.get(FAILURES, 0))),
    )
