"""Suppression lists: addresses that an account does not mail, each with the evidence."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

Addressed: TypeAlias = tuple[UUID, str]
"""An account, and an address that it is about to mail."""

_SEARCH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SuppressionFilter:
    """Which entries; None does not choose."""

    account_id: UUID | None = None
    text: str | None = None  # somewhere in the address, in its normal form
    list: SuppressionList | None = None
    scope: str | None = None
    reason: str | None = None  # exactly


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
        actor: str = "",
    ) -> bool:
        """Put *address* on the list *on*; False if an entry of the same or a longer time exists.

        *address*: "@" and a domain for every address in it. *scope*: the mail it applies to (see
        `Suppression`). *rule*, *version*: the rule that decided. *expires_at* None: it stays until
        it is removed. *actor*: the operator, for the audit.
        """
        async with self._database.connection() as connection, connection.transaction():
            added = await connection.fetch(
                QUERIES["add_suppression"],
                *(account_id, address, normal_form(address), on.value, scope, reason, evidence),
                *(rule, version, expires_at, None),
            )
            if added and actor:
                detail = {"address": address, "list": on.value, "scope": scope, "reason": reason}
                await write_audit(connection, actor, "suppression add", account_id, **detail)
            return bool(added)

    async def remove(
        self,
        account_id: UUID,
        address: str,
        *,
        on: SuppressionList | None = None,
        scope: str | None = None,
        actor: str = "",
    ) -> bool:
        """Take *address* off one list and scope, or off all; False when it was on none.

        Its count of bounces begins again.
        """
        async with self._database.connection() as connection, connection.transaction():
            removed = await connection.fetch(
                QUERIES["remove_suppression"],
                *(account_id, normal_form(address), on and on.value, scope),
            )
            entries = [dict(row) for row in removed if row["counted"]]
            if entries and actor:
                await write_audit(
                    connection, actor, "suppression remove", account_id, entries=entries
                )
            return bool(entries)

    async def find(self, wanted: Collection[Addressed]) -> dict[Addressed, tuple[Suppression, ...]]:
        """The entries that count for each of *wanted*; those that are on no list are left out.

        Addresses are compared by their normal form; entries for a whole domain are among them.
        """
        asked: dict[Addressed, list[Addressed]] = {}  # normal form or domain: who asks for it
        for pair in dict.fromkeys(wanted):
            normal = normal_form(pair[1])
            asked.setdefault((pair[0], normal), []).append(pair)
            domain = normal[normal.rfind("@") :]
            asked.setdefault((pair[0], domain), []).append(pair)
        keys = list(asked)
        found: dict[Addressed, tuple[Suppression, ...]] = {}
        for row in await self._database.fetch("find_suppressed", keys):
            entry = Suppression(
                SuppressionList(row["list"]),
                row["scope"],
                row["address"],
                row["reason"],
                row["created_at"],
            )
            for pair in asked[keys[row["place"] - 1]]:
                found[pair] = (*found.get(pair, ()), entry)
        return found

    async def entries(
        self, account_id: UUID | None = None, *, limit: int = 100, **chosen: Any
    ) -> list[Any]:
        """The newest entries that count, of one account or of all."""
        return await self.search(SuppressionFilter(account_id, **chosen), limit=limit)

    async def search(self, chosen: SuppressionFilter, *, limit: int) -> list[Any]:
        """The newest entries that count and are *chosen*.

        Where there are many millions this takes up to a minute; then it raises StoreUnavailable.
        """
        return await self._database.fetch_within(
            _SEARCH_SECONDS,
            "list_suppressions",
            *(chosen.account_id, chosen.text, chosen.list, chosen.scope, chosen.reason, limit),
        )
