"""Sends messages over connections: a kept one, or new ones host by host."""

import random
import ssl
import time
from collections.abc import Callable

from dispatcher.connector import Connector
from dispatcher.core.classify import unreachable
from dispatcher.core.envelope import Envelope
from dispatcher.core.exchangers import addresses_of
from dispatcher.core.failed_hosts import FailedHosts, Shuffle
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, ServerAddress
from dispatcher.core.sent import Sent
from dispatcher.core.source_addresses import SourceAddresses
from dispatcher.kept_connections import KeptConnections, ReusePolicy
from dispatcher.outbound_connection import OutboundConnection
from dispatcher.router import MxResolver, system_addresses
from dispatcher.timeouts import Timeouts
from posthouse.mail.outcome import Deferred

# Addresses that one attempt tries at most: a site that drops packets on all of its hosts
# must not take up a place on the wire for an hour.
MOST_TRIES = 5


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
        source: SourceAddresses | None = None,
        shuffle: Shuffle = random.shuffle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*trusted* makes the TLS context for routes that check certificates."""
        self._resolver = resolver
        self._refused = refused
        self._source = source or SourceAddresses()
        self._connector = Connector(helo, timeouts or Timeouts(), clock, trusted, self._source)
        self._kept = KeptConnections(reuse or ReusePolicy())
        self._failed = FailedHosts(shuffle)
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
        if sent is not None and sent.is_complete:
            return sent
        if sent is not None and sent.lacks_extensions:
            sent = None  # that was said when the connection began: a new conversation tells
        return await self._afresh(route, envelope, sent)

    async def close(self) -> None:
        """Close all connections with QUIT, and keep none from here on; at most the QUIT timeout."""
        await self._kept.close()

    async def _afresh(self, route: Route, envelope: Envelope, failed: Sent | None) -> Sent:
        """Send over new connections, host by host, but not again where it *failed*."""
        nobody = unreachable("there is no host to connect to")
        sent = failed or Sent((nobody,) * len(envelope.recipients))
        without_address: list[Deferred] = []
        hosts = self._failed.in_order(route, self._clock())
        tries = 0
        for number, host in enumerate(hosts, start=1):
            if tries >= MOST_TRIES:
                break
            addresses = await self._addresses(route, host)
            if isinstance(addresses, Deferred):
                self._failed.failed(host, route.port, self._clock())
                without_address.append(addresses)
                continue
            # Each host that follows is to have one try at least.
            share = max(MOST_TRIES - tries - (len(hosts) - number), 1)
            servers = [ServerAddress(host, address, route.port) for address in addresses[:share]]
            for server in servers:
                if failed and failed.host == str(server):
                    continue
                tries += 1
                tried = await self._to(server, route, sent.envelope_of_left_over(envelope))
                sent = sent.then(tried)
                if sent.is_complete:
                    return sent
                if tried.lacks_extensions:
                    break  # another address is the same host
        return sent.and_without_address(without_address)

    async def _to(self, server: ServerAddress, route: Route, envelope: Envelope) -> Sent:
        connection = await self._connector.open(server, route)
        if isinstance(connection, Deferred):
            source = self._source.name_towards(server.address)
            sent = Sent((connection,) * len(envelope.recipients), str(server), source=source)
        else:
            over = await self._over(connection, route, envelope)
            assert over is not None  # only a kept connection can have died of age
            sent = over
        if sent.host_failed:
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
        outcomes = self._connector.heard(route, connection, finished.outcomes)
        self._kept.keep(route, connection)
        source = self._source.name_towards(connection.server.address)
        return Sent(outcomes, connection.peer, connection.tls, source)

    async def _addresses(self, route: Route, host: str) -> list[str] | Deferred:
        """Its addresses, IPv4 first, each kind shuffled: DNS rotates them, our cache does not."""
        if route.static:
            found = addresses_of(host, await system_addresses(host))
        else:
            found = addresses_of(host, await self._resolver.addresses(host), self._refused)
        if isinstance(found, Deferred):
            self._resolver.doubt(host)
            return found
        addresses = self._source.reached(found)
        if not addresses:
            return unreachable(f"{host} has no address of the kind that mail leaves from")
        self._shuffle(addresses)
        return sorted(addresses, key=lambda address: ":" in address)

    def _take(self, route: Route) -> OutboundConnection | None:
        """A kept connection; none to a backup once a better host is to be asked again."""
        while (connection := self._kept.take(route)) is not None:
            if self._failed.is_best(route, connection.server.host, self._clock()):
                return connection
            connection.leave()
        return None
