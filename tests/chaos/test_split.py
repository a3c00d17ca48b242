"""Services on RabbitMQ and PostgreSQL: each is struck in turn under load, and none of it shows."""

from collections.abc import Sequence

import pytest

from chaos.flow import flowing
from chaos.relay import Part, Split
from chaos.strikes import How, moments, strike
from servers.missing import missing

pytestmark = pytest.mark.rabbitmq

VICTIMS = ("ingest", "policy", "dispatcher", "bounces", "postgres", "rabbitmq")


def parts(relay: Split, victim: str) -> Sequence[Part]:
    """The part of that name; of the dispatchers all, one after the other."""
    if victim == "dispatcher":
        return tuple(relay.dispatchers.values())
    if victim not in relay.parts:
        missing("a RabbitMQ that may be killed", "POSTHOUSE_TEST_AMQP_URL names one in use")
    return (relay.parts[victim],)


@pytest.mark.parametrize("victim", VICTIMS)
async def test_kills_lose_nothing(split: Split, victim: str) -> None:
    """Doubled is at most what a dispatcher had on the wire, and each such case is recorded."""
    async with flowing(split, 600) as flow:
        await strike(flow, parts(split, victim), How.KILL, moments(2, seed=VICTIMS.index(victim)))
        count = await flow.all_through(within=60)

    assert (600, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert count.doubled <= count.uncertain, count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


async def test_stops_lose_and_double_nothing(split: Split) -> None:
    """Every service, the database and the broker are stopped in good order, one after another."""
    victims = [part for victim in VICTIMS for part in parts(split, victim)]
    async with flowing(split, 1200) as flow:
        await strike(flow, victims, How.STOP, moments(len(victims), seed=7))
        count = await flow.all_through(within=90)

    assert (1200, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.resubmitted, count.delivered_twice), count
