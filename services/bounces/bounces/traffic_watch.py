"""Counts what becomes of mail, for reports that are asked for years later."""

from datetime import timedelta
from time import monotonic

from posthouse.store.event_feed import EventPage
from posthouse.store.postgres import Postgres
from posthouse.store.traffic_counter import READER, TrafficCounter

_FORGET_SECONDS = 3600.0
_DAYS_OF_YEAR = 366


class TrafficWatch:
    """A `posthouse.running.event_reader.EventConsumer` in every bounces process."""

    reader = READER

    def __init__(self, database: Postgres, *, keep_years: int, most_sets: int) -> None:
        """An account may have up to *most_sets* new sets of messages a day."""
        self._counter = TrafficCounter(database, most_sets=most_sets)
        self._keep = timedelta(days=_DAYS_OF_YEAR * keep_years)
        self._forgot_at: float | None = None

    async def take(self, page: EventPage) -> bool:
        """Count what *page* has."""
        return await self._counter.count(page)

    async def act(self) -> bool:
        """Forget, once an hour, what is older than is kept."""
        if self._forgot_at is None or monotonic() - self._forgot_at > _FORGET_SECONDS:
            await self._counter.forget(self._keep)
            self._forgot_at = monotonic()
        return False
