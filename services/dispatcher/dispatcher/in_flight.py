"""The deliveries that this process has claimed, and which may start: the limits of the lanes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from uuid import UUID

from dispatcher.core.next_action import is_suspect
from dispatcher.phases import NotedAttempt
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import ClaimedDelivery

# Up to this many answers leave their places on the wire to the next messages while they wait to be
# written down. It is more than the fifty that make a batch of results (see DeliveryStore): with
# fewer, each batch would wait its full time for others that have no place to come from.
MOST_UNWRITTEN = 64


class InvalidLaneLimits(ValueError):
    """The text does not give five limits that make sense."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """For each lane, how many transactions may be running for one more of it to start.

    A higher lane may always have at least as many as a lower one: the difference is kept free
    for it, so that an alert does not wait for a slow newsletter to leave the wire.
    """

    limits: tuple[int, int, int, int, int]

    @classmethod
    def parse(cls, text: str) -> "LaneLimits":
        """Read "24,22,20,20,20": lanes 1 to 5, never rising, each at least 1."""
        try:
            first, second, third, fourth, fifth = (int(part) for part in text.split(","))
        except ValueError as error:
            raise InvalidLaneLimits(
                f"{text!r} is not five numbers such as 24,22,20,20,20"
            ) from error
        limits = (first, second, third, fourth, fifth)
        if min(limits) < 1 or list(limits) != sorted(limits, reverse=True):
            raise InvalidLaneLimits(
                f"{text!r}: each lane needs at least 1 and at most what the lane above it has"
            )
        return cls(limits)

    def free(self, lane: Lane, running: int) -> int:
        """How many more transactions of *lane* may start while *running* are on the wire."""
        return max(0, self.limits[lane - 1] - running)

    def lowest(self, running: int) -> Lane | None:
        """The lowest lane of which one more may start, None when not even the highest may."""
        startable = [lane for lane in Lane if self.free(lane, running)]
        return max(startable, default=None)

    def __str__(self) -> str:
        return ",".join(str(limit) for limit in self.limits)


# Ten times what one destination may have: a few slow destinations leave room for others.
TO_MANY = LaneLimits((120, 110, 100, 100, 100))
# Few servers take more connections than this from one client.
TO_A_SMARTHOST = LaneLimits((24, 22, 20, 20, 20))


@dataclass(slots=True, eq=False)
class Lease:
    """A claimed delivery, and until when a transaction may start on its claim."""

    claimed: ClaimedDelivery
    start_before: float  # loop time
    since: float = 0.0  # when it came in, as `time.perf_counter` reads
    noted: NotedAttempt | None = None  # the attempt, where its trace is kept
    parked: bool = False  # not tried; the store may have put it back before we hear that it has

    @property
    def id(self) -> UUID:
        """The delivery's."""
        return self.claimed.delivery.id

    @property
    def lane(self) -> Lane:
        """The lane it travels in."""
        return self.claimed.delivery.lane


