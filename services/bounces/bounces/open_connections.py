"""How many connections and messages one client gets, and all clients together.

The port is open to the whole internet. One client can use up its own share only: the others are
still served. A client is an IPv4 address, or an IPv6 network of 64 bits.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Protocol

CLOSING_DOWN = "421 4.3.2 Closing down"

_MINUTE_SECONDS = 60.0
# A connection that has been silent for longer may be closed to make room for another one. No
# answer of ours takes longer than the 12 s that the database has for it.
_SILENT_SECONDS = 15.0
_IPV6_NETWORK_CHARACTERS = len("0000:0000:0000:0000")  # 64 bits


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How much one client may use, and all clients together."""

    connections: int = 200
    connections_per_client: int = 20
    messages_per_minute: int = 1_000  # from one client
    idle_seconds: float = 300.0  # without an octet from it (RFC 5321 section 4.5.3.2.7)
    # Networks of the proxies that pass all connections on, and say whose they are. Empty: none do.
    proxies: tuple[str, ...] = ()


class OpenConnection(Protocol):
    """What the limits need to know of a connection, and can do to it."""

    heard_at: float  # when the client sent something, by the clock of `OpenConnections`

    def send_away(self, reply: str) -> None:
        """Close it with *reply*; if a message is on its way, after that is answered."""

    def cut(self) -> None:
        """Close it now."""


class OpenConnections:
    """All connections that are open now."""

    def __init__(self, limits: ClientLimits, clock: Callable[[], float]) -> None:
        """*clock* tells monotonic seconds."""
        self.limits = limits
        self._clock = clock
        self._open: dict[OpenConnection, str] = {}
        self._by_client: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()  # of this minute
        self._minute_began = clock()
        self._checks: set[tuple[Any, ...]] = set()
        self._leaving = False
        self._empty = asyncio.Event()
        self._empty.set()

    def admit(self, connection: OpenConnection, peer: tuple[Any, ...]) -> bool:
        """Count *connection* from the socket address *peer*; False if there is no room for it.

        When the port is full, the connection that has been silent for longest makes room.
        """
        if self._leaving:
            return False
        if peer[:2] in self._checks:
            return True
        client = client_of(str(peer[0]))
        if self._by_client[client] >= self.limits.connections_per_client:
            return False
        if len(self._open) >= self.limits.connections and not self._make_room():
            return False
        self._open[connection] = client
        self._by_client[client] += 1
        self._empty.clear()
        return True

    def proxies_before(self, peer: tuple[Any, ...]) -> tuple[str, ...]:
        """Networks, one of which *peer* has to be in, as a proxy; none for our own check."""
        return () if peer[:2] in self._checks else self.limits.proxies

    def leave(self, connection: OpenConnection) -> None:
        """Count *connection* no longer, if it was counted."""
        client = self._open.pop(connection, None)
        if client is None:
            return
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        if not self._open:
            self._empty.set()

    def message(self, address: str) -> bool:
        """Count a message from *address*; False if its client has sent enough for this minute."""
        now = self._clock()
        if now - self._minute_began >= _MINUTE_SECONDS:
            self._minute_began = now
            self._messages.clear()
        client = client_of(address)
        self._messages[client] += 1
        return self._messages[client] <= self.limits.messages_per_minute

    def expect_check(self, local: tuple[Any, ...]) -> None:
        """Let our own readiness check in from the socket address *local*, even into a full port."""
        self._checks.add(local[:2])

    def end_check(self, local: tuple[Any, ...]) -> None:
        """Forget `expect_check`."""
        self._checks.discard(local[:2])

    @property
    def leaving(self) -> bool:
        """Whether the service stops: no new message is started."""
        return self._leaving

    async def finish(self) -> None:
        """Close idle connections at once, the others when their message is answered."""
        self._leaving = True
        for connection in tuple(self._open):
            connection.send_away(CLOSING_DOWN)
        await self._empty.wait()

    def cut(self) -> None:
        """Close all that are left now."""
        for connection in tuple(self._open):
            connection.cut()

    def _make_room(self) -> bool:
        silent = min(self._open, key=lambda connection: connection.heard_at)
        if self._clock() - silent.heard_at < _SILENT_SECONDS:
            return False
        silent.cut()
        self.leave(silent)
        return True


def client_of(address: str) -> str:
    """What one client can be assumed to have: an IPv4 address, or 64 bits of IPv6."""
    if ":" not in address:
        return address
    ipv6 = IPv6Address(address.partition("%")[0])
    if ipv6.ipv4_mapped is not None:
        return str(ipv6.ipv4_mapped)
    return ipv6.exploded[:_IPV6_NETWORK_CHARACTERS]
