"""Rotations: new DKIM keys of a domain take the place of those that sign.

A row says how far one is. Who carries it on claims the row for a while and asks DNS without a
transaction; each step counts only from the state that it was decided in, so two of them do no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from posthouse.store.accounts import KeyState, NewKey
from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

BY_ITSELF = "posthouse"  # the actor of what a schedule or a service does


@dataclass(frozen=True, slots=True)
class DueRotation:
    """A rotation that is due for a look."""

    domain: str
    started_at: datetime  # another one of the domain was started at another time
    keys: tuple[tuple[str, str], ...]  # selector and text of each new key
    seen_for: timedelta | None  # since every look found the records
    switched_for: timedelta | None  # since the new keys sign


class KeyRotations:
    """The statements about rotations."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def keys(self, domain: str) -> list[Any]:
        """The keys that *domain* has, by selector."""
        return await self._database.fetch("find_keys", domain)

    async def start(self, domain: str, keys: Sequence[NewKey], actor: str) -> bool:
        """Add *keys*, which do not sign yet, and wait for their records.

        False, and nothing is added, where a rotation is under way, or there is no such domain.
        """
        selectors = [key.selector for key in keys]
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetch(QUERIES["start_rotation"], domain, selectors):
                return False
            for k in keys:
                await connection.execute(
                    QUERIES["create_dkim_key"],
                    *(domain, k.selector, k.algorithm, k.sealed, k.record),
                    KeyState.PUBLISHED.value,
                )
            await self._audit(connection, actor, "rotation started", domain, selectors)
        return True

    async def read(self, domain: str) -> Any | None:
        """The rotation of *domain* that is under way."""
        return await self._database.first("read_rotation", domain)

    async def claim(self, again: timedelta) -> DueRotation | None:
        """The next one to look at; it is due once more after *again*."""
        row = await self._database.first("claim_rotation", again)
        if row is None:
            return None
        found = await self.keys(row["name"])
        keys = tuple(
            (k["selector"], k["record"]) for k in found if k["selector"] in row["selectors"]
        )
        return DueRotation(
            row["name"], row["started_at"], keys, row["seen_for"], row["switched_for"]
        )

    async def note(self, due: DueRotation, finding: str | None) -> None:
        """A look at the records found this wrong, or (None) found them."""
        await self._database.run("note_rotation", due.domain, due.started_at, finding)

    async def switch(self, due: DueRotation) -> tuple[str, ...] | None:
        """Let the new keys sign in the place of others of their kinds; the selectors of those.

        None, and nothing changes, where the rotation is over or has switched.
        """
        domain = due.domain
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["switch_keys"], domain, due.started_at)
            if row is None:
                return None
            retired: list[str] = row["retired"]
            if retired:
                await connection.execute(QUERIES["note_retired_keys"], domain, retired)
            await self._audit(connection, BY_ITSELF, "keys switched", domain, retired)
        return tuple(retired)

    async def finish(self, domain: str) -> bool:
        """Remove the retired keys whose mail has gone; whether the rotation is over."""
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(QUERIES["remove_retired_keys"], domain)
            if removed := [row["selector"] for row in rows]:
                await self._audit(connection, BY_ITSELF, "keys removed", domain, removed)
            return bool(await connection.fetch(QUERIES["end_rotation"], domain))

    async def remove_key(self, domain: str, selector: str, actor: str) -> bool:
        """Delete a key that does not sign; False when there is none.

        A rotation that waits for no other key is over.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetch(QUERIES["remove_key"], domain, selector):
                return False
            await connection.fetch(QUERIES["end_rotation"], domain)
            await self._audit(connection, actor, "keys removed", domain, [selector])
        return True

    async def oldest_wait(self) -> float:
        """The age in seconds of the oldest that waits for its records; 0 without any."""
        (row,) = await self._database.fetch("oldest_rotation")
        return float(row["seconds"])

    async def scheduled(self) -> tuple[str, ...]:
        """The domains whose keys are older than their schedule says."""
        return tuple(r["name"] for r in await self._database.fetch("find_scheduled_rotations"))

    async def schedule(self, domain: str, days: int | None) -> bool:
        """Start one by itself when keys are that old, or (None) never; False without the domain."""
        return bool(await self._database.fetch("schedule_rotations", domain, days))

    async def _audit(
        self, connection: Any, actor: str, action: str, domain: str, selectors: list[str]
    ) -> None:
        await write_audit(connection, actor, action, None, domain=domain, keys=" ".join(selectors))
