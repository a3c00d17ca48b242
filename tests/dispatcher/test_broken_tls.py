"""Hosts whose TLS fails or stalls, and hosts that know no EHLO; over real sockets, both loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from dispatcher.connection_pool import ConnectionPool
from dispatcher.connector import TLS_FAILURES
from dispatcher.core.broken_tls import MOST_SERVERS, REMEMBERED_SECONDS, BrokenTls
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, ServerAddress, TlsPolicy
from dispatcher.kept_connections import ReusePolicy
from dispatcher.router import MxResolver
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Deferred, Delivered
from servers.mx import Manners, Mx, Peer, mx, polite

MESSAGE = Envelope("s@relay.example", ("x@mx.example",), b"Subject: hi\r\n\r\n", b"text\r\n")


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.example").configure_cert(context)
    return context


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Its time, in seconds."""
        return self.now


@asynccontextmanager
async def pool(clock: Hours | None = None, patience: float = 15.0) -> AsyncIterator[ConnectionPool]:
    """Patient for so many seconds, with a connection for each message."""
    made = ConnectionPool(
        "relay.example",
        MxResolver(["127.0.0.1:9"]),
        RefusedHosts(frozenset()),
        timeouts=Timeouts(tls=patience, command=patience),
        reuse=ReusePolicy(messages_per_connection=1),
        clock=clock or Hours(),
    )
    try:
        yield made
    finally:
        await made.close()


def route(server: Mx, tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC) -> Route:
    return Route((("127.0.0.1",),), server.port, "test", tls, static=True)


async def hangs_up_on_starttls(peer: Peer) -> None:
    """Offer STARTTLS, and leave when it is asked for."""
    await peer.greet("STARTTLS")
    await peer.hear()


async def silent_on_starttls(peer: Peer) -> None:
    """Offer STARTTLS, and never answer it."""
    await hangs_up_on_starttls(peer)
    await peer.reader.read()


async def hangs_up_on_tls(peer: Peer) -> None:
    """Say 220 to STARTTLS, and leave."""
    await hangs_up_on_starttls(peer)
    await peer.say("220 go")
    await peer.reader.read(100)


async def broken_tls(peer: Peer) -> None:
    """Say 220 to STARTTLS, and then speak something else."""
    await hangs_up_on_tls(peer)
    await peer.say("this is not TLS at all")


async def stalls_on_tls(peer: Peer) -> None:
    """Say 220 to STARTTLS, and fall silent."""
    await hangs_up_on_tls(peer)
    await peer.reader.read()


def leaves_behind_handshake(context: ssl.SSLContext) -> Manners:
    """Encrypt, and hang up."""

    async def manners(peer: Peer) -> None:
        await hangs_up_on_starttls(peer)
        await peer.say("220 go")
        await peer.writer.start_tls(context)

    return manners


def silent_behind_handshake(context: ssl.SSLContext) -> Manners:
    """Encrypt, and never answer EHLO."""

    async def manners(peer: Peer) -> None:
        await leaves_behind_handshake(context)(peer)
        await peer.reader.read()

    return manners


FAILURES = [
    "hangs_up_on_starttls",
    "silent_on_starttls",
    "hangs_up_on_tls",
    "broken_tls",
    "stalls_on_tls",
    "leaves_behind_handshake",
    "silent_behind_handshake",
]


@pytest.fixture
def patience(request: pytest.FixtureRequest) -> float:
    """Short where the host is silent."""
    name = request.node.callspec.params["failing"]
    return 0.5 if name.startswith(("silent", "stalls")) else 15.0


@pytest.fixture(params=FAILURES)
def failing(request: pytest.FixtureRequest, server_context: ssl.SSLContext) -> Manners:
    """Each way in which TLS comes to nothing."""
    made = globals()[request.param]
    return made(server_context) if request.param.endswith("_handshake") else made  # type: ignore[no-any-return]


async def test_mail_goes_in_clear_at_once_and_for_an_hour(
    failing: Manners, patience: float
) -> None:
    clock = Hours()
    before = TLS_FAILURES.labels("opportunistic")._value.get()
    async with (
        mx(failing, polite, polite, failing, polite) as server,
        pool(clock, patience) as sender,
    ):
        first = await sender.send(route(server), MESSAGE)
        clock.now = REMEMBERED_SECONDS - 1
        second = await sender.send(route(server), MESSAGE)
        connections = server.connections
        clock.now = REMEMBERED_SECONDS + 1
        third = await sender.send(route(server), MESSAGE)

    assert all(isinstance(sent.outcomes[0], Delivered) for sent in (first, second, third))
    assert all(sent.tls == "" for sent in (first, second, third))
    assert connections == 3  # the second message was not tried with TLS
    assert server.connections == 5  # the third was
    assert TLS_FAILURES.labels("opportunistic")._value.get() == before + 2


