"""A dispatcher at work over a real store, and a world that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from dispatcher.core.envelope import Envelope
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.sent import Sent
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.in_flight import LaneLimits
from dispatcher.service import Dispatcher
from dispatcher.sites import Sites
from posthouse.mail.outcome import Delivered, Outcome
from posthouse.mail.reply import Reply
from posthouse.store.deliveries import DeliveryStore
from servers.isolation import NoIsolation
from servers.stores import Stores

TAKEN = Delivered(Reply(250, "taken", "2.0.0"))
LEASE = 4.0


class ByDomain:
    """Every domain is a site of its own."""

    async def route(self, domain: str) -> Route:
        """A way there."""
        return Route(((f"mx.{domain}",),), 25, domain, TlsPolicy.OPPORTUNISTIC)

    def doubt(self, domain: str) -> None:
        """Every route is a good one."""


@dataclass
class World:
    """Answers as told, and remembers who was written to."""

    answer: Callable[[str], Outcome] = lambda _: TAKEN
    seconds: float = 0.0
    began: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def send(self, _: Route, envelope: Envelope) -> Sent:
        """Take a while, then answer."""
        (recipient,) = envelope.recipients
        self.began.append(recipient)
        await asyncio.sleep(self.seconds)
        self.ended.append(recipient)
        return Sent((self.answer(recipient),), "mx.example[192.0.2.7]:25", "TLSv1.3")

    async def close(self) -> None:
        """Nothing is kept."""


def dispatcher_of(
    stores: Stores,
    world: World,
    connections: int,
    site_limit: int,
    store: type[DeliveryStore] = DeliveryStore,
) -> Dispatcher:
    """A dispatcher that sends to *world*."""
    sites = Sites(site_limit)
    attempts = DeliveryAttempts(ByDomain(), world, sites)
    return Dispatcher(
        store(stores.database, stores.database, lease=timedelta(seconds=LEASE)),
        attempts,
        NoIsolation(attempts),
        LaneLimits((connections,) * 5),
        sites,
        lease_seconds=LEASE,
    )


@asynccontextmanager
async def dispatching(
    stores: Stores,
    world: World,
    *,
    connections: int = 20,
    site_limit: int = 20,
    store: type[DeliveryStore] = DeliveryStore,
) -> AsyncIterator[asyncio.Event]:
    """A dispatcher at work; set what is given to stop it early."""
    dispatcher = dispatcher_of(stores, world, connections, site_limit, store)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(dispatcher.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()
