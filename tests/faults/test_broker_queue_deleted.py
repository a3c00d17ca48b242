"""Queues that an operator deletes while mail flows: publishers and consumers make them anew."""

import asyncio

import pytest

from chaos.relay import Split
from faults.broker import HINTS, all_flows, ctl, flowing_in_parts, moves_on, nothing_lost, queues
from posthouse.broker import DeadLetter
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.broker.rabbitmq_queues import dead_queue, retry_queue
from servers.patience import eventually, until
from servers.rabbitmq import RabbitNode

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300
RESTORED = 10.0  # seconds


async def delete(node: RabbitNode, names: list[str]) -> None:
    """Delete all of them in one call: each call takes a second by itself."""
    found = '{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{}">>)), '
    delete_one = found + 'rabbit_amqqueue:delete(Q, false, false, <<"operator">>)'
    scripts = [f"(fun() -> {delete_one.format(name)} end)()" for name in names]
    await ctl(node, "eval", ", ".join(scripts) + ".")


async def test_hints_flow_again_after_every_queue_was_deleted(
    split: Split, rabbitmq_node: RabbitNode
) -> None:
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.3)
        flow.allow(0.5)
        await delete(rabbitmq_node, HINTS)
        await moves_on(flow, 0.8, within=RESTORED)
        flow.allow(1)
        await all_flows(split, flow.sink, MESSAGES, within=RESTORED)
        assert set(HINTS) <= await queues(rabbitmq_node)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)


async def test_a_queue_that_nobody_was_listening_to_is_made_by_who_publishes(
    split: Split, rabbitmq_node: RabbitNode
) -> None:
    """Returned as not to be routed, the hint is published again to the new queue."""
    policy = split.programs["policy"]
    async with flowing_in_parts(split, MESSAGES) as flow:
        await moves_on(flow, 0.2)
        await policy.stop()
        await delete(rabbitmq_node, ["submissions.3"])
        flow.allow(1)

        async def made() -> bool:
            return "submissions.3" in await queues(rabbitmq_node)

        await eventually(made, within=RESTORED)
        await policy.start()
        await all_flows(split, flow.sink, MESSAGES)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)


async def test_failed_hints_find_their_way_without_the_queues_that_were_for_them(
    split: Split, rabbitmq_node: RabbitNode
) -> None:
    """Mail flows meanwhile."""
    queue = "submissions.3"
    async with RabbitMqBroker.open(rabbitmq_node.url) as broker:
        await until(lambda: broker.connected)

        async def poison(body: bytes) -> None:
            """Publish it, and return when it was put away."""
            await broker.publish(queue, [body])

            async def put_away() -> bool:
                letters: list[DeadLetter] = await broker.dead_letters(queue)
                return body in {letter.body for letter in letters}

            await eventually(put_away, within=30)

        async with flowing_in_parts(split, MESSAGES) as flow:
            await poison(b"first")
            flow.allow(0.5)
            poisoning = asyncio.create_task(poison(b"second"))
            await asyncio.sleep(0.5)
            await delete(rabbitmq_node, [retry_queue(queue), dead_queue(queue)])
            await poison(b"third")
            flow.allow(1)
            await all_flows(split, flow.sink, MESSAGES)
            count = await flow.all_through(within=60)
            poisoning.cancel()  # it may have been in the queue that was deleted
            await asyncio.gather(poisoning, return_exceptions=True)
    nothing_lost(MESSAGES, count)
