"""An attempt in a process of its own: if a suspect ends the process that tries it, only that one.

Postfix runs every delivery so. Here it takes two abandoned claims in a row: then either this
delivery ends the process that tries it, or another one did that was beside it on the wire. By
itself it proves which: what ends its own process is abandoned once more, and quarantined soon;
what does not has its result, like any other.
"""

import asyncio
import pickle
import sys
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from dispatcher.settings import DispatcherSettings
from posthouse.store.deliveries import ClaimedDelivery, Settlement

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "dispatcher.isolated")
# What takes longer hangs: five hosts that use up all their time limits take less.
LONGEST_SECONDS = 2 * 3600.0
# Length of what the process is given, ahead of it.
LENGTH = 8

log = structlog.get_logger()


class Isolation(Protocol):
    """Attempts a delivery where it can harm no other."""

    async def run(self, claimed: ClaimedDelivery) -> Settlement | None:
        """The result; None when whatever tried it ended without one."""


@dataclass(frozen=True, slots=True)
class ProcessIsolation:
    """Starts `dispatcher.isolated` for each attempt."""

    settings: DispatcherSettings

    async def run(self, claimed: ClaimedDelivery) -> Settlement | None:
        """See Isolation. Cancelling it ends the process."""
        # A session of its own: signals to our process group are for us, and we wait for it.
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                answer = await self._ask(process, claimed)
                await process.wait()
        except (OSError, TimeoutError) as error:
            answer = b""
            log.warning("isolated_attempt_lost", reason=str(error) or type(error).__name__)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not answer:
            log.warning(
                "isolated_attempt_died",
                delivery=claimed.delivery.id.hex,
                status=process.returncode,
            )
            return None
        settlement: Settlement = pickle.loads(answer)  # noqa: S301 -- our own program wrote it
        return replace(settlement, claimed=claimed)

    async def _ask(self, process: asyncio.subprocess.Process, claimed: ClaimedDelivery) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        given = pickle.dumps((self.settings, claimed))
        process.stdin.write(len(given).to_bytes(LENGTH) + given)
        del given
        # Its input stays open: when that ends, the process knows that we are gone.
        await process.stdin.drain()
        return await process.stdout.read()
