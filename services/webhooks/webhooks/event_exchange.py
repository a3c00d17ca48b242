"""The topic exchange of RabbitMQ that events are published to: persistent, mandatory, confirmed.

Unlike hints (`posthouse.broker.rabbitmq`), nothing may be lost here. RabbitMQ confirms a message
when every queue that takes it has it, on disk where the queue is durable; one that no queue takes
comes back before that.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from itertools import cycle

import aio_pika
import structlog
from aio_pika.abc import AbstractExchange
from aio_pika.connection import make_url
from aio_pika.exceptions import DeliveryError
from aiormq import spec

from posthouse.broker import BrokerUnavailable
from posthouse.broker.amqp_connection import close, find_host, heed_cancellation, within
from posthouse.store.event_pages import PlacedEvent

log = structlog.get_logger()

_HEARTBEAT = 6  # seconds
_OPEN_SECONDS = 5.0
_CONFIRM_SECONDS = 10.0  # for all events that are published together


class PublishResult(Enum):
    """What RabbitMQ says of an event."""

    TAKEN = auto()  # by every queue that is bound for it
    UNROUTED = auto()  # no queue is
    REFUSED = auto()  # a queue did not take it: it is full, or has no leader


class EventExchange:
    """One connection, made when there is something to publish, and kept until it fails.

    Not for two callers at one time.
    """

    def __init__(self, name: str, urls: Sequence[str]) -> None:
        """The exchange *name* is made if there is none. *urls*: nodes, which are tried in turn."""
        self.name = name
        self._urls = cycle(urls)
        self._connection: aio_pika.Connection | None = None
        self._exchange: AbstractExchange | None = None

    async def publish(self, events: Sequence[PlacedEvent]) -> list[PublishResult]:
        """What is said of each; raises BrokerUnavailable, then any of them may have been taken."""
        try:
            exchange = self._exchange or await self._open()
            async with within(_CONFIRM_SECONDS):
                said = await asyncio.gather(
                    *(_publish(exchange, event) for event in events), return_exceptions=True
                )
            return [_heard(one) for one in said]
        # Whatever ends a connection, another one is tried.
        except Exception as error:
            heed_cancellation()
            await self.close()
            if isinstance(error, BrokerUnavailable):
                raise
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """End the connection; the next `publish` makes another one."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await close(connection)

    async def _open(self) -> AbstractExchange:
        url = next(self._urls)
        async with within(_OPEN_SECONDS):
            await find_host(url)
            address = make_url(url, heartbeat=_HEARTBEAT, name="posthouse-events")
            self._connection = connection = aio_pika.Connection(address)
            await connection.connect()
            channel = connection.channel(publisher_confirms=True)
            await channel.initialize()
            self._exchange = await channel.declare_exchange(
                self.name, aio_pika.ExchangeType.TOPIC, durable=True
            )
        log.info("event_exchange_connected", exchange=self.name)
        return self._exchange


def routing_key(event: PlacedEvent) -> str:
    """The account's id and the kind: ACCOUNT.bounced."""
    return f"{event.account_id.hex}.{event.event.kind}"


async def _publish(exchange: AbstractExchange, event: PlacedEvent) -> object:
    message = aio_pika.Message(
        event.json,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event.event.id.hex,
        type=f"message.{event.event.kind}",
        timestamp=event.event.at,
    )
    return await exchange.publish(message, routing_key(event), mandatory=True)


def _heard(said: object) -> PublishResult:
    match said:
        case spec.Basic.Ack():
            return PublishResult.TAKEN
        case DeliveryError():
            return PublishResult.REFUSED
        case Exception():
            raise said
        case BaseException():  # the library cancels those who wait when the channel ends
            raise BrokerUnavailable("the connection was lost")
        case _:  # the message, which came back
            return PublishResult.UNROUTED
