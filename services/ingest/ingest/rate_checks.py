"""Rate limits (RULES U24) of messages that are about to be accepted, by whichever protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from ingest.core import refusals
from ingest.core.admission import SessionFacts
from ingest.core.refusals import Refusal
from posthouse.mail.alert import RateAlert
from posthouse.mail.lane import Lane
from posthouse.mail.rate_limit import Charge, Exceeded, Excess, Granted, LimitAction, Together
from posthouse.mail.submission import Submission

log = structlog.get_logger()

EXCEEDED = Counter("posthouse_rate_exceeded", "Messages above a rate limit", ["action"])

# A credential that has used up its limit is refused without asking the store for this long: a
# limit that was raised counts after it.
_REMEMBERED_SECONDS = 5.0
_MOST_REMEMBERED = 10_000


class RateCounts(Protocol):
    """Counts messages, in all processes together."""

    async def charge(self, messages: Sequence[Charge], *, urgent: bool) -> Together:
        """Whether and when they may go, all or none of them; raises StoreUnavailable."""


class RateChecks:
    """Asks for messages of credentials that have limits."""

    def __init__(
        self,
        counts: RateCounts,
        clock: Callable[[], float],
        note_alert: Callable[[UUID, Mapping[str, Any]], None],
    ) -> None:
        """*clock* tells monotonic seconds."""
        self._counts = counts
        self._clock = clock
        self._note_alert = note_alert
        self._used_up: dict[UUID, tuple[Refusal, float]] = {}

    def refusal(self, facts: SessionFacts) -> Refusal | None:
        """What is known without asking: that the credential has just used up a limit."""
        known = self._used_up.get(facts.credential_id) if facts.is_limited else None
        if known is None:
            return None
        refusal, until = known
        if self._clock() < until:
            EXCEEDED.labels(LimitAction.REFUSE).inc()
            return refusal
        del self._used_up[facts.credential_id]
        return None

    async def count(
        self, messages: Sequence[Submission], facts: SessionFacts
    ) -> Sequence[Submission] | Refusal:
        """*messages*, with the time when it is the turn of each that has to wait for that.

        To be asked once, when nothing but the store can refuse them any more; none is counted if
        one is refused. Raises StoreUnavailable.
        """
        charges = [_charge(message, facts) for message in messages]
        verdict = await self._counts.charge(charges, urgent=messages[0].lane <= Lane.HIGH)
        if isinstance(verdict, Exceeded):
            return self._refused(verdict, facts)
        return [
            self._granted(granted, message, facts) if granted.excess else message
            for granted, message in zip(verdict, messages, strict=True)
        ]

    def _refused(self, verdict: Exceeded, facts: SessionFacts) -> Refusal:
        refusal = refusals.rate_exceeded(verdict.excess, verdict.again_at)
        EXCEEDED.labels(LimitAction.REFUSE).inc()
        if verdict.excess.is_first and verdict.again_at:
            self._tell(verdict.excess, facts, verdict.again_at)
        if seconds := min(_REMEMBERED_SECONDS, verdict.used_up_for.total_seconds()):
            if len(self._used_up) >= _MOST_REMEMBERED:
                del self._used_up[next(iter(self._used_up))]
            self._used_up[facts.credential_id] = refusal, self._clock() + seconds
        return refusal

    def _granted(self, granted: Granted, message: Submission, facts: SessionFacts) -> Submission:
        for excess in granted.excess:
            EXCEEDED.labels(excess.limit.action).inc()
            log.info(
                "rate_exceeded",
                submission=message.id.hex,
                username=facts.username,
                limit=str(excess.limit),
                action=excess.limit.action,
                send_at=granted.send_at and granted.send_at.isoformat(timespec="seconds"),
            )
            if excess.is_first:
                self._tell(excess, facts, granted.send_at)
        turn, wanted = granted.send_at, message.terms.send_at
        if turn is None or (wanted is not None and wanted > turn):
            return message
        limits = ", ".join(
            str(e.limit) for e in granted.excess if e.limit.action is LimitAction.DELAY
        )
        notes = (*message.attributes.notes, f"waited for its turn: at most {limits}")
        return replace(
            message,
            terms=replace(message.terms, send_at=turn),
            attributes=replace(message.attributes, notes=notes),
        )

    def _tell(self, excess: Excess, facts: SessionFacts, until: datetime | None) -> None:
        self._note_alert(excess.account_id, RateAlert(facts.username, excess, until).detail())


def _charge(message: Submission, facts: SessionFacts) -> Charge:
    account = facts.limited_account
    child = message.account_id if message.account_id != account else None
    return Charge(account, facts.credential_id, len(message.recipients), child)
