"""A consumer that holds what it was given for longer than RabbitMQ allows: its channel is closed.

Our handlers return at once, so only a process that stands still can do that. The broker says that
it closed the channel, and goes on when the process does.
"""

import asyncio
from collections.abc import Iterator

import pytest

from chaos.relay import Split
from faults.broker import all_flows, flowing_in_parts, moves_on, nothing_lost
from servers.patience import eventually
from servers.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300
HELD = 0.5  # seconds
SET = "application:set_env(rabbit, {}, {})"


@pytest.fixture
def consumer_timeout(rabbitmq_node: RabbitNode) -> Iterator[None]:
    """Half a second instead of half an hour, looked at twice a second instead of once a minute.

    The second one counts for channels that are opened afterwards.
    """

    def set_to(held: int, looked: int) -> None:
        settings = SET.format("consumer_timeout", held), SET.format("channel_tick_interval", looked)
        rabbitmq_node.ctl("eval", f"{', '.join(settings)}.")

    set_to(round(HELD * 1000), round(HELD * 1000))
    yield
    set_to(1_800_000, 60_000)


@pytest.mark.usefixtures("consumer_timeout")
async def test_a_dispatcher_that_stood_still_is_fed_again_and_sends_nothing_twice(
    split: Split,
) -> None:
    sleeper = split.dispatchers["dispatcher 1"]
    await sleeper.stop()
    await sleeper.start()  # with new channels

    async def lost() -> bool:
        return "consumer_lost" in sleeper.said()

    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.3)
        sleeper.freeze()
        try:
            await moves_on(flow, 0.6)  # it is given hints, and has no delivery in hand
            await asyncio.sleep(5 * HELD)
        finally:
            sleeper.thaw()
        await eventually(lost)
        flow.allow(1)
        await all_flows(split, flow.sink, MESSAGES)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
