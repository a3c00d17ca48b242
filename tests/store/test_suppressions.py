"""The suppression list: who is on it, of which account, why, and how they leave it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.suppression_list import SuppressionList
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores


async def suppressed(stores: Stores, *recipients: str) -> set[str]:
    """Those of *recipients* that are on a list of the account, as they are spelled here."""
    found = await SuppressionStore(stores.database).find([(ACCOUNT, r) for r in recipients])
    return {address for _, address in found}


@pytest.fixture
def suppressions(stores: Stores) -> SuppressionStore:
    return SuppressionStore(stores.database)


async def test_only_what_is_on_the_list_is_suppressed(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    await suppressions.add(ACCOUNT, "dead@dest.example", "bounced", {"code": 550})
    assert await suppressed(stores, "dead@dest.example", "ann@dest.example") == {
        "dead@dest.example"
    }


async def test_the_answer_names_addresses_as_they_were_asked_for(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    """No mailbox that exists tells upper from lower case; the asker compares with its own."""
    await suppressions.add(ACCOUNT, "Dead@dest.example", "bounced", {})
    await suppressions.add(ACCOUNT, "Jörg@Bücher.example", "bounced", {})
    wanted = {"dead@dest.example", "DEAD@dest.example", "jörg@xn--bcher-kva.example"}
    assert wanted == await suppressed(stores, *wanted)


async def test_one_question_is_answered_for_many_accounts_lists_and_scopes(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    other = await AccountStore(stores.database).create_account("other")
    unsubscribe = SuppressionList.UNSUBSCRIBE
    await suppressions.add(ACCOUNT, "ann@dest.example", "wish", {}, on=unsubscribe, scope="news")
    await suppressions.add(ACCOUNT, "ann@dest.example", "bounced", {}, on=SuppressionList.BOUNCE)
    await suppressions.add(other, "bob@dest.example", "by hand", {})

    wanted = [(a, f"{n}@dest.example") for a in (ACCOUNT, other) for n in ("ann", "bob", "eve")]
    found = await suppressions.find(wanted)

    assert {
        (ACCOUNT, "ann@dest.example"): {(unsubscribe, "news"), (SuppressionList.BOUNCE, "")},
        (other, "bob@dest.example"): {(SuppressionList.MANUAL, "")},
    } == {pair: {(e.list, e.scope) for e in entries} for pair, entries in found.items()}


async def test_an_entry_for_a_domain_is_one_for_each_address_in_it(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    """And for no other domain; the entry names itself, so that it can be removed."""
    assert await suppressions.add(ACCOUNT, "@Bücher.example", "competitor", {})
    wanted = {"ann@xn--bcher-kva.example", "bob@bücher.example"}
    assert wanted == await suppressed(stores, *wanted, "ann@x.bücher.example", "ann@b.example")
    pair = (ACCOUNT, "ann@bücher.example")
    (entry,) = (await suppressions.find([pair]))[pair]
    assert ("@Bücher.example", "competitor") == (entry.entry, entry.reason)
    assert await suppressions.remove(ACCOUNT, "@xn--bcher-kva.example")
    assert set() == await suppressed(stores, *wanted)


async def test_each_account_has_a_list_of_its_own(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    other = await AccountStore(stores.database).create_account("other")
    await suppressions.add(other, "ann@dest.example", "bounced", {})
    assert await suppressed(stores, "ann@dest.example") == set()
    assert await suppressions.remove(other, "ann@dest.example")
    await suppressions.add(ACCOUNT, "dead@dest.example", "bounced", {})
    assert await suppressions.entries(other) == []
    assert not await suppressions.remove(other, "dead@dest.example")


async def test_all_spellings_of_an_address_are_one_entry(suppressions: SuppressionStore) -> None:
    """A domain in its U-labels and in its A-labels, a local part in any case (review, L6)."""
    assert await suppressions.add(ACCOUNT, "Jörg@Bücher.example", "bounced", {})
    assert not await suppressions.add(ACCOUNT, "jörg@xn--bcher-kva.example", "bounced", {})
    assert [e["address"] for e in await suppressions.entries(ACCOUNT)] == ["Jörg@Bücher.example"]
    assert await suppressions.remove(ACCOUNT, "JÖRG@xn--bcher-kva.EXAMPLE")


async def test_lists_and_scopes_are_apart(suppressions: SuppressionStore) -> None:
    where = [(SuppressionList.BOUNCE, ""), (SuppressionList.UNSUBSCRIBE, "news")]
    where += [(SuppressionList.UNSUBSCRIBE, "offers")]
    for on, scope in where:
        assert await suppressions.add(ACCOUNT, "ann@dest.example", "why", {}, on=on, scope=scope)
    assert not await suppressions.remove(ACCOUNT, "ann@dest.example", on=SuppressionList.MANUAL)
    assert await suppressions.remove(ACCOUNT, "ann@dest.example", scope="news")
    left = {(e["list"], e["scope"]) for e in await suppressions.entries(ACCOUNT)}
    assert {("bounce", ""), ("unsubscribe", "offers")} == left
    assert await suppressions.remove(ACCOUNT, "ann@dest.example")
    assert await suppressions.entries(ACCOUNT) == []


async def test_an_entry_whose_time_has_come_does_not_count(
    suppressions: SuppressionStore, stores: Stores
) -> None:
    """And a new one takes its place."""
    past, soon = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    await suppressions.add(ACCOUNT, "ann@dest.example", "full", {}, expires_at=past)
    assert await suppressed(stores, "ann@dest.example") == set()
    assert await suppressions.entries(ACCOUNT) == []
    assert await suppressions.add(ACCOUNT, "ann@dest.example", "full", {}, expires_at=soon)
    assert await suppressed(stores, "ann@dest.example") == {"ann@dest.example"}


async def test_of_two_entries_the_one_that_lasts_longer_stays(
    suppressions: SuppressionStore,
) -> None:
    soon, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 2))
    assert await suppressions.add(ACCOUNT, "ann@dest.example", "soon", {}, expires_at=soon)
    assert await suppressions.add(
        ACCOUNT, "ann@dest.example", "later", {"n": 2}, expires_at=later, rule="r", version="7"
    )
    assert not await suppressions.add(ACCOUNT, "ann@dest.example", "soon", {}, expires_at=soon)
    (entry,) = await suppressions.entries(ACCOUNT)
    assert ("later", {"n": 2}, "r", "7", later) == (
        entry["reason"], entry["evidence"], entry["rule"], entry["version"], entry["expires_at"],
    )  # fmt: skip
    assert await suppressions.add(ACCOUNT, "ann@dest.example", "for good", {})
    assert not await suppressions.add(ACCOUNT, "ann@dest.example", "soon", {}, expires_at=soon)


async def test_an_entry_keeps_its_first_reason(suppressions: SuppressionStore) -> None:
    assert await suppressions.add(ACCOUNT, "dead@dest.example", "bounced", {"code": 550})
    assert not await suppressions.add(ACCOUNT, "dead@dest.example", "by hand", {})
    (entry,) = await suppressions.entries(ACCOUNT)
    assert ("shop", "bounced", {"code": 550}) == (
        entry["account"], entry["reason"], entry["evidence"],
    )  # fmt: skip


async def test_an_entry_can_be_taken_off(suppressions: SuppressionStore, stores: Stores) -> None:
    await suppressions.add(ACCOUNT, "dead@dest.example", "bounced", {})
    assert await suppressions.remove(ACCOUNT, "dead@dest.example")
    assert not await suppressions.remove(ACCOUNT, "dead@dest.example")
    assert await suppressed(stores, "dead@dest.example") == set()


async def test_the_newest_entries_come_first(suppressions: SuppressionStore) -> None:
    for n in range(5):
        await suppressions.add(ACCOUNT, f"{n}@dest.example", "bounced", {})
    entries = await suppressions.entries(limit=2)
    assert [e["address"] for e in entries] == ["4@dest.example", "3@dest.example"]


async def test_an_account_that_does_not_exist_has_no_list(suppressions: SuppressionStore) -> None:
    with pytest.raises(StoreRefused):
        await suppressions.add(UUID(int=99), "dead@dest.example", "bounced", {})
