"""Results: committed however long it takes, and kept where the claim was lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher import results
from dispatcher.in_flight import Lease
from dispatcher.results import Results
from posthouse.mail.events import EventKind
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.deliveries import Settlement
from servers.claimed_delivery import claimed_delivery

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lease() -> Lease:
    return Lease(claimed_delivery(), start_before=1.0)


def delivered(one: Lease) -> Settlement:
    return Settlement(one.claimed, EventKind.DELIVERED, None, None)


class Store:
    """Raises, or loses the claim after a call, as it was told; then all is well."""

    def __init__(self, *says: Exception | Callable[[], None]) -> None:
        self.says = list(says)
        self.settled: list[Settlement] = []

    async def settle(self, settlement: Settlement) -> bool:
        """See `posthouse.store.deliveries`."""
        self.settled.append(settlement)
        if not self.says:
            return True
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        said()
        return False


def lost() -> None:
    """Somebody else has the claim now."""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "SETTLE_AGAIN_SECONDS", 0.0)


async def test_a_store_that_is_away_is_asked_until_it_is_back() -> None:
    store, one = Store(StoreUnavailable("away"), StoreUnavailable("away")), lease()
    await Results(store.settle).commit(one, delivered(one))
    assert [delivered(one)] * 3 == store.settled


async def test_an_answer_whose_claim_was_lost_is_recalled_once() -> None:
    """Should the delivery come back to us, it is not sent again."""
    store, one = Store(lost), lease()
    kept = Results(store.settle)
    await kept.commit(one, delivered(one))
    assert delivered(one) == kept.recall(one.claimed.delivery.id)
    assert kept.recall(one.claimed.delivery.id) is None


async def test_a_claim_that_is_ours_again_is_settled_under_its_new_number() -> None:
    """Its lease ran out while the store was away, and no other process claimed it."""
    one = lease()
    again = replace(one.claimed, claim=2)

    def reclaimed() -> None:
        one.claimed = again

    store = Store(reclaimed)
    await Results(store.settle).commit(one, delivered(one))
    assert [1, 2] == [settlement.claimed.claim for settlement in store.settled]


async def test_a_result_that_is_refused_is_tried_bare_and_then_left() -> None:
    """What the store will never take must not keep us for ever: the lease runs out."""
    store, one = Store(StoreRefused("no"), StoreRefused("no")), lease()
    await Results(store.settle).commit(one, replace(delivered(one), detail={"a": "b"}))
    assert [{"a": "b"}, {}] == [settlement.detail for settlement in store.settled]


async def test_the_oldest_answers_are_forgotten() -> None:
    """The process that took the claim has sent it by then."""
    kept = Results(Store(*[lost] * 1001).settle)
    many = [lease() for _ in range(1001)]
    for one in many:
        await kept.commit(one, delivered(one))

    assert kept.recall(many[0].claimed.delivery.id) is None
    assert kept.recall(many[1].claimed.delivery.id) is not None
