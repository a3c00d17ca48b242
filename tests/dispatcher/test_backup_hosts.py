"""Domains with several exchangers, each on a loopback address of its own: who gets the mail."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from dispatcher.connection_pool import MOST_TRIES, ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.failed_hosts import REST_SECONDS
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route
from dispatcher.kept_connections import ReusePolicy
from dispatcher.router import MxResolver, Router
from posthouse.mail.outcome import Deferred, Delivered
from servers.clocks import Clock
from servers.dns_stub import DnsStub, dns_stub
from servers.mx import Manners, Mx, Peer, mx, polite
from servers.ports import lasting_ports

MESSAGE = Envelope("s@relay.example", ("x@dest.example",), b"Subject: hi\r\n\r\n", b"text\r\n")
ELSEWHERE = RefusedHosts(frozenset(), networks=())


@dataclass
class Sending:
    """To dest.example, whose exchangers are on 127.0.0.1, 127.0.0.2 and so on."""

    pool: ConnectionPool
    route: Route
    clock: Clock
    stub: DnsStub

    async def send(self) -> str:
        """The address that took the message, or "" if none did."""
        sent = await self.pool.send(self.route, MESSAGE)
        taken = isinstance(sent.outcomes[0], Delivered)
        return sent.host.partition("[")[2].partition("]")[0] if taken else ""


@asynccontextmanager
async def sending(
    port: int,
    *preferences: int,
    reuse: ReusePolicy | None = None,
    addresses: Mapping[int, tuple[str, ...]] | None = None,
) -> AsyncIterator[Sending]:
    """Exchangers of these preferences; *addresses* of some of them."""
    numbers = range(1, len(preferences) + 1)
    zone: dict[tuple[str, str], tuple[str, ...]] = {
        (f"mx{n}.example", "A"): (f"127.0.0.{n}",) for n in numbers
    }
    zone |= {(f"mx{n}.example", "A"): own for n, own in (addresses or {}).items()}
    zone["dest.example", "MX"] = tuple(
        f"{preference} mx{n}.example." for n, preference in zip(numbers, preferences, strict=True)
    )
    clock = Clock()
    async with dns_stub(DnsStub(zone)) as stub:
        resolver = MxResolver([stub.address])
        route = await Router(resolver, ELSEWHERE, port=port).route("dest.example")
        assert isinstance(route, Route)
        pool = ConnectionPool(
            "relay.example",
            resolver,
            ELSEWHERE,
            shuffle=random.Random(1).shuffle,  # noqa: S311 -- no secrets
            clock=clock,
            reuse=reuse,
        )
        try:
            yield Sending(pool, route, clock, stub)
        finally:
            await pool.close()


@asynccontextmanager
async def servers(*manners: Manners, port: int = 0) -> AsyncIterator[list[Mx]]:
    """One on each loopback address, all at one port."""
    async with AsyncExitStack() as stack:
        found: list[Mx] = []
        for number, own in enumerate(manners, start=1):
            server = await stack.enter_async_context(
                mx(own, address=f"127.0.0.{number}", port=found[0].port if found else port)
            )
            found.append(server)
        yield found


async def test_new_connections_are_spread_over_equal_hosts() -> None:
    """RFC 5321 section 5.1: a MUST; the route is known from one look-up all the time."""
    one_each = ReusePolicy(messages_per_connection=1)
    async with (
        servers(*[polite] * 4) as found,
        sending(found[0].port, 10, 10, 10, 20, reuse=one_each) as to,
    ):
        taken = Counter([await to.send() for _ in range(60)])

    assert {"127.0.0.1", "127.0.0.2", "127.0.0.3"} == set(taken)
    assert min(taken.values()) > 5
    assert 1 == to.stub.questions.count(("dest.example", "MX"))


async def test_new_connections_are_spread_over_the_addresses_of_a_host() -> None:
    one_each = ReusePolicy(messages_per_connection=1)
    several = {1: ("127.0.0.1", "127.0.0.2", "127.0.0.3")}
    async with (
        servers(*[polite] * 3) as found,
        sending(found[0].port, 10, reuse=one_each, addresses=several) as to,
    ):
        taken = {await to.send() for _ in range(30)}

    assert set(several[1]) == taken


async def test_a_kept_connection_to_one_of_the_best_will_do() -> None:
    async with servers(polite, polite) as found, sending(found[0].port, 10, 10) as to:
        taken = {await to.send() for _ in range(20)}

    assert len(taken) == 1
    assert 1 == sum(server.connections for server in found)


async def hangs_up(_: Peer) -> None:
    """Not a word."""


async def busy(peer: Peer) -> None:
    """Refuse at the door."""
    await peer.say("421 4.3.2 too busy")
    await peer.hear()


@pytest.mark.parametrize("manners", [hangs_up, busy])
async def test_a_kept_backup_is_used_until_the_best_host_is_asked_again(manners: Manners) -> None:
    """And then the mail goes to the best host, over new connections, for good."""
    async with servers(manners, polite) as (best, backup), sending(best.port, 10, 20) as to:
        while_down = [await to.send() for _ in range(5)]
        best.manners = (polite,)
        to.clock.now = REST_SECONDS - 1
        still = await to.send()
        to.clock.now = REST_SECONDS
        after = [await to.send() for _ in range(5)]

    assert ["127.0.0.2"] * 6 == [*while_down, still]
    assert ["127.0.0.1"] * 5 == after
    assert (2, 1) == (best.connections, backup.connections)
    assert "QUIT" == backup.heard[-1]


async def test_a_best_host_that_stays_away_costs_one_try_in_a_while() -> None:
    async with servers(hangs_up, polite) as (best, _), sending(best.port, 10, 20) as to:
        for minute in range(4):
            to.clock.now = minute * REST_SECONDS
            assert {"127.0.0.2"} == {await to.send() for _ in range(5)}

    assert 4 == best.connections


async def test_a_backup_keeps_its_connection_while_the_best_host_has_no_address() -> None:
    async with (
        servers(polite, polite) as found,
        sending(found[0].port, 10, 20, addresses={1: ()}) as to,
    ):
        taken = {await to.send() for _ in range(5)}

    assert {"127.0.0.2"} == taken
    assert 1 == found[1].connections


async def test_the_next_attempt_goes_on_with_the_hosts_that_were_not_asked() -> None:
    """Eight exchangers, of which only the last one works; no attempt asks more than five."""
    async with mx(address="127.0.0.8") as last, sending(last.port, *range(10, 90, 10)) as to:
        asked_at_first = await to.send(), len({name for name, _ in to.stub.questions}) - 1
        to.clock.now = 6 * REST_SECONDS
        then = await to.send()

    assert ("", MOST_TRIES) == asked_at_first
    assert "127.0.0.8" == then


async def test_a_host_with_many_addresses_leaves_tries_for_the_next_one() -> None:
    dead = {1: tuple(f"127.0.0.{number}" for number in range(11, 21))}
    async with mx(address="127.0.0.2") as good, sending(good.port, 10, 20, addresses=dead) as to:
        taken = await to.send()

    assert "127.0.0.2" == taken


async def test_without_any_host_it_is_deferred() -> None:
    async with sending(lasting_ports(1)[0], 10, 10, 20) as to:
        sent = await to.pool.send(to.route, MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
