"""Messages over real sockets, to servers good and bad; on both event loops (see conftest)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trustme

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.sent import Sent
from dispatcher.kept_connections import ReusePolicy
from dispatcher.router import MxResolver, Router
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.scope import Scope
from servers.dns_stub import DnsStub, dns_stub
from servers.mx import Manners, Mx, Peer, mx, polite
from servers.patience import on_this_machine, until

HEADER = b"Subject: hi\r\n\r\n"
BODY = b".first\r\n..second\r\nlast\r\n"
MESSAGE = Envelope("s@relay.example", ("x@mx.example",), HEADER, BODY)
STUFFED = HEADER + b"..first\r\n...second\r\nlast\r\n"


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.example").configure_cert(context)
    return context


def route(port: int, *hosts: str, tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC) -> Route:
    """To *hosts*, each of less preference than the one before it."""
    by_preference = tuple((host,) for host in hosts or ("127.0.0.1",))
    return Route(by_preference, port, "test", tls, static=True)


@asynccontextmanager
async def connections(**options: Any) -> AsyncIterator[ConnectionPool]:
    opened = ConnectionPool(
        "relay.example", MxResolver(["127.0.0.1:9"]), RefusedHosts(frozenset()), **options
    )
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def two_hosts(first: Manners) -> AsyncIterator[tuple[Mx, Mx, Route]]:
    """A host with the given manners, a polite one behind it, and the route over both."""
    async with mx(first) as bad, mx(polite, address="127.0.0.2", port=bad.port) as good:
        yield bad, good, route(bad.port, "127.0.0.1", "127.0.0.2")


async def send_once(port: int, **options: Any) -> Outcome:
    async with connections(**options) as sender:
        return (await sender.send(route(port), MESSAGE)).outcomes[0]


async def test_messages_share_a_connection() -> None:
    async with mx() as server, connections() as sender:
        for _ in range(3):
            sent = await sender.send(route(server.port), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert f"127.0.0.1[127.0.0.1]:{server.port}" == sent.host
    assert server.connections == 1
    assert [STUFFED] * 3 == server.messages
    assert server.heard[-1] == "QUIT"


async def test_messages_at_once_take_a_connection_each() -> None:
    async with mx() as server, connections() as sender:
        to = route(server.port)
        await asyncio.gather(*(sender.send(to, MESSAGE) for _ in range(5)))
        await asyncio.gather(*(sender.send(to, MESSAGE) for _ in range(5)))

    assert server.connections == 5
    assert len(server.messages) == 10


async def cut_before_dot(peer: Peer) -> None:
    """Hang up on DATA."""
    await peer.greet("PIPELINING")
    for _ in range(2):
        await peer.hear()
        await peer.say("250 ok")


async def taken(peer: Peer) -> bytes:
    """Take a message, and do not answer its dot."""
    await cut_before_dot(peer)
    await peer.hear()
    await peer.say("354 go")
    return await peer.take_content()


async def until_dot(peer: Peer) -> None:
    """Take a message, and hang up instead of answering."""
    await taken(peer)


async def test_a_cut_after_the_dot_is_uncertain_and_nobody_else_is_asked() -> None:
    async with two_hosts(until_dot) as (_, good, to), connections() as sender:
        sent = await sender.send(to, MESSAGE)

    assert isinstance(sent.outcomes[0], Uncertain)
    assert good.connections == 0


async def test_no_answer_to_the_dot_in_time_is_uncertain() -> None:
    async def silent(peer: Peer) -> None:
        await until_dot(peer)
        await peer.hear()

    async with mx(silent) as server:
        outcome = await send_once(server.port, timeouts=Timeouts(dot=0.1))

    assert isinstance(outcome, Uncertain)


async def hangs_up(_peer: Peer) -> None:
    """Not a word."""


async def says_nothing(peer: Peer) -> None:
    """A tarpit."""
    await peer.hear()


async def greets_and_leaves(peer: Peer) -> None:
    """Hang up in the moment in which a message could begin."""
    await peer.greet("PIPELINING")


async def closes_at_mail(peer: Peer) -> None:
    """Friendly until it matters."""
    await peer.greet()
    await peer.hear()
    await peer.say("421 4.3.2 going down")


async def no_service(peer: Peer) -> None:
    """Refuse at the door."""
    await peer.say("554 no SMTP service here")
    await peer.hear()


HOST_TROUBLE = [
    hangs_up,
    says_nothing,
    greets_and_leaves,
    closes_at_mail,
    cut_before_dot,
    no_service,
]


@pytest.mark.parametrize("manners", HOST_TROUBLE)
async def test_trouble_with_a_host_is_left_to_the_next_one(manners: Manners) -> None:
    timeouts = Timeouts(command=0.2)
    async with (
        two_hosts(manners) as (bad, good, to),
        connections(timeouts=timeouts) as sender,
    ):
        sent = await sender.send(to, MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert bad.connections == 1
    assert [STUFFED] == good.messages


@pytest.mark.parametrize("manners", HOST_TROUBLE)
async def test_without_another_host_trouble_with_a_host_defers(manners: Manners) -> None:
    async with mx(manners) as server:
        outcome = await send_once(server.port, timeouts=Timeouts(command=0.2))

    assert isinstance(outcome, Deferred)
    assert outcome.scope is Scope.HOST


async def test_nobody_there_defers() -> None:
    async with mx() as server:
        pass

    outcome = await send_once(server.port)

    assert isinstance(outcome, Deferred)
    assert (Scope.HOST, "4.4.1") == (outcome.scope, outcome.reply.enhanced)


ZONE = {
    ("example.com", "MX"): ("10 gone.example.", "20 bad.example.", "30 good.example."),
    ("bad.example", "A"): ("127.0.0.1",),
    ("good.example", "A"): ("127.0.0.2",),
    ("lost.example", "MX"): ("10 gone.example.",),
}


async def send_by_dns(domain: str, port: int, ourselves: RefusedHosts) -> Sent:
    """From the domain to its outcome, as a dispatcher does it."""
    async with dns_stub(DnsStub(ZONE)) as stub:
        resolver = MxResolver([stub.address])
        found = await Router(resolver, ourselves, port=port).route(domain)
        assert isinstance(found, Route)
        sender = ConnectionPool("relay.example", resolver, ourselves)
        sent = await sender.send(found, MESSAGE)
        await sender.close()
        return sent


async def test_mail_finds_its_way_past_hosts_that_are_gone_or_broken() -> None:
    elsewhere = RefusedHosts(frozenset(), networks=())
    async with two_hosts(hangs_up) as (bad, good, to):
        sent = await send_by_dns("example.com", to.port, elsewhere)

    assert isinstance(sent.outcomes[0], Delivered)
    assert f"good.example[127.0.0.2]:{to.port}" == sent.host
    assert (1, 1) == (bad.connections, good.connections)


async def test_an_exchanger_that_is_this_machine_is_never_connected_to() -> None:
    async with mx() as server:
        sent = await send_by_dns("example.com", server.port, RefusedHosts(frozenset()))

    outcome = sent.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert ("4.4.6", Scope.SITE) == (outcome.reply.enhanced, outcome.scope)
    assert server.connections == 0


async def test_exchangers_without_an_address_defer() -> None:
    sent = await send_by_dns("lost.example", 25, RefusedHosts(frozenset()))

    assert isinstance(sent.outcomes[0], Deferred)
    assert "gone.example" in sent.outcomes[0].reply.text


async def test_only_recipients_in_trouble_go_on_to_the_next_host() -> None:
    async def half(peer: Peer) -> None:
        await peer.greet("PIPELINING")
        for _ in range(4):
            await peer.hear()
        await peer.say("250 ok", "550 5.1.1 no such user", "421 4.3.2 bye")

    envelope = Envelope("", ("gone@mx.example", "x@mx.example"), HEADER, BODY)
    async with two_hosts(half) as (_, good, to), connections() as sender:
        sent = await sender.send(to, envelope)

    gone, delivered = sent.outcomes
    assert isinstance(gone, Bounced)
    assert gone.scope is Scope.RECIPIENT
    assert isinstance(delivered, Delivered)
    assert "RCPT TO:<x@mx.example>" in good.heard
    assert "RCPT TO:<gone@mx.example>" not in good.heard


async def one_message(peer: Peer, then: Callable[[Peer], Any]) -> None:
    """Take one message; *then* decides how the next one is met."""
    peer.mx.messages.append(await taken(peer))
    await peer.say("250 2.0.0 queued")
    await then(peer)


async def closes_when_idle(peer: Peer) -> None:
    """Hang up at once."""
    await one_message(peer, hangs_up)


async def closes_on_next(peer: Peer) -> None:
    """Wait for the next MAIL, and hang up without an answer."""
    await one_message(peer, Peer.hear)


async def tires_on_next(peer: Peer) -> None:
    """Answer the next MAIL with 421."""

    async def tired(peer: Peer) -> None:
        await peer.hear()
        await peer.say("421 4.7.0 too many messages in this session")

    await one_message(peer, tired)


@pytest.mark.parametrize("manners", [closes_when_idle, closes_on_next, tires_on_next])
@pytest.mark.parametrize("noticed", [False, True])
async def test_a_kept_connection_that_died_costs_nothing(
    manners: Manners, *, noticed: bool
) -> None:
    """The message goes over a fresh connection at once, and arrives once."""
    async with mx(manners, polite) as server, connections() as sender:
        await sender.send(route(server.port), MESSAGE)
        if noticed:
            await asyncio.sleep(0.05)
        sent = await sender.send(route(server.port), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert server.connections == 2
    assert len(server.messages) == 2


async def test_a_kept_connection_is_left_after_its_time() -> None:
    reuse = ReusePolicy(idle_seconds=0.05)
    async with mx() as server, connections(reuse=reuse) as sender:
        await sender.send(route(server.port), MESSAGE)
        await until(lambda: server.heard[-1] == "QUIT")
        await sender.send(route(server.port), MESSAGE)

    assert server.connections == 2


async def test_a_connection_is_left_after_its_share_of_messages() -> None:
    reuse = ReusePolicy(messages_per_connection=2)
    async with mx() as server, connections(reuse=reuse) as sender:
        for _ in range(5):
            await sender.send(route(server.port), MESSAGE)

    assert server.connections == 3
    assert len(server.messages) == 5


async def test_a_refused_message_leaves_the_connection_in_order() -> None:
    async def picky(peer: Peer) -> None:
        await peer.greet("PIPELINING")
        for _ in range(3):
            await peer.hear()
        await peer.say("250 ok", "550 5.1.1 no such user", "554 5.5.1 no valid recipients")
        await peer.serve()

    async with mx(picky) as server, connections() as sender:
        first = await sender.send(route(server.port), MESSAGE)
        second = await sender.send(route(server.port), MESSAGE)

    assert isinstance(first.outcomes[0], Bounced)
    assert isinstance(second.outcomes[0], Delivered)
    assert server.connections == 1
    assert "RSET" in server.heard


def encrypting(context: ssl.SSLContext, *behind: str) -> Manners:
    """Offer STARTTLS, and say *behind* in the packet of its 220."""

    async def manners(peer: Peer) -> None:
        await peer.greet("STARTTLS")
        await peer.hear()
        await peer.say("220 go", *behind)
        await peer.writer.start_tls(context)
        await peer.hear()
        await peer.hello("PIPELINING")
        await peer.serve()

    return manners


async def test_clear_text_behind_the_answer_to_starttls_is_ignored(
    server_context: ssl.SSLContext,
) -> None:
    """CVE-2011-0411: SIZE 1 was injected; believed, it would refuse the message."""
    injecting = encrypting(server_context, "250-mx.example", "250 SIZE 1")
    async with mx(injecting) as server, connections() as sender:
        sent = await sender.send(route(server.port), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert sent.tls.startswith("TLSv1.")
    assert server.heard[:3] == ["EHLO relay.example", "STARTTLS", "EHLO relay.example"]


async def hangs_up_on_tls(peer: Peer) -> None:
    """Offer STARTTLS, and leave."""
    await peer.greet("STARTTLS")
    await peer.hear()
    await peer.say("220 go")
    await peer.reader.read(100)


async def broken_tls(peer: Peer) -> None:
    """Offer STARTTLS, and then speak something else."""
    await hangs_up_on_tls(peer)
    await peer.say("this is not TLS at all")


@pytest.mark.parametrize("manners", [broken_tls, hangs_up_on_tls, polite])
async def test_required_tls_that_fails_defers(manners: Manners) -> None:
    async with mx(manners, polite) as server, connections() as sender:
        sent = await sender.send(route(server.port, tls=TlsPolicy.REQUIRED), MESSAGE)

    outcome = sent.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.7.4"
    assert server.messages == []


LARGE = Envelope("", ("x@mx.example",), HEADER, b"0123456789abcdef\r\n" * 1_000_000)


async def test_a_slow_reader_gets_a_large_message_as_long_as_it_reads() -> None:
    async def slow(peer: Peer) -> None:
        await peer.greet("PIPELINING")
        for _ in range(3):
            await peer.hear()
        await peer.say("250 ok", "250 ok", "354 go")
        taken, tail = 0, b""
        while not tail.endswith(b"\r\n.\r\n"):
            data = await peer.reader.read(2**20)
            if not data:
                return  # it was given up
            taken += len(data)
            tail = (tail + data)[-5:]
            await asyncio.sleep(0.1)  # eighteen times at least
        await peer.say(f"250 {taken}")

    clock = asyncio.get_running_loop().time
    began = clock()
    async with mx(slow) as server, connections(timeouts=Timeouts(block=1)) as sender:
        sent = await sender.send(route(server.port), LARGE)

    assert clock() - began > 1  # all of it takes longer than one step may
    assert isinstance(sent.outcomes[0], Delivered)
    assert str(len(HEADER) + len(LARGE.body) + 3) == sent.outcomes[0].reply.text


async def test_a_reader_that_stops_never_saw_the_dot() -> None:
    """So it is Deferred, not Uncertain: the end of the message was still with us."""

    async def stops(peer: Peer) -> None:
        await peer.greet("PIPELINING")
        for _ in range(3):
            await peer.hear()
        await peer.say("250 ok", "250 ok", "354 go")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(2)

    async with mx(stops) as server, connections(timeouts=Timeouts(block=0.2)) as sender:
        sent = await sender.send(route(server.port), LARGE)

    assert isinstance(sent.outcomes[0], Deferred)


async def test_cancelling_cuts_the_connection() -> None:
    async with mx(says_nothing, polite) as server, connections() as sender:
        waiting = asyncio.ensure_future(sender.send(route(server.port), MESSAGE))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        sent = await sender.send(route(server.port), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert server.connections == 2


async def test_a_server_that_ignores_quit_does_not_hold_up_the_end() -> None:
    async def deaf(peer: Peer) -> None:
        await one_message(peer, Peer.hear)
        await asyncio.sleep(0)
        await peer.reader.read()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(mx(deaf))
        sender = await stack.enter_async_context(connections(timeouts=Timeouts(quit=0.1)))
        await sender.send(route(server.port), MESSAGE)
        async with asyncio.timeout(on_this_machine(5)):
            await sender.close()
