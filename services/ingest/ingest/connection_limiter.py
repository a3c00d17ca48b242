"""How many connections there may be: in all, from an address, of a user, and new ones a minute.

Of a user those of SMTP count, and those of HTTP over which a request of it is being answered.

Each process counts its own, in bounded memory.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from math import ceil
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter as Metric

from ingest.core import refusals
from posthouse.authentication.client_networks import is_within, network_of
from posthouse.authentication.login_limits import put, take_one
from posthouse.mail.reply import Reply

log = structlog.get_logger()

REFUSED = Metric("posthouse_connections_refused", "Connections turned away", ["limit"])

_MINUTE = 60.0
_NETWORKS = 10_000  # that are counted, and that were told of


class ConnectionLimits(NamedTuple):
    """The most connections at one time, and new ones a minute."""

    total: int
    per_address: int  # one /64 network with IPv6
    per_credential: int
    a_minute: int | None  # from an address; None: any number
    unlimited: tuple[str, ...] = ()  # networks without the limits of an address


class Limited(Protocol):
    """A session, as the connection limiter sees it."""

    def stop(self) -> None:
        """Close the session: at once when it is idle, else when its command is done."""

    def abort(self) -> None:
        """Close the connection now."""


class ConnectionLimiter:
    """The sessions that are open."""

    def __init__(self, limits: ConnectionLimits, clock: Callable[[], float]) -> None:
        """*clock* tells monotonic seconds."""
        self._limits = limits
        self._clock = clock
        self._by_network: Counter[str] = Counter()
        self._by_credential: Counter[UUID] = Counter()
        self._credentials: dict[object, UUID] = {}  # of sessions that are logged in
        self._begun: dict[str, tuple[int, float]] = {}  # of a network: so many since then
        self._told: dict[tuple[str, str], float] = {}  # in the log, and not again until then
        self._unnamed: set[Limited] = set()  # behind proxies that have not named their clients
        self.open: set[Limited] = set()
        self.stopping = False
        self.empty = asyncio.Event()
        self.empty.set()

    def await_name(self, session: Limited) -> None:
        """Let *session* be stopped already, although `admit` counts it when its client is known."""
        self._unnamed.add(session)
        if self.stopping:
            session.stop()

    def admit(self, session: Limited, client: str) -> Reply | None:
        """Count *session*; else why it is turned away."""
        self._unnamed.discard(session)
        if self.stopping:
            return refusals.STOPPING
        network = network_of(client)
        if refusal := self._refusal(client, network):
            return refusal
        self.open.add(session)
        self.empty.clear()
        self._by_network[network] += 1
        return None

    def _refusal(self, client: str, network: str) -> Reply | None:
        limits = self._limits
        if len(self.open) >= limits.total:
            return self._too_many("total", network, f": {limits.total} are open, which is the most")
        if limits.unlimited and is_within(client, limits.unlimited):
            return None
        if self._by_network[network] >= limits.per_address:
            text = f" from your address: {limits.per_address} are open, which is the most"
            return self._too_many("address", network, text)
        return self._count_begun(network) if limits.a_minute is not None else None

    def _count_begun(self, network: str) -> Reply | None:
        now, most = self._clock(), self._limits.a_minute
        assert most is not None
        begun, since = self._begun.get(network, (0, now))
        if now - since >= _MINUTE:
            begun, since = 0, now
        if begun >= most:
            again = f"try again in {ceil(since + _MINUTE - now)} seconds"
            text = f" from your address: {most} a minute may begin, {again}"
            return self._too_many("minute", network, text)
        put(self._begun, network, (begun + 1, since), _NETWORKS)
        return None

    def log_in(self, session: object, credential: UUID) -> Reply | None:
        """Count *session*, or a request, among those of the user; else why it is turned away."""
        self.log_out(session)
        most = self._limits.per_credential
        if self._by_credential[credential] >= most:
            text = f" of this user: {most} are open, which is the most"
            return self._too_many("credential", credential.hex, text)
        self._credentials[session] = credential
        self._by_credential[credential] += 1
        return None

    def log_out(self, session: object) -> None:
        """Count it no more, if it was counted."""
        credential = self._credentials.pop(session, None)
        if credential is not None:
            take_one(self._by_credential, credential)

    def _too_many(self, limit: str, of: str, text: str) -> Reply:
        REFUSED.labels(limit).inc()
        now = self._clock()
        if now >= self._told.get((limit, of), now):
            put(self._told, (limit, of), now + _MINUTE, _NETWORKS)
            log.warning("connections_refused", limit=limit, of=of)
        return Reply(421, f"Too many connections{text}", "4.7.0")

    def leave(self, session: Limited, client: str) -> None:
        """*session* has ended; nothing happens if it was not admitted."""
        self._unnamed.discard(session)
        if session not in self.open:
            return
        self.open.discard(session)
        if not self.open:
            self.empty.set()
        self.log_out(session)
        take_one(self._by_network, network_of(client))

    async def stop(self) -> None:
        """Admit no more, and wait until every session has finished the command it is at."""
        self.stopping = True
        for session in (*self._unnamed, *self.open):
            session.stop()
        await self.empty.wait()

    def abort(self) -> None:
        """Close the connections that are left."""
        for session in (*self._unnamed, *self.open):
            session.abort()
