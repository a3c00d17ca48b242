"""Keeps the workers of `posthouse up` running: a worker that ends is replaced."""

import asyncio
import random
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.parser import text_string_to_metric_families

from onebox.channel import PeerGone
from onebox.worker_process import BREAK_OFF, NotReady, WorkerProcess
from posthouse.running.health import Check
from posthouse.running.tcp import Endpoint
from posthouse.running.waiting import wait_before_retry, wait_for_event

_LABEL = "worker"
_ANSWER_SECONDS = 2.0  # a worker that takes longer to give its metrics is left out of them
_START_SECONDS = 60.0  # a replacement that takes longer to start is killed
# Waits before a worker is replaced; one that has lived this long starts with the first again.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, _LIVED_SECONDS = 0.2, 5.0, 60.0

log = structlog.get_logger()

# Of the parent, which has no other metrics: it is in no registry but that of an answer.
RESTARTS = Counter(
    "posthouse_worker_restarts", "Workers of `posthouse up` that ended and were replaced",
    registry=None,
)  # fmt: skip


class Supervisor:
    """All workers, as one service."""

    def __init__(
        self, workers: Sequence[WorkerProcess], replace: Callable[[int], WorkerProcess]
    ) -> None:
        """*replace* starts the worker of a number again."""
        self._workers = {worker.number: worker for worker in workers}
        self._replace = replace
        self._database_url = ""
        self._trouble: dict[int, str] = {}  # what readiness says of a worker that is away
        self.all_ended = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers.values()]

    async def start(self, database_url: str) -> dict[str, Endpoint]:
        """Set the workers to work; the addresses of their services, by name, once all have started.

        Raises NotReady.
        """
        self._database_url = database_url
        asking = (worker.channel.ask("start", database_url) for worker in self._workers.values())
        try:
            told = await asyncio.gather(*asking)
        except PeerGone:
            raise NotReady("a worker ended at its start; its log lines say why") from None
        return {name: Endpoint.parse(at) for each in told for name, at in each.items()}

    async def run(self, stopping: asyncio.Event) -> None:
        """Replace workers that end, until *stopping*; then end all in good order.

        Cancelled, it has them break off.
        """
        try:
            async with asyncio.TaskGroup() as group:
                told = group.create_task(stopping.wait(), name="stopping")
                for number in self._workers:
                    group.create_task(self._keep(number, told, stopping), name=f"worker {number}")
            self.signal_all(signal.SIGTERM)
            await self._wait_for_all()
        except asyncio.CancelledError:
            self.signal_all(BREAK_OFF)
            await self._wait_for_all()
            raise
        finally:
            self.all_ended.set()

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every worker that runs."""
        for worker in self._workers.values():
            worker.signal(number)

    async def _wait_for_all(self) -> None:
        await asyncio.wait([worker.ended() for worker in self._workers.values()])

    async def _keep(self, number: int, told: "asyncio.Task[bool]", stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began, ended = loop.time(), self._workers[number].ended()
            either: list[asyncio.Future[Any]] = [told, ended]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                return
            failures = 1 if loop.time() - began > _LIVED_SECONDS else failures + 1
            wait = wait_before_retry(
                failures,
                random.random(),  # noqa: S311 -- no secret
                first=_FIRST_WAIT_SECONDS,
                longest=_LONGEST_WAIT_SECONDS,
            )
            log.error("worker_ended", worker=number, status=ended.result(), restart_in=wait)
            self._trouble[number] = f"it ended with status {ended.result()}"
            if await wait_for_event(stopping, wait):
                return
            await self._start_again(number)

    async def _start_again(self, number: int) -> None:
        RESTARTS.inc()
        self._workers[number] = worker = self._replace(number)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker.channel.ask("start", self._database_url)
        except PeerGone:
            return  # it has said why, and has ended or will
        except TimeoutError:
            worker.signal(signal.SIGKILL)
            return
        del self._trouble[number]
        log.info("worker_replaced", worker=number, process=worker.pid)

    def checks(self) -> dict[str, Check]:
        """A check for each worker."""
        return {f"worker {number}": self._check_of(number) for number in self._workers}

    def _check_of(self, number: int) -> Check:
        async def check() -> None:
            if number in self._trouble:
                raise NotReady(self._trouble[number])
            await self._workers[number].check()

        return check

    async def metrics(self) -> CollectorRegistry:
        """The metrics of all workers, each with a label for its worker, and our own."""
        registry = CollectorRegistry()
        texts = await asyncio.gather(*map(self._metrics, self._workers.values()))
        registry.register(_Merged([text for text in texts if text is not None]))
        registry.register(RESTARTS)
        return registry

    async def _metrics(self, worker: WorkerProcess) -> tuple[int, str] | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return worker.number, await worker.channel.ask("metrics")
        except PeerGone:
            return None
        except TimeoutError:
            log.warning("worker_metrics_missing", worker=worker.number, seconds=_ANSWER_SECONDS)
            return None


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
