"""RabbitMQ that takes nothing, for want of memory or disk."""

from collections.abc import Iterator

import pytest

from chaos.relay import Split
from faults.broker import (
    all_flows,
    ctl,
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
Limit = tuple[list[str], list[str]]
LIMITS: list[Limit] = [
    (["set_vm_memory_high_watermark", "0.00001"], ["set_vm_memory_high_watermark", "0.4"]),
    (["set_disk_free_limit", "mem_relative", "1000"], ["set_disk_free_limit", "1MB"]),
]


@pytest.fixture(params=LIMITS, ids=["memory", "disk"])
def limit(request: pytest.FixtureRequest, rabbitmq_node: RabbitNode) -> Iterator[Limit]:
    """What stops the broker, and what lets it go on."""
    stop, go_on = request.param
    yield stop, go_on
    rabbitmq_node.ctl(*go_on)


async def alarmed(node: RabbitNode) -> None:
    """Return once the broker has looked, and takes nothing from who publishes after that."""

    async def looked() -> bool:
        return (await ctl(node, "eval", "rabbit_alarm:get_alarms().")).strip() != "[]"

    await eventually(looked)


async def test_mail_moves_on_and_hints_flow_as_soon_as_it_takes_them(
    split: Split, rabbitmq_node: RabbitNode, limit: Limit
) -> None:
    """Policy publishes, and says that it cannot; dispatchers only listen, which they still can."""
    stop, go_on = limit
    policy = split.programs["policy"]
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.2)
        await ctl(rabbitmq_node, *stop)
        await alarmed(rabbitmq_node)
        await moves_on(flow, 0.4)
        await says_so([policy], "blocked")
        assert [1] == await metric(policy, "posthouse_amqp_blocked")
        assert await split.programs["ingest"].is_ready()
        for program in hearers(split):
            assert [1] == await metric(program, "posthouse_amqp_connected")
        await moves_on(flow, 0.6)

        flow.allow(1)
        await ctl(rabbitmq_node, *go_on)
        await all_flows(split, flow.sink, MESSAGES)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
