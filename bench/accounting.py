"""CPU and memory of a set of processes: by cgroup if we may make one, else by /proc."""

import itertools
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_V1 = Path("/sys/fs/cgroup/cpuacct")
_V2 = Path("/sys/fs/cgroup")
_TICKS = os.sysconf("SC_CLK_TCK")
_REMOVAL_SECONDS = 2.0  # how long the last process of a group may take to end
# Fields of /proc/PID/stat behind the name: parent, and own and reaped children's time.
_PARENT, _TIMES = 1, slice(11, 15)
_numbers = itertools.count(1)  # two groups of one name must not be one


class Account(Protocol):
    """Counts processes that were started through it, and all their children."""

    kind: str  # how it counts, for the report

    def counted(self, command: Sequence[str]) -> list[str]:
        """*command*, changed so that it is counted from the start."""

    def adopt(self, pid: int) -> None:
        """Note that such a command is now process *pid*."""

    def cpu_seconds(self) -> float:
        """User and system time so far."""

    def pids(self) -> Collection[int]:
        """Processes that are running now."""

    def end(self) -> None:
        """Kill what is left, if it is certain that it is ours."""

    def close(self) -> None:
        """Count no more; all processes have ended."""


def open_account(name: str) -> Account:
    """The best way to count that this machine allows us."""
    with suppress(OSError):
        return CgroupAccount(name)
    return TreeAccount()


class CgroupAccount:
    """The kernel's own count for a group: exact, and it includes processes that have ended."""

    def __init__(self, name: str) -> None:
        """OSError when we may not make a group."""
        first = (_V1 / "cpuacct.usage").exists()
        self.kind = "cgroup v1 cpuacct" if first else "cgroup v2 cpu.stat"
        self._usage = "cpuacct.usage" if first else "cpu.stat"
        group = f"posthouse-bench-{os.getpid()}-{name}-{next(_numbers)}"
        self._folder = (_V1 if first else _V2) / group
        self._folder.mkdir()
        self.cpu_seconds()

    def counted(self, command: Sequence[str]) -> list[str]:
        """See Account."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", enter, str(self._folder / "cgroup.procs"), *command]

    def adopt(self, pid: int) -> None:
        """Nothing to do: it entered by itself."""

    def cpu_seconds(self) -> float:
        """See Account."""
        text = (self._folder / self._usage).read_text()
        if text.startswith("usage_usec"):
            return int(text.split()[1]) / 1e6
        return int(text) / 1e9

    def pids(self) -> Collection[int]:
        """See Account."""
        return [int(pid) for pid in (self._folder / "cgroup.procs").read_text().split()]

    def end(self) -> None:
        """See Account."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """See Account."""
        end = time.monotonic() + _REMOVAL_SECONDS
        while time.monotonic() < end:
            with suppress(OSError):
                return self._folder.rmdir()
            time.sleep(0.05)
        return None


class TreeAccount:
    """A sum over process trees, in ticks of the clock; without processes that init has reaped."""

    kind = "process trees in /proc"

    def __init__(self) -> None:
        self._roots: set[int] = set()

    def counted(self, command: Sequence[str]) -> list[str]:
        """See Account."""
        return list(command)

    def adopt(self, pid: int) -> None:
        """See Account."""
        self._roots.add(pid)

    def cpu_seconds(self) -> float:
        """See Account."""
        ticks = 0
        for pid in self.pids():
            ticks += sum(int(field) for field in _stat(pid)[_TIMES])
        return ticks / _TICKS

    def pids(self) -> Collection[int]:
        """See Account."""
        children = defaultdict(list)
        for pid in _all_pids():
            if stat := _stat(pid):
                children[int(stat[_PARENT])].append(pid)
        found, ahead = set(), list(self._roots)
        while ahead:
            pid = ahead.pop()
            found.add(pid)
            ahead += children[pid]
        return found

    def end(self) -> None:
        """See Account. Orphans cannot be recognised, and a process id may have been used again."""

    def close(self) -> None:
        """See Account."""
        self._roots.clear()


def memory_octets(pids: Collection[int]) -> int:
    """Memory of *pids*; shared pages are counted once (proportional set size)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total


def largest_peak_octets(pids: Collection[int], program: str) -> int:
    """The largest memory that any of *pids* running *program* ever had (resident set size)."""
    largest = 0
    for pid in running(pids, [program]):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    largest = max(largest, int(line.split()[1]) << 10)
    return largest


def running(pids: Collection[int], programs: Collection[str]) -> list[int]:
    """Those of *pids* with one of *programs* as a word of their command."""
    wanted = {program.encode() for program in programs}
    found = []
    for pid in pids:
        with suppress(OSError):
            if wanted.intersection(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")):
                found.append(pid)
    return found


def machine_seconds() -> float:
    """CPU seconds of the whole machine that were not idle."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _waiting, hard, soft = fields[:7]
    return (user + nice + system + hard + soft) / _TICKS


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 -- names


def _stat(pid: int) -> list[str]:
    """Fields behind the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []
