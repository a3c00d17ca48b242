"""Counts what becomes of mail, for reports.

Counted from the events, off the path of mail: the counts of a page of them and the cursor behind it
are written in one transaction, so each event counts once.
"""

from collections import Counter as Sums
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from posthouse.running.pausing import pausing
from posthouse.store.event_feed import EventPage, FeedReader, moving
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.traffic.measures import COUNTED_KINDS
from posthouse.traffic.message_set import MessageSet, limits, told_apart
from posthouse.traffic.tallying import Tally

READER = FeedReader("traffic", lock=0x74726166666963)
MERGED = Counter(
    "posthouse_report_sets_merged_total",
    "Sets of messages that reports count with others, since their account had too many new ones.",
)
_ROWS = 10_000  # forgotten by one statement
_AT_A_STRETCH = 100  # lines that are counted while all else of the process waits


class TrafficCounter:
    """The statements that count."""

    def __init__(self, database: Postgres, *, most_sets: int = 1_000) -> None:
        """An account may have up to *most_sets* new sets of messages a day (`MessageSet`)."""
        self._database = database
        self._most_sets = most_sets

    async def count(self, page: EventPage) -> bool:
        """Count the events of *page* and move past it; False where another process has the turn."""
        after, last = page.after, page.last
        async with moving(self._database, READER, after, last) as connection:
            if connection is None:
                return False
            bounds = after.xid, after.id, last.xid, last.id
            rows = await connection.fetch(QUERIES["tally_traffic"], *bounds, list(COUNTED_KINDS))
            if rows:
                tally = Tally()
                async for row in pausing(rows, _AT_A_STRETCH):
                    tally.add(row)
                await self._write(connection, tally)
        return True

    async def forget(self, keep: timedelta) -> None:
        """Delete what is older than *keep*."""
        for query in ("forget_traffic", "forget_message_sets"):
            while len(await self._database.fetch(query, keep, _ROWS)) == _ROWS:
                continue
        await self._database.fetch("forget_refusals", keep)

    async def _write(self, connection: Any, tally: Tally) -> None:
        ids = await self._ids(connection, dict.fromkeys(line.messages for line in tally.counts))
        sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        async for line, counts in pausing(tally.counts.items(), _AT_A_STRETCH):
            key = (line.messages.account_id, line.began_at, ids[line.messages], *line[2:])
            before = sums[key]
            sums[key] = [a + b for a, b in zip(before, counts, strict=True)] if before else counts
        # In one order, though only one process at a time writes them.
        counted = [(*key, *numbers) for key, numbers in sorted(sums.items())]
        for first in range(0, len(counted), _AT_A_STRETCH):
            await connection.fetch(QUERIES["add_traffic"], counted[first : first + _AT_A_STRETCH])
        refusals = [(*key, *refusal) for key, refusal in sorted(tally.refusals.items())]
        if refusals:
            await connection.fetch(QUERIES["keep_refusals"], refusals)

    async def _ids(self, connection: Any, sets: Iterable[MessageSet]) -> Mapping[MessageSet, int]:
        """Under which id each of *sets* is counted, perhaps together with others."""
        counted_as = {each: each for each in sets}
        ids = await _known(connection, counted_as)
        left = [each for each in counted_as if each not in ids]
        if not left:
            return ids
        today = await self._new_today(connection, left)
        new: set[MessageSet] = set()
        for level, limit in enumerate(limits(self._most_sets)):
            if level > 0:
                ids |= await _known(connection, {each.coarser(level) for each in left})
            told, left = told_apart(left, level, ids, today, limit)
            counted_as |= told
            new.update(told.values())
            if not left:
                break
        MERGED.inc(sum(each is not counted for each, counted in counted_as.items()))
        ids |= await _made(connection, new - ids.keys())
        return {each: ids[counted] for each, counted in counted_as.items()}

    async def _new_today(self, connection: Any, sets: Iterable[MessageSet]) -> Sums[UUID]:
        accounts = sorted({each.account_id for each in sets})
        rows = await connection.fetch(QUERIES["count_new_message_sets"], accounts, self._most_sets)
        return Sums({row["account_id"]: row["count"] for row in rows})


async def _known(connection: Any, sets: Iterable[MessageSet]) -> dict[MessageSet, int]:
    """The ids of those of *sets* that there are."""
    by_key = {_key(each): each for each in sets}
    columns = [list(column) for column in zip(*by_key, strict=True)]
    rows = await connection.fetch(QUERIES["find_message_sets"], *columns)
    return {by_key[tuple(key)]: id_ for id_, *key in rows}


async def _made(connection: Any, sets: Iterable[MessageSet]) -> dict[MessageSet, int]:
    by_key = {_key(each): each for each in sets}
    rows = [(*key, *each[2:]) for key, each in sorted(by_key.items())]
    made = await connection.fetch(QUERIES["add_message_sets"], rows) if rows else ()
    return {by_key[tuple(key)]: id_ for id_, *key in made}


def _key(messages: MessageSet) -> tuple[UUID, date, bytes]:
    return messages.account_id, messages.month, messages.digest
