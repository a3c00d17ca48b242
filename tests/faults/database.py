"""A relay whose database is struck, and what its clients hear meanwhile."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from bench.load_session import Door
from bench.sink import Sink

from chaos.knock import knock
from chaos.relay import Onebox, Relay, Split
from servers.patience import eventually, on_this_machine

# No broker listens there. Hints go nowhere: mail is found by looking, up to ten times a second.
NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
# What is promised, in seconds: to see everything flow again.
BACK = 5.0
# And to be turned away in one; whoever waited for the database itself would be after twelve.
TURNED_AWAY = 10.0
FAULT, NO_LOGIN = "451 4.3.0", "454 4.7.0"


class Brokerless(Split):
    """A relay in many processes: who wants a broker is never ready, and works."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, NO_BROKER, None, dispatchers=1, settings=settings)

    async def start(self) -> None:
        """Return when mail can be submitted."""
        await self.start_database()
        for program in self.programs.values():
            program.launch()
        await eventually(self.programs["ingest"].is_ready, within=60)


def data_of(relay: Relay, folder: Path) -> Path:
    """Where the server of *relay*, which lives in *folder*, keeps its data."""
    return folder / ("data/postgres/data" if isinstance(relay, Onebox) else "postgres/data")


def stranger(door: Door) -> Door:
    """Somebody whom the door has to look up."""
    return replace(door, user="nobody")


async def timed_knock(door: Door, number: int = 0) -> tuple[float, str]:
    """Seconds until the reply that decided, and that reply's codes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    said = await knock(door, number=number)
    return loop.time() - began, said[:9]


def turned_away_in_time(heard: Sequence[tuple[float, str]]) -> bool:
    """Usually; and `knock` itself is out of patience with a hang."""
    return median(seconds for seconds, _ in heard) < TURNED_AWAY


async def flows(relay: Relay, sink: Sink, number: int, within: float = BACK) -> None:
    """Return when message *number*, new and unlike all others, has gone from door to sink."""

    async def taken() -> bool:
        return (await knock(relay.customer.normal, number=number)).startswith("250 ")

    async def arrived() -> bool:
        return str(number) in {arrival.id for arrival in sink.arrivals}

    async with asyncio.timeout(on_this_machine(within)):
        await eventually(taken)
        await eventually(arrived)


async def command(url: str, *statements: str) -> list[Any]:
    """Do something behind the relay's back, each statement by itself; the rows of the last."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


async def configure(url: str, name: str, value: str | None) -> None:
    """Change a setting of the running server; None: back to what it was."""
    change = f"RESET {name}" if value is None else f"SET {name} = '{value}'"
    await command(url, f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")


class ServerProcesses:
    """All processes of a PostgreSQL, to be stopped in their tracks."""

    def __init__(self, data: Path) -> None:
        self._data = data

    @property
    def postmaster(self) -> int:
        """The one that the others are children of."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def kill(self) -> None:
        """End it as a power cut does; its children follow by themselves."""
        os.kill(self.postmaster, signal.SIGKILL)

    def freeze(self) -> None:
        """Have it stand still, its connections open: nothing is refused, nothing answered."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        pid = self.postmaster
        os.kill(pid, number)  # first, so that it makes no more of them
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(int(child), number)
