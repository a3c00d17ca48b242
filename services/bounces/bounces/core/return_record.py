"""The events that returned mail leads to, and what it says against an address."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from bounces.core.claims import Doubt
from bounces.core.digest import digest_of
from bounces.core.relation import is_about
from bounces.core.reports.report import RecipientStatus, Report, ReportKind
from bounces.core.verdict import RULES, Note, Suppress, Verdict
from posthouse.answers import Answer, Judgement, Stage, failure_of, judge, read_answer
from posthouse.mail.address_failure import AddressFailure, AgainstAddress, FailureWeight, Objection
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.events import Event, EventKind
from posthouse.mail.submission import Delivery
from posthouse.mail.suppression_list import SuppressionList

# Of feedback only these two change a list.
_LISTS = {
    ReportKind.COMPLAINT: SuppressionList.COMPLAINT,
    ReportKind.OPT_OUT: SuppressionList.UNSUBSCRIBE,
}
_EVENTS = {
    ReportKind.COMPLAINT: EventKind.COMPLAINED,
    ReportKind.OPT_OUT: EventKind.UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about: a submission, and its delivery as far as it can be told."""

    account_id: UUID
    submission_id: UUID
    delivery: Delivery | None
    believed_by: str  # what names it: "return path" or "signed id"

    @classmethod
    def of(cls, delivery: Delivery, believed_by: str) -> "Subject":
        """That delivery, with its submission."""
        return cls(delivery.account_id, delivery.submission_id, delivery, believed_by)


@dataclass(frozen=True, slots=True)
class ReturnRecord:
    """What is recorded of a report, in one transaction."""

    event: Event
    delivery: Delivery | None = None
    against: AgainstAddress | None = None  # what is said against its recipient
    is_doubtful: bool = False  # it says that a report was not believed

    @property
    def is_success(self) -> bool:
        """Whether nothing came back: the message went where it should."""
        return self.event.kind is EventKind.CONFIRMED


def bounce_record(
    delivery: Delivery, report: Report, verdict: Verdict, client: str
) -> ReturnRecord:
    """The record of *report*, which came to the return path of *delivery*."""
    kind = EventKind.BOUNCED if isinstance(verdict, Suppress) else verdict.kind
    detail = _evidence(verdict.status) | {"rule": verdict.rule, "rules": RULES}
    if verdict.judgement is not None:
        detail |= {"class": verdict.judgement.kind.value}
    if isinstance(verdict, Note):
        detail |= {"scope": verdict.scope, "excerpt": report.excerpt}
    against = _failure(report, verdict, delivery.recipient)
    event = _event(kind, _returned(delivery), report, detail, client)
    return ReturnRecord(event, delivery, against)


def feedback_record(subject: Subject, report: Report, client: str) -> ReturnRecord:
    """The record of a believed feedback *report* about *subject*."""
    kind = _EVENTS.get(report.kind, EventKind.RETURNED)
    rule = f"feedback: {report.feedback.type if report.feedback else ''}"
    detail = _feedback(report) | {"rule": rule, "rules": RULES, "believed_by": subject.believed_by}
    event = _event(kind, subject, report, detail, client)
    if subject.delivery is None or report.kind not in _LISTS or subject.account_id == OPERATOR:
        return ReturnRecord(event, subject.delivery)
    objection = Objection(_LISTS[report.kind], rule, str(RULES))
    return ReturnRecord(event, subject.delivery, objection)


def doubt_record(delivery: Delivery, report: Report, doubt: Doubt, client: str) -> ReturnRecord:
    """That a feedback *report* came to the return path of *delivery*, and is not believed."""
    detail = _feedback(report) | {"rule": f"not believed: {doubt}"}
    event = _event(EventKind.RETURNED, _returned(delivery), report, detail, client)
    return ReturnRecord(event, delivery, is_doubtful=True)


def _failure(report: Report, verdict: Suppress | Note, recipient: str) -> AddressFailure | None:
    """What *report* counts against *recipient*."""
    status, judgement = verdict.status, verdict.judgement
    if status is None or judgement is None:
        return None
    failure = failure_of(
        _answer(status, judgement),
        judgement,
        reporting_mta=report.reporting_mta,
        remote_mta=status.remote_mta,
    )
    if failure is None:
        return None
    about_ours = is_about(status, recipient)
    if report.kind is ReportKind.FREE_TEXT:
        # Words that a program wrote for a person are no proof: they count as they go on.
        return replace(failure, weight=FailureWeight.SOFT) if about_ours else None
    if about_ours:
        return failure
    if failure.weight is FailureWeight.SOFT:
        return None
    # Whom the recipient's mail is sent on to is gone: that counts only as it goes on.
    return replace(
        failure,
        weight=FailureWeight.SOFT,
        kind="another address gone",
        source={**failure.source, "final_recipient": status.final_recipient},
    )


def _answer(status: RecipientStatus, judgement: Judgement) -> Answer:
    """The words of *status* that *judgement* is about, to be judged again by later rules."""
    words = f"{status.diagnostic}\n{status.remark}".strip()
    said = read_answer(words, Stage.REPORT, status=status.status)
    if judge(said).rule == judgement.rule or not status.prose:
        return said
    prose = read_answer(status.prose, Stage.PROSE, status=status.status)
    return prose if judge(prose).rule == judgement.rule else said


def _returned(delivery: Delivery) -> Subject:
    return Subject.of(delivery, "return path")


def _event(
    kind: EventKind, subject: Subject, report: Report, detail: dict[str, Any], client: str
) -> Event:
    delivery_id = subject.delivery.id if subject.delivery else None
    detail = detail | {
        "source": report.kind,
        "reporting_mta": report.reporting_mta,
        "subject": report.subject,
        "client": client,
        "digest": digest_of(report, delivery_id or subject.submission_id, kind),
    }
    return Event(
        kind=kind,
        account_id=subject.account_id,
        submission_id=subject.submission_id,
        delivery_id=delivery_id,
        detail={name: value for name, value in detail.items() if value},
    )


def _evidence(status: RecipientStatus | None) -> dict[str, Any]:
    if status is None:
        return {}
    return {
        "action": status.action,
        "status": status.status,
        "diagnostic": status.diagnostic,
        "final_recipient": status.final_recipient,
        "original_recipient": status.original_recipient,
        "remote_mta": status.remote_mta,
    }


def _feedback(report: Report) -> dict[str, Any]:
    feedback = report.feedback
    if feedback is None:
        return {}
    return {
        "feedback_type": feedback.type,
        "original_recipients": list(feedback.original_recipients[:10]),
        "source_ip": feedback.source_ip,
    }
