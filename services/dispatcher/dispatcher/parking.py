"""Deliveries whose site has no room: put back for it, and fetched when it has."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from dispatcher.sites import Sites
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery

# Parked deliveries of sites that this process does not know of are looked for this often.
PARKED_SECONDS = 1.0

log = structlog.get_logger()


class ParkedDeliveries(Protocol):
    """What is asked of the store; each raises StoreUnavailable."""

    async def claim_parked(self, site: str, limit: int) -> Sequence[ClaimedDelivery]:
        """Lease up to *limit* deliveries parked for *site*."""

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """Put each back until its site has room."""

    async def parked_sites(self) -> list[str]:
        """The sites that deliveries are parked for."""


class Parking:
    """Keeps deliveries out of the way of others while their site is full."""

    def __init__(
        self,
        deliveries: ParkedDeliveries,
        sites: Sites,
        fetched: Callable[[Sequence[ClaimedDelivery], float], None],
    ) -> None:
        """*fetched* gets what has room now, and the loop time when it was asked for."""
        self._deliveries = deliveries
        self._sites = sites
        self._fetched = fetched
        self._room = asyncio.Event()

    def look(self) -> None:
        """A site may have room now."""
        if self._sites.with_room():
            self._room.set()

    async def park(self, claimed: ClaimedDelivery, site: str) -> None:
        """Put it back until *site* has room."""
        self._sites.parked(site)
        try:
            await self._deliveries.park([(claimed, site)])
        except StoreUnavailable as error:
            log.warning("not_parked", delivery=claimed.delivery.id.hex, reason=str(error))

    async def run(self, stopping: asyncio.Event) -> None:
        """Fetch what has room, until *stopping*."""
        ending = asyncio.ensure_future(stopping.wait())
        ending.add_done_callback(lambda _: self._room.set())
        try:
            while not stopping.is_set():
                self._room.clear()
                try:
                    await self._fetch(stopping)
                except StoreUnavailable:
                    await asyncio.sleep(PARKED_SECONDS)
        finally:
            ending.cancel()

    async def _fetch(self, stopping: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(PARKED_SECONDS):
                await self._room.wait()
        except TimeoutError:
            self._sites.parked(*await self._deliveries.parked_sites())
        for site, room in self._sites.with_room():
            if not stopping.is_set():
                asked = asyncio.get_running_loop().time()
                claimed = await self._deliveries.claim_parked(site, room)
                if len(claimed) < room:
                    self._sites.emptied(site)
                self._fetched(claimed, asked)
