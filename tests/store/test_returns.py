"""Returned mail: recorded once for each delivery and kind, however often it comes."""

import asyncio
from uuid import UUID

from posthouse.mail.events import Event, EventKind
from posthouse.mail.submission import Delivery
from posthouse.store.returns import ReturnStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores, a_failure, open_stores

DETAIL = {"status": "5.1.1", "rule": "no_such_mailbox", "rules": 1}


def came_back(delivery: Delivery, kind: EventKind = EventKind.BOUNCED) -> Event:
    """A DSN said so."""
    return Event(kind, ACCOUNT, delivery.submission_id, delivery.id, DETAIL)


async def test_a_delivery_is_found_by_its_id(stores: Stores) -> None:
    (delivery, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    assert delivery == await returns.find(delivery.id)
    assert await returns.find(UUID(int=1)) is None


async def test_a_bounce_suppresses_with_its_evidence(stores: Stores) -> None:
    (delivery, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    assert await returns.record(came_back(delivery), delivery, a_failure())
    (entry,) = await SuppressionStore(stores.database).entries()
    assert (delivery.recipient, delivery.id, "no such mailbox", "r", "7") == (
        entry["address"], entry["delivery_id"], entry["reason"], entry["rule"], entry["version"],
    )  # fmt: skip
    last = (await stores.story(delivery.submission_id)).events[-1]
    assert (delivery.id, "bounced") == (last["delivery_id"], last["kind"])
    assert {**DETAIL, "listed": "hard"} == last["detail"]


async def test_what_suppresses_nobody_is_an_event_alone(stores: Stores) -> None:
    (delivery, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    assert await returns.record(came_back(delivery, EventKind.DELAYED), delivery)
    assert await SuppressionStore(stores.database).entries() == []


async def test_a_second_one_of_the_same_kind_writes_nothing(stores: Stores) -> None:
    """So that a suppression that was lifted by hand does not come back by a replay."""
    (delivery, _) = await stores.queue()
    returns, suppressions = ReturnStore(stores.database), SuppressionStore(stores.database)
    await returns.record(came_back(delivery), delivery, a_failure())
    await suppressions.remove(ACCOUNT, delivery.recipient)
    assert not await returns.record(came_back(delivery), delivery, a_failure())
    assert await suppressions.entries() == []


async def test_kinds_and_deliveries_are_told_apart(stores: Stores) -> None:
    (ann, bob) = await stores.queue()
    returns = ReturnStore(stores.database)
    for delivery, kind in (
        (ann, EventKind.DELAYED),
        (ann, EventKind.BOUNCED),
        (bob, EventKind.BOUNCED),
    ):
        assert await returns.record(came_back(delivery, kind), delivery)


async def test_replays_at_once_give_one_event(emptied: str) -> None:
    """The same DSN at two processes and many connections."""
    async with open_stores(emptied) as one, open_stores(emptied) as two:
        (delivery, _) = await one.queue()
        stores = [ReturnStore(one.database), ReturnStore(two.database)] * 8
        new = await asyncio.gather(
            *(s.record(came_back(delivery), delivery, a_failure()) for s in stores)
        )
        assert sorted(new) == [False] * 15 + [True]
        assert (await one.kinds(delivery.submission_id)).count("bounced") == 1
