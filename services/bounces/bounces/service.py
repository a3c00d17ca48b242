"""Returned mail: which delivery it belongs to, what it says, and what we record."""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from bounces.core.claims import Doubt
from bounces.core.reports.reading import read
from bounces.core.reports.report import FEEDBACK, Report, ReportKind
from bounces.core.return_record import (
    ReturnRecord,
    bounce_record,
    doubt_record,
    feedback_record,
)
from bounces.core.unsubscribe_request import is_request
from bounces.core.verdict import Verdict, decide
from bounces.feedback_subjects import NOT_BELIEVED, FeedbackSubjects
from bounces.own_addresses import OwnAddress, RoleAddress, UnsubscribeAddress
from posthouse.mail.address_failure import AgainstAddress
from posthouse.mail.events import Event
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission
from posthouse.running.traces import MessageSpan, SpanName, Traces

log = structlog.get_logger()

RETURNS = Counter(
    "posthouse_returns_total",
    "Returned messages taken, by their kind and the result: suppressed, noted, ignored, repeated"
    " (recorded before), not_believed, operator (no report, so it is for the operator),"
    " unsubscribed",
    ["kind", "verdict"],
)

# A larger message is parsed in a thread, so that other connections go on, and not for longer.
_MOST_OCTETS_ON_THE_LOOP = 1 << 14
_MOST_PARSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """A message that came to the bounce port."""

    content: bytes  # its start, as much as is read
    sender: str  # its reverse-path, "" for the null one
    client: str  # the IP address that it came from


