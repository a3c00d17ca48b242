"""A process that does the work of `posthouse up`, and the two ways to start one.

At the start of the relay workers are forked before anything runs: they start at once and share the
memory of the program's code. One that replaces a dead worker is a new process of the same Python,
because a process with an event loop and threads cannot be forked safely.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from onebox.channel import Channel, PeerGone

# A parent tells its workers to break off by this signal. SIGTERM and SIGINT may come to them from
# others (a terminal, systemd) and always mean: drain.
BREAK_OFF = signal.SIGUSR1
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ParentLink:
    """What a worker knows of itself: its number, from 1, and the channel to its parent."""

    number: int
    channel: Channel


class NotReady(Exception):
    """A worker lacks something; the text says what."""


class WorkerProcess:
    """One worker, as its parent sees it."""

    def __init__(self, number: int, pid: int, channel: Channel) -> None:
        self.number = number
        self.pid = pid
        self.channel = channel
        self._process = os.pidfd_open(pid)
        self._ended: asyncio.Future[int] | None = None

    async def check(self) -> None:
        """Raises NotReady with what the worker's own checks found."""
        try:
            findings: dict[str, str] = await self.channel.ask("findings")
        except PeerGone:
            raise NotReady("it has ended") from None
        if wrong := [f"{name}: {found}" for name, found in findings.items() if found != "ok"]:
            raise NotReady("; ".join(wrong))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self.ended().done():
            os.kill(self.pid, number)

    def ended(self) -> "asyncio.Future[int]":
        """Gives its exit status when it ends: negative when a signal ended it."""
        if self._ended is None:
            loop = asyncio.get_running_loop()
            self._ended = loop.create_future()
            loop.add_reader(self._process, self._reap, self._ended)
        return self._ended

    def _reap(self, ended: "asyncio.Future[int]") -> None:
        asyncio.get_running_loop().remove_reader(self._process)
        os.close(self._process)
        _, status = os.waitpid(self.pid, 0)
        ended.set_result(os.waitstatus_to_exitcode(status))


def fork(count: int) -> "ParentLink | list[WorkerProcess]":
    """Become *count* + 1 processes: a ParentLink in each child, the workers in the parent.

    Call it before there is an event loop or a second thread. A child dies with its parent.
    """
    parent = os.getpid()
    workers: list[WorkerProcess] = []
    for number in range(1, count + 1):
        ours, theirs = socket.socketpair()
        if pid := os.fork():
            theirs.close()
            workers.append(WorkerProcess(number, pid, Channel(ours)))
            continue
        ours.close()
        for elder in workers:
            elder.channel.close()
        _die_with(parent)
        return ParentLink(number, Channel(theirs))
    return workers


def spawn(number: int, environ: Mapping[str, str]) -> WorkerProcess:
    """Start worker *number* as a new process with the settings in *environ*."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.set_inheritable(True)
        arguments = (str(number), str(theirs.fileno()), str(os.getpid()))
        command = [sys.executable, "-m", "onebox.worker", *arguments]
        pid = os.posix_spawn(sys.executable, command, environ)
    return WorkerProcess(number, pid, Channel(ours))


def spawned(number: str, descriptor: str, parent: str) -> ParentLink:
    """In a process that `spawn` started: its link, from the arguments it was started with."""
    _die_with(int(parent))
    return ParentLink(int(number), Channel(socket.socket(fileno=int(descriptor))))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
