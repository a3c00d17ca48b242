"""The cost of the store: accept, claim and settle, and a claim by scan compared with one by key.

Run it against a database of its own, migrated and empty, on this machine:

    python bench/claims.py postgresql://... [queued rows ...]

Prints, for each step and item: client CPU, CPU of the server's processes, and the latency of the
call it was part of. The server's CPU is read from /proc, so both must share the machine.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.rate_limit import Charge, Counted, LimitAction, Period, RateLimit
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.running.identity import new_id
from posthouse.store.deliveries import Attempt, ClaimedDelivery, DeliveryStore, Settlement
from posthouse.store.postgres import Postgres
from posthouse.store.rate_counter import RateCounter
from posthouse.store.rate_limits import LimitOwner, RateLimitStore
from posthouse.store.submissions import Prepared, SubmissionStore

HEADER = b"Subject: a test\r\n" * 30 + b"\r\n"
BODY = b"0123456789 " * 860
TICK = os.sysconf("SC_CLK_TCK")

# Hints could carry ids for the claim to take: no scan, but no strict lanes either (decision 0004).
CLAIM_BY_KEY = """
WITH picked AS (
    SELECT id FROM due_deliveries
    WHERE id = ANY($1::uuid[]) AND due_at <= now() AND parked_at IS NULL FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE due_deliveries
    SET due_at = now() + $2::interval, claim = claim + 1, leased = true, claimed_at = now(),
        abandoned = leased
    WHERE id = ANY(ARRAY(SELECT id FROM picked))
    RETURNING id, claim, tries, abandoned, expires_at <= now() AS expired, received_at, expires_at
)
SELECT v.*, c.claim, c.tries, c.abandoned, c.expired, c.received_at, c.expires_at
FROM claimed c CROSS JOIN LATERAL (SELECT * FROM deliveries v WHERE v.id = c.id OFFSET 0) v
"""
FILL = """
WITH made AS (
    SELECT new_id() AS id, new_id() AS submission_id FROM generate_series(1, $1)
), stored AS (
    INSERT INTO deliveries
    SELECT id, submission_id, submission_id, submission_id, 5, 'someone@dest.example', 'b@x'
    FROM made
)
INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at)
SELECT id, id, 5, 1, now() - interval '1 hour', now(), now() + interval '5 days' FROM made
"""


def submission(lane: Lane = Lane.NORMAL) -> Submission:
    """A message of 10 KB to one recipient."""
    return Submission(
        id=new_id(), account_id=UUID(int=1), credential_id=UUID(int=2), profile="native", lane=lane,
        sender="shop@sender.example", recipients=("ann@dest.example",), smtputf8=False,
        client="192.0.2.1", helo="app.sender.example", tls="", header=HEADER, body=BODY,
    )  # fmt: skip


def settlement(claimed: ClaimedDelivery) -> Settlement:
    """It was delivered."""
    attempt = Attempt(
        datetime.now(UTC), "delivered", None, "dest.example", "mx.dest.example", "TLSv1.3", 250,
        "2.0.0", "Ok: queued as 4F1Kx",
    )  # fmt: skip
    detail = {"recipient": claimed.delivery.recipient, "code": 250, "host": "mx.dest.example"}
    return Settlement(claimed, EventKind.DELIVERED, None, attempt, detail)


def cpu_ticks(pid: int) -> int:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Bench:
    """Measures steps; knows the server's processes."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def _server_ticks(self) -> dict[int, int]:
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT pid FROM pg_stat_activity")
        return {row["pid"]: cpu_ticks(row["pid"]) for row in rows}

    async def measure(
        self, name: str, calls: int, items: int, step: Callable[[], Awaitable[object]]
    ) -> None:
        """Call *step* *calls* times one after the other; each does *items* items."""
        for _ in range(10):
            await step()
        before, client = await self._server_ticks(), time.process_time()
        took = []
        for _ in range(calls):
            began = time.perf_counter()
            await step()
            took.append(time.perf_counter() - began)
        client = time.process_time() - client
        after = await self._server_ticks()
        server = sum(ticks - before.get(pid, ticks) for pid, ticks in after.items()) / TICK
        each = 1e6 / (calls * items)
        ranked = statistics.quantiles(took, n=20)
        print(
            f"{name:44} {client * each:7.0f} {server * each:7.0f} "
            f"{statistics.median(took) * 1e3:8.2f} {ranked[18] * 1e3:8.2f}",
            flush=True,
        )