class Returns(Protocol):
    """What this service asks of the store. It raises StoreUnavailable or StoreRefused."""

    async def record(
        self,
        event: Event,
        delivery: Delivery | None,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> str | None:
        """Commit *event* of *delivery*, and what it says *against* its recipient.

        With them *forward* is accepted, in which the returned message is sent on. All is written
        in one transaction. Gives the list that the recipient was put on ("none" if
        on none). A second event about the same submission with the same digest writes nothing and
        gives None: an entry that was removed by hand does not come back when a report is replayed.
        """


class Onward(Protocol):
    """What is sent on of the mail that came; both methods raise StoreUnavailable."""

    async def forward(self, delivery: Delivery, content: bytes) -> Submission | None:
        """The message in which *content* is sent on to the account; None if it wants none."""

    async def forward_to_operator(
        self, content: bytes, client: str, *, recipient: str, sender: str
    ) -> None:
        """Forward or keep *content*; returns when that is committed."""

    def announce(self, lane: Lane) -> None:
        """Tell, after the commit, that a submission became due; neither waits nor raises."""


class Unsubscribes(Protocol):
    """What is asked of the store about who unsubscribes; it raises as `Returns` does."""

    async def unsubscribe(self, delivery_id: UUID, *, sender: str, client: str) -> bool:
        """Put the recipient of that delivery on the list; False if it was or is not known."""


class Bounces:
    """Reads what came back, and records what it means for the delivery that it belongs to."""

    def __init__(
        self,
        returns: Returns,
        feedback: FeedbackSubjects,
        onward: Onward,
        unsubscribes: Unsubscribes,
        traces: Traces | None = None,
    ) -> None:
        self._returns = returns
        self._feedback = feedback
        self._onward = onward
        self._unsubscribes = unsubscribes
        self._traces = traces

    async def take(self, owner: OwnAddress, mail: ReturnedMail) -> None:
        """Read *mail*, which came to the address of *owner*.

        Returns when the result is committed. Raises StoreUnavailable or StoreRefused.
        """
        began = perf_counter()
        delivery = owner if isinstance(owner, Delivery) else None
        report, verdict = await _report_and_verdict(mail.content, delivery)
        found, unrecorded = None, "ignored"
        if isinstance(owner, UnsubscribeAddress):
            unrecorded = await self._unsubscribed(owner, report, mail)
        elif report.kind in FEEDBACK:
            found = await self._record_of_feedback(report, delivery, mail)
            unrecorded = "not_believed"
        elif delivery and verdict:
            found = bounce_record(delivery, report, verdict, mail.client)
        elif isinstance(owner, RoleAddress) and _is_for_operator(report, mail):
            unrecorded = "operator"
            await self._onward.forward_to_operator(
                mail.content, mail.client, recipient=owner.address, sender=mail.sender
            )
        result = await self._record(found, mail) if found else unrecorded
        RETURNS.labels(kind=report.kind, verdict=result).inc()
        _tell(owner, report, found, result, mail)
        if self._traces is not None and found is not None:
            _trace(self._traces, began, found.event, report.kind, result)

    async def _unsubscribed(
        self, owner: UnsubscribeAddress, report: Report, mail: ReturnedMail
    ) -> str:
        """What became of *mail*: only one that a person had sent unsubscribes."""
        if not is_request(report.kind, mail.sender):
            return "ignored"
        is_new = await self._unsubscribes.unsubscribe(
            owner.delivery.id, sender=mail.sender, client=mail.client
        )
        return "unsubscribed" if is_new else "repeated"

    async def _record_of_feedback(
        self, report: Report, came_to: Delivery | None, mail: ReturnedMail
    ) -> ReturnRecord | None:
        subject = await self._feedback.subject_of(report, came_to)
        if not isinstance(subject, Doubt):
            return feedback_record(subject, report, mail.client)
        NOT_BELIEVED.labels(reason=subject).inc()
        log.warning(
            "feedback_not_believed", reason=str(subject), kind=str(report.kind), client=mail.client
        )
        return doubt_record(came_to, report, subject, mail.client) if came_to else None

    async def _record(self, found: ReturnRecord, mail: ReturnedMail) -> str:
        forward = None
        if found.delivery is not None and not (found.is_doubtful or found.is_success):
            forward = await self._onward.forward(found.delivery, mail.content)
        listed = await self._returns.record(
            found.event, found.delivery, found.against, forward=forward
        )
        if listed is None:
            return "repeated"
        if forward is not None:
            self._onward.announce(forward.lane)
        if found.is_doubtful:
            return "not_believed"
        return "noted" if listed == "none" else "suppressed"


def _is_for_operator(report: Report, mail: ReturnedMail) -> bool:
    """Whether *mail*, to a role address, is no report. People complain in words like a server's."""
    written = report.kind is ReportKind.FREE_TEXT and mail.sender != ""
    return written or report.kind is ReportKind.UNRECOGNISED


async def _report_and_verdict(
    content: bytes, delivery: Delivery | None
) -> tuple[Report, Verdict | None]:
    if len(content) <= _MOST_OCTETS_ON_THE_LOOP:
        return _read_and_decide(content, delivery)
    try:
        async with asyncio.timeout(_MOST_PARSING_SECONDS):
            return await asyncio.to_thread(_read_and_decide, content, delivery)
    except TimeoutError:
        return _decided(Report(ReportKind.UNRECOGNISED), delivery)


def _read_and_decide(content: bytes, delivery: Delivery | None) -> tuple[Report, Verdict | None]:
    return _decided(read(content), delivery)


def _decided(report: Report, delivery: Delivery | None) -> tuple[Report, Verdict | None]:
    if delivery is None:
        return report, None
    return report, decide(report, delivery)


def _trace(traces: Traces, began: float, event: Event, kind: ReportKind, result: str) -> None:
    """Tell of the report that *event* is about, as a part of the trace of what it is about."""
    if not traces.takes(event.submission_id):
        return
    about = {
        "posthouse.delivery": event.delivery_id.hex if event.delivery_id else "",
        "posthouse.report": str(kind),
        "posthouse.result": result,
    }
    traces.tell(event.submission_id, MessageSpan(SpanName.RETURN, began, perf_counter(), about))


def _tell(
    owner: OwnAddress,
    report: Report,
    found: ReturnRecord | None,
    result: str,
    mail: ReturnedMail,
) -> None:
    """Write the log line of a returned message."""
    about: dict[str, str | None] = {}
    if isinstance(owner, RoleAddress):
        about = {"to": owner.address, "sender": mail.sender, "subject": report.subject}
    else:
        of = owner.delivery if isinstance(owner, UnsubscribeAddress) else owner
        about = {"recipient": of.recipient, "delivery": of.id.hex}
    if found is not None:
        event = found.event
        about |= {
            "account": event.account_id.hex,
            "submission": event.submission_id.hex,
            "delivery": event.delivery_id.hex if event.delivery_id else None,
            "rule": event.detail.get("rule"),
        }
    log.info("return_taken", kind=str(report.kind), verdict=result, client=mail.client, **about)
