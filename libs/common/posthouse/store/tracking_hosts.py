"""Tracking hosts of sending domains: which are set, and what probes of them found.

Who probes claims some rows for a while and asks without a transaction; what it found counts only
for the host that it asked.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.postgres import Postgres
from posthouse.tracking.host_state import HostState, host_state

# So long after the last probe that found it right a host is used: probes come every two minutes.
LED_HERE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class DueHost:
    """A host that is due for a probe."""

    domain_id: UUID
    domain: str
    host: str
    finding: str | None  # of the probe before
    is_probed: bool


def state_of(row: Any) -> HostState | None:
    """The tracking host in a row about a domain; None where it has none."""
    if row["tracking_host"] is None:
        return None
    return host_state(
        row["tracking_host"],
        row["tracking_finding"],
        is_probed=row["is_probed"],
        leads_here=row["leads_here"],
    )


class TrackingHosts:
    """The statements about tracking hosts."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def set(self, domain: str, host: str | None, actor: str) -> bool:
        """Give *domain* the tracking host *host*, or (None) none; False if it has that already.

        A new one is used when a probe has found that it leads here.
        """
        line = AuditLine(actor, "tracking host set", None, {"domain": domain, "host": host or ""})
        if host is None:
            return await run_audited(self._database, line, "remove_tracking_host", domain)
        return await run_audited(self._database, line, "set_tracking_host", domain, host)

    async def read(self, domain: str) -> HostState | None:
        """The tracking host of *domain*."""
        row = await self._database.first("read_tracking_host", domain, LED_HERE)
        return None if row is None else state_of(row)

    async def claim(self, limit: int, again: timedelta) -> list[DueHost]:
        """At most *limit* that are due for a probe; they are due once more after *again*."""
        rows = await self._database.fetch("claim_tracking_hosts", limit, again)
        return [DueHost(r["domain_id"], r["name"], r["host"], r["finding"], r["is_probed"])
                for r in rows]  # fmt: skip

    async def note(self, due: DueHost, finding: str | None) -> None:
        """A probe found this wrong, or (None) that the host leads here."""
        await self._database.run("note_tracking_host", due.domain_id, due.host, finding)

    async def unused(self) -> int:
        """How many are not used, since they do not lead here."""
        (row,) = await self._database.fetch("count_unused_tracking_hosts", LED_HERE)
        return int(row["hosts"])
