"""The CPU work of a batch, for a thread: decide and sign, message by message."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, assert_never
from uuid import UUID

import structlog
from prometheus_client import Histogram

from policy.core.identity import Unusable
from policy.core.plan import Job, Plan, Relay, plan, rendition
from policy.core.steps import Refusal
from posthouse.mail.submission import Rendition
from posthouse.running.identity import new_id

DKIM_SIGN_SECONDS = Histogram(
    "posthouse_policy_dkim_sign_seconds",
    "Time to sign one message with every key of its domain, waiting for a core included",
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


def make(jobs: Sequence[Job], relay: Relay, now: datetime) -> list[Result]:
    """A result for each of *jobs*, in their order; a message that fails does not touch others."""
    ids = iter(new_id, None)
    return [_result(job, relay, now, ids) for job in jobs]


def _result(job: Job, relay: Relay, now: datetime, ids: Iterator[UUID]) -> Result:
    try:
        return _made(job, relay, now, ids)
    except Exception as error:
        # Whatever it is, it is about this message (or its key): sixty others wait beside it.
        log.exception("preparation_failed", submission=job.submission.id.hex)
        return Failed(f"{type(error).__name__}: {error}")


def _made(job: Job, relay: Relay, now: datetime, ids: Iterator[UUID]) -> Result:
    match decision := plan(job, relay, now, ids):
        case Refusal():
            return decision
        case Unusable(reason):
            return Failed(reason)
        case Plan(deliveries=()):
            return Made(decision, ())
        case Plan():
            with DKIM_SIGN_SECONDS.time():
                return Made(decision, (rendition(decision, now),))
        case _:
            assert_never(decision)
