"""Gather, decide, act: takes submissions batch by batch and turns each into deliveries."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar, assert_never
from uuid import UUID

import prometheus_client
import structlog

from policy.batch import Failed, Made, Result, make
from policy.core.identity import candidates
from policy.core.patience import last_failure, worn_out
from policy.core.plan import Job, Relay
from policy.core.steps import Refusal
from policy.identities import Identities
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.running.backoff import wait_before_retry
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.submissions import ClaimedSubmission, Prepared

MESSAGES = prometheus_client.Counter(
    "posthouse_policy_messages_total",
    "Submissions policy has finished with, by what became of them; postponed ones come again",
    ["outcome"],
)
SUPPRESSED = prometheus_client.Counter(
    "posthouse_policy_suppressed_recipients_total",
    "Recipients left out because they are on the account's suppression list",
)

log = structlog.get_logger()
T = TypeVar("T")


class SubmissionStore(Protocol):
    """Submissions that are due; every method raises StoreUnavailable."""

    async def claim(self, limit: int) -> list[ClaimedSubmission]:
        """Up to *limit* submissions of the highest lane that has any due."""

    async def prepare(self, prepared: Sequence[Prepared]) -> None:
        """Commit the batch. Raises StoreRefused when one of it will never be taken."""

    async def refuse(
        self, claimed: ClaimedSubmission, reason: str, kind: EventKind = EventKind.REFUSED
    ) -> None:
        """Put the submission aside with the *reason*."""


class SuppressionStore(Protocol):
    """The suppression lists."""

    async def suppressed(self, wanted: Collection[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
        """Which of the (account, address) pairs are on a list. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at a time, and how often to look."""

    batch: int = 64
    # Two, so that one signs while the other waits for the database.
    workers: int = 2
    # A lost hint costs this much; an idle relay asks so often.
    poll_seconds: float = 0.1


class _Abandoned(Exception):
    """Told to stop while the store was away: the leases of the batch run out by themselves."""


class PolicyService:
    """Prepares what is due until told to stop; any number of processes may do so at once."""

    def __init__(
        self,
        submissions: SubmissionStore,
        suppressions: SuppressionStore,
        identities: Identities,
        relay: Relay,
        *,
        announce: Callable[[Lane, int], None],
        pace: Pace | None = None,
    ) -> None:
        """*announce* is told, after their commit, how many deliveries a lane has got.

        It must neither wait nor raise.
        """
        self._submissions = submissions
        self._suppressions = suppressions
        self._identities = identities
        self._relay = relay
        self._announce = announce
        self._pace = pace or Pace()
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._drained = False  # the last claim took all there was: wait before asking again

    def wake(self, lane: Lane) -> None:
        """A submission of *lane* may be due: look now."""
        del lane  # whatever it is, the highest lane with anything due goes first
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; the batches in hand are finished first."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._pace.workers):
                group.create_task(self._work(stopping))

    async def _work(self, stopping: asyncio.Event) -> None:
        failures = 0
        while not stopping.is_set():
            try:
                batch = await self._next(stopping)
                await self._process(batch, stopping)
            except _Abandoned:
                return
            except Exception:
                # A mistake of ours. What was claimed comes due again; other messages go on.
                log.exception("batch_failed")
                failures += 1
                await _pause(failures, stopping)
            else:
                failures = 0

    async def _next(self, stopping: asyncio.Event) -> list[ClaimedSubmission]:
        """What is due, as soon as anything is; empty when told to stop."""
        # One worker asks and waits at a time: an idle relay is asked once, not once per worker.
        async with self._turn:
            while not stopping.is_set():
                if self._drained:
                    await _wait(self._woken, self._pace.poll_seconds)
                self._woken.clear()
                claim = partial(self._submissions.claim, self._pace.batch)
                batch = await self._insist(claim, stopping)
                self._drained = len(batch) < self._pace.batch
                if batch:
                    return batch
        return []

    async def _process(self, batch: list[ClaimedSubmission], stopping: asyncio.Event) -> None:
        todo = []
        for claimed in batch:
            match _ended(claimed):
                case None:
                    todo.append(claimed)
                case (kind, reason):
                    await self._refuse(claimed, reason, stopping, kind)
        if not todo:
            return

        jobs = await self._insist(partial(self._gather, todo), stopping)
        loop = asyncio.get_running_loop()
        results = await loop.run_in_executor(None, make, jobs, self._relay, datetime.now(UTC))
        await self._act(list(zip(todo, results, strict=True)), stopping)

    async def _gather(self, batch: Sequence[ClaimedSubmission]) -> list[Job]:
        """Every fact about the batch; one question about all its recipients together."""
        read = [
            (s := c.submission, h := Header.parse(s.header), candidates(h, s.sender)) for c in batch
        ]
        found = await self._identities.find(
            {(s.account_id, d) for s, _, some in read for d in some}
        )
        suppressed = await self._suppressions.suppressed(
            {(s.account_id, recipient) for s, _, _ in read for recipient in s.recipients}
        )
        return [
            Job(
                submission=s,
                header=header,
                domains=domains,
                identities={d: known for d in domains if (known := found[s.account_id, d])},
                suppressed=frozenset(r for r in s.recipients if (s.account_id, r) in suppressed),
            )
            for s, header, domains in read
        ]

    async def _act(
        self, results: Sequence[tuple[ClaimedSubmission, Result]], stopping: asyncio.Event
    ) -> None:
        prepared = []
        for claimed, result in results:
            match result:
                case Made():
                    prepared.append(_prepared(claimed, result))
                case Refusal(reason):
                    await self._refuse(claimed, reason, stopping)
                case Failed(reason):
                    await self._postpone(claimed, reason, stopping)
                case _:
                    assert_never(result)
        if not prepared:
            return

        kept = await self._keep(prepared, stopping)
        for one in kept:
            _tell(one)
        news = Counter(d.lane for one in kept for d in one.deliveries)
        for lane, count in news.items():
            self._announce(lane, count)

    async def _keep(self, prepared: list[Prepared], stopping: asyncio.Event) -> list[Prepared]:
        """Commit; should the store refuse the batch for one of it, the others one by one."""
        try:
            await self._insist(partial(self._submissions.prepare, prepared), stopping)
        except StoreRefused as error:
            if len(prepared) == 1:
                await self._postpone(prepared[0].claimed, f"StoreRefused: {error}", stopping)
                return []
            return [kept for one in prepared for kept in await self._keep([one], stopping)]
        return prepared

    async def _postpone(
        self, claimed: ClaimedSubmission, reason: str, stopping: asyncio.Event
    ) -> None:
        """Leave it to come due again when its lease runs out, or park it when that was enough."""
        if last_failure(claimed.claims):
            await self._refuse(claimed, reason, stopping)
            return
        MESSAGES.labels("postponed").inc()
        _bound(claimed).warning("postponed", reason=reason, claims=claimed.claims)

    async def _refuse(
        self,
        claimed: ClaimedSubmission,
        reason: str,
        stopping: asyncio.Event,
        kind: EventKind = EventKind.REFUSED,
    ) -> None:
        # PostgreSQL takes no NUL in text, and half a surrogate pair is no text at all.
        said = reason.replace("\0", "\ufffd").encode(errors="replace").decode()
        await self._insist(partial(self._submissions.refuse, claimed, said, kind), stopping)
        MESSAGES.labels(kind.value).inc()
        _bound(claimed).warning(kind.value, reason=said, claims=claimed.claims)

    async def _insist(self, ask: Callable[[], Awaitable[T]], stopping: asyncio.Event) -> T:
        """The store's answer, however long it is away; raises _Abandoned when told to stop."""
        failures = 0
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                failures += 1
                log.warning("store_unavailable", reason=str(error), failures=failures)
                if stopping.is_set():
                    raise _Abandoned from error
                await _pause(failures, stopping)


