"""Whose message a feedback report is about: what we signed says so, and nothing else in it.

Anyone can write a report and name any address in it. A report counts through the id in the header
of the message that it returns, or through our return path in Original-Mail-From.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from bounces.core.reports.report import Feedback, Report
from posthouse.mail import return_path, signed_id
from posthouse.mail.address import normal_form
from posthouse.mail.signed_id import SignedId
from posthouse.mail.submission import Delivery

_ID_FIELD = signed_id.FIELD.lower()


class Doubt(StrEnum):
    """Why a report is not believed; the label of a metric."""

    UNSIGNED = "unsigned"  # it holds neither an id nor a return path of ours
    FORGED = "forged"  # it holds one that we did not sign, or that was altered
    EXPIRED = "expired"
    CONTRADICTORY = "contradictory"  # it names one message of ours, and another one
    UNKNOWN = "unknown"  # the delivery is past retention, and only its return path names it


@dataclass(frozen=True, slots=True)
class ClaimKeys:
    """The keys under which ids and return paths were signed, the newest first."""

    signed_ids: Sequence[bytes]
    return_paths: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a report names of ours; one of the two at least."""

    signed: SignedId | None = None
    delivery_id: UUID | None = None  # by Original-Mail-From


def claim_of(report: Report, keys: ClaimKeys, today: date) -> Claim | Doubt:
    """What *report* names that we signed, or why it is not believed."""
    signed: SignedId | None = None
    if token := report.original.get(_ID_FIELD, ""):
        try:
            signed = signed_id.verify(token, keys.signed_ids, today)
        except signed_id.ExpiredSignedId:
            return Doubt.EXPIRED
        except signed_id.InvalidSignedId:
            return Doubt.FORGED
    delivery_id: UUID | None = None
    local_part = _feedback(report).original_mail_from.rpartition("@")[0]
    if return_path.is_like_ours(local_part):
        try:
            delivery_id = return_path.verify(local_part, keys.return_paths, today)
        except return_path.ExpiredReturnPath:
            if signed is None:
                return Doubt.EXPIRED
        except return_path.InvalidReturnPath:
            return Doubt.FORGED
    if signed is None and delivery_id is None:
        return Doubt.UNSIGNED
    return Claim(signed, delivery_id)


def delivery_of(
    signed: SignedId, deliveries: Sequence[Delivery], report: Report, came_to: str
) -> Delivery | None:
    """The one of a submission's *deliveries* that *report* is about; None where it cannot be told.

    Recipients of one copy share its id. A return path tells them apart, also the one that the
    report *came_to*; or the address that the report names, if it is one of theirs.
    """
    copies = [delivery for delivery in deliveries if signed.is_of(delivery.rendition_id)]
    feedback = _feedback(report)
    written = report.original.get("return-path", "").strip("<> ")
    paths = {path.lower() for path in (feedback.original_mail_from, written, came_to)}
    named = {normal_form(address) for address in feedback.original_recipients}
    for of_these in (
        [copy for copy in copies if copy.return_path.lower() in paths],
        [copy for copy in copies if normal_form(copy.recipient) in named],
        copies,
    ):
        if len(of_these) == 1:
            return of_these[0]
    return None


def is_written(path: str, report: Report) -> bool:
    """Whether *report* has all of *path* in Original-Mail-From: the host is not signed."""
    return path.lower() == _feedback(report).original_mail_from.lower()


def _feedback(report: Report) -> Feedback:
    return report.feedback or Feedback()
