"""Reads the text of a message from aiosmtpd's stream.

aiosmtpd collects a whole message in memory and refuses long lines. We keep the start of a message
only, and take lines of any length. For that we read the `asyncio.StreamReader` that aiosmtpd keeps
under a private name. Nothing else in here uses a private name of aiosmtpd; the version that this
is known to work with is pinned, and a test notices another one.
"""

import asyncio
from dataclasses import dataclass

from aiosmtpd.smtp import SMTP

from bounces.core.mime import SCANNED

AIOSMTPD_VERSION = "1.4.6"

_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of a message as it was sent, its dots undone (RFC 5321 section 4.5.2)."""

    start: bytes  # no more than is ever parsed
    octets: int  # of the whole text, as it came


async def read_text(protocol: SMTP) -> MessageText:
    """What the client of *protocol* sends from here up to <CRLF>.<CRLF>."""
    stream: asyncio.StreamReader = protocol._reader  # noqa: SLF001 -- see above
    kept, octets = bytearray(b"\r\n"), 0
    tail = bytes(kept)  # the end of the DATA line is the first half of an empty text's end
    while tail != _END:
        piece = await _piece(stream)
        octets += len(piece)
        tail = (tail + piece)[-len(_END) :]
        if len(kept) <= SCANNED + len(_END):
            kept += piece
    if kept.endswith(_END):
        del kept[2 - len(_END) :]
    return MessageText(bytes(kept.replace(b"\r\n.", b"\r\n")[2:]), octets)


async def _piece(stream: asyncio.StreamReader) -> bytes:
    """Some of the text: up to a dot that ends a line, or as much as the stream has room for."""
    try:
        return await stream.readuntil(b".\r\n")
    except asyncio.LimitOverrunError as error:
        return await stream.readexactly(error.consumed)
