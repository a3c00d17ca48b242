"""What follows from an attempt: final or not, the next try, a dead address, quarantine."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

from posthouse.answers import RULES_VERSION
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Uncertain

# Of a reply in an event and its log line; the attempt keeps all that was read (64 KiB).
_MOST_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class NextAction:
    """What to record."""

    kind: EventKind
    wait: timedelta | None  # until the next try; None: this result is final
    detail: dict[str, Any]


def next_action(
    outcome: Outcome, *, lane: Lane, tries: int, expired: bool, jitter: float
) -> NextAction:
    """What follows from an attempt that just ended; *tries* counts it. *jitter* in [0, 1)."""
    reply = outcome.reply
    detail: dict[str, Any] = {
        "code": reply.code,
        "enhanced": reply.enhanced,
        "reply": reply.text[:_MOST_CHARACTERS],
    }
    match outcome:
        case Delivered():
            return NextAction(EventKind.DELIVERED, None, detail)
        case Bounced():
            return NextAction(EventKind.BOUNCED, None, detail | _judged(outcome))
        case Deferred():
            detail |= _judged(outcome)
            again = EventKind.DEFERRED
        case Uncertain():
            again = EventKind.UNCERTAIN
        case _:
            assert_never(outcome)
    wait = wait_for_next_try(lane, tries, expired=expired, jitter=jitter)
    if wait is None:
        return NextAction(EventKind.EXPIRED, None, detail)
    detail["wait_seconds"] = round(wait.total_seconds())
    return NextAction(again, wait, detail)


def expired_untried() -> NextAction:
    """For a delivery that expired before it could be tried (again)."""
    detail = {"reply": "expired before the next attempt"}
    return NextAction(EventKind.EXPIRED, None, detail)


def _judged(outcome: Bounced | Deferred) -> dict[str, Any]:
    """What the outcome applies to and, where it was judged by an answer, class and rule."""
    said: dict[str, Any] = {"scope": outcome.scope.value}
    if outcome.judged is not None:
        said |= {
            "class": outcome.judged.kind.value,
            "rule": outcome.judged.rule,
            "rules": RULES_VERSION,
        }
    return said


# When to try again

# Real attempts that every message gets before age alone may end it: a clock that jumps, or a
# dispatcher that was down for days, must not expire mail that had few attempts.
MINIMUM_TRIES = 5

# How far *jitter* moves a wait, either way: spreads the retries of one outage.
_SPREAD = 0.1

_MINUTE = 60
_HOUR = 60 * _MINUTE

# Seconds to wait after the first, second, ... failure; the last one repeats. An urgent message
# soon finds out whether a hiccup is over and still meets a greylist of five minutes; bulk knocks
# once a few minutes later, when the greylist lets it in, and then leaves the destination alone.
_URGENT = (15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE)
_USUAL = (_MINUTE, 5 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR)
_PATIENT = (6 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR)

_STEPS = {
    Lane.VERY_HIGH: _URGENT,
    Lane.HIGH: _URGENT,
    Lane.NORMAL: _USUAL,
    Lane.LOW: _PATIENT,
    Lane.BULK: _PATIENT,
}


def wait_for_next_try(lane: Lane, tries: int, *, expired: bool, jitter: float) -> timedelta | None:
    """How long to wait after *tries* failed attempts (at least 1), or None to give up.

    A message is given up when it has *expired* and was really tried MINIMUM_TRIES times. *jitter*
    is a number from 0 up to 1.
    """
    if expired and tries >= MINIMUM_TRIES:
        return None
    steps = _STEPS[lane]
    wait = steps[min(tries, len(steps)) - 1]
    return timedelta(seconds=wait * (1 + _SPREAD * (2 * jitter - 1)))


# Poison messages

# Abandoned twice in a row: it may end the process that tries it, or was beside such a delivery on
# the wire. The claims of the store know this number.
_SUSPECT = 2
# Claims in a row without a result. Each may have been a delivery, so there are few of them.
_MOST_ABANDONED = 5
# Attempts in which our own code raised; such a failure counts like any other try.
_MOST_FAULTS = 5


def is_suspect(abandoned: int) -> bool:
    """Whether a delivery abandoned that often in a row is sent by a process of its own."""
    return abandoned >= _SUSPECT


def should_quarantine(abandoned: int) -> str | None:
    """Why a delivery abandoned that often in a row is not tried again, if so."""
    if abandoned >= _MOST_ABANDONED:
        return f"claimed {_MOST_ABANDONED} times in a row without a result"
    return None


def is_last_fault(tries: int) -> bool:
    """Whether a fault of our own code in the *tries*-th try is the last one allowed."""
    return tries >= _MOST_FAULTS
