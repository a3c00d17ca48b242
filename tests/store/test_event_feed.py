"""The feed of events: in the order of commits, without a gap, and on disk."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.event_feed import (
    AnotherIncarnation,
    EventCursor,
    EventFeed,
    EventPage,
    moving,
)
from posthouse.store.migrate import migrate
from posthouse.store.notices import READER
from posthouse.store.postgres import Postgres
from servers.postgres import with_database
from servers.stores import ACCOUNT, Stores, a_submission, delivered, open_stores

WRITE = """
INSERT INTO events (id, account_id, submission_id, kind) VALUES (new_id(), $1, new_id(), $2)
"""
BETWEEN = """
SELECT e.* FROM events e JOIN witness w ON w.number = e.incarnation
WHERE (xid, id) > ($1, $2) AND (xid, id) <= ($3, $4) ORDER BY xid, id
"""


@asynccontextmanager
async def writer(url: str) -> AsyncIterator[Any]:
    """A connection that writes events when and as it likes."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        with suppress(OSError):  # of a server that was killed
            await connection.close()


async def page(feed: EventFeed, after: EventCursor, limit: int = 1000) -> EventPage:
    found = await feed.read(after, limit)
    assert isinstance(found, EventPage)
    return found


async def read(feed: EventFeed, after: EventCursor, count: int) -> EventPage:
    """The next *count* events: any transaction on the server may keep them back for a moment."""
    found = await page(feed, after, count)
    while len(await events(feed, found)) < count:
        await asyncio.sleep(0.01)
        found = await page(feed, after, count)
    return found


async def events(feed: EventFeed, found: EventPage) -> list[Any]:
    """What readers ask of a page: the events between its cursors."""
    bounds = (found.after.xid, found.after.id, found.last.xid, found.last.id)
    async with feed._database.connection() as connection:
        return list(await connection.fetch(BETWEEN, *bounds))


async def kinds(feed: EventFeed, found: EventPage) -> list[str]:
    return [event["kind"] for event in await events(feed, found)]


@pytest.fixture
def feed(stores: Stores) -> EventFeed:
    return EventFeed(stores.database)


async def test_the_events_of_a_message_come_as_they_happened(
    stores: Stores, feed: EventFeed
) -> None:
    start = await feed.start()
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(delivered(claimed))
    found = await read(feed, start, 3)
    assert ["accepted", "prepared", "delivered"] == await kinds(feed, found)
    last = (await events(feed, found))[-1]
    assert (ACCOUNT, claimed.delivery.submission_id, claimed.delivery.id) == (
        last["account_id"], last["submission_id"], last["delivery_id"],
    )  # fmt: skip
    assert EventPage(found.last, found.last, more=False, lag=0.0) == await feed.read(found.last)


async def test_pages_join_without_a_gap_within_one_transaction(
    stores: Stores, feed: EventFeed
) -> None:
    start = await feed.start()
    submissions = [a_submission() for _ in range(7)]
    await asyncio.gather(*(stores.submissions.accept(s) for s in submissions))
    given: list[UUID] = []
    cursor = start
    for count in (2, 2, 2, 1):
        found = await read(feed, cursor, count)
        given += [event["submission_id"] for event in await events(feed, found)]
        cursor = found.last
    assert len(given) == 7
    assert {s.id for s in submissions} == set(given)
    assert (await page(feed, start, 2)).more
    assert not (await page(feed, start, 7)).more


async def test_what_commits_late_is_not_passed_by(emptied: str, feed: EventFeed) -> None:
    """The one that began first commits last: its event has the lower id, and comes first."""
    start = await feed.start()
    async with writer(emptied) as first, writer(emptied) as second:
        await first.execute("BEGIN")
        await first.execute(WRITE, ACCOUNT, "first")
        await second.execute(WRITE, ACCOUNT, "second")
        assert [] == await kinds(feed, await page(feed, start))
        await first.execute("COMMIT")
        assert ["first", "second"] == await kinds(feed, await read(feed, start, 2))


async def test_what_is_rolled_back_was_never_there(emptied: str, feed: EventFeed) -> None:
    start = await feed.start()
    async with writer(emptied) as first, writer(emptied) as second:
        await first.execute("BEGIN")
        await first.execute(WRITE, ACCOUNT, "first")
        await second.execute(WRITE, ACCOUNT, "second")
        await first.execute("ROLLBACK")
        assert ["second"] == await kinds(feed, await read(feed, start, 1))


