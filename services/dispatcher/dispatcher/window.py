"""The deliveries in hand: waiting for a free transaction, on the wire, or answered."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

from dispatcher.core.lanes import LaneLimits
from dispatcher.core.patience import is_suspect
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import ClaimedDelivery

# So many answers leave their places on the wire to the next messages while they wait to be written
# down. More than the fifty that make a batch of results (see DeliveryStore), or each batch would
# wait its full time for company that has no place to come from.
MOST_UNWRITTEN = 64


@dataclass(slots=True)
class Held:
    """A claimed delivery with what it takes to send it."""

    claimed: ClaimedDelivery
    good_until: float  # the lease in loop time: no transaction may start after it

    @property
    def lane(self) -> Lane:
        """The lane it travels in."""
        return self.claimed.delivery.lane

    @property
    def header(self) -> bytes:
        """The message's header; empty when the message is gone: older than its retention."""
        return self.claimed.header

    @property
    def body(self) -> bytes:
        """The message's body."""
        return self.claimed.body

    @property
    def is_suspect(self) -> bool:
        """Whether it may end this process: then it is sent with nothing else on the wire."""
        return is_suspect(self.claimed.abandoned)


@dataclass(slots=True)
class Window:
    """Hands out what may start next: highest lane first, within each lane as it came."""

    limits: LaneLimits
    octets: int = 0  # of all messages in hand; one that several deliveries share counts for each
    has_suspect: bool = False
    running: dict[UUID, Held] = field(default_factory=dict)  # on the wire
    unwritten: int = 0  # answered, and the result not yet written down
    _known: dict[UUID, Held] = field(default_factory=dict)  # all in hand, by delivery
    _waiting: list[tuple[int, int, Held]] = field(default_factory=list)
    _order: count = field(default_factory=count)  # type: ignore[type-arg]

    def add(self, held: Held) -> None:
        """Let *held* wait for its turn.

        One that is in hand already goes on under the new claim: its lease ran out while the store
        was away, and nobody else took it.
        """
        known = self._known.get(held.claimed.delivery.id)
        if known is not None:
            known.claimed, known.good_until = held.claimed, held.good_until
            return
        self._known[held.claimed.delivery.id] = held
        self.octets += held.claimed.size
        self.has_suspect = self.has_suspect or held.is_suspect
        heappush(self._waiting, (held.lane, next(self._order), held))

    def holds(self, claimed: ClaimedDelivery) -> bool:
        """Whether that delivery is in hand, under whatever claim."""
        return claimed.delivery.id in self._known

    def start_next(self) -> Held | None:
        """The next one that may go on the wire now; it counts as running from here on."""
        if not self._waiting or not self.limits.free(self._waiting[0][2].lane, self._taken):
            return None
        if self.has_suspect and not self._may_be_alone(self._waiting[0][2]):
            return None
        held = heappop(self._waiting)[2]
        self.running[held.claimed.delivery.id] = held
        return held

    def _may_be_alone(self, held: Held) -> bool:
        """Whether *held* may start while a suspect is in hand."""
        if held.is_suspect:
            return not self.in_flight
        return not any(other.is_suspect for other in self.running.values())

    def answered(self, held: Held) -> None:
        """Take *held* off the wire; its result is still to be written down."""
        del self.running[held.claimed.delivery.id]
        self.unwritten += 1

    def finish(self, held: Held) -> None:
        """Let go of *held*, which was started: its result is written down, or there is none."""
        if self.running.pop(held.claimed.delivery.id, None) is None:
            self.unwritten -= 1
        self._forget(held)

    @property
    def in_flight(self) -> bool:
        """Whether anything was started and is not finished: what a kill now makes uncertain."""
        return bool(self.running or self.unwritten)

    @property
    def _taken(self) -> int:
        """How many of the places on the wire are taken.

        An answer leaves its place to the next message while it waits to be written down, in one
        statement with others; but when there are many of those (the store is slow or away) each
        keeps its own: a kill makes no more uncertain than the limit and that many.
        """
        return len(self.running) + max(0, self.unwritten - MOST_UNWRITTEN)

    def take_waiting(self) -> list[Held]:
        """Empty the waiting room and return who was there."""
        waiting = [entry[2] for entry in self._waiting]
        self._waiting.clear()
        for held in waiting:
            self._forget(held)
        return waiting

    def _forget(self, held: Held) -> None:
        del self._known[held.claimed.delivery.id]
        self.octets -= held.claimed.size
        # There is one at most.
        self.has_suspect = self.has_suspect and not held.is_suspect

    def extend(self, renewed: set[UUID], good_until: float) -> None:
        """The leases of *renewed* hold until *good_until*."""
        for held in self.in_hand:
            if held.claimed.delivery.id in renewed:
                held.good_until = good_until

    def drop_waiting(self, lost: set[UUID]) -> None:
        """Forget those of *lost* that have not started: they are somebody else's now."""
        for held in self.take_waiting():
            if held.claimed.delivery.id not in lost:
                self.add(held)

    @property
    def in_hand(self) -> list[Held]:
        """Everything: waiting, on the wire, and answered."""
        return list(self._known.values())

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def space(self, reserve: int) -> int:
        """How many more until *reserve* wait behind full lanes."""
        return self.limits.free(Lane.BULK, self._taken) + reserve - self.waiting

    def ahead(self, reserve: int) -> int:
        """How many to claim so that *reserve* wait behind full lanes; 0 while half of it do."""
        wanted = self.space(reserve)
        return wanted if wanted > reserve // 2 else 0

    def room(self, reserve: int) -> tuple[Lane, int] | None:
        """The lowest lane to claim from and how many, or None when nothing more could start.

        With enough in hand only what would overtake it is asked for: lanes above the highest one
        that waits, as far as they have a transaction free.
        """
        if ahead := self.ahead(reserve):
            return Lane.BULK, ahead
        lowest = self.limits.lowest(self._taken)
        if lowest is None:
            return None
        if self._waiting:
            above = self._waiting[0][0] - 1
            if not above:
                return None
            lowest = min(lowest, Lane(above))
        return lowest, self.limits.free(lowest, self._taken)

    def would_overtake(self, lane: Lane) -> bool:
        """Whether a delivery of *lane* would go before everything that waits."""
        return not self._waiting or lane < self._waiting[0][0]
