"""The cost of asking the suppression lists, which policy does once for each batch.

Run it against a database of its own, migrated and empty, on this machine:

    python bench/lookups.py postgresql://... [entries]

Fills the lists (a million entries, or as many as given; a thousandth of them for whole domains),
then asks for batches of 64 recipients, of which one in ten is on a list: addresses at random, so
that nearly every page of the index that is read is another. Prints the time for each recipient and
the plan.
"""

import random
import statistics
import sys
import time
from uuid import UUID

import uvloop

from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.suppressions import SuppressionStore

ACCOUNT = UUID(int=1)
BATCH, CALLS = 64, 2000
DOMAINS = 5000
_CHANCE = random.Random(7)  # noqa: S311 -- the same in each run

FILL = """
INSERT INTO suppressions (account_id, normal, list, address, reason, evidence)
SELECT $1, md5(n::text) || '@d' || n % $3 || '.example', 'unsubscribe',
       md5(n::text) || '@d' || n % $3 || '.example', 'imported', '{"imported": "old.csv"}'
FROM generate_series($2::bigint, $2 + 999999) AS n
"""
FILL_DOMAINS = """
INSERT INTO suppressions (account_id, normal, list, address, reason)
SELECT $1, '@blocked' || n || '.example', 'manual', '@blocked' || n || '.example', 'by hand'
FROM generate_series(1, $2::bigint) AS n
"""


KNOWN = "SELECT normal FROM suppressions TABLESAMPLE SYSTEM (0.5) WHERE list = 'unsubscribe'"


async def fill(database: Postgres, entries: int) -> None:
    """A million at a time; the index is made at the end."""
    async with database.connection() as connection:
        await connection.execute("SET statement_timeout = 0; SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '1GB'")
        await connection.execute("INSERT INTO accounts (id, name) VALUES ($1, 'shop')", ACCOUNT)
        await connection.execute("ALTER TABLE suppressions DROP CONSTRAINT suppressions_pkey")
        for first in range(0, entries, 1_000_000):
            await connection.execute(FILL, ACCOUNT, first, DOMAINS, timeout=3600)
            print(f"{first + 1_000_000} entries", file=sys.stderr, flush=True)
        await connection.execute(FILL_DOMAINS, ACCOUNT, entries // 1000, timeout=3600)
        await connection.execute(
            "ALTER TABLE suppressions ADD PRIMARY KEY (account_id, normal, list, scope)",
            timeout=3600,
        )
        await connection.execute("VACUUM ANALYZE suppressions", timeout=3600)
        await connection.execute("RESET statement_timeout")


def recipients(entries: int, known: list[str]) -> list[tuple[UUID, str]]:
    """A batch: most on no list, some on one by their address or by their domain."""
    chosen = []
    for _ in range(BATCH):
        kind = _CHANCE.random()
        if kind < 0.08:
            chosen.append(_CHANCE.choice(known))
        elif kind < 0.1:
            chosen.append(f"ann@blocked{_CHANCE.randrange(1, entries // 1000)}.example")
        else:
            name = _CHANCE.randbytes(16).hex()
            chosen.append(f"{name}@d{_CHANCE.randrange(DOMAINS)}.example")
    return [(ACCOUNT, address) for address in chosen]


async def measure(database: Postgres, entries: int) -> None:
    """The time of CALLS batches, one after the other."""
    async with database.connection() as connection:
        rows = await connection.fetch(KNOWN, timeout=600)
    known = [row["normal"] for row in rows]
    store, took, found = SuppressionStore(database), [], 0
    for _ in range(CALLS):
        wanted = recipients(entries, known)
        began = time.perf_counter()
        found += len(await store.find(wanted))
        took.append((time.perf_counter() - began) * 1e6 / BATCH)
    ranked = statistics.quantiles(took, n=100)
    print(f"{entries} entries, {CALLS} batches of {BATCH}, {found} on a list")
    print(f"us for each recipient: median {ranked[49]:.1f}, 99th percentile {ranked[98]:.1f}")


async def plan(database: Postgres, entries: int) -> None:
    """What the server does for one batch."""
    wanted = recipients(entries, ["ann@x.example"])
    domains = {address[address.index("@") :] for _, address in wanted}
    rows = [*wanted, *((ACCOUNT, domain) for domain in domains)]
    async with database.connection() as connection:
        explained = await connection.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {QUERIES['find_suppressed']}", rows
        )
    print("\n".join(row[0] for row in explained))


async def main(url: str, entries: int) -> None:
    """Fill if it is empty, measure, explain."""
    async with Postgres(url, connections=1) as database:
        async with database.connection() as connection:
            empty = await connection.fetchval("SELECT NOT EXISTS (SELECT FROM accounts)")
        if empty:
            await fill(database, entries)
        await measure(database, entries)
        await plan(database, entries)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000))
