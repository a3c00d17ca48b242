"""Listens for returned mail, and stops without cutting a message off."""

import asyncio
import socket
import ssl
from dataclasses import dataclass

import structlog

from bounces.open_connections import ClientLimits, OpenConnections
from bounces.own_addresses import OwnAddresses
from bounces.return_connection import ReturnConnection, ReturnHandler
from bounces.service import Bounces
from posthouse.running.http_server import CannotListen
from posthouse.running.tcp import Endpoint, notice_loss

log = structlog.get_logger()

_BACKLOG = 1024
_GREETING_OCTETS = 512
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- where to reach it from here


@dataclass(frozen=True, slots=True)
class _Port:
    """The open port."""

    address: Endpoint  # as it is set, with the port that was chosen for 0
    bound: Endpoint  # the IP address behind a host name
    connections: OpenConnections


class NotListening(Exception):
    """The port for returned mail is not open."""


class ReturnListener:
    """The bounces service as a whole: one port for all of our addresses."""

    def __init__(
        self,
        addresses: OwnAddresses,
        bounces: Bounces,
        listen: Endpoint,
        *,
        hostname: str,
        tls: ssl.SSLContext | None = None,
        limits: ClientLimits = ClientLimits(),  # noqa: B008 -- frozen
    ) -> None:
        self._addresses = addresses
        self._bounces = bounces
        self._listen = listen
        self._hostname = hostname
        self._tls = tls
        self._limits = limits
        self._opened: asyncio.Future[_Port] | None = None

    async def address(self) -> Endpoint:
        """Where it listens, the port chosen when port 0 was asked for; waits until it does."""
        return (await asyncio.shield(self._when_open())).address

    async def check(self) -> None:
        """Whether the port answers as a mail server does, for the readiness probe.

        The check has a place of its own: clients that fill the port do not make it unready.
        """
        port = await asyncio.shield(self._when_open())
        try:
            greeting = await _greeting(port)
        except OSError as error:
            raise NotListening(f"{port.address}: {error}") from error
        if not greeting.startswith(b"220 "):
            raise NotListening(f"{port.address}: {greeting.decode(errors='replace').strip()}")

    async def run(self, stopping: asyncio.Event) -> None:
        """Take returned mail until *stopping*, then let messages on their way end."""
        connections = OpenConnections(self._limits, asyncio.get_running_loop().time)
        server = await self._serve(connections)
        try:
            await stopping.wait()
            server.close()
            await connections.finish()
        finally:
            server.close()
            connections.cut()

    async def _serve(self, connections: OpenConnections) -> asyncio.Server:
        handler = ReturnHandler(self._addresses, self._bounces, connections)

        def connection() -> ReturnConnection:
            return ReturnConnection(handler, connections, hostname=self._hostname, tls=self._tls)

        host, port = self._listen.host, self._listen.port
        try:
            server = await asyncio.get_running_loop().create_server(
                connection, host, port, backlog=_BACKLOG
            )
        except OSError as error:
            raise CannotListen(f"cannot listen on {self._listen}: {error.strerror}") from error
        for listening in server.sockets:
            notice_loss(listening)
        bound = Endpoint(*server.sockets[0].getsockname()[:2])
        address = Endpoint(host, bound.port)
        self._when_open().set_result(_Port(address, bound, connections))
        log.info("bounces_listening", address=str(address))
        return server

    def _when_open(self) -> "asyncio.Future[_Port]":
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        return self._opened


async def _greeting(port: _Port) -> bytes:
    """What *port* says first to a connection that counts against no limit."""
    loop = asyncio.get_running_loop()
    host = _ANY_ADDRESS.get(port.bound.host, port.bound.host)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as own:
        own.settimeout(0)
        own.bind((host, 0))
        local = own.getsockname()
        port.connections.expect_check(local)
        try:
            await loop.sock_connect(own, (host, port.bound.port))
            return await loop.sock_recv(own, _GREETING_OCTETS)
        finally:
            port.connections.end_check(local)
