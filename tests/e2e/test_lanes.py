"""Strict lanes from the door to the wire, over three dispatchers (DESIGN section 4)."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from bench.load import Load, Plan, Sent
from bench.sink import Sink
from bench.sink_session import Arrival, Manners

from chaos.relay import SENDER_DOMAIN, Split

EXPRESS = 200
FIRST_EXPRESS = 1_000_000  # number of the first very-high message
SINK_SECONDS = 0.05  # from a message's final dot to its 250
MERCY = 0.25  # seconds in which lanes may change over

pytestmark = pytest.mark.rabbitmq


@dataclass(frozen=True, slots=True)
class Overtaking:
    """What the sink saw, in seconds of its own clock."""

    ready: float  # the first very-high message was accepted: no later than it was ready to go
    express_through: float  # the final dot of the last very-high message
    express_done: float  # ... and its 250
    bulk_between: tuple[float, ...]  # how long after `ready` bulk started that should have waited
    bulk_after: float  # the first bulk transaction to start after the last very-high message

    @classmethod
    def seen(cls, express: Sequence[Sent], arrivals: Sequence[Arrival]) -> "Overtaking":
        """Judge by the recorded starts and ends of all transactions."""
        ready = min(message.answered for message in express)
        first = [a for a in arrivals if int(a.id) >= FIRST_EXPRESS]
        bulk = sorted(a.started for a in arrivals if int(a.id) < FIRST_EXPRESS)
        through = max(a.at for a in first)
        return cls(
            ready=ready,
            express_through=through,
            express_done=through + SINK_SECONDS,
            bulk_between=tuple(s - ready for s in bulk if ready + MERCY < s < through),
            bulk_after=min(s for s in bulk if s > through),
        )


async def overtake(relay: Split, bulk_messages: int) -> Overtaking:
    """Submit bulk, and very-high messages when half of it is through."""
    sender = f"news@{SENDER_DOMAIN}"
    bulk = Load(
        Plan(relay.customer.bulk, messages=bulk_messages, connections=10, size=2048, sender=sender)
    )
    express = Load(
        Plan(
            relay.customer.bulk,
            messages=EXPRESS,
            connections=4,
            size=2048,
            sender=sender,
            lanes=((1, 1),),
            first=FIRST_EXPRESS,
        )
    )
    async with Sink(Manners(delay=SINK_SECONDS), port=relay.sink_port) as sink:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bulk.run())
            await sink.arrived(bulk_messages // 2, seconds=bulk_messages / 20)
            tasks.create_task(express.run())
        await sink.arrived(bulk_messages + EXPRESS, seconds=bulk_messages / 20)
    assert bulk_messages + EXPRESS == len({a.id for a in sink.arrivals})
    return Overtaking.seen(express.sent, sink.arrivals)


@pytest.mark.parametrize(
    "bulk_messages",
    [
        2_000,
        pytest.param(
            int(os.environ.get("POSTHOUSE_CHAOS_MESSAGES", "20000")),
            marks=[pytest.mark.long, pytest.mark.timeout(1800)],
        ),
    ],
)
async def test_very_high_messages_overtake_bulk(
    three_dispatchers: Split, bulk_messages: int
) -> None:
    """No bulk transaction starts while one of them waits, and bulk goes on when all are through."""
    saw = await overtake(three_dispatchers, bulk_messages)

    assert () == saw.bulk_between
    assert saw.bulk_after - saw.express_done < MERCY


async def test_a_trickle_of_normal_mail_leaves_bulk_its_moments(three_dispatchers: Split) -> None:
    """What is on the wire pauses nobody: only what could be sent and waits does."""
    sender = f"news@{SENDER_DOMAIN}"
    door = three_dispatchers.customer.bulk
    bulk = Load(Plan(door, messages=120, connections=10, size=2048, sender=sender))
    trickle = Load(
        Plan(
            door,
            messages=40,
            size=2048,
            sender=sender,
            lanes=((3, 1),),
            first=FIRST_EXPRESS,
            rate=10,
        )
    )
    # So slow that some normal message is on the wire at every moment.
    async with Sink(Manners(delay=0.3), port=three_dispatchers.sink_port) as sink:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(trickle.run())
            await sink.arrived(3)
            tasks.create_task(bulk.run())
        arrivals = await sink.arrived(120 + 40)

    last = max(a.started for a in arrivals if int(a.id) >= FIRST_EXPRESS)
    early = [a for a in arrivals if int(a.id) < FIRST_EXPRESS and a.started < last]
    assert len(early) > 60
