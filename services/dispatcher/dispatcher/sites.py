"""Limits of destinations: deliveries that may not start now are parked in the store."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import structlog

from dispatcher.core.routes import Route
from dispatcher.provider_metrics import provider_label
from dispatcher.site_metrics import ShownSite
from posthouse.mail.address import domain_of
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.scope import Scope
from posthouse.running.waiting import wait_for_event
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery
from posthouse.store.group_commit import GroupCommit

# Failing sites remembered while nothing runs to them.
_MOST_KNOWN = 10_000
# Large messages (see LARGE_OCTETS) on the wire at a time: one more may start while those to its
# site, and those of its lanes, hold less than this. Lanes 1 and 2 have limits of their own, which
# no newsletter can use up.
SITE_OCTETS = 16 << 20
_LANES_OCTETS = {"lane 1": 16 << 20, "lane 2": 16 << 20, "lanes 3-5": 48 << 20}
# Deliveries parked for octets are fetched in small numbers: one message may use them all.
_OCTETS_A_FETCH = 4 << 20
# Deliveries parked by other processes are looked for this often, in seconds.
PARKED_SECONDS = 1.0
_PARKED_AT_ONCE = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Go:
    """The transaction may start, and is counted until `leave`."""

    site: str
    limited: bool  # whether the site's number of transactions is
    octets_of: tuple[str, ...]  # the limits that its octets count for; none if it is small
    octets: int


@dataclass(frozen=True, slots=True)
class Full:
    """The transaction may not start now: park it for this."""

    waits_for: str


Admission: TypeAlias = Go | Full


@dataclass(slots=True)
class _Site:
    """A site that is busy, or failed at its last transactions."""

    shown: ShownSite
    room: int  # how many transactions may run
    running: int = 0

    def show(self, most: int) -> None:
        """Tell the metric what it is now, of *most* transactions that might run."""
        self.shown.show(full=self.running >= self.room, slowed=self.room < most)


class Sites:
    """The same limits for every site; routes of the operator have no limit of transactions.

    A transaction that the hosts of a site did not answer halves its room, down to one; each that
    they did answer gives one back. So hosts that never answer soon take one transaction only.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, _Site] = {}
        self._octets: Counter[str] = Counter()  # of large messages on the wire
        self._parked: set[str] = set()

    def enter(self, route: Route, claimed: ClaimedDelivery) -> Admission:
        """Whether a transaction to *route* may start now; if so, it is counted."""
        site = None if route.static else self._known.get(route.site)
        if site is not None and site.running >= site.room:
            return Full(route.site)
        octets_of = (route.site, _lanes(claimed.delivery.lane)) if claimed.is_large else ()
        for name in octets_of:
            if self._free_octets(name) <= 0:
                return Full(_large(name))
        if not route.static:
            site = site or self._begin(route.site, claimed)
            site.running += 1
            site.show(self._most)
        for name in octets_of:
            self._octets[name] += claimed.size
        return Go(route.site, not route.static, octets_of, claimed.size)

    def _begin(self, name: str, claimed: ClaimedDelivery) -> _Site:
        provider = provider_label(name, domain_of(claimed.delivery.recipient))
        self._known[name] = site = _Site(ShownSite(provider), self._most)
        return site

    def leave(self, go: Go, outcome: Outcome | None) -> None:
        """The transaction is over; no *outcome* when it was broken off."""
        for name in go.octets_of:
            self._octets[name] -= go.octets
            if not self._octets[name]:
                del self._octets[name]
        if not go.limited:
            return
        site = self._known[go.site]
        site.running -= 1
        if _is_answer(outcome):
            site.room = min(site.room + 1, self._most)
        else:
            site.room = max(site.room // 2, 1)
        if not site.running and (site.room == self._most or len(self._known) > _MOST_KNOWN):
            site = self._known.pop(go.site)
            site.room = self._most
        site.show(self._most)

    def _free_octets(self, name: str) -> int:
        return _LANES_OCTETS.get(name, SITE_OCTETS) - self._octets[name]

    def parked(self, *waits_for: str) -> None:
        """Remember that deliveries wait for these."""
        self._parked.update(waits_for)

    def emptied(self, waits_for: str) -> None:
        """Nothing waits for this any more."""
        self._parked.discard(waits_for)

    def with_room(self) -> list[tuple[str, int]]:
        """The limits that have room for parked deliveries now, and for how many.

        A site takes them back when half of its room or more is free.
        """
        found = []
        for name in sorted(self._parked):
            if (octets_of := name.removesuffix(_large(""))) != name:
                if (free := self._free_octets(octets_of)) > 0:
                    found.append((name, 1 + free // _OCTETS_A_FETCH))
                continue
            site = self._known.get(name)
            room = site.room if site else self._most
            free = room - site.running if site else room
            if free * 2 >= room:
                found.append((name, free))
        return found


def _lanes(lane: Lane) -> str:
    return f"lane {lane.value}" if lane <= Lane.HIGH else "lanes 3-5"


def _large(name: str) -> str:
    """The name of the octet limit of *name*."""
    return f"{name} (large)"


def _is_answer(outcome: Outcome | None) -> bool:
    """Whether hosts of the site have answered."""
    if isinstance(outcome, Deferred):
        return outcome.scope is not Scope.HOST
    return outcome is not None


class ParkedDeliveries(Protocol):
    """The store's statements for parking; each raises StoreUnavailable."""

    async def claim_parked(self, waits_for: str, limit: int) -> Sequence[ClaimedDelivery]:
        """Lease up to *limit* deliveries parked for this."""

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """Put each back until the limit named with it has room."""

    async def parked_sites(self) -> list[str]:
        """The limits that deliveries are parked for."""


class Parking:
    """Puts deliveries that may not start back into the store, and claims them when they may."""

    def __init__(
        self,
        deliveries: ParkedDeliveries,
        sites: Sites,
        admit: Callable[[Sequence[ClaimedDelivery], float], None],
        capacity: Callable[[], int],
    ) -> None:
        """*admit* gets what was claimed at that loop time; *capacity*: how many at most now."""
        self._deliveries = deliveries
        self._sites = sites
        self._admit = admit
        self._capacity = capacity
        self._room = asyncio.Event()
        self._ask_again_at = 0.0  # loop time: when to ask what other processes have parked
        self._writing = GroupCommit(self._write, most_items=_PARKED_AT_ONCE)

    def look(self) -> None:
        """A transaction has ended: something may have room now."""
        if self._sites.with_room():
            self._room.set()

    def wake(self) -> None:
        """Wake up to see whether it is time to stop."""
        self._room.set()

    async def park(self, claimed: ClaimedDelivery, waits_for: str) -> None:
        """Put it back until *waits_for* has room, in one statement with others of the moment."""
        try:
            await self._writing.add((claimed, waits_for))
        except StoreUnavailable as error:
            log.warning("not_parked", delivery=claimed.delivery.id.hex, reason=str(error))
        self._sites.parked(waits_for)

    async def _write(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> Sequence[None]:
        await self._deliveries.park(parked)
        return [None] * len(parked)

    async def run(self, stopping: asyncio.Event) -> None:
        """Fetch what has room, until *stopping*, after which `wake` is to be called."""
        while not stopping.is_set():
            try:
                await self._fetch(stopping)
            except StoreUnavailable:
                await asyncio.sleep(PARKED_SECONDS)

    async def _fetch(self, stopping: asyncio.Event) -> None:
        await wait_for_event(self._room, max(self._ask_again_at - _now(), 0))
        self._room.clear()  # what ends while we claim is to be looked at after that
        if _now() >= self._ask_again_at:
            self._ask_again_at = _now() + PARKED_SECONDS
            self._sites.parked(*await self._deliveries.parked_sites())
        for waits_for, room in self._sites.with_room():
            limit = min(room, self._capacity())
            if stopping.is_set() or limit <= 0:
                return
            asked = _now()
            self._sites.emptied(waits_for)  # but for what is parked from now on
            claimed = await self._deliveries.claim_parked(waits_for, limit)
            if len(claimed) == limit:
                self._sites.parked(waits_for)
            self._admit(claimed, asked)


def _now() -> float:
    return asyncio.get_running_loop().time()
