"""Services on RabbitMQ and PostgreSQL: each is struck in turn under load, and none of it shows."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bench.sink_session import Manners

from chaos.flow import flowing
from chaos.knock import knock
from chaos.relay import LEASE_SECONDS, Part, RabbitPart, Split
from chaos.strikes import How, moments, strike
from servers.missing import missing
from servers.patience import until

pytestmark = pytest.mark.rabbitmq

SERVICES = ("ingest", "policy", "dispatcher", "bounces")
SERVERS = ("postgres", "rabbitmq")


def parts(relay: Split, *victims: str) -> Sequence[Part]:
    """The parts of those names; of the dispatchers all, one after the other."""
    if "rabbitmq" in victims and "rabbitmq" not in relay.parts:
        missing("a RabbitMQ that may be killed", "POSTHOUSE_TEST_AMQP_URL names one in use")
    return tuple(part for name, part in relay.parts.items() if name.startswith(victims))


@pytest.mark.parametrize(
    ("victim", "times"),
    [
        ("ingest", 2),
        ("policy", 2),
        ("dispatcher", 2),
        ("bounces", 1),
        ("postgres", 2),
        ("rabbitmq", 1),
    ],
)
async def test_kills_lose_nothing(split: Split, victim: str, times: int) -> None:
    """Doubled is at most what a dispatcher had on the wire, and each such case is recorded."""
    async with flowing(split, 500) as flow:
        await strike(flow, parts(split, victim), How.KILL, moments(times, seed=times))
        count = await flow.all_through(within=60)

    assert (500, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert count.doubled <= count.uncertain, count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


async def test_stopped_services_lose_and_double_nothing(split: Split) -> None:
    """SIGTERM finishes what is in flight: not even a client has to wonder."""
    victims = parts(split, *SERVICES)
    async with flowing(split, 800) as flow:
        await strike(flow, victims, How.STOP, moments(len(victims), seed=7))
        count = await flow.all_through(within=60)

    assert (800, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.resubmitted), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


async def test_stopped_servers_lose_and_double_nothing(split: Split) -> None:
    """Whoever was using the database or the broker waits until it is back."""
    victims = parts(split, *SERVERS)
    async with flowing(split, 500) as flow:
        await strike(flow, victims, How.STOP, moments(len(victims), seed=8))
        count = await flow.all_through(within=60)

    assert (500, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.unexplained), count


async def test_mail_moves_while_the_broker_is_away(split: Split) -> None:
    """Intake goes on, and mail leaves: what wakes nobody is found by looking."""
    (rabbitmq,) = parts(split, "rabbitmq")
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


async def test_a_broker_that_forgot_everything_costs_nothing(split: Split) -> None:
    """Its queues held hints; the mail itself is in the database."""
    (rabbitmq,) = parts(split, "rabbitmq")
    assert isinstance(rabbitmq, RabbitPart)
    async with flowing(split, 500) as flow:
        await flow.reached(0.4)
        await rabbitmq.wipe()
        count = await flow.all_through(within=60)

    assert (500, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.unexplained), count


async def test_without_its_database_the_door_asks_to_come_back_later(split: Split) -> None:
    """Soon and never for good: 4xx to a login and to a message, and then it is as if nothing was.

    A login that was checked a moment ago is believed, one that was not is put off (454).
    """
    (postgres,) = parts(split, "postgres")
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
        await asyncio.sleep(LEASE_SECONDS + 1.5)
        sleeper.thaw()
        count = await flow.all_through(within=60)

    assert (400, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert 0 < count.uncertain, count
    assert count.doubled <= count.uncertain, count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count
