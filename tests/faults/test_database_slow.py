"""A database that answers, and takes its time: over a lock, and over its disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chaos.flow import flowing
from chaos.relay import Onebox, Split
from faults.database import FAULT, command, configure, flows, timed_knock

MESSAGES, CONNECTIONS = 300, 20
LOCKED = "LOCK TABLE submissions, due_submissions, due_deliveries IN ACCESS EXCLUSIVE MODE"
OURS = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'posthouse'"


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """While inside, no statement gets to the tables that everything goes through."""
    operator = await asyncpg.connect(url)
    try:
        while not await _got_all_locks(operator):
            pass
        yield
        await operator.execute("ROLLBACK")
    finally:
        await operator.close()


async def _got_all_locks(operator: Any) -> bool:
    """False if somebody had one of the tables and wanted another, and the operator gave way."""
    try:
        await operator.execute(f"BEGIN; {LOCKED}")
    except asyncpg.DeadlockDetectedError:
        await operator.execute("ROLLBACK")
        return False
    return True


@asynccontextmanager
async def disk_that_hangs(url: str) -> AsyncIterator[None]:
    """While inside, no commit ends: it waits for a standby that does not exist."""
    await configure(url, "synchronous_standby_names", "nobody")
    try:
        yield
    finally:
        await configure(url, "synchronous_standby_names", None)


def resident(pid: int) -> int:
    """Memory of a process, in octets."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("seconds", [8, pytest.param(20, marks=[pytest.mark.long])])
async def test_locked_tables_hold_mail_up_and_neither_lose_nor_double_any(
    relay: Onebox | Split, seconds: float
) -> None:
    """Who waited three seconds for a lock hears 451, of something that was certainly not done."""
    programs = [relay.program] if isinstance(relay, Onebox) else [*relay.programs.values()]
    pids = [program.pid for program in programs]
    async with flowing(relay, MESSAGES, connections=CONNECTIONS) as flow:
        await flow.reached(0.3)
        before = sum(map(resident, pids))
        heard, connections = set(), 0
        async with locked(relay.database_url):
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end:
                heard.add((await timed_knock(relay.customer.normal))[1])
                (row,) = await command(relay.database_url, OURS)
                connections = max(connections, row["n"])
                await asyncio.sleep(0.2)
            after = sum(map(resident, pids))
        await flows(relay, flow.sink, number=MESSAGES)
        count = await flow.all_through(within=60)

    assert {FAULT} == heard
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.resubmitted), count
    assert after - before < 32 << 20
    assert connections <= 80


@pytest.mark.parametrize("relay", ["onebox"], indirect=True)
async def test_a_commit_that_takes_two_seconds_is_waited_for(relay: Onebox | Split) -> None:
    """A disk that hangs for a moment: no client hears 451 for a message that is kept after all."""
    async with flowing(relay, MESSAGES, connections=CONNECTIONS) as flow:
        await flow.reached(0.3)
        async with disk_that_hangs(relay.database_url):
            knocking = asyncio.create_task(timed_knock(relay.customer.normal, MESSAGES))
            await asyncio.sleep(2)
            assert not knocking.done()
        assert (await knocking)[1].startswith("250")
        count = await flow.all_through(within=60)

    door = relay.program if isinstance(relay, Onebox) else relay.programs["ingest"]
    assert "not_accepted" not in door.said()
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.resubmitted), count
