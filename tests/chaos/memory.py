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
# After a kill everybody else's queues, caches and buffers may be a little fuller than ever before,
# so that memory grows in steps. Each part is struck once in this many minutes.
ROUND_MINUTES = 6
# Minutes of each life that do not count: what is made at the first use is made (pools, prepared
# statements, caches, the first partition), they are full, and each part was struck twice.
WARM_UP = 15
# Behind those, three rounds at least: steps cannot be told from growth by fewer. A process that is
# struck itself never lives that long, and is not judged; therefore it has a twin.
_LEAST_MINUTES = 20
_MOST_ALIKE = 0.95


class Verdict(StrEnum):
    """The verdict on growth after that time. In doubt it counts as growth."""

    HOLDS = "holds"  # under the limit, even by the slope and its error
    OPEN = "open"  # under the limit, but that may be chance
    BROKEN = "BROKEN"  # above it
    TOO_SHORT = "too short"


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth in MB an hour."""

    mb_an_hour: float
    error: float  # two standard errors

    @classmethod
    def through(cls, values: Sequence[float]) -> "Slope | None":
        """By least squares, through MB of one minute after the other; None for less than three.

        The error is the larger of two: one holds if values are scattered around a line, the other
        if each begins where the one before ended and what the minutes add differs.
        """
        if len(values) < 3:
            return None
        slope, intercept = statistics.linear_regression(range(len(values)), values)
        off = [value - intercept - slope * minute for minute, value in enumerate(values)]
        error = max(_error_if_scattered(off), _error_if_added(values))
        return cls(slope * 60, 2 * error * 60)


def _error_if_scattered(off: Sequence[float]) -> float:
    """Standard error of a line by the distances of the values from it.

    Neighbouring minutes are alike, so there is less to learn from them than from as many
    independent ones: the error allows for that by the residuals' correlation.
    """
    squares = sum(distance * distance for distance in off)
    # Values are rounded: what is left when all lie on the line is no correlation.
    alike = sum(a * b for a, b in pairwise(off)) / squares if squares > 1e-9 else 0.0
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    spread = len(off) * (len(off) ** 2 - 1) / 12  # of the minutes around their mean
    return math.sqrt(squares / (len(off) - 2) / spread * (1 + alike) / (1 - alike))


def _error_if_added(values: Sequence[float]) -> float:
    """Standard error of a line through a sum, by how much its summands differ.

    A step counts once, however many minutes stand on it. Summands less than a round apart may
    depend on each other (Newey and West), and a line is a little worse than the difference of the
    ends: its variance is 6/5 of that.
    """
    added = [after - before for before, after in pairwise(values)]
    mean = statistics.fmean(added)
    off = [value - mean for value in added]
    variance = sum(value * value for value in off)
    for apart in range(1, ROUND_MINUTES + 1):
        together = sum(a * b for a, b in zip(off, off[apart:], strict=False))
        variance += 2 * (1 - apart / (ROUND_MINUTES + 1)) * together
    return math.sqrt(max(variance, 0.0) * 6 / 5) / len(added)


@dataclass(frozen=True, slots=True)
class Life:
    """What one process rested at, from its start or ours to its end or ours."""

    process: str
    resting_mb: tuple[float, ...]  # lowest of each minute
    warm_up: int  # minutes that do not count

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
        return Verdict.OPEN if slope.mb_an_hour < LIMIT else Verdict.BROKEN


class Memory:
    """Looks at processes now and then. A process that was killed begins a new life."""

    def __init__(self) -> None:
        self._lives: dict[tuple[str, int], dict[int, float]] = {}

    def look(self, processes: Mapping[str, int], seconds: float) -> None:
        """Note the memory of *processes* (names and ids), *seconds* after the beginning."""
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
