"""What ingest tells of the messages that it took or refused, in metrics and the log."""

from functools import cache
from uuid import UUID

import structlog
from prometheus_client import Counter

from ingest.core import refusals
from ingest.core.admission import SessionFacts
from ingest.core.refusals import Reason, Refusal
from ingest.session_context import SessionContext
from posthouse.mail.lane import Lane
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Resubmission

log = structlog.get_logger()

RECEIVED = Counter(
    "posthouse_messages_received", "Messages committed and accepted", ["listener", "lane"]
)
REJECTED = Counter("posthouse_messages_rejected", "Messages turned away", ["reason"])

RESUBMITTED = Counter(
    "posthouse_messages_resubmitted",
    "Messages that had been accepted before, by how that was known: under a key of the client, or"
    " by their octets where the user's resubmission is on (not accepted again) or report-only",
    ["known_by"],
)

# Looking a counter up costs more than moving it: each is kept.
_rejected = cache(REJECTED.labels)
_received = cache(RECEIVED.labels)


def count_from_nothing(listener: str) -> None:
    """Show what *listener* accepted as 0 of each lane: so the first is seen to be one more."""
    for lane in Lane:
        _received(listener, lane.label)


class IntakeNotes:
    """Those of one listener."""

    def __init__(self, context: SessionContext, listener: str) -> None:
        """*listener*: its label in metrics."""
        self._context = context
        self._listener = listener

    def accepted(self, message: Submission, facts: SessionFacts, cleaned: tuple[str, ...]) -> None:
        """Tell that a message is committed."""
        _received(self._listener, message.lane.label).inc()
        told = log.bind(cleaned=cleaned) if cleaned else log
        told.info(
            "accepted",
            submission=message.id.hex,
            lane=message.lane.label,
            username=facts.username,
            sender=message.sender or "<>",
            size=message.size,
            recipients=len(message.recipients),
            client=message.client,
        )

    def refusal(self, refusal: Refusal, facts: SessionFacts, client: str) -> Refusal:
        """Tell that a message or its sender is refused; returns *refusal*."""
        _rejected(refusal.reason).inc()
        if refusal.alert is not None:
            self._context.note_alert(facts.account_id, refusal.alert)
        log.info(
            "rejected",
            reason=refusal.reason,
            reply=str(refusal.reply),
            client=client,
            username=facts.username,
        )
        return refusal

    def failure(self, reply: Reply, error: Exception, client: str) -> Refusal:
        """Tell that the store fails, and turn others away for a second; *reply* as a refusal."""
        self._context.store_backoff.failed(reply, self._context.clock())
        reason = Reason.FULL if reply is refusals.FULL else Reason.FAULT
        _rejected(reason).inc()
        log.error("not_accepted", reason=str(error) or type(error).__name__, client=client)
        return Refusal(reason, reply)

    def repeated(self, message: Submission, first: UUID, facts: SessionFacts) -> None:
        """Tell that *message* was accepted before, as *first*."""
        key = message.terms.key
        known_by = key.mode.value if key is not None and key.mode is not None else "key"
        RESUBMITTED.labels(known_by).inc()
        again = {"accepted_as": message.id.hex} if known_by == Resubmission.REPORT_ONLY else {}
        log.info(
            "accepted_before",
            submission=first.hex,
            username=facts.username,
            known_by=known_by,
            client=message.client,
            **again,
        )
