"""One connection that returns mail: an SMTP server that takes mail for our own addresses only.

It sends no answer, forward or bounce. Only <CRLF>.<CRLF> ends a message; a bare line feed is
text like any other. Bounces come from the oldest and least correct software; a refusal would lose
their content, and nothing that is smuggled in here is sent on.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException, syntax

from bounces.message_text import MessageText, NoRoom, TextMemory
from bounces.open_connections import CLOSING_DOWN, OpenConnections
from bounces.own_addresses import NotOurs, OwnAddress, OwnAddresses
from bounces.proxy_introduction import Peer, ProxyIntroduction
from bounces.return_metrics import REFUSED
from bounces.service import Bounces, ReturnedMail
from posthouse.store import StoreRefused, StoreUnavailable

log = structlog.get_logger()

# A report may carry a whole message of ours back: those have 25 MiB at most.
_MOST_OCTETS_OF_A_MESSAGE = 40 * 1024 * 1024
_MOST_SECONDS_OF_A_MESSAGE = 3_600.0  # from DATA to the final dot
_MOST_COMMANDS_OF_A_KIND = 1_000  # in one connection; then it is closed with 421
_STREAM_OCTETS = 1 << 16  # of aiosmtpd's buffer; commands have their own limit of 512
_TRY_AGAIN = "451 4.3.0 Trouble on this side, try again later"
_TOO_MANY_CONNECTIONS = "421 4.3.2 Too many connections, try again later"
_TOO_MANY_MESSAGES = "451 4.7.1 Too many messages from your address, try again in a minute"
_NO_ROOM = "452 4.3.1 Too many long messages at one time, try again later"
# The one address without a domain (RFC 5321 section 4.5.1).
_POSTMASTER = re.compile(r"(TO:\s*<postmaster)>", re.IGNORECASE)


class ReturnHandler:
    """The replies to EHLO, MAIL and RCPT, as aiosmtpd's hooks, and to a message."""

    def __init__(
        self, addresses: OwnAddresses, bounces: Bounces, connections: OpenConnections
    ) -> None:
        self._addresses = addresses
        self._bounces = bounces
        self._connections = connections
        self._memory = TextMemory()

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's names for its hooks
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what aiosmtpd knows, without an AUTH that has no mechanism."""
        session.host_name = hostname
        offered = [line for line in responses[1:-1] if not line.startswith("250-AUTH")]
        return [responses[0], "250-PIPELINING", *offered, "250 ENHANCEDSTATUSCODES"]

    async def handle_MAIL(  # noqa: N802
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take any sender, until its client has sent enough for this minute."""
        if not self._connections.message(_address(session)):
            REFUSED.labels(reason="too_many_messages").inc()
            return _TOO_MANY_MESSAGES
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        """Take one address of ours."""
        assert isinstance(server, ReturnConnection)
        if envelope.rcpt_tos:
            REFUSED.labels(reason="second_recipient").inc()
            return "452 4.5.3 One recipient at a time"
        try:
            owner = await self._addresses.owner(address)
        except (StoreUnavailable, StoreRefused) as error:
            return _unstored("return_path_not_looked_up", error)
        if isinstance(owner, NotOurs):
            REFUSED.labels(reason=owner).inc()
            log.info("return_refused", reason=str(owner), client=_address(session))
            return "550 5.1.1 No such address here"
        server.transaction = Transaction(envelope, owner)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def take(self, transaction: "Transaction", protocol: SMTP) -> str:
        """Read a message, and reply to it: 250 once its meaning is committed."""
        try:
            async with self._memory.read_text(protocol) as text:
                return await self._take(transaction, text, protocol.session)
        except NoRoom:
            REFUSED.labels(reason="no_room").inc()
            return _NO_ROOM

    async def _take(
        self, transaction: "Transaction", text: MessageText, session: Session | None
    ) -> str:
        if text.octets > _MOST_OCTETS_OF_A_MESSAGE:
            REFUSED.labels(reason="too_big").inc()
            return f"552 5.3.4 Message longer than {_MOST_OCTETS_OF_A_MESSAGE} octets"
        sender = transaction.envelope.mail_from or ""
        mail = ReturnedMail(text.start, sender.strip("<>"), _address(session))
        try:
            await self._bounces.take(transaction.owner, mail)
        except (StoreUnavailable, StoreRefused) as error:
            return _unstored("return_not_recorded", error)
        return "250 2.0.0 Ok"

    async def handle_exception(self, error: Exception) -> str:
        """Answer 451 to any other failure in here, so that the sender keeps the message."""
        if isinstance(error, TLSSetupException):
            log.info("tls_failed", error=str(error.__cause__))
        else:
            log.error("return_failed", exc_info=error)
        return _TRY_AGAIN


