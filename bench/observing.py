"""One series of messages through a system, and its cost."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.accounting import Account, machine_seconds, memory_octets
from bench.children import PYTHON, Child
from bench.figures import Arrived, Phase, Sent
from bench.load import Plan
from bench.receiving import Receiving

_SAMPLE_SECONDS = 0.5
# Sampling memory costs time for each process, and would slow down systems with many of them. At a
# rate it is not done: a hundredth of the time is a hundredth of the messages, which p99 shows.
_SAMPLING_SHARE = 0.01  # of a core, at most
_STALL_SECONDS = 60.0  # without an arrival: the rest is lost
_REST_SECONDS = 6.0  # how long a system may take to become idle
_REST_SHARE = 0.03  # of a core: below this it is idle


class Observer:
    """Watches one system between load generators and a sink."""

    def __init__(self, system: Account, sink: Receiving, scratch: Path) -> None:
        """*scratch* is a folder for logs."""
        self._system = system
        self._sink = sink
        self._scratch = scratch

    async def phase(self, plan: Plan, tell: Callable[[int], None]) -> Phase:
        """Send what *plan* says and wait for it to arrive. Raises ProgramFailed."""
        self._sink.new()  # drop messages of an earlier series
        machine, system, sink = self._clocks()
        began = time.monotonic()
        log = self._scratch / f"sent-{plan.first}.tsv"
        load = await Child.start(
            [*load_command(plan), "--log", str(log)], self._scratch / "load.log", speaks=True
        )
        series = _Series(plan)
        try:
            peak = await self._all_arrived(load, series, tell, sampling=not plan.rate)
            load_seconds = (await load.line())["cpu_us_per_message"] * plan.messages / 1e6
        finally:
            await load.stop()
        await at_rest(self._system)
        series.add(self._sink.new())
        seconds = time.monotonic() - began
        machine, system, sink = (
            now - then for now, then in zip(self._clocks(), (machine, system, sink), strict=True)
        )
        return Phase(
            sent=[Sent.read(line) for line in log.read_text().splitlines()],
            arrived=series.arrived,
            others=series.others,
            system_seconds=system,
            sink_seconds=sink,
            load_seconds=load_seconds,
            other_seconds=machine - system - sink - load_seconds,
            seconds=seconds,
            peak_octets=peak,
        )

    async def _all_arrived(
        self, load: Child, series: "_Series", tell: Callable[[int], None], *, sampling: bool
    ) -> int:
        """Return, when everything has arrived, the largest memory of the system meanwhile.

        0 without *sampling*.
        """
        peak, memory_at, progress = 0, 0.0, time.monotonic()
        while load.running or not series.complete:
            await asyncio.sleep(_SAMPLE_SECONDS)
            if sampling and (began := time.monotonic()) >= memory_at:
                # In a thread: reading the kernel's figures may take a while.
                octets = await asyncio.to_thread(memory_octets, self._system.pids())
                peak = max(peak, octets)
                memory_at = began + (time.monotonic() - began) / _SAMPLING_SHARE
            fresh = series.add(self._sink.new())
            tell(series.messages_arrived)
            if fresh:
                progress = time.monotonic()
            elif time.monotonic() - progress > _STALL_SECONDS:
                break
        return peak

    def _clocks(self) -> tuple[float, float, float]:
        return machine_seconds(), self._system.cpu_seconds(), self._sink.account.cpu_seconds()


async def at_rest(*accounts: Account) -> None:
    """Wait until the work after the last message is done."""
    for _ in range(int(_REST_SECONDS / _SAMPLE_SECONDS)):
        before = [account.cpu_seconds() for account in accounts]
        await asyncio.sleep(_SAMPLE_SECONDS)
        spent = [one.cpu_seconds() - then for one, then in zip(accounts, before, strict=True)]
        if max(spent) < _REST_SHARE * _SAMPLE_SECONDS:
            return


class _Series:
    """The arrivals of one plan, and other arrivals."""

    def __init__(self, plan: Plan) -> None:
        self._ids = frozenset(map(str, range(plan.first, plan.first + plan.messages)))
        self._copies = plan.recipients
        self.arrived: list[Arrived] = []
        self.others: list[Arrived] = []

    def add(self, fresh: list[Arrived]) -> bool:
        """Sort *fresh*; whether there is one of the plan's."""
        before = len(self.arrived)
        for arrival in fresh:
            (self.arrived if arrival.id in self._ids else self.others).append(arrival)
        return len(self.arrived) > before

    @property
    def messages_arrived(self) -> int:
        """How many messages have arrived, each at as many recipients as it has."""
        return len(self.arrived) // self._copies

    @property
    def complete(self) -> bool:
        """Whether all have arrived."""
        return len(self.arrived) >= len(self._ids) * self._copies


def load_command(plan: Plan) -> Iterator[str]:
    """The command for *plan*; with `--log` it writes the result of each message."""
    door = plan.door
    options = {
        "--to": f"{door.host}:{door.port}",
        "--messages": plan.messages,
        "--connections": plan.connections,
        "--size": plan.size,
        "--sender": plan.sender,
        "--recipients": plan.recipients,
        "--lanes": ",".join(f"{lane}={weight}" for lane, weight in plan.lanes),
        "--rate": plan.rate,
        "--first": plan.first,
        "--auth": f"{door.user}:{door.secret}" if door.user else "",
        "--http": plan.http or "",
    }
    flags = {
        "--tls": door.tls is not None,
        "--once": plan.once,
        "--newsletter": plan.newsletter,
    }
    words = (
        *((name, str(value)) for name, value in options.items() if value),
        *(("--field", field) for field in plan.fields),
        *((flag,) for flag, given in flags.items() if given),
    )
    return itertools.chain((PYTHON, "-m", "bench.load"), *words)
