"""Deliveries that may not start: parked together, and claimed back no more than there is room."""

import asyncio
from collections.abc import Sequence

import pytest

from dispatcher import sites as sites_module
from dispatcher.sites import Parking, Sites
from posthouse.store.deliveries import ClaimedDelivery
from servers.claimed_delivery import claimed_delivery
from servers.patience import until


class Store:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.parks: list[int] = []
        self.claims: list[tuple[str, int]] = []
        self.asked_for_sites = 0

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """See `posthouse.store.deliveries`."""
        self.parks.append(len(parked))

    async def claim_parked(self, waits_for: str, limit: int) -> Sequence[ClaimedDelivery]:
        """See `posthouse.store.deliveries`: as many as are asked for."""
        self.claims.append((waits_for, limit))
        return [claimed_delivery() for _ in range(limit)]

    async def parked_sites(self) -> list[str]:
        """See `posthouse.store.deliveries`."""
        self.asked_for_sites += 1
        return []


async def test_what_is_parked_at_the_same_time_is_one_statement() -> None:
    """A burst for a full site costs no statement for each."""
    store = Store()
    parking = Parking(store, Sites(10), lambda *_: None, lambda: 0)
    await asyncio.gather(*(parking.park(claimed_delivery(), "full.example") for _ in range(150)))
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


async def test_what_is_parked_during_a_claim_that_misses_it_is_claimed_next() -> None:
    """The claim brought nothing, but that says nothing of what was parked after it began."""

    class Misses(Store):
        async def claim_parked(self, waits_for: str, limit: int) -> Sequence[ClaimedDelivery]:
            self.claims.append((waits_for, limit))
            await parking.park(claimed_delivery(), waits_for)
            return []

    sites = Sites(10)
    parking = Parking(store := Misses(), sites, lambda *_: None, lambda: 10)
    sites.parked("a.example")
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parking.run(stopping))
        parking.look()
        await until(lambda: bool(store.claims))
        await until(lambda: bool(sites.with_room()))
        stopping.set()
        parking.wake()


async def test_room_that_is_made_during_a_claim_is_used_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without waiting for the next transaction to end, or for the next look at the store."""
    monkeypatch.setattr(sites_module, "PARKED_SECONDS", 3600.0)

    class MakesRoom(Store):
        async def claim_parked(self, waits_for: str, limit: int) -> Sequence[ClaimedDelivery]:
            if not self.claims:
                sites.parked("b.example")
                parking.look()
            return await super().claim_parked(waits_for, limit)

    store, sites = MakesRoom(), Sites(10)
    parking = Parking(store, sites, lambda *_: None, lambda: 10)
    sites.parked("a.example")
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parking.run(stopping))
        await until(lambda: store.asked_for_sites == 1)
        parking.look()
        await until(lambda: ("b.example", 10) in store.claims)
        stopping.set()
        parking.wake()


async def test_what_others_have_parked_is_looked_for_while_there_is_always_something_to_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dispatcher that never rests still takes over what one that died has parked."""
    monkeypatch.setattr(sites_module, "PARKED_SECONDS", 0.05)
    store, sites = Store(), Sites(10)
    stopping = asyncio.Event()

    def admit(*_: object) -> None:
        parking.look()

    async def claim_parked(_: str, limit: int) -> Sequence[ClaimedDelivery]:
        await asyncio.sleep(0)
        return [claimed_delivery() for _ in range(limit)]

    monkeypatch.setattr(store, "claim_parked", claim_parked)
    parking = Parking(store, sites, admit, lambda: 10)
    sites.parked("a.example")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parking.run(stopping))
        parking.look()
        await until(lambda: store.asked_for_sites >= 3)
        stopping.set()
        parking.wake()
