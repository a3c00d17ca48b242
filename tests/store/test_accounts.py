"""Accounts, credentials and sending domains, as operators make them and services ask for them."""

from uuid import UUID

import pytest

from posthouse.mail.lane import Lane
from posthouse.store import StoreRefused
from posthouse.store.accounts import (
    AccountProfile,
    AccountStore,
    KeyState,
    NewKey,
    SealedKey,
    SendingDomain,
)
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
        shop, "shoes-1", b"hash", lane=Lane.LOW, highest_lane=Lane.HIGH, note="the web shop"
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
    await accounts.create_credential(shop, "shoes-1", b"hash")
    assert await accounts.set_credential_active("shoes-1", active=False)
    assert await accounts.login("shoes-1") is None
    assert await accounts.set_credential_active("shoes-1", active=True)
    assert await accounts.login("shoes-1") is not None
    assert not await accounts.set_credential_active("nobody", active=False)


async def test_names_are_given_once(accounts: AccountStore, shop: UUID) -> None:
    with pytest.raises(StoreRefused):
        await accounts.create_account("shop of shoes")
    await accounts.create_credential(shop, "shoes-1", b"hash")
    with pytest.raises(StoreRefused):
        await accounts.create_credential(shop, "shoes-1", b"another")


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
    await accounts.create_credential(other, "hats-1", b"hash")
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
    await accounts.create_credential(shop, "shoes-1", b"hash")
    await accounts.create_credential(child, "branch-1", b"hash")
    parents, childs = await accounts.login("shoes-1"), await accounts.login("branch-1")
    assert parents is not None
    assert {"shoes.example"} == parents.domains
    assert {"boots.example": child} == parents.child_domains
    assert childs is not None
    assert {"shoes.example", "boots.example"} == childs.domains
    assert {"socks.example": grandchild} == childs.child_domains


async def test_of_several_children_with_one_domain_the_oldest_counts(
    accounts: AccountStore, shop: UUID
) -> None:
    older, younger = [await accounts.create_account(name, parent=shop) for name in ("b", "a")]
    await accounts.create_sending_domain(younger, "boots.example", (), verified=True)
    await accounts.share_sending_domain(older, "boots.example")
    await accounts.create_credential(shop, "shoes-1", b"hash")
    login = await accounts.login("shoes-1")
    assert login is not None
    assert {"boots.example": older} == login.child_domains


async def test_a_new_credential_may_not_claim_the_lane_that_stops_all_others(
    accounts: AccountStore, shop: UUID
) -> None:
    await accounts.create_credential(shop, "shoes-1", b"hash")
    login = await accounts.login("shoes-1")
    assert login is not None
    assert Lane.HIGH is login.highest_lane


async def test_a_login_has_the_newest_revision_of_its_accounts_profile(
    accounts: AccountStore, shop: UUID
) -> None:
    """Earlier ones stay, for the mail that was accepted under them."""
    await accounts.create_credential(shop, "shoes-1", b"hash", profile="careful")
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
    await accounts.create_credential(shop, "shoes-1", b"hash")
    await accounts.create_sending_domain(shop, "shoes.example", [RSA, ED25519])
    await accounts.create_sending_domain(shop, "hats.example", ())
    assert [row["name"] for row in await accounts.accounts()] == ["shop", "shop of shoes"]
    (credential,) = await accounts.credentials()
    assert "secret_hash" not in credential
    domains = await accounts.sending_domains()
    assert [(row["name"], row["selector"]) for row in domains] == [
        ("hats.example", None), ("shoes.example", "s1"), ("shoes.example", "s2"),
    ]  # fmt: skip
    assert all("sealed" not in row for row in domains)
