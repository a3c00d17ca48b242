"""A mail exchanger on loopback whose manners a test decides, line by line."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MESSAGE_LIMIT = 64 * 1024 * 1024


@dataclass
class Peer:
    """The server's side of one connection."""

    mx: "Mx"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *lines: str) -> None:
        """Send lines, in one packet."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()

    async def hear(self) -> str:
        """The next line without its end; "" when the client has hung up."""
        line = (await self.reader.readline()).decode().rstrip("\r\n")
        self.mx.heard.append(line)
        return line

    async def greet(self, *extensions: str) -> None:
        """Greeting and EHLO."""
        await self.say("220 mx.example ESMTP")
        await self.hear()
        await self.hello(*extensions)

    async def hello(self, *extensions: str) -> None:
        """The answer to EHLO."""
        *more, last = ("mx.example", *extensions)
        await self.say(*(f"250-{name}" for name in more), f"250 {last}")

    async def take_content(self) -> bytes:
        """What comes after 354, without the dot."""
        content = await self.reader.readuntil(b"\r\n.\r\n")
        return content[:-3]

    async def serve(self) -> None:
        """Be a polite server from here on: take every message, until QUIT."""
        while (line := await self.hear()) not in ("", "QUIT"):
            if line != "DATA":
                await self.say("250 2.0.0 Ok")
                continue
            await self.say("354 go")
            self.mx.messages.append(await self.take_content())
            await self.say("250 2.0.0 queued")
        await self.say("221 2.0.0 bye")


Manners = Callable[[Peer], Awaitable[None]]


async def polite(peer: Peer) -> None:
    """Greet and serve."""
    await peer.greet("PIPELINING")
    await peer.serve()


@dataclass
class Mx:
    """One server; each connection takes the next manners, the last ones for good."""

    manners: tuple[Manners, ...]
    messages: list[bytes] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    begun: int = 0  # texts that are on their way, where manners count them
    port: int = 0

    async def on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Play one connection, and hang up."""
        manners = self.manners[min(self.connections, len(self.manners) - 1)]
        self.connections += 1
        try:
            await manners(Peer(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client hung up first
        finally:
            writer.close()


@asynccontextmanager
async def mx(*manners: Manners, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Mx]:
    """A server with these manners, listening."""
    server = Mx(manners or (polite,))
    listening = await asyncio.start_server(server.on_connection, address, port, limit=MESSAGE_LIMIT)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
