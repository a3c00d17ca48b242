"""What policy works on next: submissions that were handed over, else those of a claim."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from posthouse.mail.lane import Lane
from posthouse.running.waiting import Polling, wait_for_event
from posthouse.store.submissions import CLAIMED_OCTETS, ClaimedSubmission, ClaimedSubmissions

Claim = Callable[[Lane], Awaitable[ClaimedSubmissions]]

# After a batch of at least this many, the next one waits this long for more: a statement costs
# little more for twice as many, and the time that a busy relay saves makes all mail faster.
_BUSY, _LINGER_SECONDS = 4, 0.005
# Upper bound on yielding to the urgent queue: leases keep running while we wait.
_YIELD_SECONDS = 2.0


class WorkSource:
    """Due submissions in two queues: lanes 1 and 2 do not wait for batches of the others.

    A claim for all lanes brings urgent mail too, so only that one is made without a hint.
    """

    def __init__(self, most: int, poll_seconds: float) -> None:
        """*most*: how many may be handed over to a queue before they are taken.

        *poll_seconds* pass before the next look after one that found something; see Polling.
        """
        self.urgent = ClaimQueue(most, Lane.HIGH, poll_seconds=None)
        self.others = ClaimQueue(most, Lane.BULK, poll_seconds, yields_to=self.urgent)

    def wake(self, lane: Lane) -> None:
        """A submission of *lane* may be due: look now."""
        (self.urgent if lane <= Lane.HIGH else self.others).wake()

    def put(self, claimed: Sequence[ClaimedSubmission]) -> None:
        """Work on these, which are claimed for us already: see `posthouse.store.direct_handoff`."""
        self.urgent.put([c for c in claimed if c.submission.lane <= Lane.HIGH])
        self.others.put([c for c in claimed if c.submission.lane > Lane.HIGH])

    def capacity(self) -> int:
        """How many more may be handed over, whatever their lane."""
        return min(self.urgent.capacity(), self.others.capacity())

    def stop(self) -> None:
        """From here on nothing is claimed, and nothing may be handed over."""
        self.urgent.stop()
        self.others.stop()


class ClaimQueue:
    """The next batch of some lanes, as soon as there is one; claims no more often than it must."""

    def __init__(
        self,
        most: int,
        lowest: Lane,
        poll_seconds: float | None,
        *,
        yields_to: "ClaimQueue | None" = None,
    ) -> None:
        """For *lowest* and the lanes above it; without *poll_seconds* it claims only on a hint.

        What was handed over waits until the queue that it *yields_to* is idle.
        """
        self.lowest = lowest
        self._most = most
        self._polling = None if poll_seconds is None else Polling(poll_seconds)
        self._yields_to = yields_to
        self._handed: list[ClaimedSubmission] = []
        self._woken = asyncio.Event()
        # Whether the last claim took all there was: then wait before the next one.
        self._drained = poll_seconds is None
        self._hinted = False  # a hint has come since the last claim
        self._stopped = False
        self._last = 0  # size of the last batch that was handed over
        self.idle = asyncio.Event()  # no batch is being worked on, and none waits for that
        self.idle.set()

    def wake(self) -> None:
        """Something may be due: claim at once."""
        self._hinted = True
        self._woken.set()

    def put(self, claimed: Sequence[ClaimedSubmission]) -> None:
        """Work on these too."""
        self._handed += claimed
        if self._handed:
            self.idle.clear()
        self._woken.set()

    def capacity(self) -> int:
        """How many more may be handed over."""
        octets = sum(claimed.submission.size for claimed in self._handed)
        if self._stopped or octets > CLAIMED_OCTETS:
            return 0
        return self._most - len(self._handed)

    def stop(self) -> None:
        """Claim no more."""
        self._stopped = True
        self._woken.set()

    @asynccontextmanager
    async def batch(self, claim: Claim) -> AsyncIterator[Sequence[ClaimedSubmission]]:
        """What to work on now, claimed by *claim* if need be; nothing when told to stop."""
        found = await self._next(claim)
        self.idle.clear()
        try:
            yield found
        finally:
            if not self._handed:
                self.idle.set()

    async def _next(self, claim: Claim) -> Sequence[ClaimedSubmission]:
        while not (self._handed or self._stopped):
            if await self._may_claim():
                self._hinted = False
                claims = await claim(self.lowest)
                self._drained = not claims.more
                if self._polling:
                    self._polling.adapt(found=claims.more or bool(claims.submissions))
                if claims.submissions:
                    return claims.submissions
        # Let ingest answer its clients first: that takes less time.
        await asyncio.sleep(0)
        if self._yields_to:
            if self._last >= _BUSY:
                await self._linger()
            await wait_for_event(self._yields_to.idle, _YIELD_SECONDS)
        return self._highest_handed()

    async def _may_claim(self) -> bool:
        """Wait until a claim is worth it; False when there is no need, as something was put."""
        if self._drained and not self._hinted:
            self._woken.clear()
            seconds = self._polling.seconds if self._polling else None
            if await wait_for_event(self._woken, seconds):
                return self._hinted
        return True

    async def _linger(self) -> None:
        """Wait up to 5 ms for more to be handed over, as long as there is capacity."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LINGER_SECONDS
        while self.capacity() > 0 and (left := deadline - loop.time()) > 0:
            self._woken.clear()
            await wait_for_event(self._woken, left)

    def _highest_handed(self) -> Sequence[ClaimedSubmission]:
        """Of what was handed over the highest lane, as a claim would have it; the rest waits."""
        highest = min((c.submission.lane for c in self._handed), default=None)
        handed = [c for c in self._handed if c.submission.lane is highest]
        self._handed = [c for c in self._handed if c.submission.lane is not highest]
        self._last = len(handed)
        return handed
