"""A TCP connection to one SMTP server, driven by the conversation in core/smtp_client.py."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import TypeAlias, assert_never, cast

from dispatcher.core.actions import Action, Closed, Finished, Ready, Send, SendContent, StartTls
from dispatcher.core.envelope import Envelope, Octets
from dispatcher.core.routes import Route, ServerAddress
from dispatcher.core.smtp_client import SmtpClient
from dispatcher.phases import TLS, MessageTimes, timed
from dispatcher.timeouts import Deadline, Timeouts
from posthouse.answers import Stage
from posthouse.running.tcp import bear_with, notice_loss

# Octets that a server's kernel takes in, whether or not its program reads.
_ANY_WINDOW = 32 * 1024


_Event: TypeAlias = Ready | StartTls | Finished | Closed


# TLS that works has an answer to what was said or waited for first.
_FIRST_ENCRYPTED = (Stage.GREETING, Stage.EHLO, Stage.HELO)


class TlsFailed(Exception):
    """TLS was begun, and no conversation came of it: the server failed, fell silent or hung up."""


class OutboundConnection(asyncio.Protocol):
    """One conversation over one socket; at most one caller waits for it at a time."""

    def __init__(self, server: ServerAddress, client: SmtpClient, timeouts: Timeouts) -> None:
        self.peer = str(server)
        self.tls = ""  # version and cipher once encrypted
        self.messages = 0  # transactions begun
        self.server = server
        self.hung_up = False  # the server ended it, or the network
        self._client = client
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # There from the start: a server may answer before until_ready() is called.
        self._waiter: asyncio.Future[_Event] = self._loop.create_future()
        self._on_closed: Callable[[OutboundConnection], None] | None = None
        self._deadline = Deadline(self._on_time_up)
        self._portions: Iterator[tuple[Octets, ...]] | None = None  # still to be written
        self._paused = False
        self._flushed = True  # all output has left us
        self._unwritten = 0  # octets that the kernel had not taken when we last looked
        self._times = MessageTimes()

    # For the connection pool

    @property
    def is_idle(self) -> bool:
        """Whether a message may be sent."""
        return self._transport is not None and self._client.is_idle

    def fell_back(self, route: Route) -> bool:
        """Whether it was opened in clear because the TLS that *route* asks for had failed."""
        return self._client.tls is not route.tls

    async def send(self, envelope: Envelope) -> Finished:
        """Send one message; only when nothing is underway. Cancelling it cuts the connection."""
        self._on_closed = None
        self.messages += 1
        if envelope.size > _ANY_WINDOW and self._transport is not None:
            bear_with(self._transport.get_extra_info("socket"), self._timeouts.block)
        self._times.begin()
        event = self._until(self._client.begin(envelope))
        if self.messages > 1:
            self._deadline.allow(self._timeouts.kept)
        end = await event
        assert isinstance(end, Finished)
        if not end.untouched:
            self._times.end()
        return end

    def keep(self, seconds: float, on_closed: Callable[["OutboundConnection"], None]) -> None:
        """Stay open without work; *on_closed* is called when that ends before the next send()."""
        self._on_closed = on_closed
        self._deadline.allow(seconds)

    def leave(self) -> None:
        """Say QUIT and close on its reply or the QUIT timeout; cut if something is underway."""
        self._on_closed = None
        if self.is_idle:
            self._waiter = self._loop.create_future()
            self._perform(self._client.quit())
        else:
            self.cut("no longer needed")

    async def gone(self) -> None:
        """Wait until the connection is closed after leave()."""
        await self._wait()

    def cut(self, reason: str) -> None:
        """Close at once, without QUIT."""
        self._perform(self._client.lost(reason, flushed=self._flushed))

    async def until_ready(self, context: ssl.SSLContext, *, implicit_tls: bool) -> Closed | None:
        """Wait for the greetings, with TLS if it comes to that; how it ended, or None.

        Raises TlsFailed, after which the connection is closed.
        """
        event = StartTls() if implicit_tls else await self._wait()
        if isinstance(event, StartTls):
            with timed(TLS):
                await self._encrypt(context)
            event = await self._until(self._client.tls_started())
        if not isinstance(event, Closed):
            return None
        if event.cut and (
            event.at is Stage.STARTTLS or (self.tls and event.at in _FIRST_ENCRYPTED)
        ):
            raise TlsFailed(event.reason.reply.text)
        return event

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        try:
            encrypted = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=self.server.host,
                ssl_handshake_timeout=self._timeouts.tls,
            )
        except asyncio.CancelledError:
            self.cut("we stopped waiting")
            raise
        except (OSError, ValueError) as error:
            # ssl.SSLError and TimeoutError are OSErrors; ValueError: a name unfit for SNI.
            self.cut("the TLS handshake failed")
            raise TlsFailed(said(error)) from error
        # asyncio may return nothing when the connection is lost, uvloop a transport without
        # session when the handshake takes too long.
        session = encrypted.get_extra_info("ssl_object") if encrypted else None
        if encrypted is None or session is None:
            self.cut("the TLS handshake failed")
            raise TlsFailed("the host hung up or fell silent in the handshake")
        # Unlike the others, TLS transports pause at the limit, not above it.
        encrypted.set_write_buffer_limits(high=1)
        self._transport = encrypted
        self.tls = f"{session.version()} {session.cipher()[0]}"

    # For the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the greeting."""
        self._transport = cast("asyncio.Transport", transport)
        # With no buffer allowed above the kernel's, "paused" says exactly that not
        # everything we wrote has left us.
        self._transport.set_write_buffer_limits(high=0)
        notice_loss(transport.get_extra_info("socket"))
        self._deadline.allow(self._timeouts.command)

    def data_received(self, data: bytes) -> None:
        """Pass on the input from the server."""
        self._perform(self._client.receive(data, flushed=self._flushed))

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        assert self._transport is not None
        self._paused = True
        self._flushed = False
        self._unwritten = self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The kernel took everything."""
        self._paused = False
        if self._transport is not None:
            self._write_on()
            self._perform(())

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the network, hung up."""
        self.hung_up = self._transport is not None
        reason = said(exc) if exc else "the server closed the connection"
        self._perform(self._client.lost(reason, flushed=self._flushed))

    # The conversation's actions

    def _until(self, actions: Sequence[Action]) -> Coroutine[None, None, _Event]:
        """Perform *actions*; wait for their result."""
        self._waiter = self._loop.create_future()
        self._perform(actions)
        return self._wait()

    async def _wait(self) -> _Event:
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.cut("we stopped waiting")
            raise

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(octets):
                    assert self._transport is not None
                    self._transport.write(octets)
                case SendContent(portions):
                    self._times.content()
                    self._portions = portions
                    self._write_on()
                case Closed():
                    self._resolve(action)
                    self._hang_up()
                case Ready() | StartTls() | Finished():
                    self._resolve(action)
                case _:
                    assert_never(action)
        if (stage := self._client.stage) is not None:
            timeouts = self._timeouts
            self._deadline.allow(timeouts.of(stage) if self._flushed else timeouts.block)

    def _write_on(self) -> None:
        """Write portions as long as the kernel takes each whole."""
        transport = self._transport
        assert transport is not None
        while self._portions and not (self._paused or transport.is_closing()):
            if (portion := next(self._portions, None)) is None:
                self._portions = None
            else:
                transport.writelines(portion)
        self._flushed = self._portions is None and not self._paused

    def _resolve(self, event: _Event) -> None:
        if not self._waiter.done():
            self._waiter.set_result(event)

    def _hang_up(self) -> None:
        self._deadline.cancel()
        self._portions = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if self._on_closed is not None:
            self._on_closed(self)

    # Time

    def _on_time_up(self) -> None:
        if self._transport is None:
            return
        if self._client.is_idle:
            self._perform(self._client.quit())
        elif self._makes_progress(self._transport):
            self._deadline.allow(self._timeouts.block)
        else:
            self.cut("timed out")

    def _makes_progress(self, transport: asyncio.Transport) -> bool:
        """Whether the server has taken in some of what we write since we last looked."""
        before, self._unwritten = self._unwritten, transport.get_write_buffer_size()
        return self._paused and self._unwritten < before


def said(error: BaseException) -> str:
    """The text of an error, on one line; its name if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__
