"""How often a key may ask, and how much at one time; each process counts for itself."""

import math
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from posthouse.authentication.login_limits import put, take_one
from posthouse.http.problem import AGAIN, Kind, Problem

_REMEMBERED = 10_000  # keys
_MINUTE = 60.0


class KeyLimits:
    """Counts the requests of each key."""

    def __init__(self, clock: Callable[[], float], *, at_once: int, a_minute: int) -> None:
        """*clock* tells monotonic seconds."""
        self._clock = clock
        self._at_once = at_once
        self._a_minute = a_minute
        self._open: Counts[UUID] = Counts()
        self._left: dict[UUID, tuple[float, float]] = {}  # requests, as they were at that time

    @contextmanager
    def counted(self, key: UUID) -> Iterator[None]:
        """Count a request of *key* until it is answered; raises Problem if there are too many."""
        if self._open[key] >= self._at_once:
            detail = f"{self._at_once} requests of this key are being answered, the limit"
            raise Problem(429, Kind.TOO_MANY, detail, fields=AGAIN)
        self._take(key)
        self._open[key] += 1
        try:
            yield
        finally:
            take_one(self._open, key)

    def _take(self, key: UUID) -> None:
        """Take one of those that *key* may still ask; they come back evenly over a minute."""
        now = self._clock()
        left, at = self._left.get(key, (float(self._a_minute), now))
        left = min(self._a_minute, left + (now - at) * self._a_minute / _MINUTE)
        if left < 1:
            seconds = math.ceil((1 - left) * _MINUTE / self._a_minute)
            detail = f"This key may ask {self._a_minute} times a minute"
            raise Problem(429, Kind.TOO_MANY, detail, fields=(("retry-after", str(seconds)),))
        put(self._left, key, (left - 1, now), _REMEMBERED)
