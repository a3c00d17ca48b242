"""Retention: partitions ahead, old ones dropped, and nothing lost that open work still needs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from posthouse.mail.events import Event, EventKind
from posthouse.mail.mail_selector import MailOperation
from posthouse.mail.submission import Delivery
from posthouse.running.identity import earliest_id
from posthouse.store import StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.quarantine import Quarantine
from posthouse.store.retention import BODIES, HISTORY, Partitions, Retention
from posthouse.store.returns import ReturnStore
from servers.patience import eventually
from servers.stores import (
    ACCOUNT,
    Stores,
    a_failure,
    a_submission,
    deferred,
    delivered,
    open_stores,
    operate,
    prepared,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
async def fresh(empty_database: str) -> AsyncIterator[Stores]:
    """A database migrated just now, whose partitions may be torn down."""
    await migrate(empty_database)
    async with open_stores(empty_database) as stores:
        yield stores


def kept(stores: Stores, bodies: timedelta = HOUR, history: timedelta = 30 * DAY) -> Partitions:
    """The partitions of a relay that keeps bodies and history that long."""
    return Partitions(stores.database, Retention(bodies, history))


async def names(stores: Stores, table: str) -> list[str]:
    """The partitions of *table* by the hour they begin, without the default one."""
    rows = await stores.sql("SELECT name FROM partitions_of($1)", table)
    return [row["name"].removeprefix(f"{table}_") for row in rows]


async def add_past(stores: Stores, age: timedelta) -> datetime:
    """Have partitions for *age* ago: an hour for bodies, a week for history; a moment in them."""
    hour = (datetime.now(UTC) - age).replace(minute=0, second=0, microsecond=0)
    monday = hour.replace(hour=0) - hour.weekday() * DAY
    for table, begin, unit in (
        *((table, hour, HOUR) for table in BODIES),
        *((table, monday, 7 * DAY) for table in HISTORY),
    ):
        name = f"{table}_{begin:%Y%m%d_%H}"
        if await stores.value("SELECT to_regclass($1) IS NULL", name):
            await stores.sql(
                "SELECT create_partition($1, $2, first_id_of($3), first_id_of($3 + $4::interval))",
                table, name, begin, unit,
            )  # fmt: skip
    return hour + timedelta(minutes=1)


async def accepted_at(stores: Stores, moment: datetime) -> UUID:
    """Accept a submission by a clock that shows *moment*; its id."""
    submission = a_submission(id=earliest_id(moment))
    await stores.submissions.accept(submission)
    return submission.id


async def prepared_at(stores: Stores, moment: datetime) -> list[Delivery]:
    """Accept and prepare a message to two, all of it by a clock that shows *moment*."""
    await accepted_at(stores, moment)
    (claimed,) = (await stores.submissions.claim(1)).submissions
    made = prepared(claimed)
    rendition = replace(made.renditions[0], id=earliest_id(moment + timedelta(seconds=1)))
    deliveries = tuple(
        replace(d, id=earliest_id(moment + timedelta(seconds=2 + n)), rendition_id=rendition.id)
        for n, d in enumerate(made.deliveries)
    )
    await stores.submissions.prepare(
        [replace(made, renditions=(rendition,), deliveries=deliveries)]
    )
    return list(deliveries)


async def settle_all(stores: Stores) -> None:
    """Have everything that is due delivered."""
    for claimed in (await stores.deliveries.claim(100)).deliveries:
        await stores.deliveries.settle(delivered(claimed))


async def where(stores: Stores, table: str) -> set[str]:
    """The partitions that hold rows of *table*."""
    rows = await stores.sql(
        f"SELECT DISTINCT tableoid::regclass::text AS name FROM {table}"  # noqa: S608 -- our names
    )
    return {row["name"].removeprefix(f"{table}_") for row in rows}


# Partitions ahead.


async def test_there_are_partitions_for_now_and_the_next_hours_and_weeks(fresh: Stores) -> None:
    for table in (*BODIES, *HISTORY):
        for name in await names(fresh, table):
            await fresh.sql(f"DROP TABLE {table}_{name}")
    await kept(fresh).add()
    now = datetime.now(UTC)
    monday = now - now.weekday() * DAY
    for table in BODIES:
        hours = [f"{now + n * HOUR:%Y%m%d_%H}" for n in range(5)]
        assert hours == await names(fresh, table)
    for table in HISTORY:
        weeks = [f"{monday + 7 * n * DAY:%Y%m%d}_00" for n in range(2)]
        assert weeks == await names(fresh, table)
    before = await names(fresh, "contents")
    await kept(fresh).add()
    assert before == await names(fresh, "contents")


@pytest.mark.parametrize("days", [0, 1, 2, 2.1, 14, 15, 30])
def test_there_are_never_more_than_sixty(days: float) -> None:
    """Those whose time has not passed, the one in use, one that waits to go, those ahead."""
    kept_for = Retention(bodies=days * DAY, history=days * DAY)
    for table in ("contents", "events"):
        length = {"hour": HOUR, "day": DAY, "week": 7 * DAY}[kept_for.unit_of(table)]
        assert kept_for.of(table) / length + 2 + 4 <= 60


async def test_a_longer_retention_goes_on_with_days_where_the_hours_end(fresh: Stores) -> None:
    """And back: no moment is without a partition, none has two."""
    for bodies in (30 * DAY, HOUR):
        await kept(fresh, bodies).add()
        rows = await fresh.sql("SELECT * FROM partitions_of('contents')")
        assert [row["beyond"] for row in rows[:-1]] == [row["first"] for row in rows[1:]]
    assert datetime.now(UTC) + 2 * DAY < await fresh.value(
        "SELECT time_of_id(beyond) FROM partitions_of('contents') ORDER BY beyond DESC LIMIT 1"
    )


async def test_rows_of_a_clock_ahead_move_when_their_partition_is_made(fresh: Stores) -> None:
    *_, last = await names(fresh, "contents")
    await fresh.sql(f"DROP TABLE contents_{last}")
    moment = datetime.strptime(last, "%Y%m%d_%H").replace(tzinfo=UTC)
    early = await accepted_at(fresh, moment)
    assert {"default"} == await where(fresh, "contents")
    await kept(fresh).add()
    assert {last} == await where(fresh, "contents")
    (claimed,) = (await fresh.submissions.claim(1)).submissions
    assert early == claimed.submission.id


async def test_with_too_many_of_them_that_partition_is_left_out_and_later_ones_are_made(
    fresh: Stores,
) -> None:
    """To move them would hold up the mail; once finished they are deleted where they are."""
    *_, full, last = await names(fresh, "contents")
    for name in (full, last):
        await fresh.sql(f"DROP TABLE contents_{name}")
    first = earliest_id(datetime.strptime(full, "%Y%m%d_%H").replace(tzinfo=UTC))
    await fresh.sql(
        "INSERT INTO contents SELECT (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid,"
        " '', '' FROM generate_series(1, 1500) AS n",
        first,
    )
    partitions = kept(fresh)
    await partitions.add()
    assert last == (await names(fresh, "contents"))[-1]
    assert full not in await names(fresh, "contents")
    await partitions.sweep()
    assert 0 == await fresh.value("SELECT count(*) FROM contents")
    await partitions.add()
    assert full in await names(fresh, "contents")


# Old partitions go.


async def test_a_partition_goes_when_its_retention_has_passed_and_not_before(fresh: Stores) -> None:
    """Bodies and history each after their own time."""
    now = datetime.now(UTC)
    for n in (4, 3, 2):
        await add_past(fresh, n * HOUR)
        await add_past(fresh, 7 * n * DAY)
    hours = [f"{now - n * HOUR:%Y%m%d_%H}" for n in (4, 3, 2)]
    monday = now - now.weekday() * DAY
    weeks = [f"{monday - 7 * n * DAY:%Y%m%d}_00" for n in (4, 3, 2)]
    await kept(fresh, 3 * HOUR, 21 * DAY).retire((*BODIES, *HISTORY))
    for table in BODIES:
        assert hours[1:] == (await names(fresh, table))[:2]
    for table in HISTORY:
        assert weeks[1:] == (await names(fresh, table))[:2]
    await kept(fresh, timedelta(0), DAY).retire((*BODIES, *HISTORY))
    for table in BODIES:
        assert f"{now:%Y%m%d_%H}" == (await names(fresh, table))[0]
    for table in HISTORY:
        assert not set(weeks) & set(await names(fresh, table))


async def test_open_work_keeps_its_bodies_and_pins_no_partition(fresh: Stores) -> None:
    """Whatever it waits for: policy, its next try, room at its site, a decision."""
    moment = await add_past(fresh, 5 * HOUR)
    minute = timedelta(minutes=1)
    await prepared_at(fresh, moment)
    await settle_all(fresh)  # of this nothing is needed
    await prepared_at(fresh, moment + minute)
    for claimed in (await fresh.deliveries.claim(2)).deliveries:
        await fresh.deliveries.settle(deferred(claimed))
    await prepared_at(fresh, moment + 2 * minute)
    held = (await fresh.deliveries.claim(10)).deliveries
    await fresh.deliveries.park([(held[0], "dest.example")])
    await fresh.deliveries.quarantine(held[1], "poison")
    undecided = await accepted_at(fresh, moment + 3 * minute)
    (claimed_submission,) = (await fresh.submissions.claim(1)).submissions
    await fresh.submissions.quarantine(claimed_submission, "no keys")
    waiting = await accepted_at(fresh, moment + 4 * minute)

    assert await kept(fresh).retire(BODIES) > 0
    assert {"default"} == await where(fresh, "contents") == await where(fresh, "renditions")
    assert 4 == await fresh.value("SELECT count(*) FROM contents")
    assert 2 == await fresh.value("SELECT count(*) FROM renditions")

    await fresh.run_out()
    await operate(fresh.database, MailOperation.RELEASE)
    found = (await fresh.submissions.claim(10)).submissions
    assert {undecided, waiting} == {c.submission.id for c in found}
    assert all(c.submission.body for c in found)
    claims = (await fresh.deliveries.claim(10)).deliveries
    parked = await fresh.deliveries.claim_parked("dest.example", 10)
    assert 4 == len([c for c in (*claims, *parked) if c.header and c.body])


async def test_history_of_open_work_moves_too_so_that_its_story_is_whole(fresh: Stores) -> None:
    """Also what is quarantined can still be listed, taken out and discarded."""
    moment = await add_past(fresh, 40 * DAY)
    deliveries = await prepared_at(fresh, moment)
    (first, second) = (await fresh.deliveries.claim(2)).deliveries
    await fresh.deliveries.settle(deferred(first))
    await fresh.deliveries.quarantine(second, "poison")
    finished = await accepted_at(fresh, moment + timedelta(minutes=5))
    await fresh.sql("DELETE FROM due_submissions")

    await kept(fresh).retire((*BODIES, *HISTORY))
    submission_id = deliveries[0].submission_id
    assert await fresh.timeline.of_submission(finished) is None
    story = await fresh.story(submission_id)
    assert 2 == len(story.deliveries)
    assert 1 == len(story.attempts)
    assert ["accepted", "prepared", "deferred", "quarantined"] == await fresh.kinds(submission_id)
    quarantine = Quarantine(fresh.database)
    assert [("delivery", 1)] == [(line.stage, line.messages) for line in await quarantine.lines()]
    assert 1 == await operate(fresh.database, MailOperation.CANCEL, state="quarantined")


async def add_contents(stores: Stores, moment: datetime, count: int, one_open_in: int = 1) -> None:
    """Write *count* contents of *moment*, of which one in *one_open_in* has a due row."""
    await stores.sql(
        """
        WITH made AS (
            SELECT (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id, n
            FROM generate_series(1, $2::int) AS n
        ), kept AS (INSERT INTO contents SELECT id, 'h', 'b' FROM made)
        INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at)
        SELECT id, id, 3, 1, now(), now() + interval '5 days' FROM made WHERE n % $3::int = 0
        """,
        earliest_id(moment),
        count,
        one_open_in,
    )


async def test_a_partition_of_which_much_is_open_stays_until_little_is(fresh: Stores) -> None:
    moment = await add_past(fresh, 5 * HOUR)
    (name,) = [n for n in await names(fresh, "contents") if n == f"{moment:%Y%m%d_%H}"]
    await add_contents(fresh, moment, 2500)
    await kept(fresh).retire(BODIES)
    assert name in await names(fresh, "contents")
    await fresh.sql(
        "DELETE FROM due_submissions WHERE id IN (SELECT id FROM due_submissions LIMIT 1000)"
    )
    await kept(fresh).retire(BODIES)
    assert name not in await names(fresh, "contents")
    assert 1500 == await fresh.value("SELECT count(*) FROM contents_default")


async def test_a_partition_that_must_stay_gives_back_what_nothing_needs(fresh: Stores) -> None:
    """In batches, while claims go on; and what is open then is found where it was."""
    moment = await add_past(fresh, 5 * HOUR)
    name = f"contents_{moment:%Y%m%d_%H}"
    await add_contents(fresh, moment, 12000, one_open_in=5)
    assert [False, False, True] == [
        await fresh.value("SELECT thin_partition('contents', $1, 1000)", name) for _ in range(3)
    ]
    in_place = "SELECT count(*) FROM contents JOIN due_submissions USING (id)"
    assert 2400 == await fresh.value(in_place) == await fresh.value("SELECT count(*) FROM contents")
    assert {name.removeprefix("contents_")} == await where(fresh, "contents")
    # Nothing more would be won; and when little is open, it moves, and the partition goes.
    assert await fresh.value("SELECT thin_partition('contents', $1, 1000)", name) is None
    await fresh.sql(
        "DELETE FROM due_submissions WHERE id IN (SELECT id FROM due_submissions LIMIT 1000)"
    )
    await kept(fresh).retire(BODIES)
    assert {"default"} == await where(fresh, "contents")
    assert 1400 == await fresh.value(in_place) == await fresh.value("SELECT count(*) FROM contents")


async def test_thinning_is_part_of_a_round_and_leaves_nothing_behind(fresh: Stores) -> None:
    moment = await add_past(fresh, 5 * HOUR)
    name = f"{moment:%Y%m%d_%H}"
    await add_contents(fresh, moment, 12000, one_open_in=5)
    await fresh.value("SELECT thin_partition('contents', $1, 1000)", f"contents_{name}")
    await kept(fresh).retire(BODIES)
    assert 2400 == await fresh.value("SELECT count(*) FROM contents")
    assert name in await names(fresh, "contents")
    assert 0 == await fresh.value(
        "SELECT count(*) FROM pg_class WHERE relname LIKE '%thin' AND relkind = 'r'"
    )


async def test_a_message_prepared_between_the_look_and_the_drop_keeps_its_body(
    fresh: Stores,
) -> None:
    moment = await add_past(fresh, 5 * HOUR)
    await accepted_at(fresh, moment)
    (claimed,) = (await fresh.submissions.claim(1)).submissions
    reader = await asyncpg.connect(fresh.url)
    await reader.execute("BEGIN; LOCK TABLE contents IN ACCESS SHARE MODE")
    retiring = asyncio.create_task(kept(fresh).retire(("contents",)))
    looked = "SELECT count(*) FROM pg_locks WHERE relation = 'contents'::regclass AND NOT granted"

    async def has_looked() -> bool:
        return bool(await fresh.value(looked))

    await eventually(has_looked, look=0.01)
    await fresh.submissions.prepare([prepared(claimed)])
    await reader.execute("COMMIT")
    assert await retiring > 0
    assert {"default"} == await where(fresh, "contents")
    claims = (await fresh.deliveries.claim(10)).deliveries
    assert [claimed.submission.body] * 2 == [c.body for c in claims]
    await reader.close()


async def test_no_claim_misses_a_body_while_partitions_are_dropped(fresh: Stores) -> None:
    """Mail of sixty past hours is claimed and deferred all the time."""
    hours = range(3, 63)
    for age in hours:
        moment = await add_past(fresh, age * HOUR)
        await prepared_at(fresh, moment)
    partitions = kept(fresh, hours[-1] * HOUR)
    done = asyncio.Event()
    bodies: list[bytes] = []

    async def claim_and_defer() -> None:
        while not done.is_set():
            claims = (await fresh.deliveries.claim(20)).deliveries
            bodies.extend(c.body for c in claims)
            await asyncio.gather(*(fresh.deliveries.settle(deferred(c)) for c in claims))

    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(claim_and_defer()) for _ in range(3)]
        for share in range(60, 0, -4):
            await partitions.retire(BODIES, share=share / 60)
        done.set()
    assert all(task.done() for task in working)
    assert {b"Hello.\r\n"} == set(bodies)
    assert len(bodies) > len(hours)
    assert "default" in await where(fresh, "contents")


async def test_a_long_reader_stops_neither_the_mail_nor_a_later_drop(fresh: Stores) -> None:
    """A dump that runs for hours: mail is taken in meanwhile, and the partition goes after it."""
    await add_past(fresh, 5 * HOUR)
    dump = await asyncpg.connect(fresh.url)
    before = await names(fresh, "contents")
    tables = ", ".join(["contents", *(f"contents_{name}" for name in before)])
    await dump.execute(f"BEGIN; LOCK TABLE {tables} IN ACCESS SHARE MODE")
    partitions = kept(fresh)
    retiring = asyncio.create_task(partitions.retire(BODIES))
    accepted = 0
    while not retiring.done():
        await fresh.submissions.accept(a_submission())
        accepted += 1
    assert accepted >= 1
    assert isinstance(retiring.exception(), StoreUnavailable)
    assert before == await names(fresh, "contents")
    await dump.close()
    await partitions.retire(BODIES)
    assert before[1:] == await names(fresh, "contents")


# Near a full disk.


async def test_the_partition_in_use_is_emptied_of_what_is_finished(fresh: Stores) -> None:
    """Nothing else would make room after a backlog of minutes that has drained."""
    body = b"x" * 100_000
    for number in range(30):
        await fresh.queue(body=body, recipients=(f"{number}@dest.example",))
    await settle_all(fresh)
    (waiting,) = await fresh.queue(body=body, recipients=("late@dest.example",))
    before = await names(fresh, "contents")
    assert await kept(fresh).retire(BODIES) == 0
    assert await kept(fresh).retire(BODIES, share=0) > 3_000_000
    assert before == await names(fresh, "contents")
    assert 1 == await fresh.value("SELECT count(*) FROM contents")
    claimed = await fresh.claim_one()
    assert (waiting.id, body) == (claimed.delivery.id, claimed.body)
    await fresh.queue()


# The default partition.


async def test_what_was_moved_out_goes_once_it_is_finished_and_old_enough(fresh: Stores) -> None:
    moment = await add_past(fresh, 40 * DAY)
    await prepared_at(fresh, moment)
    await kept(fresh).retire((*BODIES, *HISTORY))
    nothing_kept = kept(fresh, timedelta(0), timedelta(0))
    await nothing_kept.sweep()
    counts = (
        "SELECT (SELECT count(*) FROM contents_default), (SELECT count(*) FROM renditions_default),"
        " (SELECT count(*) FROM submissions_default), (SELECT count(*) FROM deliveries_default)"
    )
    assert [1, 1, 1, 2] == list((await fresh.sql(counts))[0])
    await settle_all(fresh)
    await kept(fresh).sweep()  # finished just now: its retention begins
    assert [1, 1, 1, 2] == list((await fresh.sql(counts))[0])
    await nothing_kept.sweep()
    assert [0, 0, 0, 0] == list((await fresh.sql(counts))[0])


async def test_strays_of_a_wrong_clock_do_not_stay_for_ever(fresh: Stores) -> None:
    """However many: of years before and after, and open ones stay as long as they are open."""
    now = datetime.now(UTC)
    await prepared_at(fresh, now + 400 * DAY)
    for moment in (now - 900 * DAY, now + 500 * DAY):
        await fresh.sql(
            "INSERT INTO renditions SELECT (left($1::uuid::text, 24)"
            " || lpad(to_hex(n), 12, '0'))::uuid, $1, '', '' FROM generate_series(1, 2200) AS n",
            earliest_id(moment),
        )
    partitions = kept(fresh)
    await partitions.sweep()
    assert 1 == await fresh.value("SELECT count(*) FROM renditions")
    assert all(c.body for c in (await fresh.deliveries.claim(10)).deliveries)


async def test_a_sweep_goes_on_where_the_one_before_ended(fresh: Stores) -> None:
    """Rows that must stay do not hide those behind them."""
    first = earliest_id(datetime.now(UTC) - 900 * DAY)
    await fresh.sql(
        """
        WITH made AS (
            SELECT (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id, n
            FROM generate_series(1, 21500) AS n
        ), kept AS (INSERT INTO contents SELECT id, '', '' FROM made)
        INSERT INTO due_submissions (id, account_id, lane, size, due_at, expires_at)
        SELECT id, id, 3, 1, now(), now() + interval '5 days' FROM made WHERE n <= 21000
        """,
        first,
    )
    partitions = kept(fresh)
    await partitions.sweep()
    assert 21500 == await fresh.value("SELECT count(*) FROM contents")
    await partitions.sweep()
    assert 21000 == await fresh.value("SELECT count(*) FROM contents")


# What comes back after the body has gone.


async def test_a_report_is_understood_after_the_body_has_gone(fresh: Stores) -> None:
    moment = await add_past(fresh, 3 * DAY)
    (ann, _) = await prepared_at(fresh, moment)
    await settle_all(fresh)
    await kept(fresh).retire((*BODIES, *HISTORY))
    assert 0 == await fresh.value("SELECT count(*) FROM contents")
    returns = ReturnStore(fresh.database)
    assert ann == await returns.find(ann.id)
    event = Event(EventKind.BOUNCED, ACCOUNT, ann.submission_id, ann.id, {"digest": "d"})
    assert await returns.record(event, ann, a_failure())
    assert "bounced" == (await fresh.kinds(ann.submission_id))[-1]
    assert 2 == len((await fresh.story(ann.submission_id)).attempts)
