"""The port for returned mail over a store in memory, and a client that can speak SMTP wrongly."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from prometheus_client import REGISTRY

from bounces.open_connections import ClientLimits
from bounces.return_listener import ReturnListener
from posthouse.mail.return_path import sign
from posthouse.running.tcp import Endpoint
from servers.patience import on_this_machine
from servers.returned_mail import OURS, RememberedReturns, service_of

TODAY = date(2026, 3, 3)
HOST = "bounce.sender.example"
KEY, OLD_KEY = b"k" * 32, b"o" * 32


def own(number: int = 1, *, key: bytes = KEY, day: date = TODAY, host: str = HOST) -> str:
    """The return path of delivery *number*."""
    return sign(UUID(int=number), host, key, day)


def counted(name: str, **labels: str) -> float:
    """The value of a metric."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass
class Client:
    """Speaks SMTP by the letter, so that it can speak it wrongly too."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def reply(self) -> str:
        """One reply, all its lines."""
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), on_this_machine(10))).decode()
            lines.append(line.rstrip())
            if line[3:4] != "-":
                return "\n".join(lines)

    async def send(self, line: str | bytes) -> str:
        """The reply to a line, or to octets as they are."""
        self.writer.write(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return await self.reply()

    async def start(self, to: str) -> str:
        """Up to the reply to RCPT."""
        await self.send("EHLO mx.dest.example")
        await self.send("MAIL FROM:<>")
        return await self.send(f"RCPT TO:<{to}>")

    async def text(self, content: bytes) -> str:
        """The reply to a message's text."""
        assert (await self.send("DATA")).startswith("354")
        return await self.send(content + b"\r\n.\r\n")

    async def give(self, content: bytes, to: str) -> str:
        """The reply to a whole message."""
        refused = await self.start(to)
        return await self.text(content) if refused.startswith("250") else refused


@dataclass
class Port:
    """A listener with its store, for as long as a test runs."""

    returns: RememberedReturns
    listener: ReturnListener
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self, source: str = "127.0.0.1") -> Client:
        """A new connection from the address *source*, nothing read yet."""
        address = await self.listener.address()
        return Client(
            *await asyncio.open_connection(address.host, address.port, local_addr=(source, 0))
        )

    @asynccontextmanager
    async def client(self, source: str = "127.0.0.1") -> AsyncIterator[Client]:
        """A new connection from the address *source* that was greeted."""
        client = await self.connect(source)
        assert (await client.reply()).startswith("220 mx.sender.example")
        yield client
        client.writer.close()

    async def give(self, content: bytes, to: str, source: str = "127.0.0.1") -> str:
        """The reply to a whole message over a connection of its own."""
        async with self.client(source) as client:
            return await client.give(content, to)


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None, **limits: Any) -> AsyncIterator[Port]:
    returns = RememberedReturns()
    for number in range(1, 4):
        delivery = replace(OURS, id=UUID(int=number), return_path=own(number))
        returns.deliveries[delivery.id] = delivery
    listener = ReturnListener(
        *service_of(
            returns,
            (KEY, OLD_KEY),
            TODAY,
            hosts=("mx.sender.example",),
            complaint_addresses=("fbl@loops.example",),
        ),
        Endpoint("127.0.0.1", 0),
        hostname="mx.sender.example",
        tls=tls,
        limits=ClientLimits(**limits),
    )
    port = Port(returns, listener)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run(port.stopping))
        yield port
        port.stopping.set()
