"""Tracked mail beside the same mail untracked: what links and pixel of each recipient cost."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from bench.children import POSTHOUSE, ProgramFailed, answer
from bench.load_session import Door
from bench.newsletter import LINKS
from bench.onebox import Onebox
from bench.scenarios.stage import Criterion, Stage
from bench.split import Split
from bench.systems import make_credential

_MESSAGES = 1_500  # in a block
_BLOCKS = 4  # of each kind in a round: they take turns
_MOST_MS = 0.25
_TRACKED, _UNTRACKED = "tracked", "untracked"


class Tracking:
    """CPU of a delivery, all processes and the database counted; one recipient a message."""

    name: ClassVar[str] = "tracking"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self._doors: dict[str, Door] = {}
        self.criteria: Mapping[str, Criterion] = {
            "more": Criterion(f"HTML with {LINKS} links: CPU ms more if tracked", _MOST_MS, 3),
            "times": Criterion("... times that of the same mail untracked", digits=2),
            _TRACKED: Criterion("... CPU ms of a tracked delivery", digits=3),
            _UNTRACKED: Criterion("... CPU ms of an untracked one", digits=3),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * (2 * _BLOCKS * (self._messages / 700 + 3) + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        seconds: dict[str, float] = defaultdict(float)
        deliveries: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        async with self._stage.running(self._system) as receiving:
            await self._make_doors()
            for block in range(_BLOCKS):
                names = (_TRACKED, _UNTRACKED) if (number + block) % 2 else (_UNTRACKED, _TRACKED)
                for name in names:
                    plan = self._stage.plan(self._system, self._messages, newsletter=True)
                    plan = replace(plan, door=self._doors[name])
                    phase = await self._stage.phase(self._system, receiving, plan, name)
                    sizes[name] += sum(arrival.size for arrival in phase.arrived)
                    seconds[name] += phase.system_seconds
                    deliveries[name] += len(phase.arrived)
        if (
            sizes[_TRACKED] / deliveries[_TRACKED]
            < sizes[_UNTRACKED] / deliveries[_UNTRACKED] + 300
        ):
            raise ProgramFailed(f"what arrived is not tracked: {sizes}")
        each = {name: seconds[name] * 1000 / deliveries[name] for name in (_TRACKED, _UNTRACKED)}
        return {
            **each,
            "more": each[_TRACKED] - each[_UNTRACKED],
            "times": each[_TRACKED] / each[_UNTRACKED],
        }

    async def _make_doors(self) -> None:
        """A user whose mail is tracked, and one whose mail is not."""
        system = self._system
        assert isinstance(system, Onebox)
        if not self._doors:
            for name in (_TRACKED, _UNTRACKED):
                self._doors[name] = await make_door(system, name, is_tracked=name == _TRACKED)


async def make_door(system: Onebox | Split, name: str, *, is_tracked: bool) -> Door:
    """A user with a profile called *name*, whose mail is tracked or is not."""
    on = str(is_tracked).lower()
    knobs = ("--set", f"tracking.opens={on}", "--set", f"tracking.clicks={on}")
    own = (POSTHOUSE, "profile", "create", name, "--from", "native", *knobs)
    await answer(own, system.environment)
    return await make_credential(system.door.port, system.environment, name)
