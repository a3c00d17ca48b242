"""What is told of a soak."""

from dataclasses import asdict, dataclass
from typing import Any

from chaos.memory import LIMIT, Life, Verdict
from chaos.ordeal import Result
from chaos.report import Surroundings, results_as_markdown, table
from chaos.soak import Regime

_HEAD = ("process", "minutes", "first MB", "last MB", "MB an hour", "under the limit")


@dataclass(frozen=True, slots=True)
class Soaked:
    """What became of it."""

    surroundings: Surroundings
    regime: Regime
    full_rate: float  # messages a second in a burst before; 0 when the rate was given
    result: Result
    lives: tuple[Life, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Promises that were not kept, in words."""
        grown = (
            f"{life.process} grows by more than {LIMIT:g} MB an hour"
            for life in self.lives
            if life.verdict is Verdict.BROKEN
        )
        return (*self.result.broken, *grown)

    def facts(self) -> dict[str, Any]:
        """For the JSON file."""
        lives = [
            {**asdict(life), "slope": life.slope, "verdict": life.verdict} for life in self.lives
        ]
        return {**asdict(self), "lives": lives, "broken": self.broken}

    def as_markdown(self) -> str:
        """The report."""
        paragraphs = (
            "# Soak",
            self.surroundings.as_markdown(),
            self._regime(),
            results_as_markdown([self.result]),
            self._memory(),
            table(_HEAD, [_row(life) for life in self.lives if life.slope is not None]),
        )
        return "\n\n".join(paragraphs)

    def _regime(self) -> str:
        regime = self.regime
        full = f" (full rate: {self.full_rate:.0f})" if self.full_rate else ""
        kills = f"a kill every {regime.kill_every:g} seconds" if regime.kill_every else "no kills"
        minutes = regime.seconds / 60
        return f"{minutes:g} minutes at {regime.rate:.0f} messages a second{full}, {kills}."

    def _memory(self) -> str:
        short = sum(life.slope is None for life in self.lives)
        return (
            "Memory that no file backs, the lowest value of each minute; slopes by least squares "
            f"without the first {self.regime.warm_up} minutes of a life, with two standard errors. "
            f"Promised: under {LIMIT:g} MB an hour; it holds if slope and error together are below "
            "that, and is open if only the slope is. Lives too short for a slope: "
            f"{short}."
        )


def _row(life: Life) -> list[str]:
    assert life.slope is not None
    return [
        life.process,
        str(len(life.resting_mb)),
        f"{life.resting_mb[0]:.1f}",
        f"{life.resting_mb[-1]:.1f}",
        f"{life.slope.mb_an_hour:+.2f} ± {life.slope.error:.2f}",
        life.verdict,
    ]
