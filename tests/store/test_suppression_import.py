"""Imports and exports of suppressions: all or nothing, and the same at the other end."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.address_failure import FailureWeight
from posthouse.mail.suppression_file import BadLine, Line, ListedAddress
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store.accounts import AccountStore
from posthouse.store.audit_log import AuditStore
from posthouse.store.suppression_import import BadFile, Imported, SuppressionFiles
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores, bounced, delivered


def entry(name: str, *, on: str = "manual", until: datetime | None = None) -> ListedAddress:
    address = f"{name}@dest.example"
    return ListedAddress(
        address.lower(), on, "", address, "old list", {"imported": "old.csv"}, "", "", None, None,
        until,
    )  # fmt: skip


async def take(stores: Stores, *lines: Line) -> Imported:
    return await SuppressionFiles(stores.database).take(
        ACCOUNT, lines, actor="root@relay", source="old.csv", progress=lambda _: None
    )


async def listed(stores: Stores) -> dict[str, datetime | None]:
    entries = await SuppressionStore(stores.database).entries()
    return {e["address"]: e["expires_at"] for e in entries}


async def test_all_entries_are_taken_and_the_audit_says_so(stores: Stores) -> None:
    heard: list[int] = []
    lines = (entry(f"U{n}") for n in range(45_000))
    done = await SuppressionFiles(stores.database).take(
        ACCOUNT, lines, actor="root@relay", source="old.csv", progress=heard.append
    )
    assert Imported(45_000, 45_000) == done
    assert [20_000, 40_000, 45_000] == heard
    found = await SuppressionStore(stores.database).find([(ACCOUNT, "u44999@dest.example")])
    assert 1 == len(found)
    (line,) = await AuditStore(stores.database).newest(10)
    assert ("root@relay", "suppression import", "shop") == (
        line["actor"], line["action"], line["account"],
    )  # fmt: skip
    assert {"file": "old.csv", "read": 45_000, "written": 45_000} == line["detail"]


async def test_of_two_entries_the_one_that_lasts_longer_stays(stores: Stores) -> None:
    """In the file, and of one in the file and one that is there."""
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    suppressions = SuppressionStore(stores.database)
    await suppressions.add(ACCOUNT, "ann@dest.example", "by hand", {})
    await suppressions.add(ACCOUNT, "bob@dest.example", "by hand", {}, expires_at=soon)
    lines = [entry("ann", until=later), entry("bob", until=later)]
    lines += [entry("eve", until=soon), entry("Eve"), entry("eve", until=later)]
    assert Imported(5, 2) == await take(stores, *lines)
    assert {"ann@dest.example": None, "bob@dest.example": later, "Eve@dest.example": None} == (
        await listed(stores)
    )


async def test_nothing_is_imported_when_a_line_is_bad(stores: Stores) -> None:
    """All bad lines are counted, the first hundred are told."""
    lines: list[Line] = [entry("ann"), *(BadLine(n, "no") for n in range(2, 300)), entry("bob")]
    with pytest.raises(BadFile) as raised:
        await take(stores, *lines)
    assert (298, 2, 100) == (raised.value.count, raised.value.good, len(raised.value.bad))
    assert BadLine(2, "no") == raised.value.bad[0]
    assert {} == await listed(stores)
    assert [] == await AuditStore(stores.database).newest(10)
    assert Imported(1, 1) == await take(stores, entry("ann"))  # the same connection may try again


async def test_a_reader_that_fails_leaves_nothing_behind(stores: Stores) -> None:
    def lines() -> Iterator[Line]:
        yield entry("ann")
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        await SuppressionFiles(stores.database).take(
            ACCOUNT, lines(), actor="root@relay", source="old.csv", progress=lambda _: None
        )
    assert {} == await listed(stores)
    assert Imported(1, 1) == await take(stores, entry("ann"))


async def test_an_import_beside_bounces_of_the_same_addresses(stores: Stores) -> None:
    """None waits for the other in a circle, and no bounce is lost."""
    claimed = []
    for n in range(20):
        await stores.queue(recipients=(f"u{n}@dest.example",))
        claimed.append(await stores.claim_one())
    await asyncio.gather(
        take(stores, *(entry(f"u{n}", on="bounce") for n in reversed(range(20)))),
        *(stores.deliveries.settle(bounced(c)) for c in claimed),
    )
    assert 20 == len(await listed(stores))


async def test_an_imported_soft_entry_ends_with_a_delivery(stores: Stores) -> None:
    """And counts on from there with a failure."""
    until = datetime.now(UTC) + timedelta(days=3)
    await take(stores, entry("ann", on="bounce", until=until), entry("ann", on="unsubscribe"))
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(bounced(claimed, FailureWeight.SOFT))
    soft = await SuppressionStore(stores.database).entries(list=SuppressionList.BOUNCE)
    assert [until] == [e["expires_at"] for e in soft]
    await stores.deliveries.settle(delivered(await stores.one_claimed()))
    entries = await SuppressionStore(stores.database).entries()
    assert ["unsubscribe"] == [e["list"] for e in entries]


async def test_an_export_has_what_counts_of_one_account(stores: Stores) -> None:
    """In the order of the addresses; of one list, if it is named."""
    other = await AccountStore(stores.database).create_account("other")
    suppressions = SuppressionStore(stores.database)
    past = datetime.now(UTC) - timedelta(hours=1)
    await suppressions.add(other, "x@dest.example", "other", {})
    await suppressions.add(ACCOUNT, "past@dest.example", "past", {}, expires_at=past)
    await take(stores, entry("bob"), entry("ann", on="unsubscribe"))
    files = SuppressionFiles(stores.database)
    assert ["ann@dest.example", "bob@dest.example"] == [
        row["address"] async for row in files.give(ACCOUNT)
    ]
    assert ["bob@dest.example"] == [
        row["address"] async for row in files.give(ACCOUNT, SuppressionList.MANUAL)
    ]
    assert [] == [row async for row in files.give(UUID(int=99))]
