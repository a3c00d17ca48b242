"""Gather, decide, act: takes submissions batch by batch and turns each into deliveries."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import Protocol, TypeVar, assert_never

import structlog

from policy.core.draft import Rejection
from policy.core.request import Request, read
from policy.gathering import Gatherer
from policy.preparing import PreparationFailed, Preparer, Result, Signed
from policy.reporting import Reporter
from policy.work_source import ClaimQueue, WorkSource
from posthouse.mail.header_cost import is_slow
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile
from posthouse.running.traces import Traces
from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions, Prepared

_LONGEST_PAUSE = 2.0  # seconds: a store that is back is noticed within this time
# A submission whose profile we do not know comes due again after this time, for a newer worker.
_LEFT_FOR = timedelta(seconds=10)

# A poison message fails, or ends the process, each time it is prepared. Failures that were caught,
# one lease apart, after which a message is quarantined:
_MOST_FAILURES = 5
# A message that ends the whole process leaves no failure, only claims without a result.
_MOST_CLAIMS = 5
# From the third claim without a result on it is handled alone: others in its batch would be lost
# with it again. The statement claim_submissions has the same number.
_SUSPECT_CLAIMS = 3

log = structlog.get_logger()
T = TypeVar("T")


class SubmissionQueue(Protocol):
    """Submissions that are due; every method raises StoreUnavailable."""

    async def claim(self, limit: int, *, lowest: Lane, suspects: bool) -> ClaimedSubmissions:
        """Up to *limit* of the highest lane, down to *lowest*, that has any due.

        One suspect at most, and with *suspects* False none.
        """

    async def prepare(self, prepared: Sequence[Prepared]) -> Mapping[Lane, int]:
        """Commit the batch; for how many deliveries dispatchers need a hint, by lane.

        Raises StoreRefused when the store will never take one of them.
        """

    async def return_leases(self, claimed: Sequence[ClaimedSubmission], delay: timedelta) -> None:
        """End the claims as if they had not been made; they come due after *delay*."""

    async def quarantine(self, claimed: ClaimedSubmission, reason: str) -> None:
        """Quarantine the submission with the *reason*."""


@dataclass(frozen=True, slots=True)
class ClaimPace:
    """How much at a time, and how often to look."""

    batch: int = 64
    # A lost hint costs this much on a busy worker, and at most a second on an idle one.
    poll_seconds: float = 0.1
    # After a start, suspected poison messages are claimed only after this time, so that a process
    # which they end has done something else before.
    suspect_seconds: float = 2.0


class _Abandoned(Exception):
    """Told to stop while the store was away: the leases of the batch run out by themselves."""


def is_suspect(claims: int) -> bool:
    """Whether a submission claimed for the *claims*-th time is handled alone."""
    return claims >= _SUSPECT_CLAIMS


async def _read(submission: Submission, profile: Profile) -> Request:
    if is_slow(submission.header):
        return await asyncio.to_thread(read, submission, profile)
    return read(submission, profile)


class PolicyService:
    """Prepares what is due until told to stop; any number of processes may do so at once."""

    def __init__(
        self,
        submissions: SubmissionQueue,
        gatherer: Gatherer,
        preparer: Preparer,
        *,
        announce: Callable[[Lane], None],
        pace: ClaimPace | None = None,
        traces: Traces | None = None,
    ) -> None:
        """*announce* is told, after the commit, in which lanes deliveries became due.

        It must neither wait nor raise.
        """
        self._submissions = submissions
        self._gatherer = gatherer
        self._preparer = preparer
        self._announce = announce
        self._pace = pace or ClaimPace()
        self._stopping = asyncio.Event()
        self.work = WorkSource(self._pace.batch, self._pace.poll_seconds)
        self._clock = asyncio.get_running_loop().time
        self._suspects_from = self._clock() + self._pace.suspect_seconds
        self._report = Reporter(self._clock, traces)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; started batches are finished first.

        Each queue has one batch at a time: what comes meanwhile makes the next one larger, and a
        statement costs little more for many than for one.
        """
        self._stopping = stopping
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work_on(self.work.urgent), name="urgent")
            tasks.create_task(self._work_on(self.work.others), name="others")
            await stopping.wait()
            self.work.stop()

    async def _work_on(self, queue: ClaimQueue) -> None:
        failures = 0
        while True:
            try:
                async with queue.batch(self._claim) as batch:
                    if not batch:
                        return
                    await self._process_suspects_last(batch)
            except _Abandoned:
                return
            except Exception:
                # A mistake of ours. What was claimed comes due again; other messages go on.
                log.exception("batch_failed")
                failures += 1
                await self._pause(failures)
            else:
                failures = 0

    async def _claim(self, lowest: Lane) -> ClaimedSubmissions:
        # Only claims for all lanes bring suspects: they are handled with nothing else in progress.
        suspects = self._clock() >= self._suspects_from and lowest is Lane.BULK
        claim = partial(self._submissions.claim, self._pace.batch, lowest=lowest, suspects=suspects)
        return await self._insist(claim)

    async def _process_suspects_last(self, batch: Sequence[ClaimedSubmission]) -> None:
        """Process *batch*; what may end this process comes when the rest is committed."""
        await self._process([c for c in batch if not is_suspect(c.claims)])
        if suspects := [c for c in batch if is_suspect(c.claims)]:
            await self._process(suspects)
            self.work.others.wake()  # another one may be due: they come one at a time

    async def _process(self, batch: Sequence[ClaimedSubmission]) -> None:
        began = perf_counter()
        todo: list[ClaimedSubmission] = []
        requests: list[Request] = []
        unknown: list[ClaimedSubmission] = []
        submissions = [c.submission for c in batch]
        profiles = await self._insist(partial(self._gatherer.profiles, submissions))
        for claimed, profile in zip(batch, profiles, strict=True):
            if profile is None:
                unknown.append(claimed)
            elif claimed.claims > _MOST_CLAIMS:
                reason = f"claimed {_MOST_CLAIMS} times without a result"
                await self._quarantine(claimed, reason, began)
            else:
                todo.append(claimed)
                requests.append(await _read(claimed.submission, profile))
        if unknown:
            await self._leave(unknown)
        if todo:
            facts = await self._insist(partial(self._gatherer.facts, requests))
            results = await self._preparer.prepare(list(zip(requests, facts, strict=True)))
            await self._act(list(zip(todo, results, strict=True)), began)

    async def _act(self, results: Sequence[tuple[ClaimedSubmission, Result]], began: float) -> None:
        prepared = []
        for claimed, result in results:
            match result:
                case Signed(plan, renditions):
                    prepared.append(
                        Prepared(
                            claimed,
                            renditions,
                            plan.deliveries,
                            plan.suppressed,
                            plan.detail,
                            plan.sandboxed,
                            plan.links,
                        )
                    )
                case Rejection(reason):
                    await self._quarantine(claimed, reason, began)
                case PreparationFailed(reason):
                    await self._postpone(claimed, reason, began)
                case _:
                    assert_never(result)
        if prepared:
            await self._commit(prepared, began)

    async def _commit(self, prepared: list[Prepared], began: float) -> None:
        """Commit; should the store refuse the batch for one of it, the others one by one."""
        try:
            due = await self._insist(partial(self._submissions.prepare, prepared))
        except StoreRefused as error:
            if len(prepared) == 1:
                await self._postpone(prepared[0].claimed, f"StoreRefused: {error}", began)
                return
            for one in prepared:
                await self._commit([one], began)
            return
        for lane in due:
            self._announce(lane)
        for one in prepared:
            self._report.prepared(one, began)

    async def _leave(self, unknown: Sequence[ClaimedSubmission]) -> None:
        """Leave *unknown* to a newer worker, which knows their profiles; never quarantine them."""
        await self._insist(partial(self._submissions.return_leases, unknown, _LEFT_FOR))
        self._report.left(unknown)

    async def _postpone(self, claimed: ClaimedSubmission, reason: str, began: float) -> None:
        """Let it come due again when its lease runs out; quarantine it after the last failure."""
        if claimed.claims >= _MOST_FAILURES:
            await self._quarantine(claimed, reason, began)
            return
        self._report.postponed(claimed, reason, began)

    async def _quarantine(self, claimed: ClaimedSubmission, reason: str, began: float) -> None:
        # PostgreSQL takes no NUL in text, and half a surrogate pair is no text at all.
        text = reason.replace("\0", "\ufffd").encode(errors="replace").decode()
        await self._insist(partial(self._submissions.quarantine, claimed, text))
        self._report.quarantined(claimed, text, began)

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The store's answer, however long it is away; raises _Abandoned when told to stop."""
        failures = 0
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                failures += 1
                log.warning("store_unavailable", reason=str(error), failures=failures)
                if self._stopping.is_set():
                    raise _Abandoned from error
                await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        wait = wait_before_retry(failures, random.random(), longest=_LONGEST_PAUSE)  # noqa: S311
        await wait_for_event(self._stopping, wait)
