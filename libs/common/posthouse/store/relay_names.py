"""What this relay is called: each program says so in the database, and commands read it there.

The records that customers publish name the relay, and a command does not have the settings of the
programs that run, perhaps on other hosts.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from typing import Any

import structlog

from posthouse.running.waiting import wait_for_event
from posthouse.store.failure import StoreRefused, StoreUnavailable
from posthouse.store.postgres import Postgres

VERSION = metadata.version("posthouse-common")
_SAY_SECONDS = 600.0
# A name that was not said for so long when another one was is no longer used.
_FRESH = timedelta(hours=1)
_TAKING = frozenset({"ingest", "up"})
_SENDING = frozenset({"dispatcher", "up"})
_RECEIVING = frozenset({"bounces", "up"})
_PREPARING = frozenset({"policy", "up"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RelayName:
    """A name that a program said last, and the hosts of domains that have none of their own.

    Their returned mail comes to one, and their tracked links lead to the other.
    """

    program: str
    hostname: str
    return_path_host: str | None = None
    tracking_host: str | None = None


@dataclass(frozen=True, slots=True)
class RelayNames:
    """What the programs of the relay call themselves, the newest first; at least one."""

    names: tuple[RelayName, ...]

    @property
    def submission(self) -> str:
        """The name of the host that clients submit to."""
        return self._of(_TAKING).hostname

    @property
    def sending(self) -> str:
        """The name of the host that mail comes from."""
        return self._of(_SENDING).hostname

    @property
    def receiving(self) -> str:
        """The name of the host that returned mail goes to."""
        return self._of(_RECEIVING).hostname

    @property
    def return_path_host(self) -> str:
        """The host of return paths of domains without one of their own."""
        found = self._of(_RECEIVING)
        return found.return_path_host or found.hostname

    @property
    def tracking_host(self) -> str | None:
        """The host of tracked links of domains without one of their own; None without any."""
        return self._of(_PREPARING).tracking_host

    @property
    def differing(self) -> str:
        """Who uses which name, if there is more than one; else ""."""
        by_name: dict[str, list[str]] = {}
        for name in self.names:
            by_name.setdefault(name.hostname, []).append(name.program)
        if len(by_name) < 2:  # noqa: PLR2004 -- one name is what should be
            return ""
        return "; ".join(f"{name} ({', '.join(who)})" for name, who in sorted(by_name.items()))

    def _of(self, programs: frozenset[str]) -> RelayName:
        return next((name for name in self.names if name.program in programs), self.names[0])


async def relay_names(database: Postgres) -> RelayNames | None:
    """The names in use; None where no program has ever run."""
    return names_of(await database.fetch("list_relay_names", _FRESH))


def names_of(rows: Iterable[Any]) -> RelayNames | None:
    """The names in rows of `list_relay_names`; None where there are none."""
    names = (
        RelayName(r["program"], r["hostname"], r["return_path_host"], r["tracking_host"])
        for r in rows
    )
    return RelayNames(found) if (found := tuple(names)) else None


class NameOnRecord:
    """Says again and again what the program that it runs in is called, and its version."""

    def __init__(self, database: Postgres, name: RelayName) -> None:
        self._database = database
        self._name = name

    async def say(self) -> None:
        """Say it once; a database that is away or read-only is no reason not to start."""
        name = self._name
        hostname = name.hostname.lower()
        try:
            await self._database.run(
                "say_relay_name",
                *(name.program, hostname, name.return_path_host, name.tracking_host),
            )
            await self._database.run("say_version", name.program, VERSION)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("relay_name_not_said", reason=str(error))

    async def run(self, stopping: asyncio.Event) -> None:
        """Say it until *stopping*."""
        while not await wait_for_event(stopping, _SAY_SECONDS):
            await self.say()
