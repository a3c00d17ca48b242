"""One client's session: what `posthouse.smtp` asks is decided here, and counted."""

from functools import cache
from typing import assert_never

import structlog
from prometheus_client import Gauge

from ingest.client_login import ClientLogin
from ingest.client_pace import ClientPace
from ingest.core import refusals
from ingest.core.sender_rules import check_sender
from ingest.listeners import Listener, TlsMode
from ingest.message_receiver import MessageReceiver
from ingest.proxied_client import introduce_client
from ingest.session_context import SessionContext
from ingest.smtp_wire import ClientGone, SmtpWire
from posthouse.smtp.commands import Mail
from posthouse.smtp.mechanisms import ScramRequest
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import (
    AuthRequest,
    DataRequest,
    Event,
    MessageReceived,
    TlsRequest,
)

log = structlog.get_logger()

SESSIONS = Gauge("posthouse_smtp_sessions", "SMTP sessions that are open", ["listener"])
# Looking a gauge up costs more than moving it: each is kept.
_sessions = cache(SESSIONS.labels)


class SmtpSession:
    """Serves one client over a wire."""

    _wire: SmtpWire
    _pace: ClientPace

    def __init__(self, context: SessionContext, listener: Listener, server: SmtpServer) -> None:
        self._context = context
        self._listener = listener
        self._label = listener.name  # in metrics
        self._server = server
        self._receiver = MessageReceiver(context, server, listener)
        self._login = ClientLogin(context, server, self._receiver, self._label, self)

    async def serve(self, wire: SmtpWire) -> None:
        """Serve the client until it or we leave."""
        context, listener = self._context, self._listener
        self._wire = wire
        idle_seconds = listener.idle_seconds or context.limits.idle_seconds
        self._pace = ClientPace(context.limits, idle_seconds, self._server, wire)
        sessions = _sessions(self._label)
        sessions.inc()
        try:
            if listener.proxies:
                context.connections.await_name(self)
                await introduce_client(wire, listener, context.limits.proxy_seconds)
            self._receiver.client = wire.client
            if (refusal := context.connections.admit(self, wire.client)) is None:
                await self._converse()
                if self._server.dismissed:
                    self._receiver.release()
                    await wire.linger()
            elif listener.tls is not TlsMode.IMPLICIT:  # it could only be told over TLS
                self._server.close(refusal)
        except ClientGone:
            log.debug("client_gone", client=wire.client)
        finally:
            self._receiver.release()
            context.connections.leave(self, wire.client)
            sessions.dec()
            wire.close()

    def stop(self) -> None:
        """Close the session: at once when it is idle, else when its command is done."""
        if self._wire.is_beginning:
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
        else:
            wire.begin()
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
        if self._server.state.data is not None:
            self._receiver.note_progress()
        else:  # RSET may have ended a message that came in chunks
            self._receiver.release()
        self._pace.note()
        await self._wire.read_more()

    async def _carry_out(self, event: Event) -> None:
        match event:
            case Mail():
                await self._on_mail(event)
            case DataRequest():
                self._receiver.begin()
            case MessageReceived():
                self._pace.give_time()  # to commit takes longer than anything else here
                await self._receiver.complete(event)
            case ScramRequest():
                await self._login.begin_scram(event)
            case AuthRequest():
                await self._login.conclude(event)
            case TlsRequest():
                await self._start_tls()
            case _:
                assert_never(event)

    async def _start_tls(self) -> None:
        certificate = self._context.tls
        assert certificate is not None  # offered only then
        self._login.forget()
        seconds = self._context.limits.handshake_seconds
        await self._wire.start_tls(certificate.context, seconds=seconds)

    # Whether it may send.

    async def _on_mail(self, mail: Mail) -> None:
        context, receiver = self._context, self._receiver
        if reply := context.store_backoff.reply(context.clock()):
            self._server.answer(reply)
        elif not context.intake.has_room():
            receiver.reject(refusals.NO_ROOM)
        elif await self._login.is_current():
            facts = receiver.facts
            if refusal := check_sender(mail.sender, facts) or context.rates.refusal(facts):
                receiver.reject(refusal)
            elif mail.size > facts.max_message_octets:
                receiver.reject(refusals.too_big(facts.max_message_octets))
            else:
                self._server.accept_sender(mail)
