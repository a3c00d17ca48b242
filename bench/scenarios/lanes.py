"""High mail while a lot of bulk drains: it is fast, and bulk loses little."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import ClassVar

from bench.children import Child, ProgramFailed
from bench.figures import Phase, Sent, percentile
from bench.observing import load_command
from bench.scenarios.stage import Criterion, Stage, delivered_per_second, loss

_BULK = 50_000
_RATE = 5.0  # messages a second in lanes 1 and 2
_HIGH = ((1, 1), (2, 1))
_ENOUGH = 100_000  # of these: more than are needed


class Lanes:
    """The same bulk with and without high mail; the two take turns in being first."""

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
            beside: AbstractAsyncContextManager[list[Sent]] = (
                self._high_mail() if high else nullcontext([])
            )
            async with self._stage.running(self._system) as receiving, beside as sent:
                plan = self._stage.plan(self._system, self._bulk, lanes=((5, 1),))
                name = "bulk with high mail" if high else "bulk alone"
                phase = await self._stage.phase(self._system, receiving, plan, name)
            found["bulk" if high else "alone"] = delivered_per_second(phase)
            if high:
                found |= _latencies(sent, phase)
        return {**found, "loss": loss(found["bulk"], found["alone"])}

    @asynccontextmanager
    async def _high_mail(self) -> AsyncIterator[list[Sent]]:
        """Send a few messages a second meanwhile; at the end, those that were answered.

        They come from a process of its own, so that only the relay can delay them.
        """
        stage = self._stage
        plan = stage.plan(self._system, _ENOUGH, lanes=_HIGH, rate=_RATE, connections=2)
        log = stage.folder / "sent-high.tsv"
        log.unlink(missing_ok=True)
        command = [*load_command(plan), "--log", str(log)]
        load = await Child.start(command, stage.folder / "load-high.log")
        sent: list[Sent] = []
        try:
            yield sent
        finally:
            await load.stop()
        if not log.exists():
            raise ProgramFailed(load.said())
        sent += map(Sent.read, log.read_text().splitlines())


def _latencies(sent: Sequence[Sent], phase: Phase) -> dict[str, float]:
    """99th percentiles while bulk passed: to the reply, and from there to MAIL at the sink."""
    end = max(arrival.at for arrival in phase.arrived)
    meanwhile = [message for message in sent if message.submitted < end]
    started = {arrival.id: arrival.started for arrival in reversed(phase.others)}
    return {
        "accept": percentile([(m.answered - m.submitted) * 1000 for m in meanwhile], 0.99),
        "attempt": percentile(
            [(started[m.id] - m.answered) * 1000 for m in meanwhile if m.id in started], 0.99
        ),
    }
