"""The quarantine: mail that waits, with the reason, until the operator decides about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

# A million messages take a while.
LIMIT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """Messages of one stage and account that are there for one reason."""

    stage: str  # "policy" or "delivery"
    account: str
    reason: str
    messages: int
    oldest: datetime  # when they were accepted
    newest: datetime


class Quarantine:
    """What gets into the quarantine; `WaitingMail` takes it out."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def lines(self) -> list[QuarantineLine]:
        """How many messages there are, and why."""
        return [
            QuarantineLine(**dict(row)) for row in await self._database.fetch("list_quarantined")
        ]

    async def add_all(self, reason: str, actor: str = "") -> int:
        """Quarantine everything that is open, leased or not; how many messages."""
        async with self._database.connection() as connection, connection.transaction():
            count = await quarantine_everything(connection, reason)
            if actor:
                detail = {"messages": count, "reason": reason}
                await write_audit(connection, actor, "queue quarantine", None, **detail)
            return count


async def quarantine_everything(connection: Any, reason: str) -> int:
    """Quarantine all that is open, in one transaction; how many messages."""
    touched = 0
    async with connection.transaction():
        await connection.execute(QUERIES["disable_statement_timeout"])
        for query in ("quarantine_submissions", "quarantine_deliveries"):
            touched += len(await connection.fetch(QUERIES[query], reason, timeout=LIMIT_SECONDS))
    return touched
