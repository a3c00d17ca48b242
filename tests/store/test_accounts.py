"""Accounts, credentials and sending domains, as operators make them and services ask for them."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.secret import StoredSecret
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore, KeyState, NewKey, SealedKey, SendingDomain
from posthouse.store.credentials import CredentialTerms, SecretTaken
from posthouse.store.logins import AccountProfile
from posthouse.store.queries import QUERIES
from servers.stores import Stores

RSA = NewKey("s1", "rsa-sha256", b"sealed rsa", "v=DKIM1; k=rsa; p=...")
ED25519 = NewKey("s2", "ed25519-sha256", b"sealed ed", "v=DKIM1; k=ed25519; p=...")


@pytest.fixture
def accounts(stores: Stores) -> AccountStore:
    return AccountStore(stores.database)


@pytest.fixture
async def shop(accounts: AccountStore) -> UUID:
    return await accounts.create_account("shop of shoes")


async def test_a_login_knows_what_its_credential_may_do(accounts: AccountStore, shop: UUID) -> None:
    await accounts.create_sending_domain(shop, "shoes.example", (), verified=True)
    await accounts.create_sending_domain(shop, "unproven.example", ())
    await accounts.create_credential(
        shop,
        "shoes-1",
        StoredSecret(b"hash"),
        CredentialTerms(lane=Lane.LOW, highest_lane=Lane.HIGH, note="the web shop"),
    )
    login = await accounts.login("shoes-1")
    assert login is not None
    assert (shop, "shoes-1", b"hash", "native", Lane.LOW, Lane.HIGH) == (
        login.account_id, login.username, login.secret_hash, login.profile, login.lane,
        login.highest_lane,
    )  # fmt: skip
    assert login.domains == {"shoes.example"}


async def test_who_is_unknown_has_no_login(accounts: AccountStore) -> None:
    assert await accounts.login("nobody") is None


async def test_a_credential_that_is_switched_off_does_not_log_in(
    accounts: AccountStore, shop: UUID
) -> None:
    credentials = accounts.credentials
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    assert await credentials.set_active("shoes-1", active=False)
    assert await accounts.login("shoes-1") is None
    assert await credentials.set_active("shoes-1", active=True)
    assert await accounts.login("shoes-1") is not None
    assert not await credentials.set_active("nobody", active=False)


async def test_T02_a_secret_says_whose_it_is(accounts: AccountStore, shop: UUID) -> None:
    """Also the secret before, as long as it counts; nobody else gets one of them meanwhile."""
    for name, secret in (("shoes-1", b"one"), ("shoes-2", b"two")):
        await accounts.create_credential(shop, name, StoredSecret(secret))
    assert await accounts.user_of_secret(b"one") == "shoes-1"
    assert await accounts.user_of_secret(b"none") is None
    hour = timedelta(hours=1)
    await accounts.credentials.set_secret("shoes-2", StoredSecret(b"new"), keep_previous=hour)
    for secret in (b"two", b"new"):
        assert await accounts.user_of_secret(secret) == "shoes-2"
        with pytest.raises(SecretTaken):
            await accounts.create_credential(shop, "shoes-3", StoredSecret(secret))
        with pytest.raises(SecretTaken):
            await accounts.credentials.set_secret("shoes-1", StoredSecret(secret))
    await accounts.credentials.set_secret("shoes-2", StoredSecret(b"newer"))
    assert await accounts.user_of_secret(b"new") is None
    await accounts.create_credential(shop, "shoes-3", StoredSecret(b"new"))
    await accounts.credentials.delete("shoes-3")
    await accounts.credentials.set_secret("shoes-1", StoredSecret(b"new"))


async def test_X03_of_two_users_that_get_a_secret_at_one_time_one_has_it(
    accounts: AccountStore, shop: UUID
) -> None:
    made = await asyncio.gather(
        *(accounts.create_credential(shop, f"shoes-{n}", StoredSecret(b"one")) for n in range(8)),
        return_exceptions=True,
    )
    assert [made.count(None), sum(isinstance(one, SecretTaken) for one in made)] == [1, 7]


async def test_X03_the_keys_of_scram_are_those_of_the_secret_that_counts(
    accounts: AccountStore, shop: UUID
) -> None:
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash", b"keys"))
    assert await accounts.scram("shoes-1") == b"keys"
    assert await accounts.scram("nobody") is None
    await accounts.credentials.set_active("shoes-1", active=False)
    assert await accounts.scram("shoes-1") is None


async def test_T07_a_child_is_found_by_its_name(accounts: AccountStore, shop: UUID) -> None:
    child = await accounts.create_account("123", parent=shop)
    await accounts.create_account("124")
    assert await accounts.child(shop, "123") == child
    assert await accounts.child(shop, "124") is None
    assert await accounts.child(child, "123") is None


async def test_names_are_given_once(accounts: AccountStore, shop: UUID) -> None:
    with pytest.raises(StoreRefused):
        await accounts.create_account("shop of shoes")
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    with pytest.raises(StoreRefused):
        await accounts.create_credential(shop, "shoes-1", StoredSecret(b"another"))


async def sending_domain(accounts: AccountStore, account: UUID, name: str) -> SendingDomain | None:
    """What there is to know of one domain."""
    return (await accounts.find_sending_domains([(account, name)])).get((account, name))


async def test_a_sending_domain_brings_its_keys(accounts: AccountStore, shop: UUID) -> None:
    """RSA first: it is the one that every receiver can check."""
    await accounts.create_sending_domain(
        shop, "shoes.example", [ED25519, RSA], return_path_host="bounce.shoes.example"
    )
    assert await sending_domain(accounts, shop, "shoes.example") is None

    assert await accounts.verify_sending_domain(shop, "shoes.example")
    keys = (
        SealedKey("s1", "rsa-sha256", b"sealed rsa"),
        SealedKey("s2", "ed25519-sha256", b"sealed ed"),
    )
    expected = SendingDomain("shoes.example", "bounce.shoes.example", keys)
    assert expected == await sending_domain(accounts, shop, "shoes.example")


async def test_U13_a_domain_is_verified_for_itself_alone(
    accounts: AccountStore, shop: UUID
) -> None:
    """Neither for a host in it nor for the domain above it; second and third level are listed."""
    for name in ("mycompany.example", "marketing.other.example"):
        await accounts.create_sending_domain(shop, name, [], verified=True)
    wanted = [
        (shop, name)
        for name in (
            "mycompany.example",
            "www.mycompany.example",
            "marketing.other.example",
            "other.example",
        )
    ]
    found = await accounts.find_sending_domains(wanted)
    assert {"mycompany.example", "marketing.other.example"} == {name for _, name in found}


async def test_a_domain_in_two_accounts_is_refused(accounts: AccountStore, shop: UUID) -> None:
    other = await accounts.create_account("shop of hats")
    await accounts.create_sending_domain(shop, "shoes.example", (), verified=True)
    assert await sending_domain(accounts, other, "shoes.example") is None
    assert not await accounts.verify_sending_domain(other, "shoes.example")
    with pytest.raises(StoreRefused):
        await accounts.create_sending_domain(other, "shoes.example", [RSA], verified=True)
    assert await sending_domain(accounts, other, "shoes.example") is None


async def test_a_shared_domain_has_one_set_of_keys(accounts: AccountStore, shop: UUID) -> None:
    other = await accounts.create_account("shop of hats")
    await accounts.create_sending_domain(shop, "shoes.example", [RSA], verified=True)
    assert await accounts.share_sending_domain(other, "shoes.example")
    assert not await accounts.share_sending_domain(other, "shoes.example")
    assert not await accounts.share_sending_domain(other, "hats.example")
    expected = SendingDomain("shoes.example", None, (SealedKey("s1", "rsa-sha256", b"sealed rsa"),))
    assert expected == await sending_domain(accounts, shop, "shoes.example")
    assert expected == await sending_domain(accounts, other, "shoes.example")
    await accounts.create_credential(other, "hats-1", StoredSecret(b"hash"))
    login = await accounts.login("hats-1")
    assert login is not None
    assert login.domains == {"shoes.example"}
    listed = [(row["account"], row["selector"]) for row in await accounts.sending_domains()]
    assert [("shop of hats", "s1"), ("shop of shoes", "s1")] == listed


async def test_only_active_keys_sign(accounts: AccountStore, shop: UUID) -> None:
    """A rotation: the new key is published, then signs, then the old one signs no more."""

    async def signing() -> list[str]:
        found = await sending_domain(accounts, shop, "shoes.example")
        assert found is not None
        return [key.selector for key in found.keys]

    await accounts.create_sending_domain(shop, "shoes.example", [RSA], verified=True)
    assert await accounts.add_key("shoes.example", ED25519)
    assert ["s1"] == await signing()
    assert await accounts.set_key_state("shoes.example", "s2", KeyState.ACTIVE)
    assert ["s1", "s2"] == await signing()
    assert await accounts.set_key_state("shoes.example", "s1", KeyState.RETIRED)
    assert ["s2"] == await signing()
    states = {row["selector"]: row["state"] for row in await accounts.sending_domains()}
    assert {"s1": "retired", "s2": "active"} == states
    assert not await accounts.set_key_state("shoes.example", "s3", KeyState.ACTIVE)
    assert not await accounts.add_key("hats.example", ED25519)


async def test_a_parents_key_may_send_for_its_children(accounts: AccountStore, shop: UUID) -> None:
    """With their verified domains; one that the parent has too is the parent's."""
    child = await accounts.create_account("branch", parent=shop)
    grandchild = await accounts.create_account("stall", parent=child)
    await accounts.create_sending_domain(shop, "shoes.example", (), verified=True)
    await accounts.create_sending_domain(child, "boots.example", (), verified=True)
    await accounts.create_sending_domain(child, "later.example", (), verified=False)
    await accounts.create_sending_domain(grandchild, "socks.example", (), verified=True)
    await accounts.share_sending_domain(child, "shoes.example")
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    await accounts.create_credential(child, "branch-1", StoredSecret(b"another"))
    parents, childs = await accounts.login("shoes-1"), await accounts.login("branch-1")
    assert parents is not None
    assert {"shoes.example"} == parents.domains
    assert {"boots.example": child} == parents.child_domains
    assert {"shoes.example", "boots.example"} == parents.only_for(child).domains  # T07
    assert childs is not None
    assert {"shoes.example", "boots.example"} == childs.domains
    assert {"socks.example": grandchild} == childs.child_domains


