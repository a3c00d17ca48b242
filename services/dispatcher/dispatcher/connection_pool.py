"""The connections that are open: kept per route, opened host by host, closed when idle."""

import asyncio
import ssl
from dataclasses import dataclass, replace
from functools import partial

import structlog
from prometheus_client import Counter

from dispatcher.core.classify import not_encrypted, unreachable
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy, addresses_of
from dispatcher.core.smtp_client import SmtpClient
from dispatcher.core.transaction import Envelope
from dispatcher.outbound_connection import (
    HandshakeFailed,
    OutboundConnection,
    ServerAddress,
    opportunistic_context,
    said,
)
from dispatcher.router import MxResolver, system_addresses
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.scope import Scope

OPENED = Counter(
    "posthouse_tls_outbound_total",
    'Conversations begun, by TLS version, "none" in clear.',
    ["version"],
)

log = structlog.get_logger()

# Addresses that one attempt tries at most: a site that drops packets on all of its hosts
# must not take up a place on the wire for an hour.
MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class ReusePolicy:
    """How connections are kept open between messages."""

    idle_seconds: float = 30.0
    messages_per_connection: int = 100
    idle_per_route: int = 100
    idle_at_all: int = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcomes of one attempt, and where it ended."""

    outcomes: tuple[Outcome, ...]  # in the order of the recipients
    host: str = ""  # the last server tried, "mx.example[192.0.2.1]:25"
    tls: str = ""  # version and cipher, "" in clear

    def left_over(self, recipients: tuple[str, ...]) -> tuple[str, ...]:
        """Those of *recipients* that another host of the route may accept."""
        pairs = zip(recipients, self.outcomes, strict=True)
        return tuple(recipient for recipient, outcome in pairs if _host_failed(outcome))

    def then(self, again: "Sent") -> "Sent":
        """With the outcomes of *again*, which tried those left over once more."""
        answers = iter(again.outcomes)
        outcomes = tuple(
            next(answers) if _host_failed(outcome) else outcome for outcome in self.outcomes
        )
        return Sent(outcomes, again.host, again.tls)


class ConnectionPool:
    """Sends messages over connections that it opens, keeps and closes."""

    def __init__(
        self,
        helo: str,
        resolver: MxResolver,
        refused: RefusedHosts,
        *,
        context: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        reuse: ReusePolicy | None = None,
    ) -> None:
        self._helo = helo
        self._resolver = resolver
        self._refused = refused
        self._context = context or opportunistic_context()
        self._timeouts = timeouts or Timeouts()
        self._reuse = reuse or ReusePolicy()
        self._idle: dict[Route, list[OutboundConnection]] = {}
        self._idle_count = 0
        self._closing = False

    async def send(self, route: Route, envelope: Envelope) -> Sent:
        """Send one message, over a kept connection if there is one.

        Failures of servers and the network are outcomes. It goes on to the next host with the
        recipients whose failure has host scope. Cancelling it cuts the connection, so
        that the message may or may not have arrived.
        """
        kept = self._take(route)
        sent = await self._over(kept, route, envelope) if kept else None
        if sent is None or any(map(_host_failed, sent.outcomes)):
            return await self._afresh(route, envelope, sent)
        return sent

    async def close(self) -> None:
        """Close all connections with QUIT, and keep none from here on; at most the QUIT timeout."""
        self._closing = True
        idle = [connection for kept in self._idle.values() for connection in kept]
        self._idle.clear()
        self._idle_count = 0
        for connection in idle:
            connection.leave()
        await asyncio.gather(*(connection.gone() for connection in idle))

    async def _afresh(self, route: Route, envelope: Envelope, failed: Sent | None) -> Sent:
        """Send over new connections, host by host, but not again where it *failed*."""
        everyone = len(envelope.recipients)
        sent = failed or Sent((unreachable("there is no host to connect to"),) * everyone)
        unknown: Deferred | None = None
        tries = 0
        for host in route.hosts:
            if tries >= MOST_TRIES:
                break
            addresses = await self._addresses(route, host)
            if isinstance(addresses, Deferred):
                unknown = addresses
                continue
            for address in addresses[: MOST_TRIES - tries]:
                server = ServerAddress(host, address, route.port)
                if failed and failed.host == str(server):
                    continue
                tries += 1
                left = replace(envelope, recipients=sent.left_over(envelope.recipients))
                sent = sent.then(await self._to(server, route, left))
                if not sent.left_over(envelope.recipients):
                    return sent
        return Sent((unknown,) * everyone) if unknown and not sent.host else sent

    async def _to(self, server: ServerAddress, route: Route, envelope: Envelope) -> Sent:
        connection = await self._open(server, route.tls)
        if isinstance(connection, Deferred):
            return Sent((connection,) * len(envelope.recipients), str(server))
        sent = await self._over(connection, route, envelope)
        assert sent is not None  # only a kept connection can have died of age
        return sent

    async def _over(
        self, connection: OutboundConnection, route: Route, envelope: Envelope
    ) -> Sent | None:
        """Send over *connection* and keep it; None if a kept one has died."""
        was_kept = connection.messages > 0
        finished = await connection.send(envelope)
        if finished.untouched and was_kept:
            return None
        self._keep(route, connection)
        return Sent(finished.outcomes, connection.peer, connection.tls)

    async def _addresses(self, route: Route, host: str) -> tuple[str, ...] | Deferred:
        if route.static:
            return addresses_of(host, await system_addresses(host))
        return addresses_of(host, await self._resolver.addresses(host), self._refused)

    # Opening

    async def _open(self, server: ServerAddress, tls: TlsPolicy) -> OutboundConnection | Deferred:
        """A conversation that is ready for a message, or why there is none."""
        try:
            return await self._converse(server, tls)
        except HandshakeFailed as failure:
            log.info("tls_failed", host=str(server), reason=str(failure), tls=tls)
            if tls is TlsPolicy.REQUIRED:
                return not_encrypted(f"TLS with {server}: {failure}")
        # RFC 7435 section 3: opportunistic means that broken TLS is no worse than none.
        return await self._converse(server, TlsPolicy.NONE)

    async def _converse(
        self, server: ServerAddress, tls: TlsPolicy
    ) -> OutboundConnection | Deferred:
        connection = OutboundConnection(server, SmtpClient(self._helo, tls), self._timeouts)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await loop.create_connection(lambda: connection, server.address, server.port)
        except OSError as error:  # TimeoutError is one
            return unreachable(f"connecting to {server}: {said(error)}")
        failed = await connection.until_ready(self._context)
        if failed is None:
            OPENED.labels(connection.tls.partition(" ")[0] or "none").inc()
        return failed or connection

    # ReusePolicy

    def _take(self, route: Route) -> OutboundConnection | None:
        """The connection used last: it is the least likely to have died of age."""
        kept = self._idle.get(route)
        while kept:
            connection = kept.pop()
            self._idle_count -= 1
            if not kept:
                del self._idle[route]
            if connection.is_idle:
                return connection
        return None

    def _keep(self, route: Route, connection: OutboundConnection) -> None:
        if not connection.is_idle:
            return
        kept = self._idle.get(route, [])
        reuse = self._reuse
        if (
            self._closing
            or connection.messages >= reuse.messages_per_connection
            or len(kept) >= reuse.idle_per_route
            or self._idle_count >= reuse.idle_at_all
        ):
            connection.leave()
            return
        kept.append(connection)
        self._idle[route] = kept
        self._idle_count += 1
        connection.keep(reuse.idle_seconds, partial(self._forget, route))

    def _forget(self, route: Route, connection: OutboundConnection) -> None:
        kept = self._idle.get(route, [])
        if connection in kept:
            kept.remove(connection)
            self._idle_count -= 1
            if not kept:
                del self._idle[route]


def _host_failed(outcome: Outcome) -> bool:
    """Whether another host of the route may accept it."""
    return isinstance(outcome, Deferred) and outcome.scope is Scope.HOST
