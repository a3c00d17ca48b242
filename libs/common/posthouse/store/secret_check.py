"""Notice that the secret key is not the one that logins and DKIM keys were made with."""

import hmac

from posthouse.mail.secret import Purpose, derive
from posthouse.store.postgres import Postgres


class WrongSecretKey(Exception):
    """The secret key is not the one that this database was set up with."""


async def keep_secret_check(database: Postgres, secret_key: bytes) -> None:
    """Have the database remember *secret_key* by a value derived from it.

    To be called before anything is made or opened with the key; raises WrongSecretKey when the
    database remembers another one.
    """
    check = derive(secret_key, Purpose.CHECK)
    await database.run("keep_secret_check", check)
    row = await database.first("read_secret_check")
    if row is None or not hmac.compare_digest(row["value"], check):
        raise WrongSecretKey(
            "the secret key is not the one that this database was set up with: logins, DKIM keys "
            "and return paths made with that one cannot be used"
        )