async def test_of_several_children_with_one_domain_the_oldest_counts(
    accounts: AccountStore, shop: UUID
) -> None:
    older, younger = [await accounts.create_account(name, parent=shop) for name in ("b", "a")]
    await accounts.create_sending_domain(younger, "boots.example", (), verified=True)
    await accounts.share_sending_domain(older, "boots.example")
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    login = await accounts.login("shoes-1")
    assert login is not None
    assert {"boots.example": older} == login.child_domains
    assert {"boots.example"} == login.only_for(younger).domains  # T07


async def test_a_new_credential_may_not_claim_the_lane_that_stops_all_others(
    accounts: AccountStore, shop: UUID
) -> None:
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    login = await accounts.login("shoes-1")
    assert login is not None
    assert Lane.HIGH is login.highest_lane


async def test_a_login_has_the_newest_revision_of_its_accounts_profile(
    accounts: AccountStore, shop: UUID
) -> None:
    """Earlier ones stay, for the mail that was accepted under them."""
    await accounts.create_credential(
        shop, "shoes-1", StoredSecret(b"hash"), CredentialTerms("careful")
    )
    login = await accounts.login("shoes-1")
    assert login is not None
    assert login.own_profile is None

    for number, knobs in ((1, {"size.most_octets": 1}), (2, {"tracking.opens": True})):
        made = await accounts.create_profile(
            shop, "careful", preset="native", preset_revision=1, knobs=knobs
        )
        assert number == made
    first = AccountProfile(shop, "careful", 1, "native", 1, {"size.most_octets": 1})
    second = AccountProfile(shop, "careful", 2, "native", 1, {"tracking.opens": True})
    login = await accounts.login("shoes-1")
    assert login is not None
    assert second == login.own_profile
    by = login.credential_id
    wanted = [(by, "careful", 1), (by, "careful", 2), (by, "native", 1), (shop, "careful", 1)]
    assert {wanted[0]: first, wanted[1]: second} == await accounts.profiles(wanted)
    with pytest.raises(StoreRefused):
        await accounts.create_profile(shop, "native", preset="native", preset_revision=1, knobs={})


