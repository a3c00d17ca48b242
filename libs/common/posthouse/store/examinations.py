"""What each place that looks at the installation found last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from posthouse.doctor.check_result import CheckName, CheckResult
from posthouse.domains.findings import FindingState
from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.postgres import Postgres

# A place that has not looked for so long is gone.
_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Examination:
    """One look from one place."""

    program: str
    host: str  # the machine's own name
    examined_at: datetime
    results: tuple[CheckResult, ...]


class ExaminationStore:
    """Writes and reads them."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def record(self, program: str, host: str, results: Sequence[CheckResult]) -> None:
        """Put *results* in the place of those before; forget places that are gone."""
        rows = [[one.check, one.subject, one.state, one.seen, one.mend] for one in results]
        await self._database.run("record_examination", program, host, rows, _KEPT)

    async def newest(self) -> tuple[Examination, ...]:
        """The last of each place."""
        return tuple(
            Examination(
                row["program"],
                row["host"],
                row["examined_at"],
                tuple(
                    CheckResult(CheckName(check), subject, FindingState(state), seen, mend)
                    for check, subject, state, seen, mend in row["results"]
                    if check in set(CheckName)  # a newer version may know more
                ),
            )
            for row in await self._database.fetch("list_examinations")
        )

    async def accept_timeline(self, actor: str) -> bool:
        """Take the timeline that the server is on as known; whether it was another before."""
        line = AuditLine(actor, "timeline accept", None, {})
        return await run_audited(self._database, line, "accept_timeline")
