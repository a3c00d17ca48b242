"""Looks at the installation once an hour: counts for metrics, a log line for each fault."""

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence

import structlog
from prometheus_client import Gauge

from posthouse.doctor.check_result import CheckResult
from posthouse.doctor.examination import examine
from posthouse.domains.findings import FindingState
from posthouse.inspection.inspection import InspectionPlan, gather_facts
from posthouse.store.examinations import ExaminationStore
from posthouse.store.failure import StoreRefused, StoreUnavailable

RESULTS = Gauge(
    "posthouse_doctor_results",
    "What the last look at the whole installation found: results of a check, by what they say.",
    ["check", "state"],
)
LAST_LOOK = Gauge(
    "posthouse_doctor_last_success_timestamp_seconds",
    "When this process last looked at the whole installation, in seconds since 1970.",
)

# By then every program has said what it is called.
_FIRST_SECONDS = 60.0
_EVERY_SECONDS = 3_600.0

log = structlog.get_logger()


class InstallationWatch:
    """Looks from one place: that of the process it runs in."""

    def __init__(self, store: ExaminationStore, program: str, plan: InspectionPlan) -> None:
        self._store = store
        self._program = program
        self._plan = plan

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until *stopping*; a look that is under way is then given up."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look_hourly())
            await stopping.wait()
            looking.cancel()

    async def _look_hourly(self) -> None:
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            try:
                await self.look()
            except Exception:  # a mistake of ours in a check does not stop mail
                log.exception("examination_failed")
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Look once."""
        results = examine(await gather_facts(self._plan))
        _show(results)
        for one in results:
            if one.state is FindingState.WRONG:
                log.warning(
                    "installation_fault",
                    check=one.check.value,
                    subject=one.subject,
                    seen=one.seen,
                    mend=one.mend,
                )
        try:
            await self._store.record(self._program, socket.gethostname(), results)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("examination_not_recorded", reason=str(error))


def _show(results: Sequence[CheckResult]) -> None:
    counts = Counter((one.check, one.state) for one in results)
    for check in {one.check for one in results}:
        for state in FindingState:
            RESULTS.labels(check.value, state.value).set(counts[check, state])
    LAST_LOOK.set_to_current_time()
