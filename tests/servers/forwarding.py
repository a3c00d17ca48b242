"""Connections that are passed on to where a client could not connect itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def forward(
    host: str, port: int, connect: Callable[[], Awaitable[Streams]]
) -> asyncio.Server:
    """Listen there, and pass each connection on to what *connect* connects to."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await connect()
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    return await asyncio.start_server(serve, host, port)
