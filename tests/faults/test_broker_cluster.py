"""A RabbitMQ of three nodes that loses the one its clients use, set as deploy/rabbitmq says."""

import asyncio
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice

import pytest

from chaos.conftest import _run
from chaos.flow import Flow
from chaos.knock import knock
from chaos.relay import Split
from faults.broker import all_flows, flowing_in_parts, moves_on, nothing_lost
from servers.islands import NoIslands
from servers.missing import missing
from servers.rabbitmq_cluster import Cluster, Member, cluster
from servers.rabbitmq_private import NoRabbitMq

pytestmark = [pytest.mark.rabbitmq, pytest.mark.long]

MESSAGES = 400
AGAIN = 10.0  # seconds until delivery flows
ROUNDS = int(os.environ.get("POSTHOUSE_CHAOS_STRIKES", "20"))


class Loss(StrEnum):
    """How a node is lost to the others, and to whom else."""

    KILL = "kill"  # its process ends
    CUT = "cut"  # no packet reaches it, and its peers get no reset
    PART = "part"  # it reaches its clients, but no other node


# Seconds until hints flow, too; mail does without. A node that says nothing is given up after five,
# and the others declare no queue before they know that it is gone, some five later.
HINTS_AGAIN = {Loss.KILL: AGAIN, Loss.CUT: 2 * AGAIN, Loss.PART: 2 * AGAIN}


@dataclass(frozen=True, slots=True)
class Place:
    """A relay, and the cluster that wakes it."""

    relay: Split
    broker: Cluster


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The same for all tests of this module."""
    try:
        with cluster(tmp_path_factory.mktemp("cluster")) as made:
            yield made
    except (NoIslands, NoRabbitMq) as reason:
        missing("a RabbitMQ cluster whose nodes can be cut off", str(reason))


@pytest.fixture(scope="module")
def place(broker: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same for all tests of this module."""
    relay = Split(tmp_path_factory.mktemp("relay"), broker.url, None)
    try:
        _run(relay.start())
        yield Place(relay, broker)
    finally:
        _run(relay.close())


def lose(member: Member, others: list[Member], loss: Loss) -> None:
    match loss:
        case Loss.KILL:
            member.node.kill()
        case Loss.CUT:
            member.island.cut()
        case Loss.PART:
            member.island.part_from(*(other.island for other in others))


def find(member: Member, others: list[Member], loss: Loss) -> None:
    """Restart it, as its operator would: RabbitMQ 3.10 may hang when it comes back by itself."""
    member.node.kill()
    match loss:
        case Loss.CUT:
            member.island.join()
        case Loss.PART:
            member.island.meet(*(other.island for other in others))
        case _:
            pass
    member.node.start()


async def is_taken(relay: Split, number: int) -> bool:
    """Whether a client that does not try again is told that its message was taken."""
    return (await knock(relay.customer.normal, number=number)).startswith("250 ")


async def ordeal(
    place: Place, flow: Flow, loss: Loss, shares: tuple[float, float], number: int
) -> None:
    """Lose a node while messages come in; return when it is back and all is well.

    Meanwhile the first of *shares* of all messages arrives, and afterwards the second.

    *number* and the 999 that follow are of messages that no one else in the test sends.
    """
    broker, relay = place.broker, place.relay
    used = await asyncio.to_thread(broker.most_used)
    others = broker.others(used)
    during, after = shares
    flow.allow(during)
    lose(used, others, loss)
    try:
        taken = [await is_taken(relay, number + n) for n in range(10)]
        assert all(taken), taken
        await moves_on(flow, during, within=AGAIN)
        await all_flows(relay, flow.sink, number + 10, within=HINTS_AGAIN[loss])
    finally:
        await asyncio.to_thread(find, used, others, loss)
    await asyncio.to_thread(broker.wait_until_whole)
    await moves_on(flow, after, within=AGAIN)
    await all_flows(relay, flow.sink, number + 500, within=AGAIN)


@pytest.mark.parametrize("loss", [Loss.KILL, Loss.CUT])
async def test_a_lost_node_stops_neither_intake_nor_delivery(place: Place, loss: Loss) -> None:
    """No client hears a 4yz for it, mail and hints flow on within ten seconds, all of it once."""
    async with flowing_in_parts(place.relay, MESSAGES) as flow:
        await moves_on(flow, 0.2)
        await ordeal(place, flow, loss, (0.6, 0.9), MESSAGES)
        flow.allow(1)
        count = await flow.all_through(within=60)
    nothing_lost(MESSAGES, count)


@pytest.mark.timeout(120 + 90 * ROUNDS)
async def test_nodes_lost_again_and_again(place: Place) -> None:
    """In turn by kill, by cut, and by a cut that leaves clients at a node that is alone."""
    messages = MESSAGES * ROUNDS
    losses = list(islice(cycle(Loss), ROUNDS))
    random.SystemRandom().shuffle(losses)
    async with flowing_in_parts(place.relay, messages) as flow:
        for done, loss in enumerate(losses, 1):
            shares = (done - 0.5) / ROUNDS, done / ROUNDS
            await ordeal(place, flow, loss, shares, messages + 1000 * done)
        count = await flow.all_through(within=120)
    nothing_lost(messages, count)
