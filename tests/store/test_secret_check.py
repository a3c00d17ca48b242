"""A database says whether a program has the secret key that it was set up with."""

import pytest

from posthouse.store.secret_check import WrongSecretKey, check_secret_key, keep_secret_check
from servers.stores import Stores

KEY, OTHER = b"k" * 32, b"o" * 32


async def test_another_key_is_noticed(stores: Stores) -> None:
    await check_secret_key(stores.database, KEY)  # nothing was made with any key yet
    await keep_secret_check(stores.database, KEY)
    await keep_secret_check(stores.database, KEY)
    await check_secret_key(stores.database, KEY)
    for refuse in (check_secret_key, keep_secret_check):
        with pytest.raises(WrongSecretKey):
            await refuse(stores.database, OTHER)
    await check_secret_key(stores.database, KEY)


async def test_the_key_itself_is_not_in_the_database(stores: Stores) -> None:
    await keep_secret_check(stores.database, KEY)
    kept = bytes(await stores.value("SELECT value FROM secret_check"))
    assert len(kept) == 32
    assert kept != KEY
