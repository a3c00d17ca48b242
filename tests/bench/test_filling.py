"""Rows by the million: what the scenarios make fits the schema, and is work that can be claimed."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from bench.scenarios.filling import fill_delivered, fill_deliveries, fill_events
from bench.systems import Ours

from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.event_feed import EventFeed, EventPage, FeedReader
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_feed import READER, WebhookFeed
from posthouse.webhooks.public_kinds import PUBLIC_KINDS


@dataclass(frozen=True)
class Idle:
    """As much of a system that does not run as filling needs."""

    database: Path
    title: str = "idle"


@pytest.fixture
async def system(tmp_path: Path) -> Ours:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        await migrate(postgres.dsn)
    return cast("Ours", Idle(tmp_path / "postgres"))


async def rows(system: Ours, query: str) -> list[tuple[object, ...]]:
    async with EmbeddedPostgres(system.database) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()


async def test_deliveries_are_due_and_have_all_that_sending_reads(system: Ours) -> None:
    for count in (1000, 500):  # the second time instead of the first
        await fill_deliveries(system, count, lambda _done: None)
    found = await rows(
        system,
        """SELECT count(*), count(DISTINCT v.recipient), count(DISTINCT r.id),
                  min(length(r.header)) > 0, min(length(c.body)) > 10000
           FROM due_deliveries d JOIN deliveries v USING (id) JOIN renditions r
             ON r.id = v.rendition_id JOIN contents c ON c.id = r.submission_id
             JOIN submissions s ON s.id = v.submission_id
           WHERE d.due_at < now() AND d.lane = 5 AND d.parked_at IS NULL""",
    )
    assert found == [(500, 100, 5, True, True)]


async def test_events_lie_within_the_last_hours_three_to_a_message(system: Ours) -> None:
    said: list[int] = []
    await fill_events(system, 3000, said.append)
    found = await rows(
        system,
        """SELECT count(*), count(DISTINCT submission_id) BETWEEN 1000 AND 1001,
                  min(at) > now() - interval '7 hours', max(at) <= now()
           FROM events""",
    )
    assert found == [(3000, True, True, True)]
    assert said == [3000]


async def test_delivered_messages_have_events_that_only_webhooks_are_to_read(
    system: Ours,
) -> None:
    await rows(system, "INSERT INTO accounts (name) VALUES ('default')")
    await fill_delivered(system, 1500, lambda _done: None)
    async with EmbeddedPostgres(system.database) as postgres, Postgres(postgres.dsn) as database:
        feed = EventFeed(database)
        read = await feed.read(await feed.position(FeedReader("notices", lock=1)), 5000)
        assert isinstance(read, EventPage)
        assert read.after == read.last
        page = await feed.read(await feed.position(READER), 5000)
        assert isinstance(page, EventPage)
        (account,) = await database.fetch("find_account", "default")
        async with WebhookFeed(database).moving(page) as turn:
            assert turn is not None
            events = await turn.events(page, [account["id"]], PUBLIC_KINDS)
            told = await turn.occurrences([one.ids for one in events])
    assert [1] * 1500 + [3] * 1500 == sorted(event.sequence for _, event in told)
    assert all(event.recipient or event.recipients for _, event in told)
