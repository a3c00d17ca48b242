"""The whole comparison: every system in turn, round after round."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.accounting import open_account
from bench.children import ProgramFailed
from bench.display import Display
from bench.figures import Figures, Work
from bench.measuring import Measuring, RunFailed
from bench.onebox import Onebox
from bench.peers.exim import Exim
from bench.peers.haraka import Haraka
from bench.peers.opensmtpd import OpenSmtpd
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

    peers = (Postfix, Haraka, Exim, OpenSmtpd)
    return {Onebox.name: Onebox, Split.name: split, **{peer.name: peer for peer in peers}}


async def compare(
    wanted: Sequence[Maker], work: Work, runs: int, parent: Path, display: Display
) -> Results:
    """Measure all *wanted* systems *runs* times, in turn, so that a bad moment hits each.

    A system that cannot be had is left out, and so is a run that fails; its logs then stay in a
    new folder in *parent*.
    """
    folder = _fresh_folder(parent)
    (sink_port,) = lasting_ports(1)
    systems = [make(folder, sink_port) for make in wanted]
    failed: tuple[str, ...] = ()
    try:
        missing = await _missing(systems, display)
        present = [system for system in systems if system.title not in missing]
        measuring = Measuring(work, sink_port, folder, display.phase)
        measured, failed = await _rounds(present, runs, measuring, display)
    finally:
        for system in systems:
            system.account.close()
        if failed:
            display.say(f"data and logs are left in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(date, _machine(), work, measured, missing, failed)


async def _rounds(
    systems: Sequence[System], runs: int, measuring: Measuring, display: Display
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """What each system came to, and which runs failed."""
    figures: Mapping[str, list[Figures]] = {system.name: [] for system in systems}
    failed = []
    for number in range(1, runs + 1):
        for system in systems:
            display.run(f"run {number} of {runs}: {system.title}")
            try:
                figures[system.name].append(await measuring.run(system))
            except (RunFailed, ProgramFailed) as error:
                failed.append(f"{system.title}, run {number}: {error}")
                display.say(f"FAILED: {failed[-1]}")
    measured = (Measured(s.name, s.title, tuple(figures[s.name])) for s in systems)
    return tuple(one for one in measured if one.runs), tuple(failed)


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


def _fresh_folder(parent: Path) -> Path:
    """For all data; servers of other users may pass through it."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-bench-", dir=parent))
    folder.chmod(0o711)
    return folder


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
