"""What a message costs each part of the relay, and what it leaves on the disk.

    python -m bench.footprint [-n 4000] [--rate 100]

`posthouse up`, a sink, and messages of 10 KB to one recipient over 20 connections: as fast as they
are taken, then at --rate a second. Of each message: CPU of PostgreSQL and of everything else,
octets of its log (WAL), flushes of it, commits. And the octets of each table with its indexes after
all of it, without what was there before. The numbers of docs/scaling.md and docs/operating.md.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import uvloop
from bench.load import Load, Plan
from bench.onebox import Onebox
from bench.sink import Sink

from onebox.postgres_server import dsn

_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTIONS = 20
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


async def send(relay: Onebox, database: Any, messages: int, rate: float = 0.0) -> float:
    """Send, and return the seconds until nothing is open."""
    began = time.monotonic()
    plan = Plan(relay.door, messages, _CONNECTIONS, sender="news@bench.example", rate=rate)
    accepted = sum(one.accepted for one in await Load(plan).run())
    assert messages == accepted, accepted
    while await database.fetchval(_OPEN):  # noqa: ASYNC110 -- nobody tells us
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def measured(relay: Onebox, database: Any, messages: int, rate: float = 0.0) -> str:
    """One line about *messages*."""
    before = await spent(relay, database)
    seconds = await send(relay, database, messages, rate)
    await asyncio.sleep(_SETTLE_SECONDS)
    after = await spent(relay, database)

    def each(name: str) -> float:
        return float(getattr(after, name) - getattr(before, name)) / messages

    return (
        f"{messages / seconds:7.0f}/s  CPU us: services {each('services') * 1e6:5.0f}, "
        f"PostgreSQL {each('database') * 1e6:5.0f}  WAL {each('wal'):6.0f} octets  "
        f"flushes {each('flushes'):.3f}  commits {each('commits'):.3f}"
    )


async def run(messages: int, rate: float) -> None:
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
                await send(relay, database, 500)
                empty = await octets(database)
                print(await measured(relay, database, messages))
                print(await measured(relay, database, messages // 4, rate))
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
    given = parser.parse_args()
    uvloop.run(run(given.n, given.rate))


if __name__ == "__main__":
    main()
