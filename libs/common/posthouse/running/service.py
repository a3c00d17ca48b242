"""Run services until a signal or a failure ends them, then let them drain."""

import asyncio
import resource
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import structlog
import uvloop

from posthouse.running.garbage import TIDY_SECONDS, freeze, tidy
from posthouse.running.health import Health
from posthouse.running.loop_lag import observe_lag

log = structlog.get_logger()

_ENDING = (signal.SIGTERM, signal.SIGINT)
_INTERRUPTED = 130
_OPEN_FILES = 65_536
# A terminal, systemd and timeout(1) may each signal a process and also its parent, which passes
# the signal on: signals within this time of the first one mean the same stop.
SAME_STOP_SECONDS = 1.0


class Service(Protocol):
    """Something that works until it is told to stop."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set, then finish the work or give it back, and return."""


async def run(
    services: Mapping[str, Service],
    *,
    health: Health | None,
    grace: float,
    tidy_every: float = TIDY_SECONDS,
    break_off: signal.Signals | None = None,
) -> int:
    """Run *services* (by name) side by side; the exit status: 0, or 1 when one of them failed.

    SIGTERM or SIGINT, or the end of any service, sets `stopping` for all. Those still running
    *grace* seconds later are cancelled. A second signal, a second or more after the first, cancels
    them at once, and a third kills the process. A process whose parent passes signals on names
    *break_off*: this signal cancels, and SIGTERM and SIGINT only ever stop.

    *health* answers throughout and says "draining" from the first signal on. The garbage collector
    runs every *tidy_every* seconds.
    """
    work = _Work(services, health, grace, break_off)
    freeze()
    async with AsyncExitStack() as stack:
        if health is not None:
            await stack.enter_async_context(health)
        await work.run(tidy_every)
    log.info("stopped", failed=sorted(work.failures))
    return 1 if work.failures else 0


class _Work:
    """All services of one process, from their start to their end."""

    def __init__(
        self,
        services: Mapping[str, Service],
        health: Health | None,
        grace: float,
        break_off: signal.Signals | None,
    ) -> None:
        self.failures: set[str] = set()
        self._services = services
        self._health = health
        self._grace = grace
        self._break_off_signal = break_off
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken_off = False
        self._stopped_at: float | None = None  # when the first signal came, in loop time

    async def run(self, tidy_every: float) -> None:
        """Return when every service has ended."""
        async with asyncio.TaskGroup() as group:
            # The first to wait for `stopping`: "not ready" is said before any service stops.
            ending = group.create_task(self._end(), name="ending")
            tidying = group.create_task(tidy(tidy_every), name="tidying")
            lag = group.create_task(observe_lag(), name="loop-lag")
            self._tasks |= {
                group.create_task(self._watch(name, service), name=name)
                for name, service in self._services.items()
            }
            self._handle_signals()
            try:
                await asyncio.wait(self._tasks)
            finally:
                self._leave_signals()
            for beside in (ending, tidying, lag):
                beside.cancel()

    async def _watch(self, name: str, service: Service) -> None:
        """Run one service; whatever way it ends, the others are told to stop."""
        try:
            await service.run(self._stopping)
            if not self._stopping.is_set():
                self.failures.add(name)
                log.error("service_ended", service=name)
        except Exception as error:
            self.failures.add(name)
            if self._broken_off:  # follows from that, and says nothing about the service
                log.warning("service_broken_off", service=name, reason=type(error).__name__)
            else:
                log.exception("service_failed", service=name)
        finally:
            self._stopping.set()

    async def _end(self) -> None:
        """Once told to stop, allow the grace period, then cancel."""
        await self._stopping.wait()
        if self._health is not None:
            self._health.drain()
        log.info("stopping", grace_seconds=self._grace)
        _, late = await asyncio.wait(self._tasks, timeout=self._grace)
        for task in late:
            log.warning("service_cancelled", service=task.get_name())
            task.cancel()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._stop, number)
        if self._break_off_signal is not None:
            loop.add_signal_handler(self._break_off_signal, self._break_off)

    def _leave_signals(self) -> None:
        """Back to the default; a process whose parent passes signals on ignores late ones."""
        loop = asyncio.get_running_loop()
        for number in (*_ENDING, self._break_off_signal):
            if number is None:
                continue
            loop.remove_signal_handler(number)
            if self._break_off_signal is not None:
                signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: signal.Signals) -> None:
        log.info("signal_received", signal=number.name)
        now = asyncio.get_running_loop().time()
        if self._stopped_at is None:
            self._stopped_at = now
            self._stopping.set()
        elif self._break_off_signal is None and now - self._stopped_at >= SAME_STOP_SECONDS:
            self._break_off()

    def _break_off(self) -> None:
        if self._broken_off:  # a second signal had come before the first was handled
            return
        log.warning("broken_off")
        self._broken_off = True
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        self._leave_signals()


def main(program: Coroutine[Any, Any, int]) -> int:
    """Run *program* on uvloop and give its exit status.

    A signal that comes while nothing is running yet (a database is waited for, say) cancels it,
    so that what was opened is closed; a process with id 1 would otherwise not hear SIGTERM.
    """
    allow_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_cancelled_by_sigterm(program))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return _INTERRUPTED


def allow_open_files(needed: int = 0) -> int:
    """How many files this process may have open: *needed* ones, if the system lets it.

    Shells and container engines start programs with 1,024, fewer than our connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(needed, _OPEN_FILES)
    most = max(soft, wanted if hard == resource.RLIM_INFINITY else min(hard, wanted))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


async def _cancelled_by_sigterm(program: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    sys.unraisablehook = _on_unraisable
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    return await program


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One quiet line for a name that could not be resolved after the caller had given up.

    The caller has reported its timeout; the look-up cannot be cancelled, and fails later.
    """
    error = context.get("exception")
    if isinstance(error, socket.gaierror):
        log.debug("late_lookup_failed", reason=str(error))
    else:
        loop.default_exception_handler(context)


def _on_unraisable(what: "sys.UnraisableHookArgs") -> None:
    """One line for an exception that Python has nobody to give to.

    A client causes one by asking for a server's name (SNI) in octets that are no text.
    """
    log.warning("unraisable", reason=ascii(what.exc_value), where=ascii(what.object))
