"""The processes that do the work of `posthouse up`, as the one that keeps them sees them.

They are forked before anything runs, so that they start in no time and share the memory of the
program's code. None is replaced: when one ends, all end, and whatever started us starts us again.
"""

import asyncio
import ctypes
import os
import signal
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from onebox.channel import Channel, PeerGone
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import Check

_PR_SET_PDEATHSIG = 1
_LABEL = "worker"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Forked:
    """Where a forked process finds itself: the number it has, and the way to its parent."""

    number: int  # from 1
    parent: Channel


class NotReady(Exception):
    """A worker lacks something; the text says what."""


class Worker:
    """One process."""

    def __init__(self, number: int, pid: int, channel: Channel) -> None:
        self.number = number
        self.pid = pid
        self.channel = channel
        self._process = os.pidfd_open(pid)
        self._ended: asyncio.Future[int] | None = None

    async def check(self) -> None:
        """Raises NotReady with what its own checks found."""
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


def fork(count: int) -> "Forked | list[Worker]":
    """Become *count* + 1 processes: a Forked in each child, the workers in the parent.

    Call it before there is an event loop or a second thread. A child dies with its parent.
    """
    parent = os.getpid()
    workers: list[Worker] = []
    for number in range(1, count + 1):
        ours, theirs = socket.socketpair()
        if pid := os.fork():
            theirs.close()
            workers.append(Worker(number, pid, Channel(ours)))
            continue
        ours.close()
        for elder in workers:
            elder.channel.close()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        return Forked(number, Channel(theirs))
    return workers


class Workers:
    """All of them, as one service."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [worker.pid for worker in self._workers]

    async def start(self, database_url: str) -> Endpoint:
        """Set them to work; where returned mail comes in, once all have started.

        Raises NotReady.
        """
        try:
            told = await asyncio.gather(
                *(worker.channel.ask("start", database_url) for worker in self._workers)
            )
        except PeerGone:
            raise NotReady("a worker ended at its start, and has said why") from None
        (bounces,) = filter(None, told)
        return Endpoint.parse(bounces)

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait until *stopping*, or until one of them ends; then end all in good order.

        Cancelled, it hurries them, as a second signal does.
        """
        told = asyncio.ensure_future(stopping.wait())
        endings = [worker.ended() for worker in self._workers]
        try:
            any_of: list[asyncio.Future[Any]] = [told, *endings]
            await asyncio.wait(any_of, return_when=asyncio.FIRST_COMPLETED)
            for worker in self._workers:
                if worker.ended().done() and not stopping.is_set():
                    log.error("worker_ended", worker=worker.number, status=worker.ended().result())
            self._signal_all()
            await asyncio.wait(endings)
        except asyncio.CancelledError:
            self._signal_all()
            await asyncio.wait(endings)
            raise
        finally:
            told.cancel()

    def kill(self) -> None:
        """End what is left of them at once."""
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals = signal.SIGTERM) -> None:
        for worker in self._workers:
            worker.signal(number)

    def checks(self) -> dict[str, Check]:
        """One for each worker."""
        return {f"worker {worker.number}": worker.check for worker in self._workers}

    async def metrics(self) -> CollectorRegistry:
        """What all of them count, each with a label that says which one it is."""
        registry = CollectorRegistry()
        registry.register(_Merged(await asyncio.gather(*map(self._metrics, self._workers))))
        return registry

    async def _metrics(self, worker: Worker) -> tuple[int, str]:
        try:
            return worker.number, await worker.channel.ask("metrics")
        except PeerGone:
            return worker.number, ""


class _Merged:
    """Metrics of several processes side by side."""

    def __init__(self, texts: Sequence[tuple[int, str]]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for number, text in self._texts:
            for family in text_string_to_metric_families(text):
                mine = Metric(family.name, family.documentation, family.type)
                into = merged.setdefault(family.name, mine)
                for sample in family.samples:
                    labels = {**sample.labels, _LABEL: str(number)}
                    into.add_sample(sample.name, labels, sample.value)
        return merged.values()
