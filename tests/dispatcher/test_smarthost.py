"""A relay that wants TLS and a login, over real sockets; on both event loops (see conftest)."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import structlog
import trustme

from dispatcher.connection_pool import ConnectionPool
from dispatcher.connector import LOGINS_REFUSED
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.refused_logins import PAUSE_SECONDS
from dispatcher.core.relay_login import HIDDEN, RelayLogin
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.static_routes import NextHop, StaticRoutes
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.kept_connections import ReusePolicy
from dispatcher.router import MxResolver, Router
from dispatcher.sites import Sites
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Deferred, Delivered
from posthouse.mail.scope import Scope
from posthouse.store.deliveries import Settlement
from servers.claimed_delivery import claimed_delivery
from servers.mx import Manners, Mx, Peer, mx, polite

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "open-sesame-4711"
LOGIN = RelayLogin("apikey", SECRET)
RESPONSE = b64encode(f"\0apikey\0{SECRET}".encode()).decode()
MESSAGE = Envelope("s@relay.example", ("x@mx.example",), b"Subject: hi\r\n\r\n", b"text\r\n")


@dataclass
class Relay:
    """Certificates of a relay, and who trusts them."""

    authority: trustme.CA
    context: ssl.SSLContext

    def trusted(self) -> ssl.SSLContext:
        """What a system that knows the authority trusts."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


def relay_for(name: str) -> Relay:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return Relay(authority, context)


@pytest.fixture(scope="module")
def relay() -> Relay:
    return relay_for("localhost")


@dataclass
class Minutes:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        """Its time, in seconds."""
        return self.now


@asynccontextmanager
async def pool(relay: Relay, clock: Minutes | None = None) -> AsyncIterator[ConnectionPool]:
    """With a connection for each message."""
    made = ConnectionPool(
        "relay.example",
        MxResolver(["127.0.0.1:9"]),
        RefusedHosts(frozenset()),
        trusted=relay.trusted,
        timeouts=Timeouts(tls=30, command=30),
        reuse=ReusePolicy(messages_per_connection=1),
        clock=clock or Minutes(),
    )
    try:
        yield made
    finally:
        await made.close()


def route(server: Mx, tls: TlsPolicy = TlsPolicy.VERIFIED, name: str = "localhost") -> Route:
    return Route(((name,),), server.port, "relay", tls, static=True, login=LOGIN)


def submission(context: ssl.SSLContext, *answers: str) -> Manners:
    """Port 587: STARTTLS, then AUTH PLAIN, which is answered so (if need be several times)."""

    async def manners(peer: Peer) -> None:
        await peer.greet("STARTTLS", "AUTH PLAIN")
        await peer.hear()
        await peer.say("220 go")
        await peer.writer.start_tls(context)
        await peer.hear()
        await peer.hello("PIPELINING", "AUTH PLAIN LOGIN")
        await peer.hear()
        await peer.say(*answers)
        await peer.serve()

    return manners


def submissions(context: ssl.SSLContext) -> Manners:
    """Port 465: TLS comes first."""

    async def manners(peer: Peer) -> None:
        await peer.writer.start_tls(context)
        await peer.greet("PIPELINING", "AUTH PLAIN")
        await peer.hear()
        await peer.say("235 2.7.0 welcome")
        await peer.serve()

    return manners


