"""Ingest: listeners, the sessions behind them, and how they end."""

import asyncio
import socket
from collections.abc import Sequence
from functools import cache

import structlog
from prometheus_client import Counter

from ingest.listeners import BACKLOG, Listener, TlsMode, addresses, bind
from ingest.session_context import SessionContext
from ingest.smtp_session import SmtpSession
from ingest.smtp_wire import SmtpWire, Spawn, TlsAcceptor
from posthouse.running.health import CannotListen
from posthouse.running.tcp import Endpoint
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import ServerConfig

log = structlog.get_logger()

COMMANDS = Counter(
    "posthouse_smtp_commands", "SMTP commands by the class of their reply", ["verb", "code_class"]
)


@cache  # looking a counter up costs more than moving it
def _commands(verb: str, code: int) -> Counter:
    return COMMANDS.labels(verb, f"{code // 100}xx")


def _count_command(verb: str, code: int) -> None:
    _commands(verb, code).inc()


class IngestService:
    """Takes mail in on *listeners* and hands it to the intake of *context*."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        context: SessionContext,
        *,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """*sockets*: of the listeners, if they are bound already.

        Raises CannotListen when a listener needs a certificate and there is none.
        """
        for listener in listeners:
            if listener.tls.needs_certificate and context.tls is None:
                raise CannotListen(f"{listener} needs a TLS certificate, and none is set")
        self._listeners = tuple(listeners)
        self._sockets = list(sockets)
        self._addresses = addresses(sockets)
        self._context = context

    def bind(self) -> None:
        """Take the addresses; clients that connect before `run` are served then.

        Raises CannotListen. Does nothing the second time.
        """
        if not self._sockets:
            (self._sockets,) = bind(self._listeners)
            self._addresses = addresses(self._sockets)

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """Where each listener really is, in their order, once bound: ports asked as 0 are known."""
        return self._addresses

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*, then let every session finish the command it is at.

        Cancelled, it closes what is left.
        """
        self.bind()
        connections = self._context.connections
        async with asyncio.TaskGroup() as tasks:
            try:
                servers = [
                    await self._serve(listener, bound, tasks.create_task)
                    for listener, bound in zip(self._listeners, self._sockets, strict=True)
                ]
                log.info("listening", addresses=[str(a) for a in self.addresses])
                await stopping.wait()
                for server in servers:
                    server.close()
                await connections.stop()
            finally:
                for session in tuple(connections.open):
                    session.abort()

    async def _serve(
        self, listener: Listener, bound: socket.socket, spawn: Spawn
    ) -> asyncio.Server | TlsAcceptor:
        limits = self._context.limits
        config = ServerConfig(
            hostname=self._context.hostname,
            max_message_octets=limits.message_octets,
            max_recipients=limits.recipients,
            offers_starttls=listener.tls in (TlsMode.OPPORTUNISTIC, TlsMode.STARTTLS_REQUIRED),
            requires_starttls=listener.tls is TlsMode.STARTTLS_REQUIRED,
            max_protocol_errors=limits.protocol_errors,
            max_idle_commands=limits.idle_commands,
        )

        def wire() -> SmtpWire:
            server = SmtpServer(config, _count_command)
            session = SmtpSession(self._context, listener, server)
            return SmtpWire(server, session.serve, spawn, command_seconds=limits.command_seconds)

        if listener.tls is TlsMode.IMPLICIT:
            return TlsAcceptor(bound, wire, spawn)
        return await asyncio.get_running_loop().create_server(wire, sock=bound, backlog=BACKLOG)
