"""How many transactions run to each site, and which sites deliveries are parked for."""

from dataclasses import dataclass

from dispatcher.core.routes import Route
from posthouse.mail.outcome import Deferred, Outcome, Scope

# Failing sites remembered while nothing runs to them.
_MOST_KNOWN = 10_000


@dataclass(slots=True)
class _Site:
    """A site that is busy, or has failed lately."""

    room: int  # how many transactions may run
    running: int = 0


class Sites:
    """One limit for every site; what the operator routes by hand is limited by the lanes alone.

    A transaction that the hosts of a site did not answer halves its room, down to one; each that
    they did answer gives one back. So hosts that swallow everything soon hold one transaction.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, _Site] = {}
        self._parked: set[str] = set()

    def enter(self, route: Route) -> bool:
        """Count a transaction to *route*, or refuse it because the site has no room."""
        if route.static:
            return True
        site = self._known.get(route.site)
        if site is None:
            site = self._known[route.site] = _Site(self._most)
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
            site.room = max(site.room // 2, 1)
        if not site.running and (site.room == self._most or len(self._known) > _MOST_KNOWN):
            del self._known[route.site]

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
            site = self._known.get(name) or _Site(self._most)
            free = site.room - site.running
            if free * 2 >= site.room:
                found.append((name, free))
        return found


def _is_answer(outcome: Outcome | None) -> bool:
    """Whether hosts of the site are there and do their work."""
    if isinstance(outcome, Deferred):
        return outcome.scope is not Scope.HOST
    return outcome is not None
