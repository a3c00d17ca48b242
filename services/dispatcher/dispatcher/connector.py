"""Opens conversations with servers: TLS or none, a login where the route has one, EHLO or HELO."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import cache

import structlog
from prometheus_client import Counter

from dispatcher.core.broken_tls import BrokenTls
from dispatcher.core.classify import (
    not_encrypted,
    tls_may_work_again,
    unreachable,
    wants_login,
    wants_tls,
)
from dispatcher.core.refused_logins import RefusedLogins
from dispatcher.core.routes import Route, ServerAddress, TlsPolicy
from dispatcher.core.smtp_client import SmtpClient
from dispatcher.core.source_addresses import SourceAddresses
from dispatcher.outbound_connection import OutboundConnection, TlsFailed, said
from dispatcher.phases import CONNECT, OPENING, timed
from dispatcher.timeouts import Timeouts
from posthouse.answers import Stage, provider_of
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.reply import Reply

OPENED = Counter(
    "posthouse_tls_outbound_total",
    'Conversations begun, by TLS version, "none" in clear.',
    ["version"],
)
TLS_FAILURES = Counter(
    "posthouse_tls_outbound_failures_total",
    "Conversations that failed in TLS: opportunistic ones go on in clear, others are deferred.",
    ["policy"],
)
LOGINS_REFUSED = Counter(
    "posthouse_relay_logins_refused_total",
    "Times that the relay of a static route did not let us in: its mail is deferred until the "
    "operator mends user or secret.",
)

log = structlog.get_logger()


def opportunistic_context() -> ssl.SSLContext:
    """The TLS context for routes that check no certificate (RFC 7435): make one, share it.

    It protects against passive listeners and checks no name: MX hosts present any certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connector:
    """Opens connections, and remembers where TLS or a login failed."""

    def __init__(
        self,
        helo: str,
        timeouts: Timeouts,
        clock: Callable[[], float],
        trusted: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        source: SourceAddresses | None = None,
    ) -> None:
        """*trusted* makes the TLS context for routes that check certificates."""
        self._source = source or SourceAddresses()
        self._helo = helo
        self._timeouts = timeouts
        self._clock = clock
        self._context = opportunistic_context()
        self._trusted = cache(trusted)
        self._broken_tls = BrokenTls()
        self._logins = RefusedLogins()

    async def open(self, server: ServerAddress, route: Route) -> OutboundConnection | Deferred:
        """A conversation that is ready for a message, or why there is none."""
        if (pause := self._logins.pause(route, self._clock())) is not None:
            return pause
        tls = route.tls
        if tls is TlsPolicy.OPPORTUNISTIC and self._broken_tls.is_known(server, self._clock()):
            tls = TlsPolicy.CLEAR
        try:
            return await self._converse(server, route, tls)
        except TlsFailed as failure:
            TLS_FAILURES.labels(tls).inc()
            level = logging.INFO if tls is TlsPolicy.OPPORTUNISTIC else logging.WARNING
            log.log(level, "tls_failed", host=str(server), reason=str(failure), tls=tls)
            if tls is not TlsPolicy.OPPORTUNISTIC:
                return not_encrypted(f"TLS with {server}: {failure}")
        # RFC 7435 section 3: opportunistic means that broken TLS is no worse than none.
        self._broken_tls.failed(server, self._clock())
        return await self._converse(server, route, TlsPolicy.CLEAR)

    def heard(
        self, route: Route, connection: OutboundConnection, outcomes: tuple[Outcome, ...]
    ) -> tuple[Outcome, ...]:
        """The *outcomes* of a message as they count; what they say of TLS and login is noted."""
        if not any(wants_login(outcome) or wants_tls(outcome) for outcome in outcomes):
            self._logins.accepted(route)
            return outcomes
        connection.leave()  # the next one may begin as the host wants
        if connection.fell_back(route):
            self._broken_tls.forget(connection.server)
            return tuple(map(tls_may_work_again, outcomes))
        if route.static and (refusal := next(filter(wants_login, outcomes), None)) is not None:
            self._refused(route, connection.peer, refusal.reply)
        return outcomes

    async def _converse(
        self, server: ServerAddress, route: Route, tls: TlsPolicy, *, by_helo: bool = False
    ) -> OutboundConnection | Deferred:
        """Raises TlsFailed."""
        provider = provider_of(server.host)
        client = SmtpClient(
            self._helo,
            tls,
            provider,
            login=route.login,
            by_helo=by_helo,
            may_be_us=route.static,  # the operator may mean another server of this machine
        )
        connection = await self._connected(server, client)
        if isinstance(connection, Deferred):
            return connection
        context = self._trusted() if tls.checks_certificate else self._context
        with timed(OPENING):
            closed = await connection.until_ready(context, implicit_tls=tls is TlsPolicy.IMPLICIT)
        if closed is None:
            OPENED.labels(connection.tls.partition(" ")[0] or "none").inc()
            return connection
        if closed.at is Stage.AUTH:
            self._refused(route, str(server), closed.reason.reply)
        elif closed.at is Stage.EHLO and connection.hung_up and _may_go_without(tls, route):
            return await self._converse(server, route, tls, by_helo=True)
        return closed.reason

    async def _connected(
        self, server: ServerAddress, client: SmtpClient
    ) -> OutboundConnection | Deferred:
        connection = OutboundConnection(server, client, self._timeouts)
        loop = asyncio.get_running_loop()
        try:
            with timed(CONNECT):
                async with asyncio.timeout(self._timeouts.connect):
                    await loop.create_connection(
                        lambda: connection,
                        server.address,
                        server.port,
                        local_addr=self._source.towards(server.address),
                    )
        except OSError as error:  # TimeoutError is one
            return unreachable(f"connecting to {server}: {said(error)}")
        return connection

    def _refused(self, route: Route, host: str, reply: Reply) -> None:
        LOGINS_REFUSED.inc()
        self._logins.refused(route, reply, self._clock())
        log.warning("login_refused", host=host, reply=str(reply))


def _may_go_without(tls: TlsPolicy, route: Route) -> bool:
    """Whether mail may go without extensions: TLS and AUTH are some."""
    return tls in (TlsPolicy.CLEAR, TlsPolicy.OPPORTUNISTIC) and route.login is None
