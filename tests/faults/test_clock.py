"""Clocks that jump five days ahead and one back: nothing is lost, given up or kept waiting."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from bench.sink_session import Manners

from chaos.flow import Flow, flowing
from chaos.relay import Onebox, Relay, Split
from faults.database import BACK, NO_BROKER, command
from servers.faked_clock import FakedClock
from servers.patience import eventually

AHEAD, BEHIND, RIGHT = timedelta(days=5), timedelta(days=-1), timedelta()
RATE = 80.0
# Some are put off: they wait for a time that is set while a clock is wrong.
MANNERS = Manners(delay=0.02, soft=0.1)
# Longer than any wait that a right clock sets: then it was a wrong one.
STUCK = """
SELECT (SELECT count(*) FROM due_submissions WHERE due_at > now() + interval '5 hours')
     + (SELECT count(*) FROM due_deliveries WHERE due_at > now() + interval '5 hours') AS n
"""
EVENTS = "SELECT kind, count(*) AS n FROM events GROUP BY kind"
GIVEN_UP = {"bounced", "expired", "quarantined"}


class Clocked(Split):
    """A relay in many processes, each with a clock of its own, and the database too."""

    def __init__(self, folder: Path) -> None:
        names = ("ingest", "policy", "dispatcher 1", "postgres")
        self.clocks = {name: FakedClock(folder / f"{name}.clock") for name in names}
        super().__init__(
            folder,
            NO_BROKER,
            None,
            dispatchers=1,
            settings_of={name: clock.env for name, clock in self.clocks.items()},
        )

    async def start(self) -> None:
        """Return when mail can be submitted; without a broker it is found by looking."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.clocks["postgres"].env.items():
                patch.setenv(name, value)
            await self.start_database()
        for program in self.programs.values():
            program.launch()
        await eventually(self.programs["ingest"].is_ready, within=60)


@pytest_asyncio.fixture
async def clocked(tmp_path: Path) -> AsyncIterator[Clocked]:
    """One whose clocks are right."""
    relay = Clocked(tmp_path)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()


async def goes_on(flow: Flow) -> None:
    """Return when what is submitted from now on arrives, or as much: that must be soon."""
    accepted, arrived = flow.accepted, flow.arrived

    async def both() -> bool:
        return min(flow.accepted - accepted, flow.arrived - arrived) > RATE / 2

    await eventually(both, within=BACK)


async def jump(flow: Flow, clock: FakedClock) -> None:
    """Ahead, back beyond the truth, and right again."""
    for off in (AHEAD, BEHIND):
        clock.be_off_by(off)
        await asyncio.sleep(1.2)  # until the next look at it
        await goes_on(flow)
    clock.be_off_by(RIGHT)


async def all_well(relay: Relay, flow: Flow, messages: int) -> None:
    """Nothing waits for a time that was never to come, and everything arrives."""

    async def nothing_is_stuck() -> bool:
        return not (await command(relay.database_url, STUCK))[0]["n"]

    flow.allow(0)
    await eventually(nothing_is_stuck)
    flow.allow(1)
    count = await flow.all_through(within=60, nudging=True)
    rows = await command(relay.database_url, EVENTS)
    events: Mapping[str, int] = {row["kind"]: row["n"] for row in rows}
    assert (messages, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert not GIVEN_UP & events.keys(), events
    # A lease that ends by a jump leaves open whether what it was for was done.
    assert count.doubled <= events.get("uncertain", 0), (count, events)
    assert 0 == count.delivered_twice


async def test_the_clock_of_the_whole_machine_jumps(tmp_path: Path) -> None:
    clock = FakedClock(tmp_path / "clock")
    relay = Onebox(tmp_path, clock.env)
    messages = 900
    try:
        await relay.start()
        async with flowing(relay, messages, rate=RATE, manners=MANNERS) as flow:
            await jump(flow, clock)
            await all_well(relay, flow, messages)
    finally:
        await relay.close()


async def test_the_clock_of_one_of_them_jumps(clocked: Clocked) -> None:
    """Of each service, and of the database, one after the other."""
    messages = 2400
    async with flowing(clocked, messages, rate=RATE, manners=MANNERS) as flow:
        for clock in clocked.clocks.values():
            await jump(flow, clock)
        await all_well(clocked, flow, messages)
