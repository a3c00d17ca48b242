"""The feed of events: in the order of commits, without a gap, and on disk."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY

from onebox.postgres_server import EmbeddedPostgres
from posthouse.mail.events import EventKind
from posthouse.store.event_feed import (
    AnotherIncarnation,
    EventCursor,
    EventFeed,
    EventPage,
)
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from servers.postgres import with_database
from servers.stores import ACCOUNT, Stores, a_submission, delivered, open_stores

WRITE = """
INSERT INTO events (id, account_id, submission_id, kind) VALUES (new_id(), $1, new_id(), $2)
"""


@asynccontextmanager
async def writer(url: str) -> AsyncIterator[Any]:
    """A connection that writes events when and as it likes."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def page(feed: EventFeed, after: EventCursor, limit: int = 1000) -> EventPage:
    found = await feed.read(after, limit)
    assert isinstance(found, EventPage)
    return found


async def read(feed: EventFeed, after: EventCursor, count: int) -> EventPage:
    """The next *count* events: any transaction on the server may keep them back for a moment."""
    found = await page(feed, after, count)
    while len(found.events) < count:
        await asyncio.sleep(0.01)
        found = await page(feed, after, count)
    return found


def kinds(found: EventPage) -> list[str]:
    return [event.kind for event in found.events]


@pytest.fixture
def feed(stores: Stores) -> EventFeed:
    return EventFeed(stores.database, "test")


async def test_the_events_of_a_message_come_as_they_happened(
    stores: Stores, feed: EventFeed
) -> None:
    start = await feed.start()
    claimed = await stores.one_claimed()
    await stores.deliveries.settle(delivered(claimed))
    found = await read(feed, start, 3)
    assert ["accepted", "prepared", "delivered"] == kinds(found)
    last = found.events[-1]
    assert (ACCOUNT, claimed.delivery.submission_id, claimed.delivery.id) == (
        last.account_id, last.submission_id, last.delivery_id,
    )  # fmt: skip
    assert EventPage((), found.cursor, more=False) == await feed.read(found.cursor)


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
        given += [event.submission_id for event in found.events]
        cursor = found.cursor
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
        assert [] == kinds(await page(feed, start))
        await first.execute("COMMIT")
        assert ["first", "second"] == kinds(await read(feed, start, 2))


async def test_what_is_rolled_back_was_never_there(emptied: str, feed: EventFeed) -> None:
    start = await feed.start()
    async with writer(emptied) as first, writer(emptied) as second:
        await first.execute("BEGIN")
        await first.execute(WRITE, ACCOUNT, "first")
        await second.execute(WRITE, ACCOUNT, "second")
        await first.execute("ROLLBACK")
        assert ["second"] == kinds(await read(feed, start, 1))


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
        given += kinds(found)
        cursor = found.cursor
        await asyncio.sleep(0)
    kept = [kind for some in await writing for kind in some]
    given += kinds(await read(feed, cursor, len(kept) - len(given)))
    assert sorted(kept) == sorted(given)


async def test_events_of_other_kinds_are_passed_over(stores: Stores) -> None:
    """The cursor moves past them, and a page may be empty though there are more."""
    feed = EventFeed(stores.database, "test", kinds=(EventKind.BOUNCED,))
    start = await feed.start()
    for kind in ("accepted", "prepared", "bounced", "delivered"):
        await stores.sql(WRITE, ACCOUNT, kind)
    await read(EventFeed(stores.database, "test"), start, 4)  # all are settled
    first = await page(feed, start, 2)
    assert ((), True) == (first.events, first.more)
    second = await page(feed, first.cursor, 2)
    assert (["bounced"], False) == (kinds(second), second.more)
    assert EventPage((), second.cursor, more=False) == await feed.read(second.cursor)


async def test_the_lag_is_the_age_of_what_was_not_given(emptied: str, feed: EventFeed) -> None:
    def lag() -> float:
        return (
            REGISTRY.get_sample_value("posthouse_event_feed_lag_seconds", {"reader": "test"}) or 0
        )

    start = await feed.start()
    async with writer(emptied) as first, writer(emptied) as second:
        await first.execute("BEGIN")
        await first.execute("SELECT pg_current_xact_id()")
        await second.execute(WRITE, ACCOUNT, "late")
        await second.execute("UPDATE events SET at = now() - interval '1 hour'")
        await page(feed, start)
        assert 3600 <= lag() < 4000
        await first.execute("COMMIT")
        await read(feed, start, 1)
        assert lag() < 3600


async def test_a_restored_database_is_another_incarnation(
    stores: Stores, postgres_server: str
) -> None:
    """Its transactions start at a lower number, and still none of its events is passed by."""
    before = await EventFeed(stores.database, "test").start()
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
                feed = EventFeed(after.database, "test")
                found = await feed.read(before)
                assert isinstance(found, AnotherIncarnation)
                assert await feed.start() == found.start
                assert ["quarantined"] * 2 == kinds(await read(feed, found.start, 2))
                await after.submissions.accept(a_submission())
                expected = ["quarantined", "quarantined", "accepted"]
                assert expected == kinds(await read(feed, found.start, 3))
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
        feed = EventFeed(database, "test")
        start = await feed.start()
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(WRITE, ACCOUNT, "given")
        given = await read(feed, start, 1)
        await connection.execute(WRITE, ACCOUNT, "seen")
        seen = await connection.fetch("SELECT kind FROM events ORDER BY xid")
        os.kill(first.pid, signal.SIGKILL)
    assert (["given"], ["given", "seen"]) == (kinds(given), [row["kind"] for row in seen])

    await first.stop()
    async with (
        EmbeddedPostgres(tmp_path / "pg", options=options) as second,
        Postgres(second.dsn) as database,
        writer(second.dsn) as connection,
    ):
        feed = EventFeed(database, "test")
        assert ["given"] == kinds(await read(feed, start, 1))
        assert [] == kinds(await page(feed, given.cursor))
        await connection.execute(WRITE, ACCOUNT, "next")
        assert ["next"] == kinds(await read(feed, given.cursor, 1))
