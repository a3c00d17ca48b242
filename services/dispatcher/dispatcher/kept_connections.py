"""Connections without work, kept for the next message on their route."""

import asyncio
from dataclasses import dataclass
from functools import partial

from dispatcher.core.routes import Route
from dispatcher.outbound_connection import OutboundConnection


@dataclass(frozen=True, slots=True)
class ReusePolicy:
    """How connections are kept open between messages."""

    idle_seconds: float = 30.0
    messages_per_connection: int = 100
    idle_per_route: int = 100
    idle_at_all: int = 500


class KeptConnections:
    """Keeps connections by route; closes those that are too old, too used or too many."""

    def __init__(self, policy: ReusePolicy) -> None:
        self._policy = policy
        self._idle: dict[Route, list[OutboundConnection]] = {}
        self._count = 0
        self._closing = False

    def take(self, route: Route) -> OutboundConnection | None:
        """The connection used last: it is the least likely to have died of age."""
        kept = self._idle.get(route)
        while kept:
            connection = kept.pop()
            self._count -= 1
            if not kept:
                del self._idle[route]
            if connection.is_idle:
                return connection
        return None

    def keep(self, route: Route, connection: OutboundConnection) -> None:
        """Keep it for a while if a message may be sent over it, else leave it."""
        if not connection.is_idle:
            return
        kept = self._idle.get(route, [])
        policy = self._policy
        if (
            self._closing
            or connection.messages >= policy.messages_per_connection
            or len(kept) >= policy.idle_per_route
            or self._count >= policy.idle_at_all
        ):
            connection.leave()
            return
        kept.append(connection)
        self._idle[route] = kept
        self._count += 1
        connection.keep(policy.idle_seconds, partial(self._forget, route))

    async def close(self) -> None:
        """Close all with QUIT, and keep none from here on; at most the QUIT timeout."""
        self._closing = True
        idle = [connection for kept in self._idle.values() for connection in kept]
        self._idle.clear()
        self._count = 0
        for connection in idle:
            connection.leave()
        await asyncio.gather(*(connection.gone() for connection in idle))

    def _forget(self, route: Route, connection: OutboundConnection) -> None:
        kept = self._idle.get(route, [])
        if connection in kept:
            kept.remove(connection)
            self._count -= 1
            if not kept:
                del self._idle[route]
