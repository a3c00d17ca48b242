"""Listens for returned mail, and stops without cutting a message off."""

import asyncio
import ssl

import structlog

from bounces.service import Bounces
from bounces.smtp_handler import Conversation, Conversations, Door
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import CannotListen
from posthouse.running.keepalive import notice_loss

log = structlog.get_logger()

_BACKLOG = 1024


class NotListening(Exception):
    """The port for returned mail is not open."""


class ReturnListener:
    """The bounces service as a whole: one port for all return paths."""

    def __init__(
        self,
        bounces: Bounces,
        listen: Endpoint,
        *,
        hostname: str,
        tls: ssl.SSLContext | None = None,
        connections: int = 200,
    ) -> None:
        self._door = Door(bounces)
        self._listen = listen
        self._hostname = hostname
        self._tls = tls
        self._connections = connections
        self._open: asyncio.Future[Endpoint] | None = None

    async def address(self) -> Endpoint:
        """Where it listens, the port chosen when port 0 was asked for; waits until it does."""
        return await asyncio.shield(self._opened())

    async def check(self) -> None:
        """Whether the port answers as a mail server does, for the readiness probe."""
        address = await self.address()
        try:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            greeting = await reader.readline()
            writer.close()
        except OSError as error:
            raise NotListening(f"{address}: {error}") from error
        if not greeting.startswith(b"220 "):
            raise NotListening(f"{address}: {greeting.decode(errors='replace').strip()}")

    async def run(self, stopping: asyncio.Event) -> None:
        """Take returned mail until *stopping*, then finish what is on its way."""
        conversations = Conversations(self._connections)
        server = await self._serve(conversations)
        try:
            await stopping.wait()
            server.close()
            await conversations.finish()
        finally:
            server.close()
            conversations.cut()

    async def _serve(self, conversations: Conversations) -> asyncio.Server:
        def converse() -> Conversation:
            return Conversation(self._door, conversations, hostname=self._hostname, tls=self._tls)

        host, port = self._listen.host, self._listen.port
        try:
            server = await asyncio.get_running_loop().create_server(
                converse, host, port, backlog=_BACKLOG
            )
        except OSError as error:
            raise CannotListen(f"cannot listen on {self._listen}: {error.strerror}") from error
        for listening in server.sockets:
            notice_loss(listening)
        address = Endpoint(host, server.sockets[0].getsockname()[1])
        self._opened().set_result(address)
        log.info("bounces_listening", address=str(address))
        return server

    def _opened(self) -> "asyncio.Future[Endpoint]":
        if self._open is None:
            self._open = asyncio.get_running_loop().create_future()
        return self._open
