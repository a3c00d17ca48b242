"""The wire of an SMTP session: lines and data in, replies out, time limits, TLS; no commands yet.

A protocol of our own and not asyncio's streams: a stream costs a message more than reading its
commands does, and wants two buffers where one will do.
"""

import asyncio
import ssl
from typing import cast

import structlog

from ingest.core import replies
from ingest.core.network import client_address
from posthouse.mail.reply import Reply

log = structlog.get_logger()

_HANDSHAKE_SECONDS = 30.0
_GOODBYE_SECONDS = 1.0  # how long a client that does not read may keep our last words from leaving
_LINE_LIMIT = 65_536  # octets of a line that are waited for; a command may have fewer
_ENOUGH = 2 * _LINE_LIMIT  # octets that nobody took yet: no more is read before somebody does


class ClientGone(Exception):
    """The client closed the connection, or it broke."""


class SmtpWire(asyncio.Protocol):
    """One connection; subclasses converse over it in `serve`."""

    _transport: asyncio.Transport
    _serving: asyncio.Task[None]
    _timer: asyncio.TimerHandle

    def __init__(self, patience: float) -> None:
        """*patience*: seconds that a client has for its next line."""
        self.loop = asyncio.get_running_loop()
        self._patience = patience
        self._deadline = 0.0
        self._client = ""  # its address
        self._tls = ""  # version and cipher, "" in clear
        self._received = bytearray()
        self._outbox = bytearray()  # replies to commands that came together leave together
        self._last = replies.OK
        self._overlong = False  # the line that is coming in was too long already
        self._reading = True  # not held up because nobody took what is there
        self._ended = False  # the client sends no more
        self._leaving = False
        self._waiting = False  # for a line from the client
        self._more: asyncio.Future[None] | None = None  # somebody waits for octets,
        self._room: asyncio.Future[None] | None = None  # or for the client to read its replies

    async def serve(self) -> None:
        """Converse until the client or we leave; cancelled when the connection is lost."""
        raise NotImplementedError

    # What the client says.

    async def read_line(self) -> bytes | Reply:
        """The next line with its end; a Reply when it is longer than any command may be."""
        self._waiting = True
        try:
            while (line := self.take_line()) is None:
                await self.read_more()
        finally:
            self._waiting = False
        self.give_time()
        return line

    def take_line(self) -> bytes | Reply | None:
        """As `read_line`, but None when there is none yet."""
        received = self._received
        end = received.find(b"\n") + 1
        if not end:
            if len(received) > _LINE_LIMIT:
                self._overlong = True
                received.clear()
            return None
        line = bytes(received[:end])
        del received[:end]
        if self._overlong or end > _LINE_LIMIT:
            self._overlong = False
            return replies.LINE_TOO_LONG
        return line

    @property
    def octets_read(self) -> bytearray:
        """What the client sent and nobody took yet; to be taken by deleting it."""
        return self._received

    async def read_more(self) -> None:
        """Wait until octets_read has grown; raises ClientGone."""
        self._flush()
        if self._ended:
            raise ClientGone
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        known = len(self._received)
        self._more = self.loop.create_future()
        try:
            await self._more
        finally:
            self._more = None
        if len(self._received) == known:
            raise ClientGone

    # What we say.

    def answer(self, reply: Reply) -> None:
        """Send *reply*; it goes out no later than when we next wait for the client."""
        self._last = reply
        self._outbox += replies.wire(reply)

    def leave(self, reply: Reply) -> None:
        """Send a last *reply*; what the client sent beyond it is not read."""
        if self._leaving or self._transport.is_closing():
            return
        self._leaving = True
        self.answer(reply)
        self._flush()
        self._transport.close()

    def stop(self) -> None:
        """Say goodbye and leave, at once when idle, else when the command at work is done."""
        if self._waiting:
            self.leave(replies.STOPPING)

    def abort(self) -> None:
        """Leave now, whatever is going on."""
        self._transport.abort()

    async def drain(self) -> None:
        """Send all replies; wait for a client that reads them more slowly than it asks."""
        self._flush()
        if self._room is not None:
            await self._room

    def _flush(self) -> None:
        if self._outbox:
            self._transport.write(bytes(self._outbox))
            self._outbox.clear()

    # Time.

    def give_time(self) -> None:
        """Give the client its time again: a time stamp, since a timer for each line is dearer."""
        self._deadline = self.loop.time() + self._patience

    def _watch(self) -> None:
        """Look now and then, with one timer a connection, whether the time is over."""
        rest = self._deadline - self.loop.time()
        if rest > 0:
            self._timer = self.loop.call_later(rest, self._watch)
        else:
            log.info("client_timed_out", client=self._client)
            self.leave(replies.TIMED_OUT)
            self._timer = self.loop.call_later(_GOODBYE_SECONDS, self.abort)

    # TLS.

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on encrypted; raises ClientGone."""
        await self.drain()
        # What came in clear behind STARTTLS may be someone else's: it is never read.
        self._received.clear()
        try:
            transport = await self.loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except OSError as error:
            raise ClientGone from error
        assert transport is not None
        self._transport = transport
        self._reading = True
        self._note_tls()

    def _note_tls(self) -> None:
        tls = self._transport.get_extra_info("ssl_object")
        if tls is not None:
            self._tls = f"{tls.version()} {tls.cipher()[0]}"

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to converse."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")  # None when it has left already
        self._client = client_address(peer[0]) if peer else ""
        self._note_tls()
        self.give_time()
        self._watch()
        self._serving = self.loop.create_task(self.serve())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- its reason is nobody's
        """Break off whatever is going on."""
        self._timer.cancel()
        self._serving.cancel()

    def data_received(self, data: bytes) -> None:
        """Keep *data* for whoever asks, but not without end."""
        received = self._received
        received += data
        if len(received) > _ENOUGH and self._reading:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Go on with what was sent before a client half-closed its side; in TLS it cannot."""
        self._ended = True
        self._wake()
        return not self._tls

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def pause_writing(self) -> None:
        """Note that the client does not read its replies."""
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
        """Note that it does again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
