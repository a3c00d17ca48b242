"""A program of the product as a child process that a test may strike."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from servers.forking import Forked, can_fork
from servers.patience import on_this_machine

POSTHOUSE = Path(sys.executable).with_name("posthouse")
_READY = "HTTP/1.1 200"
_READY_SECONDS = 300.0
_STOP_SECONDS = 40.0
_LOOK_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Program:
    """One service, or the whole onebox; ends with the tests, however those end."""

    def __init__(
        self, command: Sequence[str | Path], env: Mapping[str, str], log: Path, health: int
    ) -> None:
        """*health* is the port of its health checks; what it says is appended to *log*."""
        self._command = [str(part) for part in command]
        self._env = {**_surroundings(), **env}
        self._log = log
        self._health = health
        self._child: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child is not None, "not started"
        return self._child.pid

    def workers(self) -> list[int]:
        """The process ids of its children that run the same program, oldest first."""
        own = _executable(self.pid)
        return [pid for pid in children(self.pid) if _executable(pid) == own]

    async def start(self) -> None:
        """Start it; returns when it says that it is ready."""
        self.launch()
        await self.become_ready()

    @property
    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._child is not None and self._child.poll() is not None

    async def become_ready(self) -> None:
        """Return when it says that it is ready."""
        end = time.monotonic() + _READY_SECONDS
        while not (said := await self.readiness()).startswith(_READY):
            assert self._child is not None
            assert self._child.poll() is None, f"{self._command[-1]} ended: {self.said()}"
            assert time.monotonic() < end, (
                f"{self._command[-1]} is not ready after {_READY_SECONDS:g} s: {said[-300:]!r}"
            )
            await asyncio.sleep(_LOOK_SECONDS)

    async def is_ready(self) -> bool:
        """Whether it says so."""
        return (await self.readiness()).startswith(_READY)

    async def readiness(self) -> str:
        """What it says about itself; "" while it does not listen."""
        return await readiness(self._health)

    def launch(self) -> None:
        """Start it without waiting for anything."""
        with self._log.open("ab") as said, Path(os.devnull).open("rb") as nothing:
            program, *arguments = self._command
            if program == str(POSTHOUSE) and can_fork(self._env):
                streams = (nothing.fileno(), said.fileno(), said.fileno())
                self._child = Forked(arguments, self._env, streams)
                return
            self._child = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=nothing,
                stdout=said,
                stderr=said,
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 -- one system call, no locks
            )

    async def kill(self) -> None:
        """End it as a power cut does; returns when it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in good order; returns when it is gone, and holds it to exit status 0."""
        assert await self._end(signal.SIGTERM) == 0, f"did not end well: {self.said()}"

    async def ended(self, seconds: float) -> int:
        """The exit status of a program that ends by itself; TimeoutError when it does not."""
        assert self._child is not None
        async with asyncio.timeout(on_this_machine(seconds)):
            while (status := self._child.poll()) is None:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(_LOOK_SECONDS)
        return status

    def freeze(self) -> None:
        """Have it stand still, unaware of it, its connections open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def close(self) -> None:
        """End it, if it still runs, whatever state it is in."""
        if self._child is not None and self._child.poll() is None:
            await self.kill()

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    async def _end(self, number: signal.Signals) -> int:
        os.kill(self.pid, number)
        try:
            return await self.ended(_STOP_SECONDS)
        except TimeoutError:
            raise AssertionError(
                f"{self._command[-1]} has not ended {_STOP_SECONDS:g} s after {number.name}"
            ) from None


async def readiness(port: int) -> str:
    """The answer of the health check at *port* of this host, status line first; "" without one.

    Ready is "HTTP/1.1 200".
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    try:
        writer.write(b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.read()).decode()
    except OSError:
        return ""
    finally:
        writer.close()


def children(pid: int) -> list[int]:
    """The process ids of the children of the main thread of *pid*, oldest first; none if gone."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in found.split()]


def _executable(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/exe").readlink()
    except FileNotFoundError:  # it just ended
        return None


def _surroundings() -> dict[str, str]:
    """Our environment, without the settings of the user who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}


def _dies_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        armed = _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
        if not armed or os.getppid() != parent:
            os._exit(1)

    return prepare
