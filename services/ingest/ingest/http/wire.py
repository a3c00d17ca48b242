"""The wire under an HTTP session: sockets, TLS and time limits. It knows no paths."""

import asyncio
import ssl
from contextlib import suppress
from typing import cast

import structlog

from ingest.http.request_parser import RequestHead, RequestParser
from ingest.http.served import HttpClientGone, Served, Spawn, WireLimits
from ingest.tls_channel import TlsChannel
from posthouse.authentication.client_networks import client_address

log = structlog.get_logger()

_HIGH_WATER_OCTETS = 131_072  # pause reading from the socket above this much unread body
_GOODBYE_SECONDS = 2.0  # how long a client may go on sending after its last answer


class HttpWire(asyncio.Protocol):
    """One connection; its requests come one after the other."""

    _transport: asyncio.Transport
    _serving: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle

    def __init__(
        self, session: Served, spawn: Spawn, limits: WireLimits, tls: ssl.SSLContext | None
    ) -> None:
        """What *session* begins runs as a task made by *spawn*, until the connection is lost."""
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._spawn = spawn
        self._limits = limits
        self._parser = RequestParser(limits.head_octets)
        self._context = tls
        self._channel: TlsChannel | None = None
        self.tls = ""  # version and cipher, "" in clear
        self.client = ""  # its address
        self._deadline, self._requests = 0.0, 0
        self._ended = False  # the client sends no more
        self._lingering = False  # all is said: what comes is not read
        self._reading = True  # not paused
        self._more: asyncio.Future[None] | None = None  # the session waits for octets,
        self._room: asyncio.Future[None] | None = None  # or for the client to read its answer

    # For the session.

    async def next_request(self) -> RequestHead:
        """The head of the next request; raises BadRequest, HttpClientGone."""
        while self._parser.head is None:
            await self._wait()
        self._requests += 1
        return self._parser.head

    async def read(self) -> bytes:
        """More of the body, b"" at its end; raises BadRequest, HttpClientGone."""
        parser = self._parser
        while not parser.pieces:
            if parser.complete:
                return b""
            await self._wait()
        octets = parser.take()
        self._go_on_reading()
        return octets

    async def _wait(self) -> None:
        """Wait for more; raises BadRequest, HttpClientGone."""
        if self._parser.bad is not None:
            raise self._parser.bad
        if self._ended:
            raise HttpClientGone
        self._more = self._loop.create_future()
        try:
            await self._more
        finally:
            self._more = None

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def encourage(self) -> None:
        """Tell a client that waits to be told to send its body (RFC 9110 section 10.1.1)."""
        if not self._parser.received and not self._parser.complete:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has come since the last answer."""
        return self._parser.head is None and not self._parser.head_octets

    @property
    def may_go_on(self) -> bool:
        """Whether another request may follow the answer to this one."""
        parser = self._parser
        has_more = self._requests < self._limits.requests
        return parser.complete and parser.keeps and not self._ended and has_more

    async def respond(self, octets: bytes, *, last: bool) -> None:
        """Send an answer; after the *last* one the connection is closed, and this is cancelled."""
        if last:
            self._linger(octets)
            await self._loop.create_future()
        self.send(octets)
        self._parser.begin()
        self._go_on_reading()
        self._give(self._limits.idle_seconds)
        if self._room is not None:
            await self._room

    def _linger(self, last: bytes) -> None:
        """Send *last*, and close when the client has, or soon.

        To close while it still sends would take back the answer that it has not read.
        """
        self._lingering = True
        self._go_on_reading()
        if self._channel is None:
            self._transport.write(last)
        else:
            self._channel.end(last)
        with suppress(OSError):  # it has left, and we have not heard of it yet
            self._transport.write_eof()
        has_all = self._ended or (self._parser.complete and self._parser.bad is None)
        self._give(0 if has_all else _GOODBYE_SECONDS)
        self._timer.cancel()
        self._watch()

    def _go_on_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def send(self, octets: bytes) -> None:
        """Send *octets*; over TLS nothing before its handshake."""
        (self._channel or self._transport).write(octets)

    def close(self) -> None:
        """Close the connection when all is sent."""
        if self._channel is not None and not self._transport.is_closing():
            self._channel.end()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    def _give(self, seconds: float) -> None:
        """Give the client so much time for what it does next."""
        self._deadline = self._loop.time() + seconds

    def _watch(self) -> None:
        """End the connection when its time is over; one timer for each."""
        rest = self._deadline - self._loop.time()
        if rest > 0:
            self._timer = self._loop.call_later(rest, self._watch)
        elif self._channel is not None and not self._channel.is_open:
            self._channel.give_up()
            self.abort()
        elif self._lingering:
            self._transport.close()
            self._timer = self._loop.call_later(_GOODBYE_SECONDS, self.abort)
        elif self._parser.complete:  # it waits for us, not we for it
            self._timer = self._loop.call_later(self._limits.head_seconds, self._watch)
        elif self.is_idle or self._room is not None:
            self.abort()
        else:
            log.info("client_timed_out", client=self.client)
            self._parser.refuse(408, "The request did not come in time")
            self._wake()
            self._timer = self._loop.call_later(_GOODBYE_SECONDS, self.abort)

    # For asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        self._give(self._limits.handshake_seconds if self._context else self._limits.head_seconds)
        self._watch()
        if not (peer := transport.get_extra_info("peername")):
            self.abort()  # it has left already
            return
        self.client = client_address(peer[0])
        if self._context is not None:
            self._channel = TlsChannel(self._context, self.client, self._transport.write)
        if serving := self._session.begin(self):
            self._serving = self._spawn(serving)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- why makes no difference
        """Cancel the session."""
        self._timer.cancel()
        self._note_end()
        if self._serving is not None:
            self._serving.cancel()
        self._session.leave()
        self._parser.close()

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the parser."""
        if not self._lingering:
            if text := self._decrypted(self._channel, data) if self._channel else data:
                self._feed(text)
            self._wake()

    def _decrypted(self, channel: TlsChannel, data: bytes) -> bytes:
        text = channel.receive(data)
        self._ended = self._ended or channel.has_ended
        if channel.is_open and not self.tls:
            self.tls = channel.version_and_cipher
            self._give(self._limits.head_seconds)
        return text

    def _feed(self, text: bytes) -> None:
        """Read no more while much of the body is unread."""
        parser = self._parser
        was_idle, had_head, received = self.is_idle, parser.head is not None, parser.received
        parser.feed(text)
        if parser.head is None:
            if was_idle:
                self._give(self._limits.head_seconds)
            return
        if not had_head:
            self._give(self._limits.body_seconds)
        self._deadline += (parser.received - received) / self._limits.octets_per_second
        if parser.unread > _HIGH_WATER_OCTETS and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what a client sent before it half-closed its side."""
        self._note_end()
        self._wake()
        if self._lingering:
            self._transport.close()
        return True

    def _note_end(self) -> None:
        if self._channel is not None:
            self._channel.note_end()
        self._ended = True

    def pause_writing(self) -> None:
        """Note that the client does not read its answers."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that it does again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
