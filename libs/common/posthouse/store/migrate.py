"""Bring a database to the schema that this program needs: forward only, one at a time."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg
import structlog

from posthouse.store.connecting import connect
from posthouse.store.failure import (
    StoreRefused,
    StoreUnavailable,
    connection_failures,
    store_failures,
)

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
# Any number will do as long as every version of this program uses the same one.
_LOCK = 0x706F7374686F7573
_LOCK_MILLISECONDS = 2000
_PAUSE_SECONDS = 1.0
_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Says whether the file is still the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def _read_migrations() -> tuple[Migration, ...]:
    found = (
        Migration(int(match[1]), match[2], entry.read_text("utf-8"))
        for entry in files("posthouse.store").joinpath("migrations").iterdir()
        if (match := _FILE.fullmatch(entry.name))
    )
    return tuple(sorted(found, key=lambda migration: migration.version))


MIGRATIONS = _read_migrations()
NEEDED_VERSION = MIGRATIONS[-1].version


async def migrate(
    url: str,
    *,
    folder: str | None = None,
    migrations: Sequence[Migration] = MIGRATIONS,
    tries: int = 30,
) -> list[Migration]:
    """Apply what is missing and return it; concurrent calls wait for each other.

    Each migration is a transaction of its own. A file that was changed after it was applied is
    an error (StoreRefused): the database is not what the program believes. In a database that was
    restored from a backup all that was open is quarantined; *folder*: see `quarantine_if_restored`.

    A statement that waits for a locked table makes all mail wait behind it. So a migration
    gives up after two seconds and comes again a second later; after that many *tries* it raises
    StoreUnavailable, and nothing of it was done.
    """
    from posthouse.store.restored import quarantine_if_restored  # noqa: PLC0415 -- brings metrics

    with connection_failures(url):
        connection = await connect(url, timeout=10)
    with store_failures():
        try:
            await connection.execute("SELECT pg_advisory_lock($1::bigint)", _LOCK)
            await connection.execute(f"SET lock_timeout = {_LOCK_MILLISECONDS}")
            applied = await _apply_missing(connection, migrations, tries)
            await quarantine_if_restored(connection, folder)
            return applied
        finally:
            await connection.close()


async def _apply_missing(
    connection: Any, migrations: Sequence[Migration], tries: int
) -> list[Migration]:
    await connection.execute(_BOOKKEEPING)
    rows = await connection.fetch("SELECT version, digest FROM schema_migrations")
    applied = {row["version"]: row["digest"] for row in rows}
    done = []
    for migration in migrations:
        if migration.version in applied:
            if applied[migration.version] != migration.digest:
                raise StoreRefused(
                    f"migration {migration.version:04} {migration.name} was changed after it was "
                    "applied to this database"
                )
            continue
        await _apply_between_others(connection, migration, tries)
        log.info("migrated", version=migration.version, name=migration.name)
        done.append(migration)
    return done


async def _apply_between_others(connection: Any, migration: Migration, tries: int) -> None:
    which = f"{migration.version:04} {migration.name}"
    for tries_left in reversed(range(tries)):
        try:
            await _apply(connection, migration)
        except asyncpg.LockNotAvailableError as error:
            if not tries_left:
                raise StoreUnavailable(
                    f"migration {which} was not applied: another session, such as a dump, holds a "
                    "table that it changes; run it again when that has ended"
                ) from error
            log.warning("migration_waits", migration=which, tries_left=tries_left)
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _apply(connection: Any, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, digest) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.digest,
        )
