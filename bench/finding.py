"""Finding messages of a day among ten million.

    python -m bench.finding [MESSAGES]

Fills a PostgreSQL of its own in /var/tmp with a day of messages (ten million, or as many as given),
each with a delivery, its result, and three keys; 200 users, and recipients who got ten each. Then
asks for the first page and the next of recipients and of users, all at random. Prints the time of a
page, the CPU that PostgreSQL spends on it, and the plans with what they read.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop

from onebox.postgres_server import EmbeddedPostgres
from posthouse.mail.message_query import MessageQuery, cursor_in
from posthouse.store.message_search import MessageSearch
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.retention import HISTORY, KEYS

USERS, EACH_GOT, ASKED, LIMIT = 200, 10, 200, 100
ACCOUNT = UUID(int=1)
_AT_ONCE = 500_000
_CHANCE = random.Random(7)  # noqa: S311 -- the same in each run
# Recipients differ by their number; one message in a hundred is bounced.
MADE = """
CREATE TEMP TABLE made AS
SELECT n, (lpad(to_hex((extract(epoch FROM $1::timestamptz) * 1000)::bigint
                       + n * $2::bigint / 1000), 12, '0')
           || '7' || left(md5(n::text), 3) || 'a' || right(md5(n::text), 15))::uuid AS id,
       (1000 + n % {users})::bigint AS user_number,
       'r' || (n * 7919 % $3) || '@d' || n % 1000 || '.example' AS recipient
FROM generate_series($4::bigint, $5::bigint) AS n
"""
FILL = (
    """INSERT INTO submissions (id, account_id, credential_id, profile, lane, sender, recipients,
                                smtputf8, client, helo, tls, size, subject)
       SELECT id, $1, lpad(to_hex(user_number), 32, '0')::uuid, 'native', 3,
              'shop' || user_number || '@sender.example', ARRAY[recipient], false, '192.0.2.1',
              'app.sender.example', 'TLSv1.3', 10240, 'Your order ' || n FROM made""",
    """INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,
                               return_path)
       SELECT id, id, $1, id, 3, recipient, 'b+' || n || '@bounce.example' FROM made""",
    """INSERT INTO events (id, account_id, submission_id, delivery_id, kind)
       SELECT id, $1, id, id, CASE WHEN n % 100 = 0 THEN 'bounced' ELSE 'delivered' END
       FROM made""",
    """INSERT INTO message_keys SELECT unnest(ARRAY[
           message_key(1, lpad(to_hex(user_number), 32, '0')::uuid::text),
           message_key(2, 'shop' || user_number || '@sender.example'),
           message_key(3, recipient)]), id
       FROM made WHERE $1::uuid IS NOT NULL""",
)
NAMED = """
INSERT INTO credentials (id, account_id, username, secret_hash)
SELECT lpad(to_hex(1000 + n), 32, '0')::uuid, $1, 'app-' || n, ''
FROM generate_series(0, $2::integer - 1) AS n
"""


async def fill(connection: Any, messages: int, began: datetime) -> None:
    """Half a million at a time; indexes of keys are made at the end."""
    await connection.execute("SET statement_timeout = 0; SET synchronous_commit = off")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await connection.execute("INSERT INTO accounts (id, name) VALUES ($1, 'shop')", ACCOUNT)
    await connection.execute(NAMED, ACCOUNT, USERS)
    await connection.execute("DROP INDEX message_keys_by_key")
    step = int((datetime.now(UTC) - began) / timedelta(microseconds=1)) // messages
    for first in range(0, messages, _AT_ONCE):
        last = min(first + _AT_ONCE, messages) - 1
        made = MADE.format(users=USERS)
        await connection.execute(made, began, step, messages // EACH_GOT, first, last, timeout=3600)
        for statement in FILL:
            await connection.execute(statement, ACCOUNT, timeout=3600)
        await connection.execute("DROP TABLE made")
        print(f"{last + 1} messages", file=sys.stderr, flush=True)
    await connection.execute(
        "CREATE INDEX message_keys_by_key ON message_keys (key, id)", timeout=3600
    )
    await connection.execute(f"VACUUM ANALYZE {', '.join((*HISTORY, KEYS))}", timeout=3600)
    await connection.execute("CHECKPOINT", timeout=3600)


def queries(messages: int) -> Iterator[tuple[str, Callable[[], dict[str, str]]]]:
    """What is asked for, at random."""

    def recipient() -> dict[str, str]:
        n = _CHANCE.randrange(messages)
        return {"to": f"r{n * 7919 % (messages // EACH_GOT)}@d{n % 1000}.example", "since": "1d"}

    def user() -> dict[str, str]:
        return {"user": f"app-{_CHANCE.randrange(USERS)}", "since": "1d"}

    yield "a recipient", recipient
    yield "a user", user


async def measure(database: Postgres, messages: int) -> None:
    """The first page and the next, one after the other."""
    search = MessageSearch(database)
    async with database.connection() as connection:  # the only one
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    for what, words in queries(messages):
        took, cpu, found = [], [], 0
        for _ in range(ASKED):
            query = MessageQuery.of(words(), datetime.now(UTC))
            cursor: str | None = None
            for _ in range(2):
                began, spent = time.perf_counter(), cpu_ms(backend)
                before = cursor_in(cursor) if cursor else None
                page = await search.page(query, limit=LIMIT, before=before)
                took.append((time.perf_counter() - began) * 1000)
                cpu.append(cpu_ms(backend) - spent)
                found += len(page.messages)
                if (cursor := page.cursor) is None:
                    break
        ranked, work = statistics.quantiles(took, n=100), statistics.quantiles(cpu, n=100)
        print(f"{what}: {len(took)} pages with {found} messages")
        print(f"  ms: median {ranked[49]:.1f}, p99 {ranked[98]:.1f}, most {max(took):.1f}")
        print(f"  CPU of PostgreSQL, ms: median {work[49]:.1f}, p99 {work[98]:.1f}")


def cpu_ms(process: int) -> float:
    """What it has spent, in milliseconds."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6


async def plan(database: Postgres, messages: int) -> None:
    """What the server reads for a page of a user."""
    first, beyond = UUID(int=0), UUID(int=(1 << 128) - 1)
    user = [str(UUID(int=1000 + USERS // 2))]
    async with database.connection() as connection:
        keys = await connection.fetch(QUERIES["find_message_keys"], 1, user, first, beyond, LIMIT)
        calls = {
            "find_message_keys": (1, user, first, beyond, LIMIT),
            "read_found_messages": ([row["id"] for row in keys], ["delivered", "bounced"]),
        }
        for name, arguments in calls.items():
            explained = await connection.fetch(
                f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {QUERIES[name]}", *arguments
            )
            print(f"-- {name}, {LIMIT} of {messages // USERS}")
            print("\n".join(row[0] for row in explained))


async def main(messages: int) -> None:
    """Fill, measure, explain."""
    with tempfile.TemporaryDirectory(prefix="posthouse-finding-", dir="/var/tmp") as folder:
        options = {"max_wal_size": "4GB", "full_page_writes": "off", "fsync": "off"}
        postgres = EmbeddedPostgres(Path(folder) / "postgres", options=options)
        await postgres.start()
        try:
            await migrate(postgres.dsn)
            async with Postgres(postgres.dsn, connections=1) as database:
                monday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
                monday -= timedelta(days=monday.weekday())  # all in one partition
                async with database.connection() as connection:
                    day = max(monday, datetime.now(UTC) - timedelta(hours=23))
                    await fill(connection, messages, day)
                await measure(database, messages)
                await plan(database, messages)
        finally:
            await postgres.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
