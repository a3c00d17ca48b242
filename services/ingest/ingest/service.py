"""Ingest: listeners, the sessions behind them, and how they end."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import structlog
from prometheus_client import Counter

from ingest.http.door import HttpDoor
from ingest.http.http_request import HttpRoute
from ingest.http.http_router import HttpRouter
from ingest.http.served import WireLimits
from ingest.http.session import HttpSession
from ingest.http.wire import HttpWire
from ingest.intake_notes import count_from_nothing
from ingest.listeners import Listener, TlsMode
from ingest.listening_sockets import BACKLOG, Sockets, bind, found
from ingest.session_context import SessionContext
from ingest.smtp_session import SmtpSession
from ingest.smtp_wire import SmtpWire, Spawn
from posthouse.running.http_server import CannotListen
from posthouse.running.tcp import Endpoint
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import ServerConfig

log = structlog.get_logger()

COMMANDS = Counter(
    "posthouse_smtp_commands", "SMTP commands by the class of their reply", ["verb", "code_class"]
)


Apis = Callable[[HttpDoor], Iterable[HttpRoute]]
"""The routes of all APIs, for messages that come in by a door."""


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
        apis: Apis = lambda _: (),
        sockets: Sockets = (),
        http_limits: WireLimits = WireLimits(),  # noqa: B008 -- a tuple
    ) -> None:
        """*sockets*: of the listeners, if they are bound already.

        *apis*: what answers at HTTP listeners.

        Raises CannotListen when a listener needs a certificate and there is none.
        """
        for listener in listeners:
            if listener.tls.needs_certificate and context.tls is None:
                raise CannotListen(f"{listener.name} needs a TLS certificate, and none is set")
        self._listeners = found(listeners, sockets) if sockets else tuple(listeners)
        self._sockets = sockets
        self._context = context
        self._apis = apis
        self._http_limits = http_limits

    def bind(self) -> None:
        """Take the addresses; clients that connect before `run` are served then.

        Raises CannotListen. Does nothing the second time.
        """
        if not self._sockets:
            (self._sockets,) = bind(self._listeners)
            self._listeners = found(self._listeners, self._sockets)

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """Each listener's first port, once bound: what was asked as 0 is known."""
        return tuple(Endpoint(one.host, one.ports[0]) for one in self._listeners)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*, then let every session finish the command it is at.

        Cancelled, it closes what is left.
        """
        self.bind()
        connections = self._context.connections
        async with asyncio.TaskGroup() as tasks:
            try:
                servers = [
                    server
                    for listener, sockets in zip(self._listeners, self._sockets, strict=True)
                    for server in await self._serve(listener, sockets, tasks.create_task)
                ]
                for listener in self._listeners:
                    count_from_nothing(listener.name)
                log.info("listening", listeners=[listener.name for listener in self._listeners])
                await stopping.wait()
                for server in servers:
                    server.close()
                await connections.stop()
            finally:
                connections.abort()

    async def _serve(
        self, listener: Listener, sockets: Sequence[socket.socket], spawn: Spawn
    ) -> Sequence[asyncio.Server]:
        made = self._http if listener.tls.is_http else self._smtp
        create = asyncio.get_running_loop().create_server
        wire = made(listener, spawn)
        return [await create(wire, sock=bound, backlog=BACKLOG) for bound in sockets]

    def _smtp(self, listener: Listener, spawn: Spawn) -> Callable[[], SmtpWire]:
        """What makes the wire of a client."""
        limits = self._context.limits
        holds = bool(listener.proxies) or listener.tls is TlsMode.IMPLICIT
        config = ServerConfig(
            hostname=self._context.hostname,
            max_message_octets=limits.message_octets,
            max_recipients=limits.recipients,
            offers_starttls=listener.tls in (TlsMode.OPPORTUNISTIC, TlsMode.STARTTLS_REQUIRED),
            requires_starttls=listener.tls is TlsMode.STARTTLS_REQUIRED,
            mechanisms=limits.mechanisms,
            nonce=partial(_nonce, self._context.hostname),
            max_protocol_errors=limits.protocol_errors,
            max_idle_commands=limits.idle_commands,
            max_messages=listener.messages or limits.messages_per_connection,
        )

        def wire() -> SmtpWire:
            server = SmtpServer(config, _count_command)
            session = SmtpSession(self._context, listener, server)
            return SmtpWire(server, session.serve, spawn, holds=holds)

        return wire

    def _http(self, listener: Listener, spawn: Spawn) -> Callable[[], HttpWire]:
        context = self._context
        router = HttpRouter(self._apis(HttpDoor(context, listener)))
        limits = self._http_limits._replace(handshake_seconds=context.limits.handshake_seconds)
        limits = limits._replace(
            requests=listener.messages or limits.requests,
            idle_seconds=listener.idle_seconds or limits.idle_seconds,
        )
        tls = context.tls.https if context.tls and listener.tls is TlsMode.HTTPS else None
        return lambda: HttpWire(HttpSession(context, router, listener), spawn, limits, tls)


def _nonce(hostname: str) -> str:
    """As RFC 2195 wants a challenge: nobody foresees it, and it names us."""
    return f"{secrets.token_hex(16)}@{hostname}"
