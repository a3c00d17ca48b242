"""A service and a server that hear nothing of each other for a while, and then do again."""

import asyncio

import pytest

from chaos.flow import flowing
from faults.apart import Apart
from servers.patience import until

pytestmark = pytest.mark.rabbitmq

MESSAGES, RATE, CONNECTIONS = 400, 60.0, 20
LINKS = ("ingest-broker", "dispatcher-broker", "dispatcher-database")


async def parted(cut_off: Apart, link: str, seconds: float, messages: int) -> None:
    """Cut *link* for a time while mail flows: nothing is lost, and nothing done twice."""
    async with flowing(cut_off, messages, rate=RATE, connections=CONNECTIONS) as flow:
        await flow.reached(0.2)
        cut_off.cut(link)
        accepted, arrived = flow.accepted, flow.arrived
        # On their way at that moment, or committed and not yet answered.
        before = accepted - arrived + CONNECTIONS
        await asyncio.sleep(seconds)
        await until(lambda: flow.accepted - accepted > before)
        if link == "dispatcher-database":
            assert flow.arrived - arrived <= before, "it sent what it cannot know of"
        else:
            await until(lambda: flow.arrived - arrived > before)
        cut_off.heal()
        count = await flow.all_through(within=60 + seconds)

    assert (messages, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.unexplained), count


async def test_five_seconds_apart_lose_and_double_nothing(cut_off: Apart) -> None:
    """Intake never notices; who is alone with its result writes it down as soon as it can."""
    for link in LINKS:
        await parted(cut_off, link, 5, MESSAGES)


@pytest.mark.long
async def test_thirty_seconds_apart_lose_and_double_nothing(cut_off: Apart) -> None:
    """Longer than any lease."""
    for link in LINKS:
        await parted(cut_off, link, 30, 6 * MESSAGES)
