"""Servers that accept a connection and then barely read: no other mail may wait for them."""

import asyncio

from servers.mx import Peer


async def greets_late(peer: Peer) -> None:
    """Say the first word after 200 seconds."""
    await asyncio.sleep(200)
    await peer.greet("PIPELINING")


async def reads_slowly(peer: Peer) -> None:
    """Take the commands of a message, and of its text no more than the kernel does."""
    await peer.greet("PIPELINING")
    while (line := await peer.hear()) not in ("", "QUIT"):
        if line != "DATA":
            await peer.say("250 2.0.0 Ok")
            continue
        await peer.say("354 go")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.mx.begun += 1
        await asyncio.sleep(200)
