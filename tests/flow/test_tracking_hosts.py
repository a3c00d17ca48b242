"""Tracking hosts over a real database, name server and HTTPS: only what leads here is used."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import pytest
import trustme
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from posthouse.dns.resolver import DnsClient
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from posthouse.store.accounts import AccountStore
from posthouse.store.tracking_hosts import TrackingHosts
from posthouse.tracking.host_state import HostState
from servers.dns_stub import dns_stub
from servers.name_server import NameServer
from servers.stores import ACCOUNT, Stores, open_stores
from tracking.core.host_proof import PROOF_PATH, is_nonce
from tracking.host_probe import HostProbe
from tracking.host_proofs import HostProofs
from tracking.host_watch import UNUSED, TrackingHostWatch
from tracking.pages import pages

KEY, NAME, HOST = bytes(32), "x.example", "click.x.example"
AGAIN = timedelta(minutes=2)
Table: TypeAlias = dict[tuple[str, str], tuple[str, ...]]
HERE: Table = {(HOST, "CNAME"): ("t.relay.example.",), ("t.relay.example", "A"): ("127.0.0.1",)}


@asynccontextmanager
async def answering(
    tls: ssl.SSLContext, key: bytes = KEY, route: Route | None = None
) -> AsyncIterator[int]:
    """The port of a server over HTTPS that has this installation's *key*, or another's."""
    routes = HostProofs(key).routes() if route is None else (route,)
    async with HttpServer("t", pages(tuple(routes)), Endpoint("127.0.0.1", 0), tls=tls) as at:
        yield at.port


def certificate(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


@dataclass
class World:
    """Name server and trust; probes ask the port that is said."""

    zone: Table
    nameserver: str
    trusted: trustme.CA
    stack: AsyncExitStack

    async def probe(self, port: int, seconds: float = 5.0) -> HostProbe:
        """A probe that trusts the one authority, and asks *port*."""
        trusting = ssl.create_default_context()
        self.trusted.configure_trust(trusting)
        dns = DnsClient((self.nameserver,), timeout=0.5)
        probe = HostProbe(dns, KEY, trusting, port=port, seconds=seconds)
        return await self.stack.enter_async_context(probe)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    zone: Table = dict(HERE)
    stub = NameServer(zone, servfail=frozenset({"silent.x.example"}))
    async with dns_stub(stub) as server, AsyncExitStack() as stack:
        yield World(zone, server.address, trustme.CA(), stack)


async def redirect(request: Request) -> RedirectResponse:
    return RedirectResponse(f"https://elsewhere.example{request.url.path}")


async def test_a_probe_says_what_is_wrong_with_a_host(world: World) -> None:
    """Everything that would break a link, and what DNS and servers say in each case."""
    ours, other = certificate(world.trusted, HOST), certificate(trustme.CA(), HOST)
    named = certificate(world.trusted, "another.example")
    led = Route(f"{PROOF_PATH}/{{nonce}}", redirect)
    mute = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

    async def found(*server: object, host: str = HOST) -> str | None:
        async with answering(*server) as port:  # type: ignore[arg-type]  # as answering has them
            return await (await world.probe(port)).finding(host)

    assert None is await found(ours)
    assert "it leads elsewhere: what answers there is not this relay (status 200)" == await found(
        ours, bytes(31) + b"x"
    )
    assert "it leads elsewhere: what answers there is not this relay (status 307)" == await found(
        ours, KEY, led
    )
    assert (await found(other) or "").startswith("its certificate does not count: ")
    assert "is not valid for 'click.x.example'" in (await found(named) or "")
    assert "there is no such name in DNS" == await found(ours, host="none.y.example")
    world.zone["txt.x.example", "TXT"] = ('"x"',)
    assert "it has no address in DNS" == await found(ours, host="txt.x.example")
    said = await found(ours, host="silent.x.example")
    assert (said or "").startswith("DNS gave no answer (")
    port = mute.sockets[0].getsockname()[1]
    assert "it gave no answer in time" == await (await world.probe(port, 0.3)).finding(HOST)
    mute.close()
    assert (await (await world.probe(port)).finding(HOST) or "").startswith("no connection: ")


def test_only_nonces_are_answered() -> None:
    """Whatever else the key signs elsewhere, nobody gets a hash of it here."""
    assert is_nonce("A" * 32)
    assert not any(map(is_nonce, ("short", "A" * 65, "A" * 30 + "/x", "A" * 30 + "\n")))


async def state(stores: Stores) -> HostState | None:
    """As policy has it."""
    found = await AccountStore(stores.database).find_sending_domains([(ACCOUNT, NAME)])
    return found[ACCOUNT, NAME].tracking


async def test_T26_a_host_is_used_while_it_leads_here(world: World, database: str) -> None:
    stopping = asyncio.Event()
    async with open_stores(database) as stores:
        hosts = TrackingHosts(stores.database)
        accounts = AccountStore(stores.database)
        await accounts.create_sending_domain(ACCOUNT, NAME, (), verified=True)
        assert await state(stores) is None
        assert await hosts.set(NAME, HOST, "root")
        assert not await hosts.set(NAME, HOST, "root")
        assert HostState(HOST, "it was not probed yet") == await state(stores)

        async with answering(certificate(world.trusted, HOST)) as port:
            watch = TrackingHostWatch(hosts, await world.probe(port))
            await watch.look(stopping)
            assert HostState(HOST, "") == await state(stores) == await hosts.read(NAME)
            assert 0 == UNUSED._value.get()
            assert [] == await hosts.claim(9, AGAIN)  # it was probed just now

            # It fails for some minutes, and is used: links will work when they are clicked.
            del world.zone[HOST, "CNAME"]
            world.zone[HOST, "TXT"] = ('"x"',)
            await due(stores)
            await watch.look(stopping)
            assert HostState(HOST, "") == await state(stores)
            await stores.sql("UPDATE tracking_hosts SET led_here_at = now() - interval '10 min'")
            assert HostState(HOST, "it has no address in DNS") == await state(stores)
            await due(stores)
            await watch.look(stopping)
            assert 1 == UNUSED._value.get()

            # It leads here again, and is used at once.
            world.zone.update(HERE)
            await due(stores)
            await watch.look(stopping)
            assert HostState(HOST, "") == await state(stores)

        # Nobody probes any more: nothing is known, so it is not used.
        await stores.sql("UPDATE tracking_hosts SET led_here_at = now() - interval '10 min'")
        assert HostState(HOST, "it was not probed any more") == await state(stores)

        # What a probe found of a host that was replaced meanwhile does not count.
        await due(stores)
        (claimed,) = await hosts.claim(9, AGAIN)
        assert await hosts.set(NAME, "go.x.example", "root")
        await hosts.note(claimed, None)
        assert HostState("go.x.example", "it was not probed yet") == await state(stores)
        assert await hosts.set(NAME, None, "root")
        assert await state(stores) is None


async def due(stores: Stores) -> None:
    """Let the host be due now."""
    await stores.sql("UPDATE tracking_hosts SET look_at = now()")
