"""What it costs the relay to tell a customer of every event, while mail comes in at full rate."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, ClassVar

import asyncpg
from bench.children import POSTHOUSE, ProgramFailed, answer
from bench.observing import at_rest
from bench.onebox import Onebox
from bench.receiving import Receiving
from bench.scenarios.stage import Criterion, Stage
from bench.systems import Ours
from bench.webhook_endpoint import WebhookEndpoint

from onebox import postgres_folder

_MESSAGES = 2_000  # in a block
_SETS = 4  # of blocks in a round, one of each kind in a set
_SETTLE_SECONDS = 2.0  # events are looked for once a second: the last of a block belong to it
REWIND = """
UPDATE event_cursors SET xid = '0', id = '00000000-0000-0000-0000-000000000000'
WHERE reader = 'webhooks'
"""
_FAILING = """
UPDATE webhook_endpoints SET failures = 10, failing_since = now() - interval '1 hour',
       retry_at = now() + interval '1 hour'
WHERE id = $1::uuid
"""
_NONE, _TOLD, _SLOW, _DEAD = "none", "told", "slow", "dead"
_NAMES = (_NONE, _TOLD, _SLOW, _DEAD)


class Webhooks:
    """CPU of a delivery without an endpoint, and with one of several kinds.

    The speed of a machine changes within minutes, and with it the CPU of the load generator, whose
    work is always the same. So blocks of messages take turns, and a block counts by how many times
    the load generator's CPU it took.
    """

    name: ClassVar[str] = "webhooks"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self.criteria: Mapping[str, Criterion] = {
            "told": Criterion("with an endpoint that gets all events: CPU higher, %", 25.0),
            "slow": Criterion("with one that answers in 9.5 s: CPU higher, %", 5.0),
            "dead": Criterion("with one that never answers: CPU higher, %", 5.0),
            "none": Criterion("... CPU ms of a delivery without", digits=3),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * (15 + (len(_NAMES) * _SETS + 1) * (self._messages / 700 + 5))

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        seconds: dict[str, list[float]] = defaultdict(list)
        times: dict[str, list[float]] = defaultdict(list)
        async with (
            WebhookEndpoint.listening() as endpoint,
            self._stage.running(self._system) as receiving,
        ):
            urls = {_TOLD: endpoint.url, _SLOW: endpoint.slow_url, _DEAD: endpoint.dead_url}
            await self._block(receiving, "warming")
            for place in range(_SETS):
                first = (number + place) % len(_NAMES)  # none is always behind the same one
                for name in _NAMES[first:] + _NAMES[:first]:
                    spent, load = await self._block(receiving, name, urls.get(name, ""))
                    seconds[name].append(spent)
                    times[name].append(spent / load)
            if not endpoint.events:
                raise ProgramFailed("the endpoint was told of no event")
        without = median(times[_NONE])
        more = {name: (median(times[name]) / without - 1) * 100 for name in urls}
        return {**more, _NONE: median(seconds[_NONE]) * 1000 / self._messages}

    async def _hook(self, name: str, url: str) -> str:
        """A new endpoint; one that does not answer well has been so for a while."""
        hook = await webhook_added(self._system, url)
        if name == _TOLD:
            return hook
        async with connected(self._system) as connection:
            await connection.execute(REWIND)
            await asyncio.sleep(_SETTLE_SECONDS)
            await at_rest(self._system.account)
            if name == _DEAD:
                await connection.execute(_FAILING, hook)
        return hook

    async def _block(self, receiving: Receiving, name: str, url: str = "") -> tuple[float, float]:
        """CPU seconds of the relay for a block of messages, and of the load generator."""
        system = self._system
        hook = await self._hook(name, url) if url else ""
        before = system.account.cpu_seconds()
        plan = self._stage.plan(system, self._messages)
        phase = await self._stage.phase(system, receiving, plan, name)
        if len(phase.arrived) != self._messages:
            raise ProgramFailed(f"{len(phase.arrived)} of {self._messages} messages arrived")
        await asyncio.sleep(_SETTLE_SECONDS)
        await at_rest(system.account)
        spent = system.account.cpu_seconds() - before
        if hook:
            await webhook_told(system, "remove", hook)
        return spent, phase.load_seconds


@asynccontextmanager
async def connected(system: Ours) -> AsyncIterator[Any]:
    """A connection to the database of *system*, which runs."""
    connection = await asyncpg.connect(postgres_folder.dsn(system.database))
    try:
        yield connection
    finally:
        await connection.close()


async def webhook_added(system: Ours, url: str) -> str:
    """The id of a new endpoint that is told of every event."""
    return str(json.loads(await webhook_told(system, "add", url, "--json"))["id"])


async def webhook_told(system: Ours, *words: str) -> bytes:
    """What `posthouse webhook` answers."""
    assert isinstance(system, Onebox)
    return await answer((POSTHOUSE, "webhook", *words), system.environment)
