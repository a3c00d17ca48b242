"""Services on RabbitMQ and PostgreSQL under load: what can be seen while a part is away."""

from dataclasses import replace

import pytest
from bench.sink_session import Manners

from chaos.flow import flowing
from chaos.knock import knock
from chaos.parts import RabbitPart
from chaos.relay import LEASE_SECONDS, Split
from servers.missing import missing
from servers.patience import eventually, until

pytestmark = pytest.mark.rabbitmq


def rabbitmq_of(relay: Split) -> RabbitPart:
    """Its broker, where we may strike it."""
    if "rabbitmq" not in relay.parts:
        missing("a RabbitMQ that may be killed", "POSTHOUSE_TEST_AMQP_URL names one in use")
    part = relay.parts["rabbitmq"]
    assert isinstance(part, RabbitPart)
    return part


async def test_mail_moves_while_the_broker_is_away(split: Split) -> None:
    """Intake goes on, and mail leaves: without hints work is found by looking."""
    rabbitmq = rabbitmq_of(split)
    async with flowing(split, 600, rate=150) as flow:
        await flow.reached(0.2)
        await rabbitmq.stop()
        accepted, arrived = flow.accepted, flow.arrived
        await flow.reached(0.6)
        assert flow.accepted > accepted
        assert flow.arrived > arrived

        await rabbitmq.start()
        count = await flow.all_through(within=60)

    assert (600, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.unexplained), count


async def test_without_its_database_the_door_asks_to_come_back_later(split: Split) -> None:
    """Soon and never for good: 4xx to a login and to a message, and then it is as if nothing was.

    A login that was checked a moment ago is believed, one that was not is put off (454).
    """
    postgres = split.parts["postgres"]
    stranger = replace(split.customer.normal, user="nobody")
    async with flowing(split, 300) as flow:
        await flow.reached(0.3)
        await postgres.kill()
        replies = [
            await knock(door) for _ in range(3) for door in (split.customer.normal, stranger)
        ]
        assert {"451 4.3.0", "454 4.7.0"} == {reply[:9] for reply in replies}

        await postgres.start()
        count = await flow.all_through(within=60)

    assert (300, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.unexplained), count


async def test_a_dispatcher_that_slept_through_its_leases_does_no_harm(split: Split) -> None:
    """What it held went to others meanwhile; what it still says about that is not believed."""
    sleeper = next(iter(split.dispatchers.values()))
    # So slow that one dispatcher alone cannot hold all that there is to send.
    async with flowing(split, 400, manners=Manners(delay=0.3)) as flow:
        await until(lambda: flow.arrived > 60)
        sleeper.freeze()

        async def others_have_it() -> bool:
            return await flow.uncertain() > 0

        await eventually(others_have_it, within=LEASE_SECONDS + 15)
        sleeper.thaw()
        count = await flow.all_through(within=60)

    assert (400, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert 0 < count.uncertain, count
    assert count.doubled <= count.uncertain, count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count
