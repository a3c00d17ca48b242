"""Strict lanes from the door to the wire, over three dispatchers (DESIGN section 4).

No clock decides here: a busy machine makes everything late, and nothing wrong. What each claim saw
is known from the database's notes, and so is what was claimed before. How soon a lane gets its
turn is measured by `make bench`.
"""

import asyncio
import os

import pytest
from bench.load import Load, Plan
from bench.sink import Sink
from bench.sink_session import Arrival, Manners

from chaos.ledger import Ledger
from chaos.relay import SENDER_DOMAIN, Split
from dispatcher.claiming import AHEAD_SECONDS, PATIENT_SECONDS
from e2e.claims_noted import BulkClaims, bulk_claims, note_claims
from e2e.conftest import DISPATCHERS, LANE_LIMITS
from posthouse.mail.lane import Lane

URGENT = 200
FIRST_EXPRESS = 1_000_000  # number of the first message that is not bulk
BULK, TRICKLE = 120, 4  # bulk beside a trickle, and how many of that are on their way
SINK_SECONDS = 0.05  # from a message's final dot to its 250
SLOW = Manners(delay=0.3)  # so slow that something of a trickle is on the wire at every moment
# A dispatcher's bulk on the wire, as much again that was answered and is being written down, and
# what it claims ahead: no transaction is shorter than the sink takes, so that many end a second.
ON_WIRE = LANE_LIMITS.free(Lane.BULK, 0)
MOST_IN_HAND = DISPATCHERS * (2 * ON_WIRE + int(ON_WIRE / SINK_SECONDS * AHEAD_SECONDS))
PATIENCE = 300.0  # seconds for what takes ten: only a relay that stands still fails by it

pytestmark = pytest.mark.rabbitmq


async def overtake(relay: Split, bulk_messages: int) -> BulkClaims:
    """Submit bulk, and very-high messages when half of it is through."""
    sender = f"news@{SENDER_DOMAIN}"
    bulk = Load(
        Plan(relay.customer.bulk, messages=bulk_messages, connections=10, size=2048, sender=sender)
    )
    urgent = Load(
        Plan(
            relay.customer.bulk,
            messages=URGENT,
            connections=4,
            size=2048,
            sender=sender,
            lanes=((1, 1),),
            first=FIRST_EXPRESS,
        )
    )
    patience = PATIENCE + bulk_messages / 20
    async with Sink(Manners(delay=SINK_SECONDS), port=relay.sink_port) as sink:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bulk.run())
            await sink.arrived(bulk_messages // 2, patience)
            tasks.create_task(urgent.run())
        await sink.arrived(bulk_messages + URGENT, patience)
        await Ledger(relay.database_url).drained(PATIENCE)
    assert bulk_messages + URGENT == len({a.id for a in sink.arrivals})
    return await bulk_claims(relay.database_url, beside=Lane.VERY_HIGH)


@pytest.mark.parametrize(
    "bulk_messages",
    [
        800,
        pytest.param(
            int(os.environ.get("POSTHOUSE_CHAOS_MESSAGES", "20000")),
            marks=[pytest.mark.long, pytest.mark.timeout(1800)],
        ),
    ],
)
async def test_U11_very_high_messages_overtake_bulk(
    three_dispatchers: Split, bulk_messages: int
) -> None:
    """No bulk is claimed while one of them is due, little is claimed ahead, and bulk goes on later.

    While they are only young a dispatcher takes bulk once in its PATIENT_SECONDS.
    """
    await note_claims(three_dispatchers.database_url)
    saw = await overtake(three_dispatchers, bulk_messages)

    assert 0 == saw.beside_due, saw
    assert saw.beside_young <= DISPATCHERS * (1 + saw.seconds // PATIENT_SECONDS), saw
    assert saw.in_hand <= MOST_IN_HAND, saw
    assert 0 < saw.after, saw


async def test_a_steady_trickle_of_normal_mail_leaves_bulk_its_moments(
    three_dispatchers: Split,
) -> None:
    """Mail on the wire pauses no lane: only mail that could be sent and waits does.

    There is always some normal message on its way, and the next comes when one has arrived: however
    slow all of it is, bulk, which may use more connections, is faster.
    """
    await note_claims(three_dispatchers.database_url)
    sender = f"news@{SENDER_DOMAIN}"
    door = three_dispatchers.customer.bulk
    bulk = Load(Plan(door, messages=BULK, connections=10, size=2048, sender=sender))
    under_way = asyncio.Semaphore(TRICKLE)

    async def leave() -> None:
        await under_way.acquire()

    def follow(arrival: Arrival) -> None:
        if is_express(arrival):
            asyncio.get_running_loop().call_later(SLOW.delay, under_way.release)

    normal = Plan(door, size=2048, sender=sender, lanes=((3, 1),), first=FIRST_EXPRESS)
    async with Sink(SLOW, port=three_dispatchers.sink_port) as sink:
        sink.on_arrival = follow
        trickling = asyncio.create_task(Load(normal, held=leave).run())
        await sink.arrived(TRICKLE, PATIENCE)
        await bulk.run()
        await sink.arrived(TRICKLE + 2 * BULK, PATIENCE)
        trickling.cancel()
    saw = await bulk_claims(three_dispatchers.database_url, beside=Lane.NORMAL)

    between = sink.arrivals[TRICKLE : TRICKLE + 2 * BULK]
    assert BULK == sum(not is_express(arrival) for arrival in between)
    assert 0 == saw.beside_due, saw


def is_express(arrival: Arrival) -> bool:
    """Whether it is one of those that are not bulk."""
    return int(arrival.id) >= FIRST_EXPRESS
