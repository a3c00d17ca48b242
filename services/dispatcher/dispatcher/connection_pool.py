"""Sends messages over connections: a kept one, or new ones host by host."""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import structlog
from prometheus_client import Counter

from dispatcher.core.broken_tls import BrokenTls
from dispatcher.core.classify import not_encrypted, unreachable, wants_login
from dispatcher.core.exchangers import addresses_of
from dispatcher.core.failed_hosts import FailedHosts, Shuffle
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.refused_logins import RefusedLogins
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.smtp_client import SmtpClient
from dispatcher.core.transaction import Envelope
from dispatcher.kept_connections import KeptConnections, ReusePolicy
from dispatcher.outbound_connection import (
    OutboundConnection,
    ServerAddress,
    TlsFailed,
    opportunistic_context,
    said,
)
from dispatcher.router import MxResolver, system_addresses
from dispatcher.timeouts import Timeouts
from posthouse.answers import Stage, provider_of
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

OPENED = Counter(
    "posthouse_tls_outbound_total",
    'Conversations begun, by TLS version, "none" in clear.',
    ["version"],
)
TLS_FAILURES = Counter(
    "posthouse_tls_outbound_failures_total",
    "Conversations that failed in TLS, by what their route asks for; opportunistic ones go on in "
    "clear, others are deferred.",
    ["policy"],
)
LOGINS_REFUSED = Counter(
    "posthouse_relay_logins_refused_total",
    "Times that the relay of a static route did not let us in: its mail is deferred until the "
    "operator mends user or secret.",
)

log = structlog.get_logger()

