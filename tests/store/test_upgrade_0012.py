"""The version before claims idempotency keys and makes users on the schema of 0012."""

from datetime import timedelta

import asyncpg

from posthouse.mail.terms import AcceptedBefore, Committed, IdempotencyKey, Resubmission, Terms
from posthouse.store.accounts import AccountStore
from posthouse.store.migrate import MIGRATIONS, migrate
from servers.stores import ACCOUNT, a_submission, open_stores

# As the statements of that version are.
_CLAIM = """
WITH input AS (
    SELECT * FROM unnest($1::idempotency_row_1[])
), claimed AS (
    INSERT INTO idempotency_keys AS k (account_id, key, submission_id, digest)
    SELECT DISTINCT ON (account_id, key) account_id, key, id, digest
    FROM input ORDER BY account_id, key, id
    ON CONFLICT (account_id, key) DO UPDATE
    SET submission_id = CASE WHEN k.at > now() - $2::interval THEN k.submission_id
                             ELSE EXCLUDED.submission_id END,
        digest = CASE WHEN k.at > now() - $2::interval THEN k.digest ELSE EXCLUDED.digest END,
        at = CASE WHEN k.at > now() - $2::interval THEN k.at ELSE EXCLUDED.at END
    RETURNING account_id, key, submission_id, digest
)
SELECT i.id, c.submission_id AS first, c.digest = i.digest AS same
FROM input i JOIN claimed c ON c.account_id = i.account_id AND c.key = i.key
"""
_USER = """
INSERT INTO credentials (account_id, username, secret_hash, profile, lane, highest_lane, note)
VALUES ($1, 'app', '', 'native', 3, 2, '')
"""
DAY = timedelta(hours=24)


async def test_the_version_before_works_on_the_schema_after(empty_database: str) -> None:
    await migrate(empty_database, migrations=[m for m in MIGRATIONS if m.version < 12])
    before = await asyncpg.connect(empty_database)
    await before.execute("INSERT INTO accounts (id, name) VALUES ($1, 'shop')", ACCOUNT)
    ids = [a_submission().id for _ in range(3)]
    await before.fetch(_CLAIM, [(ids[0], ACCOUNT, "old", b"1")], DAY)
    await migrate(empty_database)
    async with open_stores(empty_database) as stores:
        (row,) = await before.fetch(_CLAIM, [(ids[1], ACCOUNT, "new", b"1")], DAY)
        assert (ids[1], True) == (row["first"], row["same"])
        for key, first in (("old", ids[0]), ("new", ids[1])):
            again = a_submission(terms=Terms(key=IdempotencyKey(key, b"1")))
            assert AcceptedBefore(first) == await stores.submissions.accept(again)
        ours = a_submission(terms=Terms(key=IdempotencyKey("ours", b"1")))
        assert Committed(is_due=True) == await stores.submissions.accept(ours)
        (row,) = await before.fetch(_CLAIM, [(ids[2], ACCOUNT, "ours", b"1")], DAY)
        assert (ours.id, True) == (row["first"], row["same"])
        await before.execute(_USER, ACCOUNT)
        login = await AccountStore(stores.database).login("app")
        assert login is not None
        assert Resubmission.OFF is login.resubmission
    await before.close()
