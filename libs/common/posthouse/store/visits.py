"""Opens and clicks: where links lead, which mail they belong to, and their events."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.store.postgres import Postgres


class VisitedDelivery(NamedTuple):
    """What the history has of a delivery that somebody opened or clicked in."""

    account_id: UUID
    submission_id: UUID
    # Since a server took it, when the statement ran; None: no server has.
    delivered_ago: timedelta | None
    is_clear: bool  # whether that is known for sure


class VisitRow(NamedTuple):
    """An event to be written."""

    id: UUID
    ago: timedelta  # when it happened
    delivery_id: UUID
    of: VisitedDelivery
    kind: str
    detail: Mapping[str, Any]


class VisitStore:
    """The statements of the tracking service. All raise StoreUnavailable."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def targets(self, link_set: bytes) -> tuple[str, ...] | None:
        """Where the links of that set lead, by their number; None if it is not known (any more)."""
        row = await self._database.first("find_link_set", link_set)
        return None if row is None else tuple(row["targets"])

    async def deliveries(self, ids: Collection[UUID]) -> dict[UUID, VisitedDelivery]:
        """Those of *ids* that are known; not those that are past retention."""
        rows = await self._database.fetch("find_visited_deliveries", list(ids))
        return {row["id"]: VisitedDelivery(*row[1:]) for row in rows}

    async def record(self, visits: Sequence[VisitRow]) -> None:
        """Write the events; one that was written before is not written again."""
        columns: list[list[Any]] = [[] for _ in range(7)]
        for v in visits:
            row = (
                v.id, v.ago, v.of.account_id, v.of.submission_id, v.delivery_id, v.kind, v.detail
            )  # fmt: skip
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        await self._database.fetch("record_visits", *columns)
