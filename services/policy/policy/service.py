"""Gather, decide, act: takes submissions batch by batch and turns each into deliveries."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, assert_never

import prometheus_client
import structlog

from policy.core.identity import candidates
from policy.core.patience import is_suspect, last_failure, worn_out
from policy.core.plan import Job, Relay
from policy.core.steps import Refusal
from policy.due import Due, Line
from policy.identities import Identities
from policy.making import Failed, Made, Result, make
from policy.signing import Signer
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.running.backoff import wait_before_retry
from posthouse.running.waiting import wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions, Prepared

MESSAGES = prometheus_client.Counter(
    "posthouse_policy_messages_total",
    "Submissions policy has finished with, by what became of them; postponed ones come again",
    ["outcome"],
)
_PREPARED = MESSAGES.labels("prepared")  # looking it up costs more than counting
SUPPRESSED = prometheus_client.Counter(
    "posthouse_policy_suppressed_recipients_total",
    "Recipients left out because they are on the account's suppression list",
)

# A store that is back is found so soon, however long it was away.
_LONGEST_PAUSE = 2.0

log = structlog.get_logger()
T = TypeVar("T")


class SubmissionStore(Protocol):
    """Submissions that are due; every method raises StoreUnavailable."""

    async def claim(self, limit: int, *, lowest: Lane, suspects: bool) -> ClaimedSubmissions:
        """Up to *limit* of the highest lane, down to *lowest*, that has any due.

        One suspect at most, and with *suspects* False none.
        """

    async def prepare(self, prepared: Sequence[Prepared]) -> Mapping[Lane, int]:
        """Commit the batch; how many deliveries the dispatchers are to be told of, by lane.

        Raises StoreRefused when one of it will never be taken.
        """

    async def quarantine(self, claimed: ClaimedSubmission, reason: str) -> None:
        """Quarantine the submission with the *reason*."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at a time, and how often to look."""

    batch: int = 64
    # A lost hint costs this much where there is work, and at most a second where there was none.
    poll_seconds: float = 0.1
    # What may end this process is not touched before it has had the time to do something else.
    suspect_seconds: float = 2.0


class _Abandoned(Exception):
    """Told to stop while the store was away: the leases of the batch run out by themselves."""


