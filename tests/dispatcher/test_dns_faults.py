"""What becomes of a delivery when DNS fails, lies or leads back to us: asked, judged, concluded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.second_look import APART_SECONDS
from dispatcher.core.static_routes import StaticRoutes
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.router import MxResolver, Router
from dispatcher.sites import Sites
from posthouse.mail.address_failure import FailureWeight
from posthouse.mail.events import EventKind
from posthouse.store.deliveries import Settlement
from servers.claimed_delivery import claimed_delivery
from servers.clocks import Clock
from servers.dns_stub import DnsStub, Zone, dns_stub
from servers.mx import Mx, mx

ZONE: Zone = {
    ("null.example", "MX"): ("0 .",),
    ("loop.example", "MX"): ("10 mx.loop.example.",),
    ("mx.loop.example", "A"): ("127.0.0.1",),
    ("nowhere.example", "MX"): ("10 mx.nowhere.example.",),
    ("mx.nowhere.example", "A"): ("0.0.0.0",),  # noqa: S104 - reaches this machine
    ("six.example", "MX"): ("10 mx.six.example.",),
    ("mx.six.example", "AAAA"): ("::1",),
    ("mapped.example", "MX"): ("10 mx.mapped.example.",),
    ("mx.mapped.example", "AAAA"): ("::ffff:127.0.0.1",),
    ("private.example", "MX"): ("10 mx.private.example.", "20 mx2.private.example."),
    ("mx.private.example", "A"): ("10.1.2.3", "100.64.0.1", "169.254.169.254"),
    ("mx2.private.example", "AAAA"): ("fd00::1", "fe80::1", "::ffff:192.168.0.1"),
    ("implicit.example", "A"): ("127.0.0.1",),
    ("named.example", "MX"): ("10 relay.example.",),
    ("lost.example", "MX"): ("10 mx.lost.example.",),
    ("none.example", "TXT"): ('"no MX, no address"',),
    ("bare.example", "MX"): ("10 none.example.", "20 mx.lost.example."),
    ("local.example", "MX"): ("0 localhost.",),
    ("localhost", "A"): ("127.0.0.1",),
    ("half.example", "MX"): ("10 mx.lost.example.", "20 servfail.example."),
    ("shut.example", "MX"): ("10 mx.lost.example.", "20 mx.private.example."),
    ("astray.example", "MX"): ("10 servfail.example.",),
    ("mute.example", "MX"): ("10 silent.example.",),
}

FINAL_AT_ONCE = [("missing.example", "5.1.2"), ("null.example", "5.1.10")]

# The domain, and the detail of the code that it gets: 4.4.x at first, 5.4.x for good.
FINAL_AT_A_SECOND_LOOK = [
    ("none.example", "4"),
    ("lost.example", "4"),
    ("bare.example", "4"),
    ("local.example", "6"),
    ("loop.example", "6"),
    ("nowhere.example", "6"),
    ("six.example", "6"),
    ("mapped.example", "6"),
    ("implicit.example", "6"),
    ("named.example", "6"),
    ("[127.0.0.1]", "6"),
    ("[IPv6:::1]", "6"),
]

NEVER_FINAL = [
    ("servfail.example", "4.4.3"),
    ("silent.example", "4.4.3"),
    ("astray.example", "4.4.3"),
    ("mute.example", "4.4.3"),
    ("half.example", "4.4.3"),
    ("shut.example", "4.4.4"),
    ("private.example", "4.4.4"),
    ("[10.0.0.5]", "4.4.4"),
    ("[172.31.255.1]", "4.4.4"),
    ("[224.0.0.1]", "4.4.4"),
    ("[255.255.255.255]", "4.4.4"),
    ("[IPv6:fec0::1]", "4.4.4"),
    ("[IPv6:64:ff9b::a00:5]", "4.4.4"),
]


@pytest.fixture
async def ourselves() -> AsyncIterator[Mx]:
    """What would answer if we came back to this machine."""
    async with mx() as server:
        yield server


@dataclass
class Attempting:
    """Attempts as a dispatcher makes them, at times that a test decides."""

    attempts: DeliveryAttempts
    clock: Clock
    stub: DnsStub

    async def at(self, now: float, domain: str) -> Settlement:
        """What becomes of a delivery that is tried then."""
        self.clock.now = now
        settlement = await self.attempts.run(claimed_delivery(f"x@{domain}"))
        assert isinstance(settlement, Settlement)
        return settlement


@asynccontextmanager
async def attempting(
    port: int, zone: Zone = ZONE, us: RefusedHosts | None = None, routes: str = ""
) -> AsyncIterator[Attempting]:
    """The dispatcher's own parts, and one clock for all that they remember."""
    servfail, silent = frozenset({"servfail.example"}), frozenset({"silent.example"})
    us = us or RefusedHosts(frozenset({"relay.example"}))
    clock = Clock()
    async with dns_stub(DnsStub(zone, servfail, silent)) as stub:
        resolver = MxResolver([stub.address], timeout=0.3, clock=clock)
        router = Router(
            resolver,
            us,
            static=StaticRoutes.parse(routes, lambda path: path),
            port=port,
            clock=clock,
        )
        sender = ConnectionPool("relay.example", resolver, us, clock=clock)
        attempts = DeliveryAttempts(router, sender, Sites(10), clock=clock)
        try:
            yield Attempting(attempts, clock, stub)
        finally:
            await attempts.close()


