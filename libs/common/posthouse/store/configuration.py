"""Everything that operators and customers have set, taken out of one database and put into another.

Mail, its history and what is counted of it stay behind: a backup has those. Secrets go along as
they are stored: hashed, or sealed by a key that is derived from the secret key of the installation.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import groupby, islice
from typing import Any

from posthouse.store.failure import StoreRefused
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

# In this order what a row refers to is there before it.
CONFIGURATION = (
    "accounts",
    "profiles",
    "credentials",
    "sending_domains",
    "domain_accounts",
    "dkim_keys",
    "key_rotations",
    "tracking_hosts",
    "streams",
    "sender_settings",
    "rate_limits",
    "account_holds",
    "sandbox_counts",
    "confirmed_addresses",
    "webhook_endpoints",
    "suppressions",
    "link_sets",
    "audit",
)
_ROWS = 1_000  # of one statement

Row = tuple[str, Mapping[str, Any]]
"""A table, and one of its rows as JSON."""


@asynccontextmanager
async def exported(database: Postgres) -> AsyncIterator[AsyncIterator[Row]]:
    """All rows, as they are at one moment, in the order in which they can be put back."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield _rows(connection)


async def _rows(connection: Any) -> AsyncIterator[Row]:
    for table in CONFIGURATION:
        async for record in connection.cursor(QUERIES[f"copy_out_{table}"], prefetch=_ROWS):
            yield table, record["row"]


async def put_back(database: Postgres, rows: Iterable[Row]) -> int:
    """Put *rows* into a database without accounts; how many there were.

    All of them, or none. Raises StoreRefused where there are accounts, or a row does not fit.
    """
    count = 0
    async with database.connection() as connection, connection.transaction():
        if await connection.fetchval(QUERIES["has_accounts"]):
            raise StoreRefused("there are accounts in it: import into a new database")
        for table, group in groupby(rows, key=lambda one: one[0]):
            if table not in CONFIGURATION:
                raise StoreRefused(f"{table!r} is no table of the configuration")
            # An account refers to another one, so all of them go together.
            size = 10_000_000 if table == "accounts" else _ROWS
            while batch := [row for _, row in islice(group, size)]:
                await connection.execute(QUERIES[f"copy_in_{table}"], batch)
                count += len(batch)
    return count
