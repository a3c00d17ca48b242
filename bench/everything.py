"""The whole measurement: systems side by side, then the scenarios of ours."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.accounting import open_account
from bench.children import ROOT
from bench.comparing import Comparing, Maker
from bench.display import Display
from bench.figures import Work
from bench.interpreter import interpreter_path, is_optimised
from bench.measuring import Measuring
from bench.onebox import Onebox
from bench.peers.exim import Exim
from bench.peers.haraka import Haraka
from bench.peers.opensmtpd import OpenSmtpd
from bench.peers.postfix import Postfix
from bench.report import Machine, Origin, Results
from bench.scenarios.playing import SCENARIOS, Build, Playing
from bench.split import Split
from bench.systems import Ours

from servers.ports import lasting_ports

COMPARISON = "systems"
FIGURES = (COMPARISON, *SCENARIOS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure."""

    systems: Sequence[str]
    figures: Sequence[str]  # of FIGURES
    runs: int
    work: Work
    scale: float  # of the scenarios
    folder: Path  # data goes to a new folder in it
    policies: int = 1
    dispatchers: int = 1


def forms(policies: int = 1, dispatchers: int = 1) -> Mapping[str, Build]:
    """The forms of Posthouse, by name."""

    def split(folder: Path, sink_port: int) -> Ours:
        return Split(folder, sink_port, policies=policies, dispatchers=dispatchers)

    return {Onebox.name: Onebox, Split.name: split}


def systems(ours: Mapping[str, Maker]) -> Mapping[str, Maker]:
    """Every system, by name."""
    peers = (Postfix, Haraka, Exim, OpenSmtpd)
    return {**ours, **{peer.name: peer for peer in peers}}


async def measure(wanted: Wanted, display: Display) -> Results:
    """Measure all of it; logs of failed runs stay in a new folder in the given one."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    folder = _fresh_folder(wanted.folder)
    (sink_port,) = lasting_ports(1)
    ours = forms(wanted.policies, wanted.dispatchers)
    makers = systems(ours)
    names = wanted.systems if COMPARISON in wanted.figures else ()
    compared = [makers[name](folder, sink_port) for name in names]
    comparing = Comparing(compared, wanted.work, wanted.runs)
    played = {name: build for name, build in ours.items() if name in wanted.systems}
    playing = Playing(played, folder, sink_port, wanted.runs, wanted.scale)
    scenarios = [name for name in wanted.figures if name in SCENARIOS]
    display.say(_expectation(comparing.seconds(), playing.seconds(scenarios)))
    try:
        await comparing.prepare(display)
        await comparing.run(Measuring(wanted.work, sink_port, folder, display.phase), display)
        for name in scenarios:
            await playing.play(name, display)
    finally:
        for system in compared:
            system.account.close()
        _clear(folder, display, keep=bool(comparing.failed or playing.failed))
    return Results(
        Origin(date, _commit(), _command(), _machine()),
        wanted.work,
        comparing.measured,
        tuple(playing.found),
        wanted.scale,
        comparing.not_measured,
        (*comparing.failed, *playing.failed),
    )


def _fresh_folder(parent: Path) -> Path:
    """A folder for all data; servers that run as other users may enter it."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-bench-", dir=parent))
    folder.chmod(0o711)
    return folder


def _clear(folder: Path, display: Display, *, keep: bool) -> None:
    if keep:
        display.say(f"logs are left in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _expectation(systems: float, scenarios: float) -> str:
    parts = {"systems side by side": systems, "scenarios": scenarios}
    said = ", ".join(f"{name} {seconds / 60:.0f}" for name, seconds in parts.items() if seconds)
    return f"About {(systems + scenarios) / 60:.0f} minutes on two cores ({said})."


def _command() -> str:
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])


def _commit() -> str:
    """The commit that is checked out, and whether files differ from it; "" without git."""
    try:
        described = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude", "*"]
        done = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _machine() -> Machine:
    account = open_account("probe")
    account.close()
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        accounting=account.kind,
        interpreter=interpreter_path(),
        optimised=is_optimised(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
