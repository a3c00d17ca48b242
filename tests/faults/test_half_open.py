"""Peers that are gone without a word: nothing is refused or closed, nothing answers any more."""

import asyncio

import pytest

from chaos.knock import knock
from chaos.ledger import Ledger
from faults.apart import Apart
from servers.mx import Peer, mx, polite
from servers.patience import eventually, until

pytestmark = pytest.mark.rabbitmq

# What is promised is half a minute; a busy machine counts it late.
NOTICED = 35.0
CLIENT, DESTINATION = "client-ingest", "dispatcher-destination"
FAULT = "451 4.3.0"
DATABASES = ("ingest-database", "dispatcher-database")
BROKERS = ("ingest-broker", "dispatcher-broker")


async def speechless(peer: Peer) -> None:
    """Take the connection, and never greet."""
    await peer.reader.read()


async def test_whoever_is_gone_without_a_word_is_noticed_within_half_a_minute(
    cut_off: Apart,
) -> None:
    """By both ends where both are ours; the door says 451 meanwhile, and in the end all is sent."""
    door = cut_off.customer.normal
    ledger = Ledger(cut_off.database_url)
    async with mx(speechless, polite, port=cut_off.sink_port) as destination:
        idle, talk = await asyncio.open_connection(door.host, door.port)
        await idle.readline()
        # One message waits for a greeting, another one leaves a connection behind for the third.
        for number in (0, 1):
            assert (await knock(door, number=number)).startswith("250 ")
            await until(lambda: destination.connections > number)  # noqa: B023
        await until(lambda: len(destination.messages) == 1)
        assert (2, 1) == (cut_off.ends(DESTINATION)[0], cut_off.ends(CLIENT)[1])

        cut_off.cut(DESTINATION)
        assert (await knock(door, number=2)).startswith("250 ")
        for link in (*DATABASES, *BROKERS):
            assert min(cut_off.ends(link)) > 0, link
            cut_off.cut(link)
        assert FAULT == (await knock(door, number=3))[:9]
        cut_off.cut(CLIENT)

        async def noticed() -> bool:
            ours = [end for link in (*DATABASES, *BROKERS) for end in cut_off.ends(link)]
            return not any((*ours, cut_off.ends(CLIENT)[1], cut_off.ends(DESTINATION)[0]))

        await eventually(noticed, within=NOTICED)
        cut_off.heal()
        talk.close()

        async def all_through() -> bool:
            await ledger.nudge()
            return not await ledger.open_items()

        await eventually(all_through, within=30)
        assert 3 == len(destination.messages)
