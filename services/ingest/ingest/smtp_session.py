"""One client's session: what `posthouse.smtp` asks is decided here, and counted."""

import asyncio
from functools import cache
from typing import assert_never

import structlog
from prometheus_client import Counter, Gauge

from ingest.authenticator import Denial, facts_of
from ingest.core import refusals
from ingest.core.message_checks import SessionFacts, check_sender
from ingest.listeners import Listener, TlsMode
from ingest.message_receiver import MessageReceiver
from ingest.session_context import SessionContext
from ingest.smtp_wire import ClientGone, SmtpWire
from posthouse.profiles import InvalidOverride, UnknownProfile
from posthouse.smtp import replies
from posthouse.smtp.commands import Mail
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import (
    AuthRequest,
    DataRequest,
    Event,
    MessageReceived,
    TlsRequest,
)
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.accounts import Login

log = structlog.get_logger()

SESSIONS = Gauge("posthouse_smtp_sessions", "SMTP sessions that are open", ["listener"])
LOGINS = Counter("posthouse_smtp_auth", "Logins tried", ["mechanism", "result"])

# Looking a gauge up costs more than moving it: each is kept.
_sessions = cache(SESSIONS.labels)

# Reasons why it is unknown whether a client may send; a newer version may know a profile that is
# unknown here.
_CANNOT_TELL = (StoreUnavailable, StoreRefused, UnknownProfile, InvalidOverride)


class SmtpSession:
    """Serves one client over a wire."""

    _wire: SmtpWire

    def __init__(self, context: SessionContext, listener: Listener, server: SmtpServer) -> None:
        self._context = context
        self._listener = listener
        self._label = str(listener)  # in metrics
        self._server = server
        self._receiver = MessageReceiver(context, server, self._label)
        self._login: Login | None = None
        self._failed_logins = 0
        self._lines_read = 0

    async def serve(self, wire: SmtpWire) -> None:
        """Serve the client until it or we leave."""
        self._wire = wire
        self._receiver.client = wire.client
        context = self._context
        sessions = _sessions(self._label)
        sessions.inc()
        try:
            if context.connections.admit(self, wire.client):
                await self._converse()
            elif self._listener.tls is not TlsMode.IMPLICIT:  # it could only be told over TLS
                self._server.close(
                    refusals.STOPPING
                    if context.connections.stopping
                    else refusals.TOO_MANY_CONNECTIONS
                )
        except ClientGone:
            log.debug("client_gone", client=wire.client)
        finally:
            self._receiver.release()
            context.connections.leave(self, wire.client)
            sessions.dec()
            wire.close()

    def stop(self) -> None:
        """Close the session: at once when it is idle, else when its command is done."""
        if self._wire.in_handshake:
            self._wire.abort()
        elif self._wire.is_waiting and self._server.state.data is None:
            self._server.close(refusals.STOPPING)
            self._wire.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._wire.abort()

    # The conversation.

    async def _converse(self) -> None:
        server, wire, context = self._server, self._wire, self._context
        if self._listener.tls is TlsMode.IMPLICIT:
            await self._start_tls()
        server.greet()
        while not server.state.closed:
            if context.connections.stopping and server.state.data is None:
                server.close(refusals.STOPPING)
                return
            try:
                event = server.next_event()
                if event is not None:
                    await self._carry_out(event)
                elif not server.state.closed:
                    await self._wait()
            except ClientGone:
                raise
            except Exception:
                # A fault of ours must not make a client give up its message.
                log.exception("internal_fault", client=wire.client)
                server.break_down(refusals.FAULT)
            if wire.is_clogged:
                await wire.drain()

    async def _wait(self) -> None:
        """Wait for more octets; a client that makes progress gets its time again."""
        server = self._server
        if server.state.data is not None:
            if self._receiver.note_progress():
                self._wire.give_time()
        elif server.lines_read != self._lines_read:
            self._lines_read = server.lines_read
            self._wire.give_time()
        await self._wire.read_more()

    async def _carry_out(self, event: Event) -> None:
        match event:
            case Mail():
                await self._on_mail(event)
            case DataRequest():
                self._receiver.begin()
            case MessageReceived():
                self._wire.give_time()  # to commit takes longer than anything else here
                await self._receiver.complete(event)
            case AuthRequest():
                await self._on_auth(event)
            case TlsRequest():
                await self._start_tls()
            case _:
                assert_never(event)

    async def _start_tls(self) -> None:
        context = self._context.tls
        assert context is not None  # offered only then
        self._login = None
        await self._wire.start_tls(context, seconds=self._context.limits.handshake_seconds)

    # Who the client is, and whether it may send.

    async def _on_auth(self, request: AuthRequest) -> None:
        try:
            login = await self._context.authenticator.authenticate(
                request.credentials, self._wire.client
            )
            if isinstance(login, Login):
                self._receiver.facts = self._facts(login)
        except _CANNOT_TELL as error:
            LOGINS.labels(request.mechanism, "unavailable").inc()
            log.warning("auth_unavailable", client=self._wire.client, reason=str(error))
            self._server.answer(refusals.AUTH_UNAVAILABLE)
            return
        result = await self._conclude_auth(login)
        LOGINS.labels(request.mechanism, result).inc()
        if self._login is None:
            username = request.credentials.username
            log.info(
                "auth_failed",
                client=self._wire.client,
                mechanism=request.mechanism,
                username=username if username.isprintable() else ascii(username),
            )

    async def _conclude_auth(self, login: Login | Denial) -> str:
        """Answer AUTH; what the login is counted as."""
        limits = self._context.limits
        match login:
            case Login():
                self._login = login
                self._failed_logins = 0
                self._server.log_in(self._receiver.facts.max_message_octets)
                return "accepted"
            case Denial.WRONG:
                self._failed_logins += 1
                await asyncio.sleep(limits.login_failure_seconds)
                self._server.answer(refusals.AUTH_FAILED)
                if self._failed_logins >= limits.login_failures:
                    self._server.close(refusals.TOO_MANY_LOGINS)
                return "refused"
            case Denial.TOO_MANY_GUESSES:
                self._server.close(refusals.TOO_MANY_LOGINS)
                return "too_many"
            case _:
                assert_never(login)

    def _facts(self, login: Login) -> SessionFacts:
        limits = self._context.limits
        return facts_of(login, limits.message_octets, limits.header_octets)

    async def _on_mail(self, mail: Mail) -> None:
        context, receiver = self._context, self._receiver
        if reply := context.store_backoff.reply(context.clock()):
            self._server.answer(reply)
        elif not context.has_room():
            receiver.reject(refusals.NO_ROOM)
        elif await self._is_still_logged_in():
            facts = receiver.facts
            if refusal := check_sender(mail.sender, facts):
                receiver.reject(refusal)
            elif mail.size > facts.max_message_octets:
                receiver.reject(refusals.too_big(facts.max_message_octets))
            else:
                self._server.accept_sender(mail)

    async def _is_still_logged_in(self) -> bool:
        """Whether the login still counts, with what it means now; else the client is told."""
        assert self._login is not None  # MAIL is open only then
        try:
            login = await self._context.authenticator.current(self._login)
            if login is not None and login is not self._login:
                self._receiver.facts = self._facts(login)
        except _CANNOT_TELL as error:
            self._receiver.turn_away(refusals.FAULT, error)
            return False
        self._login = login
        if login is None:
            self._server.log_out(replies.NEEDS_AUTH)
        return login is not None
