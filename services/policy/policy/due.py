"""What policy works on next: what it was handed, or else what a claim brings."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from posthouse.mail.lane import Lane
from posthouse.store.deliveries import CLAIMED_OCTETS
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions

Claim = Callable[[], Awaitable[ClaimedSubmissions]]

# After a batch of so many the next one waits so long for company: a statement costs hardly more for
# twice as many, and what a busy relay saves by it everybody has the sooner. Seconds.
_BUSY, _COMPANY_SECONDS = 4, 0.005


class Due:
    """The next batch, as soon as there is one; asks the store no more often than it must."""

    def __init__(self, most: int, poll_seconds: float) -> None:
        """*most*: how many may be handed over before they are taken."""
        self._most = most
        self._poll_seconds = poll_seconds
        self._handed: list[ClaimedSubmission] = []
        self._woken = asyncio.Event()
        self._drained = False  # the last claim took all there was: wait before asking again
        self._hinted = False  # somebody has said since that there is more
        self._stopping = asyncio.Event()
        self._last = 0  # how many went together, of what was handed over

    def stop_at(self, stopping: asyncio.Event) -> None:
        """From *stopping* on nothing is claimed, and nothing may be handed over."""
        self._stopping = stopping

    def wake(self, lane: Lane) -> None:
        """A submission of *lane* may be due: look now."""
        del lane  # whatever it is, the highest lane with anything due goes first
        self.look()

    def look(self) -> None:
        """Something may be due: ask at once."""
        self._hinted = True
        self._woken.set()

    def take(self, claimed: Sequence[ClaimedSubmission]) -> None:
        """These too: they are claimed for us already, see `posthouse.store.handover`."""
        self._handed += claimed
        self._woken.set()

    def room(self) -> int:
        """How many more may be handed over."""
        octets = sum(claimed.submission.size for claimed in self._handed)
        if self._stopping.is_set() or octets > CLAIMED_OCTETS:
            return 0
        return self._most - len(self._handed)

    async def batch(self, claim: Claim) -> Sequence[ClaimedSubmission]:
        """What is next, claimed by *claim* if need be; empty when told to stop."""
        while not (self._handed or self._stopping.is_set()):
            if self._drained and not self._hinted:
                self._woken.clear()
                if await self._told() and not self._hinted:
                    continue  # handed over: no need to ask
            self._hinted = False
            claims = await claim()
            self._drained = not claims.more
            if claims.submissions:
                return claims.submissions
        if self._last >= _BUSY:
            await self._company()
        return self._highest_handed()

    async def _told(self) -> bool:
        """Whether anybody told us anything before the next look is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                return await self._woken.wait()
        return False

    async def _company(self) -> None:
        """Let more be handed over; nothing of the two highest lanes waits for that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMPANY_SECONDS):
                while self.room() > 0 and all(c.submission.lane > Lane.HIGH for c in self._handed):
                    self._woken.clear()
                    await self._woken.wait()

    def _highest_handed(self) -> Sequence[ClaimedSubmission]:
        """Of what was handed over the highest lane, as a claim would have it; the rest waits."""
        highest = min((c.submission.lane for c in self._handed), default=None)
        handed = [c for c in self._handed if c.submission.lane is highest]
        self._handed = [c for c in self._handed if c.submission.lane is not highest]
        self._last = len(handed)
        return handed
