"""The version before runs on the schema of 0004, and its open work is held by this one."""

from datetime import timedelta
from pathlib import Path

import asyncpg

from posthouse.mail.lane import Lane
from posthouse.store.accepting import accept_arguments
from posthouse.store.account_holds import AccountHolds
from posthouse.store.migrate import MIGRATIONS, migrate
from posthouse.store.queries import parse
from servers.stores import ACCOUNT, a_submission, fill, open_stores

BEFORE = parse((Path(__file__).parent / "statements_0003.sql").read_text("utf-8"))
LEASE = timedelta(seconds=20)
SUBMISSIONS = (1, LEASE, 1000, True, 5)
DELIVERIES = (50, LEASE, timedelta(), 5, 1000, 5, True)


async def test_the_version_before_works_on_the_schema_after(empty_database: str) -> None:
    """It knows no hold; what it has written is held by this version, and it claims none of it."""
    await migrate(empty_database, migrations=[m for m in MIGRATIONS if m.version < 4])
    await fill(empty_database, 10, Lane.NORMAL)
    await migrate(empty_database)
    before = await asyncpg.connect(empty_database)
    await before.execute("INSERT INTO accounts (id, name) VALUES ($1, 'shop')", ACCOUNT)
    await before.execute("UPDATE due_submissions SET account_id = $1", ACCOUNT)
    await before.execute("UPDATE due_deliveries SET account_id = $1", ACCOUNT)
    submission = a_submission(Lane.HIGH)
    accepted, contents, *times = accept_arguments([submission])
    accepted, contents = [row[:15] for row in accepted], [row[:3] for row in contents]
    await before.fetch(BEFORE["accept_submissions"], accepted, contents, *times)
    rows = await before.fetch(BEFORE["claim_submissions"], *SUBMISSIONS)
    assert [submission.id] == [row["id"] for row in rows]

    async with open_stores(empty_database) as stores:
        holds = AccountHolds(stores.database)
        await holds.hold(ACCOUNT, "root@relay", "not paid")
        delivery = (submission.id, submission.id, submission.id, "a@b.example", "to", "r@x", "", 1)
        prepared = await before.fetch(
            BEFORE["prepare_submissions"],
            [(submission.id, 1)],
            [(submission.id, submission.id, b"", None)],
            [(*delivery, True)],
            [],
            LEASE,
            LEASE,
        )
        assert [False] == [row["leased"] for row in prepared]
        assert [] == await before.fetch(BEFORE["claim_submissions"], *SUBMISSIONS)
        claimed = await before.fetch(BEFORE["claim_deliveries"], *DELIVERIES)
        assert [None] == [row["id"] for row in claimed]
        await holds.release(ACCOUNT, "root@relay")
        claimed = await before.fetch(BEFORE["claim_deliveries"], *DELIVERIES)
        assert [submission.id] == [row["id"] for row in claimed]
    await before.close()
