"""Suppressions by the million: taken from a file all at once or not at all, and given to one."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from posthouse.mail.suppression_file import BadLine, Line, ListedAddress
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store.audit_log import write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

# Each part is a transaction of its own, because one that has written delays readers of events.
_PART = 20_000
_SECONDS = 3600.0
_MOST_BAD_LINES = 100  # kept for the report; all are counted
_COLUMNS = (
    "normal", "list", "scope", "address", "reason", "evidence", "rule", "version", "delivery_id",
    "created_at", "expires_at",
)  # fmt: skip


class BadFile(Exception):
    """Lines of a file are no entries: nothing was imported."""

    def __init__(self, bad: list[BadLine], count: int, good: int) -> None:
        """*bad*: the first of *count* bad lines; *good*: how many others there are."""
        super().__init__(f"{count} bad lines")
        self.bad, self.count, self.good = bad, count, good


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import."""

    read: int
    written: int  # the others are there already, for the same or a longer time, or came twice


@dataclass(slots=True)
class _Reading:
    """The entries of a file; the bad lines are kept apart."""

    lines: Iterator[Line]
    bad: list[BadLine] = field(default_factory=list)
    bad_count: int = 0
    read: int = 0

    def entries(self) -> Iterator[ListedAddress]:
        for line in self.lines:
            if isinstance(line, BadLine):
                self.bad_count += 1
                self.bad += [line][: _MOST_BAD_LINES - len(self.bad)]
            else:
                self.read += 1
                yield line


class SuppressionFiles:
    """Import and export."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def take(
        self,
        account_id: UUID,
        lines: Iterable[Line],
        *,
        actor: str,
        source: str,
        progress: Callable[[int], None],
    ) -> Imported:
        """Put every entry on its list, in one transaction; raises BadFile and does nothing.

        Of two entries for the same the one that lasts longer stays. *progress* hears the number of
        entries that were read. *actor* and *source* go into the audit.
        """
        reading = _Reading(iter(lines))
        async with self._database.connection() as connection:
            try:
                await connection.execute(QUERIES["begin_import"])
                await self._copy(connection, reading, progress)
                if reading.bad_count:
                    raise BadFile(reading.bad, reading.bad_count, reading.read)
                async with connection.transaction():
                    await connection.execute(QUERIES["disable_statement_timeout"])
                    written = await connection.fetchval(
                        QUERIES["take_import"], account_id, timeout=_SECONDS
                    )
                    detail = {"file": source, "read": reading.read, "written": written}
                    await write_audit(connection, actor, "suppression import", account_id, **detail)
            finally:
                await connection.execute(QUERIES["end_import"])
        return Imported(reading.read, written)

    async def _copy(
        self, connection: Any, reading: _Reading, progress: Callable[[int], None]
    ) -> None:
        entries = reading.entries()
        while part := list(islice(entries, _PART)):
            if not reading.bad_count:
                await connection.copy_records_to_table(
                    "imported_suppressions", records=part, columns=_COLUMNS, timeout=_SECONDS
                )
            progress(reading.read)

    async def give(self, account_id: UUID, on: SuppressionList | None = None) -> AsyncIterator[Any]:
        """The entries that count, of one list or all, in the order of their addresses."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["disable_statement_timeout"])
            await connection.execute(QUERIES["disable_idle_timeout"])
            async for row in connection.cursor(
                QUERIES["export_suppressions"], account_id, on, prefetch=1000
            ):
                yield row
