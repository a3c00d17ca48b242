"""The CPU work of one message: decide and sign."""

from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TypeAlias, assert_never

import structlog
from prometheus_client import Histogram

from policy.core.identity import Unusable
from policy.core.plan import Job, Plan, Relay, plan, rendition
from policy.core.steps import Refusal
from posthouse.mail.submission import Rendition
from posthouse.running.identity import new_id

DKIM_SIGN_SECONDS = Histogram(
    "posthouse_policy_dkim_sign_seconds",
    "Time to sign one message with every key of its domain",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1),
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Made:
    """A decided and signed message."""

    plan: Plan
    renditions: tuple[Rendition, ...]  # none when there is nobody to send it to


@dataclass(frozen=True, slots=True)
class Failed:
    """Something is wrong on our side; the message is as good as it was."""

    reason: str


Result: TypeAlias = Made | Refusal | Failed


def make(job: Job, relay: Relay, now: datetime) -> Result:
    """What becomes of *job*; it never raises: a message that fails must not touch others."""
    try:
        return _made(job, relay, now)
    except Exception as error:
        # Whatever it is, it is about this message (or its key): sixty others wait beside it.
        log.exception("preparation_failed", submission=job.submission.id.hex)
        return Failed(f"{type(error).__name__}: {error}")


def _made(job: Job, relay: Relay, now: datetime) -> Result:
    match decision := plan(job, relay, now, iter(new_id, None)):
        case Refusal():
            return decision
        case Unusable(reason):
            return Failed(reason)
        case Plan(deliveries=()):
            return Made(decision, ())
        case Plan():
            began = perf_counter()
            made = Made(decision, (rendition(decision, now),))
            DKIM_SIGN_SECONDS.observe(perf_counter() - began)
            return made
        case _:
            assert_never(decision)
