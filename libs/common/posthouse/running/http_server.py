"""An application served over HTTP, or HTTPS, for as long as the program around it wants."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from posthouse.running.bounded_http import HEAD_SECONDS, BoundedHttp, ClientConnections
from posthouse.running.tcp import Endpoint

log = structlog.get_logger()

_BACKLOG = 256
_SHUTDOWN_SECONDS = 1
_UNREAD_SECONDS = 60  # then a client that reads nothing of what it was sent is gone


class CannotListen(Exception):
    """The address given to listen on could not be used."""


class HttpServer:
    """Serves *application* on *listen*: a service of a program."""

    def __init__(
        self,
        name: str,
        application: ASGIApp,
        listen: Endpoint,
        *,
        tls: ssl.SSLContext | None = None,
        shutdown_seconds: int = _SHUTDOWN_SECONDS,
        head_seconds: float = HEAD_SECONDS,
        connections: ClientConnections | None = None,
    ) -> None:
        """*name* is for logs; *tls* as it is when a client connects.

        Requests that are being answered at the end have *shutdown_seconds*, and a client has
        *head_seconds* to say what it wants, and as many *connections* as that says, or any number
        (`posthouse.running.bounded_http`).
        """
        self._name = name
        self._application = application
        self._listen = listen
        self._tls = tls
        self._shutdown_seconds = shutdown_seconds
        self._protocol = partial(BoundedHttp, head_seconds=head_seconds, connections=connections)
        self._address: asyncio.Future[Endpoint] | None = None

    async def address(self) -> Endpoint:
        """Where it listens, with the port that was found for port 0; waits until it does."""
        return await asyncio.shield(self._found())

    async def check(self) -> None:
        """Raises CannotListen unless it listens."""
        if not self._found().done():
            raise CannotListen(f"{self._name} does not listen yet")

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*; raises CannotListen."""
        async with self:
            await stopping.wait()

    def _found(self) -> "asyncio.Future[Endpoint]":
        if self._address is None:
            self._address = asyncio.get_running_loop().create_future()
        return self._address

    async def __aenter__(self) -> Endpoint:
        listener = _listener(self._listen)
        at = Endpoint(self._listen.host, listener.getsockname()[1])
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(self._serving(listener))
        self._found().set_result(at)
        log.info("http_listening", service=self._name, address=str(at))
        return at

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def _serving(self, listener: socket.socket) -> AsyncIterator[None]:
        tls = self._tls
        config = uvicorn.Config(
            self._application,
            http=cast("type[BoundedHttp]", self._protocol),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=self._shutdown_seconds,
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]), name=self._name)
            try:
                yield
            finally:
                server.ending.set()


def _listener(listen: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        found = socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error.strerror or error}") from error
    # Connections inherit both. The standard loop does not set the first where it did not make the
    # socket, and a kept connection waits 40 ms between head and body.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_SECONDS * 1000)
    return found


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it, and sleeps until it is asked.

    The library's own looks ten times a second whether it is to end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.ending.wait()
