"""The CPU work of messages: decide about each, sign them together."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeAlias, assert_never
from uuid import UUID

import structlog
from prometheus_client import Histogram

from policy.core.identity import Unusable
from policy.core.plan import Decision, Job, Plan, Relay, plan, renditions
from policy.core.steps import Refusal
from policy.signing import Signer
from posthouse.mail.submission import Rendition
from posthouse.running.identity import new_id

DKIM_SIGN_SECONDS = Histogram(
    "posthouse_policy_dkim_sign_seconds",
    "Time to sign a message with every key of its domain; a share, where several go together",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1),
)

# At least so many messages are signed before the event loop turns: two milliseconds.
_AT_A_STRETCH = 4

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


async def make(jobs: Sequence[Job], relay: Relay, signer: Signer) -> list[Result]:
    """What becomes of each of *jobs*: up to half a millisecond of work for each.

    After a few of them the event loop turns, so that nobody else in the process waits longer. A
    thread would not help: what releases the interpreter here is short, and two threads that want
    it all the time cost each other more than that. More cores take more processes.
    """
    stretch = max(_AT_A_STRETCH, signer.at_once)
    results: list[Result] = []
    for first in range(0, len(jobs), stretch):
        if first:
            await asyncio.sleep(0)
        results += _each(jobs[first : first + stretch], relay, datetime.now(UTC), signer)
    return results


def _each(jobs: Sequence[Job], relay: Relay, now: datetime, signer: Signer) -> list[Result]:
    """What becomes of each; it never raises: one that fails must not touch others."""
    try:
        return _made(jobs, relay, now, signer)
    except Exception as error:
        if len(jobs) > 1:
            return [result for job in jobs for result in _each([job], relay, now, signer)]
        # Whatever it is, it is about this message (or its key): sixty others wait beside it.
        log.exception("preparation_failed", submission=jobs[0].submission.id.hex)
        return [Failed(f"{type(error).__name__}: {error}")]


def _made(jobs: Sequence[Job], relay: Relay, now: datetime, signer: Signer) -> list[Result]:
    decisions = [plan(job, relay, now, iter(new_id, None)) for job in jobs]
    plans = [one for one in decisions if isinstance(one, Plan) and one.deliveries]
    began = perf_counter()
    rendered = {r.submission_id: r for r in renditions(plans, now, signer.sign)}
    took = perf_counter() - began
    for _ in plans:
        DKIM_SIGN_SECONDS.observe(took / len(plans))
    return [_result(decision, rendered) for decision in decisions]


def _result(decision: Decision, rendered: Mapping[UUID, Rendition]) -> Result:
    match decision:
        case Refusal():
            return decision
        case Unusable(reason):
            return Failed(reason)
        case Plan(deliveries=()):
            return Made(decision, ())
        case Plan():
            return Made(decision, (rendered[decision.submission.id],))
        case _:
            assert_never(decision)
