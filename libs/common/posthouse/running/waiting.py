"""Waits: for an event with an upper bound, before a retry, and before the next look for work."""

import asyncio

# An idle worker looks for work at least this often without a hint, and no more often.
_LONGEST_SECONDS = 1.0


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until *event* is set, at most *seconds* (None: without a limit); whether it is set.

    A cancellation of the caller always gets through: `asyncio.wait_for` can lose one on Python 3.11
    when it arrives together with the result.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()


def wait_before_retry(
    failures: int, chance: float, *, first: float = 0.1, longest: float = 5.0
) -> float:
    """Seconds to wait after *failures* in a row (1, 2, ...), doubling from *first* to *longest*.

    *chance* in [0, 1) takes away up to half, so that callers that failed together do not return
    together.
    """
    doublings = min(max(failures - 1, 0), 30)
    return min(first * 2.0**doublings, longest) * (1 - chance / 2)


class Polling:
    """The wait before the next look: it doubles after each look that finds nothing, up to a second.

    Hints announce nearly all work, so most looks find nothing. A look that finds work shows that
    hints are missing, and the following looks come soon again.
    """

    def __init__(self, shortest: float = 0.1) -> None:
        """*shortest*: the wait after a look that found something, in seconds."""
        self._shortest = self.seconds = shortest

    def adapt(self, *, found: bool) -> None:
        """Set the next wait after a look; *found*: work is due, even if we could not claim it."""
        longest = max(self._shortest, _LONGEST_SECONDS)
        self.seconds = self._shortest if found else min(2 * self.seconds, longest)
