"""Messages that end a service: they are quarantined with the reason, all others flow on."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from chaos.flow import flowing
from chaos.knock import knock
from chaos.relay import Split
from faults import deadly
from faults.database import NO_BROKER, command
from servers.patience import eventually

MESSAGES = 1000
# How soon the claim of an isolated attempt that died ends: no process restarts that one.
LEASE = "POSTHOUSE_LEASE_SECONDS"
DEADLY = (sys.executable, deadly.__file__)
QUARANTINED = """
SELECT 'policy' AS stage, reason FROM quarantined_submissions
UNION ALL SELECT 'dispatcher', reason FROM quarantined_deliveries
"""
# What time does, sooner: the leases of the dead end, and what waits is tried again.
LEASES_END = "UPDATE {} SET due_at = now() WHERE leased AND due_at > now()"
POSTPONED = "UPDATE due_submissions SET due_at = now() WHERE leased AND due_at < now() + '4 s'"
PUT_OFF = "UPDATE due_deliveries SET due_at = now() WHERE NOT leased AND due_at > now()"


class Deadly(Split):
    """One process of each service, started again whenever it ends."""

    def __init__(self, folder: Path) -> None:
        commands = {"policy": (*DEADLY, "policy"), "dispatcher 1": (*DEADLY, "dispatcher")}
        super().__init__(
            folder, NO_BROKER, None, dispatchers=1, commands=commands, settings={LEASE: "5"}
        )
        self.deaths: Counter[str] = Counter()

    async def supervise(self) -> None:
        """Start ended programs again, and make time go faster for mail that none works on."""
        tables = {"policy": "due_submissions", "dispatcher 1": "due_deliveries"}
        database = await asyncpg.connect(self.database_url)
        try:
            while True:
                await asyncio.sleep(0.2)
                for name, table in tables.items():
                    program = self.programs[name]
                    if program.has_ended:
                        self.deaths[name] += 1
                        await database.execute(LEASES_END.format(table))
                        program.launch()
                await database.execute(POSTPONED)
                await database.execute(PUT_OFF)
        finally:
            await database.close()


@pytest_asyncio.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Deadly]:
    """One that is alive; without a broker it finds its work by looking."""
    relay = Deadly(tmp_path)
    try:
        await relay.start_database()
        for program in relay.programs.values():
            program.launch()
        await eventually(relay.programs["ingest"].is_ready, within=60)
        yield relay
    finally:
        await relay.close()


async def test_poison_messages_are_quarantined_and_the_next_thousand_flow_on(
    mortal: Deadly,
) -> None:
    """Four of them at once: each makes policy or the dispatcher raise, or end, every time.

    The dispatcher ends twice: from then on the delivery is tried by a process of its own.
    """
    door = mortal.customer.normal
    deeds = [f"{deed} {where}" for deed in ("raise", "kill") for where in ("policy", "dispatcher")]

    async def all_quarantined() -> bool:
        return len(await command(mortal.database_url, QUARANTINED)) >= len(deeds)

    supervising = asyncio.create_task(mortal.supervise())
    async with flowing(mortal, MESSAGES) as flow:
        await flow.reached(0.1)
        for number, deed in enumerate(deeds, MESSAGES):
            said = await knock(door, number=number, fields=f"X-Deadly: {deed}\r\n")
            assert said.startswith("250 ")
        await eventually(all_quarantined, within=90)
        count = await flow.all_through(within=60)
    supervising.cancel()

    found = await command(mortal.database_url, QUARANTINED)
    assert {
        ("policy", "RuntimeError: this message cannot be borne"),
        ("policy", "claimed 5 times without a result"),
        ("dispatcher", "internal fault: RuntimeError"),
        ("dispatcher", "claimed 5 times in a row without a result"),
    } == {(row["stage"], row["reason"]) for row in found}
    assert len(deeds) == len(found)
    assert {"policy": 5, "dispatcher 1": 2} == mortal.deaths
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0) == (count.unlogged, count.delivered_twice), count
