"""Lightning: parts of a relay are ended at random moments of a flow, and come back."""

import random
from collections.abc import Callable, Sequence
from enum import StrEnum

from chaos.flow import Flow
from chaos.relay import Part


class How(StrEnum):
    """In which way a part ends."""

    KILL = "kill"  # SIGKILL
    STOP = "stop"  # SIGTERM


def moments(count: int, seed: int) -> list[float]:
    """*count* shares of a flow's way, at random, all before its last tenth."""
    chance = random.Random(seed)  # noqa: S311 -- moments, no secrets
    return sorted(chance.uniform(0.02, 0.9) for _ in range(count))


async def strike(
    flow: Flow,
    parts: Sequence[Part],
    how: How,
    at: Sequence[float],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """End each of *parts* in turn at those shares of the way, and bring it back each time."""
    for number, share in enumerate(at):
        await flow.reached(share)
        part = parts[number % len(parts)]
        if how is How.KILL:
            await part.kill()
        else:
            await part.stop()
        await part.start()
        say(f"{how} {number + 1} of {len(at)} done")
