"""Run services until a signal or a failure ends them, then let them drain."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import structlog
import uvloop

from posthouse.running.garbage import TIDY_SECONDS, freeze, tidy
from posthouse.running.health import Health

log = structlog.get_logger()

_ENDING = (signal.SIGTERM, signal.SIGINT)
_INTERRUPTED = 130


class Service(Protocol):
    """Something that works until it is told to stop."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set, then finish or release what is held, and return."""


async def run(
    services: Mapping[str, Service],
    *,
    health: Health | None,
    grace: float,
    tidy_every: float = TIDY_SECONDS,
) -> int:
    """Run *services* (by name) side by side; the exit status: 0, or 1 when one of them failed.

    SIGTERM or SIGINT, or the end of any service, sets `stopping` for all. Those still running
    *grace* seconds later are cancelled; a second signal cancels them at once, a third kills the
    process. *health* answers throughout and says "draining" from the first signal on. What only the
    garbage collector finds is freed each *tidy_every* seconds.
    """
    stopping = asyncio.Event()
    freeze()
    async with AsyncExitStack() as stack:
        if health is not None:
            await stack.enter_async_context(health)
        tidying = asyncio.create_task(tidy(tidy_every), name="tidying")
        stack.callback(tidying.cancel)
        failures = await _run_all(services, stopping, health, grace)
    log.info("stopped", failed=sorted(failures))
    return 1 if failures else 0


async def _run_all(
    services: Mapping[str, Service], stopping: asyncio.Event, health: Health | None, grace: float
) -> set[str]:
    failures: set[str] = set()
    tasks: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        # First in line for the event: "not ready" is said before anybody stops taking work.
        ending = group.create_task(_end(tasks, stopping, health, grace), name="ending")
        tasks |= {
            group.create_task(_watch(name, service, stopping, failures), name=name)
            for name, service in services.items()
        }
        with _Signals(stopping, tasks):
            await asyncio.wait(tasks)
        ending.cancel()
    return failures


async def _watch(name: str, service: Service, stopping: asyncio.Event, failures: set[str]) -> None:
    """Run one service; whatever way it ends, the others are told to stop."""
    try:
        await service.run(stopping)
        if not stopping.is_set():
            failures.add(name)
            log.error("service_ended", service=name)
    except Exception:
        failures.add(name)
        log.exception("service_failed", service=name)
    finally:
        stopping.set()


async def _end(
    tasks: set[asyncio.Task[None]], stopping: asyncio.Event, health: Health | None, grace: float
) -> None:
    """Once *stopping* is set, allow *grace* seconds, then cancel."""
    await stopping.wait()
    if health is not None:
        health.drain()
    log.info("stopping", grace_seconds=grace)
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        log.warning("service_cancelled", service=task.get_name())
        task.cancel()


class _Signals:
    """First signal: stop. Second: cancel. Then the default, so that a third always ends us."""

    def __init__(self, stopping: asyncio.Event, tasks: set[asyncio.Task[None]]) -> None:
        self._stopping = stopping
        self._tasks = tasks
        self._seen = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in _ENDING:
            self._loop.add_signal_handler(number, self._on_signal, number)

    def __exit__(self, *_: object) -> None:
        for number in _ENDING:
            self._loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        log.info("signal_received", signal=number.name)
        if self._seen:
            for task in self._tasks:
                task.cancel()
            self.__exit__()
        self._seen = True
        self._stopping.set()


def main(program: Coroutine[Any, Any, int]) -> int:
    """Run *program* on uvloop and give its exit status.

    A signal that comes while nothing is running yet (a database is waited for, say) cancels it,
    so that what was opened is closed; a process with id 1 would otherwise not hear SIGTERM.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_cancelled_by_sigterm(program))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return _INTERRUPTED


async def _cancelled_by_sigterm(program: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await program
