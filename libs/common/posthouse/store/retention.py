"""How long bodies and history are kept: partitions are added ahead of time and dropped by age."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog

from posthouse.store.postgres import Postgres

BODIES = ("contents", "renditions")
HISTORY = ("submissions", "deliveries", "attempts", "events")

# Up to this retention a partition holds one hour, beyond it one day: 57 partitions at most.
_LONGEST_BY_HOUR = timedelta(days=2)
_AHEAD = {"hour": 6, "day": 2}

# What is moved to the default partition while all readers of a table wait. A partition of which
# open work needs more stays for now.
_MOVED_ROWS = 2_000
_MOVED_OCTETS = 32 << 20
_MOVED_EARLY_OCTETS = 4 << 20  # near a full disk: a copy needs room too

_ADDING_SECONDS = 10.0
# With a million open deliveries it takes some ten seconds to look at them all.
_RETIRING_SECONDS = 120.0
_SWEEPING_SECONDS = 10.0
_SWEPT_ROWS = 1_000  # in one statement
_SWEPT_BATCHES = 20  # in one round
_FIRST = UUID(int=0)

log = structlog.get_logger()


def _unit(kept: timedelta) -> str:
    return "hour" if kept <= _LONGEST_BY_HOUR else "day"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept once no open work needs them."""

    bodies: timedelta = timedelta(hours=1)
    history: timedelta = timedelta(days=30)

    def of(self, table: str) -> timedelta:
        """How long rows of *table* are kept."""
        return self.bodies if table in BODIES else self.history

    def unit_of(self, table: str) -> str:
        """The time that one partition of *table* holds: "hour" or "day"."""
        return _unit(self.bodies) if table in BODIES else "day"


@dataclass(slots=True)
class Partitions:
    """Adds, drops and sweeps the partitions of all tables that grow with the mail.

    Each method may run in several processes at the same time, and may be cut off at any moment.
    """

    database: Postgres
    retention: Retention
    _swept: dict[str, UUID] = field(default_factory=dict)  # how far each default partition was

    async def add(self) -> None:
        """Have partitions for now and for the next hours or days."""
        for table in (*BODIES, *HISTORY):
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
        freed = 0
        for table in tables:
            for row in await self.database.fetch_within(
                _RETIRING_SECONDS,
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
                    log.info("partition_dropped", **about)
                else:
                    log.info("partition_needed", **about)
        return freed

    async def sweep(self) -> None:
        """Delete rows of the default partitions once their mail is finished and old enough.

        Each round goes on where the one before ended.
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
