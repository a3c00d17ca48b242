"""What stays on the disk of mail that was delivered and whose retention has passed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from onebox.postgres_server import EmbeddedPostgres
from posthouse.running.identity import earliest_id
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.retention import BODIES, HISTORY, Partitions, Retention
from servers.stores import open_stores

MESSAGES = int(os.environ.get("POSTHOUSE_TEST_MESSAGES", "1000000"))
HOURS = 24
MOST_OCTETS = 3 << 30

# What a delivered message of 10 KB to one recipient leaves in every table.
DELIVERED = """
WITH made AS (
    SELECT (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id, $1::uuid AS account
    FROM generate_series(1, $2::integer) AS n
), kept AS (
    INSERT INTO contents SELECT id, convert_to(repeat('h', 500), 'UTF8'),
        convert_to(repeat('0123456789', 950), 'UTF8') FROM made
), submitted AS (
    INSERT INTO submissions (id, account_id, credential_id, profile, profile_revision, lane, sender,
                             recipients, smtputf8, client, helo, tls, size)
    SELECT id, account, account, 'native', 1, 3, 'news@sender.example', '{ann@dest.example}', false,
           '192.0.2.1', 'app.sender.example', 'TLSv1.3', 10000 FROM made
), rendered AS (
    INSERT INTO renditions (id, submission_id, header)
    SELECT id, id, convert_to(repeat('h', 1500), 'UTF8') FROM made
), delivering AS (
    INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,
                            return_path)
    SELECT id, id, account, id, 3, 'ann@dest.example', 'b+' || id || '@bounce.example' FROM made
), attempted AS (
    INSERT INTO attempts (delivery_id, claim, started_at, outcome, site, host, tls, code, enhanced,
                          reply)
    SELECT id, 1, now(), 'delivered', 'dest.example', 'mx.dest.example', 'TLSv1.3', 250, '2.0.0',
           'Ok: queued as 4F1Kx' FROM made
)
INSERT INTO events (id, account_id, submission_id, kind, detail)
SELECT new_id(), account, id, kind, '{"recipient": "ann@dest.example", "host": "mx.dest.example"}'
FROM made, unnest(ARRAY['accepted', 'prepared', 'delivered']) AS kind
"""
# The last message of the hour is not delivered yet.
ONE_OPEN = """
INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at)
SELECT id, account_id, lane, 10000, now() + interval '1 hour', now(), now() + interval '5 days'
FROM deliveries WHERE id < $1 ORDER BY id DESC LIMIT 1
"""


def octets_of(folder: Path) -> int:
    """What the files in *folder* take on the disk."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_a_million_delivered_messages_leave_less_than_three_gigabytes(tmp_path: Path) -> None:
    """One message of each hour is still open, and can still be sent."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with EmbeddedPostgres(tmp_path / "postgres") as server:
        await migrate(server.dsn)
        writer = await asyncpg.connect(server.dsn)
        async with Postgres(server.dsn) as database, open_stores(server.dsn) as stores:
            partitions = Partitions(database, Retention())
            for age in range(HOURS + 2, 2, -1):
                hour = now - timedelta(hours=age)
                for table in BODIES:
                    await writer.execute(
                        "SELECT create_partition($1, $2, first_id_of($3), first_id_of($4))",
                        table, f"{table}_{hour:%Y%m%d_%H}", hour, hour + timedelta(hours=1),
                    )  # fmt: skip
                await writer.execute(DELIVERED, earliest_id(hour), MESSAGES // HOURS)
                await writer.execute(ONE_OPEN, earliest_id(hour + timedelta(hours=1)))
                await partitions.retire(BODIES)
            await partitions.retire(HISTORY)
            assert HOURS == await writer.fetchval("SELECT count(*) FROM contents")
            assert MESSAGES // HOURS * HOURS == await writer.fetchval(
                "SELECT count(*) FROM submissions"
            )
            assert MOST_OCTETS > octets_of(tmp_path)
            await writer.execute("UPDATE due_deliveries SET due_at = now()")
            claims = (await stores.deliveries.claim(100)).deliveries
            assert [9500] * HOURS == [len(claimed.body) for claimed in claims]
        await writer.close()
