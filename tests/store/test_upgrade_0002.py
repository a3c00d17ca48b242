"""The version before runs on the schema of 0002, and what it wrote is read by this one."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from posthouse.mail.address_failure import FailureWeight
from posthouse.mail.lane import Lane
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store.migrate import MIGRATIONS, migrate
from posthouse.store.queries import parse
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, bounced, fill, open_stores

BEFORE = parse((Path(__file__).parent / "statements_0001.sql").read_text("utf-8"))
SHOP = "INSERT INTO accounts (id, name) VALUES ($1, 'shop')"


class VersionBefore:
    """Its statements about suppressions, over one connection."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection

    async def bounces(self, address: str) -> None:
        """The dispatcher was told that *address* does not exist."""
        claimed = await self._connection.fetchrow(
            "UPDATE due_deliveries SET claim = claim + 1, leased = true WHERE id = "
            "(SELECT id FROM due_deliveries WHERE NOT leased LIMIT 1) RETURNING id, claim"
        )
        assert claimed is not None
        id_, claim = claimed
        row = (
            id_, claim, None, ACCOUNT, id_, "bounced", json.dumps({"code": 550}), address, address,
            True, None, "bounced", "recipient", "", "mx.dest.example", "", 550, "5.1.1", "unknown",
        )  # fmt: skip
        settled = await self._connection.fetch(BEFORE["settle_deliveries"], [row])
        assert [id_] == [r["id"] for r in settled]

    async def gets_report(self, delivery: UUID, address: str) -> bool:
        """A report about a delivery came back."""
        detail = json.dumps({"status": "5.1.1", "rule": "mailbox unknown by code", "rules": 1})
        parameters = (ACCOUNT, delivery, delivery, "bounced", detail, address, address)
        return bool(await self._connection.fetch(BEFORE["record_return"], *parameters))

    async def adds(self, address: str) -> bool:
        """The operator puts *address* on the manual list."""
        given = (ACCOUNT, address, address, "manual", "", "by hand", "{}", "", "", None)
        return bool(await self._connection.fetch(BEFORE["add_suppression"], *given))

    async def finds(self, *addresses: str) -> set[str]:
        """Those that policy would leave out."""
        rows = await self._connection.fetch(
            BEFORE["find_suppressed"], [(ACCOUNT, address) for address in addresses]
        )
        return {addresses[row["place"] - 1] for row in rows}


async def test_the_version_before_runs_on_the_schema_after(empty_database: str) -> None:
    await migrate(empty_database, migrations=MIGRATIONS[:1])
    await fill(empty_database, 10, Lane.NORMAL)
    connection = await asyncpg.connect(empty_database)
    await connection.execute(SHOP, ACCOUNT)
    before = VersionBefore(connection)
    await before.bounces("one@dest.example")
    await migrate(empty_database, migrations=MIGRATIONS[:2])

    await before.bounces("two@dest.example")
    assert await before.gets_report(UUID(int=9), "three@dest.example")
    assert not await before.gets_report(UUID(int=9), "three@dest.example")
    assert await before.adds("four@dest.example")
    names = ("one", "two", "three", "four")
    listed = {f"{name}@dest.example" for name in names}
    assert listed == await before.finds(*listed, "five@dest.example")

    await migrate(empty_database)
    async with open_stores(empty_database) as stores:
        found = await SuppressionStore(stores.database).find([(ACCOUNT, a) for a in listed])
        assert listed == {address for _, address in found}
        reasons = {entries[0].reason for entries in found.values()}
        assert {"bounced", "by hand"} == reasons
        assert await SuppressionStore(stores.database).remove(ACCOUNT, "one@dest.example")
    await connection.close()


async def test_a_count_of_this_version_does_not_suppress_in_the_version_before(
    empty_database: str,
) -> None:
    """Which makes it a hard entry when it is told that there is no such mailbox."""
    await migrate(empty_database)
    await fill(empty_database, 10, Lane.NORMAL)
    connection = await asyncpg.connect(empty_database)
    before = VersionBefore(connection)
    async with open_stores(empty_database) as stores:
        await connection.execute("UPDATE deliveries SET account_id = $1", ACCOUNT)
        claimed = await stores.claim_one()
        address = claimed.delivery.recipient
        await stores.deliveries.settle(bounced(claimed, FailureWeight.SOFT))
        assert set() == await before.finds(address)
        await before.bounces(address)
        assert {address} == await before.finds(address)
        (entry,) = await SuppressionStore(stores.database).entries(list=SuppressionList.BOUNCE)
        assert entry["expires_at"] is None
    await connection.close()
