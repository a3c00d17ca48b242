"""What tests of returned mail share: our delivery, the reports, a store that remembers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from bounces.core.claims import ClaimKeys
from bounces.core.verdict import Note, Suppress, Verdict
from bounces.feedback_subjects import FeedbackSubjects
from bounces.own_addresses import OwnAddresses
from bounces.service import Bounces, Onward
from posthouse.mail.address_failure import AddressFailure, AgainstAddress, FailureWeight
from posthouse.mail.events import Event
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission
from posthouse.tracking.token import TokenKey

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


@dataclass
class RememberedReturns:
    """The store of the bounces service, in memory; fails when told to."""

    deliveries: dict[UUID, Delivery] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)
    unsubscribed: list[tuple[UUID, str]] = field(default_factory=list)
    failure: Exception | None = None

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id."""
        if self.failure:
            raise self.failure
        return self.deliveries.get(delivery_id)

    async def deliveries_of(self, submission_id: UUID) -> tuple[Delivery, ...]:
        """The deliveries of that submission."""
        return tuple(d for d in self.deliveries.values() if d.submission_id == submission_id)

    async def takes_mail_for(self, host: str) -> bool:
        """Whether it is the return-path host of a sending domain."""
        if self.failure:
            raise self.failure
        return host in self.hosts

    async def unsubscribe(self, delivery_id: UUID, *, sender: str, client: str) -> bool:
        """Remember who unsubscribed, and from which sender that came."""
        del client
        if self.failure:
            raise self.failure
        is_new = delivery_id not in dict(self.unsubscribed)
        self.unsubscribed.append((delivery_id, sender))
        return is_new

    async def record(
        self,
        event: Event,
        delivery: Delivery | None,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> str | None:
        """Keep *event* unless there is one of its digest; a hard failure and an objection list."""
        if self.failure:
            raise self.failure
        if any(event.detail["digest"] == e.detail["digest"] for e in self.events):
            return None
        assert forward is None
        self.events.append(event)
        if delivery is None or against is None:
            return "none"
        if isinstance(against, AddressFailure) and against.weight is not FailureWeight.HARD:
            return "none"
        self.suppressed.append(delivery.recipient)
        return "hard" if isinstance(against, AddressFailure) else against.list.value


@dataclass
class NothingOnward:
    """No account has a bounce address; mail for the operator is remembered."""

    for_operator: list[tuple[str, bytes]] = field(default_factory=list)

    async def forward(self, delivery: Delivery, content: bytes) -> None:
        """Nobody wants it."""

    async def forward_to_operator(
        self, content: bytes, client: str, *, recipient: str, sender: str
    ) -> None:
        """Remember it."""
        del client, sender
        self.for_operator.append((recipient, content))

    def announce(self, lane: Lane) -> None:
        """Nothing became due."""


def service_of(
    returns: Any,
    keys: Sequence[bytes],
    today: date,
    *,
    hosts: Collection[str] = (),
    complaint_addresses: Collection[str] = (),
    onward: Onward | None = None,
) -> tuple[OwnAddresses, Bounces]:
    """The service over the store *returns*; *keys* have signed both return paths and ids."""
    addresses = OwnAddresses(
        returns,
        keys,
        lambda: today,
        hosts=hosts,
        complaint_addresses=complaint_addresses,
        token_keys=[TokenKey(number, key) for number, key in enumerate(keys)],
    )
    subjects = FeedbackSubjects(returns, ClaimKeys(keys, keys), lambda: today)
    return addresses, Bounces(returns, subjects, onward or NothingOnward(), returns)


def feedback_report(
    header: str = "",
    *,
    kind: str = "abuse",
    mail_from: str = "",
    recipient: str = "",
    number: int = 1,
) -> bytes:
    """A report (RFC 5965) about a message with the fields *header*; *number* tells copies apart."""
    fields = [f"Feedback-Type: {kind}", f"User-Agent: test/{number}", "Version: 1"]
    fields += [f"Original-Mail-From: <{mail_from}>"] if mail_from else []
    fields += [f"Original-Rcpt-To: <{recipient}>"] if recipient else []
    text = f"""\
Received: from mx{number}.dest.example by mx.sender.example; Tue, 3 Mar 2026 10:00:{number % 60:02}
From: fbl@dest.example
To: fbl@loops.example
Subject: complaint
Date: Tue, 3 Mar 2026 10:00:{number % 60:02} +0100
Message-ID: <{number}@dest.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="={number}="

--={number}=
Content-Type: text/plain

This is a complaint.

--={number}=
Content-Type: message/feedback-report

{chr(10).join(fields)}

--={number}=
Content-Type: message/rfc822

{header}From: News <news@sender.example>
To: ann@dest.example
Subject: Your order

Hello.
--={number}=--
"""
    return text.replace("\n", "\r\n").encode()
