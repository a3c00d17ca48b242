"""The wire under an SMTP session: octets, time limits and TLS. It knows no commands.

It is a protocol and not one of asyncio's streams: a stream costs more CPU per message than reading
its commands does, and holds its octets in two buffers.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import cast

import structlog

from ingest.tls_channel import TlsChannel
from posthouse.authentication.client_networks import client_address
from posthouse.mail.reply import Reply
from posthouse.smtp.proxy_header import ProxyHeader, read_proxy_header
from posthouse.smtp.server import SmtpServer

log = structlog.get_logger()

_GOODBYE_SECONDS = 1.0  # how long a client that does not read may delay our last reply
_LINGER_SECONDS = 1.0  # how long one that we leave may take to read it
_HIGH_WATER_OCTETS = 131_072  # pause reading from the socket above this many unread octets

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class ClientGone(Exception):
    """The client closed the connection, or it broke."""


class SmtpWire(asyncio.Protocol):
    """One connection, with the server's side of its session."""

    _transport: asyncio.Transport
    _serving: asyncio.Task[None]
    _timer: asyncio.TimerHandle | None = None
    _late: Reply

    def __init__(
        self,
        server: SmtpServer,
        serve: Callable[["SmtpWire"], Coroutine[None, None, None]],
        spawn: Spawn,
        *,
        holds: bool,
    ) -> None:
        """*serve* runs, as a task made by *spawn*, until client or server leave.

        It is cancelled when the connection is lost. *holds*: what comes first is not for the
        server, but for TLS or `read_proxy_header`.
        """
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._serve = serve
        self._spawn = spawn
        self._held = bytearray() if holds else None
        self._tls: TlsChannel | None = None
        self._deadline = self._timer_at = 0.0
        self.client = ""  # its address
        self._reading = True  # not paused
        self._ended = False  # the client sends no more
        self._leaves = self._drains = False  # we do not; the session is in `drain`
        # The client does not read its replies: then `drain` before the next command.
        self.is_clogged = False
        self._more: asyncio.Future[None] | None = None  # the session waits for octets,
        self._room: asyncio.Future[None] | None = None  # or for the client to read its replies

    # For the session.

    async def read_more(self) -> None:
        """Send all replies, then wait until the client has sent something; raises ClientGone."""
        self.flush()
        if self._ended:
            raise ClientGone
        if not self._reading:
            self._go_on_reading()
        self._more = self._loop.create_future()
        try:
            await self._more
        finally:
            self._more = None

    @property
    def is_waiting(self) -> bool:
        """Whether the session waits for the client."""
        return self._more is not None or self._drains

    def flush(self) -> None:
        """Send all replies."""
        if output := self._server.take_output():
            (self._tls or self._transport).write(output)

    async def drain(self) -> None:
        """Send all replies, and wait until the client has read most of them."""
        self.flush()
        if self._room is not None:
            self._drains = True
            await self._room
            self._drains = False

    async def linger(self) -> None:
        """Send all replies, and no more, and wait until the client has left or had the time to.

        A close with octets unread, such as a QUIT that was sent behind the message, resets the
        connection, and the client's system then throws our reply away before it was read.
        """
        if self._transport.is_closing():
            return
        self._say_last()
        try:
            self._transport.write_eof()
        except OSError as error:  # it has left, and we have not heard of it yet
            raise ClientGone from error
        with suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while True:
                    await self.read_more()

    def close(self) -> None:
        """Send all replies and close the connection; who does not read them has a second."""
        if not self._transport.is_closing():
            self._say_last()
            self._transport.close()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(_GOODBYE_SECONDS, self.abort)

    def _say_last(self) -> None:
        if not self._leaves:
            if self._tls is None:
                self.flush()
            else:
                self._tls.end(self._server.take_output())
            self._leaves = True

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    def expect(self, seconds: float, late: Reply) -> None:
        """Give the client so much time for what it does next; after that it hears *late*.

        A time stamp is cheaper than a timer for each line.
        """
        self._late = late
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._deadline < self._timer_at:
            self._watch()

    def _watch(self) -> None:
        """End the session when its time is over; one timer for each connection."""
        if self._timer is not None:
            self._timer.cancel()
        rest = self._deadline - self._loop.time()
        if rest > 0:
            self._timer_at = self._deadline
            self._timer = self._loop.call_later(rest, self._watch)
        elif not self._transport.is_closing():
            log.info("client_timed_out", client=self.client, reason=self._late.text)
            self._server.close(self._late)
            self.close()

    # Before the session's own octets.

    async def read_proxy_header(self, seconds: float) -> ProxyHeader:
        """What a proxy says first; raises BadProxyHeader, ClientGone, TimeoutError."""
        assert self._held is not None
        async with asyncio.timeout(seconds):
            while (header := read_proxy_header(bytes(self._held))) is None:
                await self.read_more()
        del self._held[: header.octets]
        return header

    @property
    def has_said(self) -> bool:
        """Whether anything came of what is held."""
        return bool(self._held)

    def begin(self) -> None:
        """From here on all octets are for the server, or for its TLS."""
        held, self._held = self._held, None
        if held:
            self._take(bytes(held))

    @property
    def is_beginning(self) -> bool:
        """Whether the header of a proxy, or the handshake of TLS, has not come whole."""
        return self._held is not None or (self._tls is not None and not self._tls.is_open)

    async def start_tls(self, context: ssl.SSLContext, *, seconds: float) -> None:
        """Do the handshake in at most *seconds*; raises ClientGone, and has said why.

        What came in clear after the client asked for it is not read by anybody.
        """
        self.flush()
        self._server.begin_tls()
        self._tls = tls = TlsChannel(context, self.client, self._transport.write)
        self.begin()
        try:
            async with asyncio.timeout(seconds):
                while not tls.is_open:
                    await self.read_more()
        except TimeoutError:
            self._ended = True
            tls.give_up()
            raise ClientGone from None
        self._server.tls_started(tls.version_and_cipher)

    # For asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")  # None when it has left already
        self.client = client_address(peer[0] if peer else "")
        self._serving = self._spawn(self._serve(self))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- why makes no difference
        """Cancel the session."""
        if self._timer is not None:
            self._timer.cancel()
        self._note_end()
        self._serving.cancel()

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the server, or hold it."""
        if not (self._ended or self._leaves):
            self._take(data)
            self._wake()

    def eof_received(self) -> bool:
        """Go on with what a client sent before it half-closed its side."""
        self._note_end()
        self._wake()
        return True

    def _note_end(self) -> None:
        if self._tls is not None:
            self._tls.note_end()
        self._ended = True

    def _take(self, data: bytes) -> None:
        """Read no more while much is unread."""
        if self._held is not None:
            self._held += data
            unread = len(self._held)
        else:
            if self._tls is not None:
                data = self._tls.receive(data)
                self._ended = self._ended or self._tls.has_ended
            unread = self._server.receive(data)
        if unread > _HIGH_WATER_OCTETS:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def pause_writing(self) -> None:
        """Note that the client does not read its replies, and read no more of what causes them.

        TLS answers some things by itself, without a word of the session.
        """
        self.is_clogged, self._room = True, self._loop.create_future()
        self._pause_reading()

    def resume_writing(self) -> None:
        """Note that it does again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self.is_clogged, self._room = False, None
        if self._more is not None and not self._reading:
            self._go_on_reading()
