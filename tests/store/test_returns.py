"""Returned mail: each different report recorded once, however often it comes."""

import asyncio
from collections import Counter
from uuid import UUID

from posthouse.mail.address_failure import Objection
from posthouse.mail.events import Event, EventKind
from posthouse.mail.submission import Delivery
from posthouse.mail.suppression_list import SuppressionList
from posthouse.running.identity import new_id
from posthouse.store.returns import ReturnStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores, a_failure, open_stores

DETAIL = {"status": "5.1.1", "rule": "no_such_mailbox", "rules": 1, "digest": "d"}


def came_back(delivery: Delivery, kind: EventKind = EventKind.BOUNCED, digest: str = "d") -> Event:
    """A DSN said so."""
    detail = {**DETAIL, "digest": digest}
    return Event(kind, ACCOUNT, delivery.submission_id, delivery.id, detail)


async def test_a_delivery_is_found_by_its_id_or_with_its_submission(stores: Stores) -> None:
    (ann, bob) = await stores.queue()
    returns = ReturnStore(stores.database)
    assert ann == await returns.find(ann.id)
    assert await returns.find(UUID(int=1)) is None
    assert {ann, bob} == set(await returns.deliveries_of(ann.submission_id))
    assert () == await returns.deliveries_of(ann.id)


async def test_a_return_path_host_of_any_sending_domain_is_ours(stores: Stores) -> None:
    returns = ReturnStore(stores.database)
    await stores.sql(
        "INSERT INTO sending_domains (name, return_path_host) VALUES"
        " ('shop.example', 'b.shop.example'), ('news.example', NULL)"
    )
    hosts = ("b.shop.example", "shop.example", "news.example", "")
    assert [True, False, False, False] == [await returns.takes_mail_for(host) for host in hosts]


async def test_a_bounce_suppresses_with_its_evidence(stores: Stores) -> None:
    (delivery, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    assert "hard" == await returns.record(came_back(delivery), delivery, a_failure())
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
    assert "none" == await returns.record(came_back(delivery, EventKind.DELAYED), delivery)
    assert await SuppressionStore(stores.database).entries() == []


async def test_a_second_one_of_the_same_digest_writes_nothing(stores: Stores) -> None:
    """So that a suppression that was lifted by hand does not come back by a replay."""
    (delivery, _) = await stores.queue()
    returns, suppressions = ReturnStore(stores.database), SuppressionStore(stores.database)
    await returns.record(came_back(delivery), delivery, a_failure())
    await suppressions.remove(ACCOUNT, delivery.recipient)
    assert await returns.record(came_back(delivery), delivery, a_failure()) is None
    assert await suppressions.entries() == []


async def test_digests_and_submissions_are_told_apart(stores: Stores) -> None:
    (ann, _) = await stores.queue()
    (other, _) = await stores.queue()
    returns = ReturnStore(stores.database)
    for delivery, digest in ((ann, "full"), (ann, "gone"), (other, "full")):
        assert await returns.record(came_back(delivery, digest=digest), delivery)


async def test_a_return_path_is_good_for_a_hundred_different_reports(stores: Stores) -> None:
    """Its recipient may write any number of them."""
    (ann, bob) = await stores.queue()
    returns = ReturnStore(stores.database)
    new = [await returns.record(came_back(ann, digest=str(n)), ann) for n in range(103)]
    assert {"none": 100, None: 3} == Counter(new)
    assert await returns.record(came_back(bob), bob)


async def test_what_concerns_no_delivery_that_is_known_is_an_event_of_its_submission(
    stores: Stores,
) -> None:
    """Its rows may be past their retention."""
    submission = new_id()
    event = Event(EventKind.COMPLAINED, ACCOUNT, submission, None, DETAIL)
    returns = ReturnStore(stores.database)
    assert [await returns.record(event, None) for _ in range(3)] == ["none", None, None]
    rows = await stores.sql(
        "SELECT kind, delivery_id FROM events WHERE submission_id = $1", submission
    )
    assert [("complained", None)] == [tuple(row) for row in rows]


async def test_replays_at_once_give_one_event(emptied: str) -> None:
    """The same DSN at two processes and many connections."""
    async with open_stores(emptied) as one, open_stores(emptied) as two:
        (ann, bob) = await one.queue()
        stores = [ReturnStore(one.database), ReturnStore(two.database)] * 8
        new = await asyncio.gather(*(s.record(came_back(ann), ann, a_failure()) for s in stores))
        assert {"hard": 1, None: 15} == Counter(new)
        assert (await one.kinds(ann.submission_id)).count("bounced") == 1

        complaint = came_back(bob, EventKind.COMPLAINED, "c")
        against = Objection(SuppressionList.COMPLAINT)
        new = await asyncio.gather(*(s.record(complaint, bob, against) for s in stores))
        assert {"complaint": 1, None: 15} == Counter(new)
