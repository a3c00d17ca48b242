"""A real PostgreSQL: a server for each process of a run, a fresh migrated database a test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.migrate import migrate

T = TypeVar("T")

# Nothing a test writes has to survive the machine.
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "file_copy_method": "clone",  # a database in a tenth of the time
}


def with_database(dsn: str, name: str) -> str:
    """The same server as *dsn*, another database."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a server we may create databases on: the one given, or our own for this run."""
    given = os.environ.get("POSTHOUSE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="posthouse-test-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres", options=_FAST)
        _run(postgres.start())
        yield postgres.dsn
        _run(postgres.stop())


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """Name of a database with the whole schema and no rows, to clone."""
    name = f"posthouse_template_{uuid4().hex[:12]}"
    _run(_command(postgres_server, f"CREATE DATABASE {name}"))
    _run(migrate(with_database(postgres_server, name)))
    yield name
    _run(_command(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest_asyncio.fixture
async def database(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of a migrated database that no other test has touched."""
    name = f"posthouse_test_{uuid4().hex[:12]}"
    clone = f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY file_copy"
    await _command(postgres_server, clone)
    await be_original(with_database(postgres_server, name))
    yield with_database(postgres_server, name)
    await _command(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def empty_database(postgres_server: str) -> AsyncIterator[str]:
    """URL of a database without any schema, for tests of migration itself."""
    name = f"posthouse_empty_{uuid4().hex[:12]}"
    await _command(postgres_server, f"CREATE DATABASE {name}")
    yield with_database(postgres_server, name)
    await _command(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


async def be_original(dsn: str) -> None:
    """Have the clone at *dsn* not be taken for a restored backup."""
    await _command(dsn, "UPDATE witness SET database = this_database()")


async def _command(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on a loop of its own, without touching the one that tests run on."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)
