"""High mail while a lot of bulk drains: it is quick, and bulk hardly notices."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

from bench.figures import Phase, percentile
from bench.load import Load, Plan, Sent
from bench.scenarios.stage import Criterion, Stage, delivered_per_second, loss
from bench.systems import Ours

_BULK = 50_000
_RATE = 5.0  # messages a second in lanes 1 and 2
_HIGH = ((1, 1), (2, 1))
_ENOUGH = 100_000  # of these: as many as it takes


class Lanes:
    """The same bulk with and without high mail, which lane takes turns in being first."""

    name: ClassVar[str] = "lanes"
    forms: ClassVar[tuple[str, ...]] = ("onebox", "split")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bulk = stage.scaled(_BULK)
        what = f"high mail ({_RATE:g}/s) while {self._bulk:,} bulk messages pass"
        self.criteria: Mapping[str, Criterion] = {
            "accept": Criterion(f"{what}: accept p99, ms", 50.0),
            "attempt": Criterion("... from 250 to the first attempt p99, ms", 250.0),
            "loss": Criterion("... bulk delivered slower than without, %", 5.0),
            "bulk": Criterion("... bulk with high mail, messages/s", digits=0),
            "alone": Criterion("... bulk without, messages/s", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * 2 * (self._bulk / 800 + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        found: dict[str, float] = {}
        for high in (False, True) if number % 2 else (True, False):
            async with self._stage.running(self._system) as receiving:
                mixing = _HighMail(self._stage, self._system) if high else None
                plan = self._stage.plan(self._system, self._bulk, lanes=((5, 1),))
                name = "bulk with high mail" if high else "bulk alone"
                try:
                    phase = await self._stage.phase(self._system, receiving, plan, name)
                finally:
                    sent = await mixing.end() if mixing else []
            found["bulk" if high else "alone"] = delivered_per_second(phase)
            if high:
                found |= _latencies(sent, phase)
        return {**found, "loss": loss(found["bulk"], found["alone"])}


class _HighMail:
    """A few messages a second, until it is told to end."""

    def __init__(self, stage: Stage, system: Ours) -> None:
        plan: Plan = stage.plan(system, _ENOUGH, lanes=_HIGH, rate=_RATE, connections=2)
        self._load = Load(plan)
        self._task = asyncio.create_task(self._load.run())

    async def end(self) -> list[Sent]:
        """What was answered so far."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self._load.sent


def _latencies(sent: list[Sent], phase: Phase) -> dict[str, float]:
    """Percentiles 99: to the reply, and from there to MAIL at the sink."""
    started = {arrival.id: arrival.started for arrival in reversed(phase.others)}
    return {
        "accept": percentile([(m.answered - m.submitted) * 1000 for m in sent], 0.99),
        "attempt": percentile(
            [(started[m.id] - m.answered) * 1000 for m in sent if m.id in started], 0.99
        ),
    }
