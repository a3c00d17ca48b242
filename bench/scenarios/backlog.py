"""A long queue drains as fast as a short one."""

from collections.abc import Mapping
from typing import ClassVar

from bench.scenarios.filling import fill_deliveries
from bench.scenarios.stage import Criterion, Stage, loss
from bench.systems import Ours

_SHORT, _LONG = 10_000, 1_000_000
_MEASURED = 20_000
_WARM = 2_000  # delivered before measuring begins
_SILENCE = 30.0  # seconds


class Backlog:
    """Two installations, in turn: one queue is refilled each time, the other barely shrinks."""

    name: ClassVar[str] = "backlog"
    forms: ClassVar[tuple[str, ...]] = ("onebox",)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._short, self._long = stage.scaled(_SHORT), stage.scaled(_LONG)
        self._measured, self._warm = stage.scaled(_MEASURED), stage.scaled(_WARM)
        self.criteria: Mapping[str, Criterion] = {
            "loss": Criterion(
                f"{self._long:,} queued deliveries drain slower than {self._short:,}, %", 10.0
            ),
            "long": Criterion(f"... {self._long:,} queued, messages/s", digits=0),
            "short": Criterion(f"... {self._short:,} queued, messages/s", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return self._long / 8_000 + rounds * (2 * self._measured / 1_200 + 25)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        self._installed = {name: await self._stage.create(name) for name in ("short", "long")}
        # Deliveries that were measured, warmed up or under way at the end are gone the next time.
        used = rounds * (self._measured + self._warm) * 5 // 4
        await self._fill(self._installed["long"], self._long + used)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        found: dict[str, float] = {}
        for name in ("short", "long") if number % 2 else ("long", "short"):
            if name == "short":
                more = self._short + self._measured + self._warm
                await self._fill(self._installed[name], more)
            found[name] = await self._drain(self._installed[name], f"{name} queue")
        return {**found, "loss": loss(found["long"], found["short"])}

    async def _fill(self, system: Ours, count: int) -> None:
        await fill_deliveries(system, count, lambda done: self._stage.tell("filling", count, done))

    async def _drain(self, system: Ours, name: str) -> float:
        """Deliveries a second."""
        async with self._stage.running(system) as receiving:
            self._stage.tell(name, 0, 0)
            arrived = await receiving.next(self._warm + self._measured, _SILENCE)
        times = sorted(arrival.at for arrival in arrived)
        measured = times[self._warm : self._warm + self._measured]
        return len(measured) / (measured[-1] - times[self._warm - 1])
