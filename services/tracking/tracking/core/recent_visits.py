"""The visits of the last seconds, by copy: what comes twice, and what comes together."""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.tracking.visit import Visit

TOGETHER_SECONDS = 1.0
_IN_ORDER_SECONDS = 10.0
_FOLDED_SECONDS = 10.0
_KEPT_SECONDS = 15.0
_MOST_OF_COPY = 64
_MOST = 50_000


class Noted(Enum):
    """What becomes of a visit."""

    NEW = "new"
    REPEATED = "repeated"  # the same client asked for the same within ten seconds
    TOO_MANY = "too many"  # of this copy


class LinksNear(NamedTuple):
    """Different links of one copy: see `posthouse.tracking.visit.VisitFacts`."""

    together: int = 0
    of_client: int = 0
    in_order: int = 0


class RecentVisits:
    """Bounded: a copy has 64 at most, and of more than 50,000 in all the oldest are forgotten."""

    def __init__(self) -> None:
        self._by_copy: dict[UUID, list[Visit]] = {}
        self._in_order: deque[Visit] = deque()

    def note(self, visit: Visit) -> Noted:
        """Remember *visit*; visits are noted in the order of their times."""
        self._forget(visit.at - _KEPT_SECONDS)
        of_copy = self._by_copy.setdefault(visit.delivery_id, [])
        since = visit.at - _FOLDED_SECONDS
        if any(other.at > since and _is_same(other, visit) for other in of_copy):
            return Noted.REPEATED
        if len(of_copy) >= _MOST_OF_COPY:
            return Noted.TOO_MANY
        of_copy.append(visit)
        self._in_order.append(visit)
        return Noted.NEW

    def near(self, visit: Visit) -> LinksNear:
        """Which links were asked for near to *visit*, before and after it."""
        if visit.kind is not EventKind.CLICKED:
            return LinksNear()
        of_copy = self._by_copy.get(visit.delivery_id) or [visit]
        clicks = [v for v in of_copy if v.kind is EventKind.CLICKED]
        together = [v for v in clicks if abs(v.at - visit.at) <= TOGETHER_SECONDS]
        mine = [v for v in clicks if v.client == visit.client and v.at <= visit.at]
        return LinksNear(
            len({v.link for v in together}),
            len({v.link for v in together if v.client == visit.client}),
            _run(mine, visit.at - _IN_ORDER_SECONDS),
        )

    def _forget(self, before: float) -> None:
        while self._in_order and (self._in_order[0].at < before or len(self._in_order) >= _MOST):
            gone = self._in_order.popleft()
            of_copy = self._by_copy[gone.delivery_id]
            of_copy.remove(gone)
            if not of_copy:
                del self._by_copy[gone.delivery_id]


def _is_same(one: Visit, other: Visit) -> bool:
    """Whether it is the same open or click again. What a machine asks first hides no person."""
    return (
        (one.kind, one.link, one.client, one.agent, one.is_head, one.is_prefetch)
        == (other.kind, other.link, other.client, other.agent, other.is_head, other.is_prefetch)
    )  # fmt: skip


def _run(clicks: Sequence[Visit], since: float) -> int:
    """How many of *clicks*, at their end, follow the links in order, each the next one."""
    count = 0
    after: int | None = None
    for click in reversed(clicks):
        if (
            click.at < since
            or click.link is None
            or (after is not None and click.link != after - 1)
        ):
            break
        after = click.link
        count += 1
    return count
