"""How soon a million events are told that waited for webhooks, and for an endpoint."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from bench.children import ProgramFailed
from bench.observing import at_rest
from bench.onebox import Onebox
from bench.scenarios.filling import fill_delivered
from bench.scenarios.stage import Criterion, Stage
from bench.scenarios.webhooks import REWIND, connected, webhook_added, webhook_told
from bench.webhook_endpoint import WebhookEndpoint

_EVENTS = 1_000_000  # that customers are told of; there are half as many others
_STALL_SECONDS = 60.0
_LOOK_SECONDS = 0.5  # what waits is counted by the database, at some cost
_IS_AT_THE_END = """
SELECT (xid, id) >= (SELECT xid, id FROM events ORDER BY xid DESC, id DESC LIMIT 1)
FROM event_cursors WHERE reader = 'webhooks'
"""
_WAITING = "SELECT COALESCE(sum(cardinality(ids)), 0) FROM webhook_batches"


class WebhookBacklog:
    """First all events become batches of an endpoint that is paused; then it is resumed."""

    name: ClassVar[str] = "webhook-backlog"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._events = stage.scaled(_EVENTS // 2) * 2
        self.criteria: Mapping[str, Criterion] = {
            "cost": Criterion(f"{self._events:,} events that wait: us of CPU to tell one", 200.0),
            "core": Criterion("... told a second and core of CPU", digits=0),
            "queue": Criterion("... us of it until they wait for an endpoint"),
            "queued": Criterion("... events a second until then", digits=0),
            "rate": Criterion("... told a second after that, answers in 20 ms", digits=0),
            "size": Criterion("... octets of the table of batches, of an event", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return self._events / 8_000 + rounds * (self._events / 8_000 + 20)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = await self._stage.create(self.name)
        count = self._events // 2
        await fill_delivered(
            self._system, count, lambda done: self._stage.tell("filling", count, done)
        )

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        _ = number
        async with (
            WebhookEndpoint.listening() as endpoint,
            self._stage.running(self._system),
            connected(self._system) as connection,
        ):
            await _passed_over(connection)
            hook = await webhook_added(self._system, endpoint.url)
            await webhook_told(self._system, "pause", hook)

            async def rewind() -> None:
                await connection.execute(REWIND)

            async def resume() -> None:
                await webhook_told(self._system, "resume", hook)

            async def waiting() -> int:
                return int(await connection.fetchval(_WAITING))

            async def told() -> int:
                return endpoint.events

            queueing = await self._spent("queueing", rewind, waiting)
            octets = await connection.fetchval("SELECT pg_total_relation_size('webhook_batches')")
            telling = await self._spent("telling", resume, told)
            await webhook_told(self._system, "remove", hook)
        cost = (queueing[0] + telling[0]) * 1e6 / self._events
        return {
            "cost": cost,
            "core": 1e6 / cost,
            "queue": queueing[0] * 1e6 / self._events,
            "queued": self._events / queueing[1],
            "rate": self._events / telling[1],
            "size": octets / self._events,
        }

    async def _spent(
        self, name: str, begin: Callable[[], Awaitable[None]], done: Callable[[], Awaitable[int]]
    ) -> tuple[float, float]:
        """CPU of the system until all events are *done*, and how long that took, in seconds."""
        account = self._system.account
        await at_rest(account)
        cpu, began = account.cpu_seconds(), time.monotonic()
        await begin()
        last, last_at = 0, began
        while (now := await done()) < self._events:
            if now > last:
                last, last_at = now, time.monotonic()
            if time.monotonic() - last_at > _STALL_SECONDS:
                raise ProgramFailed(f"{name}: {now} of {self._events} events")
            self._stage.tell(name, self._events, now)
            await asyncio.sleep(_LOOK_SECONDS)
        took = time.monotonic() - began
        await at_rest(account)
        if await done() != self._events:
            raise ProgramFailed(f"{name}: {await done()} events, not {self._events}")
        return account.cpu_seconds() - cpu, took


async def _passed_over(connection: Any) -> None:
    """Wait until all events were passed over, since there is no endpoint."""
    while True:
        if await connection.fetchval(_IS_AT_THE_END):
            return
        await asyncio.sleep(_LOOK_SECONDS)
