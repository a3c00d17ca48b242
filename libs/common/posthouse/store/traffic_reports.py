"""Reads reports of what became of mail."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from posthouse.store.postgres import Postgres
from posthouse.traffic.bill import BillLine
from posthouse.traffic.deliverability import Deliverability, deliverability_of
from posthouse.traffic.dimension import Dimension
from posthouse.traffic.measures import Counts
from posthouse.traffic.tallying import RefusalSample
from posthouse.traffic.traffic_report import (
    CountedLine,
    CountedSet,
    TrafficReport,
    fitting,
    report_of,
)
from posthouse.traffic.traffic_request import TrafficRequest

_SECONDS = 30.0
_MOST_LINES = 500_000


class ReportTooLarge(ValueError):
    """A report would have more lines than anybody reads."""


class TrafficReports:
    """Reads only. What was counted is some seconds behind the mail."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def read(self, account_id: UUID, request: TrafficRequest) -> TrafficReport:
        """The answer to *request* about an account, without its children.

        Raises ReportTooLarge, and what the store raises.
        """
        span = request.since, request.until
        sets = await self._sets(account_id, *span) if request.needs_sets else {}
        asked = [id_ for id_, each in sets.items() if fitting(request, each) is not False]
        rows = await self._database.fetch_within(
            _SECONDS,
            "read_traffic",
            account_id,
            *span,
            request.period,
            request.zone.key,
            request.needs_sets,
            Dimension.PROVIDER in request.by,
            Dimension.CLASS in request.by,
            request.provider,
            asked if request.needs_sets else None,
            _MOST_LINES,
        )
        if len(rows) == _MOST_LINES:
            raise ReportTooLarge(
                f"this report has {_MOST_LINES} lines or more: ask for less time, longer periods "
                "or fewer dimensions"
            )
        return report_of(request, map(_line, rows), sets)

    async def bill(
        self, account_id: UUID | None, first: datetime, beyond: datetime
    ) -> tuple[BillLine, ...]:
        """What one account, or each, sent from *first* on and before *beyond*, by stream."""
        rows = await self._database.fetch_within(_SECONDS, "read_bill", account_id, first, beyond)
        return tuple(BillLine(*row) for row in rows)

    async def deliverability(
        self, account_id: UUID, now: datetime, *, days: int = 7, past: int = 28
    ) -> Deliverability:
        """How well mail arrived in the last *days*, against the *past* days before them."""
        since = now - timedelta(days=days)
        recent = await self._by_answer(account_id, since, now)
        before = await self._by_answer(account_id, since - timedelta(days=past), since)
        rows = await self._database.fetch("read_refusals", account_id)
        samples = {(row["provider"], row["class"]): RefusalSample(*row[2:]) for row in rows}
        return deliverability_of(recent, before, samples)

    async def _by_answer(
        self, account_id: UUID, since: datetime, until: datetime
    ) -> dict[tuple[str, str], Counts]:
        by = (Dimension.PROVIDER, Dimension.CLASS)
        answer = await self.read(account_id, TrafficRequest(since, until, ZoneInfo("UTC"), by))
        return {(provider or "", class_ or ""): n for (provider, class_), n in answer.rows}

    async def _sets(
        self, account_id: UUID, since: datetime, until: datetime
    ) -> dict[int, CountedSet]:
        rows = await self._database.fetch_within(
            _SECONDS, "read_message_sets", account_id, since, until
        )
        return {row["id"]: _set(*row.values()) for row in rows}


def _set(
    _: int, stream: str, domain: str, user: str | None, lane: int | None, tags: Any, *rest: Any
) -> CountedSet:
    return CountedSet(stream, domain, user, lane, None if tags is None else tuple(tags), *rest)


def _line(row: Any) -> CountedLine:
    period, set_id, provider, answer, *counts = row.values()
    return CountedLine(period, set_id, provider, answer, Counts(*counts))
