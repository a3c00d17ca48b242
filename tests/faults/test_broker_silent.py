"""RabbitMQ that says nothing more: its connections are open, and nothing comes through them."""

import pytest

from chaos.relay import Split
from faults.broker import (
    all_flows,
    flowing_in_parts,
    hearers,
    metric,
    moves_on,
    nothing_lost,
    says_so,
)
from servers.patience import eventually
from servers.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300


async def test_it_counts_as_gone_within_seconds_and_mail_moves_on(
    split: Split, rabbitmq_node: RabbitNode
) -> None:
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.2)
        rabbitmq_node.pause()
        try:
            await says_so(hearers(split), "away")

            async def noticed() -> bool:
                found = [await metric(p, "posthouse_amqp_connected") for p in hearers(split)]
                return all(values == [0] for values in found)

            await eventually(noticed, within=5)
            assert await split.programs["ingest"].is_ready()
            await moves_on(flow, 0.6)
        finally:
            rabbitmq_node.resume()
        flow.allow(1)
        await all_flows(split, flow.sink, MESSAGES)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
