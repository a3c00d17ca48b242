"""All scenarios, round after round, each in every form that it applies to."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.display import Display
from bench.report import Found
from bench.scenarios.backlog import Backlog
from bench.scenarios.events import Events
from bench.scenarios.lanes import Lanes
from bench.scenarios.links import Links
from bench.scenarios.neighbours import Neighbours
from bench.scenarios.octets import Octets
from bench.scenarios.profiles import Profiles
from bench.scenarios.recipients import Recipients
from bench.scenarios.stage import Scenario, Stage
from bench.scenarios.start import Start
from bench.scenarios.tracking import Tracking
from bench.scenarios.webhook_backlog import WebhookBacklog
from bench.scenarios.webhooks import Webhooks
from bench.systems import NotMeasured, Ours

Build = Callable[[Path, int], Ours]
SCENARIOS: Mapping[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        *(Lanes, Neighbours, Backlog, Recipients, Octets, Events, Profiles, Tracking, Links),
        *(Webhooks, WebhookBacklog, Start),
    )
}


class Playing:
    """Plays scenarios one at a time; a failure affects only its own figures."""

    def __init__(
        self, forms: Mapping[str, Build], folder: Path, sink_port: int, rounds: int, scale: float
    ) -> None:
        """*forms* are the systems under test, by name."""
        self._forms = forms
        self._folder = folder
        self._sink_port = sink_port
        self._rounds = rounds
        self._scale = scale
        self.found: list[Found] = []
        self.failed: list[str] = []

    def seconds(self, names: Sequence[str]) -> float:
        """About how long scenarios of these names take."""
        stage = Stage(self._no_form, self._folder, self._sink_port, lambda *_: None, self._scale)
        return sum(
            SCENARIOS[name](stage).seconds(self._rounds)
            for name in names
            for form in SCENARIOS[name].forms
            if form in self._forms
        )

    async def play(self, name: str, display: Display) -> None:
        """Play the scenario of this name in its forms."""
        for form in SCENARIOS[name].forms:
            if form in self._forms:
                await self._play(name, form, display)

    async def _play(self, name: str, form: str, display: Display) -> None:
        folder = self._folder / f"{name}-{form}"
        folder.mkdir(mode=0o711)
        stage = Stage(self._forms[form], folder, self._sink_port, display.phase, self._scale)
        scenario = SCENARIOS[name](stage)
        rounds: list[Mapping[str, float]] = []
        where = f"{name}, {form}"
        try:
            display.run(f"{where}: preparing")
            await scenario.prepare(self._rounds)
            for number in range(1, self._rounds + 1):
                display.run(f"{where}: run {number} of {self._rounds}")
                rounds.append(await scenario.round(number))
        except Exception as error:  # noqa: BLE001 -- hours of other figures must not be lost
            what = str(error) or type(error).__name__
            self.failed.append(f"{where}, run {len(rounds) + 1}: {what}")
            display.say(f"FAILED: {self.failed[-1]}")
        else:
            shutil.rmtree(folder, ignore_errors=True)  # gigabytes
        finally:
            stage.close()
        if rounds:
            self.found += [
                Found(name, form, c.label, tuple(r[key] for r in rounds), c.limit, c.digits)
                for key, c in scenario.criteria.items()
            ]

    @staticmethod
    def _no_form(_folder: Path, _port: int) -> Ours:
        raise NotMeasured("only asked how long it takes")
