"""Whether the memory of a process grows: what it rests at in each minute, and a line through it."""

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

LIMIT = 1.0  # MB an hour
# A line through fewer minutes says more about chance than about growth.
_LEAST_MINUTES = 20
_MOST_ALIKE = 0.95


class Verdict(StrEnum):
    """What can be said about growth after so long."""

    HOLDS = "holds"  # under the limit, by the slope and its error
    BROKEN = "BROKEN"  # above the limit, by the slope and its error
    OPEN = "open"  # the limit lies within the error
    TOO_SHORT = "too short"


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth in MB an hour."""

    mb_an_hour: float
    error: float  # two standard errors

    @classmethod
    def through(cls, values: Sequence[float]) -> "Slope | None":
        """By least squares, through MB of one minute after the other; None for less than three.

        Neighbouring minutes are alike, so there is less to learn from them than from as many
        independent ones: the error allows for that by the residuals' correlation.
        """
        if len(values) < 3:
            return None
        minutes = range(len(values))
        slope, intercept = statistics.linear_regression(minutes, values)
        off = [value - intercept - slope * minute for minute, value in enumerate(values)]
        spread = sum((minute - statistics.fmean(minutes)) ** 2 for minute in minutes)
        squares = sum(distance * distance for distance in off)
        # Values are rounded: what is left when all lie on the line is no correlation.
        alike = sum(a * b for a, b in pairwise(off)) / squares if squares > 1e-9 else 0.0
        alike = min(max(alike, 0.0), _MOST_ALIKE)
        error = math.sqrt(squares / (len(values) - 2) / spread * (1 + alike) / (1 - alike))
        return cls(slope * 60, 2 * error * 60)


@dataclass(frozen=True, slots=True)
class Life:
    """What one process rested at, from its start or ours to its end or ours."""

    process: str
    resting_mb: tuple[float, ...]  # lowest of each minute
    warm_up: int  # minutes that do not count: caches and pools fill

    @property
    def slope(self) -> Slope | None:
        """Growth behind the warm-up."""
        return Slope.through(self.resting_mb[self.warm_up :])

    @property
    def verdict(self) -> Verdict:
        """Whether it stays under the limit."""
        slope = self.slope
        if slope is None or len(self.resting_mb) - self.warm_up < _LEAST_MINUTES:
            return Verdict.TOO_SHORT
        if slope.mb_an_hour + slope.error < LIMIT:
            return Verdict.HOLDS
        return Verdict.BROKEN if slope.mb_an_hour - slope.error > LIMIT else Verdict.OPEN


class Memory:
    """Looks at processes now and then. A process that was killed begins a new life."""

    def __init__(self) -> None:
        self._lives: dict[tuple[str, int], dict[int, float]] = {}

    def look(self, processes: Mapping[str, int], seconds: float) -> None:
        """Note what *processes* (names and ids) have, so many *seconds* after the beginning."""
        for life in processes.items():
            with suppress(OSError):  # it just ended
                minutes = self._lives.setdefault(life, {})
                minute = int(seconds // 60)
                minutes[minute] = min(minutes.get(minute, math.inf), private_mb(life[1]))

    def lives(self, warm_up: int) -> tuple[Life, ...]:
        """One for each process, by name; the last minute, which was not whole, is left out."""
        return tuple(
            Life(name, tuple(round(mb, 2) for mb in list(minutes.values())[:-1]), warm_up)
            for (name, _), minutes in sorted(self._lives.items(), key=lambda life: life[0][0])
        )


def private_mb(pid: int) -> float:
    """Memory of *pid* that no file backs, in MB, in core or swapped out. OSError when it ended.

    Unlike the proportional set size it does not grow when a relative of the process ends.
    """
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    try:
        return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1024
    except KeyError:
        raise ProcessLookupError(f"process {pid} has ended") from None
