"""A submission to a hundred recipients costs little more than its hundred deliveries."""

from collections.abc import Mapping
from typing import ClassVar

from bench.scenarios.stage import Criterion, Stage

_MANY = 100
_TO_ONE, _TO_MANY = 4_000, 200  # submissions


class Recipients:
    """CPU of submissions with one recipient and with many, in turn."""

    name: ClassVar[str] = "recipients"
    forms: ClassVar[tuple[str, ...]] = ("onebox", "split")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = {1: stage.scaled(_TO_ONE), _MANY: stage.scaled(_TO_MANY)}
        self.criteria: Mapping[str, Criterion] = {
            "times": Criterion(f"CPU of {_MANY} recipients, times that of one", 15.0),
            "many": Criterion(f"... CPU ms of a submission to {_MANY}", digits=2),
            "one": Criterion("... CPU ms of a submission to one", digits=2),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        deliveries = sum(count * copies for copies, count in self._messages.items())
        return rounds * (deliveries / 1_000 + 20)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        each: dict[int, float] = {}
        async with self._stage.running(self._system) as receiving:
            for copies in (1, _MANY) if number % 2 else (_MANY, 1):
                plan = self._stage.plan(self._system, self._messages[copies], recipients=copies)
                name = f"recipients: {copies}"
                phase = await self._stage.phase(self._system, receiving, plan, name)
                each[copies] = phase.system_seconds * 1000 / plan.messages
        return {"one": each[1], "many": each[_MANY], "times": each[_MANY] / each[1]}
