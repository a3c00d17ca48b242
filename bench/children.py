"""Programs that the benchmark starts: each ends when we do, however we end."""

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bench.accounting import Account

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
POSTHOUSE = str(Path(sys.executable).with_name("posthouse"))
# The code that starts private servers is among the tests, which need it too.
SHARED_WITH_TESTS = {"PYTHONPATH": str(ROOT / "tests")}

_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ProgramFailed(Exception):
    """A program failed; the text ends with its last output."""


class Child:
    """A running program; its output goes to a log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, *, inner: bool) -> None:
        self._process = process
        self._log = log
        self._inner = inner

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        log: Path,
        account: Account | None = None,
        *,
        env: Mapping[str, str] | None = None,
        speaks: bool = False,
        inner: bool = False,
    ) -> Self:
        """Start *command*, counted by *account*. If it *speaks*, we read its standard output.

        With *inner*, the program is the only child of *command*, which itself ignores SIGTERM.
        """
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                *(account.counted(command) if account else command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if speaks else said,
                stderr=said,
                env=surroundings(env),
                cwd=ROOT,
                start_new_session=True,  # ctrl-C reaches us, and we stop it in order
                preexec_fn=_die_with_us,
            )
        if account:
            account.adopt(process.pid)
        return cls(process, log, inner=inner)

    @property
    def running(self) -> bool:
        """Whether it is still running."""
        return self._process.returncode is None

    async def line(self, seconds: float = 120.0) -> dict[str, Any]:
        """The next JSON line that it prints. Raises ProgramFailed."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                return dict(json.loads(await self._process.stdout.readline()))
        except (TimeoutError, ValueError):
            raise ProgramFailed(self.said()) from None

    async def ready(self, health: int, seconds: float = 60.0) -> None:
        """Return when port *health* answers that it is ready. Raises ProgramFailed."""
        try:
            async with asyncio.timeout(seconds):
                while not await _is_ready(health):
                    if not self.running:
                        raise ProgramFailed(self.said())
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise ProgramFailed(self.said()) from None

    async def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Return when *true* says that it has done its work. Raises ProgramFailed."""
        end = time.monotonic() + seconds
        while not true():
            if not self.running or time.monotonic() > end:
                raise ProgramFailed(self.said())
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if that has no effect; return when it has ended."""
        for number, pids in (
            (signal.SIGTERM, self._children() if self._inner else [self._process.pid]),
            (signal.SIGKILL, [self._process.pid]),
        ):
            if self.running:
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)

    def _children(self) -> list[int]:
        pid = self._process.pid
        with suppress(OSError):
            return [
                int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        return []

    def said(self) -> str:
        """Its name and the end of its log."""
        return f"{self._log.stem}: {self._log.read_text(errors='replace')[-1500:].strip()}"


async def stop_all(children: list[Child]) -> None:
    """End *children* one after the other, the last first, and forget them."""
    while children:
        await children.pop().stop()


async def answer(command: Sequence[str], env: Mapping[str, str] | None = None) -> bytes:
    """The output of a program that ends by itself. Raises ProgramFailed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(env),
        cwd=ROOT,
    )
    printed, said = await process.communicate()
    if process.returncode != 0:
        raise ProgramFailed(f"{' '.join(command)}: {said.decode(errors='replace')[-1500:]}")
    return printed


def surroundings(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without the user's own settings of Posthouse, and *env*."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("POSTHOUSE_")}
    return {**kept, **(env or {})}


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        good = b" 200 " in await reader.readline()
        writer.close()
    except OSError:
        return False
    return good


def _die_with_us() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
