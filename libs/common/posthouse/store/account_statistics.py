"""How much mail of each account was delivered, bounced, deferred or complained of, for holds.

For reports all is counted apart, and for longer: `posthouse.store.traffic_counter`.

Counted from the events, off the path of mail: the counts of a page of them and the cursor behind it
are written in one transaction, so each event counts once.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.answers import provider_of
from posthouse.mail.account_totals import AccountTotals
from posthouse.mail.events import EventKind
from posthouse.mail.submission import Submission
from posthouse.store.account_holds import RELAY, hold_within, lock_holds
from posthouse.store.event_feed import EventPage, FeedReader, moving
from posthouse.store.kept_mail import accept_as_operator
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

READER = FeedReader("statistics", lock=0x73746174697374)
OTHER_PROVIDER = "other"
_COUNTED = (
    EventKind.DELIVERED,
    EventKind.DEFERRED,
    EventKind.BOUNCED,
    EventKind.EXPIRED,
    EventKind.COMPLAINED,
    EventKind.UNSUBSCRIBED,
)
_ROWS = 10_000  # forgotten by one statement


class AccountStatistics:
    """The statements about counts."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    @asynccontextmanager
    async def counting(self, page: EventPage) -> AsyncIterator["CountingTurn | None"]:
        """A transaction that moves past *page*; None where another process has the turn."""
        async with moving(self._database, READER, page.after, page.last) as connection:
            yield None if connection is None else CountingTurn(connection)

    async def read(
        self, account_id: UUID, days: int, by: str, hard: Collection[str]
    ) -> list[dict[str, Any]]:
        """Counts of the last *days*, a row for each day, stream, domain, provider or class.

        `hard` are the bounced ones of the classes *hard*.
        """
        rows = await self._database.fetch(
            "read_statistics", account_id, timedelta(days=days), by, list(hard)
        )
        return [dict(row) for row in rows]

    async def forget(self, keep: timedelta) -> None:
        """Delete what is older than *keep*."""
        while len(await self._database.fetch("forget_statistics", keep, _ROWS)) == _ROWS:
            continue


class CountingTurn:
    """What is asked and written within one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def count(self, page: EventPage) -> set[UUID]:
        """Count the events of *page*; accounts with bounces or complaints."""
        after, last = page.after, page.last
        rows = await self._fetch(
            "tally_events", after.xid, after.id, last.xid, last.id, list(_COUNTED)
        )
        counts: Counter[tuple[Any, ...]] = Counter()
        for *about, host, domain_of_recipient, kind, class_, count in rows:
            provider = provider_of(host) or provider_of(domain_of_recipient) or OTHER_PROVIDER
            counts[(*about, provider, kind, class_)] += count
        # In one order, though only one process at a time writes them.
        await self._fetch("add_statistics", [(*key, n) for key, n in sorted(counts.items())])
        harmful = (EventKind.BOUNCED, EventKind.COMPLAINED)
        return {row["account_id"] for row in rows if row["kind"] in harmful}

    async def totals(
        self,
        accounts: Collection[UUID],
        *,
        bounces: timedelta,
        complaints: timedelta,
        hard: Sequence[str],
    ) -> list[AccountTotals]:
        """Of those *accounts* that thresholds may hold, and that are not held."""
        rows = await self._fetch("sum_statistics", list(accounts), bounces, complaints, list(hard))
        return [AccountTotals(**dict(row)) for row in rows]

    async def hold(self, totals: AccountTotals, reason: str, notice: Submission | None) -> bool:
        """Hold the account for that *reason*, and send *notice*; False if it is held already."""
        await lock_holds(self._connection)
        evidence = {
            "ended": totals.ended,
            "hard": totals.hard,
            "delivered": totals.delivered,
            "complaints": totals.complaints,
        }
        is_new = await hold_within(self._connection, totals.account_id, RELAY, reason, **evidence)
        if is_new and notice is not None:
            await accept_as_operator(self._connection, notice)
        return is_new

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(QUERIES[query], *arguments)
        return rows
