"""The stores over a migrated database without rows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from servers.clocks import TimelessLoop
from servers.postgres import be_original, with_database
from servers.stores import Stores, open_stores


@pytest.fixture(scope="session")
def _kept_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    # Emptying the tables takes a tenth of the time that a database of its own does.
    name = f"posthouse_kept_{uuid4().hex[:12]}"
    _run(_execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
    _run(be_original(with_database(postgres_server, name)))
    yield with_database(postgres_server, name)
    _run(_execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def timeless() -> None:
    """Run the test on a loop on which waiting takes no time."""


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """See `timeless`."""
    if "timeless" in getattr(item, "fixturenames", ()):
        return {"timeless": TimelessLoop}
    return {"asyncio": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def emptied(_kept_database: str) -> str:
    """URL of a database without rows, for tests that leave the schema as it is."""
    await _execute(_kept_database, EMPTY)
    return _kept_database


@pytest_asyncio.fixture
async def stores(emptied: str) -> AsyncIterator[Stores]:
    """Every store, with nothing kept in memory and no hold between lanes."""
    async with open_stores(emptied) as opened:
        yield opened


EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations', 'clock', 'witness',
            'event_cursors')
        AND tablename !~ '_([0-9]{8}_[0-9]{2}|default)$'
        -- What others refer to goes last.
        ORDER BY tablename = 'accounts', tablename = 'sending_domains'
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$
"""


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(work)


@pytest_asyncio.fixture
async def processes(emptied: str) -> AsyncIterator[list[Stores]]:
    """Four programs over one database."""
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(open_stores(emptied)) for _ in range(4)]
