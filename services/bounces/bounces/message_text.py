"""Reads the text of a message from aiosmtpd's stream, and keeps its start only.

aiosmtpd collects a whole message in memory and refuses long lines. We keep what a report needs and
take lines of any length. For that we read the `asyncio.StreamReader` that aiosmtpd keeps under a
private name. Nothing else in here uses a private name of aiosmtpd; the version that this is known
to work with is pinned, and a test notices another one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP

AIOSMTPD_VERSION = "1.4.6"

# Kept of one message: a report stands before the original that it returns.
MOST_OCTETS_KEPT = 1 << 20
# Kept of any message, whatever others hold: nearly every report is shorter.
OCTETS_FOR_EACH = 1 << 16
# Kept beyond that of all messages together.
_OCTETS_FOR_ALL = 32 << 20

_END = b"\r\n.\r\n"
_MOST_OCTETS_AS_THEY_CAME = MOST_OCTETS_KEPT + 2 * len(_END)


class NoRoom(Exception):
    """The messages on their way hold all the memory there is for them; read to its end."""


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of a message as it was sent, its dots undone (RFC 5321 section 4.5.2)."""

    start: bytes  # at most MOST_OCTETS_KEPT
    octets: int  # of the whole text, as it came


@dataclass(slots=True)
class TextMemory:
    """What the long messages of all connections may hold together."""

    left: int = _OCTETS_FOR_ALL

    @asynccontextmanager
    async def read_text(self, protocol: SMTP) -> AsyncIterator[MessageText]:
        """What the client of *protocol* sends from here up to <CRLF>.<CRLF>.

        Its memory is held until the block ends. Raises NoRoom.
        """
        kept = _KeptText(self)
        try:
            octets = await _read(protocol, kept)
            if kept.cut_short:
                raise NoRoom
            yield MessageText(kept.text(), octets)
        finally:
            self.left += kept.held


@dataclass(slots=True)
class _KeptText:
    """The start of one message, as it came."""

    memory: TextMemory
    octets: bytearray = field(default_factory=lambda: bytearray(b"\r\n"))
    held: int = 0  # of the memory
    cut_short: bool = False

    def add(self, piece: bytes) -> None:
        piece = piece[: max(0, _MOST_OCTETS_AS_THEY_CAME - len(self.octets))]
        if self.cut_short or not piece:
            return
        if len(self.octets) + len(piece) > OCTETS_FOR_EACH:
            if len(piece) > self.memory.left:
                self.octets.clear()
                self.cut_short = True
                return
            self.memory.left -= len(piece)
            self.held += len(piece)
        self.octets += piece

    def text(self) -> bytes:
        if self.octets.endswith(_END):
            del self.octets[2 - len(_END) :]
        return bytes(self.octets.replace(b"\r\n.", b"\r\n")[2 : MOST_OCTETS_KEPT + 2])


async def _read(protocol: SMTP, kept: _KeptText) -> int:
    """Read up to the end of the text; how many octets it has."""
    stream: asyncio.StreamReader = protocol._reader  # noqa: SLF001 -- see above
    octets = 0
    tail = b"\r\n"  # the end of the DATA line is the first half of an empty text's end
    while tail != _END:
        piece = await _piece(stream)
        octets += len(piece)
        tail = (tail + piece)[-len(_END) :]
        kept.add(piece)
    return octets


async def _piece(stream: asyncio.StreamReader) -> bytes:
    """Some of the text: up to a dot that ends a line, or as much as the stream has room for."""
    try:
        return await stream.readuntil(b".\r\n")
    except asyncio.LimitOverrunError as error:
        return await stream.readexactly(error.consumed)
