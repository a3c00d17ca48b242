"""Half load for an hour, a kill a minute: nothing is lost, and no process grows."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.load_session import Door
from bench.sink_session import Manners

from chaos.cases import Case
from chaos.flow import Flow, flowing
from chaos.memory import WARM_UP, Memory
from chaos.ordeal import Result, Running
from chaos.parts import Part
from chaos.relay import Onebox, Split

_LOOK_SECONDS = 2.0
_FORGET_SECONDS = 10.0
_PATIENCE_SECONDS = 600.0
_PROMPT = Manners()


@dataclass(frozen=True, slots=True)
class Regime:
    """What a soak is made of."""

    seconds: float
    kill_every: float  # seconds; 0: nothing is killed
    rate: float  # messages a second
    warm_up: int = WARM_UP  # minutes of each life that its slope leaves out

    @property
    def kills(self) -> int:
        """How many there are; the last one early enough to be seen through at full load."""
        return int((self.seconds - 1) / self.kill_every) if self.kill_every else 0


async def full_rate(relay: Onebox | Split, messages: int, running: Running) -> float:
    """Messages a second when they come as fast as they are taken, from the first to the last."""
    doors = _doors(relay)
    async with flowing(relay, messages, manners=_PROMPT, doors=doors) as flow:
        running.flow = flow
        count = await flow.all_through(_PATIENCE_SECONDS)
    assert count.lost == 0, count
    return messages / count.seconds


async def soak(relay: Onebox | Split, regime: Regime, running: Running) -> tuple[Result, Memory]:
    """Carry it out. AssertionError when what is left does not come through in ten minutes."""
    running.messages, running.blows = int(regime.rate * regime.seconds), regime.kills
    memory = Memory()
    flows = flowing(relay, running.messages, manners=_PROMPT, rate=regime.rate, doors=_doors(relay))
    async with flows as flow:
        tasks = [
            asyncio.create_task(work)
            for work in (running.watch(flow), _look(flow, relay, memory), _forget(flow))
        ]
        try:
            await _kill(flow, _victims(relay), regime, running)
            count = await flow.all_through(regime.seconds + _PATIENCE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    case = Case("soak", "half load, a kill a minute")
    broken = case.broken(running.messages, count)
    struck = running.struck
    result = Result("soak", case.says, running.messages, struck, count=count, broken=broken)
    return result, memory


async def _kill(flow: Flow, victims: Sequence[Part], regime: Regime, running: Running) -> None:
    for number in range(regime.kills):
        await asyncio.sleep(max((number + 1) * regime.kill_every - flow.seconds, 0))
        part = victims[number % len(victims)]
        await part.kill()
        await part.start()
        running.strike_done(number + 1)


async def _look(flow: Flow, relay: Onebox | Split, memory: Memory) -> None:
    while True:
        with suppress(OSError):  # what was just killed has no processes
            memory.look(relay.processes(), flow.seconds)
        await asyncio.sleep(_LOOK_SECONDS)


async def _forget(flow: Flow) -> None:
    while True:
        await asyncio.sleep(_FORGET_SECONDS)
        flow.forget()


def _victims(relay: Onebox | Split) -> Sequence[Part]:
    """What is killed in turn: of two of a kind only one, so that the other lives to be measured."""
    if isinstance(relay, Onebox):
        parts: Mapping[str, Part] = relay.parts
        return [parts["onebox"], *([parts["worker"]] if relay.program.workers() else [])]
    names = ("ingest", "policy", "dispatcher 1", "bounces", "postgres", "rabbitmq")
    return [relay.parts[name] for name in names if name in relay.parts]


def _doors(relay: Onebox | Split) -> Sequence[Door]:
    return relay.doors if isinstance(relay, Split) else ()
