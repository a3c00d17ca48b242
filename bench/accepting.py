"""Acceptance alone, by every way in: ours beside stock aiosmtpd and Postfix."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.accepted import (
    JSON,
    MOST_JSON_MS,
    MOST_TIMES,
    RAW,
    SMTP,
    Accepted,
    Run,
    ours,
    raw_times,
    run_of,
)
from bench.accounting import Account
from bench.children import Child
from bench.display import Display
from bench.figures import Sent
from bench.ingest_alone import HTTP, HTTPS, IngestAlone
from bench.load import Plan
from bench.load_http import Form
from bench.load_session import Door
from bench.observing import at_rest, load_command
from bench.peers.submission import CLEAR, STARTTLS, Aiosmtpd, HoldingPostfix, KeepingAiosmtpd
from bench.report import Found
from bench.systems import DOMAIN, NotMeasured

ACCEPT = "accept"  # the figure
_SIZE, _JSON_SIZE = 10_240, 12_288  # octets of a message
_CONNECTIONS = 20
_WARM_UP = 0.1  # of the messages of a run


class Acceptor(Protocol):
    """A server that takes mail from clients that log in, and delivers none."""

    name: str
    title: str
    version: str  # of its programs; known after `prepare`
    accounts: tuple[Account, ...]  # what speaks with clients, what is behind it

    @property
    def doors(self) -> Mapping[str, Door]:
        """Where to connect, by name; after `start`. It need not have all."""

    async def prepare(self) -> None:
        """Install what is missing. Raises NotMeasured."""

    async def start(self) -> None:
        """Return when it takes mail. Raises ProgramFailed."""

    async def stop(self) -> None:
        """Stop it in order."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way in, and how many messages take it."""

    name: str
    label: str
    door: str
    messages: int
    once: bool = False
    http: Form | None = None


WAYS = (
    Way(SMTP, "SMTP, kept connections", CLEAR, 4_000),
    Way("smtp-once", "SMTP, a connection each", CLEAR, 2_000, once=True),
    Way("starttls-once", "STARTTLS, a connection each", STARTTLS, 1_000, once=True),
    Way(RAW, "HTTP, kept connections", HTTP, 4_000, http=Form.RAW),
    Way(JSON, "HTTP, JSON, kept connections", HTTP, 2_000, http=Form.JSON),
    Way("https-once", "HTTPS, a connection each", HTTPS, 1_000, once=True, http=Form.RAW),
)


class Accepting:
    """Measures all ways into all systems, which run side by side, one at a time.

    Systems that cannot be installed are left out, and runs that fail.
    """

    def __init__(self, folder: Path, runs: int, scale: float) -> None:
        """*scale*: of the numbers of messages."""
        self._folder = folder
        self._runs = runs
        self._scale = scale
        self._systems: list[Acceptor] = []
        self._found: dict[tuple[str, str], list[Run]] = {}
        self.not_measured: dict[str, str] = {}  # title and reason
        self.failed: list[str] = []

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """The results of each way into each system."""
        return tuple(
            Accepted(way.name, way.label, system.name, system.title, system.version, tuple(runs))
            for way in WAYS
            for system in self._systems
            if (runs := self._found.get((way.name, system.name)))
        )

    @property
    def limits(self) -> tuple[Found, ...]:
        """What of it has a limit."""
        found = []
        if times := raw_times(self.accepted):
            label = "CPU of ingest, a message as it is by HTTP, times that by SMTP"
            found.append(Found(ACCEPT, IngestAlone.title, label, times, MOST_TIMES, 2))
        if described := ours(self.accepted).get(JSON):
            milliseconds = tuple(run.front_cpu_ms for run in described.runs)
            label = "CPU of ingest, 12 KB of JSON, ms"
            found.append(Found(ACCEPT, IngestAlone.title, label, milliseconds, MOST_JSON_MS, 2))
        return tuple(found)

    def seconds(self) -> float:
        """About how long it takes, on two cores."""
        return self._runs * sum(way.messages * self._scale / 400 + 5 for way in WAYS) * 3 + 60

    async def run(self, display: Display) -> None:
        """Measure; all in turn, round after round, so that a bad moment affects all of them."""
        self._folder.mkdir(mode=0o711)
        async with contextlib.AsyncExitStack() as stack:
            for build in (IngestAlone, Aiosmtpd, KeepingAiosmtpd, HoldingPostfix):
                await self._begin(build(self._folder), stack, display)
            for number in range(1, self._runs + 1):
                for way in WAYS:
                    for system in _from(number, self._systems):
                        if way.door in system.doors:
                            display.run(f"run {number} of {self._runs}: {system.title}")
                            await self._measure(system, way, number, display)

    async def _begin(
        self, system: Acceptor, stack: contextlib.AsyncExitStack, display: Display
    ) -> None:
        for account in system.accounts:
            stack.callback(account.close)
        display.run(system.title)
        display.phase("preparing", 0)
        try:
            await system.prepare()
            stack.push_async_callback(system.stop)
            await system.start()
        except NotMeasured as reason:
            self.not_measured[system.title] = str(reason)
            display.say(f"NOT MEASURED: {system.title}: {reason}")
        except Exception as error:  # noqa: BLE001 -- the others keep their figures
            self._note_failure(system.title, error, display)
        else:
            self._systems.append(system)

    def _note_failure(self, what: str, error: Exception, display: Display) -> None:
        self.failed.append(f"{what}: {error!s:.500}" if str(error) else f"{what}: {error!r}")
        display.say(f"FAILED: {self.failed[-1]}")

    async def _measure(self, system: Acceptor, way: Way, number: int, display: Display) -> None:
        messages = max(round(way.messages * self._scale), _CONNECTIONS)
        try:
            display.phase(f"{way.label}, warming up", 0)
            await self._load(system, way, max(round(messages * _WARM_UP), 1))
            display.phase(way.label, 0)
            run = await self._load(system, way, messages)
        except Exception as error:  # noqa: BLE001 -- the others keep their figures
            self._note_failure(f"{system.title}, {way.label}, run {number}", error, display)
        else:
            self._found.setdefault((way.name, system.name), []).append(run)

    async def _load(self, system: Acceptor, way: Way, messages: int) -> Run:
        """Send *messages* of them. Raises ProgramFailed."""
        plan = Plan(
            system.doors[way.door],
            messages,
            _CONNECTIONS,
            _JSON_SIZE if way.http is Form.JSON else _SIZE,
            f"news@{DOMAIN}",
            http=way.http,
            once=way.once,
        )
        log = self._folder / "sent.tsv"
        await at_rest(*system.accounts)
        before = [account.cpu_seconds() for account in system.accounts]
        command = [*load_command(plan), "--log", str(log)]
        load = await Child.start(command, self._folder / "load.log", speaks=True)
        try:
            cpu = (await load.line())["cpu_us_per_message"] * messages / 1e6
        finally:
            await load.stop()
        await at_rest(*system.accounts)
        spent = [
            account.cpu_seconds() - then
            for account, then in zip(system.accounts, before, strict=True)
        ]
        sent = await asyncio.to_thread(log.read_text)
        return run_of([Sent.read(line) for line in sent.splitlines()], spent, cpu)


def _from(number: int, systems: Sequence[Acceptor]) -> Sequence[Acceptor]:
    """All of them; each round another one is the first."""
    first = number % len(systems) if systems else 0
    return [*systems[first:], *systems[:first]]
