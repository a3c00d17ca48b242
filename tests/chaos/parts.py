"""Something of a relay that can be struck, and comes back."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from chaos.program import Program, children
from onebox.postgres_server import EmbeddedPostgres
from servers.first_data import put_first_data
from servers.patience import on_this_machine
from servers.rabbitmq import RabbitNode

# How long a onebox may take to notice that a process of it died, and to replace it.
_FALL_SECONDS = 20.0
_LOOK_SECONDS = 0.02


class Part(Protocol):
    """Something of a relay that ends and comes back; each call returns when that is done."""

    async def start(self) -> None:
        """Bring it up."""

    async def kill(self) -> None:
        """End it as a power cut does."""

    async def stop(self) -> None:
        """End it in good order."""


class WorkerPart:
    """One of the processes that do the work of a onebox, which replaces it by itself."""

    def __init__(self, whole: Program) -> None:
        self._whole = whole
        self._count = 0

    async def start(self) -> None:
        """Wait until another one has taken its place."""
        async with asyncio.timeout(on_this_machine(_FALL_SECONDS)):
            while len(self._whole.workers()) < self._count:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(_LOOK_SECONDS)
        await self._whole.become_ready()

    async def kill(self) -> None:
        """See Part."""
        victim = self._whole.workers()[-1]
        self._count = len(self._whole.workers())
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(on_this_machine(_FALL_SECONDS)):
            while victim in self._whole.workers():  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Stop the whole: no operator stops a worker alone."""
        await self._whole.stop()


class DatabasePart:
    """The PostgreSQL beneath a onebox, which starts it again by itself."""

    def __init__(self, whole: Program) -> None:
        self._whole = whole
        self._killed: set[int] = set()

    async def start(self) -> None:
        """Wait until it is back: it needs no hand."""
        async with asyncio.timeout(on_this_machine(_FALL_SECONDS)):
            while not self._servers() - self._killed:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(_LOOK_SECONDS)
        await self._whole.become_ready()

    async def kill(self) -> None:
        """See Part."""
        self._killed = self._servers()
        for server in self._killed:
            kill_tree(server)

    def _servers(self) -> set[int]:
        return set(children(self._whole.pid)) - set(self._whole.workers())

    async def stop(self) -> None:
        """Stop the whole: no operator stops its database alone."""
        await self._whole.stop()


class PostgresPart:
    """A PostgreSQL on a folder of its own that keeps what was committed."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._server = EmbeddedPostgres(folder, options=options)
        self.url = self._server.dsn

    async def start(self) -> None:
        """See Part."""
        put_first_data(self._folder)
        await self._server.start()

    async def kill(self) -> None:
        """See Part."""
        kill_tree(self._server.pid)
        await self._server.stop()  # lets go of the folder

    async def stop(self) -> None:
        """See Part."""
        await self._server.stop()


def kill_tree(pid: int) -> None:
    """End *pid* and its children: those of a PostgreSQL would work on for a while without it."""
    for process in (pid, *children(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


class RabbitPart:
    """The broker; its calls block, and the sink has to go on meanwhile."""

    def __init__(self, node: RabbitNode) -> None:
        self._node = node

    async def start(self) -> None:
        """See Part."""
        await asyncio.to_thread(self._node.start)

    async def kill(self) -> None:
        """See Part."""
        await asyncio.to_thread(self._node.kill)

    async def stop(self) -> None:
        """See Part."""
        await asyncio.to_thread(self._node.stop)

    async def wipe(self) -> None:
        """Have it come back with no memory of queues or hints."""
        await asyncio.to_thread(self._node.wipe)


class MemoryPart:
    """What the broker keeps: ended, it forgets all queues and hints."""

    def __init__(self, broker: RabbitPart) -> None:
        self._broker = broker

    async def start(self) -> None:
        """See Part: `kill` has the broker back already."""

    async def kill(self) -> None:
        """See Part."""
        await self._broker.wipe()

    async def stop(self) -> None:
        """See Part."""
        await self._broker.wipe()
