"""Servers that fall silent or reset the connection, on both event loops (see conftest)."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.kept_connections import ReusePolicy
from dispatcher.router import MxResolver
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.scope import Scope
from servers.mx import Manners, Peer, mx, polite
from servers.patience import on_this_machine

MESSAGE = Envelope("s@relay.example", ("x@mx.example",), b"Subject: hi\r\n\r\n", b"text\r\n")
# More than sockets hold: it leaves while the server reads, or not at all.
LARGE = Envelope(
    "s@relay.example", ("x@mx.example",), b"A: b\r\n\r\n", b"0123456789abcd\r\n" * 2**20
)

# Before the dot nothing was handed over, and the next host may be asked.
FORGOTTEN = Timeouts(connect=0.2, command=0.2, kept=0.2, data=0.2, block=0.2)


def route(port: int, *hosts: str) -> Route:
    by_preference = tuple((host,) for host in hosts or ("127.0.0.1",))
    return Route(by_preference, port, "test", TlsPolicy.OPPORTUNISTIC, static=True)


@asynccontextmanager
async def sending(
    timeouts: Timeouts, reuse: ReusePolicy | None = None
) -> AsyncIterator[ConnectionPool]:
    resolver, nobody = MxResolver(["127.0.0.1:9"]), RefusedHosts(frozenset())
    opened = ConnectionPool("relay.example", resolver, nobody, timeouts=timeouts, reuse=reuse)
    try:
        yield opened
    finally:
        await opened.close()


async def send_past(manners: Manners, envelope: Envelope, timeouts: Timeouts) -> Outcome:
    """What becomes of a message whose first host has these manners; the second one is polite."""
    async with (
        mx(manners) as bad,
        mx(polite, address="127.0.0.2", port=bad.port),
        sending(timeouts) as sender,
    ):
        sent = await sender.send(route(bad.port, "127.0.0.1", "127.0.0.2"), envelope)
        return sent.outcomes[0]


def reset(peer: Peer) -> None:
    """Close with RST, which throws away whatever is still on its way."""
    connected = peer.writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


async def silent(peer: Peer) -> None:
    """Read on, and say nothing until the client is gone."""
    while await peer.reader.read(2**16):
        pass


async def until_commands(peer: Peer) -> None:
    """Greet, and hear MAIL, RCPT and DATA."""
    await peer.greet("PIPELINING")
    for _ in range(3):
        await peer.hear()


async def until_content(peer: Peer) -> None:
    """Greet, and ask for the message."""
    await until_commands(peer)
    await peer.say("250 ok", "250 ok", "354 go")


async def silent_at_commands(peer: Peer) -> None:
    """Not a word to MAIL."""
    await until_commands(peer)
    await silent(peer)


async def silent_at_data(peer: Peer) -> None:
    """Take sender and recipient, and do not ask for the message."""
    await until_commands(peer)
    await peer.say("250 ok", "250 ok")
    await silent(peer)


async def silent_after_dot(peer: Peer) -> None:
    """Take the message, and do not say so."""
    await until_content(peer)
    await silent(peer)


async def reset_at_connect(peer: Peer) -> None:
    """Away with you."""
    reset(peer)


async def reset_at_commands(peer: Peer) -> None:
    """Fall over on MAIL."""
    await until_commands(peer)
    reset(peer)


async def reset_in_message(peer: Peer) -> None:
    """Fall over when some of the message is there."""
    await until_content(peer)
    await peer.reader.readexactly(2**16)
    reset(peer)


async def reset_after_dot(peer: Peer) -> None:
    """Fall over when all of it is there."""
    await until_content(peer)
    await peer.take_content()
    reset(peer)


@pytest.mark.parametrize("manners", [silent, silent_at_commands, silent_at_data])
async def test_silence_before_the_message_is_left_to_the_next_host(manners: Manners) -> None:
    assert isinstance(await send_past(manners, MESSAGE, FORGOTTEN), Delivered)


@pytest.mark.parametrize("manners", [reset_at_connect, reset_at_commands])
async def test_a_reset_before_the_message_is_left_to_the_next_host(manners: Manners) -> None:
    assert isinstance(await send_past(manners, MESSAGE, Timeouts()), Delivered)


async def test_a_reset_in_mid_message_is_left_to_the_next_host() -> None:
    assert isinstance(await send_past(reset_in_message, LARGE, Timeouts()), Delivered)


async def test_silence_after_the_dot_is_uncertain_and_nobody_else_is_asked() -> None:
    assert isinstance(await send_past(silent_after_dot, MESSAGE, Timeouts(dot=0.2)), Uncertain)


async def test_a_reset_after_the_dot_is_uncertain_and_nobody_else_is_asked() -> None:
    assert isinstance(await send_past(reset_after_dot, MESSAGE, Timeouts()), Uncertain)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that the kernel listens at, with no program that would ever accept."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=5)) as listening:
        yield listening.getsockname()[1]


async def test_a_program_that_never_accepts_defers(deaf_port: int) -> None:
    """TCP is established by its kernel, and that is all that ever happens."""
    async with sending(FORGOTTEN) as sender:
        sent = await sender.send(route(deaf_port), MESSAGE)

    outcome = sent.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert (Scope.HOST, "4.4.2") == (outcome.scope, outcome.reply.enhanced)


async def one_message_then_silent(peer: Peer) -> None:
    """Take a message; of the next one nothing is heard, as behind a firewall that forgot us."""
    await until_content(peer)
    peer.mx.messages.append(await peer.take_content())
    await peer.say("250 2.0.0 queued")
    await peer.hear()
    await silent(peer)


async def test_kept_connections_that_fell_silent_cost_no_attempt_and_one_wait() -> None:
    """The message goes over a new one, however many old ones there are."""
    kept = 3
    manners = (*[one_message_then_silent] * kept, polite)
    async with mx(*manners) as server, sending(Timeouts(kept=0.5, quit=0.1)) as sender:
        to = route(server.port)
        await asyncio.gather(*(sender.send(to, MESSAGE) for _ in range(kept)))
        async with asyncio.timeout(on_this_machine(15)):
            sent = await sender.send(to, MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert (kept + 1, kept + 1) == (server.connections, len(server.messages))
    assert sum(line.startswith("MAIL") for line in server.heard) == kept + 2


async def slow_at_first(peer: Peer) -> None:
    """Take a message; the next one's sender is thought about, but not in silence."""
    await until_content(peer)
    await peer.take_content()
    await peer.say("250 2.0.0 queued")
    await peer.hear()
    peer.writer.write(b"25")
    await asyncio.sleep(1.5)
    await peer.say("0 ok")
    await peer.serve()


