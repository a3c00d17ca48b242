"""What a message costs each part of the relay, and what it leaves on the disk.

    python -m bench.footprint [-n 4000] [--rate 100] [--tracked]

`posthouse up`, a sink, and messages of 10 KB to one recipient over 20 connections, text or HTML
with twenty tracked links: as fast as they are taken, then at --rate a second. Of each message: CPU
of PostgreSQL and of everything else, octets of its log (WAL), flushes of it, commits. And the
octets of each table with its indexes after all of it, without what was there before. The numbers
of docs/scaling.md and docs/operating.md.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import uvloop
from bench.children import POSTHOUSE, answer
from bench.load import Load, Plan
from bench.load_session import Door
from bench.onebox import Onebox
from bench.sink import Sink
from bench.systems import make_credential

from onebox.postgres_server import dsn

_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTIONS, _SENDER = 20, "news@bench.example"
_SETTLE_SECONDS = 3.0  # by then reports and keys of messages are written
_OPEN = "SELECT (SELECT count(*) FROM due_submissions) + (SELECT count(*) FROM due_deliveries)"
_SERVER = """
SELECT pg_current_wal_lsn() - '0/0' AS wal,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
       (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal') AS flushes
"""
_SIZES = """
SELECT c.relname AS name, COALESCE(
    (SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(c.oid) t WHERE t.isleaf),
    pg_total_relation_size(c.oid))::float8 AS octets
FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """So far; CPU in seconds."""

    database: float
    services: float
    wal: float
    commits: float
    flushes: float


def cpu_seconds(pids: Sequence[int]) -> tuple[float, float]:
    """Of PostgreSQL's processes among *pids*, and of the others."""
    spent = {True: 0.0, False: 0.0}
    for pid in pids:
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        times = rest.split()[11:13]
        spent["(postgres" in name] += sum(map(int, times)) / _TICK
    return spent[True], spent[False]


async def spent(relay: Onebox, database: Any) -> Spent:
    """What was spent until now."""
    row = await database.fetchrow(_SERVER)
    counts = (float(row[name] or 0) for name in ("wal", "commits", "flushes"))
    return Spent(*cpu_seconds(tuple(relay.account.pids())), *counts)


async def octets(database: Any) -> Mapping[str, float]:
    """Of each table."""
    return {row["name"]: row["octets"] for row in await database.fetch(_SIZES)}


async def tracked(relay: Onebox) -> Door:
    """A user whose mail is tracked."""
    knobs = ("--set", "tracking.opens=true", "--set", "tracking.clicks=true")
    profile = (POSTHOUSE, "profile", "create", "tracked", "--from", "native", *knobs)
    await answer(profile, relay.environment)
    return await make_credential(relay.door.port, relay.environment, "tracked")


async def send(database: Any, plan: Plan) -> float:
    """Send, and return the seconds until nothing is open."""
    began, messages = time.monotonic(), plan.messages
    accepted = sum(one.accepted for one in await Load(plan).run())
    assert messages == accepted, accepted
    while await database.fetchval(_OPEN):  # noqa: ASYNC110 -- nobody tells us
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def measured(relay: Onebox, database: Any, plan: Plan) -> str:
    """One line about the messages of *plan*."""
    messages = plan.messages
    before = await spent(relay, database)
    seconds = await send(database, plan)
    await asyncio.sleep(_SETTLE_SECONDS)
    after = await spent(relay, database)

    def each(name: str) -> float:
        return float(getattr(after, name) - getattr(before, name)) / messages

    return (
        f"{messages / seconds:7.0f}/s  CPU us: services {each('services') * 1e6:5.0f}, "
        f"PostgreSQL {each('database') * 1e6:5.0f}  WAL {each('wal'):6.0f} octets  "
        f"flushes {each('flushes'):.3f}  commits {each('commits'):.3f}"
    )


async def run(messages: int, rate: float, *, is_tracked: bool) -> None:
    """Everything."""
    with TemporaryDirectory(prefix="posthouse-footprint-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 -- PostgreSQL is another user
        async with Sink() as sink:
            relay = Onebox(Path(folder), sink.port)
            await relay.prepare()
            print(relay.version)
            try:
                await relay.start()
                database = await asyncpg.connect(dsn(relay.database))
                door = await tracked(relay) if is_tracked else relay.door
                plan = Plan(door, 500, _CONNECTIONS, sender=_SENDER, newsletter=is_tracked)
                await send(database, plan)
                empty = await octets(database)
                print(await measured(relay, database, replace(plan, messages=messages)))
                paced = replace(plan, messages=messages // 4, rate=rate)
                print(await measured(relay, database, paced))
                full, sent = await octets(database), messages + messages // 4
                for name in sorted(full, key=lambda name: empty.get(name, 0) - full[name]):
                    if grown := (full[name] - empty.get(name, 0)) / sent:
                        print(f"{grown:8.0f} octets a message in {name}")
                await database.close()
            finally:
                await relay.stop()


def main() -> None:
    """Measure."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=4_000, help="messages")
    parser.add_argument("--rate", type=float, default=100.0, help="a second, of the second part")
    parser.add_argument("--tracked", action="store_true", help="HTML with twenty links, tracked")
    given = parser.parse_args()
    uvloop.run(run(given.n, given.rate, is_tracked=given.tracked))


if __name__ == "__main__":
    main()
