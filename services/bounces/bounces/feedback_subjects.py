"""Feedback reports: found to be about a message of ours, or not believed."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

from prometheus_client import Counter

from bounces.core.claims import ClaimKeys, Doubt, claim_of, delivery_of, is_written
from bounces.core.reports.report import Report
from bounces.core.return_record import Subject
from posthouse.mail.submission import Delivery

NOT_BELIEVED = Counter(
    "posthouse_feedback_not_believed_total",
    "Feedback reports that changed nothing, by reason: unsigned, forged, expired, contradictory,"
    " unknown",
    ["reason"],
)


class Reported(Protocol):
    """What is asked of the store. Both methods raise StoreUnavailable."""

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery with that id; None if there is none, or none any longer."""

    async def deliveries_of(self, submission_id: UUID) -> Sequence[Delivery]:
        """The deliveries of that submission; none if there are none any longer."""


class FeedbackSubjects:
    """Finds what a feedback report is about."""

    def __init__(self, reported: Reported, keys: ClaimKeys, today: Callable[[], date]) -> None:
        self._reported = reported
        self._keys = keys
        self._today = today

    async def subject_of(self, report: Report, came_to: Delivery | None) -> Subject | Doubt:
        """What *report* is about, which came to the return path of *came_to* or elsewhere.

        Raises StoreUnavailable.
        """
        subject = await self._claimed(report, came_to.return_path if came_to else "")
        if came_to and isinstance(subject, Subject) and subject.delivery != came_to:
            return Doubt.CONTRADICTORY
        return subject

    async def _claimed(self, report: Report, came_to: str) -> Subject | Doubt:
        claim = claim_of(report, self._keys, self._today())
        if isinstance(claim, Doubt):
            return claim
        returned: Delivery | None = None
        if claim.delivery_id is not None:
            returned = await self._reported.find(claim.delivery_id)
            if returned is not None and not is_written(returned.return_path, report):
                return Doubt.FORGED
        signed = claim.signed
        if signed is None:
            return Doubt.UNKNOWN if returned is None else Subject.of(returned, "return path")
        deliveries = await self._reported.deliveries_of(signed.submission_id)
        delivery = delivery_of(signed, deliveries, report, came_to)
        if returned is not None and returned != delivery:
            return Doubt.CONTRADICTORY
        return Subject(signed.account_id, signed.submission_id, delivery, "signed id")