class PolicyService:
    """Prepares what is due until told to stop; any number of processes may do so at once."""

    def __init__(
        self,
        submissions: SubmissionStore,
        identities: Identities,
        relay: Relay,
        signer: Signer,
        *,
        announce: Callable[[Lane], None],
        pace: Pace | None = None,
    ) -> None:
        """*announce* is told, after the commit, in which lanes deliveries became due.

        It must neither wait nor raise.
        """
        self._submissions = submissions
        self._identities = identities
        self._relay = relay
        self._signer = signer
        self._announce = announce
        self._pace = pace or Pace()
        self._stopping = asyncio.Event()
        self.due = Due(self._pace.batch, self._pace.poll_seconds)
        self._suspects_from = asyncio.get_running_loop().time() + self._pace.suspect_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; the batches in hand are finished first.

        One batch at a time of each line: what comes meanwhile makes the next one larger, and a
        statement costs little more for many than for one.
        """
        self._stopping = stopping
        async with asyncio.TaskGroup() as working:
            working.create_task(self._work(self.due.express), name="express")
            working.create_task(self._work(self.due.all), name="all")
            await stopping.wait()
            self.due.stop()

    async def _work(self, line: Line) -> None:
        failures = 0
        while True:
            try:
                async with line.batch(self._claim) as batch:
                    if not batch:
                        return
                    await self._process_with_care(batch)
            except _Abandoned:
                return
            except Exception:
                # A mistake of ours. What was claimed comes due again; other messages go on.
                log.exception("batch_failed")
                failures += 1
                await _pause(failures, self._stopping)
            else:
                failures = 0

    async def _claim(self, lowest: Lane) -> ClaimedSubmissions:
        # What may end this process comes with all lanes, and is handled alone: see below.
        late = asyncio.get_running_loop().time() >= self._suspects_from
        suspects = late and lowest is Lane.BULK
        limit = self._pace.batch
        return await self._insist(
            partial(self._submissions.claim, limit, lowest=lowest, suspects=suspects)
        )

    async def _process_with_care(self, batch: Sequence[ClaimedSubmission]) -> None:
        """Process *batch*; what may end this process comes last, when the rest is committed."""
        await self._process([c for c in batch if not is_suspect(c.claims)])
        if suspects := [c for c in batch if is_suspect(c.claims)]:
            await self._process(suspects)
            self.due.all.look()  # another one may be due: they come one at a time

    async def _process(self, batch: Sequence[ClaimedSubmission]) -> None:
        todo = []
        for claimed in batch:
            if (reason := worn_out(claimed.claims)) is None:
                todo.append(claimed)
            else:
                await self._quarantine(claimed, reason)
        if not todo:
            return

        jobs = await self._insist(partial(self._gather, todo))
        results = await make(jobs, self._relay, self._signer)
        await self._act(list(zip(todo, results, strict=True)))

    async def _gather(self, batch: Sequence[ClaimedSubmission]) -> list[Job]:
        """Every fact about the batch."""
        read = [
            (c, h := Header.parse(c.submission.header), candidates(h, c.submission.sender))
            for c in batch
        ]
        found = await self._identities.find(
            {(c.submission.account_id, d) for c, _, some in read for d in some}
        )
        return [
            Job(
                submission=(s := c.submission),
                header=header,
                domains=domains,
                identities={d: known for d in domains if (known := found[s.account_id, d])},
                suppressed=c.suppressed,
            )
            for c, header, domains in read
        ]

    async def _act(self, results: Sequence[tuple[ClaimedSubmission, Result]]) -> None:
        prepared = []
        for claimed, result in results:
            match result:
                case Made():
                    prepared.append(_prepared(claimed, result))
                case Refusal(reason):
                    await self._quarantine(claimed, reason)
                case Failed(reason):
                    await self._postpone(claimed, reason)
                case _:
                    assert_never(result)
        if not prepared:
            return

        await self._keep(prepared)

    async def _keep(self, prepared: list[Prepared]) -> None:
        """Commit; should the store refuse the batch for one of it, the others one by one."""
        try:
            due = await self._insist(partial(self._submissions.prepare, prepared))
        except StoreRefused as error:
            if len(prepared) == 1:
                await self._postpone(prepared[0].claimed, f"StoreRefused: {error}")
                return
            for one in prepared:
                await self._keep([one])
            return
        for lane in due:
            self._announce(lane)
        for one in prepared:
            _tell(one)

    async def _postpone(self, claimed: ClaimedSubmission, reason: str) -> None:
        """Let it come due again when its lease runs out; quarantine it after the last failure."""
        if last_failure(claimed.claims):
            await self._quarantine(claimed, reason)
            return
        MESSAGES.labels("postponed").inc()
        log.warning("postponed", **_whose(claimed), reason=reason, claims=claimed.claims)

    async def _quarantine(self, claimed: ClaimedSubmission, reason: str) -> None:
        # PostgreSQL takes no NUL in text, and half a surrogate pair is no text at all.
        said = reason.replace("\0", "\ufffd").encode(errors="replace").decode()
        await self._insist(partial(self._submissions.quarantine, claimed, said))
        MESSAGES.labels(EventKind.QUARANTINED.value).inc()
        whose = _whose(claimed)
        log.warning(EventKind.QUARANTINED.value, **whose, reason=said, claims=claimed.claims)

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
                await _pause(failures, self._stopping)


def _prepared(claimed: ClaimedSubmission, made: Made) -> Prepared:
    return Prepared(
        claimed=claimed,
        renditions=made.renditions,
        deliveries=made.plan.deliveries,
        suppressed=made.plan.suppressed,
        detail=made.plan.detail,
    )


def _tell(prepared: Prepared) -> None:
    _PREPARED.inc()
    whose = _whose(prepared.claimed)
    log.info(EventKind.PREPARED.value, **whose, **prepared.detail)
    for recipient in prepared.suppressed:
        SUPPRESSED.inc()
        log.info(EventKind.SUPPRESSED.value, **whose, recipient=recipient)


def _whose(claimed: ClaimedSubmission) -> dict[str, str]:
    """What every line about *claimed* says."""
    submission = claimed.submission
    return {
        "submission": submission.id.hex,
        "account": submission.account_id.hex,
        "lane": submission.lane.label,
    }


async def _pause(failures: int, stopping: asyncio.Event) -> None:
    wait = wait_before_retry(failures, random.random(), longest=_LONGEST_PAUSE)  # noqa: S311
    await wait_for_event(stopping, wait)
