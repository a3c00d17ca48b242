"""Answers opens and clicks, and writes them: the second ends after the first."""

import asyncio

from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from tracking.visit_writer import VisitWriter


class TrackingService:
    """A service of a program. What was noted when the server ends is written."""

    def __init__(self, server: HttpServer, writer: VisitWriter) -> None:
        self._server = server
        self._writer = writer

    async def address(self) -> Endpoint:
        """Where the server listens; waits until it does."""
        return await self._server.address()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*; raises CannotListen."""
        served = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run(served), name="writing visits")
            await self._server.run(stopping)
            served.set()
