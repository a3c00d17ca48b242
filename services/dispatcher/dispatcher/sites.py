"""How many transactions run to each site, and which sites deliveries are parked for."""

from collections import Counter

from dispatcher.core.routes import Route


class Sites:
    """One limit for every site; what the operator routes by hand is limited by the lanes alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[str] = Counter()
        self._parked: set[str] = set()

    def enter(self, route: Route) -> bool:
        """Count a transaction to *route*, or refuse it because the site has no room."""
        if not route.static and self._running[route.site] >= self._most:
            return False
        self._running[route.site] += 1
        return True

    def leave(self, route: Route) -> None:
        """The transaction is over."""
        self._running[route.site] -= 1
        if not self._running[route.site]:
            del self._running[route.site]

    def parked(self, *sites: str) -> None:
        """Remember that deliveries wait for *sites*."""
        self._parked.update(sites)

    def emptied(self, site: str) -> None:
        """Nothing waits for *site* any more."""
        self._parked.discard(site)

    def with_room(self) -> list[tuple[str, int]]:
        """The sites that deliveries wait for and that could take half their limit or more."""
        room = ((site, self._most - self._running[site]) for site in sorted(self._parked))
        return [(site, free) for site, free in room if free * 2 >= self._most]
