"""Questions and answers between the parent process of `posthouse up` and its workers."""

import asyncio
import socket
from typing import Any

import msgspec

_LONGEST_LINE = 32 << 20  # octets: the metrics of a worker


class PeerGone(Exception):
    """The process at the other end has ended."""


class Channel:
    """One end of a pair of connected sockets: a JSON line each way for every question."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._last_number = 0

    def close(self) -> None:
        """Close this end, in a process that does not use it."""
        self._end.close()

    async def ask(self, question: str, about: str = "") -> Any:
        """The other side's answer; raises PeerGone when it ends instead."""
        async with self._one_at_a_time:
            self._last_number += 1
            await self._send([self._last_number, question, about])
            while True:
                number, answer = await self._receive()
                if (
                    number == self._last_number
                ):  # else the late answer to a question that was given up
                    return answer

    async def next_question(self) -> tuple[int, str, str]:
        """The next question: its number, what it asks, and about what; raises PeerGone."""
        number, question, about = await self._receive()
        return number, question, about

    async def answer(self, number: int, answer: object) -> None:
        """Answer the question of that number; raises PeerGone."""
        await self._send([number, answer])

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(sock=self._end, limit=_LONGEST_LINE)
        return self._streams

    async def _send(self, what: object) -> None:
        _, writer = await self._open()
        writer.write(msgspec.json.encode(what) + b"\n")
        try:
            await writer.drain()
        except ConnectionError as error:
            raise PeerGone from error

    async def _receive(self) -> Any:
        reader, _ = await self._open()
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise PeerGone from error
        return msgspec.json.decode(line)
