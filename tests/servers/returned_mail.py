"""What tests of returned mail share: our delivery, the reports, a store that remembers."""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from bounces.core.verdict import Ignore, Note, Suppress, Verdict
from posthouse.mail.address_failure import AgainstAddress
from posthouse.mail.events import Event
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission

REPORTS = sorted((Path(__file__).parents[1] / "bounces" / "reports").glob("*.eml"))

OURS = Delivery(
    id=UUID(int=1),
    submission_id=UUID(int=2),
    account_id=UUID(int=3),
    rendition_id=UUID(int=4),
    lane=Lane.NORMAL,
    recipient="ann@dest.example",
    return_path="b+path@bounce.sender.example",
)


def in_a_word(verdict: Verdict) -> str:
    """A verdict as the tables of the tests write it."""
    match verdict:
        case Suppress():
            return "suppress"
        case Note():
            return f"note {verdict.kind}"
        case Ignore():
            return "ignore"


@dataclass
class RememberedReturns:
    """The store of the bounces service, in memory; fails when told to."""

    deliveries: dict[UUID, Delivery] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)
    forwarded: list[Submission] = field(default_factory=list)
    failure: Exception | None = None

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id."""
        if self.failure:
            raise self.failure
        return self.deliveries.get(delivery_id)

    async def record(
        self,
        event: Event,
        delivery: Delivery,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> bool:
        """Keep *event* unless there is one of its kind for its delivery."""
        if self.failure:
            raise self.failure
        if any((event.delivery_id, event.kind) == (e.delivery_id, e.kind) for e in self.events):
            return False
        self.events.append(event)
        self.forwarded += [forward] if forward else []
        if against is not None:
            self.suppressed.append(delivery.recipient)
        return True