def _ended(claimed: ClaimedSubmission) -> tuple[EventKind, str] | None:
    """Why *claimed* is not to be worked on any more, if so."""
    if claimed.expired:
        return EventKind.EXPIRED, "expired before it could be prepared"
    if (reason := worn_out(claimed.claims)) is not None:
        return EventKind.REFUSED, reason
    return None


def _prepared(claimed: ClaimedSubmission, made: Made) -> Prepared:
    return Prepared(
        claimed=claimed,
        renditions=made.renditions,
        deliveries=made.plan.deliveries,
        suppressed=made.plan.suppressed,
        detail=made.plan.detail,
    )


def _tell(prepared: Prepared) -> None:
    MESSAGES.labels("prepared").inc()
    SUPPRESSED.inc(len(prepared.suppressed))
    bound = _bound(prepared.claimed)
    bound.info(EventKind.PREPARED.value, **prepared.detail)
    for recipient in prepared.suppressed:
        bound.info(EventKind.SUPPRESSED.value, recipient=recipient)


def _bound(claimed: ClaimedSubmission) -> structlog.typing.FilteringBoundLogger:
    submission = claimed.submission
    bound: structlog.typing.FilteringBoundLogger = log.bind(
        submission=submission.id.hex,
        account=submission.account_id.hex,
        lane=submission.lane.label,
    )
    return bound


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _pause(failures: int, stopping: asyncio.Event) -> None:
    await _wait(stopping, wait_before_retry(failures, random.random()))  # noqa: S311
