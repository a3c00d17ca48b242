"""Housekeeping: days ahead, days gone, nobody in the way of the mail, one process at a time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import structlog
from prometheus_client import REGISTRY

from posthouse.mail.lane import Lane
from posthouse.running.identity import earliest_id
from posthouse.store import StoreUnavailable
from posthouse.store.housekeeping import _LOCK, RETENTION, Housekeeping
from posthouse.store.migrate import migrate
from posthouse.store.postgres import _SERVER_SETTINGS, Postgres
from servers.patience import until
from servers.stores import Stores, a_submission, open_stores


def today() -> date:
    """The day, asked for anew: a run of the tests may last over midnight."""
    return datetime.now(UTC).date()


def in_a_week() -> date:
    """The last day that has partitions."""
    return today() + timedelta(days=7)


@pytest.fixture
async def fresh(empty_database: str) -> AsyncIterator[Stores]:
    """A database migrated just now, whose partitions may be torn down."""
    await migrate(empty_database)
    async with open_stores(empty_database) as stores:
        yield stores


async def partitions(stores: Stores, table: str) -> set[str]:
    """The days that have a partition of *table*, and "default"."""
    rows = await stores.sql(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass",
        table,
    )
    return {row["name"].removeprefix(f"{table}_") for row in rows}


async def turn(stores: Stores) -> list[Any]:
    """One round; what it logged."""
    with structlog.testing.capture_logs() as logged:
        assert await Housekeeping(stores.database).take_turn()
    return logged


async def test_days_are_made_a_week_ahead(fresh: Stores) -> None:
    for table in RETENTION:
        for day in (today(), in_a_week()):
            await fresh.sql(f"DROP TABLE {table}_{day:%Y%m%d}")
    logged = await turn(fresh)
    assert {(e["event"], e["day"]) for e in logged} == {
        ("partition_created", str(today())), ("partition_created", str(in_a_week())),
    }  # fmt: skip
    for table in RETENTION:
        assert {f"{today():%Y%m%d}", f"{in_a_week():%Y%m%d}"} <= await partitions(fresh, table)
    assert await turn(fresh) == []


async def test_days_past_their_retention_are_dropped(fresh: Stores) -> None:
    """Each kind of row after its own time, and not a day before."""
    for table, kept in RETENTION.items():
        for age in (kept.days, kept.days + 1, kept.days + 2):
            await fresh.sql("SELECT create_partition($1, $2)", table, today() - timedelta(days=age))
    await turn(fresh)
    for table, kept in RETENTION.items():
        oldest = min(await partitions(fresh, table))
        assert f"{today() - kept:%Y%m%d}" == oldest


async def test_a_day_that_something_open_came_in_on_is_kept(fresh: Stores) -> None:
    """However long ago: without its content it could never be sent, only be lost.

    And two days before it, for its content has its id from a clock that may be behind.
    """
    ages = (12, 22, 23, 31)
    for age in ages:
        await fresh.sql("SELECT create_partition('contents', $1)", today() - timedelta(days=age))
    noon = datetime.combine(today() - timedelta(days=20), datetime.min.time(), UTC)
    await fresh.sql(
        "INSERT INTO due_deliveries (id, account_id, lane, size, due_at, received_at, expires_at)"
        " VALUES ($1, $1, 3, 1, now(), now(), now())",
        earliest_id(noon + timedelta(hours=12)),
    )
    logged = await turn(fresh)
    assert ["partition_dropped", "partition_dropped", "partition_needed"] == [
        e["event"] for e in logged
    ]
    days = [f"{today() - timedelta(days=age):%Y%m%d}" for age in ages]
    assert [d in await partitions(fresh, "contents") for d in days] == [True, True, False, False]


async def test_rows_of_a_clock_ahead_of_its_time_move_when_their_day_is_made(fresh: Stores) -> None:
    """They came into the default partition, from which no retention would ever drop them."""
    for table in RETENTION:
        await fresh.sql(f"DROP TABLE {table}_{in_a_week():%Y%m%d}")
    noon = datetime.combine(in_a_week(), datetime.min.time(), UTC) + timedelta(hours=12)
    early = a_submission(id=earliest_id(noon))
    await fresh.submissions.accept(early)
    assert {e["event"] for e in await turn(fresh)} == {"partition_created"}
    where = await fresh.value("SELECT tableoid::regclass::text FROM contents")
    assert where == f"contents_{in_a_week():%Y%m%d}"
    (claimed,) = (await fresh.submissions.claim(1)).submissions
    assert early == claimed.submission


async def test_a_day_with_too_many_rows_in_the_default_partition_stays_there(
    fresh: Stores,
) -> None:
    """Moving them would hold up the mail; everything else is done, and it is said."""
    for table in ("contents", "events"):
        await fresh.sql(f"DROP TABLE {table}_{in_a_week():%Y%m%d}")
    first = earliest_id(datetime.combine(in_a_week(), datetime.min.time(), UTC))
    await fresh.sql(
        "INSERT INTO contents SELECT (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid,"
        " '', '' FROM generate_series(1, 1100) AS n",
        first,
    )
    logged = await turn(fresh)
    assert [("partition_not_created", "contents"), ("partition_created", "events")] == [
        (e["event"], e["table"]) for e in logged
    ]
    assert "too many rows" in logged[0]["reason"]
    assert await fresh.value("SELECT count(*) FROM contents_default") == 1100


async def test_nobody_who_reads_for_hours_holds_up_the_mail(fresh: Stores) -> None:
    """A dump keeps partitions from being made and dropped; meanwhile mail is taken in."""
    for table in RETENTION:
        await fresh.sql(f"DROP TABLE {table}_{in_a_week():%Y%m%d}")
    await fresh.sql("SELECT create_partition('events', $1)", today() - timedelta(days=40))
    dump = await asyncpg.connect(fresh.url)
    tables = ", ".join([*RETENTION, *(f"{table}_default" for table in RETENTION)])
    await dump.execute(f"BEGIN; LOCK TABLE {tables} IN ACCESS SHARE MODE")
    keeping = asyncio.create_task(turn(fresh))
    began = asyncio.get_running_loop().time()
    accepted = 0
    while not keeping.done():
        await fresh.submissions.accept(a_submission())
        accepted += 1
    assert accepted > 1
    assert asyncio.get_running_loop().time() - began < 5
    assert ["partition_not_created", "partition_not_dropped"] == [e["event"] for e in await keeping]
    await dump.close()
    assert {e["event"] for e in await turn(fresh)} == {"partition_created", "partition_dropped"}


async def test_one_process_at_a_time(emptied: str) -> None:
    """Whoever comes while another works leaves out its turn."""
    async with Postgres(emptied) as one, Postgres(emptied) as two:
        turns = await asyncio.gather(*(Housekeeping(d).take_turn() for d in (one, two) * 4))
    assert True in turns
    assert False in turns


async def test_a_process_that_died_at_work_keeps_no_other_from_it(stores: Stores) -> None:
    dead = await asyncpg.connect(stores.url)
    await dead.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})")
    assert not await Housekeeping(stores.database).take_turn()
    dead.terminate()
    async with asyncio.timeout(10):
        # The server notices in its own time.
        while not await Housekeeping(stores.database).take_turn():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_expired_while_parked_comes_due(stores: Stores) -> None:
    await stores.queue(recipients=("ann@dest.example",))
    held = (await stores.deliveries.claim(1)).deliveries
    await stores.deliveries.park([(held[0], "dest.example")])
    await stores.sql("UPDATE due_deliveries SET expires_at = now()")
    await turn(stores)
    assert [c.expired for c in (await stores.deliveries.claim(1)).deliveries] == [True]


async def test_the_queue_is_shown_and_what_is_gone_is_shown_as_nothing(stores: Stores) -> None:
    keeping = Housekeeping(stores.database)
    labels = {"stage": "policy", "lane": "low", "state": "ready"}
    await stores.submissions.accept(a_submission(Lane.LOW))
    await keeping.take_turn()
    assert REGISTRY.get_sample_value("posthouse_queue_messages", labels) == 1
    await stores.submissions.claim(1)
    await keeping.take_turn()
    assert REGISTRY.get_sample_value("posthouse_queue_messages", labels) == 0
    assert REGISTRY.get_sample_value("posthouse_queue_oldest_seconds", labels) == 0


async def test_it_runs_until_told_to_stop_and_outlives_an_absent_database() -> None:
    stopping = asyncio.Event()
    with structlog.testing.capture_logs() as logged:
        async with Postgres("postgresql://posthouse@127.0.0.1:1/posthouse") as nowhere:
            task = asyncio.create_task(Housekeeping(nowhere, every=0.02).run(stopping))
            await until(lambda: len(logged) >= 3)
            stopping.set()
            await task
    assert {entry["event"] for entry in logged} == {"housekeeping_interrupted"}


def oldest(**labels: str) -> float:
    """What the gauge shows of the oldest message there, in seconds."""
    shown = REGISTRY.get_sample_value("posthouse_queue_oldest_seconds", labels)
    assert shown is not None
    return shown


async def test_while_the_database_is_away_the_oldest_message_is_shown_to_grow_older(
    emptied: str,
) -> None:
    """And not as young as it was when somebody last looked."""
    labels = {"stage": "policy", "lane": "high", "state": "ready"}
    stopping = asyncio.Event()
    async with open_stores(emptied) as stores:
        await stores.submissions.accept(a_submission(Lane.HIGH))
        async with Postgres(emptied) as database:
            task = asyncio.create_task(Housekeeping(database, every=0.02).run(stopping))
            await until(lambda: REGISTRY.get_sample_value("posthouse_queue_messages", labels) == 1)
            seen = oldest(**labels)
            await database.close()
            await until(lambda: oldest(**labels) > seen + 2)
            stopping.set()
            await task


async def test_a_database_that_takes_no_changes_still_tells_how_the_queue_stands(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"stage": "policy", "lane": "very-high", "state": "ready"}
    await stores.submissions.accept(a_submission(Lane.VERY_HIGH))
    monkeypatch.setitem(_SERVER_SETTINGS, "default_transaction_read_only", "on")
    async with Postgres(stores.url) as standby:
        with pytest.raises(StoreUnavailable):
            await Housekeeping(standby).take_turn()
    assert REGISTRY.get_sample_value("posthouse_queue_messages", labels) == 1
