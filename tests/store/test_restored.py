"""A database that was restored: nothing open in it is sent before somebody says so."""

from uuid import uuid4

import asyncpg
import pytest

from posthouse.store import StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.quarantine import Quarantine
from servers.postgres import with_database
from servers.stores import Stores, a_submission, open_stores

FOLDER = "100:200"


async def quarantined(url: str) -> list[tuple[str, str, int]]:
    """Stage, reason and number of what is quarantined."""
    async with Postgres(url) as database:
        return [(x.stage, x.reason, x.messages) for x in await Quarantine(database).lines()]


async def test_a_copy_is_used_only_after_what_was_open_is_quarantined(
    stores: Stores, postgres_server: str
) -> None:
    """Leased rows too: the process with the lease may have sent the mail."""
    await stores.queue()
    await stores.claim_one()
    await stores.submissions.accept(a_submission())
    name = f"posthouse_copy_{uuid4().hex[:12]}"
    copy = with_database(postgres_server, name)
    await stores.database.close()
    await stores.deliveries._background.close()
    admin = await asyncpg.connect(postgres_server)
    original = stores.url.rpartition("/")[2].partition("?")[0]
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        async with Postgres(copy) as untouched:
            with pytest.raises(StoreUnavailable, match="restored from a backup: `posthouse mig"):
                await untouched.first("queue_by_lane")

        await migrate(copy)
        assert [("policy", "restored", 1), ("delivery", "restored", 2)] == await quarantined(copy)
        await migrate(copy)
        async with open_stores(copy) as restored:
            assert not (await restored.deliveries.claim(10)).deliveries
            await restored.queue()
            assert 2 == len((await restored.deliveries.claim(10)).deliveries)
        async with open_stores(stores.url) as again:
            assert 1 == len((await again.deliveries.claim(10)).deliveries)
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


@pytest.mark.parametrize(
    ("folder", "is_copy"),
    [
        pytest.param("100:200", False, id="the same"),
        pytest.param("100:201", False, id="a new owner"),
        pytest.param("101:200", False, id="new inode numbers"),
        pytest.param("101:201", True, id="a copy"),
        pytest.param(None, False, id="not ours to know"),
    ],
)
async def test_a_folder_that_was_put_back_is_a_copy(
    database: str, folder: str | None, *, is_copy: bool
) -> None:
    """Once: what is open after that is its own."""
    await migrate(database, folder=FOLDER)
    async with open_stores(database) as stores:
        await stores.submissions.accept(a_submission())
        await migrate(database, folder=folder)
        assert bool(await quarantined(database)) == is_copy
        await stores.submissions.accept(a_submission())
        await migrate(database, folder=folder)
        assert bool((await stores.submissions.claim(10)).submissions)


async def test_tables_put_back_into_the_same_database_are_a_copy(database: str) -> None:
    """As `pg_restore --clean` does it: dropped, made again and filled."""
    async with open_stores(database) as stores:
        await stores.submissions.accept(a_submission())
        for statement in (
            "CREATE TABLE saved AS TABLE witness",
            "DROP TABLE witness",
            "ALTER TABLE saved RENAME TO witness",
        ):
            await stores.sql(statement)
    await migrate(database)
    assert [("policy", "restored", 1)] == await quarantined(database)


async def test_a_database_without_a_schema_is_nobodys(empty_database: str) -> None:
    async with Postgres(empty_database) as database:
        with pytest.raises(StoreUnavailable, match="there is no schema in it"):
            await database.run("round_trip")
