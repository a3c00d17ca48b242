"""The wire of an SMTP session: lines in, replies out, time limits, TLS; no mail yet.

From aiosmtpd 1.4.6 (pinned: some of the names used here are private) come the connection's life
cycle and the table of commands. Its loop takes bare line ends, knows no enhanced codes, drains
every reply and logs every line, so it is replaced.
"""

import ssl
from asyncio import IncompleteReadError, LimitOverrunError, StreamReaderProtocol
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP
from prometheus_client import Counter, Gauge

from ingest.core import gate, replies
from ingest.core.commands import Command, read_command
from ingest.core.network import client_address
from ingest.door import Door
from ingest.listener import Listener, TlsMode
from posthouse.mail.reply import Reply
from posthouse.store.accounts import Login

log = structlog.get_logger()

SESSIONS = Gauge("posthouse_smtp_sessions", "SMTP sessions that are open", ["listener"])
COMMANDS = Counter(
    "posthouse_smtp_commands", "SMTP commands by the class of their reply", ["verb", "code_class"]
)

_HANDSHAKE_SECONDS = 30.0
_NOT_IDLE = frozenset(("MAIL", "RCPT", "DATA", "AUTH", "STARTTLS", "QUIT"))


class ClientGone(Exception):
    """The client closed the connection, or it broke."""


@dataclass(slots=True)
class Transaction:
    """An envelope in the making."""

    sender: str
    smtputf8: bool
    recipients: dict[str, None] = field(default_factory=dict)  # in order, each once


