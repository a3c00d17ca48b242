"""Takes events to the endpoints that want them: as batches, which the sender sends."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

import structlog
from prometheus_client import Counter

from posthouse.store.event_feed import EventPage
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.store.webhook_feed import READER, FeedTurn, WebhookFeed
from posthouse.webhooks.event_batch import KEEP_TRYING, EventIds, WebhookWish
from posthouse.webhooks.occurrence import Occurrence
from posthouse.webhooks.public_kinds import PUBLIC_KINDS
from webhooks.core.batching import batches, unwritten

log = structlog.get_logger()

QUEUED = Counter(
    "posthouse_webhook_events_total",
    "Events that were queued for an endpoint, once for each endpoint.",
)
DEAD = Counter(
    "posthouse_webhook_dead_events_total",
    "Events that an endpoint did not take within seven days.",
)
_FORGET_SECONDS = 3600.0
_REPLAYED_AT_ONCE = 5_000
_REPLAY_SECONDS = 0.5
_GATHERED_AT_ONCE = 1_000


NOT_WRITTEN = Counter(
    "posthouse_webhook_events_not_written_total",
    "Events that could not be written in the form of an endpoint, by a fault of ours.",
)


class FanOut:
    """A `posthouse.running.event_reader.EventConsumer` in every webhooks process."""

    reader = READER

    def __init__(
        self,
        database: Postgres,
        *,
        keep: timedelta,
        facts: timedelta,
        announce: Callable[[], None],
    ) -> None:
        """Attempts and dead letters are kept for *keep*, and the history of events for *facts*.

        *announce*: there may be new batches.
        """
        self._feed = WebhookFeed(database)
        self._batches = WebhookBatches(database)
        self._keep = keep
        self._may_be_late = facts > KEEP_TRYING  # else they would be gone before they are written
        self._announce = announce
        self._forgot_at: float | None = None

    async def take(self, page: EventPage) -> bool:
        """Queue the events of *page* for each endpoint that wants them."""
        async with self._feed.moving(page) as turn:
            if turn is None:
                return False
            found = await self._queue(turn, page)
            QUEUED.inc(found)
        if found:
            self._announce()
        return True

    async def _queue(self, turn: FeedTurn, page: EventPage) -> int:
        wishes = await turn.wishes()
        if not wishes:
            return 0
        kinds = (
            set().union(*(wish.kinds for wish in wishes))
            if all(wish.kinds for wish in wishes)
            else set(PUBLIC_KINDS)
        )
        found = await turn.events(page, {wish.account_id for wish in wishes}, kinds)
        late = [wish for wish in wishes if self._may_be_late and wish.is_late]
        others = [wish for wish in wishes if wish not in late]
        count = await turn.add(unwritten(found, late))
        asking = {wish.account_id for wish in others}
        events = [one.ids for one in found if one.account_id in asking]
        return count + await self._tell(turn, events, others)

    async def _tell(
        self,
        turn: FeedTurn,
        events: Sequence[EventIds],
        wishes: Sequence[WebhookWish],
        *,
        is_replay: bool = False,
    ) -> int:
        """A few at a time: what is told of an event may be long."""
        count = 0
        for first in range(0, len(events), _GATHERED_AT_ONCE):
            told = await turn.occurrences(events[first : first + _GATHERED_AT_ONCE])
            count += await turn.add(batches(told, wishes, _not_written, is_replay=is_replay))
        return count

    async def act(self) -> bool:
        """Bury what is too old, write what was late, replay; whether there may be more.

        Of the last two as much as takes half a second: events that are new do not wait for them.
        """
        if buried := await self._batches.bury():
            DEAD.inc(buried)
            log.warning("webhooks_given_up", events=buried)
            return True
        if self._forgot_at is None or monotonic() - self._forgot_at > _FORGET_SECONDS:
            await self._batches.forget(self._keep)
            self._forgot_at = monotonic()
        began = monotonic()
        while await self._write_late() or await self._replay():
            if monotonic() - began > _REPLAY_SECONDS:
                return True
        return False

    async def _write_late(self) -> bool:
        async with self._feed.writing() as found:
            if found is None:
                return False
            turn, part = found
            if part.wish is not None:
                await self._tell(turn, part.events, [part.wish])
        self._announce()
        return True

    async def _replay(self) -> bool:
        async with self._feed.replaying(PUBLIC_KINDS, _REPLAYED_AT_ONCE) as found:
            if found is None:
                return False
            turn, part = found
            if part.wish is not None and part.events:
                await self._tell(turn, part.events, [part.wish], is_replay=True)
        self._announce()
        return True


def _not_written(told: Occurrence, error: Exception) -> None:
    NOT_WRITTEN.inc()
    log.error("webhook_event_not_written", id=told.id.hex, kind=told.kind, exc_info=error)