async def test_a_reader_beside_many_writers_gets_every_event_once(
    emptied: str, feed: EventFeed
) -> None:
    """Transactions that overlap, some of which are rolled back."""
    start = await feed.start()

    async def write(number: int) -> list[str]:
        kept = []
        async with writer(emptied) as connection:
            for turn in range(25):
                kind, whole = f"{number}-{turn}", (number + turn) % 5 > 0
                await connection.execute("BEGIN")
                await connection.execute(WRITE, ACCOUNT, kind)
                await asyncio.sleep(0.001 * ((number * 7 + turn) % 4))
                await connection.execute("COMMIT" if whole else "ROLLBACK")
                kept += [kind] * whole
        return kept

    writing = asyncio.gather(*(write(n) for n in range(8)))
    given: list[str] = []
    cursor = start
    while not writing.done():
        found = await page(feed, cursor, 10)
        given += await kinds(feed, found)
        cursor = found.last
        await asyncio.sleep(0)
    kept = [kind for some in await writing for kind in some]
    if rest := len(kept) - len(given):
        given += await kinds(feed, await read(feed, cursor, rest))
    assert sorted(kept) == sorted(given)


async def test_the_lag_is_the_age_of_what_was_not_given(emptied: str, feed: EventFeed) -> None:
    start = await feed.start()
    async with writer(emptied) as first, writer(emptied) as second:
        await first.execute("BEGIN")
        await first.execute("SELECT pg_current_xact_id()")
        await second.execute(WRITE, ACCOUNT, "late")
        await second.execute("UPDATE events SET at = now() - interval '1 hour'")
        assert 3600 <= (await page(feed, start)).lag < 4000
        await first.execute("COMMIT")
        assert 0 == (await read(feed, start, 1)).lag


async def test_one_reader_moves_at_a_time_and_once(stores: Stores, feed: EventFeed) -> None:
    start = await feed.position(READER)
    await stores.queue()
    found = await read(feed, start, 2)
    rival = stores.database.alone()
    async with rival, moving(stores.database, READER, start, found.last) as first:
        async with moving(rival, READER, start, found.last) as second:
            assert (True, None) == (first is not None, second)
        assert start == await feed.position(READER)
    async with moving(stores.database, READER, start, found.last) as late:
        assert late is None
    assert found.last == await feed.position(READER)


async def test_a_restored_database_is_another_incarnation(
    stores: Stores, postgres_server: str
) -> None:
    """Its transactions start at a lower number, and still none of its events is passed by."""
    before = await EventFeed(stores.database).start()
    await stores.queue()
    name = f"posthouse_copy_{uuid4().hex[:12]}"
    copy = with_database(postgres_server, name)
    await stores.database.close()
    await stores.deliveries._background.close()
    async with writer(postgres_server) as admin:
        try:
            original = stores.url.rpartition("/")[2].partition("?")[0]
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
            async with writer(copy) as restored:
                await restored.execute("UPDATE events SET xid = '900000000000'")
            await migrate(copy)
            async with open_stores(copy) as after:
                feed = EventFeed(after.database)
                found = await feed.read(before)
                assert isinstance(found, AnotherIncarnation)
                assert await feed.start() == found.start
                assert ["quarantined"] * 2 == await kinds(feed, await read(feed, found.start, 2))
                await after.submissions.accept(a_submission())
                expected = ["quarantined", "quarantined", "accepted"]
                assert expected == await kinds(feed, await read(feed, found.start, 3))
        finally:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_a_cursor_that_is_ahead_of_the_server_is_of_another_incarnation(
    feed: EventFeed,
) -> None:
    """The files of the whole server were put back, which the database cannot know."""
    start = await feed.start()
    ahead = EventCursor(start.incarnation, 900_000_000_000, start.id)
    assert AnotherIncarnation(start) == await feed.read(ahead)


async def test_what_a_crash_takes_back_was_not_given(tmp_path: Path) -> None:
    """Commits that are not synchronous are visible before they are on disk."""
    options = {"wal_writer_delay": "10s", "max_wal_size": "128MB", "autovacuum": "off"}
    first = EmbeddedPostgres(tmp_path / "pg", options=options)
    await first.start()
    await migrate(first.dsn)
    async with writer(first.dsn) as connection, Postgres(first.dsn) as database:
        feed = EventFeed(database)
        start = await feed.start()
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(WRITE, ACCOUNT, "given")
        given = await read(feed, start, 1)
        told = await kinds(feed, given)
        await connection.execute(WRITE, ACCOUNT, "seen")
        seen = await connection.fetch("SELECT kind FROM events ORDER BY xid")
        os.kill(first.pid, signal.SIGKILL)
    assert (["given"], ["given", "seen"]) == (told, [row["kind"] for row in seen])

    await first.stop()
    async with (
        EmbeddedPostgres(tmp_path / "pg", options=options) as second,
        Postgres(second.dsn) as database,
        writer(second.dsn) as connection,
    ):
        feed = EventFeed(database)
        assert ["given"] == await kinds(feed, await read(feed, start, 1))
        assert [] == await kinds(feed, await page(feed, given.last))
        await connection.execute(WRITE, ACCOUNT, "next")
        assert ["next"] == await kinds(feed, await read(feed, given.last, 1))
