"""Visits that wait to be written, in memory: so many and no more."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import structlog
from prometheus_client import Counter as Metric
from prometheus_client import Gauge

from posthouse.authentication.client_networks import network_of
from posthouse.tracking.visit import Visit
from tracking.core.recent_visits import TOGETHER_SECONDS, LinksNear, Noted, RecentVisits

WAITING = Gauge("posthouse_visits_waiting", "Opens and clicks that wait to be written.")
DROPPED = Metric(
    "posthouse_visits_dropped_total",
    "Opens and clicks that are not written: too many wait (queue), or of one client (client) or "
    "one copy (copy), the message is past its retention (unknown), or it is refused (refused).",
    ["reason"],
)
FOLDED = Metric(
    "posthouse_visits_folded_total",
    "Opens and clicks that repeat one of the same client within ten seconds, and are not written.",
)

# A visit is judged when those are known that come within a second after it.
SETTLE_SECONDS = 2 * TOGETHER_SECONDS
MOST_WAITING = 10_000
# Of one address, or of one /64 network with IPv6.
MOST_OF_CLIENT = MOST_WAITING // 10

log = structlog.get_logger()


class SettledVisit(NamedTuple):
    """A visit, and the links that were asked for near to it."""

    visit: Visit
    near: LinksNear


class VisitQueue:
    """In the order of arrival."""

    def __init__(self) -> None:
        self._recent = RecentVisits()
        self._fresh: deque[Visit] = deque()
        self._settled: deque[SettledVisit] = deque()
        self._of_client: Counter[str] = Counter()
        self._is_full = False

    def __len__(self) -> int:
        return len(self._fresh) + len(self._settled)

    def put(self, visit: Visit) -> None:
        """Let *visit* wait; it is dropped and counted where there is no room for it."""
        network = network_of(visit.client)
        if len(self) >= MOST_WAITING:
            self._drop("queue")
        elif self._of_client[network] >= MOST_OF_CLIENT:
            DROPPED.labels("client").inc()
        else:
            match self._recent.note(visit):
                case Noted.NEW:
                    self._fresh.append(visit)
                    self._of_client[network] += 1
                case Noted.REPEATED:
                    FOLDED.inc()
                case Noted.TOO_MANY:
                    DROPPED.labels("copy").inc()

    def _drop(self, reason: str) -> None:
        DROPPED.labels(reason).inc()
        if not self._is_full:  # once, until there is room
            self._is_full = True
            log.error("visits_dropped", waiting=len(self))

    def settle(self, now: float) -> Iterator[SettledVisit]:
        """Settle those that are old enough to be judged at *now*, one with each step."""
        while self._fresh and self._fresh[0].at <= now - SETTLE_SECONDS:
            visit = self._fresh.popleft()
            self._settled.append(SettledVisit(visit, self._recent.near(visit)))
            yield self._settled[-1]

    def settled(self, most: int) -> Sequence[SettledVisit]:
        """Up to *most* that are settled, the oldest first; they stay."""
        WAITING.set(len(self))
        return [self._settled[n] for n in range(min(most, len(self._settled)))]

    def remove(self, count: int) -> None:
        """Let go of the oldest *count* of those that are settled."""
        for _ in range(count):
            network = network_of(self._settled.popleft().visit.client)
            self._of_client[network] -= 1
            if not self._of_client[network]:
                del self._of_client[network]
        self._is_full &= len(self) >= MOST_WAITING
        WAITING.set(len(self))
