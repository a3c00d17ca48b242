"""An SMTP server that accepts all mail and keeps the newest: the destination of the demo.

`nobody@` is refused at once. `gone@` is accepted, and reported to the return path afterwards.
"""

import asyncio
import json
import smtplib
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from demo.non_delivery import non_delivery
from posthouse.running.tcp import Endpoint

log = structlog.get_logger()

_KEPT = 5_000  # messages
_LONGEST_LINE = 1 << 20
_IDLE_SECONDS = 300.0
_SMTP_SECONDS = 10
_NAME = "sink.posthouse.example"
_EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass(slots=True)
class Received:
    """A message that was taken; times in seconds since 1970."""

    sender: str
    started: float  # when its MAIL command came
    recipients: list[str] = field(default_factory=list)
    finished: float = 0.0  # when its final dot was answered
    content: bytes = b""


class Sink:
    """Answers each message after *delay* seconds; sends reports to *bounces*, if there is one."""

    def __init__(self, *, delay: float, bounces: Endpoint | None) -> None:
        self._delay = delay
        self._bounces = bounces
        self._received: deque[Received] = deque(maxlen=_KEPT)
        self._refused: deque[str] = deque(maxlen=_KEPT)
        self._reports: set[asyncio.Future[None]] = set()
        self._servers = AsyncExitStack()

    async def open(self, smtp: Endpoint, report: Endpoint) -> tuple[Endpoint, Endpoint]:
        """Listen; the address and port in use. Raises OSError."""
        takes = await asyncio.start_server(
            self._on_smtp, smtp.host, smtp.port, limit=_LONGEST_LINE, backlog=512
        )
        self._servers.push_async_callback(_close, takes)
        tells = await asyncio.start_server(self._on_http, report.host, report.port)
        self._servers.push_async_callback(_close, tells)
        return _address(smtp, takes), _address(report, tells)

    async def close(self) -> None:
        """Stop listening; reports that were started are still sent."""
        await self._servers.aclose()
        await asyncio.gather(*self._reports)

    async def _on_smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with _until_gone(writer):
            await _Conversation(reader, writer, self).run()

    async def _on_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer GET /messages with the list of all, GET /messages/N with the content of one."""
        with _until_gone(writer):
            async with asyncio.timeout(_SMTP_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
            body = self._told(request.split(b" ")[1].decode("ascii", "replace"))
            status = "404 Not Found" if body is None else "200 OK"
            body = body or b""
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    def _told(self, path: str) -> bytes | None:
        if path == "/messages":
            messages = [
                {
                    "number": number,
                    "sender": message.sender,
                    "recipients": message.recipients,
                    "started": message.started,
                    "finished": message.finished,
                }
                for number, message in enumerate(self._received)
            ]
            return json.dumps({"messages": messages, "refused": list(self._refused)}).encode()
        number = path.removeprefix("/messages/")
        if not number.isdecimal() or int(number) >= len(self._received):
            return None
        return self._received[int(number)].content

    async def take(self, message: Received) -> None:
        """Keep *message*; recipients called gone@ are reported a moment later."""
        await asyncio.sleep(self._delay)
        message.finished = time.time()
        self._received.append(message)
        gone = [r for r in message.recipients if r.startswith("gone@")]
        if gone and message.sender and self._bounces is not None:
            for recipient in gone:
                self._report(message, recipient, self._bounces)

    def refuse(self, recipient: str) -> bool:
        """Whether there is no such *recipient*."""
        if not recipient.startswith("nobody@"):
            return False
        self._refused.append(recipient)
        return True

    def _report(self, message: Received, recipient: str, to: Endpoint) -> None:
        report = non_delivery(
            recipient=recipient,
            return_path=message.sender,
            header=message.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
            server=_NAME,
            boundary=uuid4().hex,
            now=datetime.now(UTC),
        )
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(None, _send_back, to, message.sender, report)
        self._reports.add(sending)
        sending.add_done_callback(self._reports.discard)


class _Conversation:
    """One client's connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sink: Sink
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sink = sink
        self._message: Received | None = None

    async def run(self) -> None:
        await self._say(f"220 {_NAME} ESMTP")
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                line = await self._reader.readuntil(b"\r\n")
            verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 2.0.0 bye")
                return
            await self._say(await self._answer(verb.upper(), argument))

    async def _answer(self, verb: str, argument: str) -> str:
        match verb:
            case "EHLO":
                lines = [_NAME, *_EXTENSIONS]
                return "\r\n".join([*(f"250-{text}" for text in lines[:-1]), f"250 {lines[-1]}"])
            case "MAIL":
                self._message = Received(_path(argument), time.time())
                return "250 2.1.0 ok"
            case "RCPT":
                return self._recipient(_path(argument))
            case "DATA":
                return await self._data()
            case "HELO" | "RSET" | "NOOP":
                self._message = None if verb == "RSET" else self._message
                return "250 2.0.0 ok"
            case _:
                return "502 5.5.1 not implemented"

    def _recipient(self, address: str) -> str:
        if self._message is None:
            return "503 5.5.1 MAIL first"
        if self._sink.refuse(address):
            return "550 5.1.1 no such mailbox here"
        self._message.recipients.append(address)
        return "250 2.1.5 ok"

    async def _data(self) -> str:
        message, self._message = self._message, None
        if message is None or not message.recipients:
            return "554 5.5.1 no valid recipients"
        await self._say("354 go on")
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        message.content = b"".join(lines)
        await self._sink.take(message)
        return "250 2.0.0 taken"

    async def _say(self, reply: str) -> None:
        self._writer.write(reply.encode() + b"\r\n")
        await self._writer.drain()


def _path(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]


@contextmanager
def _until_gone(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close the connection of clients that hang up, time out or send endless lines."""
    try:
        yield
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return
    finally:
        writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


def _address(asked: Endpoint, server: asyncio.Server) -> Endpoint:
    return Endpoint(asked.host, server.sockets[0].getsockname()[1])


def _send_back(to: Endpoint, return_path: str, report: bytes) -> None:
    try:
        with smtplib.SMTP(to.host, to.port, timeout=_SMTP_SECONDS) as client:
            client.sendmail("", [return_path], report)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("report_not_sent", to=str(to), reason=str(error))
