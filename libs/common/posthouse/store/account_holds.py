"""Holds on accounts: their mail is accepted, and waits until the operator releases it.

The mark `held` of the due rows keeps claims away. A hold is committed before the rows that are
there already are marked: whatever is accepted or prepared later finds the hold and marks its own.
A submission that was being accepted meanwhile may miss it; policy prepares it, and then its
deliveries are marked. Rows that are marked for a hold that has ended meanwhile, and what a crash
left half done, are found by `finish`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Gauge

from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

HELD = Gauge("posthouse_accounts_held", "Accounts whose mail is held, by who holds them.", ["by"])
RELAY = "posthouse"  # the actor of what thresholds do

# Held while holds change, and while a batch of rows is marked or unmarked.
_LOCK = 0x686F6C6473
_ROWS = 10_000  # looked at by one statement
_PAUSE_SECONDS = 0.05
_FIRST = UUID(int=0)
_MARKS = ("mark_submissions", "mark_deliveries")
_UNMARKS = ("unmark_submissions", "unmark_deliveries")


@dataclass(frozen=True, slots=True)
class Hold:
    """Why mail of an account waits."""

    held_at: datetime
    actor: str
    by_relay: bool
    reason: str


class AccountHolds:
    """The statements about holds."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def hold(self, account_id: UUID, actor: str, reason: str) -> bool:
        """Hold the account; False, and the old reason stays, if it is held already.

        When this returns no claim takes mail of it. What is on the wire finishes.
        """
        async with self._locked() as connection:
            is_new = await hold_within(connection, account_id, actor, reason)
        await self.mark(account_id)
        return is_new

    async def release(self, account_id: UUID, actor: str) -> Hold | None:
        """End the hold, and return it; None if there was none.

        Its mail is due as before, with as much time as when it was accepted.
        """
        async with self._locked() as connection:
            row = await connection.fetchrow(QUERIES["release_account"], account_id)
            if row is not None:
                hold = Hold(row["held_at"], row["actor"], row["by_relay"], row["reason"])
                await write_audit(
                    connection,
                    actor,
                    "account release",
                    account_id,
                    held_by=hold.actor,
                    held_at=hold.held_at.isoformat(timespec="seconds"),
                    reason=hold.reason,
                )
        await self._unmark(account_id)
        return None if row is None else hold

    async def mark(self, account_id: UUID) -> None:
        """Mark the rows of a held account; submissions first, because they become deliveries."""
        for statement in _MARKS:
            while await self._pass_over(statement, account_id):  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS)  # others are about to commit
        await self._database.run("end_marking", account_id)

    async def finish(self) -> None:
        """Finish what was left half done, and show how many accounts are held."""
        for row in await self._database.fetch("unfinished_holds"):
            await (self.mark if row["is_held"] else self._unmark)(row["account_id"])
        counts = {
            row["by_relay"]: row["count"] for row in await self._database.fetch("count_holds")
        }
        HELD.labels("operator").set(counts.get(False, 0))
        HELD.labels("relay").set(counts.get(True, 0))

    async def _pass_over(self, statement: str, account_id: UUID) -> int:
        """Mark every row that no other is writing; how many others were writing."""
        after, passed = _FIRST, 0
        while True:
            async with self._locked() as connection:
                row = await connection.fetchrow(QUERIES[statement], account_id, after, _ROWS)
            passed += int(row["passed"])
            if row["last"] is None:
                return passed
            after = row["last"]

    async def _unmark(self, account_id: UUID) -> None:
        for statement in _UNMARKS:
            rows: list[Any] = [None]
            while rows:
                async with self._locked() as connection:
                    rows = await connection.fetch(QUERIES[statement], account_id, _ROWS)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Any]:
        async with self._database.connection() as connection, connection.transaction():
            await lock_holds(connection)
            yield connection


async def lock_holds(connection: Any) -> None:
    """Let no other change holds, or marks, until the transaction on *connection* ends."""
    await connection.execute(QUERIES["lock_holds"], _LOCK)


async def hold_within(
    connection: Any, account_id: UUID, actor: str, reason: str, **evidence: object
) -> bool:
    """Hold the account in the transaction that is open on *connection*; False if it is held.

    `lock_holds` comes before, and `AccountHolds.mark` after the commit.
    """
    held = await connection.fetch(
        QUERIES["hold_account"], account_id, actor, actor == RELAY, reason
    )
    if held:
        await write_audit(connection, actor, "account hold", account_id, reason=reason, **evidence)
    return bool(held)