# Addresses that one attempt tries at most: a site that drops packets on all of its hosts
# must not take up a place on the wire for an hour.
MOST_TRIES = 5


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
        trusted: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        timeouts: Timeouts | None = None,
        reuse: ReusePolicy | None = None,
        shuffle: Shuffle = random.shuffle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*trusted* makes the TLS context for routes that check certificates."""
        self._helo = helo
        self._resolver = resolver
        self._refused = refused
        self._trusted = cache(trusted)
        self._context = opportunistic_context()
        self._timeouts = timeouts or Timeouts()
        self._kept = KeptConnections(reuse or ReusePolicy())
        self._failed = FailedHosts(shuffle)
        self._broken_tls = BrokenTls()
        self._logins = RefusedLogins()
        self._shuffle = shuffle
        self._clock = clock

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
        await self._kept.close()

    async def _afresh(self, route: Route, envelope: Envelope, failed: Sent | None) -> Sent:
        """Send over new connections, host by host, but not again where it *failed*."""
        everyone = len(envelope.recipients)
        sent = failed or Sent((unreachable("there is no host to connect to"),) * everyone)
        unknown: Deferred | None = None
        hosts = self._failed.in_order(route, self._clock())
        tries = 0
        for number, host in enumerate(hosts, start=1):
            if tries >= MOST_TRIES:
                break
            addresses = await self._addresses(route, host)
            if isinstance(addresses, Deferred):
                self._failed.failed(host, route.port, self._clock())
                unknown = addresses
                continue
            # Each host that follows is to have one try at least.
            share = max(MOST_TRIES - tries - (len(hosts) - number), 1)
            for address in addresses[:share]:
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
        connection = await self._open(server, route)
        if isinstance(connection, Deferred):
            sent = Sent((connection,) * len(envelope.recipients), str(server))
        else:
            over = await self._over(connection, route, envelope)
            assert over is not None  # only a kept connection can have died of age
            sent = over
        if any(map(_host_failed, sent.outcomes)):
            self._failed.failed(server.host, server.port, self._clock())
        else:
            self._failed.answered(server.host, server.port)
        return sent

    async def _over(
        self, connection: OutboundConnection, route: Route, envelope: Envelope
    ) -> Sent | None:
        """Send over *connection* and keep it; None if a kept one has died."""
        was_kept = connection.messages > 0
        finished = await connection.send(envelope)
        if finished.untouched and was_kept:
            return None
        if route.static and any(map(wants_login, finished.outcomes)):
            self._login_refused(route, connection.peer, finished.outcomes[0].reply)
            connection.leave()
        else:
            self._logins.accepted(route)
            self._kept.keep(route, connection)
        return Sent(finished.outcomes, connection.peer, connection.tls)

    async def _addresses(self, route: Route, host: str) -> list[str] | Deferred:
        """Its addresses, IPv4 first, each kind shuffled: DNS rotates them, our cache does not."""
        if route.static:
            found = addresses_of(host, await system_addresses(host))
        else:
            found = addresses_of(host, await self._resolver.addresses(host), self._refused)
        if isinstance(found, Deferred):
            return found
        addresses = list(found)
        self._shuffle(addresses)
        return sorted(addresses, key=lambda address: ":" in address)

    def _take(self, route: Route) -> OutboundConnection | None:
        """A kept connection; none to a backup once a better host is to be asked again."""
        while (connection := self._kept.take(route)) is not None:
            if self._failed.is_best(route, connection.host, self._clock()):
                return connection
            connection.leave()
        return None

    # Opening

    async def _open(self, server: ServerAddress, route: Route) -> OutboundConnection | Deferred:
        """A conversation that is ready for a message, or why there is none."""
        if (pause := self._logins.pause(route, self._clock())) is not None:
            return pause
        tls = route.tls
        if tls is not TlsPolicy.OPPORTUNISTIC:
            try:
                return await self._converse(server, route, tls)
            except TlsFailed as failure:
                _report(server, tls, failure)
                return not_encrypted(f"TLS with {server}: {failure}")
        if not self._broken_tls.is_known(str(server), self._clock()):
            try:
                return await self._converse(server, route, tls)
            except TlsFailed as failure:
                _report(server, tls, failure)
                self._broken_tls.failed(str(server), self._clock())
        # RFC 7435 section 3: opportunistic means that broken TLS is no worse than none.
        return await self._converse(server, route, TlsPolicy.CLEAR)

    async def _converse(
        self, server: ServerAddress, route: Route, tls: TlsPolicy, *, by_helo: bool = False
    ) -> OutboundConnection | Deferred:
        provider = provider_of(server.host)
        client = SmtpClient(self._helo, tls, provider, login=route.login, by_helo=by_helo)
        connection = OutboundConnection(server, client, self._timeouts)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await loop.create_connection(lambda: connection, server.address, server.port)
        except OSError as error:  # TimeoutError is one
            return unreachable(f"connecting to {server}: {said(error)}")
        context = self._trusted() if tls.checks_certificate else self._context
        closed = await connection.until_ready(context, implicit_tls=tls is TlsPolicy.IMPLICIT)
        if closed is None:
            OPENED.labels(connection.tls.partition(" ")[0] or "none").inc()
            return connection
        if closed.at is Stage.AUTH:
            self._login_refused(route, str(server), closed.reason.reply)
        elif closed.at is Stage.EHLO and connection.hung_up and _may_go_without(tls, route):
            return await self._converse(server, route, tls, by_helo=True)
        return closed.reason

    def _login_refused(self, route: Route, host: str, reply: Reply) -> None:
        LOGINS_REFUSED.inc()
        self._logins.refused(route, reply, self._clock())
        log.warning("login_refused", host=host, reply=str(reply))


def _report(server: ServerAddress, tls: TlsPolicy, failure: TlsFailed) -> None:
    TLS_FAILURES.labels(tls).inc()
    level = logging.INFO if tls is TlsPolicy.OPPORTUNISTIC else logging.WARNING
    log.log(level, "tls_failed", host=str(server), reason=str(failure), tls=tls)


def _may_go_without(tls: TlsPolicy, route: Route) -> bool:
    """Whether mail may go without extensions: TLS and AUTH are some."""
    return tls in (TlsPolicy.CLEAR, TlsPolicy.OPPORTUNISTIC) and route.login is None


def _host_failed(outcome: Outcome) -> bool:
    """Whether another host of the route may accept it."""
    return isinstance(outcome, Deferred) and outcome.scope is Scope.HOST
