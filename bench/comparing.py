"""The comparison: every system in turn, round after round."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.display import Display
from bench.figures import Figures, Work
from bench.measuring import Measuring
from bench.report import Measured
from bench.systems import NotMeasured, System

Maker = Callable[[Path, int], System]  # of a folder and the port of the sink

_AROUND_SECONDS = 15.0  # start, check, rest and stop


class Comparing:
    """Measures systems; leaves out systems that cannot be installed, and runs that fail."""

    def __init__(self, systems: Sequence[System], work: Work, runs: int) -> None:
        self._systems = systems
        self._work = work
        self._runs = runs
        self._figures: Mapping[str, list[Figures]] = {system.name: [] for system in systems}
        self.not_measured: dict[str, str] = {}  # title and reason
        self.failed: list[str] = []

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The results of each system."""
        all_runs = ((system, tuple(self._figures[system.name])) for system in self._systems)
        return tuple(Measured(s.name, s.title, s.version, runs) for s, runs in all_runs if runs)

    def seconds(self) -> float:
        """About how long it takes, on two cores."""
        work = self._work
        return self._runs * sum(
            work.messages / system.about_per_second
            + work.paced_messages / min(work.rate, system.about_per_second)
            + _AROUND_SECONDS
            for system in self._systems
        )

    async def prepare(self, display: Display) -> None:
        """Install the systems that can be installed."""
        for system in self._systems:
            display.run(system.title)
            display.phase("preparing", 0)
            try:
                await system.prepare()
            except NotMeasured as reason:
                self.not_measured[system.title] = str(reason)
                display.say(f"NOT MEASURED: {system.title}: {reason}")

    async def run(self, measuring: Measuring, display: Display) -> None:
        """Measure all in turn, round after round, so that a bad moment affects all of them."""
        for number in range(1, self._runs + 1):
            for system in self._systems:
                if system.title in self.not_measured:
                    continue
                display.run(f"run {number} of {self._runs}: {system.title}")
                try:
                    self._figures[system.name].append(await measuring.run(system))
                except Exception as error:  # noqa: BLE001 -- the others keep their figures
                    what = str(error) or type(error).__name__
                    self.failed.append(f"{system.title}, run {number}: {what}")
                    display.say(f"FAILED: {self.failed[-1]}")