def stores(database: Postgres, background: Postgres) -> tuple[SubmissionStore, DeliveryStore]:
    """What ingest and policy, and what the dispatcher ask."""
    return (
        SubmissionStore(database, background),
        DeliveryStore(database, background, window=timedelta()),
    )


async def through(database: Postgres, background: Postgres, bench: Bench, at_once: int) -> None:
    """All steps of a message, *at_once* at a time."""
    submissions, deliveries = stores(database, background)
    user = LimitOwner(UUID(int=2), UUID(int=1), "user")
    for period in (Period.HOUR, Period.MONTH):
        limit = RateLimit(Counted.MESSAGES, period, 1_000_000, LimitAction.REFUSE)
        await RateLimitStore(database).set(user, limit, "bench")
    calls = 600 // at_once**0.5 // 1

    async def accept() -> None:
        await asyncio.gather(*(submissions.accept(submission()) for _ in range(at_once)))

    await bench.measure(f"accept, {at_once} at once", int(calls), at_once, accept)

    counter = RateCounter(background)

    async def count() -> None:
        charge = Charge(UUID(int=1), UUID(int=2), 1)
        await asyncio.gather(*(counter.charge([charge], urgent=False) for _ in range(at_once)))

    await bench.measure(f"count for two limits, {at_once} at once", int(calls), at_once, count)

    async def prepare() -> None:
        claimed = (await submissions.claim(at_once)).submissions
        await submissions.prepare([prepared(c) for c in claimed])

    await bench.measure(f"policy: claim + prepare {at_once}", int(calls) - 40, at_once, prepare)

    async def settle() -> None:
        claims = await deliveries.claim(at_once)
        await asyncio.gather(*(deliveries.settle(settlement(c)) for c in claims.deliveries))

    await bench.measure(f"dispatcher: claim + settle {at_once}", int(calls) - 80, at_once, settle)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE due_submissions, due_deliveries")


def prepared(claimed: Any) -> Prepared:
    """One rendition, one delivery."""
    s = claimed.submission
    rendition = Rendition(new_id(), s.id, HEADER + HEADER)
    delivery = Delivery(
        new_id(), s.id, s.account_id, rendition.id, s.lane, s.recipients[0], "b+x@bounce.example"
    )
    return Prepared(claimed, (rendition,), (delivery,), ())


async def scan_or_key(database: Postgres, background: Postgres, bench: Bench, queued: int) -> None:
    """Claim and give back 20 of *queued* and 20, found by scan or by primary key."""
    _, deliveries = stores(database, background)
    async with database.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.fetch(FILL, queued + 20, timeout=600)
        await connection.execute("VACUUM ANALYZE due_deliveries, deliveries", timeout=600)
        ids = [r[0] for r in await connection.fetch("SELECT id FROM due_deliveries LIMIT 20")]
        await connection.execute("RESET statement_timeout")

    async def by_scan() -> None:
        claims = await deliveries.claim(20)
        assert len(claims.deliveries) == 20
        await deliveries.return_leases(claims.deliveries)

    async def by_key() -> None:
        async with database.connection() as connection:
            rows = await connection.fetch(CLAIM_BY_KEY, ids, timedelta(seconds=20))
            assert len(rows) == 20
            held = [(r["id"], r["claim"]) for r in rows]
        await database.run("return_leases", held)

    await bench.measure(f"claim by key + release 20, {queued} queued", 300, 20, by_key)
    await bench.measure(f"claim by scan + release 20, {queued} queued", 300, 20, by_scan)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE due_deliveries, deliveries")


async def main(url: str, queued: list[int]) -> None:
    """Everything, one after the other."""
    async with Postgres(url) as database, Postgres(url, background=True) as background:
        bench = Bench(database)
        await database.run("round_trip")
        print(f"{'':44} {'µs CPU per item':>15} {'ms latency':>17}")
        print(f"{'':44} {'client':>7} {'server':>7} {'median':>8} {'p95':>8}")
        await bench.measure("one round trip", 500, 1, lambda: database.run("round_trip"))
        for at_once in (1, 20):
            await through(database, background, bench, at_once)
        for rows in queued:
            await scan_or_key(database, background, bench, rows)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], [int(n) for n in sys.argv[2:]] or [0, 1_000_000]))
