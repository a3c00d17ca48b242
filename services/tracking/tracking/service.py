"""Answers opens and clicks, and writes them: the second ends after the first."""

import asyncio
from collections.abc import Sequence

from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from tracking.visit_writer import VisitWriter


class TrackingService:
    """A service of a program. What was noted when the servers end is written."""

    def __init__(self, servers: Sequence[HttpServer], writer: VisitWriter) -> None:
        self._servers = servers
        self._writer = writer

    async def address(self) -> Endpoint:
        """Where the first server listens; waits until it does."""
        return await self._servers[0].address()

    async def check(self) -> None:
        """Raises CannotListen unless all of them listen."""
        for server in self._servers:
            await server.check()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*; raises CannotListen."""
        served = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run(served), name="writing visits")
            async with asyncio.TaskGroup() as serving:
                for server in self._servers:
                    serving.create_task(server.run(stopping))
            served.set()
