"""Bodies on queues of hints that are none, or none that this version knows."""

import msgspec
import pytest

from chaos.relay import Split
from faults.broker import HINTS, all_flows, flowing_in_parts, moves_on, nothing_lost
from posthouse.broker import DeadLetter
from posthouse.broker.rabbitmq import RabbitMqBroker
from servers.patience import eventually, until

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300
QUEUES = [queue for queue in HINTS if queue.endswith(".3")]

POISON = {
    b"\xc1 is nothing in msgpack": "is not a hint",
    msgspec.msgpack.encode({"l": 77, "n": 1, "v": 1}): "Invalid enum value 77",
    msgspec.msgpack.encode({"n": 1}): "missing required field",
    b"x" * 1_000_000: "is not a hint",
}
GOOD = {
    "newer": msgspec.msgpack.encode({"l": 3, "n": 1, "v": 99, "colour": {"is": ["new"]}}),
    "long": msgspec.msgpack.encode({"l": 3, "padding": b"x" * 1_000_000}),
}


async def test_poison_is_put_away_with_a_reason_and_all_else_flows(
    split: Split, amqp_url: str
) -> None:
    """What only has more fields than we know is a hint like any other."""
    async with RabbitMqBroker.open(amqp_url) as broker:
        await until(lambda: broker.connected)
        async with flowing_in_parts(split, MESSAGES) as flow:
            await moves_on(flow, 0.3)
            for queue in QUEUES:
                await broker.publish(queue, [*POISON, *GOOD.values()] * 3)
            flow.allow(1)
            await all_flows(split, flow.sink, MESSAGES, within=20)
            count = await flow.all_through(within=60)

            for queue in QUEUES:
                letters: list[DeadLetter] = []

                async def put_away(queue: str = queue, letters: list[DeadLetter] = letters) -> bool:
                    letters[:] = await broker.dead_letters(queue)
                    return len(letters) == 3 * len(POISON)

                await eventually(put_away, within=30)
                assert {5} == {letter.failures for letter in letters}
                assert set(POISON) == {letter.body for letter in letters}
                for letter in letters:
                    assert letter.reason.startswith("InvalidHint: ")
                    assert POISON[letter.body] in letter.reason
    nothing_lost(MESSAGES, count)
