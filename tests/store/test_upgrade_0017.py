"""What was counted before reports were is in them, and is counted on from there."""

from datetime import UTC, datetime

import asyncpg

from posthouse.store.migrate import MIGRATIONS, migrate
from servers.stores import ACCOUNT, open_stores

_COUNT = """
INSERT INTO account_statistics (account_id, began_at, stream, domain, provider, kind, class, count)
VALUES ($1, $2, $3, '', $4, $5, $6, $7)
"""
NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)
RELEASED = datetime(2026, 10, 31, 12, 20, 5, tzinfo=UTC)  # within the hour
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
COUNTED = (
    (NOON, "news", "google", "accepted", "", 10),
    (NOON, "news", "other", "accepted", "", 1),
    (NOON, "news", "google", "delivered", "", 7),
    (RELEASED, "news", "google", "delivered", "", 1),
    (NOON, "news", "google", "bounced", "no such mailbox", 2),
    (NOON, "news", "google", "bounced", "mailbox full", 3),
    (NOVEMBER, "news", "google", "complained", "", 1),
    (NOVEMBER, "", "other", "unsubscribed", "", 4),
)


async def test_what_was_counted_is_taken_over(empty_database: str) -> None:
    await migrate(empty_database, migrations=[m for m in MIGRATIONS if m.version < 17])
    before = await asyncpg.connect(empty_database)
    await before.executemany(_COUNT, [(ACCOUNT, *row) for row in COUNTED])
    await before.execute("UPDATE event_cursors SET xid = '12345' WHERE reader = 'statistics'")
    await before.close()
    await migrate(empty_database)
    async with open_stores(empty_database) as stores:
        rows = await stores.sql(
            "SELECT to_char(s.month, 'MM') AS month, to_char(began_at, 'HH24:MI') AS time, stream,"
            " provider, class, accepted, delivered, hard, soft, complained, unsubscribed"
            " FROM traffic_counts c JOIN message_sets s ON s.id = c.set_id"
            " ORDER BY began_at, stream, provider, class"
        )
        assert [
            ("10", "12:00", "news", "", "", 11, 0, 0, 0, 0, 0),
            ("10", "12:00", "news", "google", "", 0, 7, 0, 0, 0, 0),
            ("10", "12:00", "news", "google", "mailbox full", 0, 0, 0, 3, 0, 0),
            ("10", "12:00", "news", "google", "no such mailbox", 0, 0, 2, 0, 0, 0),
            ("10", "12:15", "news", "google", "", 0, 1, 0, 0, 0, 0),
            ("11", "00:00", "", "other", "", 0, 0, 0, 0, 0, 4),
            ("11", "00:00", "news", "google", "", 0, 0, 0, 0, 1, 0),
        ] == [tuple(row) for row in rows]
        positions = await stores.sql(
            "SELECT xid::text FROM event_cursors WHERE reader IN ('statistics', 'traffic')"
        )
        assert ["12345", "12345"] == [row["xid"] for row in positions]
