"""RabbitMQ that comes back with no memory of queues or hints."""

import pytest

from chaos.flow import flowing
from chaos.parts import RabbitPart
from chaos.relay import Split
from faults.broker import HINTS, all_flows, bound, nothing_lost
from servers.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq

MESSAGES = 600


async def test_everything_is_declared_again_and_nothing_was_in_it(
    split: Split, rabbitmq_node: RabbitNode
) -> None:
    rabbitmq = split.parts["rabbitmq"]
    assert isinstance(rabbitmq, RabbitPart)
    async with flowing(split, MESSAGES, rate=80) as flow:
        await flow.reached(0.3)
        await rabbitmq.wipe()
        await all_flows(split, flow.sink, MESSAGES)
        assert HINTS == await bound(rabbitmq_node)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
