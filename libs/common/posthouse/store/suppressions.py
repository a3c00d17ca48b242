"""Suppression lists: addresses that an account does not mail, each with the evidence."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.store.postgres import Postgres

Addressed: TypeAlias = tuple[UUID, str]
"""An account, and an address that it is about to mail."""


class SuppressionStore:
    """Each entry has its reason and evidence, and can be removed."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def add(
        self,
        account_id: UUID,
        address: str,
        reason: str,
        evidence: dict[str, Any],
        *,
        on: SuppressionList = SuppressionList.MANUAL,
        scope: str = "",
        rule: str = "",
        version: str = "",
        expires_at: datetime | None = None,
    ) -> bool:
        """Put *address* on the list *on*; False if an entry of the same or a longer time exists.

        *scope*: the mail it applies to, such as a stream; "" for all mail of the account.
        *rule*, *version*: the rule that decided. *expires_at* None: it stays until it is removed.
        """
        row = await self._database.first(
            "add_suppression",
            account_id,
            address,
            normal_form(address),
            on.value,
            scope,
            reason,
            evidence,
            rule,
            version,
            expires_at,
        )
        return row is not None

    async def remove(
        self,
        account_id: UUID,
        address: str,
        *,
        on: SuppressionList | None = None,
        scope: str | None = None,
    ) -> bool:
        """Take *address* off one list and scope, or off all; False when it was on none."""
        normal = normal_form(address)
        rows = await self._database.fetch(
            "remove_suppression", account_id, normal, on and on.value, scope
        )
        return bool(rows)

    async def find(self, wanted: Collection[Addressed]) -> dict[Addressed, tuple[Suppression, ...]]:
        """The entries that count for each of *wanted*; those that are on no list are left out.

        Addresses are compared by their normal form.
        """
        pairs = list(wanted)
        rows = await self._database.fetch(
            "find_suppressed", [(account_id, normal_form(address)) for account_id, address in pairs]
        )
        found: dict[Addressed, tuple[Suppression, ...]] = {}
        for row in rows:
            pair = pairs[row["place"] - 1]
            entry = Suppression(SuppressionList(row["list"]), row["scope"])
            found[pair] = (*found.get(pair, ()), entry)
        return found

    async def entries(self, account_id: UUID | None = None, *, limit: int = 100) -> list[Any]:
        """The newest entries that count, of one account or of all."""
        return await self._database.fetch("list_suppressions", account_id, limit)
