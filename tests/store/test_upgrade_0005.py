"""The version before sets domains up on the schema of 0005, and this one takes them over."""

import asyncpg

from posthouse.store.accounts import AccountStore
from posthouse.store.key_rotations import KeyRotations
from posthouse.store.migrate import MIGRATIONS, migrate
from posthouse.store.postgres import Postgres
from servers.stores import ACCOUNT

# As the statements of that version are.
_DOMAIN = """
WITH made AS (
    INSERT INTO sending_domains (name, return_path_host, verified_at)
    VALUES ($2, $3, now()) RETURNING id
)
INSERT INTO domain_accounts (account_id, domain_id) SELECT $1, id FROM made RETURNING domain_id
"""
_KEY = """
INSERT INTO dkim_keys (domain_id, selector, algorithm, sealed, record, state, activated_at)
SELECT id, $2, 'rsa-sha256', '', 'v=DKIM1; p=A', 'active', now()
FROM sending_domains WHERE name = $1
"""


async def test_the_version_before_works_on_the_schema_after(empty_database: str) -> None:
    await migrate(empty_database, migrations=[m for m in MIGRATIONS if m.version < 5])
    before = await asyncpg.connect(empty_database)
    await before.execute("INSERT INTO accounts (id, name) VALUES ($1, 'shop')", ACCOUNT)
    await before.execute(_DOMAIN, ACCOUNT, "old.example", None)
    await migrate(empty_database)
    await before.execute(_DOMAIN, ACCOUNT, "new.example", "back.new.example")
    for name in ("old.example", "new.example"):
        await before.execute(_KEY, name, "s1")
    await before.close()

    async with Postgres(empty_database) as database:
        rows = await AccountStore(database).sending_domains()
        assert [("new.example", "records", None), ("old.example", "records", None)] == [
            (row["name"], row["onboarding"], row["key_zone"]) for row in rows
        ]
        assert () == await KeyRotations(database).scheduled()
