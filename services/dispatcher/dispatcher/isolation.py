"""An attempt in a process of its own: a suspect can end only that process.

Postfix runs every delivery like this. Here it takes two abandoned claims in a row: then either this
delivery ends the process that tries it, or another one did that was beside it on the wire. By
itself it shows which: one that ends its own process is abandoned once more, and quarantined soon;
one that does not has its result, like any other.
"""

import asyncio
import pickle
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from dispatcher.settings import DispatcherSettings
from posthouse.store.deliveries import ClaimedDelivery, Settlement

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "dispatcher.isolated")
# A longer attempt hangs: five hosts that use up all their time limits take less.
LONGEST_SECONDS = 2 * 3600.0
# A process without work is kept this long: there may be many suspects after a crash.
IDLE_SECONDS = 10.0
# Input and output are preceded by their length, in this many octets.
LENGTH = 8

log = structlog.get_logger()


class Isolation(Protocol):
    """Attempts a delivery where it can harm no other."""

    async def run(self, claimed: ClaimedDelivery) -> Settlement | None:
        """The result; None when the process that tried it ended without one."""


@dataclass(slots=True)
class ProcessIsolation:
    """Runs `dispatcher.isolated`, which tries one delivery at a time and is kept for a while."""

    settings: DispatcherSettings
    _idle: dict[asyncio.subprocess.Process, asyncio.TimerHandle] = field(default_factory=dict)

    async def run(self, claimed: ClaimedDelivery) -> Settlement | None:
        """See Isolation. Cancelling it ends the process."""
        process = await self._process()
        answer = b""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                answer = await self._ask(process, claimed)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning(
                "isolated_attempt_died",
                delivery=claimed.delivery.id.hex,
                reason=str(error) or type(error).__name__,
            )
        finally:
            if not answer:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if not answer:
            return None
        self._keep(process)
        settlement: Settlement = pickle.loads(answer)  # noqa: S301 -- our own program wrote it
        return replace(settlement, claimed=claimed)

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
            if process.returncode is None:
                return process
        # A session of its own: signals to our process group are for us, and we wait for it.
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _ask(self, process: asyncio.subprocess.Process, claimed: ClaimedDelivery) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        given = pickle.dumps((self.settings, claimed))
        process.stdin.write(len(given).to_bytes(LENGTH) + given)
        del given
        await process.stdin.drain()
        length = int.from_bytes(await process.stdout.readexactly(LENGTH))
        return await process.stdout.readexactly(length)

    def _keep(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        self._idle[process] = loop.call_later(IDLE_SECONDS, self._retire, process)

    def _retire(self, process: asyncio.subprocess.Process) -> None:
        del self._idle[process]
        assert process.stdin is not None
        process.stdin.close()  # then it ends
