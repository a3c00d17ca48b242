"""Large messages: the same octets in messages of 10 KB and of 1 MB."""

from collections.abc import Mapping
from typing import ClassVar

from bench.accounting import largest_peak_octets
from bench.children import POSTHOUSE
from bench.scenarios.stage import CONNECTIONS, SIZE, Criterion, Stage
from bench.systems import Ours

_LARGE = 1 << 20
_TOTAL = 200 << 20  # octets
_COPIES = 2  # of a message in each hop


class Octets:
    """Rate and memory of newly started processes."""

    name: ClassVar[str] = "octets"
    forms: ClassVar[tuple[str, ...]] = ("onebox", "split")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._total = stage.scaled(_TOTAL)
        self.criteria: Mapping[str, Criterion] = {
            "times": Criterion("messages of 1 MB: time of the same octets in 10 KB, times", 1.0, 2),
            "copies": Criterion(
                f"... MB that the largest process grows by for each of {CONNECTIONS} messages under"
                " way and each hop in it",
                float(_COPIES),
            ),
            "large_rate": Criterion("... MB/s of 1 MB", digits=1),
            "small_rate": Criterion("... MB/s of 10 KB", digits=1),
            "large_cpu": Criterion("... CPU ms per MB of 1 MB"),
            "small_cpu": Criterion("... CPU ms per MB of 10 KB"),
            "large_peak": Criterion("... largest process of ours with 1 MB, MB", digits=0),
            "small_peak": Criterion("... largest process of ours with 10 KB, MB", digits=0),
            "large_all": Criterion("... all processes with 1 MB (PSS), MB", digits=0),
            "small_all": Criterion("... all processes with 10 KB (PSS), MB", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * (self._total / SIZE / 800 + 35)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        found: dict[str, float] = {}
        sizes = {"small": SIZE, "large": _LARGE}
        for name in sizes if number % 2 else reversed(sizes):
            found |= await self._pass(self._system, sizes[name], name)
        grown = max(found["large_peak"] - found["small_peak"], 0.0)
        in_hand = CONNECTIONS * (_LARGE >> 20) * self._system.hops
        return {
            **found,
            "times": found["small_rate"] / found["large_rate"],
            "copies": grown / in_hand,
        }

    async def _pass(self, system: Ours, size: int, name: str) -> dict[str, float]:
        async with self._stage.running(system) as receiving:
            messages = max(self._total // size, 2 * CONNECTIONS)
            plan = self._stage.plan(system, messages, size=size)
            phase = await self._stage.phase(system, receiving, plan, f"{size:,} octets each")
            peak = largest_peak_octets(system.account.pids(), POSTHOUSE)
        megabytes = messages * size / 2**20
        seconds = max(a.at for a in phase.arrived) - min(m.submitted for m in phase.sent)
        return {
            f"{name}_rate": megabytes / seconds,
            f"{name}_cpu": phase.system_seconds * 1000 / megabytes,
            f"{name}_peak": peak / 2**20,
            f"{name}_all": phase.peak_octets / 2**20,
        }
