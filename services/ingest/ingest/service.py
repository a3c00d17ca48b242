"""Ingest: listeners, the sessions behind them, and how they end."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from ingest.authenticator import Authenticator, Directory
from ingest.core.limits import Limits
from ingest.core.trouble import StoreTrouble
from ingest.door import Door, Guests, Intake
from ingest.listener import Listener, TlsMode
from ingest.smtp_session import SmtpSession
from ingest.sockets import BACKLOG, addresses, bind
from posthouse.running.certificate import Certificate
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import CannotListen

log = structlog.get_logger()

_HANDSHAKE_SECONDS = 30.0


class IngestService:
    """Takes mail in on *listeners* and hands it to *intake*."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        hostname: str,
        intake: Intake,
        directory: Directory,
        pepper: bytes,
        certificate: Certificate | None,
        new_id: Callable[[], UUID],
        clock: Callable[[], float],
        has_room: Callable[[], bool] = lambda: True,  # while it says no, mail is turned away
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """*pepper* keys the hashes of secrets, *clock* tells monotonic seconds.

        *sockets*: those of the listeners, where they are bound already.

        Raises CannotListen when a listener needs a certificate and there is none.
        """
        for listener in listeners:
            if listener.tls.needs_certificate and certificate is None:
                raise CannotListen(f"{listener} needs a TLS certificate, and none is set")
        self._listeners = tuple(listeners)
        self._sockets = list(sockets)
        self._addresses = addresses(sockets)
        self._door = Door(
            hostname=hostname,
            limits=limits,
            intake=intake,
            authenticator=Authenticator(directory, pepper, clock, limits.directory_seconds),
            guests=Guests(limits),
            trouble=StoreTrouble(),
            has_room=has_room,
            new_id=new_id,
            tls=certificate.context if certificate else None,
        )

    def bind(self) -> None:
        """Take the addresses; clients that connect before `run` are served then.

        Raises CannotListen. Does nothing the second time.
        """
        if not self._sockets:
            (self._sockets,) = bind(self._listeners)
            self._addresses = addresses(self._sockets)

    @property
    def addresses(self) -> tuple[Endpoint, ...]:
        """Where each listener really is, in their order, once bound: ports asked as 0 are known."""
        return self._addresses

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*, then let every session finish the command it is at.

        Cancelled, it breaks off what is left.
        """
        self.bind()
        try:
            servers = [
                await self._serve(listener, bound)
                for listener, bound in zip(self._listeners, self._sockets, strict=True)
            ]
            log.info("listening", addresses=[str(a) for a in self.addresses])
            await stopping.wait()
            for server in servers:
                server.close()
            await self._empty()
        finally:
            for guest in tuple(self._door.guests.inside):
                guest.abort()

    async def _serve(self, listener: Listener, bound: socket.socket) -> asyncio.Server:
        implicit = listener.tls is TlsMode.IMPLICIT
        return await asyncio.get_running_loop().create_server(
            lambda: SmtpSession(self._door, listener),
            sock=bound,
            backlog=BACKLOG,
            ssl=self._door.tls if implicit else None,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if implicit else None,
        )

    async def _empty(self) -> None:
        """Send everyone home and wait until they have gone."""
        guests = self._door.guests
        guests.stopping = True
        for guest in tuple(guests.inside):
            guest.stop()
        await guests.empty.wait()
