"""The suppression list: who is on it, of which account, why, and how they leave it."""

from uuid import UUID

import pytest

from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores, a_submission


async def suppressed(stores: Stores, *recipients: str) -> frozenset[str]:
    """Those that a claim of a message to *recipients* says are on the list."""
    await stores.submissions.accept(a_submission(recipients=recipients))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    return claimed.suppressed


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
    wanted = {"dead@dest.example", "DEAD@dest.example"}
    assert wanted == await suppressed(stores, *wanted)


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
