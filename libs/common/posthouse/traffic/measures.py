"""What reports count."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from posthouse.answers import HARD_CLASSES
from posthouse.mail.events import EventKind

# Kinds of events that count under their name. A message counts once as accepted, a recipient with
# each of its results; bounces by their class, opens and clicks by who did it.
_AS_THEY_ARE = (
    EventKind.ACCEPTED,
    EventKind.DELIVERED,
    EventKind.DEFERRED,
    EventKind.EXPIRED,
    EventKind.SUPPRESSED,
    EventKind.COMPLAINED,
    EventKind.UNSUBSCRIBED,
    EventKind.RESUBSCRIBED,
)
READ_KINDS = (EventKind.OPENED, EventKind.CLICKED)
_READERS = ("human", "machine")
COUNTED_KINDS: tuple[str, ...] = (*_AS_THEY_ARE, EventKind.BOUNCED, *READ_KINDS)


class Counts(NamedTuple):
    """How often each thing happened: messages are accepted, all else is of recipients.

    A deferral is an attempt that failed and is made again. Hard are bounces whose mailbox or domain
    does not exist, soft all others. What was delivered and bounced later counts in both.
    """

    accepted: int = 0
    recipients: int = 0  # of the messages accepted
    delivered: int = 0
    deferred: int = 0
    hard: int = 0
    soft: int = 0
    expired: int = 0
    suppressed: int = 0
    complained: int = 0
    unsubscribed: int = 0
    resubscribed: int = 0
    opened_human: int = 0
    opened_machine: int = 0
    opened_unknown: int = 0
    clicked_human: int = 0
    clicked_machine: int = 0
    clicked_unknown: int = 0

    @classmethod
    def sum(cls, counts: Iterable["Counts"]) -> Self:
        """All of *counts* together."""
        return cls(*map(sum, zip(*counts, strict=True)))

    @property
    def bounced(self) -> int:
        """Refused for good."""
        return self.hard + self.soft

    @property
    def ended(self) -> int:
        """Recipients that have a result; one that bounced after it was delivered counts twice."""
        return self.delivered + self.bounced + self.expired


MEASURES = Counts._fields
NOTHING = Counts()


def measure_of(kind: str, class_: str, reader: str) -> str:
    """What an event of *kind* counts as.

    *class_* is that of the answer, *reader* who opened or clicked, as far as the event says so.
    """
    if kind == EventKind.BOUNCED:
        return "hard" if class_ in HARD_CLASSES else "soft"
    if kind in READ_KINDS:
        return f"{kind}_{reader if reader in _READERS else 'unknown'}"
    return kind
