"""Migrations: once, in order, one process at a time, never a changed file."""

import asyncio
import subprocess
import sys
from functools import partial
from typing import Any

import asyncpg
import pytest

from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.migrate import MIGRATIONS, NEEDED_VERSION, Migration, migrate
from posthouse.store.postgres import Postgres
from servers.patience import eventually

# Of every migration that is closed. A change of the schema is a new file: CONTRIBUTING.md says why.
CLOSED = {
    1: "2b9d739ce69e5461fc78bbeb43cc4776e66c9781fb443c304d1c99a8d1cbc9dc",
    2: "5e92e5d61358f2ad8da6ef7aec3e99fcd122dd7b3a28d95f2e9a6c8a18a16ad4",
    3: "8b4c1753481a7cbf56ca815e328bdb6b8f0ca6e5f4f103ec612e92ac3323873a",
    4: "570ed040592bb9a755a89bde36e5a0b91fe0f4d3ab7d7dc88e49ddef677187e8",
    5: "13dec0ca7e4e381c7aa6cce846191a15c4ed8e91b48f0fa42443f15ff48ed317",
    6: "72d51a9850c78568eb6fe529036946cd8c6f2558cc246403bdc6caf0c24531b3",
    7: "3fccd2774d1aa50653d87847b0db94c2380c3c5b2ef70017f19e3b6265061bab",
}

AT_ONCE = """
import asyncio, sys
from posthouse.store.migrate import migrate
print(len(asyncio.run(migrate(sys.argv[1]))))
"""


def test_a_closed_migration_is_not_edited() -> None:
    """Databases that have it would be refused by every later version."""
    assert CLOSED == {m.version: m.digest for m in MIGRATIONS if m.version in CLOSED}


async def test_each_migration_is_applied_once(empty_database: str) -> None:
    assert await migrate(empty_database) == list(MIGRATIONS)
    assert await migrate(empty_database) == []


async def test_processes_that_migrate_at_once_apply_each_migration_once(
    empty_database: str,
) -> None:
    """Four processes start together; all succeed, one of them did the work."""
    command = [sys.executable, "-c", AT_ONCE, empty_database]
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(4)
    ]
    said = [(await process.communicate())[0].split()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sorted(said) == [b"0", b"0", b"0", b"%d" % len(MIGRATIONS)]


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE schema_migrations SET digest = 'of another file'")
    await connection.close()
    with pytest.raises(StoreRefused, match="migration 0001 initial was changed after"):
        await migrate(database)


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    """It is one transaction; the next start begins where this one did."""
    connection = await asyncpg.connect(empty_database)
    await connection.execute("CREATE TABLE events (in_the_way integer)")
    with pytest.raises(StoreUnavailable, match="events"):
        await migrate(empty_database)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in tables} == {"events", "schema_migrations"}
    await connection.execute("DROP TABLE events")
    await connection.close()
    assert await migrate(empty_database) == list(MIGRATIONS)


LATER = Migration(9999, "later", "ALTER TABLE submissions ADD COLUMN note text")


async def test_mail_does_not_queue_up_behind_a_migration_that_waits(database: str) -> None:
    """A dump reads a table that the migration changes; both end well (review, M14)."""
    dump, mail = await asyncpg.connect(database), await asyncpg.connect(database)
    await dump.execute("BEGIN; LOCK TABLE submissions IN ACCESS SHARE MODE")
    await mail.execute("SET lock_timeout = '10s'")
    migrating = asyncio.create_task(migrate(database, migrations=[*MIGRATIONS, LATER]))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    await eventually(partial(one_waits, mail, waits), look=0.01)
    await mail.execute("INSERT INTO submissions SELECT * FROM submissions")
    assert not migrating.done()
    await dump.execute("COMMIT")
    assert [LATER] == await migrating
    for connection in (dump, mail):
        await connection.close()


async def test_a_migration_that_gets_no_lock_says_so_and_changes_nothing(database: str) -> None:
    dump = await asyncpg.connect(database)
    await dump.execute("BEGIN; LOCK TABLE submissions IN ACCESS SHARE MODE")
    with pytest.raises(StoreUnavailable, match="9999 later was not applied: another session, such"):
        await migrate(database, migrations=[*MIGRATIONS, LATER], tries=1)
    await dump.close()
    assert [LATER] == await migrate(database, migrations=[*MIGRATIONS, LATER])


async def one_waits(connection: "asyncpg.Connection[Any]", query: str) -> bool:
    return bool(await connection.fetchval(query))


async def test_a_service_waits_for_the_schema_it_needs(empty_database: str) -> None:
    async with Postgres(empty_database) as database, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(database.wait_for_schema(NEEDED_VERSION, seconds=20))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await migrate(empty_database)


async def test_a_service_does_not_start_on_an_old_schema(database: str) -> None:
    """It says what it found, what it needs, and the command that helps."""
    async with Postgres(database) as old:
        with pytest.raises(StoreUnavailable) as raised:
            await old.wait_for_schema(NEEDED_VERSION + 1, seconds=0.3)
    text = str(raised.value)
    assert f"version {NEEDED_VERSION}, this program needs {NEEDED_VERSION + 1}" in text
    assert "run `posthouse migrate`" in text


async def test_a_service_does_not_start_on_an_empty_database(empty_database: str) -> None:
    async with Postgres(empty_database) as empty:
        with pytest.raises(StoreUnavailable, match="run `posthouse migrate`"):
            await empty.wait_for_schema(NEEDED_VERSION, seconds=0.3)


async def test_a_service_without_database_does_not_blame_the_schema() -> None:
    async with Postgres("postgresql://posthouse@127.0.0.1:1/posthouse") as nowhere:
        with pytest.raises(StoreUnavailable) as raised:
            await nowhere.wait_for_schema(NEEDED_VERSION, seconds=0.3)
    assert "migrate" not in str(raised.value)


async def test_a_newer_schema_will_do(database: str) -> None:
    """A rolling upgrade migrates first; the old programs go on."""
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO schema_migrations VALUES (9999, 'later', '')")
    await connection.close()
    async with Postgres(database) as newer:
        await newer.wait_for_schema(NEEDED_VERSION, seconds=0)
