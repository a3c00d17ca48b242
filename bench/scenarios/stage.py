"""What a scenario is, and the installations it runs on."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bench.figures import Phase
from bench.load import Plan
from bench.observing import Observer
from bench.receiving import Receiving
from bench.systems import DOMAIN, Ours

CONNECTIONS = 20
SIZE = 10_240  # octets of a message


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row of the table of scenarios."""

    label: str
    limit: float | None = None  # the value must not exceed it; None: for information only
    digits: int = 1


class Scenario(Protocol):
    """One question about Posthouse alone, measured several times."""

    name: ClassVar[str]
    forms: ClassVar[tuple[str, ...]]  # the systems it is measured on
    criteria: Mapping[str, Criterion]  # by the key of the value

    def __init__(self, stage: "Stage") -> None: ...

    def seconds(self, rounds: int) -> float:
        """About how long it takes, on two cores."""

    async def prepare(self, rounds: int) -> None:
        """Do the work that is needed only once. Raises ProgramFailed."""

    async def round(self, number: int) -> Mapping[str, float]:
        """Measure once; a value for each of the criteria. Raises ProgramFailed."""


class Stage:
    """One form of Posthouse, as many installations of it as a scenario needs, and a sink."""

    def __init__(
        self,
        build: Callable[[Path, int], Ours],
        folder: Path,
        sink_port: int,
        tell: Callable[[str, int, int], None],
        scale: float = 1.0,
    ) -> None:
        """Data and logs go to *folder*; *tell* gets the phase, the number wanted and that so far.

        Numbers of messages and rows are multiplied by *scale*: below 1 it is only a rehearsal.
        """
        self.folder = folder
        self.tell = tell
        self._build = build
        self._sink_port = sink_port
        self._scale = scale
        self._next = 0  # number of a message
        self._built: list[Ours] = []

    def scaled(self, count: int) -> int:
        """*count* multiplied by the scale."""
        return max(round(count * self._scale), 1)

    def install(self, name: str) -> Ours:
        """A new installation, in a folder called *name*."""
        folder = self.folder / name
        folder.mkdir(mode=0o711)
        self._built.append(self._build(folder, self._sink_port))
        return self._built[-1]

    async def create(self, name: str) -> Ours:
        """A new installation that has run once, so that its database is there."""
        system = self.install(name)
        async with self.running(system):
            return system

    @asynccontextmanager
    async def running(self, system: Ours, *, save_first: int = 0) -> AsyncIterator[Receiving]:
        """Run *system* and a sink, which starts before it and stops after it.

        The sink saves the first messages.
        """
        sink = Receiving.open(self._sink_port, self.folder, save_first=save_first)
        async with sink as receiving:
            self.tell("starting", 0, 0)
            try:
                await system.start()
                yield receiving
            finally:
                self.tell("stopping", 0, 0)
                await system.stop()

    def plan(self, system: Ours, messages: int, **given: Any) -> Plan:
        """A plan of *messages* messages with numbers of their own."""
        first, self._next = self._next, self._next + messages
        told = {"connections": CONNECTIONS, "size": SIZE, "sender": f"news@{DOMAIN}", **given}
        return Plan(system.door, messages, first=first, **told)

    async def phase(self, system: Ours, receiving: Receiving, plan: Plan, name: str) -> Phase:
        """Send what *plan* says and wait for it to arrive."""
        observer = Observer(system.account, receiving, self.folder)
        return await observer.phase(plan, lambda done: self.tell(name, plan.messages, done))

    def close(self) -> None:
        """Count no more."""
        for system in self._built:
            system.account.close()


def accepted_per_second(phase: Phase) -> float:
    """From the first submission to the last reply."""
    began = min(message.submitted for message in phase.sent)
    ended = max(message.answered for message in phase.sent)
    return len(phase.sent) / (ended - began)


def delivered_per_second(phase: Phase) -> float:
    """From the first submission to the last arrival."""
    began = min(message.submitted for message in phase.sent)
    ended = max(arrival.at for arrival in phase.arrived)
    return len(phase.arrived) / (ended - began)


def loss(with_it: float, without: float) -> float:
    """By how many percent the first rate is lower than the second."""
    return (1 - with_it / without) * 100
