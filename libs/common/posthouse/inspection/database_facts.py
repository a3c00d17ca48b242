"""Asks PostgreSQL what the relay's promises depend on, whatever state its schema is in."""

import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from posthouse.doctor.database_judges import DatabaseFacts, SchemaFacts
from posthouse.doctor.key_judges import ActiveKey
from posthouse.mail.secret import Purpose, derive
from posthouse.store.connecting import connect
from posthouse.store.failure import connection_failures, store_failures
from posthouse.store.migrate import MIGRATIONS, NEEDED_VERSION
from posthouse.store.queries import QUERIES
from posthouse.store.relay_names import RelayNames, names_of
from posthouse.store.restored import REASON

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_MOST_KEYS = 100  # that DNS is asked about: others at the next look
# A name that was not said for so long is that of a program that has ended.
_FRESH = timedelta(hours=1)
# A version that was not said for so long is that of a process that has ended: each says it once in
# ten minutes.
_RUNS = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DatabaseInspection:
    """What was found in it."""

    server: DatabaseFacts
    schema: SchemaFacts
    names: RelayNames | None  # what its programs call themselves; None: none has ever run
    keys: tuple[ActiveKey, ...]  # some of those that sign
    versions: Mapping[str, Sequence[str]]  # programs that run, by their version


async def inspect_database(url: str, secret_key: bytes | None) -> DatabaseInspection:
    """Look at the database at *url*; without *secret_key* it is not compared.

    Nothing is changed, and a schema that is old or restored is no hindrance. Raises
    StoreUnavailable.
    """
    with connection_failures(url):
        connection = await connect(url, timeout=_CONNECT_SECONDS, command_timeout=_ANSWER_SECONDS)
    with store_failures():
        try:
            server = await _server(connection)
            schema = await _schema(connection, secret_key)
            rows, keys, versions = [], [], []
            if schema.version is not None and schema.version >= NEEDED_VERSION:
                rows = await connection.fetch(QUERIES["list_relay_names"], _FRESH)
                keys = await connection.fetch(QUERIES["some_signing_keys"], _MOST_KEYS)
                versions = await connection.fetch(QUERIES["list_versions"], _RUNS)
            return DatabaseInspection(
                server,
                schema,
                names_of(rows),
                tuple(ActiveKey(*row) for row in keys),
                {row["version"]: tuple(row["programs"]) for row in versions},
            )
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)


async def _server(connection: Any) -> DatabaseFacts:
    asked = time.time()
    row = await connection.fetchrow(QUERIES["inspect_server"])
    answered = time.time()
    clock = row["clock"].timestamp()
    # Anywhere between question and answer it may have looked at its clock.
    ahead = clock - answered if clock > answered else min(0.0, clock - asked)
    durable = ("fsync", "full_page_writes", "synchronous_commit")
    vacuuming = ("autovacuum", "track_counts")
    return DatabaseFacts(
        version=row["version"],
        durable={name: row[name] for name in durable},
        vacuuming={name: row[name] for name in vacuuming},
        read_only=row["read_only"],
        connections=row["connections"],
        connected=row["connected"],
        transaction_ages=row["transaction_ages"],
        oldest_transaction_seconds=row["oldest_transaction_seconds"],
        prepared_transactions=row["prepared_transactions"],
        wal_kept=row["wal_kept"],
        clock_ahead_seconds=ahead,
    )


async def _schema(connection: Any, secret_key: bytes | None) -> SchemaFacts:
    try:
        rows = await connection.fetch(QUERIES["inspect_schema"])
    except asyncpg.UndefinedTableError:
        return SchemaFacts(None, NEEDED_VERSION)
    applied = {row["version"]: row["digest"] for row in rows}
    version = max(applied, default=None)
    if version is None or version < NEEDED_VERSION:
        return SchemaFacts(version, NEEDED_VERSION)
    changed = tuple(
        f"{one.version:04} {one.name}"
        for one in MIGRATIONS
        if one.version in applied and applied[one.version] != one.digest
    )
    known = await connection.fetchrow(QUERIES["read_secret_check"])
    timeline = await connection.fetchrow(QUERIES["compare_timeline"])
    matches = True
    if known is not None and secret_key is not None:
        matches = hmac.compare_digest(known["value"], derive(secret_key, Purpose.CHECK))
    return SchemaFacts(
        version,
        NEEDED_VERSION,
        changed,
        restored=bool(await connection.fetchval(QUERIES["was_restored"])),
        known_timeline=timeline["known"],
        timeline=timeline["seen"],
        waiting_since_restore=await connection.fetchval(QUERIES["count_quarantined"], REASON),
        key_matches=matches,
    )
