"""The bounce list, judged again when a rule is corrected, and what falls lifted in one action."""

from collections.abc import AsyncIterator, Collection
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


class BounceListReview:
    """Reads every entry that counts, and removes some."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def entries(self, account_id: UUID | None = None) -> AsyncIterator[Any]:
        """Each entry of the bounce list that counts, of one account or of all."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["disable_statement_timeout"])
            await connection.execute(QUERIES["disable_idle_timeout"])
            async for row in connection.cursor(
                QUERIES["read_bounce_list"], account_id, prefetch=1000
            ):
                yield row

    async def lift(self, entries: Collection[Any], *, actor: str, why: str) -> int:
        """Remove *entries*, all in one transaction; one that was listed again meanwhile stays.

        How many were removed. The audit has a line for each account, with their evidence.
        """
        keys = [(entry["account_id"], entry["normal"]) for entry in entries]
        since = [entry["created_at"] for entry in entries]
        async with self._database.connection() as connection, connection.transaction():
            lifted = await connection.fetch(QUERIES["lift_bounces"], keys, since)
            by_account = sorted(lifted, key=itemgetter("account_id"))
            for account_id, rows in groupby(by_account, key=itemgetter("account_id")):
                gone = [{k: v for k, v in row.items() if k != "account_id"} for row in rows]
                await write_audit(
                    connection, actor, "suppression recheck", account_id, why=why, entries=gone
                )
        return len(lifted)
