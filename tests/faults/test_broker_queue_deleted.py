"""Queues and bindings that an operator deletes while mail flows: they are declared again."""

import pytest

from chaos.relay import Split
from faults.broker import HINTS, all_flows, bound, ctl, flowing_in_parts, moves_on, nothing_lost
from posthouse.broker.rabbitmq_session import EXCHANGE
from servers.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300
RESTORED = 10.0  # seconds

# Erlang, to be evaluated in the broker. A queue may end by itself meanwhile, with its connection.
DELETE = {
    "queues": '[catch rabbit_amqqueue:delete(Q, false, false, <<"us">>) '
    "|| Q <- rabbit_amqqueue:list()].",
    "exchange": 'rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, '
    f'<<"{EXCHANGE}">>), false, <<"us">>).',
}


@pytest.mark.parametrize("what", DELETE)
async def test_hints_flow_again_after_all_were_deleted(
    split: Split, rabbitmq_node: RabbitNode, what: str
) -> None:
    """The exchange takes all bindings with it."""
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.3)
        flow.allow(0.5)
        await ctl(rabbitmq_node, "eval", DELETE[what])
        await moves_on(flow, 0.8, within=RESTORED)
        flow.allow(1)
        await all_flows(split, flow.sink, MESSAGES, within=RESTORED)
        assert HINTS == await bound(rabbitmq_node)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
