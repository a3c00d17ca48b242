"""The audit: what operators did, who and when; kept until somebody deletes it."""

from typing import Any
from uuid import UUID

from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


async def write_audit(
    connection: Any, actor: str, action: str, account_id: UUID | None, **detail: object
) -> None:
    """Add a line to the audit in the transaction that is open on *connection*."""
    await connection.execute(QUERIES["write_audit"], actor, action, account_id, detail)


class AuditStore:
    """Reads only: a line is written with what it tells about."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def newest(self, limit: int) -> list[Any]:
        """The newest lines, newest first."""
        return await self._database.fetch("list_audit", limit)