@dataclass(slots=True)
class InFlight:
    """Says what may start next (highest lane first, oldest first within it) and what to claim.

    A suspect is in flight too, but it waits for nothing and takes no place on the wire: it is sent
    by a process of its own. So it delays no other, however long its server takes.
    """

    limits: LaneLimits
    on_wire: set[Lease] = field(default_factory=set)
    isolated: set[Lease] = field(default_factory=set)
    unwritten: int = 0  # answered, and the result not yet written down
    _leases: dict[UUID, Lease] = field(default_factory=dict)  # all of them
    _waiting: list[tuple[int, int, Lease]] = field(default_factory=list)
    _arrivals: count = field(default_factory=count)  # type: ignore[type-arg]

    def admit(self, lease: Lease) -> Lease | None:
        """Take *lease* in; it is returned if it is a suspect, which starts now.

        A delivery that is here already goes on under its new claim: the lease ran out while the
        store was away, and no other process took it. One that was parked starts again: the store
        has put it back, and the answer to the next claim overtook the answer to that.
        """
        known = self._leases.get(lease.id)
        if known is not None and not known.parked:
            known.claimed, known.start_before = lease.claimed, lease.start_before
            return None
        self._leases[lease.id] = lease
        if is_suspect(lease.claimed.abandoned):
            self.isolated.add(lease)
            return lease
        heappush(self._waiting, (lease.lane, next(self._arrivals), lease))
        return None

    def __contains__(self, claimed: ClaimedDelivery) -> bool:
        """Whether that delivery is here, under whatever claim."""
        return claimed.delivery.id in self._leases

    def start_next(self) -> Lease | None:
        """The next one that may go on the wire now; it takes its place there."""
        if not self._waiting or not self.limits.free(self._waiting[0][2].lane, self._places_taken):
            return None
        lease = heappop(self._waiting)[2]
        self.on_wire.add(lease)
        return lease

    def answered(self, lease: Lease) -> None:
        """Take *lease* off the wire; its result is still to be written down."""
        if lease in self.on_wire:
            self.on_wire.remove(lease)
            self.unwritten += 1

    def finish(self, lease: Lease) -> None:
        """Forget *lease*, which was started: its result is written down, or there is none."""
        if lease in self.isolated:
            self.isolated.remove(lease)
        elif lease in self.on_wire:
            self.on_wire.remove(lease)
        else:
            self.unwritten -= 1
        if self._leases[lease.id] is lease:  # or it is here again, under its next claim
            del self._leases[lease.id]

    @property
    def any_started(self) -> bool:
        """Whether anything was started and is not finished: what a kill now makes uncertain."""
        return bool(self.on_wire or self.unwritten or self.isolated)

    @property
    def _places_taken(self) -> int:
        """How many of the places on the wire are taken.

        An answer leaves its place to the next message while it waits to be written down together
        with others. When more than MOST_UNWRITTEN wait (the store is slow or away), the rest keep
        their places: a kill makes no more uncertain than the limit and that many.
        """
        return len(self.on_wire) + max(0, self.unwritten - MOST_UNWRITTEN)

    # Leases

    @property
    def leases(self) -> list[Lease]:
        """All of them."""
        return list(self._leases.values())

    @property
    def waiting(self) -> int:
        """How many wait for a place on the wire."""
        return len(self._waiting)

    def extend(self, renewed: set[UUID], start_before: float) -> None:
        """The leases of *renewed* were extended."""
        for id_ in renewed & self._leases.keys():
            self._leases[id_].start_before = start_before

    def drop_waiting(self, lost: Sequence[ClaimedDelivery]) -> None:
        """Forget those of *lost* that have not started: another process has claimed them.

        One that we have claimed again is not lost.
        """
        claims = {(claimed.delivery.id, claimed.claim) for claimed in lost}
        kept = []
        for entry in self._waiting:
            claimed = entry[2].claimed
            if (claimed.delivery.id, claimed.claim) in claims:
                del self._leases[claimed.delivery.id]
            else:
                kept.append(entry)
        heapify(kept)
        self._waiting = kept

    def take_waiting(self) -> list[Lease]:
        """Forget all that wait, and return them."""
        waiting = [lease for *_, lease in self._waiting]
        self._waiting.clear()
        for lease in waiting:
            del self._leases[lease.id]
        return waiting

    # What to claim

    def capacity(self, ahead: int) -> int:
        """How many more to take in until *ahead* wait behind full lanes."""
        return self.limits.free(Lane.BULK, self._places_taken) + ahead - self.waiting

    def worth_claiming(self, ahead: int) -> int:
        """How many to claim so that *ahead* wait behind full lanes; 0 while half of it do."""
        wanted = self.capacity(ahead)
        return wanted if wanted > ahead // 2 else 0

    def to_claim(self, ahead: int) -> tuple[Lane, int] | None:
        """The lowest lane to claim from and how many, or None when nothing more could start.

        When enough wait, only what would overtake them is asked for: lanes above the highest one
        that waits, as far as they have a place free.
        """
        if wanted := self.worth_claiming(ahead):
            return Lane.BULK, wanted
        lowest = self.limits.lowest(self._places_taken)
        if lowest is None:
            return None
        if self._waiting:
            above = self._waiting[0][0] - 1
            if not above:
                return None
            lowest = min(lowest, Lane(above))
        return lowest, self.limits.free(lowest, self._places_taken)

    def would_overtake(self, lane: Lane) -> bool:
        """Whether a delivery of *lane* would go before everything that waits."""
        return not self._waiting or lane < self._waiting[0][0]

    @property
    def suspects_wanted(self) -> Lane | None:
        """Down to which lane a suspect may be claimed.

        One at a time, each in a process of its own; one more if it is of lane 1 or 2, so that an
        alert does not wait for a newsletter here either.
        """
        return (Lane.BULK, Lane.HIGH, None)[min(len(self.isolated), 2)]
