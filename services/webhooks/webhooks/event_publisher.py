"""Publishes the events to the exchange: all of them, at least once, and moves on behind them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from posthouse.broker import BrokerUnavailable
from posthouse.running.event_reader import EventReader, EventsNotTaken
from posthouse.running.waiting import wait_for_event
from posthouse.store import StoreUnavailable
from posthouse.store.event_feed import EventPage
from posthouse.store.event_pages import PlacedEvent
from posthouse.store.exchange_feed import READER, ExchangeFeed
from posthouse.store.postgres import Postgres
from webhooks.event_exchange import EventExchange, PublishResult, routing_key
from webhooks.settings import Unrouted

log = structlog.get_logger()

PUBLISHED = Counter(
    "posthouse_event_exchange_events_total",
    "Events that were published to the exchange, by what became of them: taken, or dropped since "
    "no queue takes them. One that is published again counts again.",
    ["result"],
)
UNROUTED = Gauge(
    "posthouse_event_exchange_unrouted_events",
    "Events that no queue of the exchange takes, for which all later ones wait.",
)
STUCK = Gauge(
    "posthouse_event_exchange_stuck_seconds",
    "Age of the oldest event that the exchange was given and did not take; 0 while it takes them.",
)
_LOOK_SECONDS = 1.0


class EventPublisher:
    """A `posthouse.running.event_reader.EventConsumer` in every webhooks process."""

    reader = READER

    def __init__(self, feed: ExchangeFeed, exchange: EventExchange, unrouted: Unrouted) -> None:
        self._feed = feed
        self._exchange = exchange
        self._unrouted = unrouted
        self._taken: set[UUID] = set()  # of the part that is not behind the cursor yet
        self._trouble = ""
        self._stuck_since: datetime | None = None
        STUCK.set_function(self._stuck_seconds)

    async def take(self, page: EventPage) -> bool:
        """Publish the events of *page*, in parts; the cursor moves behind each of them."""
        after = page.after
        while after != page.last:
            async with self._feed.turn(after) as turn:
                if turn is None:
                    self._go_on()
                    return False
                part = await turn.next_part(page.last)
                await self._publish([e for e in part.events if e.event.id not in self._taken])
                await turn.move(part.cursor)
            self._go_on()
            after = part.cursor
        return True

    async def act(self) -> bool:
        """Nothing comes due by itself."""
        return False

    async def check(self) -> None:
        """Ready while the exchange takes the events."""
        if self._trouble:
            raise BrokerUnavailable(self._trouble)

    async def _publish(self, events: Sequence[PlacedEvent]) -> None:
        """Raises EventsNotTaken."""
        if not events:
            return
        try:
            said = await self._exchange.publish(events)
        except BrokerUnavailable as error:
            raise self._stuck(events, str(error)) from error
        found: dict[PublishResult, list[PlacedEvent]] = {each: [] for each in PublishResult}
        for event, confirmation in zip(events, said, strict=True):
            found[confirmation].append(event)
        taken, unrouted = found[PublishResult.TAKEN], found[PublishResult.UNROUTED]
        PUBLISHED.labels("taken").inc(len(taken))
        if self._unrouted is Unrouted.DROP:
            PUBLISHED.labels("dropped").inc(len(unrouted))
            taken, unrouted = taken + unrouted, []
        self._taken.update(event.event.id for event in taken)
        UNROUTED.set(len(unrouted))
        if unrouted:
            raise self._stuck(unrouted, self._no_queue(unrouted))
        if refused := found[PublishResult.REFUSED]:
            raise self._stuck(refused, f"a queue refused {len(refused)} events: it may be full")

    def _no_queue(self, events: Sequence[PlacedEvent]) -> str:
        return (
            f"no queue takes {len(events)} events: bind one to {self._exchange.name} for "
            f"{routing_key(events[0])}, or allow dropping by POSTHOUSE_EVENTS_UNROUTED=drop"
        )

    def _stuck(self, events: Sequence[PlacedEvent], trouble: str) -> EventsNotTaken:
        self._trouble = trouble
        self._stuck_since = events[0].event.at
        return EventsNotTaken(trouble)

    def _go_on(self) -> None:
        self._taken.clear()
        self._trouble, self._stuck_since = "", None
        UNROUTED.set(0)

    def _stuck_seconds(self) -> float:
        if self._stuck_since is None:
            return 0.0
        return max(0.0, (datetime.now(UTC) - self._stuck_since).total_seconds())


class EventPublishing:
    """A service: `posthouse.running.service.Service`."""

    def __init__(
        self,
        database: Postgres,
        exchange: EventExchange,
        unrouted: Unrouted,
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """*database*, whose commits are synchronous, is closed at the end."""
        self._feed = ExchangeFeed(database)
        self._exchange = exchange
        publisher = EventPublisher(self._feed, exchange, unrouted)
        self._reader = EventReader(database, (publisher,), look_seconds=look_seconds)
        self._look_seconds = look_seconds
        self.check = publisher.check

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until *stopping*; what fails is tried again."""
        try:
            await self._begin(stopping)
            await self._reader.run(stopping)
        finally:
            await self._exchange.close()

    async def _begin(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._feed.begin()
            except StoreUnavailable as error:
                log.warning("events_not_taken", reader=READER.name, reason=str(error))
                await wait_for_event(stopping, self._look_seconds)
            else:
                return
