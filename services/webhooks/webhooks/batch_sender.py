"""Sends what waits for the endpoints of customers: each by itself, as fast as it answers."""

import asyncio
import random
from collections.abc import Mapping
from time import monotonic
from uuid import UUID

import structlog
from prometheus_client import Gauge

from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreUnavailable
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.webhooks.event_batch import ClaimedBatch
from webhooks.core.batching import MOST_EVENTS, MOST_OCTETS
from webhooks.core.endpoint_pace import room_after
from webhooks.delivery import BatchDelivery

log = structlog.get_logger()

BACKLOG = Gauge(
    "posthouse_webhook_backlog_events",
    "Events that wait for an endpoint, by what the endpoint does: waiting, failing or paused.",
    ["state"],
)
AGE = Gauge(
    "posthouse_webhook_backlog_age_seconds",
    "Age of the oldest event that waits for an endpoint, by what the endpoint does.",
    ["state"],
)
_STATES = ("waiting", "failing", "paused")
_LOOK_SECONDS = 1.0
_COUNT_SECONDS = 15.0
_COUNT_SHARE = 0.01  # of the time: to count reads all that waits
# Of all requests together: then each endpoint gets one at a time, and batches are not joined.
_MANY_OCTETS = 64 << 20


class WebhookSender:
    """A service: `posthouse.running.service.Service`."""

    def __init__(
        self,
        background: Postgres,
        delivery: BatchDelivery,
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._batches = WebhookBatches(background)
        self._delivery = delivery
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._count_at = 0.0
        self._octets = 0  # of requests that are under way
        self._failures = 0

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until *stopping*; then what was begun is finished."""
        ending = asyncio.create_task(self._wake_at(stopping), name="webhooks-ending")
        try:
            async with self._delivery, asyncio.TaskGroup() as tasks:
                while not stopping.is_set():
                    self._woken.clear()
                    await self._look(tasks, stopping)
                    await wait_for_event(self._woken, self._wait())
        finally:
            ending.cancel()

    async def _wake_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.wake()

    def _wait(self) -> float:
        if self._failures:
            return wait_before_retry(self._failures, random.random())  # noqa: S311
        return self._look_seconds

    async def _look(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        """Begin with each endpoint that something is due for, and that nothing is sent to yet."""
        try:
            for endpoint_id in await self._batches.due_endpoints():
                if endpoint_id not in self._busy:
                    task = tasks.create_task(self._serve(endpoint_id, stopping))
                    self._busy[endpoint_id] = task
            if monotonic() >= self._count_at:
                await self._count()
            self._failures = 0
        except StoreUnavailable as error:
            self._failures += 1
            log.warning("webhooks_not_read", reason=str(error), failures=self._failures)

    async def _count(self) -> None:
        began = monotonic()
        self._count_at = began + 2 * _COUNT_SECONDS  # also where it takes too long for an answer
        _show(await self._batches.backlog())
        ended = monotonic()
        self._count_at = ended + max(_COUNT_SECONDS, (ended - began) / _COUNT_SHARE)

    async def _serve(self, endpoint_id: UUID, stopping: asyncio.Event) -> None:
        """Send to one endpoint until nothing is due for it."""
        try:
            await self._send_all(endpoint_id, stopping)
        except Exception:  # a mistake of ours must not end the process: leases run out
            log.exception("webhook_failed", endpoint=endpoint_id.hex)
            await wait_for_event(stopping, self._look_seconds)
        finally:
            del self._busy[endpoint_id]

    async def _send_all(self, endpoint_id: UUID, stopping: asyncio.Event) -> None:
        """With one request at first, and one more after each that was answered well."""
        room = 1
        begun: set[asyncio.Task[bool]] = set()
        is_due = True
        async with asyncio.TaskGroup() as tasks:
            while begun or is_due:
                while is_due and len(begun) < self._room(room) and not stopping.is_set():
                    batch = await self._claim(endpoint_id)
                    is_due = batch is not None
                    if batch is not None:
                        begun.add(tasks.create_task(self._deliver(batch)))
                if not begun:
                    break
                done, begun = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    room = room_after(room, success=task.result())

    def _room(self, room: int) -> int:
        return room if self._octets < _MANY_OCTETS else 1

    async def _claim(self, endpoint_id: UUID) -> ClaimedBatch | None:
        """None also where the store cannot answer: then the next look begins again."""
        octets = MOST_OCTETS if self._octets < _MANY_OCTETS else 0
        try:
            return await self._batches.claim(endpoint_id, MOST_EVENTS, octets)
        except StoreUnavailable as error:
            log.warning("webhook_not_claimed", endpoint=endpoint_id.hex, reason=str(error))
            return None

    async def _deliver(self, batch: ClaimedBatch) -> bool:
        self._octets += len(batch.body)
        try:
            return await self._delivery.deliver(batch)
        except StoreUnavailable as error:  # the result is not known: it is sent once more
            log.warning("webhook_not_recorded", batch=batch.id.hex, reason=str(error))
            return False
        finally:
            self._octets -= len(batch.body)


def _show(backlog: Mapping[str, tuple[int, float]]) -> None:
    for state in _STATES:
        events, age = backlog.get(state, (0, 0.0))
        BACKLOG.labels(state).set(events)
        AGE.labels(state).set(age)
