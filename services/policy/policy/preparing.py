"""The CPU work of messages: decide about each, sign them together, verify a sample."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from time import perf_counter
from typing import TypeAlias, assert_never
from uuid import UUID

import structlog
from prometheus_client import Histogram

from policy.core.decision import (
    Decision,
    Plan,
    UnsignedRendition,
    decide,
    decide_in_pieces,
    sign,
    unsigned_in_pieces,
)
from policy.core.draft import Rejection
from policy.core.facts import Facts, SigningUnavailable
from policy.core.request import Request
from policy.core.tracked_copies import wants_tracking
from policy.signing import Signer
from policy.verifying import SampleVerifier
from posthouse.mail.header_cost import SLOW_OCTETS, is_slow
from posthouse.mail.submission import Rendition
from posthouse.running.identity import new_id

DKIM_SIGN_SECONDS = Histogram(
    "posthouse_policy_dkim_sign_seconds",
    "Time to sign a message with every key of its domain; a share, where several go together",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1),
)

# At least this many messages are signed before the event loop turns: two milliseconds.
_AT_A_STRETCH = 4
# To find the links of a larger one takes milliseconds, and so may its parts and lines.
_LARGE_BODY = 32 << 10

log = structlog.get_logger()

Job: TypeAlias = tuple[Request, Facts]


@dataclass(frozen=True, slots=True)
class Signed:
    """A decided and signed message."""

    plan: Plan
    renditions: tuple[Rendition, ...]  # none when no recipient is left


@dataclass(frozen=True, slots=True)
class PreparationFailed:
    """Something is wrong on our side; the message may be prepared again."""

    reason: str


Result: TypeAlias = Signed | Rejection | PreparationFailed


class Preparer:
    """Makes renditions and deliveries from requests and facts; it asks and commits nothing."""

    def __init__(self, signer: Signer, verifier: SampleVerifier) -> None:
        self._signer = signer
        self._verifier = verifier
        self._stretch = max(_AT_A_STRETCH, signer.at_once)

    async def prepare(self, jobs: Sequence[Job]) -> list[Result]:
        """The result of each of *jobs*: up to half a millisecond of work for each copy.

        After a few of them the event loop turns, so that other work of the process can go on.
        A thread would not help: what releases the interpreter here is short, and two threads that
        want it all the time cost each other more than that. More cores take more processes.
        """
        results: list[Result] = []
        for first in range(0, len(jobs), self._stretch):
            if first:
                await asyncio.sleep(0)
            results += await self._each(jobs[first : first + self._stretch])
        return results

    async def _each(self, jobs: Sequence[Job]) -> list[Result]:
        """The result of each; it never raises: one that fails must not affect others."""
        try:
            return await self._together(jobs)
        except Exception as error:
            if len(jobs) > 1:
                return [result for job in jobs for result in await self._each([job])]
            # Any fault here is about this message (or its key): sixty others wait beside it.
            log.exception("preparation_failed", submission=jobs[0][0].submission.id.hex)
            return [PreparationFailed(f"{type(error).__name__}: {error}")]

    async def _together(self, jobs: Sequence[Job]) -> list[Result]:
        now = datetime.now(UTC)
        decisions = [await self._decided(request, facts, now) for request, facts in jobs]
        plans = [one for one in decisions if isinstance(one, Plan)]
        rendered = await self._signed(plans, now)
        return [self._result(decision, rendered) for decision in decisions]

    async def _decided(self, request: Request, facts: Facts, now: datetime) -> Decision:
        if is_slow(request.submission.header) or _is_large(request):
            return await asyncio.to_thread(decide, request, facts, now, iter(new_id, None))
        pieces = decide_in_pieces(request, facts, now, iter(new_id, None))
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                decision: Decision = end.value
                return decision
            await asyncio.sleep(0)

    async def _signed(self, plans: Sequence[Plan], now: datetime) -> dict[UUID, Rendition]:
        """The renditions of all *plans* by id."""
        rendered: dict[UUID, Rendition] = {}
        some: list[UnsignedRendition] = []
        for one in chain.from_iterable([await _pieces(plan, now) for plan in plans]):
            if one is None:
                await asyncio.sleep(0)
                continue
            if len(some) == self._stretch:
                rendered |= {rendition.id: rendition for rendition in self._sign(some)}
                some = []
                await asyncio.sleep(0)
            some.append(one)
        if some:
            rendered |= {rendition.id: rendition for rendition in self._sign(some)}
        return rendered

    def _sign(self, some: Sequence[UnsignedRendition]) -> Iterator[Rendition]:
        began = perf_counter()
        renditions = sign(some, self._signer.sign)
        share = (perf_counter() - began) / len(some)
        for _ in some:
            DKIM_SIGN_SECONDS.observe(share)
        yield from renditions

    def _result(self, decision: Decision, rendered: dict[UUID, Rendition]) -> Result:
        match decision:
            case Rejection():
                return decision
            case SigningUnavailable(reason):
                return PreparationFailed(reason)
            case Plan():
                renditions = tuple([rendered[one.id] for one in decision.renditions])
                if problem := self._problem(decision, renditions):
                    log.error(
                        "signature_wrong", submission=decision.submission.id.hex, reason=problem
                    )
                    return PreparationFailed(problem)
                return Signed(decision, renditions)
            case _:
                assert_never(decision)

    def _problem(self, plan: Plan, renditions: Sequence[Rendition]) -> str | None:
        for planned, made in zip(plan.renditions, renditions, strict=True):
            body = plan.submission.body if made.body is None else made.body
            if problem := self._verifier.problem(made.header, body, planned.keys):
                return problem
        return None


def _is_large(request: Request) -> bool:
    """Whether the links of a large body are to be found."""
    return len(request.submission.body) > _LARGE_BODY and wants_tracking(request)


async def _pieces(plan: Plan, now: datetime) -> Iterable[UnsignedRendition | None]:
    """The data to sign, and pauses; of a large header, which makes none, by a thread."""
    pieces = unsigned_in_pieces(plan, now)
    is_large = len(plan.submission.header) > SLOW_OCTETS
    return await asyncio.to_thread(list, pieces) if is_large else pieces
