"""What the relay itself wrote down: its events, and what is still to be done."""

from collections import Counter
from datetime import datetime
from typing import Any

import asyncpg

_OPEN = """
SELECT (SELECT count(*) FROM due_submissions) + (SELECT count(*) FROM due_deliveries)
"""
_EVENTS = "SELECT kind, count(*) AS n FROM events WHERE at >= $1 GROUP BY kind"
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
        moment = await self._value("SELECT now()")
        assert isinstance(moment, datetime)
        return moment

    async def open_items(self) -> int:
        """How many submissions and deliveries have no final result yet."""
        return int(await self._value(_OPEN))

    async def events(self, since: datetime) -> Counter[str]:
        """How many events of each kind there were."""
        connection = await asyncpg.connect(self._url)
        try:
            rows = await connection.fetch(_EVENTS, since)
        finally:
            await connection.close()
        return Counter({row["kind"]: row["n"] for row in rows})

    async def delivered_twice(self, since: datetime) -> int:
        """How many deliveries have more than one success in their records."""
        return int(await self._value(_DELIVERED_TWICE, since))

    async def nudge(self) -> None:
        """Have everything that waits for another try come due now."""
        await self._value(_NUDGE)

    async def _value(self, statement: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self._url)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()
