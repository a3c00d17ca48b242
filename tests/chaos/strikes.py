"""Lightning: parts of a relay are ended while messages are on their way, and come back."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import cycle

from chaos.flow import Flow
from chaos.parts import Part

# With this many messages accepted and not arrived there is work in every part.
_BUSY = 5


class How(StrEnum):
    """In which way a part ends."""

    KILL = "kill"  # SIGKILL
    STOP = "stop"  # SIGTERM


Blow = Sequence[str]  # names of parts that are struck at the same moment


def in_turn(victims: Mapping[str, int]) -> list[Blow]:
    """A number of faults for each of *victims*, those of each spread evenly over all."""
    places = [
        ((number + 0.5) / times, name) for name, times in victims.items() for number in range(times)
    ]
    return [(name,) for _, name in sorted(places, key=lambda place: place[0])]


def moments(count: int, seed: int) -> list[float]:
    """*count* shares of a flow's way, each at random in a stretch of its own, none at the end."""
    chance = random.Random(seed)  # noqa: S311 -- moments, no secrets
    return [0.9 * (number + chance.uniform(0.2, 0.8)) / count for number in range(count)]


async def strike(
    flow: Flow,
    parts: Mapping[str, Part],
    blows: Sequence[Blow],
    how: How,
    *,
    seed: int,
    tell: Callable[[int], None] = lambda _: None,
) -> int:
    """Strike one blow after the other, spread over the way; how many of them hit no work.

    Each part that was hit is back before the next blow, and messages wait for the blow that is
    meant for them: however long parts take to come back, the way is not over before. *tell* hears
    how many blows there were. A service of several processes is hit in each of them in turn.
    """
    marks = [*moments(len(blows), seed), 1.0, 1.0]
    idle = 0
    processes = {name: cycle(_processes(parts, name)) for blow in blows for name in blow}
    for number, blow in enumerate(blows):
        flow.allow(marks[number + 2])
        await flow.reached(marks[number])
        idle += not await flow.busy(_BUSY)
        hit = [next(processes[name]) for name in blow]
        await asyncio.gather(*(part.kill() if how is How.KILL else part.stop() for part in hit))
        await asyncio.gather(*(part.start() for part in hit))
        tell(number + 1)
    return idle


def _processes(parts: Mapping[str, Part], name: str) -> list[Part]:
    """Those of a service: "dispatcher" is "dispatcher 1" and "dispatcher 2"."""
    found = [part for known, part in parts.items() if known.split()[0] == name]
    assert found, f"no {name} among {', '.join(parts)}"
    return found