@pytest.mark.parametrize("tls", [TlsPolicy.REQUIRED, TlsPolicy.VERIFIED])
async def test_a_route_that_requires_tls_never_goes_in_clear(
    failing: Manners, tls: TlsPolicy, patience: float
) -> None:
    async with mx(failing, polite, failing) as server, pool(patience=patience) as sender:
        await sender.send(route(server), MESSAGE)  # the failure is remembered
        sent = await sender.send(route(server, tls), MESSAGE)

    outcome = sent.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.7.4"
    assert len(server.messages) == 1


async def test_what_a_route_that_requires_tls_met_is_not_remembered_for_others(
    server_context: ssl.SSLContext,
) -> None:
    """Else a certificate that one route does not trust would open the line for all."""

    async def encrypts(peer: Peer) -> None:
        await leaves_behind_handshake(server_context)(peer)
        await peer.hear()
        await peer.hello()
        await peer.serve()

    async with mx(encrypts) as server, pool() as sender:
        refused = await sender.send(route(server, TlsPolicy.VERIFIED), MESSAGE)
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(refused.outcomes[0], Deferred)
    assert sent.tls.startswith("TLSv1.")


async def test_a_host_that_turns_us_away_behind_the_handshake_has_working_tls(
    server_context: ssl.SSLContext,
) -> None:
    async def closed(peer: Peer) -> None:
        await leaves_behind_handshake(server_context)(peer)
        await peer.hear()
        await peer.say("421 4.3.2 not today")

    async with mx(closed) as server, pool() as sender:
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
    assert server.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        "530 5.7.0 Must issue a STARTTLS command first",
        "550 5.7.10 Encryption needed",
        "451 4.7.1 Please use STARTTLS",
    ],
)
async def test_a_host_that_wants_tls_all_the_same_is_offered_it_again_and_bounces_nothing(
    reply: str, server_context: ssl.SSLContext
) -> None:
    """One failure, such as a restart in the handshake, must not cost an hour of mail."""
    in_clear = asyncio.Barrier(3)
    works = asyncio.Event()

    async def wants_tls(peer: Peer) -> None:
        await peer.greet("STARTTLS")
        if await peer.hear() != "STARTTLS":
            await in_clear.wait()
            await peer.say(reply)
            await peer.hear()
        elif works.is_set():
            await peer.say("220 go")
            await peer.writer.start_tls(server_context)
            await peer.hear()
            await peer.hello()
            await peer.serve()

    async with mx(wants_tls) as server, pool() as sender:
        first = await asyncio.gather(*(sender.send(route(server), MESSAGE) for _ in range(3)))
        works.set()
        second = await sender.send(route(server), MESSAGE)

    for sent in first:
        assert isinstance(sent.outcomes[0], Deferred)
        assert str(sent.outcomes[0].reply) == reply
    assert isinstance(second.outcomes[0], Delivered)
    assert second.tls.startswith("TLSv1.")


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    broken = BrokenTls()
    servers = [ServerAddress("mx.example", "192.0.2.1", port) for port in range(MOST_SERVERS + 1)]
    for server in servers:
        broken.failed(server, now=0)

    assert not broken.is_known(servers[0], now=1)
    assert broken.is_known(servers[1], now=1)
    assert len(broken._until) == MOST_SERVERS


async def hangs_up_on_ehlo(peer: Peer) -> None:
    """Greet, and leave at EHLO."""
    await peer.say("220 mx.example ESMTP")
    await peer.hear()


async def knows_helo(peer: Peer) -> None:
    """Greet, and serve whoever says HELO."""
    await peer.say("220 mx.example ESMTP")
    assert await peer.hear() == "HELO relay.example"
    await peer.say("250 mx.example")
    await peer.serve()


async def test_a_host_that_hangs_up_on_ehlo_hears_helo_on_a_new_connection() -> None:
    async with mx(hangs_up_on_ehlo, knows_helo) as server, pool() as sender:
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert server.connections == 2


async def test_a_host_that_hangs_up_on_helo_too_is_left() -> None:
    async with mx(hangs_up_on_ehlo) as server, pool() as sender:
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
    assert server.heard == ["EHLO relay.example", "HELO relay.example"]


async def test_a_host_that_only_stalls_on_ehlo_is_not_asked_again() -> None:
    async def stalls(peer: Peer) -> None:
        await hangs_up_on_ehlo(peer)
        await peer.reader.read()

    async with mx(stalls) as server, pool(patience=0.2) as sender:
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
    assert server.connections == 1


async def test_helo_has_no_tls_so_a_route_that_requires_it_does_not_say_it() -> None:
    async with mx(hangs_up_on_ehlo) as server, pool() as sender:
        await sender.send(route(server, TlsPolicy.REQUIRED), MESSAGE)

    assert server.heard == ["EHLO relay.example"]
