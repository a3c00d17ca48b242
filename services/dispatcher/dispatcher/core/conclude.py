"""What follows from the outcome of an attempt: final or not, when again, is the address dead."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

from dispatcher.core.retry import wait_for_next_try
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Scope, Uncertain

# Addresses that are wrong or gone (RFC 3463 section 3.2 and 3.3). A full mailbox (5.2.2) is the
# recipient's too, and may be emptied.
_DEAD = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.2.1"})
_DEAD_WITHOUT_ENHANCED = frozenset({550, 551, 553})


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to write down."""

    kind: EventKind
    wait: timedelta | None  # until the next try; None: this was the last word
    suppress: bool
    detail: dict[str, Any]


def conclude(
    outcome: Outcome, *, lane: Lane, tries: int, expired: bool, jitter: float
) -> Conclusion:
    """Judge an attempt that just ended; *tries* counts it. *jitter* in [0, 1)."""
    reply = outcome.reply
    detail: dict[str, Any] = {"code": reply.code, "enhanced": reply.enhanced, "reply": reply.text}
    match outcome:
        case Delivered():
            return Conclusion(EventKind.DELIVERED, None, suppress=False, detail=detail)
        case Bounced(scope=scope):
            detail["scope"] = scope.value
            return Conclusion(EventKind.BOUNCED, None, suppress=is_dead(outcome), detail=detail)
        case Deferred(scope=scope):
            detail["scope"] = scope.value
            again = EventKind.DEFERRED
        case Uncertain():
            again = EventKind.UNCERTAIN
        case _:
            assert_never(outcome)
    wait = wait_for_next_try(lane, tries, expired=expired, jitter=jitter)
    if wait is None:
        return Conclusion(EventKind.EXPIRED, None, suppress=False, detail=detail)
    detail["wait_seconds"] = round(wait.total_seconds())
    return Conclusion(again, wait, suppress=False, detail=detail)


def too_old() -> Conclusion:
    """For a delivery that expired before it could be tried (again)."""
    detail = {"reply": "older than its account lets mail become"}
    return Conclusion(EventKind.EXPIRED, None, suppress=False, detail=detail)


def is_dead(bounced: Bounced) -> bool:
    """Whether the reply says that this very mailbox does not exist: the only ground to suppress."""
    if bounced.scope is not Scope.RECIPIENT:
        return False
    reply = bounced.reply
    if reply.enhanced is None:
        return reply.code in _DEAD_WITHOUT_ENHANCED
    return reply.enhanced in _DEAD
