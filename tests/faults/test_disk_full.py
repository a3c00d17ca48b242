"""A full disk: the door says so, what was accepted stays, and all goes on when there is room."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from bench.sink import Sink

from chaos.knock import knock
from chaos.ledger import Ledger
from chaos.program import POSTHOUSE
from chaos.relay import Onebox, Relay
from faults.database import BACK, Brokerless, flows
from faults.disk import filled, small_disk
from ingest.backpressure import least_free
from servers.patience import eventually

FULL = "452 4.3.1"
LIMIT = 4 << 20  # octets of a message
LEAST = least_free(LIMIT)
LINES = 700  # of a message, some 50 KB
REFUSALS = 5  # in a row: now it is really full
MOST = 2_000  # messages


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    with small_disk(megabytes=256) as folder:
        yield folder


@pytest_asyncio.fixture
async def onebox(disk: Path) -> AsyncIterator[Onebox]:
    """A onebox on that disk."""
    relay = Onebox(disk, {"POSTHOUSE_INGEST_MESSAGE_OCTETS": str(LIMIT)})
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()


async def submit_until_refused(relay: Relay) -> tuple[set[int], set[str]]:
    """Numbers of the messages that were accepted, and what was said to the others."""
    accepted, refusals, in_a_row = set(), set(), 0
    for number in range(MOST):
        reply = await knock(relay.customer.normal, number=number, lines=LINES)
        if reply.startswith("250 "):
            accepted.add(number)
            in_a_row = 0
        else:
            refusals.add(reply[:9])
            in_a_row += 1
        if in_a_row == REFUSALS:
            break
    return accepted, refusals


async def test_mail_is_turned_away_before_the_database_has_no_room(
    onebox: Onebox, disk: Path
) -> None:
    """At MAIL; the database goes on, and mail flows again with the room."""
    postgres = (disk / "data/postgres/data/postmaster.pid").read_text()
    async with Sink(port=onebox.sink_port) as sink:
        with filled(disk, but_for=LEAST + (8 << 20)):
            accepted, refusals = await submit_until_refused(onebox)
        assert accepted
        assert {FULL} == refusals
        await flows(onebox, sink, number=MOST)
        await Ledger(onebox.database_url).drained(within=30)
        assert accepted | {MOST} == {int(arrival.id) for arrival in sink.arrivals}
    assert postgres == (disk / "data/postgres/data/postmaster.pid").read_text()


async def test_what_was_accepted_goes_out_while_no_more_is_taken(
    onebox: Onebox, disk: Path
) -> None:
    """No server is at its destination until the disk is full; then all of it is delivered."""
    for number in range(50):
        assert (await knock(onebox.customer.normal, number=number)).startswith("250 ")
    with filled(disk, but_for=LEAST // 2):
        async with Sink(port=onebox.sink_port) as sink:
            ledger = Ledger(onebox.database_url)

            async def delivered() -> bool:
                await ledger.nudge()
                return not await ledger.open_items()

            async def turned_away() -> bool:
                return (await knock(onebox.customer.normal, number=0)).startswith(FULL)

            await eventually(turned_away)  # each worker looks at the disk four times a second
            await eventually(delivered)
            assert await turned_away()
            assert set(range(50)) == {int(arrival.id) for arrival in sink.arrivals}


async def test_once_drained_it_takes_mail_again_within_a_minute(onebox: Onebox, disk: Path) -> None:
    """A backlog filled the disk, which gets no room from outside: what is delivered makes it."""
    with filled(disk, but_for=LEAST + (64 << 20)):
        accepted, refusals = await submit_until_refused(onebox)
        assert accepted
        assert {FULL} == refusals
        async with Sink(port=onebox.sink_port) as sink:
            ledger = Ledger(onebox.database_url)

            async def delivered() -> bool:
                await ledger.nudge()
                return not await ledger.open_items()

            async def taken() -> bool:
                return (await knock(onebox.customer.normal, number=MOST)).startswith("250 ")

            await eventually(delivered, within=120)
            await eventually(taken, within=60)
            await Ledger(onebox.database_url).drained(within=30)
            assert accepted | {MOST} == {int(arrival.id) for arrival in sink.arrivals}


async def test_a_database_elsewhere_says_itself_that_it_is_full(disk: Path) -> None:
    """Intake does not see its disk: the message is sent, and refused at its end."""
    relay = Brokerless(disk)
    try:
        await relay.start()
        async with Sink(port=relay.sink_port) as sink:
            with filled(disk, but_for=2 << 20):
                accepted, refusals = await submit_until_refused(relay)
            assert {FULL} == refusals
            await flows(relay, sink, number=MOST, within=2 * BACK)
            await Ledger(relay.database_url).drained(within=30)
            assert accepted | {MOST} == {int(arrival.id) for arrival in sink.arrivals}
    finally:
        await relay.close()


async def test_a_log_that_cannot_be_written_stops_no_mail(tmp_path: Path) -> None:
    """Everything it says goes to a device that is always full."""
    relay = Onebox(tmp_path)
    relay.program._command = ["sh", "-c", f"exec {POSTHOUSE} up >/dev/full 2>&1"]
    try:
        await relay.start()
        async with Sink(port=relay.sink_port) as sink:
            await flows(relay, sink, number=1)
            assert (await knock(relay.customer.normal, recipient="nobody@")).startswith("501 ")
            await flows(relay, sink, number=2)
    finally:
        await relay.close()
