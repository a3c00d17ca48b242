"""The whole comparison: every system in turn, round after round."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.accounting import open_account
from bench.display import Display
from bench.figures import Figures, Work
from bench.measuring import Measuring
from bench.onebox import Onebox
from bench.peers.postfix import Postfix
from bench.report import Machine, Measured, Results
from bench.split import Split
from bench.systems import NotMeasured, System

from chaos.ports import lasting_ports

Maker = Callable[[Path, int], System]  # of a folder and the port of the sink


def makers(policies: int, dispatchers: int) -> Mapping[str, Maker]:
    """Every system there is, by name."""

    def split(folder: Path, sink_port: int) -> System:
        return Split(folder, sink_port, policies=policies, dispatchers=dispatchers)

    return {Onebox.name: Onebox, Split.name: split, Postfix.name: Postfix}


async def compare(
    wanted: Sequence[Maker], work: Work, runs: int, folder: Path, display: Display
) -> Results:
    """Measure all *wanted* systems *runs* times, in turn, so that a bad moment hits each.

    A system that cannot be had is left out. Raises RunFailed and ProgramFailed; logs are then
    left in a new folder in *folder*.
    """
    with _scratch(folder, display) as scratch:
        (sink_port,) = lasting_ports(1)
        systems = [make(scratch, sink_port) for make in wanted]
        try:
            missing = await _missing(systems, display)
            present = [system for system in systems if system.title not in missing]
            measuring = Measuring(work, sink_port, scratch, display.phase)
            figures: Mapping[str, list[Figures]] = {system.name: [] for system in present}
            for number in range(1, runs + 1):
                for system in present:
                    display.run(f"run {number} of {runs}: {system.title}")
                    figures[system.name].append(await measuring.run(system))
        finally:
            for system in systems:
                system.account.close()
    measured = (Measured(s.name, s.title, tuple(figures[s.name])) for s in present)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(date, _machine(), work, tuple(measured), missing)


async def _missing(systems: Sequence[System], display: Display) -> dict[str, str]:
    """Install what can be; the titles of systems that cannot be had, and why."""
    missing = {}
    for system in systems:
        display.run(system.title)
        display.phase("preparing", 0)
        try:
            await system.prepare()
        except NotMeasured as reason:
            missing[system.title] = str(reason)
            display.say(f"NOT MEASURED: {system.title}: {reason}")
    return missing


@contextmanager
def _scratch(parent: Path, display: Display) -> Iterator[Path]:
    """A folder for all data, that servers of other users may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-bench-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    except BaseException:
        display.say(f"logs are left in {folder}")
        raise
    shutil.rmtree(folder)


def _machine() -> Machine:
    account = open_account("probe")
    account.close()
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        accounting=account.kind,
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
