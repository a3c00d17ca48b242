"""Housekeeping: independent duties, one process in charge, gauges that do not go stale."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import structlog
from prometheus_client import REGISTRY

from posthouse.mail.lane import Lane
from posthouse.store.housekeeping import _LOCK, Duty, Housekeeping
from posthouse.store.postgres import _SERVER_SETTINGS, Postgres
from posthouse.store.queue_gauges import QUEUE_MESSAGES, QUEUE_OLDEST
from posthouse.store.retention import Retention
from servers.patience import until
from servers.stores import Stores, a_submission, open_stores

_MADE: list[Housekeeping] = []


def housekeeping(database: Postgres, **options: Any) -> Housekeeping:
    """As a process has it that keeps things as long as it does unless told otherwise."""
    made = Housekeeping(database, Retention(), **{"lead_every": 0.1, **options})
    _MADE.append(made)
    return made


@pytest_asyncio.fixture(autouse=True)
async def _nothing_left() -> AsyncIterator[None]:
    """No gauge of the test before, no connection after."""
    QUEUE_MESSAGES.clear()
    QUEUE_OLDEST.clear()
    yield
    while _MADE:
        await _MADE.pop()._own.close()


async def once(stores: Stores, duty: str) -> bool:
    """One round of that duty; whether it succeeded."""
    (found,) = [d for d in housekeeping(stores.database).duties if d.name == duty]
    return await found.run_once()


def shown(name: str, **labels: str) -> float | None:
    """The value of our metric of that name."""
    return REGISTRY.get_sample_value(f"posthouse_{name}", labels)


def messages(stage: str, lane: str, state: str) -> float | None:
    """What the gauge shows of open messages there."""
    return shown("queue_messages", stage=stage, lane=lane, state=state)


@asynccontextmanager
async def running(*workers: Housekeeping) -> AsyncIterator[asyncio.Event]:
    """Processes at work; the event stops the first of them."""
    stops = [asyncio.Event() for _ in workers]
    async with asyncio.TaskGroup() as tasks:
        for worker, stop in zip(workers, stops, strict=True):
            tasks.create_task(worker.run(stop))
        try:
            yield stops[0]
        finally:
            for stop in stops:
                stop.set()


async def test_a_duty_that_fails_is_counted_and_stops_no_other(stores: Stores) -> None:
    """M6: the queue cannot be counted, and partitions are added and dropped all the same."""
    failures = shown("housekeeping_failures_total", duty="queue_gauges") or 0
    blocker = await asyncpg.connect(stores.url)
    await blocker.execute("BEGIN; LOCK TABLE due_submissions IN ACCESS EXCLUSIVE MODE")
    succeeded = {d.name: await d.run_once() for d in housekeeping(stores.database).duties}
    await blocker.close()
    assert {"queue_gauges", "account_holds", "default_partitions"} == {
        n for n, well in succeeded.items() if not well
    }
    assert failures + 1 == shown("housekeeping_failures_total", duty="queue_gauges")
    last = shown("housekeeping_last_success_timestamp_seconds", duty="new_partitions")
    assert last is not None
    assert last > 0


async def test_a_mistake_in_one_duty_stops_no_other(stores: Stores) -> None:
    async def mistaken() -> None:
        raise ZeroDivisionError

    keeping = housekeeping(stores.database)
    keeping.duties = (Duty("bodies", 0.01, mistaken), *keeping.duties)
    await stores.submissions.accept(a_submission(Lane.BULK))
    with structlog.testing.capture_logs() as logged:
        async with running(keeping):
            await until(lambda: messages("policy", "bulk", "ready") == 1)
            await until(lambda: len([e for e in logged if e["event"] == "housekeeping_failed"]) > 2)


async def test_one_process_is_in_charge_and_another_takes_over(emptied: str) -> None:
    """Who is not in charge shows no numbers of the queue: they would be old ones."""
    async with open_stores(emptied) as stores, Postgres(emptied) as one, Postgres(emptied) as two:
        await stores.submissions.accept(a_submission(Lane.LOW))
        first, second = housekeeping(one), housekeeping(two)
        async with running(first, second) as stop_first:
            await until(lambda: messages("policy", "low", "ready") == 1)
            ages = [bool(x._gauges._ages) for x in (first, second)]
            assert sorted(ages) == [False, True]
            stop_first.set()
            await until(lambda: bool(second._gauges._ages))


async def test_a_process_that_loses_charge_shows_nothing(stores: Stores) -> None:
    await stores.submissions.accept(a_submission(Lane.HIGH))
    keeping = housekeeping(stores.database)
    async with running(keeping):
        await until(lambda: messages("policy", "high", "ready") == 1)
        other = await asyncpg.connect(stores.url)
        await stores.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objid = $1::bigint & 4294967295",
            _LOCK,
        )
        assert await other.fetchval("SELECT pg_advisory_lock($1)::text = ''", _LOCK)
        await until(lambda: messages("policy", "high", "ready") is None)
        await other.close()
        await until(lambda: messages("policy", "high", "ready") == 1)


async def test_a_process_that_died_in_charge_keeps_no_other_from_it(stores: Stores) -> None:
    dead = await asyncpg.connect(stores.url)
    await dead.execute(f"SELECT pg_advisory_lock({_LOCK})")
    await stores.submissions.accept(a_submission(Lane.VERY_HIGH))
    async with running(housekeeping(stores.database)):
        dead.terminate()
        await until(lambda: messages("policy", "very-high", "ready") == 1)


async def test_what_expired_while_parked_comes_due(stores: Stores) -> None:
    await stores.queue(recipients=("ann@dest.example",))
    held = (await stores.deliveries.claim(1)).deliveries
    await stores.deliveries.park([(held[0], "dest.example")])
    await stores.sql("UPDATE due_deliveries SET expires_at = now()")
    assert await once(stores, "parked_expiry")
    assert [c.expired for c in (await stores.deliveries.claim(1)).deliveries] == [True]


async def test_expired_deliveries_come_due_a_bounded_number_at_a_time(stores: Stores) -> None:
    """No statement touches all that is parked."""
    await stores.sql(
        "INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at,"
        " parked_at) SELECT new_id(), new_id(), 3, 1, now(), now(), now(), 'dest.example'"
        " FROM generate_series(1, 2500)"
    )
    assert 1000 == len(await stores.database.fetch("unpark_expired_deliveries", 1000))
    assert await once(stores, "parked_expiry")
    assert 0 == await stores.value("SELECT count(*) FROM due_deliveries WHERE parked_at <> ''")


async def test_the_queue_is_shown_and_what_is_gone_is_shown_as_nothing(stores: Stores) -> None:
    (gauges,) = [d for d in housekeeping(stores.database).duties if d.name == "queue_gauges"]
    await stores.submissions.accept(a_submission(Lane.LOW))
    assert await gauges.run_once()
    assert messages("policy", "low", "ready") == 1
    await stores.submissions.claim(1)
    assert await gauges.run_once()
    assert messages("policy", "low", "ready") == 0
    assert oldest("low") == 0


async def test_it_runs_until_told_to_stop_and_outlives_an_absent_database() -> None:
    with structlog.testing.capture_logs() as logged:
        nowhere = Postgres("postgresql://posthouse@127.0.0.1:1/posthouse")
        async with nowhere, running(housekeeping(nowhere)):
            await until(lambda: len(logged) >= 2)
    assert {entry["event"] for entry in logged} == {"housekeeping_interrupted"}


def oldest(lane: str) -> float:
    """What the gauge shows of the oldest message there that waits for policy, in seconds."""
    value = shown("queue_oldest_seconds", stage="policy", lane=lane, state="ready")
    assert value is not None
    return value


async def test_while_the_database_is_away_the_oldest_message_is_shown_to_grow_older(
    emptied: str,
) -> None:
    """And not as young as it was when it was last seen."""
    async with open_stores(emptied) as stores, Postgres(emptied) as database:
        await stores.submissions.accept(a_submission(Lane.HIGH))
        keeping = housekeeping(database, gauges_every=0.5)
        async with running(keeping):
            await until(lambda: messages("policy", "high", "ready") == 1)
            seen = oldest("high")
            await keeping._own.close()
            await until(lambda: oldest("high") > seen + 2)


async def test_a_database_that_takes_no_changes_still_tells_how_the_queue_stands(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.submissions.accept(a_submission(Lane.VERY_HIGH))
    monkeypatch.setitem(_SERVER_SETTINGS, "default_transaction_read_only", "on")
    async with Postgres(stores.url) as standby, running(housekeeping(standby)):
        await until(lambda: messages("policy", "very-high", "ready") == 1)


async def test_near_a_full_disk_bodies_of_finished_mail_go_before_their_time(
    emptied: str, tmp_path: Path
) -> None:
    """Seen on the disk of this machine, or reported by a database that has no room."""
    async with open_stores(emptied) as stores:
        for is_here in (True, False):
            await stores.sql("DELETE FROM due_submissions")
            await stores.submissions.accept(a_submission(body=b"x" * 3_000_000))
            open_one = a_submission(Lane.HIGH)
            await stores.submissions.accept(open_one)
            await stores.sql("DELETE FROM due_submissions WHERE lane = $1", Lane.NORMAL)
            disk = tmp_path if is_here else None
            keeping = housekeeping(stores.database, disk=disk, least_free=1 << 60)
            stores.database.is_full = not is_here
            with structlog.testing.capture_logs() as logged:
                await keeping.relieve_disk()
            assert "disk_relieved" in {e["event"] for e in logged}
            assert [open_one.id] == [
                r["id"]
                for r in await stores.sql("SELECT id FROM contents JOIN due_submissions USING (id)")
            ]
            assert not stores.database.is_full


async def test_with_room_on_the_disk_nothing_goes_before_its_time(
    stores: Stores, tmp_path: Path
) -> None:
    await stores.submissions.accept(a_submission(body=b"x" * 3_000_000))
    await stores.sql("DELETE FROM due_submissions")
    await housekeeping(stores.database, disk=tmp_path, least_free=0).relieve_disk()
    assert 1 == await stores.value("SELECT count(*) FROM contents")
