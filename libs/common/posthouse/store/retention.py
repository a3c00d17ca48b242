"""How long bodies and history are kept: partitions are added ahead of time and dropped by age."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog

from posthouse.store.postgres import Postgres

BODIES = ("contents", "renditions")
HISTORY = ("submissions", "deliveries", "attempts", "events")
KEYS = "message_keys"  # to history, as old as it is

# What one partition holds, and up to which retention. A statement that looks a row up by its id
# opens every partition of the table, so there are 60 of bodies and 20 of history at most.
_BODY_UNITS = (("hour", timedelta(days=2)), ("day", timedelta.max))
_HISTORY_UNITS = (("day", timedelta(days=14)), ("week", timedelta.max))
_AHEAD = {"hour": 4, "day": 2, "week": 1}

# Limits of a move to the default partition, during which all readers of a table wait. A partition
# of which open work needs more stays for now.
_MOVED_ROWS = 2_000
_MOVED_OCTETS = 32 << 20
# Rows copied out of a partition in one statement, and statements in one round.
_COPIED_ROWS = 10_000
_COPIES = 10
# Near a full disk a copy needs room too, and nothing is written to the table while we look: less
# than services wait for a lock.
_MOVED_EARLY_OCTETS = 4 << 20
_EARLY_SECONDS = 2.5

_ADDING_SECONDS = 10.0
# With a million open deliveries it takes some ten seconds to look at them all.
_RETIRING_SECONDS = 120.0
_SWEEPING_SECONDS = 10.0
_SWEPT_ROWS = 1_000  # in one statement
_SWEPT_BATCHES = 20  # in one round
_FIRST = UUID(int=0)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept once no open work needs them."""

    bodies: timedelta = timedelta(hours=1)
    history: timedelta = timedelta(days=30)
    links: timedelta = timedelta(days=400)  # since they were last used
    visits: timedelta | None = None  # opens and clicks; None: as history
    audit: timedelta | None = None  # None: for ever

    def of(self, table: str) -> timedelta:
        """How long rows of *table* are kept."""
        return self.bodies if table in BODIES else self.history

    def unit_of(self, table: str) -> str:
        """The time that one partition of *table* holds: "hour", "day" or "week"."""
        units = _BODY_UNITS if table in BODIES else _HISTORY_UNITS
        return next(unit for unit, longest in units if self.of(table) <= longest)


@dataclass(slots=True)
class Partitions:
    """Adds, drops and sweeps the partitions of all tables that grow with the mail.

    Each method may run in several processes at the same time, and may be cut off at any moment.
    """

    database: Postgres
    retention: Retention
    # How far each default partition was swept, and which partitions were said to be needed.
    _swept: dict[str, UUID] = field(default_factory=dict)
    _needed: set[str] = field(default_factory=set)

    async def add(self) -> None:
        """Make partitions for now and for some time ahead."""
        for table in (*BODIES, *HISTORY, KEYS):
            unit = self.retention.unit_of(table)
            for row in await self.database.fetch_within(
                _ADDING_SECONDS, "add_partitions", table, unit, _AHEAD[unit]
            ):
                if row["made"]:
                    log.info("partition_created", partition=row["partition"])
                else:
                    reason = "the default partition holds too many of its rows to move them"
                    log.warning("partition_not_created", partition=row["partition"], reason=reason)

    async def retire(self, tables: Sequence[str], *, share: float = 1.0) -> int:
        """Drop the partitions of *tables* whose retention has passed; the octets that were freed.

        *share* of the retention: less than 1 is for a disk that is nearly full. Then also the
        partition that is being filled is replaced by an empty one.
        """
        early = share < 1
        octets = _MOVED_EARLY_OCTETS if early else _MOVED_OCTETS
        seconds = _EARLY_SECONDS if early else _RETIRING_SECONDS
        freed = 0
        for table in tables:
            for row in await self.database.fetch_within(
                seconds,
                "retire_partitions",
                table,
                self.retention.of(table) * share,
                early,
                _MOVED_ROWS,
                octets,
            ):
                about = {key: row[key] for key in ("partition", "octets", "open_rows")}
                if row["dropped"]:
                    freed += row["octets"]
                    self._needed.discard(row["partition"])
                    log.info("partition_dropped", **about)
                    continue
                if row["partition"] not in self._needed:
                    self._needed.add(row["partition"])
                    log.info("partition_needed", **about)
                if table in BODIES and not early:
                    await self._thin(table, row["partition"])
        return freed

    async def retire_keys(self) -> None:
        """Drop the partitions of keys whose retention has passed, and sweep their default one."""
        keep = self.retention.history
        for row in await self.database.fetch_within(_RETIRING_SECONDS, "drop_message_keys", keep):
            log.info("partition_dropped", partition=row["partition"], octets=row["octets"])
        for _ in range(_SWEPT_BATCHES):
            if (
                len(await self.database.fetch("sweep_message_keys", keep, _SWEPT_ROWS))
                < _SWEPT_ROWS
            ):
                break

    async def _thin(self, table: str, partition: str) -> None:
        """Replace *partition* by one that holds only what open work needs, if that is little."""
        for _ in range(_COPIES):
            (row,) = await self.database.fetch_within(
                _RETIRING_SECONDS, "thin_partition", table, partition, _COPIED_ROWS
            )
            if row["replaced"] is not False:
                break
        if row["replaced"]:
            log.info("partition_thinned", partition=partition)

    async def sweep(self) -> None:
        """Delete rows of the default partitions once their mail is finished and old enough.

        Each round continues where the one before ended.
        """
        for table in (*BODIES, *HISTORY):
            for _ in range(_SWEPT_BATCHES):
                (row,) = await self.database.fetch_within(
                    _SWEEPING_SECONDS,
                    "sweep_default",
                    table,
                    self._swept.get(table, _FIRST),
                    _SWEPT_ROWS,
                    self.retention.of(table),
                )
                more = row["looked"] == _SWEPT_ROWS
                self._swept[table] = row["last"] if more else _FIRST
                if not more:
                    break
