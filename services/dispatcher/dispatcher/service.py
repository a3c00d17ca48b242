"""The dispatcher: claims deliveries in strict lanes, sends them, commits the results."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from dispatcher.attempt_traces import AttemptTraces
from dispatcher.claiming import MOST_AHEAD, ClaimDeliveries, Claiming
from dispatcher.core.next_action import is_last_fault, should_quarantine
from dispatcher.delivery_attempt import AttemptResult, DeliveryAttempts, Parked
from dispatcher.in_flight import InFlight, LaneLimits, Lease
from dispatcher.isolation import Isolation
from dispatcher.results import Results
from dispatcher.sites import ParkedDeliveries, Parking, Sites
from posthouse.mail.lane import Lane
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from posthouse.store.direct_handoff import DirectHandoff

ABANDONED = Counter(
    "posthouse_deliveries_abandoned_total",
    "Claims that ended without a result: maybe delivered, and sent again.",
)
IN_FLIGHT = Gauge(
    "posthouse_deliveries_in_flight", "Deliveries this process has claimed.", ["state"]
)

# No transaction starts on a lease with less than this left.
LEASE_MARGIN_SECONDS = 3.0
# While the store is away, the text of a message is asked for this often.
READ_AGAIN_SECONDS = 0.2

log = structlog.get_logger()

_GIVE_BACK_SECONDS = 5.0  # a database that was stopped with us is started again within a second
_GIVE_BACK_PAUSE_SECONDS = 0.2


class Deliveries(ClaimDeliveries, ParkedDeliveries, Protocol):
    """The store's statements for the dispatcher; each raises StoreUnavailable."""

    prepared: DirectHandoff[ClaimedDelivery]

    async def read_message(self, claimed: ClaimedDelivery) -> ClaimedDelivery:
        """The same with the message that its claim came without."""

    async def settle(self, settlement: Settlement) -> bool:
        """Commit the result of a claim; False when the claim was lost."""

    async def renew(self, claimed: Sequence[ClaimedDelivery]) -> set[UUID]:
        """Extend leases; the ids that are still ours."""

    async def quarantine(self, claimed: ClaimedDelivery, reason: str) -> None:
        """Quarantine it until an operator decides."""

    async def return_leases(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """Give claims back untried."""


class Dispatcher:
    """Keeps as many transactions on the wire as the lanes allow."""

    def __init__(
        self,
        deliveries: Deliveries,
        attempts: DeliveryAttempts,
        isolation: Isolation,
        limits: LaneLimits,
        sites: Sites,
        *,
        lease_seconds: float,
        traces: AttemptTraces | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._traces = traces
        self._attempts = attempts
        self._isolation = isolation
        self._lease_seconds = lease_seconds
        self._in_flight = in_flight = InFlight(limits)
        IN_FLIGHT.labels("waiting").set_function(lambda: in_flight.waiting)
        IN_FLIGHT.labels("on_wire").set_function(lambda: len(in_flight.on_wire))
        IN_FLIGHT.labels("answered").set_function(lambda: in_flight.unwritten)
        IN_FLIGHT.labels("isolated").set_function(lambda: len(in_flight.isolated))
        self._claiming = Claiming(deliveries, in_flight, self._admit)
        self._parking = Parking(
            deliveries, sites, self._admit, lambda: in_flight.capacity(MOST_AHEAD)
        )
        self._results = Results(deliveries.settle, traces)
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self._cancelled = False  # a second signal: nothing more may start
        self._done = asyncio.Event()

    def wake(self, lane: Lane) -> None:
        """There may be something to claim in *lane*: call it when a hint arrives."""
        self._claiming.on_hint(lane)

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until *stopping*; then finish what is on the wire and give back the rest."""
        async with self._tasks as tasks:
            try:
                renewing = tasks.create_task(self._renew_forever(), name="renewing")
                tasks.create_task(self._wake_at_end(stopping), name="ending")
                self._deliveries.prepared.subscribe(self._take, room=self._capacity)
                async with asyncio.TaskGroup() as claiming:
                    claiming.create_task(self._claiming.run(stopping), name="claiming")
                    claiming.create_task(self._parking.run(stopping), name="parking")
                await self._deliveries.prepared.close()  # with policy's last commits
                await self._give_back(self._in_flight.take_waiting())
                while self._in_flight.any_started:
                    self._done.clear()
                    await self._done.wait()
                renewing.cancel()
            except asyncio.CancelledError:
                self._cancelled = True
                raise
        await self._attempts.close()

    async def _wake_at_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._stopping = True
        self._claiming.wake()
        self._parking.wake()

    def _take(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """Take in what policy handed over: it is claimed for us already."""
        self._admit(claimed, _now())

    def _capacity(self) -> int:
        """How many more may be handed over; none once we are told to stop."""
        return 0 if self._stopping else self._in_flight.capacity(self._claiming.ahead)

    # From claim to result

    def _admit(self, claimed: Sequence[ClaimedDelivery], asked: float) -> None:
        """Take in what was asked for at that loop time: its leases began later."""
        if not claimed or self._cancelled:
            return
        start_before = asked + self._lease_seconds - LEASE_MARGIN_SECONDS
        since = perf_counter()
        for c in claimed:
            if c.abandoned:
                ABANDONED.inc()
            lease = Lease(c, start_before, since)
            if (result := self._results.recall(lease.id)) is not None:
                self._tasks.create_task(self._results.commit(lease, result))
            elif (reason := should_quarantine(c.abandoned)) and c not in self._in_flight:
                self._tasks.create_task(self._quarantine(c, reason))
            elif (suspect := self._in_flight.admit(lease)) is not None:
                self._tasks.create_task(self._deliver(suspect, self._isolated))
        self._start()

    def _start(self) -> None:
        while not self._cancelled and (lease := self._in_flight.start_next()):
            self._tasks.create_task(self._deliver(lease, self._attempted))

    async def _deliver(
        self, lease: Lease, attempt: Callable[[Lease], Awaitable[AttemptResult | None]]
    ) -> None:
        """See *lease* through; the next one goes on the wire while its result is written down."""
        try:
            result = await self._safely(lease, attempt)
            self._in_flight.answered(lease)
            self._claiming.on_answer()
            self._go_on()
            match result:
                case Settlement():
                    self._results.announce(result)
                    await self._results.commit(lease, result)
                case Parked(waits_for):
                    lease.parked = True
                    await self._parking.park(lease.claimed, waits_for)
        finally:
            self._in_flight.finish(lease)
            self._go_on()
            if not self._in_flight.any_started:
                self._done.set()

    def _go_on(self) -> None:
        self._start()
        self._claiming.on_room()
        self._parking.look()

    async def _safely(
        self, lease: Lease, attempt: Callable[[Lease], Awaitable[AttemptResult | None]]
    ) -> AttemptResult | None:
        """The result of *attempt*; None when there is nothing to write down."""
        try:
            return await attempt(lease)
        # A fault of ours on one message must not stop the others; it is deferred and logged.
        except Exception as error:
            log.exception("delivery_failed", delivery=lease.id.hex)
            if is_last_fault(lease.claimed.tries + 1):
                await self._quarantine(lease.claimed, f"internal fault: {type(error).__name__}")
                return None
            return self._attempts.broken(lease.claimed, type(error).__name__)

    async def _attempted(self, lease: Lease) -> AttemptResult | None:
        # A lease that ran out while it waited is no longer ours; the row comes due by itself.
        if _now() >= lease.start_before:
            return None
        if self._traces is None:
            return await self._attempts.run(lease.claimed, self._read)
        with self._traces.noting(lease):
            return await self._attempts.run(lease.claimed, self._read)

    async def _isolated(self, lease: Lease) -> Settlement | None:
        """A suspect's result; None if its process died: then its lease is to run out."""
        return await self._isolation.run(
            await self._read(lease.claimed) if lease.claimed.is_large else lease.claimed
        )

    async def _read(self, claimed: ClaimedDelivery) -> ClaimedDelivery:
        while True:
            try:
                return await self._deliveries.read_message(claimed)
            except StoreUnavailable:
                await asyncio.sleep(READ_AGAIN_SECONDS)

    async def _quarantine(self, claimed: ClaimedDelivery, reason: str) -> None:
        try:
            await self._deliveries.quarantine(claimed, reason)
            log.warning("quarantined", delivery=claimed.delivery.id.hex, reason=reason)
        except StoreUnavailable as error:
            # Its lease runs out, and the next process that claims it quarantines it.
            log.warning("not_quarantined", delivery=claimed.delivery.id.hex, reason=str(error))

    # Leases

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 4)
            claims = [lease.claimed for lease in self._in_flight.leases]
            if not claims:
                continue
            start_before = _now() + self._lease_seconds - LEASE_MARGIN_SECONDS
            try:
                renewed = await self._deliveries.renew(claims)
            except StoreUnavailable as error:
                log.warning("renewing_interrupted", reason=str(error))
                continue
            self._in_flight.extend(renewed, start_before)
            # Those that have ended are gone already; another process has claimed the rest.
            self._in_flight.drop_waiting([c for c in claims if c.delivery.id not in renewed])

    async def _give_back(self, waiting: Sequence[Lease]) -> None:
        """End the claims of what was not begun, so that nobody takes it for uncertain.

        A signal that stops us may reach the database too: it is tried for some seconds.
        """
        claims = [lease.claimed for lease in waiting]
        until = _now() + _GIVE_BACK_SECONDS
        while claims:
            try:
                await self._deliveries.return_leases(claims)
            except StoreUnavailable as error:
                if _now() < until:
                    await asyncio.sleep(_GIVE_BACK_PAUSE_SECONDS)
                    continue
                log.warning("not_given_back", deliveries=len(claims), reason=str(error))
            claims = []


def _now() -> float:
    return asyncio.get_running_loop().time()
