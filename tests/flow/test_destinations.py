"""Destinations that are slow or swallow everything, beside good ones: real store, DNS, sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.in_flight import TO_MANY
from dispatcher.router import MxResolver, Router
from dispatcher.service import Dispatcher
from dispatcher.settings import DispatcherSettings
from dispatcher.sites import Sites
from posthouse.store.deliveries import DeliveryStore
from servers.dns_stub import DnsStub, dns_stub
from servers.isolation import NoIsolation
from servers.mx import Manners, Mx, Peer, mx, polite
from servers.patience import until
from servers.stores import Stores, open_stores

LEASE = 10.0
SITE_LIMIT = DispatcherSettings.model_fields["site_limit"].default


@asynccontextmanager
async def destinations(manners: Mapping[str, Manners]) -> AsyncIterator[dict[str, Mx]]:
    """A server for each domain, on an address of its own; all at one port, as on the net."""
    async with AsyncExitStack() as stack:
        servers: dict[str, Mx] = {}
        port = 0
        for number, (domain, own) in enumerate(manners.items(), start=2):
            server = await stack.enter_async_context(
                mx(own, address=f"127.0.0.{number}", port=port)
            )
            servers[domain], port = server, server.port
        yield servers


@asynccontextmanager
async def dispatching(stores: Stores, servers: Mapping[str, Mx]) -> AsyncIterator[None]:
    """A dispatcher with the limits of the product, that finds *servers* by DNS."""
    zone = {(f"mx.{d}", "A"): (f"127.0.0.{n}",) for n, d in enumerate(servers, start=2)}
    zone |= {(domain, "MX"): (f"10 mx.{domain}.",) for domain in servers}
    port = next(iter(servers.values())).port
    elsewhere = RefusedHosts(frozenset(), networks=())
    sites = Sites(SITE_LIMIT)
    async with dns_stub(DnsStub(zone)) as stub:
        resolver = MxResolver([stub.address])
        sender = ConnectionPool("relay.example", resolver, elsewhere)
        router = Router(resolver, elsewhere, port=port)
        attempts = DeliveryAttempts(router, sender, sites)
        dispatcher = Dispatcher(
            DeliveryStore(stores.database, stores.database, lease=timedelta(seconds=LEASE)),
            attempts,
            NoIsolation(attempts),
            TO_MANY,
            sites,
            lease_seconds=LEASE,
        )
        running = asyncio.create_task(dispatcher.run(asyncio.Event()))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def to(domain: str, count: int) -> tuple[str, ...]:
    return tuple(f"r{n}@{domain}" for n in range(count))


async def swallows_everything(peer: Peer) -> None:
    """Accept the connection, and never say a word."""
    while await peer.reader.read(1024):
        pass


async def test_destinations_that_never_answer_hold_up_no_other(database: str) -> None:
    """Their mail has been due for longer, and 500 messages to a good one flow meanwhile."""
    holes = [f"hole{n}.example" for n in range(5)]
    manners = {**dict.fromkeys(holes, swallows_everything), "good.example": polite}
    async with open_stores(database) as stores, destinations(manners) as servers:
        for domain in holes:
            await stores.queue(recipients=to(domain, 100))
        await stores.queue(recipients=to("good.example", 500))
        async with dispatching(stores, servers):
            await until(lambda: len(servers["good.example"].messages) == 500, within=60)
        attempts = await stores.value("SELECT count(*) FROM attempts WHERE outcome <> 'delivered'")

    # They are still waited for: nothing of their mail has ended, and no more of it hangs than may.
    assert 0 == attempts
    assert [SITE_LIMIT] * 5 == [servers[domain].connections for domain in holes]


def slow(others: Callable[[], int]) -> Manners:
    """Answer to a message only when *others* have taken as many."""

    async def manners(peer: Peer) -> None:
        await peer.greet("PIPELINING")
        while (line := await peer.hear()) not in ("", "QUIT"):
            if line == "DATA":
                await peer.say("354 go")
                peer.mx.messages.append(await peer.take_content())
                number = len(peer.mx.messages)
                await until(lambda: others() >= number)  # noqa: B023 -- it is awaited here
            await peer.say("250 2.0.0 Ok")

    return manners


async def test_a_slow_destination_of_ten_holds_up_none_of_the_nine(database: str) -> None:
    """They are done long before it, although its mail has been due for longer."""
    quick = [f"quick{n}.example" for n in range(9)]

    def done() -> int:
        return sum(len(servers[domain].messages) for domain in quick)

    manners = {"slow.example": slow(done), **dict.fromkeys(quick, polite)}
    async with open_stores(database) as stores, destinations(manners) as servers:
        await stores.queue(recipients=to("slow.example", 500))
        for domain in quick:
            await stores.queue(recipients=to(domain, 30))
        async with dispatching(stores, servers):
            await until(lambda: done() == 9 * 30, within=60)
            taken = len(servers["slow.example"].messages)

    assert 0 < taken < 500
    assert servers["slow.example"].connections <= SITE_LIMIT
