"""A TCP connection to one SMTP server, driven by the conversation in core/smtp_client.py."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never, cast

from dispatcher.core.envelope import Envelope
from dispatcher.core.judge import Stage
from dispatcher.core.routes import is_address
from dispatcher.core.smtp_client import (
    Action,
    Closed,
    Finished,
    Ready,
    Send,
    SmtpClient,
    StartTls,
)
from posthouse.mail.outcome import Deferred


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds (RFC 5321 section 4.5.3.2)."""

    connect: float = 30  # our own: a host that drops packets shall not hold a worker for minutes
    tls: float = 60
    command: float = 300  # greeting, EHLO, STARTTLS, MAIL, RCPT
    data: float = 120
    block: float = 180  # between two signs that the server takes in what we write
    dot: float = 600  # "when the final dot is sent, it should be at least 10 minutes"
    quit: float = 5  # our own: nothing depends on it any more

    def of(self, stage: Stage) -> float:
        """How long the reply of *stage* may take."""
        match stage:
            case Stage.DATA:
                return self.data
            case Stage.DOT:
                return self.dot
            case Stage.QUIT:
                return self.quit
            case _:
                return self.command


# A peer that vanished is noticed after 15 + 3 * 5 seconds of silence; options by their names,
# because not every system has all of them.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def opportunistic_context() -> ssl.SSLContext:
    """The context for servers that nobody vouches for (RFC 7435): make one, share it.

    It encrypts against the passive listener and checks no name: MX hosts present what they have.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_Event: TypeAlias = Ready | StartTls | Finished | Closed


class HandshakeFailed(Exception):
    """The server offered STARTTLS, and the TLS handshake did not succeed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to connect to."""

    host: str  # its name, for SNI and logs
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.address}]:{self.port}"


class SmtpConnection(asyncio.Protocol):
    """One conversation over one socket; at most one caller waits for it at a time."""

    def __init__(self, endpoint: Endpoint, client: SmtpClient, timeouts: Timeouts) -> None:
        self.peer = str(endpoint)
        self.tls = ""  # version and cipher once encrypted
        self.messages = 0  # transactions begun
        self._host = endpoint.host
        self._client = client
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # There from the start: a server may answer before until_ready() is called.
        self._waiter: asyncio.Future[_Event] = self._loop.create_future()
        self._on_closed: Callable[[SmtpConnection], None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten = 0  # octets that the kernel had not taken when we last looked
        self._flushed = True

    # For whoever sends

    @property
    def is_idle(self) -> bool:
        """Whether a message may be sent."""
        return self._transport is not None and self._client.is_idle

    async def send(self, envelope: Envelope) -> Finished:
        """Send one message; only when nothing is underway. Cancelling it cuts the connection."""
        self._on_closed = None
        self.messages += 1
        end = await self._until(self._client.begin(envelope))
        assert isinstance(end, Finished)
        return end

    def keep(self, seconds: float, on_closed: Callable[["SmtpConnection"], None]) -> None:
        """Stay open without work; *on_closed* is called when that ends before the next send()."""
        self._on_closed = on_closed
        self._wait_for(seconds)

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
        """Close at once, without a word."""
        self._perform(self._client.lost(reason, flushed=self._flushed))

    async def until_ready(self, context: ssl.SSLContext) -> Deferred | None:
        """Wait for the greetings, with TLS if it comes to that; why it failed, or None.

        Raises HandshakeFailed, after which the connection is closed.
        """
        event = await self._wait()
        if isinstance(event, StartTls):
            await self._encrypt(context)
            event = await self._until(self._client.tls_started())
        return event.reason if isinstance(event, Closed) else None

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        host = self._host
        try:
            encrypted = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=None if is_address(host) else host,
                ssl_handshake_timeout=self._timeouts.tls,
            )
        except asyncio.CancelledError:
            self.cut("we stopped waiting")
            raise
        except (OSError, ValueError) as error:
            # ssl.SSLError and TimeoutError are OSErrors; ValueError: a name unfit for SNI.
            self.cut("the TLS handshake failed")
            raise HandshakeFailed(said(error)) from error
        if encrypted is None:
            self.cut("the connection was lost")
            raise HandshakeFailed("the connection was lost")
        # Unlike the others, TLS transports pause at the limit, not above it.
        encrypted.set_write_buffer_limits(high=1)
        self._transport = encrypted
        session = encrypted.get_extra_info("ssl_object")
        self.tls = f"{session.version()} {session.cipher()[0]}"

    # For the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the greeting."""
        self._transport = cast("asyncio.Transport", transport)
        # With no buffer allowed above the kernel's, "paused" says exactly that not
        # everything we wrote has left us.
        self._transport.set_write_buffer_limits(high=0)
        _keep_alive(transport.get_extra_info("socket"))
        self._wait_for(self._timeouts.command)

    def data_received(self, data: bytes) -> None:
        """Hand on what the server said."""
        self._perform(self._client.receive(data))

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        assert self._transport is not None
        self._flushed = False
        self._unwritten = self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The kernel took everything."""
        self._flushed = True
        self._perform(())

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the network, hung up."""
        reason = said(exc) if exc else "the server closed the connection"
        self._perform(self._client.lost(reason, flushed=self._flushed))

    # The conversation's actions

    async def _until(self, actions: Sequence[Action]) -> _Event:
        """Perform *actions* and wait for what comes of them."""
        self._waiter = self._loop.create_future()
        self._perform(actions)
        return await self._wait()

    async def _wait(self) -> _Event:
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.cut("we stopped waiting")
            raise

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(chunks):
                    self._write(chunks)
                case Closed():
                    self._resolve(action)
                    self._hang_up()
                case Ready() | StartTls() | Finished():
                    self._resolve(action)
                case _:
                    assert_never(action)
        if (stage := self._client.stage) is not None:
            timeouts = self._timeouts
            self._wait_for(timeouts.of(stage) if self._flushed else timeouts.block)

    def _write(self, chunks: tuple[bytes, ...]) -> None:
        assert self._transport is not None
        if len(chunks) == 1:
            self._transport.write(chunks[0])
        else:
            self._transport.writelines(chunks)

    def _resolve(self, event: _Event) -> None:
        if not self._waiter.done():
            self._waiter.set_result(event)

    def _hang_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if self._on_closed is not None:
            self._on_closed(self)

    # Time

    def _wait_for(self, seconds: float) -> None:
        """Allow *seconds* from now; one timer serves all waits, and looks again when it rings."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
        elif self._client.is_idle:
            self._perform(self._client.quit())
        elif self._makes_progress(self._transport):
            self._wait_for(self._timeouts.block)
        else:
            self.cut("timed out")

    def _makes_progress(self, transport: asyncio.Transport) -> bool:
        """Whether the server has taken in some of what we write since we last looked."""
        before, self._unwritten = self._unwritten, transport.get_write_buffer_size()
        return not self._flushed and self._unwritten < before


def _keep_alive(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def said(error: BaseException) -> str:
    """What an error says, on one line; its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
