"""What the relay itself wrote down: its events, and what is still to be done."""

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chaos.tally import Records
from servers.patience import eventually

_OPEN = """
SELECT (SELECT count(*) FROM due_submissions) + (SELECT count(*) FROM due_deliveries)
"""
_OPEN_ROWS = """
SELECT * FROM (
    SELECT 'policy' AS stage, id, due_at, claim, 0 AS tries, leased, held, NULL AS parked_at
    FROM due_submissions
    UNION ALL
    SELECT 'delivery', id, due_at, claim, tries, leased, held, parked_at FROM due_deliveries
) AS rows ORDER BY due_at LIMIT 10
"""
_EVENTS = "SELECT kind, count(*) AS n FROM events WHERE at >= $1 GROUP BY kind"
_UNCERTAIN = """
SELECT delivery_id, count(*) AS n FROM events WHERE kind = 'uncertain' AND at >= $1
GROUP BY delivery_id
"""
_DELIVERED_TWICE = """
SELECT count(*) FROM (
    SELECT delivery_id FROM events WHERE kind = 'delivered' AND at >= $1
    GROUP BY delivery_id HAVING count(*) > 1
) AS twice
"""
# What an operator does who does not want to wait for the retry time.
_NUDGE = "UPDATE due_deliveries SET due_at = now() WHERE NOT leased AND due_at > now()"


class Ledger:
    """Reads the database of a relay, a connection a question: it may be killed between two."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    async def now(self) -> datetime:
        """The time, by the database's clock."""
        moment = (await self._rows("SELECT now()"))[0][0]
        assert isinstance(moment, datetime)
        return moment

    async def version(self) -> str:
        """Of the server."""
        return str((await self._rows("SHOW server_version"))[0][0])

    async def open_items(self) -> int:
        """How many submissions and deliveries have no final result yet."""
        return int((await self._rows(_OPEN))[0][0])

    async def drained(self, within: float = 15.0) -> None:
        """Return when nothing is open; a failure says what is."""

        async def nothing_open() -> bool:
            return not await self.open_items()

        try:
            await eventually(nothing_open, within)
        except AssertionError as error:
            rows = "\n".join(str(dict(row)) for row in await self._rows(_OPEN_ROWS))
            raise AssertionError(f"{await self.open_items()} are open, such as\n{rows}") from error

    async def events(self, since: datetime) -> Counter[str]:
        """How many events of each kind there were."""
        return Counter({row["kind"]: row["n"] for row in await self._rows(_EVENTS, since)})

    async def delivered_twice(self, since: datetime) -> int:
        """How many deliveries have more than one success in their records."""
        return int((await self._rows(_DELIVERED_TWICE, since))[0][0])

    async def records(self, since: datetime) -> Records:
        """What was written down since then."""
        return Records(
            await self.events(since),
            await self.uncertain(since),
            await self.delivered_twice(since),
        )

    async def uncertain(self, since: datetime) -> Counter[UUID]:
        """Deliveries that may have been sent twice, and how often it says so of each."""
        rows = await self._rows(_UNCERTAIN, since)
        return Counter({row["delivery_id"]: row["n"] for row in rows})

    async def nudge(self) -> None:
        """Have everything that waits for another try come due now."""
        await self._rows(_NUDGE)

    async def _rows(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()
