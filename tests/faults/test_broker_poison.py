"""Bodies and keys that this version does not know, sent to the exchange of the hints."""

import aio_pika
import msgspec
import pytest

from chaos.relay import Split
from faults.broker import all_flows, flowing_in_parts, hearers, hints_heard, moves_on, nothing_lost
from posthouse.broker import Topic
from posthouse.broker.rabbitmq_session import EXCHANGE, routing_key
from posthouse.mail.lane import Lane
from servers.patience import eventually

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300
KEYS = [*(routing_key(topic, Lane.NORMAL) for topic in Topic), "submissions.77", "", "x" * 255]
BODIES = [b"\xc1 is nothing in msgpack", msgspec.msgpack.encode({"v": 99}), b"x" * 1_000_000]


async def test_a_body_is_ignored_an_unknown_key_is_nothing_and_all_else_flows(
    split: Split, amqp_url: str
) -> None:
    """Whatever comes under the key of a lane is a hint."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        before = await hints_heard(hearers(split))
        for key in KEYS:
            for body in BODIES:
                await exchange.publish(aio_pika.Message(body), key, mandatory=False)

        async def heard() -> bool:
            return await hints_heard(hearers(split)) >= before + len(Topic)

        await eventually(heard)
        async with flowing_in_parts(split, MESSAGES) as flow:
            await moves_on(flow, 0.3)
            for key in KEYS:
                for body in BODIES:
                    await exchange.publish(aio_pika.Message(body), key, mandatory=False)
            flow.allow(1)
            await all_flows(split, flow.sink, MESSAGES, within=20)
            count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)