async def test_a_domain_is_made_with_all_its_keys_or_not_at_all(
    accounts: AccountStore, shop: UUID
) -> None:
    wrong = NewKey("s3", "rsa-md5", b"", "")
    with pytest.raises(StoreRefused):
        await accounts.create_sending_domain(shop, "shoes.example", [RSA, wrong], verified=True)
    assert await sending_domain(accounts, shop, "shoes.example") is None
    await accounts.create_sending_domain(shop, "shoes.example", [RSA], verified=True)


async def test_lists_are_complete_and_without_secrets(accounts: AccountStore, shop: UUID) -> None:
    await accounts.create_credential(shop, "shoes-1", StoredSecret(b"hash"))
    await accounts.create_sending_domain(shop, "shoes.example", [RSA, ED25519])
    await accounts.create_sending_domain(shop, "hats.example", ())
    assert [row["name"] for row in await accounts.accounts()] == ["shop", "shop of shoes"]
    (credential,) = await accounts.credentials.find()
    assert "secret_hash" not in credential
    domains = await accounts.sending_domains()
    assert [(row["name"], row["selector"]) for row in domains] == [
        ("hats.example", None), ("shoes.example", "s1"), ("shoes.example", "s2"),
    ]  # fmt: skip
    assert all("sealed" not in row for row in domains)


