"""Results of attempts: logged, counted, and committed however long the store is away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import structlog
from prometheus_client import Counter

from dispatcher.attempt_traces import AttemptTraces
from dispatcher.in_flight import Lease
from dispatcher.provider_metrics import count_attempt
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.running.loop_histogram import LoopHistogram
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.deliveries import Settlement

SETTLE_AGAIN_SECONDS = 0.2

ATTEMPTS = Counter("posthouse_delivery_attempts_total", "Attempts that ended.", ["lane", "result"])
DURATION = LoopHistogram(
    "posthouse_delivery_duration_seconds", "One attempt from start to result, in seconds.", ["lane"]
)

_KINDS = (
    EventKind.DELIVERED,
    EventKind.DEFERRED,
    EventKind.BOUNCED,
    EventKind.EXPIRED,
    EventKind.UNCERTAIN,
)

# Looking a metric up costs more than moving it: each is kept.
_attempts = cache(ATTEMPTS.labels)
_duration = cache(DURATION.labels)

log = structlog.get_logger()


class Results:
    """Settles claims; remembers the results whose claim was lost."""

    # If such a delivery is claimed by us again, there is nothing to send again.
    _MOST_REMEMBERED = 1000

    def __init__(
        self,
        settle: Callable[[Settlement], Awaitable[bool]],
        traces: AttemptTraces | None = None,
    ) -> None:
        """*settle* commits a result; False when the claim was lost."""
        self._settle = settle
        self._traces = traces
        self._remembered: dict[UUID, Settlement] = {}
        for lane in Lane:  # from nothing on, so that the first result is seen to be one more
            for kind in _KINDS:
                _attempts(lane.label, kind)
        self._log = log.bind()  # the one above is lazy, and would bind itself for each line

    def announce(self, result: Settlement) -> None:
        """Log and count the result of an attempt that has just ended."""
        delivery = result.claimed.delivery
        _attempts(delivery.lane.label, result.kind).inc()
        count_attempt(result)
        if result.attempt is not None:
            elapsed = datetime.now(UTC) - result.attempt.started_at
            _duration(delivery.lane.label).observe(elapsed.total_seconds())
        self._log.info(
            result.kind.value,
            delivery=delivery.id.hex,
            submission=delivery.submission_id.hex,
            claim=result.claimed.claim,
            **result.detail,
        )

    async def commit(self, lease: Lease, result: Settlement) -> None:
        """Commit *result*, trying again for as long as the store is away."""
        while True:
            try:
                # Under the present claim: ours may have run out, and we may have claimed it again.
                under = lease.claimed
                if result.claimed is not under:
                    result = replace(result, claimed=under)
                if await self._settle(result):
                    if self._traces is not None:
                        self._traces.tell(lease, result)
                    return
                if under is lease.claimed:
                    self._remember(lease.id, result)
                    return
            except StoreUnavailable:
                await asyncio.sleep(SETTLE_AGAIN_SECONDS)
            except StoreRefused as error:
                log.error("result_refused", delivery=lease.id.hex, reason=str(error))  # noqa: TRY400
                if result == result.bare():
                    return  # the lease runs out, and it is tried again
                result = result.bare()

    def _remember(self, delivery_id: UUID, result: Settlement) -> None:
        self._remembered[delivery_id] = result
        if len(self._remembered) > self._MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def recall(self, delivery_id: UUID) -> Settlement | None:
        """The result of that delivery under a claim that was lost; it is not remembered twice."""
        return self._remembered.pop(delivery_id, None)
