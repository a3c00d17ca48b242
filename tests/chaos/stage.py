"""Relays for the long forms: a fresh one for each case, with a folder for its data and logs."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from chaos.ledger import Ledger
from chaos.relay import Onebox, Split
from servers.rabbitmq import RabbitServer, start_rabbitmq
from servers.rabbitmq_container import ContainerNode
from servers.rabbitmq_private import NoRabbitMq, PrivateNode


class CannotRun(Exception):
    """Something that a case needs is not to be had; the text says what."""


class Stage:
    """Makes relays; one RabbitMQ, started when it is first needed, serves them all."""

    def __init__(self, parent: Path) -> None:
        """Data lies in a new folder in *parent*: a 250 is worth what that disk is."""
        self.folder = Path(tempfile.mkdtemp(prefix="posthouse-chaos-", dir=parent))
        self.folder.chmod(0o711)  # PostgreSQL may run as somebody else
        self.versions: dict[str, str] = {}  # of the servers that were used
        self._rabbitmq: RabbitServer | None = None
        self._keep = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._rabbitmq is not None:
            await asyncio.to_thread(self._rabbitmq.close)
        if not self._keep:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    @asynccontextmanager
    async def onebox(
        self, name: str, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Onebox]:
        """Ready for mail."""
        relay = Onebox(self._room(name), settings)
        try:
            await relay.start()
            self.versions["PostgreSQL"] = await Ledger(relay.database_url).version()
            yield relay
        finally:
            await relay.close()

    @asynccontextmanager
    async def split(self, name: str, *, copies: int = 1) -> AsyncIterator[Split]:
        """Ready for mail. Raises CannotRun."""
        server = await self._broker()
        node = server if isinstance(server, PrivateNode | ContainerNode) else None
        relay = Split(self._room(name), server.url, node, copies=copies)
        try:
            await relay.start()
            self.versions["PostgreSQL"] = await Ledger(relay.database_url).version()
            yield relay
        finally:
            await relay.close()

    def keep(self, name: str) -> Path:
        """Leave the folder of a relay when all is over: it holds what its programs said."""
        self._keep = True
        return self.folder / name

    def clear(self, name: str) -> None:
        """Remove the folder of a relay that ended well."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    async def _broker(self) -> RabbitServer:
        if self._rabbitmq is None:
            try:
                self._rabbitmq = await asyncio.to_thread(
                    start_rabbitmq, self._room("rabbitmq-server")
                )
            except NoRabbitMq as reason:
                raise CannotRun(f"RabbitMQ is missing: {reason}") from reason
            if isinstance(self._rabbitmq, PrivateNode | ContainerNode):
                told = await asyncio.to_thread(self._rabbitmq.ctl, "version")
                self.versions["RabbitMQ"] = told.strip()
        return self._rabbitmq

    def _room(self, name: str) -> Path:
        room = self.folder / name
        room.mkdir(mode=0o711)
        return room
