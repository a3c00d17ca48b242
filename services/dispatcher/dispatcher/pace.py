"""How fast deliveries leave, and how long lanes wait for each other."""

import asyncio

from prometheus_client import Counter

from posthouse.mail.lane import Lane
from posthouse.store.deliveries import Claims

PAUSED = Counter(
    "posthouse_lane_paused_seconds_total",
    "Time in which a lane had something due and waited for a higher one.",
    ["lane", "by"],
)

# Shorter spans measure chance, not pace.
_SHORTEST_SPAN = 0.1
# Between two claims nobody knows whether a lane still waits: no more than this is charged at once.
_LONGEST_WAIT = 1.0


class Pace:
    """How many transactions end a second, smoothed over about a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._since = _now()
        self._ended = 0

    def finished(self) -> None:
        """Count one."""
        self._ended += 1

    def rate(self) -> float:
        """Transactions a second, lately."""
        elapsed = _now() - self._since
        if elapsed >= _SHORTEST_SPAN:
            weight = min(1.0, elapsed)
            self._rate += weight * (self._ended / elapsed - self._rate)
            self._since, self._ended = _now(), 0
        return self._rate


class LaneWait:
    """Adds up how long lanes that had something due waited for a higher one."""

    def __init__(self) -> None:
        self._since = _now()
        self._waiting: tuple[Lane, ...] = ()
        self._by: Lane | None = None

    def observe(self, claims: Claims) -> None:
        """Charge the time since the last claim to the lanes that waited, and note who waits now."""
        now = _now()
        if self._by is not None:
            elapsed = min(now - self._since, _LONGEST_WAIT)
            for lane in self._waiting:
                PAUSED.labels(lane.label, self._by.label).inc(elapsed)
        self._since = now
        self._by = claims.preempted_by or (claims.due[0] if claims.due else None)
        self._waiting = tuple(lane for lane in claims.due if self._by and lane > self._by)


def _now() -> float:
    return asyncio.get_running_loop().time()
