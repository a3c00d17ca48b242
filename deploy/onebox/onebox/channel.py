"""Questions and answers between the process that keeps `posthouse up` and its workers."""

import asyncio
import socket
from typing import Any

import msgspec

# The longest line that may come: a worker's metrics.
_LONGEST = 32 << 20


class PeerGone(Exception):
    """The process at the other end has ended."""


class Channel:
    """One end of a pair of connected sockets: a JSON line each way for every question."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._asked = 0

    def close(self) -> None:
        """Let go of this end, in a process that has no business with it."""
        self._end.close()

    async def ask(self, question: str, about: str = "") -> Any:
        """The other side's answer; raises PeerGone when it ends instead."""
        async with self._turn:
            self._asked += 1
            await self._say([self._asked, question, about])
            while True:
                number, answer = await self._hear()
                if number == self._asked:  # and not one that nobody waited for any more
                    return answer

    async def heard(self) -> tuple[int, str, str]:
        """The next question: its number, what it asks, and about what; raises PeerGone."""
        number, question, about = await self._hear()
        return number, question, about

    async def answer(self, number: int, answer: object) -> None:
        """Answer the question of that number; raises PeerGone."""
        await self._say([number, answer])

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(sock=self._end, limit=_LONGEST)
        return self._streams

    async def _say(self, what: object) -> None:
        _, writer = await self._open()
        writer.write(msgspec.json.encode(what) + b"\n")
        try:
            await writer.drain()
        except ConnectionError as error:
            raise PeerGone from error

    async def _hear(self) -> Any:
        reader, _ = await self._open()
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise PeerGone from error
        return msgspec.json.decode(line)
