"""Judges visits and writes them as events, in batches."""

import asyncio
import math
import random
from collections.abc import (
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from posthouse.running.pausing import pausing
from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.visits import VisitedDelivery, VisitRow
from posthouse.tracking.visit import VisitFacts
from posthouse.tracking.visitor_rules import RULES_VERSION, judge_visit
from tracking.visit_queue import DROPPED, SettledVisit, VisitQueue

VISITS = Counter(
    "posthouse_visits_total", "Opens and clicks that were written.", ["kind", "verdict"]
)
_EVERY_SECONDS = 0.5
_BATCH = 250
_AT_A_STRETCH = 16  # visits, while visitors wait: half a millisecond

log = structlog.get_logger()


class VisitHistory(Protocol):
    """Where visits are written; `posthouse.store.visits.VisitStore` is one."""

    async def deliveries(self, ids: Collection[UUID]) -> Mapping[UUID, VisitedDelivery]:
        """Those of *ids* that are known."""

    async def record(self, visits: Sequence[VisitRow]) -> None:
        """Write the events, each once."""


class VisitWriter:
    """Empties a queue into the history: a service of a program."""

    def __init__(
        self,
        queue: VisitQueue,
        history: VisitHistory,
        clock: Callable[[], float],
        *,
        keep_client: bool = True,
    ) -> None:
        """*clock* is that of the visits. Without *keep_client* the client is judged and dropped."""
        self._queue = queue
        self._history = history
        self._clock = clock
        self._keep_client = keep_client

    async def run(self, stopping: asyncio.Event) -> None:
        """Write until *stopping*, then what is left, if the database takes it at once."""
        failures = 0
        while not stopping.is_set():
            wait = _EVERY_SECONDS
            try:
                while await self.write(self._clock()):
                    pass
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                log.warning("visits_not_written", reason=str(error), waiting=len(self._queue))
                wait += wait_before_retry(failures, random.random())  # noqa: S311
            await wait_for_event(stopping, wait)
        try:
            while await self.write(math.inf):
                pass
        except StoreUnavailable as error:
            log.error("visits_lost", reason=str(error), visits=len(self._queue))  # noqa: TRY400

    async def write(self, now: float) -> bool:
        """Write one batch of those that are to be judged at *now*; whether there was one.

        Raises StoreUnavailable; then they wait on.
        """
        async for _ in pausing(self._queue.settle(now), _AT_A_STRETCH):
            pass
        batch = self._queue.settled(_BATCH)
        if not batch:
            return False
        found = await self._history.deliveries({each.visit.delivery_id for each in batch})
        rows = [row async for row in pausing(self._rows(batch, found), _AT_A_STRETCH)]
        async for row in pausing(await self._written(rows), _AT_A_STRETCH):
            _report(row)
        DROPPED.labels("unknown").inc(len(batch) - len(rows))
        self._queue.remove(len(batch))
        return True

    async def _written(self, rows: Sequence[VisitRow]) -> Sequence[VisitRow]:
        """Write *rows*, one by one where the database refuses something in them."""
        if not rows:
            return ()
        try:
            await self._history.record(rows)
        except StoreRefused as error:
            if len(rows) > 1:
                return [row for each in rows for row in await self._written((each,))]
            DROPPED.labels("refused").inc()
            log.error("visit_refused", event=rows[0].id.hex, reason=str(error))  # noqa: TRY400
            return ()
        return rows

    def _rows(
        self, batch: Sequence[SettledVisit], found: Mapping[UUID, VisitedDelivery]
    ) -> Iterator[VisitRow]:
        now = self._clock()
        for each in batch:
            visit = each.visit
            if (delivery := found.get(visit.delivery_id)) is not None:
                ago = max(now - visit.at, 0.0)
                detail = self._detail(each, _facts(each, delivery, ago))
                yield VisitRow(
                    visit.id,
                    timedelta(seconds=ago),
                    visit.delivery_id,
                    delivery,
                    visit.kind,
                    detail,
                )

    def _detail(self, each: SettledVisit, facts: VisitFacts) -> dict[str, Any]:
        visit, verdict = each.visit, judge_visit(facts)
        detail: dict[str, Any] = {"verdict": verdict.visitor.value}
        if verdict.rule:
            detail["rule"] = verdict.rule
        detail["rules"] = str(RULES_VERSION)
        if visit.link is not None:
            detail |= {"link": visit.link, "target": visit.target}
        if self._keep_client:
            detail |= {"client": visit.client, "agent": visit.agent}
        return detail


def _facts(each: SettledVisit, delivery: VisitedDelivery, ago: float) -> VisitFacts:
    visit, near = each.visit, each.near
    seconds: float | None
    if delivery.delivered_ago is not None:
        seconds = delivery.delivered_ago.total_seconds() - ago
    else:  # no server has said that it took it, unless its reply was lost
        seconds = -math.inf if delivery.is_clear else None
    return VisitFacts(
        kind=visit.kind,
        agent=visit.agent,
        client=visit.client,
        is_head=visit.is_head,
        is_prefetch=visit.is_prefetch,
        seconds=seconds,
        links_together=near.together,
        links_of_client=near.of_client,
        links_in_order=near.in_order,
    )


def _report(row: VisitRow) -> None:
    verdict, rule = row.detail["verdict"], row.detail.get("rule", "")
    VISITS.labels(row.kind, verdict).inc()
    log.info(
        row.kind,
        account=row.of.account_id.hex,
        submission=row.of.submission_id.hex,
        delivery=row.delivery_id.hex,
        verdict=verdict,
        rule=rule,
    )
