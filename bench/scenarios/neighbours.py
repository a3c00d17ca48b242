"""A client that sends a little, beside slow clients, and beside a flood of large bulk messages."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import ClassVar

from bench.children import PYTHON, Child
from bench.figures import percentile
from bench.observing import load_command
from bench.scenarios.stage import Criterion, Stage

_MESSAGES = 1_500
_RATE = 50.0  # messages a second
_SLOW = 500  # clients
_FLOOD = 30  # connections
_LARGE = 4 << 20  # octets of a message in the flood
_ENOUGH = 100_000  # of these: more than are needed
_SETTLES_SECONDS = 3.0


class Neighbours:
    """The replies that one client waits for; what is beside it takes turns in being first."""

    name: ClassVar[str] = "neighbours"
    forms: ClassVar[tuple[str, ...]] = ("onebox", "split")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self._slow = stage.scaled(_SLOW)
        self.criteria: Mapping[str, Criterion] = {
            "slow": Criterion(
                f"accept p99 beside {self._slow} clients that send an octet a second, times", 1.5, 2
            ),
            "flood": Criterion(
                f"... of lane 1 beside {_FLOOD} connections with bulk of {_LARGE >> 20} MB, times",
                digits=1,
            ),
            "alone_p99": Criterion("... alone, accept p99, ms"),
            "slow_p99": Criterion("... beside slow clients, accept p99, ms"),
            "flood_p99": Criterion("... beside the flood, accept p99, ms", 250.0),
            "flood_p50": Criterion("... beside the flood, accept p50, ms"),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * 3 * (self._messages / _RATE + 20)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        found: dict[str, float] = {}
        names = ("alone", "slow", "flood")
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            times = await self._replies(name)
            found |= {f"{name}_p99": percentile(times, 0.99), f"{name}_p50": percentile(times, 0.5)}
        return {
            **found,
            "slow": found["slow_p99"] / found["alone_p99"],
            "flood": found["flood_p99"] / found["alone_p99"],
        }

    async def _replies(self, name: str) -> Sequence[float]:
        """How long each reply took, in milliseconds, with *name* beside."""
        async with self._stage.running(self._system) as receiving:
            beside: Mapping[str, AbstractAsyncContextManager[None]] = {
                "alone": nullcontext(),
                "slow": self._slow_clients(),
                "flood": self._flood(),
            }
            async with beside[name]:
                plan = self._stage.plan(
                    self._system, self._messages, lanes=((1, 1),), rate=_RATE, connections=4
                )
                phase = await self._stage.phase(self._system, receiving, plan, f"{name}: replies")
        return [(sent.answered - sent.submitted) * 1000 for sent in phase.sent]

    @asynccontextmanager
    async def _slow_clients(self) -> AsyncIterator[None]:
        door = self._system.door
        command = [
            *(PYTHON, "-m", "bench.slow", "--to", f"{door.host}:{door.port}"),
            *("-n", str(self._slow), "--auth", f"{door.user}:{door.secret}"),
        ]
        slow = await Child.start(command, self._stage.folder / "slow.log", speaks=True)
        try:
            await slow.line()
            yield
        finally:
            await slow.stop()

    @asynccontextmanager
    async def _flood(self) -> AsyncIterator[None]:
        plan = self._stage.plan(
            self._system, _ENOUGH, size=_LARGE, connections=_FLOOD, lanes=((5, 1),)
        )
        command = [*load_command(plan), "--persist"]
        load = await Child.start(command, self._stage.folder / "flood.log")
        try:
            await asyncio.sleep(_SETTLES_SECONDS)
            yield
        finally:
            await load.stop()
