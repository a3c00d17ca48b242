"""What policy works on next: what it was handed, or else what a claim brings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from posthouse.mail.lane import Lane
from posthouse.running.polling import Polling
from posthouse.running.waiting import wait_for_event
from posthouse.store.submissions import CLAIMED_OCTETS, ClaimedSubmission, ClaimedSubmissions

Claim = Callable[[Lane], Awaitable[ClaimedSubmissions]]

# After a batch of so many the next one waits so long for company: a statement costs hardly more for
# twice as many, and what a busy relay saves by it everybody has the sooner. Seconds.
_BUSY, _COMPANY_SECONDS = 4, 0.005
# So long a line stands behind another at most: leases of what it was handed run meanwhile.
_PATIENT_SECONDS = 2.0


class Due:
    """What is due, in two lines: the express of lanes 1 and 2 waits for no batch of the others.

    A claim for all lanes brings the express too, so only that one is made without being told to.
    """

    def __init__(self, most: int, poll_seconds: float) -> None:
        """*most*: how many may be handed over to a line before they are taken.

        *poll_seconds* pass before the next look after one that found something; see Polling.
        """
        self.express = Line(most, Lane.HIGH, poll_seconds=None)
        self.all = Line(most, Lane.BULK, poll_seconds, behind=self.express)

    def wake(self, lane: Lane) -> None:
        """A submission of *lane* may be due: look now."""
        (self.express if lane <= Lane.HIGH else self.all).look()

    def take(self, claimed: Sequence[ClaimedSubmission]) -> None:
        """These too: they are claimed for us already, see `posthouse.store.direct_handoff`."""
        self.express.take([c for c in claimed if c.submission.lane <= Lane.HIGH])
        self.all.take([c for c in claimed if c.submission.lane > Lane.HIGH])

    def room(self) -> int:
        """How many more may be handed over, whatever their lane."""
        return min(self.express.room(), self.all.room())

    def stop(self) -> None:
        """From here on nothing is claimed, and nothing may be handed over."""
        self.express.stop()
        self.all.stop()


class Line:
    """The next batch of some lanes, as soon as there is one; asks no more often than it must."""

    def __init__(
        self,
        most: int,
        lowest: Lane,
        poll_seconds: float | None,
        *,
        behind: "Line | None" = None,
    ) -> None:
        """For *lowest* and the lanes above it; without *poll_seconds* (see Due) only when told to.

        What it was handed waits until the line that it stands *behind* is idle.
        """
        self.lowest = lowest
        self._most = most
        self._polling = None if poll_seconds is None else Polling(poll_seconds)
        self._behind = behind
        self._handed: list[ClaimedSubmission] = []
        self._woken = asyncio.Event()
        # Whether the last claim took all there was: then wait before asking again.
        self._drained = poll_seconds is None
        self._hinted = False  # somebody has said since that there is more
        self._stopped = False
        self._last = 0  # how many went together, of what was handed over
        self.idle = asyncio.Event()  # nothing of it is being worked on, or waits for that
        self.idle.set()

    def look(self) -> None:
        """Something may be due: ask at once."""
        self._hinted = True
        self._woken.set()

    def take(self, claimed: Sequence[ClaimedSubmission]) -> None:
        """These too."""
        self._handed += claimed
        if self._handed:
            self.idle.clear()
        self._woken.set()

    def room(self) -> int:
        """How many more it may be handed."""
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
            if self._drained and not self._hinted:
                self._woken.clear()
                seconds = self._polling.seconds if self._polling else None
                if await wait_for_event(self._woken, seconds) and not self._hinted:
                    continue  # handed over: no need to ask
            self._hinted = False
            claims = await claim(self.lowest)
            self._drained = not claims.more
            if self._polling:
                self._polling.looked(found=claims.more or bool(claims.submissions))
            if claims.submissions:
                return claims.submissions
        await asyncio.sleep(0)  # who handed it over tells its clients first, which takes less
        if self._behind:
            if self._last >= _BUSY:
                await self._company()
            await wait_for_event(self._behind.idle, _PATIENT_SECONDS)
        return self._highest_handed()

    async def _company(self) -> None:
        """Let more be handed over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMPANY_SECONDS):
                while self.room() > 0:
                    self._woken.clear()
                    await self._woken.wait()

    def _highest_handed(self) -> Sequence[ClaimedSubmission]:
        """Of what was handed over the highest lane, as a claim would have it; the rest waits."""
        highest = min((c.submission.lane for c in self._handed), default=None)
        handed = [c for c in self._handed if c.submission.lane is highest]
        self._handed = [c for c in self._handed if c.submission.lane is not highest]
        self._last = len(handed)
        return handed
