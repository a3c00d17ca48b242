"""A long history does not slow down intake."""

from collections.abc import Mapping
from typing import ClassVar

from bench.scenarios.filling import fill_events
from bench.scenarios.stage import Criterion, Stage, accepted_per_second, loss

_EVENTS = 10_000_000
_MESSAGES = 10_000


class Events:
    """Two installations, in turn: one is new, one has a long history."""

    name: ClassVar[str] = "events"
    forms: ClassVar[tuple[str, ...]] = ("onebox",)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._events = stage.scaled(_EVENTS)
        self._messages = stage.scaled(_MESSAGES)
        self.criteria: Mapping[str, Criterion] = {
            "loss": Criterion(f"{self._events:,} events: intake slower than without, %", 5.0),
            "cpu": Criterion("... CPU per message higher than without, %"),
            "long": Criterion("... accepted with them, messages/s", digits=0),
            "new": Criterion("... accepted without, messages/s", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return self._events / 50_000 + rounds * 2 * (self._messages / 800 + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._installed = {name: await self._stage.create(name) for name in ("new", "long")}
        system, count = self._installed["long"], self._events
        await fill_events(system, count, lambda done: self._stage.tell("filling", count, done))

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        rate: dict[str, float] = {}
        cpu: dict[str, float] = {}
        for name in ("new", "long") if number % 2 else ("long", "new"):
            system = self._installed[name]
            async with self._stage.running(system) as receiving:
                plan = self._stage.plan(system, self._messages)
                phase = await self._stage.phase(system, receiving, plan, f"{name} history")
            rate[name], cpu[name] = accepted_per_second(phase), phase.system_seconds
        more = (cpu["long"] / cpu["new"] - 1) * 100
        return {**rate, "loss": loss(rate["long"], rate["new"]), "cpu": more}
