"""The wire under an SMTP session: sockets, time limits and TLS. It knows no commands.

It is a protocol and not one of asyncio's streams: a stream costs more CPU per message than reading
its commands does, and holds its octets in two buffers.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import cast

import structlog

from ingest.backpressure import client_address
from ingest.core.refusals import TIMED_OUT
from posthouse.smtp.server import SmtpServer

log = structlog.get_logger()

_GOODBYE_SECONDS = 1.0  # how long a client that does not read may delay our last reply
_ACCEPT_AGAIN_SECONDS = 1.0  # after it failed
_HIGH_WATER_OCTETS = 131_072  # pause reading from the socket above this many unread octets

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class ClientGone(Exception):
    """The client closed the connection, or it broke."""


class SmtpWire(asyncio.Protocol):
    """One connection, with the server's side of its session."""

    _transport: asyncio.Transport
    _accepted: socket.socket | None = None  # until TLS has begun on it
    _serving: asyncio.Task[None]
    _timer: asyncio.TimerHandle

    def __init__(
        self,
        server: SmtpServer,
        serve: Callable[["SmtpWire"], Coroutine[None, None, None]],
        spawn: Spawn,
        *,
        command_seconds: float,
    ) -> None:
        """*serve* runs, as a task made by *spawn*, until client or server leave.

        It is cancelled when the connection is lost. *command_seconds*: the time for the next line.
        """
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._serve = serve
        self._spawn = spawn
        self._command_seconds = command_seconds
        self._deadline = 0.0
        self.client = ""  # its address
        self._in_handshake = False
        self._reading = True  # not paused
        self._ended = False  # the client sends no more
        self._more: asyncio.Future[None] | None = None  # the session waits for octets,
        self._room: asyncio.Future[None] | None = None  # or for the client to read its replies

    def begin_with(self, accepted: socket.socket, client: str) -> None:
        """Begin the session on a socket from which nothing was read: `start_tls` comes first."""
        self._accepted = accepted
        self._begin(client)

    def _begin(self, client: str) -> None:
        self.client = client_address(client)
        self._serving = self._spawn(self._serve(self))

    # For the session.

    async def read_more(self) -> None:
        """Send all replies, then wait until the client has sent something; raises ClientGone."""
        self.flush()
        if self._ended:
            raise ClientGone
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self._more = self._loop.create_future()
        try:
            await self._more
        finally:
            self._more = None

    @property
    def is_waiting(self) -> bool:
        """Whether the session waits for the client."""
        return self._more is not None

    def flush(self) -> None:
        """Send all replies."""
        if output := self._server.take_output():
            self._transport.write(output)

    @property
    def is_clogged(self) -> bool:
        """Whether the client does not read its replies: then `drain` before the next command."""
        return self._room is not None

    async def drain(self) -> None:
        """Send all replies, and wait until the client has read most of them."""
        self.flush()
        if self._room is not None:
            await self._room

    def close(self) -> None:
        """Send all replies and close the connection."""
        if self._accepted is not None:
            self._accepted.close()
        elif not self._transport.is_closing():
            self.flush()
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        if self._accepted is not None:
            self._serving.cancel()
        else:
            self._transport.abort()

    def give_time(self) -> None:
        """Give the client its time again: a time stamp is cheaper than a timer for each line."""
        self._deadline = self._loop.time() + self._command_seconds

    def _watch(self) -> None:
        """End the session when its time is over; one timer for each connection."""
        rest = self._deadline - self._loop.time()
        if rest > 0:
            self._timer = self._loop.call_later(rest, self._watch)
        elif not self._transport.is_closing():
            log.info("client_timed_out", client=self.client)
            self._server.close(TIMED_OUT)
            self.close()
            self._timer = self._loop.call_later(_GOODBYE_SECONDS, self.abort)

    @property
    def in_handshake(self) -> bool:
        """Whether TLS is being started."""
        return self._accepted is not None or self._in_handshake

    async def start_tls(self, context: ssl.SSLContext, *, seconds: float) -> None:
        """Do the handshake in at most *seconds*; raises ClientGone."""
        self._in_handshake = True
        try:
            if self._accepted is None:
                await self._encrypt(context, seconds)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: self, self._accepted, ssl=context, ssl_handshake_timeout=seconds
                )
                self._accepted = None
        except OSError as error:
            raise ClientGone from error
        finally:
            self._in_handshake = False
        tls = self._transport.get_extra_info("ssl_object")
        self._server.tls_started(f"{tls.version()} {tls.cipher()[0]}")

    async def _encrypt(self, context: ssl.SSLContext, seconds: float) -> None:
        await self.drain()
        self._server.begin_tls()
        transport = await self._loop.start_tls(
            self._transport, self, context, server_side=True, ssl_handshake_timeout=seconds
        )
        assert transport is not None
        self._transport = transport
        self._reading = True

    # For asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        self.give_time()
        self._watch()
        if self._accepted is None:
            peer = transport.get_extra_info("peername")  # None when it has left already
            self._begin(peer[0] if peer else "")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- why makes no difference
        """Cancel the session."""
        self._timer.cancel()
        self._serving.cancel()

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the server; read no more while much of it is unread."""
        if self._server.receive(data) > _HIGH_WATER_OCTETS and self._reading:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Go on with what a client sent before it half-closed its side; in TLS it cannot."""
        self._ended = True
        self._wake()
        return not self._server.state.tls

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def pause_writing(self) -> None:
        """Note that the client does not read its replies."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that it does again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None


class TlsAcceptor:
    """Accepts connections on a socket without reading from them: sessions start TLS themselves.

    A server of asyncio does the handshake first, and a client costs memory and a file descriptor
    for as long as that takes, before it is counted.
    """

    def __init__(self, bound: socket.socket, wire: Callable[[], SmtpWire], spawn: Spawn) -> None:
        self._bound = bound
        self._wire = wire
        bound.setblocking(False)  # noqa: FBT003 - what it is for
        self._accepting = spawn(self._accept())

    def close(self) -> None:
        """Accept no more."""
        self._accepting.cancel()
        self._bound.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._bound)
            except OSError as error:  # above all: no file descriptor is left
                log.error("not_accepting", reason=str(error))  # noqa: TRY400 - the text says all
                await asyncio.sleep(_ACCEPT_AGAIN_SECONDS)
                continue
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._wire().begin_with(accepted, peer[0])
