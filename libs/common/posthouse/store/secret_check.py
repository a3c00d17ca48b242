"""Notice that the secret key is not the one that logins and DKIM keys were made with."""

import hmac

from posthouse.mail.secret import Purpose, derive
from posthouse.store.connecting import connect
from posthouse.store.failure import connection_failures, store_failures
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


class WrongSecretKey(Exception):
    """The secret key is not the one that this database was set up with."""


async def knows_secret_key(url: str) -> bool:
    """Whether the database was set up with a secret key, so that a new one would be another.

    It may have no schema yet, or be a copy that was not migrated. Raises StoreUnavailable.
    """
    with connection_failures(url):
        connection = await connect(url, timeout=10)
    with store_failures():
        try:
            table = await connection.fetchval("SELECT to_regclass('secret_check')::text")
            return table is not None and bool(await connection.fetch(QUERIES["read_secret_check"]))
        finally:
            await connection.close()


async def check_secret_key(database: Postgres, secret_key: bytes) -> bool:
    """Raise WrongSecretKey if the database was set up with another key; whether it knows one."""
    row = await database.first("read_secret_check")
    if row and not hmac.compare_digest(row["value"], derive(secret_key, Purpose.CHECK)):
        raise WrongSecretKey(
            "the secret key is not the one that this database was set up with: logins, DKIM keys "
            "and return paths made with that one cannot be used"
        )
    return row is not None


async def keep_secret_check(database: Postgres, secret_key: bytes) -> None:
    """Store a value derived from *secret_key* in the database.

    To be called before anything is made with the key; raises WrongSecretKey if it knows another.
    """
    if await check_secret_key(database, secret_key):
        return  # without writing: the database may be read-only at the moment
    await database.run("keep_secret_check", derive(secret_key, Purpose.CHECK))
    await check_secret_key(database, secret_key)
