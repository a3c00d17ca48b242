"""RabbitMQ that is gone, and comes back: mail moves on without it, and is woken by it again."""

import pytest

from chaos.relay import Split
from chaos.strikes import How
from faults.broker import (
    all_flows,
    flowing_in_parts,
    hearers,
    metric,
    moves_on,
    nothing_lost,
    says_so,
)

pytestmark = [pytest.mark.rabbitmq, pytest.mark.usefixtures("rabbitmq_node")]

MESSAGES = 300


@pytest.mark.parametrize("how", [How.KILL, pytest.param(How.STOP, marks=pytest.mark.long)])
async def test_mail_moves_on_without_it_and_hints_flow_as_soon_as_it_is_back(
    split: Split, how: How
) -> None:
    rabbitmq = split.parts["rabbitmq"]
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.2)
        await (rabbitmq.kill() if how is How.KILL else rabbitmq.stop())
        await says_so(hearers(split), "away")
        assert await split.programs["ingest"].is_ready()
        for program in hearers(split):
            assert [0] == await metric(program, "posthouse_amqp_connected")
        await moves_on(flow, 0.6)

        flow.allow(1)
        await rabbitmq.start()
        await all_flows(split, flow.sink, MESSAGES)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
