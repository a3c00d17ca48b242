"""The dispatcher: claims deliveries in strict lanes, sends them, writes down what came of it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from dispatcher.core.lanes import LaneLimits, worth_holding
from dispatcher.core.patience import last_fault, worn_out
from dispatcher.courier import Courier
from dispatcher.pace import LaneWait, Pace
from dispatcher.parking import ParkedDeliveries, Parking
from dispatcher.results import Results
from dispatcher.sites import Sites
from dispatcher.window import Held, Window
from posthouse.mail.lane import Lane
from posthouse.running.polling import Polling
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery, Claims, Settlement
from posthouse.store.direct_handoff import DirectHandoff

ABANDONED = Counter(
    "posthouse_deliveries_abandoned_total",
    "Claims that ended without a result: delivered or not, nobody knows; sent again.",
)
IN_HAND = Gauge("posthouse_deliveries_in_hand", "Deliveries this process holds.", ["state"])

# How soon to look again while young transactions of a higher lane keep a lower one waiting.
HELD_POLL_SECONDS = 0.02
# A lane that others keep waiting only with what they have on the wire gets a turn after this long.
PATIENT_SECONDS = 2.0
# What is claimed ahead: what will start within this time, and at most so many.
AHEAD_SECONDS = 0.04
MOST_AHEAD = 200
# Messages in hand hold no more than this together, unless it is a single one.
MOST_OCTETS = 64 << 20
# While the store is away it is asked so often whether it is back.
CLAIM_AGAIN_SECONDS = 0.5
# When the store comes back, or a lock is gone, results go first: whoever holds a claim that ran out
# meanwhile may have its answer in hand, and to take it over now would send the message twice.
STORE_BACK_SECONDS = 1.0
# A claim that takes so long has waited for a lock or for the disk, and others' results as well.
SLOW_CLAIM_SECONDS = 0.5
# No transaction starts on a lease with less than this left.
LEASE_MARGIN_SECONDS = 3.0
# What may end this process is not touched before it has had the time to do something else.
SUSPECT_SECONDS = 2.0

log = structlog.get_logger()


class Deliveries(ParkedDeliveries, Protocol):
    """What the dispatcher asks of the store; each raises StoreUnavailable."""

    prepared: DirectHandoff[ClaimedDelivery]

    async def claim(
        self,
        limit: int,
        *,
        octets: int,
        lowest: Lane,
        preemptible: bool,
        lapsed: bool,
        suspects: bool,
    ) -> Claims:
        """Lease up to *limit* deliveries of the highest lane with any due, one suspect at most."""

    async def settle(self, settlement: Settlement) -> bool:
        """Commit the result of a claim; False when the claim was lost."""

    async def renew(self, held: Sequence[ClaimedDelivery]) -> set[UUID]:
        """Extend leases; the ids that are still ours."""

    async def quarantine(self, claimed: ClaimedDelivery, reason: str) -> None:
        """Let nobody work on it until somebody decides."""

    async def return_leases(self, held: Sequence[ClaimedDelivery]) -> None:
        """Give claims back untried."""


class Dispatcher:
    """Keeps as many transactions on the wire as the lanes allow."""

    def __init__(
        self,
        deliveries: Deliveries,
        courier: Courier,
        limits: LaneLimits,
        sites: Sites,
        *,
        lease_seconds: float,
    ) -> None:
        self._deliveries = deliveries
        self._courier = courier
        self._lease = lease_seconds
        self._window = window = Window(limits)
        IN_HAND.labels("waiting").set_function(lambda: window.waiting)
        IN_HAND.labels("running").set_function(lambda: len(window.running))
        IN_HAND.labels("answered").set_function(lambda: window.unwritten)
        self._wake = asyncio.Event()
        self._polling = Polling()
        self._pace = Pace()
        self._waited = LaneWait()
        self._results = Results(deliveries.settle)
        self._parking = Parking(deliveries, sites, self._hold)
        self._tasks = asyncio.TaskGroup()
        self._idle = asyncio.Event()
        self._patient_until = _now() + PATIENT_SECONDS
        self._stopping = False
        self._let_results_go_first()
        self._suspects_from = _now() + SUSPECT_SECONDS
        self._more = False  # something is probably due that the last claim did not bring

    def wake(self, lane: Lane) -> None:
        """There may be something to claim in *lane*: call it when a hint arrives."""
        self._more = True
        if self._window.would_overtake(lane):
            self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until *stopping*; then finish what is on the wire and give back the rest."""
        async with self._tasks as tasks:
            renewing = tasks.create_task(self._renew_forever(), name="renewing")
            tasks.create_task(self._wake_at_end(stopping), name="ending")
            self._deliveries.prepared.subscribe(self._take, room=self._room)
            async with asyncio.TaskGroup() as claiming:
                claiming.create_task(self._claim_until(stopping), name="claiming")
                claiming.create_task(self._parking.run(stopping), name="parking")
            await self._deliveries.prepared.close()  # with policy's last commits
            await self._give_back(self._window.take_waiting())
            while self._window.in_flight:
                self._idle.clear()
                await self._idle.wait()
            renewing.cancel()
        await self._courier.close()

    async def _wake_at_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._stopping = True
        self._wake.set()

    def _take(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """Hold these too: they are claimed for us already."""
        self._hold(claimed, _now())

    def _room(self) -> int:
        """How many more may be handed over; none once we are told to stop."""
        if self._stopping or self._window.octets > MOST_OCTETS:
            return 0
        return self._window.space(self._reserve())

    async def _claim_until(self, stopping: asyncio.Event) -> None:
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
                await _until(self._wake, wait)

    async def _claim(self) -> float:
        """Claim once; how long to wait for a wake-up before the next time, in seconds."""
        room = self._window.room(self._reserve())
        octets = MOST_OCTETS - self._window.octets
        if room is None or octets <= 0:
            return self._polling.seconds
        lowest, limit = room
        asked = _now()
        patient = asked < self._patient_until
        claims = await self._deliveries.claim(
            limit,
            octets=octets,
            lowest=lowest,
            preemptible=patient,
            lapsed=asked >= self._lapsed_from,
            suspects=asked >= self._suspects_from and not self._window.has_suspect,
        )
        if _now() - asked > SLOW_CLAIM_SECONDS:
            self._let_results_go_first()
        if claims.lowest_lane_served:
            self._patient_until = _now() + PATIENT_SECONDS
        self._waited.observe(claims)
        self._polling.looked(found=bool(claims.due))
        self._more = claims.more
        self._hold(claims.deliveries, asked)
        if claims.preempted_by is not None:
            return HELD_POLL_SECONDS
        return 0 if claims.deliveries and claims.more else self._polling.seconds

    def _let_results_go_first(self) -> None:
        self._lapsed_from = _now() + STORE_BACK_SECONDS

    def _reserve(self) -> int:
        return worth_holding(self._pace.rate(), AHEAD_SECONDS, MOST_AHEAD)

    def _hold(self, claimed: Sequence[ClaimedDelivery], asked: float) -> None:
        """Send these, which were *asked* for at that loop time: their leases began later."""
        if not claimed:
            return
        good_until = asked + self._lease - LEASE_MARGIN_SECONDS
        ABANDONED.inc(sum(c.abandoned > 0 for c in claimed))
        for c in claimed:
            held = Held(c, good_until)
            if (answer := self._results.recall(c.delivery.id)) is not None:
                self._tasks.create_task(self._results.write_down(held, answer))
            elif (reason := worn_out(c.abandoned)) is not None and not self._window.holds(c):
                self._tasks.create_task(self._quarantine(c, reason))
            else:
                self._window.add(held)
        self._start()

    def _start(self) -> None:
        while held := self._window.start_next():
            self._tasks.create_task(self._carry(held))

    async def _carry(self, held: Held) -> None:
        """Send *held*; the next one goes on the wire while its result is written down."""
        try:
            result = await self._sent(held)
            self._window.answered(held)
            self._pace.finished()
            self._go_on()
            if isinstance(result, Settlement):
                await self._results.write_down(held, result)
            elif result is not None:
                await self._parking.park(held.claimed, result)
        finally:
            self._window.finish(held)
            self._go_on()
            if not self._window.in_flight:
                self._idle.set()

    def _go_on(self) -> None:
        self._start()
        if self._more and self._window.ahead(self._reserve()):
            self._wake.set()
        self._parking.look()

    async def _sent(self, held: Held) -> Settlement | str | None:
        """What came of it, or the site that had no room; None when there is nothing to say."""
        # A lease that ran out while it waited is no longer ours; the row comes due by itself.
        if _now() >= held.good_until:
            return None
        try:
            return await self._courier.carry(held)
        # A fault of ours on one message must not stop the others; it is put off and logged.
        except Exception as error:
            log.exception("delivery_failed", delivery=held.claimed.delivery.id.hex)
            if last_fault(held.claimed.tries + 1):
                await self._quarantine(held.claimed, f"internal fault: {type(error).__name__}")
                return None
            return self._courier.broken(held, type(error).__name__)

    async def _quarantine(self, claimed: ClaimedDelivery, reason: str) -> None:
        id_ = claimed.delivery.id.hex
        try:
            await self._deliveries.quarantine(claimed, reason)
            log.warning("quarantined", delivery=id_, reason=reason)
        except StoreUnavailable as error:
            # Its lease runs out, and it comes back to whoever can quarantine it.
            log.warning("not_quarantined", delivery=id_, reason=str(error))

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            in_hand = self._window.in_hand
            if not in_hand:
                continue
            good_until = _now() + self._lease - LEASE_MARGIN_SECONDS
            try:
                renewed = await self._deliveries.renew([held.claimed for held in in_hand])
            except StoreUnavailable as error:
                log.warning("renewing_interrupted", reason=str(error))
                continue
            self._window.extend(renewed, good_until)
            # Those that ended meanwhile are gone from the window; the rest was taken from us.
            lost = {held.claimed.delivery.id for held in in_hand} - renewed
            self._window.drop_waiting(lost)

    async def _give_back(self, waiting: Sequence[Held]) -> None:
        if waiting:
            try:
                await self._deliveries.return_leases([held.claimed for held in waiting])
            except StoreUnavailable as error:
                log.warning("not_given_back", deliveries=len(waiting), reason=str(error))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _until(event: asyncio.Event, seconds: float) -> bool:
    """Whether *event* was set within *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
