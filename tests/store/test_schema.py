"""What the schema itself promises: ids that sort by time, rows in the partition of their day."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from posthouse.running.identity import earliest_id, new_id
from posthouse.store.migrate import migrate
from posthouse.store.retention import BODIES, HISTORY
from servers.stores import Stores, a_submission, open_stores


async def test_ids_made_by_the_database_are_version_seven(stores: Stores) -> None:
    rows = await stores.sql("SELECT new_id() AS id FROM generate_series(1, 200)")
    made = [UUID(str(row["id"])) for row in rows]
    assert {(id_.version, id_.variant) for id_ in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == 200


async def test_what_one_statement_writes_sorts_as_it_was_written(stores: Stores) -> None:
    rows = await stores.sql("SELECT new_id() AS id FROM generate_series(1, 2000)")
    made = [row["id"] for row in rows]
    assert sorted(made) == made


async def test_ids_of_both_makers_sort_together(stores: Stores) -> None:
    """An id made before a round trip sorts before the database's, one made after it after."""
    before = new_id()
    middle = UUID(str(await stores.value("SELECT new_id() FROM pg_sleep(0.003)")))
    await stores.value("SELECT 1 FROM pg_sleep(0.003)")
    assert before < middle < new_id()


async def test_a_day_begins_at_the_same_id_for_program_and_database(stores: Stores) -> None:
    moment = datetime(2031, 5, 17, tzinfo=UTC)
    first = UUID(str(await stores.value("SELECT first_id_of($1)", moment)))
    assert first.int >> 80 == earliest_id(moment).int >> 80
    assert first <= earliest_id(moment)


async def test_every_table_that_grows_has_partitions_ahead_and_a_default(
    empty_database: str,
) -> None:
    """Of an hour for bodies, of a week for history."""
    await migrate(empty_database)
    now = datetime.now(UTC)
    monday = now - timedelta(days=now.weekday())
    async with open_stores(empty_database) as stores:
        for table in (*BODIES, *HISTORY):
            rows = await stores.sql(
                "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
                "WHERE inhparent = $1::regclass ORDER BY 1",
                table,
            )
            expected = (
                [f"{table}_{now + timedelta(hours=n):%Y%m%d_%H}" for n in range(5)]
                if table in BODIES
                else [f"{table}_{monday + timedelta(weeks=n):%Y%m%d}_00" for n in range(2)]
            )
            assert [*expected, f"{table}_default"] == [row["name"] for row in rows]


async def test_the_time_in_an_id_can_be_read(stores: Stores) -> None:
    moment = datetime(2031, 5, 17, 4, 5, 6, 789000, tzinfo=UTC)
    assert moment == await stores.value("SELECT time_of_id($1)", earliest_id(moment))


async def test_rows_land_in_the_partition_of_their_hour(stores: Stores) -> None:
    submission = a_submission()
    await stores.submissions.accept(submission)
    where = await stores.value("SELECT tableoid::regclass::text FROM contents")
    hour = datetime.fromtimestamp((submission.id.int >> 80) / 1000, UTC)
    assert where == f"contents_{hour:%Y%m%d_%H}"


async def test_ids_of_a_clock_that_is_far_off_find_a_place(stores: Stores) -> None:
    """A message whose id says 1970, or next year, is taken, claimed and read like any other."""
    soon = earliest_id(datetime.now(UTC) + timedelta(days=400))
    strange = [a_submission(id=UUID(int=7 << 76 | 2 << 62)), a_submission(id=soon)]
    for submission in strange:
        await stores.submissions.accept(submission)
    places = await stores.sql("SELECT DISTINCT tableoid::regclass::text AS place FROM contents")
    assert ["contents_default"] == [row["place"] for row in places]
    claimed = (await stores.submissions.claim(10)).submissions
    assert strange == [c.submission for c in claimed]


async def test_bodies_are_stored_as_they_are_in_every_partition(stores: Stores) -> None:
    """No CPU goes into compressing what is read once: also in partitions made later."""
    await stores.sql("SELECT add_partitions('contents', 'day', 3)")
    rows = await stores.sql(
        "SELECT DISTINCT attstorage FROM pg_attribute JOIN pg_inherits ON inhrelid = attrelid "
        "WHERE inhparent = 'contents'::regclass AND attname IN ('header', 'body')"
    )
    assert [row["attstorage"] for row in rows] == [b"e"]
