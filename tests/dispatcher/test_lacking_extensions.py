"""Hosts that do not offer what a message needs: others are asked, and the end is not sudden."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.second_look import APART_SECONDS
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.router import MxResolver, Router
from dispatcher.sites import Sites
from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest
from posthouse.mail.events import EventKind
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from servers.claimed_delivery import claimed_delivery
from servers.clocks import Clock
from servers.dns_stub import DnsStub, dns_stub
from servers.mx import Manners, Mx, Peer, mx

EIGHT_BIT = b"Subject: hi\r\n\r\n", "grüße\r\n".encode()
SEVEN_BIT = b"Subject: hi\r\n\r\n", b"greetings\r\n"
ASKED = b"Received: from a by b with UTF8SMTPSA; now\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n\r\n"
DEFERRED, BOUNCED, DELIVERED = EventKind.DEFERRED, EventKind.BOUNCED, EventKind.DELIVERED


def offering(*extensions: str) -> Manners:
    async def manners(peer: Peer) -> None:
        await peer.greet("PIPELINING", *extensions)
        await peer.serve()

    return manners


async def old(peer: Peer) -> None:
    """Knows HELO only."""
    await peer.say("220 mx.example")
    await peer.hear()
    await peer.say("500 what?")
    await peer.hear()
    await peer.say("250 mx.example")
    await peer.serve()


async def hangs_up(_: Peer) -> None:
    """Not a word."""


def a_delivery(header: bytes, body: bytes) -> ClaimedDelivery:
    return claimed_delivery(header=header, body=body)


@dataclass
class Attempting:
    """Attempts at times that a test decides, to hosts in this order of preference."""

    attempts: DeliveryAttempts
    clock: Clock
    hosts: list[Mx]

    async def at(self, now: float, claimed: ClaimedDelivery) -> Settlement:
        """What becomes of it then."""
        self.clock.now = now
        settlement = await self.attempts.run(claimed)
        assert isinstance(settlement, Settlement)
        return settlement

    @property
    def messages(self) -> list[int]:
        """How many each host has taken."""
        return [len(host.messages) for host in self.hosts]


@asynccontextmanager
async def attempting(*manners: Manners, sites: Sites | None = None) -> AsyncIterator[Attempting]:
    """Hosts with these manners."""
    elsewhere = RefusedHosts(frozenset(), networks=())
    clock = Clock()
    async with AsyncExitStack() as stack:
        hosts: list[Mx] = []
        for number, own in enumerate(manners, start=1):
            port = hosts[0].port if hosts else 0
            server = mx(own, address=f"127.0.0.{number}", port=port)
            hosts.append(await stack.enter_async_context(server))
        zone: dict[tuple[str, str], tuple[str, ...]] = {
            (f"mx{n}.example", "A"): (f"127.0.0.{n}",) for n in range(1, len(hosts) + 1)
        }
        zone["dest.example", "MX"] = tuple(f"{n} mx{n}.example." for n in range(1, len(hosts) + 1))
        stub = await stack.enter_async_context(dns_stub(DnsStub(zone)))
        resolver = MxResolver([stub.address])
        sender = ConnectionPool("relay.example", resolver, elsewhere, clock=clock)
        router = Router(resolver, elsewhere, port=hosts[0].port)
        attempts = DeliveryAttempts(router, sender, sites or Sites(10), clock=clock)
        try:
            yield Attempting(attempts, clock, hosts)
        finally:
            await attempts.close()


@pytest.mark.parametrize(
    ("lacking", "able", "message"),
    [
        (offering(), offering("8BITMIME"), EIGHT_BIT),
        (old, offering("8BITMIME"), EIGHT_BIT),
        (offering("SIZE 10"), offering("SIZE 1000"), SEVEN_BIT),
        (offering("8BITMIME"), offering("8BITMIME", "SMTPUTF8"), (ASKED, b"text\r\n")),
    ],
    ids=["8BITMIME", "HELO", "SIZE", "SMTPUTF8"],
)
async def test_the_next_host_takes_what_the_first_one_cannot(
    lacking: Manners, able: Manners, message: tuple[bytes, bytes]
) -> None:
    """Also when the connection to the first one was kept."""
    async with attempting(lacking, able) as made:
        settled = [await made.at(0, a_delivery(*message)) for _ in range(2)]

    assert [DELIVERED] * 2 == [settlement.kind for settlement in settled]
    assert [0, 2] == made.messages


async def test_what_no_host_can_take_is_final_only_minutes_later() -> None:
    """A front that is overloaded forgets its extensions."""
    claimed = a_delivery(*EIGHT_BIT)
    async with attempting(offering(), offering()) as made:
        first = await made.at(0, claimed)
        second = await made.at(60, replace(claimed, tries=1))
        third = await made.at(APART_SECONDS, replace(claimed, tries=2))

    assert [DEFERRED, DEFERRED, BOUNCED] == [first.kind, second.kind, third.kind]
    assert ("4.6.3", "5.6.3") == (first.detail["enhanced"], third.detail["enhanced"])
    assert ("message", "message") == (first.detail["scope"], third.detail["scope"])
    assert not any(settled.failure for settled in (first, second, third))


async def test_each_message_is_deferred_once() -> None:
    """Another message that ended for the same reason says nothing of this one."""
    claimed = a_delivery(*EIGHT_BIT)
    async with attempting(offering()) as made:
        await made.at(0, claimed)
        ended = await made.at(APART_SECONDS, claimed)
        other = await made.at(APART_SECONDS, a_delivery(*EIGHT_BIT))

    assert (BOUNCED, DEFERRED) == (ended.kind, other.kind)


async def test_a_front_that_offers_them_again_gets_the_message() -> None:
    """A connection that was kept since then knows nothing of it."""
    claimed = a_delivery(*EIGHT_BIT)
    async with attempting(offering()) as made:
        first = await made.at(0, claimed)
        made.hosts[0].manners = (offering("8BITMIME"),)
        second = await made.at(APART_SECONDS, claimed)

    assert (DEFERRED, DELIVERED) == (first.kind, second.kind)


@pytest.mark.parametrize("manners", [(offering(), hangs_up), (hangs_up, offering())])
async def test_it_is_never_final_while_a_host_cannot_be_asked(manners: tuple[Manners, ...]) -> None:
    claimed = a_delivery(*EIGHT_BIT)
    async with attempting(*manners) as made:
        settled = [await made.at(hour * 3600, claimed) for hour in range(3)]

    assert [DEFERRED] * 3 == [settlement.kind for settlement in settled]
    assert {"4.4.2"} == {settlement.detail["enhanced"] for settlement in settled}


async def test_a_connection_to_a_host_that_lacks_it_is_kept_for_other_messages() -> None:
    async with attempting(offering(), offering("8BITMIME")) as made:
        for message in (SEVEN_BIT, EIGHT_BIT, SEVEN_BIT):
            assert DELIVERED == (await made.at(0, a_delivery(*message))).kind

    assert [2, 1] == made.messages
    assert [2, 1] == [host.connections for host in made.hosts]


async def test_a_host_that_lacks_it_has_answered() -> None:
    """Its site keeps its room: the next message may be a smaller one."""
    sites = Sites(2)
    async with attempting(offering("SIZE 10"), sites=sites) as made:
        for _ in range(3):
            assert DEFERRED == (await made.at(0, a_delivery(*SEVEN_BIT))).kind

    sites.parked("mx1.example")
    assert [("mx1.example", 2)] == [(name, room) for name, room in sites.with_room()]


async def refuses_dsn(peer: Peer) -> None:
    """Offers DSN, and takes no command with a parameter of it."""
    await peer.greet("PIPELINING", "DSN")
    refused = False
    while (line := await peer.hear()) not in ("", "QUIT"):
        refused = (refused and line != "RSET") or "NOTIFY=" in line
        if line != "DATA":
            await peer.say("501 5.5.4 Invalid arguments" if refused else "250 2.0.0 Ok")
        elif refused:
            await peer.say("554 5.5.1 no valid recipients")
        else:
            await peer.say("354 go")
            peer.mx.messages.append(await peer.take_content())
            await peer.say("250 2.0.0 queued")


async def test_who_asked_for_a_report_hears_from_us_where_its_parameters_are_refused() -> None:
    """As where the host offers no DSN (RFC 3461 section 5.2.2)."""
    asked = DsnRequest(recipients={"x@dest.example": RecipientRequest((Notify.SUCCESS,))})
    claimed = replace(a_delivery(*SEVEN_BIT), dsn=asked)
    async with attempting(refuses_dsn) as made:
        settled = await made.at(0, claimed)

    assert (DELIVERED, "relayed") == (settled.kind, settled.detail.get("dsn"))
    assert ([1], 1) == (made.messages, made.hosts[0].connections)
