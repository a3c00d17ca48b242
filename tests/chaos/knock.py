"""One message, once, by a client that takes the first no for an answer."""

import asyncio
import base64

from bench.load_session import Door

from chaos.relay import SENDER_DOMAIN
from servers.patience import on_this_machine

_LINE = "x" * 70 + "\r\n"


async def knock(
    door: Door,
    within: float = 15.0,
    *,
    recipient: str = "ann@dest.example",
    number: int = 0,
    lines: int = 1,
    fields: str = "",
) -> str:
    """The reply that decided: of the first command that was refused, or of the final dot.

    *fields*: more of the header, each with its line end.
    TimeoutError when the relay leaves any of it unanswered for *within* seconds.
    """
    plain = base64.b64encode(f"\0{door.user}\0{door.secret}".encode()).decode()
    commands = (
        "EHLO client.example",
        f"AUTH PLAIN {plain}",
        f"MAIL FROM:<news@{SENDER_DOMAIN}>",
        f"RCPT TO:<{recipient}>",
        "DATA",
        f"From: news@{SENDER_DOMAIN}\r\nX-Bench-Id: {number}\r\n{fields}\r\n{_LINE * lines}.",
    )
    async with asyncio.timeout(on_this_machine(within)):
        reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        said = await _reply(reader, within)
        for command in commands:
            if said[0] not in "23":
                break
            writer.write(f"{command}\r\n".encode())
            said = await _reply(reader, within)
        return said
    finally:
        writer.close()


async def _reply(reader: asyncio.StreamReader, within: float) -> str:
    async with asyncio.timeout(on_this_machine(within)):
        while (line := await reader.readline())[3:4] == b"-":
            pass
    return line.decode().rstrip()
