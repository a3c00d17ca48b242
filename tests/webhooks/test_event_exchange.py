"""Events at the exchange of a real RabbitMQ, out of a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from prometheus_client import REGISTRY
from yarl import URL

from posthouse.broker import BrokerUnavailable
from posthouse.mail.submission import Attributes
from posthouse.running.identity import new_id
from posthouse.store.event_pages import EventPages, WantedEvents
from posthouse.store.exchange_feed import ExchangeFeed
from servers.patience import eventually, on_this_machine
from servers.stores import ACCOUNT, Stores, open_stores
from servers.webhook_sink import webhook_sink
from servers.webhooking import Webhooked
from webhooks.event_exchange import EventExchange
from webhooks.event_publisher import EventPublishing
from webhooks.settings import Unrouted

pytestmark = pytest.mark.rabbitmq

UNREAD = """
SELECT count(*) FROM events e, event_cursors c
WHERE c.reader = 'exchange' AND (e.xid, e.id) > (c.xid, c.id)
"""


@dataclass
class Published:
    """The relay's database, and an exchange of RabbitMQ."""

    stores: Stores
    hooked: Webhooked
    url: str
    name: str

    @asynccontextmanager
    async def publishing(
        self, unrouted: Unrouted = Unrouted.WAIT, *, processes: int = 1
    ) -> AsyncIterator[EventPublishing]:
        """Webhooks processes; the last of them."""
        stopping = asyncio.Event()
        services = [
            EventPublishing(
                self.stores.database.alone(connections=2),
                EventExchange(self.name, [self.url]),
                unrouted,
                look_seconds=0.05,
            )
            for _ in range(processes)
        ]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.run(stopping)) for each in services]
            try:
                yield services[-1]
            finally:
                stopping.set()
                async with asyncio.timeout(on_this_machine(15)):
                    await asyncio.wait(running)

    async def bind(self, *keys: str, queue: str = "") -> str:
        """A durable queue at the exchange; its name."""
        name = queue or f"{self.name}-queue"
        async with connected(self.url) as channel:
            declared = await channel.declare_queue(name, durable=True)
            exchange = await channel.declare_exchange(
                self.name, aio_pika.ExchangeType.TOPIC, durable=True
            )
            for key in keys:
                await declared.bind(exchange, key)
        return name

    async def arrived(self, queue: str = "") -> list[AbstractIncomingMessage]:
        """Take all that is in a queue."""
        found = []
        async with connected(self.url) as channel:
            declared = await channel.get_queue(queue or f"{self.name}-queue")
            while (message := await declared.get(no_ack=True, fail=False)) is not None:
                found.append(message)
        return found

    async def all_published(self) -> None:
        """Wait until the cursor is behind every event."""

        async def read() -> bool:
            return not await self.stores.value(UNREAD)

        await eventually(read, look=0.1)

    async def told(self) -> list[bytes]:
        """Every event, as programs are told it."""
        pages = EventPages(self.stores.database)
        found = await pages.page(await pages.start(), WantedEvents(), 500)
        return [event.json for event in found.events]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of a program that reads events."""
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


class Wire:
    """Goes to RabbitMQ, and can be cut."""

    def __init__(self) -> None:
        self.url = ""
        self.is_deaf = False  # what RabbitMQ says does not arrive
        self._ends: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["Wire"]:
        """One that is open until the end."""
        there, wire = URL(url), cls()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward, back = await asyncio.open_connection(there.host, there.port)
            wire._ends |= {writer, back}
            await asyncio.gather(
                wire._pipe(reader, back, heard=True), wire._pipe(onward, writer, heard=False)
            )

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            wire.url = str(there.with_host("127.0.0.1").with_port(port))
            yield wire
            wire.cut()

    def cut(self) -> None:
        """End all connections; others can be made, and are not deaf."""
        for writer in self._ends:
            writer.close()
        self._ends.clear()
        self.is_deaf = False

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heard: bool
    ) -> None:
        with suppress(OSError):
            while octets := await reader.read(1 << 16):
                if heard or not self.is_deaf:
                    writer.write(octets)
        writer.close()


@pytest_asyncio.fixture
async def published(database: str, amqp_url: str) -> AsyncIterator[Published]:
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(database))
        sink = await stack.enter_async_context(webhook_sink())
        await ExchangeFeed(stores.database).begin()
        yield Published(stores, Webhooked(stores, sink), amqp_url, f"events-{new_id().hex}")


def published_events(result: str) -> float:
    found = REGISTRY.get_sample_value("posthouse_event_exchange_events_total", {"result": result})
    return found or 0.0


async def test_each_event_is_published_once_by_one_process_of_two(published: Published) -> None:
    """As programs are told it everywhere; and not again by processes that come later."""
    await published.bind("#")
    asked = Attributes(tags=("order",), metadata={"order": 7})
    async with published.publishing(processes=2):
        for _ in range(3):
            await published.hooked.send(attributes=asked, recipients=("ann@dest.example",))
        await published.all_published()
    async with published.publishing():
        await published.hooked.send()
        await published.all_published()
    arrived = await published.arrived()
    assert await published.told() == [message.body for message in arrived]
    first = json.loads(arrived[0].body)
    assert (first["type"], first["metadata"]) == ("message.accepted", {"order": 7})
    assert [
        f"{ACCOUNT.hex}.accepted",
        "application/json",
        aio_pika.DeliveryMode.PERSISTENT,
        first["id"],
        "message.accepted",
    ] == [
        arrived[0].routing_key,
        arrived[0].content_type,
        arrived[0].delivery_mode,
        arrived[0].message_id,
        arrived[0].type,
    ]


async def test_what_no_queue_takes_waits_until_one_is_bound(published: Published) -> None:
    """Readiness says so; what was taken already does not come a second time."""
    await published.bind("*.accepted")
    await published.hooked.send(recipients=("ann@dest.example",))
    async with published.publishing() as service:

        async def says_so() -> bool:
            try:
                await service.check()
            except BrokerUnavailable as error:
                return f"bind one to {published.name} for {ACCOUNT.hex}.delivered" in str(error)
            return False

        await eventually(says_so)
        assert 1 == REGISTRY.get_sample_value("posthouse_event_exchange_unrouted_events")
        assert REGISTRY.get_sample_value("posthouse_event_exchange_stuck_seconds")
        assert await published.stores.value(UNREAD)
        await published.bind("#")
        await published.all_published()
        await eventually(lambda: _is_ready(service))
    arrived = await published.arrived()
    assert await published.told() == [message.body for message in arrived]
    assert 0 == REGISTRY.get_sample_value("posthouse_event_exchange_unrouted_events")


async def test_where_it_may_be_dropped_it_is_counted_and_gone(published: Published) -> None:
    await published.bind("*.accepted")
    before = published_events("dropped"), published_events("taken")
    async with published.publishing(Unrouted.DROP):
        await published.hooked.send(recipients=("ann@dest.example",))
        await published.all_published()
    (arrived,) = await published.arrived()
    assert "message.accepted" == arrived.type
    assert (1, 1) == (
        published_events("dropped") - before[0],
        published_events("taken") - before[1],
    )


async def test_a_full_queue_is_waited_for(published: Published) -> None:
    """It says no, and nothing that it refused is lost."""
    full: dict[str, Any] = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with connected(published.url) as channel:
        exchange = await channel.declare_exchange(
            published.name, aio_pika.ExchangeType.TOPIC, durable=True
        )
        queue = await channel.declare_queue(published.name, durable=True, arguments=full)
        await queue.bind(exchange, "#")
    await published.hooked.send(recipients=("ann@dest.example",))
    await published.hooked.send(recipients=("bob@dest.example",))
    told = set(await published.told())
    arrived: set[bytes] = set()

    async def all_came() -> bool:
        arrived.update(message.body for message in await published.arrived(published.name))
        return arrived == told

    async with published.publishing(Unrouted.DROP):
        await eventually(all_came)
        await published.all_published()


async def test_what_was_not_confirmed_is_published_again(published: Published) -> None:
    """It was taken, but its confirmation was lost with the connection: it comes twice."""
    await published.bind("#")
    broker = published.url
    async with Wire.to(broker) as wire:
        published.url = wire.url
        async with published.publishing() as service:
            await published.hooked.send()
            await published.all_published()
            published.url = broker
            arrived = [message.body for message in await published.arrived()]
            wire.is_deaf = True
            await published.hooked.send(recipients=("ann@dest.example",))
            unconfirmed: list[bytes] = []

            async def some_came() -> bool:
                unconfirmed.extend(message.body for message in await published.arrived())
                return bool(unconfirmed)

            await eventually(some_came)
            wire.cut()
            await published.all_published()
            await eventually(lambda: _is_ready(service))
        again = [message.body for message in await published.arrived()]
    assert set(unconfirmed) <= set(again)
    assert await published.told() == arrived + again


async def _is_ready(service: EventPublishing) -> bool:
    try:
        await service.check()
    except BrokerUnavailable:
        return False
    return True
