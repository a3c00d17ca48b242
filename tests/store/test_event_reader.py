"""One reader gives the events to several consumers, none of which holds up the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from posthouse.running.event_reader import EventReader
from posthouse.store import StoreUnavailable
from posthouse.store.account_statistics import READER as STATISTICS
from posthouse.store.event_feed import EventFeed, EventPage, FeedReader, FeedResult, moving
from posthouse.store.notices import READER as NOTICES
from posthouse.store.postgres import Postgres
from servers.patience import eventually
from servers.stores import Stores, open_stores

COUNT = """
SELECT count(*) FROM events
WHERE (xid, id) > ($1::text::xid8, $2) AND (xid, id) <= ($3::text::xid8, $4)
"""


class Counting:
    """Counts the events that it takes; while it is broken it takes them, and they are undone."""

    def __init__(self, database: Postgres, reader: FeedReader) -> None:
        self.reader = reader
        self.broken: Exception | None = None
        self.taken = self.tries = self.acts = 0
        self._database = database

    async def take(self, page: EventPage) -> bool:
        """See EventConsumer."""
        self.tries += 1
        after, last = page.after, page.last
        async with moving(self._database, self.reader, after, last) as connection:
            if connection is None:
                return False
            bounds = str(after.xid), after.id, str(last.xid), last.id
            taken: int = await connection.fetchval(COUNT, *bounds)
            if self.broken:
                raise self.broken
        self.taken += taken
        return True

    async def act(self) -> bool:
        """See EventConsumer."""
        self.acts += 1
        return self.acts % 2 == 1


class Two:
    """Two consumers over one database."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.database = stores.database.alone(connections=3)
        self.one, self.other = (Counting(self.database, r) for r in (NOTICES, STATISTICS))

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """A bounces process that reads for both."""
        reader = EventReader(self.database, [self.one, self.other], look_seconds=0.01)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.run(stopping))
            try:
                yield
            finally:
                stopping.set()

    async def one_was_tried_again(self) -> bool:
        """The first consumer had more than two chances."""
        return self.one.tries > 2

    async def other_goes_on(self) -> bool:
        """The second consumer has done more than twice what is due."""
        return self.other.acts > 2

    async def have_taken(self, one: int, other: int) -> None:
        """Wait until they have taken that many events, and no more."""

        async def taken() -> bool:
            return (self.one.taken, self.other.taken) == (one, other)

        await eventually(taken, within=10)


@pytest_asyncio.fixture
async def two(database: str) -> AsyncIterator[Two]:
    async with open_stores(database) as stores:
        yield Two(stores)


async def test_both_get_every_event_and_it_is_read_once(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[FeedResult] = []

    async def noted(feed: EventFeed, *position_and_limit: object) -> FeedResult:
        pages.append(await read(feed, *position_and_limit))  # type: ignore[arg-type] # as they came
        return pages[-1]

    read = EventFeed.read
    monkeypatch.setattr(EventFeed, "read", noted)
    await two.stores.queue()
    async with two.followed():
        await two.have_taken(2, 2)  # until then their positions are those of their migrations
        pages.clear()
        two.one.tries = two.other.tries = 0
        await two.stores.queue()
        await two.have_taken(4, 4)
    given = [page for page in pages if isinstance(page, EventPage) and page.last != page.after]
    assert len({page.after for page in given}) == len(given) == two.one.tries == two.other.tries


@pytest.mark.parametrize("mistake", [StoreUnavailable("away"), LookupError("a mistake of ours")])
async def test_one_that_fails_loses_nothing_and_holds_up_nothing(
    two: Two, mistake: Exception
) -> None:
    def lag(reader: str) -> float:
        name = "posthouse_event_feed_lag_seconds"
        return REGISTRY.get_sample_value(name, {"reader": reader}) or 0.0

    two.one.broken = mistake
    async with two.followed():
        await two.stores.queue()
        await two.have_taken(0, 2)
        await two.stores.queue()
        await two.have_taken(0, 4)
        await eventually(two.one_was_tried_again, within=10)
        await eventually(two.other_goes_on, within=10)
        two.one.broken = None
        await two.have_taken(4, 4)
    assert lag("notices") < 60


async def test_several_processes_take_each_event_once(two: Two) -> None:
    rival = Two(two.stores)
    async with two.followed(), rival.followed():
        for _ in range(20):
            await two.stores.queue()

        async def taken() -> bool:
            one, other = two.one.taken + rival.one.taken, two.other.taken + rival.other.taken
            return (one, other) == (40, 40)

        await eventually(taken, within=10)