async def test_a_kept_connection_that_shows_life_has_all_the_time_there_is() -> None:
    async with mx(slow_at_first) as server, sending(Timeouts(kept=1)) as sender:
        await sender.send(route(server.port), MESSAGE)
        sent = await sender.send(route(server.port), MESSAGE)

    assert isinstance(sent.outcomes[0], Delivered)
    assert server.connections == 1


def kernel_of(sender: ConnectionPool, to: Route) -> socket.socket:
    """The socket of the only kept connection: what the kernel was told is nowhere else."""
    (connection,) = sender._kept._idle[to]
    assert connection._transport is not None
    connected: socket.socket = connection._transport.get_extra_info("socket")
    return connected


async def test_a_peer_that_vanished_is_noticed_within_thirty_seconds() -> None:
    """Where nothing is on the wire only the kernel can notice: its keepalive is set to."""
    async with mx() as server, sending(Timeouts()) as sender:
        to = route(server.port)
        await sender.send(to, MESSAGE)
        connected = kernel_of(sender, to)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, probes, unacknowledged = (
            connected.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        )

    assert idle + interval * probes <= 30
    assert unacknowledged <= 30_000


async def test_a_server_may_stop_reading_a_large_message_for_three_minutes() -> None:
    """RFC 5321 section 4.5.3.2.5; the kernel takes one that does so for one that vanished."""
    async with mx() as server, sending(Timeouts()) as sender:
        to = route(server.port)
        await sender.send(to, LARGE)
        allowed = kernel_of(sender, to).getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert allowed >= 180_000
