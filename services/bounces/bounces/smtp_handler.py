"""The door for returned mail: an SMTP server that knows no address but signed return paths.

It answers, forwards and bounces nothing. Only <CRLF>.<CRLF> ends a message; a bare line feed is
text like any other. Bounces come from the oldest and worst software there is, a refusal would lose
what they say, and what might be smuggled past us could go nowhere from here.
"""

import asyncio
import ssl
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException, syntax

from bounces.core.mime import SCANNED
from bounces.service import REFUSED, Bounces, NotOurs
from posthouse.mail.submission import Delivery
from posthouse.store import StoreRefused, StoreUnavailable

log = structlog.get_logger()

_SIZE = 10_000_000  # octets of one message
_IDLE_SECONDS = 300.0  # between commands; also the longest that one message may take to arrive
_END = b"\r\n.\r\n"
_TROUBLE = "451 4.3.0 Trouble on this side, try again later"


class ReturnEnvelope(Envelope):
    """An envelope that knows the delivery whose return path it is addressed to."""

    delivery: Delivery | None = None
    size = 0  # of the text as it came; `content` holds no more than is ever looked at


class Door:
    """The replies to EHLO, RCPT and DATA."""

    def __init__(self, bounces: Bounces) -> None:
        self._bounces = bounces

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's names for its hooks
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what aiosmtpd knows, but for an AUTH without any mechanism."""
        session.host_name = hostname
        offered = [line for line in responses[1:-1] if not line.startswith("250-AUTH")]
        return [responses[0], "250-PIPELINING", *offered, "250 ENHANCEDSTATUSCODES"]

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, session: Session, envelope: ReturnEnvelope, address: str, __: list[str]
    ) -> str:
        """Take one return path of ours."""
        if envelope.delivery is not None:
            REFUSED.labels(reason="second_recipient").inc()
            return "452 4.5.3 One recipient at a time"
        try:
            owner = await self._bounces.owner(address)
        except (StoreUnavailable, StoreRefused) as error:
            return _unstored("return_path_not_looked_up", error)
        if isinstance(owner, NotOurs):
            REFUSED.labels(reason=owner).inc()
            log.info("return_refused", reason=str(owner), client=_client(session))
            return "550 5.1.1 No such address here"
        envelope.delivery = owner
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802
        self, _: SMTP, session: Session, envelope: ReturnEnvelope
    ) -> str:
        """Answer 250 once it is committed what the message means."""
        if envelope.size > _SIZE:
            REFUSED.labels(reason="too_big").inc()
            return f"552 5.3.4 Message longer than {_SIZE} octets"
        assert envelope.delivery is not None
        assert isinstance(envelope.content, bytes)
        try:
            await self._bounces.take(envelope.delivery, envelope.content, _client(session))
        except (StoreUnavailable, StoreRefused) as error:
            return _unstored("return_not_recorded", error)
        return "250 2.0.0 Ok"

    async def handle_exception(self, error: Exception) -> str:
        """Whatever else goes wrong in here: 451, so that the sender keeps the message."""
        if isinstance(error, TLSSetupException):
            log.info("tls_failed", error=str(error.__cause__))
        else:
            log.error("return_failed", exc_info=error)
        return _TROUBLE


class Conversations:
    """Those that are going on: not too many, and given time to end when the service does."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Conversation] = set()
        self._leaving = False
        self._over = asyncio.Event()
        self._over.set()

    def enter(self, conversation: "Conversation") -> bool:
        """Count *conversation*; False when there is no room for it."""
        self._open.add(conversation)
        self._over.clear()
        return len(self._open) <= self._most and not self._leaving

    def leave(self, conversation: "Conversation") -> None:
        """Count *conversation* no longer."""
        self._open.discard(conversation)
        if not self._open:
            self._over.set()

    @property
    def leaving(self) -> bool:
        """Whether no new message is to be started."""
        return self._leaving

    async def finish(self) -> None:
        """Send away who is only listening, and wait for the messages on their way."""
        self._leaving = True
        for conversation in tuple(self._open):
            conversation.send_away()
        await self._over.wait()

    def cut(self) -> None:
        """End all that are left now."""
        for conversation in tuple(self._open):
            conversation.cut()


class Conversation(SMTP):
    """One connection: no AUTH, long lines welcome, and no more of a text kept than is read."""

    line_length_limit = 1 << 16  # of the stream; commands have their own limit of 512

    def __init__(
        self, door: Door, others: Conversations, *, hostname: str, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(
            door,
            hostname=hostname,
            ident="ESMTP",
            tls_context=tls,
            data_size_limit=_SIZE,
            enable_SMTPUTF8=True,
            timeout=_IDLE_SECONDS,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
        )
        self._others = others
        self._in_text = False

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another one."""
        self._others.leave(self)
        super().connection_lost(error)

    def send_away(self) -> None:
        """End the conversation, unless a message is on its way: then once that is answered."""
        if self.transport is not None and not self._in_text:
            self._writer.write(b"421 4.3.2 Closing down\r\n")
            self._writer.close()

    def cut(self) -> None:
        """End the conversation now."""
        if self.transport is not None:
            self._writer.transport.abort()

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        """Nobody logs in to return mail."""
        _ = arg
        await self.push("502 5.5.1 There is nobody to log in as")

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take the message text, whatever its line ends and lengths."""
        envelope = self.envelope
        assert isinstance(envelope, ReturnEnvelope)
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
        elif envelope.delivery is None:
            await self.push("503 5.5.1 Error: need RCPT command")
        else:
            self._in_text = True
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            envelope.content, envelope.size = await self._text()
            status: Any = await self._call_handler_hook("DATA")
            self.envelope = self._create_envelope()
            await self.push(status)
            self._in_text = False
            if self._others.leaving:
                self.send_away()

    async def _handle_client(self) -> None:
        if self._others.enter(self):
            await super()._handle_client()
        else:
            REFUSED.labels(reason="too_many_connections").inc()
            await self.push("421 4.3.2 Too many connections, try again later")
            self._writer.close()

    def _create_envelope(self) -> ReturnEnvelope:
        return ReturnEnvelope()

    async def _text(self) -> tuple[bytes, int]:
        """The start of the text, its dots undone (RFC 5321 section 4.5.2), and its whole size."""
        kept, size = bytearray(b"\r\n"), 0
        tail = bytes(kept)  # the end of the DATA line is the first half of an empty text's end
        while tail != _END:
            piece = await self._piece()
            size += len(piece)
            tail = (tail + piece)[-len(_END) :]
            if len(kept) <= SCANNED + len(_END):
                kept += piece
        if kept.endswith(_END):
            del kept[2 - len(_END) :]
        return bytes(kept.replace(b"\r\n.", b"\r\n")[2:]), size

    async def _piece(self) -> bytes:
        """Some of the text, up to a dot that ends a line, or as much as there is room for."""
        try:
            return await self._reader.readuntil(b".\r\n")
        except asyncio.LimitOverrunError as error:
            return await self._reader.readexactly(error.consumed)


def _client(session: Session) -> str:
    return str(session.peer[0]) if session.peer else ""


def _unstored(event: str, error: Exception) -> str:
    REFUSED.labels(reason="store").inc()
    log.warning(event, error=str(error))
    return _TROUBLE