async def test_a_domain_of_another_account_is_known(accounts: AccountStore, shop: UUID) -> None:
    """Not one that is its own, a child's, shared with it, or that nobody has verified."""
    child = await accounts.create_account("child", parent=shop)
    other = await accounts.create_account("other")
    for owner, name in ((shop, "own"), (child, "child"), (other, "theirs"), (other, "shared")):
        await accounts.create_sending_domain(owner, f"{name}.example", (), verified=True)
    await accounts.create_sending_domain(other, "claimed.example", ())
    assert await accounts.share_sending_domain(shop, "shared.example")
    names = ("own", "child", "theirs", "shared", "claimed", "unknown", "below.theirs")
    asked = [f"{name}.example" for name in names]
    assert {"theirs.example"} == await accounts.owned_elsewhere(shop, asked)
    # A parent's domain is not its child's.
    assert {"theirs.example", "own.example", "shared.example"} == await accounts.owned_elsewhere(
        child, asked
    )
    assert {"own.example", "child.example"} == await accounts.owned_elsewhere(other, asked)
    assert frozenset() == await accounts.owned_elsewhere(shop, ())


async def test_whose_a_domain_is_takes_an_index(stores: Stores, accounts: AccountStore) -> None:
    """However many accounts and domains there are."""
    await stores.sql(
        "WITH made AS (INSERT INTO accounts (name) SELECT n::text FROM generate_series(1, 5000) n"
        " RETURNING id, name), named AS (INSERT INTO sending_domains (name, verified_at)"
        " SELECT name || '.example', now() FROM made RETURNING id, name)"
        " INSERT INTO domain_accounts SELECT made.id, named.id FROM made JOIN named"
        " ON named.name = made.name || '.example'"
    )
    account = await accounts.account("7")
    async with stores.database.connection() as connection:
        (row,) = await connection.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERIES['find_owned_elsewhere']}",
            account,
            ["7.example", "8.example", "9.example"],
        )
    plan = json.loads(row[0])[0]["Plan"]
    assert 2 == plan["Actual Rows"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50
