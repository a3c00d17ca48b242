"""What became of numbered messages: the client's word, the sink's, and the relay's own."""

from base64 import b32decode
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import UUID

from bench.load_summary import Sent
from bench.sink_session import Arrival, Outcome

_ID_OCTETS = 16
_NOBODY = bytes(_ID_OCTETS)


@dataclass(frozen=True, slots=True)
class Records:
    """What the relay wrote down."""

    events: Counter[str]  # of each kind
    uncertain: Counter[UUID]  # deliveries that may have been sent twice, and how often it says so
    delivered_twice: int  # deliveries with two successes


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the messages; the sink's word is the truth."""

    messages: int  # answered with 2xx or 5xx
    accepted: int  # answered 250
    refused: int  # answered 5xx
    lost: int  # accepted, and never at the sink
    doubled: int  # transactions beyond a delivery's first, without those that the sink cut
    cut: int  # taken by the sink, which hung up instead of answering
    resubmitted: int  # the client heard no answer and sent it again, though it had been kept
    uncertain: int  # events by which the relay owns up that it may have sent something twice
    unlogged: int  # transactions beyond a delivery's first without such an event of that delivery
    delivered_twice: int  # deliveries with two successes in the relay's own records
    unexplained: int  # difference between what the relay says it delivered and what came
    seconds: float

    def as_dict(self) -> dict[str, float]:
        """For a report."""
        return asdict(self)


class Tally:
    """Counts what the client and the sink saw, in some 20 octets a message.

    Each delivery has a return path of its own, so that a message submitted twice is told from one
    that was sent twice.
    """

    def __init__(self) -> None:
        self.answered = self.accepted = self.refused = 0
        self.came = 0  # messages of which at least one transaction was taken
        self.transactions = 0  # taken, whatever the relay heard
        self.cut = 0
        self._accepted = bytearray()  # by number
        self._first = bytearray()  # by number: the delivery that brought it first
        self._others: set[bytes] = set()  # deliveries that brought what another one had brought
        self._again: Counter[bytes] = Counter()  # transactions beyond a delivery's first

    @property
    def under_way(self) -> int:
        """Messages that were accepted and have not come yet."""
        return max(self.accepted - self.came, 0)

    @property
    def doubled(self) -> int:
        """Transactions beyond a delivery's first, without those that the sink cut."""
        return self._again.total() - self.cut

    def answers(self, sent: Iterable[Sent]) -> None:
        """Note what the client was told."""
        for message in sent:
            number = int(message.id)
            self._accepted.extend(bytes(max(number + 1 - len(self._accepted), 0)))
            self._accepted[number] = message.accepted
            self.answered += 1
            self.accepted += message.accepted
            self.refused += message.code >= 500

    def arrivals(self, arrived: Iterable[Arrival]) -> None:
        """Note what the sink took; what it refused for now comes again and is not counted."""
        for arrival in arrived:
            if arrival.outcome is not Outcome.SOFT:
                self.transactions += 1
                self.cut += arrival.outcome is Outcome.CUT
                self._take(int(arrival.id), _delivery(arrival.sender))

    def _take(self, number: int, delivery: bytes) -> None:
        place = slice(number * _ID_OCTETS, (number + 1) * _ID_OCTETS)
        self._first.extend(bytes(max(place.stop - len(self._first), 0)))
        first = bytes(self._first[place])
        if first == _NOBODY:
            self._first[place] = delivery
            self.came += 1
        elif delivery == first or delivery in self._others:
            self._again[delivery] += 1
        else:
            self._others.add(delivery)

    def count(self, records: Records, seconds: float) -> Count:
        """Compare all three, once everything has had its end."""
        deliveries = self.came + len(self._others)
        return Count(
            messages=self.answered,
            accepted=self.accepted,
            refused=self.refused,
            lost=sum(told and not self._has_come(n) for n, told in enumerate(self._accepted)),
            doubled=self.doubled,
            cut=self.cut,
            resubmitted=len(self._others),
            uncertain=records.uncertain.total(),
            unlogged=sum(
                max(times - records.uncertain[UUID(bytes=delivery)], 0)
                for delivery, times in self._again.items()
            ),
            delivered_twice=records.delivered_twice,
            unexplained=records.events["accepted"] - deliveries
            or records.events["delivered"] - deliveries,
            seconds=round(seconds, 1),
        )

    def _has_come(self, number: int) -> bool:
        return any(self._first[number * _ID_OCTETS : (number + 1) * _ID_OCTETS])


def _delivery(return_path: str) -> bytes:
    """The id in a return path; unlike the whole path it is the same on the next day."""
    token = return_path.partition("@")[0][-48:].upper()
    return b32decode(token)[:_ID_OCTETS]
