"""Streams of an account and settings of its senders, and what a login brings of them."""

from uuid import UUID

import pytest

from posthouse.mail.message_flag import MessageFlag, Stream
from posthouse.mail.secret import StoredSecret
from posthouse.store.accounts import AccountStore
from posthouse.store.logins import Login
from posthouse.store.streams import MOST_OF_AN_ACCOUNT, NotMade, SenderFlags, StreamStore
from servers.stores import Stores


@pytest.fixture
def streams(stores: Stores) -> StreamStore:
    return StreamStore(stores.database)


@pytest.fixture
def accounts(stores: Stores) -> AccountStore:
    return AccountStore(stores.database)


@pytest.fixture
async def shop(accounts: AccountStore) -> UUID:
    account = await accounts.create_account("shop of shoes")
    await accounts.create_credential(account, "shop-1", StoredSecret(b"hash"))
    return account


async def login(accounts: AccountStore) -> Login:
    found = await accounts.login("shop-1")
    assert found is not None
    return found


async def test_E06_a_login_knows_the_streams_by_code_and_by_name(
    streams: StreamStore, accounts: AccountStore, shop: UUID
) -> None:
    """A code in lower case, however it was given; those of other accounts are not there."""
    other = await accounts.create_account("other")
    assert (await login(accounts)).streams == {}
    opens = {MessageFlag.OPEN_TRACKING: True, MessageFlag.CHECK_BOUNCES: None}
    assert await streams.create(shop, "News", "AbC", opens) is None
    assert await streams.create(shop, "bills", "x9", {}) is None
    assert await streams.create(other, "theirs", "t1", {}) is None
    news, bills = Stream("News", "abc", {"open_tracking": True}), Stream("bills", "x9", {})
    expected = {"News": news, "abc": news, "bills": bills, "x9": bills}
    assert expected == (await login(accounts)).streams
    assert [news, bills] == await streams.of_account(shop)


@pytest.mark.parametrize(
    ("name", "code"), [("news", "other"), ("other", "N1"), ("n1", "other"), ("other", "news")]
)
async def test_a_name_or_code_means_one_stream_of_an_account(
    streams: StreamStore, accounts: AccountStore, shop: UUID, name: str, code: str
) -> None:
    await streams.create(shop, "news", "n1", {})
    assert NotMade.TAKEN == await streams.create(shop, name, code, {})
    assert await streams.create(await accounts.create_account("other"), name, code, {}) is None


async def test_a_stream_is_changed_flag_by_flag(streams: StreamStore, shop: UUID) -> None:
    opens, clicks = MessageFlag.OPEN_TRACKING, MessageFlag.CLICK_TRACKING
    await streams.create(shop, "news", "n1", {opens: True, clicks: False})
    await streams.create(shop, "bills", "b1", {})
    changed = await streams.set(shop, "news", None, {opens: None, MessageFlag.CHECK_BOUNCES: False})
    assert Stream("news", "n1", {"click_tracking": False, "check_bounces": False}) == changed
    assert Stream("news", "n2", changed.flags) == await streams.set(shop, "news", "N2", {})
    assert await streams.set(shop, "news", "bills", {}) is None
    assert await streams.set(shop, "none", None, {}) is None
    assert await streams.set(shop, "news", "b1", {}) is None
    assert await streams.delete(shop, "news")
    assert not await streams.delete(shop, "news")
    assert ["bills"] == [stream.name for stream in await streams.of_account(shop)]


async def test_M19_a_login_knows_what_is_set_for_an_address(
    streams: StreamStore, accounts: AccountStore, shop: UUID
) -> None:
    """By the form in which addresses are compared."""
    opens, clicks = MessageFlag.OPEN_TRACKING, MessageFlag.CLICK_TRACKING
    address = "News@Shoes.example"
    assert (await login(accounts)).sender_flags == {}
    await streams.set_sender(shop, address, {opens: True, clicks: False})
    changed = await streams.set_sender(shop, address.lower(), {opens: None, clicks: True})
    assert SenderFlags(address.lower(), {"click_tracking": True}) == changed
    expected = {"news@shoes.example": {"click_tracking": True}}
    assert expected == (await login(accounts)).sender_flags
    assert [changed] == await streams.senders(shop)
    assert await streams.delete_sender(shop, address)
    assert not await streams.delete_sender(shop, address)


async def test_a_login_does_not_grow_without_limit(
    stores: Stores, streams: StreamStore, shop: UUID
) -> None:
    await stores.sql(
        "INSERT INTO streams (account_id, name, code) SELECT $1, 'news' || n, n::text"
        " FROM generate_series(1, $2::integer) AS n",
        *(shop, MOST_OF_AN_ACCOUNT),
    )
    await stores.sql(
        "INSERT INTO sender_settings (account_id, normal, address) SELECT $1, n || '@x.example', ''"
        " FROM generate_series(1, $2::integer) AS n",
        *(shop, MOST_OF_AN_ACCOUNT),
    )
    assert NotMade.TOO_MANY == await streams.create(shop, "one more", "code", {})
    flags = {MessageFlag.CHECK_BOUNCES: True}
    assert await streams.set_sender(shop, "one-more@x.example", flags) is None
    assert await streams.set_sender(shop, "1@x.example", flags) is not None
