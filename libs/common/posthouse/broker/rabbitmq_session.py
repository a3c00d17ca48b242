"""One connection to RabbitMQ: what is declared over it, hints out, hints in, and its end.

A hint is a message without a body whose routing key names topic and lane, sent to a durable direct
exchange. Each listener has a queue of its own for each lane: exclusive and named by the server, so
it ends with the connection and can be declared on any node. It holds one message, since all hints
of a lane are alike. What else comes under such a key, from a newer version perhaps, is a hint too.

Built on aio-pika's plain connection. Its robust one leaves consumers behind after some losses
(mosquito/aio-pika#231, #632) and does not notice a cancelled one (#334). Hints themselves pass by
it, in and out: see `posthouse.broker.hint_wire`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self

import aio_pika
from aio_pika.connection import make_url
from aiormq import spec
from aiormq.abc import AbstractChannel, ArgumentsType, ChannelFrame, DeliveredMessage
from pamqp.header import ContentHeader
from prometheus_client import Counter

from posthouse.broker import Heard, Topic
from posthouse.broker.amqp_connection import close, find_host, within
from posthouse.broker.hint_wire import HintWire
from posthouse.mail.lane import Lane

RECEIVED = Counter("posthouse_amqp_hints_received_total", "Hints from RabbitMQ", ["topic"])

Key = tuple[Topic, Lane]

EXCHANGE = "posthouse-hints"
_QUEUE: ArgumentsType = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "drop-head"}
_TRANSIENT = 1  # delivery mode: not written to disk

_HEARTBEAT = 6  # seconds; RabbitMQ drops a client that is silent for twice as long
_ANSWER_SECONDS = 5.0  # to connect, and to subscribe
# With heartbeats alone we would notice a silent RabbitMQ after twenty seconds.
_CHECK_EVERY = 3.0  # seconds
_CHECK_SECONDS = 2.0


class Session:
    """A connection with one channel, subscribed for all listeners."""

    def __init__(self, url: str) -> None:
        self.lost = asyncio.Event()
        self.trouble = "the connection was closed"
        self.blocked = False  # RabbitMQ has an alarm and reads nothing from us
        self._heard: dict[bytes, Callable[[], None]] = {}  # by the consumer's tag
        self._wire = HintWire(self._heard)
        address = make_url(url, heartbeat=_HEARTBEAT, name="posthouse")
        self._connection = aio_pika.Connection(address)
        self._connection.kwargs["transport_factory"] = self._wire
        self._channel: AbstractChannel
        self._bindings: dict[str, Key] = {}  # by the queue's name
        self._frames: dict[Key, bytes] = {}
        self._checked = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, listeners: Sequence[tuple[Topic, Heard]]) -> AsyncIterator[Self]:
        """A session with the node at *url*; raises within ten seconds whatever is in the way."""
        async with within(_ANSWER_SECONDS):
            await find_host(url)
            session = cls(url)
            await session._connection.connect()
        try:
            async with within(_ANSWER_SECONDS):
                await session._subscribe(listeners)
            yield session
        finally:
            await close(session._connection)

    def send(self, key: Key) -> bool:
        """Hand the hint to the socket; False if RabbitMQ would not take it."""
        if self.blocked or self.lost.is_set():
            return False
        # Not `basic_publish`: it may wait, and encodes again what is always the same.
        return self._wire.write(self._frames[key])

    async def check(self) -> None:
        """See whether there is an alarm, and every three seconds whether RabbitMQ answers.

        What it is asked is to declare exchange and bindings again, which also restores what an
        operator deleted. Raises BrokerUnavailable when it does not answer within two seconds.
        """
        self.blocked = await _is_blocked(self._connection)
        if self.blocked or time.monotonic() < self._checked + _CHECK_EVERY:
            return
        async with within(_CHECK_SECONDS):
            await self._declare()
        self._checked = time.monotonic()

    async def _subscribe(self, listeners: Sequence[tuple[Topic, Heard]]) -> None:
        self._connection.close_callbacks.add(self._on_close)
        channel = self._connection.channel(publisher_confirms=False)
        await channel.initialize()
        channel.close_callbacks.add(self._on_close)
        self._channel = await channel.get_underlay_channel()
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self._frames = {
            (topic, lane): _frame(self._channel.number, topic, lane)
            for topic in Topic
            for lane in Lane
        }
        for topic, heard in listeners:
            for lane in Lane:
                declared = await self._channel.queue_declare(exclusive=True, arguments=_QUEUE)
                assert declared.queue is not None
                self._bindings[declared.queue] = topic, lane
                self._heard[declared.queue.encode()] = _consumer(topic, lane, heard)
        await self._declare()
        for queue in self._bindings:
            await self._channel.basic_consume(queue, _unheard, no_ack=True, consumer_tag=queue)

    async def _declare(self) -> None:
        """Declare exchange and bindings. Only the last command is answered, which wakes us once.

        RabbitMQ carries them out in order, and closes the channel if one of them fails.
        """
        channel = self._channel
        await channel.exchange_declare(EXCHANGE, exchange_type="direct", durable=True, nowait=True)
        for queue, key in self._bindings.items():
            await channel.queue_bind(queue, EXCHANGE, routing_key(*key), nowait=True)
        await channel.exchange_declare(EXCHANGE, passive=True)

    def _on_close(self, _: object, error: BaseException | None = None) -> None:
        if error is not None and not self.lost.is_set():
            self.trouble = f"{type(error).__name__}: {error}"
        self.lost.set()

    def _on_cancel(self, _: object) -> None:
        self.trouble = "RabbitMQ cancelled a consumer: its queue was deleted"
        self.lost.set()


def routing_key(topic: Topic, lane: Lane) -> str:
    """How RabbitMQ knows a hint's topic and lane."""
    return f"{topic.value}.{lane.value}"


def _frame(channel: int, topic: Topic, lane: Lane) -> bytes:
    publish = spec.Basic.Publish(exchange=EXCHANGE, routing_key=routing_key(topic, lane))
    header = ContentHeader(properties=spec.Basic.Properties(delivery_mode=_TRANSIENT))
    return ChannelFrame.marshall(channel, [publish, header]).payload


def _consumer(topic: Topic, lane: Lane, heard: Heard) -> Callable[[], None]:
    received = RECEIVED.labels(topic.value)

    def consume() -> None:
        received.inc()
        heard(lane)

    return consume


async def _unheard(_: DeliveredMessage) -> None:
    """Never called: the wire hears messages, the library only subscribes to them."""


async def _is_blocked(connection: aio_pika.Connection) -> bool:
    """Whether `ready`, which returns at once on a connection that may publish, does not."""
    transport = connection.transport
    if transport is None:
        return False
    try:
        async with asyncio.timeout(0):
            await transport.ready()
    except TimeoutError:
        return True
    return False
