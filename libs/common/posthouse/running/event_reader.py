"""Follows the events once for all who consume them.

Each consumer has a position of its own, which moves in the transaction of its results: one that
fails neither loses events nor holds up the others. While their positions are the same, as they
nearly always are, the events are read once.
"""

import asyncio
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

import structlog

from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.event_feed import (
    AnotherIncarnation,
    EventCursor,
    EventFeed,
    EventPage,
    FeedLag,
    FeedReader,
    FeedResult,
    moving,
)
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

_LOOK_SECONDS = 3.0
_EVENTS_AT_ONCE = 5_000


class EventsNotTaken(Exception):
    """A consumer could not do its work, and is given the same events again; the text says why."""


class EventConsumer(Protocol):
    """Does something about the events.

    Both methods raise what the store raises, and EventsNotTaken.
    """

    @property
    def reader(self) -> FeedReader:
        """Its position among the events."""

    async def take(self, page: EventPage) -> bool:
        """Do what *page* asks for and move past it, in one transaction of the store.

        False, and no more is done, where another process has the turn.
        """

    async def act(self) -> bool:
        """Do one of the things that are due by now; whether there may be others."""


class EventReader:
    """Runs in every process of a service; for each consumer one at a time has the turn."""

    def __init__(
        self,
        database: Postgres,
        consumers: Collection[EventConsumer],
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """*database*, whose commits are synchronous, is that of the *consumers*; it is closed."""
        self._database = database
        self._feed = EventFeed(database)
        self._places = [_Place(consumer) for consumer in consumers]
        self._look_seconds = look_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until *stopping*; what fails is tried again."""
        async with self._database:
            while not stopping.is_set():
                # What is new goes before what is due, however much that is.
                if not (await self._give() or await self._act()):
                    await wait_for_event(stopping, self._look_seconds)

    async def _give(self) -> bool:
        """Give each consumer its next page; whether there are more."""
        pages: dict[EventCursor, FeedResult] = {}
        more = False
        for place in self._places:
            with place.trying():
                more |= await self._give_one(place, pages)
        return more

    async def _give_one(self, place: "_Place", pages: dict[EventCursor, FeedResult]) -> bool:
        if place.rests():
            return False
        position = await self._feed.position(place.consumer.reader)
        if position not in pages:
            pages[position] = await self._feed.read(position, _EVENTS_AT_ONCE)
        page = pages[position]
        if isinstance(page, AnotherIncarnation):
            async with moving(self._database, place.consumer.reader, position, page.start) as moved:
                return moved is not None
        place.lag.note(page.lag)
        return page.last != position and await place.consumer.take(page) and page.more

    async def _act(self) -> bool:
        """Let each consumer do one of the things that are due; whether there may be others."""
        more = False
        for place in self._places:
            with place.trying():
                more |= await place.act()
        return more


class _Place:
    """A consumer, how far it is behind, and how long it rests after a failure."""

    def __init__(self, consumer: EventConsumer) -> None:
        self.consumer = consumer
        self.lag = FeedLag(consumer.reader)
        self._failures = 0
        self._rests_until = 0.0

    def rests(self) -> bool:
        """It failed a moment ago."""
        return monotonic() < self._rests_until

    async def act(self) -> bool:
        """What the consumer does, unless it rests; with that all that failed before is mended."""
        if self.rests():
            return False
        more = await self.consumer.act()
        self._failures = 0
        return more

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Let the consumer rest after a failure: of the store, or a mistake of ours.

        Neither must end the process.
        """
        try:
            yield
        except Exception as error:
            self._failures += 1
            self._rests_until = monotonic() + wait_before_retry(self._failures, random.random())  # noqa: S311
            known = isinstance(error, (StoreUnavailable, StoreRefused, EventsNotTaken))
            log.warning(
                "events_not_taken",
                reader=self.consumer.reader.name,
                reason=str(error) if known else type(error).__name__,
                failures=self._failures,
                exc_info=not known,
            )
