"""Work that one step hands to the next in the same process, claimed for it already.

Where nothing else waits, a claim would only bring back what this process has just written. So a
claim that took all there was grants credit: so many items may be written as claimed from the start
and passed on in memory, without a hint and without a statement. Credit used up or not, everybody
goes back to claiming, so that nothing that is due waits behind what is handed over. If the process
dies, what it held comes due again when the lease runs out, as with any claim.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """From the step before to the one that takes; nothing passes where nobody takes."""

    def __init__(self) -> None:
        self._credit = 0
        self._taker: Callable[[Sequence[T]], None] | None = None

    def taken_by(self, taker: Callable[[Sequence[T]], None] | None) -> None:
        """Hand over to *taker* from now on; it must neither wait nor raise. None: to nobody."""
        self._taker = taker
        if taker is None:
            self._credit = 0

    def grant(self, items: int) -> None:
        """So many may be handed over before the next claim; called by that claim."""
        self._credit = items if self._taker else 0

    def draw(self, wanted: int) -> int:
        """How many of *wanted* to write as claimed; each goes to `put` once it is committed."""
        drawn = min(wanted, self._credit)
        self._credit -= drawn
        return drawn

    def put(self, items: Sequence[T]) -> None:
        """Pass on what was written as claimed."""
        if items and self._taker:
            self._taker(items)
