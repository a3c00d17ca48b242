"""What it costs to tell a customer of every event, and how soon a backlog of events is told."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import ClassVar

from bench.children import POSTHOUSE, ProgramFailed, answer
from bench.observing import at_rest
from bench.onebox import Onebox
from bench.scenarios.stage import Criterion, Stage
from bench.webhook_endpoint import WebhookEndpoint

_MESSAGES = 2_000  # in a block
_BLOCKS = 2  # of each kind in a round: they take turns
_BACKLOG = 20_000  # messages of the endpoint that was paused
_DRAIN_SECONDS = 600.0
_NONE, _TOLD, _DEAD = "none", "told", "dead"


class Webhooks:
    """CPU of a delivery without an endpoint, with one, and with one that never answers."""

    name: ClassVar[str] = "webhooks"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self._backlog = stage.scaled(_BACKLOG)
        self.criteria: Mapping[str, Criterion] = {
            "told": Criterion("with an endpoint that gets all events: CPU higher, %", 25.0),
            "dead": Criterion("with one that never answers: CPU higher, %", 5.0),
            "none": Criterion("... CPU ms of a delivery without", digits=3),
            "wait": Criterion("a backlog of events: us of CPU to tell one", 200.0),
            "rate": Criterion("... told a second, to one endpoint that answers in 20 ms", digits=0),
            "count": Criterion("... events in it", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        blocks = 3 * _BLOCKS * (self._messages / 700 + 3)
        return rounds * (blocks + self._backlog / 700 + self._backlog / 500 + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        seconds: dict[str, float] = defaultdict(float)
        deliveries: Counter[str] = Counter()
        names = (_NONE, _TOLD, _DEAD)
        async with (
            WebhookEndpoint.listening() as endpoint,
            self._stage.running(self._system) as receiving,
        ):
            urls = {_TOLD: endpoint.url, _DEAD: endpoint.dead_url}
            for block in range(_BLOCKS):
                first = (number + block) % len(names)  # none is always behind the same one
                for name in names[first:] + names[:first]:
                    hook = await self._add(urls[name]) if name in urls else ""
                    plan = self._stage.plan(self._system, self._messages)
                    phase = await self._stage.phase(self._system, receiving, plan, name)
                    seconds[name] += phase.system_seconds
                    deliveries[name] += len(phase.arrived)
                    if hook:
                        await self._webhook("remove", hook)
            if not endpoint.events:
                raise ProgramFailed("the endpoint was told of no event")
            hook = await self._add(endpoint.url)
            await self._webhook("pause", hook)
            plan = self._stage.plan(self._system, self._backlog)
            await self._stage.phase(self._system, receiving, plan, "backlog")
            drained = await self._drained(hook, endpoint)
        each = {name: seconds[name] * 1000 / deliveries[name] for name in names}
        return {
            "none": each[_NONE],
            "told": (each[_TOLD] / each[_NONE] - 1) * 100,
            "dead": (each[_DEAD] / each[_NONE] - 1) * 100,
            **drained,
        }

    async def _drained(self, hook: str, endpoint: WebhookEndpoint) -> Mapping[str, float]:
        """Resume it, and wait until nothing waits any more."""
        events, cpu, began = endpoint.events, self._system.account.cpu_seconds(), time.monotonic()
        await self._webhook("resume", hook)
        last, last_at = -1, began
        while endpoint.events != last or time.monotonic() - last_at < 1:
            if endpoint.events != last:
                last, last_at = endpoint.events, time.monotonic()
            if last_at - began > _DRAIN_SECONDS:
                raise ProgramFailed(f"events wait after {_DRAIN_SECONDS:g} seconds")
            self._stage.tell("draining", 0, last - events)
            await asyncio.sleep(0.05)
        await at_rest(self._system.account)
        count = last - events
        spent = self._system.account.cpu_seconds() - cpu
        return {"count": count, "rate": count / (last_at - began), "wait": spent * 1e6 / count}

    async def _add(self, url: str) -> str:
        return str(json.loads(await self._webhook("add", url, "--json"))["id"])

    async def _webhook(self, *words: str) -> bytes:
        system = self._system
        assert isinstance(system, Onebox)
        return await answer((POSTHOUSE, "webhook", *words), system.environment)