@pytest.mark.parametrize(("domain", "enhanced"), FINAL_AT_ONCE)
async def test_a_domain_that_is_gone_or_takes_no_mail_is_final(
    ourselves: Mx, domain: str, enhanced: str
) -> None:
    """It counts against the address: gone twice, and it is suppressed."""
    async with attempting(ourselves.port) as made:
        settlement = await made.at(0, domain)

    assert (EventKind.BOUNCED, enhanced) == (settlement.kind, settlement.detail["enhanced"])
    assert settlement.failure is not None
    assert settlement.failure.weight is FailureWeight.GONE


@pytest.mark.parametrize(("domain", "detail"), FINAL_AT_A_SECOND_LOOK)
async def test_what_leads_nowhere_is_final_when_two_look_ups_agree(
    ourselves: Mx, domain: str, detail: str
) -> None:
    """Minutes apart, each asked of DNS; nothing ever connects to this machine."""
    async with attempting(ourselves.port) as made:
        deferred = [await made.at(now, domain) for now in (0, 1, APART_SECONDS - 1)]
        asked = len(made.stub.questions)
        final = await made.at(APART_SECONDS + 60, domain)
        asked_again = len(made.stub.questions) > asked

    assert [EventKind.DEFERRED] * 3 == [settlement.kind for settlement in deferred]
    assert {f"4.4.{detail}"} == {settlement.detail["enhanced"] for settlement in deferred}
    assert not any(settlement.failure for settlement in deferred)
    assert (EventKind.BOUNCED, f"5.4.{detail}") == (final.kind, final.detail["enhanced"])
    assert final.wait is None
    assert bool(final.failure) is (detail == "4")
    assert asked_again is not domain.startswith("[")
    assert ourselves.connections == 0


@pytest.mark.parametrize(("domain", "enhanced"), NEVER_FINAL)
async def test_what_dns_could_not_tell_is_deferred_for_days(
    ourselves: Mx, domain: str, enhanced: str
) -> None:
    async with attempting(ourselves.port) as made:
        settled = [await made.at(hour * 3600, domain) for hour in (0, 1, 24)]

    assert [(EventKind.DEFERRED, enhanced)] * 3 == [(s.kind, s.detail["enhanced"]) for s in settled]
    assert not any(settlement.failure for settlement in settled)
    assert ourselves.connections == 0


@pytest.mark.parametrize("domain", ["none.example", "lost.example", "loop.example"])
async def test_a_mistake_that_is_corrected_costs_no_mail(domain: str) -> None:
    """It is seen at the next look-up, however long the wrong answer was to be kept."""
    elsewhere = RefusedHosts(frozenset({"relay.example"}), networks=(ip_network("127.0.0.1/32"),))
    async with mx(address="127.0.0.2") as server, attempting(server.port, us=elsewhere) as made:
        first = await made.at(0, domain)
        good = {(domain, "MX"): ("10 good.example.",), ("good.example", "A"): ("127.0.0.2",)}
        made.stub.zone = {**ZONE, **good}
        second = await made.at(APART_SECONDS, domain)

    assert (EventKind.DEFERRED, EventKind.DELIVERED) == (first.kind, second.kind)


async def test_a_domain_that_was_found_in_between_is_looked_at_twice_again() -> None:
    zone = dict(ZONE)
    elsewhere = RefusedHosts(frozenset({"relay.example"}), networks=())
    async with mx(address="127.0.0.2") as server, attempting(server.port, zone, elsewhere) as made:
        found: list[EventKind] = []
        for number, exchanger in enumerate(["none", "good", "none", "none"]):
            made.stub.zone = {
                ("dest.example", "MX"): (f"10 {exchanger}.example.",),
                ("none.example", "TXT"): ('"no address"',),
                ("good.example", "A"): ("127.0.0.2",),
            }
            found.append((await made.at(number * 3600, "dest.example")).kind)

    deferred, bounced = EventKind.DEFERRED, EventKind.BOUNCED
    assert [deferred, EventKind.DELIVERED, deferred, bounced] == found


async def test_a_smarthost_that_leads_nowhere_bounces_no_mail(ourselves: Mx) -> None:
    """Whatever DNS says: it is the operator's mistake."""
    for smarthost in ("missing.example", "null.example", "none.example", "lost.example"):
        async with attempting(ourselves.port, routes=smarthost) as made:
            settled = [await made.at(hour * 3600, "dest.example") for hour in (0, 1, 24)]

        assert [EventKind.DEFERRED] * 3 == [settlement.kind for settlement in settled]
        assert not any(settlement.failure for settlement in settled)
