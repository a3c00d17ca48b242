"""The quarantine: mail that waits, with the reason, until the operator decides about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

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


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages; None does not choose."""

    account_id: UUID | None = None
    reason: str | None = None
    after: datetime | None = None  # accepted later than this
    until: datetime | None = None  # accepted then or before

    def named(self) -> dict[str, str]:
        """What chooses, for the audit."""
        every = {"reason": self.reason, "after": self.after, "until": self.until}
        return {name: str(value) for name, value in every.items() if value is not None}

    @property
    def _arguments(self) -> tuple[object, ...]:
        return (self.account_id, self.reason, self.after, self.until)


class Quarantine:
    """What the operator does with the quarantine."""

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

    async def unquarantine(self, choice: Choice, actor: str = "") -> int:
        """Make those chosen due at once, with as much time as at first; how many."""
        queries = ("unquarantine_submissions", "unquarantine_deliveries")
        return await self._take(queries, choice, actor, "queue release")

    async def discard(self, choice: Choice, actor: str = "") -> int:
        """Never send those chosen; how many."""
        queries = ("discard_submissions", "discard_deliveries")
        return await self._take(queries, choice, actor, "queue discard")

    async def _take(self, queries: Sequence[str], choice: Choice, actor: str, action: str) -> int:
        async with self._database.connection() as connection, connection.transaction():
            count = await _run_without_timeout(connection, queries, *choice._arguments)  # noqa: SLF001
            if actor:
                detail = {"messages": count, **choice.named()}
                await write_audit(connection, actor, action, choice.account_id, **detail)
            return count


async def quarantine_everything(connection: Any, reason: str) -> int:
    """Quarantine all that is open, in one transaction; how many messages."""
    return await _run_without_timeout(
        connection, ("quarantine_submissions", "quarantine_deliveries"), reason
    )


async def _run_without_timeout(connection: Any, queries: Sequence[str], *arguments: object) -> int:
    touched = 0
    async with connection.transaction():
        await connection.execute(QUERIES["disable_statement_timeout"])
        for query in queries:
            rows = await connection.fetch(QUERIES[query], *arguments, timeout=LIMIT_SECONDS)
            touched += len(rows)
    return touched
