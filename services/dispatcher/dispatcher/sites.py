"""How many transactions run to each site, and which sites deliveries are parked for."""

from dataclasses import dataclass

from dispatcher.core.routes import Route
from posthouse.mail.outcome import Deferred, Outcome, Scope

# What a site gets before it has taken anything, and falls back to: hosts that swallow everything
# hold so many transactions until our patience ends, and no more.
_FIRST = 2

# Sites remembered while nothing runs to them.
_MOST_KNOWN = 10_000


@dataclass(slots=True)
class _Site:
    """What is known of a site."""

    room: int  # how many may
    running: int = 0


class Sites:
    """One limit for every site; what the operator routes by hand is limited by the lanes alone.

    A site earns its room: each transaction that its hosts answered adds one up to the limit, each
    that they did not halves it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._first = min(most, _FIRST)
        self._known: dict[str, _Site] = {}
        self._parked: set[str] = set()

    def enter(self, route: Route) -> bool:
        """Count a transaction to *route*, or refuse it because the site has no room."""
        if route.static:
            return True
        site = self._known.get(route.site) or self._learn(route.site)
        if site.running >= site.room:
            return False
        site.running += 1
        return True

    def leave(self, route: Route, outcome: Outcome | None) -> None:
        """The transaction is over; no *outcome* when it was broken off."""
        if route.static:
            return
        site = self._known[route.site]
        site.running -= 1
        if _is_answer(outcome):
            site.room = min(site.room + 1, self._most)
        else:
            site.room = max(site.room // 2, self._first)

    def _learn(self, name: str) -> _Site:
        if len(self._known) >= _MOST_KNOWN:
            idle = next((name for name, site in self._known.items() if not site.running), None)
            if idle is not None:
                del self._known[idle]
        site = self._known[name] = _Site(self._first)
        return site

    def parked(self, *sites: str) -> None:
        """Remember that deliveries wait for *sites*."""
        self._parked.update(sites)

    def emptied(self, site: str) -> None:
        """Nothing waits for *site* any more."""
        self._parked.discard(site)

    def with_room(self) -> list[tuple[str, int]]:
        """The sites that deliveries wait for and that could take half their room or more."""
        found = []
        for name in sorted(self._parked):
            site = self._known.get(name) or _Site(self._first)
            free = site.room - site.running
            if free * 2 >= site.room:
                found.append((name, free))
        return found


def _is_answer(outcome: Outcome | None) -> bool:
    """Whether hosts of the site are there and do their work."""
    if isinstance(outcome, Deferred):
        return outcome.scope is not Scope.HOST
    return outcome is not None