async def test_port_587_starttls_then_a_login(relay: Relay) -> None:
    async with mx(submission(relay.context, "235 2.7.0 ok")) as server, pool(relay) as sender:
        sent = await sender.send(route(server), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert sent.tls.startswith("TLSv1.")
    assert server.heard[:5] == [
        "EHLO relay.example",
        "STARTTLS",
        "EHLO relay.example",
        f"AUTH PLAIN {RESPONSE}",
        "MAIL FROM:<s@relay.example>",
    ]


async def test_port_465_tls_then_a_login(relay: Relay) -> None:
    async with mx(submissions(relay.context)) as server, pool(relay) as sender:
        sent = await sender.send(route(server, TlsPolicy.IMPLICIT), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert sent.tls.startswith("TLSv1.")
    assert server.heard[:2] == ["EHLO relay.example", f"AUTH PLAIN {RESPONSE}"]


async def test_a_relay_named_by_its_address_shows_a_certificate_for_it() -> None:
    relay = relay_for("127.0.0.1")
    async with mx(submission(relay.context, "235 ok")) as server, pool(relay) as sender:
        sent = await sender.send(route(server, name="127.0.0.1"), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)


async def in_clear(peer: Peer) -> None:
    """Offer a login, and no TLS."""
    await peer.greet("AUTH PLAIN LOGIN CRAM-MD5")
    await peer.hear()


MANNERS = ["another name", "a stranger's certificate", "no TLS", "no implicit TLS"]


@pytest.mark.parametrize("case", MANNERS)
async def test_a_relay_that_cannot_show_who_it_is_hears_no_login(relay: Relay, case: str) -> None:
    stranger = relay_for("localhost")
    misnamed = relay.authority.issue_cert("other.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    misnamed.configure_cert(context)
    manners, tls = {
        "another name": (submission(context, "235 ok"), TlsPolicy.VERIFIED),
        "a stranger's certificate": (submissions(stranger.context), TlsPolicy.IMPLICIT),
        "no TLS": (in_clear, TlsPolicy.VERIFIED),
        "no implicit TLS": (in_clear, TlsPolicy.IMPLICIT),
    }[case]
    async with mx(manners) as server, pool(relay) as sender:
        sent = await sender.send(route(server, tls), MESSAGE)

    outcome = sent.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.7.4"
    assert not any("AUTH" in line for line in server.heard)


@pytest.mark.parametrize(
    "answer", ["535 5.7.8 no", "534 5.7.9 use another password", "530 5.7.0 no", "454 4.7.0 later"]
)
async def test_a_refused_login_defers_is_counted_and_is_not_repeated_for_a_minute(
    relay: Relay, answer: str
) -> None:
    clock, before = Minutes(), LOGINS_REFUSED._value.get()
    welcoming = submission(relay.context, "235 ok")
    async with (
        mx(submission(relay.context, answer), welcoming) as server,
        pool(relay, clock) as sender,
    ):
        with structlog.testing.capture_logs() as logs:
            refused = [await sender.send(route(server), MESSAGE) for _ in range(20)]
        connections = server.connections
        clock.now = PAUSE_SECONDS + 1
        sent = [await sender.send(route(server), MESSAGE) for _ in range(3)]

    assert connections == 1
    for outcome in (r.outcomes[0] for r in refused):
        assert isinstance(outcome, Deferred)
        assert outcome.scope is Scope.SITE
        assert outcome.answer is None  # nothing that could count against a recipient
        assert answer.partition(" ")[0] in str(outcome.reply)
    assert [line for line in logs if line["event"] == "login_refused"] == [
        {
            "event": "login_refused",
            "log_level": "warning",
            "host": refused[0].host,
            "reply": answer,
        }
    ]
    assert LOGINS_REFUSED._value.get() == before + 1
    assert all(isinstance(s.outcomes[0], Delivered) for s in sent)


async def test_after_the_pause_one_message_tries_and_the_others_wait_for_it(relay: Relay) -> None:
    clock = Minutes()
    async with (
        mx(submission(relay.context, "535 5.7.8 no")) as server,
        pool(relay, clock) as sender,
    ):
        await sender.send(route(server), MESSAGE)
        clock.now = PAUSE_SECONDS + 1
        await asyncio.gather(*(sender.send(route(server), MESSAGE) for _ in range(20)))

    assert server.connections == 2


async def test_another_login_at_the_same_relay_is_not_paused(relay: Relay) -> None:
    welcoming = submission(relay.context, "235 ok")
    async with (
        mx(submission(relay.context, "535 5.7.8 no"), welcoming) as server,
        pool(relay) as sender,
    ):
        await sender.send(route(server), MESSAGE)
        other = replace(route(server), login=RelayLogin("other", SECRET))
        sent = await sender.send(other, MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)


async def test_a_relay_without_a_login_in_its_route_that_wants_one_is_left_alone_too() -> None:
    async def wants_login(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        await peer.say("530 5.7.0 Authentication required")
        await peer.hear()

    before = LOGINS_REFUSED._value.get()
    async with mx(wants_login) as server, pool(relay_for("localhost")) as sender:
        plain = replace(route(server, TlsPolicy.OPPORTUNISTIC), login=None)
        sent = [await sender.send(plain, MESSAGE) for _ in range(5)]

    assert all(isinstance(s.outcomes[0], Deferred) for s in sent)
    assert server.connections == 1
    assert LOGINS_REFUSED._value.get() == before + 1


async def test_a_relay_that_hangs_up_on_the_login_is_left_alone_too(relay: Relay) -> None:
    async def hangs_up(peer: Peer) -> None:
        await peer.writer.start_tls(relay.context)
        await peer.greet("AUTH PLAIN")
        await peer.hear()

    async with mx(hangs_up) as server, pool(relay) as sender:
        for _ in range(5):
            sent = await sender.send(route(server, TlsPolicy.IMPLICIT), MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
    assert server.connections <= 2  # one for each address of localhost


@pytest.mark.parametrize(("expired", "kind"), [(False, "deferred"), (True, "expired")])
async def test_a_refused_login_counts_against_no_address(
    relay: Relay, kind: str, *, expired: bool
) -> None:
    """Not even when the message has expired over it."""
    claimed = claimed_delivery(tries=4, expired=expired, header=MESSAGE.header, body=MESSAGE.body)
    async with mx(submission(relay.context, "535 5.1.1 user unknown")) as server:
        hop = NextHop("localhost", server.port, False, TlsPolicy.VERIFIED, LOGIN)  # noqa: FBT003
        async with pool(relay) as sender:
            router = Router(
                MxResolver(["127.0.0.1:9"]),
                RefusedHosts(frozenset()),
                static=StaticRoutes(hop),
            )
            result = await DeliveryAttempts(router, sender, Sites(10)).run(claimed)

    assert isinstance(result, Settlement)
    assert result.kind == kind
    assert result.failure is None
    assert result.detail["reply"] == "user unknown"


@pytest.mark.parametrize(
    "echo",
    [
        f"535 5.7.8 AUTH PLAIN {RESPONSE}: no such user",
        f"AUTH PLAIN {RESPONSE}: not understood",
        f"500 wrong password {SECRET}",
        f"421 {RESPONSE}",
    ],
)
async def test_what_a_relay_repeats_of_the_login_is_neither_kept_nor_logged(
    relay: Relay, echo: str
) -> None:
    async with mx(submission(relay.context, echo)) as server, pool(relay) as sender:
        with structlog.testing.capture_logs() as logs:
            sent = [await sender.send(route(server), MESSAGE) for _ in range(2)]

    seen = f"{sent} {logs}"
    assert HIDDEN in seen
    assert SECRET not in seen
    assert RESPONSE[:12] not in seen


async def test_a_message_that_is_refused_keeps_its_reply(relay: Relay) -> None:
    """Only what repeats the login is hidden."""

    async def refuses(peer: Peer) -> None:
        await peer.writer.start_tls(relay.context)
        await peer.greet("AUTH PLAIN")
        await peer.hear()
        await peer.say("235 ok")
        await peer.hear()
        await peer.say("550 5.7.1 your domain is not verified with us")
        await peer.hear()

    async with mx(refuses) as server, pool(relay) as sender:
        sent = await sender.send(route(server, TlsPolicy.IMPLICIT), MESSAGE)

    assert sent.outcomes[0].reply.text == "your domain is not verified with us"


async def test_a_host_without_login_hears_no_more_than_before(relay: Relay) -> None:
    async with mx(polite) as server, pool(relay) as sender:
        plain = replace(route(server, TlsPolicy.OPPORTUNISTIC), login=None)
        await sender.send(plain, MESSAGE)

    assert server.heard[:4] == [
        "EHLO relay.example",
        "MAIL FROM:<s@relay.example>",
        "RCPT TO:<x@mx.example>",
        "DATA",
    ]
