"""Where links lead, kept in memory for the sets that are asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from prometheus_client import Counter

from posthouse.store import StoreUnavailable

LOOKUPS = Counter(
    "posthouse_link_lookups_total",
    "Clicks by how their target was found: in memory, in the database, not at all, or not now.",
    ["result"],
)
_MOST_OCTETS = 64 << 20
_OF_ENTRY = 500  # octets, beside the targets
_OF_TARGET = 60
_UNKNOWN_SECONDS = 5.0

_Targets: TypeAlias = Sequence[str] | None


class LinkTargets:
    """A set never changes, so it is asked for once, and is served while the database is away.

    What is not known is asked for again after five seconds: a message may be on its way before its
    links are seen by every reader.
    """

    def __init__(
        self,
        find: Callable[[bytes], Awaitable[_Targets]],
        clock: Callable[[], float],
        *,
        most_octets: int = _MOST_OCTETS,
    ) -> None:
        """*find* raises StoreUnavailable. More than *most_octets* are never kept."""
        self._find = find
        self._clock = clock
        self._most_octets = most_octets
        self._octets = 0
        self._known: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()  # until when
        self._asked: dict[bytes, asyncio.Future[_Targets]] = {}

    async def target(self, link_set: bytes, number: int) -> str | None:
        """Where link *number* of that set leads; None if it leads nowhere (any more).

        Raises StoreUnavailable when that is not known now.
        """
        targets: _Targets = self._known.get(link_set)
        if targets is not None:
            LOOKUPS.labels("memory").inc()
            self._known.move_to_end(link_set)
        elif self._clock() < self._unknown.get(link_set, 0.0):
            LOOKUPS.labels("unknown").inc()
        else:
            targets = await self._looked_up(link_set)
        return targets[number] if targets is not None and number < len(targets) else None

    async def _looked_up(self, link_set: bytes) -> _Targets:
        """Ask once, however many wait for the answer."""
        if (asked := self._asked.get(link_set)) is not None:
            return await asyncio.shield(asked)
        asked = self._asked[link_set] = asyncio.get_running_loop().create_future()
        try:
            found = await self._find(link_set)
            LOOKUPS.labels("database" if found is not None else "unknown").inc()
        except StoreUnavailable as error:
            LOOKUPS.labels("failed").inc()
            self._give(asked, error)
            raise
        except BaseException:
            self._give(asked, StoreUnavailable("the look-up was given up"))
            raise
        else:
            self._keep(link_set, found)
            asked.set_result(found)
            return found
        finally:
            del self._asked[link_set]

    @staticmethod
    def _give(asked: "asyncio.Future[_Targets]", error: Exception) -> None:
        asked.set_exception(error)
        asked.exception()  # nobody may be waiting

    def _keep(self, link_set: bytes, targets: _Targets) -> None:
        if targets is None:
            self._unknown[link_set] = self._clock() + _UNKNOWN_SECONDS
            while self._unknown and next(iter(self._unknown.values())) <= self._clock():
                self._unknown.popitem(last=False)
            return
        self._known[link_set] = kept = tuple(targets)
        self._octets += _size(kept)
        while self._octets > self._most_octets:
            self._octets -= _size(self._known.popitem(last=False)[1])


def _size(targets: Sequence[str]) -> int:
    return _OF_ENTRY + sum(_OF_TARGET + len(target) for target in targets)