@dataclass(frozen=True, slots=True)
class Transaction:
    """An envelope, and whose address it is sent to."""

    envelope: Envelope
    owner: OwnAddress


class ReturnConnection(SMTP):
    """aiosmtpd's server side of one connection: no AUTH, long lines, and limits for each client."""

    line_length_limit = _STREAM_OCTETS

    def __init__(
        self,
        handler: ReturnHandler,
        connections: OpenConnections,
        *,
        hostname: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(
            handler,
            hostname=hostname,
            ident="ESMTP",
            tls_context=tls,
            data_size_limit=_MOST_OCTETS_OF_A_MESSAGE,
            enable_SMTPUTF8=True,
            timeout=_MOST_SECONDS_OF_A_MESSAGE,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            command_call_limit=_MOST_COMMANDS_OF_A_KIND,
        )
        self.transaction: Transaction | None = None
        self.heard_at = self.loop.time()
        self._handler = handler
        self._connections = connections
        self._admitted = False
        self._in_text = False
        self._idle: asyncio.TimerHandle | None = None
        self._client: Peer = ("",)
        self._introduction: ProxyIntroduction | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, if there is room; aiosmtpd calls this a second time after STARTTLS.

        Behind proxies it starts when the header has said whose connection it is.
        """
        connection = cast("asyncio.Transport", transport)
        peer = connection.get_extra_info("peername") or ("",)
        proxies = self._connections.proxies_before(peer)
        if self._admitted or not proxies:
            self._start(connection, peer)
        else:
            self._introduction = ProxyIntroduction(connection, proxies, self._introduced)

    def _introduced(self, transport: asyncio.Transport, client: Peer, behind: bytes) -> None:
        self._start(transport, client)
        self.data_received(behind)

    def _start(self, transport: asyncio.Transport, client: Peer) -> None:
        if not self._admitted:
            self._client = client
            self._admitted = self._connections.admit(self, client)
            if not self._admitted:
                REFUSED.labels(reason="too_many_connections").inc()
                transport.write(f"{_TOO_MANY_CONNECTIONS}\r\n".encode())
                transport.close()
                return
            self._close_if_idle()
        super().connection_made(transport)
        assert self.session is not None
        # A socket address, as aiosmtpd itself puts there.
        self.session.peer = self._client  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Note when the client sent something."""
        self.heard_at = self.loop.time()
        if self._admitted:
            super().data_received(data)
        elif self._introduction is not None:
            self._introduction.take(data)

    def eof_received(self) -> bool | None:
        """Close, if nothing has begun yet."""
        return super().eof_received() if self._admitted else False

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another connection."""
        if self._introduction is not None:
            self._introduction.end()
        self._connections.leave(self)
        if self._idle is not None:
            self._idle.cancel()
        if self._admitted:
            super().connection_lost(error)

    def send_away(self, reply: str) -> None:
        """Close with *reply*; if a message is on its way, after that is answered."""
        if self.transport is not None and not self._in_text:
            transport = cast("asyncio.Transport", self.transport)
            transport.write(f"{reply}\r\n".encode())
            transport.close()

    def cut(self) -> None:
        """Close now."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    async def smtp_AUTH(self, _: str) -> None:  # noqa: N802
        """Refuse: mail is returned without a login."""
        await self.push("502 5.5.1 AUTH is not offered here")

    @syntax("RCPT TO: <address>")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Take "postmaster" without a domain as that of this host."""
        own = _POSTMASTER.sub(rf"\1@{self.hostname}>", arg or "", count=1)
        await super().smtp_RCPT(own)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take the message text, with any line ends and line lengths."""
        transaction = self.transaction
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
        elif transaction is None or transaction.envelope is not self.envelope:
            await self.push("503 5.5.1 Error: need RCPT command")
        else:
            self._in_text = True
            try:
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                await self.push(await self._handler.take(transaction, self))
            finally:
                self.envelope = Envelope()
                self._in_text = False
            if self._connections.leaving:
                self.send_away(CLOSING_DOWN)

    def _close_if_idle(self) -> None:
        left = self.heard_at + self._connections.limits.idle_seconds - self.loop.time()
        if left > 0:
            self._idle = self.loop.call_later(left, self._close_if_idle)
        elif self._in_text:
            self.cut()
        else:
            self.send_away("421 4.4.2 Idle for too long")


def _address(session: Session | None) -> str:
    return str(session.peer[0]) if session and session.peer else ""


def _unstored(event: str, error: Exception) -> str:
    REFUSED.labels(reason="store").inc()
    log.warning(event, error=str(error))
    return _TRY_AGAIN
