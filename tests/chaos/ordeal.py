"""One run of a case: its messages, its faults, and the result."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

import asyncpg

from chaos.cases import Case
from chaos.flow import Flow, flowing
from chaos.relay import Onebox, Relay
from chaos.strikes import strike
from chaos.tally import Count
from chaos.told import failing_endpoint

_LOOK_SECONDS = 5.0
# Asking costs more with more rows to count: at most this share of the time.
_LOOKING_SHARE = 0.02


@dataclass(slots=True)
class Running:
    """How far a case is."""

    name: str
    messages: int
    blows: int = 0
    struck: int = 0
    flow: Flow | None = None
    uncertain: int = 0

    def strike_done(self, struck: int) -> None:
        """Note how many blows there were."""
        self.struck = struck

    async def watch(self, flow: Flow) -> None:
        """Keep the figures that have to be asked for, until cancelled."""
        self.flow = flow
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            # The database may be away: that is what this is about.
            with suppress(OSError, asyncpg.PostgresError):
                self.uncertain = await flow.uncertain()
            await asyncio.sleep(max(_LOOK_SECONDS, (loop.time() - began) / _LOOKING_SHARE))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    case: str
    says: str
    messages: int = 0
    strikes: int = 0
    idle_strikes: int = 0  # that hit when nothing was under way
    seed: int = 0  # of the moments
    count: Count | None = None
    broken: tuple[str, ...] = ()  # promises, in words
    not_run: str = ""  # why
    note: str = ""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.not_run:
            return f"NOT RUN: {self.not_run}"
        return f"BROKEN: {', '.join(self.broken)}" if self.broken else "holds"


async def ordeal(case: Case, relay: Relay, strikes: int, seed: int, running: Running) -> Result:
    """Carry out *case* with each service struck *strikes* times. AssertionError when it stalls."""
    blows = case.blows(strikes)
    messages = running.messages
    patience = 120 + messages / 40 + 30 * len(blows)
    async with flowing(relay, messages, manners=case.manners) as flow:
        watching = asyncio.create_task(running.watch(flow))
        try:
            idle = await strike(
                flow, relay.parts, blows, case.how, seed=seed, tell=running.strike_done
            )
            count = await flow.all_through(patience, nudging=bool(case.manners.cut))
        finally:
            watching.cancel()
    broken = case.broken(messages, count)
    return Result(case.name, case.says, messages, len(blows), idle, seed, count, broken)


async def told_ordeal(
    case: Case, relay: Relay, strikes: int, seed: int, running: Running
) -> Result:
    """An ordeal, while an endpoint that fails now and then is told of all events."""
    assert isinstance(relay, Onebox)
    async with failing_endpoint(relay.database_url) as endpoint:
        await relay.tell(endpoint)
        result = await ordeal(case, relay, strikes, seed, running)
        told = await endpoint.all_told(60 + running.messages / 100)
    note = f"{told.events} events were told, {told.repeated} of them more than once"
    return replace(result, broken=(*result.broken, *told.broken), note=note)
