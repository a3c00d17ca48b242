"""The audit: what operators did, who and when; kept for ever, or as long as a setting says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


async def write_audit(
    connection: Any, actor: str, action: str, account_id: UUID | None, **detail: object
) -> None:
    """Add a line to the audit in the transaction that is open on *connection*."""
    await connection.execute(QUERIES["write_audit"], actor, action, account_id, detail)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """What is added where a statement did something; an *actor* "" adds nothing."""

    actor: str
    action: str
    account_id: UUID | None
    detail: Mapping[str, object]


async def run_audited(database: Postgres, line: AuditLine, query: str, *arguments: object) -> bool:
    """Whether a statement of one row at most gave it: then *line* is added with it."""
    async with database.connection() as connection, connection.transaction():
        return await run_audited_within(connection, line, query, *arguments)


async def run_audited_within(
    connection: Any, line: AuditLine, query: str, *arguments: object
) -> bool:
    """The same in the transaction that is open on *connection*."""
    row = await connection.fetchrow(QUERIES[query], *arguments)
    if row is not None and line.actor:
        await write_audit(connection, line.actor, line.action, line.account_id, **line.detail)
    return row is not None


class AuditStore:
    """Reads only: a line is written with what it tells about."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def newest(self, limit: int) -> list[Any]:
        """The newest lines, newest first."""
        return await self._database.fetch("list_audit", limit)
