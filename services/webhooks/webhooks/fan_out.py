"""Takes events to the endpoints that want them: as batches, which the sender sends."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import structlog
from prometheus_client import Counter

from posthouse.store.event_feed import EventPage
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.store.webhook_feed import READER, FeedTurn, WebhookFeed
from posthouse.webhooks.public_kinds import PUBLIC_KINDS
from webhooks.core.batching import batches

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


class FanOut:
    """A `posthouse.running.event_reader.EventConsumer` in every webhooks process."""

    reader = READER

    def __init__(
        self, database: Postgres, *, keep: timedelta, announce: Callable[[], None]
    ) -> None:
        """Attempts and dead letters are kept for *keep*; *announce*: there may be new batches."""
        self._feed = WebhookFeed(database)
        self._batches = WebhookBatches(database)
        self._keep = keep
        self._announce = announce
        self._forgot_at: float | None = None

    async def take(self, page: EventPage) -> bool:
        """Queue the events of *page* for each endpoint that wants them."""
        async with self._feed.moving(page) as turn:
            if turn is None:
                return False
            found = await self._queue(turn, page)
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
        ids = await turn.ids(page, {wish.account_id for wish in wishes}, kinds)
        if not ids:
            return 0
        made = list(batches(await turn.occurrences(ids), wishes))
        await turn.add(made)
        count = sum(len(batch.ids) for batch in made)
        QUEUED.inc(count)
        return count

    async def act(self) -> bool:
        """Bury what is too old, replay a part of what was asked for; whether there is more."""
        if buried := await self._batches.bury():
            DEAD.inc(buried)
            log.warning("webhooks_given_up", events=buried)
            return True
        if self._forgot_at is None or monotonic() - self._forgot_at > _FORGET_SECONDS:
            await self._batches.forget(self._keep)
            self._forgot_at = monotonic()
        return await self._replay()

    async def _replay(self) -> bool:
        async with self._feed.replaying(PUBLIC_KINDS, _REPLAYED_AT_ONCE) as found:
            if found is None:
                return False
            turn, part = found
            if part.wish is not None and part.ids:
                told = await turn.occurrences(part.ids)
                await turn.add(batches(told, [part.wish], is_replay=True))
        self._announce()
        return True
