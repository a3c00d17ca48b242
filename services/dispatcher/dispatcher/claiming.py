"""When to claim, how much, and from which lanes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from prometheus_client import Counter

from dispatcher.in_flight import InFlight
from posthouse.mail.lane import Lane
from posthouse.running.waiting import Polling, wait_for_event
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery, Claims

PAUSED = Counter(
    "posthouse_lane_paused_seconds_total",
    "Time in which a lane had something due and waited for a higher one.",
    ["lane", "by"],
)

# How soon to look again while young transactions of a higher lane keep a lower one waiting.
PREEMPTED_POLL_SECONDS = 0.02
# A lane that waits only for transactions on the wire of higher lanes gets a turn after this long.
PATIENT_SECONDS = 2.0
# Limit of claiming ahead: what starts within this time at the present rate, and no more than
# this number.
AHEAD_SECONDS = 0.04
MOST_AHEAD = 200
# While the store is away it is asked this often whether it is back.
CLAIM_AGAIN_SECONDS = 0.5
# When the store comes back, or a lock is gone, results go first: a process whose lease ran out
# meanwhile may have its answer already, and to take it over now would send the message twice.
STORE_BACK_SECONDS = 1.0
# A claim that takes this long has waited for a lock or the disk, like the results of others.
SLOW_CLAIM_SECONDS = 0.5
# After a start suspects wait this long, so that other mail goes on between two crashes.
SUSPECT_SECONDS = 2.0
# The rate over a shorter span is random.
_SHORTEST_SPAN = 0.1
# Between two claims it is unknown whether a lane still waits: at most this is charged at once.
_LONGEST_WAIT = 1.0

log = structlog.get_logger()


class ClaimDeliveries(Protocol):
    """The store's claims; raises StoreUnavailable."""

    async def claim(
        self,
        limit: int,
        *,
        lowest: Lane,
        preemptible: bool,
        lapsed: bool,
        suspects: Lane | None,
    ) -> Claims:
        """Lease up to *limit* deliveries of the highest lane with any due."""


class Throughput:
    """How many transactions end a second, smoothed over about a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._since = _now()
        self._ended = 0

    def count(self) -> None:
        """One has ended."""
        self._ended += 1

    def rate(self) -> float:
        """Transactions a second."""
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


class Claiming:
    """Claims whenever something could start."""

    def __init__(
        self,
        deliveries: ClaimDeliveries,
        in_flight: InFlight,
        admit: Callable[[Sequence[ClaimedDelivery], float], None],
    ) -> None:
        """*admit* gets what was claimed at that loop time."""
        self._deliveries = deliveries
        self._in_flight = in_flight
        self._admit = admit
        self._wake = asyncio.Event()
        self._polling = Polling()
        self._throughput = Throughput()
        self._lane_wait = LaneWait()
        self._more = False  # something is probably due that the last claim did not bring
        self._patient_until = _now() + PATIENT_SECONDS
        self._lapsed_from = _now() + STORE_BACK_SECONDS
        self._suspects_from = _now() + SUSPECT_SECONDS

    @property
    def ahead(self) -> int:
        """How many may wait behind full lanes, at the present rate."""
        return worth_holding(self._throughput.rate(), AHEAD_SECONDS, MOST_AHEAD)

    def on_hint(self, lane: Lane) -> None:
        """There may be something to claim in *lane*."""
        self._more = True
        if self._in_flight.would_overtake(lane):
            self._wake.set()

    def on_answer(self) -> None:
        """A transaction has ended."""
        self._throughput.count()

    def on_room(self) -> None:
        """There may be a place free."""
        if self._more and self._in_flight.worth_claiming(self.ahead):
            self._wake.set()

    def wake(self) -> None:
        """Look now: for work, or whether it is time to stop."""
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Claim until *stopping*, after which `wake` is to be called."""
        while not stopping.is_set():
            self._wake.clear()
            try:
                wait = await self._claim()
            except StoreUnavailable as error:
                log.warning("claiming_interrupted", reason=str(error))
                self._let_results_go_first()
                await asyncio.sleep(CLAIM_AGAIN_SECONDS)
                continue
            if wait:
                await wait_for_event(self._wake, wait)

    async def _claim(self) -> float:
        """Claim once; how long to wait for a wake-up before the next time, in seconds."""
        wanted = self._in_flight.to_claim(self.ahead)
        if wanted is None:
            return self._polling.seconds
        lowest, limit = wanted
        asked = _now()
        claims = await self._deliveries.claim(
            limit,
            lowest=lowest,
            preemptible=asked < self._patient_until,
            lapsed=asked >= self._lapsed_from,
            suspects=self._in_flight.suspects_wanted if asked >= self._suspects_from else None,
        )
        if _now() - asked > SLOW_CLAIM_SECONDS:
            self._let_results_go_first()
        if claims.lowest_lane_served:
            self._patient_until = _now() + PATIENT_SECONDS
        self._lane_wait.observe(claims)
        self._polling.adapt(found=bool(claims.due))
        self._more = claims.more
        self._admit(claims.deliveries, asked)
        if claims.preempted_by is not None:
            return PREEMPTED_POLL_SECONDS
        return 0 if claims.deliveries and claims.more else self._polling.seconds

    def _let_results_go_first(self) -> None:
        self._lapsed_from = _now() + STORE_BACK_SECONDS


def worth_holding(rate: float, seconds: float, most: int) -> int:
    """How many deliveries to claim beyond those on the wire, at *rate* transactions a second.

    Only what will start within *seconds*: what waits in one process's memory can neither be taken
    by an idle one nor be overtaken by it.
    """
    return min(most, int(rate * seconds))


def _now() -> float:
    return asyncio.get_running_loop().time()
