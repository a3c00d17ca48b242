"""How mail queues in a relay of many cores: a simulation, from what was measured of one.

    python -m bench.capacity [--messages 20000] [--flush-ms 0.5] [--log-mb 500]

Messages arrive at random (Poisson) and pass ingest, policy and dispatcher. Each of them spends CPU
of the services for itself; then it waits for a statement of its step, which takes all that wait, up
to 64 (as intake, claims and results do), spends CPU of PostgreSQL, and waits for the log, which is
flushed by one at a time for all that have come until then (as PostgreSQL does). A pool of cores
serves what came first. Printed for each rate: how busy services, PostgreSQL and log are, messages
in a statement, and the time from arrival to the end. Costs are those of `bench.footprint`, below.
"""

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STEPS = 3  # statements that a message passes: accept, prepare, settle
MOST_TOGETHER = 64

# Seconds of CPU, and octets. `python -m bench.footprint` at two rates, at which a message took
# 0.557 and 3.72 commits: CPU = of a message + of a commit times commits, solved for both.
SERVICES_MESSAGE, SERVICES_STATEMENT = 717e-6, 737e-6
DATABASE_MESSAGE, DATABASE_STATEMENT = 157e-6, 544e-6
LOG_MESSAGE = 16_700.0


_END_SECONDS = 0.2  # from the last message to the end, where a relay keeps up
_RELAYS = (
    # Messages a second, cores of the services, cores of PostgreSQL.
    (100, 1, 1), (1_000, 1, 1), (1_000, 2, 1), (1_000, 4, 2), (3_000, 8, 2), (3_000, 8, 4),
    (10_000, 16, 2), (10_000, 16, 4), (10_000, 24, 8), (10_000, 32, 16), (30_000, 64, 16),
    (30_000, 96, 32), (100_000, 320, 32), (100_000, 320, 96),
)  # fmt: skip
_HEAD = (
    "messages/s | cores: services, PostgreSQL | busy: services, PostgreSQL, log | "
    "messages a statement | ms p50, p99 | keeps up"
)


@dataclass(slots=True)
class Relay:
    """One way to build it."""

    rate: float  # messages a second
    service_cores: int
    database_cores: int
    writers: int  # statements of a step that run at one time
    flush_seconds: float
    log_octets: float  # a second


@dataclass(slots=True)
class Cores:
    """A pool of cores that serves what came first."""

    count: int
    free: list[float] = field(default_factory=list)  # when each is
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.free = [0.0] * self.count

    def done(self, now: float, seconds: float) -> float:
        """When work that comes *now* is done."""
        at = max(now, heapq.heappop(self.free)) + seconds
        heapq.heappush(self.free, at)
        self.spent += seconds
        return at


@dataclass(slots=True)
class Simulation:
    """Messages as the times at which they came."""

    relay: Relay
    services: Cores = field(init=False)
    database: Cores = field(init=False)
    waiting: list[deque[float]] = field(default_factory=lambda: [deque() for _ in range(STEPS)])
    running: list[int] = field(default_factory=lambda: [0] * STEPS)
    unflushed: list[tuple[int, list[float]]] = field(default_factory=list)
    flushing: bool = False
    flushed: float = 0.0  # seconds that the log was busy
    statements: int = 0
    took: list[float] = field(default_factory=list)
    agenda: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.services = Cores(self.relay.service_cores)
        self.database = Cores(self.relay.database_cores)

    def run(self, messages: int, seed: int) -> tuple[float, float]:
        """Pass that many; when the last one came, and when it was done."""
        chance, now = random.Random(seed), 0.0  # noqa: S311 -- a simulation
        for _ in range(messages):
            now += chance.expovariate(self.relay.rate)
            self._at(now, lambda at: self._enter(0, at, at))
        last = now
        while self.agenda:
            now, _, act = heapq.heappop(self.agenda)
            act(now)
        return last, now

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.agenda, (when, self.number, act))

    def _enter(self, step: int, came: float, now: float) -> None:
        """The message's own work before the statement of *step*."""
        done = self.services.done(now, SERVICES_MESSAGE / STEPS)
        self._at(done, lambda at: self._wait(step, came, at))

    def _wait(self, step: int, came: float, now: float) -> None:
        self.waiting[step].append(came)
        self._write(step, now)

    def _write(self, step: int, now: float) -> None:
        queue = self.waiting[step]
        if not queue or self.running[step] >= self.relay.writers:
            return
        self.running[step] += 1
        self.statements += 1
        batch = [queue.popleft() for _ in range(min(len(queue), MOST_TOGETHER))]
        asked = self.services.done(now, SERVICES_STATEMENT)
        cost = DATABASE_STATEMENT + len(batch) * DATABASE_MESSAGE / STEPS
        self._at(asked, lambda at: self._at(self.database.done(at, cost), self._log(step, batch)))

    def _log(self, step: int, batch: list[float]) -> Callable[[float], None]:
        def commit(now: float) -> None:
            self.unflushed.append((step, batch))
            self._flush(now)

        return commit

    def _flush(self, now: float) -> None:
        if self.flushing or not self.unflushed:
            return
        self.flushing, together = True, self.unflushed
        self.unflushed = []
        octets = sum(len(batch) for _, batch in together) * LOG_MESSAGE / STEPS
        seconds = max(self.relay.flush_seconds, octets / self.relay.log_octets)
        self.flushed += seconds
        self._at(now + seconds, lambda at: self._committed(together, at))

    def _committed(self, together: list[tuple[int, list[float]]], now: float) -> None:
        self.flushing = False
        for step, batch in together:
            self.running[step] -= 1
            for came in batch:
                if step + 1 < STEPS:
                    self._enter(step + 1, came, now)
                else:
                    self.took.append(now - came)
        for step in range(STEPS):
            self._write(step, now)
        self._flush(now)


def lines(messages: int, flush: float, log: float) -> Iterator[str]:
    """A line for each relay."""
    yield _HEAD
    for rate, services, database in _RELAYS:
        relay = Relay(rate, services, database, max(2, services // 4), flush, log)
        made, count = Simulation(relay), max(messages, rate)
        last, seconds = made.run(count, 1)
        took = sorted(made.took)
        busy = (
            made.services.spent / seconds / services,
            made.database.spent / seconds / database,
            made.flushed / seconds,
        )
        shown = ", ".join(f"{one:.0%}" for one in busy)
        together = STEPS * count / made.statements
        p50, p99 = (took[len(took) * part // 100] * 1e3 for part in (50, 99))
        keeps = "yes" if seconds < last + _END_SECONDS else "no"
        first = f"{rate:,} | {services}, {database} | {shown} | {together:.1f}"
        yield f"{first} | {p50:.1f}, {p99:.1f} | {keeps}"


def main() -> None:
    """Simulate."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--flush-ms", type=float, default=0.5, help="of the log, at least")
    parser.add_argument("--log-mb", type=float, default=500.0, help="a second, that it takes")
    given = parser.parse_args()
    for line in lines(given.messages, given.flush_ms / 1e3, given.log_mb * 1e6):
        print(line)


if __name__ == "__main__":
    main()
