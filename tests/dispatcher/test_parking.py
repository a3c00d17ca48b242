"""Deliveries that may not start: parked together, and claimed back no more than there is room."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from dispatcher.sites import Parking, Sites
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery
from posthouse.running.identity import new_id
from posthouse.store.deliveries import ClaimedDelivery
from servers.patience import until


def a_claimed() -> ClaimedDelivery:
    nobody, now = UUID(int=0), datetime.now(UTC)
    delivery = Delivery(new_id(), nobody, nobody, nobody, Lane.BULK, "a@b.example", "r@h.example")
    return ClaimedDelivery(
        delivery, claim=1, tries=0, abandoned=0, expired=False,
        received_at=now, expires_at=now, size=1,
    )  # fmt: skip


class Store:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.parks: list[int] = []
        self.claims: list[tuple[str, int]] = []

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """See `posthouse.store.deliveries`."""
        self.parks.append(len(parked))

    async def claim_parked(self, waits_for: str, limit: int) -> Sequence[ClaimedDelivery]:
        """See `posthouse.store.deliveries`: as many as are asked for."""
        self.claims.append((waits_for, limit))
        return [a_claimed() for _ in range(limit)]

    async def parked_sites(self) -> list[str]:
        """See `posthouse.store.deliveries`."""
        return []


async def test_what_is_parked_at_the_same_time_is_one_statement() -> None:
    """A burst for a full site costs no statement for each."""
    store = Store()
    parking = Parking(store, Sites(10), lambda *_: None, lambda: 0)
    await asyncio.gather(*(parking.park(a_claimed(), "full.example") for _ in range(150)))
    assert [150] == store.parks


async def test_no_more_is_claimed_back_than_this_process_has_room_for() -> None:
    """However many sites have room."""
    store, sites = Store(), Sites(10)
    admitted: list[ClaimedDelivery] = []
    parking = Parking(
        store, sites, lambda claimed, _: admitted.extend(claimed), lambda: 25 - len(admitted)
    )
    sites.parked(*(f"{number}.example" for number in range(9)))
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parking.run(stopping))
        parking.look()
        await until(lambda: len(admitted) >= 25)
        parking.look()
        await asyncio.sleep(0.1)
        stopping.set()
        parking.wake()

    assert [10, 10, 5] == [limit for _, limit in store.claims]
