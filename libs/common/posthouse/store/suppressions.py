"""The suppression list: addresses that an account never mails again, with the evidence."""

from typing import Any
from uuid import UUID

from posthouse.store.postgres import Postgres


class SuppressionStore:
    """One list an account; an entry says why and is removable."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def add(
        self, account_id: UUID, address: str, reason: str, evidence: dict[str, Any]
    ) -> bool:
        """Put *address* on the list; False when it was there."""
        row = await self._database.first("add_suppression", account_id, address, reason, evidence)
        return row is not None

    async def remove(self, account_id: UUID, address: str) -> bool:
        """Take *address* off the list; False when it was not there."""
        return await self._database.first("remove_suppression", account_id, address) is not None

    async def entries(self, account_id: UUID | None = None, *, limit: int = 100) -> list[Any]:
        """The newest entries, of one account or of all."""
        return await self._database.fetch("list_suppressions", account_id, limit)