class SmtpConnection(SMTP):
    """One connection; subclasses carry out its commands in smtp_VERB methods."""

    # aiosmtpd gives this to its StreamReader, which stops reading at twice as much. It bounds a
    # command line, not a line of a message.
    line_length_limit = 65_536

    def __init__(self, door: Door, listener: Listener) -> None:
        super().__init__(object(), hostname=door.hostname, timeout=door.limits.command_seconds)
        self._door = door
        self._listener = listener
        self._label = str(listener)  # in metrics
        self._client = ""
        self._tls = ""  # version and cipher, "" in clear
        self._greeted = False
        self._login: Login | None = None
        self._mail: Transaction | None = None
        self._waiting = False  # for a line from the client
        self._leaving = False
        self._errors = 0
        self._idle_commands = 0
        self._deadline = 0.0
        self._last = replies.OK
        self._outbox = bytearray()  # replies to commands that came together leave together

    # What the door asks of its guests.

    def stop(self) -> None:
        """Say goodbye and leave, at once when idle, else when the command at work is done."""
        if self._waiting:
            self.leave(replies.STOPPING)

    def abort(self) -> None:
        """Leave now, whatever is going on."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]  # of a stream it has one

    # What subclasses use.

    def answer(self, reply: Reply) -> None:
        """Send *reply*; it goes out no later than when we next wait for the client."""
        self._last = reply
        self._errors += replies.is_protocol_error(reply)
        self._outbox += replies.wire(reply)

    async def read_line(self) -> bytes | Reply:
        """The next line with its end; a Reply when it is longer than any command may be."""
        if b"\n" not in self.octets_read:
            self._flush()
        self._waiting = True
        too_long = False
        try:
            while True:
                try:
                    line = await self._reader.readuntil()
                except LimitOverrunError as overrun:
                    too_long = True
                    await self._reader.readexactly(overrun.consumed)
                else:
                    self._reset_timeout()
                    return replies.LINE_TOO_LONG if too_long else line
        except (IncompleteReadError, OSError) as error:
            raise ClientGone from error
        finally:
            self._waiting = False

    @property
    def octets_read(self) -> bytearray:
        """What the client sent and nobody took yet; to be taken by deleting it."""
        return self._reader._buffer  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

    async def read_more(self) -> None:
        """Wait until octets_read has grown."""
        self._flush()
        if self._reader.at_eof():
            raise ClientGone
        try:
            await self._reader._wait_for_data("DATA")  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError as error:
            raise ClientGone from error
        if not self.octets_read:
            raise ClientGone

    # The conversation.

    async def _handle_client(self) -> None:
        """Serve the client until it or we leave; replaces aiosmtpd's loop."""
        assert self.session is not None
        assert self.session.peer is not None
        self._client = client_address(self.session.peer[0])
        guests = self._door.guests
        sessions = SESSIONS.labels(self._label)
        sessions.inc()
        try:
            if refused := guests.admit(self, self._client):
                self.leave(refused)
            else:
                self._note_tls()
                await self._converse()
        except ClientGone:
            log.debug("client_gone", client=self._client)
        finally:
            guests.leave(self, self._client)
            sessions.dec()
            if self.transport is not None:
                self.transport.close()

    async def _converse(self) -> None:
        self.answer(Reply(220, f"{self.hostname} ESMTP Posthouse"))
        while not self._leaving:
            if self._door.guests.stopping:
                self.leave(replies.STOPPING)
                return
            line = await self.read_line()
            await self._obey(line if isinstance(line, Reply) else read_command(line))
            if self._paused:  # type: ignore[attr-defined]  # the client does not read our replies
                await self._drain()

    async def _obey(self, command: Command | Reply) -> None:
        """Carry out one command; a Reply stands for a line that was none."""
        if isinstance(command, Reply):
            verb = "other"
            self.answer(command)
        else:
            verb = command.verb if command.verb in self._smtp_methods else "other"
            await self._carry_out(command)
        command_counter(verb, self._last.code).inc()
        self._idle_commands = 0 if verb == "DATA" else self._idle_commands + (verb not in _NOT_IDLE)
        if self._errors >= self._door.limits.protocol_errors:
            self.leave(replies.TOO_MANY_ERRORS)
        elif self._idle_commands > self._door.limits.idle_commands:
            self.leave(replies.TOO_MANY_IDLE_COMMANDS)

    async def _carry_out(self, command: Command) -> None:
        method = self._smtp_methods.get(command.verb)
        if method is None:
            self.answer(replies.UNKNOWN_COMMAND)
        elif refused := gate.refuse(command.verb, self._stage()):
            self.answer(refused)
        else:
            try:
                await method(command.argument)
            except ClientGone:
                raise
            except Exception:
                # Whatever is wrong with us is no reason for a client to give a message up.
                log.exception("internal_fault", verb=command.verb, client=self._client)
                self.answer(replies.FAULT)

    def _stage(self) -> gate.Stage:
        return gate.Stage(
            must_start_tls=self._must_start_tls,
            greeted=self._greeted,
            authenticated=self._login is not None,
        )

    @property
    def _must_start_tls(self) -> bool:
        return self._listener.tls is TlsMode.STARTTLS_REQUIRED and not self._tls

    def leave(self, reply: Reply) -> None:
        """Send a last *reply*; what the client sent beyond it is not read."""
        if self.transport is None or self._leaving:
            return
        self._leaving = True
        self.answer(reply)
        self._flush()
        self.transport.close()

    def _flush(self) -> None:
        if self._outbox:
            self._writer.write(bytes(self._outbox))
            self._outbox.clear()

    async def _drain(self) -> None:
        self._flush()
        try:
            await self._writer.drain()
        except OSError as error:
            raise ClientGone from error

    # TLS.

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on encrypted, as if the client had just connected (RFC 3207 section 4.2)."""
        assert self.transport is not None
        await self._drain()
        # What came in clear behind STARTTLS may be someone else's: it is never read.
        self.octets_read.clear()
        try:
            transport = await self.loop.start_tls(
                self.transport,  # type: ignore[arg-type]  # of a stream it is a Transport
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except OSError as error:
            raise ClientGone from error
        assert transport is not None
        self.transport = transport
        self._reader._transport = transport  # type: ignore[attr-defined]  # noqa: SLF001
        self._writer._transport = transport  # type: ignore[attr-defined]  # noqa: SLF001
        self._greeted = False
        self._login = None
        self._mail = None
        self._note_tls()

    def _note_tls(self) -> None:
        assert self.transport is not None
        tls = self.transport.get_extra_info("ssl_object")
        if tls is not None:
            self._tls = f"{tls.version()} {tls.cipher()[0]}"

    # What aiosmtpd and asyncio call.

    def eof_received(self) -> bool:
        """Answer what was sent before a client half-closed its side (aiosmtpd drops it)."""
        StreamReaderProtocol.eof_received(self)
        return not self._tls

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Give the client its time again; one timer a connection, not one a command."""
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        if self._timeout_handle is None:
            self._timeout_cb()

    def _timeout_cb(self) -> None:
        rest = self._deadline - self.loop.time()
        if rest > 0:
            self._timeout_handle = self.loop.call_later(rest, self._timeout_cb)
        else:
            log.info("client_timed_out", client=self._client)
            self.leave(replies.TIMED_OUT)
            # It may be that it does not read either: no goodbye can reach it then.
            self.loop.call_later(1.0, self.abort)


@cache
def command_counter(verb: str, code: int) -> Any:
    """The counter of one verb and class of reply; looked up once, it is moved for each command."""
    return COMMANDS.labels(verb, f"{code // 100}xx")
