"""Link sets that are stored for certain: a mailing asks the database for its own once an hour."""

import time
from collections.abc import Callable, Iterable

from posthouse.tracking.link_set import LinkSet, distinct

_SECONDS = 3_600.0  # the time of use, of four weeks, is kept for two days more than that
_MOST = 10_000


class KnownLinkSets:
    """What one process knows of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}

    def others(self, sets: Iterable[LinkSet | None]) -> list[LinkSet]:
        """Those of *sets* that have to be stored, each once, in one order."""
        now = self._clock()
        return [one for one in distinct(sets) if self._until.get(one.id, 0.0) <= now]

    def learn(self, ids: Iterable[bytes]) -> None:
        """The sets with those *ids* are stored, and were a minute ago."""
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until |= dict.fromkeys(ids, self._clock() + _SECONDS)
