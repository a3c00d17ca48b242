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
from functools import partial
from pathlib import Path

from bench.accepting import ACCEPT, Accepting
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
FIGURES = (COMPARISON, ACCEPT, *SCENARIOS)


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
    parts = _Parts(wanted, folder)
    display.say(_expectation(parts.seconds))
    try:
        await parts.run(display)
    finally:
        for system in parts.compared:
            system.account.close()
        _clear(folder, display, keep=bool(parts.failed))
    return Results(
        Origin(date, _commit(), _command(), _machine()),
        wanted.work,
        parts.comparing.measured,
        (*parts.accepting.limits, *parts.playing.found),
        parts.accepting.accepted,
        wanted.scale,
        parts.comparing.not_measured | parts.accepting.not_measured,
        parts.failed,
    )


class _Parts:
    """The three parts of it."""

    def __init__(self, wanted: Wanted, folder: Path) -> None:
        (sink_port,) = lasting_ports(1)
        ours = forms(wanted.policies, wanted.dispatchers)
        makers = systems(ours)
        names = wanted.systems if COMPARISON in wanted.figures else ()
        played = {name: build for name, build in ours.items() if name in wanted.systems}
        self._accepts = ACCEPT in wanted.figures
        self._scenarios = [name for name in wanted.figures if name in SCENARIOS]
        self._measuring = partial(Measuring, wanted.work, sink_port, folder)
        self.compared = [makers[name](folder, sink_port) for name in names]
        self.comparing = Comparing(self.compared, wanted.work, wanted.runs)
        self.accepting = Accepting(folder / ACCEPT, wanted.runs, wanted.scale)
        self.playing = Playing(played, folder, sink_port, wanted.runs, wanted.scale)

    @property
    def seconds(self) -> Mapping[str, float]:
        """About how long each takes."""
        return {
            "systems side by side": self.comparing.seconds(),
            "ways in": self.accepting.seconds() if self._accepts else 0.0,
            "scenarios": self.playing.seconds(self._scenarios),
        }

    async def run(self, display: Display) -> None:
        """Measure one after the other."""
        await self.comparing.prepare(display)
        await self.comparing.run(self._measuring(display.phase), display)
        if self._accepts:
            await self.accepting.run(display)
        for name in self._scenarios:
            await self.playing.play(name, display)

    @property
    def failed(self) -> tuple[str, ...]:
        """Runs without figures, and why."""
        return (*self.comparing.failed, *self.accepting.failed, *self.playing.failed)


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


def _expectation(parts: Mapping[str, float]) -> str:
    """*parts* in seconds, by name."""
    said = ", ".join(f"{name} {seconds / 60:.0f}" for name, seconds in parts.items() if seconds)
    return f"About {sum(parts.values()) / 60:.0f} minutes on two cores ({said})."


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
