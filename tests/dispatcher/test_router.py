"""Routes by DNS, asked of a name server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.second_look import Unconfirmed
from dispatcher.core.static_routes import StaticRoutes
from dispatcher.router import MxResolver, Router, system_addresses
from dispatcher.ttl_cache import TtlCache
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.scope import Scope
from servers.clocks import Clock
from servers.dns_stub import DnsStub, dns_stub

ZONE = {
    ("two.example", "MX"): ("20 mx2.host.example.", "10 MX1.host.example."),
    ("mx1.host.example", "A"): ("192.0.2.1",),
    ("mx2.host.example", "A"): ("192.0.2.2",),
    ("mx2.host.example", "AAAA"): ("2001:db8::2",),
    ("null.example", "MX"): ("0 .",),
    ("implicit.example", "A"): ("192.0.2.3",),
    ("web.example", "TXT"): ('"no mail, no address"',),
    ("loop.example", "MX"): ("10 relay.example.",),
    ("xn--grn-ioa.example", "MX"): ("10 mx1.host.example.",),
}


@pytest.fixture
async def stub() -> AsyncIterator[DnsStub]:
    async with dns_stub(DnsStub(ZONE, servfail=frozenset({"broken.example"}))) as listening:
        yield listening


def router(stub: DnsStub, routes: str = "") -> Router:
    ourselves = RefusedHosts(frozenset({"relay.example"}))
    return Router(
        MxResolver([stub.address]), ourselves, static=StaticRoutes.parse(routes, lambda path: path)
    )


def by_dns(*hosts: str, site: str) -> Route:
    """To *hosts*, each of less preference than the one before it."""
    return Route(tuple((host,) for host in hosts), 25, site, TlsPolicy.OPPORTUNISTIC)


@pytest.mark.parametrize(
    ("domain", "route"),
    [
        ("two.example", by_dns("mx1.host.example", "mx2.host.example", site="host.example")),
        ("implicit.example", by_dns("implicit.example", site="implicit.example")),
        ("grün.example", by_dns("mx1.host.example", site="host.example")),
        ("[192.0.2.9]", by_dns("192.0.2.9", site="192.0.2.9")),
        ("[IPv6:2001:db8::9]", by_dns("2001:db8::9", site="2001:db8::9")),
    ],
)
async def test_route(stub: DnsStub, domain: str, route: Route) -> None:
    assert route == await router(stub).route(domain)


@pytest.mark.parametrize(
    ("domain", "kind", "enhanced"),
    [
        ("null.example", Bounced, "5.1.10"),
        ("missing.example", Bounced, "5.1.2"),
        ("web.example", Unconfirmed, "4.4.4"),
        ("broken.example", Deferred, "4.4.3"),
        ("loop.example", Unconfirmed, "4.4.6"),
        ("a..example", Deferred, "4.4.3"),
    ],
)
async def test_no_route(
    stub: DnsStub, domain: str, kind: type[Bounced | Deferred], enhanced: str
) -> None:
    """Whatever is wrong with a domain speaks for the site, never for a mailbox."""
    outcome = await router(stub).route(domain)

    assert type(outcome) is kind
    assert (enhanced, Scope.SITE) == (outcome.reply.enhanced, outcome.scope)


async def test_a_name_server_that_says_nothing_defers(stub: DnsStub) -> None:
    stub.silent = frozenset({"quiet.example"})
    resolver = MxResolver([stub.address], timeout=0.2)

    outcome = await Router(resolver, RefusedHosts(frozenset())).route("quiet.example")

    assert isinstance(outcome, Deferred)


async def test_a_static_route_asks_no_name_server(stub: DnsStub) -> None:
    routes = router(stub, "127.0.0.1:2600 b.example=[mx.b]:26")

    assert await routes.route("null.example") == Route(
        (("127.0.0.1",),), 2600, "127.0.0.1:2600", TlsPolicy.OPPORTUNISTIC, static=True
    )
    assert await routes.route("b.example") == Route(
        (("mx.b",),), 26, "mx.b:26", TlsPolicy.OPPORTUNISTIC, static=True
    )
    assert stub.questions == []


async def test_a_static_route_to_a_domain_goes_to_its_exchangers(stub: DnsStub) -> None:
    by_mx = by_dns("mx1.host.example", "mx2.host.example", site="host.example")

    found = await router(stub, "two.example").route("any.example")
    assert replace(by_mx, by_operator=True) == found


@pytest.mark.parametrize("smarthost", ["missing.example", "null.example", "web.example"])
async def test_a_smarthost_that_is_not_there_is_nothing_against_a_domain(
    stub: DnsStub, smarthost: str
) -> None:
    """The operator's mistake: all mail would bounce, and its recipients be suppressed."""
    outcome = await router(stub, smarthost).route("two.example")

    assert type(outcome) is Deferred
    assert smarthost in outcome.reply.text


async def test_a_thousand_at_once_ask_once(stub: DnsStub) -> None:
    stub.delay = 0.05
    routes = router(stub)

    found = await asyncio.gather(*(routes.route("two.example") for _ in range(1000)))

    assert len(set(found)) == 1
    assert stub.questions == [("two.example", "MX")]


async def test_addresses_are_asked_for_once_and_ipv4_comes_first(stub: DnsStub) -> None:
    resolver = MxResolver([stub.address])

    first = await resolver.addresses("mx2.host.example")
    again = await resolver.addresses("mx2.host.example")

    assert getattr(first, "addresses", None) == ("192.0.2.2", "2001:db8::2")
    assert first is again
    assert len(stub.questions) == 2


async def test_what_the_operator_named_is_looked_up_like_any_program_would() -> None:
    found = await system_addresses("localhost")

    assert "127.0.0.1" in getattr(found, "addresses", ())


async def test_what_is_doubted_is_asked_for_again_soon() -> None:
    clock = Clock()
    cache: TtlCache[str, int] = TtlCache(most=2, shortest=0, longest=3600, clock=clock)

    async def ask(_: str) -> tuple[int, float]:
        return int(clock.now), 3600

    await cache.get("a", ask)
    clock.now = 50
    cache.doubt("a", 60)
    clock.now = 100
    cache.doubt("a", 60)
    still = await cache.get("a", ask)
    clock.now = 110

    assert (0, 110) == (still, await cache.get("a", ask))


async def test_a_cache_forgets_after_its_time_and_keeps_to_its_bound() -> None:
    cache: TtlCache[int, int] = TtlCache(most=2, shortest=0, longest=60)
    asked: list[int] = []

    async def ask(key: int) -> tuple[int, float]:
        asked.append(key)
        return key, 0 if key == 2 else 60

    for key in (1, 1, 2, 2, 3, 1):
        await cache.get(key, ask)

    assert asked == [1, 2, 2, 3, 1]


async def test_who_waits_for_an_asker_that_was_cancelled_asks_again() -> None:
    cache: TtlCache[str, int] = TtlCache(most=2, shortest=0, longest=60)
    started = asyncio.Event()

    async def never(_: str) -> tuple[int, float]:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def at_once(_: str) -> tuple[int, float]:
        return 1, 60

    first = asyncio.ensure_future(cache.get("a", never))
    await started.wait()
    second = asyncio.ensure_future(cache.get("a", at_once))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 1
